//! Event subscriptions and aggregated polling at the UK bank, over real TLS.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod world;

use std::time::Duration;

use consentry_modelbank::BankKind;
use crypto::{Algorithm, Jwks, jws};
use domain::Clock;
use serde_json::{Value, json};
use world::{Answer, Bank, Tpp, World};

const SUBSCRIPTIONS: &str = "/event-subscriptions";
const UPDATE: &str = "urn:uk:org:openbanking:events:resource-update";

async fn sealed(
    world: &World,
    tpp: &Tpp,
    bank: &Bank,
    (method, path): (&str, &str),
    token: &str,
    data: &Value,
) -> Answer {
    let body = json!({ "Data": data }).to_string();
    let seal = tpp.sealed(world.clock.now().as_second(), &body);
    tpp.uk(bank, method, path, token, &[("x-jws-signature", &seal)], &body).await
}

async fn poll(tpp: &Tpp, bank: &Bank, token: &str, ask: Value) -> Value {
    tpp.uk(bank, "POST", "/events", token, &[], &ask.to_string()).await.expect(200).json()
}

/// Lodges a consent and ends it, which is told.
async fn change(tpp: &Tpp, bank: &Bank, token: &str) -> String {
    let body = json!({ "Data": { "Permissions": ["ReadAccountsBasic"] }, "Risk": {} }).to_string();
    let path = "/aisp/account-access-consents";
    let made = tpp.uk(bank, "POST", path, token, &[], &body).await.expect(201).at("/Data/ConsentId");
    tpp.uk(bank, "DELETE", &format!("{path}/{made}"), token, &[], "").await.expect(204);
    made
}

/// The name and the token of the only event that waits, once there is one.
async fn waiting(tpp: &Tpp, bank: &Bank, token: &str) -> (String, String) {
    let looking = async {
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        loop {
            beat.tick().await;
            let sets = poll(tpp, bank, token, json!({ "returnImmediately": true })).await["sets"].clone();
            let first = sets.as_object().unwrap().iter().next();
            if let Some((jti, set)) = first {
                return (jti.clone(), set.as_str().unwrap().to_owned());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), looking).await.unwrap()
}

/// A client has one subscription, which it reads, changes and ends.
#[tokio::test]
async fn a_client_subscribes_once_and_to_what_there_is() {
    let world = World::new();
    let (tpp, other) = (world.both(), world.tpp(2, &[crypto::Psd2Role::AccountInformation]));
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp, &other]).await;
    let token = tpp.client_token(&bank, "accounts payments").await;
    let post = ("POST", SUBSCRIPTIONS);
    let data = json!({ "Version": "4.0", "CallbackUrl": "https://tpp.example/e", "EventTypes": [UPDATE] });
    let wrong = json!({ "Version": "4.0", "EventTypes": ["urn:example:unknown"] });
    let refused = sealed(&world, &tpp, &bank, post, &token, &wrong).await.expect(400);
    assert_eq!(refused.at("/Errors/0/ErrorCode"), "U024");
    let body = json!({ "Data": data }).to_string();
    let unsigned = tpp.uk(&bank, "POST", SUBSCRIPTIONS, &token, &[], &body).await.expect(400);
    assert_eq!(unsigned.at("/Errors/0/ErrorCode"), "U019");
    let made = sealed(&world, &tpp, &bank, post, &token, &data).await.expect(201);
    sealed(&world, &tpp, &bank, post, &token, &data).await.expect(409);
    let one = format!("{SUBSCRIPTIONS}/{}", made.at("/Data/EventSubscriptionId"));
    let changed = json!({ "EventSubscriptionId": made.at("/Data/EventSubscriptionId"), "Version": "4.0", "EventTypes": [UPDATE] });
    sealed(&world, &tpp, &bank, ("PUT", &one), &token, &changed).await.expect(200);
    let listed = tpp.uk(&bank, "GET", SUBSCRIPTIONS, &token, &[], "").await.expect(200).json();
    assert_eq!(listed["Data"]["EventSubscription"], json!([changed]));
    let theirs = other.client_token(&bank, "accounts").await;
    other.uk(&bank, "DELETE", &one, &theirs, &[], "").await.expect(400);
    let none = other.uk(&bank, "GET", SUBSCRIPTIONS, &theirs, &[], "").await.expect(200).json();
    assert_eq!(none["Data"]["EventSubscription"], json!([]));
    tpp.uk(&bank, "DELETE", &one, &token, &[], "").await.expect(204);
    tpp.uk(&bank, "DELETE", &one, &token, &[], "").await.expect(400);
    bank.stop().await;
}

/// An event waits until it is acknowledged, or said not to be understood.
#[tokio::test]
async fn an_event_waits_until_its_client_says_what_became_of_it() {
    let world = World::new();
    let (tpp, other) = (world.both(), world.tpp(2, &[crypto::Psd2Role::AccountInformation]));
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp, &other]).await;
    let token = tpp.client_token(&bank, "accounts").await;
    let before = change(&tpp, &bank, &token).await;
    let data = json!({ "Version": "4.0", "EventTypes": [UPDATE] });
    sealed(&world, &tpp, &bank, ("POST", SUBSCRIPTIONS), &token, &data).await.expect(201);
    let consent = change(&tpp, &bank, &token).await;
    assert_ne!(before, consent);
    let (jti, set) = waiting(&tpp, &bank, &token).await;
    let pages = &bank.running.pages_url;
    let keys = world.browser().send("GET", &format!("{pages}/jwks.json"), &[], "").await.expect(200);
    let keys = Jwks::from_value(&keys.json()).unwrap();
    let claims = jws::verify_compact(&set, &keys, &[Algorithm::Ps256]).unwrap().claims().unwrap();
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(pages), &json!(tpp.client_id)));
    assert_eq!(
        (&claims["jti"], claims["txn"].is_string(), claims["toe"].is_i64()),
        (&json!(jti), true, true)
    );
    let subject = &claims["events"][UPDATE]["subject"];
    assert_eq!(subject["http://openbanking.org.uk/rid"], consent);
    assert_eq!(subject["http://openbanking.org.uk/rty"], "account-access-consent");
    let none = poll(&tpp, &bank, &token, json!({ "maxEvents": 0 })).await;
    assert_eq!((&none["moreAvailable"], &none["sets"]), (&json!(true), &json!({})));
    let theirs = other.client_token(&bank, "accounts").await;
    assert_eq!(poll(&other, &bank, &theirs, json!({ "ack": [] })).await["sets"], json!({}));
    assert_eq!(waiting(&tpp, &bank, &token).await.0, jti, "still there");
    let gone = poll(&tpp, &bank, &token, json!({ "ack": [jti] })).await;
    assert_eq!((&gone["moreAvailable"], &gone["sets"]), (&json!(false), &json!({})));
    change(&tpp, &bank, &token).await;
    let (jti, _) = waiting(&tpp, &bank, &token).await;
    let errors = json!({ jti: { "err": "invalid_request", "description": "no" } });
    assert_eq!(poll(&tpp, &bank, &token, json!({ "setErrs": errors })).await["sets"], json!({}));
    assert_eq!(bank.running.untold(), 0);
    bank.stop().await;
}
