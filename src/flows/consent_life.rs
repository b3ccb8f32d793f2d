//! What becomes of a consent after it was given: confirmed again, renewed,
//! suspended, ended by time; and who is told.

use std::cmp::Reverse;
use std::sync::Arc;

use domain::{ConsentId, ConsentStatus, EventType, SuspensionCause};
use store::StoreError;
use store::consents::{Change, ConsentFilter, ConsentRow, Note};
use store::idempotency::{Claim, ClaimKey};

use crate::accounts::chain;
use crate::consents::{ConsentRequest, DAY, TRIES, date_of};
use crate::webhooks::later;
use crate::{FlowError, Gateway};

/// Seconds that a bank may take to answer about a consent; a step that comes to
/// nothing is taken up again then.
const LEASE: i64 = 300;

impl Gateway {
    /// The TPP confirms that the PSU wants to go on. With an idempotency key that
    /// was used before, answers what was answered then.
    ///
    /// # Errors
    ///
    /// [`FlowError::NothingToReconfirm`] where nobody has to,
    /// [`FlowError::ConsentState`] if the consent is not in force, or stopped for
    /// another reason than a confirmation that is overdue.
    pub async fn reconfirm_consent(
        &self,
        client_id: &str,
        id: ConsentId,
        claim: &ClaimKey,
        answer: impl Fn(&ConsentRow) -> String,
    ) -> Result<(u16, String, bool), FlowError> {
        let mut tries = 0;
        loop {
            match self.reconfirm_once(client_id, id, claim, &answer).await {
                Err(FlowError::Store(StoreError::Conflict)) if tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    async fn reconfirm_once(
        &self,
        client_id: &str,
        id: ConsentId,
        claim: &ClaimKey,
        answer: &impl Fn(&ConsentRow) -> String,
    ) -> Result<(u16, String, bool), FlowError> {
        let consent = self.consent(client_id, id).await?;
        let now = self.now();
        let note = Note::because("client", "reconfirmed");
        store::transaction!(keyed self.parts.stores.region(id.region())?, tx => {
            match tx.claim(claim, now, later(now, DAY)).await? {
                Claim::Replay { status, body } => return Ok((status, body, true)),
                Claim::InFlight => return Err(FlowError::KeyInFlight),
                Claim::Mismatch => return Err(FlowError::KeyReused),
                Claim::New => {}
            }
            if self.reconfirm_days(&consent).is_none() {
                return Err(FlowError::NothingToReconfirm);
            }
            let overdue = consent.status == ConsentStatus::Suspended
                && consent.life.suspended_for == Some(SuspensionCause::ReconfirmationOverdue);
            if consent.status != ConsentStatus::Authorized && !overdue {
                return Err(FlowError::ConsentState(consent.status));
            }
            let told = Some(EventType::ConsentReconfirmed);
            let changed = self.changed(consent.clone(), note, told, |row| {
                row.status = ConsentStatus::Authorized;
                row.life.last_reconfirmed_at = Some(now);
                self.plan_reconfirmation(row);
            });
            self.write_changed(tx, &changed, note).await?;
            let body = answer(&changed.kept());
            tx.answer_claim(claim, &id.to_string(), 200, &body).await?;
            Ok((200, body, false))
        })
    }

    /// Lodges a consent that takes the place of this one, on the same terms and
    /// for as long, once the PSU and the bank have given it.
    ///
    /// # Errors
    ///
    /// [`FlowError::ConsentState`] if this one was never given, or has been
    /// replaced already.
    pub async fn renew_consent(
        &self,
        client_id: &str,
        id: ConsentId,
        claim: &ClaimKey,
        answer: impl FnOnce(&ConsentRow) -> String,
    ) -> Result<(u16, String, bool), FlowError> {
        let old = self.consent(client_id, id).await?;
        let days = date_of(old.created_at).until(old.terms.valid_until).map_or(0, |span| span.get_days());
        let request = ConsentRequest {
            institution: old.institution.clone(),
            region: Some(id.region()),
            permissions: old.terms.permissions.clone(),
            funds_of: old.terms.funds_of.clone(),
            recurring: old.terms.recurring,
            valid_until: Some(date_of(self.now()).saturating_add(jiff::Span::new().days(days))),
            history_from: old.terms.history_from,
            client_reference: old.terms.client_reference.clone(),
        };
        let mut draft = self.draft(client_id, &request)?;
        draft.life.renews = Some(id);
        // Only a key that is new is refused: an answer that was given stays one.
        let given = old.terms.authorized_at.is_some() && old.life.superseded_by.is_none();
        let refused = (!given).then_some(FlowError::ConsentState(old.status));
        self.lodge_draft(&draft, claim, refused, answer).await
    }

    /// The steps of a consent of a client, oldest first.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the client has no such consent.
    pub async fn consent_history(&self, client_id: &str, id: ConsentId) -> Result<Vec<Change>, FlowError> {
        let consent = self.consent(client_id, id).await?;
        Ok(self.parts.stores.region(id.region())?.changes(&consent.id.to_string()).await?)
    }

    /// Consents of a client in every region held here, the newest first, at most
    /// `limit`.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails.
    pub async fn consents_of_client(
        &self,
        client_id: &str,
        filter: &ConsentFilter,
        limit: usize,
    ) -> Result<Vec<ConsentRow>, FlowError> {
        let mut found = Vec::new();
        for store in self.parts.stores.regions() {
            found.extend(store.consents_of_client(client_id, filter, limit).await?);
        }
        found.sort_by_key(|row| Reverse((row.created_at, row.id.to_string())));
        found.truncate(limit);
        Ok(found)
    }

    /// An operator stops a consent: nothing is read under it until it is resumed.
    ///
    /// # Errors
    ///
    /// [`FlowError::ConsentState`] if it is not in force.
    pub async fn suspend_consent(&self, id: ConsentId) -> Result<ConsentRow, FlowError> {
        let consent = self.any_consent(id).await?;
        let overdue = consent.life.suspended_for == Some(SuspensionCause::ReconfirmationOverdue);
        if consent.status != ConsentStatus::Authorized && !overdue {
            return Err(FlowError::ConsentState(consent.status));
        }
        self.suspend(consent, SuspensionCause::Operator).await
    }

    /// An operator lets a consent go on that an operator had stopped.
    ///
    /// # Errors
    ///
    /// [`FlowError::ConsentState`] if no operator had.
    pub async fn resume_consent(&self, id: ConsentId) -> Result<ConsentRow, FlowError> {
        let consent = self.any_consent(id).await?;
        if consent.life.suspended_for != Some(SuspensionCause::Operator) {
            return Err(FlowError::ConsentState(consent.status));
        }
        let note = Note::because("operator", "resumed");
        self.move_consent(consent, note, |row| row.status = ConsentStatus::Authorized).await?;
        // What ran out meanwhile takes effect at once.
        self.any_consent(id).await
    }

    pub(crate) async fn suspend(
        &self,
        consent: ConsentRow,
        cause: SuspensionCause,
    ) -> Result<ConsentRow, FlowError> {
        let actor = match cause {
            SuspensionCause::ReconfirmationOverdue => "gateway",
            SuspensionCause::Operator => "operator",
        };
        self.move_consent(consent, Note::because(actor, cause.as_str()), |row| {
            row.status = ConsentStatus::Suspended;
            row.life.suspended_for = Some(cause);
        })
        .await
    }

    /// Takes one step for every consent that is due: ends what is over, suspends
    /// what nobody confirmed, tells of what comes, asks banks. Returns how many
    /// were due. Of two gateways that see the same step, one takes it.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails; a step that fails stays with its
    /// consent.
    pub async fn keep_consents(self: &Arc<Self>) -> Result<usize, FlowError> {
        let mut due = 0;
        for store in self.parts.stores.regions() {
            let now = self.now();
            for consent in store.consents_due(now).await? {
                match store.lease_consent(&consent, now, later(now, LEASE)).await {
                    Ok(()) => {}
                    // Another process has it.
                    Err(StoreError::Conflict) => continue,
                    Err(error) => return Err(error.into()),
                }
                due += 1;
                let id = consent.id;
                match self.keep(consent).await {
                    // Whoever changed it meanwhile has planned what comes next.
                    Ok(()) | Err(FlowError::Store(StoreError::Conflict)) => {}
                    Err(error) => {
                        tracing::warn!(consent.id = %id, error = %chain(&error), "Consent {id} could not be kept");
                    }
                }
            }
        }
        Ok(due)
    }

    async fn keep(self: &Arc<Self>, mut consent: ConsentRow) -> Result<(), FlowError> {
        let now = self.now();
        if let Some(moved) = self.caught_up(consent.clone()).await {
            return moved.map(|_| ());
        }
        if consent.life.expiring_at.is_some_and(|at| at <= now) {
            consent =
                self.tell(consent, EventType::ConsentExpiring, |row| row.life.expiring_at = None).await?;
        }
        if consent.life.reconfirm_due_at.is_some_and(|at| at <= now) {
            consent = self
                .tell(consent, EventType::ConsentReconfirmDue, |row| row.life.reconfirm_due_at = None)
                .await?;
        }
        if consent.life.ask_bank_at.is_none_or(|at| at > now) {
            // Nothing is left of the lease.
            self.move_consent(consent, Note::by("gateway"), |_| {}).await?;
            return Ok(());
        }
        let Ok(place) = Arc::clone(&self.asking).try_acquire_owned() else { return Ok(()) };
        let gateway = Arc::clone(self);
        // On its own: a bank that is slow holds up its own consents only.
        tokio::spawn(async move {
            let id = consent.id;
            if let Err(error) = gateway.follow_bank(consent).await {
                tracing::warn!(consent.id = %id, error = %chain(&error), "The bank could not be asked about consent {id}");
            }
            drop(place);
        });
        Ok(())
    }

    /// Tells the TPP something about a consent that stays where it is.
    async fn tell(
        &self,
        consent: ConsentRow,
        what: EventType,
        change: impl FnOnce(&mut ConsentRow),
    ) -> Result<ConsentRow, FlowError> {
        let note = Note::because("gateway", what.word());
        let changed = self.changed(consent, note, Some(what), change);
        self.keep_changed(changed, note).await
    }
}
