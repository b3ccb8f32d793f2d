//! What a process keeps in memory of the authorization server's state, and how
//! it stops using it in time.
//!
//! Invariant: once a revocation has returned, no process accepts what it
//! revoked. A copy may be used only while the process's lease runs; the lease
//! is renewed in the store together with the newest invalidation that was
//! applied; whoever revokes waits until every running lease is past its
//! invalidation. A process that cannot reach the store loses its lease, and
//! asks the store (and fails) instead of trusting its memory.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use domain::{Clock, ConsentId, ConsentKind, GrantId, Timestamp};
use moka::sync::Cache;
use store::bell::Heard;
use store::tokens::TokenRow;
use store::{GlobalStore, StoreError, Tx};
use tokio::sync::Notify;

use crate::details::is_of_orders;
use crate::webhooks::later;
use crate::{FlowError, Gateway};

/// An access token that lives, as a request needs it.
#[derive(Clone, Debug)]
pub struct LiveToken {
    /// The token. Of its details those of payments and mandates; what the others say is in `consents`.
    pub row: TokenRow,
    /// SHA-256 of what the client shows.
    digest: [u8; 32],
    /// Consents to account information that its grant holds.
    pub consents: Vec<ConsentId>,
    /// Consents to confirmation of funds that its grant holds.
    pub funds_consents: Vec<ConsentId>,
}

impl LiveToken {
    fn of(mut row: TokenRow, digest: [u8; 32]) -> Self {
        let of = |kind| consents_of(&row.details, kind);
        let (consents, funds_consents) =
            (of(ConsentKind::AccountInformation), of(ConsentKind::FundsConfirmation));
        // As many are remembered as there are tokens.
        if let Some(details) = row.details.as_array_mut() {
            details.retain(is_of_orders);
            details.shrink_to_fit();
        }
        Self { row, digest, consents, funds_consents }
    }
}

/// The consents of a kind that `authorization_details` name (RFC 9396).
#[must_use]
pub fn consents_of(details: &serde_json::Value, kind: ConsentKind) -> Vec<ConsentId> {
    let wanted = match kind {
        ConsentKind::AccountInformation => "account_access",
        ConsentKind::FundsConfirmation => "funds_confirmation",
    };
    let details = details.as_array().map(Vec::as_slice).unwrap_or_default();
    details
        .iter()
        .filter(|detail| detail.get("type").and_then(|kind| kind.as_str()) == Some(wanted))
        .filter_map(|detail| detail.get("consent_id")?.as_str()?.parse().ok())
        .collect()
}

/// What can be revoked or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// An access token, by its digest.
    Token(&'a str),
    /// A grant with all its tokens.
    Grant(GrantId),
    /// A client with all its tokens, or its registration.
    Client(&'a str),
}

impl Subject<'_> {
    /// How an invalidation names it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Token(digest) => format!("token:{digest}"),
            Self::Grant(id) => format!("grant:{id}"),
            Self::Client(id) => format!("client:{id}"),
        }
    }
}

/// Seconds that a process may use its copies without asking.
const LEASE: i64 = 3;
/// How often the lease is renewed.
const RENEWAL: Duration = Duration::from_secs(1);
/// How often the store is asked whether anything was invalidated, while nobody
/// would tell.
const LOOK: Duration = Duration::from_millis(100);
/// How often a revocation looks whether all have followed.
const WAIT: Duration = Duration::from_millis(10);
/// Seconds by which the clocks of two processes may differ.
const SKEW: i64 = 2;
/// Longest time that a copy is kept, whatever happens.
const KEEP: Duration = Duration::from_secs(60);
/// Tokens that are kept: some 400 bytes each.
const TOKENS: u64 = 100_000;
/// Used DPoP proofs that are remembered.
const PROOFS: u64 = 1_000_000;

/// Copies of the store, with the lease under which they may be used.
pub(crate) struct Freshness {
    instance: String,
    started: Instant,
    /// Milliseconds from `started` until which copies may be used.
    lease: AtomicU64,
    seen: AtomicI64,
    /// Invalidations applied so far, of all kinds and of clients.
    generation: RwLock<Generation>,
    tokens: Cache<[u8; 32], Arc<LiveToken>>,
    proofs: Cache<[u8; 32], ()>,
    /// Wakes the look for invalidations.
    wake: Notify,
    /// Whether somebody will tell us when there is something to look for.
    listening: AtomicBool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Generation {
    all: u64,
    clients: u64,
}

impl Freshness {
    pub(crate) fn new(instance: String) -> Self {
        Self {
            instance,
            started: Instant::now(),
            lease: AtomicU64::new(0),
            seen: AtomicI64::new(0),
            generation: RwLock::default(),
            tokens: Cache::builder().max_capacity(TOKENS).time_to_live(KEEP).build(),
            proofs: Cache::builder()
                .max_capacity(PROOFS)
                .time_to_live(Duration::from_secs(crypto::dpop::MEMORY))
                .build(),
            wake: Notify::new(),
            listening: AtomicBool::new(false),
        }
    }

    fn leased(&self) -> bool {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        now < self.lease.load(Ordering::Acquire)
    }

    fn generation(&self) -> Generation {
        *self.generation.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a token, unless something was invalidated since `was`.
    fn keep(&self, was: Generation, key: [u8; 32], token: &Arc<LiveToken>) {
        let generation = self.generation.read().unwrap_or_else(PoisonError::into_inner);
        if *generation == was {
            self.tokens.insert(key, Arc::clone(token));
        }
    }

    fn drop_copies(&self, subject: &str) {
        let mut generation = self.generation.write().unwrap_or_else(PoisonError::into_inner);
        generation.all = generation.all.wrapping_add(1);
        match subject.split_once(':') {
            Some(("token", digest)) => {
                let mut key = [0; 32];
                if crypto::digest::from_hex(digest, &mut key) {
                    self.tokens.invalidate(&key);
                    return;
                }
            }
            Some(("client", _)) => generation.clients = generation.clients.wrapping_add(1),
            Some(_) | None => {}
        }
        // A grant or a client: rare enough to let every token be read again.
        self.tokens.invalidate_all();
    }
}

/// Something of which no process may use a copy once a transaction is committed. Whoever made the
/// transaction waits for that then.
#[must_use]
#[derive(Debug)]
pub struct Invalidation {
    sequence: i64,
    name: String,
}

/// Notes in a transaction from outside every gateway that none may use a copy of `subject`.
///
/// # Errors
///
/// [`StoreError`] if the database fails.
pub async fn invalidate(
    tx: &mut Tx,
    clock: &dyn Clock,
    subject: Subject<'_>,
) -> Result<Invalidation, StoreError> {
    let name = subject.name();
    Ok(Invalidation { sequence: tx.invalidate(&name, clock.now()).await?, name })
}

/// Returns when no gateway uses a copy any more of what a committed transaction invalidated.
///
/// # Errors
///
/// [`FlowError::Store`] if the database fails.
pub async fn until_dropped(
    global: &GlobalStore,
    clock: &dyn Clock,
    committed: &Invalidation,
) -> Result<(), FlowError> {
    followed(global, clock, committed.sequence, "").await
}

/// Waits until no process but the asking one may use what `sequence`
/// invalidated.
async fn followed(
    global: &GlobalStore,
    clock: &dyn Clock,
    sequence: i64,
    asking: &str,
) -> Result<(), FlowError> {
    let longest = Duration::from_secs(u64::try_from(LEASE.saturating_add(SKEW)).unwrap_or_default());
    let end = Instant::now().checked_add(longest);
    loop {
        let at = later(clock.now(), -SKEW);
        let behind = global.instances_behind(sequence, at, asking).await?;
        // Past the end every lease that ran when we began is over.
        if behind == 0 || end.is_none_or(|end| Instant::now() >= end) {
            return Ok(());
        }
        tokio::time::sleep(WAIT).await;
    }
}

impl Gateway {
    /// The access token with this text, if it lives: in force, not revoked, its
    /// grant not revoked, its client not suspended.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if the database fails.
    pub async fn live_token(&self, token: &str) -> Result<Option<Arc<LiveToken>>, FlowError> {
        self.live(crypto::digest::sha256(token.as_bytes())).await
    }

    /// Whether a token that lived when its request came still does, for answers that take
    /// long.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if the store fails.
    pub async fn still_lives(&self, token: &LiveToken) -> Result<bool, FlowError> {
        Ok(self.live(token.digest).await?.is_some())
    }

    async fn live(&self, key: [u8; 32]) -> Result<Option<Arc<LiveToken>>, FlowError> {
        let fresh = &self.freshness;
        let now = self.now();
        if fresh.leased()
            && let Some(kept) = fresh.tokens.get(&key)
            && kept.row.expires_at > now
        {
            return Ok(Some(kept));
        }
        let was = fresh.generation();
        let digest = crypto::digest::hex(&key);
        let row = self.parts.stores.global().live_token(&digest, now).await?;
        let token = row.map(|row| Arc::new(LiveToken::of(row, key)));
        if let Some(token) = &token
            && fresh.leased()
        {
            fresh.keep(was, key, token);
        }
        Ok(token)
    }

    /// The state of the registrations that copies of them may be made of: as
    /// long as this answers the same, what was read after it first did is still
    /// true. `None` while nothing may be kept.
    #[must_use]
    pub fn clients_generation(&self) -> Option<u64> {
        self.freshness.leased().then(|| self.freshness.generation().clients)
    }

    /// Remembers a DPoP proof that was used at a resource. False if it was used
    /// before, within the time in which it could be used again (RFC 9449 §11.1).
    #[must_use]
    pub fn note_proof(&self, proof: &crypto::dpop::Proof) -> bool {
        let id = format!("{} {}", proof.key, proof.jti);
        // `or_insert` looks and inserts in two steps, between which another request
        // with the same proof comes; this one lets a single caller in.
        self.freshness.proofs.entry(crypto::digest::sha256(id.as_bytes())).or_insert_with(|| ()).is_fresh()
    }

    /// Notes in a transaction that no process may use a copy of `subject` once it is committed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn invalidate(&self, tx: &mut Tx, subject: Subject<'_>) -> Result<Invalidation, StoreError> {
        invalidate(tx, self.clock(), subject).await
    }

    /// Returns when no process uses a copy any more of what a committed transaction invalidated.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if the database fails.
    pub async fn until_dropped(&self, committed: &Invalidation) -> Result<(), FlowError> {
        self.freshness.drop_copies(&committed.name);
        self.ring().await;
        let global = self.parts.stores.global();
        followed(global, &*self.parts.clock, committed.sequence, &self.freshness.instance).await
    }

    /// Applies what other processes invalidated, and renews the lease; for as
    /// long as it runs. Ends by giving the lease back.
    pub async fn keep_fresh(&self, stop: impl Future<Output = ()>) {
        let work = async {
            let mut renewed: Option<Instant> = None;
            loop {
                if let Err(error) = self.look_for_invalidations(&mut renewed).await {
                    tracing::warn!(error = %error, "The store cannot be asked what was revoked");
                }
                let told = self.freshness.listening.load(Ordering::Acquire);
                let rest = if told { RENEWAL } else { LOOK };
                let _ = tokio::time::timeout(rest, self.freshness.wake.notified()).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = self.listen() => {}
            () = stop => {}
        }
        self.freshness.lease.store(0, Ordering::Release);
        if let Err(error) = self.parts.stores.global().forget_instance(&self.freshness.instance).await {
            tracing::warn!(error = %error, "The lease could not be given back; it ends by itself");
        }
    }

    /// Whether Redis answers within `patience`; nothing, where there is none.
    pub async fn bell_answers(&self, patience: Duration) -> Option<Result<(), &'static str>> {
        let bell = self.parts.bell.as_ref()?;
        let asked = tokio::time::timeout(patience, bell.answers()).await;
        Some(match asked {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err("Redis does not answer"),
        })
    }

    /// Looks whenever another process rings. Without a bell, or while it is out
    /// of order, the look every [`LOOK`] does.
    async fn listen(&self) {
        let Some(bell) = &self.parts.bell else { return std::future::pending().await };
        loop {
            let listening = bell.listen(|heard| {
                if heard == Heard::Listening {
                    self.freshness.listening.store(true, Ordering::Release);
                }
                self.freshness.wake.notify_one();
            });
            let ended = listening.await;
            self.freshness.listening.store(false, Ordering::Release);
            if let Err(error) = ended {
                tracing::warn!(error = %error, "Redis does not tell what was revoked; the store is asked instead");
            }
            tokio::time::sleep(RENEWAL).await;
        }
    }

    async fn ring(&self) {
        if let Some(bell) = &self.parts.bell
            && let Err(error) = bell.ring().await
        {
            tracing::warn!(error = %error, "Redis tells nobody what was revoked; they ask the store instead");
        }
    }

    async fn look_for_invalidations(&self, renewed: &mut Option<Instant>) -> Result<(), FlowError> {
        let (global, fresh) = (self.parts.stores.global(), &self.freshness);
        // Before the look: a lease counts from what was known when it began.
        let (began, now) = (Instant::now(), self.now());
        let seen = fresh.seen.load(Ordering::Acquire);
        let newest = global.newest_invalidation().await?;
        if newest > seen {
            for invalidation in global.invalidations_after(seen).await? {
                fresh.drop_copies(&invalidation.subject);
                fresh.seen.store(invalidation.sequence, Ordering::Release);
            }
        }
        let due = renewed.is_none_or(|at| at.elapsed() >= RENEWAL);
        let moved = fresh.seen.load(Ordering::Acquire);
        if !due && moved == seen {
            return Ok(());
        }
        let until: Timestamp = later(now, LEASE);
        global.note_instance(&fresh.instance, moved, until).await?;
        let lease = began.duration_since(fresh.started).as_millis();
        let lease = u64::try_from(lease).unwrap_or(u64::MAX);
        let length = u64::try_from(LEASE).unwrap_or_default().saturating_mul(1_000);
        fresh.lease.store(lease.saturating_add(length), Ordering::Release);
        *renewed = Some(began);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crypto::certificate::Thumbprint;
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_grant_what_a_request_needs_is_remembered() {
        let ids = [1, 2]
            .map(|_| ConsentId::new("eu".parse().unwrap(), &domain::SystemClock, &domain::SystemEntropy));
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        let order = json!({ "type": "payment_initiation", "detail_id": "det_1" });
        let token = LiveToken::of(
            TokenRow {
                client_id: "client".to_owned(),
                grant: None,
                scope: "accounts".to_owned(),
                cnf: crypto::Confirmation::Certificate(Thumbprint::of(b"certificate")),
                issued_at: at,
                expires_at: at,
                details: json!([
                    { "type": "account_access", "consent_id": ids[0].to_string(), "permissions": ["balances"] },
                    order,
                    { "type": "funds_confirmation", "consent_id": ids[1].to_string() },
                ]),
            },
            [0; 32],
        );
        assert_eq!((token.consents, token.funds_consents), (vec![ids[0]], vec![ids[1]]));
        assert_eq!(token.row.details, json!([order]));
    }
}
