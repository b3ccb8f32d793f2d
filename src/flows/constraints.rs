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
        let kinds = [PaymentType::Single, PaymentType::Scheduled, PaymentType::Periodic];
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
}
