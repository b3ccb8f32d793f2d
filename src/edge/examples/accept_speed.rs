//! How many connections are accepted a second, by one loop from one socket, and by two loops from a socket each
//! (`SO_REUSEPORT`), in turns; clients are on the same machine. Prints one JSON object.

#![allow(clippy::print_stdout, reason = "it reports on the terminal")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "it stops at the first surprise")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_secs(3);
/// Clients at a time, each with an address of its own.
const CLIENTS: u8 = 64;

#[tokio::main]
async fn main() {
    let mut all = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for loops in 1..=all.len() {
            all[loops - 1].push(accepted(loops).await);
        }
    }
    let [one, two] = all.map(|mut rounds| {
        rounds.sort_unstable();
        rounds[ROUNDS / 2]
    });
    println!("{{\"one_socket_per_second\": {one}, \"two_sockets_per_second\": {two}}}");
}

/// Connections that so many loops accept in a second.
async fn accepted(loops: usize) -> u64 {
    let many = Arc::new(AtomicU64::new(0));
    let mut accepting = JoinSet::new();
    let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    for _ in 0..loops {
        let socket = listening(address, loops > 1);
        address = socket.local_addr().unwrap();
        let many = Arc::clone(&many);
        accepting.spawn(async move {
            loop {
                let (mut stream, _) = socket.accept().await.unwrap();
                many.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move { stream.read(&mut [0; 1]).await });
            }
        });
    }
    let until = Instant::now() + TIME;
    let mut clients = JoinSet::new();
    for number in 1..=CLIENTS {
        clients.spawn(async move {
            while Instant::now() < until {
                let socket = TcpSocket::new_v4().unwrap();
                // No port stays taken when it is over.
                socket.set_zero_linger().unwrap();
                socket.bind((Ipv4Addr::new(127, 0, 1, number), 0).into()).unwrap();
                let _ = timeout_at(until, socket.connect(address)).await;
            }
        });
    }
    clients.join_all().await;
    accepting.shutdown().await;
    many.load(Ordering::Relaxed) / TIME.as_secs()
}

fn listening(address: SocketAddr, reused: bool) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseport(reused).unwrap();
    socket.bind(address).unwrap();
    socket.listen(1_024).unwrap()
}
