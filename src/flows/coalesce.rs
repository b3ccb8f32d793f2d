//! Reads that are the same and come at the same time are one read: the bank is asked once,
//! and the day's calls without the PSU are one fewer, not many.
//!
//! The same is: of the same client, under the same consent, of the same things, with the same
//! PSU present or without any. Who joins a read that is on its way checks for itself that the
//! consent still stands when the answer is there.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use connect::PsuPresence;
use domain::{AccountId, ConsentId};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::accounts::AccountData;
use crate::audited::{Access, Asker};
use crate::read::Read;
use crate::sources::{SourceReport, SourceStatus};
use crate::{FlowError, Gateway};

/// One consent's share of a read: none if it does not hold the only account wanted.
pub(crate) type Share = Option<(Vec<AccountData>, SourceReport)>;

/// What makes two reads the same.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    client_id: String,
    consent: ConsentId,
    only: Option<AccountId>,
    read: Read<'static>,
    psu: Option<PsuPresence>,
}

/// Reads that are on their way.
#[derive(Default)]
pub(crate) struct OnTheirWay(Mutex<HashMap<Wanted, WeakShared<BoxFuture<'static, Share>>>>);

impl fmt::Debug for OnTheirWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnTheirWay").finish_non_exhaustive()
    }
}

impl OnTheirWay {
    /// The read that is on its way, or the one that `begin` makes. Whether it is the latter.
    fn join(
        &self,
        wanted: &Wanted,
        begin: impl FnOnce() -> BoxFuture<'static, Share>,
    ) -> (Shared<BoxFuture<'static, Share>>, bool) {
        let mut reads = self.lock();
        // One that has its answer has ended, though nobody has said so yet.
        let going = reads.get(wanted).and_then(WeakShared::upgrade).filter(|read| read.peek().is_none());
        if let Some(going) = going {
            return (going, false);
        }
        let begun = begin().shared();
        if let Some(weak) = begun.downgrade() {
            reads.insert(wanted.clone(), weak);
        }
        (begun, true)
    }

    /// Forgets a read that has ended, unless another one has begun meanwhile.
    fn ended(&self, wanted: &Wanted, read: &Shared<BoxFuture<'static, Share>>) {
        let mut reads = self.lock();
        let same = reads.get(wanted).and_then(WeakShared::upgrade).is_none_or(|known| known.ptr_eq(read));
        if same {
            reads.remove(wanted);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Wanted, WeakShared<BoxFuture<'static, Share>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gateway {
    /// One consent's share of a read, with others who want the same.
    pub(crate) async fn share(
        &self,
        asker: Asker<'_>,
        consent: ConsentId,
        only: Option<AccountId>,
        read: Read<'_>,
        psu: Option<&PsuPresence>,
    ) -> Share {
        // On the heap, as these are large, and moved before they are begun.
        let alone = || Box::pin(self.share_alone(asker, consent, only, read, psu));
        let (Some(read), Some(me)) = (lasting(read), self.me.upgrade()) else { return alone().await };
        let Asker { client, consents, request, certificate } = asker;
        let granted = consents.contains(&consent);
        let wanted = Wanted { client_id: client.to_owned(), consent, only, read, psu: psu.cloned() };
        let (going, is_mine) = self.on_their_way.join(&wanted, || {
            let Wanted { client_id, psu, .. } = wanted.clone();
            async move {
                let consents = if granted { &[consent][..] } else { &[] };
                let asker = Asker { client: &client_id, consents, request, certificate };
                Box::pin(me.share_alone(asker, consent, only, read, psu.as_ref())).await
            }
            .boxed()
        });
        let share = going.clone().await;
        self.on_their_way.ended(&wanted, &going);
        if is_mine || Box::pin(self.may_share(asker, consent, read, psu, &share)).await.is_ok() {
            return share;
        }
        alone().await
    }

    /// Whether somebody who joined a read may have what came of it. The audit log says so of each.
    async fn may_share(
        &self,
        asker: Asker<'_>,
        id: ConsentId,
        read: Read<'_>,
        psu: Option<&PsuPresence>,
        share: &Share,
    ) -> Result<(), FlowError> {
        let consent = self.consent(asker.client, id).await?;
        let store = self.parts.stores.region(id.region())?;
        let permit = self.may_read(asker, &consent, store.region(), read, psu)?;
        let answered = share.as_ref().is_some_and(|(_, report)| report.status == SourceStatus::Ok);
        if answered {
            let institution = consent.institution.as_ref();
            let access = Access { asker, consent: id, institution, kind: read.kind(), psu };
            let used = read.uses(&consent.terms.permissions);
            store.audit(&access.done(self.now(), &permit, used)).await?;
        }
        Ok(())
    }
}

/// What is read, if it borrows nothing.
fn lasting(read: Read<'_>) -> Option<Read<'static>> {
    Some(match read {
        Read::Accounts => Read::Accounts,
        Read::Balances => Read::Balances,
        Read::Transactions(window) => Read::Transactions(window),
        Read::Transaction(id, window) => Read::Transaction(id, window),
        Read::Resource(resource) => Read::Resource(resource),
        Read::StatementFile(_) => return None,
    })
}
