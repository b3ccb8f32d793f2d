//! The Polish bank, as a TPP meets it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod world;

use consentry_modelbank::{BankKind, Fact};
use crypto::{Algorithm, Jwks, Psd2Role, jws};
use serde_json::{Value, json};
use world::{Answer, Bank, Headers, REDIRECT, Tpp, World, parameter};

const PRESENT: &str = "192.0.2.1";

fn ais(consent: &str) -> Value {
    let history = json!({ "scopeUsageLimit": "multiple", "maxAllowedHistoryLong": 90 });
    request(
        consent,
        "ais",
        json!([{
            "ais-accounts:getAccounts": { "scopeUsageLimit": "multiple" },
            "ais:getAccount": { "scopeUsageLimit": "multiple" },
            "ais:getTransactionsDone": history,
            "ais:getTransactionsPending": history,
            "ais:getTransactionsScheduled": history,
        }]),
    )
}

fn transfer(amount: &str) -> Value {
    json!({
        "recipient": {
            "accountNumber": "PL06999010060000000000020018",
            "nameAddress": { "value": ["Sklep Nadwiślański"] },
        },
        "sender": {},
        "transferData": { "description": "Faktura 7", "amount": amount, "currency": "PLN" },
        "deliveryMode": "ExpressD0",
        "system": "ExpressElixir",
        "executionMode": "Immediate",
    })
}

fn pis(consent: &str, transfer: &Value) -> Value {
    let name = json!({ "scopeUsageLimit": "multiple", "tppTransactionId": "T-1" });
    request(consent, "pis", json!([{ "pis:domestic": transfer, "pis:getPayment": name }]))
}

fn request(consent: &str, scope: &str, privileges: Value) -> Value {
    json!({
        "response_type": "code",
        "client_id": "client-100001",
        "redirect_uri": REDIRECT,
        "scope": scope,
        "state": "the state",
        "scope_details": {
            "consentId": consent,
            "scopeGroupType": scope,
            "scopeTimeLimit": "2099-01-01T00:00:00Z",
            "throttlingPolicy": "psd2Regulatory",
            "privilegeList": privileges,
        },
    })
}

fn with(mut members: Value, name: &str, value: Value) -> Value {
    members[name] = value;
    members
}

fn directly(members: Value) -> Value {
    with(members, "requestHeader", json!({ "isDirectPsu": true, "ipAddress": PRESENT }))
}

/// The answer of the token endpoint to an authorization by Anna.
async fn authorized(world: &World, tpp: &Tpp, bank: &Bank, request: Value) -> Answer {
    let asked = tpp.polish(bank, "authorize", None, request).await.expect(200);
    let page = asked.at("/aspspRedirectUri");
    let back = world.browser().send("GET", &page, &[("x-sandbox-psu", "anna")], "").await.expect(303);
    assert_eq!(parameter(&back, "state").as_deref(), Some("the state"));
    redeem(tpp, bank, &parameter(&back, "code").unwrap()).await.expect(200)
}

async fn redeem(tpp: &Tpp, bank: &Bank, code: &str) -> Answer {
    let members = json!({
        "grant_type": "authorization_code",
        "Code": code,
        "redirect_uri": REDIRECT,
        "client_id": tpp.client_id,
    });
    tpp.polish(bank, "token", None, members).await
}

#[tokio::test]
async fn an_authorization_opens_accounts_balances_and_pages_of_transactions() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::PolishApi, true, &[&tpp]).await;
    let tokens = authorized(&world, &tpp, &bank, ais("c-1")).await;
    assert_eq!(tokens.at("/expires_in"), "3600");
    assert_eq!(tokens.at("/scope_details/privilegeList/0/accountNumber"), "PL82999010060000000000010017");
    let token = tokens.at("/access_token");
    let ask = async |operation: &str, members: Value| {
        tpp.polish(&bank, operation, Some(&token), directly(members)).await.expect(200)
    };
    let accounts = ask("getAccounts", json!({})).await;
    let number = accounts.at("/accounts/0/accountNumber");
    let account = ask("getAccount", json!({ "accountNumber": number })).await;
    assert_eq!(account.at("/account/bookingBalance"), "8421.50");
    assert_eq!(account.at("/account/currency"), "PLN");
    let mut ids = std::collections::HashSet::new();
    let mut members = json!({ "accountNumber": number, "perPage": 30 });
    loop {
        let page = ask("getTransactionsDone", members.clone()).await.json();
        for entry in page["transactions"].as_array().unwrap() {
            assert!(ids.insert(entry["itemId"].as_str().unwrap().to_owned()), "no entry comes twice");
        }
        let Some(next) = page.pointer("/pageInfo/nextPage") else { break };
        members = with(members, "pageId", next.clone());
    }
    assert!(ids.len() > 80, "{}", ids.len());
    // The same account by its number without the country.
    let pending = ask("getTransactionsPending", json!({ "accountNumber": &number[2..] })).await;
    assert_eq!(pending.json()["transactions"].as_array().unwrap().len(), 1);
    let to_come = ask("getTransactionsScheduled", json!({ "accountNumber": number })).await;
    assert_eq!(to_come.at("/transactions/0/amount"), "45.00");
    assert_eq!(to_come.at("/transactions/0/transactionCategory"), "DEBIT");
    let facts = bank.running.journal().entries().pop().unwrap().facts;
    for fact in [Fact::Role, Fact::Signature, Fact::Token, Fact::Consent, Fact::PsuPresent] {
        assert!(facts.contains(&fact), "{fact:?}");
    }
    bank.stop().await;
}

/// PolishAPI 2.1: X-JWS-SIGNATURE is a detached JWS of the body, of requests and of answers.
#[tokio::test]
async fn bodies_are_signed_in_both_directions() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::PolishApi, true, &[&tpp]).await;
    let send = async |spoil: &dyn Fn(&mut Headers, &mut String)| {
        let sent =
            tpp.polish_with(&bank, "authorize", None, ais("c-1"), |headers, body| spoil(headers, body));
        sent.await
    };
    let drop = |name: &'static str| {
        move |headers: &mut Headers, _: &mut String| headers.retain(|(found, _)| found != name)
    };
    for name in ["x-jws-signature", "x-request-id"] {
        send(&drop(name)).await.expect(400);
    }
    for name in ["accept-encoding", "accept-language", "accept-charset"] {
        send(&drop(name)).await.expect(406);
    }
    send(&|_, body| *body = body.replace("c-1", "c-2")).await.expect(400);
    let answer = send(&|_, _| {}).await.expect(200);
    assert_eq!(answer.json()["responseHeader"]["isCallback"], false);
    let key = world.signing_key();
    let keys = Jwks::of([&key]);
    let token = answer.header("x-jws-signature");
    jws::verify_detached(token, answer.text.as_bytes(), &keys, &[Algorithm::Ps256], &[]).unwrap();
    bank.stop().await;
}

#[tokio::test]
async fn a_request_for_authorization_that_does_not_fit_is_refused() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::PolishApi, true, &[&tpp]).await;
    let ask = async |request: Value| tpp.polish(&bank, "authorize", None, request).await.status.as_u16();
    for (name, value) in [
        ("response_type", "token"),
        ("client_id", "mallory"),
        ("redirect_uri", "https://evil.example/"),
        ("scope", "pis"),
        ("state", ""),
    ] {
        assert_eq!(ask(with(ais("c-1"), name, json!(value))).await, 400, "{name}");
    }
    for (name, value) in [
        ("consentId", json!("")),
        ("scopeTimeLimit", json!("2020-01-01T00:00:00Z")),
        ("throttlingPolicy", json!("none")),
        ("privilegeList", json!([])),
    ] {
        let mut request = ais("c-1");
        request["scope_details"][name] = value;
        assert_eq!(ask(request).await, 400, "{name}");
    }
    assert_eq!(ask(request("c-1", "ais-accounts", json!([{}]))).await, 422);
    assert_eq!(ask(ais("c-1")).await, 200);
    assert_eq!(ask(ais("c-1")).await, 422, "a consent is named once");
    bank.stop().await;
}

#[tokio::test]
async fn a_code_is_redeemed_once_and_a_token_renewed_while_the_consent_stands() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::PolishApi, true, &[&tpp]).await;
    let asked = tpp.polish(&bank, "authorize", None, ais("c-1")).await.expect(200);
    let back = world.browser().send("GET", &asked.at("/aspspRedirectUri"), &[], "").await.expect(303);
    let code = parameter(&back, "code").unwrap();
    let tokens = redeem(&tpp, &bank, &code).await.expect(200);
    let refresh = json!({ "grant_type": "refresh_token", "refresh_token": tokens.at("/refresh_token") });
    tpp.polish(&bank, "token", None, refresh.clone()).await.expect(200);
    let exchange = json!({ "grant_type": "exchange_token", "exchange_token": tokens.at("/access_token") });
    tpp.polish(&bank, "token", None, exchange).await.expect(422);
    tpp.polish(&bank, "deleteConsent", None, json!({ "consentId": "c-2" })).await.expect(403);
    tpp.polish(&bank, "deleteConsent", None, json!({ "consentId": "c-1" })).await.expect(204);
    tpp.polish(&bank, "token", None, refresh).await.expect(401);
    let token = tokens.at("/access_token");
    tpp.polish(&bank, "getAccounts", Some(&token), directly(json!({}))).await.expect(401);
    redeem(&tpp, &bank, &code).await.expect(401);
    bank.stop().await;
}

/// RTS article 36(5)(b).
#[tokio::test]
async fn four_accesses_a_day_go_without_the_customer() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::PolishApi, true, &[&tpp]).await;
    let token = authorized(&world, &tpp, &bank, ais("c-1")).await.at("/access_token");
    for _ in 0..4 {
        tpp.polish(&bank, "getAccounts", Some(&token), json!({})).await.expect(200);
    }
    tpp.polish(&bank, "getAccounts", Some(&token), json!({})).await.expect(429);
    tpp.polish(&bank, "getAccounts", Some(&token), directly(json!({}))).await.expect(200);
    let nowhere = with(json!({}), "requestHeader", json!({ "isDirectPsu": true }));
    tpp.polish(&bank, "getAccounts", Some(&token), nowhere).await.expect(400);
    bank.stop().await;
}

#[tokio::test]
async fn a_transfer_is_placed_once_and_as_it_was_authorised() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::PolishApi, true, &[&tpp]).await;
    let asked = transfer("12.50");
    let token = authorized(&world, &tpp, &bank, pis("c-1", &asked)).await.at("/access_token");
    let place = async |transfer: &Value| {
        let order = with(with(transfer.clone(), "tppTransactionId", json!("T-1")), "hold", json!(false));
        tpp.polish(&bank, "domestic", Some(&token), order).await
    };
    let other = with(asked.clone(), "transferData", json!({ "description": "Faktura 7", "amount": "99.00" }));
    place(&other).await.expect(422);
    let placed = place(&asked).await.expect(200);
    assert_eq!(placed.at("/generalStatus"), "submitted");
    world.clock.advance(1);
    for name in [json!({ "paymentId": placed.at("/paymentId") }), json!({ "tppTransactionId": "T-1" })] {
        let found = tpp.polish(&bank, "getPayment", Some(&token), name).await.expect(200);
        assert_eq!(found.at("/generalStatus"), "done");
    }
    tpp.polish(&bank, "getPayment", Some(&token), json!({ "paymentId": "pay-0" })).await.expect(422);
    place(&asked).await.expect(403);
    bank.stop().await;
}

#[tokio::test]
async fn a_transfer_beyond_the_account_or_declined_is_not_carried_out() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::PolishApi, true, &[&tpp]).await;
    let much = transfer("9999999.00");
    let token = authorized(&world, &tpp, &bank, pis("c-1", &much)).await.at("/access_token");
    let order = with(much, "tppTransactionId", json!("T-1"));
    let placed = tpp.polish(&bank, "domestic", Some(&token), order).await.expect(200);
    assert_eq!(
        (placed.at("/generalStatus"), placed.at("/detailedStatus")),
        ("rejected".into(), "AM04".into())
    );
    let asked = tpp.polish(&bank, "authorize", None, pis("c-2", &transfer("1.00"))).await.expect(200);
    let page = asked.at("/aspspRedirectUri");
    let back = world.browser().send("GET", &page, &[("x-sandbox-psu", "deny")], "").await.expect(303);
    assert_eq!(parameter(&back, "error").as_deref(), Some("access_denied"));
    for amount in ["0.00", "1", "1.5", "1.001", "-1.00", "1e3"] {
        tpp.polish(&bank, "authorize", None, pis("c-3", &transfer(amount))).await.expect(400);
    }
    let odd = with(transfer("1.00"), "system", json!("Sorbnet"));
    tpp.polish(&bank, "authorize", None, pis("c-3", &odd)).await.expect(422);
    bank.stop().await;
}

#[tokio::test]
async fn the_customer_sees_what_is_asked_and_pays_from_the_account_that_is_named() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::PolishApi, false, &[&tpp]).await;
    let named = with(transfer("12.50"), "sender", json!({ "accountNumber": "60999010060000000000010025" }));
    let shown = async |request: Value| {
        let asked = tpp.polish(&bank, "authorize", None, request).await.expect(200);
        let browser = world.browser();
        let login = browser.send("GET", &asked.at("/aspspRedirectUri"), &[], "").await.expect(200);
        let about = world::hidden(&login, "about");
        let fields = [("about", about.as_str()), ("user", "anna"), ("password", "sandbox")];
        browser.form(&format!("{}/login", bank.running.pages_url), &fields).await.expect(200)
    };
    let page = shown(ais("c-0")).await;
    let data = "account details, balances, transactions, payments to come";
    assert!(page.text.contains(data), "{}", page.text);
    let page = shown(pis("c-1", &named)).await;
    for text in ["12.50", "PLN", "Sklep Nadwiślański", "Faktura 7", "PL60999010060000000000010025"] {
        assert!(page.text.contains(text), "{text} in {}", page.text);
    }
    assert!(!page.text.contains("PL82999010060000000000010017"));
    bank.stop().await;
}

#[tokio::test]
async fn a_role_is_needed_for_each_service_and_a_token_is_its_tpps_own() {
    let world = World::new();
    let (tpp, aisp) = (world.both(), world.tpp(100_005, &[Psd2Role::AccountInformation]));
    let bank = world.bank(BankKind::PolishApi, true, &[&tpp, &aisp]).await;
    let own = with(pis("c-1", &transfer("1.00")), "client_id", json!("client-100005"));
    aisp.polish(&bank, "authorize", None, own).await.expect(403);
    let token = authorized(&world, &tpp, &bank, ais("c-1")).await.at("/access_token");
    aisp.polish(&bank, "getAccounts", Some(&token), directly(json!({}))).await.expect(401);
    bank.stop().await;
}
