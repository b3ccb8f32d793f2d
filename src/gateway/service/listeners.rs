//! Where a gateway listens: the pages, and the API with client certificates.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use crypto::SigningKey;
use domain::{Clock, Entropy, Region};
use edge::{
    ClientFiles, EdgeConfig, Filter, HttpOcsp, Listener, ListenerConfig, OcspCache, ServerKey, ServerTls,
    Side, TlsFiles, TlsWatch,
};
use tokio::task::JoinHandle;

use super::{EdgeState, Listen, ServiceOptions, TlsOptions};
use crate::filter::GatewayFilter;
use crate::keys::KeySource;
use crate::{keys, read};

/// Bound sockets, and the files that their TLS comes from.
pub(crate) struct Listeners {
    pub(crate) pages: Listener,
    pub(crate) api: Listener,
    pub(crate) tls: WatchedTls,
}

impl Listeners {
    /// Binds both.
    pub(crate) async fn open(options: &ServiceOptions, edge: &EdgeState) -> anyhow::Result<Self> {
        let (listen, tls) = (&options.listen, &options.tls);
        let clients = clients(tls)?;
        let identity = identity(tls)?;
        let pages = TlsWatch::open(identity.clone())?;
        let api = TlsWatch::open(TlsFiles { clients: Some(clients), ..identity })?;
        Ok(Self {
            pages: bind(listen, listen.pages, pages.tls(), edge).await?,
            api: bind(listen, listen.api, api.tls(), edge).await?,
            tls: WatchedTls::of(vec![pages, api]),
        })
    }
}

/// Whether the files of TLS can be used.
pub(crate) fn check(tls: &TlsOptions) -> anyhow::Result<()> {
    let files = TlsFiles { clients: Some(clients(tls)?), ..identity(tls)? };
    TlsWatch::open(files)?;
    Ok(())
}

/// Whose certificates are taken.
fn clients(tls: &TlsOptions) -> anyhow::Result<ClientFiles> {
    for file in &tls.authorities {
        crypto::Certificate::from_pem(&read(file)?)
            .with_context(|| format!("{} holds no certificate of an authority", file.display()))?;
    }
    Ok(ClientFiles {
        anchors: tls.authorities.clone(),
        lists: tls.revocation_lists.clone(),
        revocation: tls.revocation,
        responders: responders(tls),
        profiles: tls.trust_profiles.clone(),
    })
}

/// The TLS of both, for who looks at the files and for who is told to.
#[derive(Clone)]
pub(crate) struct WatchedTls(Arc<Mutex<Vec<TlsWatch>>>);

impl WatchedTls {
    /// What these files say.
    pub(crate) fn of(files: Vec<TlsWatch>) -> Self {
        Self(Arc::new(Mutex::new(files)))
    }

    /// The TLS by which clients are judged.
    pub(crate) fn of_api(&self) -> Option<ServerTls> {
        self.all().last().map(TlsWatch::tls)
    }

    /// Takes up what changed. Blocks while it reads.
    pub(crate) fn look(&mut self) {
        self.all().iter_mut().for_each(TlsWatch::look);
    }

    /// Takes up the files as they are. Blocks while it reads.
    pub(crate) fn reload(&self) {
        self.all().iter_mut().for_each(TlsWatch::reload);
    }

    fn all(&self) -> MutexGuard<'_, Vec<TlsWatch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a port shows, without clients.
fn identity(tls: &TlsOptions) -> anyhow::Result<TlsFiles> {
    let (certificate, staple) = (tls.certificate.clone(), tls.ocsp_response.clone());
    Ok(TlsFiles { certificate, key: held(&tls.key)?, staple, clients: None })
}

fn held(source: &KeySource) -> anyhow::Result<ServerKey> {
    Ok(match source {
        KeySource::File(file) => ServerKey::File(file.clone()),
        KeySource::Token { place, pin_file } => {
            let key = keys::open_on_token(place, pin_file)?;
            ServerKey::Held(Arc::new(SigningKey::on_token(key, "server")))
        }
    })
}

/// Who asks responders, if any may be asked.
fn responders(tls: &TlsOptions) -> Option<Arc<OcspCache>> {
    let hosts: Vec<_> = tls.ocsp_hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    let source = HttpOcsp { hosts, private_too: tls.private_responders, timeout: Duration::from_secs(3) };
    (!source.hosts.is_empty()).then(|| Arc::new(OcspCache::new(Arc::new(source))))
}

async fn bind(
    listen: &Listen,
    address: SocketAddr,
    tls: ServerTls,
    edge: &EdgeState,
) -> anyhow::Result<Listener> {
    let (counters, limiter) = (Arc::clone(&edge.counters), Some(Arc::clone(&edge.limiter)));
    let blocked = Some(Arc::clone(&edge.blocked));
    let (lobby, overload) = (Some(Arc::clone(&edge.lobby)), Some(Arc::clone(&edge.overload)));
    let proxies = listen.proxies.clone();
    let config =
        ListenerConfig { counters, limiter, blocked, lobby, overload, proxies, ..listen.bounds.clone() };
    Listener::bind(address, tls, config).await.with_context(|| (listen.taken)(address))
}

/// Makes what looks into requests, if anything does.
pub(crate) fn filter(options: &ServiceOptions) -> JoinHandle<anyhow::Result<Option<Arc<GatewayFilter>>>> {
    let (rules, clock) = (options.rules.clone(), Arc::clone(&options.clock));
    tokio::task::spawn_blocking(move || {
        GatewayFilter::of(rules.filter, rules.private_addresses, rules.filter_files, clock)
    })
}

/// How requests are treated on both.
pub(crate) fn edge_config(
    options: &ServiceOptions,
    filter: Option<Arc<GatewayFilter>>,
    edge: &EdgeState,
) -> EdgeConfig {
    let filter = filter.map(|filter| -> Arc<dyn Filter> { filter });
    EdgeConfig { filter, ..edge_config_of(edge, &options.clock, &options.entropy) }
}

/// The same, where nothing looks into them.
pub(crate) fn edge_config_of(
    edge: &EdgeState,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> EdgeConfig {
    EdgeConfig {
        refuse: web::refuse,
        moves_money: web::moves_money,
        evidence: Arc::clone(&edge.evidence),
        blocked: Arc::clone(&edge.blocked),
        max_body: web::MAX_BODY,
        deadline: Duration::from_secs(30),
        body_timeout: Duration::from_secs(15),
        counters: Arc::clone(&edge.counters),
        limiter: Arc::clone(&edge.limiter),
        overload: Arc::clone(&edge.overload),
        filter: None,
        side: Side::Api,
        region_of,
        only_region: None,
        witness: None,
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
    }
}

/// Whose data a request is about, if the ids in its path say so.
fn region_of(path: &str) -> Option<Region> {
    let regions = cells::regions_in(path);
    regions.first().copied().filter(|_| regions.len() == 1)
}
