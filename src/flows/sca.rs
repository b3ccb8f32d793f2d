//! Authentication on our pages: what a bank wants next of a PSU, and what the PSU
//! gives it. Passwords and codes go from the form to the bank and are kept nowhere;
//! what the bank wants is kept where its consent or payment is, until it has it.

use std::sync::Arc;

use connect::{
    BankError, BankErrorKind, BankRequest, BankResponse, CallContext, Dialect, EmbeddedAuthentication,
    EmbeddedSca, EmbeddedStep, Profile, PsuInput, PsuPresence,
};
use domain::{ConsentStatus, InstitutionId, MandateStatus, PaymentState, SessionId};
use serde::{Deserialize, Serialize};
use store::consents::Note;
use store::sca::ScaStepRow;
use store::{RegionalStore, StoreError};

use crate::accounts::chain;
use crate::bank::{BankLeg, LegSubject, PendingLeg};
use crate::consents::NextStep;
use crate::to_its_end::to_its_end;
use crate::webhooks::later;
use crate::{FlowError, Gateway, LEG_TIME};

/// Seconds after which a step whose answer was on its way may be taken again: the
/// process that had it ended.
const BUSY: i64 = 60;

/// What is kept of a step.
#[derive(Serialize, Deserialize)]
struct Kept {
    institution: InstitutionId,
    sca: EmbeddedSca,
    wrong: bool,
}

/// What a bank wants of a PSU now.
pub struct ScaQuestion {
    /// The bank.
    pub institution: InstitutionId,
    /// Counts the questions: an answer names the one that it is to.
    pub number: i64,
    /// What it wants.
    pub step: EmbeddedStep,
    /// What was given last was wrong.
    pub wrong: bool,
    /// An answer is on its way to the bank.
    pub busy: bool,
}

impl Gateway {
    /// What the bank of a consent or payment wants of the PSU of this session now;
    /// none if it wants nothing.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if the store fails.
    pub async fn sca_question(
        &self,
        session: SessionId,
        subject: LegSubject,
    ) -> Result<Option<ScaQuestion>, FlowError> {
        let Some((row, kept)) = self.sca_step(session, subject).await? else { return Ok(None) };
        let busy = row.busy_until.is_some_and(|until| until > self.now());
        let Kept { institution, sca, wrong } = kept;
        Ok(Some(ScaQuestion { institution, number: row.step, step: sca.step, wrong, busy }))
    }

    async fn sca_step(
        &self,
        session: SessionId,
        subject: LegSubject,
    ) -> Result<Option<(ScaStepRow, Kept)>, FlowError> {
        let row = self.sca_store(subject)?.sca_step(&subject.text()).await?;
        let Some(row) = row.filter(|row| row.session == session && row.expires_at > self.now()) else {
            return Ok(None);
        };
        let waits = match subject {
            LegSubject::Consent(id) => self.any_consent(id).await?.status == ConsentStatus::AwaitingRedirect,
            LegSubject::Payment(id) => self.any_payment(id).await?.state == PaymentState::Authorizing,
            LegSubject::Cancellation(id) => {
                self.any_payment(id).await?.cancelling(self.now()).is_some_and(|known| known.begun)
            }
            LegSubject::Mandate(id) => self.any_mandate(id).await?.status == MandateStatus::Authorizing,
        };
        // What cannot be read was kept by another version: the PSU begins again.
        let kept = serde_json::from_value(row.body.clone()).ok().filter(|_| waits);
        Ok(kept.map(|kept| (row, kept)))
    }

    /// Gives a bank what it wants, and says where the PSU goes next. The work goes
    /// on if the browser goes away.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if the bank fails. The PSU may try again if the bank was not
    /// there for once; else it is over.
    pub async fn answer_sca(
        self: &Arc<Self>,
        session: SessionId,
        subject: LegSubject,
        number: i64,
        input: PsuInput,
        psu: &PsuPresence,
    ) -> Result<NextStep, FlowError> {
        let known = self.sca_step(session, subject).await?;
        let Some((row, kept)) = known.filter(|(row, kept)| row.step == number && fits(&kept.sca, &input))
        else {
            // A form that is stale: the page shows what is wanted now.
            return Ok(NextStep::Ask);
        };
        let taken = store::transaction!(self.sca_store(subject)?, tx => {
            tx.take_sca_step(&subject.text(), row.step, later(self.now(), BUSY)).await
        });
        match taken {
            Ok(()) => {}
            // The same form, sent twice.
            Err(StoreError::Conflict) => return Ok(NextStep::Ask),
            Err(error) => return Err(error.into()),
        }
        let (gateway, psu) = (Arc::clone(self), psu.clone());
        let work = async move { gateway.ask_bank(session, subject, kept, &input, &psu).await };
        to_its_end(work).await
    }

    async fn ask_bank(
        self: &Arc<Self>,
        session: SessionId,
        subject: LegSubject,
        kept: Kept,
        input: &PsuInput,
        psu: &PsuPresence,
    ) -> Result<NextStep, FlowError> {
        let profile = self.bank(&kept.institution)?;
        match self.sca_given(&profile, subject, &kept.sca, input, psu).await {
            Ok(sca) => {
                if let PsuInput::Identification(name) = input {
                    self.note_psu_id(subject, name).await?;
                }
                self.go_on_with(&profile, session, subject, sca).await
            }
            Err(FlowError::Bank(error)) if error.kind == BankErrorKind::PsuAuthenticationFailed => {
                self.keep_sca(&profile, session, subject, &kept.sca, true).await?;
                Ok(NextStep::Ask)
            }
            Err(FlowError::Bank(error)) if may_pass(&error) => {
                self.keep_sca(&profile, session, subject, &kept.sca, false).await?;
                Err(error.into())
            }
            Err(FlowError::Bank(error)) => {
                tracing::warn!(subject.id = %subject.text(), bank.code = %profile.id, error = %error, "The bank ended an authentication");
                self.sca_is_over(subject, error.kind).await?;
                Err(error.into())
            }
            Err(other) => {
                self.keep_sca(&profile, session, subject, &kept.sca, false).await?;
                Err(other)
            }
        }
    }

    /// What the bank wants next, after it was given something. Where it says no, or
    /// nothing, it is asked whether it is over.
    async fn sca_given(
        &self,
        profile: &Profile,
        subject: LegSubject,
        sca: &EmbeddedSca,
        input: &PsuInput,
        psu: &PsuPresence,
    ) -> Result<EmbeddedSca, FlowError> {
        let dialect = self.dialect_of(profile)?;
        let embedded = embedded_of(&*dialect, profile)?;
        let (psu_id, bank_id) = self.names_at_bank(subject).await?;
        let cx = || self.context(profile, Some(psu), psu_id.as_deref(), None, bank_id.as_deref());
        let giving = cx();
        let request = embedded.give(&giving, sca, input)?;
        let answer = self.call_about(profile, subject, request).await;
        let given = answer.and_then(|answer| embedded.given(&giving, sca, &answer));
        match given {
            Ok(next) => self.with_image(profile, subject, &cx(), embedded, next).await,
            Err(error) => match self.sca_end(profile, subject, &cx(), embedded, sca, &error).await {
                Some(end) => Ok(sca.then(end)),
                None => Err(error.into()),
            },
        }
    }

    /// The end that an authentication has come to at the bank, as far as it says.
    async fn sca_end(
        &self,
        profile: &Profile,
        subject: LegSubject,
        cx: &CallContext<'_>,
        embedded: &dyn EmbeddedAuthentication,
        sca: &EmbeddedSca,
        error: &BankError,
    ) -> Option<EmbeddedStep> {
        if error.kind != BankErrorKind::PsuAuthenticationFailed && !may_pass(error) {
            return None;
        }
        let asked = async {
            let Some(request) = embedded.progress(cx, sca) else { return Ok(None) };
            let answer = self.call_about(profile, subject, request?).await?;
            embedded.progress_read(cx, &answer)
        };
        asked.await.unwrap_or_else(|error: BankError| {
            tracing::warn!(bank.code = %profile.id, error = %error, "The bank does not say how an authentication stands");
            None
        })
    }

    /// Fetches the picture of a challenge, where it does not come along.
    async fn with_image(
        &self,
        profile: &Profile,
        subject: LegSubject,
        cx: &CallContext<'_>,
        embedded: &dyn EmbeddedAuthentication,
        mut sca: EmbeddedSca,
    ) -> Result<EmbeddedSca, FlowError> {
        if let EmbeddedStep::Answer(challenge) = &mut sca.step
            && let Some(link) = challenge.image_link.take()
        {
            let request = embedded.image(cx, &link)?;
            let answer = self.call_about(profile, subject, request).await?;
            challenge.image = Some(embedded.image_read(cx, &answer)?);
        }
        Ok(sca)
    }

    /// Takes in where an authentication stands.
    async fn go_on_with(
        self: &Arc<Self>,
        profile: &Profile,
        session: SessionId,
        subject: LegSubject,
        sca: EmbeddedSca,
    ) -> Result<NextStep, FlowError> {
        match &sca.step {
            EmbeddedStep::Identify
            | EmbeddedStep::Password
            | EmbeddedStep::SecondPassword
            | EmbeddedStep::Choose(_)
            | EmbeddedStep::Answer(_) => {
                self.keep_sca(profile, session, subject, &sca, false).await?;
                Ok(NextStep::Ask)
            }
            EmbeddedStep::Wait(message) => {
                self.forget_sca(subject).await?;
                self.wait_for_app(subject).await?;
                Ok(NextStep::Wait(message.clone()))
            }
            EmbeddedStep::Done => {
                self.forget_sca(subject).await?;
                let known = match subject {
                    LegSubject::Consent(id) => self.poll_consent(id).await,
                    LegSubject::Payment(id) => {
                        self.approved_payment(id, None).await.map(|()| NextStep::Wait(None))
                    }
                    LegSubject::Cancellation(id) => {
                        self.cancellation_decided(id, false).await.map(|()| NextStep::Wait(None))
                    }
                    LegSubject::Mandate(id) => {
                        self.approved_mandate(id, None).await.map(|()| NextStep::Wait(None))
                    }
                };
                Ok(known.unwrap_or_else(|error| {
                    // The PSU has done their part; the next page asks again.
                    tracing::warn!(subject.id = %subject.text(), error = %chain(&error), "The bank does not say what an authentication gave");
                    NextStep::Wait(None)
                }))
            }
            EmbeddedStep::Failed => {
                self.sca_is_over(subject, BankErrorKind::PsuAuthenticationFailed).await?;
                Err(BankError::new(&profile.id, BankErrorKind::PsuAuthenticationFailed).into())
            }
        }
    }

    /// Keeps the name by which the bank knows the PSU, as where it is asked for before.
    async fn note_psu_id(&self, subject: LegSubject, name: &str) -> Result<(), FlowError> {
        match subject {
            LegSubject::Consent(id) => {
                let consent = self.any_consent(id).await?;
                let noted = |row: &mut store::consents::ConsentRow| row.bank.psu_id = Some(name.to_owned());
                self.move_consent(consent, Note::by("psu"), noted).await?;
            }
            LegSubject::Payment(id) | LegSubject::Cancellation(id) => {
                let payment = self.any_payment(id).await?;
                self.move_payment(payment, "psu", |row| row.bank.psu_id = Some(name.to_owned())).await?;
            }
            LegSubject::Mandate(id) => {
                let mandate = self.any_mandate(id).await?;
                self.move_mandate(mandate, Note::by("psu"), |row| row.bank.psu_id = Some(name.to_owned()))
                    .await?;
            }
        }
        Ok(())
    }

    /// The bank asks in its app from here on.
    async fn wait_for_app(&self, subject: LegSubject) -> Result<(), FlowError> {
        match subject {
            LegSubject::Consent(id) => {
                let consent = self.any_consent(id).await?;
                let moved = |row: &mut store::consents::ConsentRow| {
                    row.status = ConsentStatus::AwaitingDecoupled;
                };
                self.move_consent(consent, Note::by("psu"), moved).await?;
            }
            LegSubject::Payment(id) | LegSubject::Cancellation(id) => {
                let (payment, soon) = (self.any_payment(id).await?, later(self.now(), 1));
                self.move_payment(payment, "psu", |row| row.next_poll_at = Some(soon)).await?;
            }
            LegSubject::Mandate(id) => {
                let (mandate, soon) = (self.any_mandate(id).await?, later(self.now(), 1));
                self.move_mandate(mandate, Note::by("psu"), |row| row.next_step_at = Some(soon)).await?;
            }
        }
        Ok(())
    }

    /// An authentication came to nothing. A consent ends with it; of an order that
    /// the bank holds only the bank knows.
    async fn sca_is_over(self: &Arc<Self>, subject: LegSubject, why: BankErrorKind) -> Result<(), FlowError> {
        self.forget_sca(subject).await?;
        match subject {
            LegSubject::Consent(id) => {
                let psu = why == BankErrorKind::PsuAuthenticationFailed;
                let status = if psu { ConsentStatus::Rejected } else { ConsentStatus::Failed };
                let actor = if psu { "psu" } else { "gateway" };
                self.end_consent(id, status, Note::because(actor, why.code())).await?;
            }
            LegSubject::Payment(id) => {
                if let Err(error) = self.decline_payment(id).await {
                    tracing::warn!(payment.id = %id, error = %chain(&error), "The bank could not be asked about payment {id}");
                }
            }
            LegSubject::Cancellation(id) => {
                if let Err(error) = self.cancellation_decided(id, true).await {
                    tracing::warn!(payment.id = %id, error = %chain(&error), "The bank could not be asked about payment {id}");
                }
            }
            LegSubject::Mandate(id) => self.decline_mandate(id).await?,
        }
        Ok(())
    }

    /// The leg of a PSU whom the bank wants to know something of through us.
    pub(crate) async fn embedded_leg(
        &self,
        profile: &Profile,
        pending: &PendingLeg,
        psu: &PsuPresence,
        sca: EmbeddedSca,
    ) -> Result<BankLeg, FlowError> {
        let dialect = self.dialect_of(profile)?;
        let embedded = embedded_of(&*dialect, profile)?;
        let cx = self.context(profile, Some(psu), None, None, pending.bank_id.as_deref());
        let sca = self.with_image(profile, pending.subject, &cx, embedded, sca).await?;
        match &sca.step {
            EmbeddedStep::Identify
            | EmbeddedStep::Password
            | EmbeddedStep::SecondPassword
            | EmbeddedStep::Choose(_)
            | EmbeddedStep::Answer(_) => {
                self.keep_sca(profile, pending.session, pending.subject, &sca, false).await?;
                Ok(BankLeg::Ask)
            }
            EmbeddedStep::Wait(message) => Ok(BankLeg::Decoupled(message.clone())),
            EmbeddedStep::Done => Ok(BankLeg::Done),
            EmbeddedStep::Failed => {
                Err(BankError::new(&profile.id, BankErrorKind::PsuAuthenticationFailed).into())
            }
        }
    }

    async fn keep_sca(
        &self,
        profile: &Profile,
        session: SessionId,
        subject: LegSubject,
        sca: &EmbeddedSca,
        wrong: bool,
    ) -> Result<(), FlowError> {
        let kept = Kept { institution: profile.id.clone(), sca: sca.clone(), wrong };
        let body = serde_json::to_value(&kept).map_err(|_| FlowError::Busy)?;
        Ok(store::transaction!(self.sca_store(subject)?, tx => {
            tx.keep_sca_step(&subject.text(), session, &body, later(self.now(), LEG_TIME)).await
        })?)
    }

    async fn forget_sca(&self, subject: LegSubject) -> Result<(), FlowError> {
        Ok(store::transaction!(keyed self.sca_store(subject)?, tx => {
            tx.forget_sca_step(&subject.text()).await
        })?)
    }

    fn sca_store(&self, subject: LegSubject) -> Result<&RegionalStore, FlowError> {
        let region = match subject {
            LegSubject::Consent(id) => id.region(),
            LegSubject::Payment(id) | LegSubject::Cancellation(id) => id.region(),
            LegSubject::Mandate(id) => id.region(),
        };
        Ok(self.parts.stores.region(region)?)
    }

    /// The names that the bank has for the PSU and for what they approve.
    async fn names_at_bank(
        &self,
        subject: LegSubject,
    ) -> Result<(Option<String>, Option<String>), FlowError> {
        Ok(match subject {
            LegSubject::Consent(id) => {
                let bank = self.any_consent(id).await?.bank;
                (bank.psu_id, bank.consent_id)
            }
            LegSubject::Payment(id) | LegSubject::Cancellation(id) => {
                let bank = self.any_payment(id).await?.bank;
                (bank.psu_id, bank.consent_id)
            }
            LegSubject::Mandate(id) => {
                let bank = self.any_mandate(id).await?.bank;
                (bank.psu_id, bank.consent_id)
            }
        })
    }

    async fn call_about(
        &self,
        profile: &Profile,
        subject: LegSubject,
        request: BankRequest,
    ) -> Result<BankResponse, BankError> {
        match subject {
            LegSubject::Consent(_) => self.call(profile, request).await,
            LegSubject::Payment(_) | LegSubject::Cancellation(_) | LegSubject::Mandate(_) => {
                self.call_for_payment(profile, request).await
            }
        }
    }
}

/// Whether this is what the bank wants.
fn fits(sca: &EmbeddedSca, input: &PsuInput) -> bool {
    match (&sca.step, input) {
        (EmbeddedStep::Identify, PsuInput::Identification(_))
        | (EmbeddedStep::Password, PsuInput::Password(_))
        | (EmbeddedStep::SecondPassword, PsuInput::SecondPassword(_))
        | (EmbeddedStep::Answer(_), PsuInput::Code(_)) => true,
        (EmbeddedStep::Choose(methods), PsuInput::Method(id)) => {
            methods.iter().any(|method| method.id == *id)
        }
        (
            EmbeddedStep::Identify
            | EmbeddedStep::Password
            | EmbeddedStep::SecondPassword
            | EmbeddedStep::Choose(_)
            | EmbeddedStep::Answer(_)
            | EmbeddedStep::Wait(_)
            | EmbeddedStep::Done
            | EmbeddedStep::Failed,
            PsuInput::Identification(_)
            | PsuInput::Password(_)
            | PsuInput::SecondPassword(_)
            | PsuInput::Method(_)
            | PsuInput::Code(_),
        ) => false,
    }
}

/// Whether the bank may take it another time.
fn may_pass(error: &BankError) -> bool {
    matches!(
        error.kind,
        BankErrorKind::BankUnavailable
            | BankErrorKind::BankTimeout
            | BankErrorKind::BankFailed
            | BankErrorKind::TlsFailed
            | BankErrorKind::Throttled
            | BankErrorKind::Overloaded
    )
}

fn embedded_of<'d>(
    dialect: &'d dyn Dialect,
    profile: &Profile,
) -> Result<&'d dyn EmbeddedAuthentication, FlowError> {
    dialect.embedded().ok_or_else(|| FlowError::Unsupported(profile.id.clone()))
}
