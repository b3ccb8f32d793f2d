//! Strangers on threads of their own.

use std::fs;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use consentry_edge::{Filter, Judgement};
use http::request::Parts;

use crate::support::{GET_AND_CLOSE, Gate, Plan, TestClient, ask};

/// What the threads of the lobby of this process have computed.
fn computed() -> Duration {
    let threads = fs::read_dir("/proc/self/task").unwrap().map(|thread| thread.unwrap().path());
    let of_lobby = threads
        .filter(|thread| fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.trim() == "lobby"));
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

/// Notes the threads that look into requests.
#[derive(Default)]
struct Threads(Mutex<Vec<String>>);

impl Filter for Threads {
    fn judge(&self, _: &Parts, _: &Bytes) -> Judgement {
        self.0.lock().unwrap().push(name());
        Judgement::default()
    }
}

fn name() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

/// What handlers share, such as connections to a database, is used on the threads that answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_looked_at_in_the_lobby_and_answered_where_everybody_is() {
    let threads = Arc::new(Threads::default());
    let router = Router::new().route("/", get(async || name()));
    let plan = Plan { filter: Some(threads.clone()), router, ..Plan::new() };
    let client = plan.ca.issue_client_plain("somebody").unwrap();
    let gate = plan.start().await;
    let known = TestClient::shows(gate.ca.certificate_pem(), &client);
    let (mut known, mut stranger) = (known.connect(gate.address).await.unwrap(), gate.connect().await);
    for stream in [&mut known, &mut stranger] {
        let answer = ask(stream, GET_AND_CLOSE).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("tokio-rt-worker"), "{answer}");
    }
    assert_eq!(*threads.0.lock().unwrap(), ["tokio-rt-worker", "lobby"]);
    gate.stop().await;
}
