//! Requests in the body of others (RFC 9112 §11.2): where somebody before us reads another length than we do, what
//! follows must not be taken for a request. HTTP/2 says lengths by frames; what would say another in HTTP/1.1, for
//! whoever has to speak that on our behalf, makes a request malformed (RFC 9113 §8.1.1, §8.2.1, §8.2.2).

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};

use crate::frames::{Came, DATA, END_HEADERS, END_STREAM, HEADERS, came, field, frame, pseudo};
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

/// What comes of a request of these fields, with a body.
async fn of_frames(gate: &Gate, fields: &[u8], body: &str) -> Came {
    let head = frame(HEADERS, END_HEADERS, 1, fields);
    came(gate, &[head, frame(DATA, END_STREAM, 1, body.as_bytes())].concat()).await
}

#[tokio::test]
async fn a_request_of_frames_is_as_long_as_its_frames() {
    let gate = gate().await;
    for fields in [vec![], field("content-length", "5"), field("te", "trailers")] {
        let came = of_frames(&gate, &[pseudo("POST", "/"), fields].concat(), "12345").await;
        assert_eq!(came, Came::Answer("5 bytes".to_owned()));
    }
    for (name, value, body) in [
        ("content-length", "3", "12345"),
        ("content-length", "0", FOLLOWS),
        ("content-length", "10", "12345"),
        ("content-length", "+5", "12345"),
        ("content-length", "0, 5", "12345"),
        ("transfer-encoding", "chunked", "0\r\n\r\n"),
        ("transfer-encoding", "identity", "12345"),
        ("connection", "keep-alive", "12345"),
        ("connection", "transfer-encoding", "12345"),
        ("keep-alive", "timeout=5", "12345"),
        ("proxy-connection", "keep-alive", "12345"),
        ("upgrade", "h2c", "12345"),
        ("te", "gzip", "12345"),
        ("Content-Length", "0", "12345"),
        ("content-length: 0\r\nx", "y", "12345"),
        ("transfer-encoding ", "chunked", "12345"),
        ("x:y", "z", "12345"),
        ("", "nameless", "12345"),
        ("x", "y\r\ntransfer-encoding: chunked", "12345"),
        ("x", "y\ncontent-length: 0", "12345"),
        ("x", "y\r", "12345"),
        ("x", "y\0", "12345"),
        (":path", "/follows", "12345"),
        (":method", "GET", "12345"),
        (":unknown", "x", "12345"),
        ("host", "elsewhere.example", "12345"),
    ] {
        let came = of_frames(&gate, &[pseudo("POST", "/"), field(name, value)].concat(), body).await;
        assert_is_no_answer(&came, &format!("{name:?}: {value:?}"));
    }
    let twice = [pseudo("POST", "/"), field("content-length", "0"), field("content-length", "5")].concat();
    assert_is_no_answer(&of_frames(&gate, &twice, "12345").await, "two lengths");
    let late = [field("x", "y"), pseudo("POST", "/")].concat();
    assert_is_no_answer(&of_frames(&gate, &late, "12345").await, "a field before the line");
    for (method, path) in [
        ("POST / HTTP/1.1\r\nhost: localhost\r\n\r\nGET", "/follows"),
        ("POST", "/ HTTP/1.1\r\nhost: localhost\r\n\r\nGET /follows"),
        ("POST", ""),
        ("POST", "follows"),
        ("POST ", "/"),
        ("", "/"),
    ] {
        let came = of_frames(&gate, &pseudo(method, path), "12345").await;
        assert_is_no_answer(&came, &format!("{method:?} {path:?}"));
    }
    gate.stop().await;
}

/// Neither of the two was asked for.
fn assert_is_no_answer(came: &Came, what: &str) {
    match came {
        Came::Answer(body) => {
            assert!(!body.ends_with("bytes") && body != "it was asked for", "{what} was answered: {body}");
        }
        Came::Reset(_) | Came::Over(_) => {}
    }
}
