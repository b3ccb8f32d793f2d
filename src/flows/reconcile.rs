//! The reconciler: asks banks about every payment that is not final until it is.

use std::sync::Arc;

use domain::PaymentState;
use store::payments::PaymentRow;

use crate::accounts::chain;
use crate::webhooks::later;
use crate::{FlowError, Gateway};

impl Gateway {
    /// Takes every payment that is due one step further. Returns how many there were.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails; a bank's failure stays with its payment.
    pub async fn reconcile(self: &Arc<Self>) -> Result<usize, FlowError> {
        let mut count = 0;
        for store in self.parts.stores.regions() {
            let due = store.payments_due(self.now()).await?;
            count += due.len();
            let mut steps = Vec::new();
            for payment in due {
                // Whoever moves the due time first does the work.
                let lease = later(self.now(), 60);
                match store.lease_poll(&payment, lease).await {
                    Ok(()) => {}
                    Err(store::StoreError::Conflict) => continue,
                    Err(error) => return Err(error.into()),
                }
                let gateway = Arc::clone(self);
                steps.push(tokio::spawn(async move {
                    let id = payment.id;
                    if let Err(error) = gateway.advance(payment).await {
                        tracing::warn!(payment.id = %id, error = %chain(&error), "Payment {id} could not be reconciled");
                    }
                }));
            }
            for step in steps {
                // A step that panicked is tried again when its lease ends.
                let _ = step.await;
            }
        }
        Ok(count)
    }

    async fn advance(&self, payment: PaymentRow) -> Result<(), FlowError> {
        match payment.state {
            PaymentState::Created | PaymentState::AuthorizationRequired => self.expire(payment).await,
            // Approved, and the process ended before it submitted.
            PaymentState::Authorized => self.submit_payment(payment).await,
            PaymentState::Authorizing if payment.bank.submits_after_sca => {
                // Without our submission the bank executes nothing.
                self.expire(payment).await
            }
            PaymentState::Authorizing
            | PaymentState::Submitted
            | PaymentState::Accepted
            | PaymentState::Unknown => self.poll_payment(payment).await,
            PaymentState::Settled
            | PaymentState::Rejected
            | PaymentState::Failed
            | PaymentState::Cancelled
            | PaymentState::Expired => Ok(()),
        }
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
