//! This process as one of several cells: which regions it holds, how others reach it, and how
//! it reaches them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use arc_swap::ArcSwap;
use axum::Router;
use axum::middleware::from_fn_with_state;
use cells::{Arrivals, CellFile, Forwarder, Known, NotPassed, Peers, Routes};
use crypto::{Certificate, SigningKey};
use domain::{Clock, Region};
use edge::{ClientTrust, Listener, ListenerConfig, Revocation, ServerIdentity, ServerTls};
use flows::Gateway;
use telemetry::{FIGURES, Reloaded};
use url::Url;
use zeroize::Zeroizing;

use crate::client_tls::trusting;
use crate::read;
use crate::stamp::Stamp;

/// A cell, bound to the address at which others reach it.
pub(crate) struct Cell {
    file: CellFile,
    peers: Known,
    watched: WatchedCell,
    listener: Option<Listener>,
    clock: Arc<dyn Clock>,
}

/// What the file of a cell and the files that it names say.
struct Said {
    file: CellFile,
    peers: Peers,
    identity: ServerIdentity,
    trust: ClientTrust,
}

/// Files, with the state of each.
type Stamps = Vec<(PathBuf, Option<Stamp>)>;

/// The files of a cell: other certificates, keys, authorities and neighbours are taken up while the gateway
/// runs. What cannot be used changes nothing.
#[derive(Clone)]
pub(crate) struct WatchedCell {
    path: PathBuf,
    /// Its name, its regions, where its machines are and where it listens take a restart to change.
    lasting: (String, BTreeSet<Region>, Option<Region>, SocketAddr),
    peers: Known,
    tls: ServerTls,
    seen: Arc<Mutex<Stamps>>,
}

/// Reads the file of a cell, and all that it names.
fn read_all(path: &Path) -> anyhow::Result<Said> {
    let named = || format!("{} tells of no cell", path.display());
    let file = CellFile::parse(&read(path)?).with_context(named)?;
    let place = |file: &Path| path.parent().unwrap_or(Path::new("")).join(file);
    let text = |file: &Path| read(&place(file));
    let (shown, anchors) = (text(&file.certificate)?, text(&file.trust)?);
    let key_pem = Zeroizing::new(text(&file.key)?);
    let fields = certificate(&place(&file.certificate))?;
    let key = SigningKey::from_pem(&key_pem, fields.public_key().thumbprint())
        .with_context(|| format!("{} is no key of a cell: P-256, PEM", file.key.display()))?;
    let identity = ServerIdentity::from_pem(&shown, &key_pem).with_context(named)?;
    let mut trust = ClientTrust::new(Revocation::Off);
    trust.add_anchors(anchors.as_bytes()).with_context(named)?;
    let mut client = (*trusting(&anchors, Some((&shown, &key_pem))).with_context(named)?).clone();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let client = Arc::new(client);
    let known = |files: &[PathBuf]| -> anyhow::Result<Vec<Certificate>> {
        files.iter().map(|file| certificate(&place(file))).collect()
    };
    let way = |address: &Url, known: &[Certificate]| {
        let thumbprints = known.iter().map(|certificate| certificate.thumbprint).collect();
        Forwarder::to(address.clone(), Arc::clone(&client), thumbprints)
    };
    let (mut neighbours, mut certificates) = (Vec::new(), Vec::new());
    for cell in &file.neighbours {
        let known = known(&cell.certificates)?;
        neighbours.push((cell.clone(), way(&cell.address, &known)));
        certificates.extend(known.into_iter().map(|certificate| (certificate, cell.name.clone())));
    }
    for original in &file.originals {
        let known = known(&original.certificates)?;
        certificates.extend(known.into_iter().map(|certificate| (certificate, original.name.clone())));
    }
    let originals = file.originals.iter().map(|original| original.name.clone()).collect();
    let shadow = match &file.shadow {
        Some(shadow) => Some((shadow.clone(), way(&shadow.address, &known(&shadow.certificates)?))),
        None => None,
    };
    let peers = Peers { neighbours, shadow, originals, certificates, key: Arc::new(key) };
    Ok(Said { file, peers, identity, trust })
}

/// Each file that a cell is told by, with its state now.
fn stamps(path: &Path) -> Stamps {
    let mut all = vec![path.to_owned()];
    let file = read(path).ok().and_then(|text| CellFile::parse(&text).ok());
    if let Some(file) = file {
        let named = [file.certificate, file.key, file.trust];
        let of_others = file.neighbours.into_iter().flat_map(|cell| cell.certificates);
        let of_others = of_others.chain(file.originals.into_iter().flat_map(|cell| cell.certificates));
        let of_others = of_others.chain(file.shadow.into_iter().flat_map(|cell| cell.certificates));
        let folder = path.parent().unwrap_or(Path::new(""));
        all.extend(named.into_iter().chain(of_others).map(|file| folder.join(file)));
    }
    all.into_iter().map(|path| (path.clone(), Stamp::of(&path))).collect()
}

fn lasting(file: &CellFile) -> (String, BTreeSet<Region>, Option<Region>, SocketAddr) {
    (file.name.clone(), file.regions.clone(), file.stands_in, file.listen)
}

impl WatchedCell {
    /// Takes up the files if one of them has changed.
    pub(crate) fn look(&mut self) {
        let changed = self.seen().iter().any(|(path, was)| Stamp::of(path) != *was);
        if changed {
            self.reload();
        }
    }

    /// Takes up the files as they are.
    pub(crate) fn reload(&self) {
        *self.seen() = stamps(&self.path);
        self.take_up();
    }

    fn seen(&self) -> MutexGuard<'_, Stamps> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_up(&self) {
        let taken = || {
            let said = read_all(&self.path)?;
            anyhow::ensure!(
                lasting(&said.file) == self.lasting,
                "its name, its regions, where it stands and where it listens change with a restart"
            );
            self.tls.replace(said.identity, Some(said.trust))?;
            self.peers.store(Arc::new(said.peers));
            Ok(())
        };
        match taken() {
            Ok(()) => tracing::info!("The files of the cell were read anew"),
            Err(error) => {
                FIGURES.reload_failed(Reloaded::Cell);
                tracing::error!(error = format!("{error:#}"), "The other cells stay as they were");
            }
        }
    }
}

impl Cell {
    /// Reads the file and all that it names, and binds, if it `answers`.
    pub(crate) async fn open(path: &Path, answers: bool, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        // Reading twice between two changes is harmless, missing one is not.
        let seen = Arc::new(Mutex::new(stamps(path)));
        let Said { file, peers, identity, trust } = read_all(path)?;
        let tls = ServerTls::new(identity, Some(trust))?;
        let config = ListenerConfig { max_streams: 1_024, ..ListenerConfig::default() };
        let config = ListenerConfig { max_per_address: config.max_connections, ..config };
        let taken = || format!("{} cannot be listened at for other cells", file.listen);
        let listener = match answers {
            true => Some(Listener::bind(file.listen, tls.clone(), config).await.with_context(taken)?),
            false => None,
        };
        let peers = Arc::new(ArcSwap::from_pointee(peers));
        let lasting = lasting(&file);
        let watched = WatchedCell { path: path.to_owned(), lasting, peers: Arc::clone(&peers), tls, seen };
        Ok(Self { file, peers, watched, listener, clock })
    }

    /// Its files, to be looked at again and again.
    pub(crate) fn watched(&self) -> WatchedCell {
        self.watched.clone()
    }

    /// The region that its machines stand in, if that is said.
    pub(crate) fn stands_in(&self) -> Option<Region> {
        self.file.stands_in
    }

    /// The regions that it holds.
    pub(crate) fn regions(&self) -> Vec<Region> {
        self.file.regions.iter().copied().collect()
    }

    /// The regions that others hold.
    pub(crate) fn elsewhere(&self) -> impl Iterator<Item = Region> {
        self.file.neighbours.iter().flat_map(|cell| cell.regions.iter().copied())
    }

    /// Puts the way to other homes in front of what answers here.
    pub(crate) fn in_front_of(
        &self,
        router: Router,
        gateway: &Arc<Gateway>,
        origin: &str,
        pages: bool,
    ) -> Router {
        let (of, keeper) = (Arc::clone(gateway), Arc::clone(gateway));
        let routes = Routes {
            name: self.file.name.clone(),
            here: self.file.regions.clone(),
            through: self.file.places(),
            policy: gateway.policy(),
            note: Arc::new(move |not_passed| {
                let keeper = Arc::clone(&keeper);
                Box::pin(async move {
                    let NotPassed { of, rules, request, certificate } = not_passed;
                    keeper.not_passed(of, &rules, request, certificate).await;
                })
            }),
            peers: Arc::clone(&self.peers),
            institution: Arc::new(move |id| Some(of.registry().profile(&id.parse().ok()?)?.region)),
            origin: origin.to_owned(),
            max_body: web::MAX_BODY,
            pages,
            clock: Arc::clone(&self.clock),
        };
        let routes = Arc::new(routes);
        let router = router.layer(from_fn_with_state(Arc::clone(&routes), cells::route));
        router.layer(from_fn_with_state(routes, cells::mirror))
    }

    /// What answers to other cells: `router`, to the clients in whose names they ask.
    pub(crate) fn for_arrivals(&self, router: Router, clients: ServerTls) -> Router {
        let arrivals = Arrivals {
            name: self.file.name.clone(),
            here: self.file.regions.clone(),
            peers: Arc::clone(&self.peers),
            clients,
            clock: Arc::clone(&self.clock),
        };
        router.layer(from_fn_with_state(Arc::new(arrivals), cells::arrive))
    }

    /// The socket at which others reach it, if they do.
    pub(crate) fn into_listener(mut self) -> Option<(Listener, Self)> {
        Some((self.listener.take()?, self))
    }
}

/// Whether a file of a cell, and all that it names, can be used.
pub(crate) fn check(path: &Path) -> anyhow::Result<()> {
    read_all(path).map(drop)
}

fn certificate(file: &Path) -> anyhow::Result<Certificate> {
    Certificate::from_pem(&read(file)?).with_context(|| format!("{} is no certificate", file.display()))
}
