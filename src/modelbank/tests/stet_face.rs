//! The STET bank, as a TPP meets it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod world;

use consentry_modelbank::{BankKind, Fact};
use crypto::Psd2Role;
use domain::Clock;
use serde_json::{Value, json};
use world::{Answer, Bank, Headers, REDIRECT, Tpp, World, parameter};

const PRESENT: (&str, &str) = ("psu-ip-address", "192.0.2.1");
const VERIFIER: &str = "a-verifier-of-more-than-forty-three-characters";

async fn authorize(world: &World, bank: &Bank, query: &[(&str, &str)], psu: &str) -> Answer {
    let mut url = url::Url::parse(&format!("{}/authorize", bank.running.pages_url)).unwrap();
    url.query_pairs_mut().extend_pairs(query);
    world.browser().send("GET", url.as_str(), &[("x-sandbox-psu", psu)], "").await
}

/// Tokens of an authorization by Anna: access and refresh.
async fn authorized(world: &World, tpp: &Tpp, bank: &Bank) -> (String, String) {
    let challenge = crypto::digest::pkce_challenge(VERIFIER);
    let query = [
        ("response_type", "code"),
        ("client_id", tpp.client_id.as_str()),
        ("redirect_uri", REDIRECT),
        ("scope", "aisp extended_transaction_history"),
        ("state", "the state"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let back = authorize(world, bank, &query, "anna").await.expect(303);
    assert_eq!(parameter(&back, "state").as_deref(), Some("the state"));
    assert_eq!(parameter(&back, "iss").as_deref(), Some(bank.running.issuer.as_str()));
    let code = parameter(&back, "code").unwrap();
    let tokens = tpp.redeem(bank, &code, VERIFIER).await.expect(200);
    assert!(tokens.json().get("id_token").is_none());
    (tokens.at("/access_token"), tokens.at("/refresh_token"))
}

fn payment_body(amount: &str) -> String {
    json!({
        "paymentInformationId": "P-1",
        "creationDateTime": "2026-06-01T10:00:00Z",
        "numberOfTransactions": 1,
        "initiatingParty": { "name": "Fintech A" },
        "paymentTypeInformation": { "serviceLevel": "SEPA", "localInstrument": "INST" },
        "beneficiary": {
            "creditor": { "name": "Merchant" },
            "creditorAccount": { "iban": "DE17999100001000000017" },
        },
        "creditTransferTransaction": [{
            "paymentId": { "instructionId": "I-1", "endToEndId": "E2E-1" },
            "instructedAmount": { "currency": "EUR", "amount": amount },
            "remittanceInformation": { "unstructured": ["Facture 7"] },
        }],
        "supplementaryData": {
            "acceptedAuthenticationApproach": ["REDIRECT"],
            "successfulReportUrl": "https://tpp.example/ok",
            "unsuccessfulReportUrl": "https://tpp.example/nok",
        },
    })
    .to_string()
}

/// RFC 6749 §5.1.
#[tokio::test]
async fn what_answers_about_tokens_is_not_stored() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::Stet, true, &[&tpp]).await;
    let url = format!("{}/token", bank.running.api_url);
    for (scope, status) in [("pisp", 200), ("aisp", 400)] {
        let fields =
            [("grant_type", "client_credentials"), ("scope", scope), ("client_id", tpp.client_id.as_str())];
        let answer = tpp.http.form(&url, &fields).await.expect(status);
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    bank.stop().await;
}

#[tokio::test]
async fn an_authorization_opens_accounts_balances_and_pages_of_transactions() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::Stet, true, &[&tpp]).await;
    let (access, _) = authorized(&world, &tpp, &bank).await;
    let bearer = format!("Bearer {access}");
    let get = async |path: &str| {
        tpp.stet(&bank, "GET", path, &[("authorization", &bearer), PRESENT], "").await.expect(200)
    };
    let accounts = get("/accounts").await;
    assert_eq!(accounts.header("content-type"), "application/hal+json; charset=utf-8");
    assert_eq!(accounts.at("/accounts/0/accountId/iban"), "FR7699902000010001000001730");
    let balances = get(&accounts.at("/accounts/0/_links/balances/href")).await;
    assert_eq!(balances.at("/balances/0/balanceType"), "CLBD");
    assert_eq!(balances.at("/balances/0/balanceAmount/amount"), "1842.90");
    let mut path = accounts.at("/accounts/0/_links/transactions/href");
    let mut ids = std::collections::HashSet::new();
    loop {
        let page = get(&path).await.json();
        for entry in page["transactions"].as_array().unwrap() {
            assert!(ids.insert(entry["resourceId"].as_str().unwrap().to_owned()), "no entry comes twice");
        }
        let Some(next) = page.pointer("/_links/next/href").and_then(Value::as_str) else { break };
        path = next.to_owned();
    }
    assert!(ids.len() > 80, "{}", ids.len());
    let facts = bank.running.journal().entries().pop().unwrap().facts;
    for fact in [Fact::Role, Fact::Signature, Fact::Token, Fact::Consent, Fact::PsuPresent] {
        assert!(facts.contains(&fact), "{fact:?}");
    }
    bank.stop().await;
}

#[tokio::test]
async fn a_request_for_authorization_that_is_not_a_clients_own_gets_nowhere() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::Stet, true, &[&tpp]).await;
    let good = [
        ("response_type", "code"),
        ("client_id", tpp.client_id.as_str()),
        ("redirect_uri", REDIRECT),
        ("scope", "aisp"),
    ];
    authorize(&world, &bank, &good, "anna").await.expect(303);
    for (name, value) in [
        ("response_type", "token"),
        ("client_id", "mallory"),
        ("redirect_uri", "https://evil.example/"),
        ("scope", "aisp pisp"),
        ("scope", "pisp"),
    ] {
        let bad = good.map(|(known, before)| if known == name { (known, value) } else { (known, before) });
        authorize(&world, &bank, &bad, "anna").await.expect(400);
    }
    let denied = authorize(&world, &bank, &good, "deny").await.expect(303);
    assert_eq!(parameter(&denied, "error").as_deref(), Some("access_denied"));
    bank.stop().await;
}

/// STET 1.4 section 3.5.3: every request is signed by the QSealC that keyId names.
#[tokio::test]
async fn a_request_is_refused_unless_its_signature_covers_it() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::Stet, true, &[&tpp]).await;
    let (access, _) = authorized(&world, &tpp, &bank).await;
    let bearer = format!("Bearer {access}");
    let headers = [("authorization", bearer.as_str()), PRESENT];
    let send = async |spoil: &dyn Fn(&mut Headers)| {
        tpp.stet_with(&bank, "GET", "/accounts", &headers, "", |headers| spoil(headers)).await.status.as_u16()
    };
    let set = |headers: &mut Headers, name: &str, value: &dyn Fn(&str) -> String| {
        let header = headers.iter_mut().find(|(found, _)| found == name).unwrap();
        header.1 = value(&header.1);
    };
    assert_eq!(send(&|_| {}).await, 200);
    assert_eq!(send(&|headers| headers.retain(|(name, _)| name != "signature")).await, 400);
    assert_eq!(send(&|headers| headers.retain(|(name, _)| name != "date")).await, 400);
    assert_eq!(send(&|headers| set(headers, "psu-ip-address", &|_| "198.51.100.1".into())).await, 403);
    assert_eq!(send(&|headers| headers.push(("psu-device-id".into(), "added".into()))).await, 403);
    assert_eq!(
        send(&|headers| set(headers, "signature", &|value| value.replace("https://", "http://"))).await,
        403
    );
    assert_eq!(
        send(&|headers| set(headers, "signature", &|value| value.replace("(request-target) ", ""))).await,
        403
    );
    let date = world::http_date(world.clock.now());
    world.clock.advance(600);
    assert_eq!(send(&|_| {}).await, 200);
    let late = [headers[0], headers[1], ("date", date.as_str())];
    tpp.stet(&bank, "GET", "/accounts", &late, "").await.expect(403);
    bank.stop().await;
}

#[tokio::test]
async fn an_error_has_time_status_words_and_path() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::Stet, true, &[&tpp]).await;
    let refused =
        tpp.stet(&bank, "GET", "/accounts", &[("authorization", "Bearer none")], "").await.expect(401);
    assert_eq!(refused.at("/status"), "401");
    assert_eq!(refused.at("/error"), "Unauthorized");
    assert_eq!(refused.at("/path"), "/stet/psd2/v1.4/accounts");
    assert!(refused.at("/timestamp").parse::<domain::Timestamp>().is_ok());
    bank.stop().await;
}

/// RTS article 36(5)(b).
#[tokio::test]
async fn four_accesses_a_day_go_without_the_customer() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::Stet, true, &[&tpp]).await;
    let (access, _) = authorized(&world, &tpp, &bank).await;
    let bearer = format!("Bearer {access}");
    let absent = [("authorization", bearer.as_str())];
    for _ in 0..4 {
        tpp.stet(&bank, "GET", "/accounts", &absent, "").await.expect(200);
    }
    tpp.stet(&bank, "GET", "/accounts", &absent, "").await.expect(429);
    let present = [absent[0], PRESENT];
    tpp.stet(&bank, "GET", "/accounts", &present, "").await.expect(200);
    bank.stop().await;
}

#[tokio::test]
async fn the_tpp_keeps_less_of_a_consent_or_nothing() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::Stet, true, &[&tpp]).await;
    let (access, refresh) = authorized(&world, &tpp, &bank).await;
    let bearer = format!("Bearer {access}");
    let headers = [("authorization", bearer.as_str()), PRESENT];
    let get = async |path: &str| tpp.stet(&bank, "GET", path, &headers, "").await;
    assert_eq!(get("/end-user-identity").await.expect(200).at("/connectedPsu"), "Anna Moreau");
    let trusted = get("/trusted-beneficiaries").await.expect(200);
    assert_eq!(trusted.at("/beneficiaries/0/creditor/name"), "Camille Roux");
    assert_eq!(trusted.json()["beneficiaries"].as_array().unwrap().len(), 1);
    let iban = json!([{ "iban": "FR7699902000010001000001730" }]);
    let less =
        json!({ "balances": iban, "transactions": [], "trustedBeneficiaries": false, "psuIdentity": false });
    tpp.stet(&bank, "PUT", "/consents", &headers, &less.to_string()).await.expect(204);
    get("/end-user-identity").await.expect(403);
    get("/trusted-beneficiaries").await.expect(403);
    get("/accounts/riv-10017/balances").await.expect(200);
    get("/accounts/riv-10025/balances").await.expect(403);
    get("/accounts/riv-10017/transactions").await.expect(403);
    let nothing = json!({ "balances": [], "transactions": [] }).to_string();
    tpp.stet(&bank, "PUT", "/consents", &headers, &nothing).await.expect(204);
    get("/accounts").await.expect(401);
    let fields =
        [("grant_type", "refresh_token"), ("client_id", &tpp.client_id), ("refresh_token", &refresh)];
    let refused = tpp.http.form(&format!("{}/token", bank.running.api_url), &fields).await.expect(400);
    assert_eq!(refused.at("/error"), "invalid_grant");
    bank.stop().await;
}

#[tokio::test]
async fn money_moves_when_the_tpp_confirms_and_once() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::Stet, true, &[&tpp]).await;
    let token = format!("Bearer {}", tpp.client_token(&bank, "pisp").await);
    let headers = [("authorization", token.as_str()), PRESENT];
    let posted =
        tpp.stet(&bank, "POST", "/payment-requests", &headers, &payment_body("12.50")).await.expect(201);
    assert_eq!(posted.at("/appliedAuthenticationApproach"), "REDIRECT");
    let location = posted.header("location").to_owned();
    let path = location.strip_prefix("/stet/psd2/v1.4").unwrap();
    let status = async |path: &str| {
        let answer = tpp.stet(&bank, "GET", path, &headers, "").await.expect(200);
        answer.at("/paymentRequest/creditTransferTransaction/0/transactionStatus")
    };
    assert_eq!(status(path).await, "ACTC");
    let confirm = format!("{path}/confirmation");
    tpp.stet(&bank, "POST", &confirm, &headers, "{}").await.expect(409);
    let back =
        world.browser().send("GET", &posted.at("/_links/consentApproval/href"), &[], "").await.expect(303);
    assert_eq!(back.header("location"), "https://tpp.example/ok");
    world.clock.advance(1);
    assert_eq!(status(path).await, "ACCP", "approved, and not carried out");
    tpp.stet(&bank, "POST", &confirm, &headers, "{}").await.expect(200);
    world.clock.advance(1);
    assert_eq!(status(path).await, "ACSC");
    tpp.stet(&bank, "POST", &confirm, &headers, "{}").await.expect(200);
    let (access, _) = authorized(&world, &tpp, &bank).await;
    let bearer = format!("Bearer {access}");
    let headers = [("authorization", bearer.as_str()), PRESENT];
    let balances = tpp.stet(&bank, "GET", "/accounts/riv-10017/balances", &headers, "").await.expect(200);
    assert_eq!(balances.at("/balances/0/balanceAmount/amount"), "1830.40", "once");
    bank.stop().await;
}

#[tokio::test]
async fn a_declined_or_uncovered_payment_is_rejected_with_a_reason() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::Stet, true, &[&tpp]).await;
    let token = format!("Bearer {}", tpp.client_token(&bank, "pisp").await);
    let headers = [("authorization", token.as_str()), PRESENT];
    for (amount, psu, target, reason) in [
        ("10.00", "deny", "https://tpp.example/nok", "DS02"),
        ("999999.00", "anna", "https://tpp.example/ok", "AM04"),
    ] {
        let body = payment_body(amount);
        let posted = tpp.stet(&bank, "POST", "/payment-requests", &headers, &body).await.expect(201);
        let approval = posted.at("/_links/consentApproval/href");
        let back = world.browser().send("GET", &approval, &[("x-sandbox-psu", psu)], "").await.expect(303);
        assert_eq!(back.header("location"), target);
        let path = posted.header("location").strip_prefix("/stet/psd2/v1.4").unwrap().to_owned();
        let confirmed =
            tpp.stet(&bank, "POST", &format!("{path}/confirmation"), &headers, "{}").await.expect(200);
        assert_eq!(confirmed.at("/paymentRequest/paymentInformationStatus"), "RJCT");
        assert_eq!(confirmed.at("/paymentRequest/statusReasonInformation"), reason);
    }
    for body in ["", "[]", "{}", &payment_body("0.00"), &payment_body("1.001"), &payment_body("1e3")] {
        tpp.stet(&bank, "POST", "/payment-requests", &headers, body).await.expect(400);
    }
    bank.stop().await;
}

#[tokio::test]
async fn a_role_is_needed_for_each_service_and_another_tpp_sees_nothing() {
    let world = World::new();
    let (tpp, aisp) = (world.both(), world.tpp(100_005, &[Psd2Role::AccountInformation]));
    let bank = world.bank(BankKind::Stet, true, &[&tpp, &aisp]).await;
    let token = format!("Bearer {}", aisp.client_token(&bank, "pisp").await);
    let headers = [("authorization", token.as_str()), PRESENT];
    aisp.stet(&bank, "POST", "/payment-requests", &headers, &payment_body("1.00")).await.expect(403);
    let (access, _) = authorized(&world, &tpp, &bank).await;
    let bearer = format!("Bearer {access}");
    let stolen = [("authorization", bearer.as_str()), PRESENT];
    aisp.stet(&bank, "GET", "/accounts", &stolen, "").await.expect(401);
    bank.stop().await;
}
