//! `authorization_details` (RFC 9396): what exactly a client asks a PSU for.

use consentry::demo::{Answer, RETURN, Tpp, verifier};
use crypto::Psd2Role;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::fintech::{assert_error, authority, introspected, push, subject, tokens, tpp_as, tpp_with};
use crate::support::funds::{account_at, lodge};
use crate::support::{TestGateway, UK, Wanted, assert_problem, parameter};

const ALL_SCOPES: &str = "openid accounts payments fundsconfirmations";
const IBAN: &str = "DE89370400440532013000";
const PAYEE: &str = "Corner Bookshop";

/// A fintech with every role, registered for everything.
async fn able(gw: &TestGateway) -> Tpp {
    let mut subject = subject();
    subject.roles.push(Psd2Role::CardIssuing);
    let shown = authority(gw).issue_qwac(&subject).unwrap();
    let mut tpp = tpp_with(gw, &gw.tpp().await, &shown);
    let grants = ["authorization_code", "client_credentials", "refresh_token"];
    tpp.register_as(&json!({ "scope": ALL_SCOPES, "grant_types": grants })).await.unwrap();
    tpp
}

fn payment() -> Value {
    json!({
        "type": "payment_initiation",
        "instructedAmount": { "amount": "12.34", "currency": "GBP" },
        "creditorAccount": { "sortCode": "990011", "accountNumber": "20000018" },
        "creditorName": PAYEE,
        "remittanceInformationUnstructured": "Invoice 2041",
    })
}

fn mandate() -> Value {
    json!({
        "type": "vrp",
        "creditorAccount": { "sortCode": "990011", "accountNumber": "20000018" },
        "creditorName": PAYEE,
        "maximumIndividualAmount": { "amount": "50.00", "currency": "GBP" },
        "periodicLimits": [{
            "amount": { "amount": "200.00", "currency": "GBP" },
            "periodType": "Month",
            "periodAlignment": "Calendar",
        }],
        "validTo": "2030-12-31",
    })
}

/// A detail that names a consent to confirmation of funds, which was lodged before.
async fn funds(tpp: &Tpp) -> Value {
    let own = tpp.own_token("fundsconfirmations").await.unwrap();
    let consent = lodge(tpp, &own, UK, &account_at(UK)).await.expect(201).unwrap().text("/id");
    json!({ "type": "funds_confirmation", "consent_id": consent })
}

async fn pushed(tpp: &Tpp, scope: &str, details: &Value) -> Answer {
    let text = details.to_string();
    push(tpp, &verifier(), &[("scope", Some(scope)), ("authorization_details", Some(&text))]).await
}

/// One of each type, in the order of the metadata.
async fn samples(tpp: &Tpp) -> Vec<Value> {
    let own = tpp.own_token("accounts").await.unwrap();
    let consent = tpp.lodge(&own, &[UK]).await.unwrap().remove(0);
    vec![json!({ "type": "account_access", "consent_id": consent }), payment(), mandate(), funds(tpp).await]
}

/// Every `$ref` of a schema.
fn references(schema: &Value) -> Vec<String> {
    let own = schema.get("$ref").and_then(Value::as_str).map(str::to_owned);
    let members = schema.as_object().into_iter().flat_map(|members| members.values());
    let inside = members.chain(schema.as_array().into_iter().flatten());
    own.into_iter().chain(inside.flat_map(references)).collect()
}

/// RFC 9396 §5, §9.2, §10 (AS28): each type of the metadata is published with a
/// closed JSON Schema, and what the schema wants is what is taken: one of each is,
/// one that lacks a required member or has a further one is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_type_is_taken_as_its_published_schema_says() {
    let gw = TestGateway::start().await;
    let tpp = able(&gw).await;
    let place = tpp.endpoint("authorization_details_types_metadata_endpoint").unwrap();
    let published = tpp.http.get(place, &[]).await.unwrap().expect(200).unwrap().json();
    let samples = samples(&tpp).await;
    let types: Vec<_> = samples.iter().map(|sample| sample["type"].clone()).collect();
    assert_eq!(tpp.server["authorization_details_types_supported"], json!(types));
    for good in samples {
        let kind = good["type"].as_str().unwrap();
        let schema = &published["types_metadata"][kind]["schema"];
        let alone = tpp.http.get(&format!("{place}/{kind}"), &[]).await.unwrap();
        assert_eq!(alone.json(), *schema);
        assert_eq!(schema["properties"]["type"]["const"], kind);
        assert_eq!(schema["additionalProperties"], false, "{kind}");
        for target in references(schema) {
            assert!(schema.pointer(target.strip_prefix('#').unwrap()).is_some(), "{kind}: {target}");
        }
        for name in good.as_object().unwrap().keys() {
            assert!(schema["properties"][name].is_object(), "{kind}: {name}");
        }
        assert_eq!(pushed(&tpp, ALL_SCOPES, &json!([good])).await.status, 201, "{kind}");
        for name in schema["required"].as_array().unwrap() {
            let mut lacking = good.clone();
            lacking.as_object_mut().unwrap().remove(name.as_str().unwrap());
            let answer = pushed(&tpp, ALL_SCOPES, &json!([lacking])).await;
            assert_error(&answer, 400, "invalid_authorization_details");
        }
        let mut more = good.clone();
        more["surprise"] = json!(1);
        let answer = pushed(&tpp, ALL_SCOPES, &json!([more])).await;
        assert_error(&answer, 400, "invalid_authorization_details");
    }
    assert_problem(
        &tpp.http.get(&format!("{place}/nonsense"), &[]).await.unwrap(),
        404,
        "resource.not_found",
    );
    gw.sandbox.stop().await;
}

/// RFC 9396 §5 (AS28): a value that its type does not have is
/// invalid_authorization_details.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_detail_with_a_value_that_cannot_be_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = able(&gw).await;
    let text = "x".repeat(141);
    for (good, pointer, value) in [
        (payment(), "/type", json!("vrp")),
        (payment(), "/type", json!("payment")),
        (payment(), "/type", json!(["payment_initiation"])),
        (payment(), "/instructedAmount", json!(["12.34", "GBP"])),
        (payment(), "/creditorAccount", json!([IBAN, null, null])),
        (payment(), "/instructedAmount/amount", json!("0.00")),
        (payment(), "/instructedAmount/amount", json!("-1.00")),
        (payment(), "/instructedAmount/amount", json!("1.234")),
        (payment(), "/instructedAmount/amount", json!(12.34)),
        (payment(), "/instructedAmount/amount", json!("1e3")),
        (payment(), "/instructedAmount/currency", json!("gbp")),
        (payment(), "/instructedAmount/currency", json!("ZZZ")),
        (payment(), "/creditorAccount", json!({ "iban": "DE89370400440532013001" })),
        (payment(), "/creditorAccount", json!({ "iban": IBAN, "sortCode": "990011" })),
        (payment(), "/creditorAccount", json!({ "sortCode": "990011" })),
        (payment(), "/creditorAccount", json!({})),
        (payment(), "/creditorName", json!("")),
        (payment(), "/creditorName", json!("a\u{7}b")),
        (payment(), "/creditorName", json!(text)),
        (payment(), "/remittanceInformationUnstructured", json!(text)),
        (mandate(), "/periodicLimits", json!([])),
        (mandate(), "/periodicLimits/0/amount", json!(["200.00", "GBP"])),
        (mandate(), "/periodicLimits/0/periodType", json!("Decade")),
        (mandate(), "/periodicLimits/0/periodAlignment", json!("Moon")),
        (mandate(), "/periodicLimits/0/amount/amount", json!("0")),
        (mandate(), "/validTo", json!("31.12.2030")),
        (funds(&tpp).await, "/consent_id", json!("con_uk_0")),
        (funds(&tpp).await, "/consent_id", json!({ "iban": IBAN })),
        (samples(&tpp).await.remove(0), "/type", json!("funds_confirmation")),
        (funds(&tpp).await, "/type", json!("account_access")),
    ] {
        let mut bad = good;
        *bad.pointer_mut(pointer).unwrap() = value.clone();
        let answer = pushed(&tpp, ALL_SCOPES, &json!([bad])).await;
        assert_eq!(answer.status, 400, "{pointer} {value}");
        assert_error(&answer, 400, "invalid_authorization_details");
    }
    let many: Vec<Value> = (0..11).map(|_| payment()).collect();
    assert_error(&pushed(&tpp, ALL_SCOPES, &json!(many)).await, 400, "invalid_authorization_details");
    gw.sandbox.stop().await;
}

/// RFC 9396 §10, FAPI 2.0 SP (AS24, AS28, C7): a type needs its scope, the client's
/// registration for it and, through the scope, the PSD2 role.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_needs_its_scope_and_the_registration_of_the_client() {
    let gw = TestGateway::start().await;
    let tpp = able(&gw).await;
    for (detail, other_scope) in
        [(payment(), "accounts"), (mandate(), "accounts"), (funds(&tpp).await, "accounts payments")]
    {
        assert_error(&pushed(&tpp, other_scope, &json!([detail])).await, 400, "invalid_scope");
    }
    let reader = tpp_as(&gw, &json!({ "authorization_details_types": ["account_access"] })).await;
    let answer = pushed(&reader, "payments", &json!([payment()])).await;
    assert_error(&answer, 400, "invalid_authorization_details");
    let unknown = json!({ "authorization_details_types": ["account_access", "everything"] });
    let mut refused = Tpp::discover(&gw.sandbox.access(), gw.clock.clone()).await.unwrap();
    refused.register_as(&unknown).await.unwrap_err();
    gw.sandbox.stop().await;
}

/// RFC 9396 §7, §9.2, FAPI 2.0 SP (AS28, N3): what was granted is in the token
/// answer, in that of a refresh, and in introspection, in full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn granted_details_are_echoed_in_token_and_introspection() {
    let gw = TestGateway::start().await;
    let tpp = able(&gw).await;
    let asked = json!([payment(), mandate(), funds(&tpp).await]);
    let text = asked.to_string();
    let changes =
        [("scope", Some("payments fundsconfirmations")), ("authorization_details", Some(text.as_str()))];
    let answer = tokens(&gw, &tpp, &changes).await;
    assert_eq!(answer.json()["authorization_details"], asked);
    let described = introspected(&tpp, &answer.text("/access_token")).await;
    assert_eq!(described["authorization_details"], asked);
    assert_eq!(described["active"], true);
    let refresh = answer.text("/refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    let again = tpp.authenticated(crate::fintech::TOKEN, &form).await.unwrap().expect(200).unwrap();
    assert_eq!(again.json()["authorization_details"], asked);
    gw.sandbox.stop().await;
}

/// RTS art. 5 (AS28, AS29): a token that the PSU approved for one payment orders
/// that one; another amount, currency or payee is refused and not executed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_one_payment_orders_no_other() {
    let gw = TestGateway::start().await;
    let tpp = able(&gw).await;
    let text = json!([payment()]).to_string();
    let changes = [("scope", Some("payments")), ("authorization_details", Some(text.as_str()))];
    let token = SecretString::from(tokens(&gw, &tpp, &changes).await.text("/access_token"));
    for (pointer, value) in [
        ("/amount/amount", json!("12.35")),
        ("/amount/amount", json!("1.23")),
        ("/amount/currency", json!("EUR")),
        ("/creditor/name", json!("Corner Bakery")),
        ("/creditor_account/sort_code_account_number/account_number", json!("20000026")),
        ("/creditor_account/sort_code_account_number/sort_code", json!("990012")),
        ("/creditor_account", json!({ "iban": IBAN })),
    ] {
        let mut order = Tpp::small_payment(UK);
        *order.pointer_mut(pointer).unwrap() = value;
        // The rail that takes any currency and country.
        if ["/amount/currency", "/creditor_account"].contains(&pointer) {
            order["scheme"] = json!("CROSS_BORDER");
        }
        let answer = tpp.post(&token, "/v1/payments", &order).await.unwrap();
        assert_problem(&answer, 403, "payment.not_granted");
        assert_eq!(answer.text("/outcome"), "not_executed", "{pointer}");
    }
    // The same payment on another day, again and again, or in a batch is another one.
    let mut later = Tpp::small_payment(UK);
    later["requested_execution_date"] = json!("2099-01-01");
    let mut series = Tpp::small_payment(UK);
    series["periodic"] = json!({ "frequency": "MONTHLY", "start_date": "2099-01-01" });
    let one = Tpp::small_payment(UK);
    let part = |name: &str| one[name].clone();
    let payment = json!({
        "amount": part("amount"), "creditor": part("creditor"), "creditor_account": part("creditor_account"),
    });
    let batch = json!({ "institution_id": UK, "payments": [payment], "redirect_uri": part("redirect_uri") });
    for (place, order) in [("/v1/payments", later), ("/v1/payments", series), ("/v1/payment-batches", batch)]
    {
        let answer = tpp.post(&token, place, &order).await.unwrap();
        assert_problem(&answer, 403, "payment.not_granted");
    }
    tpp.post(&token, "/v1/payments", &Tpp::small_payment(UK)).await.unwrap().expect(201).unwrap();
    // The same amount, written otherwise.
    let mut order = Tpp::small_payment(UK);
    order["amount"]["amount"] = json!("012.340");
    let answer = tpp.post(&token, "/v1/payments", &order).await.unwrap();
    assert_ne!(answer.text("/code"), "payment.not_granted");
    gw.sandbox.stop().await;
}

/// RFC 6749 §4.1.2.1 (AS23, AS29): the PSU sees amount and payee of what is asked
/// for, and a refusal grants nothing.
/// [module: user-rejects-authentication]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_psu_sees_what_is_asked_for_and_may_refuse_it() {
    let gw = TestGateway::wanted(Wanted { auto_approve: false, ..Wanted::default() }).await;
    let tpp = able(&gw).await;
    let pushed = pushed(&tpp, "payments", &json!([payment()])).await.expect(201).unwrap();
    let start = tpp.start_of(&pushed).unwrap();
    let mut person = gw.person();
    let first = person.request(http::Method::GET, &start.parse().unwrap(), None).await.unwrap();
    let page = url::Url::parse(&start).unwrap().join(first.header("location").unwrap()).unwrap();
    let shown = person.request(http::Method::GET, &page, None).await.unwrap();
    let html = String::from_utf8_lossy(&shown.body).into_owned();
    for text in ["12.34", "GBP", PAYEE, "99-00-11", "20000018"] {
        assert!(html.contains(text) || html.contains(&text.replace('-', "")), "{text}");
    }
    person.decision = "decline";
    let visit = person.walk(&start, RETURN).await.unwrap();
    assert_eq!(parameter(&visit, "error"), "access_denied");
    assert_eq!(parameter(&visit, "code"), "");
    gw.sandbox.stop().await;
}

/// Invariant 3 (AS28): an account or a person named in authorization_details is in
/// no row of the global database, neither while it is asked for nor when granted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_personal_of_a_detail_is_in_the_global_database() {
    let gw = TestGateway::start().await;
    let tpp = able(&gw).await;
    let mut order = payment();
    order["creditorAccount"] = json!({ "iban": IBAN });
    order["creditorName"] = json!("Erika Mustermann");
    let text = json!([order]).to_string();
    let changes = [("scope", Some("payments")), ("authorization_details", Some(text.as_str()))];
    pushed(&tpp, ALL_SCOPES, &json!([order])).await.expect(201).unwrap();
    let answer = tokens(&gw, &tpp, &changes).await;
    assert_eq!(answer.json()["authorization_details"][0]["creditorName"], "Erika Mustermann");
    let read = |name: &str| {
        let mut bytes = Vec::new();
        for suffix in ["", "-wal"] {
            let file = gw.folder().join(format!("data/{name}.sqlite{suffix}"));
            bytes.extend(std::fs::read(file).unwrap_or_default());
        }
        bytes
    };
    let (global, home) = (read("global"), read("region-eu"));
    if home.is_empty() {
        eprintln!("skipped: the databases are no files here; the SQLite run looks into them");
        gw.sandbox.stop().await;
        return;
    }
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    for personal in [IBAN, "Mustermann"] {
        assert!(!holds(&home, personal), "{personal}: sealed at home");
        assert!(!holds(&global, personal), "{personal}");
    }
    assert!(holds(&home, &tpp.client_id) && holds(&global, &tpp.client_id), "the search finds what is there");
    gw.sandbox.stop().await;
}
