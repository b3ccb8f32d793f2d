//! How many connections one may have, and for how long.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use consentry_edge::Closed;
use limits::{Limiter, Policies};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::{GET, GET_AND_CLOSE, Plan, SHORT, TestClient, ask, ask_on, rest};

#[tokio::test]
async fn an_address_has_so_many_connections_and_no_more() {
    let mut plan = Plan::new();
    plan.config.max_per_address = 2;
    let gate = plan.start().await;
    let (mut first, _second) = (gate.connect().await, gate.connect().await);
    gate.turns_away(Closed::AddressCap).await;
    assert!(ask(&mut first, GET_AND_CLOSE).await.starts_with("HTTP/1.1 200"));
    drop(first);
    while gate.counters.open() > 1 {
        tokio::task::yield_now().await;
    }
    gate.assert_well().await;
    gate.stop().await;
}

/// Counted by the certificate that we trust; a self-made one is no client of its own.
#[tokio::test]
async fn a_client_has_so_many_connections_and_no_more() {
    let mut plan = Plan::new();
    plan.config.max_per_client = 1;
    let gate = plan.start().await;
    let shows = |issued| TestClient::shows(gate.ca.certificate_pem(), issued);
    let (one, other) =
        (gate.ca.issue_client_plain("one").unwrap(), gate.ca.issue_client_plain("other").unwrap());
    let mut first = shows(&one).connect(gate.address).await.unwrap();
    assert!(ask_on(&mut first, GET).await.ends_with("Some(Trusted)"));
    if let Ok(mut second) = shows(&one).connect(gate.address).await {
        assert_eq!(rest(&mut second).await, "", "closed after the handshake");
    }
    gate.closed(Closed::ClientCap, 1).await;
    let mut third = shows(&other).connect(gate.address).await.unwrap();
    assert!(ask_on(&mut third, GET).await.starts_with("HTTP/1.1 200"));
    gate.stop().await;
}

/// HTTP/1.1 learns by its next answer that the connection is too old.
#[tokio::test]
async fn an_old_http_1_connection_ends_with_its_next_answer() {
    let mut plan = Plan::new();
    plan.config.max_age = SHORT;
    plan.config.head_timeout = Duration::from_secs(10);
    let gate = plan.start().await;
    let mut stream = gate.connect().await;
    let young = ask_on(&mut stream, GET).await;
    assert!(young.starts_with("HTTP/1.1 200") && !young.contains("connection: close"), "{young}");
    let mut old = young;
    while !old.contains("connection: close") {
        old = ask_on(&mut stream, GET).await;
        assert!(old.starts_with("HTTP/1.1 200"), "{old}");
    }
    assert_eq!(rest(&mut stream).await, "", "it ends after this answer");
    gate.closed(Closed::Aged, 1).await;
    gate.stop().await;
}

/// RFC 9113 §6.8: GOAWAY, and what is open ends as it would have.
#[tokio::test]
async fn an_old_http_2_connection_lets_its_requests_end() {
    let release = Arc::new(Notify::new());
    let wait = Arc::clone(&release);
    let mut plan = Plan::new();
    plan.config.max_age = SHORT;
    let slow = get(async move || {
        wait.notified().await;
        "done"
    });
    plan.router = Router::new().route("/", slow);
    let gate = plan.start().await;
    let stream = gate.client().http2().connect(gate.address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let ask = |sender: h2::client::SendRequest<bytes::Bytes>| async {
        let mut ready = sender.ready().await?;
        let request = http::Request::get("https://localhost/").body(()).unwrap();
        ready.send_request(request, true)?.0.await
    };
    let open = tokio::spawn(ask(sender.clone()));
    // Once GOAWAY has come the sender takes nothing more.
    loop {
        let mut sender = sender.clone();
        let ready = std::future::poll_fn(|cx| sender.poll_ready(cx)).await;
        if ready.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(!open.is_finished());
    release.notify_one();
    assert_eq!(open.await.unwrap().unwrap().status(), 200);
    // The client's own GOAWAY may find that the gate has closed already.
    if let Err(error) = connection.await.unwrap() {
        assert_eq!(error.get_io().map(std::io::Error::kind), Some(std::io::ErrorKind::BrokenPipe), "{error}");
    }
    gate.closed(Closed::Aged, 1).await;
    gate.stop().await;
}

/// Requests that never end are no way to grow old.
#[tokio::test]
async fn grace_ends_too() {
    let mut plan = Plan::new();
    plan.config.max_age = SHORT;
    plan.config.age_grace = SHORT;
    plan.router = Router::new().route("/", get(async || std::future::pending::<&'static str>().await));
    let gate = plan.start().await;
    let mut stream = gate.connect().await;
    ask(&mut stream, GET).await;
    gate.closed(Closed::Aged, 1).await;
    gate.stop().await;
}

/// A stop lets open requests have their answers.
#[tokio::test]
async fn a_stop_drains() {
    let (release, inside) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (wait, begun) = (Arc::clone(&release), Arc::clone(&inside));
    let mut plan = Plan::new();
    plan.config.drain_timeout = Duration::from_secs(600);
    let slow = get(async move || {
        begun.notify_one();
        wait.notified().await;
        "done"
    });
    plan.router = Router::new().route("/slow", slow);
    let gate = plan.start().await;
    let mut slow = gate.connect().await;
    let slow =
        tokio::spawn(async move { ask(&mut slow, b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await });
    inside.notified().await;
    gate.stop.cancel();
    while TcpStream::connect(gate.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    release.notify_one();
    let answer = slow.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    gate.stop().await;
}

/// What does not end in time is broken off by a stop.
#[tokio::test]
async fn a_stop_breaks_off() {
    let inside = Arc::new(Notify::new());
    let begun = Arc::clone(&inside);
    let mut plan = Plan::new();
    plan.config.drain_timeout = Duration::from_millis(20);
    let never = get(async move || {
        begun.notify_one();
        std::future::pending::<&'static str>().await
    });
    plan.router = Router::new().route("/never", never);
    let gate = plan.start().await;
    let mut never = gate.connect().await;
    let never =
        tokio::spawn(async move { ask(&mut never, b"GET /never HTTP/1.1\r\nhost: localhost\r\n\r\n").await });
    inside.notified().await;
    gate.stop.cancel();
    assert_eq!(never.await.unwrap(), "");
    gate.stop().await;
}

/// Limits with one policy or block of a test's own.
fn limits(text: &str) -> Option<Arc<Limiter>> {
    let policies = Policies::parse(&format!("{text}\n[load]\nin_flight = 1000\nlag_ms = 60000\n"));
    Some(Arc::new(Limiter::new(policies.unwrap())))
}

#[tokio::test]
async fn an_address_begins_so_many_handshakes_and_no_more() {
    let mut plan = Plan::new();
    plan.config.limiter =
        limits("[[policy]]\nname = \"handshakes\"\npartition = \"address\"\nquota = 2\nwindow = 3600\n");
    let gate = plan.start().await;
    let (_first, _second) = (gate.connect().await, gate.connect().await);
    gate.turns_away(Closed::HandshakeRate).await;
    gate.stop().await;
}

/// An address from which attacks come is let in no more; on connections that are open it is
/// refused, and whoever shows a certificate that we trust is not meant.
#[tokio::test]
async fn an_address_from_which_attacks_come_is_let_in_no_more() {
    let mut plan = Plan::new();
    plan.config.limiter = limits(
        "[block]\noffences = 3\nwithin = 3600\nseconds = 3600\nreasons = [\"request.suspicious\", \"protocol\"]\n",
    );
    let gate = plan.start().await;
    let known = gate.ca.issue_client_plain("known").unwrap();
    let mut known = TestClient::shows(gate.ca.certificate_pem(), &known).connect(gate.address).await.unwrap();
    const ATTACK: &[u8] = b"GET /attack HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for _ in 0..5 {
        ask_on(&mut known, ATTACK).await;
    }
    let mut open = gate.connect().await;
    for _ in 0..2 {
        assert!(ask_on(&mut open, ATTACK).await.starts_with("HTTP/1.1 200"));
    }
    let mut garbage = gate.connect().await;
    assert_eq!(ask(&mut garbage, b"\x16\x03\x01 nonsense\r\n\r\n").await.find("200"), None);
    gate.closed(Closed::Protocol, 1).await;
    gate.turns_away(Closed::Blocked).await;
    assert!(ask_on(&mut open, GET).await.ends_with("Blocked"));
    assert!(ask_on(&mut known, GET).await.ends_with("Some(Trusted)"));
    gate.stop().await;
}

/// What breaks TLS after the handshake counts as much as what breaks HTTP. Going away without a word does not.
#[tokio::test]
async fn an_address_whose_records_are_none_is_let_in_no_more() {
    let mut plan = Plan::new();
    plan.config.limiter =
        limits("[block]\noffences = 3\nwithin = 3600\nseconds = 3600\nreasons = [\"protocol\"]\n");
    let gate = plan.start().await;
    for _ in 0..3 {
        drop(gate.connect().await.into_inner());
    }
    for times in 1..=3 {
        let (mut stream, _) = gate.connect().await.into_inner();
        stream.write_all(&[&[0x17, 3, 3, 0, 64][..], &[7; 64]].concat()).await.unwrap();
        rest(&mut stream).await;
        gate.closed(Closed::Protocol, times).await;
    }
    gate.turns_away(Closed::Blocked).await;
    gate.stop().await;
}
