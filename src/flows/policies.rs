//! What operators let clients pay: held against every order, and counted by the day.

use domain::{AccountIdentification, Money, Order, PaymentPolicy, Timestamp};
use store::Tx;
use store::payments::PaymentRow;
use store::policies::Spending;

use crate::consents::DAY;
use crate::webhooks::later;
use crate::{FlowError, Gateway, IdKey};

/// What a client has ordered on a day in one region.
#[derive(Clone, Debug)]
pub struct SpentToday {
    /// How many payments.
    pub payments: i64,
    /// How much, in each currency that is limited.
    pub amounts: Vec<Money>,
    /// When the next day begins.
    pub resets_at: Timestamp,
}

impl IdKey {
    /// A keyed digest of an account that a client may pay: what a policy keeps of it.
    #[must_use]
    pub fn payee(&self, client_id: &str, account: &AccountIdentification) -> String {
        crypto::digest::hex(&self.digest(&["payee", client_id, &account.normalised()]))
    }
}

impl Gateway {
    /// Holds an order against what its client may pay, but for the limits of the day.
    ///
    /// # Errors
    ///
    /// [`FlowError::PolicyRefused`] with everything that is wrong.
    pub fn admit_payment(
        &self,
        client_id: &str,
        policy: &PaymentPolicy,
        order: &Order,
    ) -> Result<(), FlowError> {
        policy
            .admit(order, |account| self.id_key().payee(client_id, account))
            .map_err(FlowError::PolicyRefused)
    }

    /// What a client has ordered today in each region held here.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails.
    pub async fn spent_today(
        &self,
        client_id: &str,
        policy: &PaymentPolicy,
    ) -> Result<Vec<(domain::Region, SpentToday)>, FlowError> {
        let day = day_of(self.now());
        let mut spent = Vec::new();
        for store in self.parts.stores.regions() {
            let mut amounts = Vec::new();
            for limit in &policy.max_per_day {
                let units = store.spent(client_id, day, Spending::Amount(limit.currency())).await?;
                // What is kept was an amount of this currency.
                amounts.push(Money::of_smallest_units(units, limit.currency()).map_err(|_| FlowError::Busy)?);
            }
            let payments = store.spent(client_id, day, Spending::Payments).await?;
            spent.push((store.region(), SpentToday { payments, amounts, resets_at: later(day, DAY) }));
        }
        Ok(spent)
    }
}

/// First instant of the day that a payment counts towards, UTC.
pub(crate) fn day_of(now: Timestamp) -> Timestamp {
    domain::utc_midnight(domain::utc_day(now)).unwrap_or(now)
}

/// What a payment counts on its day.
fn parts_of(payment: &PaymentRow) -> Option<[(Spending, i64); 2]> {
    let transfers = payment.terms.order.transfers();
    let total = Money::sum(transfers.iter().map(|transfer| transfer.amount))?;
    let payments = i64::try_from(transfers.len()).ok()?;
    Some([(Spending::Payments, payments), (Spending::Amount(total.currency()), total.smallest_units()?)])
}

/// Counts a payment towards its client's day, where that is limited.
pub(crate) async fn count(
    tx: &mut Tx,
    policy: Option<&PaymentPolicy>,
    payment: &PaymentRow,
) -> Result<(), FlowError> {
    let (Some(policy), Some(day)) = (policy, payment.terms.counted_on) else { return Ok(()) };
    for (of, units) in parts_of(payment).ok_or(FlowError::Busy)? {
        let (limit, words) = match of {
            Spending::Payments => {
                let most = policy.max_payments_per_day;
                (most.map(i64::from), most.map(|most| format!("{most} payments")))
            }
            Spending::Amount(currency) => {
                let most = policy.day_limit(currency);
                (most.and_then(|most| most.smallest_units()), most.map(|most| most.to_string()))
            }
        };
        if !tx.spend(&payment.client_id, day, (of, units), limit.unwrap_or(i64::MAX)).await? {
            return Err(FlowError::DayUsedUp {
                limit: words.unwrap_or_default(),
                resets_at: later(day, DAY),
            });
        }
    }
    Ok(())
}

/// Gives back what a payment that came to nothing counted.
pub(crate) async fn uncount(tx: &mut Tx, payment: &PaymentRow) -> Result<(), FlowError> {
    let (Some(day), Some(parts)) = (payment.terms.counted_on, parts_of(payment)) else { return Ok(()) };
    for part in parts {
        tx.unspend(&payment.client_id, day, part).await?;
    }
    Ok(())
}
