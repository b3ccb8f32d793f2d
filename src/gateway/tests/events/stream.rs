//! Events as they happen: Server-Sent Events.

use std::time::Duration;

use crate::support::webhooks::{PATIENCE, until};
use crate::support::{EU, TestGateway, UK, assert_problem, rows};
use consentry::demo::{Tpp, bearer};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use secrecy::SecretString;
use serde_json::{Value, json};

/// One block of a stream: the values of its fields, and its comment.
#[derive(Clone, Debug, Default)]
struct Block {
    id: String,
    event: String,
    data: String,
    comment: String,
}

impl Block {
    fn read(text: &str) -> Self {
        let mut block = Self::default();
        for line in text.lines() {
            match line.split_once(':').unwrap() {
                ("id", value) => value.trim_start().clone_into(&mut block.id),
                ("event", value) => value.trim_start().clone_into(&mut block.event),
                ("data", value) => value.trim_start().clone_into(&mut block.data),
                ("", value) => value.trim_start().clone_into(&mut block.comment),
                _ => {}
            }
        }
        block
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

/// An open stream.
struct Stream {
    body: Incoming,
    text: String,
}

impl Stream {
    async fn open(tpp: &Tpp, own: &SecretString, query: &str, last: &str) -> Self {
        let authorization = bearer(own);
        let headers = [("authorization", authorization.as_str()), ("last-event-id", last)];
        let url = format!("{}/v1/events/stream{query}", tpp.api);
        let answer = tpp.http.open(Method::GET, &url, &headers, "").await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { body: answer.into_body(), text: String::new() }
    }

    /// The next block; none at a clean end.
    async fn next(&mut self) -> Option<Block> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = Block::read(block);
                self.text = rest.to_owned();
                return Some(block);
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("a frame")?;
            let data = frame.expect("no broken stream").into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    /// The next event, over comments.
    async fn event(&mut self) -> Block {
        loop {
            let block = self.next().await.expect("the stream goes on");
            if !block.data.is_empty() {
                return block;
            }
        }
    }

    /// Reads on to the clean end.
    async fn end(mut self) {
        while let Some(block) = self.next().await {
            assert_eq!(block.data, "");
        }
    }
}

async fn fintech(gw: &TestGateway) -> (Tpp, SecretString) {
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    (tpp, own)
}

/// What was before and what happens, once and in order; a stream and the list take each
/// other's cursors, and `Last-Event-ID` goes before the address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_where_it_broke_off() {
    let gw = TestGateway::start().await;
    let (tpp, own) = fintech(&gw).await;
    let first = tpp.lodge(&own, &[UK]).await.unwrap().remove(0);
    let mut stream = Stream::open(&tpp, &own, "", "").await;
    let begun = stream.event().await;
    assert_eq!((begun.event.as_str(), &begun.json()["resource"]["id"]), ("consent.created", &json!(first)));
    let second = tpp.lodge(&own, &[EU]).await.unwrap().remove(0);
    let live = stream.event().await;
    assert_eq!(live.json()["resource"]["id"], json!(second));
    tpp.delete(&own, &format!("/v1/consents/{first}")).await.unwrap();
    let third = stream.event().await;
    assert_eq!((third.event.as_str(), &third.json()["sequence"]), ("consent.revoked", &json!(2)));
    drop(stream);

    let listed = tpp.get(&own, &format!("/v1/events?cursor={}", begun.id)).await.unwrap();
    assert_eq!(rows(&listed), [live.json(), third.json()]);
    let mut again = Stream::open(&tpp, &own, "", &begun.id).await;
    assert_eq!((again.event().await.id, again.event().await.id), (live.id.clone(), third.id.clone()));
    let mut later = Stream::open(&tpp, &own, &format!("?cursor={}", begun.id), &live.id).await;
    assert_eq!(later.event().await.json(), third.json());
    let page = tpp.get(&own, "/v1/events?limit=1").await.unwrap().text("/next_cursor");
    let mut listed = Stream::open(&tpp, &own, &format!("?cursor={page}"), "").await;
    assert_eq!(listed.event().await.json(), live.json());
    gw.sandbox.stop().await;
}

/// A stream has the types that were asked for, and the client's own events only; what it
/// cannot read is refused like at the list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_has_what_was_asked_for() {
    let gw = TestGateway::start().await;
    let (tpp, own) = fintech(&gw).await;
    let (other, others) = fintech(&gw).await;
    let mut revoked = Stream::open(&tpp, &own, "?types=consent.revoked,payment.settled", "").await;
    other.lodge(&others, &[UK]).await.unwrap();
    let consent = tpp.lodge(&own, &[UK]).await.unwrap().remove(0);
    tpp.delete(&own, &format!("/v1/consents/{consent}")).await.unwrap();
    let told = revoked.event().await;
    assert_eq!((told.event.as_str(), &told.json()["resource"]["id"]), ("consent.revoked", &json!(consent)));
    let mut theirs = Stream::open(&other, &others, "", "").await;
    let created = theirs.event().await;
    assert_ne!(created.json()["resource"]["id"], json!(consent));
    for query in ["?types=consent.lost", "?types=", "?types=webhook.challenge", "?kinds=consent.revoked"] {
        let refused = tpp.get(&own, &format!("/v1/events/stream{query}")).await.unwrap();
        assert_problem(&refused, 400, "request.query");
    }
    for cursor in ["nonsense", &created.id] {
        let refused = tpp.get(&own, &format!("/v1/events/stream?cursor={cursor}")).await.unwrap();
        assert_problem(&refused, 400, "request.cursor");
    }
    let nobody = SecretString::from("nothing");
    assert_problem(&tpp.get(&nobody, "/v1/events/stream").await.unwrap(), 401, "auth.token_invalid");
    gw.sandbox.stop().await;
}

/// A stream without events is not silent, so that proxies keep it open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_says_that_it_is_there() {
    let gw = TestGateway::start().await;
    let (tpp, own) = fintech(&gw).await;
    let mut stream = Stream::open(&tpp, &own, "", "").await;
    let mut comments = Vec::new();
    for _ in 0..3 {
        comments.push(stream.next().await.unwrap().comment);
    }
    assert_eq!(comments, ["open", "still here", "still here"]);
    gw.sandbox.stop().await;
}

/// A client has so many streams and no more; one that it leaves can be had again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_has_so_many_streams_and_no_more() {
    let gw = TestGateway::start().await;
    let (tpp, own) = fintech(&gw).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(Stream::open(&tpp, &own, "", "").await);
    }
    let refused = tpp.get(&own, "/v1/events/stream").await.unwrap();
    assert_problem(&refused, 429, "quota.exceeded");
    assert_eq!(refused.header("retry-after"), Some("2"));
    let (other, others) = fintech(&gw).await;
    Stream::open(&other, &others, "", "").await;
    open.pop();
    let url = format!("{}/v1/events/stream", tpp.api);
    let authorization = bearer(&own);
    until("a place is free", async || {
        let headers = [("authorization", authorization.as_str())];
        let answer = tpp.http.open(Method::GET, &url, &headers, "").await.unwrap();
        (answer.status() == StatusCode::OK).then_some(())
    })
    .await;
    gw.sandbox.stop().await;
}

/// A stream ends when its token is revoked, though the request was good when it came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_token() {
    let gw = TestGateway::start().await;
    let (tpp, own) = fintech(&gw).await;
    let mut stream = Stream::open(&tpp, &own, "", "").await;
    assert_eq!(stream.next().await.unwrap().comment, "open");
    let token = secrecy::ExposeSecret::expose_secret(&own).to_owned();
    let form = [("token", token.as_str())];
    tpp.authenticated("revocation_endpoint", &form).await.unwrap().expect(200).unwrap();
    let fresh = tpp.own_token("accounts").await.unwrap();
    tpp.lodge(&fresh, &[UK]).await.unwrap();
    stream.end().await;
    gw.sandbox.stop().await;
}

/// A gateway that stops ends its streams cleanly, and does not wait for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_cleanly_when_the_gateway_stops() {
    let gw = TestGateway::start().await;
    let (tpp, own) = fintech(&gw).await;
    let mut stream = Stream::open(&tpp, &own, "", "").await;
    assert_eq!(stream.next().await.unwrap().comment, "open");
    let stopping = tokio::spawn(gw.sandbox.stop());
    stream.end().await;
    tokio::time::timeout(Duration::from_secs(5), stopping).await.expect("no drain runs out").unwrap();
}
