//! Whether the holder of an account goes by a name: asked of the bank that holds it, before
//! somebody pays there (Regulation (EU) 2024/886 art. 1; UK Confirmation of Payee).
//!
//! A bank that says nothing stops no payment: that is an answer, too. Every question is
//! counted by client and day before it is asked, because whoever may ask without end finds
//! out names.

use std::sync::Arc;
use std::time::Duration;

use connect::{
    BankError, BankErrorKind, Operation, PayeeQuestion, PayeeVerification, Profile, PsuPresence, Service,
};
use domain::{
    AccountIdentification, Capability, InstitutionId, PayeeMatch, PayeeUnverified, Timestamp, Violations,
};
use store::StoreError;
use store::payments::{PayeeCheck, PaymentRow};

use crate::consents::{TRIES, date_of, end_of};
use crate::{FlowError, Gateway};

/// Longest wait for an answer: as long as the scheme gives the bank (EPC218-23, 5 s).
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest name, in characters (ISO 20022 Max140Text).
const MAX_NAME: usize = 140;

/// A question of a client.
#[derive(Clone)]
pub struct PayeeRequest {
    /// Where the account is.
    pub institution: InstitutionId,
    /// The name that the payer knows, 1 to 140 printable characters.
    pub name: String,
    /// The account.
    pub account: AccountIdentification,
}

/// The answer to a [`PayeeRequest`].
#[derive(Clone, Debug)]
pub struct PayeeVerified {
    /// Where it was asked.
    pub institution: InstitutionId,
    /// What it said.
    pub result: PayeeMatch,
    /// When.
    pub checked_at: Timestamp,
}

impl Gateway {
    /// Asks an institution whether the holder of an account goes by a name.
    ///
    /// # Errors
    ///
    /// [`FlowError::Invalid`] if the question has no name, or an account that the
    /// institution's standard has no words for, [`FlowError::UnknownInstitution`], and
    /// [`FlowError::PayeeQuota`] if the client has asked too often today. A bank that does not
    /// answer is no error.
    pub async fn verify_payee(
        &self,
        client_id: &str,
        request: &PayeeRequest,
    ) -> Result<PayeeVerified, FlowError> {
        let mut violations = Violations::default();
        let length = request.name.chars().count();
        if !(1..=MAX_NAME).contains(&length)
            || request.name.chars().any(char::is_control)
            || request.name.trim().is_empty()
        {
            violations.add("/name", "text.invalid", "1 to 140 printable characters");
            return Err(violations.into());
        }
        let institution = &request.institution;
        let profile = self.parts.registry.profile(institution);
        let profile = profile.ok_or_else(|| FlowError::UnknownInstitution(institution.clone()))?;
        self.holds(profile.region)?;
        let question = PayeeQuestion { name: &request.name, account: &request.account };
        let result = match self.payee_result(client_id, &profile, question, None).await {
            Err(FlowError::Bank(error)) if error.kind == BankErrorKind::Unsupported => {
                violations.add("/account", "account.unsupported", "the institution has no such accounts");
                return Err(violations.into());
            }
            other => other?,
        };
        Ok(PayeeVerified { institution: institution.clone(), result, checked_at: self.now() })
    }

    /// Verifies the payee of a payment, where its order wants that and nobody has done it yet:
    /// before the PSU sees the payment.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if a store fails.
    pub async fn with_verified_payee(
        &self,
        payment: PaymentRow,
        psu: &PsuPresence,
    ) -> Result<PaymentRow, FlowError> {
        if payment.terms.payee != Some(PayeeCheck::Wanted) {
            return Ok(payment);
        }
        let result = self.payee_of(&payment, psu).await?;
        let done = PayeeCheck::Done { result, at: self.now() };
        let (id, mut row) = (payment.id, payment);
        for _ in 0..TRIES {
            if row.terms.payee != Some(PayeeCheck::Wanted) {
                return Ok(row);
            }
            let keep = |row: &mut PaymentRow| row.terms.payee = Some(done.clone());
            match self.move_payment(row, "gateway", keep).await {
                Err(FlowError::Store(StoreError::Conflict)) => row = self.any_payment(id).await?,
                kept => return kept,
            }
        }
        Err(FlowError::Busy)
    }

    /// What the bank that is known to hold the creditor's account says of the creditor's name.
    async fn payee_of(&self, payment: &PaymentRow, psu: &PsuPresence) -> Result<PayeeMatch, FlowError> {
        let not_possible = |reason| Ok(PayeeMatch::NotPossible { reason });
        let Some(order) = payment.terms.order.transfer() else {
            return not_possible(PayeeUnverified::NotOffered);
        };
        let Some(profile) = self.parts.registry.holder_of(&order.creditor_account) else {
            return not_possible(PayeeUnverified::InstitutionUnknown);
        };
        if self.holds(profile.region).is_err() {
            return not_possible(PayeeUnverified::NotOffered);
        }
        let question = PayeeQuestion { name: &order.creditor_name, account: &order.creditor_account };
        match self.payee_result(&payment.client_id, &profile, question, Some(psu)).await {
            Err(FlowError::PayeeQuota { .. }) => not_possible(PayeeUnverified::Limit),
            Err(FlowError::Bank(_)) => not_possible(PayeeUnverified::NotOffered),
            other => other,
        }
    }

    /// What a bank says. Of its errors only `unsupported` is one here: it is about the
    /// question.
    async fn payee_result(
        &self,
        client_id: &str,
        profile: &Arc<Profile>,
        question: PayeeQuestion<'_>,
        psu: Option<&PsuPresence>,
    ) -> Result<PayeeMatch, FlowError> {
        let not_possible = |reason| Ok(PayeeMatch::NotPossible { reason });
        let offered = profile.capabilities.contains(&Capability::PayeeVerification) && profile.connectable();
        let dialect = self.parts.registry.dialect(profile).filter(|_| offered);
        let Some((dialect, payees)) = dialect.as_ref().and_then(|known| Some((known, known.payees()?)))
        else {
            return not_possible(PayeeUnverified::NotOffered);
        };
        self.count_verification(client_id).await?;
        let kind = dialect.token_for(profile, Operation::Payees);
        let asking = async {
            let token = self.bank_token(profile, kind, None).await?;
            let cx = self.context(profile, psu, None, token.as_ref(), None);
            self.ask_payee(profile, payees, &cx, question).await
        };
        let deadline = self.parts.config.read_deadline.min(PATIENCE);
        match tokio::time::timeout(deadline, asking).await {
            Err(_) => not_possible(PayeeUnverified::TimedOut),
            Ok(Err(FlowError::Bank(error))) if error.kind != BankErrorKind::Unsupported => {
                not_possible(unanswered(profile, &error))
            }
            Ok(other) => other,
        }
    }

    async fn ask_payee(
        &self,
        profile: &Profile,
        payees: &dyn PayeeVerification,
        cx: &connect::CallContext<'_>,
        question: PayeeQuestion<'_>,
    ) -> Result<PayeeMatch, FlowError> {
        let response = self.call_for(Service::Payees, profile, payees.ask(cx, &question)?).await?;
        Ok(payees.answer(cx, &response)?)
    }

    /// Takes one of the day's verifications of a client.
    async fn count_verification(&self, client_id: &str) -> Result<(), FlowError> {
        let limit = self.parts.config.payee_verifications_per_day;
        let (now, global) = (self.now(), self.parts.stores.global());
        let day = date_of(now);
        if global.take_payee_verification(client_id, day, limit).await?.is_some() {
            return Ok(());
        }
        Err(FlowError::PayeeQuota { limit, resets_at: end_of(day).unwrap_or(now), as_of: now })
    }
}

/// What a bank's failure means to the payer.
fn unanswered(profile: &Profile, error: &BankError) -> PayeeUnverified {
    tracing::warn!(bank.code = %profile.id, error = %error, "Bank {} did not verify a payee", profile.id);
    if error.kind == BankErrorKind::BankTimeout {
        PayeeUnverified::TimedOut
    } else {
        PayeeUnverified::Unavailable
    }
}
