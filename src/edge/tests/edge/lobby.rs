//! Handshakes on threads of their own.

use std::fs;
use std::time::Duration;

use crate::support::{GET_AND_CLOSE, Gate, ask};

/// What the threads for handshakes of this process have computed.
fn computed() -> Duration {
    let threads = fs::read_dir("/proc/self/task").unwrap().map(|thread| thread.unwrap().path());
    let of_lobby = threads.filter(|thread| {
        fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.trim() == "handshakes")
    });
    of_lobby
        .map(|thread| {
            let times = fs::read_to_string(thread.join("schedstat")).unwrap();
            Duration::from_nanos(times.split(' ').next().unwrap().parse().unwrap())
        })
        .sum()
}

/// A handshake has a signature and a key exchange: the threads that answer do neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_are_made_on_threads_that_give_way() {
    let gate = Gate::start().await;
    for _ in 0..20 {
        let mut stream = gate.connect().await;
        assert!(ask(&mut stream, GET_AND_CLOSE).await.starts_with("HTTP/1.1 200"));
    }
    assert!(computed() > Duration::from_millis(2), "{:?}", computed());
    gate.stop().await;
}
