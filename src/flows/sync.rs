//! What has changed with an account's transactions since a client last asked.
//!
//! Of what the client was told only fingerprints are kept: keyed digests that
//! say nothing to whoever lacks the key, and nothing of the person to whoever
//! has it. A cursor names one snapshot and is good until five newer ones were
//! taken, so an answer that got lost is asked for again with the same cursor.

mod marks;

use connect::PsuPresence;
use domain::{AccountId, Transaction, TransactionId};
use jiff::ToSpan;

use crate::accounts::Reading;
use crate::audited::Asker;
use crate::ids::TransactionProvenance;
use crate::read::{Read, TransactionWindow};
use crate::{FlowError, Gateway};
use marks::Mark;

pub use marks::Confidence;

/// How long a client may stay away: the longest consent.
const KEPT_DAYS: i64 = 400;

/// The pending entry that a booked one was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Our id of the pending entry.
    pub id: TransactionId,
    /// How sure that is.
    pub confidence: Confidence,
}

/// One entry of a client's account, as it is now.
pub type Entry = (TransactionId, TransactionProvenance, Transaction);

/// What changed.
#[derive(Debug)]
pub struct Changes {
    /// What was read, without its entries.
    pub reading: Reading,
    /// Entries that the client has not been told of, with what they replace.
    pub added: Vec<(Entry, Option<Replaced>)>,
    /// Entries that are not as the client was told.
    pub modified: Vec<Entry>,
    /// Entries that are no more.
    pub removed: Vec<TransactionId>,
    /// The snapshot that the next question names.
    pub snapshot: String,
}

impl Gateway {
    /// Reads an account's transactions and tells what has changed since
    /// `snapshot`; everything, without one.
    ///
    /// # Errors
    ///
    /// As [`Gateway::read`]; [`FlowError::SnapshotGone`] if the snapshot is not kept any more.
    pub async fn changes(
        &self,
        asker: Asker<'_>,
        account: AccountId,
        snapshot: Option<&str>,
        psu: Option<&PsuPresence>,
    ) -> Result<Changes, FlowError> {
        let store = self.parts.stores.region(account.region())?;
        // Looked up first: without it the bank need not be asked.
        let before = match snapshot {
            Some(id) => {
                let text = store.snapshot(id, asker.client, account).await?.ok_or(FlowError::SnapshotGone)?;
                marks::parse(&text).ok_or(FlowError::SnapshotGone)?
            }
            None => Vec::new(),
        };
        let read = Read::Transactions(TransactionWindow::default());
        let mut reading = self.read(asker, Some(account), read, psu).await?;
        let entries = reading.accounts.first_mut().map(|account| std::mem::take(&mut account.transactions));
        let entries = entries.unwrap_or_default();
        let now: Vec<Mark> =
            entries.iter().map(|(id, _, entry)| Mark::of(&self.parts.id_key, *id, entry)).collect();
        let difference = marks::compare(&before, &now);
        let id = self.entropy().uuid_v7(self.now()).simple().to_string();
        store.keep_snapshot(&id, asker.client, account, self.now(), &marks::text(&now)).await?;
        let region = account.region();
        let (mut added, mut modified) = (Vec::new(), Vec::new());
        for (entry, mark) in entries.into_iter().zip(&now) {
            match difference.of(mark) {
                marks::Change::None => {}
                marks::Change::Modified => modified.push(entry),
                marks::Change::Added(replaced) => {
                    let replaced = replaced
                        .map(|(old, confidence)| Replaced { id: old.transaction(region), confidence });
                    added.push((entry, replaced));
                }
            }
        }
        let removed = difference.removed.iter().map(|mark| mark.transaction(region)).collect();
        Ok(Changes { reading, added, modified, removed, snapshot: id })
    }

    /// Forgets what clients were told that have stayed away too long.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails.
    pub async fn forget_snapshots(&self) -> Result<(), FlowError> {
        let hours = KEPT_DAYS.saturating_mul(24).hours();
        let before = self.now().checked_sub(hours).unwrap_or(domain::Timestamp::UNIX_EPOCH);
        for store in self.parts.stores.regions() {
            store.forget_snapshots(before).await?;
        }
        Ok(())
    }
}
