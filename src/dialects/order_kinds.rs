//! Every kind of order in every standard: where it goes and in which words.

use connect::{ApiBase, BankErrorKind, BankPaymentIds, CallContext, Dialect, Profile};
use domain::{
    Abroad, AccountIdentification, ChargeBearer, Date, Execution, ExecutionRule, IsoPaymentStatus, Money,
    PaymentContext, PaymentFrequency, PaymentOrder, PaymentRisk, PaymentScheme, PaymentState, PostalAddress,
    Recurrence, SortCodeAccount,
};
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

use crate::world::{answer, context, order, redirects, sent};
use crate::{BerlinGroup, PolishApi, Stet, UkOpenBanking};

pub(crate) fn profile(dialect: &dyn Dialect, version: &str) -> Profile {
    let (id, region) = ("xx-examplebank".parse().unwrap(), "eu".parse().unwrap());
    let mut profile = Profile::blank(id, "Example Bank", region, dialect.name());
    let url: Url = "https://api.bank.example/base".parse().unwrap();
    profile.payments_api = Some(ApiBase { url, version: version.into() });
    profile.client_id = Some("PSDXX-NCA-100001".into());
    profile
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn scheduled(scheme: PaymentScheme, currency: &str) -> PaymentOrder {
    let amount = Money::parse("123.50", currency.parse().unwrap()).unwrap();
    PaymentOrder { scheme, amount, execution: Execution::On(day("2026-07-31")), ..order() }
}

fn periodic(scheme: PaymentScheme, currency: &str) -> PaymentOrder {
    let series = Recurrence {
        first: day("2026-07-31"),
        last: Some(day("2026-12-31")),
        frequency: PaymentFrequency::Monthly,
        rule: Some(ExecutionRule::Preceding),
    };
    PaymentOrder { execution: Execution::Repeated(series), ..scheduled(scheme, currency) }
}

fn abroad() -> PaymentOrder {
    let address = PostalAddress {
        street_name: Some("Rue Un".into()),
        building_number: Some("7".into()),
        post_code: Some("8001".into()),
        town_name: Some("Zürich".into()),
        country: Some("CH".into()),
        ..PostalAddress::default()
    };
    PaymentOrder {
        amount: Money::parse("80.00", "CHF".parse().unwrap()).unwrap(),
        scheme: PaymentScheme::CrossBorder,
        creditor_account: AccountIdentification::Iban("CH9300762011623852957".parse().unwrap()),
        abroad: Some(Abroad {
            creditor_agent: Some("POFICHBEXXX".into()),
            creditor_address: Some(address),
            charge_bearer: ChargeBearer::Shared,
        }),
        ..order()
    }
}

pub(crate) fn held<'a>(profile: &'a Profile, token: &'a SecretString) -> CallContext<'a> {
    CallContext { access_token: Some(token), ..context(profile) }
}

pub(crate) fn token() -> SecretString {
    "token-1".to_owned().into()
}

/// Path and body of the request that lodges an order.
fn lodged(dialect: &dyn Dialect, version: &str, order: &PaymentOrder) -> (String, Value) {
    let profile = profile(dialect, version);
    let token = token();
    let request = dialect.payments().unwrap().lodge(&held(&profile, &token), order, &redirects()).unwrap();
    (request.url.path().trim_start_matches("/base").to_owned(), sent(&request))
}

/// Path and body of the request that submits one.
fn submitted(dialect: &dyn Dialect, version: &str, order: &PaymentOrder) -> (String, Value) {
    let profile = profile(dialect, version);
    let token = token();
    let request =
        dialect.payments().unwrap().submit(&held(&profile, &token), "bank-1", order).unwrap().unwrap();
    (request.url.path().trim_start_matches("/base").to_owned(), sent(&request))
}

#[test]
fn the_uk_has_a_resource_for_every_kind() {
    let fps = PaymentScheme::FasterPayments;
    let later = scheduled(fps, "GBP");
    let (path, body) = lodged(&UkOpenBanking, "4.0", &later);
    assert_eq!(path, "/domestic-scheduled-payment-consents");
    assert_eq!(body["Data"]["Permission"], "Create");
    assert_eq!(body["Data"]["Initiation"]["RequestedExecutionDateTime"], "2026-07-31T00:00:00+00:00");
    let (path, order) = submitted(&UkOpenBanking, "4.0", &later);
    assert_eq!(path, "/domestic-scheduled-payments");
    assert_eq!(order["Data"]["Initiation"], body["Data"]["Initiation"]);
    assert_eq!(order["Risk"], body["Risk"]);
    assert!(order["Data"].get("Permission").is_none());

    let (path, body) = lodged(&UkOpenBanking, "4.0", &periodic(fps, "GBP"));
    assert_eq!(path, "/domestic-standing-order-consents");
    let initiation = &body["Data"]["Initiation"];
    assert_eq!(initiation["FirstPaymentAmount"], json!({ "Amount": "123.50", "Currency": "GBP" }));
    assert_eq!(
        initiation["MandateRelatedInformation"],
        json!({
            "FirstPaymentDateTime": "2026-07-31T00:00:00+00:00",
            "FinalPaymentDateTime": "2026-12-31T00:00:00+00:00",
            "Frequency": { "Type": "MNTH", "PointInTime": "31" },
        })
    );
    assert_eq!(initiation["RemittanceInformation"]["Unstructured"], json!(["Invoice 7"]));
}

#[test]
fn a_standing_order_of_three_is_in_the_words_of_three() {
    let order = periodic(PaymentScheme::FasterPayments, "GBP");
    let (_, body) = lodged(&UkOpenBanking, "3.1", &order);
    let initiation = &body["Data"]["Initiation"];
    assert_eq!(initiation["FirstPaymentDateTime"], "2026-07-31T00:00:00+00:00");
    assert_eq!(initiation["Reference"], "Invoice 7");
    for absent in ["RemittanceInformation", "InstructionIdentification", "MandateRelatedInformation"] {
        assert!(initiation.get(absent).is_none(), "{absent}");
    }
    let words = |first: &str, frequency| {
        let series = Recurrence { first: day(first), last: None, frequency, rule: None };
        let order = PaymentOrder { execution: Execution::Repeated(series), ..order.clone() };
        lodged(&UkOpenBanking, "3.1", &order).1["Data"]["Initiation"]["Frequency"].clone()
    };
    assert_eq!(words("2026-07-15", PaymentFrequency::Daily), "EvryDay");
    // A Wednesday.
    assert_eq!(words("2026-07-15", PaymentFrequency::Weekly), "IntrvlWkDay:01:03");
    assert_eq!(words("2026-07-15", PaymentFrequency::EveryTwoWeeks), "IntrvlWkDay:02:03");
    assert_eq!(words("2026-07-15", PaymentFrequency::Monthly), "IntrvlMnthDay:01:15");
    assert_eq!(words("2026-07-31", PaymentFrequency::Monthly), "IntrvlMnthDay:01:-01");
    assert_eq!(words("2026-07-15", PaymentFrequency::EveryTwoMonths), "IntrvlMnthDay:02:15");
    assert_eq!(words("2026-07-15", PaymentFrequency::Quarterly), "IntrvlMnthDay:03:15");
    assert_eq!(words("2026-07-15", PaymentFrequency::SemiAnnual), "IntrvlMnthDay:06:15");
    assert_eq!(words("2026-07-15", PaymentFrequency::Annual), "IntrvlMnthDay:12:15");
}

#[test]
fn a_reference_that_is_too_long_for_a_standing_order_is_not_cut() {
    let mut order = periodic(PaymentScheme::FasterPayments, "GBP");
    order.remittance.unstructured = Some("x".repeat(36).into());
    let profile = profile(&UkOpenBanking, "3.1");
    let refused = UkOpenBanking.payments().unwrap().lodge(&context(&profile), &order, &redirects());
    let refused = refused.unwrap_err();
    assert_eq!((refused.kind, refused.field.as_deref()), (BankErrorKind::Unsupported, Some("remittance")));
}

#[test]
fn the_uk_pays_abroad_with_currency_bank_and_bearer_of_charges() {
    let (path, body) = lodged(&UkOpenBanking, "4.0", &abroad());
    assert_eq!(path, "/international-payment-consents");
    let initiation = &body["Data"]["Initiation"];
    assert_eq!(initiation["CurrencyOfTransfer"], "CHF");
    assert_eq!(initiation["ChargeBearer"], "Shared");
    assert_eq!(initiation["DestinationCountryCode"], "CH");
    let agent = json!({ "SchemeName": "UK.OBIE.BICFI", "Identification": "POFICHBEXXX" });
    assert_eq!(initiation["CreditorAgent"], agent);
    assert_eq!(initiation["Creditor"]["PostalAddress"]["TownName"], "Zürich");
    let scheduled = PaymentOrder { execution: Execution::On(day("2026-07-31")), ..abroad() };
    assert_eq!(submitted(&UkOpenBanking, "4.0", &scheduled).0, "/international-scheduled-payments");
}

#[test]
fn risk_is_passed_where_the_standard_has_it() {
    let risk = PaymentRisk {
        context: Some(PaymentContext::Ecommerce),
        merchant_category: Some("5812".into()),
        merchant_customer: Some("customer-7".into()),
        delivery_address: Some(PostalAddress {
            town_name: Some("Leeds".into()),
            country: Some("GB".into()),
            ..PostalAddress::default()
        }),
    };
    let order = PaymentOrder { risk, ..scheduled(PaymentScheme::FasterPayments, "GBP") };
    let (_, body) = lodged(&UkOpenBanking, "4.0", &order);
    assert_eq!(body["Risk"]["PaymentContextCode"], "EcommerceMerchantInitiatedPayment");
    assert_eq!(body["Risk"]["MerchantCategoryCode"], "5812");
    assert_eq!(body["Risk"]["MerchantCustomerIdentification"], "customer-7");
    assert_eq!(body["Risk"]["DeliveryAddress"], json!({ "TownName": "Leeds", "Country": "GB" }));
}

/// What the UK bank answers to an order for a standing order.
fn answered(version: &str, status: &str) -> connect::PaymentReport {
    let order = PaymentOrder {
        creditor_account: AccountIdentification::SortCode(
            SortCodeAccount::new("20-00-00", "55779911").unwrap(),
        ),
        ..periodic(PaymentScheme::FasterPayments, "GBP")
    };
    let profile = profile(&UkOpenBanking, version);
    let initiation = lodged(&UkOpenBanking, version, &order).1["Data"]["Initiation"].clone();
    let data = json!({ "DomesticStandingOrderId": "so-1", "Status": status, "Initiation": initiation });
    let body = json!({ "Data": data });
    let ids = BankPaymentIds { lodged: "c-1".into(), payment: Some("so-1".into()) };
    let payments = UkOpenBanking.payments().unwrap();
    let report = payments.status_read(&context(&profile), &ids, &order, &answer(200, &[], &body)).unwrap();
    assert_eq!(report.echo, connect::Echo::Same);
    report
}

#[test]
fn a_standing_order_that_is_set_up_is_accepted() {
    let three = answered("3.1", "InitiationCompleted");
    assert_eq!(three.status.map(IsoPaymentStatus::state), Some(PaymentState::Accepted));
    assert!(three.last_word, "3.1 says no more of it");
    let four = answered("4.0", "INCO");
    assert_eq!(four.status.map(IsoPaymentStatus::state), Some(PaymentState::Accepted));
    assert!(!four.last_word, "4.0 tells of its payments");
    let failed = answered("3.1", "InitiationFailed");
    assert_eq!(failed.status.map(IsoPaymentStatus::state), Some(PaymentState::Rejected));
}

#[test]
fn berlin_group_takes_a_day_a_series_and_a_bank_abroad() {
    let sepa = PaymentScheme::SepaCreditTransfer;
    let (path, body) = lodged(&BerlinGroup, "1.3", &scheduled(sepa, "EUR"));
    assert_eq!(path, "/payments/sepa-credit-transfers");
    assert_eq!(body["requestedExecutionDate"], "2026-07-31");

    let (path, body) = lodged(&BerlinGroup, "1.3", &periodic(sepa, "EUR"));
    assert_eq!(path, "/periodic-payments/sepa-credit-transfers");
    for (name, value) in [
        ("startDate", "2026-07-31"),
        ("endDate", "2026-12-31"),
        ("executionRule", "preceding"),
        ("frequency", "Monthly"),
        ("dayOfExecution", "31"),
    ] {
        assert_eq!(body[name], value, "{name}");
    }
    let profile = profile(&BerlinGroup, "1.3");
    let ids = BankPaymentIds { lodged: "p-1".into(), payment: None };
    let status = BerlinGroup.payments().unwrap().status(&context(&profile), &ids, &periodic(sepa, "EUR"));
    assert_eq!(status.unwrap().url.path(), "/base/periodic-payments/sepa-credit-transfers/p-1/status");

    let (path, body) = lodged(&BerlinGroup, "1.3", &abroad());
    assert_eq!(path, "/payments/cross-border-credit-transfers");
    assert_eq!(body["creditorAgent"], "POFICHBEXXX");
    assert_eq!(body["chargeBearer"], "SHAR");
    assert_eq!(body["creditorAddress"]["townName"], "Zürich");
}

#[test]
fn stet_takes_a_day_a_series_and_a_bank_abroad() {
    let sepa = PaymentScheme::SepaCreditTransfer;
    let (_, body) = lodged(&Stet, "1.4", &scheduled(sepa, "EUR"));
    assert_eq!(body["requestedExecutionDate"], "2026-07-31T00:00:00Z");
    let (_, body) = lodged(&Stet, "1.4", &periodic(sepa, "EUR"));
    let transfer = &body["creditTransferTransaction"][0];
    assert_eq!(transfer["frequency"], "MNTH");
    assert_eq!(transfer["executionRule"], "PREC");
    assert_eq!(transfer["endDate"], "2026-12-31T00:00:00Z");
    let (_, body) = lodged(&Stet, "1.4", &abroad());
    assert_eq!(body["paymentTypeInformation"]["serviceLevel"], "NURG");
    assert_eq!(body["chargeBearer"], "SHAR");
    assert_eq!(body["beneficiary"]["creditorAgent"]["bicFi"], "POFICHBEXXX");
    let address = &body["beneficiary"]["creditor"]["postalAddress"];
    assert_eq!(address["addressLine"], json!(["7 Rue Un", "8001 Zürich"]));
}

#[test]
fn polish_api_takes_a_day_a_series_and_a_bank_abroad() {
    let elixir = PaymentScheme::Elixir;
    let later = scheduled(elixir, "PLN");
    let (_, body) = lodged(&PolishApi, "2.1", &later);
    let asked = &body["scope_details"]["privilegeList"][0]["pis:domestic"];
    assert_eq!(asked["executionMode"], "FutureDated");
    assert_eq!(asked["transferData"]["executionDate"], "2026-07-31");
    // It is asked about until a week after its day.
    assert_eq!(body["scope_details"]["scopeTimeLimit"], "2026-08-07T00:00:00Z");
    let (path, ordered) = submitted(&PolishApi, "2.1", &later);
    assert!(path.ends_with("/payments/v2_1_1.1/domestic"), "{path}");
    assert_eq!(ordered["transferData"], asked["transferData"]);

    let series = periodic(elixir, "PLN");
    let (_, body) = lodged(&PolishApi, "2.1", &series);
    let list = &body["scope_details"]["privilegeList"][0];
    let asked = &list["pis:recurring"];
    assert_eq!(asked["typeOfPayment"], "domestic");
    assert_eq!(
        asked["recurrence"],
        json!({
            "startDate": "2026-07-31", "endDate": "2026-12-31", "dayOffOffsetType": "before",
            "frequency": { "periodType": "month", "periodValue": 1 },
        })
    );
    assert!(list.get("pis:getRecurringPayment").is_some());
    let (path, ordered) = submitted(&PolishApi, "2.1", &series);
    assert!(path.ends_with("/recurring"), "{path}");
    assert_eq!(ordered["domesticPayment"], asked["domesticPayment"]);
    assert_eq!(ordered["tppRecurringPaymentId"], "I-1");

    let (_, body) = lodged(&PolishApi, "2.1", &abroad());
    let asked = &body["scope_details"]["privilegeList"][0]["pis:nonEEA"];
    assert_eq!(asked["recipientBank"], json!({ "bicOrSwift": "POFICHBEXXX", "countryCode": "CH" }));
    assert_eq!(asked["transferCharges"], "SHA");
}
