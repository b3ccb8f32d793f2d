//! This process as one of several cells: which regions it holds, how others reach it, and how
//! it reaches them.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::middleware::from_fn_with_state;
use cells::{Arrivals, CellFile, Forwarder, Neighbour, NotPassed, Routes};
use crypto::pki::Issued;
use crypto::{Certificate, SigningKey};
use domain::{Clock, Region};
use edge::{Listener, ListenerConfig, ServerTls};
use flows::Gateway;
use rustls::ClientConfig;
use zeroize::Zeroizing;

use super::trusting;
use crate::read;

/// A cell, bound to the address at which others reach it.
pub(super) struct Cell {
    file: CellFile,
    /// Certificates of each neighbour, in their order.
    known: Vec<Vec<Certificate>>,
    key: Arc<SigningKey>,
    client: Arc<ClientConfig>,
    listener: Listener,
    clock: Arc<dyn Clock>,
}

impl Cell {
    /// Reads the file and all that it names, and binds.
    pub(super) async fn open(path: &Path, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let named = || format!("{} of --cells", path.display());
        let file = CellFile::parse(&read(path)?).with_context(named)?;
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let text = |file: &Path| read(&folder.join(file));
        let (shown, trust) = (text(&file.certificate)?, text(&file.trust)?);
        let key_pem = Zeroizing::new(text(&file.key)?);
        let fields = certificate(&folder.join(&file.certificate))?;
        let key = SigningKey::from_pem(&key_pem, fields.public_key().thumbprint())
            .with_context(|| format!("{} is no key of a cell: P-256, PEM", file.key.display()))?;
        let tls =
            ServerTls::for_clients(&shown, &key_pem, std::slice::from_ref(&trust)).with_context(named)?;
        let identity = Issued { certificate_pem: shown, key_pem: key_pem.to_string() };
        let mut client = (*trusting(&trust, Some(&identity)).with_context(named)?).clone();
        client.alpn_protocols = vec![b"h2".to_vec()];
        let known =
            |cell: &Neighbour| cell.certificates.iter().map(|it| certificate(&folder.join(it))).collect();
        let known = file.neighbours.iter().map(known).collect::<anyhow::Result<_>>()?;
        let config = ListenerConfig { max_streams: 1_024, ..ListenerConfig::default() };
        let config = ListenerConfig { max_per_address: config.max_connections, ..config };
        let listener = Listener::bind(file.listen, tls, config)
            .await
            .with_context(|| format!("{} cannot be listened at for other cells", file.listen))?;
        Ok(Self { file, known, key: Arc::new(key), client: Arc::new(client), listener, clock })
    }

    /// The region that its machines stand in, if that is said.
    pub(super) fn stands_in(&self) -> Option<Region> {
        self.file.stands_in
    }

    /// The regions that it holds.
    pub(super) fn regions(&self) -> Vec<Region> {
        self.file.regions.iter().copied().collect()
    }

    /// The regions that others hold.
    pub(super) fn elsewhere(&self) -> impl Iterator<Item = Region> {
        self.file.neighbours.iter().flat_map(|cell| cell.regions.iter().copied())
    }

    /// Puts the way to other homes in front of what answers here.
    pub(super) fn in_front_of(
        &self,
        router: Router,
        gateway: &Arc<Gateway>,
        origin: &str,
        pages: bool,
    ) -> Router {
        let neighbours = self.file.neighbours.iter().zip(&self.known).map(|(cell, known)| {
            let known = known.iter().map(|certificate| certificate.thumbprint).collect();
            (cell.clone(), Forwarder::to(cell.address.clone(), Arc::clone(&self.client), known))
        });
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
            neighbours: neighbours.collect(),
            institution: Arc::new(move |id| Some(of.registry().profile(&id.parse().ok()?)?.region)),
            key: Arc::clone(&self.key),
            origin: origin.to_owned(),
            max_body: web::MAX_BODY,
            pages,
            clock: Arc::clone(&self.clock),
        };
        router.layer(from_fn_with_state(Arc::new(routes), cells::route))
    }

    /// What answers to other cells: `router`, to the clients in whose names they ask.
    pub(super) fn for_arrivals(&self, router: Router, clients: ServerTls) -> Router {
        let known = self.file.neighbours.iter().zip(&self.known);
        let known = known.flat_map(|(cell, known)| known.iter().map(|it| (it.clone(), cell.name.clone())));
        let arrivals = Arrivals {
            name: self.file.name.clone(),
            here: self.file.regions.clone(),
            cells: known.collect(),
            clients,
            clock: Arc::clone(&self.clock),
        };
        router.layer(from_fn_with_state(Arc::new(arrivals), cells::arrive))
    }

    /// The socket at which others reach it.
    pub(super) fn into_listener(self) -> Listener {
        self.listener
    }
}

fn certificate(file: &Path) -> anyhow::Result<Certificate> {
    Certificate::from_pem(&read(file)?).with_context(|| format!("{} is no certificate", file.display()))
}
