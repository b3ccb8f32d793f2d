//! What a client asked a PSU to allow beyond account access (RFC 9396): kept
//! in its home region; grants and tokens, which are global, know its id.

use connect::BankFilter;
use domain::{
    AccountIdentification, DetailId, Execution, MandateOrder, Money, Order, PeriodicLimit, Region, Timestamp,
};
use serde_json::{Value, json};

use crate::webhooks::later;
use crate::{FlowError, Gateway, LiveToken};

/// Seconds that a detail of a request is kept, until its PSU decides.
const REQUEST_LIFE: i64 = 7_200;

/// Members of the European Economic Area whose accounts have IBANs.
const EEA: &[&str] = &[
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT",
    "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
];

impl Gateway {
    /// The region in which data about an account is at home: that of a bank
    /// here that serves its country.
    #[must_use]
    pub fn home_of(&self, account: &AccountIdentification) -> Option<Region> {
        let country = match account {
            AccountIdentification::Iban(iban) => iban.as_str().get(..2)?.to_owned(),
            AccountIdentification::SortCode(_) => "GB".to_owned(),
            AccountIdentification::Bban(_)
            | AccountIdentification::MaskedPan(_)
            | AccountIdentification::Other { .. } => return None,
        };
        let held = |region: Region| self.parts.stores.region(region).is_ok().then_some(region);
        let filter = BankFilter { country: country.parse().ok(), ..BankFilter::default() };
        if let Some(bank) = self.parts.registry.list(&filter, None, 1).first() {
            return held(bank.region);
        }
        // No bank of that country is set up: the area is what decides.
        let area = if EEA.contains(&country.as_str()) { "eu" } else { return None };
        area.parse().ok().and_then(held)
    }

    /// Keeps what a client asks for. What stands for it elsewhere.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if the region is not held here or its store fails.
    pub async fn keep_detail(
        &self,
        client_id: &str,
        region: Region,
        kind: &str,
        body: &Value,
    ) -> Result<Value, FlowError> {
        let id = DetailId::new(region, self.clock(), self.entropy());
        store::transaction!(keyed self.parts.stores.region(region)?, tx => {
            tx.keep_detail(id, client_id, body, later(self.now(), REQUEST_LIFE)).await
        })?;
        Ok(json!({ "type": kind, "detail_id": id.to_string() }))
    }

    /// Keeps the details of a grant for as long as it may be used.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if a store fails.
    pub async fn prolong_details(&self, details: &Value, until: Timestamp) -> Result<(), FlowError> {
        for id in details.as_array().into_iter().flatten().filter_map(detail_id) {
            store::transaction!(keyed self.parts.stores.region(id.region())?, tx => {
                tx.prolong_detail(id, until).await
            })?;
        }
        Ok(())
    }

    /// Details in full: each reference replaced by what it stands for. What is
    /// not kept any more is left out.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if a store fails.
    pub async fn details_in_full(&self, client_id: &str, details: &Value) -> Result<Value, FlowError> {
        let mut full = Vec::new();
        for detail in details.as_array().into_iter().flatten() {
            match detail_id(detail) {
                Some(id) => {
                    full.extend(self.parts.stores.region(id.region())?.detail(id, client_id).await?);
                }
                None => full.push(detail.clone()),
            }
        }
        Ok(Value::Array(full))
    }

    /// Dynamic linking (RTS art. 5): a token that was granted for certain
    /// payments orders no other one.
    ///
    /// # Errors
    ///
    /// [`FlowError::OrderNotGranted`] if the order is none of them.
    pub async fn check_order(&self, token: &LiveToken, order: &Order) -> Result<(), FlowError> {
        let granted = self.grants(token, "payment_initiation", |detail| is_order(detail, order)).await?;
        if granted { Ok(()) } else { Err(FlowError::OrderNotGranted) }
    }

    /// The same of mandates: a token that was granted for certain ones orders, and
    /// pays under, no other one.
    ///
    /// # Errors
    ///
    /// [`FlowError::MandateNotGranted`] if the mandate is none of them.
    pub async fn check_mandate(&self, token: &LiveToken, mandate: &MandateOrder) -> Result<(), FlowError> {
        if self.grants_mandate(token, mandate).await? { Ok(()) } else { Err(FlowError::MandateNotGranted) }
    }

    /// Whether a token may order, and pay under, a mandate.
    pub(crate) async fn grants_mandate(
        &self,
        token: &LiveToken,
        mandate: &MandateOrder,
    ) -> Result<bool, FlowError> {
        self.grants(token, "vrp", |detail| is_mandate(detail, mandate)).await
    }

    /// Whether a token covers what `fits` one of its details of this type. A token
    /// without any detail of payments or mandates is the client's own, whose orders
    /// their PSUs approve one by one.
    async fn grants(
        &self,
        token: &LiveToken,
        kind: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<bool, FlowError> {
        if !token.row.details.as_array().is_some_and(|all| all.iter().any(is_of_orders)) {
            return Ok(true);
        }
        let full = self.details_in_full(&token.row.client_id, &token.row.details).await?;
        let all = full.as_array().into_iter().flatten();
        Ok(all.filter(|detail| kind_of(detail) == Some(kind)).any(fits))
    }
}

fn kind_of(detail: &Value) -> Option<&str> {
    detail.get("type").and_then(Value::as_str)
}

/// Whether a detail grants payments or mandates.
pub(crate) fn is_of_orders(detail: &Value) -> bool {
    matches!(kind_of(detail), Some("payment_initiation" | "vrp"))
}

fn detail_id(detail: &Value) -> Option<DetailId> {
    detail.get("detail_id")?.as_str()?.parse().ok()
}

/// Whether a `payment_initiation` is about this order: amount and payee, at once. The type
/// has no words for a later day, a series or a batch, so that none is granted.
fn is_order(detail: &Value, order: &Order) -> bool {
    let Some(order) = order.transfer().filter(|order| order.execution == Execution::AtOnce) else {
        return false;
    };
    let amount = detail.get("instructedAmount").and_then(money);
    amount == Some(order.amount) && pays(detail, &order.creditor_account, &order.creditor_name)
}

/// Whether a `vrp` is about this mandate: payee, and the same limits.
fn is_mandate(detail: &Value, mandate: &MandateOrder) -> bool {
    let constraints = &mandate.constraints;
    let most = detail.get("maximumIndividualAmount").and_then(money);
    let end = detail.get("validTo").and_then(Value::as_str);
    let last = constraints.valid_to.map(|to| domain::utc_day(to).to_string());
    let limits = detail.get("periodicLimits").and_then(Value::as_array);
    let limits = limits.is_some_and(|limits| {
        limits.len() == constraints.periodic_limits.len()
            && limits
                .iter()
                .zip(&constraints.periodic_limits)
                .all(|(granted, limit)| is_limit(granted, limit))
    });
    most == Some(constraints.max_per_payment)
        && end == last.as_deref()
        && limits
        && pays(detail, &mandate.creditor_account, &mandate.creditor_name)
}

fn is_limit(granted: &Value, limit: &PeriodicLimit) -> bool {
    let word = |name: &str| granted.get(name).and_then(Value::as_str).unwrap_or_default();
    let period = word("periodType").to_uppercase().replace('-', "_");
    granted.get("amount").and_then(money) == Some(limit.max_amount())
        && period == limit.period().as_str()
        && word("periodAlignment").to_uppercase() == limit.alignment().as_str()
}

/// An amount with its currency.
fn money(value: &Value) -> Option<Money> {
    let text = |name: &str| value.get(name)?.as_str();
    Money::parse(text("amount")?, text("currency")?.parse().ok()?).ok()
}

/// Whether a detail names this payee.
fn pays(detail: &Value, account: &AccountIdentification, name: &str) -> bool {
    let text = |pointer: &str| detail.pointer(pointer).and_then(Value::as_str);
    let granted = match (text("/creditorAccount/iban"), text("/creditorAccount/sortCode")) {
        (Some(iban), _) => iban.parse().ok().map(AccountIdentification::Iban),
        (None, Some(sort_code)) => text("/creditorAccount/accountNumber")
            .and_then(|number| domain::SortCodeAccount::new(sort_code, number).ok())
            .map(AccountIdentification::SortCode),
        (None, None) => None,
    };
    let same = granted.is_some_and(|granted| granted.normalised() == account.normalised());
    same && text("/creditorName").is_none_or(|granted| granted == name)
}
