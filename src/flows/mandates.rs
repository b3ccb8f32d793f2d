//! Mandates: ordered by a TPP, approved by the PSU, in force until somebody ends
//! them or their time is over.
//!
//! As with payments no bank is called when a TPP orders one, but when the PSU
//! approves it on our page.

use std::sync::Arc;

use domain::{
    Capability, EventType, InstitutionId, MandateId, MandateOrder, MandateStatus, Money, PeriodicLimit,
    Region, SessionId, Timestamp, Window,
};
use policy::Step;
use store::StoreError;
use store::consents::{BankAccess, Note};
use store::idempotency::ClaimKey;
use store::mandates::{Draw, MandateRow, MandateTerms};

use crate::accounts::chain;
use crate::consents::{DAY, TRIES};
use crate::events::Subject;
use crate::payments::APPROVAL_TIME;
use crate::webhooks::later;
use crate::{FlowError, Gateway, PaymentReply};

/// What a TPP orders.
#[derive(Clone, Debug)]
pub struct MandateRequest {
    /// Where it is paid from.
    pub institution: InstitutionId,
    /// The mandate.
    pub order: MandateOrder,
    /// Where the PSU's browser goes in the end; one of the client's.
    pub redirect_uri: String,
    /// Opaque value returned with it.
    pub state: Option<String>,
    /// The TPP's own name for the mandate.
    pub client_reference: Option<String>,
}

/// A limit of a mandate, and what was drawn on it in the period of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitUse {
    /// The limit.
    pub limit: PeriodicLimit,
    /// Drawn in this period.
    pub used: Money,
    /// The period of now, once the mandate has begun.
    pub window: Option<Window>,
}

impl LimitUse {
    /// The limits of a mandate that nothing was paid under.
    #[must_use]
    pub fn unused(mandate: &MandateRow) -> Vec<Self> {
        let none = |limit: &PeriodicLimit| {
            let used = Money::of_smallest_units(0, limit.max_amount().currency()).ok()?;
            Some(Self { limit: *limit, used, window: None })
        };
        mandate.terms.order.constraints.periodic_limits.iter().filter_map(none).collect()
    }
}

/// Seconds that a step of the keeper may take.
const LEASE: i64 = 120;

impl Gateway {
    /// Records a mandate. With an idempotency key that was used before, answers
    /// what was answered then.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if the institution cannot do it or the key was misused.
    pub async fn order_mandate(
        &self,
        client_id: &str,
        request: MandateRequest,
        claim: impl FnOnce(Region) -> ClaimKey,
        answer: impl FnOnce(&MandateRow, SessionId) -> String,
    ) -> Result<PaymentReply, FlowError> {
        let profile = self.bank(&request.institution)?;
        let known = self.dialect_of(&profile)?.recurring().is_some();
        if !known || !profile.capabilities.contains(&Capability::Vrp) {
            return Err(FlowError::Unsupported(request.institution));
        }
        let region = profile.region;
        let now = self.now();
        let id = MandateId::new(region, self.clock(), self.entropy());
        let end = later(now, APPROVAL_TIME);
        let mandate = MandateRow {
            id,
            client_id: client_id.to_owned(),
            institution: request.institution,
            status: MandateStatus::Created,
            terms: MandateTerms {
                order: request.order,
                redirect_uri: request.redirect_uri,
                state: request.state,
                client_reference: request.client_reference,
                status_reason: None,
                began_at: None,
                authorized_at: None,
            },
            bank: BankAccess::default(),
            created_at: now,
            updated_at: now,
            // If the PSU never comes, the keeper lets it expire.
            next_step_at: Some(end),
            revision: 0,
        };
        drop(self.may_step_mandate(client_id, &mandate, Step::Lodge, false)?);
        let session = self.approval_session("mandate", client_id, &id.to_string(), end);
        let claim = claim(region);
        let body = answer(&mandate, session.id);
        let before = store::transaction!(keyed self.parts.stores.region(region)?, tx => {
            if let Some(replayed) = self.answered_before(tx, &claim).await? {
                return Ok(Some(replayed));
            }
            tx.record_mandate(&mandate).await?;
            tx.answer_claim(&claim, &id.to_string(), 201, &body).await?;
            // The session, without a person, first: one without a mandate harms nobody, a mandate
            // without a session could never be approved.
            store::transaction!(keyed self.parts.stores.global(), global => {
                global.open_session(&session).await
            })?;
            Ok::<_, FlowError>(None)
        })?;
        // An answer with this id is of an earlier run that was committed unheard.
        if let Some(replayed) = before.filter(|before| before.body != body) {
            return Ok(replayed);
        }
        tracing::info!(mandate.id = %id, bank.code = %mandate.institution, "Mandate {id} recorded");
        Ok(PaymentReply { status: 201, body, replayed: false })
    }

    /// A mandate of a client.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the client has no such mandate.
    pub async fn mandate(&self, client_id: &str, id: MandateId) -> Result<MandateRow, FlowError> {
        let mandate = self.any_mandate(id).await?;
        drop(self.may_step_mandate(client_id, &mandate, Step::See, false)?);
        Ok(mandate)
    }

    /// A mandate, whoever's it is: for the page that asks the PSU.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if there is no such mandate.
    pub async fn any_mandate(&self, id: MandateId) -> Result<MandateRow, FlowError> {
        self.parts.stores.region(id.region())?.mandate(id).await?.ok_or(FlowError::NotFound("mandate"))
    }

    /// Mandates of a client in every region held here, the newest first, at most
    /// `limit`.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails.
    pub async fn mandates_of_client(
        &self,
        client_id: &str,
        after: Option<(Timestamp, MandateId)>,
        limit: usize,
    ) -> Result<Vec<MandateRow>, FlowError> {
        let mut found = Vec::new();
        for store in self.parts.stores.regions() {
            found.extend(store.mandates(client_id, after, limit).await?);
        }
        found.sort_by_key(|mandate| std::cmp::Reverse((mandate.created_at, mandate.id)));
        found.truncate(limit);
        Ok(found)
    }

    /// What has been drawn on each limit of a mandate in the period of now.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if the store fails.
    pub async fn limits_of(&self, mandate: &MandateRow) -> Result<Vec<LimitUse>, FlowError> {
        let store = self.parts.stores.region(mandate.id.region())?;
        let mut limits = Vec::new();
        for (place, limit) in (0_i64..).zip(&mandate.terms.order.constraints.periodic_limits) {
            let window = mandate.terms.began_at.and_then(|began| limit.window(began, self.now()));
            let units = match window {
                Some(window) => store.drawn(mandate.id, Draw { place, window_start: window.start }).await?,
                None => 0,
            };
            // What is kept was an amount of this currency.
            let used = Money::of_smallest_units(units, limit.max_amount().currency());
            let used = used.map_err(|_| FlowError::Busy)?;
            limits.push(LimitUse { limit: *limit, used, window });
        }
        Ok(limits)
    }

    /// How many payments under a mandate count towards its `max_count`: those that were
    /// executed, may yet be, or of which nobody can tell.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if the store fails.
    pub async fn payments_counted(&self, mandate: &MandateRow) -> Result<i64, FlowError> {
        let store = self.parts.stores.region(mandate.id.region())?;
        Ok(store.drawn(mandate.id, Draw::of_count(mandate.began())).await?)
    }

    /// Leaves the PSU more time to approve.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if the store fails, or another step came first.
    pub async fn prolong_mandate_approval(
        &self,
        mandate: MandateRow,
        until: Timestamp,
    ) -> Result<(), FlowError> {
        let sooner = mandate.next_step_at.is_none_or(|end| end < until);
        if mandate.status == MandateStatus::Created && sooner {
            self.move_mandate(mandate, Note::by("psu"), |row| row.next_step_at = Some(until)).await?;
        }
        Ok(())
    }

    /// The PSU said no, on our page or at the bank. What was given stays given.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if the store fails.
    pub async fn decline_mandate(self: &Arc<Self>, id: MandateId) -> Result<(), FlowError> {
        let mandate = self.any_mandate(id).await?;
        match mandate.status {
            MandateStatus::Created | MandateStatus::Authorizing => self
                .end_mandate(id, MandateStatus::Rejected, Note::because("psu", "psu.declined"))
                .await
                .map(|_| ()),
            MandateStatus::Authorized
            | MandateStatus::Revoked
            | MandateStatus::Expired
            | MandateStatus::Rejected => Ok(()),
        }
    }

    /// The TPP gives a mandate up: nothing is paid under it any more, whatever the
    /// bank answers. One that is over stays as it is.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the client has no such mandate.
    pub async fn revoke_mandate(self: &Arc<Self>, client_id: &str, id: MandateId) -> Result<(), FlowError> {
        let permit = self.may_step_mandate(client_id, &self.any_mandate(id).await?, Step::End, false)?;
        let note = Note::because("client", "client.revoked").under(permit.rule());
        self.end_mandate(id, MandateStatus::Revoked, note).await.map(|_| ())
    }

    /// Ends a mandate, unless it is over, and tells the bank.
    pub(crate) async fn end_mandate(
        self: &Arc<Self>,
        id: MandateId,
        status: MandateStatus,
        note: Note<'_>,
    ) -> Result<MandateRow, FlowError> {
        let mut tries = 0;
        let (was, ended) = loop {
            let mandate = self.any_mandate(id).await?;
            if mandate.status.is_final() {
                return Ok(mandate);
            }
            // As it was: its end takes what opens the bank.
            let was = mandate.clone();
            let ended = self
                .move_mandate(mandate, note, |row| {
                    row.status = status;
                    row.terms.status_reason = note.reason.map(str::to_owned);
                    row.next_step_at = None;
                    row.bank.access_token = None;
                    row.bank.refresh_token = None;
                })
                .await;
            match ended {
                Err(FlowError::Store(StoreError::Conflict)) if tries < TRIES => tries += 1,
                ended => break (was, ended?),
            }
        };
        tracing::info!(mandate.id = %id, status = %status, "Mandate {id} is {status}");
        if note.actor != "institution" {
            let gateway = Arc::clone(self);
            tokio::spawn(async move { gateway.tell_bank_of_mandates_end(&was).await });
        }
        Ok(ended)
    }

    /// Changes a mandate in one transaction with its event.
    pub(crate) async fn move_mandate(
        &self,
        mut mandate: MandateRow,
        note: Note<'_>,
        change: impl FnOnce(&mut MandateRow),
    ) -> Result<MandateRow, FlowError> {
        let was = mandate.status;
        change(&mut mandate);
        let now = self.now();
        // Where an earlier run was committed unheard this is a conflict, and whoever meets one reads
        // again.
        store::transaction!(keyed self.parts.stores.region(mandate.id.region())?, tx => {
            let sequence = tx.update_mandate(was, &mandate, note.actor, now).await?;
            if let Some(told) = news(mandate.status).filter(|_| sequence > 0) {
                let subject = Subject::Mandate(mandate.id, mandate.status, told);
                tx.emit_under(&self.event(&mandate.client_id, &subject, sequence, now), note.rule).await?;
            }
            Ok::<_, StoreError>(())
        })?;
        mandate.updated_at = now;
        mandate.revision = mandate.revision.saturating_add(1);
        Ok(mandate)
    }

    /// When a mandate in force is looked at next: when its time is over, or when its
    /// bank is asked about it.
    pub(crate) fn next_look(&self, mandate: &MandateRow) -> Timestamp {
        let tomorrow = later(self.now(), DAY);
        let end = mandate.terms.order.constraints.valid_to.map(|end| later(end, 1));
        end.map_or(tomorrow, |end| end.min(tomorrow))
    }

    /// Takes one step for every mandate that is due: ends what is over, and asks the
    /// bank about the others. The steps run on their own: a bank that is slow holds
    /// up its own mandates only. Returns how many were started.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails; a step that fails stays with its
    /// mandate.
    pub async fn keep_mandates(self: &Arc<Self>) -> Result<usize, FlowError> {
        let mut started = 0;
        for store in self.parts.stores.regions() {
            for mandate in store.mandates_due(self.now()).await? {
                let Ok(place) = Arc::clone(&self.asking).try_acquire_owned() else { return Ok(started) };
                match store.lease_mandate(&mandate, later(self.now(), LEASE)).await {
                    Ok(()) => {}
                    // Another process has it.
                    Err(StoreError::Conflict) => continue,
                    Err(error) => return Err(error.into()),
                }
                let gateway = Arc::clone(self);
                tokio::spawn(async move {
                    let id = mandate.id;
                    if let Err(error) = gateway.keep_mandate(mandate).await {
                        tracing::warn!(mandate.id = %id, error = %chain(&error), "Mandate {id} could not be kept");
                    }
                    drop(place);
                });
                started += 1;
            }
        }
        Ok(started)
    }

    async fn keep_mandate(self: &Arc<Self>, mandate: MandateRow) -> Result<(), FlowError> {
        let end = mandate.terms.order.constraints.valid_to;
        let over = match mandate.status {
            MandateStatus::Created => true,
            // The code of the callback is what brings tokens; without it there is nothing to wait for.
            MandateStatus::Authorizing => mandate.bank.access_token.is_none(),
            MandateStatus::Authorized => end.is_some_and(|end| end < self.now()),
            MandateStatus::Revoked | MandateStatus::Expired | MandateStatus::Rejected => return Ok(()),
        };
        if over {
            self.end_mandate(mandate.id, MandateStatus::Expired, Note::because("gateway", "expired")).await?;
        } else {
            self.follow_mandate(mandate).await?;
        }
        Ok(())
    }
}

/// What clients are told of a mandate that got there.
fn news(status: MandateStatus) -> Option<EventType> {
    match status {
        MandateStatus::Created | MandateStatus::Authorizing => None,
        MandateStatus::Authorized => Some(EventType::MandateAuthorized),
        MandateStatus::Revoked => Some(EventType::MandateRevoked),
        MandateStatus::Expired => Some(EventType::MandateExpired),
        MandateStatus::Rejected => Some(EventType::MandateRejected),
    }
}
