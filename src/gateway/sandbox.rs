//! Everything on one machine: a PKI, the gateway, six model banks, two
//! regions and a demo fintech. Needs nothing but a folder and free ports.

mod access_rules;
mod apart;
pub(crate) mod bank_files;
mod banks;
mod block_feed;
mod cell;
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
mod work;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use api::{Api, EventStreams};
use axum::Router;
use axum::middleware::from_fn;
use connect::{Registry, Seal, TlsIdentity, Transport, TransportConfig};
use crypto::pki::Issued;
use edge::{EdgeConfig, protect};
use flows::{Gateway, GatewayConfig, IdKey, Jurisdictions, Parts, WebhookPolicy, WebhookSender};
use limits::{Limiter, Policies};
use modelbank::{Faults, Habits, Journal, LedgerLine};
use oauth::{OAuth, SoftwareIssuer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use store::Stores;
use store::bell::Bell;
use store::quotas::RedisPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use access_rules::AccessRules;
pub use apart::BanksApart;
use bank_files::BankFiles;
use banks::ModelBanks;
pub use block_feed::BlockFeed;
use cell::{Cell, WatchedCell};
pub use edge_state::EdgeState;
use limits_file::LimitsFile;
pub use limits_file::LimitsFrom;
use listeners::{Listeners, WatchedTls, edge_config};
pub use options::{SandboxOptions, ServerFiles};
pub use pki::Pki;
use software::SoftwareDirectory;
use state::DataDir;
use work::{watch, work};

use crate::audit_logs::AuditLogs;
use crate::demo::Client;
use crate::filter::WatchedFilter;
use crate::keys::Watch;
use crate::plugged::Plugged;
use crate::region_keys::WatchedRegionKeys;
use crate::retention::Retention;
use crate::{read, stores};

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
    access_rules: AccessRules,
    cell: Option<WatchedCell>,
    edge: EdgeState,
    filter: WatchedFilter,
    audit: Arc<AuditLogs>,
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

        let retention = Retention::of(options.retention.as_deref())?;
        let data = DataDir::open(&options.data_dir)?;
        let pki = Arc::new(Pki::open(data.path(), options.clock.now()).await?);
        let cell = match &options.cells {
            Some(file) => Some(Cell::open(file, Arc::clone(&options.clock)).await?),
            None => None,
        };
        let regions = cell.as_ref().map_or_else(stores::sandbox_regions, |cell| Ok(cell.regions()))?;
        let keys = state::Keys::open(data.path(), &regions, &*options.entropy, options.clock.now()).await?;
        let signing = Watch::open(keys.signing, Arc::clone(&options.clock))?;
        let webhook_keys = Watch::open(keys.webhook, Arc::clone(&options.clock))?;
        let access_rules = AccessRules::open(&options)?;
        for region in &regions {
            let place = cell.as_ref().and_then(Cell::stands_in).unwrap_or(*region);
            access_rules.may_hold(*region, place)?;
        }
        let limits = LimitsFile::open(&options.limits)?;
        let edge_state = EdgeState::of(limits.limiter(), Arc::clone(&options.clock))?;
        let limiter = Arc::clone(&edge_state.limiter);
        let pki_folder = data.path().join("pki");
        let Listeners { pages, api, tls } = Listeners::open(&options, &pki_folder, &edge_state).await?;
        let here = || Ok::<_, std::io::Error>(format!("https://localhost:{}", pages.local_addr()?.port()));
        let issuer = options.issuer.clone().map_or_else(here, Ok)?;
        // Another gateway on the same state has the pages; another cell has its own.
        let pages_origin = if cell.is_some() { here()? } else { issuer.clone() };
        let api_origin = format!("https://localhost:{}", api.local_addr()?.port());

        let stop = CancellationToken::new();
        let seal = pki.seal()?;
        let home = data.path().join("pki");
        let directory = SoftwareDirectory::open(&home)?;
        directory.vouch(&home, &seal, &ModelBanks::callbacks(&pages_origin), options.clock.now())?;
        let banks = match options.banks_apart {
            Some(port_base) => ModelBanks::apart(port_base),
            None => {
                let kept = Some(data.path().join("banks"));
                ModelBanks::start(&options, kept, &pki, &directory, &pages_origin, &stop).await?
            }
        };
        for profile in banks.profiles(&published_seal::key_url(&pages_origin)) {
            let mut profile = if options.bank_notifications { banks::notifying(profile) } else { profile };
            let moved = options.bank_regions.iter().find(|(id, _)| id == profile.id.as_str());
            profile.region = moved.map_or(profile.region, |(_, region)| *region);
            registry.put(profile);
        }
        registry.replace_loaded(loaded);

        let stores = stores::open(
            (options.database_url.as_deref(), options.global_database_url.as_deref()),
            data.path(),
            &regions,
            Arc::clone(&options.clock),
            Arc::clone(&options.entropy),
        )
        .await?;
        let host = issuer.trim_start_matches("https://");
        let audit = Arc::new(AuditLogs::open(data.path(), &stores, host, Arc::clone(&options.clock))?);
        let mut roots_pem = pki.root.clone();
        for file in &options.trust_bank_ca {
            roots_pem.push_str(&crate::read(file)?);
        }
        let transport = Transport::new(TransportConfig {
            roots_pem,
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
                pages_origin: pages_origin.clone(),
                elsewhere: cell.iter().flat_map(Cell::elsewhere).collect(),
                home: cell.as_ref().and_then(|cell| cell.regions().first().copied()),
                api_origin: api_origin.clone(),
                auto_approve: options.auto_approve,
                read_deadline: options.read_deadline,
                payee_verifications_per_day: options.payee_verifications_per_day,
                webhook_challenge: options.webhook_challenge,
                require_dpop_nonce: options.require_dpop_nonce,
            },
            stores: stores.clone(),
            bell,
            registry: Arc::clone(&registry),
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
            policy: access_rules.engine(),
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
        let page_routes = answering(oauth.page_routes().merge(published_seal::routes(&pki)?));
        let page_router = edge(match &cell {
            Some(cell) => cell.in_front_of(page_routes, &gateway, &pages_origin, true),
            None => page_routes,
        });
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
        let api_routes = answering(oauth.back_channel_routes().merge(api_routes).merge(driven));
        let api_router = edge(match &cell {
            Some(cell) => cell.in_front_of(api_routes.clone(), &gateway, &api_origin, false),
            None => api_routes.clone(),
        });
        let watched_cell = cell.as_ref().map(Cell::watched);
        if let Some(watched) = watched_cell.clone() {
            tasks.spawn(watch(watched, WatchedCell::look, |()| {}, stop.clone()));
        }
        if let (Some(cell), Some(clients)) = (cell, tls.of_api()) {
            // What comes from there was counted and looked into where it came in.
            let limiter = Arc::new(Limiter::new(Policies::unlimited()));
            let config = EdgeConfig { limiter, ..edge_config(&options, None, &edge_state) };
            let router = protect(cell.for_arrivals(api_routes, clients), config);
            tasks.spawn(cell.into_listener().serve(router, Arc::clone(&options.clock), stop.clone()));
        }
        // Whoever gets an answer may stop us, and start us again on this folder.
        data.finished()?;
        tasks.spawn(pages.serve(page_router, Arc::clone(&options.clock), stop.clone()));
        tasks.spawn(api.serve(api_router, Arc::clone(&options.clock), stop.clone()));
        tasks.spawn(work(oauth, retention, stop.clone()));
        tasks.spawn(Arc::clone(&audit).keep(stop.clone()));
        tasks.spawn(watch(signing, Watch::look, |()| {}, stop.clone()));
        tasks.spawn(watch(webhook_keys, Watch::look, |()| {}, stop.clone()));
        let region_keys =
            WatchedRegionKeys::of(data.path(), stores.regions().map(|store| store.vault().clone()));
        tasks.spawn(watch(region_keys, WatchedRegionKeys::look, |()| {}, stop.clone()));
        tasks.spawn(watch(tls.clone(), WatchedTls::look, |()| {}, stop.clone()));
        tasks.spawn(watch(limits.clone(), LimitsFile::look, |()| {}, stop.clone()));
        tasks.spawn(watch(access_rules.clone(), AccessRules::look, |()| {}, stop.clone()));
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
        Ok(Self {
            access,
            data,
            gateway,
            stores,
            banks,
            tls,
            limits,
            access_rules,
            cell: watched_cell,
            edge: edge_state,
            filter,
            audit,
            stop,
            tasks,
        })
    }

    /// Takes up limits, rules of access and of the filter, certificates, authorities and revocation lists as
    /// their files are now.
    pub async fn reload(&self) {
        let (tls, limits, filter) = (self.tls.clone(), self.limits.clone(), self.filter.clone());
        let (access_rules, cell) = (self.access_rules.clone(), self.cell.clone());
        let reload = move || {
            limits.reload();
            access_rules.reload();
            if let Some(cell) = cell {
                cell.reload();
            }
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
        self.audit.close().await;
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

/// Routes with what answers elsewhere, each request in its occasion.
fn answering(router: Router) -> Router {
    let router = router.fallback(web::no_such_path).method_not_allowed_fallback(web::no_such_method);
    router.layer(from_fn(web::in_its_occasion))
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
