//! The kinds of orders of the UK standard: at once, on a day, standing; at home and
//! abroad. Each has resources and an initiation of its own.

use connect::{ApiBase, BankError, CallContext, QuirkName};
use domain::{
    Abroad, ChargeBearer, Date, Execution, PaymentFrequency, PaymentOrder, PaymentScheme, PostalAddress,
    Recurrence, RemittanceInformation,
};
use serde_json::{Map, Value, json};

use super::payments::quirk;
use super::written;
use domain::AccountIdentification;

/// Longest reference of a standing order.
const REFERENCE: usize = 35;

/// Where orders of one kind are, and what the standard calls their id.
pub(super) struct Kind {
    /// Consents, below the base address.
    pub(super) consents: &'static str,
    /// Orders, below the base address.
    pub(super) orders: &'static str,
    /// Member of an answer with the order's id.
    pub(super) id: &'static str,
    /// The consent says that an order is to be made (`Permission`).
    pub(super) permission: bool,
}

impl Kind {
    /// The kind of an order.
    ///
    /// # Errors
    ///
    /// `unsupported` for a rail that is none of the UK's.
    pub(super) fn of(cx: &CallContext<'_>, order: &PaymentOrder) -> Result<Self, BankError> {
        let abroad = match order.scheme {
            PaymentScheme::FasterPayments => false,
            PaymentScheme::CrossBorder => true,
            PaymentScheme::SepaCreditTransfer
            | PaymentScheme::SepaInstant
            | PaymentScheme::Elixir
            | PaymentScheme::ExpressElixir => return Err(cx.unsupported("scheme")),
        };
        let (consents, orders, id) = match (&order.execution, abroad) {
            (Execution::AtOnce, false) => {
                ("domestic-payment-consents", "domestic-payments", "DomesticPaymentId")
            }
            (Execution::On(_), false) => (
                "domestic-scheduled-payment-consents",
                "domestic-scheduled-payments",
                "DomesticScheduledPaymentId",
            ),
            (Execution::Repeated(_), false) => {
                ("domestic-standing-order-consents", "domestic-standing-orders", "DomesticStandingOrderId")
            }
            (Execution::AtOnce, true) => {
                ("international-payment-consents", "international-payments", "InternationalPaymentId")
            }
            (Execution::On(_), true) => (
                "international-scheduled-payment-consents",
                "international-scheduled-payments",
                "InternationalScheduledPaymentId",
            ),
            (Execution::Repeated(_), true) => (
                "international-standing-order-consents",
                "international-standing-orders",
                "InternationalStandingOrderId",
            ),
        };
        Ok(Self { consents, orders, id, permission: order.execution != Execution::AtOnce })
    }
}

/// `Initiation` of an order: 3.1 has plain remittance texts, 4.0 lists.
pub(super) fn initiation(cx: &CallContext<'_>, order: &PaymentOrder) -> Result<Value, BankError> {
    let api = cx.profile.payments_api()?;
    let mut body = match &order.execution {
        Execution::AtOnce => instructed(order),
        Execution::On(day) => {
            let mut body = instructed(order);
            body.insert("RequestedExecutionDateTime".into(), json!(start_of(*day)));
            body
        }
        Execution::Repeated(series) => standing(cx, api, order, series)?,
    };
    if let Some(debtor) = &order.debtor_account {
        let (scheme, identification) = written(cx, debtor)?;
        body.insert(
            "DebtorAccount".into(),
            json!({ "SchemeName": scheme, "Identification": identification }),
        );
    }
    body.insert("CreditorAccount".into(), creditor(cx, &order.creditor_account, &order.creditor_name)?);
    if let Some(abroad) = &order.abroad {
        add_abroad(&mut body, order, abroad);
    }
    if let Some(quirk) = quirk(cx, "pisp.consent", QuirkName::SandboxSteering)
        && let Some(status) = quirk.text("desired_status")
    {
        body.insert("SupplementaryData".into(), json!({ "DesiredStatus": status }));
    }
    let plain = !matches!(order.execution, Execution::Repeated(_)) || !is_three(api);
    if let Some(remittance) = remittance(api, &order.remittance).filter(|_| plain) {
        body.insert("RemittanceInformation".into(), remittance);
    }
    Ok(Value::Object(body))
}

/// How much, and the names of the order.
pub(super) fn instructed(order: &PaymentOrder) -> Map<String, Value> {
    Map::from_iter([
        ("InstructionIdentification".to_owned(), json!(order.instruction_id)),
        ("EndToEndIdentification".to_owned(), json!(order.end_to_end_id)),
        ("InstructedAmount".to_owned(), amount(order)),
    ])
}

fn amount(order: &PaymentOrder) -> Value {
    json!({ "Amount": order.amount.amount_text(), "Currency": order.amount.currency().code() })
}

fn is_three(api: &ApiBase) -> bool {
    api.version.starts_with('3')
}

/// A standing order: no name of ours travels with it, in 3.1 but a reference.
fn standing(
    cx: &CallContext<'_>,
    api: &ApiBase,
    order: &PaymentOrder,
    series: &Recurrence,
) -> Result<Map<String, Value>, BankError> {
    // The amount of an order abroad is that of its every payment.
    let name = if order.abroad.is_some() { "InstructedAmount" } else { "FirstPaymentAmount" };
    let mut body = Map::from_iter([(name.to_owned(), amount(order))]);
    let mut days = Map::new();
    days.insert("FirstPaymentDateTime".into(), json!(start_of(series.first)));
    if let Some(last) = series.last {
        days.insert("FinalPaymentDateTime".into(), json!(start_of(last)));
    }
    if is_three(api) {
        body.append(&mut days);
        body.insert("Frequency".into(), json!(frequency_of_three(series)));
        let told = &order.remittance;
        if let Some(reference) = told.reference.as_ref().or(told.unstructured.as_ref()) {
            if reference.chars().count() > REFERENCE {
                return Err(cx.unsupported("remittance"));
            }
            body.insert("Reference".into(), json!(reference));
        }
    } else {
        days.insert("Frequency".into(), frequency_of_four(series));
        body.insert("MandateRelatedInformation".into(), Value::Object(days));
    }
    Ok(body)
}

/// `OBFrequency` of 3.1: an interval, and the day in it.
fn frequency_of_three(series: &Recurrence) -> String {
    let weeks =
        |count: u8| format!("IntrvlWkDay:{count:02}:{:02}", series.first.weekday().to_monday_one_offset());
    let months = |count: u8| match series.first.day() {
        // The last day of every month, also of the shorter ones.
        31 => format!("IntrvlMnthDay:{count:02}:-01"),
        day => format!("IntrvlMnthDay:{count:02}:{day:02}"),
    };
    match series.frequency {
        PaymentFrequency::Daily => "EvryDay".to_owned(),
        PaymentFrequency::Weekly => weeks(1),
        PaymentFrequency::EveryTwoWeeks => weeks(2),
        PaymentFrequency::Monthly => months(1),
        PaymentFrequency::EveryTwoMonths => months(2),
        PaymentFrequency::Quarterly => months(3),
        PaymentFrequency::SemiAnnual => months(6),
        PaymentFrequency::Annual => months(12),
    }
}

/// `OBFrequency6Code` of 4.0, and the day within a week or month.
fn frequency_of_four(series: &Recurrence) -> Value {
    let week = format!("{:02}", series.first.weekday().to_monday_one_offset());
    let month = format!("{:02}", series.first.day());
    let (code, point) = match series.frequency {
        PaymentFrequency::Daily => ("DAIL", None),
        PaymentFrequency::Weekly => ("WEEK", Some(week)),
        PaymentFrequency::EveryTwoWeeks => ("FRTN", Some(week)),
        PaymentFrequency::Monthly => ("MNTH", Some(month)),
        PaymentFrequency::EveryTwoMonths => ("TWMH", Some(month)),
        PaymentFrequency::Quarterly => ("QURT", Some(month)),
        PaymentFrequency::SemiAnnual => ("MIAN", Some(month)),
        PaymentFrequency::Annual => ("YEAR", None),
    };
    let mut frequency = json!({ "Type": code });
    if let (Some(point), Some(frequency)) = (point, frequency.as_object_mut()) {
        frequency.insert("PointInTime".into(), json!(point));
    }
    frequency
}

/// The bank takes the day; the hour is none of ours.
pub(super) fn start_of(day: Date) -> String {
    format!("{day}T00:00:00+00:00")
}

/// What an international order has beside a domestic one. The creditor gets the
/// currency that the order is in.
fn add_abroad(body: &mut Map<String, Value>, order: &PaymentOrder, abroad: &Abroad) {
    body.insert("CurrencyOfTransfer".into(), json!(order.amount.currency().code()));
    let bearer = match abroad.charge_bearer {
        ChargeBearer::Debtor => "BorneByDebtor",
        ChargeBearer::Creditor => "BorneByCreditor",
        ChargeBearer::Shared => "Shared",
        ChargeBearer::ServiceLevel => "FollowingServiceLevel",
    };
    body.insert("ChargeBearer".into(), json!(bearer));
    if let Some(country) = order.destination() {
        body.insert("DestinationCountryCode".into(), json!(country.as_str()));
    }
    if let Some(bic) = &abroad.creditor_agent {
        body.insert("CreditorAgent".into(), json!({ "SchemeName": "UK.OBIE.BICFI", "Identification": bic }));
    }
    if let Some(address) = &abroad.creditor_address {
        let creditor = json!({ "Name": order.creditor_name, "PostalAddress": postal(address) });
        body.insert("Creditor".into(), creditor);
    }
}

/// An address by its parts.
pub(super) fn postal(address: &PostalAddress) -> Value {
    let parts = [
        ("StreetName", &address.street_name),
        ("BuildingNumber", &address.building_number),
        ("PostCode", &address.post_code),
        ("TownName", &address.town_name),
        ("CountrySubDivision", &address.country_sub_division),
        ("Country", &address.country),
    ];
    let given = parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), json!(part.as_ref()?))));
    let mut written: Map<_, _> = given.collect();
    if !address.lines.is_empty() {
        written.insert("AddressLine".into(), json!(address.lines));
    }
    Value::Object(written)
}

/// Who is paid, on which account.
pub(super) fn creditor(
    cx: &CallContext<'_>,
    account: &AccountIdentification,
    name: &str,
) -> Result<Value, BankError> {
    let (scheme, identification) = written(cx, account)?;
    Ok(json!({ "SchemeName": scheme, "Identification": identification, "Name": name }))
}

/// What the creditor is told, if anything.
pub(super) fn remittance(api: &ApiBase, told: &RemittanceInformation) -> Option<Value> {
    let version_three = is_three(api);
    let mut remittance = Map::new();
    if let Some(text) = &told.unstructured {
        let value = if version_three { json!(text) } else { json!([text]) };
        remittance.insert("Unstructured".into(), value);
    }
    if let Some(reference) = &told.reference {
        if version_three {
            remittance.insert("Reference".into(), json!(reference));
        } else {
            let structured = json!([{ "CreditorReferenceInformation": { "Reference": reference } }]);
            remittance.insert("Structured".into(), structured);
        }
    }
    (!remittance.is_empty()).then_some(Value::Object(remittance))
}
