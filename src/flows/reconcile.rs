//! The reconciler: asks banks about every payment that is not final until it is.

use std::sync::Arc;

use domain::PaymentState;
use store::payments::{Failure, PaymentRow};

use crate::accounts::chain;
use crate::webhooks::later;
use crate::{FlowError, Gateway};

/// Seconds that a step may take; longer than a bank's longest deadline.
pub(crate) const LEASE: i64 = 90;

impl Gateway {
    /// Starts one step for every payment that is due; returns how many were
    /// started. The steps run side by side and on their own: a bank that is slow
    /// holds up its own payments only.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails; a bank's failure stays with its payment.
    pub async fn reconcile(self: &Arc<Self>) -> Result<usize, FlowError> {
        let mut started = 0;
        for store in self.parts.stores.regions() {
            for payment in store.payments_due(self.now()).await? {
                let Ok(place) = Arc::clone(&self.reconciling).try_acquire_owned() else { return Ok(started) };
                // Whoever moves the due time first does the work. A step that
                // comes to nothing is taken up again when its lease ends.
                match store.lease_poll(&payment, later(self.now(), LEASE)).await {
                    Ok(()) => {}
                    Err(store::StoreError::Conflict) => continue,
                    Err(error) => return Err(error.into()),
                }
                let gateway = Arc::clone(self);
                tokio::spawn(async move {
                    let id = payment.id;
                    if let Err(error) = gateway.advance(payment).await {
                        tracing::warn!(payment.id = %id, error = %chain(&error), "Payment {id} could not be reconciled");
                    }
                    drop(place);
                });
                started += 1;
            }
        }
        Ok(started)
    }

    async fn advance(self: &Arc<Self>, payment: PaymentRow) -> Result<(), FlowError> {
        if let Some(executed) = payment.bank.found_out {
            return self.believe(payment, executed).await;
        }
        match payment.state {
            PaymentState::Created | PaymentState::AuthorizationRequired => self.expire(payment).await,
            // Approved, and the process ended before it submitted.
            PaymentState::Authorized => self.submit_payment(payment).await,
            PaymentState::Authorizing if payment.bank.submits_after_sca => {
                let until = payment.bank.approved_apart_until;
                if until.is_some_and(|until| self.now() < until) {
                    return self.follow_approval(payment).await;
                }
                // Without our submission the bank executes nothing.
                self.expire(payment).await
            }
            // Lodged, perhaps, and the time in which the bank could have named it is over.
            PaymentState::Authorizing | PaymentState::Unknown if payment.bank.consent_id.is_none() => {
                self.call_for_attention(payment).await
            }
            PaymentState::Authorizing
            | PaymentState::Submitted
            | PaymentState::Accepted
            | PaymentState::Unknown => self.poll_payment(payment).await.map(|_| ()),
            PaymentState::Settled
            | PaymentState::Rejected
            | PaymentState::Failed
            | PaymentState::Cancelled
            | PaymentState::Expired => Ok(()),
        }
    }

    /// A person looked at the bank and said what became of a payment that nobody else could
    /// find out.
    async fn believe(&self, payment: PaymentRow, executed: bool) -> Result<(), FlowError> {
        let failure = Failure {
            stage: "EXECUTION".to_owned(),
            code: "operator.not_executed".to_owned(),
            iso_reason: None,
            source: "INSTITUTION".to_owned(),
            retryable: true,
        };
        self.move_payment(payment, "operator", |row| {
            row.state = if executed { PaymentState::Settled } else { PaymentState::Rejected };
            row.terms.failure = (!executed).then_some(failure);
            row.bank.attention = None;
            row.bank.access_token = None;
            row.bank.refresh_token = None;
            row.next_poll_at = None;
        })
        .await?;
        Ok(())
    }

    async fn expire(&self, payment: PaymentRow) -> Result<(), FlowError> {
        self.move_payment(payment, "gateway", |row| {
            row.state = PaymentState::Expired;
            row.next_poll_at = None;
        })
        .await?;
        Ok(())
    }
}
