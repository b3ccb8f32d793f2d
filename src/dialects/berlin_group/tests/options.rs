//! What a bank's options change in requests.

use connect::{BerlinGroupOptions, TransactionSelection, read_profiles};

use connect::ConsentLodging;

use super::*;

/// A bank with these options, read from a file.
fn bank(options: &str) -> Profile {
    let text = format!(
        "group = \"G\"\n[[brand]]\nid = \"de-examplebank\"\nname = \"B\"\ndialect = \"berlin-group\"\n\
         region = \"eu\"\nenvironment = \"live\"\nclient_auth = \"certificate\"\n[brand.berlin_group]\n{options}\n"
    );
    let (profiles, problems) = read_profiles("x.toml", &text);
    assert_eq!(problems, [], "{options}");
    Profile { berlin_group: profiles[0].berlin_group.clone(), ..profile() }
}

fn wanted(permissions: &[Permission], account: Option<&str>) -> ConsentOrder {
    ConsentOrder {
        accounts: account
            .map(|iban| AccountIdentification::Iban(iban.parse().unwrap()))
            .into_iter()
            .collect(),
        recurring: false,
        ..crate::world::wanted(permissions)
    }
}

fn lodged(profile: &Profile, order: &ConsentOrder) -> Result<BankRequest, BankError> {
    ConsentLodging::lodge(&BerlinGroup, &context(profile), order)
}

const ACCOUNTS: &[Permission] = &[Permission::ReadAccountsDetail];
const BALANCES: &[Permission] = &[Permission::ReadAccountsDetail, Permission::ReadBalances];
const ALL: &[Permission] =
    &[Permission::ReadAccountsDetail, Permission::ReadBalances, Permission::ReadTransactionsDetail];
const IBAN: &str = "DE02120300000000202051";

/// XS2A 6.3.1: a bank offers some of the ways to ask for access. We ask in one
/// that it offers, and never for more than was ordered.
#[test]
fn access_is_asked_for_in_a_way_that_the_bank_offers() {
    let named = json!([{ "iban": IBAN }]);
    for (options, permissions, account, access) in [
        ("", ALL, None, Some(json!({ "allPsd2": "allAccounts" }))),
        ("", ACCOUNTS, None, Some(json!({ "accounts": [] }))),
        ("", BALANCES, Some(IBAN), Some(json!({ "accounts": named, "balances": named }))),
        (
            "consents = [\"bank-offered\"]",
            ALL,
            None,
            Some(json!({ "accounts": [], "balances": [], "transactions": [] })),
        ),
        ("consents = [\"bank-offered\"]", ALL, Some(IBAN), None),
        ("consents = [\"global\"]", ALL, None, Some(json!({ "allPsd2": "allAccounts" }))),
        ("consents = [\"global\"]", BALANCES, None, None),
        (
            "consents = [\"available-accounts\"]",
            ACCOUNTS,
            None,
            Some(json!({ "availableAccounts": "allAccounts" })),
        ),
        ("consents = [\"available-accounts\"]", BALANCES, None, None),
        (
            "consents = [\"available-accounts-with-balance\"]",
            BALANCES,
            None,
            Some(json!({ "availableAccountsWithBalance": "allAccounts" })),
        ),
        ("account_references = [\"bban\"]", ACCOUNTS, Some(IBAN), None),
    ] {
        let asked = lodged(&bank(options), &wanted(permissions, account)).map(|request| sent(&request));
        let asked = asked.map(|body| body["access"].clone()).map_err(|error| error.kind);
        assert_eq!(asked, access.ok_or(BankErrorKind::Unsupported), "{options} {permissions:?} {account:?}");
    }
    let without_balances = wanted(&[Permission::ReadTransactionsBasic], None);
    assert!(lodged(&bank(""), &without_balances).is_ok());
    let refused = lodged(&bank("transactions_need_balances = true"), &without_balances).err().unwrap();
    assert_eq!(refused.field.as_deref(), Some("access/balances"));
}

#[test]
fn a_consent_is_as_recurring_and_as_frequent_as_the_bank_gives_it() {
    let request = |options| sent(&lodged(&bank(options), &wanted(ACCOUNTS, None)).unwrap());
    let body = request("");
    assert_eq!((&body["recurringIndicator"], &body["frequencyPerDay"]), (&json!(false), &json!(1)));
    let body = request("recurring_only = true\nmax_frequency_per_day = 2");
    assert_eq!((&body["recurringIndicator"], &body["frequencyPerDay"]), (&json!(true), &json!(2)));
}

#[test]
fn headers_are_those_that_the_bank_wants() {
    let psu = PsuPresence {
        ip_address: "192.0.2.1".parse().unwrap(),
        user_agent: None,
        accept_language: None,
        last_authenticated: None,
    };
    let header = |options: &str, name: &str| {
        let profile = bank(options);
        let cx = CallContext { psu: Some(&psu), psu_id: Some("anna"), ..context(&profile) };
        let request = ConsentLodging::lodge(&BerlinGroup, &cx, &wanted(ACCOUNTS, None)).unwrap();
        request.header_text(name).map(str::to_owned)
    };
    let explicit = "tpp-explicit-authorisation-preferred";
    for (options, name, value) in [
        ("", explicit, None),
        ("start_authorisation = \"explicit\"", explicit, Some("true")),
        ("start_authorisation = \"implicit\"", explicit, Some("false")),
        ("", "psu-id", Some("anna")),
        ("psu_id_unwanted = true", "psu-id", None),
        ("", "psu-id-type", None),
        ("psu_id_type = \"DE_ONLB_DB\"", "psu-id-type", Some("DE_ONLB_DB")),
        ("headers = { X-AB-Bank-Id = \"7\" }", "x-ab-bank-id", Some("7")),
        ("", "psu-ip-address", Some("192.0.2.1")),
        ("psu_headers_together = [\"psu-ip-address\", \"psu-user-agent\"]", "psu-ip-address", None),
        ("psu_headers_together = [\"psu-ip-address\"]", "psu-ip-address", Some("192.0.2.1")),
    ] {
        assert_eq!(header(options, name).as_deref(), value, "{options} {name}");
    }
}

#[test]
fn the_token_goes_where_the_bank_looks_for_it() {
    let token = secrecy::SecretString::from("t-1");
    for (options, name, other) in [
        ("", "authorization", "psd2-authorization"),
        ("token_header = \"PSD2-AUTHORIZATION\"", "psd2-authorization", "authorization"),
    ] {
        let profile = bank(options);
        let cx = CallContext { access_token: Some(&token), ..context(&profile) };
        let request = ConsentLodging::lodge(&BerlinGroup, &cx, &wanted(ACCOUNTS, None)).unwrap();
        assert_eq!((request.header_text(name), request.header_text(other)), (Some("Bearer t-1"), None));
        assert!(request.headers[name].is_sensitive());
    }
}

#[test]
fn transactions_are_asked_for_in_the_status_and_formats_of_the_bank() {
    let request = |options: &str, status| {
        let profile = bank(options);
        let query = TransactionQuery { status, ..TransactionQuery::default() };
        let request =
            BerlinGroup.transactions(&context(&profile), "a-1", &query).map_err(|error| error.kind)?;
        let accept = request.header_text("accept").unwrap().to_owned();
        Ok((request.url.query().unwrap().split('&').next().unwrap().to_owned(), accept))
    };
    let usual = "application/json, application/xml;q=0.8, text/plain;q=0.5";
    let both = TransactionSelection::Both;
    assert_eq!(request("", both), Ok(("bookingStatus=both".into(), usual.into())));
    let booked =
        "booking_statuses = [\"booked\"]\ntransaction_formats = [\"text/mt940\", \"application/xml\"]";
    assert_eq!(
        request(booked, both),
        Ok(("bookingStatus=booked".into(), "text/mt940, application/xml".into()))
    );
    assert_eq!(request(booked, TransactionSelection::Pending), Err(BankErrorKind::Unsupported));
}

#[test]
fn a_payment_that_the_bank_would_refuse_is_not_sent() {
    let lodge = |options: &str| {
        PaymentInitiation::lodge(&BerlinGroup, &context(&bank(options)), &order(), &redirects())
            .map(|request| request.url.path().to_owned())
            .map_err(|error| (error.kind, error.field.unwrap()))
    };
    assert_eq!(lodge(""), Ok("/v1/payments/instant-sepa-credit-transfers".into()));
    assert_eq!(
        lodge("payment_products = [\"sepa-credit-transfers\"]"),
        Err((BankErrorKind::Unsupported, "scheme".into()))
    );
    assert_eq!(
        lodge("required_payment_fields = [\"remittance\", \"debtor-account\"]"),
        Err((BankErrorKind::InvalidRequest, "debtor_account".into()))
    );
    let profile = bank("payment_status_formats = [\"application/xml\"]");
    let ids = BankPaymentIds { lodged: "p-1".into(), payment: None };
    let status = PaymentInitiation::status(&BerlinGroup, &context(&profile), &ids, &order()).unwrap();
    assert_eq!(status.header_text("accept"), Some("application/xml"));
}

/// A profile cannot put words in our mouth, and other dialects have no such options.
#[test]
fn options_that_are_not_the_banks_to_give_are_refused() {
    assert_eq!(bank("").berlin_group, BerlinGroupOptions::default());
    for (options, dialect) in [
        ("headers = { Authorization = \"Bearer x\" }", "berlin-group"),
        ("headers = { x-y = \"a\\nb\" }", "berlin-group"),
        ("max_frequency_per_day = 5", "berlin-group"),
        ("consents = [\"everything\"]", "berlin-group"),
        ("recurring_only = true", "uk-open-banking"),
    ] {
        let text = format!(
            "group = \"G\"\n[[brand]]\nid = \"de-b\"\nname = \"B\"\ndialect = \"{dialect}\"\nregion = \"eu\"\n\
             environment = \"live\"\nclient_auth = \"certificate\"\n[brand.berlin_group]\n{options}\n"
        );
        let (profiles, problems) = read_profiles("x.toml", &text);
        assert_eq!((profiles.len(), problems.len()), (0, 1), "{options}: {problems:?}");
        assert!(problems[0].key.starts_with("brand[0].berlin_group"), "{}", problems[0]);
    }
}
