//! The PSU approved a payment at its bank: told by the browser that comes back, or found out
//! by asking where the PSU approves apart from it.

use std::sync::Arc;

use connect::BankConsentStatus;
use connect::bank_oauth::BankTokens;
use domain::{PaymentId, PaymentState};
use store::payments::PaymentRow;

use crate::to_its_end::to_its_end;
use crate::webhooks::later;
use crate::{FlowError, Gateway};

impl Gateway {
    /// The PSU approved at the bank and the bank gave a token: submits the
    /// order, where the bank's standard has that as a step of its own.
    pub(crate) async fn approved_payment(
        self: &Arc<Self>,
        id: PaymentId,
        tokens: Option<BankTokens>,
    ) -> Result<(), FlowError> {
        let payment = self.any_payment(id).await?;
        if !payment.bank.submits_after_sca {
            self.poll_payment(payment).await?;
            return Ok(());
        }
        if payment.state != PaymentState::Authorizing {
            return Err(FlowError::PaymentState(payment.state));
        }
        let soon = later(self.now(), 5);
        let payment = self
            .move_payment(payment, "psu", |row| {
                row.state = PaymentState::Authorized;
                // Submitted right below; if this process ends before, by the next.
                row.next_poll_at = Some(soon);
                if let Some(tokens) = tokens {
                    self.keep_payment_tokens(row, &tokens);
                }
            })
            .await?;
        let gateway = Arc::clone(self);
        to_its_end(async move { gateway.submit_payment(payment).await }).await
    }

    /// Asks how far an approval is that the PSU gives apart from the browser, and submits the
    /// order once it is given: the bank executes nothing before that.
    pub(crate) async fn follow_approval(self: &Arc<Self>, payment: PaymentRow) -> Result<(), FlowError> {
        let id = payment.id;
        match self.poll_payment(payment).await? {
            Some(BankConsentStatus::Authorised) => self.approved_payment(id, None).await,
            Some(
                BankConsentStatus::AwaitingAuthorisation
                | BankConsentStatus::PartiallyAuthorised
                | BankConsentStatus::Rejected
                | BankConsentStatus::RevokedByPsu
                | BankConsentStatus::TerminatedByTpp
                | BankConsentStatus::Consumed
                | BankConsentStatus::Expired,
            )
            | None => Ok(()),
        }
    }
}
