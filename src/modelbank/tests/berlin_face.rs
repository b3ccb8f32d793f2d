//! The Berlin Group banks as a TPP and a customer meet them, over real TLS.

mod world;

use std::time::{Duration, Instant};

use consentry_modelbank::{BankKind, Fault};
use crypto::Psd2Role;
use domain::Clock;
use serde_json::{Value, json};
use world::{Bank, REDIRECT, REDIRECTED, Tpp, World, consent_body, hidden};

fn payment_body(amount: &str) -> String {
    json!({
        "instructedAmount": {"currency": "EUR", "amount": amount},
        "debtorAccount": {"iban": "DE17999100001000000017"},
        "creditorName": "Ben Yilmaz",
        "creditorAccount": {"iban": "DE42999100002000000018"},
        "remittanceInformationUnstructured": "Lunch",
    })
    .to_string()
}

/// `entryReference` has at most 35 characters, and names one entry.
#[tokio::test]
async fn a_payments_entry_has_a_reference_of_its_own_that_is_short_enough() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::BerlinGroupRedirect, true, &[&tpp]).await;
    for amount in ["1.00", "2.00"] {
        let path = "/v1/payments/sepa-credit-transfers";
        let placed = tpp.berlin(&bank, "POST", path, &REDIRECTED, &payment_body(amount)).await.expect(201);
        world.browser().send("GET", &placed.at("/_links/scaRedirect/href"), &[], "").await.expect(303);
    }
    world.clock.advance(60);
    let consent = approved_consent(&world, &tpp, &bank).await;
    let headers = [("consent-id", consent.as_str()), ("psu-ip-address", "192.0.2.1")];
    let day = world.clock.now().checked_sub(jiff::SignedDuration::from_hours(72)).unwrap().to_string();
    let path = format!("/v1/accounts/rhb-10017/transactions?bookingStatus=booked&dateFrom={}", &day[..10]);
    let read = async || tpp.berlin(&bank, "GET", &path, &headers, "").await.expect(200).json();
    let told = read().await;
    let booked = told["transactions"]["booked"].as_array().unwrap();
    let named = |name: &str| -> std::collections::BTreeSet<&str> {
        booked.iter().map(|entry| entry[name].as_str().unwrap()).collect()
    };
    let references = named("entryReference");
    assert!(references.iter().all(|reference| (1..=35).contains(&reference.len())), "{references:?}");
    assert_eq!((references.len(), named("transactionId").len()), (booked.len(), booked.len()));
    assert!(named("transactionId").iter().any(|id| id.len() > 35), "the payments are among them");
    assert_eq!(told, read().await, "they stay as they are");
    bank.stop().await;
}

/// XS2A 14.1: 415 of what is sent, 406 of what is asked for.
#[tokio::test]
async fn bodies_and_answers_have_the_formats_of_the_bank() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::BerlinGroupRedirect, true, &[&tpp]).await;
    let sepa = ("/v1/payments/sepa-credit-transfers", payment_body("1.00"));
    let xml = ("/v1/payments/pain.001-sepa-credit-transfers", "<Document/>".to_owned());
    let consents = ("/v1/consents", consent_body());
    for ((path, body), media, status) in [
        (&consents, "text/plain", 415),
        (&consents, "application/json;charset=UTF-8", 201),
        (&sepa, "application/xml", 415),
        (&sepa, "application/json", 201),
        (&xml, "application/json", 415),
        (&xml, "application/xml", 400),
    ] {
        let headers = [&REDIRECTED[..], &[("content-type", media)]].concat();
        tpp.berlin(&bank, "POST", path, &headers, body).await.expect(status);
    }
    let consent = approved_consent(&world, &tpp, &bank).await;
    for (accept, status) in [
        ("application/x-nothing", 406),
        ("application/xml", 406),
        ("application/json, application/xml;q=0.8, text/plain;q=0.5", 200),
        ("*/*", 200),
    ] {
        let headers = [("consent-id", consent.as_str()), ("psu-ip-address", "192.0.2.1"), ("accept", accept)];
        let told = tpp.berlin(&bank, "GET", "/v1/accounts", &headers, "").await.expect(status);
        if status == 406 {
            assert_eq!(told.at("/tppMessages/0/code"), "REQUESTED_FORMATS_INVALID");
        }
    }
    bank.stop().await;
}

/// Every answer that these tests see is held to the published descriptions; one that is
/// not as published is found, and so is one that is published nowhere.
#[test]
fn an_answer_that_is_not_as_published_is_found() {
    if !world::published::are_here() {
        return;
    }
    let account = |currency: &str| json!({ "accounts": [{ "currency": currency }] }).to_string();
    let refusal = |category: &str| {
        json!({ "tppMessages": [{ "category": category, "code": "CONSENT_UNKNOWN" }] }).to_string()
    };
    let cases = [
        ("/v1/accounts", 200, account("EUR"), true),
        ("/v1/accounts", 200, account("euro"), false),
        ("/v1/accounts", 202, account("EUR"), false),
        ("/v1/consents/c-1", 403, refusal("ERROR"), true),
        ("/v1/consents/c-1", 403, refusal("MISTAKE"), false),
        ("/open-banking/v4.0/aisp/accounts", 200, account("EUR"), false),
        ("/v1/of-our-own", 200, account("euro"), true),
    ];
    for (path, status, body, right) in cases {
        let answer = world::Answer::json_of(status, body);
        let url = format!("https://localhost:1{path}");
        let judged = world::published::judge("GET", &url, &answer);
        assert_eq!(judged.is_ok(), right, "{path} {status}: {judged:?}");
    }
}

async fn approved_consent(world: &World, tpp: &Tpp, bank: &Bank) -> String {
    let made = tpp.berlin(bank, "POST", "/v1/consents", &REDIRECTED, &consent_body()).await.expect(201);
    assert_eq!(made.header("aspsp-sca-approach"), "REDIRECT");
    assert_eq!(made.at("/consentStatus"), "received");
    let sent_back =
        world.browser().send("GET", &made.at("/_links/scaRedirect/href"), &[], "").await.expect(303);
    assert_eq!(sent_back.header("location"), REDIRECT);
    made.at("/consentId")
}

#[tokio::test]
async fn an_approved_consent_opens_accounts_balances_and_transactions() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::BerlinGroupRedirect, true, &[]).await;
    let id = approved_consent(&world, &tpp, &bank).await;
    let status = tpp.berlin(&bank, "GET", &format!("/v1/consents/{id}/status"), &[], "").await;
    assert_eq!(status.at("/consentStatus"), "valid");
    let consent = tpp.berlin(&bank, "GET", &format!("/v1/consents/{id}"), &[], "").await.expect(200);
    for required in
        ["access", "recurringIndicator", "validUntil", "frequencyPerDay", "lastActionDate", "consentStatus"]
    {
        assert!(consent.json().get(required).is_some(), "{required}");
    }
    let present = [("consent-id", id.as_str()), ("psu-ip-address", "192.0.2.1")];
    let accounts = tpp.berlin(&bank, "GET", "/v1/accounts?withBalance=true", &present, "").await.expect(200);
    assert_eq!(accounts.json()["accounts"].as_array().unwrap().len(), 3);
    assert_eq!(accounts.at("/accounts/0/balances/0/balanceAmount/amount"), "2913.44");
    let transactions = accounts.at("/accounts/0/_links/transactions/href");
    for bad in ["", "?bookingStatus=both", "?bookingStatus=all&dateFrom=2026-01-01"] {
        let refused =
            tpp.berlin(&bank, "GET", &format!("{transactions}{bad}"), &present, "").await.expect(400);
        assert_eq!(refused.at("/tppMessages/0/code"), "FORMAT_ERROR");
    }
    let mut next = format!("{transactions}?bookingStatus=both&dateFrom=2000-01-01");
    let (mut booked, mut pending, mut pages) = (0, 0, 0);
    loop {
        let page = tpp.berlin(&bank, "GET", &next, &present, "").await.expect(200);
        let report = page.json()["transactions"].clone();
        booked += report["booked"].as_array().unwrap().len();
        pending += report["pending"].as_array().unwrap().len();
        pages += 1;
        match report.pointer("/_links/next/href").and_then(Value::as_str) {
            Some(link) => link.clone_into(&mut next),
            None => break,
        }
    }
    assert!(booked > 80 && pending == 1 && pages > 1, "{booked} {pending} {pages}");
    tpp.berlin(&bank, "DELETE", &format!("/v1/consents/{id}"), &[], "").await.expect(204);
    let ended = tpp.berlin(&bank, "GET", "/v1/accounts", &present, "").await.expect(401);
    assert_eq!(ended.at("/tppMessages/0/code"), "CONSENT_INVALID");
    bank.stop().await;
}

/// RTS article 36(5).
#[tokio::test]
async fn the_fifth_access_of_a_day_without_the_customer_is_refused() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::BerlinGroupRedirect, true, &[]).await;
    let id = approved_consent(&world, &tpp, &bank).await;
    let absent = [("consent-id", id.as_str())];
    for _ in 0..4 {
        tpp.berlin(&bank, "GET", "/v1/accounts", &absent, "").await.expect(200);
    }
    let refused = tpp.berlin(&bank, "GET", "/v1/accounts", &absent, "").await.expect(429);
    assert_eq!(refused.at("/tppMessages/0/code"), "ACCESS_EXCEEDED");
    let present = [("consent-id", id.as_str()), ("psu-ip-address", "192.0.2.1")];
    tpp.berlin(&bank, "GET", "/v1/accounts", &present, "").await.expect(200);
    world.clock.advance(86_400);
    tpp.berlin(&bank, "GET", "/v1/accounts", &absent, "").await.expect(200);
    bank.stop().await;
}

#[tokio::test]
async fn a_certificate_without_the_role_cannot_pay_and_another_cannot_see() {
    let world = World::new();
    let tpp = world.both();
    let aisp = world.tpp(100_004, &[Psd2Role::AccountInformation]);
    let bank = world.bank(BankKind::BerlinGroupRedirect, true, &[]).await;
    let path = "/v1/payments/sepa-credit-transfers";
    let refused = aisp.berlin(&bank, "POST", path, &REDIRECTED, &payment_body("1.00")).await.expect(401);
    assert_eq!(refused.at("/tppMessages/0/code"), "ROLE_INVALID");
    let id = approved_consent(&world, &tpp, &bank).await;
    let foreign = aisp.berlin(&bank, "GET", &format!("/v1/consents/{id}"), &[], "").await.expect(403);
    assert_eq!(foreign.at("/tppMessages/0/code"), "CONSENT_UNKNOWN");
    bank.stop().await;
}

#[tokio::test]
async fn a_payment_is_approved_settles_and_a_too_large_one_is_rejected() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::BerlinGroupRedirect, true, &[]).await;
    let path = "/v1/payments/instant-sepa-credit-transfers";
    for (amount, after) in [("913.44", "ACSC"), ("2000.01", "RJCT")] {
        let placed = tpp.berlin(&bank, "POST", path, &REDIRECTED, &payment_body(amount)).await.expect(201);
        assert_eq!(placed.at("/transactionStatus"), "RCVD");
        world.browser().send("GET", &placed.at("/_links/scaRedirect/href"), &[], "").await.expect(303);
        world.clock.advance(1);
        let status = tpp.berlin(&bank, "GET", &placed.at("/_links/status/href"), &[], "").await.expect(200);
        assert_eq!(status.at("/transactionStatus"), after);
        let sca = tpp.berlin(&bank, "GET", &placed.at("/_links/scaStatus/href"), &[], "").await.expect(200);
        assert_eq!(sca.at("/scaStatus"), "finalised");
        let whole = tpp.berlin(&bank, "GET", &placed.at("/_links/self/href"), &[], "").await.expect(200);
        assert_eq!(whole.at("/instructedAmount/amount"), amount);
    }
    let id = approved_consent(&world, &tpp, &bank).await;
    let present = [("consent-id", id.as_str()), ("psu-ip-address", "192.0.2.1")];
    let balances = tpp.berlin(&bank, "GET", "/v1/accounts/rhb-10017/balances", &present, "").await;
    assert_eq!(balances.at("/balances/0/balanceAmount/amount"), "2000.00");

    let placed = tpp.berlin(&bank, "POST", path, &REDIRECTED, &payment_body("1.00")).await.expect(201);
    let url = placed.at("/_links/scaRedirect/href");
    world.browser().send("GET", &url, &[("x-sandbox-psu", "deny")], "").await.expect(303);
    let status = tpp.berlin(&bank, "GET", &placed.at("/_links/status/href"), &[], "").await;
    assert_eq!(status.at("/transactionStatus"), "RJCT");
    let unknown = tpp.berlin(&bank, "POST", "/v1/payments/gold", &REDIRECTED, "{}").await.expect(404);
    assert_eq!(unknown.at("/tppMessages/0/code"), "PRODUCT_UNKNOWN");
    bank.stop().await;
}

#[tokio::test]
async fn the_same_request_id_places_one_payment() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::BerlinGroupRedirect, true, &[]).await;
    let (path, id) = ("/v1/payments/sepa-credit-transfers", "99391c7e-ad88-49ec-a2ad-99ddcb1f7721");
    let send = async |amount: &str| {
        tpp.berlin_with(&bank, "POST", path, id, &REDIRECTED, &payment_body(amount), &tpp.key).await
    };
    let first = send("1.00").await.expect(201).at("/paymentId");
    assert_eq!(send("1.00").await.expect(201).at("/paymentId"), first);
    send("2.00").await.expect(400);
    bank.stop().await;
}

#[tokio::test]
async fn the_decoupled_bank_needs_a_known_customer_and_approves_by_itself_after_a_moment() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::BerlinGroupDecoupled, true, &[]).await;
    let ip = ("psu-ip-address", "192.0.2.1");
    let nobody = tpp.berlin(&bank, "POST", "/v1/consents", &[ip], &consent_body()).await.expect(400);
    assert_eq!(nobody.at("/tppMessages/0/code"), "FORMAT_ERROR");
    let stranger = [ip, ("psu-id", "mallory")];
    let stranger = tpp.berlin(&bank, "POST", "/v1/consents", &stranger, &consent_body()).await.expect(401);
    assert_eq!(stranger.at("/tppMessages/0/code"), "PSU_CREDENTIALS_INVALID");
    let made = tpp.berlin(&bank, "POST", "/v1/consents", &[ip, ("psu-id", "ben")], &consent_body()).await;
    let made = made.expect(201);
    assert_eq!(made.header("aspsp-sca-approach"), "DECOUPLED");
    assert!(made.json().pointer("/_links/scaRedirect").is_none());
    let sca = made.at("/_links/scaStatus/href");
    assert_eq!(tpp.berlin(&bank, "GET", &sca, &[], "").await.at("/scaStatus"), "started");
    world.clock.advance(1);
    assert_eq!(tpp.berlin(&bank, "GET", &sca, &[], "").await.at("/scaStatus"), "finalised");
    let id = made.at("/consentId");
    let accounts = tpp.berlin(&bank, "GET", "/v1/accounts", &[("consent-id", &id), ip], "").await.expect(200);
    assert_eq!(accounts.at("/accounts/0/ownerName"), "Ben Garnier");
    let denied = [ip, ("psu-id", "ben"), ("x-sandbox-psu", "deny")];
    let denied = tpp.berlin(&bank, "POST", "/v1/consents", &denied, &consent_body()).await.expect(201);
    world.clock.advance(1);
    let status = tpp.berlin(&bank, "GET", &denied.at("/_links/status/href"), &[], "").await;
    assert_eq!(status.at("/consentStatus"), "rejected");
    bank.stop().await;
}

#[tokio::test]
async fn a_customer_approves_in_the_app_what_waits_for_them_and_nothing_else() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::BerlinGroupDecoupled, false, &[]).await;
    let headers = [("psu-ip-address", "192.0.2.1"), ("psu-id", "anna")];
    let made = tpp.berlin(&bank, "POST", "/v1/consents", &headers, &consent_body()).await.expect(201);
    world.clock.advance(5);
    let sca = made.at("/_links/scaStatus/href");
    assert_eq!(tpp.berlin(&bank, "GET", &sca, &[], "").await.at("/scaStatus"), "started");
    let (browser, pages) = (world.browser(), bank.running.pages_url.clone());
    browser.send("GET", &format!("{pages}/app"), &[], "").await.expect(200);
    let login = async |user: &str| {
        let fields = [("about", ""), ("user", user), ("password", "sandbox")];
        browser.form(&format!("{pages}/login"), &fields).await.expect(200)
    };
    assert!(login("ben").await.text.contains("Nothing waits"));
    let app = login("anna").await;
    let (ticket, about) = (hidden(&app, "ticket"), hidden(&app, "about"));
    let fields = [
        ("ticket", ticket.as_str()),
        ("about", about.as_str()),
        ("decision", "approve"),
        ("account", "lum-10025"),
    ];
    let after = browser.form(&format!("{pages}/decide"), &fields).await.expect(200);
    assert!(after.text.contains("Nothing waits"));
    assert_eq!(tpp.berlin(&bank, "GET", &sca, &[], "").await.at("/scaStatus"), "finalised");
    browser.form(&format!("{pages}/decide"), &fields).await.expect(400);
    bank.stop().await;
}

#[tokio::test]
async fn a_restart_keeps_consents_and_counters() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::BerlinGroupRedirect, true, &[]).await;
    let id = approved_consent(&world, &tpp, &bank).await;
    let absent = [("consent-id", id.as_str())];
    for _ in 0..4 {
        tpp.berlin(&bank, "GET", "/v1/accounts", &absent, "").await.expect(200);
    }
    bank.stop().await;
    let bank = world.bank(BankKind::BerlinGroupRedirect, true, &[]).await;
    tpp.berlin(&bank, "GET", "/v1/accounts", &absent, "").await.expect(429);
    bank.stop().await;
}

#[tokio::test]
async fn armed_faults_strike_and_then_end() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::BerlinGroupRedirect, true, &[]).await;
    let id = approved_consent(&world, &tpp, &bank).await;
    let headers = [("consent-id", id.as_str()), ("psu-ip-address", "192.0.2.1"), ("x-request-id", &id)];
    let request_id = "99391c7e-ad88-49ec-a2ad-99ddcb1f7721";
    let headers = [headers[0], headers[1], ("x-request-id", request_id)];
    let url = format!("{}/v1/accounts", bank.running.api_url);
    let faults = bank.running.faults();
    let get = async || tpp.http.try_send("GET", &url, &headers, "").await;

    faults.arm("GET", "/accounts", Fault::Unavailable, 1);
    assert_eq!(get().await.unwrap().status, 503);
    faults.arm("GET", "/accounts", Fault::HtmlError, 1);
    assert!(get().await.unwrap().text.starts_with("<!doctype html>"));
    faults.arm("GET", "/accounts", Fault::MalformedJson, 1);
    assert_eq!(get().await.unwrap().json(), Value::Null);
    faults.arm("GET", "/accounts", Fault::TooManyRequests, 1);
    assert_eq!(get().await.unwrap().header("retry-after"), "1");
    faults.arm("GET", "/accounts", Fault::Huge(1 << 20), 1);
    assert!(get().await.unwrap().text.len() >= 1 << 20);
    for fault in [Fault::Disconnect, Fault::LoseAnswer, Fault::Truncated] {
        faults.arm("GET", "/accounts", fault, 1);
        assert!(get().await.is_err(), "{fault:?}");
    }
    faults.arm("GET", "/accounts", Fault::Slow(Duration::from_millis(50)), 1);
    let start = Instant::now();
    assert_eq!(get().await.unwrap().status, 200);
    assert!(start.elapsed() >= Duration::from_millis(50));
    faults.refuse_connections(true);
    assert!(get().await.is_err());
    faults.clear();
    assert_eq!(get().await.unwrap().status, 200);

    faults.decline(1);
    let made = tpp.berlin(&bank, "POST", "/v1/consents", &REDIRECTED, &consent_body()).await.expect(201);
    world.browser().send("GET", &made.at("/_links/scaRedirect/href"), &[], "").await.expect(303);
    let status = tpp.berlin(&bank, "GET", &made.at("/_links/status/href"), &[], "").await;
    assert_eq!(status.at("/consentStatus"), "rejected");
    bank.stop().await;
}

/// What was answered survives a crash: it is on disk before the answer.
#[tokio::test]
async fn an_answered_request_is_on_disk() {
    let world = World::new();
    let tpp = world.both();
    let first = world.bank(BankKind::BerlinGroupRedirect, true, &[]).await;
    let id = approved_consent(&world, &tpp, &first).await;
    let second = world.bank(BankKind::BerlinGroupRedirect, true, &[]).await;
    let status = tpp.berlin(&second, "GET", &format!("/v1/consents/{id}/status"), &[], "").await.expect(200);
    assert_eq!(
        status.at("/consentStatus"),
        "valid",
        "the first bank still runs and has flushed nothing since"
    );
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_bank_speaks_http2_and_asks_for_its_request_id_there_too() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::BerlinGroupRedirect, true, &[]).await;
    let id = approved_consent(&world, &tpp, &bank).await;
    let url = format!("{}/v1/accounts", bank.running.api_url);
    assert_eq!(tpp.http.get_over_http2(&url, &[("consent-id", &id)]).await, 400);
    let headers = [("consent-id", id.as_str()), ("x-request-id", "99391c7e-ad88-49ec-a2ad-99ddcb1f7721")];
    assert_eq!(tpp.http.get_over_http2(&url, &headers).await, 200);
    bank.running.faults().arm("GET", "/accounts", Fault::Unavailable, 1);
    assert_eq!(tpp.http.get_over_http2(&url, &headers).await, 503);
    bank.stop().await;
}

/// Signed nonsense is still refused, never answered with a failure of the bank.
#[tokio::test]
async fn malformed_bodies_paths_and_queries_are_the_callers_fault() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::BerlinGroupRedirect, true, &[]).await;
    let id = approved_consent(&world, &tpp, &bank).await;
    let deep = "[".repeat(10_000);
    let long = format!("{{\"access\":\"{}\"}}", "x".repeat(300_000));
    let wrong_types = consent_body().replace("true", "\"true\"");
    let far = consent_body().replace("9999-12-31", "-009999-01-01");
    let bodies = ["", "null", "[]", "{}", "\"x\"", "{\"access\":[]}", &deep, &long, &wrong_types, &far];
    for path in ["/v1/consents", "/v1/payments/sepa-credit-transfers", "/v1/payments/%00/", "/v1/%ff"] {
        for body in bodies {
            let answer = tpp.berlin(&bank, "POST", path, &REDIRECTED, body).await;
            assert!(answer.status.is_client_error(), "{path} {} {}", answer.status, body.len());
        }
    }
    for amount in ["0", "0.00", "-1.00", "1e3", "1.001", "99999999999999999999", "\u{0661}"] {
        let path = "/v1/payments/sepa-credit-transfers";
        tpp.berlin(&bank, "POST", path, &REDIRECTED, &payment_body(amount)).await.expect(400);
    }
    let present = [("consent-id", id.as_str()), ("psu-ip-address", "192.0.2.1")];
    for query in ["page=0", "page=-1", "page=99999999999999999999", "dateFrom=2026-13-01", "page=%ff&page=1"]
    {
        let path = format!("/v1/accounts/rhb-10017/transactions?bookingStatus=both&{query}");
        let answer = tpp.berlin(&bank, "GET", &path, &present, "").await;
        assert!(answer.status.is_client_error(), "{query} {}", answer.status);
    }
    let path = "/v1/accounts/rhb-10017/transactions?bookingStatus=both&dateFrom=2026-01-01&page=18446744073709551615";
    tpp.berlin(&bank, "GET", path, &present, "").await.expect(200);
    bank.stop().await;
}

#[tokio::test]
async fn a_customer_withdraws_a_consent_at_the_bank_and_only_their_own() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::BerlinGroupRedirect, true, &[]).await;
    let id = approved_consent(&world, &tpp, &bank).await;
    let (browser, pages) = (world.browser(), bank.running.pages_url.clone());
    browser.send("GET", &format!("{pages}/consents"), &[], "").await.expect(200);
    let login = async |user: &str| {
        let fields = [("about", "consents"), ("user", user), ("password", "sandbox")];
        browser.form(&format!("{pages}/login"), &fields).await.expect(200)
    };
    let withdraw = async |ticket: &str| {
        let fields = [("ticket", ticket), ("consent", id.as_str())];
        browser.form(&format!("{pages}/withdraw"), &fields).await
    };
    let anna = hidden(&login("anna").await, "ticket");
    assert!(login("ben").await.text.contains("You share nothing"));
    withdraw("guessed").await.expect(400);
    let after = withdraw(&anna).await.expect(200);
    assert!(after.text.contains("You share nothing"));
    let status = tpp.berlin(&bank, "GET", &format!("/v1/consents/{id}/status"), &[], "").await;
    assert_eq!(status.at("/consentStatus"), "revokedByPsu");
    let refused = tpp.berlin(&bank, "GET", "/v1/accounts", &[("consent-id", &id)], "").await.expect(401);
    assert_eq!(refused.at("/tppMessages/0/code"), "CONSENT_INVALID");
    withdraw(&anna).await.expect(400);
    bank.stop().await;
}

/// XS2A consentStatus: "partiallyAuthorised - the consent is due to a multi-level
/// authorisation, some but not all mandated authorisations have been performed yet."
#[tokio::test]
async fn a_joint_account_is_shared_when_both_holders_agree() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::BerlinGroupRedirect, true, &[]).await;
    let (browser, pages) = (world.browser(), bank.running.pages_url.clone());
    for (decision, status) in [("approve", "valid"), ("decline", "rejected")] {
        let made = tpp.berlin(&bank, "POST", "/v1/consents", &REDIRECTED, &consent_body()).await.expect(201);
        let id = made.at("/consentId");
        let consent = async |path: &str| tpp.berlin(&bank, "GET", path, &[("consent-id", &id)], "").await;
        browser
            .send("GET", &made.at("/_links/scaRedirect/href"), &[("x-sandbox-psu", "clara")], "")
            .await
            .expect(303);
        let path = format!("/v1/consents/{id}/status");
        assert_eq!(consent(&path).await.at("/consentStatus"), "partiallyAuthorised");
        consent("/v1/accounts").await.expect(401);

        let fields = [("about", ""), ("user", "david"), ("password", "sandbox")];
        let app = browser.form(&format!("{pages}/login"), &fields).await.expect(200);
        let (ticket, about) = (hidden(&app, "ticket"), hidden(&app, "about"));
        let fields = [
            ("ticket", ticket.as_str()),
            ("about", about.as_str()),
            ("decision", decision),
            ("account", "rhb-30017"),
        ];
        browser.form(&format!("{pages}/decide"), &fields).await.expect(200);
        assert_eq!(consent(&path).await.at("/consentStatus"), status);
        consent("/v1/accounts").await.expect(if decision == "approve" { 200 } else { 401 });
    }
    bank.stop().await;
}

/// XS2A 5.2: `updatePsuAuthentication`, `selectAuthenticationMethod`,
/// `authoriseTransaction`, each where the one before led.
#[tokio::test]
async fn the_embedded_bank_takes_password_method_and_code_in_this_order() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::BerlinGroupEmbedded, false, &[]).await;
    let ip = ("psu-ip-address", "192.0.2.1");
    let lodged = async |user: &str| {
        let headers = [ip, ("psu-id", user)];
        let made = tpp.berlin(&bank, "POST", "/v1/consents", &headers, &consent_body()).await.expect(201);
        assert_eq!(made.header("aspsp-sca-approach"), "EMBEDDED");
        (made.at("/consentId"), made.at("/_links/updatePsuAuthentication/href"))
    };
    let put =
        async |place: &str, body: Value| tpp.berlin(&bank, "PUT", place, &[ip], &body.to_string()).await;
    let password = json!({"psuData": {"password": "sandbox"}});
    let code = json!({"scaAuthenticationData": "123456"});
    let (id, place) = lodged("anna").await;
    let early = put(&place, code.clone()).await.expect(409);
    assert_eq!(early.at("/tppMessages/0/code"), "STATUS_INVALID");
    let methods = put(&place, password.clone()).await.expect(200);
    assert_eq!(methods.at("/scaStatus"), "psuAuthenticated");
    let kinds: Vec<_> =
        (0..3).map(|at| methods.at(&format!("/scaMethods/{at}/authenticationType"))).collect();
    assert_eq!(kinds, ["SMS_OTP", "PHOTO_OTP", "CHIP_OTP"]);
    let none = put(&place, json!({"authenticationMethodId": "dance"})).await.expect(400);
    assert_eq!(none.at("/tppMessages/0/code"), "SCA_METHOD_UNKNOWN");
    let challenge = put(&place, json!({"authenticationMethodId": "photo"})).await.expect(200);
    assert!(challenge.at("/challengeData/image").starts_with("iVBORw0KGgo"));
    let wrong = put(&place, json!({"scaAuthenticationData": "1"})).await.expect(401);
    assert_eq!(
        (wrong.at("/tppMessages/0/code").as_str(), wrong.at("/scaStatus").as_str()),
        ("PSU_CREDENTIALS_INVALID", "scaMethodSelected")
    );
    assert_eq!(put(&place, code.clone()).await.expect(200).at("/scaStatus"), "finalised");
    let read = tpp.berlin(&bank, "GET", "/v1/accounts", &[("consent-id", &id), ip], "").await.expect(200);
    assert_eq!(read.at("/accounts/0/ownerName"), "Anna Leitner");
    assert_eq!(read.json()["accounts"].as_array().map(Vec::len), Some(2), "cards lie elsewhere");
    let card = async |more: &str, status: u16| {
        let path = format!("/v1/card-accounts{more}");
        tpp.berlin(&bank, "GET", &path, &[("consent-id", &id), ip], "").await.expect(status)
    };
    assert_eq!(card("", 200).await.at("/cardAccounts/0/maskedPan"), "525412******0033");
    assert_eq!(card("/don-10033", 200).await.at("/cardAccount/debitAccounting"), "true");
    let owed = card("/don-10033/balances", 200).await.at("/balances/0/balanceAmount/amount");
    let bought = card("/don-10033/transactions?bookingStatus=both&dateFrom=2020-01-01", 200).await;
    let bought = bought.at("/cardTransactions/booked/0/transactionAmount/amount");
    assert!(!owed.starts_with('-') && !bought.starts_with('-'), "{owed} {bought}");
    card("/don-10017", 404).await;
    put(&place, code.clone()).await.expect(409);

    // Who has one method is asked by it; three mistakes end it, and with it the consent.
    let (id, place) = lodged("ben").await;
    put(&place, password.clone()).await.expect(200);
    for status in ["scaMethodSelected", "scaMethodSelected", "failed"] {
        let wrong = put(&place, json!({"scaAuthenticationData": "1"})).await.expect(401);
        assert_eq!(wrong.at("/scaStatus"), status);
    }
    put(&place, code).await.expect(409);
    let status = tpp.berlin(&bank, "GET", &format!("/v1/consents/{id}/status"), &[], "").await;
    assert_eq!(status.at("/consentStatus"), "rejected");
    // Whoever never comes back is asked in the app.
    let (_, place) = lodged("abandons").await;
    let app = put(&place, password).await.expect(200);
    assert_eq!((app.header("aspsp-sca-approach"), app.at("/scaStatus").as_str()), ("DECOUPLED", "started"));
    bank.stop().await;
}

/// XS2A 5.2: `updatePsuIdentification` where nobody was named before, and
/// `updateAdditionalPsuAuthentication` for a customer with two passwords.
#[tokio::test]
async fn the_embedded_bank_asks_who_it_is_and_for_a_second_password() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::BerlinGroupEmbedded, false, &[]).await;
    let ip = ("psu-ip-address", "192.0.2.1");
    let made = tpp.berlin(&bank, "POST", "/v1/consents", &[ip], &consent_body()).await.expect(201);
    let place = made.at("/_links/updatePsuIdentification/href");
    let put = async |more: &[(&str, &str)], body: Value| {
        let headers = [&[ip], more].concat();
        tpp.berlin(&bank, "PUT", &place, &headers, &body.to_string()).await
    };
    let first = json!({ "psuData": { "password": "sandbox" } });
    let second = |text: &str| json!({ "psuData": { "additionalPassword": text } });
    put(&[], first.clone()).await.expect(400);
    let unknown = put(&[("psu-id", "mallory")], json!({})).await.expect(401);
    assert_eq!(unknown.at("/tppMessages/0/code"), "PSU_CREDENTIALS_INVALID");
    let named = put(&[("psu-id", "careful")], json!({})).await.expect(200);
    assert!(named.json().pointer("/_links/updatePsuAuthentication").is_some());
    put(&[], second("sandbox-2")).await.expect(409);
    let half = put(&[], first.clone()).await.expect(200);
    assert_eq!(half.at("/scaStatus"), "psuIdentified");
    assert!(half.json().pointer("/_links/updateAdditionalPsuAuthentication").is_some());
    put(&[], first).await.expect(409);
    put(&[], second("sandbox")).await.expect(401);
    assert_eq!(put(&[], second("sandbox-2")).await.expect(200).at("/scaStatus"), "psuAuthenticated");
    let chip = put(&[], json!({ "authenticationMethodId": "chip" })).await.expect(200);
    assert_eq!(chip.at("/challengeData/data/0"), "0E8701871122334455660310017F04");
    bank.stop().await;
}
