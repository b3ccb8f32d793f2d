//! What the banks answer about funds, over real TLS.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod world;

use consentry_modelbank::{BankKind, Fact};
use crypto::Psd2Role;
use serde_json::{Value, json};
use world::{Answer, Bank, Tpp, World, parameter};

const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-long";

fn issuer(world: &World) -> Tpp {
    world.tpp(100_003, &[Psd2Role::CardIssuing])
}

fn uk_consent(more: Value) -> String {
    let account =
        json!({ "SchemeName": "UK.OBIE.SortCodeAccountNumber", "Identification": "99001110000017" });
    let mut data = json!({ "DebtorAccount": account });
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "Data": data }).to_string()
}

fn uk_question(consent: &str, amount: &str, currency: &str) -> String {
    let amount = json!({ "Amount": amount, "Currency": currency });
    json!({ "Data": { "ConsentId": consent, "Reference": "order 7", "InstructedAmount": amount } })
        .to_string()
}

const UK_CONSENTS: &str = "/cbpii/funds-confirmation-consents";
const UK_QUESTIONS: &str = "/cbpii/funds-confirmations";

/// A consent that the customer gave, and its token.
async fn uk_given(world: &World, tpp: &Tpp, bank: &Bank, more: Value) -> (String, String) {
    let own = tpp.client_token(bank, "fundsconfirmations").await;
    let made = tpp.uk(bank, "POST", UK_CONSENTS, &own, &[], &uk_consent(more)).await.expect(201);
    assert_eq!(made.at("/Data/Status"), "AWAU");
    let consent = made.at("/Data/ConsentId");
    let url = tpp.push(bank, &consent, "openid fundsconfirmations", VERIFIER).await;
    let sent_back = world.browser().send("GET", &url, &[], "").await.expect(303);
    let tokens = tpp.redeem(bank, &parameter(&sent_back, "code").unwrap(), VERIFIER).await.expect(200);
    (consent, tokens.at("/access_token"))
}

/// Read/Write API 4.0, Confirmation of Funds: yes as long as the money is there, and
/// no more than that.
#[tokio::test]
async fn a_uk_bank_says_yes_up_to_what_is_there_and_no_above() {
    let world = World::new();
    let tpp = issuer(&world);
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp]).await;
    let (consent, token) = uk_given(&world, &tpp, &bank, json!({})).await;
    let ask = async |amount: &str| {
        let question = uk_question(&consent, amount, "GBP");
        tpp.uk(&bank, "POST", UK_QUESTIONS, &token, &[], &question).await.expect(201)
    };
    let yes = ask("3482.17").await;
    assert_eq!(yes.json()["Data"]["FundsAvailable"], true);
    assert_eq!(yes.at("/Data/Reference"), "order 7");
    assert!(!yes.text.contains("99001110000017"), "nothing of the account is told");
    assert_eq!(ask("3482.18").await.json()["Data"]["FundsAvailable"], false);
    assert_eq!(ask("5.11").await.json()["Data"]["FundsAvailable"], false, "AM04");
    let entry = bank.running.journal().entries().into_iter().last().unwrap();
    assert_eq!(entry.facts, [Fact::Role, Fact::Token, Fact::Consent]);
    bank.stop().await;
}

#[tokio::test]
async fn a_uk_bank_answers_only_under_the_consent_of_the_account_and_only_to_a_card_issuer() {
    let world = World::new();
    let tpp = issuer(&world);
    let reader = world.both();
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp, &reader]).await;
    let (consent, token) = uk_given(&world, &tpp, &bank, json!({})).await;
    let (another, _) = uk_given(&world, &tpp, &bank, json!({})).await;
    let ask = async |tpp: &Tpp, token: &str, question: String| {
        tpp.uk(&bank, "POST", UK_QUESTIONS, token, &[], &question).await
    };
    let code = |answer: Answer| answer.at("/Errors/0/ErrorCode");
    ask(&tpp, &token, uk_question(&another, "1.00", "GBP")).await.expect(403);
    ask(&reader, &token, uk_question(&consent, "1.00", "GBP")).await.expect(403);
    let own = tpp.client_token(&bank, "fundsconfirmations").await;
    ask(&tpp, &own, uk_question(&consent, "1.00", "GBP")).await.expect(403);
    let foreign = ask(&tpp, &token, uk_question(&consent, "1.00", "EUR")).await.expect(400);
    assert_eq!(code(foreign), "U023");
    let long = uk_question(&consent, "1.00", "GBP").replace("order 7", &"x".repeat(36));
    assert_eq!(code(ask(&tpp, &token, long).await.expect(400)), "U002");
    for (length, status) in [(0, 400), (350, 201), (351, 400)] {
        let mut named: Value = serde_json::from_str(&uk_consent(json!({}))).unwrap();
        *named.pointer_mut("/Data/DebtorAccount").unwrap() = json!({
            "SchemeName": "UK.OBIE.SortCodeAccountNumber",
            "Identification": "99001110000017",
            "Name": "ä".repeat(length),
        });
        let made = tpp.uk(&bank, "POST", UK_CONSENTS, &own, &[], &named.to_string()).await.expect(status);
        if status == 400 {
            assert_eq!(made.at("/Errors/0/Path"), "Data.DebtorAccount.Name");
            assert_eq!(code(made), "U002");
        }
    }
    let unknown = uk_consent(json!({})).replace("10000017", "10000099");
    let refused = tpp.uk(&bank, "POST", UK_CONSENTS, &own, &[], &unknown).await.expect(400);
    assert_eq!(code(refused), "U021");
    let reading = reader.client_token(&bank, "accounts").await;
    reader.uk(&bank, "POST", UK_CONSENTS, &reading, &[], &uk_consent(json!({}))).await.expect(403);
    bank.stop().await;
}

#[tokio::test]
async fn a_uk_bank_answers_nothing_under_a_consent_that_ended() {
    let world = World::new();
    let tpp = issuer(&world);
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp]).await;
    let own = tpp.client_token(&bank, "fundsconfirmations").await;
    let past = uk_consent(json!({ "ExpirationDateTime": "2020-01-01T00:00:00Z" }));
    tpp.uk(&bank, "POST", UK_CONSENTS, &own, &[], &past).await.expect(400);

    let (consent, token) = uk_given(&world, &tpp, &bank, json!({})).await;
    let place = format!("{UK_CONSENTS}/{consent}");
    assert_eq!(tpp.uk(&bank, "GET", &place, &own, &[], "").await.expect(200).at("/Data/Status"), "AUTH");
    tpp.uk(&bank, "DELETE", &place, &own, &[], "").await.expect(204);
    tpp.uk(&bank, "GET", &place, &own, &[], "").await.expect(400);
    let question = uk_question(&consent, "1.00", "GBP");
    tpp.uk(&bank, "POST", UK_QUESTIONS, &token, &[], &question).await.expect(401);
    bank.stop().await;
}

/// XS2A 10.1: a question, signed, by a card issuer; the customer has agreed at the bank.
#[tokio::test]
async fn a_berlin_group_bank_answers_where_its_customer_has_agreed() {
    let world = World::new();
    let (tpp, reader) = (issuer(&world), world.both());
    let bank = world.bank(BankKind::BerlinGroupRedirect, true, &[&tpp, &reader]).await;
    let question = |iban: &str, amount: &str, currency: &str| {
        let amount = json!({ "amount": amount, "currency": currency });
        json!({ "account": { "iban": iban }, "instructedAmount": amount }).to_string()
    };
    let ask = async |tpp: &Tpp, body: String| {
        tpp.berlin(&bank, "POST", "/v1/funds-confirmations", &[], &body).await
    };
    const CURRENT: &str = "DE17999100001000000017";
    for (amount, available) in [("2913.44", true), ("2913.45", false), ("5.11", false)] {
        let told = ask(&tpp, question(CURRENT, amount, "EUR")).await.expect(200);
        assert_eq!(told.json(), json!({ "fundsAvailable": available }), "{amount}");
    }
    for (body, status, code) in [
        (question(CURRENT, "1.00", "USD"), 400, "PARAMETER_NOT_CONSISTENT"),
        (question(CURRENT, "0.00", "EUR"), 400, "FORMAT_ERROR"),
        (question("DE89370400440532013000", "1.00", "EUR"), 400, "RESOURCE_UNKNOWN"),
        (question("DE92999100001000000025", "1.00", "EUR"), 400, "NO_PIIS_ACTIVATION"),
    ] {
        assert_eq!(ask(&tpp, body).await.expect(status).at("/tppMessages/0/code"), code);
    }
    let refused = ask(&reader, question(CURRENT, "1.00", "EUR")).await.expect(401);
    assert_eq!(refused.at("/tppMessages/0/code"), "ROLE_INVALID");
    let url = format!("{}/v1/funds-confirmations", bank.running.api_url);
    let id = [("x-request-id", "99391c7e-ad88-49ec-a2ad-99ddcb1f7721")];
    let unsigned = tpp.http.send("POST", &url, &id, &question(CURRENT, "1.00", "EUR")).await.expect(401);
    assert_eq!(unsigned.at("/tppMessages/0/code"), "SIGNATURE_MISSING");
    bank.stop().await;
}

/// Confirmation of Funds Consent 2.0: an account that the bank answers nobody about is
/// answered under a consent to it, and under no other, until that ends.
#[tokio::test]
async fn a_berlin_group_bank_answers_under_a_consent_that_it_was_given() {
    const SAVINGS: &str = "DE92999100001000000025";
    const PLACE: &str = "/v2/consents/confirmation-of-funds";
    let world = World::new();
    let (tpp, reader) = (issuer(&world), world.both());
    let bank = world.bank(BankKind::BerlinGroupRedirect, true, &[&tpp, &reader]).await;
    let body = |iban: &str| json!({ "account": { "iban": iban } }).to_string();
    let lodge =
        async |tpp: &Tpp, iban: &str| tpp.berlin(&bank, "POST", PLACE, &world::REDIRECTED, &body(iban)).await;
    let get = async |path: &str| tpp.berlin(&bank, "GET", path, &[], "").await;
    let made = lodge(&tpp, SAVINGS).await.expect(201);
    let id = made.at("/consentId");
    let path = format!("{PLACE}/{id}");
    assert_eq!(made.at("/consentStatus"), "received");
    let ask = async |iban: &str| {
        let amount = json!({ "amount": "1.00", "currency": "EUR" });
        let question = json!({ "account": { "iban": iban }, "instructedAmount": amount }).to_string();
        tpp.berlin(&bank, "POST", "/v1/funds-confirmations", &[("consent-id", &id)], &question).await
    };
    assert_eq!(ask(SAVINGS).await.expect(401).at("/tppMessages/0/code"), "CONSENT_INVALID");
    world.browser().send("GET", &made.at("/_links/scaRedirect/href"), &[], "").await.expect(303);
    assert_eq!(get(&format!("{path}/status")).await.expect(200).at("/consentStatus"), "valid");
    assert_eq!(get(&path).await.expect(200).at("/account/iban"), SAVINGS);
    assert_eq!(
        get(&format!("{path}/authorisations")).await.expect(200).json()["authorisationIds"][0],
        made.at("/_links/scaStatus/href").rsplit('/').next().unwrap()
    );
    assert_eq!(get(&made.at("/_links/scaStatus/href")).await.expect(200).at("/scaStatus"), "finalised");
    assert_eq!(ask(SAVINGS).await.expect(200).json(), json!({ "fundsAvailable": true }));
    let other = ask("DE17999100001000000017").await.expect(400);
    assert_eq!(other.at("/tppMessages/0/code"), "NO_PIIS_ACTIVATION");
    // It opens no account, and is nobody else's.
    let headers = [("consent-id", id.as_str()), ("psu-ip-address", "192.0.2.1")];
    reader.berlin(&bank, "GET", "/v1/accounts", &headers, "").await.expect(400);
    reader.berlin(&bank, "GET", &path, &[], "").await.expect(401);
    lodge(&reader, SAVINGS).await.expect(401);
    lodge(&tpp, "DE89370400440532013000").await.expect(400);
    let explicit = [&world::REDIRECTED[..], &[("tpp-explicit-authorisation-preferred", "true")]].concat();
    let open = tpp.berlin(&bank, "POST", PLACE, &explicit, &body(SAVINGS)).await.expect(201);
    let start = open.at("/_links/startAuthorisation/href");
    tpp.berlin(&bank, "POST", &start, &world::REDIRECTED, "{}").await.expect(201);
    tpp.berlin(&bank, "DELETE", &path, &[], "").await.expect(204);
    assert_eq!(get(&format!("{path}/status")).await.at("/consentStatus"), "terminatedByTpp");
    assert_eq!(ask(SAVINGS).await.expect(401).at("/tppMessages/0/code"), "CONSENT_INVALID");
    bank.stop().await;
}

/// STET 1.4 section 4.7.
#[tokio::test]
async fn a_stet_bank_answers_with_a_token_of_the_scope_cbpii() {
    let world = World::new();
    let tpp = issuer(&world);
    let bank = world.bank(BankKind::Stet, true, &[&tpp]).await;
    let mut url = url::Url::parse(&format!("{}/authorize", bank.running.pages_url)).unwrap();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &tpp.client_id)
        .append_pair("redirect_uri", world::REDIRECT)
        .append_pair("scope", "cbpii")
        .append_pair("state", "s");
    let sent_back = world.browser().send("GET", url.as_str(), &[], "").await.expect(303);
    let tokens = tpp.redeem(&bank, &parameter(&sent_back, "code").unwrap(), VERIFIER).await.expect(200);
    let bearer = format!("Bearer {}", tokens.at("/access_token"));
    let question = |iban: &str, amount: &str, currency: &str| {
        let amount = json!({ "amount": amount, "currency": currency });
        json!({ "paymentCoverageRequestId": "order 7", "instructedAmount": amount, "accountId": { "iban": iban } })
    };
    let ask = async |body: &Value| {
        let headers = [("authorization", bearer.as_str())];
        tpp.stet(&bank, "POST", "/funds-confirmations", &headers, &body.to_string()).await
    };
    const CURRENT: &str = "FR7699902000010001000001730";
    for (amount, available) in [("1842.90", true), ("1842.91", false)] {
        let asked = question(CURRENT, amount, "EUR");
        let told = ask(&asked).await.expect(200).json();
        assert_eq!((&told["result"], &told["request"]), (&json!(available), &asked), "{amount}");
    }
    ask(&question(CURRENT, "1.00", "USD")).await.expect(400);
    // Ben's account: not of this authorization.
    ask(&question("FR7630006000011234567890189", "1.00", "EUR")).await.expect(403);
    tpp.stet(&bank, "GET", "/accounts", &[("authorization", bearer.as_str())], "").await.expect(403);
    bank.stop().await;
}

/// PolishAPI 2.1.1, getConfirmationOfFunds.
#[tokio::test]
async fn a_polish_bank_answers_where_its_customer_has_agreed() {
    let world = World::new();
    let (tpp, reader) = (issuer(&world), world.both());
    let bank = world.bank(BankKind::PolishApi, true, &[&tpp, &reader]).await;
    let question = |number: &str, amount: &str, currency: &str| json!({ "accountNumber": number, "amount": amount, "currency": currency });
    let ask =
        async |tpp: &Tpp, members: Value| tpp.polish(&bank, "getConfirmationOfFunds", None, members).await;
    const CURRENT: &str = "PL82999010060000000000010017";
    let yes = ask(&tpp, question(CURRENT, "1.00", "PLN")).await.expect(200);
    assert_eq!(yes.json()["fundsAvailable"], true);
    assert!(yes.json()["responseHeader"]["requestId"].is_string());
    let national = question(&CURRENT[2..], "99999999.00", "PLN");
    assert_eq!(ask(&tpp, national).await.expect(200).json()["fundsAvailable"], false);
    ask(&tpp, question(CURRENT, "1", "PLN")).await.expect(400);
    ask(&tpp, question(CURRENT, "1.00", "EUR")).await.expect(422);
    ask(&tpp, question("PL61109010140000071219812874", "1.00", "PLN")).await.expect(422);
    ask(&reader, question(CURRENT, "1.00", "PLN")).await.expect(403);
    bank.stop().await;
}
