//! Cancelling payments: on our word while no bank can execute them, at the bank later.

use std::sync::Arc;

use connect::{BankErrorKind, BankPaymentIds, CancelAnswer, Dialect, Outcome, PaymentCancellation};
use domain::{Capability, Execution, PaymentId, PaymentState};
use policy::PaymentChange;
use store::StoreError;
use store::payments::PaymentRow;

use crate::consents::TRIES;
use crate::to_its_end::to_its_end;
use crate::{FlowError, Gateway};

impl Gateway {
    /// Whether a payment can be cancelled: here, or at its bank.
    #[must_use]
    pub fn can_cancel(&self, payment: &PaymentRow) -> bool {
        payment.can_cancel() || self.can_ask_to_cancel(payment)
    }

    /// Whether its bank may be asked to take a payment back: it holds the order, and its
    /// day is still to come, or the PSU has not approved it there.
    fn can_ask_to_cancel(&self, payment: &PaymentRow) -> bool {
        let order = &payment.terms.order;
        let to_come = match order.execution() {
            Execution::AtOnce => false,
            Execution::On(day) => *day > domain::utc_day(self.now()),
            Execution::Repeated(_) => true,
        };
        let waits = match payment.state {
            PaymentState::Submitted | PaymentState::Accepted => to_come,
            PaymentState::Authorizing => !payment.bank.submits_after_sca,
            PaymentState::Created
            | PaymentState::AuthorizationRequired
            | PaymentState::Authorized
            | PaymentState::Unknown
            | PaymentState::Settled
            | PaymentState::Rejected
            | PaymentState::Failed
            | PaymentState::Cancelled
            | PaymentState::Expired => false,
        };
        let named = payment.bank.consent_id.is_some() && payment.bank.payment_id.is_some();
        let own = payment.terms.under.is_none();
        let offered = |profile: &connect::Profile| {
            let dialect = self.dialect_of(profile).ok();
            let has = dialect.as_deref().is_some_and(|dialect| cancellation_of(dialect).is_some());
            has && profile.capabilities.contains(&Capability::PaymentCancellation)
        };
        waits && named && own && self.bank(&payment.institution).is_ok_and(|profile| offered(&profile))
    }

    /// Cancels a payment for the TPP that ordered it: here while no bank can execute it,
    /// else at its bank, where that takes orders back. Asked again, it says how it stands, as
    /// also while the PSU is to approve that at the bank.
    ///
    /// # Errors
    ///
    /// [`FlowError::PaymentState`] if it has come further, or its bank says so; nothing is
    /// changed then. [`FlowError::Bank`] if the bank could not be asked.
    pub async fn cancel_payment(
        self: &Arc<Self>,
        client_id: &str,
        id: PaymentId,
    ) -> Result<PaymentRow, FlowError> {
        for _ in 0..TRIES {
            let (payment, permit) = self.payment_to(PaymentChange::Cancel, client_id, id).await?;
            if payment.state == PaymentState::Cancelled || payment.cancelling(self.now()).is_some() {
                return Ok(payment);
            }
            if self.can_ask_to_cancel(&payment) {
                // The bank's answer is heeded even if the client goes away.
                let gateway = Arc::clone(self);
                let work = async move { gateway.cancel_at_bank(payment).await };
                to_its_end(work).await?;
                return self.payment(client_id, id).await;
            }
            if !payment.can_cancel() {
                return Err(FlowError::PaymentState(payment.state));
            }
            let cancelled = self.move_payment_under(permit.rule(), payment, "client", |row| {
                row.state = PaymentState::Cancelled;
                row.next_poll_at = None;
                row.bank.access_token = None;
                row.bank.refresh_token = None;
            });
            match cancelled.await {
                Err(FlowError::Store(StoreError::Conflict)) => {}
                done => return done,
            }
        }
        Err(FlowError::Busy)
    }

    /// Asks the bank to take an order back, then how it stands: what became of it the bank
    /// says, not we.
    async fn cancel_at_bank(&self, payment: PaymentRow) -> Result<(), FlowError> {
        let profile = self.bank(&payment.institution)?;
        let dialect = self.dialect_of(&profile)?;
        let unsupported = || FlowError::Unsupported(profile.id.clone());
        let cancellation = cancellation_of(&*dialect).ok_or_else(unsupported)?;
        let (payment, token) = self.token_about(&profile, &*dialect, payment).await;
        let token = token?;
        let lodged = payment.bank.consent_id.clone().unwrap_or_default();
        let psu_id = payment.bank.psu_id.as_deref();
        let cx = self.context(&profile, None, psu_id, token.as_ref(), Some(&lodged));
        let ids = BankPaymentIds { lodged: lodged.clone(), payment: payment.bank.payment_id.clone() };
        let request = cancellation.cancel(&cx, &ids, &payment.terms.order)?;
        let answer = match self.call_for_payment(&profile, request).await {
            Ok(response) => cancellation.cancelled(&cx, &ids, &payment.terms.order, &response),
            Err(error) => Err(error),
        };
        match answer {
            Ok(CancelAnswer::Taken) => self.heed_cancellation(payment).await,
            Ok(CancelAnswer::Approval { link }) => self.await_cancellation(payment.id, &link).await,
            Err(error) if error.outcome == Outcome::NotDone && is_refusal(error.kind) => {
                tracing::info!(payment.id = %payment.id, error = %error, "The bank keeps payment {}", payment.id);
                Err(FlowError::PaymentState(payment.state))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Asks how an order stands that the bank took back. Whoever asks the same at this moment
    /// may be faster: then it is looked up what came of that.
    pub(crate) async fn heed_cancellation(&self, mut payment: PaymentRow) -> Result<(), FlowError> {
        let id = payment.id;
        for _ in 0..TRIES {
            match self.poll_payment(payment).await {
                Err(FlowError::Store(StoreError::Conflict)) => payment = self.any_payment(id).await?,
                done => return done.map(|_| ()),
            }
            if payment.is_final() {
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }
}

fn cancellation_of(dialect: &dyn Dialect) -> Option<&dyn PaymentCancellation> {
    dialect.payments()?.cancellation()
}

/// Whether a bank says that an order cannot be taken back (any more).
fn is_refusal(kind: BankErrorKind) -> bool {
    matches!(
        kind,
        BankErrorKind::Unsupported
            | BankErrorKind::DuplicateRequest
            | BankErrorKind::InvalidRequest
            | BankErrorKind::PaymentRejected
    )
}
