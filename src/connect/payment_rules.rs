//! Holds an order against what a bank wants of it.

use std::fmt;

use boon::{Compiler, ErrorKind, SchemaIndex, Schemas, ValidationError};
use domain::{Date, PaymentScheme, PaymentType, Violations};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::Profile;

/// Where a schema lives while it is compiled; nothing is fetched from there.
const PLACE: &str = "urn:consentry:payment-constraints";

/// What one institution wants of one kind of payment, ready to be held against orders.
pub struct PaymentRules {
    schemas: Schemas,
    index: SchemaIndex,
    most: Vec<(PaymentScheme, Decimal)>,
    first: Option<PaymentScheme>,
    max_days_ahead: Option<u16>,
}

impl fmt::Debug for PaymentRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PaymentRules").finish_non_exhaustive()
    }
}

/// Whether a value is a JSON Schema that needs nothing from elsewhere.
pub(crate) fn is_schema(schema: &Value) -> bool {
    compiled(schema.clone()).is_some()
}

fn compiled(schema: Value) -> Option<(Schemas, SchemaIndex)> {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    // A schema that leads elsewhere finds nothing there.
    compiler.use_loader(Box::new(boon::SchemeUrlLoader::new()));
    compiler.add_resource(PLACE, schema).ok()?;
    let index = compiler.compile(PLACE, &mut schemas).ok()?;
    Some((schemas, index))
}

impl PaymentRules {
    /// The rules of a profile; none, if what it says is no schema. Profiles are read with
    /// that check, so that those in use have rules.
    #[must_use]
    pub fn of(profile: &Profile, kind: PaymentType) -> Option<Self> {
        let (schemas, index) = compiled(profile.order_schema(kind))?;
        let most = &profile.payment_constraints.max_amounts;
        Some(Self {
            schemas,
            index,
            most: most.iter().map(|(scheme, most)| (*scheme, *most)).collect(),
            first: profile.payment_schemes.first().copied(),
            max_days_ahead: profile.payment_constraints.max_days_ahead,
        })
    }

    /// Notes what an order, as it was sent, breaks. `today` is the day in UTC.
    pub fn check(&self, body: &Value, today: Date, violations: &mut Violations) {
        if let Err(error) = self.schemas.validate(body, self.index) {
            note(&error, violations);
        }
        self.check_amount(body, violations);
        self.check_day(body, today, violations);
    }

    fn check_amount(&self, body: &Value, violations: &mut Violations) {
        let scheme = match body.get("scheme").and_then(Value::as_str) {
            Some(word) => PaymentScheme::from_word(word),
            None => self.first,
        };
        let most = self.most.iter().find(|(limited, _)| Some(*limited) == scheme);
        let amount = body.pointer("/amount/amount").and_then(Value::as_str);
        let amount = amount.and_then(|amount| amount.parse::<Decimal>().ok());
        if let (Some((scheme, most)), Some(amount)) = (most, amount)
            && amount > *most
        {
            let detail = format!("at most {most} by {scheme}");
            violations.add("/amount/amount", "constraint.max_amount", detail);
        }
    }

    fn check_day(&self, body: &Value, today: Date, violations: &mut Violations) {
        let Some(most) = self.max_days_ahead else { return };
        for pointer in ["/requested_execution_date", "/periodic/start_date"] {
            let day = body.pointer(pointer).and_then(Value::as_str).and_then(|day| day.parse::<Date>().ok());
            let ahead = day.and_then(|day| day.since(today).ok()).map(|span| span.get_days());
            if ahead.is_some_and(|ahead| ahead > i32::from(most)) {
                violations.add(pointer, "constraint.max_days_ahead", format!("at most {most} days ahead"));
            }
        }
    }
}

/// Notes the innermost causes; what was sent is never repeated.
fn note(error: &ValidationError<'_, '_>, violations: &mut Violations) {
    if error.causes.is_empty() {
        let place = error.instance_location.to_string();
        if let ErrorKind::Required { want } = &error.kind {
            for member in want {
                let detail = "the institution wants it";
                violations.add(format!("{place}/{member}"), "constraint.required", detail);
            }
            return;
        }
        let (code, detail) = told(&error.kind);
        violations.add(place, code, detail);
    }
    for cause in &error.causes {
        note(cause, violations);
    }
}

fn list(words: &[Value]) -> String {
    let words: Vec<_> =
        words.iter().map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned)).collect();
    words.join(", ")
}

/// A code and words for what is broken.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest has no words shorter than the schema itself")]
fn told(kind: &ErrorKind<'_, '_>) -> (&'static str, String) {
    match kind {
        ErrorKind::Enum { want } => ("constraint.enum", format!("one of {}", list(want))),
        ErrorKind::Const { want } => ("constraint.const", format!("only {want}")),
        ErrorKind::MaxLength { want, .. } => ("constraint.max_length", format!("at most {want} characters")),
        ErrorKind::MinLength { want, .. } => ("constraint.min_length", format!("at least {want} characters")),
        ErrorKind::Pattern { want, .. } => ("constraint.pattern", format!("of the form {want}")),
        ErrorKind::FalseSchema => ("constraint.absent", "must be absent".to_owned()),
        _ => ("constraint.violated", "not as the institution's constraints have it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::RequiredField;
    use domain::Capability;

    fn profile() -> Profile {
        let (id, region) = ("de-examplebank".parse().unwrap(), "eu".parse().unwrap());
        let mut profile = Profile::blank(id, "Example Bank", region, "berlin-group");
        profile.payment_schemes = vec![PaymentScheme::SepaCreditTransfer, PaymentScheme::SepaInstant];
        profile.capabilities = [Capability::Payments, Capability::ScheduledPayments].into();
        let constraints = &mut profile.payment_constraints;
        constraints.max_amounts.insert(PaymentScheme::SepaInstant, "100000.00".parse().unwrap());
        constraints.required = vec![RequiredField::DebtorAccount];
        constraints.creditor_name_max = Some(10);
        constraints.max_days_ahead = Some(30);
        constraints.schema = Some(json!({
            "properties": { "end_to_end_id": { "pattern": "^[A-Z]+$" } }
        }));
        profile
    }

    fn order() -> Value {
        json!({
            "institution_id": "de-examplebank",
            "amount": { "amount": "100000.00", "currency": "EUR" },
            "creditor": { "name": "Merchant" },
            "creditor_account": { "iban": "DE02120300000000202051" },
            "debtor_account": { "iban": "DE89370400440532013000" },
            "redirect_uri": "https://fintech.example/back",
        })
    }

    fn codes(kind: PaymentType, change: impl FnOnce(&mut Value)) -> Vec<(String, &'static str)> {
        let rules = PaymentRules::of(&profile(), kind).unwrap();
        let (mut body, mut violations) = (order(), Violations::default());
        change(&mut body);
        rules.check(&body, "2026-06-01".parse().unwrap(), &mut violations);
        violations.iter().map(|violation| (violation.pointer.clone(), violation.code)).collect()
    }

    fn one(change: impl FnOnce(&mut Value)) -> (String, &'static str) {
        let found = codes(PaymentType::Single, change);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    }

    #[test]
    fn an_order_within_the_constraints_breaks_nothing() {
        assert!(codes(PaymentType::Single, |_| {}).is_empty());
    }

    #[test]
    fn every_constraint_is_named_by_its_place_and_code() {
        let sepa = |body: &mut Value| {
            body["scheme"] = json!("SEPA_INST");
            body["amount"]["amount"] = json!("100000.01");
        };
        assert_eq!(one(sepa), ("/amount/amount".into(), "constraint.max_amount"));
        let name = |body: &mut Value| body["creditor"]["name"] = json!("A long name");
        assert_eq!(one(name), ("/creditor/name".into(), "constraint.max_length"));
        let silent = |body: &mut Value| drop(body.as_object_mut().unwrap().remove("debtor_account"));
        assert_eq!(one(silent), ("/debtor_account".into(), "constraint.required"));
        let pounds = |body: &mut Value| body["amount"]["currency"] = json!("GBP");
        assert_eq!(one(pounds), ("/amount/currency".into(), "constraint.const"));
        let rail = |body: &mut Value| body["scheme"] = json!("FPS");
        assert_eq!(one(rail), ("/scheme".into(), "constraint.enum"));
        let own = |body: &mut Value| body["end_to_end_id"] = json!("abc");
        assert_eq!(one(own), ("/end_to_end_id".into(), "constraint.pattern"));
    }

    #[test]
    fn a_day_too_far_ahead_is_refused() {
        let on = |day: &'static str| move |body: &mut Value| body["requested_execution_date"] = json!(day);
        assert!(codes(PaymentType::Scheduled, on("2026-07-01")).is_empty());
        let far = codes(PaymentType::Scheduled, on("2026-07-02"));
        assert_eq!(far, [("/requested_execution_date".to_owned(), "constraint.max_days_ahead")]);
        let none = codes(PaymentType::Scheduled, |_| {});
        assert_eq!(none, [("/requested_execution_date".to_owned(), "constraint.required")]);
    }

    #[test]
    fn what_was_sent_is_not_repeated() {
        let rules = PaymentRules::of(&profile(), PaymentType::Single).unwrap();
        let (mut body, mut violations) = (order(), Violations::default());
        body["creditor"]["name"] = json!("Secret Person of a long name");
        body["end_to_end_id"] = json!("secret-id");
        rules.check(&body, "2026-06-01".parse().unwrap(), &mut violations);
        assert!(!violations.to_string().to_lowercase().contains("secret"), "{violations}");
    }

    #[test]
    fn a_schema_that_leads_elsewhere_is_none() {
        assert!(!is_schema(&json!({ "$ref": "https://elsewhere.example/schema" })));
        assert!(!is_schema(&json!({ "type": "nonsense" })));
        assert!(is_schema(&json!({ "properties": { "scheme": { "const": "FPS" } } })));
    }
}
