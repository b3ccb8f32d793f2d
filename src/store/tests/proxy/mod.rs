//! A proxy in front of PostgreSQL that breaks a connection when some word passes.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the server sees of that at which a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing.
    NotPassedOn,
    /// All of it; only its answer is lost.
    PassedOn,
}

type Next = Arc<Mutex<Option<(&'static str, Seen)>>>;

/// Passes on what comes.
pub struct Proxy {
    /// The database by way of the proxy.
    pub url: String,
    next: Next,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A proxy to the database at `url`.
    pub async fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut address = url::Url::parse(url).unwrap();
        let server = (address.host_str().unwrap().to_owned(), address.port().unwrap_or(5432));
        address.set_host(Some("127.0.0.1")).unwrap();
        address.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        // Commits are looked for in what passes.
        address.query_pairs_mut().append_pair("sslmode", "disable");
        let next = Next::default();
        let breaking = Arc::clone(&next);
        let accepting = tokio::spawn(async move {
            // Ended with the proxy.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(server.clone()).await.unwrap();
                connections.spawn(pass(client, server, Arc::clone(&breaking)));
            }
        });
        Self { url: address.to_string(), next, accepting }
    }

    /// Breaks the connection over which this word comes next.
    pub fn break_at(&self, word: &'static str, seen: Seen) {
        *self.next.lock().unwrap() = Some((word, seen));
    }

    /// Whether no connection is to be broken any more.
    pub fn has_broken(&self) -> bool {
        self.next.lock().unwrap().is_none()
    }

    /// Breaks every connection and takes no more.
    pub async fn stop(self) {
        self.accepting.abort();
        let _ = self.accepting.await;
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, next: Next) {
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let broken = next.lock().unwrap().take_if(|(word, _)| holds(&asked[..length], word));
                let seen = broken.map(|(_, seen)| seen);
                if seen != Some(Seen::NotPassedOn) && server.write_all(&asked[..length]).await.is_err() {
                    return;
                }
                if seen == Some(Seen::PassedOn) {
                    // Until the server has said that it has committed.
                    while let Ok(length @ 1..) = server.read(&mut answered).await {
                        if holds(&answered[..length], "COMMIT") {
                            return;
                        }
                    }
                }
                if seen.is_some() {
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|some| some == word.as_bytes())
}
