//! A person at our pages, in tests: opens what was pushed, reads and sends forms.

use consentry::FilterMode;
use consentry::demo::{Answer, Browser, Tpp, verifier};
use http::Method;
use url::Url;

use crate::support::{TestGateway, Wanted};

/// A gateway at whose pages nobody decides but the test.
pub async fn by_hand() -> TestGateway {
    TestGateway::wanted(Wanted { auto_approve: false, ..Wanted::default() }).await
}

/// The same, for what would be refused before a page sees it.
pub async fn by_hand_unfiltered() -> TestGateway {
    let wanted = Wanted { auto_approve: false, filter: FilterMode::Report, ..Wanted::default() };
    TestGateway::wanted(wanted).await
}

/// The same, with a clock that stands still.
pub async fn by_hand_at_a_clock() -> (TestGateway, std::sync::Arc<domain::ManualClock>) {
    let clock = std::sync::Arc::new(domain::ManualClock::at(domain::Clock::now(&domain::SystemClock)));
    let wanted = Wanted { auto_approve: false, clock: clock.clone(), ..Wanted::default() };
    (TestGateway::wanted(wanted).await, clock)
}

pub fn html(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// The value of the first hidden form token of a page.
pub fn form_token(page: &str) -> String {
    let from = page.split("name=\"form_token\" value=\"").nth(1).unwrap();
    from.split('"').next().unwrap().to_owned()
}

/// Where a link or form leads whose text holds `text`.
pub fn link(page: &str, text: &str) -> Option<String> {
    let before = page.split(text).next()?;
    let tag = before.rsplit("<a href=\"").next().filter(|_| page.contains(text))?;
    Some(tag.split('"').next()?.replace("&#38;", "&").replace("&amp;", "&"))
}

/// Opens a pushed request or a payment; where the browser is sent, and the page there.
pub async fn opened(gw: &TestGateway, person: &mut Browser, start: &str) -> (Url, Answer) {
    let first = person.request(Method::GET, &Url::parse(start).unwrap(), None).await.unwrap();
    // AS8: 303, so that no form is sent on.
    assert_eq!(first.status, 303);
    let page = at(gw, first.header("location").unwrap());
    let answer = person.request(Method::GET, &page, None).await.unwrap();
    (page, answer)
}

/// An address of ours.
pub fn at(gw: &TestGateway, path: &str) -> Url {
    Url::parse(&gw.sandbox.access().issuer).unwrap().join(path).unwrap()
}

/// Where the journey for consents at these banks begins.
pub async fn journey(tpp: &Tpp, banks: &[&str]) -> (Vec<String>, String) {
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, banks).await.unwrap();
    let pushed = tpp.push(&consents, &verifier()).await.unwrap().expect(201).unwrap();
    (consents, tpp.start_of(&pushed).unwrap())
}

/// Where the journey of a small payment begins, and its id.
pub async fn payment(tpp: &Tpp, bank: &str) -> (String, String) {
    let own = tpp.own_token("payments").await.unwrap();
    let mut order = Tpp::small_payment(bank);
    order["state"] = "pay-state".into();
    let answer = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
    (answer.text("/id"), answer.text("/authorization/href"))
}

/// Sends a form of a page.
pub async fn send(person: &mut Browser, url: &Url, form: &[(&str, &str)]) -> Answer {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(form);
    person.request(Method::POST, url, Some(body.finish())).await.unwrap()
}

/// Looks at a page.
pub async fn look(person: &mut Browser, url: &Url) -> Answer {
    person.request(Method::GET, url, None).await.unwrap()
}

/// A parameter of the address that an answer leads to.
pub fn parameter_of(answer: &Answer, name: &str) -> Option<String> {
    let url = Url::parse(answer.header("location")?).ok()?;
    let found = url.query_pairs().find(|(known, _)| known == name)?.1.into_owned();
    Some(found)
}
