//! What is done again and again, without being asked.

use std::sync::Arc;
use std::time::Duration;

use flows::Gateway;
use oauth::OAuth;
use store::vault::Vault;
use store::{StoreError, Stores};
use telemetry::FIGURES;
use tokio_util::sync::CancellationToken;

use super::figures::Lately;
use crate::retention::Retention;

/// The worker: reconciles payments, keeps consents and mandates, heeds what banks notify of,
/// delivers webhooks, forgets what is over.
pub(crate) async fn work(oauth: OAuth, retention: Retention, stop: CancellationToken) {
    let gateway = &oauth.gateway;
    let reconciler = async {
        let mut rounds = Rounds::every(Duration::from_millis(100), &stop);
        while rounds.next().await {
            rounds.note("reconcile", gateway.reconcile().await.map(|_| ()));
        }
    };
    let keeper = async {
        let mut rounds = Rounds::every(Duration::from_secs(1), &stop);
        while rounds.next().await {
            rounds.note("keep-consents", gateway.keep_consents().await.map(|_| ()));
            rounds.note("keep-mandates", gateway.keep_mandates().await.map(|_| ()));
            rounds.note("tell-of-banks", gateway.tell_of_banks().await);
            rounds.note("keep-statistics", gateway.keep_statistics().await);
            gateway.look_at_servers().await;
            rounds.note("clear-up-after-clients", gateway.clear_up_after_clients().await);
            rounds.note("keep-subscriptions", gateway.keep_subscriptions().await.map(|_| ()));
            rounds.note("poll-events", gateway.poll_events().await.map(|_| ()));
        }
    };
    let listener = async {
        let mut rounds = Rounds::every(Duration::from_millis(100), &stop);
        while rounds.next().await {
            rounds.note("heed-notices", gateway.heed_notices().await.map(|_| ()));
        }
    };
    let courier = async {
        let mut rounds = Rounds::every(Duration::from_millis(100), &stop);
        while rounds.next().await {
            let mut delivered = gateway.deliver_events().await;
            while matches!(delivered, Ok(true)) && !stop.is_cancelled() {
                delivered = gateway.deliver_events().await;
            }
            rounds.note("deliver-events", delivered.map(|_| ()));
        }
    };
    let backchannel = async {
        let mut rounds = Rounds::every(Duration::from_millis(200), &stop);
        while rounds.next().await {
            rounds.note("ask-banks-of-ciba", oauth.ask_backchannel_banks().await.map(|_| ()));
        }
    };
    let housekeeper = async {
        let mut rounds = Rounds::every(Duration::from_secs(60), &stop);
        while rounds.next().await {
            rounds.note("tell-of-maintenance", gateway.tell_of_maintenance().await);
            rounds.note("forget-snapshots", gateway.forget_snapshots().await);
            let now = gateway.clock().now();
            rounds.note(
                "forget-expired",
                gateway.stores().global().forget_expired(now).await.map_err(Into::into),
            );
            for region in gateway.stores().regions() {
                rounds.note("forget-details", region.forget_details(now).await.map_err(Into::into));
                rounds.note("forget-sca-steps", region.forget_sca_steps(now).await.map_err(Into::into));
                rounds.note("forget-notices", region.forget_notices(now).await.map_err(Into::into));
                rounds.note("wrap-anew", wrap_anew(region.vault()).await.map_err(Into::into));
            }
            rounds.note(
                "retention",
                retention.keep(gateway.stores(), now).await.map(|_| ()).map_err(Into::into),
            );
        }
    };
    tokio::join!(reconciler, keeper, listener, courier, backchannel, housekeeper);
}

/// Wraps data keys by the key of this time that a former one wraps, a few hundred at a time.
async fn wrap_anew(vault: &Vault) -> Result<(), StoreError> {
    while vault.rewrap().await? > 0 {}
    Ok(())
}

/// Keeps what was noted of requests, soon and once more at the end. A little each time: who reads meanwhile waits for it.
pub(crate) async fn keep_requests(gateway: Arc<Gateway>, stop: CancellationToken) {
    let mut rounds = Rounds::every(Duration::from_millis(100), &stop);
    while rounds.next().await {
        rounds.note("keep-requests", gateway.keep_requests().await);
    }
    rounds.note("keep-requests", gateway.keep_requests().await);
}

/// Looks up once a minute how much of what there is.
pub(crate) async fn count(stores: Stores, lately: Arc<Lately>, stop: CancellationToken) {
    let mut rounds = Rounds::every(Duration::from_secs(60), &stop);
    while rounds.next().await {
        rounds.note("count", lately.count(&stores).await.map_err(Into::into));
    }
}

/// Looks at files once a second until `stop`, off the runtime's threads, and
/// takes up what each look finds.
pub(crate) async fn watch<T: Send + 'static, R: Send + 'static>(
    mut files: T,
    look: fn(&mut T) -> R,
    take_up: impl Fn(R),
    stop: CancellationToken,
) {
    let mut rounds = Rounds::every(Duration::from_secs(1), &stop);
    while rounds.next().await {
        let looked = tokio::task::spawn_blocking(move || {
            let found = look(&mut files);
            (files, found)
        });
        match looked.await {
            Ok((same, found)) => {
                files = same;
                take_up(found);
            }
            Err(error) => {
                tracing::error!(error = %error, "Files that may change are not watched any more");
                return;
            }
        }
    }
}

/// Rounds of background work until `stop`.
struct Rounds<'a> {
    beat: tokio::time::Interval,
    stop: &'a CancellationToken,
}

impl<'a> Rounds<'a> {
    fn every(period: Duration, stop: &'a CancellationToken) -> Self {
        let mut beat = tokio::time::interval(period);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self { beat, stop }
    }

    async fn next(&mut self) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            _ = self.beat.tick() => true,
        }
    }

    fn note(&self, task: &'static str, result: Result<(), flows::FlowError>) {
        if let Err(error) = result {
            FIGURES.background_failed(task);
            tracing::error!(error = %error, "A round of background work failed");
        }
    }
}
