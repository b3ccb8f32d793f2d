//! Confirmation of funds (PSD2 art. 65), as a card issuer meets it.

use std::time::Duration;

use crate::support::consents::{event, events, lodge_until, steps};
use crate::support::funds::{Given, SCOPE, account_at, ask, given, issuer, lodge, push, push_with, token_of};
use crate::support::log::Log;
use crate::support::{DECOUPLED, EMBEDDED, EU, POLISH, STET, TestGateway, UK, Wanted, assert_problem};
use consentry::demo::{self, RETURN, Tpp, verifier};
use http::Method;
use modelbank::Fault;
use secrecy::SecretString;
use serde_json::{Value, json};

/// Withdraws a consent.
async fn withdraw(tpp: &Tpp, own: &SecretString, consent: &str) {
    let gone = tpp.delete(own, &format!("/v1/consents/{consent}")).await.unwrap();
    assert_eq!(gone.status, 204);
}

/// The page on which a consent is asked for.
async fn page_of(gw: &TestGateway, tpp: &Tpp, consent: &str) -> String {
    let pushed = push(tpp, consent, &verifier()).await.expect(201).unwrap();
    let start = tpp.start_of(&pushed).unwrap();
    let mut person = gw.person();
    let first = person.request(Method::GET, &start.parse().unwrap(), None).await.unwrap();
    let page = url::Url::parse(&start).unwrap().join(first.header("location").unwrap()).unwrap();
    let shown = person.request(Method::GET, &page, None).await.unwrap();
    String::from_utf8_lossy(&shown.body).into_owned()
}

/// Yes up to what is there, no above it.
async fn yes_and_no(bank: &str, currency: &str, there: &str, more: &str) {
    let gw = TestGateway::start().await;
    let tpp = issuer(&gw).await;
    let given = given(&tpp, bank, gw.person()).await.unwrap();
    for (amount, available) in [(there, true), (more, false), ("5.11", false)] {
        let answer = ask(&tpp, &given, amount, currency).await.expect(200).unwrap();
        let said = answer.json();
        assert_eq!((&said["available"], &said["reliable"]), (&json!(available), &json!(true)), "{amount}");
        assert_eq!(
            (answer.text("/reference"), answer.text("/institution_id")),
            ("order 7".into(), bank.into())
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        // RTS art. 36(1)(c): a simple yes or no.
        let members: Vec<&str> = said.as_object().unwrap().keys().map(String::as_str).collect();
        let known = [
            "as_of",
            "available",
            "bank_reference",
            "consent_id",
            "institution_id",
            "reference",
            "reliable",
            "standard",
        ];
        assert!(members.iter().all(|member| known.contains(member)), "{members:?}");
    }
    // A name of one's own for a question is any line of text.
    let amount = json!({ "amount": there, "currency": currency });
    let body = json!({ "consent_id": given.consent, "amount": amount, "reference": "Kasse № 7 & Söhne" });
    let answer = tpp.post(&given.token, "/v1/funds-confirmations", &body).await.unwrap();
    assert_eq!(answer.expect(200).unwrap().text("/reference"), "Kasse № 7 & Söhne");
    gw.sandbox.stop().await;
}

/// PSD2 art. 65(1), (3).
/// [connector: funds confirmation at uk]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_uk_bank_says_yes_up_to_what_is_there_and_no_above() {
    yes_and_no(UK, "GBP", "3482.17", "3482.18").await;
}

/// XS2A 10.1.
/// [connector: funds confirmation at berlin-redirect]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_berlin_group_bank_says_yes_up_to_what_is_there_and_no_above() {
    yes_and_no(EU, "EUR", "2913.44", "2913.45").await;
}

/// The same interface where the PSU would approve in an app.
/// [connector: funds confirmation at berlin-decoupled]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decoupled_bank_says_yes_up_to_what_is_there_and_no_above() {
    yes_and_no(DECOUPLED, "EUR", "2156.33", "2156.34").await;
}

/// The same interface where the PSU would approve on our pages.
/// [connector: funds confirmation at berlin-embedded]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_bank_says_yes_up_to_what_is_there_and_no_above() {
    yes_and_no(EMBEDDED, "EUR", "2634.80", "2634.81").await;
}

/// STET 1.4 section 4.7.
/// [connector: funds confirmation at stet]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stet_bank_says_yes_up_to_what_is_there_and_no_above() {
    yes_and_no(STET, "EUR", "1842.90", "1842.91").await;
}

/// PolishAPI 2.1.1, getConfirmationOfFunds.
/// [connector: funds confirmation at polish]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_polish_bank_says_yes_up_to_what_is_there_and_no_above() {
    yes_and_no(POLISH, "PLN", "8421.50", "8421.51").await;
}

/// Confirmation of Funds Consent 2.0: this bank answers about a savings account only under
/// a consent that it was given through its interface. A profile that does not know of these
/// gets no answer, one that does sends the PSU to the bank, and the consent ends there too.
/// [connector: funds confirmation at berlin-redirect berlin-embedded]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_is_lodged_at_a_bank_whose_profile_says_where() {
    let gw = TestGateway::start().await;
    let tpp = issuer(&gw).await;
    let own = tpp.own_token(SCOPE).await.unwrap();
    let savings = [(EU, "DE92999100001000000025"), (EMBEDDED, "AT459990300000010025")];
    for (bank, iban) in savings {
        let account = json!({ "iban": iban });
        let give = async || {
            let consent = lodge(&tpp, &own, bank, &account).await.expect(201).unwrap().text("/id");
            token_of(&tpp, consent, gw.person()).await.unwrap()
        };
        let outside = give().await;
        assert_problem(&ask(&tpp, &outside, "1.00", "EUR").await, 403, "consent.not_in_force");

        let registry = gw.sandbox.gateway().registry();
        let mut profile = (*registry.profile(&bank.parse().unwrap()).unwrap()).clone();
        let mut place = profile.accounts_api.clone().unwrap().url;
        place.set_path("/v2");
        profile.berlin_group.funds_consents = Some(place);
        registry.put(profile);
        let through = give().await;
        let said = ask(&tpp, &through, "1.00", "EUR").await.expect(200).unwrap().json();
        assert_eq!(said["available"], true, "{bank}");
        assert_eq!(ask(&tpp, &through, "5.11", "EUR").await.json()["available"], false);
        let shown = tpp.get(&own, &format!("/v1/consents/{}", through.consent)).await.unwrap().json();
        assert!(steps(&shown).contains(&"AWAITING_REDIRECT".to_owned()), "{shown}");

        withdraw(&tpp, &own, &through.consent).await;
        let journal = gw.sandbox.bank(bank).unwrap().1;
        let told = |entry: &modelbank::JournalEntry| {
            entry.method == "DELETE" && entry.path.starts_with("/v2/consents/confirmation-of-funds/cof-")
        };
        let look = async {
            let mut beat = tokio::time::interval(Duration::from_millis(30));
            while !journal.entries().iter().any(told) {
                beat.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), look).await.expect("the bank is told");
    }
    gw.sandbox.stop().await;
}

/// PSD2 art. 65(1)(b), (2): where the PSU agrees with the bank outside its interface, our
/// page says so, nobody is sent to the bank, and no authentication is claimed; a bank
/// that has no agreement answers nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_the_bank_has_from_the_psu_is_given_on_our_page_alone() {
    let gw = TestGateway::wanted(Wanted { auto_approve: false, ..Wanted::default() }).await;
    let tpp = issuer(&gw).await;
    let own = tpp.own_token(SCOPE).await.unwrap();
    let savings = json!({ "iban": "DE92999100001000000025" });
    let lodged =
        async |account: &Value| lodge(&tpp, &own, EU, account).await.expect(201).unwrap().text("/id");
    let consent = lodged(&savings).await;
    let html = page_of(&gw, &tpp, &consent).await;
    assert!(html.contains("Rheinbank answers only if it has your consent too"), "{html}");
    assert!(html.contains("DE92 9991 0000 1000 0000 25") && !html.contains("You confirm at your bank next"));

    let journal = gw.sandbox.bank(EU).unwrap().1;
    journal.clear();
    let given = token_of(&tpp, consent, gw.person()).await.unwrap();
    assert_eq!(journal.entries().len(), 0, "the bank was not visited");
    let path = format!("/v1/consents/{}", given.consent);
    assert_eq!(steps(&tpp.get(&own, &path).await.unwrap().json()), ["CREATED", "AUTHORIZED"]);
    let refused = ask(&tpp, &given, "1.00", "EUR").await;
    assert_problem(&refused, 403, "consent.not_in_force");
    assert_eq!(refused.text("/institution/code"), "NO_PIIS_ACTIVATION");

    // What nobody did is not granted (OpenID Connect Core §5.5.1.1).
    let consent = lodged(&account_at(EU)).await;
    let acr = json!({ "id_token": { "acr": { "essential": true, "value": "urn:openbanking:psd2:sca" } } });
    let pushed = push_with(&tpp, &consent, &verifier(), &[("claims", &acr.to_string())]).await;
    let start = tpp.start_of(&pushed.expect(201).unwrap()).unwrap();
    let visit = gw.person().walk(&start, RETURN).await.unwrap();
    assert_eq!(crate::support::parameter(&visit, "error"), "access_denied");
    gw.sandbox.stop().await;
}

/// PSD2 art. 65(2): the PSU agrees with the bank before the first question; here to one
/// account, for as long as was asked, and the bank is asked nothing before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_to_questions_is_of_one_account_and_is_given_at_the_bank() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let tpp = issuer(&gw).await;
    let receiver = gw.listening_with(&tpp, SCOPE).await;
    let given = given(&tpp, UK, gw.person()).await.unwrap();
    let own = tpp.own_token(SCOPE).await.unwrap();
    let show = async || tpp.get(&own, &format!("/v1/consents/{}", given.consent)).await.unwrap().json();
    let shown = show().await;
    assert_eq!((&shown["type"], &shown["status"]), (&json!("FUNDS_CONFIRMATION"), &json!("AUTHORIZED")));
    assert_eq!((&shown["account"], &shown["permissions"]), (&account_at(UK), &json!([])));
    // Nothing is read, so no rule of reading applies.
    for absent in ["reconfirm_by", "usage"] {
        assert!(shown.get(absent).is_none(), "{absent}");
    }
    assert_eq!(shown["access"].get("frequency_per_day"), None);
    assert_eq!(steps(&shown), ["CREATED", "AWAITING_REDIRECT", "AUTHORIZED"]);
    event(&receiver, &given.consent, "consent.authorized").await;

    ask(&tpp, &given, "1.00", "GBP").await.expect(200).unwrap();
    let journal = gw.sandbox.bank(UK).unwrap().1;
    let asked = journal.entries().into_iter().rfind(|entry| entry.path.ends_with("/funds-confirmations"));
    let asked = asked.unwrap();
    assert_eq!(asked.facts, [modelbank::Fact::Role, modelbank::Fact::Token, modelbank::Fact::Consent]);
    // Tokens end, ours and the bank's; the consent goes on, and the bank is not visited again.
    clock.advance(3_590);
    let given = token_of(&tpp, given.consent, gw.person()).await.unwrap();
    ask(&tpp, &given, "1.00", "GBP").await.expect(200).unwrap();

    let own = tpp.own_token(SCOPE).await.unwrap();
    // Nobody has to confirm it again; it is renewed like any other.
    let path = format!("/v1/consents/{}", given.consent);
    let confirmed = tpp.post(&own, &format!("{path}/reconfirm"), &json!({})).await.unwrap();
    assert_problem(&confirmed, 409, "consent.nothing_to_reconfirm");
    let renewed = tpp.post(&own, &format!("{path}/renew"), &json!({})).await.unwrap().expect(201).unwrap();
    assert_eq!(renewed.json()["account"], account_at(UK));
    assert_eq!(renewed.text("/renews_consent_id"), given.consent);

    withdraw(&tpp, &own, &given.consent).await;
    let told = journal.entries().iter().any(|entry| {
        entry.method == "DELETE" && entry.path.contains("funds-confirmation-consents") && entry.status == 204
    });
    assert!(told, "the bank was told");
    event(&receiver, &given.consent, "consent.revoked").await;
    assert_eq!(events(&receiver, &given.consent).last().unwrap(), "consent.revoked");
    assert_problem(&ask(&tpp, &given, "1.00", "GBP").await, 403, "consent.not_in_force");
    gw.sandbox.stop().await;
}

/// PSD2 art. 65: who is no card issuer, or has no consent of this account, is answered
/// nothing, and the bank is not asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_answered_without_the_role_the_consent_and_a_token_of_it() {
    let gw = TestGateway::start().await;
    let tpp = issuer(&gw).await;
    let first = given(&tpp, UK, gw.person()).await.unwrap();
    let second = given(&tpp, UK, gw.person()).await.unwrap();
    let journal = gw.sandbox.bank(UK).unwrap().1;
    journal.clear();

    let other = issuer(&gw).await;
    let others = given(&other, UK, gw.person()).await.unwrap();
    let stolen = Given { consent: first.consent.clone(), token: others.token };
    assert_problem(&ask(&other, &stolen, "1.00", "GBP").await, 404, "resource.not_found");
    let crossed = Given { consent: first.consent.clone(), token: second.token };
    assert_problem(&ask(&tpp, &crossed, "1.00", "GBP").await, 403, "auth.consent");
    let own = Given { consent: first.consent.clone(), token: tpp.own_token(SCOPE).await.unwrap() };
    assert_problem(&ask(&tpp, &own, "1.00", "GBP").await, 403, "auth.consent");

    // A client that reads accounts is no card issuer.
    let reader = gw.tpp().await;
    let granted = gw.granted(&reader, &[UK]).await;
    let reading = Given { consent: granted.consents[0].clone(), token: granted.token };
    assert_problem(&ask(&reader, &reading, "1.00", "GBP").await, 403, "auth.scope");
    assert_problem(&lodge(&reader, &granted.own, UK, &account_at(UK)).await, 403, "auth.scope");
    let asked = journal.entries().into_iter().filter(|entry| entry.path.ends_with("/funds-confirmations"));
    assert_eq!(asked.count(), 0);
    // Nor does a card issuer read accounts.
    assert_problem(&tpp.get(&first.token, "/v1/accounts").await.unwrap(), 403, "auth.scope");
    let body =
        json!({ "type": "ACCOUNT_INFORMATION", "institution_id": UK, "permissions": demo::PERMISSIONS });
    assert_problem(&tpp.post(&own.token, "/v1/consents", &body).await.unwrap(), 403, "auth.scope");
    gw.sandbox.stop().await;
}

/// RTS art. 36(1)(c), (2): a question that the bank cannot answer is an error that says
/// why, and no answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_cannot_be_answered_says_why() {
    let gw = TestGateway::that_reports().await;
    let tpp = issuer(&gw).await;
    let given = given(&tpp, UK, gw.person()).await.unwrap();
    let foreign = ask(&tpp, &given, "1.00", "EUR").await;
    assert_problem(&foreign, 422, "institution.refused");
    assert_eq!(foreign.text("/institution/code"), "U023");
    for (amount, currency) in [("0.00", "GBP"), ("-1.00", "GBP"), ("1.001", "GBP"), ("1.00", "XXY")] {
        assert_problem(&ask(&tpp, &given, amount, currency).await, 422, "request.invalid");
    }
    let body = |reference: &str| {
        let amount = json!({ "amount": "1.00", "currency": "GBP" });
        json!({ "consent_id": given.consent, "amount": amount, "reference": reference })
    };
    for reference in ["", "a\u{7}b", &"x".repeat(36)] {
        let answer = tpp.post(&given.token, "/v1/funds-confirmations", &body(reference)).await.unwrap();
        assert_problem(&answer, 422, "request.invalid");
    }
    let faults = gw.sandbox.bank(UK).unwrap().0;
    for (fault, status, code) in [
        (Fault::Failed, 502, "institution.failed"),
        (Fault::MalformedJson, 502, "institution.malformed"),
        (Fault::HtmlPage, 502, "institution.malformed"),
    ] {
        faults.arm("POST", "/funds-confirmations", fault, 1);
        assert_problem(&ask(&tpp, &given, "1.00", "GBP").await, status, code);
    }
    gw.sandbox.stop().await;
}

/// Invariant 6: a bank that is down for questions is down for nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_that_answers_no_questions_still_gives_accounts() {
    let gw = TestGateway::start().await;
    let tpp = issuer(&gw).await;
    let given = given(&tpp, UK, gw.person()).await.unwrap();
    let reader = gw.tpp().await;
    let granted = gw.granted(&reader, &[UK]).await;
    gw.sandbox.bank(UK).unwrap().0.arm("POST", "/funds-confirmations", Fault::Disconnect, 20);
    for _ in 0..6 {
        let answer = ask(&tpp, &given, "1.00", "GBP").await;
        assert!(answer.status.is_server_error(), "{}", answer.status);
    }
    let health = tpp.http.get(&format!("{}/v1/institutions/{UK}/health", tpp.api), &[]).await.unwrap().json();
    assert_eq!(
        (&health["funds"]["status"], &health["accounts"]["status"]),
        (&json!("DOWN"), &json!("HEALTHY"))
    );
    reader.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    gw.sandbox.stop().await;
}

/// A consent is lodged whole: with its account, at an institution that offers it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_to_questions_names_its_account_and_its_institution() {
    let gw = TestGateway::start().await;
    let tpp = issuer(&gw).await;
    let own = tpp.own_token(SCOPE).await.unwrap();
    let good = json!({ "type": "FUNDS_CONFIRMATION", "institution_id": UK, "account": account_at(UK) });
    for (member, value, pointer) in [
        ("account", Value::Null, "/account"),
        ("account", json!({ "iban": "GB00" }), "/account/iban"),
        ("permissions", json!(["READ_BALANCES"]), "/permissions"),
        ("institution_id", Value::Null, "/institution_id"),
    ] {
        let mut bad = good.clone();
        bad[member] = value;
        let answer = tpp.post(&own, "/v1/consents", &bad).await.unwrap();
        assert_problem(&answer, 422, "request.invalid");
        assert_eq!(answer.text("/errors/0/pointer"), pointer);
    }
    let registry = gw.sandbox.gateway().registry();
    let mut profile = (*registry.profile(&UK.parse().unwrap()).unwrap()).clone();
    profile.capabilities.remove(&domain::Capability::FundsConfirmation);
    registry.put(profile);
    assert_problem(&tpp.post(&own, "/v1/consents", &good).await.unwrap(), 422, "institution.unsupported");
    let url = format!("{}/v1/institutions?capability=funds_confirmation", tpp.api);
    let offering = crate::support::rows(&tpp.http.get(&url, &[]).await.unwrap());
    assert!(offering.iter().all(|bank| bank["id"] != UK), "{offering:?}");
    gw.sandbox.stop().await;
}

/// Consents of each type are listed for the scope of the type.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consents_are_listed_by_what_they_are_to() {
    let gw = TestGateway::start().await;
    let mut tpp = gw.tpp().await;
    tpp.register_as(&json!({ "scope": format!("openid accounts {SCOPE}") })).await.unwrap();
    let both = tpp.own_token(&format!("accounts {SCOPE}")).await.unwrap();
    let funds = lodge(&tpp, &both, UK, &account_at(UK)).await.expect(201).unwrap().text("/id");
    let access = lodge_until(&tpp, &both, UK, 30, &*gw.clock).await["id"].as_str().unwrap().to_owned();
    let listed = async |token: &SecretString, query: &str| -> Vec<String> {
        let answer = tpp.get(token, &format!("/v1/consents{query}")).await.unwrap().expect(200).unwrap();
        crate::support::rows(&answer).iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(&both, "").await, [access.as_str(), &funds]);
    assert_eq!(listed(&both, "?type=FUNDS_CONFIRMATION").await, [funds.as_str()]);
    let reading = tpp.own_token("accounts").await.unwrap();
    assert_eq!(listed(&reading, "").await, [access]);
    assert_problem(&tpp.get(&reading, &format!("/v1/consents/{funds}")).await.unwrap(), 403, "auth.scope");
    let wanted = "/v1/consents?type=FUNDS_CONFIRMATION";
    assert_problem(&tpp.get(&reading, wanted).await.unwrap(), 403, "auth.scope");
    gw.sandbox.stop().await;
}

/// The PSU sees whose question it is, about which account, and that the answer is no
/// more than yes or no; and may say no.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_psu_sees_the_account_and_may_refuse() {
    let gw = TestGateway::wanted(Wanted { auto_approve: false, ..Wanted::default() }).await;
    let tpp = issuer(&gw).await;
    let own = tpp.own_token(SCOPE).await.unwrap();
    let consent = lodge(&tpp, &own, UK, &account_at(UK)).await.expect(201).unwrap().text("/id");
    let html = page_of(&gw, &tpp, &consent).await;
    for text in ["asks whether there is enough money", "Albion Bank", "990011 10000017", "yes or no"] {
        assert!(html.contains(text), "{text}");
    }
    let pushed = push(&tpp, &consent, &verifier()).await.expect(201).unwrap();
    let start = tpp.start_of(&pushed).unwrap();
    let mut person = gw.person();
    person.decision = "decline";
    let visit = person.walk(&start, RETURN).await.unwrap();
    assert_eq!(crate::support::parameter(&visit, "error"), "access_denied");
    let shown = tpp.get(&own, &format!("/v1/consents/{consent}")).await.unwrap();
    assert_eq!(
        (shown.text("/status"), shown.text("/status_reason")),
        ("REJECTED".into(), "psu-declined".into())
    );
    gw.sandbox.stop().await;
}

/// Invariants 3, 7: whose account it is, how much was asked and what was answered is in
/// no log; and no answer is in any row (PSD2 art. 65(3)).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_question_is_logged_and_no_answer_is_kept() {
    let log = Log::of_everything();
    let gw = TestGateway::start().await;
    let tpp = issuer(&gw).await;
    for (bank, currency) in [(UK, "GBP"), (EU, "EUR"), (STET, "EUR"), (POLISH, "PLN")] {
        let given = given(&tpp, bank, gw.person()).await.unwrap();
        ask(&tpp, &given, "4077.31", currency).await.expect(200).unwrap();
        gw.sandbox.bank(bank).unwrap().0.arm("POST", "unds", Fault::MalformedJson, 1);
        assert_problem(&ask(&tpp, &given, "4077.31", currency).await, 502, "institution.malformed");
    }
    let log = log.text();
    assert!(log.contains("Consent con_uk_"), "the log says something");
    let personal =
        ["10000017", "DE17999100001000000017", "000000010017", "4077.31", "order 7", "Anna Whitfield"];
    let leaked: Vec<_> = personal.iter().filter(|datum| log.contains(**datum)).collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    let read = |name: &str| {
        let place = |suffix: &str| gw.folder().join(format!("data/{name}.sqlite{suffix}"));
        let files = ["", "-wal"].map(|suffix| std::fs::read(place(suffix)).unwrap_or_default());
        String::from_utf8_lossy(&files.concat()).into_owned()
    };
    let home = read("region-eu");
    if home.is_empty() {
        eprintln!("skipped: the databases are no files here; the SQLite run looks into them");
    } else {
        assert!(home.contains("con_eu_"), "the search finds what is there");
        assert!(!home.contains("DE17999100001000000017"), "sealed at home");
        assert!(!read("global").contains("DE17999100001000000017"));
        assert!(!home.contains("4077.31") && !home.contains("\"available\""));
    }
    gw.sandbox.stop().await;
}
