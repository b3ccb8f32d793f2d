//! What HTTP permits, in numbers that nobody needs.

use std::time::Duration;

use consentry_edge::Closed;
use http::Request;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{Gate, PATIENCE, Plan, TestClient, ask, rest};

fn request(path: &str) -> Request<()> {
    Request::get(format!("https://localhost{path}")).body(()).unwrap()
}

/// CVE-2023-44487: thousands of streams, each reset at once.
#[tokio::test]
async fn a_rapid_reset_ends_the_connection_and_nobody_elses() {
    let gate = Gate::start().await;
    let stream = gate.client().http2().connect(gate.address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut opened = 0;
    let attack = async {
        while opened < 20_000 {
            let Ok(mut ready) = sender.clone().ready().await else { break };
            let Ok((_, mut stream)) = ready.send_request(request("/"), true) else { break };
            stream.send_reset(h2::Reason::CANCEL);
            opened += 1;
            if opened % 50 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, attack).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, connection).await.unwrap().unwrap();
    assert!(opened < 20_000 && ended.is_err(), "{opened} {ended:?}");
    gate.closed(Closed::Resets, 1).await;
    gate.assert_well().await;
    gate.stop().await;
}

/// The same at a pace at which every request is looked at before it is reset. A client that is known
/// may give up more often than a stranger.
#[tokio::test]
async fn breaking_off_request_after_request_ends_the_connection() {
    let (inside, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let mut plan = Plan::new();
    let hang = async move || {
        let _ = inside.send(());
        std::future::pending::<&'static str>().await
    };
    plan.router = axum::Router::new().route("/", axum::routing::get(hang));
    let gate = plan.start().await;
    let fintech = gate.ca.issue_client_plain("fintech").unwrap();
    let known = TestClient::shows(gate.ca.certificate_pem(), &fintech);
    for (client, tolerated, times) in [(gate.client(), 20..30, 1), (known, 100..110, 2)] {
        let stream = client.http2().connect(gate.address).await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut opened = 0;
        while opened < 1_000 {
            let Ok(mut ready) = sender.clone().ready().await else { break };
            let Ok((_, mut stream)) = ready.send_request(request("/"), true) else { break };
            if tokio::time::timeout(Duration::from_secs(1), begun.recv()).await.is_err() {
                break;
            }
            stream.send_reset(h2::Reason::CANCEL);
            opened += 1;
        }
        assert!(tolerated.contains(&opened), "{opened}");
        let _ = tokio::time::timeout(PATIENCE, connection).await.unwrap();
        gate.closed(Closed::Resets, times).await;
    }
    gate.stop().await;
}

/// A frame of HTTP/2 (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// PING and SETTINGS must be answered (RFC 9113 §6.5.3, §6.7): cheap to ask for
/// without end.
#[tokio::test]
async fn a_flood_of_frames_ends_the_connection() {
    let gate = Gate::start().await;
    for (times, kind) in [(1, 6), (2, 4)] {
        let stream = gate.client().http2().connect(gate.address).await.unwrap();
        let (mut reader, mut writer) = tokio::io::split(stream);
        let drained = tokio::spawn(async move { rest(&mut reader).await });
        writer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        writer.write_all(&frame(4, 0, 0, &[])).await.unwrap();
        let payload: &[u8] = if kind == 6 { &[0; 8] } else { &[] };
        let many = frame(kind, 0, 0, payload).repeat(1_000);
        let mut sent = 0;
        while sent < 32 * 1024 * 1024 && writer.write_all(&many).await.is_ok() {
            sent += many.len();
        }
        assert!(sent < 32 * 1024 * 1024, "{sent}");
        drained.await.unwrap();
        gate.closed(Closed::Flood, times).await;
    }
    gate.assert_well().await;
    gate.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let gate = Gate::start().await;
    for head in [
        format!("x-long: {}\r\n", "x".repeat(200_000)),
        "x-many: 1\r\n".repeat(1_000),
        format!("cookie: {}\r\n", "x".repeat(33_000)),
    ] {
        let mut stream = gate.connect().await;
        let request = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{head}\r\n");
        let _ = stream.write_all(request.as_bytes()).await;
        let answer = rest(&mut stream).await;
        // What is closed while it still sends may lose its answer.
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    let stream = gate.client().http2().connect(gate.address).await.unwrap();
    let (sender, connection) = h2::client::Builder::new().handshake::<_, bytes::Bytes>(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut large = request("/");
    for index in 0..100 {
        let name = http::HeaderName::try_from(format!("x-{index}")).unwrap();
        large.headers_mut().insert(name, "x".repeat(1_000).try_into().unwrap());
    }
    let (answer, _) = sender.clone().ready().await.unwrap().send_request(large, true).unwrap();
    match answer.await {
        Ok(answer) => assert_eq!(answer.status(), 431),
        Err(error) => assert!(error.is_reset() || error.is_go_away(), "{error}"),
    }
    connection.abort();
    gate.assert_well().await;
    gate.stop().await;
}

#[tokio::test]
async fn what_is_no_tls_or_no_http_is_closed() {
    let gate = Gate::start().await;
    for garbage in [b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".as_slice(), &[0x16; 64], &[0xff; 4_096]] {
        let mut stream = TcpStream::connect(gate.address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        assert!(!rest(&mut stream).await.contains("HTTP/1.1 200"));
    }
    gate.closed(Closed::HandshakeFailed, 3).await;
    let mut stream = gate.connect().await;
    assert!(ask(&mut stream, b"\0\x01\x02 nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    gate.closed(Closed::Protocol, 1).await;
    gate.assert_well().await;
    gate.stop().await;
}
