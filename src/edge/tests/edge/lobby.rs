//! Strangers on threads of their own.

use std::fs;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use consentry_edge::{Filter, Judgement, Overload};
use domain::{Clock, SystemClock, Timestamp};
use http::request::Parts;
use limits::{Limiter, Policies};
use tokio::time::interval;

use crate::support::{GET, GET_AND_CLOSE, Gate, PATIENCE, Plan, TestClient, ask, ask_on};

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

/// How the threads that answer are called.
const HOME: &str = "tokio-rt-worker";

fn limiter(policy: &str) -> Arc<Limiter> {
    let policies = format!("{policy}\n[load]\nin_flight = 1000\nlag_ms = 60000\n");
    Arc::new(Limiter::new(Policies::parse(&policies).unwrap()))
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

/// Notes the threads that look into requests, or ask what time it is.
#[derive(Debug, Default)]
struct Threads(Mutex<Vec<String>>);

impl Threads {
    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Clock for Threads {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().push(name());
        SystemClock.now()
    }
}

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
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(HOME), "{answer}");
    }
    assert_eq!(threads.taken(), [HOME, "lobby"]);
    gate.stop().await;
}

/// A client that we know is somebody to be waited for, unless it asks without end: then it is served where strangers
/// are, on connections that are open, too, and what it may ask is answered all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_gives_way_while_it_goes_on_over_its_quota() {
    let threads = Arc::new(Threads::default());
    let mut plan = Plan { filter: Some(threads.clone()), ..Plan::new() };
    let limiter = limiter("[[policy]]\nname = \"peer\"\npartition = \"peer\"\nquota = 20\nwindow = 1\n");
    plan.config.overload = Some(Overload::new(Arc::clone(&limiter)));
    plan.config.limiter = Some(limiter);
    let client = plan.ca.issue_client_plain("hasty").unwrap();
    let gate = plan.start().await;
    let hasty = TestClient::shows(gate.ca.certificate_pem(), &client);
    let mut stream = hasty.connect(gate.address).await.unwrap();
    let mut refused = 0;
    let mut asked = async |patience: &mut u32| {
        let answer = ask_on(&mut stream, GET).await;
        *patience += 1;
        answer.starts_with("HTTP/1.1 200")
    };
    let mut times = 0;
    while !threads.taken().contains(&"lobby".to_owned()) {
        refused += u32::from(!asked(&mut times).await);
        assert!(times < 10_000, "it is served at home for ever");
    }
    assert!(refused > 10, "{refused} are pardoned");
    // Nor does another connection begin where everybody's do.
    let mut again = hasty.connect(gate.address).await.unwrap();
    while !ask_on(&mut again, GET).await.starts_with("HTTP/1.1 200") {
        assert_eq!(threads.taken(), Vec::<String>::new(), "what is refused is not looked into");
    }
    assert_eq!(threads.taken(), ["lobby"]);
    drop(again);
    let mut beat = interval(Duration::from_millis(200));
    let kept_to = async {
        while !threads.taken().contains(&HOME.to_owned()) {
            beat.tick().await;
            asked(&mut times).await;
        }
    };
    tokio::time::timeout(PATIENCE, kept_to).await.expect("it is pardoned");
    gate.stop().await;
}

/// What a quota lets a client ask at once is begun one by one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_asks_at_once_is_begun_within_half_a_second() {
    let mut plan = Plan::new();
    plan.config.limiter =
        Some(limiter("[[policy]]\nname = \"peer\"\npartition = \"peer\"\nquota = 200\nwindow = 60\n"));
    let client = plan.ca.issue_client_plain("hasty").unwrap();
    let gate = plan.start().await;
    let mut stream =
        TestClient::shows(gate.ca.certificate_pem(), &client).connect(gate.address).await.unwrap();
    let begun = Instant::now();
    let answers = ask(&mut stream, &[GET.repeat(99), GET_AND_CLOSE.to_vec()].concat()).await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 100);
    // But for 32, each two and a half thousandths of a second after the one before.
    let least = Duration::from_millis(170);
    assert!((least..PATIENCE).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    gate.stop().await;
}

/// Whoever comes from where a client came from has not to wait for strangers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_again_is_greeted_where_it_is_answered() {
    let threads = Arc::new(Threads::default());
    let mut plan = Plan::new();
    plan.clock = threads.clone();
    plan.config.overload = Some(Overload::new(limiter("")));
    let client = plan.ca.issue_client_plain("known").unwrap();
    let gate = plan.start().await;
    let known = TestClient::shows(gate.ca.certificate_pem(), &client);
    for greeted_at in ["lobby", HOME] {
        let mut stream = known.connect(gate.address).await.unwrap();
        assert!(ask(&mut stream, GET_AND_CLOSE).await.starts_with("HTTP/1.1 200"));
        let asked = threads.taken();
        assert_eq!(asked.iter().any(|name| name == "lobby"), greeted_at == "lobby", "{asked:?}");
    }
    // A stranger from there is served where strangers are.
    let mut stranger = gate.connect().await;
    assert!(ask(&mut stranger, GET_AND_CLOSE).await.starts_with("HTTP/1.1 200"));
    assert!(threads.taken().iter().any(|name| name == "lobby"));
    gate.stop().await;
}
