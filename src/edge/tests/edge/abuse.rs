//! What HTTP permits, in numbers that nobody needs.

use std::time::Duration;

use consentry_edge::Closed;
use http::Request;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::frames::{
    CONTINUATION, Came, END_HEADERS, END_STREAM, HEADERS, LAST_REMEMBERED, PING, SETTINGS, came, field,
    frame, opened, pseudo, remembered,
};
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

/// PING and SETTINGS must be answered (RFC 9113 §6.5.3, §6.7): cheap to ask for
/// without end.
#[tokio::test]
async fn a_flood_of_frames_ends_the_connection() {
    let gate = Gate::start().await;
    for (times, kind) in [(1, PING), (2, SETTINGS)] {
        let (mut reader, mut writer) = tokio::io::split(opened(&gate).await);
        let drained = tokio::spawn(async move { rest(&mut reader).await });
        let payload: &[u8] = if kind == PING { &[0; 8] } else { &[] };
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

/// Header bombs (RFC 9113 §10.5.1): a head that goes on without end, one that is small until it is unpacked, and as
/// many fields as there are bytes.
#[tokio::test]
async fn a_head_that_has_no_end_or_unpacks_without_one_is_refused() {
    let plan =
        Plan { router: axum::Router::new().route("/", axum::routing::get(async || "asked")), ..Plan::new() };
    let gate = plan.start().await;
    let head = pseudo("GET", "/");
    let whole = frame(HEADERS, END_HEADERS | END_STREAM, 1, &head);
    assert_eq!(came(&gate, &whole).await, Came::Answer("asked".to_owned()));

    let one = frame(CONTINUATION, 0, 1, &field("x-more", &"x".repeat(16_000)));
    let endless = [frame(HEADERS, END_STREAM, 1, &head), one.repeat(2_000)].concat();
    let empty =
        [frame(HEADERS, END_STREAM, 1, &head), frame(CONTINUATION, 0, 1, &[]).repeat(1_000_000)].concat();
    let mut bomb = [head.clone(), remembered("x-bomb", &"x".repeat(4_000))].concat();
    bomb.extend([LAST_REMEMBERED].repeat(10_000));
    let bomb = frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb);
    let mut many = head.clone();
    many.extend(field("x", "").repeat(4_000));
    let many = frame(HEADERS, END_HEADERS | END_STREAM, 1, &many);
    for frames in [endless, empty, bomb, many] {
        let came = came(&gate, &frames).await;
        assert!(!matches!(&came, Came::Answer(body) if body == "asked"), "{came:?}");
    }
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
