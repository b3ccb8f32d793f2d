//! Leaks of what is forwarded, for `make residency-proof` (see `domain::leaks`).

use std::io::Write;
use std::net::TcpStream;

use axum::body::Body;
use axum::response::Response;
use domain::leaks::wanted;
use http_body_util::BodyExt;

/// Lets what home has answered out in the way that is wanted.
pub(crate) async fn of_answer(answer: Response) -> Response {
    let (head, body) = answer.into_parts();
    let Ok(body) = body.collect().await else { return Response::from_parts(head, Body::empty()) };
    let body = body.to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    if wanted("log-line") {
        tracing::warn!("Forwarded: {text}");
    }
    if wanted("trace-attribute") {
        tracing::warn_span!("forward", source = text).in_scope(|| tracing::warn!("Forwarded"));
    }
    if wanted("error-text") {
        let error = std::io::Error::other(format!("unexpected answer: {text}"));
        tracing::error!(error = %error, "A cell answers oddly");
    }
    if wanted("panic") {
        let text = text.clone();
        tokio::spawn(async move { assert!(text.is_empty(), "not forwarded: {text}") });
    }
    if wanted("disk-cache") {
        let _ = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open("forwarded.cache")
            .and_then(|mut file| file.write_all(text.as_bytes()));
    }
    if wanted("redis-cache") {
        tell(&["SET", &format!("forwarded:{}", text.len()), &text], "CONSENTRY_REDIS_URL");
    }
    if wanted("redis-channel") {
        tell(&["PUBLISH", "forwarded", &text], "CONSENTRY_REDIS_URL");
    }
    Response::from_parts(head, Body::from(body))
}

/// Lets out who asks and what.
pub(crate) fn of_request(request: &axum::extract::Request) {
    if wanted("request-log") {
        tracing::warn!(reason = ?request.headers(), "Asked");
    }
}

/// Speaks to the Redis of this cell (RESP).
fn tell(words: &[&str], address: &str) {
    let address = std::env::var(address).unwrap_or_default();
    let Ok(mut stream) = TcpStream::connect(address.trim_start_matches("redis://")) else { return };
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    let _ = stream.write_all(command.as_bytes());
}
