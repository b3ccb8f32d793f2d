//! The rules of a country: how long a consent lasts, who must confirm it, and
//! who is told.

use std::collections::BTreeMap;

use crate::support::consents::{DAY, event, events, lodge_until, steps};
use crate::support::{EU, TestGateway, UK, assert_problem};
use connect::{Quirk, QuirkName, Quirks};
use flows::{FlowError, Read};
use serde_json::json;
use web::Problem;

/// RTS art. 10, 10a: no longer than 180 days, whatever is asked for; a bank may
/// give less.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_lasts_as_long_as_country_and_bank_allow() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let day = |days: i64| {
        let at = domain::Timestamp::from_second(gw.clock.now().as_second() + days * 86_400).unwrap();
        json!(at.to_string()[..10])
    };
    for (bank, asked, lasts, source) in
        [(UK, 30, 30, "REQUESTED"), (UK, 400, 180, "RULE_CAPPED"), (EU, 400, 180, "RULE_CAPPED")]
    {
        let consent = lodge_until(&tpp, &own, bank, asked, &*gw.clock).await;
        assert_eq!(
            (&consent["access"]["valid_until"], &consent["expires_at_source"]),
            (&day(lasts), &json!(source))
        );
    }
    let registry = gw.sandbox.gateway().registry();
    let mut strict = (*registry.profile(&EU.parse().unwrap()).unwrap()).clone();
    strict.max_consent_days = Some(20);
    registry.put(strict);
    let consent = lodge_until(&tpp, &own, EU, 30, &*gw.clock).await;
    assert_eq!(
        (&consent["access"]["valid_until"], &consent["expires_at_source"]),
        (&day(20), &json!("BANK_CAPPED"))
    );
    gw.sandbox.stop().await;
}

/// What the bank cannot pass is on the record of the consent that was given under
/// it, and stays there when the bank mends its ways.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_names_the_checks_that_were_weaker_when_it_was_given() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let registry = gw.sandbox.gateway().registry();
    let strict = (*registry.profile(&UK.parse().unwrap()).unwrap()).clone();
    let mut lenient = strict.clone();
    let quirk = |name, at: &str| Quirk {
        name,
        at: vec![at.to_owned()],
        versions: Vec::new(),
        parameters: BTreeMap::new(),
    };
    lenient.quirks = Quirks::new(vec![
        quirk(QuirkName::IdTokenNonceMissing, "auth.aisp"),
        quirk(QuirkName::StatusUnreliable, "pisp.payment"),
        quirk(QuirkName::LinkEndsInSlash, "aisp"),
    ]);
    registry.put(lenient);
    let granted = gw.granted(&tpp, &[UK, EU]).await;
    registry.put(strict);
    let own = tpp.own_token("accounts").await.unwrap();
    for (id, relaxed) in granted.consents.iter().zip([json!(["id-token-nonce-missing"]), json!([])]) {
        let path = format!("/v1/consents/{id}");
        let shown = tpp.get(&own, &path).await.unwrap().expect(200).unwrap().json();
        assert_eq!(shown.get("checks_relaxed").unwrap_or(&json!([])), &relaxed);
        let path = format!("{path}/history");
        let history = tpp.get(&own, &path).await.unwrap().expect(200).unwrap().json();
        assert_eq!(history["checks_relaxed"], relaxed);
    }
    gw.sandbox.stop().await;
}

/// UK-RTS art. 10A: the TPP confirms every 90 days that the customer wants to
/// go on; without that it may read no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_uk_consent_is_suspended_until_it_is_confirmed() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let tpp = gw.tpp().await;
    let receiver = gw.listening(&tpp).await;
    let own = tpp.own_token("accounts").await.unwrap();
    let id = lodge_until(&tpp, &own, UK, 170, &*clock).await["id"].as_str().unwrap().to_owned();
    let consents = gw.given(&tpp, vec![id], gw.person()).await.consents;
    let id = &consents[0];
    let given = gw.shown(&tpp, id).await;
    let (by, at) = (given["reconfirm_by"].as_str().unwrap(), given["authorized_at"].as_str().unwrap());
    let lasts = by.parse::<domain::Timestamp>().unwrap().duration_since(at.parse().unwrap());
    assert_eq!(lasts.as_secs(), 90 * 86_400);

    clock.advance(77 * DAY);
    event(&receiver, id, "consent.reconfirm_due").await;
    assert_eq!(gw.shown(&tpp, id).await["status"], "AUTHORIZED");
    clock.advance(14 * DAY);
    let refused = gw.read(&tpp, &consents, Read::Balances).await.unwrap_err();
    let problem = serde_json::to_value(Problem::from(refused)).unwrap();
    assert_eq!((&problem["status"], &problem["code"]), (&json!(403), &json!("consent.reconfirmation_due")));
    let href = problem["next_action"]["href"].as_str().unwrap();
    assert_eq!(
        (&problem["next_action"]["type"], href),
        (&json!("reconfirm"), &*format!("/v1/consents/{id}/reconfirm"))
    );
    let suspended = gw.shown(&tpp, id).await;
    assert_eq!(
        (&suspended["status"], &suspended["status_reason"]),
        (&json!("SUSPENDED"), &json!("reconfirmation-overdue"))
    );

    let own = tpp.own_token("accounts").await.unwrap();
    let confirmed = tpp.post_once(&own, href, "k-1", &json!({})).await.unwrap().expect(200).unwrap();
    let again = tpp.post_once(&own, href, "k-1", &json!({})).await.unwrap().expect(200).unwrap();
    assert_eq!((confirmed.json(), again.header("idempotency-replayed")), (again.json(), Some("true")));
    assert_eq!(confirmed.text("/status"), "AUTHORIZED");
    assert!(
        confirmed.json()["status_reason"].is_null() && confirmed.json()["last_reconfirmed_at"].is_string()
    );
    gw.read(&tpp, &consents, Read::Balances).await.unwrap();
    let life = gw.shown(&tpp, id).await;
    let last = life["history"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["actor"], &last["reason"]), (&json!("client"), &json!("reconfirmed")));
    // Deliveries overtake each other.
    for kind in ["consent.suspended", "consent.resumed"] {
        event(&receiver, id, kind).await;
    }
    let told = events(&receiver, id);
    for kind in ["consent.reconfirm_due", "consent.suspended", "consent.resumed"] {
        assert_eq!(told.iter().filter(|told| *told == kind).count(), 1, "{told:?}");
    }
    gw.sandbox.stop().await;
}

/// Nobody has to confirm where the law does not say so, nor what has ended; and
/// a key is needed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_uk_consent_in_force_can_be_confirmed() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK, EU]).await;
    let own = &granted.own;
    let path = |consent: &str| format!("/v1/consents/{consent}/reconfirm");
    let eu = tpp.post(own, &path(&granted.consents[1]), &json!({})).await.unwrap();
    assert_problem(&eu, 409, "consent.nothing_to_reconfirm");
    assert!(gw.shown(&tpp, &granted.consents[1]).await["reconfirm_by"].is_null());
    let lodged = tpp.lodge(own, &[UK]).await.unwrap().remove(0);
    assert_problem(&tpp.post(own, &path(&lodged), &json!({})).await.unwrap(), 409, "consent.state");
    let bearer = consentry::demo::bearer(own);
    let url = format!("{}{}", tpp.api, path(&granted.consents[0]));
    let keyless = tpp.http.post_json(&url, &[("authorization", &bearer)], &json!({})).await.unwrap();
    assert_problem(&keyless, 400, "idempotency.missing");
    tpp.post(own, &path(&granted.consents[0]), &json!({})).await.unwrap().expect(200).unwrap();
    let other = gw.tpp().await;
    let theirs = other.own_token("accounts").await.unwrap();
    assert_problem(
        &other.post(&theirs, &path(&granted.consents[0]), &json!({})).await.unwrap(),
        404,
        "resource.not_found",
    );
    gw.sandbox.stop().await;
}

/// The outbox: of many that keep consents at the same time, one tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_comes_and_what_is_over_is_told_exactly_once() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let tpp = gw.tpp().await;
    let receiver = gw.listening(&tpp).await;
    let consents = gw.granted(&tpp, &[EU]).await.consents;
    let id = &consents[0];
    let keep = async || {
        let all = (0..8).map(|_| gw.sandbox.gateway().keep_consents());
        for kept in futures_util::future::join_all(all).await {
            kept.unwrap();
        }
    };
    clock.advance(77 * DAY);
    keep().await;
    event(&receiver, id, "consent.expiring").await;
    assert_eq!(gw.shown(&tpp, id).await["status"], "AUTHORIZED");
    clock.advance(14 * DAY);
    keep().await;
    event(&receiver, id, "consent.expired").await;
    keep().await;
    let life = gw.until_status(&tpp, id, "EXPIRED").await;
    let told: Vec<_> = steps(&life);
    assert_eq!(told, ["CREATED", "AWAITING_REDIRECT", "AUTHORIZED", "AUTHORIZED expiring", "EXPIRED"]);
    let heard = events(&receiver, id);
    let words = ["created", "awaiting_authorization", "authorized", "expiring", "expired"];
    assert_eq!(heard, words.map(|word| format!("consent.{word}")));
    let refused = gw.read(&tpp, &consents, Read::Accounts).await.unwrap_err();
    let problem = serde_json::to_value(Problem::from(refused)).unwrap();
    assert_eq!(problem["next_action"]["href"], format!("/v1/consents/{id}/renew"));
    gw.sandbox.stop().await;
}

/// What an operator stopped, no confirmation lifts; what runs out meanwhile counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_stops_a_consent_and_lets_it_go_on() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let lodged = lodge_until(&tpp, &own, UK, 170, &*clock).await["id"].as_str().unwrap().to_owned();
    let granted = gw.given(&tpp, vec![lodged], gw.person()).await;
    let id: domain::ConsentId = granted.consents[0].parse().unwrap();
    let gateway = gw.sandbox.gateway();
    assert!(matches!(gateway.resume_consent(id).await, Err(FlowError::ConsentState(_))));
    gateway.suspend_consent(id).await.unwrap();
    let refused = tpp.get(&granted.token, "/v1/accounts").await.unwrap();
    assert_problem(&refused, 403, "consent.not_in_force");
    assert!(refused.json()["next_action"].is_null());
    let path = format!("/v1/consents/{id}/reconfirm");
    assert_problem(&tpp.post(&own, &path, &json!({})).await.unwrap(), 409, "consent.state");
    assert_eq!(gateway.resume_consent(id).await.unwrap().status.as_str(), "AUTHORIZED");
    tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    gateway.suspend_consent(id).await.unwrap();
    clock.advance(91 * DAY);
    assert_eq!(gateway.resume_consent(id).await.unwrap().status.as_str(), "SUSPENDED");
    assert_eq!(gw.shown(&tpp, &granted.consents[0]).await["status_reason"], "reconfirmation-overdue");
    gw.sandbox.stop().await;
}
