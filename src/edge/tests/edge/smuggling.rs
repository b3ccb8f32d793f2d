//! Requests in the body of others (RFC 9112 §11.2): where somebody before us reads another length than we do, what
//! follows must not be taken for a request.

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};

use crate::support::{Gate, Plan, ask};

const FOLLOWS: &str = "GET /follows HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

async fn gate() -> Gate {
    let router = Router::new()
        .route("/", post(async |body: Bytes| format!("{} bytes", body.len())))
        .route("/follows", get(async || "it was asked for"));
    Plan { router, ..Plan::new() }.start().await
}

/// What is answered to a head with these lines, to `body`, and to a request that follows.
async fn answered(gate: &Gate, lines: &str, body: &str) -> String {
    let mut stream = gate.connect().await;
    let sent = format!("POST / HTTP/1.1\r\nhost: localhost\r\n{lines}\r\n\r\n{body}{FOLLOWS}");
    ask(&mut stream, sent.as_bytes()).await
}

#[tokio::test]
async fn what_follows_a_body_of_one_length_is_the_next_request() {
    let gate = gate().await;
    for (lines, body) in
        [("content-length: 5", "12345"), ("transfer-encoding: chunked", "5\r\n12345\r\n0\r\n\r\n")]
    {
        let answers = answered(&gate, lines, body).await;
        assert!(answers.contains("5 bytes") && answers.contains("it was asked for"), "{answers}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn what_may_be_body_or_request_is_neither() {
    let gate = gate().await;
    for (lines, body) in [
        ("content-length: 4\r\ntransfer-encoding: chunked", "0\r\n\r\n"),
        ("transfer-encoding: chunked\r\ncontent-length: 100", "0\r\n\r\n"),
        ("content-length: 0\r\ncontent-length: 5", "12345"),
        ("content-length: 0, 5", "12345"),
        ("content-length: +5", "12345"),
        ("content-length: 0x5", "12345"),
        ("content-length: -1", ""),
        ("transfer-encoding: xchunked", "0\r\n\r\n"),
        ("transfer-encoding: chunked, identity", "0\r\n\r\n"),
        ("transfer-encoding: chunked\r\ntransfer-encoding: identity", "0\r\n\r\n"),
        ("transfer-encoding : chunked", "0\r\n\r\n"),
        ("transfer-encoding:\u{b}chunked", "0\r\n\r\n"),
        (" transfer-encoding: chunked", "0\r\n\r\n"),
        ("x: y\n transfer-encoding: chunked", "0\r\n\r\n"),
        ("transfer-encoding: chunked", "-1\r\n"),
        ("transfer-encoding: chunked", "10000000000000000\r\n"),
        ("transfer-encoding: chunked", "0 5\r\n12345\r\n0\r\n\r\n"),
    ] {
        let answers = answered(&gate, lines, body).await;
        assert!(answers.matches("HTTP/1.1 ").count() <= 1, "{lines:?} {body:?}: {answers}");
        assert!(!answers.contains("it was asked for"), "{lines:?} {body:?}: {answers}");
    }
    gate.stop().await;
}
