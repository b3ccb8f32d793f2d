//! Whether the account of a mandate covers an amount: asked before a payment is tried,
//! answered by the bank's yes or no, and kept nowhere.

use connect::{BankError, BankErrorKind, FundsAnswer, Operation, PsuPresence};
use domain::{InstitutionId, MandateId, MandateStatus, Money, Timestamp};
use store::mandates::MandateRow;

use crate::mandate_bank::recurring_of;
use crate::{FlowError, Gateway};

/// What a bank said of the account of a mandate.
#[derive(Clone, Debug)]
pub struct MandateFunds {
    /// Where it was asked.
    pub institution: InstitutionId,
    /// The standard that the bank speaks, with version.
    pub standard: String,
    /// What it answered.
    pub answer: FundsAnswer,
    /// When.
    pub as_of: Timestamp,
}

impl Gateway {
    /// Asks the bank of a mandate whether its account covers an amount. Nothing is drawn
    /// on its limits, and what they do not allow is not asked.
    ///
    /// # Errors
    ///
    /// [`FlowError::MandateState`] if it is not in force, [`FlowError::MandateBreach`] if
    /// no payment may have this amount, or the bank's failure.
    pub async fn confirm_mandate_funds(
        &self,
        client_id: &str,
        id: MandateId,
        amount: &Money,
        psu: Option<&PsuPresence>,
    ) -> Result<MandateFunds, FlowError> {
        let mandate = self.mandate(client_id, id).await?;
        if mandate.status != MandateStatus::Authorized {
            return Err(FlowError::MandateState(mandate.status));
        }
        mandate.terms.order.constraints.admit(amount, self.now())?;
        let asking = self.ask_mandate_funds(&mandate, amount, psu);
        let asked = tokio::time::timeout(self.parts.config.read_deadline, asking).await;
        let late = || BankError::new(&mandate.institution, BankErrorKind::BankTimeout).into();
        let (standard, answer) = asked.unwrap_or_else(|_| Err(late()))?;
        Ok(MandateFunds { institution: mandate.institution, standard, answer, as_of: self.now() })
    }

    async fn ask_mandate_funds(
        &self,
        mandate: &MandateRow,
        amount: &Money,
        psu: Option<&PsuPresence>,
    ) -> Result<(String, FundsAnswer), FlowError> {
        let profile = self.bank(&mandate.institution)?;
        let dialect = self.dialect_of(&profile)?;
        let recurring = recurring_of(&*dialect, &profile)?;
        let psu_token = self.mandate_token(&profile, mandate).await?;
        let kind = dialect.token_for(&profile, Operation::PaymentSubmit);
        let token = self.bank_token(&profile, kind, psu_token).await?;
        let bank = &mandate.bank;
        let cx =
            self.context(&profile, psu, bank.psu_id.as_deref(), token.as_ref(), bank.consent_id.as_deref());
        let question = recurring.ask_funds(&cx, amount);
        let question = question.ok_or_else(|| FlowError::Unsupported(profile.id.clone()))?;
        let response = self.call_for_payment(&profile, question?).await?;
        Ok((dialect.standard(&profile), recurring.funds_answer(&cx, amount, &response)?))
    }
}
