//! Consents: lodged by the TPP, approved by the PSU on our page and at the
//! bank, read under, withdrawn.

use std::sync::Arc;

use connect::{BankErrorKind, ConsentOrder, Consents, Profile, PsuPresence, ScaStart, Service};
use domain::{
    AccountId, AccountIdentification, ConsentId, ConsentKind, ConsentStatus, Date, EventType, ExpirySource,
    InstitutionId, Permission, Region, SessionId, SuspensionCause, Timestamp, Violations,
};
use jiff::ToSpan;
use jiff::tz::TimeZone;
use policy::Step;
use store::StoreError;
use store::accounts::ConsentToRead;
use store::consents::{BankAccess, ConsentLife, ConsentRow, ConsentTerms, Note};
use store::idempotency::{Claim, ClaimKey};
use url::Url;

use crate::bank::{BankLeg, LegSubject, PendingLeg};
use crate::bank_tokens::role_of;
use crate::events::Subject;
use crate::funds::handling_of;
use crate::settling::{begun, settles};
use crate::{FlowError, Gateway};

/// What a TPP asks a PSU for.
#[derive(Clone, Debug)]
pub struct ConsentRequest {
    /// Where; or only a region, and the PSU chooses on our page.
    pub institution: Option<InstitutionId>,
    /// Home region, where no institution is named.
    pub region: Option<Region>,
    /// What may be read; nothing, where funds are asked about.
    pub permissions: Vec<Permission>,
    /// The account whose funds are asked about; none where accounts are read.
    pub funds_of: Option<AccountIdentification>,
    /// More than once?
    pub recurring: bool,
    /// Last day of the consent.
    pub valid_until: Option<Date>,
    /// Earliest booking date that may be read.
    pub history_from: Option<Date>,
    /// The TPP's own name for the consent.
    pub client_reference: Option<String>,
}

/// Where a PSU goes next.
#[derive(Clone, PartialEq, Eq)]
pub enum NextStep {
    /// To the bank.
    Redirect(Url),
    /// To our page that asks what the bank wants to know ([`Gateway::sca_question`]).
    Ask,
    /// Nowhere: the bank asks in its app, or is not ready; our page waits.
    Wait(Option<String>),
    /// The bank is ready: [`Gateway::start_consent`] goes on.
    GoOn,
    /// The bank said yes, if only to this PSU: where others must approve too,
    /// there is nothing more for this one to do.
    Authorized,
    /// It came to nothing.
    Ended(ConsentStatus),
}

impl Gateway {
    /// Lodges a consent. With an idempotency key that was used before, answers
    /// what was answered then.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if the request is invalid or the institution is not usable.
    pub async fn lodge_consent<F>(
        &self,
        client_id: &str,
        request: &ConsentRequest,
        claim: impl FnOnce(Region) -> ClaimKey,
        answer: F,
    ) -> Result<(u16, String, bool), FlowError>
    where
        F: FnOnce(&ConsentRow) -> String,
    {
        let consent = self.draft(client_id, request)?;
        let claim = claim(consent.id.region());
        self.lodge_draft(&consent, &claim, None, answer).await
    }

    /// A consent as it is asked for, capped by the rules of its country.
    pub(crate) fn draft(&self, client_id: &str, request: &ConsentRequest) -> Result<ConsentRow, FlowError> {
        let now = self.now();
        let today = date_of(now);
        let mut violations = Violations::default();
        match &request.funds_of {
            Some(_) => {
                // Whose account it is only its bank can tell.
                if let Some(institution) = &request.institution {
                    self.confirms_funds(institution)?;
                } else {
                    violations.add("/institution_id", "field.missing", "the institution of the account");
                }
                if !request.permissions.is_empty() {
                    violations.add("/permissions", "field.unexpected", "nothing is read under this consent");
                }
            }
            None if request.permissions.is_empty() => {
                violations.add("/permissions", "permissions.empty", "at least one permission is needed");
            }
            None => {}
        }
        let valid_until = request.valid_until.unwrap_or_else(|| today.saturating_add(90.days()));
        if valid_until < today {
            violations.add("/access/valid_until", "date.past", "the last day is not in the past");
        }
        if request.history_from.is_some_and(|from| from > today) {
            violations.add("/access/history_from", "date.future", "the earliest day is not in the future");
        }
        let region = match (&request.institution, request.region) {
            (Some(institution), _) => self.bank(institution)?.region,
            (None, Some(region)) => region,
            (None, None) if request.funds_of.is_some() => return Err(violations.into()),
            (None, None) => {
                violations.add("/institution_id", "field.missing", "an institution or a region is needed");
                return Err(violations.into());
            }
        };
        if !violations.is_empty() {
            return Err(violations.into());
        }
        self.holds(region)?;
        let mut consent = ConsentRow {
            id: ConsentId::new(region, self.clock(), self.entropy()),
            client_id: client_id.to_owned(),
            institution: request.institution.clone(),
            status: ConsentStatus::Created,
            terms: ConsentTerms {
                permissions: request.permissions.clone(),
                funds_of: request.funds_of.clone(),
                recurring: request.recurring,
                valid_until,
                history_from: request.history_from,
                frequency_per_day: 1,
                client_reference: request.client_reference.clone(),
                status_reason: None,
                authorized_at: None,
            },
            bank: BankAccess::default(),
            life: ConsentLife::default(),
            psu_digest: None,
            expires_at: end_of(valid_until),
            created_at: now,
            updated_at: now,
            revision: 0,
        };
        self.cap(&mut consent);
        Ok(consent)
    }

    /// Keeps a draft, its event and the answer in one transaction, unless it is
    /// refused: a key that was answered before is answered the same.
    pub(crate) async fn lodge_draft<F>(
        &self,
        consent: &ConsentRow,
        claim: &ClaimKey,
        refused: Option<FlowError>,
        answer: F,
    ) -> Result<(u16, String, bool), FlowError>
    where
        F: FnOnce(&ConsentRow) -> String,
    {
        let permit = self.may_step_consent(&consent.client_id, consent, Step::Lodge, false)?;
        let now = consent.created_at;
        let mine = answer(consent);
        let mut refused = refused;
        let (status, body) = store::transaction!(keyed self.parts.stores.region(consent.id.region())?, tx => {
            match tx.claim(claim, now, crate::webhooks::later(now, DAY)).await? {
                Claim::Replay { status, body } => return Ok((status, body)),
                Claim::InFlight => return Err(FlowError::KeyInFlight),
                Claim::Mismatch => return Err(FlowError::KeyReused),
                Claim::New => {}
            }
            if let Some(refused) = refused.take() {
                return Err(refused);
            }
            tx.lodge_consent(consent).await?;
            let subject = Subject::Consent(consent.id, consent.status, EventType::ConsentCreated);
            tx.emit_under(&self.event(&consent.client_id, &subject, 1, now), permit.rule()).await?;
            tx.answer_claim(claim, &consent.id.to_string(), 201, &mine).await?;
            Ok((201, mine.clone()))
        })?;
        // An earlier run may have been committed unheard.
        let replayed = body != mine;
        Ok((status, body, replayed))
    }

    /// A consent of a client, as it stands now.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the client has no such consent.
    pub async fn consent(&self, client_id: &str, id: ConsentId) -> Result<ConsentRow, FlowError> {
        let consent = self.any_consent(id).await?;
        drop(self.may_step_consent(client_id, &consent, Step::See, false)?);
        Ok(consent)
    }

    /// A consent of a client, with what a read under it begins with: as it stands now, or as it stood some
    /// seconds ago if nobody has changed it here since. Whether that is still so is known when the read is
    /// noted ([`Self::noted`]).
    pub(crate) async fn consent_to_read(
        &self,
        client_id: &str,
        id: ConsentId,
        only: Option<AccountId>,
    ) -> Result<ConsentToRead, FlowError> {
        let store = self.parts.stores.region(id.region())?;
        // Another process may know accounts by now that this one does not.
        let knows = |recent: &ConsentToRead| {
            let known = &recent.accounts;
            known.is_empty() || only.is_none_or(|only| known.iter().any(|link| link.account == only))
        };
        let today = date_of(self.now());
        let recent = store.recent_consent(id, today).filter(|recent| knows(recent));
        let found = match recent {
            Some(recent) => recent,
            None => store.consent_to_read(id, today).await?.ok_or(FlowError::NotFound("consent"))?,
        };
        let mut found = ConsentToRead::clone(&found);
        if self.is_behind(&found.consent) {
            found.consent = Box::pin(self.any_consent(id)).await?;
        }
        drop(self.may_step_consent(client_id, &found.consent, Step::See, false)?);
        Ok(found)
    }

    /// A consent, whoever's it is, as it stands now: one past its end, or that
    /// nobody confirmed in time, is moved there first.
    pub(crate) async fn any_consent(&self, id: ConsentId) -> Result<ConsentRow, FlowError> {
        let store = self.parts.stores.region(id.region())?;
        let mut tries = 0;
        loop {
            let consent = store.consent(id).await?.ok_or(FlowError::NotFound("consent"))?;
            let Some(moved) = self.caught_up(consent.clone()).await else { return Ok(consent) };
            match moved {
                // Somebody else moved it there, or elsewhere.
                Err(FlowError::Store(StoreError::Conflict)) if tries < TRIES => tries += 1,
                moved => return moved,
            }
        }
    }

    /// Moves a consent to where time has brought it; none if it is there.
    pub(crate) async fn caught_up(&self, consent: ConsentRow) -> Option<Result<ConsentRow, FlowError>> {
        if !self.is_behind(&consent) {
            return None;
        }
        if consent.is_over(self.now()) {
            let note = Note::by("gateway");
            return Some(self.move_consent(consent, note, |row| row.status = ConsentStatus::Expired).await);
        }
        Some(self.suspend(consent, SuspensionCause::ReconfirmationOverdue).await)
    }

    /// Whether time has brought a consent elsewhere than it is.
    fn is_behind(&self, consent: &ConsentRow) -> bool {
        let now = self.now();
        let overdue = || consent.status == ConsentStatus::Authorized && consent.is_overdue(now);
        !consent.status.is_final() && (consent.is_over(now) || overdue())
    }

    /// Sets the institution that the PSU chose on our page.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if the consent has one, or the institution is of another region.
    pub async fn choose_institution(
        &self,
        id: ConsentId,
        institution: &InstitutionId,
    ) -> Result<ConsentRow, FlowError> {
        let profile = self.bank(institution)?;
        let consent = self.any_consent(id).await?;
        if profile.region != id.region() {
            return Err(FlowError::Unsupported(institution.clone()));
        }
        if consent.status != ConsentStatus::Created {
            return Err(FlowError::ConsentState(consent.status));
        }
        self.move_consent(consent, Note::by("psu"), |row| {
            row.institution = Some(institution.clone());
            self.cap(row);
        })
        .await
    }

    /// Notes the PSU's login name at a bank whose interface wants it.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if the store fails.
    pub async fn note_psu_name(&self, id: ConsentId, name: &str) -> Result<(), FlowError> {
        let consent = self.any_consent(id).await?;
        self.move_consent(consent, Note::by("psu"), |row| row.bank.psu_id = Some(name.to_owned())).await?;
        Ok(())
    }

    /// Takes a consent to its bank: lodges it there and says where the PSU goes.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if the bank fails; the consent is then `FAILED`, unless
    /// trying again may help.
    pub async fn start_consent(
        self: &Arc<Self>,
        session: SessionId,
        id: ConsentId,
        psu: &PsuPresence,
    ) -> Result<NextStep, FlowError> {
        let mut consent = self.any_consent(id).await?;
        match consent.status {
            ConsentStatus::Created => {}
            // A PSU who went back and comes again goes on where they were.
            ConsentStatus::AwaitingRedirect
                if self.sca_question(session, LegSubject::Consent(id)).await?.is_some() =>
            {
                return Ok(NextStep::Ask);
            }
            ConsentStatus::AwaitingRedirect
                if self.settled_at(&consent)?.is_some_and(|at| self.now() < at) =>
            {
                return Ok(NextStep::Wait(None));
            }
            ConsentStatus::AwaitingRedirect => {}
            ConsentStatus::AwaitingDecoupled => return self.poll_consent(id).await,
            ConsentStatus::PartiallyAuthorized | ConsentStatus::Authorized | ConsentStatus::Suspended => {
                return Ok(NextStep::Authorized);
            }
            ended @ (ConsentStatus::Rejected
            | ConsentStatus::RevokedByPsu
            | ConsentStatus::RevokedByClient
            | ConsentStatus::RevokedByInstitution
            | ConsentStatus::Expired
            | ConsentStatus::Failed) => return Ok(NextStep::Ended(ended)),
        }
        let institution = consent.institution.clone().ok_or(FlowError::NotFound("institution"))?;
        let profile = self.bank(&institution)?;
        match self.lodge_at_bank(&profile, session, &mut consent, psu).await {
            Ok(step) => Ok(step),
            Err(FlowError::Bank(error)) => {
                tracing::warn!(consent.id = %id, bank.code = %institution, error = %error, "Consent {id} could not be lodged");
                let rejected = matches!(
                    error.kind,
                    BankErrorKind::PsuCancelled | BankErrorKind::PsuAuthenticationFailed
                );
                let status = if rejected { ConsentStatus::Rejected } else { ConsentStatus::Failed };
                let actor = if rejected { "psu" } else { "gateway" };
                self.end_consent(id, status, Note::because(actor, error.kind.code())).await?;
                Err(FlowError::Bank(error))
            }
            Err(other) => Err(other),
        }
    }

    async fn lodge_at_bank(
        &self,
        profile: &Profile,
        session: SessionId,
        consent: &mut ConsentRow,
        psu: &PsuPresence,
    ) -> Result<NextStep, FlowError> {
        let dialect = self.dialect_of(profile)?;
        let role = role_of(consent.terms.kind());
        let Some(handling) = handling_of(consent.terms.kind(), &*dialect, profile)? else {
            // What the PSU allowed here is all that there is; the bank has it from them.
            self.authorize(consent.id).await?;
            return Ok(NextStep::Authorized);
        };
        let mut pending = self.open_leg(profile, session, LegSubject::Consent(consent.id), role)?;
        let psu_id = consent.bank.psu_id.clone();
        let order = ConsentOrder {
            permissions: consent.terms.permissions.clone(),
            accounts: consent.terms.funds_of.iter().cloned().collect(),
            valid_until: Some(consent.terms.valid_until),
            recurring: consent.terms.recurring,
            frequency_per_day: consent.terms.frequency_per_day,
            transactions_from: consent.terms.history_from,
            redirects: pending.redirects.clone(),
        };
        if self.settled_at(consent)?.is_some() {
            // It was lodged before, and had to settle.
            pending.bank_id.clone_from(&consent.bank.consent_id);
            let named = consent.bank.consent_id.as_deref();
            let cx = self.context(profile, Some(psu), psu_id.as_deref(), None, named);
            let sca = begun(handling.consents, &cx)?;
            return self.sent_to_bank(profile, &pending, consent, psu, sca).await;
        }
        let service = service_of(consent.terms.kind());
        let (token, lodged) = match handling.consents {
            Consents::Lodged(lodging) => {
                let kind = dialect.token_for(profile, handling.operation);
                let token = self.bank_token(profile, kind, None).await?;
                let cx = self.context(profile, Some(psu), psu_id.as_deref(), token.as_ref(), None);
                let request = lodging.lodge(&cx, &order)?;
                let request = self.asking_for_notices(&*dialect, &cx, pending.subject, request)?;
                let lodged = lodging.lodged(&cx, &self.call_for(service, profile, request).await?)?;
                (token, lodged)
            }
            Consents::Authorized(authorization) => {
                let cx = self.context(profile, Some(psu), psu_id.as_deref(), None, None);
                (None, authorization.begin(&cx, &order)?)
            }
        };
        consent.bank.consent_id = Some(lodged.bank_id.clone());
        pending.bank_id = Some(lodged.bank_id.clone());
        if let Some(until) = lodged.valid_until.filter(|until| *until < consent.terms.valid_until) {
            // The bank may shorten a consent, never lengthen it.
            consent.terms.valid_until = until;
            consent.expires_at = end_of(until);
            consent.life.expires_at_source = ExpirySource::BankCapped;
        }
        if settles(profile, consent).is_some() {
            let note = Note::by("psu");
            self.move_consent(consent.clone(), note, |row| row.status = ConsentStatus::AwaitingRedirect)
                .await?;
            return Ok(NextStep::Wait(None));
        }
        let mut sca = lodged.sca;
        if let (ScaStart::Explicit { link }, Some(start)) = (&sca, handling.explicit_start) {
            let named = Some(lodged.bank_id.as_str());
            let cx = self.context(profile, Some(psu), psu_id.as_deref(), token.as_ref(), named);
            let request = start.authorise(&cx, link, &pending.redirects)?;
            sca = start.authorised(&cx, link, &self.call_for(service, profile, request).await?)?;
        }
        self.sent_to_bank(profile, &pending, consent, psu, sca).await
    }

    /// Sends the PSU where the bank wants them.
    async fn sent_to_bank(
        &self,
        profile: &Profile,
        pending: &PendingLeg,
        consent: &ConsentRow,
        psu: &PsuPresence,
        sca: ScaStart,
    ) -> Result<NextStep, FlowError> {
        let leg = self.leg_of(profile, pending, psu, sca).await?;
        let (status, step) = match leg {
            BankLeg::Redirect(url) => (ConsentStatus::AwaitingRedirect, NextStep::Redirect(url)),
            BankLeg::Ask => (ConsentStatus::AwaitingRedirect, NextStep::Ask),
            BankLeg::Decoupled(message) => (ConsentStatus::AwaitingDecoupled, NextStep::Wait(message)),
            BankLeg::Done => (ConsentStatus::AwaitingDecoupled, NextStep::Wait(None)),
        };
        self.move_consent(consent.clone(), Note::by("psu"), |row| row.status = status).await?;
        Ok(step)
    }

    /// Keeps the tokens that a bank gave for a consent.
    pub(crate) async fn keep_bank_tokens(
        &self,
        id: ConsentId,
        token: &connect::bank_oauth::BankTokens,
    ) -> Result<(), FlowError> {
        let mut tries = 0;
        loop {
            let consent = self.any_consent(id).await?;
            let keep = |row: &mut ConsentRow| self.keep_tokens(&mut row.bank, token);
            match self.move_consent(consent, Note::by("gateway"), keep).await {
                // Changed meanwhile by another step. The bank gives these
                // tokens once, so they are put into what it is now.
                Err(FlowError::Store(StoreError::Conflict)) if tries < TRIES => tries += 1,
                kept => return kept.map(|_| ()),
            }
        }
    }

    /// The PSU said no on our page. What was given before stays given.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if the store fails.
    pub async fn decline_consent(&self, id: ConsentId) -> Result<(), FlowError> {
        self.end_consent(id, ConsentStatus::Rejected, Note::because("psu", "psu-declined")).await?;
        Ok(())
    }

    /// Ends a consent, if its life has that end still before it. Returns how it
    /// stands then.
    pub(crate) async fn end_consent(
        &self,
        id: ConsentId,
        status: ConsentStatus,
        note: Note<'_>,
    ) -> Result<ConsentRow, FlowError> {
        let mut tries = 0;
        loop {
            let consent = self.any_consent(id).await?;
            if consent.status.step(status).is_err() {
                return Ok(consent);
            }
            match self.move_consent(consent, note, |row| row.status = status).await {
                Err(FlowError::Store(StoreError::Conflict)) if tries < TRIES => tries += 1,
                ended => return ended,
            }
        }
    }

    /// Withdraws a consent: at once here, then at the bank.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the client has no such consent. A bank that
    /// cannot be told is no error: nothing is read under the consent any more.
    pub async fn revoke_consent(&self, client_id: &str, id: ConsentId) -> Result<(), FlowError> {
        let consent = self.any_consent(id).await?;
        let permit = self.may_step_consent(client_id, &consent, Step::End, false)?;
        let note = Note::by("client").under(permit.rule());
        self.withdraw(consent, ConsentStatus::RevokedByClient, note).await
    }

    /// Ends a consent at once here, then at the bank.
    pub(crate) async fn withdraw(
        &self,
        consent: ConsentRow,
        status: ConsentStatus,
        note: Note<'_>,
    ) -> Result<(), FlowError> {
        if consent.status.is_final() {
            return Ok(());
        }
        self.end_consent(consent.id, status, note).await?;
        // As it was: its end takes the tokens that the bank may want to see.
        self.tell_bank_of_end(&consent).await;
        Ok(())
    }
}

/// The service of a bank that consents of this kind are to.
pub(crate) fn service_of(kind: ConsentKind) -> Service {
    match kind {
        ConsentKind::AccountInformation => Service::Accounts,
        ConsentKind::FundsConfirmation => Service::Funds,
    }
}

/// Times that a change is tried again on what the consent is meanwhile.
pub(crate) const TRIES: usize = 5;

/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;

/// Today, UTC.
pub(crate) fn date_of(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// The instant at which a day is over, UTC.
pub(crate) fn end_of(day: Date) -> Option<Timestamp> {
    day.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok().map(|start| start.timestamp())
}
