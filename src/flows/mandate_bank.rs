//! A mandate at its bank: lodged, followed, told of its end.

use std::sync::Arc;

use connect::bank_oauth::{BankTokens, Role};
use connect::{
    BankConsentStatus, BankError, BankErrorKind, Dialect, Operation, Profile, PsuPresence, RecurringPayments,
};
use domain::{MandateId, MandateStatus, SessionId};
use policy::Step;
use store::consents::Note;
use store::mandates::MandateRow;

use crate::accounts::chain;
use crate::bank::{BankLeg, LEG_TIME, LegSubject};
use crate::consents::NextStep;
use crate::to_its_end::to_its_end;
use crate::webhooks::later;
use crate::{FlowError, Gateway};

impl Gateway {
    /// The PSU approved on our page: lodges the mandate at the bank and says where
    /// the PSU goes. Only the first call lodges it.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if the bank fails; the mandate is then `REJECTED`.
    pub async fn start_mandate(
        self: &Arc<Self>,
        session: SessionId,
        id: MandateId,
        psu: &PsuPresence,
        psu_id: Option<String>,
    ) -> Result<NextStep, FlowError> {
        let mandate = self.any_mandate(id).await?;
        if mandate.status != MandateStatus::Created {
            return Err(FlowError::MandateState(mandate.status));
        }
        let profile = self.bank(&mandate.institution)?;
        let end = later(self.now(), LEG_TIME);
        let mandate = self
            .move_mandate(mandate, Note::by("psu"), |row| {
                row.status = MandateStatus::Authorizing;
                row.bank.psu_id = psu_id;
                row.next_step_at = Some(end);
            })
            .await?;
        // From here the work goes on even if the PSU's browser goes away.
        let (gateway, psu) = (Arc::clone(self), psu.clone());
        let work = async move { gateway.lodge_mandate(&profile, session, mandate, &psu).await };
        to_its_end(work).await
    }

    async fn lodge_mandate(
        self: &Arc<Self>,
        profile: &Profile,
        session: SessionId,
        mandate: MandateRow,
        psu: &PsuPresence,
    ) -> Result<NextStep, FlowError> {
        let id = mandate.id;
        let lodged = async {
            let (mandate, leg) = self.try_lodge_mandate(profile, session, mandate, psu).await?;
            let decoupled = matches!(leg, BankLeg::Decoupled(_) | BankLeg::Done);
            if decoupled {
                // Nobody comes back with a code: the bank is asked.
                let soon = later(self.now(), 1);
                self.move_mandate(mandate, Note::by("gateway"), |row| row.next_step_at = Some(soon)).await?;
            }
            Ok(match leg {
                BankLeg::Redirect(url) => NextStep::Redirect(url),
                BankLeg::Ask => NextStep::Ask,
                BankLeg::Decoupled(message) => NextStep::Wait(message),
                BankLeg::Done => NextStep::Wait(None),
            })
        };
        match lodged.await {
            Ok(step) => Ok(step),
            Err(error) => {
                tracing::warn!(mandate.id = %id, error = %chain(&error), "Mandate {id} could not be lodged");
                let bank = if let FlowError::Bank(error) = &error { Some(error.kind.code()) } else { None };
                let reason = bank.map_or("gateway.failed".to_owned(), |code| format!("institution.{code}"));
                self.end_mandate(id, MandateStatus::Rejected, Note::because("gateway", &reason)).await?;
                Err(error)
            }
        }
    }

    async fn try_lodge_mandate(
        &self,
        profile: &Profile,
        session: SessionId,
        mandate: MandateRow,
        psu: &PsuPresence,
    ) -> Result<(MandateRow, BankLeg), FlowError> {
        let dialect = self.dialect_of(profile)?;
        let recurring = recurring_of(&*dialect, profile)?;
        let mut pending =
            self.open_leg(profile, session, LegSubject::Mandate(mandate.id), Role::Recurring)?;
        let kind = dialect.token_for(profile, Operation::PaymentLodge);
        let token = self.bank_token(profile, kind, None).await?;
        let cx = self.context(profile, Some(psu), mandate.bank.psu_id.as_deref(), token.as_ref(), None);
        let order = &mandate.terms.order;
        let request = recurring.lodge(&cx, order)?;
        let lodged = recurring.lodged(&cx, order, &self.call_for_payment(profile, request).await?)?;
        pending.bank_id = Some(lodged.bank_id.clone());
        let began = lodged.created_at.unwrap_or(cx.now);
        let mandate = self
            .move_mandate(mandate, Note::by("gateway"), |row| {
                row.bank.consent_id = Some(lodged.bank_id);
                row.terms.began_at = Some(began);
            })
            .await?;
        let leg = self.leg_of(profile, &pending, psu, lodged.sca).await?;
        Ok((mandate, leg))
    }

    /// The PSU approved at the bank and the bank gave tokens: keeps them, and asks
    /// the bank how the mandate stands.
    pub(crate) async fn approved_mandate(
        self: &Arc<Self>,
        id: MandateId,
        tokens: Option<&BankTokens>,
    ) -> Result<(), FlowError> {
        let mandate = self.any_mandate(id).await?;
        if mandate.status != MandateStatus::Authorizing {
            return Err(FlowError::MandateState(mandate.status));
        }
        // Asked right below; if this process ends before, by the next.
        let soon = later(self.now(), 5);
        let mandate = self
            .move_mandate(mandate, Note::by("psu"), |row| {
                row.next_step_at = Some(soon);
                if let Some(tokens) = tokens {
                    self.keep_tokens(&mut row.bank, tokens);
                }
            })
            .await?;
        self.follow_mandate(mandate).await.map(|_| ())
    }

    /// Asks the bank how a mandate stands there, and moves ours to the same.
    pub(crate) async fn follow_mandate(
        self: &Arc<Self>,
        mandate: MandateRow,
    ) -> Result<MandateRow, FlowError> {
        use BankConsentStatus as B;
        let given = mandate.status == MandateStatus::Authorized;
        let at_bank = match self.mandate_at_bank(&mandate).await {
            Err(FlowError::Bank(error)) if given && is_gone(&error) => B::RevokedByPsu,
            asked => asked?,
        };
        let now = self.now();
        let (status, actor, reason) = match at_bank {
            B::Authorised if given => {
                let next = self.next_look(&mandate);
                return self
                    .move_mandate(mandate, Note::by("gateway"), |row| row.next_step_at = Some(next))
                    .await;
            }
            B::Authorised => {
                let permit = self.may_step_mandate(&mandate.client_id, &mandate, Step::Give, true)?;
                let next = self.next_look(&mandate);
                let id = mandate.id;
                tracing::info!(mandate.id = %id, "Mandate {id} is authorized");
                return self
                    .move_mandate(mandate, Note::by("psu").under(permit.rule()), |row| {
                        row.status = MandateStatus::Authorized;
                        row.terms.authorized_at = Some(now);
                        row.next_step_at = Some(next);
                    })
                    .await;
            }
            B::AwaitingAuthorisation | B::PartiallyAuthorised => {
                let soon = later(now, 5);
                return self
                    .move_mandate(mandate, Note::by("gateway"), |row| row.next_step_at = Some(soon))
                    .await;
            }
            B::Rejected if given => (MandateStatus::Revoked, "institution", "revoked-at-bank"),
            B::Rejected => (MandateStatus::Rejected, "institution", "institution.rejected"),
            B::RevokedByPsu => (MandateStatus::Revoked, "institution", "revoked-at-bank"),
            B::TerminatedByTpp => (MandateStatus::Revoked, "institution", "client.revoked"),
            B::Expired | B::Consumed => (MandateStatus::Expired, "institution", "expired"),
        };
        self.end_mandate(mandate.id, status, Note::because(actor, reason)).await
    }

    async fn mandate_at_bank(&self, mandate: &MandateRow) -> Result<BankConsentStatus, FlowError> {
        let profile = self.bank(&mandate.institution)?;
        let dialect = self.dialect_of(&profile)?;
        let recurring = recurring_of(&*dialect, &profile)?;
        let kind = dialect.token_for(&profile, Operation::PaymentLodge);
        let token = self.bank_token(&profile, kind, None).await?;
        let bank = &mandate.bank;
        let cx =
            self.context(&profile, None, bank.psu_id.as_deref(), token.as_ref(), bank.consent_id.as_deref());
        let response = self.call_for_payment(&profile, recurring.inquire(&cx)?).await?;
        Ok(recurring.inquired(&cx, &mandate.terms.order, &response)?)
    }

    /// Tells the bank of the end of a mandate, which is given as it was before. A
    /// bank that cannot be told is no error: nothing is paid under it any more.
    pub(crate) async fn tell_bank_of_mandates_end(&self, mandate: &MandateRow) {
        if let Err(error) = self.revoke_mandate_at_bank(mandate).await {
            tracing::warn!(mandate.id = %mandate.id, error = %chain(&error), "The bank could not be told that mandate {} ended", mandate.id);
        }
    }

    async fn revoke_mandate_at_bank(&self, mandate: &MandateRow) -> Result<(), FlowError> {
        let Some(bank_id) = &mandate.bank.consent_id else { return Ok(()) };
        let profile = self.bank(&mandate.institution)?;
        let dialect = self.dialect_of(&profile)?;
        let recurring = recurring_of(&*dialect, &profile)?;
        let kind = dialect.token_for(&profile, Operation::PaymentLodge);
        let token = self.bank_token(&profile, kind, None).await?;
        let psu_id = mandate.bank.psu_id.as_deref();
        let cx = self.context(&profile, None, psu_id, token.as_ref(), Some(bank_id));
        let response = self.call_for_payment(&profile, recurring.revoke(&cx)?).await?;
        Ok(recurring.revoked(&cx, &response)?)
    }
}

/// The recurring payments of a bank's dialect.
pub(crate) fn recurring_of<'d>(
    dialect: &'d dyn Dialect,
    profile: &Profile,
) -> Result<&'d dyn RecurringPayments, FlowError> {
    dialect.recurring().ok_or_else(|| FlowError::Unsupported(profile.id.clone()))
}

/// Whether a refusal to speak of a mandate means that it is over.
fn is_gone(error: &BankError) -> bool {
    let unknown = error.kind == BankErrorKind::ResourceUnknown && error.bank_code.is_some();
    unknown || matches!(error.kind, BankErrorKind::ConsentRevoked | BankErrorKind::ConsentMissing)
}
