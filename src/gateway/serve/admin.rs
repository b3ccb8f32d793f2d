//! Where operators ask.

use std::sync::Arc;

use anyhow::{Context, ensure};
use axum::Router;
use domain::{Clock, Entropy, SystemClock, SystemEntropy};
use edge::{
    ClientFiles, EdgeConfig, Listener, ListenerConfig, Revocation, ServerKey, TlsFiles, TlsWatch, protect,
};
use limits::{Limiter, Policies};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::service::{EdgeState, WatchedTls, edge_config_of};

/// A listener for operators, bound.
pub(super) struct AdminListener {
    listener: Listener,
    /// Its certificate and authorities, which may change.
    pub(super) tls: WatchedTls,
}

impl AdminListener {
    /// Binds, if operators are to be answered.
    ///
    /// # Errors
    ///
    /// What is missing, or taken.
    pub(super) async fn open(config: &Config) -> anyhow::Result<Option<Self>> {
        let Some(address) = config.listen.admin else { return Ok(None) };
        let admin = &config.admin;
        ensure!(
            !admin.authorities.is_empty(),
            "admin.authorities names nobody who issues operators' certificates"
        );
        ensure!(
            !admin.viewers.is_empty() || !admin.operators.is_empty(),
            "admin.viewers and admin.operators name nobody: say who may use listen.admin"
        );
        let certificate = admin.certificate.clone().or_else(|| config.tls.certificate.clone());
        let key = admin.key.clone().or_else(|| config.tls.key.clone());
        let clients = ClientFiles {
            anchors: admin.authorities.clone(),
            lists: Vec::new(),
            revocation: Revocation::Off,
            responders: None,
            profiles: Vec::new(),
        };
        let files = TlsFiles {
            certificate: certificate.context("admin.certificate is not said")?,
            key: ServerKey::File(key.context("admin.key is not said")?),
            staple: None,
            clients: Some(clients),
        };
        let watch = TlsWatch::open(files).context("[admin]")?;
        let bounds =
            ListenerConfig { max_connections: 100, max_per_address: 50, ..ListenerConfig::default() };
        let taken = || format!("{address} is taken: say another one as listen.admin");
        let listener = Listener::bind(address, watch.tls(), bounds).await.with_context(taken)?;
        Ok(Some(Self { listener, tls: WatchedTls::of(vec![watch]) }))
    }

    /// Answers until `stop`. What operators ask is counted by nobody and told to nobody.
    pub(super) async fn serve(self, routes: Router, edge: EdgeState, stop: CancellationToken) {
        let (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>) =
            (Arc::new(SystemClock), Arc::new(SystemEntropy));
        let config = EdgeConfig {
            limiter: Arc::new(Limiter::new(Policies::unlimited())),
            evidence: Arc::default(),
            counters: Arc::default(),
            ..edge_config_of(&edge, &clock, &entropy)
        };
        self.listener.serve(protect(routes, config), clock, stop).await;
    }
}
