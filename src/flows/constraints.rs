//! What an institution wants of payments: shown, and held against orders before anybody
//! is asked to approve them.

use std::sync::Arc;

use connect::{PaymentRules, Profile};
use domain::{InstitutionId, PaymentType, Violations};
use moka::sync::Cache;
use serde_json::Value;

use crate::{FlowError, Gateway};

/// Rules of one version of a profile.
#[derive(Clone)]
struct Compiled {
    profile: Arc<Profile>,
    rules: Option<Arc<PaymentRules>>,
}

/// Rules that were made ready before, by institution and kind of payment.
pub(crate) struct RuleBook(Cache<(InstitutionId, PaymentType), Compiled>);

impl Default for RuleBook {
    fn default() -> Self {
        Self(Cache::new(10_000))
    }
}

impl RuleBook {
    /// The rules of a profile; those of an earlier version of it are forgotten.
    fn of(&self, profile: &Arc<Profile>, kind: PaymentType) -> Option<Arc<PaymentRules>> {
        let key = (profile.id.clone(), kind);
        if let Some(known) = self.0.get(&key).filter(|known| Arc::ptr_eq(&known.profile, profile)) {
            return known.rules;
        }
        let rules = PaymentRules::of(profile, kind).map(Arc::new);
        self.0.insert(key, Compiled { profile: Arc::clone(profile), rules: rules.clone() });
        rules
    }
}

impl Gateway {
    /// What an institution wants of each kind of payment that it takes, as JSON Schema of
    /// the body that orders one.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if the institution is not known, or not set up here.
    pub fn payment_schemas(
        &self,
        institution: &InstitutionId,
    ) -> Result<Vec<(PaymentType, Value)>, FlowError> {
        let profile = self.bank(institution)?;
        let kinds = [PaymentType::Single, PaymentType::Scheduled, PaymentType::Periodic, PaymentType::Bulk];
        let taken = kinds.into_iter().filter(|kind| profile.takes(*kind));
        Ok(taken.map(|kind| (kind, profile.payment_schema(kind))).collect())
    }

    /// Holds an order, as it was sent, against what its institution wants.
    ///
    /// # Errors
    ///
    /// [`FlowError::Invalid`] with everything that it breaks.
    pub fn check_constraints(
        &self,
        institution: &InstitutionId,
        kind: PaymentType,
        body: &[u8],
    ) -> Result<(), FlowError> {
        let profile = self.bank(institution)?;
        let Some(rules) = self.rule_book.of(&profile, kind) else { return Ok(()) };
        let mut violations = Violations::default();
        let body = serde_json::from_slice(body).unwrap_or(Value::Null);
        rules.check(&body, domain::utc_day(self.now()), &mut violations);
        if violations.is_empty() { Ok(()) } else { Err(violations.into()) }
    }

    /// Holds every payment of a batch against the same, with the batch's other members beside
    /// its own. `batch` is the body that orders it, with `payments`.
    ///
    /// # Errors
    ///
    /// [`FlowError::Invalid`] with everything that it breaks: what is the batch's once.
    pub fn check_batch_constraints(
        &self,
        institution: &InstitutionId,
        batch: &Value,
    ) -> Result<(), FlowError> {
        let profile = self.bank(institution)?;
        let Some(rules) = self.rule_book.of(&profile, PaymentType::Bulk) else { return Ok(()) };
        let mut head = said(batch).and_then(|said| said.as_object().cloned()).unwrap_or_default();
        let payments = head.remove("payments").unwrap_or_default();
        let today = domain::utc_day(self.now());
        let mut violations = Violations::default();
        for (index, payment) in payments.as_array().into_iter().flatten().enumerate() {
            let mut whole = payment.as_object().cloned().unwrap_or_default();
            whole.extend(head.clone());
            let mut broken = Violations::default();
            rules.check(&Value::Object(whole), today, &mut broken);
            let (mine, shared) = broken.split(is_of_each);
            violations.within(&format!("/payments/{index}"), mine);
            if index == 0 {
                violations.within("", shared);
            }
        }
        if violations.is_empty() { Ok(()) } else { Err(violations.into()) }
    }
}

/// Members of an order that a batch has for all its payments.
const SHARED: [&str; 5] =
    ["institution_id", "debtor_account", "scheme", "requested_execution_date", "redirect_uri"];

/// Whether what a pointer names is each payment's own.
fn is_of_each(pointer: &str) -> bool {
    let member = pointer.trim_start_matches('/').split('/').next().unwrap_or_default();
    !SHARED.contains(&member)
}

/// A value without what nobody said: members that are null or have nothing in them.
fn said(value: &Value) -> Option<Value> {
    let said = match value {
        Value::Null => return None,
        Value::Object(members) => {
            let members = members.iter().filter_map(|(name, value)| Some((name.clone(), said(value)?)));
            Value::Object(members.collect())
        }
        Value::Array(items) => Value::Array(items.iter().filter_map(said).collect()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    };
    let empty =
        said.as_object().is_some_and(serde_json::Map::is_empty) || said.as_array().is_some_and(Vec::is_empty);
    (!empty).then_some(said)
}
