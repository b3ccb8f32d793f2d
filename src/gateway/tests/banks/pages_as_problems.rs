//! What goes wrong on a page is a page for a browser and a problem document
//! for anything else.

use crate::support::{TestGateway, UK, assert_problem, parameter};
use consentry::demo::{Browser, RETURN, verifier};
use http::Method;
use url::Url;

/// Follows redirects by hand and keeps the address of the callback.
async fn callback_of(person: &mut Browser, start: &str) -> Url {
    let mut url = Url::parse(start).unwrap();
    loop {
        let answer = person.request(Method::GET, &url, None).await.unwrap();
        let next = url.join(answer.header("location").expect("a redirect")).unwrap();
        if next.path().starts_with("/callback/") {
            return next;
        }
        url = next;
    }
}

/// A callback that is sent again, and one that nobody sent out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_callback_is_a_clear_problem() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, &[UK]).await.unwrap();
    let pushed = tpp.push(&consents, &verifier()).await.unwrap().expect(201).unwrap();
    let mut person = gw.person();
    let callback = callback_of(&mut person, &tpp.start_of(&pushed).unwrap()).await;
    let visit = person.walk(callback.as_str(), RETURN).await.unwrap();
    assert_eq!(parameter(&visit, "error"), "");
    assert_ne!(parameter(&visit, "code"), "");

    let http = gw.anybody();
    let replayed = http.get(callback.as_str(), &[("accept", "application/json")]).await.unwrap();
    assert_problem(&replayed, 400, "callback.spent");
    let page = person.request(Method::GET, &callback, None).await.unwrap();
    let html = String::from_utf8_lossy(&page.body).into_owned();
    assert_eq!(page.status, 400);
    assert!(html.contains("callback.spent") && html.contains("<h1>"));
    let elsewhere = callback.as_str().replace(UK, crate::support::EU);
    for query in ["?state=unknown&code=x", "?code=x", "?state=a&state=b", ""] {
        let url = format!("{}{query}", elsewhere.split('?').next().unwrap());
        let answer = http.get(&url, &[]).await.unwrap();
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{query}");
    }
    gw.sandbox.stop().await;
}

/// RFC 9700 §4.4: an answer of one bank at the address of another is refused,
/// and stays good for its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_at_another_banks_address_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, &[UK]).await.unwrap();
    let pushed = tpp.push(&consents, &verifier()).await.unwrap().expect(201).unwrap();
    let mut person = gw.person();
    let callback = callback_of(&mut person, &tpp.start_of(&pushed).unwrap()).await;
    let mixed_up = callback.as_str().replace(UK, crate::support::EU);
    let refused = gw.anybody().get(&mixed_up, &[]).await.unwrap();
    assert_problem(&refused, 400, "callback.mismatch");
    let visit = person.walk(callback.as_str(), RETURN).await.unwrap();
    assert_ne!(parameter(&visit, "code"), "");
    gw.sandbox.stop().await;
}

/// RFC 9126 §2.2: a request_uri ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_request_uri_is_a_clear_problem() {
    let (gw, clock) = TestGateway::with_manual_clock().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, &[UK]).await.unwrap();
    let pushed = tpp.push(&consents, &verifier()).await.unwrap().expect(201).unwrap();
    let start = tpp.start_of(&pushed).unwrap();
    clock.advance(301);
    let expired = gw.anybody().get(&start, &[]).await.unwrap();
    assert_problem(&expired, 400, "authorization.request_uri");
    let issuer = gw.sandbox.access().issuer;
    let bare = gw.anybody().get(&format!("{issuer}/oauth/authorize?client_id=x"), &[]).await.unwrap();
    assert_problem(&bare, 400, "authorization.link");
    gw.sandbox.stop().await;
}
