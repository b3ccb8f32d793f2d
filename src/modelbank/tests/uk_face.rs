//! The UK bank as a TPP and a customer meet it, over real TLS.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod world;

use consentry_modelbank::{BankKind, Fact};
use crypto::{Algorithm, Jwks, Psd2Role, jws};
use domain::Clock;
use serde_json::{Value, json};
use world::{Answer, Bank, Tpp, World, hidden, parameter};

const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-long";

async fn account_consent(tpp: &Tpp, bank: &Bank, permissions: &[&str]) -> String {
    let token = tpp.client_token(bank, "accounts").await;
    let body = json!({"Data": {"Permissions": permissions}, "Risk": {}}).to_string();
    let made = tpp.uk(bank, "POST", "/aisp/account-access-consents", &token, &[], &body).await.expect(201);
    assert_eq!(made.at("/Data/Status"), "AWAU");
    made.at("/Data/ConsentId")
}

const ALL: [&str; 5] = [
    "ReadAccountsDetail",
    "ReadBalances",
    "ReadTransactionsDetail",
    "ReadTransactionsCredits",
    "ReadTransactionsDebits",
];

async fn approved(world: &World, tpp: &Tpp, bank: &Bank, consent: &str, scope: &str) -> Answer {
    let url = tpp.push(bank, consent, scope, VERIFIER).await;
    let sent_back = world.browser().send("GET", &url, &[], "").await.expect(303);
    assert_eq!(parameter(&sent_back, "state").unwrap(), "the state");
    assert_eq!(parameter(&sent_back, "iss").unwrap(), bank.running.issuer);
    tpp.redeem(bank, &parameter(&sent_back, "code").unwrap(), VERIFIER).await
}

fn payment(amount: &str) -> Value {
    json!({
        "Initiation": {
            "InstructionIdentification": "i1",
            "EndToEndIdentification": "e1",
            "InstructedAmount": {"Amount": amount, "Currency": "GBP"},
            "CreditorAccount": {
                "SchemeName": "UK.OBIE.SortCodeAccountNumber",
                "Identification": "99001120000018",
                "Name": "Ben Okafor"
            },
            "RemittanceInformation": {"Unstructured": ["Lunch"]}
        }
    })
}

/// Consent, approval and order; answers the order and the token.
async fn pay(world: &World, tpp: &Tpp, bank: &Bank, amount: &str) -> (Answer, String) {
    pay_as(world, tpp, bank, amount, payment(amount)).await
}

/// The same of a payment in these words.
async fn pay_as(world: &World, tpp: &Tpp, bank: &Bank, key: &str, payment: Value) -> (Answer, String) {
    let client = tpp.client_token(bank, "payments").await;
    let body = json!({"Data": payment, "Risk": {}}).to_string();
    let sealed = tpp.sealed(world.clock.now().as_second(), &body);
    let headers = [("x-jws-signature", sealed.as_str()), ("x-idempotency-key", key)];
    let path = "/pisp/domestic-payment-consents";
    let consent =
        tpp.uk(bank, "POST", path, &client, &headers, &body).await.expect(201).at("/Data/ConsentId");
    let tokens = approved(world, tpp, bank, &consent, "openid payments").await.expect(200);
    let token = tokens.at("/access_token");
    let mut data = payment;
    data["ConsentId"] = json!(consent);
    let body = json!({"Data": data, "Risk": {}}).to_string();
    let sealed = tpp.sealed(world.clock.now().as_second(), &body);
    let headers = [("x-jws-signature", sealed.as_str()), ("x-idempotency-key", key)];
    let placed = tpp.uk(bank, "POST", "/pisp/domestic-payments", &token, &headers, &body).await;
    (placed, client)
}

#[tokio::test]
async fn an_approved_consent_opens_accounts_balances_and_every_page_of_transactions() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp]).await;
    let consent = account_consent(&tpp, &bank, &ALL).await;
    let tokens = approved(&world, &tpp, &bank, &consent, "openid accounts").await.expect(200);
    let token = tokens.at("/access_token");

    let accounts = tpp.uk(&bank, "GET", "/aisp/accounts", &token, &[], "").await.expect(200);
    assert_eq!(accounts.json()["Data"]["Account"].as_array().unwrap().len(), 2);
    assert_eq!(accounts.at("/Data/Account/0/Account/0/SchemeName"), "UK.OBIE.SortCodeAccountNumber");
    assert_eq!(accounts.at("/Data/Account/0/AccountTypeCode"), "CACC");
    assert!(uuid::Uuid::parse_str(accounts.header("x-fapi-interaction-id")).is_ok());
    let id = accounts.at("/Data/Account/0/AccountId");
    let balances = tpp.uk(&bank, "GET", &format!("/aisp/accounts/{id}/balances"), &token, &[], "").await;
    assert_eq!(balances.at("/Data/Balance/0/Amount/Amount"), "3482.17");
    assert_eq!(balances.at("/Data/Balance/0/Type"), "ITBD");

    let mut next = format!("/aisp/accounts/{id}/transactions");
    let (mut seen, mut pages) = (std::collections::HashSet::new(), 0);
    loop {
        let page = tpp.uk(&bank, "GET", &next, &token, &[], "").await.expect(200);
        pages += 1;
        for transaction in page.json()["Data"]["Transaction"].as_array().unwrap() {
            for required in ["AccountId", "CreditDebitIndicator", "Status", "BookingDateTime", "Amount"] {
                assert!(transaction.get(required).is_some(), "{required}");
            }
            assert!(seen.insert(transaction["TransactionId"].as_str().unwrap().to_owned()));
        }
        match page.json().pointer("/Links/Next") {
            Some(link) => link.as_str().unwrap().clone_into(&mut next),
            None => break,
        }
    }
    assert!(pages > 1 && seen.len() > 80, "{} on {pages}", seen.len());
    let today = world.clock.now().to_string();
    let late = format!("/aisp/transactions?fromBookingDateTime={}", &today[..10]);
    let bad = tpp.uk(&bank, "GET", &late.replace("2026", "never"), &token, &[], "").await.expect(400);
    assert_eq!(bad.at("/Errors/0/ErrorCode"), "U003");

    let entry = bank.running.journal().entries().into_iter().rfind(|entry| entry.status == 200).unwrap();
    assert_eq!(entry.organization_identifier.as_deref(), Some("PSDDE-BAFIN-100001"));
    assert_eq!(entry.facts, [Fact::Role, Fact::Token, Fact::Consent]);
    bank.stop().await;
}

#[tokio::test]
async fn the_id_token_names_the_consent_and_is_signed_by_the_bank() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp]).await;
    let consent = account_consent(&tpp, &bank, &ALL).await;
    let tokens = approved(&world, &tpp, &bank, &consent, "openid accounts").await.expect(200);
    let metadata = format!("{}/.well-known/openid-configuration", bank.running.issuer);
    let metadata = world.browser().send("GET", &metadata, &[], "").await.expect(200);
    assert_eq!(metadata.at("/issuer"), bank.running.issuer);
    let keys = world.browser().send("GET", &metadata.at("/jwks_uri"), &[], "").await.expect(200);
    let keys = Jwks::parse(keys.text.as_bytes()).unwrap();
    let verified = jws::verify_compact(&tokens.at("/id_token"), &keys, &[Algorithm::Ps256]).unwrap();
    let claims = Value::Object(verified.claims().unwrap());
    assert_eq!(claims["openbanking_intent_id"], json!(consent));
    assert_eq!(claims["nonce"], "the nonce");
    assert_eq!(claims["aud"], json!(tpp.client_id));
    assert_eq!(claims["acr"], "urn:openbanking:psd2:sca");

    let url = format!("{}/token", bank.running.api_url);
    let refresh = tokens.at("/refresh_token");
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.as_str()),
        ("client_id", tpp.client_id.as_str()),
    ];
    let again = tpp.http.form(&url, &fields).await.expect(200).at("/access_token");
    tpp.uk(&bank, "GET", "/aisp/accounts", &again, &[], "").await.expect(200);
    bank.stop().await;
}

/// RFC 6749 §4.1.2, RFC 7636 §4.6, RFC 8705 §3.
#[tokio::test]
async fn codes_and_tokens_work_once_and_only_for_their_client() {
    let world = World::new();
    let tpp = world.both();
    let other = world.tpp(100_002, &[Psd2Role::AccountInformation]);
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp, &other]).await;
    let consent = account_consent(&tpp, &bank, &ALL).await;
    let url = tpp.push(&bank, &consent, "openid accounts", VERIFIER).await;
    let sent_back = world.browser().send("GET", &url, &[], "").await.expect(303);
    let code = parameter(&sent_back, "code").unwrap();
    let token = tpp.redeem(&bank, &code, VERIFIER).await.expect(200).at("/access_token");
    other.uk(&bank, "GET", "/aisp/accounts", &token, &[], "").await.expect(401);
    assert_eq!(tpp.redeem(&bank, &code, VERIFIER).await.expect(400).at("/error"), "invalid_grant");
    tpp.uk(&bank, "GET", "/aisp/accounts", &token, &[], "").await.expect(401);
    world.browser().send("GET", &url, &[], "").await.expect(400);

    let url = tpp.push(&bank, &consent, "openid accounts", VERIFIER).await;
    let sent_back = world.browser().send("GET", &url, &[], "").await.expect(303);
    let code = parameter(&sent_back, "code").unwrap();
    let wrong = VERIFIER.replace('a', "b");
    assert_eq!(tpp.redeem(&bank, &code, &wrong).await.expect(400).at("/error"), "invalid_grant");
    let foreign = format!("/aisp/account-access-consents/{consent}");
    let token = other.client_token(&bank, "accounts").await;
    other.uk(&bank, "GET", &foreign, &token, &[], "").await.expect(403);
    bank.stop().await;
}

#[tokio::test]
async fn a_customer_logs_in_chooses_one_account_and_may_decline() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::UkOpenBanking, false, &[&tpp]).await;
    let consent = account_consent(&tpp, &bank, &["ReadAccountsBasic"]).await;
    let browser = world.browser();
    let pages = bank.running.pages_url.clone();
    let url = tpp.push(&bank, &consent, "openid accounts", VERIFIER).await;
    let login = browser.send("GET", &url, &[], "").await.expect(200);
    assert!(login.header("content-security-policy").contains("frame-ancestors 'none'"));
    let about = hidden(&login, "about");
    let fields = [("about", about.as_str()), ("user", "anna"), ("password", "wrong")];
    browser.form(&format!("{pages}/login"), &fields).await.expect(401);
    let fields = [("about", about.as_str()), ("user", "anna"), ("password", "sandbox")];
    let question = browser.form(&format!("{pages}/login"), &fields).await.expect(200);
    assert!(question.text.contains("Rainy day"), "{}", question.text);
    assert!(question.text.contains("Fintech A GmbH (PSDDE-BAFIN-100001)"), "who asks is named");
    let ticket = hidden(&question, "ticket");
    let fields = [("ticket", ticket.as_str()), ("decision", "approve")];
    browser.form(&format!("{pages}/decide"), &fields).await.expect(422);
    let fields = [("ticket", ticket.as_str()), ("decision", "approve"), ("account", "alb-20018")];
    browser.form(&format!("{pages}/decide"), &fields).await.expect(422);
    let fields = [("ticket", ticket.as_str()), ("decision", "approve"), ("account", "alb-10025")];
    let sent_back = browser.form(&format!("{pages}/decide"), &fields).await.expect(303);
    let token =
        tpp.redeem(&bank, &parameter(&sent_back, "code").unwrap(), VERIFIER).await.at("/access_token");
    let accounts = tpp.uk(&bank, "GET", "/aisp/accounts", &token, &[], "").await.expect(200);
    assert_eq!(accounts.json()["Data"]["Account"].as_array().unwrap().len(), 1);
    assert!(accounts.json().pointer("/Data/Account/0/Account").is_none(), "Basic shows no numbers");
    tpp.uk(&bank, "GET", "/aisp/accounts/alb-10017", &token, &[], "").await.expect(403);
    tpp.uk(&bank, "GET", "/aisp/accounts/nothing", &token, &[], "").await.expect(400);
    tpp.uk(&bank, "GET", "/aisp/balances", &token, &[], "").await.expect(403);

    let declined = account_consent(&tpp, &bank, &["ReadAccountsBasic"]).await;
    let url = tpp.push(&bank, &declined, "openid accounts", VERIFIER).await;
    let sent_back = browser.send("GET", &url, &[("x-sandbox-psu", "deny")], "").await.expect(303);
    assert_eq!(parameter(&sent_back, "error").unwrap(), "access_denied");
    let token = tpp.client_token(&bank, "accounts").await;
    let path = format!("/aisp/account-access-consents/{declined}");
    let seen = tpp.uk(&bank, "GET", &path, &token, &[], "").await.expect(200);
    assert_eq!(seen.at("/Data/Status"), "RJCT");
    tpp.uk(&bank, "DELETE", &path, &token, &[], "").await.expect(204);
    assert_eq!(
        tpp.uk(&bank, "GET", &path, &token, &[], "").await.expect(400).at("/Errors/0/ErrorCode"),
        "U011"
    );
    bank.stop().await;
}

#[tokio::test]
async fn a_payment_moves_money_once_and_survives_a_restart() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp]).await;
    let (placed, client) = pay(&world, &tpp, &bank, "482.17").await;
    let placed = placed.expect(201);
    assert_eq!(placed.at("/Data/Status"), "RCVD");
    assert!(!placed.header("x-jws-signature").is_empty());
    let id = placed.at("/Data/DomesticPaymentId");
    world.clock.advance(1);
    let path = format!("/pisp/domestic-payments/{id}");
    let settled = tpp.uk(&bank, "GET", &path, &client, &[], "").await.expect(200);
    assert_eq!(settled.at("/Data/Status"), "ACSC");
    let consent = settled.at("/Data/ConsentId");
    bank.stop().await;

    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp]).await;
    let settled = tpp.uk(&bank, "GET", &path, &client, &[], "").await.expect(200);
    assert_eq!(settled.at("/Data/Status"), "ACSC", "tokens, payments and ledger are kept");
    let path = format!("/pisp/domestic-payment-consents/{consent}");
    assert_eq!(tpp.uk(&bank, "GET", &path, &client, &[], "").await.at("/Data/Status"), "COND");
    let (again, _) = pay(&world, &tpp, &bank, "3000.01").await;
    let again = again.expect(201);
    assert_eq!(again.at("/Data/Status"), "RJCT", "3000.00 is left");
    assert_eq!(again.at("/Data/StatusReason/0/StatusReasonCode"), "AM04");
    let ais = account_consent(&tpp, &bank, &ALL).await;
    let token = approved(&world, &tpp, &bank, &ais, "openid accounts").await.at("/access_token");
    let balances = tpp.uk(&bank, "GET", "/aisp/accounts/alb-10017/balances", &token, &[], "").await;
    assert_eq!(balances.at("/Data/Balance/1/Amount/Amount"), "3000.00");
    let found = tpp.uk(&bank, "GET", "/aisp/accounts/alb-10017/transactions", &token, &[], "").await;
    assert!(found.text.contains(&id), "the entry names the payment");
    bank.stop().await;
}

/// `TransactionInformation` has at least one character.
#[tokio::test]
async fn a_payment_without_remittance_is_an_entry_without_information() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp]).await;
    let mut bare = payment("1.00");
    bare["Initiation"].as_object_mut().unwrap().remove("RemittanceInformation");
    let (placed, _) = pay_as(&world, &tpp, &bank, "bare", bare).await;
    let id = placed.expect(201).at("/Data/DomesticPaymentId");
    let consent = account_consent(&tpp, &bank, &ALL).await;
    let token = approved(&world, &tpp, &bank, &consent, "openid accounts").await.at("/access_token");
    let found = tpp.uk(&bank, "GET", "/aisp/accounts/alb-10017/transactions", &token, &[], "").await;
    let all = found.expect(200).json()["Data"]["Transaction"].as_array().unwrap().clone();
    let entry = all.iter().find(|entry| entry["TransactionId"].as_str().unwrap().starts_with(&id)).unwrap();
    assert_eq!(entry.get("TransactionInformation"), None);
    assert!(all.iter().any(|entry| entry.get("TransactionInformation").is_some()));
    bank.stop().await;
}

/// Read/Write API 4.0, grant types: consents are lodged with a token of the client's own,
/// and what they open is read with the customer's.
#[tokio::test]
async fn a_token_of_the_other_grant_is_none() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp]).await;
    let consent = account_consent(&tpp, &bank, &ALL).await;
    let tokens = approved(&world, &tpp, &bank, &consent, "openid accounts").await.expect(200);
    let token = tokens.at("/access_token");
    let body = json!({"Data": {"Permissions": ALL}, "Risk": {}}).to_string();
    tpp.uk(&bank, "POST", "/aisp/account-access-consents", &token, &[], &body).await.expect(401);
    let own = tpp.client_token(&bank, "accounts").await;
    for path in ["accounts", "accounts/alb-10017", "balances", "transactions", "accounts/alb-10017/parties"] {
        tpp.uk(&bank, "GET", &format!("/aisp/{path}"), &own, &[], "").await.expect(401);
    }
    tpp.uk(&bank, "GET", "/aisp/balances", &token, &[], "").await.expect(200);
    bank.stop().await;
}

/// Read/Write API 4.0, HTTP status codes 406 and 415.
#[tokio::test]
async fn what_is_no_json_is_neither_taken_nor_given() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp]).await;
    let own = tpp.client_token(&bank, "accounts").await;
    let body = json!({"Data": {"Permissions": ALL}, "Risk": {}}).to_string();
    for (media, status) in [
        ("text/plain", 415),
        ("application/jsonp", 415),
        ("application/json; charset=utf-8", 201),
        ("Application/JSON", 201),
    ] {
        let headers = [("content-type", media)];
        let path = "/aisp/account-access-consents";
        tpp.uk(&bank, "POST", path, &own, &headers, &body).await.expect(status);
    }
    let paying = tpp.client_token(&bank, "payments").await;
    let body = json!({"Data": payment("1.00"), "Risk": {}}).to_string();
    let sealed = tpp.sealed(world.clock.now().as_second(), &body);
    let headers =
        [("x-jws-signature", sealed.as_str()), ("x-idempotency-key", "k"), ("content-type", "text/plain")];
    tpp.uk(&bank, "POST", "/pisp/domestic-payment-consents", &paying, &headers, &body).await.expect(415);

    let permissions = [&ALL[..], &["ReadStatementsBasic", "ReadStatementsDetail"]].concat();
    let consent = account_consent(&tpp, &bank, &permissions).await;
    let tokens = approved(&world, &tpp, &bank, &consent, "openid accounts").await.expect(200);
    let token = tokens.at("/access_token");
    let month = tpp.uk(&bank, "GET", "/aisp/accounts/alb-10017/statements", &token, &[], "").await;
    let file =
        format!("/aisp/accounts/alb-10017/statements/{}/file", month.at("/Data/Statement/0/StatementId"));
    for (path, accept, status) in [
        ("/aisp/accounts", "application/xml", 406),
        ("/aisp/accounts", "application/xml, application/json;q=0", 406),
        ("/aisp/accounts", "application/json", 200),
        ("/aisp/accounts", "*/*", 200),
    ] {
        let answer = tpp.uk(&bank, "GET", path, &token, &[("accept", accept)], "").await.expect(status);
        assert!(!answer.header("x-fapi-interaction-id").is_empty());
    }
    // Not judged: which form a statement has is published nowhere.
    let file = format!("{}/open-banking/v4.0{file}", bank.running.api_url);
    let bearer = format!("Bearer {token}");
    for (accept, status) in [("application/pdf", 200), ("text/csv", 406)] {
        let headers = [("authorization", bearer.as_str()), ("accept", accept)];
        tpp.http.try_send("GET", &file, &headers, "").await.unwrap().expect(status);
    }
    bank.stop().await;
}

/// Read/Write API 4.0, idempotency: a replay answers 201 with the resource.
#[tokio::test]
async fn the_same_idempotency_key_makes_one_payment() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp]).await;
    let client = tpp.client_token(&bank, "payments").await;
    let body = json!({"Data": payment("1.00"), "Risk": {}}).to_string();
    let sealed = tpp.sealed(world.clock.now().as_second(), &body);
    let headers = [("x-jws-signature", sealed.as_str()), ("x-idempotency-key", "k")];
    let path = "/pisp/domestic-payment-consents";
    let first = tpp.uk(&bank, "POST", path, &client, &headers, &body).await.expect(201);
    let second = tpp.uk(&bank, "POST", path, &client, &headers, &body).await.expect(201);
    assert_eq!(first.at("/Data/ConsentId"), second.at("/Data/ConsentId"));
    let none = tpp.uk(&bank, "POST", path, &client, &headers[..1], &body).await.expect(400);
    assert_eq!(none.at("/Errors/0/ErrorCode"), "U007");
    bank.stop().await;
}

#[tokio::test]
async fn a_wrong_message_signature_is_refused_with_its_code() {
    let world = World::new();
    let tpp = world.both();
    let stranger = world.both();
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp]).await;
    let client = tpp.client_token(&bank, "payments").await;
    let body = json!({"Data": payment("1.00"), "Risk": {}}).to_string();
    let now = world.clock.now().as_second();
    let without_claims = jws::sign_detached(&tpp.key, &serde_json::Map::new(), body.as_bytes()).unwrap();
    let cases = [
        (tpp.sealed(now, "{}"), "U015"),
        (stranger.sealed(now, &body), "U015"),
        (tpp.sealed(now + 3600, &body), "U016"),
        (without_claims, "U017"),
        ("nonsense".to_owned(), "U018"),
    ];
    let path = "/pisp/domestic-payment-consents";
    for (signature, code) in cases {
        let headers = [("x-jws-signature", signature.as_str()), ("x-idempotency-key", "k")];
        let refused = tpp.uk(&bank, "POST", path, &client, &headers, &body).await.expect(400);
        assert_eq!(refused.at("/Errors/0/ErrorCode"), code);
    }
    let headers = [("x-idempotency-key", "k")];
    let refused = tpp.uk(&bank, "POST", path, &client, &headers, &body).await.expect(400);
    assert_eq!(refused.at("/Errors/0/ErrorCode"), "U019");
    assert!(bank.running.journal().entries().iter().all(|entry| !entry.facts.contains(&Fact::Signature)));
    bank.stop().await;
}

#[tokio::test]
async fn a_certificate_without_the_role_or_without_psd2_is_refused() {
    let world = World::new();
    let aisp = world.tpp(100_003, &[Psd2Role::AccountInformation]);
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&aisp]).await;
    let client = aisp.client_token(&bank, "payments").await;
    let body = json!({"Data": payment("1.00"), "Risk": {}}).to_string();
    let path = "/pisp/domestic-payment-consents";
    aisp.uk(&bank, "POST", path, &client, &[], &body).await.expect(403);

    let plain = world.authority.issue_client_plain("nobody").unwrap();
    let plain = world::Http::new(&world.authority, Some(&plain));
    let url = format!("{}/token", bank.running.api_url);
    plain
        .form(&url, &[("grant_type", "client_credentials"), ("client_id", "client-100003")])
        .await
        .expect(401);
    let naked = world.browser().try_send("GET", &bank.running.api_url, &[], "").await;
    assert!(naked.is_err(), "the handshake needs a certificate");
    let elsewhere = World::new();
    let foreign = elsewhere.authority.issue_client_plain("nobody").unwrap();
    let foreign = world::Http::new(&world.authority, Some(&foreign));
    assert!(foreign.try_send("GET", &bank.running.api_url, &[], "").await.is_err());
    bank.stop().await;
}

/// RFC 7523 §3 and FAPI 2.0 §5.3.2.1: the audience is the issuer, a jti comes once.
#[tokio::test]
async fn an_assertion_authenticates_once_and_only_for_this_bank() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp]).await;
    let now = world.clock.now().as_second();
    let good = tpp.jwt(&bank, now, json!({}));
    let ask = async |assertion: &str| {
        let fields = [
            ("grant_type", "client_credentials"),
            ("scope", "accounts"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
        ];
        tpp.http.form(&format!("{}/token", bank.running.api_url), &fields).await
    };
    ask(&good).await.expect(200);
    ask(&good).await.expect(401);
    for wrong in [json!({"aud": "https://elsewhere"}), json!({"exp": now - 1}), json!({"iss": "other"})] {
        let refused = ask(&tpp.jwt(&bank, now, wrong)).await.expect(401);
        assert_eq!(refused.at("/error"), "invalid_client");
    }
    bank.stop().await;
}

/// RFC 9101: what counts is inside the signed object.
#[tokio::test]
async fn a_signed_request_object_can_be_pushed() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp]).await;
    let consent = account_consent(&tpp, &bank, &ALL).await;
    let now = world.clock.now().as_second();
    let request = json!({
        "client_id": tpp.client_id,
        "response_type": "code",
        "redirect_uri": world::REDIRECT,
        "scope": "openid accounts",
        "state": "s",
        "nonce": "n",
        "code_challenge": crypto::digest::pkce_challenge(VERIFIER),
        "code_challenge_method": "S256",
        "claims": {"id_token": {"openbanking_intent_id": {"value": consent}}},
    });
    let push = async |object: String| {
        let fields = [("client_id", tpp.client_id.as_str()), ("request", object.as_str())];
        tpp.http.form(&format!("{}/par", bank.running.api_url), &fields).await
    };
    push(tpp.jwt(&bank, now, request.clone())).await.expect(201);
    let expired = push(tpp.jwt(&bank, now - 3600, request.clone())).await.expect(400);
    assert_eq!(expired.at("/error"), "invalid_request_object");
    for (name, value) in [
        ("redirect_uri", json!("https://evil.example/")),
        ("code_challenge_method", json!("plain")),
        ("claims", json!({})),
        ("response_type", json!("token")),
    ] {
        let mut changed = request.clone();
        changed[name] = value;
        push(tpp.jwt(&bank, now, changed)).await.expect(400);
    }
    bank.stop().await;
}

#[tokio::test]
async fn two_orders_for_one_consent_at_the_same_time_pay_once() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp]).await;
    let client = tpp.client_token(&bank, "payments").await;
    let body = json!({"Data": payment("5.00"), "Risk": {}}).to_string();
    let now = world.clock.now().as_second();
    let sealed = tpp.sealed(now, &body);
    let headers = [("x-jws-signature", sealed.as_str()), ("x-idempotency-key", "c")];
    let path = "/pisp/domestic-payment-consents";
    let consent = tpp.uk(&bank, "POST", path, &client, &headers, &body).await.at("/Data/ConsentId");
    let token = approved(&world, &tpp, &bank, &consent, "openid payments").await.at("/access_token");
    let funds = format!("{path}/{consent}/funds-confirmation");
    let funds = tpp.uk(&bank, "GET", &funds, &token, &[], "").await.expect(200);
    assert_eq!(funds.at("/Data/FundsAvailableResult/FundsAvailable"), "true");
    let mut data = payment("5.00");
    data["ConsentId"] = json!(consent);
    let body = json!({"Data": data, "Risk": {}}).to_string();
    let sealed = tpp.sealed(now, &body);
    let place = async |key: &str| {
        let headers = [("x-jws-signature", sealed.as_str()), ("x-idempotency-key", key)];
        tpp.uk(&bank, "POST", "/pisp/domestic-payments", &token, &headers, &body).await
    };
    let (a, b, c, d) = tokio::join!(place("a"), place("b"), place("a"), place("d"));
    let made: std::collections::HashSet<String> = [a, b, c, d]
        .iter()
        .filter(|answer| answer.status == 201)
        .map(|answer| answer.at("/Data/DomesticPaymentId"))
        .collect();
    assert_eq!(made.len(), 1);
    data["Initiation"]["InstructedAmount"]["Amount"] = json!("6.00");
    let other = json!({"Data": data, "Risk": {}}).to_string();
    let sealed = tpp.sealed(now, &other);
    let headers = [("x-jws-signature", sealed.as_str()), ("x-idempotency-key", "e")];
    let refused =
        tpp.uk(&bank, "POST", "/pisp/domestic-payments", &token, &headers, &other).await.expect(400);
    assert_eq!(refused.at("/Errors/0/ErrorCode"), "U009");
    bank.stop().await;
}

/// PSD2 article 66: an answer that is lost must not cost a second payment.
#[tokio::test]
async fn an_order_whose_answer_was_lost_is_found_again_by_its_key() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp]).await;
    let client = tpp.client_token(&bank, "payments").await;
    let body = json!({"Data": payment("7.00"), "Risk": {}}).to_string();
    let sealed = tpp.sealed(world.clock.now().as_second(), &body);
    let bearer = format!("Bearer {client}");
    let headers = [
        ("x-jws-signature", sealed.as_str()),
        ("x-idempotency-key", "lost"),
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let url = format!("{}/open-banking/v4.0/pisp/domestic-payment-consents", bank.running.api_url);
    bank.running.faults().arm("POST", "payment-consents", consentry_modelbank::Fault::LoseAnswer, 1);
    assert!(tpp.http.try_send("POST", &url, &headers, &body).await.is_err());
    let seen = bank.running.journal().entries();
    assert_eq!(seen.last().map(|entry| entry.status), Some(201), "the bank did act");
    tpp.http.send("POST", &url, &headers, &body).await.expect(201);
    let last = bank.running.journal().entries().pop().unwrap();
    assert!(last.facts.contains(&Fact::Replay));
    bank.stop().await;
}

#[tokio::test]
async fn an_expired_consent_opens_nothing_and_says_that_the_customer_must_come_again() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp]).await;
    let token = tpp.client_token(&bank, "accounts").await;
    let until = world.clock.now().checked_add(jiff::SignedDuration::from_mins(5)).unwrap().to_string();
    let body = json!({"Data": {"Permissions": ALL, "ExpirationDateTime": until}, "Risk": {}}).to_string();
    let made = tpp.uk(&bank, "POST", "/aisp/account-access-consents", &token, &[], &body).await.expect(201);
    let consent = made.at("/Data/ConsentId");
    let access = approved(&world, &tpp, &bank, &consent, "openid accounts").await.at("/access_token");
    tpp.uk(&bank, "GET", "/aisp/accounts", &access, &[], "").await.expect(200);
    world.clock.advance(301);
    let refused = tpp.uk(&bank, "GET", "/aisp/accounts", &access, &[], "").await.expect(403);
    assert_eq!(refused.at("/Errors/0/ErrorCode"), "U028");
    let path = format!("/aisp/account-access-consents/{consent}");
    assert_eq!(tpp.uk(&bank, "GET", &path, &token, &[], "").await.at("/Data/Status"), "EXPD");
    world.clock.advance(3_600);
    tpp.uk(&bank, "GET", "/aisp/accounts", &access, &[], "").await.expect(401);
    bank.stop().await;
}

/// Signed nonsense is still refused, never answered with a failure of the bank.
#[tokio::test]
async fn malformed_requests_are_the_callers_fault() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp]).await;
    let accounts = tpp.client_token(&bank, "accounts").await;
    let payments = tpp.client_token(&bank, "payments").await;
    let deep = "[".repeat(10_000);
    let unknown = json!({"Data": {"Permissions": ["ReadMinds"]}, "Risk": {}}).to_string();
    let half = json!({"Data": {"Permissions": ["ReadAccountsBasic", "ReadTransactionsBasic"]}, "Risk": {}});
    let half = half.to_string();
    for body in ["", "null", "[]", "{}", &deep, &unknown, &half] {
        let path = "/aisp/account-access-consents";
        tpp.uk(&bank, "POST", path, &accounts, &[], body).await.expect(400);
        let sealed = tpp.sealed(world.clock.now().as_second(), body);
        let headers = [("x-jws-signature", sealed.as_str()), ("x-idempotency-key", "k")];
        let path = "/pisp/domestic-payment-consents";
        tpp.uk(&bank, "POST", path, &payments, &headers, body).await.expect(400);
    }
    for (pointer, value, code) in [
        ("/Initiation/InstructedAmount/Amount", "-1.00", "U002"),
        ("/Initiation/InstructedAmount/Amount", "0.00", "U002"),
        ("/Initiation/InstructedAmount/Currency", "USD", "U023"),
        ("/Initiation/CreditorAccount/SchemeName", "UK.OBIE.Telepathy", "U027"),
        ("/Initiation/CreditorAccount/Identification", "1", "U021"),
        ("/Initiation/EndToEndIdentification", "", "U004"),
    ] {
        let mut data = payment("1.00");
        *data.pointer_mut(pointer).unwrap() = json!(value);
        let body = json!({"Data": data, "Risk": {}}).to_string();
        let sealed = tpp.sealed(world.clock.now().as_second(), &body);
        let headers = [("x-jws-signature", sealed.as_str()), ("x-idempotency-key", "k")];
        let path = "/pisp/domestic-payment-consents";
        let refused = tpp.uk(&bank, "POST", path, &payments, &headers, &body).await.expect(400);
        assert_eq!(refused.at("/Errors/0/ErrorCode"), code, "{pointer}");
    }
    for fields in [[("grant_type", "password"), ("client_id", &tpp.client_id)], [("", ""), ("", "")]] {
        let answer = tpp.http.form(&format!("{}/token", bank.running.api_url), &fields).await;
        assert!(answer.status.is_client_error());
    }
    tpp.uk(&bank, "GET", "/aisp/accounts", &accounts, &[], "").await.expect(401);
    tpp.uk(&bank, "GET", "/aisp/accounts", "nothing", &[], "").await.expect(401);
    bank.stop().await;
}
