//! Security event tokens that are pushed (RFC 8417, RFC 8935).

use std::time::Duration;

use consentry::demo::{Answer, Client};
use crypto::{SigningKey, jws};
use http::Method;
use modelbank::Fault;
use serde_json::{Map, Value, json};

use super::{asked, at_bank, hush, notified, refusal, slow_payment, state, state_of, subscribed, told};
use crate::support::consents::{DAY, event, events};
use crate::support::customer::Customer;
use crate::support::webhooks::until;
use crate::support::{EU, STET, TestGateway, UK, assert_problem};

/// What the UK bank would send, and where.
struct Sender {
    key: SigningKey,
    claims: Map<String, Value>,
    url: String,
    http: Client,
}

impl Sender {
    /// A sender with the bank's own key, about one resource.
    fn about(gw: &TestGateway, resource: &str) -> Self {
        let file = gw.folder().join("data/banks").join(format!("{UK}-signing.pem"));
        let pem = std::fs::read_to_string(file).unwrap();
        let kid = SigningKey::from_pem(&pem, "").unwrap().public_key().thumbprint();
        let now = gw.sandbox.gateway().now().as_second();
        let update = "urn:uk:org:openbanking:events:resource-update";
        let claims = json!({
            "iss": gw.sandbox.bank_pages(UK).unwrap(),
            "iat": now,
            "jti": format!("jti-{resource}"),
            "sub": "https://bank.example/resource",
            "aud": "consentry-gateway",
            "txn": "txn-1",
            "toe": now,
            "events": { update: { "subject": { "http://openbanking.org.uk/rid": resource } } },
        });
        Self {
            key: SigningKey::from_pem(&pem, kid).unwrap(),
            claims: claims.as_object().unwrap().clone(),
            url: format!("{}/bank-notifications/{UK}/event-notifications", gw.sandbox.access().api),
            http: gw.anybody(),
        }
    }

    fn token(&self, claims: &Map<String, Value>) -> String {
        let payload = Value::Object(claims.clone()).to_string();
        jws::sign_compact(&self.key, &Map::new(), payload.as_bytes()).unwrap()
    }

    async fn post(&self, token: String) -> Answer {
        self.post_as("application/jwt", token).await
    }

    async fn post_as(&self, kind: &str, token: String) -> Answer {
        self.http.send(Method::POST, &self.url, &[("content-type", kind)], token).await.unwrap()
    }

    async fn send(&self, name: &str, value: Value) -> Answer {
        let mut claims = self.claims.clone();
        claims.insert(name.to_owned(), value);
        self.post(self.token(&claims)).await
    }
}

/// RFC 8935 §2.3: what is not the bank's, not for us or not of now is refused and changes
/// nothing; what is right is acted on once, however often it comes.
/// [connector: notifications at uk]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_not_right_changes_nothing_and_one_that_is_acts_once() {
    let (gw, _) = notified().await;
    hush(&gw, UK);
    let tpp = gw.tpp().await;
    let receiver = gw.listening(&tpp).await;
    let granted = gw.granted(&tpp, &[UK]).await;
    Customer::of(&gw, UK, "anna").withdraw().await;
    let sender = Sender::about(&gw, &at_bank(&gw, &granted.consents[0]).await);
    let before = asked(&gw, UK, "GET", "/account-access-consents/");
    let now = gw.sandbox.gateway().now().as_second();
    for (name, value, code) in [
        ("iss", json!("https://another.example"), "invalid_issuer"),
        ("aud", json!("another"), "invalid_audience"),
        ("iat", json!(now - DAY - 60), "invalid_request"),
        ("iat", json!(now + 600), "invalid_request"),
        ("events", json!({}), "invalid_request"),
        ("events", json!({ "urn:uk:org:openbanking:events:resource-update": {} }), "invalid_request"),
        ("jti", json!(""), "invalid_request"),
    ] {
        let answer = sender.send(name, value).await;
        assert_eq!(refusal(&answer), (400, code.to_owned()), "{name}");
        assert!(!answer.text("/description").is_empty());
    }
    let token = sender.token(&sender.claims);
    let (signed, _) = token.rsplit_once('.').unwrap();
    let other = sender.token(&Map::new());
    let forged = format!("{signed}.{}", other.rsplit_once('.').unwrap().1);
    assert_eq!(refusal(&sender.post(forged).await), (400, "authentication_failed".to_owned()));
    let stranger = Sender {
        key: SigningKey::from_pem(&crypto::pki::generate_p256().unwrap(), "k9").unwrap(),
        ..Sender::about(&gw, "aac-1")
    };
    for _ in 0..2 {
        let answer = stranger.post(stranger.token(&sender.claims)).await;
        assert_eq!(refusal(&answer), (400, "invalid_key".to_owned()));
    }
    for nonsense in ["", "a.b.c", "{}"] {
        assert_eq!(refusal(&sender.post(nonsense.to_owned()).await), (400, "invalid_request".to_owned()));
    }
    let declared = sender.post_as("application/json", token.clone()).await;
    assert_eq!(refusal(&declared), (400, "invalid_request".to_owned()));
    assert_eq!(sender.post("x".repeat(20_000)).await.status, 413);
    assert_eq!(gw.shown(&tpp, &granted.consents[0]).await["status"], "AUTHORIZED");
    assert_eq!(asked(&gw, UK, "GET", "/account-access-consents/"), before, "the bank was not asked");

    assert_eq!(sender.post(token.clone()).await.status, 202);
    event(&receiver, &granted.consents[0], "consent.revoked").await;
    let once = asked(&gw, UK, "GET", "/account-access-consents/");
    assert_eq!(once, before + 1);
    for _ in 0..3 {
        assert_eq!(sender.post_as("application/secevent+jwt", token.clone()).await.status, 202);
    }
    gw.sandbox.gateway().heed_notices().await.unwrap();
    assert_eq!(asked(&gw, UK, "GET", "/account-access-consents/"), once, "a repeat acts no more");
    assert_eq!(
        events(&receiver, &granted.consents[0]).iter().filter(|kind| *kind == "consent.revoked").count(),
        1
    );
    gw.sandbox.stop().await;
}

/// What a token says is not believed: the bank, asked, says something else.
/// [connector: notifications at uk]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_token_says_is_asked_about_and_not_believed() {
    let (gw, _) = notified().await;
    hush(&gw, UK);
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    let bank_id = at_bank(&gw, &granted.consents[0]).await;
    let sender = Sender::about(&gw, &bank_id);
    let before = asked(&gw, UK, "GET", "/account-access-consents/");
    let revoked = "urn:uk:org:openbanking:events:consent-authorization-revoked";
    let subject = json!({ "subject": { "http://openbanking.org.uk/rid": bank_id } });
    assert_eq!(sender.send("events", json!({ revoked: subject })).await.status, 202);
    until("the bank is asked", async || {
        (asked(&gw, UK, "GET", "/account-access-consents/") > before).then_some(())
    })
    .await;
    assert_eq!(gw.shown(&tpp, &granted.consents[0]).await["status"], "AUTHORIZED");
    // What is nobody's is taken, and asked about nowhere.
    let calls = gw.sandbox.bank(UK).unwrap().1.entries().len();
    let strangers = Sender::about(&gw, "aac-nobodys");
    assert_eq!(strangers.post(strangers.token(&strangers.claims)).await.status, 202);
    let unknown = json!({ "urn:uk:org:openbanking:events:another": {} });
    assert_eq!(strangers.send("events", unknown).await.status, 202);
    assert_eq!(gw.sandbox.gateway().heed_notices().await.unwrap(), 0);
    assert_eq!(gw.sandbox.bank(UK).unwrap().1.entries().len(), calls);
    gw.sandbox.stop().await;
}

/// A bank that does not push, or is none, has no address here; one that shows another's
/// certificate is not the bank.
/// [connector: notifications at uk]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_bank_of_the_address_notifies_there() {
    let (gw, _) = notified().await;
    let mut sender = Sender::about(&gw, "aac-1");
    let right = sender.url.clone();
    let token = sender.token(&sender.claims);
    for bank in [EU, STET, "gb-nobody", "x y"] {
        sender.url = right.replace(UK, bank);
        assert_problem(&sender.post(token.clone()).await, 404, "resource.not_found");
    }
    // A bank may append the name of the resource to the address.
    sender.url = format!("{right}/event-notifications");
    assert_eq!(sender.post(token.clone()).await.status, 202);
    sender.url = right;
    let pki = gw.sandbox.access().pki;
    let fintech = crypto::Certificate::from_pem(&pki.fintech.certificate_pem).unwrap();
    state(&gw, UK, |stated| stated.organisation = Some("PSDGB-FCA-900001".to_owned()));
    assert_eq!(refusal(&sender.post(token.clone()).await), (400, "authentication_failed".to_owned()));
    let identity = Some((pki.fintech.certificate_pem.as_str(), pki.fintech.key_pem.as_str()));
    sender.http = Client::new(&pki.root, identity).unwrap();
    assert_eq!(refusal(&sender.post(token.clone()).await), (400, "authentication_failed".to_owned()));
    state(&gw, UK, |stated| stated.organisation = fintech.organization_identifier);
    assert_eq!(sender.post(token.clone()).await.status, 202);
    state(&gw, UK, |stated| stated.push = false);
    assert_problem(&sender.post(token).await, 404, "resource.not_found");
    gw.sandbox.stop().await;
}

/// A bank that is slow, that says things twice, and that speaks of what is nobody's.
/// [connector: notifications at uk]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_that_comes_late_or_twice_is_told_once() {
    let (gw, clock) = notified().await;
    let tpp = gw.tpp().await;
    let receiver = gw.listening_with(&tpp, "payments").await;
    let payment = slow_payment(&gw, &tpp, UK).await;
    let faults = gw.sandbox.bank(UK).unwrap().0;
    faults.arm("", "", Fault::NoticeLate(Duration::from_secs(3_600)), 1);
    clock.advance(DAY + 1);
    until("the bank keeps it to itself", async || (gw.sandbox.untold(UK) > 0).then_some(())).await;
    assert_eq!(state_of(&gw, &payment).await, domain::PaymentState::Accepted);
    clock.advance(3_601);
    told(&receiver, &payment, "payment.settled").await;

    for fault in [Fault::NoticeTwice, Fault::NoticeForged, Fault::NoticeOfStranger] {
        let payment = slow_payment(&gw, &tpp, UK).await;
        until("the bank has told of all before", async || (gw.sandbox.untold(UK) == 0).then_some(())).await;
        // Its consent runs out on the same day, which is told, too.
        faults.arm("", "", fault, 1_000);
        clock.advance(DAY + 1);
        until("the fault struck", async || (faults.armed()[0].calls < 1_000).then_some(())).await;
        until("the bank has told of it, or given up", async || {
            clock.advance(1);
            (gw.sandbox.untold(UK) == 0).then_some(())
        })
        .await;
        faults.clear();
        if fault == Fault::NoticeTwice {
            told(&receiver, &payment, "payment.settled").await;
            let settled = events(&receiver, &payment);
            assert_eq!(settled.iter().filter(|kind| *kind == "payment.settled").count(), 1);
        } else {
            assert_eq!(state_of(&gw, &payment).await, domain::PaymentState::Accepted, "{fault:?}");
        }
    }
    gw.sandbox.stop().await;
}

/// The subscription at the bank follows the profile.
/// [connector: notifications at uk]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_subscription_at_a_bank_is_what_its_profile_says() {
    let (gw, _) = notified().await;
    let done = |method: &str| asked(&gw, UK, method, "/event-subscriptions");
    assert_eq!((done("POST"), done("PUT"), done("DELETE")), (1, 0, 0));
    state(&gw, UK, |stated| (stated.push, stated.poll) = (false, Some(Duration::from_secs(3_600))));
    subscribed(&gw, 2).await;
    assert_eq!((done("POST"), done("PUT"), done("DELETE")), (1, 1, 0));
    state(&gw, UK, |stated| stated.poll = None);
    subscribed(&gw, 3).await;
    assert_eq!((done("POST"), done("PUT"), done("DELETE")), (1, 1, 1));
    let asked_before = done("GET");
    gw.sandbox.gateway().keep_subscriptions().await.unwrap();
    gw.sandbox.gateway().beside().keep_subscriptions().await.unwrap();
    assert_eq!(done("GET"), asked_before, "not again within the hour");
    gw.sandbox.stop().await;
}
