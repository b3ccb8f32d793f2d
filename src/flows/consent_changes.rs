//! Changes of consents: each one transaction with its event and its line in the history.

use domain::{ConsentStatus, EventType, Timestamp};
use store::consents::{ConsentRow, Note};
use store::{StoreError, Tx};

use crate::events::Subject;
use crate::{FlowError, Gateway};

impl Gateway {
    /// Changes a consent in one transaction with its event.
    pub(crate) async fn move_consent(
        &self,
        consent: ConsentRow,
        note: Note<'_>,
        change: impl FnOnce(&mut ConsentRow),
    ) -> Result<ConsentRow, FlowError> {
        let changed = self.changed(consent, note, None, change);
        self.keep_changed(changed, note).await
    }

    /// A consent with a change that is still to be kept. `told` is the event of a change that
    /// leaves the status where it is.
    pub(crate) fn changed(
        &self,
        mut consent: ConsentRow,
        note: Note<'_>,
        told: Option<EventType>,
        change: impl FnOnce(&mut ConsentRow),
    ) -> Changed {
        let was = consent.status;
        change(&mut consent);
        let now = self.now();
        let moved = (was != consent.status).then(|| news(was, consent.status));
        if moved.is_some() {
            let why = note.reason.filter(|_| consent.status != ConsentStatus::Authorized);
            consent.terms.status_reason = why.map(str::to_owned);
            self.plan(was, &mut consent);
        }
        Changed { was, row: consent, told: moved.or(told), at: now }
    }

    /// Keeps a change in one transaction with its event.
    pub(crate) async fn keep_changed(
        &self,
        changed: Changed,
        note: Note<'_>,
    ) -> Result<ConsentRow, FlowError> {
        // Where an earlier run was committed unheard this is a conflict, and whoever meets one reads
        // again.
        store::transaction!(keyed self.parts.stores.region(changed.row.id.region())?, tx => {
            self.write_changed(tx, &changed, note).await
        })?;
        Ok(changed.kept())
    }

    /// Writes a change and its event.
    pub(crate) async fn write_changed(
        &self,
        tx: &mut Tx,
        changed: &Changed,
        note: Note<'_>,
    ) -> Result<(), StoreError> {
        let Changed { was, row, told, at } = changed;
        let sequence = tx.update_consent(*was, row, note, *at).await?;
        if let Some(told) = told {
            let subject = Subject::Consent(row.id, row.status, *told);
            let event = self.event(&row.client_id, &subject, sequence, *at);
            tx.emit_under(&event, note.rule).await?;
        }
        Ok(())
    }
}

/// A consent with a change that is still to be kept.
pub(crate) struct Changed {
    was: ConsentStatus,
    row: ConsentRow,
    told: Option<EventType>,
    at: Timestamp,
}

impl Changed {
    /// The consent, once the change is kept.
    pub(crate) fn kept(mut self) -> ConsentRow {
        self.row.updated_at = self.at;
        self.row.revision = self.row.revision.saturating_add(1);
        self.row
    }
}

/// The event of a step.
fn news(from: ConsentStatus, to: ConsentStatus) -> EventType {
    match to {
        ConsentStatus::Created => EventType::ConsentCreated,
        ConsentStatus::AwaitingRedirect | ConsentStatus::AwaitingDecoupled => {
            EventType::ConsentAwaitingAuthorization
        }
        ConsentStatus::PartiallyAuthorized => EventType::ConsentPartiallyAuthorized,
        ConsentStatus::Authorized if from == ConsentStatus::Suspended => EventType::ConsentResumed,
        ConsentStatus::Authorized => EventType::ConsentAuthorized,
        ConsentStatus::Suspended => EventType::ConsentSuspended,
        ConsentStatus::Rejected => EventType::ConsentRejected,
        ConsentStatus::RevokedByPsu
        | ConsentStatus::RevokedByClient
        | ConsentStatus::RevokedByInstitution => EventType::ConsentRevoked,
        ConsentStatus::Expired => EventType::ConsentExpired,
        ConsentStatus::Failed => EventType::ConsentFailed,
    }
}
