//! Where the sandbox listens: the pages, and the API with client certificates.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use crypto::SigningKey;
use edge::{
    ClientFiles, EdgeConfig, Filter, HttpOcsp, Listener, ListenerConfig, OcspCache, ServerKey, ServerTls,
    TlsFiles, TlsWatch,
};
use tokio::task::JoinHandle;

use super::{API, EdgeState, PAGES, SandboxOptions, ServerFiles, address, port_hint};
use crate::filter::GatewayFilter;
use crate::keys::KeySource;
use crate::{keys, read};

/// Bound sockets, and the files that their TLS comes from.
pub(super) struct Listeners {
    pub(super) pages: Listener,
    pub(super) api: Listener,
    pub(super) tls: WatchedTls,
}

impl Listeners {
    /// Binds both; `pki` is the folder of the server certificate.
    pub(super) async fn open(options: &SandboxOptions, pki: &Path, edge: &EdgeState) -> anyhow::Result<Self> {
        for file in &options.trust_ca {
            crypto::Certificate::from_pem(&read(file)?)
                .with_context(|| format!("{} of --trust-ca holds no certificate", file.display()))?;
        }
        let anchors = std::iter::once(pki.join("root.pem")).chain(options.trust_ca.iter().cloned());
        let clients = ClientFiles {
            anchors: anchors.collect(),
            lists: options.revocation_lists.clone(),
            revocation: options.revocation,
            responders: responders(options),
            profiles: options.trust_profiles.clone(),
        };
        let identity = identity(&options.server, pki)?;
        let pages = TlsWatch::open(identity.clone())?;
        let api = TlsWatch::open(TlsFiles { clients: Some(clients), ..identity })?;
        Ok(Self {
            pages: bind(options, PAGES, pages.tls(), edge).await?,
            api: bind(options, API, api.tls(), edge).await?,
            tls: WatchedTls(Arc::new(Mutex::new(vec![pages, api]))),
        })
    }
}

/// The TLS of both, for who looks at the files and for who is told to.
#[derive(Clone)]
pub(super) struct WatchedTls(Arc<Mutex<Vec<TlsWatch>>>);

impl WatchedTls {
    /// The TLS by which clients are judged.
    pub(super) fn of_api(&self) -> Option<ServerTls> {
        self.all().last().map(TlsWatch::tls)
    }

    /// Takes up what changed. Blocks while it reads.
    pub(super) fn look(&mut self) {
        self.all().iter_mut().for_each(TlsWatch::look);
    }

    /// Takes up the files as they are. Blocks while it reads.
    pub(super) fn reload(&self) {
        self.all().iter_mut().for_each(TlsWatch::reload);
    }

    fn all(&self) -> MutexGuard<'_, Vec<TlsWatch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a port shows, without clients.
fn identity(server: &ServerFiles, pki: &Path) -> anyhow::Result<TlsFiles> {
    let (certificate, key) = match &server.certificate {
        None => (pki.join("server.pem"), ServerKey::File(pki.join("server.key"))),
        Some((certificate, key)) => (certificate.clone(), held(key)?),
    };
    Ok(TlsFiles { certificate, key, staple: server.ocsp_response.clone(), clients: None })
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
fn responders(options: &SandboxOptions) -> Option<Arc<OcspCache>> {
    let hosts: Vec<_> = options.ocsp_hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    // A responder of a sandbox may well run beside it.
    let source = HttpOcsp { hosts, private_too: true, timeout: Duration::from_secs(3) };
    (!source.hosts.is_empty()).then(|| Arc::new(OcspCache::new(Arc::new(source))))
}

async fn bind(
    options: &SandboxOptions,
    offset: u16,
    tls: ServerTls,
    edge: &EdgeState,
) -> anyhow::Result<Listener> {
    let address = address(options.port_base, offset);
    let (counters, limiter) = (Arc::clone(&edge.counters), Some(Arc::clone(&edge.limiter)));
    let blocked = Some(Arc::clone(&edge.blocked));
    let (lobby, overload) = (Some(Arc::clone(&edge.lobby)), Some(Arc::clone(&edge.overload)));
    let proxies = options.proxies.clone();
    let config =
        ListenerConfig { counters, limiter, blocked, lobby, overload, proxies, ..ListenerConfig::default() };
    // Everybody comes from this machine, most with the one certificate of the demo.
    let most = config.max_connections;
    let config = ListenerConfig { max_per_address: most, max_per_client: most, ..config };
    Listener::bind(address, tls, config).await.with_context(|| port_hint(address))
}

/// Makes what looks into requests, if anything does.
pub(super) fn filter(options: &SandboxOptions) -> JoinHandle<anyhow::Result<Option<Arc<GatewayFilter>>>> {
    let (mode, files, clock) = (options.filter, options.filter_files.clone(), Arc::clone(&options.clock));
    tokio::task::spawn_blocking(move || GatewayFilter::of(mode, true, files, clock))
}

/// How requests are treated on both.
pub(super) fn edge_config(
    options: &SandboxOptions,
    filter: Option<Arc<GatewayFilter>>,
    edge: &EdgeState,
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
        filter: filter.map(|filter| -> Arc<dyn Filter> { filter }),
        clock: Arc::clone(&options.clock),
        entropy: Arc::clone(&options.entropy),
    }
}
