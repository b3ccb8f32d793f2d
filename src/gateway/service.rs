//! A gateway wired together and running: what a sandbox has one of, and what `consentry serve` is.

mod access_rules;
pub(crate) mod bank_files;
mod bank_identity;
mod block_feed;
mod cell;
pub(crate) mod directory;
mod edge_state;
mod figures;
mod limits_file;
mod listeners;
mod options;
mod published_seal;
mod software_issuers;
pub(crate) mod state;
mod witness;
mod work;

use std::sync::Arc;

use anyhow::Context;
use api::{Api, EventStreams};
use axum::Router;
use axum::middleware::from_fn;
use connect::{Registry, Seal, TlsIdentity, Transport, TransportConfig};
use edge::{EdgeConfig, Side, protect};
use flows::{Gateway, GatewayConfig, IdKey, Jurisdictions, Parts, WebhookSender};
use limits::{Limiter, Policies};
use oauth::OAuth;
use rustls::ClientConfig;
use secrecy::ExposeSecret;
use store::Stores;
use store::bell::Bell;
use store::quotas::RedisPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use access_rules::AccessRules;
use bank_files::BankFiles;
use bank_identity::WatchedBankIdentity;
pub use block_feed::BlockFeed;
use cell::{Cell, WatchedCell};
pub use edge_state::EdgeState;
pub(crate) use figures::{Lately, told};
use limits_file::LimitsFile;
pub use limits_file::LimitsFrom;
use listeners::{Listeners, edge_config};
pub(crate) use listeners::{WatchedTls, edge_config_of};
pub(crate) use options::{
    BankIdentityFiles, BankOptions, BankSeal, ClientOptions, Listen, Origins, RuleOptions, ServiceOptions,
    StoreOptions, TlsOptions, WebhookOptions,
};
pub(crate) use published_seal::key_url;
pub(crate) use witness::{Tracer, Witnessing};
pub(crate) use work::watch;
use work::{count, keep_requests, work};

use crate::audit_logs::AuditLogs;
use crate::client_tls::trusting;
use crate::demo::Client;
use crate::filter::{GatewayFilter, WatchedFilter};
use crate::keys::Watch;
use crate::plugged::Plugged;
use crate::region_keys::WatchedRegionKeys;
use crate::retention::Retention;
use crate::stores;

/// What is read, bound and known before anything answers.
pub(crate) struct Prepared {
    options: ServiceOptions,
    filter: JoinHandle<anyhow::Result<Option<Arc<GatewayFilter>>>>,
    registry: Arc<Registry>,
    plugged: Plugged,
    bank_files: BankFiles,
    loaded: Vec<connect::Profile>,
    retention: Retention,
    cell: Option<Cell>,
    regions: Vec<domain::Region>,
    id_key: [u8; 32],
    signing: Watch,
    webhook_keys: Watch,
    access_rules: AccessRules,
    limits: LimitsFile,
    edge: EdgeState,
    listeners: Option<Listeners>,
    /// Issuer, origin of the pages here, origin of the API.
    origins: [String; 3],
}

/// A gateway that answers.
pub(crate) struct Service {
    gateway: Arc<Gateway>,
    stores: Stores,
    watched: Watched,
    edge: EdgeState,
    lately: Arc<Lately>,
    audit: Arc<AuditLogs>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What is read anew when somebody says so.
#[derive(Clone)]
struct Watched {
    tls: Option<WatchedTls>,
    limits: LimitsFile,
    access_rules: AccessRules,
    cell: Option<WatchedCell>,
    filter: WatchedFilter,
}

impl Prepared {
    /// Reads what the operator brings along, and binds.
    ///
    /// # Errors
    ///
    /// What is in the way, and what to do about it.
    pub(crate) async fn of(options: ServiceOptions) -> anyhow::Result<Self> {
        // Beside the rest of the start: compiling the interface and the rules takes a while.
        let filter = listeners::filter(&options);
        let registry = Arc::new(shelf(&options.banks));
        let folder = options.banks.plugins.clone();
        let plugged = tokio::task::spawn_blocking(move || Plugged::open(folder.as_deref())).await??;
        registry.replace_plugins(plugged.dialects());
        let (bank_files, loaded) = BankFiles::open(&options.banks.files, options.banks.embedded)?;
        loaded.iter().try_for_each(|profile| plugged.require(&registry, profile))?;
        let retention = Retention::of(options.rules.retention.as_deref())?;
        let cell = match &options.cells {
            Some(file) => Some(Cell::open(file, options.answers, Arc::clone(&options.clock)).await?),
            None => None,
        };
        let regions = cell.as_ref().map_or_else(|| options.regions.clone(), Cell::regions);
        let keys = if options.make_keys {
            state::Keys::made(&options.keys, &regions, &*options.entropy, options.clock.now()).await?
        } else {
            state::Keys::open(&options.keys, &regions, options.clock.now())?
        };
        let signing = Watch::open(keys.signing, Arc::clone(&options.clock))?;
        let webhook_keys = Watch::open(keys.webhook, Arc::clone(&options.clock))?;
        let access_rules = AccessRules::open(options.rules.access.as_deref())?;
        for region in &regions {
            let place = cell.as_ref().and_then(Cell::stands_in).unwrap_or(*region);
            access_rules.may_hold(*region, place)?;
        }
        let limits = LimitsFile::open(&options.rules.limits)?;
        let edge = EdgeState::of(limits.limiter(), Arc::clone(&options.clock))?;
        let listeners = match options.answers {
            true => Some(Listeners::open(&options, &edge).await?),
            false => None,
        };
        let origins = origins(&options.origins, listeners.as_ref(), cell.is_some())?;
        Ok(Self {
            options,
            filter,
            registry,
            plugged,
            bank_files,
            loaded,
            retention,
            cell,
            regions,
            id_key: keys.id_key,
            signing,
            webhook_keys,
            access_rules,
            limits,
            edge,
            listeners,
            origins,
        })
    }

    /// Issuer.
    pub(crate) fn issuer(&self) -> &str {
        &self.origins[0]
    }

    /// Origin of the pages here.
    pub(crate) fn pages_origin(&self) -> &str {
        &self.origins[1]
    }

    /// Origin of the API.
    pub(crate) fn api_origin(&self) -> &str {
        &self.origins[2]
    }

    /// The regions that are held here.
    pub(crate) fn regions(&self) -> &[domain::Region] {
        &self.regions
    }

    /// The banks, to which others may be added before it starts.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Opens the stores.
    ///
    /// # Errors
    ///
    /// Which database cannot be used, and why.
    pub(crate) async fn stores(&self) -> anyhow::Result<Stores> {
        let options = &self.options;
        let place =
            stores::StorePlace { folder: &options.folder, keys: &options.keys, stores: &options.stores };
        stores::open(place, &self.regions, Arc::clone(&options.clock), Arc::clone(&options.entropy)).await
    }

    /// Starts to answer; with `more` routes of the API.
    ///
    /// # Errors
    ///
    /// What is in the way.
    pub(crate) async fn start(
        self,
        stores: Stores,
        stop: CancellationToken,
        more: impl FnOnce(&Arc<Gateway>, &EdgeState) -> anyhow::Result<Router>,
        finished: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Service> {
        let Self { options, registry, cell, edge: edge_state, listeners, .. } = self;
        let [issuer, pages_origin, api_origin] = self.origins;
        let clock = &options.clock;
        registry.replace_loaded(self.loaded);
        let limiter = Arc::clone(&edge_state.limiter);
        let host = issuer.trim_start_matches("https://");
        let audit = AuditLogs::open(&options.keys, &stores, host, options.make_keys, Arc::clone(clock))?;
        let audit = Arc::new(audit);
        let redis = options.redis_url.as_ref().map(|url| url.expose_secret());
        let bell = redis.map(Bell::at).transpose();
        let mut process = [0; 16];
        options.entropy.fill(&mut process);
        let pool = redis.map(|url| RedisPool::at(url, crypto::digest::hex(&process))).transpose()?;
        let bell = bell.context("the address of Redis is none, such as redis://127.0.0.1:6379")?;
        let hooks = &options.webhooks;
        let presenting = trusting(&hooks.roots_pem, shown(&options.banks))?;
        let plain = trusting(&hooks.roots_pem, None)?;
        let webhooks = WebhookSender::new(hooks.policy, plain, Some(presenting), hooks.proxy.as_deref());
        let transport = Arc::new(transport(&options, &limiter)?);
        let bank_identity = WatchedBankIdentity::of(
            options.banks.identity_files.clone(),
            Arc::clone(&transport),
            webhooks.clone(),
            options.webhooks.roots_pem.clone(),
        );
        let gateway = Gateway::new(Parts {
            config: GatewayConfig {
                issuer,
                pages_origin: pages_origin.clone(),
                elsewhere: cell.iter().flat_map(Cell::elsewhere).collect(),
                home: cell.as_ref().and_then(|cell| cell.regions().first().copied()),
                api_origin: api_origin.clone(),
                auto_approve: options.auto_approve,
                read_deadline: options.read_deadline,
                payee_verifications_per_day: options.clients.payee_verifications_per_day,
                webhook_challenge: options.webhooks.challenge,
                require_dpop_nonce: options.clients.require_dpop_nonce,
            },
            stores: stores.clone(),
            bell,
            registry,
            jurisdictions: Jurisdictions::embedded()?,
            transport: Arc::clone(&transport),
            clock: Arc::clone(clock),
            entropy: Arc::clone(&options.entropy),
            id_key: IdKey::new(self.id_key),
            webhook_keys: self.webhook_keys.ring(),
            webhooks,
            bank_key: Arc::clone(&options.banks.seal.key),
            limiter: Arc::clone(&limiter),
            policy: self.access_rules.engine(),
        });
        let oauth = OAuth {
            gateway: Arc::clone(&gateway),
            keys: self.signing.ring(),
            open_registration: options.clients.open_registration,
            software_issuers: software_issuers::read(options.clients.software_issuers.as_deref())?,
            clients: oauth::Clients::default(),
        };
        let tasks = TaskTracker::new();
        let filter = self.filter.await??;
        let witness = Witnessing::new(
            options.tracer.clone(),
            options.trace_per_mille,
            Arc::clone(clock),
            Arc::clone(&options.entropy),
        );
        witness.notes_at(&gateway);
        let only_region = Some(&*self.regions).filter(|held| held.len() == 1).and_then(|held| held.first());
        let told: Arc<dyn edge::Witness> = witness;
        let guard = |side, filter| EdgeConfig {
            side,
            only_region: only_region.copied(),
            witness: Some(Arc::clone(&told)),
            ..edge_config(&options, filter, &edge_state)
        };
        let page_routes = answering(oauth.page_routes().merge(published_seal::routes(&options.banks.seal)));
        let page_routes = match &cell {
            Some(cell) => cell.in_front_of(page_routes, &gateway, &pages_origin, true),
            None => page_routes,
        };
        let page_router = protect(page_routes, guard(Side::Pages, filter.clone()));
        let directory = Arc::new(directory::load(stores.global()).await?);
        let streams = EventStreams::new(options.event_heartbeat, stop.clone());
        let api_routes = api::routes(Api { gateway: Arc::clone(&gateway), directory, streams })
            .merge(api::bank_routes(Arc::clone(&gateway)));
        let more = more(&gateway, &edge_state)?;
        let api_routes = answering(oauth.back_channel_routes().merge(api_routes).merge(more));
        let all_routes = match &cell {
            Some(cell) => cell.in_front_of(api_routes.clone(), &gateway, &api_origin, false),
            None => api_routes.clone(),
        };
        let api_router = protect(all_routes, guard(Side::Api, filter.clone()));
        let (listening, tls) = listeners.map(|Listeners { pages, api, tls }| ((pages, api), tls)).unzip();
        let watched = Watched {
            tls,
            limits: self.limits,
            access_rules: self.access_rules,
            cell: cell.as_ref().map(Cell::watched),
            filter: WatchedFilter::of(filter),
        };
        let clients = watched.tls.as_ref().and_then(WatchedTls::of_api);
        if let (Some((listener, cell)), Some(clients)) = (cell.and_then(Cell::into_listener), clients) {
            // What comes from there was counted and looked into where it came in.
            let limiter = Arc::new(Limiter::new(Policies::unlimited()));
            let config = EdgeConfig { limiter, ..guard(Side::Cells, None) };
            let router = protect(cell.for_arrivals(api_routes, clients), config);
            tasks.spawn(listener.serve(router, Arc::clone(clock), stop.clone()));
        }
        // Whoever gets an answer may stop us, and start us again on this folder.
        finished()?;
        if let Some((pages, api)) = listening {
            tasks.spawn(pages.serve(page_router, Arc::clone(clock), stop.clone()));
            tasks.spawn(api.serve(api_router, Arc::clone(clock), stop.clone()));
        }
        if options.works {
            tasks.spawn(work(oauth, self.retention, stop.clone()));
            tasks.spawn(Arc::clone(&audit).keep(stop.clone()));
        }
        tasks.spawn(watch(self.signing, Watch::look, |()| {}, stop.clone()));
        tasks.spawn(watch(self.webhook_keys, Watch::look, |()| {}, stop.clone()));
        tasks.spawn(watch(bank_identity, WatchedBankIdentity::look, |()| {}, stop.clone()));
        let vaults = stores.regions().map(|store| store.vault().clone());
        let region_keys = WatchedRegionKeys::of(&options.keys, vaults);
        tasks.spawn(watch(region_keys, WatchedRegionKeys::look, |()| {}, stop.clone()));
        watched.keep(&tasks, &stop);
        let lobby = Arc::clone(&edge_state.lobby);
        tasks.spawn(Arc::clone(&edge_state.overload).watch(lobby, stop.clone()));
        let (list, upstream) =
            (Arc::clone(&edge_state.blocked), Client::new(&options.webhooks.roots_pem, None)?);
        tasks.spawn(options.block_feed.clone().tell(list, upstream, stop.clone()));
        if let Some(pool) = pool {
            tasks.spawn(limits_file::share(limiter, pool, stop.clone()));
        }
        let shelf = Arc::clone(&gateway);
        let take_up = move |banks| bank_files::take_up(&shelf, banks);
        tasks.spawn(watch(self.bank_files, BankFiles::look, take_up, stop.clone()));
        let shelf = Arc::clone(&gateway);
        let take_up = move |plugins: Option<Vec<_>>| bank_files::take_up_plugins(&shelf, plugins);
        tasks.spawn(watch(self.plugged, Plugged::look, take_up, stop.clone()));
        tasks.spawn(keep_requests(Arc::clone(&gateway), stop.clone()));
        let lately = Arc::<Lately>::default();
        tasks.spawn(count(stores.clone(), Arc::clone(&lately), stop.clone()));
        let (fresh, until) = (Arc::clone(&gateway), stop.clone());
        tasks.spawn(async move { fresh.keep_fresh(until.cancelled_owned()).await });
        tasks.close();
        Ok(Service { gateway, stores, watched, edge: edge_state, lately, audit, stop, tasks })
    }
}

impl Watched {
    /// Looks at each again and again.
    fn keep(&self, tasks: &TaskTracker, stop: &CancellationToken) {
        let Self { tls, limits, access_rules, cell, filter } = self.clone();
        if let Some(tls) = tls {
            tasks.spawn(watch(tls, WatchedTls::look, |()| {}, stop.clone()));
        }
        tasks.spawn(watch(limits, LimitsFile::look, |()| {}, stop.clone()));
        tasks.spawn(watch(access_rules, AccessRules::look, |()| {}, stop.clone()));
        let fresh = filter.clone();
        tasks.spawn_blocking(move || fresh.compile_rest());
        tasks.spawn(watch(filter, WatchedFilter::look, |()| {}, stop.clone()));
        if let Some(cell) = cell {
            tasks.spawn(watch(cell, WatchedCell::look, |()| {}, stop.clone()));
        }
    }

    /// Takes each up as it is.
    fn reload(&self) {
        self.limits.reload();
        self.access_rules.reload();
        if let Some(cell) = &self.cell {
            cell.reload();
        }
        self.filter.reload();
        if let Some(tls) = &self.tls {
            tls.reload();
        }
    }
}

impl Service {
    /// Takes up limits, rules of access and of the filter, certificates, authorities and revocation lists as
    /// their files are now.
    pub(crate) async fn reload(&self) {
        let watched = self.watched.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || watched.reload()).await {
            tracing::error!(error = %error, "Files stay as they were");
        }
    }

    /// The use cases.
    pub(crate) fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// What the edge counts.
    pub(crate) fn edge(&self) -> &EdgeState {
        &self.edge
    }

    /// What is looked up from time to time.
    pub(crate) fn lately(&self) -> &Arc<Lately> {
        &self.lately
    }

    /// The stores.
    pub(crate) fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Ends everything: open requests get their answers first. What `also` ends is used by it.
    pub(crate) async fn stop(self, also: impl Future<Output = ()>) {
        self.stop.cancel();
        self.tasks.wait().await;
        also.await;
        self.audit.close().await;
        self.stores.close().await;
    }
}

/// Issuer, origin of the pages here, origin of the API.
fn origins(
    said: &Origins,
    listeners: Option<&Listeners>,
    one_of_several: bool,
) -> anyhow::Result<[String; 3]> {
    let here = |of: fn(&Listeners) -> &edge::Listener| {
        let listener = of(listeners.context("who answers nobody has to be told where the others are")?);
        Ok::<_, anyhow::Error>(format!("https://localhost:{}", listener.local_addr()?.port()))
    };
    let of_pages = || said.pages.clone().map_or_else(|| here(|both| &both.pages), Ok);
    let issuer = said.issuer.clone().map_or_else(of_pages, Ok)?;
    // Another gateway on the same state has the pages; another cell has its own.
    let pages =
        if one_of_several { of_pages()? } else { said.pages.clone().unwrap_or_else(|| issuer.clone()) };
    let api = said.api.clone().map_or_else(|| here(|both| &both.api), Ok)?;
    Ok([issuer, pages, api])
}

/// The banks of the binary, if they are to be there, and every dialect.
fn shelf(banks: &BankOptions) -> Registry {
    let shelf = if banks.embedded { Registry::embedded } else { Registry::new };
    shelf(dialects::all())
}

/// The banks of a gateway that is not started, and the TLS by which they are called.
pub(crate) fn banks_of(options: &ServiceOptions) -> anyhow::Result<(Registry, Arc<ClientConfig>)> {
    let registry = shelf(&options.banks);
    registry.replace_loaded(BankFiles::open(&options.banks.files, options.banks.embedded)?.1);
    Ok((registry, trusting(&options.banks.roots_pem, shown(&options.banks))?))
}

/// Whether each part of what a gateway is run with can be used. Nothing is bound, and nobody is asked.
pub(crate) async fn check(options: &ServiceOptions) -> Vec<(&'static str, anyhow::Result<()>)> {
    let limiter = || Arc::new(Limiter::new(Policies::unlimited()));
    let rules = options.rules.clone();
    let (private, clock) = (rules.private_addresses, Arc::clone(&options.clock));
    let filter = tokio::task::spawn_blocking(move || {
        GatewayFilter::of(rules.filter, private, rules.filter_files, clock).map(drop)
    });
    let folder = options.banks.plugins.clone();
    let plugged = tokio::task::spawn_blocking(move || Plugged::open(folder.as_deref()));
    let plugged = plugged.await.map_err(anyhow::Error::from).and_then(|opened| opened);
    let registry = Registry::new(dialects::all());
    if let Ok(plugged) = &plugged {
        registry.replace_plugins(plugged.dialects());
    }
    let banks = BankFiles::open(&options.banks.files, options.banks.embedded).and_then(|(_, loaded)| {
        let plugged = plugged.as_ref().ok();
        loaded.iter().try_for_each(|profile| plugged.map_or(Ok(()), |it| it.require(&registry, profile)))
    });
    vec![
        ("tls", listeners::check(&options.tls)),
        ("bank", transport(options, &limiter()).map(drop)),
        ("webhooks", trusting(&options.webhooks.roots_pem, None).map(drop)),
        ("regions.cell_file", options.cells.as_deref().map_or(Ok(()), cell::check)),
        ("node.data_dir", state::Keys::open(&options.keys, &options.regions, options.clock.now()).map(drop)),
        ("banks.folders", banks),
        ("banks.plugins", plugged.map(drop)),
        ("policies.access", AccessRules::open(options.rules.access.as_deref()).map(drop)),
        ("policies.limits", LimitsFile::open(&options.rules.limits).map(drop)),
        ("policies.retention", Retention::of(options.rules.retention.as_deref()).map(drop)),
        ("filter", filter.await.map_err(anyhow::Error::from).and_then(|done| done)),
        ("clients", software_issuers::read(options.clients.software_issuers.as_deref()).map(drop)),
    ]
}

/// The way to the banks.
fn transport(options: &ServiceOptions, limiter: &Arc<Limiter>) -> anyhow::Result<Transport> {
    let BankOptions { roots_pem, identity, seal, .. } = &options.banks;
    let (certificate_chain_pem, private_key_pem) = identity.clone();
    Ok(Transport::new(TransportConfig {
        roots_pem: roots_pem.clone(),
        identity: Some(TlsIdentity { certificate_chain_pem, private_key_pem }),
        seal: Some(Seal {
            key: Arc::clone(&seal.key),
            certificate: Arc::clone(&seal.certificate),
            jws_issuer: seal.certificate.subject_dn.clone(),
        }),
        clock: Arc::clone(&options.clock),
        entropy: Arc::clone(&options.entropy),
        limiter: Arc::clone(limiter),
    })?)
}

/// What banks are shown, and webhook endpoints that want to see something: certificate and key.
fn shown(banks: &BankOptions) -> Option<(&str, &str)> {
    let (certificate, key) = &banks.identity;
    Some((certificate, key.expose_secret()))
}

/// Routes with what answers elsewhere, each request in its occasion.
fn answering(router: Router) -> Router {
    let router = router.fallback(web::no_such_path).method_not_allowed_fallback(web::no_such_method);
    router.layer(from_fn(web::in_its_occasion))
}
