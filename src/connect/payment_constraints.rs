//! What a bank wants of payments beyond their standard: as data, and as JSON Schema.

use std::collections::BTreeMap;

use domain::{Capability, PaymentScheme, PaymentType};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use crate::Profile;
use crate::berlin_group_options::PaymentField;

/// What a bank wants of payments. The default is what every bank takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PaymentConstraints {
    /// Most in one payment on a rail, in the rail's currency.
    pub max_amounts: BTreeMap<PaymentScheme, Decimal>,
    /// What an order must have that others may leave out.
    pub required: Vec<RequiredField>,
    /// Longest name of a creditor; 140 if absent.
    pub creditor_name_max: Option<u16>,
    /// Longest unstructured remittance; 140 if absent.
    pub remittance_max: Option<u16>,
    /// How many days ahead an order may be.
    pub max_days_ahead: Option<u16>,
    /// Whatever else can be said of an order as JSON Schema (draft 2020-12).
    pub schema: Option<Value>,
}

/// A member of an order that a bank wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiredField {
    /// The account to pay from.
    DebtorAccount,
    /// A text for the creditor.
    Remittance,
    /// BIC of the creditor's bank.
    CreditorAgent,
    /// Where the creditor lives.
    CreditorAddress,
}

impl RequiredField {
    /// The words used in profiles.
    pub const WORDS: &'static [&'static str] =
        &["debtor-account", "remittance", "creditor-agent", "creditor-address"];

    /// Finds the value by its word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "debtor-account" => Self::DebtorAccount,
            "remittance" => Self::Remittance,
            "creditor-agent" => Self::CreditorAgent,
            "creditor-address" => Self::CreditorAddress,
            _ => return None,
        })
    }

    /// The same, as a Berlin Group bank's options have it.
    fn of(field: PaymentField) -> Self {
        match field {
            PaymentField::DebtorAccount => Self::DebtorAccount,
            PaymentField::Remittance => Self::Remittance,
        }
    }
}

/// Our word in a schema for the most that a decimal text may be; JSON Schema's own
/// `maximum` is for numbers.
const MAX_DECIMAL: &str = "maxDecimal";
/// Our word in the schema of a batch for that of each of its payments.
const EACH_PAYMENT: &str = "eachPayment";
/// The dialect of the schemas.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Our word in a schema for how many days ahead a day may be.
const MAX_DAYS_AHEAD: &str = "maxDaysAhead";

impl Profile {
    /// What the institution takes as a kind of payment; nothing, if it does not take the kind.
    #[must_use]
    pub fn takes(&self, kind: PaymentType) -> bool {
        let wanted = match kind {
            PaymentType::Single => Capability::Payments,
            PaymentType::Scheduled => Capability::ScheduledPayments,
            PaymentType::Periodic => Capability::PeriodicPayments,
            PaymentType::Bulk => Capability::BulkPayments,
            PaymentType::Vrp => Capability::Vrp,
        };
        self.capabilities.contains(&wanted)
    }

    /// What an order of a kind has to be at this institution, as a JSON Schema (draft
    /// 2020-12) of the body that orders it. That of a batch has under `eachPayment`, a word
    /// of ours, the schema of each of its payments with the batch's other members beside
    /// its own.
    #[must_use]
    pub fn payment_schema(&self, kind: PaymentType) -> Value {
        let order = self.order_schema(kind);
        if kind != PaymentType::Bulk {
            return order;
        }
        json!({
            "$schema": DRAFT,
            "title": format!("{} payment at {}", kind.as_str(), self.id),
            "type": "object",
            "required": ["institution_id", "payments", "redirect_uri"],
            EACH_PAYMENT: order,
        })
    }

    /// What one order has to be.
    pub(crate) fn order_schema(&self, kind: PaymentType) -> Value {
        let constraints = &self.payment_constraints;
        let mut schemes: Vec<_> = self.payment_schemes.iter().map(|scheme| scheme.as_str()).collect();
        schemes.push("AUTO");
        let mut properties = Map::from_iter([
            ("institution_id".to_owned(), json!({ "const": self.id.as_str() })),
            ("scheme".to_owned(), json!({ "enum": schemes })),
            ("creditor".to_owned(), {
                let most = constraints.creditor_name_max.unwrap_or(140);
                json!({ "properties": { "name": { "maxLength": most } } })
            }),
            ("remittance".to_owned(), {
                let most = constraints.remittance_max.unwrap_or(140);
                json!({ "properties": { "unstructured": { "items": { "maxLength": most } } } })
            }),
        ]);
        let mut required = vec!["institution_id", "amount", "creditor", "creditor_account", "redirect_uri"];
        let day =
            self.payment_constraints.max_days_ahead.map_or(json!({}), |days| json!({ MAX_DAYS_AHEAD: days }));
        match kind {
            PaymentType::Scheduled => {
                properties.insert("requested_execution_date".into(), day);
                required.push("requested_execution_date");
            }
            PaymentType::Periodic => {
                properties.insert("periodic".into(), json!({ "properties": { "start_date": day } }));
                required.push("periodic");
            }
            PaymentType::Bulk => {
                properties.insert("requested_execution_date".into(), day);
            }
            PaymentType::Single | PaymentType::Vrp => {}
        }
        let own = self.berlin_group.required_payment_fields.iter().map(|field| RequiredField::of(*field));
        for field in constraints.required.iter().copied().chain(own) {
            match field {
                RequiredField::DebtorAccount => required.push("debtor_account"),
                RequiredField::CreditorAgent => required.push("creditor_agent"),
                RequiredField::Remittance => {
                    required.push("remittance");
                    if let Some(remittance) = properties.get_mut("remittance").and_then(Value::as_object_mut)
                    {
                        remittance.insert("required".into(), json!(["unstructured"]));
                    }
                }
                RequiredField::CreditorAddress => {
                    if let Some(creditor) = properties.get_mut("creditor").and_then(Value::as_object_mut) {
                        creditor.insert("required".into(), json!(["address"]));
                    }
                }
            }
        }
        let rails = self.payment_schemes.iter().map(|scheme| self.rail_schema(*scheme));
        json!({
            "$schema": DRAFT,
            "title": format!("{} payment at {}", kind.as_str(), self.id),
            "type": "object",
            "required": required,
            "properties": properties,
            "allOf": rails.chain(constraints.schema.clone()).collect::<Vec<_>>(),
        })
    }

    /// What one rail asks, if an order names it; the first one is also meant where an order
    /// names none.
    fn rail_schema(&self, scheme: PaymentScheme) -> Value {
        let named =
            json!({ "required": ["scheme"], "properties": { "scheme": { "const": scheme.as_str() } } });
        let silent = json!({ "not": { "required": ["scheme"] } });
        let condition = match self.payment_schemes.first() {
            Some(first) if *first == scheme => json!({ "anyOf": [named, silent] }),
            Some(_) | None => named,
        };
        let mut amount = Map::new();
        if let Some(currency) = scheme.currency() {
            amount.insert("currency".into(), json!({ "const": currency }));
        }
        if let Some(most) = self.payment_constraints.max_amounts.get(&scheme) {
            amount.insert("amount".into(), json!({ MAX_DECIMAL: most.to_string() }));
        }
        json!({ "if": condition, "then": { "properties": { "amount": { "properties": amount } } } })
    }
}
