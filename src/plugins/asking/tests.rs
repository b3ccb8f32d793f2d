use domain::{Money, PaymentRisk, RemittanceInformation};

use super::*;

fn order() -> PaymentOrder {
    PaymentOrder {
        end_to_end_id: "E-1".into(),
        instruction_id: "I-1".into(),
        amount: Money::parse("12.3", "CHF".parse().unwrap()).unwrap(),
        debtor_account: None,
        creditor_name: "Anna".into(),
        creditor_account: AccountIdentification::Iban("DE89370400440532013000".parse().unwrap()),
        remittance: RemittanceInformation {
            unstructured: Some("Rent".into()),
            reference: Some("R-1".into()),
        },
        scheme: PaymentScheme::CrossBorder,
        execution: Execution::AtOnce,
        abroad: None,
        risk: PaymentRisk::default(),
    }
}

/// A plugin is told all of an order that its bank can be asked for.
#[test]
fn an_order_is_told_in_all_its_parts() {
    let told = held(&order(), "s-1", Some("p-1"));
    assert_eq!((told.lodged_id.as_str(), told.payment_id.as_deref()), ("s-1", Some("p-1")));
    let order = told.order;
    assert_eq!((order.end_to_end_id.as_str(), order.instruction_id.as_str()), ("E-1", "I-1"));
    assert_eq!((order.amount.as_str(), order.currency.as_str()), ("12.30", "CHF"));
    assert!(order.debtor_account.is_none());
    assert!(matches!(order.creditor_account, wit::AccountNumber::Iban(iban) if iban.ends_with("3000")));
    assert_eq!((order.remittance.as_deref(), order.reference.as_deref()), (Some("Rent"), Some("R-1")));
    assert_eq!(order.scheme, paying::Scheme::CrossBorder);
    assert!(matches!(order.execution, paying::Execution::AtOnce) && order.abroad.is_none());
}

#[test]
fn a_day_and_a_series_are_told() {
    let day = "2026-07-31".parse().unwrap();
    let on_day = payment_order(&PaymentOrder { execution: Execution::On(day), ..order() });
    assert!(matches!(on_day.execution, paying::Execution::OnDay(day) if day == "2026-07-31"));
    let series = Recurrence {
        first: day,
        last: Some("2026-12-31".parse().unwrap()),
        frequency: PaymentFrequency::Quarterly,
        rule: Some(ExecutionRule::Preceding),
    };
    let repeated = payment_order(&PaymentOrder { execution: Execution::Repeated(series), ..order() });
    let paying::Execution::Repeated(series) = repeated.execution else { panic!("it is a series") };
    assert_eq!((series.first.as_str(), series.last.as_deref()), ("2026-07-31", Some("2026-12-31")));
    assert_eq!(
        (series.frequency, series.day_off),
        (paying::Frequency::Quarterly, Some(paying::DayOff::Preceding))
    );
}

#[test]
fn a_bank_abroad_is_told_with_its_charges() {
    let address = PostalAddress { town_name: Some("Zürich".into()), ..PostalAddress::default() };
    let abroad = Abroad {
        creditor_agent: Some("POFICHBEXXX".into()),
        creditor_address: Some(address),
        charge_bearer: ChargeBearer::Shared,
    };
    let told = payment_order(&PaymentOrder { abroad: Some(abroad), ..order() }).abroad.unwrap();
    assert_eq!(told.creditor_agent.as_deref(), Some("POFICHBEXXX"));
    assert_eq!(told.creditor_address.unwrap().town_name.as_deref(), Some("Zürich"));
    assert_eq!(told.charge_bearer, paying::ChargeBearer::Shared);
}
