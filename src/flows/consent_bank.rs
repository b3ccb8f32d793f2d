//! A consent as its bank sees it: asked, followed, told of an end.

use std::sync::Arc;

use connect::{BankConsentStatus, BankError, BankErrorKind, Profile, TokenKind};
use domain::{ConsentId, ConsentStatus};
use policy::Step;
use store::StoreError;
use store::consents::{Authorisations, ConsentRow, Note};

use crate::accounts::{chain, not_in_force};
use crate::bank_tokens::role_of;
use crate::consents::{DAY, NextStep, TRIES, service_of};
use crate::funds::handling_of;
use crate::jurisdiction::OTHERS_EVERY;
use crate::placing::is_about_consent;
use crate::webhooks::later;
use crate::{FlowError, Gateway};

/// What a bank that wants several PSUs lets us know: one has approved, and at
/// least one has not.
const SOME: Authorisations = Authorisations { required: 2, received: 1 };

impl Gateway {
    /// Asks the bank how a consent that waits stands, and moves ours along.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if the bank fails; the consent stays where it is.
    pub async fn poll_consent(&self, id: ConsentId) -> Result<NextStep, FlowError> {
        let mut consent = self.any_consent(id).await?;
        let waits = matches!(
            consent.status,
            ConsentStatus::Created | ConsentStatus::AwaitingRedirect | ConsentStatus::AwaitingDecoupled
        );
        if let Some(at) = self.settled_at(&consent)? {
            // There is nothing to ask the bank before the PSU was there.
            return Ok(if self.now() < at { NextStep::Wait(None) } else { NextStep::GoOn });
        }
        if waits {
            consent = self.follow_bank(consent).await?;
        }
        Ok(match consent.status {
            ConsentStatus::Created | ConsentStatus::AwaitingRedirect | ConsentStatus::AwaitingDecoupled => {
                NextStep::Wait(None)
            }
            ConsentStatus::PartiallyAuthorized | ConsentStatus::Authorized | ConsentStatus::Suspended => {
                NextStep::Authorized
            }
            ended @ (ConsentStatus::Rejected
            | ConsentStatus::RevokedByPsu
            | ConsentStatus::RevokedByClient
            | ConsentStatus::RevokedByInstitution
            | ConsentStatus::Expired
            | ConsentStatus::Failed) => NextStep::Ended(ended),
        })
    }

    /// Asks the bank how a consent stands there, and moves ours to the same.
    pub(crate) async fn follow_bank(&self, consent: ConsentRow) -> Result<ConsentRow, FlowError> {
        use BankConsentStatus as B;
        if consent.bank.consent_id.is_none() {
            // The bank has not heard of it.
            return Ok(consent);
        }
        let given = matches!(consent.status, ConsentStatus::Authorized | ConsentStatus::Suspended);
        let (status, note) = match self.consent_at_bank(&consent).await {
            Ok(B::AwaitingAuthorisation) => return Ok(consent),
            Ok(B::PartiallyAuthorised) if !given => return self.wait_for_others(consent).await,
            Ok(B::Authorised) if !given => return self.authorize(consent.id).await,
            // In force here and there. Read anew: asking may have renewed its token.
            Ok(B::Authorised | B::PartiallyAuthorised) => {
                return self.ask_again(self.any_consent(consent.id).await?, DAY).await;
            }
            Ok(B::Rejected) if given => (ConsentStatus::RevokedByInstitution, Note::by("institution")),
            Ok(B::Rejected) => (ConsentStatus::Rejected, Note::by("institution")),
            Ok(B::RevokedByPsu) => (ConsentStatus::RevokedByPsu, Note::because("psu", "revoked-at-bank")),
            Ok(B::TerminatedByTpp) => (ConsentStatus::RevokedByClient, Note::by("institution")),
            Ok(B::Expired | B::Consumed) => (ConsentStatus::Expired, Note::by("institution")),
            Err(FlowError::Bank(error)) => match ended_by(&error, given) {
                Some(status) => (status, Note::because("institution", error.kind.code())),
                None => return Err(error.into()),
            },
            Err(other) => return Err(other),
        };
        tracing::info!(consent.id = %consent.id, status = %status, "The bank ended consent {}", consent.id);
        self.end_consent(consent.id, status, note).await
    }

    /// What a bank's failure under a consent comes to: that the consent is over, if
    /// the bank says so when it is asked.
    pub(crate) async fn after_refusal(&self, consent: &ConsentRow, error: BankError) -> FlowError {
        let heeded = self.heed(consent, error.kind).await;
        let over = heeded.filter(|consent| !consent.is_in_force(self.now()));
        over.map_or_else(|| error.into(), |consent| not_in_force(&consent))
    }

    /// Heeds a bank's refusal that may be about the consent itself. Returns how
    /// the consent stands after the bank was asked.
    async fn heed(&self, consent: &ConsentRow, kind: BankErrorKind) -> Option<ConsentRow> {
        if !is_about_consent(kind) {
            return None;
        }
        let asked = async { self.follow_bank(self.any_consent(consent.id).await?).await };
        match asked.await {
            Ok(consent) => Some(consent),
            Err(error) => {
                tracing::warn!(consent.id = %consent.id, error = %chain(&error), "The bank could not be asked about a consent");
                None
            }
        }
    }

    /// The bank said yes, or has nothing to say: the consent is in force, and the one it renews ends in
    /// the same transaction.
    pub(crate) async fn authorize(&self, id: ConsentId) -> Result<ConsentRow, FlowError> {
        let mut tries = 0;
        let (consent, replaced) = loop {
            match self.authorize_once(id).await {
                Err(FlowError::Store(StoreError::Conflict)) if tries < TRIES => tries += 1,
                authorized => break authorized?,
            }
        };
        tracing::info!(consent.id = %id, "Consent {id} is authorized");
        if let Some(replaced) = replaced {
            // Where a new consent ends the old one, this is the same thing.
            self.tell_bank_of_end(&replaced).await;
        }
        Ok(consent)
    }

    async fn authorize_once(&self, id: ConsentId) -> Result<(ConsentRow, Option<ConsentRow>), FlowError> {
        let consent = self.any_consent(id).await?;
        if consent.status == ConsentStatus::Authorized || consent.status.is_final() {
            return Ok((consent, None));
        }
        // The bank has said so, or the PSU on our page where it is not asked.
        let permit = self.may_step_consent(&consent.client_id, &consent, Step::Give, true)?;
        let store = self.parts.stores.region(id.region())?;
        let old = match consent.life.renews {
            Some(old) => store.consent(old).await?.filter(|old| old.life.superseded_by.is_none()),
            None => None,
        };
        let relaxed = self.bank_of(&consent)?.checks_relaxed(role_of(consent.terms.kind()));
        let given = Note::by("psu").under(permit.rule());
        let changed = self.changed(consent, given, None, |row| {
            row.status = ConsentStatus::Authorized;
            row.life.checks_relaxed = relaxed.into_iter().map(str::to_owned).collect();
            if let Some(authorisations) = &mut row.life.authorisations {
                authorisations.received = authorisations.required;
            }
        });
        // As it was: its end takes the tokens that the bank may want to see.
        let replaced = old.clone().filter(|old| !old.status.is_final());
        let superseded = Note::because("gateway", "superseded");
        let old = old.map(|old| {
            self.changed(old, superseded, None, |row| {
                row.life.superseded_by = Some(id);
                if !row.status.is_final() {
                    row.status = ConsentStatus::Expired;
                }
            })
        });
        // In conflict with an earlier run that was committed unheard, the consent is read again.
        store::transaction!(keyed store, tx => {
            self.write_changed(tx, &changed, given).await?;
            if let Some(old) = &old {
                self.write_changed(tx, old, superseded).await?;
            }
            Ok::<_, StoreError>(())
        })?;
        Ok((changed.kept(), replaced))
    }

    async fn wait_for_others(&self, consent: ConsentRow) -> Result<ConsentRow, FlowError> {
        if consent.status == ConsentStatus::PartiallyAuthorized {
            return self.ask_again(consent, OTHERS_EVERY).await;
        }
        self.move_consent(consent, Note::by("psu"), |row| {
            row.status = ConsentStatus::PartiallyAuthorized;
            row.life.authorisations = Some(SOME);
        })
        .await
    }

    async fn ask_again(&self, consent: ConsentRow, seconds: i64) -> Result<ConsentRow, FlowError> {
        let at = later(self.now(), seconds);
        self.move_consent(consent, Note::by("gateway"), |row| row.life.ask_bank_at = Some(at)).await
    }

    async fn consent_at_bank(&self, consent: &ConsentRow) -> Result<BankConsentStatus, FlowError> {
        let profile = self.bank_of(consent)?;
        let dialect = self.dialect_of(&profile)?;
        let kind = consent.terms.kind();
        let handling = handling_of(kind, &*dialect, &profile)?;
        let Some((handling, inquiry)) = handling.and_then(|handling| Some((handling, handling.inquiry?)))
        else {
            return self.consent_by_token(&profile, consent).await;
        };
        let token = self.bank_token(&profile, dialect.token_for(&profile, handling.operation), None).await?;
        let psu_id = consent.bank.psu_id.as_deref();
        let cx = self.context(&profile, None, psu_id, token.as_ref(), consent.bank.consent_id.as_deref());
        let response = self.call_for(service_of(kind), &profile, inquiry.status(&cx)?).await?;
        Ok(inquiry.status_read(&cx, &response)?)
    }

    /// How a consent stands at a bank that answers no question about it: tokens
    /// say that it was given, and a refused renewal that it is no more.
    async fn consent_by_token(
        &self,
        profile: &Profile,
        consent: &ConsentRow,
    ) -> Result<BankConsentStatus, FlowError> {
        let given = matches!(consent.status, ConsentStatus::Authorized | ConsentStatus::Suspended);
        if consent.bank.access_token.is_none() {
            return Ok(BankConsentStatus::AwaitingAuthorisation);
        }
        if !given {
            return Ok(BankConsentStatus::Authorised);
        }
        match self.renewed_token(profile, consent).await {
            Ok(Some(_)) => Ok(BankConsentStatus::Authorised),
            Ok(None) => {
                let over = consent.bank.access_token_expires_at.is_some_and(|end| end <= self.now());
                Ok(if over { BankConsentStatus::Expired } else { BankConsentStatus::Authorised })
            }
            Err(FlowError::Bank(error)) if error.kind == BankErrorKind::TokenInvalid => {
                Ok(BankConsentStatus::RevokedByPsu)
            }
            Err(other) => Err(other),
        }
    }

    /// Tells the bank of the end of a consent, which is given as it was before. A
    /// bank that cannot be told is no error: nothing is read under it any more.
    pub(crate) async fn tell_bank_of_end(&self, consent: &ConsentRow) {
        if let Err(error) = self.revoke_at_bank(consent).await {
            tracing::warn!(consent.id = %consent.id, error = %chain(&error), "The bank could not be told that consent {} ended", consent.id);
        }
    }

    async fn revoke_at_bank(&self, consent: &ConsentRow) -> Result<(), FlowError> {
        let Some(bank_id) = &consent.bank.consent_id else { return Ok(()) };
        let profile = self.bank_of(consent)?;
        let dialect = self.dialect_of(&profile)?;
        let Some(handling) = handling_of(consent.terms.kind(), &*dialect, &profile)? else { return Ok(()) };
        let Some(revocation) = handling.revocation else { return Ok(()) };
        let kind = dialect.token_for(&profile, handling.operation);
        let psu_token = match kind {
            TokenKind::Psu | TokenKind::PsuIfHeld => self.last_token(&profile, consent).await?,
            TokenKind::None | TokenKind::Client(_) => None,
        };
        let token = self.bank_token(&profile, kind, psu_token).await?;
        let psu_id = consent.bank.psu_id.as_deref();
        let cx = self.context(&profile, None, psu_id, token.as_ref(), Some(bank_id));
        let service = service_of(consent.terms.kind());
        let response = self.call_for(service, &profile, revocation.revoke(&cx)?).await?;
        Ok(revocation.revoked(&cx, &response)?)
    }

    pub(crate) fn bank_of(&self, consent: &ConsentRow) -> Result<Arc<Profile>, FlowError> {
        self.bank(consent.institution.as_ref().ok_or(FlowError::NotFound("institution"))?)
    }
}

/// The end of a consent that a bank's refusal to speak of it means.
fn ended_by(error: &BankError, given: bool) -> Option<ConsentStatus> {
    let kind = error.kind;
    if kind == BankErrorKind::ConsentExpired {
        return Some(ConsentStatus::Expired);
    }
    // A 404 without a code of the standard's may be any server's on the way; and a
    // consent that is new may not be known everywhere in the bank.
    let unknown = kind == BankErrorKind::ConsentMissing
        || (kind == BankErrorKind::ResourceUnknown && error.bank_code.is_some());
    let over = kind == BankErrorKind::ConsentRevoked || (unknown && given);
    over.then_some(ConsentStatus::RevokedByInstitution)
}
