//! One at a time, over all processes: what would be lost if two did it at once.

use std::sync::Arc;
use std::time::Duration;

use domain::Region;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::accounts::chain;
use crate::reconcile::LEASE;
use crate::to_its_end::to_its_end;
use crate::webhooks::later;
use crate::{FlowError, Gateway};

/// How long to wait before asking again whether another process is done.
const AGAIN: Duration = Duration::from_millis(50);

impl Gateway {
    /// Does `work` while nobody else does any for the same `subject`, in this process
    /// or another one, and to its end even if the caller goes away: a bank burns the
    /// token that it was shown, and what it gave instead must be kept.
    ///
    /// # Errors
    ///
    /// Those of `work`; [`FlowError::Busy`] where the turn did not come within the
    /// time that one may take.
    pub(crate) async fn in_turn<T, F>(
        &self,
        region: Region,
        subject: &str,
        id: Uuid,
        work: impl FnOnce(Arc<Self>) -> F + Send + 'static,
    ) -> Result<T, FlowError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, FlowError>> + Send,
    {
        let gateway = self.me.upgrade().ok_or(FlowError::Busy)?;
        let subject = subject.to_owned();
        let alone = async move {
            // Those of this process wait for each other here, and only one at the store.
            let here = gateway.turns.get_with(id, async { Arc::new(Mutex::new(())) }).await;
            let _here = here.lock().await;
            let store = gateway.parts.stores.region(region)?;
            let holder = gateway.parts.entropy.uuid_v4().simple().to_string();
            let patience = Duration::from_secs(LEASE.unsigned_abs());
            let turn = async {
                let mut beat = tokio::time::interval(AGAIN);
                loop {
                    beat.tick().await;
                    let now = gateway.now();
                    if store.take_turn(&subject, &holder, now, later(now, LEASE)).await? {
                        return Ok::<_, FlowError>(());
                    }
                }
            };
            tokio::time::timeout(patience, turn).await.map_err(|_| FlowError::Busy)??;
            let done = work(Arc::clone(&gateway)).await;
            if let Err(error) = store.end_turn(&subject, &holder).await {
                tracing::warn!(error = %chain(&error), "A turn could not be given back, and ends by itself");
            }
            done
        };
        to_its_end(alone).await
    }
}
