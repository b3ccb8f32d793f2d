use connect::{
    ApiBase, AuthorizationServer, BankConsentStatus, BankPaymentIds, ConsentInquiry, ConsentLodging,
    ConsentOrder, ConsentRevocation, Echo, Outcome, PsuPresence, ScaStart, TransactionQuery,
};
use domain::{AccountIdentification, BookingStatus, IsoPaymentStatus, Permission};
use serde_json::json;

use super::*;
use crate::world::{answer, context, order, raw, redirects, sent, wanted};

pub(crate) fn profile() -> Profile {
    let mut profile = Profile::blank(
        "de-examplebank".parse().unwrap(),
        "Example Bank",
        "eu".parse().unwrap(),
        "berlin-group",
    );
    let url: Url = "https://xs2a.bank.example/v1".parse().unwrap();
    profile.accounts_api = Some(ApiBase { url: url.clone(), version: "1.3".into() });
    profile.payments_api = Some(ApiBase { url, version: "1.3".into() });
    profile.sca = vec![ScaFlow::Redirect];
    profile.signing = Signing::DigestSignature;
    profile.max_consent_days = Some(180);
    profile
}

#[test]
fn a_consent_request_is_what_the_standard_wants() {
    let profile = profile();
    let psu = PsuPresence {
        ip_address: "192.0.2.1".parse().unwrap(),
        user_agent: None,
        accept_language: None,
        last_authenticated: None,
    };
    let cx = CallContext { psu: Some(&psu), psu_id: Some("psu-1"), ..context(&profile) };
    let order = ConsentOrder {
        valid_until: Some("2028-01-01".parse().unwrap()),
        frequency_per_day: 9,
        ..wanted(&[Permission::ReadAccountsDetail, Permission::ReadBalances])
    };
    let request = ConsentLodging::lodge(&BerlinGroup, &cx, &order).unwrap();
    assert_eq!(
        (request.method.as_str(), request.url.as_str()),
        ("POST", "https://xs2a.bank.example/v1/consents")
    );
    assert_eq!(request.effect, Effect::Write);
    assert_eq!(request.signature, Signature::DigestAndSignature);
    for (name, value) in [
        ("x-request-id", "99391c7e-ad88-49ec-a2ad-99ddcb1f7721"),
        ("psu-ip-address", "192.0.2.1"),
        ("psu-id", "psu-1"),
        ("tpp-redirect-uri", "https://gateway.example/callback"),
        ("tpp-redirect-preferred", "true"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(request.header_text(name), Some(value), "{name}");
    }
    let expected = json!({
        "access": { "accounts": [], "balances": [] },
        "recurringIndicator": true,
        "validUntil": "2026-11-28",
        "frequencyPerDay": 4,
        "combinedServiceIndicator": false,
    });
    assert_eq!(sent(&request), expected);
}

#[test]
fn the_answer_says_how_authentication_goes_on() {
    let mut profile = profile();
    let lodged = |profile: &Profile, headers: &[(&'static str, &'static str)], links: Value| {
        let body = json!({ "consentId": "c/1", "consentStatus": "received", "_links": links });
        ConsentLodging::lodged(&BerlinGroup, &context(profile), &answer(201, headers, &body)).map(|l| l.sca)
    };
    let link = "https://bank.example/login";
    let redirect = Some(ScaStart::Redirect(link.parse().unwrap()));
    assert!(lodged(&profile, &[], json!({ "scaRedirect": { "href": link } })).ok() == redirect);
    assert!(lodged(&profile, &[], json!({ "scaRedirect": link })).ok() == redirect);
    for unsafe_link in ["http://bank.example/login", "javascript:alert(1)", "not a link"] {
        assert!(lodged(&profile, &[], json!({ "scaRedirect": unsafe_link })).is_err(), "{unsafe_link}");
    }
    let oauth = lodged(&profile, &[], json!({ "scaOAuth": { "href": "https://as.bank.example/meta" } })).ok();
    let metadata = Some("https://as.bank.example/meta".parse().unwrap());
    assert!(oauth == Some(ScaStart::OAuth { scope: "AIS:c/1".into(), intent_id: None, metadata }));
    let decoupled = lodged(&profile, &[("aspsp-sca-approach", "DECOUPLED")], json!({})).ok();
    assert!(decoupled == Some(ScaStart::Decoupled { message: None }));
    // Our own address, never the bank's link; the identifier cannot leave its place.
    let explicit = lodged(&profile, &[], json!({ "startAuthorisation": "https://evil.example/" })).ok();
    let own = "https://xs2a.bank.example/v1/consents/c%2F1/authorisations".parse().unwrap();
    assert!(explicit == Some(ScaStart::Explicit { link: own }));
    profile.authorization_server = Some(AuthorizationServer::default());
    let header = [("aspsp-sca-approach", "REDIRECT")];
    let plain = lodged(&profile, &header, json!({ "scaOAuth": null })).ok();
    assert!(plain == Some(ScaStart::OAuth { scope: "AIS:c/1".into(), intent_id: None, metadata: None }));
}

#[test]
fn transactions_are_asked_for_within_the_history_and_with_the_consent() {
    let profile = profile();
    let request = BerlinGroup.transactions(&context(&profile), "../1", &TransactionQuery::default()).unwrap();
    let expected =
        "https://xs2a.bank.example/v1/accounts/..%2F1/transactions?bookingStatus=both&dateFrom=2026-03-03";
    assert_eq!(request.url.as_str(), expected);
    assert_eq!(request.header_text("consent-id"), Some("consent-1"));
    assert_eq!(request.header_text("psu-ip-address"), None);
}

#[test]
fn a_bank_that_needs_the_customers_identifier_is_not_called_without() {
    let mut profile = profile();
    profile.psu_id_required = true;
    let cx = context(&profile);
    let error = PaymentInitiation::lodge(&BerlinGroup, &cx, &order(), &redirects()).unwrap_err();
    assert_eq!(error.field.as_deref(), Some("psu-id"));
    let known = CallContext { psu_id: Some("psu-1"), ..cx };
    assert!(PaymentInitiation::lodge(&BerlinGroup, &known, &order(), &redirects()).is_ok());
}

#[test]
fn a_next_page_never_leads_away_from_the_bank() {
    let profile = profile();
    let page = |link: &str| {
        let body = json!({ "transactions": { "booked": [], "_links": { "next": { "href": link } } } });
        let cx = context(&profile);
        let asked = BerlinGroup.transactions(&cx, "1", &TransactionQuery::default()).unwrap();
        BerlinGroup.transactions_read(
            &cx,
            &asked,
            &answer(200, &[("content-type", "application/json")], &body),
        )
    };
    let next = page("/v1/accounts/1/transactions?page=2").ok().and_then(|page| page.next).unwrap();
    assert_eq!(next.url().as_str(), "https://xs2a.bank.example/v1/accounts/1/transactions?page=2");
    for foreign in [
        "https://evil.example/v1",
        "http://xs2a.bank.example/v1",
        "//evil.example/",
        "https://xs2a.bank.example:8443/",
    ] {
        let error = page(foreign).err().unwrap();
        assert_eq!(error.field.as_deref(), Some("/transactions/_links/next"), "{foreign}");
    }
    let mut guard = connect::PageGuard::new(10);
    assert!(guard.admit(&profile, &next).is_ok());
    assert!(guard.admit(&profile, &next).is_err(), "a circle");
}

/// Links are objects, plain texts, or a list of objects of one member each.
#[test]
fn links_are_read_in_every_form() {
    let profile = profile();
    let next = "/v1/accounts/1/transactions?page=1";
    for links in [
        json!({ "next": { "href": next } }),
        json!({ "first": "/v1/accounts/1/transactions?page=0", "next": next }),
        json!([{ "account": { "href": "/v1/accounts/1" } }, { "next": { "href": next } }]),
    ] {
        let body = json!({ "transactions": { "booked": [], "_links": links } });
        let cx = context(&profile);
        let asked = BerlinGroup.transactions(&cx, "1", &TransactionQuery::default()).unwrap();
        let response = answer(200, &[("content-type", "application/json")], &body);
        let page = BerlinGroup.transactions_read(&cx, &asked, &response).unwrap();
        assert!(page.next.unwrap().url().as_str().ends_with(next), "{body}");
    }
}

#[test]
fn a_payment_is_written_as_ordered_and_its_echo_compared() {
    let profile = profile();
    let cx = context(&profile);
    let request = PaymentInitiation::lodge(&BerlinGroup, &cx, &order(), &redirects()).unwrap();
    assert!(request.url.path().ends_with("/payments/instant-sepa-credit-transfers"));
    let expected = json!({
        "endToEndIdentification": "E2E-1",
        "instructedAmount": { "currency": "EUR", "amount": "123.50" },
        "creditorAccount": { "iban": "DE02120300000000202051" },
        "creditorName": "Merchant",
        "remittanceInformationUnstructured": "Invoice 7",
    });
    assert_eq!(sent(&request), expected);

    let report = |amount: &str, currency: &str, iban: &str| {
        let body = json!({
            "transactionStatus": "ACCP", "paymentId": "p1",
            "instructedAmount": { "amount": amount, "currency": currency },
            "creditorAccount": { "iban": iban },
        });
        let ids = BankPaymentIds { lodged: "p1".into(), payment: None };
        PaymentInitiation::status_read(&BerlinGroup, &cx, &ids, &order(), &answer(200, &[], &body))
    };
    let same = report("123.5", "EUR", "DE02 1203 0000 0000 2020 51").unwrap();
    assert_eq!((same.status, same.echo), (Some(IsoPaymentStatus::AcceptedCustomerProfile), Echo::Same));
    for (amount, currency, iban, field) in [
        ("123.51", "EUR", "DE02120300000000202051", "/instructedAmount/amount"),
        ("-123.50", "EUR", "DE02120300000000202051", "/instructedAmount/amount"),
        ("123.50", "USD", "DE02120300000000202051", "/instructedAmount/currency"),
        ("123.50", "EUR", "DE89370400440532013000", "/creditorAccount"),
    ] {
        let error = report(amount, currency, iban).unwrap_err();
        assert_eq!((error.kind, error.field.as_deref()), (BankErrorKind::EchoMismatch, Some(field)));
    }
}

#[test]
fn a_bank_failure_is_typed_and_keeps_the_banks_code() {
    let profile = profile();
    let cx = context(&profile);
    for (status, code, kind) in [
        (401, "CONSENT_EXPIRED", BankErrorKind::ConsentExpired),
        (400, "FORMAT_ERROR", BankErrorKind::InvalidRequest),
        (403, "CONSENT_UNKNOWN", BankErrorKind::ConsentMissing),
        (401, "SIGNATURE_INVALID", BankErrorKind::SignatureRejected),
        (401, "CERTIFICATE_EXPIRED", BankErrorKind::CertificateRejected),
        (429, "ACCESS_EXCEEDED", BankErrorKind::QuotaExceeded),
        (400, "PERIOD_INVALID", BankErrorKind::HistoryWindow),
        (400, "SOMETHING_NEW", BankErrorKind::InvalidRequest),
    ] {
        let message = json!({ "category": "ERROR", "code": code, "text": "Jane Doe", "path": "/a" });
        let body = json!({ "tppMessages": [message] });
        let response = answer(status, &[("retry-after", "7")], &body);
        let error = BerlinGroup.accounts_read(&cx, &response).err().unwrap();
        assert_eq!((error.kind, error.bank_code.as_deref()), (kind, Some(code)));
        assert_eq!(error.retry_after, Some(std::time::Duration::from_secs(7)));
        assert!(!error.to_string().contains("Jane"));
    }
    let page = raw(502, &[("content-type", "text/html")], b"<html>Bad Gateway</html>".to_vec());
    assert_eq!(BerlinGroup.accounts_read(&cx, &page).err().unwrap().kind, BankErrorKind::BankFailed);
    let lodged = |response: &BankResponse| {
        PaymentInitiation::lodged(&BerlinGroup, &cx, &order(), response).err().unwrap()
    };
    assert_eq!(lodged(&page).outcome, Outcome::Unknown);
    assert_eq!(lodged(&raw(400, &[], Vec::new())).outcome, Outcome::NotDone);
    assert_eq!(lodged(&raw(201, &[], b"{\"paymentId\":".to_vec())).outcome, Outcome::Unknown);
}

#[test]
fn every_status_of_the_standard_is_known_and_no_other() {
    let profile = profile();
    let cx = context(&profile);
    for (word, status) in [
        ("received", BankConsentStatus::AwaitingAuthorisation),
        ("valid", BankConsentStatus::Authorised),
        ("rejected", BankConsentStatus::Rejected),
        ("revokedByPsu", BankConsentStatus::RevokedByPsu),
        ("expired", BankConsentStatus::Expired),
        ("terminatedByTpp", BankConsentStatus::TerminatedByTpp),
        ("partiallyAuthorised", BankConsentStatus::PartiallyAuthorised),
    ] {
        let response = answer(200, &[], &json!({ "consentStatus": word }));
        assert_eq!(ConsentInquiry::status_read(&BerlinGroup, &cx, &response).unwrap(), status);
    }
    let response = answer(200, &[], &json!({ "consentStatus": "VALID" }));
    assert!(ConsentInquiry::status_read(&BerlinGroup, &cx, &response).is_err());
}

#[test]
fn revoking_what_the_bank_no_longer_knows_is_done() {
    let profile = profile();
    let cx = context(&profile);
    let gone = answer(403, &[], &json!({ "tppMessages": [{ "code": "CONSENT_UNKNOWN" }] }));
    assert!(BerlinGroup.revoked(&cx, &gone).is_ok());
    assert!(BerlinGroup.revoked(&cx, &raw(204, &[], Vec::new())).is_ok());
    assert!(BerlinGroup.revoked(&cx, &raw(500, &[], Vec::new())).is_err());
}

#[test]
fn what_a_consent_allows_beside_accounts_is_asked_for() {
    let profile = profile();
    let order = |permissions: Vec<Permission>| wanted(&permissions);
    let access = |permissions: &[Permission]| {
        let order = order(permissions.to_vec());
        let request = ConsentLodging::lodge(&BerlinGroup, &context(&profile), &order).unwrap();
        sent(&request)["access"].clone()
    };
    use Permission::{
        ReadAccountsDetail, ReadBalances, ReadBeneficiaries, ReadParty, ReadTransactionsDetail,
    };
    let all = [ReadAccountsDetail, ReadBalances, ReadTransactionsDetail, ReadParty];
    assert_eq!(access(&all), json!({ "allPsd2": "allAccountsWithOwnerName" }));
    let some = access(&[ReadAccountsDetail, ReadParty, ReadBeneficiaries]);
    let additional = json!({ "ownerName": [], "trustedBeneficiaries": [] });
    assert_eq!(some, json!({ "accounts": [], "additionalInformation": additional }));
}

#[test]
fn standing_orders_are_entries_for_information() {
    let profile = profile();
    let resource = domain::AccountResource::StandingOrders;
    let request = BerlinGroup.resource(&context(&profile), resource, "a-1").unwrap();
    assert_eq!(request.url.query(), Some("bookingStatus=information"));
    let entry = json!({
        "transactionAmount": { "amount": "-100.00", "currency": "EUR" },
        "creditorName": "Landlord",
        "creditorAccount": { "iban": "DE89370400440532013000" },
        "additionalInformationStructured": { "standingOrderDetails": {
            "startDate": "2026-01-01", "frequency": "Quarterly", "dayOfExecution": "24", "endDate": "2027-01-01",
        } },
    });
    let body = json!({ "transactions": { "information": [entry] } });
    let page =
        BerlinGroup.resource_read(&context(&profile), resource, &request, &answer(200, &[], &body)).unwrap();
    let [domain::ResourceEntry::StandingOrder(order)] = &page.items[..] else { panic!("one standing order") };
    assert_eq!((order.frequency.as_str(), order.day), ("QUTR", Some(24)));
    assert_eq!(order.next.as_ref().unwrap().amount.unwrap().amount_text(), "100.00");
    assert_eq!(order.last.as_ref().unwrap().date.unwrap().to_string(), "2027-01-01");
}
mod cards;
mod details;
mod embedded;
mod funds;
mod notices;
mod options;

/// Some banks begin every answer with a byte order mark, errors too.
#[test]
fn an_error_behind_a_byte_order_mark_keeps_its_meaning() {
    let profile = profile();
    let body = json!({ "tppMessages": [{ "category": "ERROR", "code": "CONSENT_EXPIRED" }] });
    let body = [b"\xef\xbb\xbf".to_vec(), body.to_string().into_bytes()].concat();
    let error = BerlinGroup.accounts_read(&context(&profile), &raw(401, &[], body)).err().unwrap();
    assert_eq!(
        (error.kind, error.bank_code.as_deref()),
        (BankErrorKind::ConsentExpired, Some("CONSENT_EXPIRED"))
    );
}
