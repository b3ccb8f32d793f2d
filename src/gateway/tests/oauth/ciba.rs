//! CIBA (Core 1.0 and FAPI-CIBA): the PSU is asked in the app of the bank.

use std::sync::Arc;

use consentry::demo::{Answer, Receiver, Tpp};
use domain::{Entropy, SystemEntropy};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use crate::fintech::{TOKEN, assert_error, signed, tpp_as};
use crate::forgeries::forgeries;
use crate::support::consents::{PATIENCE, ShiftedClock};
use crate::support::funds::{account_at, lodge};
use crate::support::{DECOUPLED, TestGateway, UK, Wanted};

const CIBA: &str = "urn:openid:params:grant-type:ciba";
const ASK: &str = "backchannel_authentication_endpoint";

/// Metadata of a client that asks in the background.
pub fn polling() -> Value {
    json!({
        "grant_types": ["authorization_code", "client_credentials", CIBA],
        "backchannel_token_delivery_mode": "poll",
    })
}

/// Claims of a request that is in order.
fn claims(tpp: &Tpp, consents: &[String]) -> Value {
    let now = tpp.clock.now().as_second();
    let details: Vec<Value> =
        consents.iter().map(|id| json!({ "type": "account_access", "consent_id": id })).collect();
    json!({
        "iss": tpp.client_id,
        "aud": tpp.server["issuer"],
        "iat": now,
        "nbf": now,
        "exp": now + 300,
        "jti": SystemEntropy.uuid_v4(),
        "scope": "accounts",
        "login_hint": "anna",
        "binding_message": "W4SCT",
        "authorization_details": details,
    })
}

/// Asks with these claims, signed by the client.
async fn asked_with(tpp: &Tpp, claims: &Value) -> Answer {
    tpp.authenticated(ASK, &[("request", &signed(&tpp.key, claims))]).await.unwrap()
}

/// Asks for these consents, with some claims changed.
pub async fn asked(tpp: &Tpp, consents: &[String], changes: &Value) -> Answer {
    let mut claims = claims(tpp, consents);
    for (name, value) in changes.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    asked_with(tpp, &claims).await
}

/// Asks for the token of a request.
pub async fn polled(tpp: &Tpp, id: &str) -> Answer {
    tpp.authenticated(TOKEN, &[("grant_type", CIBA), ("auth_req_id", id)]).await.unwrap()
}

/// A sandbox in which a person decides in the app, and a client of it.
async fn ready(changes: &Value) -> (TestGateway, Arc<ShiftedClock>, Tpp, SecretString, Vec<String>) {
    let clock = Arc::new(ShiftedClock::default());
    let wanted = Wanted { auto_approve: false, clock: clock.clone(), ..Wanted::default() };
    let gw = TestGateway::wanted(wanted).await;
    let mut metadata = polling();
    for (name, value) in changes.as_object().into_iter().flatten() {
        metadata[name] = value.clone();
    }
    let tpp = tpp_as(&gw, &metadata).await;
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, &[DECOUPLED]).await.unwrap();
    (gw, clock, tpp, own, consents)
}

/// The person decides in the app, once the bank asks.
async fn decide(gw: &TestGateway, tpp: &Tpp, consent: &str, decision: &'static str) {
    gw.until_status(tpp, consent, "AWAITING_DECOUPLED").await;
    let mut person = gw.person();
    person.decision = decision;
    let app = format!("{}/app", gw.sandbox.bank_pages(DECOUPLED).unwrap());
    person.walk(&app, "https://nowhere.example").await.unwrap();
}

/// Polls, in time, until the request is decided.
async fn until_decided(tpp: &Tpp, clock: &ShiftedClock, id: &str) -> Answer {
    let look = async {
        let mut beat = tokio::time::interval(std::time::Duration::from_millis(100));
        loop {
            beat.tick().await;
            let answer = polled(tpp, id).await;
            match answer.text("/error").as_str() {
                "authorization_pending" => {}
                "slow_down" => clock.advance(1),
                _ => return answer,
            }
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("the request is decided")
}

/// CIBA Core §7.3, §10.1, §11 (B3, B4): pending, told to slow down, and after the
/// approval in the app a bound token, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_in_the_app_of_the_bank_gives_a_token_once() {
    let (gw, clock, tpp, _, consents) = ready(&Value::Null).await;
    let answer = asked(&tpp, &consents, &Value::Null).await.expect(200).unwrap();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let id = answer.text("/auth_req_id");
    // B3: 256 bits in base64url.
    assert_eq!(id.len(), 43);
    assert_eq!((&answer.json()["expires_in"], &answer.json()["interval"]), (&json!(300), &json!(5)));
    // Invariant 3: whose login name it is stands at home, with the consent.
    let digest = crypto::digest::sha256_hex(id.as_bytes());
    let row = gw.sandbox.gateway().stores().global().backchannel(&digest).await.unwrap().unwrap();
    assert!(!row.plan.to_string().contains("anna"));
    assert_error(&polled(&tpp, &id).await, 400, "authorization_pending");
    assert_error(&polled(&tpp, &id).await, 400, "slow_down");
    clock.advance(5);
    assert_error(&polled(&tpp, &id).await, 400, "authorization_pending");
    decide(&gw, &tpp, &consents[0], "approve").await;
    let answer = until_decided(&tpp, &clock, &id).await.expect(200).unwrap();
    let details = json!([{ "type": "account_access", "consent_id": consents[0] }]);
    assert_eq!(answer.json()["authorization_details"], details);
    let token = SecretString::from(answer.text("/access_token"));
    assert_ne!(tpp.get(&token, "/v1/accounts").await.unwrap().json()["data"], json!([]));
    assert_error(&polled(&tpp, &id).await, 400, "invalid_grant");
    gw.sandbox.stop().await;
}

/// CIBA Core §11 (B4): a refusal in the app is access_denied, and ends the consent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_in_the_app_is_access_denied() {
    let (gw, clock, tpp, _, consents) = ready(&Value::Null).await;
    let id = asked(&tpp, &consents, &Value::Null).await.expect(200).unwrap().text("/auth_req_id");
    decide(&gw, &tpp, &consents[0], "decline").await;
    assert_error(&until_decided(&tpp, &clock, &id).await, 400, "access_denied");
    gw.until_status(&tpp, &consents[0], "REJECTED").await;
    gw.sandbox.stop().await;
}

/// CIBA Core §7.1, §11 (B3, B4): a request ends when it said, or when the client
/// wanted it to, and is expired_token from then on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_nobody_decides_expires() {
    let (gw, clock, tpp, own, consents) = ready(&Value::Null).await;
    for bad in [json!(0), json!(-5), json!("soon"), json!(1.5)] {
        let answer = asked(&tpp, &consents, &json!({ "requested_expiry": bad })).await;
        assert_error(&answer, 400, "invalid_request");
    }
    let long = asked(&tpp, &consents, &json!({ "requested_expiry": 86_400 })).await;
    assert_eq!(long.json()["expires_in"], 300);
    let more = tpp.lodge(&own, &[DECOUPLED]).await.unwrap();
    let short = asked(&tpp, &more, &json!({ "requested_expiry": 30 })).await.expect(200).unwrap();
    assert_eq!(short.json()["expires_in"], 30);
    clock.advance(31);
    assert_error(&polled(&tpp, &short.text("/auth_req_id")).await, 400, "expired_token");
    clock.advance(270);
    assert_error(&polled(&tpp, &long.text("/auth_req_id")).await, 400, "expired_token");
    gw.until_status(&tpp, &more[0], "REJECTED").await;
    gw.sandbox.stop().await;
}

/// CIBA Core §10.1 (B3): a request is its client's; an unknown one is nobody's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_belongs_to_the_client_that_made_it() {
    let (gw, _, tpp, _, consents) = ready(&Value::Null).await;
    let id = asked(&tpp, &consents, &Value::Null).await.expect(200).unwrap().text("/auth_req_id");
    let other = tpp_as(&gw, &polling()).await;
    assert_error(&polled(&other, &id).await, 400, "invalid_grant");
    assert_error(&polled(&tpp, "nonsense").await, 400, "invalid_grant");
    assert_error(&tpp.authenticated(TOKEN, &[("grant_type", CIBA)]).await.unwrap(), 400, "invalid_request");
    // Nor can it ask for what is another's.
    let answer = asked(&other, &consents, &Value::Null).await;
    assert_error(&answer, 400, "invalid_authorization_details");
    assert_error(&polled(&tpp, &id).await, 400, "authorization_pending");
    gw.sandbox.stop().await;
}

/// FAPI-CIBA §5.2.2 (B1): the request is signed by the client, for us, in time, and
/// has an id; parameters beside it do not count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_signed_and_says_all_that_it_must() {
    let (gw, _, tpp, _, consents) = ready(&Value::Null).await;
    let now = gw.clock.now().as_second();
    for (name, value, error) in [
        ("iss", Value::Null, "invalid_request_object"),
        ("iss", json!("demo-fintech"), "invalid_request_object"),
        ("aud", Value::Null, "invalid_request_object"),
        ("aud", json!("https://other.example"), "invalid_request_object"),
        ("exp", Value::Null, "invalid_request_object"),
        ("exp", json!(now - 300), "invalid_request_object"),
        ("exp", json!(now + 3_700), "invalid_request_object"),
        ("nbf", Value::Null, "invalid_request_object"),
        ("nbf", json!(now + 90), "invalid_request_object"),
        ("nbf", json!(now - 3_700), "invalid_request_object"),
        ("iat", Value::Null, "invalid_request"),
        ("iat", json!(now + 90), "invalid_request"),
        ("jti", Value::Null, "invalid_request"),
        ("jti", json!(""), "invalid_request"),
        ("scope", Value::Null, "invalid_request"),
        ("scope", json!("accounts admin"), "invalid_scope"),
        ("request", json!("a.b.c"), "invalid_request_object"),
        ("authorization_details", json!([{ "type": "none" }]), "invalid_authorization_details"),
        ("authorization_details", Value::Null, "invalid_request"),
    ] {
        let answer = asked(&tpp, &consents, &json!({ name: value })).await;
        assert_eq!(answer.status, 400, "{name}");
        assert_error(&answer, 400, error);
    }
    let good = claims(&tpp, &consents);
    let unsigned: Vec<(String, String)> = good
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    let unsigned: Vec<_> = unsigned.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_error(&tpp.authenticated(ASK, &unsigned).await.unwrap(), 400, "invalid_request");
    for (case, request) in forgeries(&tpp.key, &good) {
        let answer = tpp.authenticated(ASK, &[("request", &request)]).await.unwrap();
        assert_eq!(answer.status, 400, "{case}");
        assert_error(&answer, 400, "invalid_request_object");
    }
    let request = signed(&tpp.key, &good);
    let answer = tpp.authenticated(ASK, &[("request", &request), ("login_hint", "nobody")]).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.json());
    gw.sandbox.stop().await;
}

/// FAPI-CIBA §5.2.2 (B1): a signed request is used once; its id is none of a client
/// assertion's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_request_is_used_once() {
    let (gw, _, tpp, own, consents) = ready(&Value::Null).await;
    let mut jti = Value::Null;
    let assertion = tpp.assertion(|claims| jti = claims["jti"].clone()).unwrap();
    let mut good = claims(&tpp, &consents);
    good["jti"] = jti;
    let request = signed(&tpp.key, &good);
    let form = [
        ("request", request.as_str()),
        ("client_assertion_type", crate::fintech::JWT_BEARER),
        ("client_assertion", &assertion),
    ];
    let answer = tpp.http.post_form(tpp.endpoint(ASK).unwrap(), &form).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.json());
    let again = tpp.authenticated(ASK, &[("request", &request)]).await.unwrap();
    assert_error(&again, 400, "invalid_request");
    let more = tpp.lodge(&own, &[DECOUPLED]).await.unwrap();
    let mut other = claims(&tpp, &more);
    other["jti"] = good["jti"].clone();
    assert_error(&asked_with(&tpp, &other).await, 400, "invalid_request");
    gw.sandbox.stop().await;
}

/// CIBA Core §7.1 (B2): exactly one hint, and it is the login name at the bank.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_one_hint_is_taken() {
    let (gw, _, tpp, _, consents) = ready(&Value::Null).await;
    for (changes, error) in [
        (json!({ "login_hint": null }), "invalid_request"),
        (json!({ "login_hint": "" }), "invalid_request"),
        (json!({ "id_token_hint": "a.b.c" }), "invalid_request"),
        (json!({ "login_hint_token": "x" }), "invalid_request"),
        (json!({ "login_hint": null, "id_token_hint": "a.b.c" }), "invalid_request"),
        (json!({ "login_hint": null, "login_hint_token": "x" }), "invalid_request"),
        (json!({ "login_hint": "an\u{0}na" }), "unknown_user_id"),
        (json!({ "login_hint": "a".repeat(101) }), "unknown_user_id"),
    ] {
        assert_error(&asked(&tpp, &consents, &changes).await, 400, error);
    }
    assert_eq!(asked(&tpp, &consents, &Value::Null).await.status, 200);
    gw.sandbox.stop().await;
}

/// CIBA Core §13, §11 (B2, B4): whom the bank does not know is nobody's to approve for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_whom_the_bank_does_not_know_approves_nothing() {
    let (gw, clock, tpp, _, consents) = ready(&Value::Null).await;
    let answer = asked(&tpp, &consents, &json!({ "login_hint": "nobody" })).await.expect(200).unwrap();
    let answer = until_decided(&tpp, &clock, &answer.text("/auth_req_id")).await;
    assert_error(&answer, 400, "access_denied");
    gw.sandbox.stop().await;
}

/// CIBA Core §13 (B5): a binding message that a phone cannot show is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binding_message_is_short_and_plain() {
    let (gw, _, tpp, _, consents) = ready(&Value::Null).await;
    for message in ["x".repeat(61), "two\nlines".to_owned(), "\u{1b}[31m".to_owned()] {
        let answer = asked(&tpp, &consents, &json!({ "binding_message": message })).await;
        assert_error(&answer, 400, "invalid_binding_message");
    }
    let longest = "ß".repeat(60);
    assert_eq!(asked(&tpp, &consents, &json!({ "binding_message": longest })).await.status, 200);
    gw.sandbox.stop().await;
}

/// FAPI-CIBA, RTS art. 97 (B1): without a browser the PSU can only be asked by a bank
/// that asks in its app, about access to accounts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_a_bank_asks_in_its_app_can_be_asked_for() {
    let (gw, _, tpp, own, consents) = ready(&Value::Null).await;
    let browser_bank = tpp.lodge(&own, &[UK]).await.unwrap();
    assert_error(&asked(&tpp, &browser_bank, &Value::Null).await, 400, "invalid_request");
    let payment = json!([{
        "type": "payment_initiation",
        "instructedAmount": { "amount": "1.00", "currency": "EUR" },
        "creditorAccount": { "iban": "DE89370400440532013000" },
    }]);
    let changes = json!({ "scope": "payments", "authorization_details": payment });
    assert_error(&asked(&tpp, &consents, &changes).await, 400, "invalid_request");
    let quiet = gw.tpp().await;
    assert_error(&asked(&quiet, &[], &Value::Null).await, 400, "unauthorized_client");
    assert_error(&polled(&quiet, "x").await, 400, "unauthorized_client");
    gw.sandbox.stop().await;
}

/// CIBA Core §4 (B1, C2): how the client learns of the decision is registered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_registers_how_it_learns_of_the_decision() {
    let gw = TestGateway::start().await;
    let refused = |changes: Value| {
        let mut metadata = polling();
        metadata.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        metadata
    };
    for changes in [
        json!({ "backchannel_token_delivery_mode": null }),
        json!({ "backchannel_token_delivery_mode": "push" }),
        json!({ "backchannel_token_delivery_mode": "ping" }),
        json!({
            "backchannel_token_delivery_mode": "ping",
            "backchannel_client_notification_endpoint": "http://localhost/cb",
        }),
        json!({ "backchannel_user_code_parameter": true }),
        json!({ "backchannel_authentication_request_signing_alg": "RS256" }),
    ] {
        let mut tpp = Tpp::discover(&gw.sandbox.access(), Arc::clone(&gw.clock)).await.unwrap();
        let error = tpp.register_as(&refused(changes)).await.unwrap_err();
        assert!(error.to_string().contains("invalid_client_metadata"), "{error}");
    }
    gw.sandbox.stop().await;
}

/// CIBA Core §10.2, FAPI-CIBA §5.2.2 (B3, B4): a client that is pinged is told over
/// TLS, with its token, that there is something to fetch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_arrives_at_the_registered_endpoint_with_its_token() {
    let clock = Arc::new(ShiftedClock::default());
    let wanted = Wanted { auto_approve: false, clock: clock.clone(), ..Wanted::default() };
    let gw = TestGateway::wanted(wanted).await;
    let pki = gw.sandbox.access().pki;
    let receiver = Receiver::start(&pki.server.certificate_pem, &pki.server.key_pem).await.unwrap();
    let mut metadata = polling();
    metadata["backchannel_token_delivery_mode"] = json!("ping");
    metadata["backchannel_client_notification_endpoint"] = json!(receiver.url);
    let tpp = tpp_as(&gw, &metadata).await;
    let own = tpp.own_token("accounts").await.unwrap();
    for decision in ["approve", "decline"] {
        let consents = tpp.lodge(&own, &[DECOUPLED]).await.unwrap();
        for token in [Value::Null, json!("two words"), json!("t".repeat(1_025))] {
            let answer = asked(&tpp, &consents, &json!({ "client_notification_token": token })).await;
            assert_error(&answer, 400, "invalid_request");
        }
        let changes = json!({ "client_notification_token": "8d67dc78-7faa-4d41" });
        let id = asked(&tpp, &consents, &changes).await.expect(200).unwrap().text("/auth_req_id");
        decide(&gw, &tpp, &consents[0], decision).await;
        let about = |delivery: &consentry::demo::Delivery| {
            serde_json::from_slice::<Map<String, Value>>(&delivery.body).unwrap()["auth_req_id"] == id
        };
        let ping = receiver.wait_for(about, PATIENCE).await.unwrap();
        assert_eq!(ping.authorization, "Bearer 8d67dc78-7faa-4d41");
        assert_eq!(serde_json::from_slice::<Value>(&ping.body).unwrap(), json!({ "auth_req_id": id }));
        // Told, it asks at once, and is not told to slow down.
        let answer = polled(&tpp, &id).await;
        match decision {
            "approve" => assert_eq!(answer.status, 200, "{}", answer.json()),
            _ => assert_error(&answer, 400, "access_denied"),
        }
    }
    gw.sandbox.stop().await;
}

/// ETSI TS 119 495 (B3, C7): a token covers what the certificate at hand has the role
/// for, not what the one that asked had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_that_fetches_needs_the_role() {
    let (gw, clock, tpp, _, consents) = ready(&Value::Null).await;
    let id = asked(&tpp, &consents, &Value::Null).await.expect(200).unwrap().text("/auth_req_id");
    decide(&gw, &tpp, &consents[0], "approve").await;
    let mut payer = crate::fintech::subject();
    payer.roles = vec![crypto::Psd2Role::PaymentInitiation];
    let payer = crate::fintech::authority(&gw).issue_qwac(&payer).unwrap();
    let payer = crate::fintech::tpp_with(&gw, &tpp, &payer);
    let answer = until_decided(&payer, &clock, &id).await;
    assert_error(&answer, 400, "invalid_scope");
    assert_eq!(polled(&tpp, &id).await.status, 200);
    gw.sandbox.stop().await;
}

/// PSD2 art. 65(2), CIBA Core §3: a consent that the bank is not asked for is given on
/// our page or not at all, also where the bank has an app.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_no_app_asks_for_is_not_given_in_the_background() {
    let gw = TestGateway::start().await;
    let mut metadata = polling();
    metadata["scope"] = json!("openid accounts fundsconfirmations");
    let tpp = tpp_as(&gw, &metadata).await;
    let own = tpp.own_token("fundsconfirmations").await.unwrap();
    let lodged = lodge(&tpp, &own, DECOUPLED, &account_at(DECOUPLED)).await.expect(201).unwrap();
    let id = lodged.text("/id");
    let details = json!([{ "type": "funds_confirmation", "consent_id": id }]);
    let changes = json!({ "scope": "fundsconfirmations", "authorization_details": details });
    assert_error(&asked(&tpp, &[], &changes).await, 400, "invalid_request");
    let shown = tpp.get(&own, &format!("/v1/consents/{id}")).await.unwrap();
    assert_eq!(shown.text("/status"), "CREATED");
    gw.sandbox.stop().await;
}
