//! The proxy: TLS of its own, any client certificate, one request at a time to the target.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::list::Mutant;
use super::world::{Asked, World};
use crate::anybody::Anybody;
use crate::clock::Clock;
use crate::http::{Request, Response};
use crate::target::{Configuration, Target};

/// A proxy in front of a target.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    root: String,
    places: Vec<String>,
    serving: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy that breaks the target as the mutant says.
    ///
    /// # Errors
    ///
    /// If it cannot listen, or the target cannot be reached.
    pub async fn start(
        mutant: &'static Mutant,
        configuration: Configuration,
        clock: Arc<Clock>,
    ) -> anyhow::Result<Self> {
        let places = places(&configuration);
        let hosts: Vec<_> = places
            .iter()
            .filter_map(|place| place.rsplit_once(':'))
            .map(|(host, _)| host.to_owned())
            .collect();
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(hosts)?.self_signed(&key)?;
        let root = certificate.pem();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Arc::new(Anybody::new(Arc::clone(&provider)));
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )?;
        let world = Arc::new(World::of(Target::new(configuration)?, clock).await?);
        let listener = TcpListener::bind("127.0.0.1:0").await.context("the proxy cannot listen")?;
        let address = listener.local_addr()?;
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, world) = (acceptor.clone(), Arc::clone(&world));
                // Answers are small: none waits for more.
                let _ = stream.set_nodelay(true);
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).cloned();
                    let service = service_fn(move |request| {
                        let (world, leaf) = (Arc::clone(&world), leaf.clone());
                        async move { Ok::<_, Infallible>(answer(mutant, &world, leaf.as_ref(), request).await) }
                    });
                    // A client that goes away ends its connection and nothing else.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self { address, root, places, serving })
    }

    /// The configuration of a target, with the proxy in between.
    #[must_use]
    pub fn through(&self, configuration: &Configuration) -> Configuration {
        let mut through = configuration.clone();
        through.root_pem.push(self.root.clone());
        for place in &self.places {
            through.connect.insert(place.clone(), self.address.to_string());
        }
        through
    }

    /// Ends it.
    pub async fn stop(self) {
        self.serving.abort();
        let _ = self.serving.await;
    }
}

/// Host and port of every address of the configuration.
fn places(configuration: &Configuration) -> Vec<String> {
    let addresses = [&configuration.issuer, &configuration.api, &configuration.resource];
    let mut places: Vec<_> = addresses
        .into_iter()
        .flatten()
        .filter_map(|url| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?)))
        .collect();
    places.sort();
    places.dedup();
    places
}

async fn answer(
    mutant: &'static Mutant,
    world: &World,
    leaf: Option<&CertificateDer<'static>>,
    request: hyper::Request<hyper::body::Incoming>,
) -> hyper::Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let host = head.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let path = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let Ok(url) = url::Url::parse(&format!("https://{host}{path}")) else {
        return plain(400, Bytes::from_static(b"no address"));
    };
    let certificate = leaf.map(|leaf| world.name_of(leaf));
    let headers = head
        .headers
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "host" | "content-length" | "connection"))
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let request = Request { method: head.method.to_string(), url, headers, body, certificate };
    match mutant.how.exchange(world, Asked::new(world, request)).await {
        Ok(answer) => whole(&answer),
        Err(error) => plain(502, Bytes::from(error.to_string())),
    }
}

fn plain(status: u16, body: Bytes) -> hyper::Response<Full<Bytes>> {
    whole(&Response { status, body, ..Response::default() })
}

fn whole(answer: &Response) -> hyper::Response<Full<Bytes>> {
    let mut made = hyper::Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        if !matches!(name.as_str(), "content-length" | "transfer-encoding" | "connection") {
            made = made.header(name, value);
        }
    }
    made.body(Full::new(answer.body.clone())).unwrap_or_default()
}
