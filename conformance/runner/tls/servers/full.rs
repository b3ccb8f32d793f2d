//! Servers that finish handshakes, on rustls with ring.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::anybody::Anybody;

use super::super::{Problem, suites};
use super::authority::Signed;
use super::{Authority, HOST, Served};

/// A server, ready to be served.
#[derive(Debug)]
pub(super) struct Config(ServerConfig);

pub(super) async fn serve(config: Config) -> Result<Served, Problem> {
    let acceptor = TlsAcceptor::from(Arc::new(config.0));
    super::listen(move |stream| {
        let acceptor = acceptor.clone();
        async move { answer(&acceptor, stream).await.unwrap_or_default() }
    })
    .await
}

/// Reads one request, early or not, and answers it with nothing.
async fn answer(acceptor: &TlsAcceptor, stream: TcpStream) -> Option<()> {
    let mut early = Vec::new();
    let mut stream = acceptor
        .accept_with(stream, |connection| {
            // Reading it is what makes rustls take early data.
            if let Some(mut data) = connection.early_data() {
                let _read = std::io::Read::read_to_end(&mut data, &mut early);
            }
        })
        .await
        .ok()?;
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await.ok()?;
    stream.shutdown().await.ok()
}

impl Config {
    /// TLS 1.2 and 1.3, strict, with sessions to go on with.
    pub fn sound(authority: &Authority) -> Result<Self, Problem> {
        Self::open(sign(authority)?)
    }

    /// As [`Self::sound`], with this certificate.
    pub fn open(signed: Signed) -> Result<Self, Problem> {
        Self::of(signed, WebPkiClientVerifier::no_client_auth())
    }

    /// As [`Self::sound`], for known clients only, and without sessions to go on with.
    pub fn mutual(authority: &Authority) -> Result<Self, Problem> {
        let mut config = Self::resuming(authority)?;
        config.0.session_storage = Arc::new(NoServerSessionStorage {});
        config.0.send_tls13_tickets = 0;
        Ok(config)
    }

    /// For known clients only, who may come back without saying again who they are.
    pub fn resuming(authority: &Authority) -> Result<Self, Problem> {
        Self::of(sign(authority)?, known(authority)?)
    }

    /// For clients with any certificate.
    pub fn trusting(authority: &Authority) -> Result<Self, Problem> {
        Self::of(sign(authority)?, Arc::new(Anybody::new(Arc::new(ring::default_provider()))))
    }

    /// With early data.
    pub fn hasty(authority: &Authority) -> Result<Self, Problem> {
        let mut config = Self::sound(authority)?;
        config.0.max_early_data_size = 1024;
        Ok(config)
    }

    /// With HTTP/2 only.
    pub fn without_http11(authority: &Authority) -> Result<Self, Problem> {
        let mut config = Self::sound(authority)?;
        config.0.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }

    fn of(signed: Signed, clients: Arc<dyn ClientCertVerifier>) -> Result<Self, Problem> {
        let key = rustls::crypto::ring::sign::any_supported_type(&signed.key).map_err(own)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(strict()))
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)
            .map_err(own)?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::new(Always(Arc::new(CertifiedKey::new(signed.chain, key)))));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.require_ems = true;
        config.session_storage = ServerSessionMemoryCache::new(64);
        Ok(Self(config))
    }
}

fn sign(authority: &Authority) -> Result<Signed, Problem> {
    authority.sign(HOST, (-5, 5))
}

fn own(error: rustls::Error) -> Problem {
    Problem::Own(format!("a server could not be set up: {error}"))
}

/// Ring with the suites that RFC 9325 §4.2 recommends for TLS 1.2.
fn strict() -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.cipher_suites.retain(|suite| {
        let code = u16::from(suite.suite());
        suite.tls13().is_some() || suites::RECOMMENDED.contains(&code)
    });
    provider
}

fn known(authority: &Authority) -> Result<Arc<dyn ClientCertVerifier>, Problem> {
    WebPkiClientVerifier::builder_with_provider(
        Arc::new(authority.roots()?),
        Arc::new(ring::default_provider()),
    )
    .build()
    .map_err(|error| Problem::Own(error.to_string()))
}

/// The one certificate, whatever name is asked for and whatever it looks like.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}
