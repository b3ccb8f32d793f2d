//! What every use case works with.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use connect::bank_oauth::Published;
use connect::{AuthorizationServer, Profile, Registry, Transport};
use crypto::{KeyRing, SigningKey};
use domain::{Clock, Entropy, InstitutionId, Region, Timestamp};
use limits::Limiter;
use policy::Engine;
use secrecy::{ExposeSecret, SecretString};
use store::Stores;
use store::bell::Bell;
use tokio::sync::futures::Notified;
use tokio::sync::{Mutex, Notify, Semaphore};
use url::Url;
use uuid::Uuid;

use crate::coalesce::OnTheirWay;
use crate::constraints::RuleBook;
use crate::evidence::Noted;
use crate::freshness::Freshness;
use crate::lanes::Lanes;
use crate::webhook_sender::WebhookSender;
use crate::{FlowError, IdKey, Jurisdictions};

/// Where the gateway is and how it behaves.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Issuer (RFC 8414), without a trailing slash: the same for every cell.
    pub issuer: String,
    /// Origin of the hosted pages of this cell, without a trailing slash.
    pub pages_origin: String,
    /// Regions that other cells hold.
    pub elsewhere: BTreeSet<Region>,
    /// The region by which codes, refresh tokens and pushed requests find back to this cell, where
    /// there are others.
    pub home: Option<Region>,
    /// Origin of the mutual-TLS listener, without a trailing slash.
    pub api_origin: String,
    /// Approve at our own pages without a click. For the sandbox only.
    pub auto_approve: bool,
    /// Longest time an aggregated read waits for its banks.
    pub read_deadline: Duration,
    /// How often a client may ask on a day whether a payee goes by a name.
    pub payee_verifications_per_day: u32,
    /// Tell a webhook endpoint of nothing until it has answered a challenge.
    pub webhook_challenge: bool,
    /// Refuse DPoP proofs without a nonce of ours (RFC 9449 §8, §9).
    pub require_dpop_nonce: bool,
}

/// What a [`Gateway`] is made of.
#[derive(Clone)]
pub struct Parts {
    /// Where and how.
    pub config: GatewayConfig,
    /// What must not be lost.
    pub stores: Stores,
    /// Tells other processes at once what was revoked; without it they find out
    /// by asking the store.
    pub bell: Option<Bell>,
    /// The banks.
    pub registry: Arc<Registry>,
    /// The rules of consents by country.
    pub jurisdictions: Jurisdictions,
    /// The way to them.
    pub transport: Arc<Transport>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// Key of account and transaction ids, and of cursors.
    pub id_key: IdKey,
    /// Ed25519 keys that sign webhooks.
    pub webhook_keys: Arc<KeyRing>,
    /// Sends webhooks.
    pub webhooks: WebhookSender,
    /// Key that signs what we say as a client of banks (request objects, assertions).
    pub bank_key: Arc<SigningKey>,
    /// Counts requests of clients, and reads under consents.
    pub limiter: Arc<Limiter>,
    /// Decides who may do what, and where.
    pub policy: Arc<Engine>,
}

/// What every use case works with.
pub struct Gateway {
    pub(crate) parts: Parts,
    /// Tokens of ours at banks (`client_credentials`), by bank and scope.
    pub(crate) client_tokens: Mutex<HashMap<(InstitutionId, String), CachedToken>>,
    /// Metadata of banks' authorization servers.
    pub(crate) servers: Mutex<HashMap<InstitutionId, CachedServer>>,
    /// Keys by which banks sign what they answer.
    pub(crate) answer_keys: moka::future::Cache<InstitutionId, Arc<crypto::Jwks>>,
    /// Banks whose keys were read again lately because a token named another one.
    pub(crate) looked_for_keys: moka::future::Cache<InstitutionId, ()>,
    /// Turns of this process; who has one here asks the store for it.
    pub(crate) turns: moka::future::Cache<Uuid, Arc<Mutex<()>>>,
    /// Itself, for work that goes on when its caller has gone.
    pub(crate) me: Weak<Self>,
    /// Copies of what the store holds, and the right to use them.
    pub(crate) freshness: Freshness,
    /// Deleted clients who have left nothing behind in the regions of this cell.
    pub(crate) departed: moka::future::Cache<String, ()>,
    /// Places for questions to banks about consents.
    pub(crate) asking: Arc<Semaphore>,
    /// Places for steps of the reconciler.
    pub(crate) reconciling: Arc<Semaphore>,
    /// What institutions want of payments.
    pub(crate) rule_book: RuleBook,
    /// Places for webhook deliveries.
    pub(crate) lanes: Lanes,
    /// Reads that are on their way.
    pub(crate) on_their_way: OnTheirWay,
    /// Requests that are noted and not written yet.
    pub(crate) noted: Noted,
    /// Rings when this process has put events where clients read them.
    pub(crate) event_news: Notify,
}

/// Steps of the reconciler, webhook deliveries, and questions about consents, at
/// the same time.
const AT_ONCE: usize = 32;

/// A token with its end, and what the profile said when it was got: profiles
/// change while we run.
#[derive(Clone)]
pub(crate) struct CachedToken {
    pub(crate) token: SecretString,
    pub(crate) expires_at: Timestamp,
    pub(crate) server: Option<AuthorizationServer>,
    pub(crate) client_id: Option<String>,
}

/// Metadata of a server, and what the profile said of it.
#[derive(Clone)]
pub(crate) struct CachedServer {
    pub(crate) stated: Option<AuthorizationServer>,
    /// Where it was read, if an answer of the bank's named the place.
    pub(crate) named: Option<Url>,
    /// What is used; none where what the bank publishes is refused.
    pub(crate) metadata: Option<Arc<connect::bank_oauth::Metadata>>,
    /// What the bank published last.
    pub(crate) published: Published,
    /// When to look again.
    pub(crate) until: Timestamp,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("config", &self.parts.config).finish_non_exhaustive()
    }
}

impl Gateway {
    /// A fresh token of `bytes` random bytes that other cells can tell the home of.
    #[must_use]
    pub fn token_from_home(&self, bytes: usize) -> SecretString {
        let token = crypto::token(self.entropy(), bytes);
        match self.parts.config.home {
            Some(home) => SecretString::from(format!("{home}.{}", token.expose_secret())),
            None => token,
        }
    }

    /// Puts a gateway together.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let instance = parts.entropy.uuid_v4().simple().to_string();
        Arc::new_cyclic(|me| Self {
            parts,
            me: me.clone(),
            freshness: Freshness::new(instance),
            client_tokens: Mutex::default(),
            servers: Mutex::default(),
            answer_keys: moka::future::Cache::builder()
                .max_capacity(10_000)
                .time_to_live(Duration::from_secs(3_600))
                .build(),
            looked_for_keys: moka::future::Cache::builder()
                .max_capacity(10_000)
                .time_to_live(Duration::from_secs(60))
                .build(),
            departed: moka::future::Cache::new(100_000),
            turns: moka::future::Cache::builder()
                .max_capacity(10_000)
                .time_to_idle(Duration::from_secs(300))
                .build(),
            asking: Arc::new(Semaphore::new(AT_ONCE)),
            reconciling: Arc::new(Semaphore::new(AT_ONCE)),
            rule_book: RuleBook::default(),
            lanes: Lanes::default(),
            on_their_way: OnTheirWay::default(),
            noted: Noted::default(),
            event_news: Notify::new(),
        })
    }

    /// Another gateway on the same stores and banks, as a second process is: the two
    /// have nothing in memory together.
    #[must_use]
    pub fn beside(&self) -> Arc<Self> {
        Self::new(self.parts.clone())
    }

    /// Where the gateway is and how it behaves.
    #[must_use]
    pub fn config(&self) -> &GatewayConfig {
        &self.parts.config
    }

    /// What must not be lost.
    #[must_use]
    pub fn stores(&self) -> &Stores {
        &self.parts.stores
    }

    /// The banks.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.parts.registry
    }

    /// Decides who may do what, and where.
    #[must_use]
    pub fn policy(&self) -> Arc<Engine> {
        Arc::clone(&self.parts.policy)
    }

    /// Counts requests of clients.
    #[must_use]
    pub fn limiter(&self) -> &Limiter {
        &self.parts.limiter
    }

    /// Time.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.parts.clock
    }

    /// Chance.
    #[must_use]
    pub fn entropy(&self) -> &dyn Entropy {
        &*self.parts.entropy
    }

    /// Key of account and transaction ids, and of cursors.
    #[must_use]
    pub fn id_key(&self) -> &IdKey {
        &self.parts.id_key
    }

    /// Ed25519 keys that sign webhooks.
    #[must_use]
    pub fn webhook_keys(&self) -> &KeyRing {
        &self.parts.webhook_keys
    }

    /// Waits until this process has put events where clients read them, from now on. Others
    /// may have done so without a sound.
    pub fn event_news(&self) -> Notified<'_> {
        self.event_news.notified()
    }

    /// Now, by the gateway's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// The profile of a bank that is set up here.
    pub(crate) fn bank(&self, id: &InstitutionId) -> Result<Arc<Profile>, FlowError> {
        let profile =
            self.parts.registry.profile(id).ok_or_else(|| FlowError::UnknownInstitution(id.clone()))?;
        let usable = profile.connectable() && self.parts.registry.dialect(&profile).is_some();
        if usable { Ok(profile) } else { Err(FlowError::Unsupported(id.clone())) }
    }

    /// Checks that personal data of `region` is held here.
    pub(crate) fn holds(&self, region: Region) -> Result<(), FlowError> {
        self.parts.stores.region(region)?;
        Ok(())
    }

    /// Where a bank sends the PSU's browser back to: one address per bank, so
    /// that answers of two banks cannot be mixed up (RFC 9700 §4.4).
    pub(crate) fn callback(&self, bank: &InstitutionId) -> Result<Url, FlowError> {
        let text = format!("{}/callback/{}", self.parts.config.pages_origin, bank.as_str());
        Url::parse(&text).map_err(|_| FlowError::Unsupported(bank.clone()))
    }
}
