//! Whether an account covers an amount (PSD2 art. 65). Under a consent of the PSU
//! and by the bank's yes or no; the answer is passed on and kept nowhere, because
//! art. 65(3) lets nobody store it.

use std::sync::Arc;

use connect::{
    BankError, ConsentHandling, Dialect, FundsAnswer, FundsConfirmation, FundsQuestion, Operation, Profile,
    PsuPresence, Service,
};
use domain::{Capability, ConsentId, ConsentKind, InstitutionId, Money, ReadKind, Timestamp, Violations};
use store::consents::ConsentRow;

use crate::audited::{Access, Asker};
use crate::bank::accounts_of;
use crate::{FlowError, Gateway, LiveToken};

/// Longest reference, in characters (ISO 20022 Max35Text).
const MAX_REFERENCE: usize = 35;

/// A question of a client.
#[derive(Clone, Debug)]
pub struct FundsRequest {
    /// The consent that names the account.
    pub consent: ConsentId,
    /// How much is to be there.
    pub amount: Money,
    /// The client's name for the question, 1 to 35 printable characters; ours if absent.
    pub reference: Option<String>,
}

/// The answer to a [`FundsRequest`].
#[derive(Clone, Debug)]
pub struct FundsConfirmed {
    /// Where it was asked.
    pub institution: InstitutionId,
    /// The standard that the bank speaks, with version.
    pub standard: String,
    /// What the bank was asked under.
    pub reference: String,
    /// What it answered.
    pub answer: FundsAnswer,
    /// When.
    pub as_of: Timestamp,
}

impl Gateway {
    /// Asks the bank of a consent whether its account covers an amount.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the client has no such consent,
    /// [`FlowError::ConsentNotGranted`] if the token is not one of it,
    /// [`FlowError::ConsentScope`] if it is to something else,
    /// [`FlowError::ConsentNotInForce`], or the bank's failure.
    pub async fn confirm_funds(
        &self,
        asker: Asker<'_>,
        token: &LiveToken,
        request: &FundsRequest,
        psu: Option<&PsuPresence>,
    ) -> Result<FundsConfirmed, FlowError> {
        check(request)?;
        let consent = self.consent(&token.row.client_id, request.consent).await?;
        let institution = consent.institution.clone().ok_or(FlowError::NotFound("institution"))?;
        let store = self.parts.stores.region(consent.id.region())?;
        let access = Access {
            asker,
            consent: consent.id,
            institution: Some(&institution),
            kind: ReadKind::Funds,
            psu,
        };
        let granted = token.funds_consents.contains(&consent.id);
        let judge =
            |consent: &ConsentRow| self.may_confirm_funds(asker.client, consent, granted, store.region());
        if let Err(error) = judge(&consent) {
            self.audit_refusal(access, &error).await;
            return Err(error);
        }
        let account = consent.terms.funds_of.as_ref().ok_or(FlowError::ConsentScope)?;
        let profile = self.bank(&institution)?;
        let dialect = self.dialect_of(&profile)?;
        let funds = funds_of(&*dialect, &profile)?;
        let ours = || self.entropy().uuid_v4().simple().to_string();
        let reference = request.reference.clone().unwrap_or_else(ours);
        let question = FundsQuestion { account, amount: request.amount, reference: &reference };
        let asking = self.ask_about_funds(&profile, &*dialect, funds, &consent, &question, psu);
        let asking = tokio::time::timeout(self.parts.config.read_deadline, asking);
        let late = || BankError::new(&institution, connect::BankErrorKind::BankTimeout).into();
        let answer = match asking.await.unwrap_or_else(|_| Err(late())) {
            Err(FlowError::Bank(error)) => return Err(self.after_refusal(&consent, error).await),
            other => other?,
        };
        // What is not in the ledger and the audit log does not leave the house.
        self.noted(access, &consent, judge, None).await?;
        let as_of = self.now();
        let standard = dialect.standard(&profile);
        Ok(FundsConfirmed { institution, standard, reference, answer, as_of })
    }

    async fn ask_about_funds(
        &self,
        profile: &Arc<Profile>,
        dialect: &dyn Dialect,
        funds: &dyn FundsConfirmation,
        consent: &ConsentRow,
        question: &FundsQuestion<'_>,
        psu: Option<&PsuPresence>,
    ) -> Result<FundsAnswer, FlowError> {
        let psu_token = self.psu_token(profile, consent).await?;
        let kind = dialect.token_for(profile, Operation::Funds);
        let token = self.bank_token(profile, kind, psu_token).await?;
        let bank_id = consent.bank.consent_id.as_deref();
        let cx = self.context(profile, psu, consent.bank.psu_id.as_deref(), token.as_ref(), bank_id);
        let response = self.call_for(Service::Funds, profile, funds.ask(&cx, question)?).await?;
        Ok(funds.answer(&cx, question, &response)?)
    }

    /// Whether the bank of a consent learns of it from the PSU alone, so that nothing
    /// is asked there.
    #[must_use]
    pub fn is_given_outside(&self, consent: &ConsentRow) -> bool {
        let Some(profile) = consent.institution.as_ref().and_then(|id| self.bank(id).ok()) else {
            return false;
        };
        let Ok(dialect) = self.dialect_of(&profile) else { return false };
        matches!(handling_of(consent.terms.kind(), &*dialect, &profile), Ok(None))
    }

    /// Whether an institution can be asked about funds here.
    pub(crate) fn confirms_funds(&self, institution: &InstitutionId) -> Result<(), FlowError> {
        let profile = self.bank(institution)?;
        funds_of(&*self.dialect_of(&profile)?, &profile).map(|_| ())
    }
}

fn check(request: &FundsRequest) -> Result<(), FlowError> {
    let mut violations = Violations::default();
    if request.amount.amount().is_zero() {
        violations.add("/amount/amount", "amount.zero", "the amount is above zero");
    }
    let fits = |text: &String| {
        (1..=MAX_REFERENCE).contains(&text.chars().count()) && !text.chars().any(char::is_control)
    };
    if !request.reference.as_ref().is_none_or(fits) {
        violations.add("/reference", "text.invalid", "1 to 35 printable characters");
    }
    if violations.is_empty() { Ok(()) } else { Err(violations.into()) }
}

/// The confirmation of funds of a bank: its dialect has it, and its profile says that
/// the bank offers it.
fn funds_of<'d>(dialect: &'d dyn Dialect, profile: &Profile) -> Result<&'d dyn FundsConfirmation, FlowError> {
    let offered = profile.capabilities.contains(&Capability::FundsConfirmation);
    let funds = dialect.funds().filter(|_| offered);
    funds.ok_or_else(|| FlowError::Unsupported(profile.id.clone()))
}

/// How a bank handles consents of this kind through its interface; none where the
/// PSU gives the consent to the bank in another way.
pub(crate) fn handling_of<'d>(
    kind: ConsentKind,
    dialect: &'d dyn Dialect,
    profile: &Profile,
) -> Result<Option<ConsentHandling<'d>>, FlowError> {
    match kind {
        ConsentKind::AccountInformation => {
            Ok(Some(ConsentHandling::of_accounts(accounts_of(dialect, profile)?)))
        }
        ConsentKind::FundsConfirmation => Ok(funds_of(dialect, profile)?.handling(profile)),
    }
}
