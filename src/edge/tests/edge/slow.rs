//! Peers that take their time.

use consentry_edge::Closed;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{GET, Gate, Plan, SHORT, ask, ask_on, rest};

#[tokio::test]
async fn a_handshake_and_a_head_have_their_time() {
    let gate = Gate::start().await;
    let mut silent = TcpStream::connect(gate.address).await.unwrap();
    rest(&mut silent).await;
    gate.closed(Closed::HandshakeTimeout, 1).await;
    for part in [b"G".as_slice(), b"GET / HTTP/1.1\r\nhost: local"] {
        let mut partial = gate.connect().await;
        let answer = ask(&mut partial, part).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    let mut preface = gate.client().http2().connect(gate.address).await.unwrap();
    ask(&mut preface, b"PRI * HTTP/2.0\r\n").await;
    gate.closed(Closed::HeadTimeout, 3).await;
    // One that sleeps between two requests did nothing wrong.
    let mut kept = gate.connect().await;
    assert!(ask(&mut kept, GET).await.starts_with("HTTP/1.1 200"));
    gate.closed(Closed::HeadTimeout, 3).await;
    gate.assert_well().await;
    gate.stop().await;
}

/// RFC 9110 §15.5.9: told, then closed, as what still comes could be read as a request.
#[tokio::test]
async fn a_body_that_trickles_is_answered_408_and_closed() {
    let gate = Gate::start().await;
    let mut stream = gate.connect().await;
    stream
        .write_all(b"POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n")
        .await
        .unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let trickle = tokio::spawn(async move {
        let mut beat = tokio::time::interval(SHORT / 10);
        while writer.write_all(b"x").await.is_ok() {
            beat.tick().await;
        }
    });
    let answer = rest(&mut reader).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    trickle.abort();
    gate.closed(Closed::BodyTimeout, 1).await;
    gate.assert_well().await;
    gate.stop().await;
}

#[tokio::test]
async fn a_body_that_trickles_on_http_2_ends_its_stream_only() {
    let gate = Gate::start().await;
    let stream = gate.client().http2().connect(gate.address).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::post("https://localhost/echo").body(()).unwrap();
    let (answer, mut body) = sender.send_request(request, false).unwrap();
    body.send_data("x".into(), false).unwrap();
    assert_eq!(answer.await.unwrap().status(), 408);
    let request = http::Request::get("https://localhost/").body(()).unwrap();
    let (answer, _) = sender.send_request(request, true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    connection.abort();
    gate.stop().await;
}

/// A body that arrived in time is taken, however late the handler asks for it.
#[tokio::test]
async fn a_body_waits_for_its_handler() {
    let mut plan = Plan::new();
    plan.router = axum::Router::new().route(
        "/late",
        axum::routing::post(async |request: axum::extract::Request| {
            tokio::time::sleep(SHORT * 2).await;
            let body = axum::body::to_bytes(request.into_body(), 100).await;
            body.map(|body| body.len().to_string()).unwrap_or_default()
        }),
    );
    let gate = plan.start().await;
    let mut stream = gate.connect().await;
    let request = b"POST /late HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nhello";
    let answer = ask_on(&mut stream, request).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with('5'), "{answer}");
    gate.stop().await;
}

/// A peer that asks for more than fits into the buffers and reads nothing.
#[tokio::test]
async fn an_answer_that_nobody_takes_ends_the_connection() {
    let mut plan = Plan::new();
    plan.config.write_timeout = SHORT;
    plan.router = axum::Router::new().route("/", axum::routing::get(async || vec![b'x'; 64 * 1024 * 1024]));
    let gate = plan.start().await;
    let mut stream = gate.connect().await;
    stream.write_all(GET).await.unwrap();
    gate.closed(Closed::WriteTimeout, 1).await;
    gate.stop().await;
}
