use std::io::Write;

use connect::{
    BankPaymentIds, ConsentLodging, ConsentOrder, ConsentRevocation, Consents, FundsQuestion, Outcome,
    TransactionQuery,
};
use domain::{
    AccountIdentification, AccountResource, BalanceType, BookingStatus, CreditDebit, IsoPaymentStatus, Money,
    PaymentOrder, PaymentScheme, Permission, ResourceEntry,
};
use secrecy::SecretString;

use super::*;
use crate::world::{answer, context, psu, raw, redirects, sent, wanted};

const BASE: &str = "https://api.bank.example/v2_1_1.1";

fn profile() -> Profile {
    let (id, region) = ("pl-examplebank".parse().unwrap(), "eu".parse().unwrap());
    let mut profile = Profile::blank(id, "Example Bank", region, "polish-api");
    let url: Url = BASE.parse().unwrap();
    profile.accounts_api = Some(ApiBase { url: url.clone(), version: "2.1".into() });
    profile.payments_api = Some(ApiBase { url, version: "2.1".into() });
    profile.client_id = Some("PSDPL-KNF-100001".into());
    profile.max_consent_days = Some(90);
    profile.signing = Signing::BodyJws;
    profile
}

fn order() -> PaymentOrder {
    PaymentOrder {
        amount: Money::parse("123.5", "PLN".parse().unwrap()).unwrap(),
        creditor_name: "Przedsiębiorstwo Handlowo-Usługowe Nadwiślańskie".into(),
        scheme: PaymentScheme::ExpressElixir,
        ..crate::world::order()
    }
}

fn token() -> SecretString {
    "token-1".to_owned().into()
}

#[test]
fn a_consent_is_asked_for_with_all_that_it_allows() {
    let profile = profile();
    let cx = context(&profile);
    let order = ConsentOrder {
        valid_until: Some("2026-07-01".parse().unwrap()),
        transactions_from: Some("2026-05-03".parse().unwrap()),
        ..wanted(&[Permission::ReadBalances, Permission::ReadTransactionsDetail])
    };
    assert!(matches!(PolishApi.consents(), Consents::Lodged(_)) && PolishApi.inquiry().is_none());
    let request = ConsentLodging::lodge(&PolishApi, &cx, &order).unwrap();
    assert_eq!(request.url.as_str(), format!("{BASE}/auth/v2_1_1.1/authorize"));
    assert_eq!((request.method.as_str(), request.signature), ("POST", Signature::BodyJws));
    let body = sent(&request);
    let expected = json!({
        "consentId": cx.request_id,
        "scopeGroupType": "ais",
        "scopeTimeLimit": "2026-07-01T23:59:59Z",
        "throttlingPolicy": "psd2Regulatory",
        "privilegeList": [{
            "ais-accounts:getAccounts": { "scopeUsageLimit": "multiple" },
            "ais:getAccount": { "scopeUsageLimit": "multiple" },
            "ais:getTransactionDetail": { "scopeUsageLimit": "multiple", "maxAllowedHistoryLong": 30 },
            "ais:getTransactionsDone": { "scopeUsageLimit": "multiple", "maxAllowedHistoryLong": 30 },
            "ais:getTransactionsPending": { "scopeUsageLimit": "multiple", "maxAllowedHistoryLong": 30 },
        }],
    });
    assert_eq!(body["scope_details"], expected);
    assert_eq!((&body["state"], &body["redirect_uri"]), (&json!("state-1"), &json!(redirects().callback)));
    assert!(request.header_text("authorization").is_none() && body["requestHeader"].get("token").is_none());
}

/// Version 3.0 has addresses of its own and the same words.
#[test]
fn an_address_names_the_version_twice() {
    let token = token();
    let asked = |base: &str, version: &str| {
        let mut profile = profile();
        profile.accounts_api = Some(ApiBase { url: base.parse().unwrap(), version: version.into() });
        let cx = CallContext { access_token: Some(&token), ..context(&profile) };
        AccountInformation::accounts(&PolishApi, &cx).unwrap().url.to_string()
    };
    assert_eq!(asked(BASE, "2.1"), format!("{BASE}/accounts/v2_1_1.1/getAccounts"));
    let third = "https://api.bank.example/v3_0.1";
    assert_eq!(asked(third, "3.0"), format!("{third}/accounts/v3_0.1/getAccounts"));
}

/// RFC 4122 section 4.1.3: version 1, as the standard wants; the same in header and body.
#[test]
fn a_request_is_named_by_time_in_header_and_body() {
    let profile = profile();
    let token = token();
    let psu = psu();
    let cx = CallContext { access_token: Some(&token), psu: Some(&psu), ..context(&profile) };
    let request = AccountInformation::accounts(&PolishApi, &cx).unwrap();
    let header = &sent(&request)["requestHeader"];
    let id: Uuid = header["requestId"].as_str().unwrap().parse().unwrap();
    assert_eq!(request.header_text("x-request-id"), Some(id.to_string().as_str()));
    assert_eq!(id.get_version_num(), 1);
    let at = id.get_timestamp().unwrap().to_unix();
    assert_eq!(i64::try_from(at.0).unwrap(), cx.now.as_second());
    assert_eq!((&header["token"], &header["isDirectPsu"]), (&json!("token-1"), &json!(true)));
    assert_eq!(
        (&header["ipAddress"], &header["sendDate"]),
        (&json!("192.0.2.1"), &json!("2026-06-01T10:00:00.000Z"))
    );
    for (name, value) in
        [("authorization", "Bearer token-1"), ("accept-encoding", "gzip"), ("accept-charset", "utf-8")]
    {
        assert_eq!(request.header_text(name), Some(value), "{name}");
    }
    let other = CallContext { request_id: "00000000-0000-4000-8000-000000000001".parse().unwrap(), ..cx };
    assert_ne!(request_id(&cx), request_id(&other), "two requests of one instant");
}

#[test]
fn the_bank_says_where_the_psu_goes_and_the_consent_has_our_name() {
    let profile = profile();
    let cx = context(&profile);
    let lodged = |link: &str| {
        let body = json!({ "responseHeader": {}, "aspspRedirectUri": link });
        ConsentLodging::lodged(&PolishApi, &cx, &answer(200, &[], &body))
    };
    let consent = lodged("https://bank.example/login?x=1").ok().unwrap();
    assert_eq!(consent.bank_id, cx.request_id.to_string());
    assert!(consent.sca == ScaStart::Code("https://bank.example/login?x=1".parse().unwrap()));
    for link in ["http://bank.example/", "javascript:alert(1)", ""] {
        let error = lodged(link).err().unwrap();
        assert_eq!((error.field.as_deref(), error.outcome), (Some("/aspspRedirectUri"), Outcome::Unknown));
    }
}

#[test]
fn a_code_is_redeemed_in_json_and_tokens_are_read() {
    let profile = profile();
    let cx = context(&profile);
    let callback: Url = "https://gateway.example/callback".parse().unwrap();
    let request = PolishApi.exchange(&cx, &"code-1".to_owned().into(), &callback).unwrap();
    let body = sent(&request);
    assert_eq!(request.url.as_str(), format!("{BASE}/auth/v2_1_1.1/token"));
    assert_eq!((&body["grant_type"], &body["Code"]), (&json!("authorization_code"), &json!("code-1")));
    let refresh = PolishApi.refresh(&cx, &"refresh-1".to_owned().into()).unwrap();
    assert_eq!(sent(&refresh)["refresh_token"], "refresh-1");
    let media = [("content-type", "application/json")];
    let body = json!({
        "access_token": "a", "token_type": "Bearer", "expires_in": "3600", "refresh_token": "r", "scope": "ais",
    });
    let tokens = PolishApi.tokens_read(&cx, &answer(200, &media, &body)).ok().unwrap();
    assert_eq!(tokens.expires_in, Some(std::time::Duration::from_secs(3600)));
    for (status, kind) in [(400, BankErrorKind::TokenInvalid), (503, BankErrorKind::BankUnavailable)] {
        let body = json!({ "code": "INVALID_GRANT", "message": "Jan Kowalski" });
        let error = PolishApi.tokens_read(&cx, &answer(status, &media, &body)).err().unwrap();
        assert_eq!((error.kind, error.bank_code.as_deref()), (kind, Some("INVALID_GRANT")));
        assert!(!error.to_string().contains("Jan"));
    }
}

#[test]
fn accounts_are_known_by_iban_or_nrb_and_balances_by_kind() {
    let profile = profile();
    let cx = context(&profile);
    let account = |number: &str| {
        json!({
            "accountNumber": number, "accountTypeName": "Konto", "accountType": { "code": "CACC" },
        })
    };
    let numbers = ["82999010060000000000010017", "PL60999010060000000000010025", "60****0025"];
    let body = json!({ "accounts": numbers.map(account), "pageInfo": { "nextPage": "2" } });
    let page = PolishApi.accounts_read(&cx, &answer(200, &[], &body)).ok().unwrap();
    let shown: Vec<String> =
        page.items.iter().map(|account| account.identifications[0].normalised()).collect();
    assert!(shown[0].ends_with("PL82999010060000000000010017") && shown[1].ends_with("010025"));
    assert!(matches!(page.items[2].identifications[0], domain::AccountIdentification::Other { .. }));
    assert_eq!(page.items[0].resource_id, numbers[0], "as the bank wants it back");
    let token = token();
    let cx = CallContext { access_token: Some(&token), ..cx };
    let next = PolishApi.next_page(&cx, &page.next.unwrap()).unwrap();
    assert_eq!(sent(&next)["pageId"], "2");

    let body = json!({ "account": {
        "currency": "PLN", "availableBalance": "10.00", "bookingBalance": "-2.50", "accountNumber": numbers[0],
    } });
    let balances = PolishApi.balances_read(&cx, &answer(200, &[], &body)).unwrap();
    assert_eq!((balances[0].kind, balances[0].direction), (BalanceType::InterimBooked, CreditDebit::Debit));
    assert_eq!(
        (balances[1].kind, balances[1].direction),
        (BalanceType::InterimAvailable, CreditDebit::Credit)
    );
}

#[test]
fn booked_entries_come_first_page_by_page_and_pending_ones_after_them() {
    let profile = profile();
    let token = token();
    let cx = CallContext { access_token: Some(&token), ..context(&profile) };
    let query = TransactionQuery { from: Some("2026-05-01".parse().unwrap()), ..TransactionQuery::default() };
    let entry = json!({
        "itemId": "t1", "amount": "12.25", "currency": "PLN", "transactionCategory": "DEBIT",
        "description": "Faktura 7", "tradeDate": "2026-05-30T10:00:00", "bookingDate": "2026-05-31T00:00:00",
        "recipient": { "accountNumber": "82999010060000000000010017", "nameAddress": { "value": ["Sklep", "Warszawa"] } },
        "postTransactionBalance": "-1.00", "mcc": "5411",
    });
    let page = |next: Value| json!({ "transactions": [entry], "pageInfo": next });
    let read = |asked: &BankRequest, next: Value| {
        PolishApi.transactions_read(&cx, asked, &answer(200, &[], &page(next))).ok().unwrap()
    };
    let first = PolishApi.transactions(&cx, "8299", &query).unwrap();
    assert_eq!(first.url.as_str(), format!("{BASE}/accounts/v2_1_1.1/getTransactionsDone"));
    let one = read(&first, json!({ "nextPage": "p2" }));
    let item = &one.items[0];
    assert_eq!((item.status, item.direction), (BookingStatus::Booked, CreditDebit::Debit));
    assert_eq!(item.creditor_name.as_deref(), Some("Sklep"));
    assert_eq!(item.balance_after.unwrap().1, CreditDebit::Debit);
    assert_eq!(item.booking_date, Some("2026-05-31".parse().unwrap()));

    let second = PolishApi.next_page(&cx, &one.next.unwrap()).unwrap();
    let body = sent(&second);
    assert_eq!((&body["pageId"], &body["accountNumber"]), (&json!("p2"), &json!("8299")));
    assert_eq!(body["transactionDateFrom"], "2026-05-01");
    assert_eq!(body["requestHeader"]["token"], "token-1");
    let last = read(&second, json!({ "previousPage": "p1" }));
    let pending = PolishApi.next_page(&cx, &last.next.unwrap()).unwrap();
    assert_eq!(pending.url.as_str(), format!("{BASE}/accounts/v2_1_1.1/getTransactionsPending"));
    assert!(sent(&pending).get("pageId").is_none());
    let end = read(&pending, Value::Null);
    assert!(end.items[0].status == BookingStatus::Pending && end.next.is_none());
}

/// `getTransactionDetail` asks by the bank's item, and the account beside it.
#[test]
fn one_transaction_is_asked_for_by_its_item() {
    let profile = profile();
    let token = token();
    let cx = CallContext { access_token: Some(&token), ..context(&profile) };
    let entry = json!({
        "itemId": "t1", "amount": "12.25", "currency": "PLN", "transactionCategory": "DEBIT",
        "bookingDate": "2026-05-31T00:00:00Z",
    });
    let asked = PolishApi.transactions(&cx, "8299", &TransactionQuery::default()).unwrap();
    let listed = answer(200, &[], &json!({ "transactions": [entry] }));
    let listed = PolishApi.transactions_read(&cx, &asked, &listed).unwrap().items.remove(0);
    let details = PolishApi.details().unwrap();
    let asked = details.detail(&cx, "8299", &listed).unwrap().unwrap();
    assert_eq!(asked.url.as_str(), format!("{BASE}/accounts/v2_1_1.1/getTransactionDetail"));
    let body = sent(&asked);
    assert_eq!((&body["itemId"], &body["accountNumber"]), (&json!("t1"), &json!("8299")));
    assert_eq!(body["bookingDate"], "2026-05-31T00:00:00Z");
    let mut told = entry;
    told["mcc"] = "5411".into();
    let told = details.detail_read(&cx, &listed, &answer(200, &[], &json!({ "baseInfo": told }))).unwrap();
    assert_eq!((told.merchant_category_code.as_deref(), told.status), (Some("5411"), BookingStatus::Booked));
    let nameless = domain::Transaction { bank_transaction_id: None, ..listed };
    assert!(details.detail(&cx, "8299", &nameless).is_none());
}

#[test]
fn a_packed_answer_is_unpacked_within_the_limit() {
    let mut profile = profile();
    let packed = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        raw(200, &[("content-encoding", "gzip")], encoder.finish().unwrap())
    };
    let small = packed("{\"accounts\":[]}");
    assert!(PolishApi.accounts_read(&context(&profile), &small).is_ok());
    profile.limits.max_body = 1_000;
    let bomb = packed(&format!("{{\"accounts\":[],\"x\":\"{}\"}}", "a".repeat(1_000_000)));
    let error = PolishApi.accounts_read(&context(&profile), &bomb).err().unwrap();
    assert_eq!(error.kind, BankErrorKind::MalformedResponse);
    let foreign = raw(200, &[("content-encoding", "br")], b"{}".to_vec());
    assert!(PolishApi.accounts_read(&context(&profile), &foreign).is_err());
}

#[test]
fn a_transfer_is_authorised_and_ordered_in_the_same_words() {
    let profile = profile();
    let token = token();
    let cx = CallContext { access_token: Some(&token), ..context(&profile) };
    let lodged = PaymentInitiation::lodge(&PolishApi, &cx, &order(), &redirects()).unwrap();
    let body = sent(&lodged);
    assert_eq!(body["scope"], "pis");
    let allowed = &body["scope_details"]["privilegeList"][0]["pis:domestic"];
    let ordered = PolishApi.submit(&cx, "c", &order()).unwrap().unwrap();
    let ordered = sent(&ordered);
    for part in ["recipient", "sender", "transferData", "deliveryMode", "system", "executionMode"] {
        assert_eq!(allowed[part], ordered[part], "{part}");
    }
    let transfer = json!({ "description": "Invoice 7", "amount": "123.50", "currency": "PLN" });
    assert_eq!(ordered["transferData"], transfer);
    let lines = json!(["Przedsiębiorstwo Handlowo-Usługowe ", "Nadwiślańskie"]);
    assert_eq!(ordered["recipient"]["nameAddress"]["value"], lines);
    assert_eq!(
        (&ordered["system"], &ordered["deliveryMode"]),
        (&json!("ExpressElixir"), &json!("ExpressD0"))
    );
    let pounds = PaymentOrder { scheme: PaymentScheme::FasterPayments, ..order() };
    let refused = PaymentInitiation::lodge(&PolishApi, &cx, &pounds, &redirects()).unwrap_err();
    assert_eq!(refused.field.as_deref(), Some("scheme"));
}

#[test]
fn an_order_without_an_answer_is_found_under_our_own_name() {
    let profile = profile();
    let token = token();
    let cx = CallContext { access_token: Some(&token), ..context(&profile) };
    let ask = |payment: Option<&str>| {
        let ids = BankPaymentIds { lodged: "c".into(), payment: payment.map(str::to_owned) };
        sent(&PaymentInitiation::status(&PolishApi, &cx, &ids, &order()).unwrap())
    };
    assert_eq!(ask(Some("p1"))["paymentId"], "p1");
    assert_eq!(ask(None)["tppTransactionId"], "I-1");
    let ids = BankPaymentIds { lodged: "c".into(), payment: None };
    let read = |status: &str, named: &str| {
        let body = json!({ "paymentId": "p1", "tppTransactionId": named, "generalStatus": status, "detailedStatus": "AM04" });
        PaymentInitiation::status_read(&PolishApi, &cx, &ids, &order(), &answer(200, &[], &body))
    };
    for (word, status) in [
        ("submitted", IsoPaymentStatus::Received),
        ("pending", IsoPaymentStatus::AcceptedSettlementInProcess),
        ("done", IsoPaymentStatus::AcceptedSettlementCompleted),
        ("cancelled", IsoPaymentStatus::Cancelled),
    ] {
        let report = read(word, "I-1").unwrap();
        assert_eq!((report.status, report.iso_reason), (Some(status), None), "{word}");
    }
    assert_eq!(read("rejected", "I-1").unwrap().iso_reason.as_deref(), Some("AM04"));
    assert_eq!(read("done", "another").unwrap_err().kind, BankErrorKind::EchoMismatch);
    assert!(read("DONE", "I-1").is_err());
}

#[test]
fn revoking_names_the_consent_and_nothing_else() {
    let profile = profile();
    let cx = context(&profile);
    let request = PolishApi.revoke(&cx).unwrap();
    assert_eq!(request.url.as_str(), format!("{BASE}/accounts/v2_1_1.1/deleteConsent"));
    assert_eq!(sent(&request), json!({ "consentId": "consent-1" }));
    assert!(PolishApi.revoked(&cx, &raw(204, &[], Vec::new())).is_ok());
    assert!(PolishApi.revoked(&cx, &raw(403, &[], Vec::new())).is_ok());
    assert!(PolishApi.revoked(&cx, &raw(500, &[], Vec::new())).is_err());
}

/// PolishAPI 2.1.1, `ConfirmationOfFundsRequest`: no token, and amounts with two places.
#[test]
fn a_question_about_funds_is_asked_without_a_token() {
    let mut profile = profile();
    profile.funds_api.clone_from(&profile.accounts_api);
    let cx = context(&profile);
    assert!(PolishApi.handling(&profile).is_none());
    let account = AccountIdentification::Iban("PL61109010140000071219812874".parse().unwrap());
    let question = |amount: &str, currency: &str| FundsQuestion {
        account: &account,
        amount: Money::parse(amount, currency.parse().unwrap()).unwrap(),
        reference: "order 7",
    };
    let asked = question("99.9", "PLN");
    let request = PolishApi.ask(&cx, &asked).unwrap();
    assert_eq!(request.url.as_str(), format!("{BASE}/confirmation/v2_1_1.1/getConfirmationOfFunds"));
    assert_eq!(request.signature, Signature::BodyJws);
    let body = sent(&request);
    assert_eq!(body["accountNumber"], "PL61109010140000071219812874");
    assert_eq!((&body["amount"], &body["currency"]), (&json!("99.90"), &json!("PLN")));
    assert!(body["requestHeader"].get("token").is_none() && request.header_text("authorization").is_none());
    assert_eq!(PolishApi.ask(&cx, &question("100", "JPY")).unwrap_err().kind, BankErrorKind::Unsupported);

    let read = |body: Value| PolishApi.answer(&cx, &asked, &answer(200, &[], &body));
    assert!(read(json!({ "responseHeader": {}, "fundsAvailable": true })).unwrap().available);
    assert!(!read(json!({ "responseHeader": {}, "fundsAvailable": false })).unwrap().available);
    assert_eq!(read(json!({ "responseHeader": {} })).unwrap_err().kind, BankErrorKind::MalformedResponse);
}

/// PolishAPI 2.1.1: the holder stands at the account, payments to come in a list of pages.
#[test]
fn the_holder_and_payments_to_come_are_read() {
    let (mut profile, token) = (profile(), token());
    let cx = CallContext { access_token: Some(&token), ..context(&profile) };
    assert_eq!(PolishApi.offered(&profile), [AccountResource::Parties, AccountResource::ScheduledPayments]);
    let read = |resource, body: Value| {
        let asked = PolishApi.resource(&cx, resource, "PL82999010060000000000010017").unwrap();
        PolishApi.resource_read(&cx, resource, &asked, &answer(200, &[], &body))
    };
    let account = json!({ "account": { "nameAddress": { "value": ["Anna Nowak", "ul. Polna 1", "00-950 Warszawa"] } } });
    let page = read(AccountResource::Parties, account).unwrap();
    let [ResourceEntry::Party(party)] = &page.items[..] else { panic!("one holder") };
    assert_eq!((party.name.as_deref(), party.addresses.len()), (Some("Anna Nowak"), 1));
    assert_eq!(party.addresses[0].lines, ["ul. Polna 1", "00-950 Warszawa"]);

    let entry = |category: &str| {
        json!({
            "itemId": "s-1", "amount": "45.00", "currency": "PLN", "description": "Bilety",
            "tradeDate": "2026-07-01T00:00:00Z", "transactionCategory": category,
            "recipient": {
                "accountNumber": "06999010060000000000020018",
                "nameAddress": { "value": ["Jan Kowalski"] }, "bank": { "bicOrSwift": "EXAMPLPW" },
            },
        })
    };
    let list = json!({ "transactions": [entry("DEBIT"), entry("CREDIT")], "pageInfo": { "nextPage": "2" } });
    let page = read(AccountResource::ScheduledPayments, list).unwrap();
    let [ResourceEntry::ScheduledPayment(payment)] = &page.items[..] else { panic!("one payment") };
    assert_eq!(
        (payment.date.to_string(), payment.amount.amount_text()),
        ("2026-07-01".into(), "45.00".into())
    );
    assert_eq!(payment.payee.bic.as_deref(), Some("EXAMPLPW"));
    assert!(matches!(payment.payee.account, Some(AccountIdentification::Iban(_))));
    let next = sent(&PolishApi.next_page(&cx, &page.next.unwrap()).unwrap());
    assert_eq!(
        (&next["pageId"], &next["accountNumber"]),
        (&json!("2"), &json!("PL82999010060000000000010017"))
    );

    let mut undated = entry("DEBIT");
    undated.as_object_mut().unwrap().remove("tradeDate");
    let error = read(AccountResource::ScheduledPayments, json!({ "transactions": [undated] })).err().unwrap();
    assert_eq!(error.field.as_deref(), Some("/transactions/0/tradeDate"));

    let consent = wanted(&[Permission::ReadScheduled]);
    let asks = |profile: &Profile| {
        let request = ConsentLodging::lodge(&PolishApi, &context(profile), &consent).unwrap();
        !sent(&request)["scope_details"]["privilegeList"][0]["ais:getTransactionsScheduled"].is_null()
    };
    assert!(asks(&profile));
    profile.absent_paths = vec!["/getTransactionsScheduled".into()];
    assert!(!asks(&profile));
    assert_eq!(PolishApi.offered(&profile), [AccountResource::Parties]);
}
