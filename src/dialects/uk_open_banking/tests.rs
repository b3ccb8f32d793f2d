use connect::{
    ApiBase, BankPaymentIds, ConsentInquiry, ConsentLodging, ConsentOrder, Echo, Outcome, PsuPresence, Quirk,
    QuirkName, Quirks, RedirectUris, ScaStart, StatementFormat, TransactionQuery,
};
use domain::{
    AccountResource, BalanceType, BookingStatus, CreditDebit, Execution, IsoPaymentStatus, Money,
    PaymentOrder, PaymentRisk, PaymentScheme, Permission, RemittanceInformation, ResourceEntry,
};
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;
use serde_json::json;

use super::*;

mod events;
mod funds;
mod payees;
mod recurring;

fn profile(version: &str) -> Profile {
    let mut profile = Profile::blank(
        "gb-examplebank".parse().unwrap(),
        "Example Bank",
        "uk".parse().unwrap(),
        "uk-open-banking",
    );
    let base = |role: &str| {
        let url = format!("https://api.bank.example/open-banking/v{version}/{role}").parse().unwrap();
        Some(ApiBase { url, version: version.into() })
    };
    (profile.accounts_api, profile.payments_api) = (base("aisp"), base("pisp"));
    profile.funds_api = base("cbpii");
    profile.signing =
        Signing::DetachedJws { iss: None, tan: "openbanking.org.uk".into(), verify_answers: false };
    profile
}

fn context<'a>(profile: &'a Profile, token: &'a SecretString) -> CallContext<'a> {
    CallContext {
        profile,
        request_id: "99391c7e-ad88-49ec-a2ad-99ddcb1f7721".parse().unwrap(),
        now: "2026-06-01T10:00:00Z".parse().unwrap(),
        psu: None,
        psu_id: None,
        access_token: Some(token),
        bank_consent_id: Some("aac-1"),
    }
}

fn redirects() -> RedirectUris {
    let uri: Url = "https://gateway.example/callback".parse().unwrap();
    RedirectUris { ok: uri.clone(), nok: uri.clone(), callback: uri, state: "state-1".into() }
}

fn order() -> PaymentOrder {
    PaymentOrder {
        end_to_end_id: "E2E-1".into(),
        instruction_id: "I-1".into(),
        amount: Money::parse("10.5", "GBP".parse().unwrap()).unwrap(),
        debtor_account: None,
        creditor_name: "Merchant".into(),
        creditor_account: AccountIdentification::SortCode(
            SortCodeAccount::new("20-00-00", "55779911").unwrap(),
        ),
        remittance: RemittanceInformation {
            unstructured: Some("Invoice".into()),
            reference: Some("R7".into()),
        },
        scheme: PaymentScheme::FasterPayments,
        execution: Execution::AtOnce,
        abroad: None,
        risk: PaymentRisk::default(),
    }
}

fn answer(status: u16, body: &Value) -> BankResponse {
    BankResponse {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.to_string().into(),
    }
}

fn sent(request: &BankRequest) -> Value {
    serde_json::from_slice(request.body.as_deref().unwrap()).unwrap()
}

#[test]
fn an_access_consent_names_permissions_end_and_what_the_bank_refuses_not() {
    let (mut profile, token) = (profile("4.0"), SecretString::from("t"));
    profile.refused_permissions = vec!["ReadTransactionsBasic".into()];
    let psu = PsuPresence {
        ip_address: "2001:db8::1".parse().unwrap(),
        user_agent: Some("Browser/1".into()),
        accept_language: None,
        last_authenticated: Some("2026-06-01T09:59:30Z".parse().unwrap()),
    };
    let cx = CallContext { psu: Some(&psu), ..context(&profile, &token) };
    let order = ConsentOrder {
        permissions: vec![
            Permission::ReadAccountsDetail,
            Permission::ReadTransactionsBasic,
            Permission::ReadTransactionsDetail,
        ],
        accounts: Vec::new(),
        valid_until: Some("2026-08-30".parse().unwrap()),
        recurring: true,
        frequency_per_day: 4,
        transactions_from: Some("2026-01-01".parse().unwrap()),
        redirects: redirects(),
    };
    let request = ConsentLodging::lodge(&UkOpenBanking, &cx, &order).unwrap();
    let url = "https://api.bank.example/open-banking/v4.0/aisp/account-access-consents";
    assert_eq!((request.url.as_str(), request.signature), (url, Signature::None));
    for (name, value) in [
        ("authorization", "Bearer t"),
        ("x-fapi-interaction-id", "99391c7e-ad88-49ec-a2ad-99ddcb1f7721"),
        ("x-fapi-customer-ip-address", "2001:db8::1"),
        ("x-fapi-auth-date", "Mon, 01 Jun 2026 09:59:30 GMT"),
        ("x-customer-user-agent", "Browser/1"),
    ] {
        assert_eq!(request.header_text(name), Some(value), "{name}");
    }
    let expected = json!({
        "Data": {
            "Permissions": [
                "ReadAccountsDetail", "ReadTransactionsCredits", "ReadTransactionsDebits", "ReadTransactionsDetail",
            ],
            "ExpirationDateTime": "2026-08-30T23:59:59+00:00",
            "TransactionFromDateTime": "2026-01-01T00:00:00+00:00",
        },
        "Risk": {},
    });
    assert_eq!(sent(&request), expected);
    let lodged = ConsentLodging::lodged(
        &UkOpenBanking,
        &cx,
        &answer(201, &json!({ "Data": { "ConsentId": "aac-1", "Status": "AWAU" } })),
    );
    let sca =
        ScaStart::OAuth { scope: "openid accounts".into(), intent_id: Some("aac-1".into()), metadata: None };
    assert!(lodged.is_ok_and(|lodged| lodged.sca == sca));
}

#[test]
fn both_versions_name_statuses_in_their_own_words() {
    let token = SecretString::from("t");
    for (version, words) in [
        ("3.1", ["AwaitingAuthorisation", "Authorised", "Rejected", "Revoked", "Consumed"]),
        ("4.0", ["AWAU", "AUTH", "RJCT", "CANC", "COND"]),
    ] {
        let profile = profile(version);
        let read: Vec<_> = words
            .iter()
            .map(|word| {
                let response = answer(200, &json!({ "Data": { "Status": word } }));
                let cx = context(&profile, &token);
                ConsentInquiry::status_read(&UkOpenBanking, &cx, &response).unwrap()
            })
            .collect();
        use BankConsentStatus::{Authorised, AwaitingAuthorisation, Consumed, Rejected, RevokedByPsu};
        assert_eq!(read, [AwaitingAuthorisation, Authorised, Rejected, RevokedByPsu, Consumed]);
    }
}

#[test]
fn a_payment_consent_and_its_order_carry_the_same_initiation_signed() {
    let token = SecretString::from("t");
    for (version, remittance, indicator) in [
        ("3.1", json!({ "Unstructured": "Invoice", "Reference": "R7" }), "ContractPresentInidicator"),
        (
            "4.0",
            json!({
                "Unstructured": ["Invoice"],
                "Structured": [{ "CreditorReferenceInformation": { "Reference": "R7" } }],
            }),
            "ContractPresentIndicator",
        ),
    ] {
        let mut profile = profile(version);
        let parameters = [("field_name".to_owned(), "ContractPresentInidicator".into())];
        profile.quirks = Quirks::new(vec![Quirk {
            name: QuirkName::ContractIndicatorMisspelt,
            at: vec!["pisp.consent".into(), "pisp.payment".into()],
            versions: vec!["3.1".into()],
            parameters: parameters.into_iter().collect(),
        }]);
        let cx = context(&profile, &token);
        let initiation = json!({
            "InstructionIdentification": "I-1",
            "EndToEndIdentification": "E2E-1",
            "InstructedAmount": { "Amount": "10.50", "Currency": "GBP" },
            "CreditorAccount": {
                "SchemeName": "UK.OBIE.SortCodeAccountNumber",
                "Identification": "20000055779911",
                "Name": "Merchant",
            },
            "RemittanceInformation": remittance,
        });
        let mut risk = json!({ "PaymentContextCode": "TransferToThirdParty" });
        risk[indicator] = json!(false);
        let consent = PaymentInitiation::lodge(&UkOpenBanking, &cx, &order(), &redirects()).unwrap();
        let expected = json!({ "ReadRefundAccount": "Yes", "Initiation": initiation });
        assert_eq!(sent(&consent), json!({ "Data": expected, "Risk": risk }));
        let payment = UkOpenBanking.submit(&cx, "pc-1", &order()).unwrap().unwrap();
        let expected = json!({ "Data": { "ConsentId": "pc-1", "Initiation": initiation }, "Risk": risk });
        assert_eq!(sent(&payment), expected);
        for request in [&consent, &payment] {
            assert_eq!(request.signature, Signature::DetachedJws);
            let key = request.header_text("x-idempotency-key").unwrap();
            assert!(key == cx.request_id.to_string() && key.len() <= 40);
        }
        assert!(payment.url.as_str().ends_with("/pisp/domestic-payments"));
    }
}

#[test]
fn what_the_bank_repeats_of_an_order_is_compared() {
    let (profile, token) = (profile("4.0"), SecretString::from("t"));
    let cx = context(&profile, &token);
    let report = |amount: &str, account: &str| {
        let body = json!({ "Data": {
            "DomesticPaymentId": "p1", "ConsentId": "pc-1", "Status": "RJCT",
            "StatusReason": [{ "StatusReasonCode": "AM04", "StatusReasonDescription": "no funds" }],
            "Initiation": {
                "InstructedAmount": { "Amount": amount, "Currency": "GBP" },
                "CreditorAccount": {
                    "SchemeName": "UK.OBIE.SortCodeAccountNumber", "Identification": account,
                },
            },
        } });
        UkOpenBanking.submitted(&cx, &order(), &answer(201, &body))
    };
    let same = report("10.50", "20000055779911").unwrap();
    assert_eq!((same.status, same.echo), (Some(IsoPaymentStatus::Rejected), Echo::Same));
    assert_eq!((same.iso_reason.as_deref(), same.bank_payment_id.as_deref()), (Some("AM04"), Some("p1")));
    for (amount, account) in [("10.51", "20000055779911"), ("10.50", "20000055779912")] {
        let error = report(amount, account).unwrap_err();
        assert_eq!((error.kind, error.outcome), (BankErrorKind::EchoMismatch, Outcome::Unknown));
    }
}

#[test]
fn a_payments_status_is_that_of_the_consent_until_there_is_an_order() {
    let (profile, token) = (profile("3.1"), SecretString::from("t"));
    let cx = context(&profile, &token);
    let mut ids = BankPaymentIds { lodged: "pc-1".into(), payment: None };
    let request = PaymentInitiation::status(&UkOpenBanking, &cx, &ids, &order()).unwrap();
    assert!(request.url.as_str().ends_with("/pisp/domestic-payment-consents/pc-1"));
    let response = answer(200, &json!({ "Data": { "ConsentId": "pc-1", "Status": "Authorised" } }));
    let report = PaymentInitiation::status_read(&UkOpenBanking, &cx, &ids, &order(), &response).unwrap();
    assert_eq!((report.status, report.consent), (None, Some(BankConsentStatus::Authorised)));
    ids.payment = Some("p1".into());
    let request = PaymentInitiation::status(&UkOpenBanking, &cx, &ids, &order()).unwrap();
    assert!(request.url.as_str().ends_with("/pisp/domestic-payments/p1"));
    for (word, status) in [
        ("Pending", IsoPaymentStatus::Pending),
        ("AcceptedSettlementInProcess", IsoPaymentStatus::AcceptedSettlementInProcess),
        ("AcceptedCreditSettlementCompleted", IsoPaymentStatus::AcceptedCreditSettlementCompleted),
        ("ACSC", IsoPaymentStatus::AcceptedSettlementCompleted),
    ] {
        let response = answer(200, &json!({ "Data": { "DomesticPaymentId": "p1", "Status": word } }));
        let report = PaymentInitiation::status_read(&UkOpenBanking, &cx, &ids, &order(), &response).unwrap();
        assert_eq!(report.status, Some(status));
    }
}

#[test]
fn accounts_balances_and_transactions_are_read_in_both_versions() {
    let token = SecretString::from("t");
    for (version, kind, category, booked, balance) in [
        ("3.1", json!({ "AccountSubType": "CurrentAccount" }), "AccountType", "Booked", "InterimAvailable"),
        ("4.0", json!({ "AccountTypeCode": "CACC" }), "AccountCategory", "BOOK", "ITAV"),
    ] {
        let profile = profile(version);
        let cx = context(&profile, &token);
        let mut account = kind;
        account["AccountId"] = json!(22289);
        account["Currency"] = json!("GBP");
        account[category] = json!("Business");
        account["Account"] = json!([
            { "SchemeName": "UK.OBIE.SortCodeAccountNumber", "Identification": "80200110203345", "Name": "Mr K" },
            { "SchemeName": "UK.OBIE.PAN", "Identification": "4929123412341234" },
        ]);
        let body = json!({
            "Data": { "Account": [account] },
            "Links": { "Next": "https://api.bank.example/open-banking/accounts?page=2" },
        });
        let page = UkOpenBanking.accounts_read(&cx, &answer(200, &body)).ok().unwrap();
        let account = &page.items[0];
        assert_eq!(
            (account.resource_id.as_str(), account.holders.as_slice()),
            ("22289", &["Mr K".into()][..])
        );
        assert_eq!(account.cash_account_type.as_deref(), Some("CACC"));
        assert_eq!(account.identifications.len(), 1, "a card number in clear is not kept");
        assert!(page.next.is_some());

        let body = json!({ "Data": { "Balance": [{
            "AccountId": "22289", "Amount": { "Amount": "1230.00", "Currency": "GBP" },
            "CreditDebitIndicator": "Debit", "Type": balance, "DateTime": "2026-04-05T10:43:07+00:00",
            "CreditLine": [{ "Included": true }],
        }] } });
        let balances = UkOpenBanking.balances_read(&cx, &answer(200, &body)).unwrap();
        assert_eq!(
            (balances[0].kind, balances[0].direction),
            (BalanceType::InterimAvailable, CreditDebit::Debit)
        );
        assert_eq!(balances[0].credit_line_included, Some(true));

        let body = json!({ "Data": { "Transaction": [{
            "AccountId": "22289", "TransactionId": "t1", "Status": booked, "CreditDebitIndicator": "Credit",
            "BookingDateTime": "2026-04-05T23:43:07-05:00", "Amount": { "Amount": "10", "Currency": "GBP" },
            "TransactionInformation": "Cash",
        }] } });
        let asked = UkOpenBanking.transactions(&cx, "22289", &TransactionQuery::default()).unwrap();
        let page = UkOpenBanking.transactions_read(&cx, &asked, &answer(200, &body)).ok().unwrap();
        let entry = &page.items[0];
        assert_eq!(
            (entry.status, entry.booking_date),
            (BookingStatus::Booked, Some("2026-04-05".parse().unwrap()))
        );
        assert_eq!(entry.booked_at, Some("2026-04-06T04:43:07Z".parse().unwrap()));
    }
}

#[test]
fn errors_of_both_versions_mean_the_same() {
    let (profile, token) = (profile("4.0"), SecretString::from("t"));
    let cx = context(&profile, &token);
    for (status, codes, kind) in [
        (400, ["UK.OBIE.Field.Missing", "U004"], BankErrorKind::InvalidRequest),
        (400, ["UK.OBIE.Resource.NotFound", "U011"], BankErrorKind::ResourceUnknown),
        (400, ["UK.OBIE.Signature.Invalid", "U015"], BankErrorKind::SignatureRejected),
        (403, ["UK.OBIE.Reauthenticate", "U028"], BankErrorKind::ConsentExpired),
        (400, ["UK.OBIE.Resource.InvalidConsentStatus", "U009"], BankErrorKind::ConsentRevoked),
    ] {
        for code in codes {
            let error = json!({ "ErrorCode": code, "Message": "Jane Doe", "Path": "Data.Initiation.InstructedAmount" });
            let body = json!({ "Code": "400", "Id": "1", "Message": "m", "Errors": [error] });
            let error = UkOpenBanking.accounts_read(&cx, &answer(status, &body)).err().unwrap();
            assert_eq!((error.kind, error.bank_code.as_deref()), (kind, Some(code)));
            assert_eq!(error.field.as_deref(), Some("Data.Initiation.InstructedAmount"));
            assert!(!error.to_string().contains("Jane"));
        }
    }
    let silent = BankResponse {
        status: StatusCode::UNAUTHORIZED,
        headers: HeaderMap::new(),
        body: bytes::Bytes::new(),
    };
    assert_eq!(UkOpenBanking.accounts_read(&cx, &silent).err().unwrap().kind, BankErrorKind::TokenInvalid);
}

#[test]
fn hostile_answers_give_typed_errors() {
    let (profile, token) = (profile("4.0"), SecretString::from("t"));
    let cx = context(&profile, &token);
    let deep = format!("{{\"Data\":{}", "[".repeat(10_000));
    for body in ["", "{", "[]", "null", "\"\"", "{\"Data\":[]}", "{\"Data\":{\"Account\":{}}}", &deep] {
        let response =
            BankResponse { status: StatusCode::OK, headers: HeaderMap::new(), body: body.to_owned().into() };
        let error = UkOpenBanking.accounts_read(&cx, &response).err().unwrap();
        assert_eq!(error.kind, BankErrorKind::MalformedResponse, "{body:.40}");
    }
    let negative = json!({ "Data": { "Balance": [{
        "Amount": { "Amount": "-1", "Currency": "GBP" }, "CreditDebitIndicator": "Debit", "Type": "ITAV",
    }] } });
    let error = UkOpenBanking.balances_read(&cx, &answer(200, &negative)).unwrap_err();
    assert_eq!(error.field.as_deref(), Some("/Data/Balance/0/Amount/Amount"));
    let query = UkOpenBanking.transactions(&cx, "a/../b?c", &TransactionQuery::default()).unwrap();
    assert!(query.url.as_str().ends_with("/aisp/accounts/a%2F..%2Fb%3Fc/transactions"));
}

#[test]
fn an_answer_without_a_body_is_no_entry_where_the_bank_means_it_so() {
    let (mut profile, token) = (profile("4.0"), SecretString::from("t"));
    let read = |profile: &Profile, status: u16| {
        let status = StatusCode::from_u16(status).unwrap();
        let response = BankResponse { status, headers: HeaderMap::new(), body: bytes::Bytes::new() };
        let asked =
            UkOpenBanking.transactions(&context(profile, &token), "1", &TransactionQuery::default()).unwrap();
        let page = UkOpenBanking.transactions_read(&context(profile, &token), &asked, &response);
        page.map(|page| page.items.len()).map_err(|error| error.kind)
    };
    assert_eq!(read(&profile, 200), Err(BankErrorKind::MalformedResponse));
    profile.uk_open_banking.empty_answer_is_none = true;
    assert_eq!(read(&profile, 200), Ok(0));
    assert_eq!(read(&profile, 401), Err(BankErrorKind::TokenInvalid));
}

fn entries(resource: AccountResource, list: Value) -> Vec<ResourceEntry> {
    let (profile, token) = (profile("4.0"), SecretString::from("t"));
    let response = answer(200, &json!({ "Data": list, "Links": {}, "Meta": {} }));
    let cx = context(&profile, &token);
    let asked = UkOpenBanking.resource(&cx, resource, "22289").unwrap();
    UkOpenBanking.resource_read(&cx, resource, &asked, &response).unwrap().items
}

#[test]
fn frequencies_of_both_versions_are_read() {
    let of = |order: Value| {
        let read = entries(AccountResource::StandingOrders, json!({ "StandingOrder": [order] }));
        let Some(ResourceEntry::StandingOrder(order)) = read.into_iter().next() else { panic!("no order") };
        (order.frequency.as_str(), order.day)
    };
    for (word, expected) in [
        ("EvryDay", ("DAIL", None)),
        ("IntrvlWkDay:01:03", ("WEEK", Some(3))),
        ("IntrvlWkDay:02:05", ("TOWK", Some(5))),
        ("IntrvlMnthDay:01:28", ("MNTH", Some(28))),
        ("IntrvlMnthDay:12:01", ("YEAR", Some(1))),
        ("IntrvlMnthDay:01:-01", ("MNTH", None)),
        ("QtrDay:ENGLISH", ("QUTR", None)),
        ("NotKnown", ("OTHR", None)),
    ] {
        assert_eq!(of(json!({ "AccountId": "1", "Frequency": word })), expected, "{word}");
    }
    let new =
        json!({ "MandateRelatedInformation": { "Frequency": { "Type": "MIAN", "PointInTime": "04" } } });
    assert_eq!(of(new), ("SEMI", Some(4)));
}

#[test]
fn a_party_may_come_alone_where_the_bank_has_no_list() {
    let (mut profile, token) = (profile("4.0"), SecretString::from("t"));
    profile.absent_paths = vec!["/accounts/{id}/parties".to_owned()];
    let request = UkOpenBanking.resource(&context(&profile, &token), AccountResource::Parties, "a1").unwrap();
    assert!(request.url.path().ends_with("/accounts/a1/party"));
    let response = answer(200, &json!({ "Data": { "Party": { "PartyId": "p", "Name": "N" } } }));
    let page = UkOpenBanking
        .resource_read(&context(&profile, &token), AccountResource::Parties, &request, &response)
        .unwrap();
    assert!(matches!(&page.items[..], [ResourceEntry::Party(party)] if party.name.as_deref() == Some("N")));
    profile.absent_paths.push("/accounts/{id}/party".to_owned());
    assert!(!AccountResources::offered(&UkOpenBanking, &profile).contains(&AccountResource::Parties));
    let error =
        UkOpenBanking.resource(&context(&profile, &token), AccountResource::Parties, "a1").unwrap_err();
    assert_eq!(error.kind, BankErrorKind::Unsupported);
}

#[test]
fn a_scheduled_payment_without_a_day_is_refused_by_its_place() {
    let (profile, token) = (profile("4.0"), SecretString::from("t"));
    let list =
        json!({ "ScheduledPayment": [{ "InstructedAmount": { "Amount": "1.00", "Currency": "GBP" } }] });
    let response = answer(200, &json!({ "Data": list }));
    let (cx, resource) = (context(&profile, &token), AccountResource::ScheduledPayments);
    let asked = UkOpenBanking.resource(&cx, resource, "22289").unwrap();
    let read = UkOpenBanking.resource_read(&cx, resource, &asked, &response);
    let error = read.err().unwrap();
    assert_eq!(error.field.as_deref(), Some("/Data/ScheduledPayment/0/ScheduledPaymentDateTime"));
}

/// The content type is held to a list; what it may not be is no answer at all.
#[test]
fn a_statement_is_a_file_of_a_known_format() {
    let (mut profile, token) = (profile("4.0"), SecretString::from("t"));
    let cx = context(&profile, &token);
    let request = UkOpenBanking.file(&cx, "a/1", "s 1").unwrap();
    assert!(request.url.path().ends_with("/aisp/accounts/a%2F1/statements/s%201/file"));
    assert!(request.header_text("accept").unwrap().starts_with("application/pdf, "));
    let file = |content_type: &'static str| {
        let mut response = answer(200, &json!("%PDF"));
        response.headers.insert("content-type", http::HeaderValue::from_static(content_type));
        UkOpenBanking.file_read(&cx, &response)
    };
    assert_eq!(file("application/pdf").unwrap().format, StatementFormat::Pdf);
    assert_eq!(file("Text/CSV; charset=utf-8").unwrap().format, StatementFormat::Csv);
    for other in ["text/html", "application/json", "image/svg+xml", ""] {
        let error = file(other).unwrap_err();
        assert_eq!(
            (error.kind, error.field.as_deref()),
            (BankErrorKind::MalformedResponse, Some("content-type"))
        );
    }
    let unknown = UkOpenBanking.file_read(&cx, &answer(404, &json!({}))).unwrap_err();
    assert_eq!(unknown.kind, BankErrorKind::ResourceUnknown);
    assert!(StatementFiles::offered(&UkOpenBanking, &profile));
    profile.absent_paths = vec!["/accounts/{id}/statements".to_owned()];
    assert!(!StatementFiles::offered(&UkOpenBanking, &profile));
}
