//! Everything on one machine: a PKI, the gateway, six model banks, two
//! regions and a demo fintech. Needs nothing but a folder and free ports.

mod apart;
pub(crate) mod bank_files;
mod banks;
mod block_feed;
mod clients;
pub(crate) mod directory;
mod drive;
mod edge_state;
mod limits_file;
mod listeners;
mod options;
mod pki;
mod published_seal;
mod software;
pub(crate) mod state;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use api::{Api, EventStreams};
use axum::Router;
use connect::{Registry, Seal, TlsIdentity, Transport, TransportConfig};
use crypto::pki::Issued;
use domain::Region;
use edge::protect;
use flows::{Gateway, GatewayConfig, IdKey, Jurisdictions, Parts, WebhookPolicy, WebhookSender};
use modelbank::{Faults, Habits, Journal, LedgerLine};
use oauth::{OAuth, SoftwareIssuer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use store::bell::Bell;
use store::quotas::RedisPool;
use store::{GlobalStore, RegionalStore, Stores};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use apart::BanksApart;
use bank_files::BankFiles;
use banks::ModelBanks;
pub use block_feed::BlockFeed;
pub use edge_state::EdgeState;
use limits_file::LimitsFile;
pub use limits_file::LimitsFrom;
use listeners::{Listeners, WatchedTls, edge_config};
pub use options::{KeyPlace, SandboxOptions, ServerFiles};
pub use pki::Pki;
use software::SoftwareDirectory;
use state::DataDir;

use crate::demo::Client;
use crate::filter::WatchedFilter;
use crate::keys::Watch;
use crate::plugged::Plugged;
use crate::read;

/// What an outside client needs to know: addresses and files, nothing else.
#[derive(Clone, Debug)]
pub struct Access {
    /// Issuer, and origin of the pages.
    pub issuer: String,
    /// Origin of the API and the OAuth back channel.
    pub api: String,
    /// Certificates and keys of the sandbox.
    pub pki: Arc<Pki>,
    /// The model banks: id, region.
    pub banks: Vec<(String, String)>,
}

/// A running sandbox.
pub struct Sandbox {
    access: Access,
    data: DataDir,
    gateway: Arc<Gateway>,
    stores: Stores,
    banks: Arc<ModelBanks>,
    tls: WatchedTls,
    limits: LimitsFile,
    edge: EdgeState,
    filter: WatchedFilter,
    stop: CancellationToken,
    tasks: TaskTracker,
}

const PAGES: u16 = 0;
const API: u16 = 1;

impl Sandbox {
    /// Starts everything and returns when it listens.
    ///
    /// # Errors
    ///
    /// What is in the way, and what to do about it.
    pub async fn start(options: SandboxOptions) -> anyhow::Result<Self> {
        // Beside the rest of the start: compiling the interface and the rules takes a while.
        let filter = listeners::filter(&options);
        // What the operator brings along, before anything is written.
        let shelf = if options.embedded_banks { Registry::embedded } else { Registry::new };
        let registry = Arc::new(shelf(dialects::all()));
        let folder = options.plugins.clone();
        let plugged = tokio::task::spawn_blocking(move || Plugged::open(folder.as_deref())).await??;
        registry.replace_plugins(plugged.dialects());
        let (bank_files, loaded) = BankFiles::open(&options.banks, options.embedded_banks)?;
        loaded.iter().try_for_each(|profile| plugged.require(&registry, profile))?;

        let data = DataDir::open(&options.data_dir)?;
        let pki = Arc::new(Pki::open(data.path(), options.clock.now()).await?);
        let keys = state::Keys::open(data.path(), &*options.entropy, options.clock.now()).await?;
        let signing = Watch::open(keys.signing, Arc::clone(&options.clock))?;
        let webhook_keys = Watch::open(keys.webhook, Arc::clone(&options.clock))?;
        let limits = LimitsFile::open(&options.limits)?;
        let edge_state = EdgeState::of(limits.limiter(), Arc::clone(&options.clock))?;
        let limiter = Arc::clone(&edge_state.limiter);
        let pki_folder = data.path().join("pki");
        let Listeners { pages, api, tls } = Listeners::open(&options, &pki_folder, &edge_state).await?;
        let here = || Ok::<_, std::io::Error>(format!("https://localhost:{}", pages.local_addr()?.port()));
        let issuer = options.issuer.clone().map_or_else(here, Ok)?;
        let api_origin = format!("https://localhost:{}", api.local_addr()?.port());

        let stop = CancellationToken::new();
        let seal = pki.seal()?;
        let home = data.path().join("pki");
        let directory = SoftwareDirectory::open(&home)?;
        directory.vouch(&home, &seal, &ModelBanks::callbacks(&issuer), options.clock.now())?;
        let banks = match options.banks_apart {
            Some(port_base) => ModelBanks::apart(port_base),
            None => {
                let kept = Some(data.path().join("banks"));
                ModelBanks::start(&options, kept, &pki, &directory, &issuer, &stop).await?
            }
        };
        for profile in banks.profiles(&published_seal::key_url(&issuer)) {
            registry.put(if options.bank_notifications { banks::notifying(profile) } else { profile });
        }
        registry.replace_loaded(loaded);

        let stores = open_stores(options.database_url.as_deref(), data.path()).await?;
        let transport = Transport::new(TransportConfig {
            roots_pem: pki.root.clone(),
            identity: Some(TlsIdentity {
                certificate_chain_pem: pki.gateway_qwac.certificate_pem.clone(),
                private_key_pem: pki.gateway_qwac.key_pem.clone().into(),
            }),
            seal: Some(Seal {
                key: Arc::clone(&seal.key),
                certificate: Arc::clone(&seal.certificate),
                jws_issuer: seal.certificate.subject_dn.clone(),
            }),
            clock: Arc::clone(&options.clock),
            entropy: Arc::clone(&options.entropy),
            limiter: Arc::clone(&limiter),
        })?;
        let bell = options.redis_url.as_deref().map(Bell::at).transpose();
        let mut process = [0; 16];
        options.entropy.fill(&mut process);
        let pool = options
            .redis_url
            .as_deref()
            .map(|url| RedisPool::at(url, crypto::digest::hex(&process)))
            .transpose()?;
        let bell = bell.context("--redis-url is no address of a Redis, such as redis://127.0.0.1:6379")?;
        let gateway = Gateway::new(Parts {
            config: GatewayConfig {
                issuer: issuer.clone(),
                api_origin: api_origin.clone(),
                auto_approve: options.auto_approve,
                read_deadline: options.read_deadline,
                payee_verifications_per_day: options.payee_verifications_per_day,
                webhook_challenge: options.webhook_challenge,
                require_dpop_nonce: options.require_dpop_nonce,
            },
            stores: stores.clone(),
            bell,
            registry,
            jurisdictions: Jurisdictions::embedded()?,
            transport: Arc::new(transport),
            clock: Arc::clone(&options.clock),
            entropy: Arc::clone(&options.entropy),
            id_key: IdKey::new(keys.id_key),
            webhook_keys: webhook_keys.ring(),
            webhooks: WebhookSender::new(trusting(&pki.root, None)?, WebhookPolicy::LoopbackToo)
                .presenting(trusting(&pki.root, Some(&pki.gateway_qwac))?),
            bank_key: Arc::clone(&seal.key),
            limiter: Arc::clone(&limiter),
        });
        clients::preload(&stores, options.clients.as_deref(), options.clock.now()).await?;
        let oauth = OAuth {
            gateway: Arc::clone(&gateway),
            keys: signing.ring(),
            open_registration: options.open_registration,
            software_issuers: software_issuers(options.software_issuers.as_deref())?,
            clients: oauth::Clients::default(),
        };
        let tasks = TaskTracker::new();
        let filter = filter.await??;
        let edge = |router: Router| protect(router, edge_config(&options, filter.clone(), &edge_state));
        let page_routes = oauth.page_routes().merge(published_seal::routes(&pki)?);
        let page_router = edge(with_fallbacks(page_routes));
        let directory = Arc::new(directory::load(stores.global()).await?);
        let streams = EventStreams::new(options.event_heartbeat, stop.clone());
        let api_routes = api::routes(Api { gateway: Arc::clone(&gateway), directory, streams })
            .merge(api::bank_routes(Arc::clone(&gateway)));
        let banks = Arc::new(banks);
        let driven = drive::routes(drive::Drive {
            gateway: Arc::clone(&gateway),
            banks: Arc::clone(&banks),
            virtual_time: options.virtual_time.clone(),
            client: Client::new(&pki.root, None)?,
            edge: edge_state.clone(),
        });
        let api_router = edge(with_fallbacks(oauth.back_channel_routes().merge(api_routes).merge(driven)));
        // Whoever gets an answer may stop us, and start us again on this folder.
        data.finished()?;
        tasks.spawn(pages.serve(page_router, Arc::clone(&options.clock), stop.clone()));
        tasks.spawn(api.serve(api_router, Arc::clone(&options.clock), stop.clone()));
        tasks.spawn(work(oauth, stop.clone()));
        tasks.spawn(watch(signing, Watch::look, |()| {}, stop.clone()));
        tasks.spawn(watch(webhook_keys, Watch::look, |()| {}, stop.clone()));
        tasks.spawn(watch(tls.clone(), WatchedTls::look, |()| {}, stop.clone()));
        tasks.spawn(watch(limits.clone(), LimitsFile::look, |()| {}, stop.clone()));
        let lobby = Arc::clone(&edge_state.lobby);
        tasks.spawn(Arc::clone(&edge_state.overload).watch(lobby, stop.clone()));
        let (list, upstream) = (Arc::clone(&edge_state.blocked), Client::new(&pki.root, None)?);
        tasks.spawn(options.block_feed.clone().tell(list, upstream, stop.clone()));
        if let Some(pool) = pool {
            tasks.spawn(limits_file::share(limiter, pool, stop.clone()));
        }
        let filter = WatchedFilter::of(filter);
        tasks.spawn(watch(filter.clone(), WatchedFilter::look, |()| {}, stop.clone()));
        let shelf = Arc::clone(&gateway);
        let take_up = move |banks| bank_files::take_up(&shelf, banks);
        tasks.spawn(watch(bank_files, BankFiles::look, take_up, stop.clone()));
        let shelf = Arc::clone(&gateway);
        let take_up = move |plugins: Option<Vec<_>>| bank_files::take_up_plugins(&shelf, plugins);
        tasks.spawn(watch(plugged, Plugged::look, take_up, stop.clone()));
        let (fresh, until) = (Arc::clone(&gateway), stop.clone());
        tasks.spawn(async move { fresh.keep_fresh(until.cancelled_owned()).await });
        tasks.close();
        let access = Access { issuer, api: api_origin, pki, banks: banks.list() };
        Ok(Self { access, data, gateway, stores, banks, tls, limits, edge: edge_state, filter, stop, tasks })
    }

    /// Takes up limits, rules of the filter, certificates, authorities and revocation lists as
    /// their files are now.
    pub async fn reload(&self) {
        let (tls, limits, filter) = (self.tls.clone(), self.limits.clone(), self.filter.clone());
        let reload = move || {
            limits.reload();
            filter.reload();
            tls.reload();
        };
        if let Err(error) = tokio::task::spawn_blocking(reload).await {
            tracing::error!(error = %error, "Files stay as they were");
        }
    }

    /// What an outside client needs to know.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access.clone()
    }

    /// The use cases, for tests that look behind the interface.
    #[must_use]
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// What the edge counts.
    #[must_use]
    pub fn edge(&self) -> &EdgeState {
        &self.edge
    }

    /// Faults and journal of a model bank.
    #[must_use]
    pub fn bank(&self, id: &str) -> Option<(Faults, Journal)> {
        self.banks.handles(id)
    }

    /// Every transfer that a model bank has.
    #[must_use]
    pub fn ledger(&self, id: &str) -> Vec<LedgerLine> {
        self.banks.bank(id).map(modelbank::RunningBank::ledger).unwrap_or_default()
    }

    /// How many changes a model bank is still to tell of.
    #[must_use]
    pub fn untold(&self, id: &str) -> usize {
        self.banks.bank(id).map_or(0, modelbank::RunningBank::untold)
    }

    /// Where a model bank is to tell of a consent or order of its own.
    #[must_use]
    pub fn notice_address(&self, id: &str, about: &str) -> Option<String> {
        self.banks.bank(id)?.notice_address(about)
    }

    /// Habits of a model bank.
    #[must_use]
    pub fn bank_habits(&self, id: &str) -> Option<Habits> {
        self.banks.habits(id)
    }

    /// Address of the pages of a model bank, without a trailing slash.
    #[must_use]
    pub fn bank_pages(&self, id: &str) -> Option<String> {
        self.banks.pages(id)
    }

    /// Ends everything: open requests get their answers first.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
        self.banks.stopped().await;
        self.stores.close().await;
    }

    /// What the terminal shows: addresses, and commands that work as they stand.
    #[must_use]
    pub fn welcome(&self, ready_ms: u128) -> String {
        let Access { issuer, api, .. } = &self.access;
        let folder =
            std::path::absolute(self.data.path()).unwrap_or_else(|_| self.data.path().to_owned()).join("pki");
        let pki = shell_quoted(&folder.display().to_string());
        let curl = format!(
            "curl --silent --show-error --cacert {pki}/root.pem --cert {pki}/fintech.pem --key {pki}/fintech.key"
        );
        let token = format!(
            "{curl} -d grant_type=client_credentials -d client_id=demo-fintech -d scope=accounts {api}/oauth/token"
        );
        let mut lines = vec![
            format!("Consentry sandbox is ready ({ready_ms} ms)."),
            String::new(),
            format!("  Pages and discovery   {issuer}"),
            format!("  API and OAuth (mTLS)  {api}"),
        ];
        lines.extend(self.banks.describe());
        lines.push(format!("  State and keys        {}", self.data.path().display()));
        lines.push("  Demo client           demo-fintech (tls_client_auth with pki/fintech.pem)".to_owned());
        lines.extend([
            String::new(),
            "Which banks are there?".to_owned(),
            format!("  {curl} '{api}/v1/institutions?country=GB&limit=5'"),
            String::new(),
            "A token of the demo client's own:".to_owned(),
            format!("  {token}"),
            String::new(),
            "Lodge a consent with it:".to_owned(),
            format!(
                "  {curl} -H \"Authorization: Bearer $({token} | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')\" \
                 -H \"Idempotency-Key: $(date +%s%N)\" -H 'Content-Type: application/json' \
                 -d '{{\"type\":\"ACCOUNT_INFORMATION\",\"institution_id\":\"gb-albion-bank\",\"permissions\":[\"READ_ACCOUNTS_DETAIL\",\"READ_BALANCES\"]}}' \
                 {api}/v1/consents"
            ),
            String::new(),
            "The whole journey: consentry sandbox --demo. Stop with Ctrl-C.".to_owned(),
        ]);
        lines.join("\n")
    }
}

fn shell_quoted(text: &str) -> String {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// The regions of the sandbox.
const REGIONS: [&str; 2] = ["uk", "eu"];

/// Opens the stores of a sandbox: on a PostgreSQL, or in its folder.
pub(crate) async fn open_stores(database_url: Option<&str>, folder: &Path) -> anyhow::Result<Stores> {
    let urls = match database_url {
        Some(url) => store::postgres_databases(url, &["global", "uk", "eu"])
            .await
            .context("the databases could not be made; the role needs the right to create databases")?,
        None => ["global", "region-uk", "region-eu"]
            .iter()
            .map(|name| format!("sqlite://{}?mode=rwc", folder.join(format!("{name}.sqlite")).display()))
            .collect(),
    };
    let mut urls = urls.into_iter();
    let mut next = || urls.next().ok_or_else(|| anyhow!("a database is missing"));
    let hint = "its state may be half-written: remove the folder and start again";
    let global = GlobalStore::open(&next()?)
        .await
        .with_context(|| format!("the global database of {} cannot be used; {hint}", folder.display()))?;
    let mut regions = Vec::new();
    for name in REGIONS {
        let region: Region = name.parse()?;
        let store = RegionalStore::open(region, &next()?)
            .await
            .with_context(|| format!("the {name} database of {} cannot be used; {hint}", folder.display()))?;
        regions.push(store);
    }
    Ok(Stores::new(global, regions))
}

/// Loopback, at the port with this offset.
fn address(port_base: u16, offset: u16) -> SocketAddr {
    let port = if port_base == 0 { 0 } else { port_base.saturating_add(offset) };
    (Ipv4Addr::LOCALHOST, port).into()
}

fn port_hint(address: SocketAddr) -> String {
    format!(
        "port {} is taken: stop what uses it, or move every port with --port-base (for instance --port-base 18440)",
        address.port()
    )
}

/// Whose software statements are believed.
fn software_issuers(file: Option<&Path>) -> anyhow::Result<Arc<[SoftwareIssuer]>> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Entry {
        issuer: String,
        jwks: serde_json::Value,
    }

    let Some(file) = file else { return Ok(Arc::default()) };
    let name = file.display();
    let entries: Vec<Entry> = serde_json::from_str(&read(file)?)
        .with_context(|| format!("{name} of --software-issuers is no array of {{issuer, jwks}}"))?;
    let issuers = entries.into_iter().map(|entry| {
        let keys = crypto::Jwks::from_value(&entry.jwks)
            .with_context(|| format!("the jwks of {} in {name} cannot be used", entry.issuer))?;
        Ok(SoftwareIssuer { issuer: entry.issuer, keys })
    });
    issuers.collect()
}

fn with_fallbacks(router: Router) -> Router {
    router.fallback(web::no_such_path).method_not_allowed_fallback(web::no_such_method)
}

/// TLS as a client that trusts one root, and shows a certificate, if it has one.
fn trusting(root_pem: &str, identity: Option<&Issued>) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(root_pem.as_bytes()) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    Ok(Arc::new(match identity {
        Some(Issued { certificate_pem, key_pem }) => {
            let chain = CertificateDer::pem_slice_iter(certificate_pem.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())?;
            config.with_client_auth_cert(chain.collect::<Result<_, _>>()?, key)?
        }
        None => config.with_no_client_auth(),
    }))
}

/// The worker: reconciles payments, keeps consents and mandates, heeds what banks notify of,
/// delivers webhooks, forgets what is over.
async fn work(oauth: OAuth, stop: CancellationToken) {
    let gateway = &oauth.gateway;
    let reconciler = async {
        let mut rounds = Rounds::every(Duration::from_millis(100), &stop);
        while rounds.next().await {
            rounds.note(gateway.reconcile().await.map(|_| ()));
        }
    };
    let keeper = async {
        let mut rounds = Rounds::every(Duration::from_secs(1), &stop);
        while rounds.next().await {
            rounds.note(gateway.keep_consents().await.map(|_| ()));
            rounds.note(gateway.keep_mandates().await.map(|_| ()));
            rounds.note(gateway.tell_of_banks().await);
            gateway.look_at_servers().await;
            rounds.note(gateway.clear_up_after_clients().await);
            rounds.note(gateway.keep_subscriptions().await.map(|_| ()));
            rounds.note(gateway.poll_events().await.map(|_| ()));
        }
    };
    let listener = async {
        let mut rounds = Rounds::every(Duration::from_millis(100), &stop);
        while rounds.next().await {
            rounds.note(gateway.heed_notices().await.map(|_| ()));
        }
    };
    let courier = async {
        let mut rounds = Rounds::every(Duration::from_millis(100), &stop);
        while rounds.next().await {
            rounds.note(gateway.deliver_events().await.map(|_| ()));
        }
    };
    let backchannel = async {
        let mut rounds = Rounds::every(Duration::from_millis(200), &stop);
        while rounds.next().await {
            rounds.note(oauth.ask_backchannel_banks().await.map(|_| ()));
        }
    };
    let housekeeper = async {
        let mut rounds = Rounds::every(Duration::from_secs(60), &stop);
        while rounds.next().await {
            rounds.note(gateway.tell_of_maintenance().await);
            rounds.note(gateway.forget_snapshots().await);
            let now = gateway.clock().now();
            rounds.note(gateway.stores().global().forget_expired(now).await.map_err(Into::into));
            for region in gateway.stores().regions() {
                rounds.note(region.forget_details(now).await.map_err(Into::into));
                rounds.note(region.forget_sca_steps(now).await.map_err(Into::into));
                rounds.note(region.forget_notices(now).await.map_err(Into::into));
            }
        }
    };
    tokio::join!(reconciler, keeper, listener, courier, backchannel, housekeeper);
}

/// Looks at files once a second until `stop`, off the runtime's threads, and
/// takes up what each look finds.
async fn watch<T: Send + 'static, R: Send + 'static>(
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

    fn note(&self, result: Result<(), flows::FlowError>) {
        if let Err(error) = result {
            tracing::error!(error = %error, "A round of background work failed");
        }
    }
}
