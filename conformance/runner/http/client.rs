//! The client: TLS by rustls on ring, HTTP/1.1 by hyper.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use url::Url;

use super::exchange::{Request, Response};
use crate::jose::{base64url, sha256};

/// The largest answer that is read.
const LARGEST: usize = 16 * 1024 * 1024;

/// A client certificate with its key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads a certificate chain, the leaf first, and its key, both in PEM.
    ///
    /// # Errors
    ///
    /// If one of the files cannot be read.
    pub fn read(chain: &Path, key: &Path) -> anyhow::Result<Self> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(chain)
            .with_context(|| format!("{} cannot be read", chain.display()))?
            .collect();
        Ok(Self {
            chain: read.with_context(|| format!("{} is no certificate in PEM", chain.display()))?,
            key: PrivateKeyDer::from_pem_file(key)
                .with_context(|| format!("{} has no private key in PEM", key.display()))?,
        })
    }

    /// The same of texts in PEM.
    ///
    /// # Errors
    ///
    /// If one of them is none.
    pub fn of_pem(chain: &str, key: &str) -> anyhow::Result<Self> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
        Ok(Self {
            chain: read.context("there is no certificate in PEM")?,
            key: PrivateKeyDer::from_pem_slice(key.as_bytes()).context("there is no private key in PEM")?,
        })
    }

    /// The SHA-256 thumbprint of the leaf, as `x5t#S256` has it (RFC 8705 §3.1).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        base64url(&sha256(self.chain.first().map(AsRef::as_ref).unwrap_or_default()))
    }

    /// The leaf in DER.
    #[must_use]
    pub fn leaf(&self) -> &[u8] {
        self.chain.first().map(AsRef::as_ref).unwrap_or_default()
    }

    /// The chain and the key.
    #[must_use]
    pub fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain.clone(), self.key.clone_key())
    }
}

/// What a client is made of.
#[derive(Debug)]
pub struct Setup {
    /// Certificates whose issuing is believed.
    pub roots: RootCertStore,
    /// Client certificates by name.
    pub identities: BTreeMap<String, Arc<Identity>>,
    /// `host:port` to connect to in the place of the one of the address.
    pub connect: BTreeMap<String, String>,
    /// For a whole exchange.
    pub deadline: Duration,
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The address or a header is none.
    #[error("the request cannot be made: {0}")]
    Unmakeable(String),
    /// The server cannot be reached.
    #[error("{place} cannot be reached: {error}")]
    Unreachable {
        /// Host and port.
        place: String,
        /// Why.
        error: std::io::Error,
    },
    /// There is no secure connection.
    #[error("no secure connection to {place}: {error}")]
    Insecure {
        /// Host and port.
        place: String,
        /// Why.
        error: std::io::Error,
    },
    /// The connection broke, or what came is no HTTP.
    #[error("the connection ended without an answer: {0}")]
    Broken(String),
    /// Nothing came in time.
    #[error("no answer within {0} ms")]
    Late(u128),
}

impl NoAnswer {
    /// Whether the server ended the connection, as it may where it wants another certificate.
    #[must_use]
    pub fn closed_by_peer(&self) -> bool {
        matches!(self, Self::Insecure { .. } | Self::Broken(_))
    }
}

/// A client of the target. Makes a connection for each request.
#[derive(Debug)]
pub struct Client {
    setup: Setup,
    tls: BTreeMap<Option<String>, Arc<ClientConfig>>,
}

impl Client {
    /// A client.
    ///
    /// # Errors
    ///
    /// If a certificate and its key do not belong together.
    pub fn new(setup: Setup) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = || {
            ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .map(|builder| builder.with_root_certificates(setup.roots.clone()))
        };
        let mut tls = BTreeMap::from([(None, Arc::new(plain(builder()?.with_no_client_auth())))]);
        for (name, identity) in &setup.identities {
            let (chain, key) = identity.parts();
            let config = builder()?
                .with_client_auth_cert(chain, key)
                .with_context(|| format!("the certificate {name} cannot be used"))?;
            tls.insert(Some(name.clone()), Arc::new(plain(config)));
        }
        Ok(Self { setup, tls })
    }

    /// The client certificate of a name.
    #[must_use]
    pub fn identity(&self, name: &str) -> Option<&Arc<Identity>> {
        self.setup.identities.get(name)
    }

    /// What the client was made of.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Host and port where an address is reached.
    #[must_use]
    pub fn place_of(&self, url: &Url) -> String {
        let place = format!(
            "{}:{}",
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or_default()
        );
        self.setup.connect.get(&place).cloned().unwrap_or(place)
    }

    /// Sends one request over a connection of its own.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn send(&self, request: &Request) -> Result<Response, NoAnswer> {
        let deadline = self.setup.deadline;
        tokio::time::timeout(deadline, self.exchange(request))
            .await
            .unwrap_or(Err(NoAnswer::Late(deadline.as_millis())))
    }

    async fn exchange(&self, request: &Request) -> Result<Response, NoAnswer> {
        let place = self.place_of(&request.url);
        let unreachable = |error| NoAnswer::Unreachable { place: place.clone(), error };
        let stream = TcpStream::connect(&place).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        if request.url.scheme() == "http" {
            return over(TokioIo::new(stream), request, "none").await;
        }
        let config = self.tls.get(&request.certificate).ok_or_else(|| {
            NoAnswer::Unmakeable(format!("there is no certificate {:?}", request.certificate))
        })?;
        let name = ServerName::try_from(request.url.host_str().unwrap_or_default().to_owned())
            .map_err(|error| NoAnswer::Unmakeable(error.to_string()))?;
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
        let stream = connector
            .connect(name, stream)
            .await
            .map_err(|error| NoAnswer::Insecure { place: place.clone(), error })?;
        let tls = match stream.get_ref().1.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
            Some(_) | None => "unknown",
        };
        over(TokioIo::new(stream), request, tls).await
    }
}

/// Every connection is a new one, whatever went before.
fn plain(mut config: ClientConfig) -> ClientConfig {
    config.resumption = rustls::client::Resumption::disabled();
    config
}

async fn over<T>(io: TokioIo<T>, request: &Request, tls: &'static str) -> Result<Response, NoAnswer>
where
    TokioIo<T>: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        NoAnswer::Broken(format!("{error}{cause}"))
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(broken)?;
    let driver = tokio::spawn(connection);
    let path = match request.url.query() {
        Some(query) => format!("{}?{query}", request.url.path()),
        None => request.url.path().to_owned(),
    };
    let mut made = http::Request::builder().method(request.method.as_str()).uri(path);
    if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        made = made.header("host", request.url.authority());
    }
    for (name, value) in &request.headers {
        made = made.header(name, value);
    }
    let made = made
        .body(Full::new(request.body.clone()))
        .map_err(|error| NoAnswer::Unmakeable(error.to_string()))?;
    let answer = sender.send_request(made).await.map_err(broken)?;
    let (head, body) = answer.into_parts();
    let read = Limited::new(body, LARGEST).collect().await;
    driver.abort();
    let body: Bytes = read.map_err(|error| NoAnswer::Broken(error.to_string()))?.to_bytes();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    Ok(Response { status: head.status.as_u16(), headers, body, tls })
}
