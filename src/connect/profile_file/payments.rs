//! What a profile says of payments.

use domain::PaymentScheme;
use rust_decimal::Decimal;

use super::table::Table;
use crate::payment_rules::is_schema;
use crate::{PaymentConstraints, RequiredField};

/// What a rail is called.
pub(super) const RAIL: &str = "a rail: SEPA_CT, SEPA_INST, FPS, ELIXIR, EXPRESS_ELIXIR or CROSS_BORDER";

/// `[payment_constraints]`.
pub(super) fn constraints(table: &mut Table<'_>) -> PaymentConstraints {
    let mut constraints = PaymentConstraints::default();
    let Some(mut inner) = table.table("payment_constraints") else { return constraints };
    let amount = |text: &str| text.parse::<Decimal>().ok().filter(|most| most.is_sign_positive());
    let what = "an amount such as \"100000.00\", under the name of a rail";
    let fits = |rail: &str, text: &str| PaymentScheme::from_word(rail).is_some() && amount(text).is_some();
    let given = inner.texts("max_amounts", what, fits);
    constraints.max_amounts = given
        .iter()
        .filter_map(|(rail, text)| Some((PaymentScheme::from_word(rail)?, amount(text)?)))
        .collect();
    let field = "debtor-account, remittance, creditor-agent or creditor-address";
    constraints.required = inner.words("required", field, RequiredField::from_word);
    constraints.creditor_name_max = inner.number("creditor_name_max");
    constraints.remittance_max = inner.number("remittance_max");
    constraints.max_days_ahead = inner.number("max_days_ahead");
    constraints.schema = inner.json("schema").inspect(|schema| {
        if !schema.is_object() || !is_schema(schema) {
            inner.problem("schema", "is a JSON Schema (draft 2020-12) that needs no other");
        }
    });
    inner.finish();
    constraints
}
