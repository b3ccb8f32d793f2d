//! TCP and TLS to a bank, each failure with its name.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{InvalidTransport, TlsIdentity};
use crate::BankErrorKind;

/// TLS 1.2 and 1.3, only these roots, our certificate if there is one.
pub(super) fn client_config(
    roots_pem: &str,
    identity: Option<&TlsIdentity>,
) -> Result<Arc<ClientConfig>, InvalidTransport> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(roots_pem.as_bytes()) {
        let certificate = certificate.map_err(|_| InvalidTransport::Roots)?;
        roots.add(certificate).map_err(|_| InvalidTransport::Roots)?;
    }
    if roots.is_empty() {
        return Err(InvalidTransport::Roots);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|_| InvalidTransport::Mismatch)?
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain: Result<Vec<_>, _> =
                CertificateDer::pem_slice_iter(identity.certificate_chain_pem.as_bytes()).collect();
            let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(InvalidTransport::Certificate)?;
            let key = PrivateKeyDer::from_pem_slice(identity.private_key_pem.expose_secret().as_bytes())
                .map_err(|_| InvalidTransport::Key)?;
            builder.with_client_auth_cert(chain, key).map_err(|_| InvalidTransport::Mismatch)?
        }
    };
    Ok(Arc::new(config))
}

/// No connection came about: nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectFailed {
    #[error("the address names no host")]
    NoHost,
    #[error("no TCP connection")]
    Tcp(#[source] io::Error),
    #[error("no connection in time")]
    Timeout,
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
}

impl ConnectFailed {
    pub(super) fn kind(&self) -> BankErrorKind {
        match self {
            Self::NoHost => BankErrorKind::ProfileError,
            Self::Tcp(_) | Self::Timeout => BankErrorKind::BankUnavailable,
            // Whoever hangs up in the handshake says nothing about TLS.
            Self::Tls(error) if !error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
                BankErrorKind::BankUnavailable
            }
            Self::Tls(error) => refusal(error).unwrap_or(BankErrorKind::TlsFailed),
        }
    }
}

/// Whether an error is a TLS alert with which the bank refuses our certificate.
pub(super) fn refusal(error: &(dyn std::error::Error + 'static)) -> Option<BankErrorKind> {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref)?;
    let rustls::Error::AlertReceived(alert) = inner.downcast_ref::<rustls::Error>()? else {
        return None;
    };
    let ours = matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::NoCertificate
    );
    ours.then_some(BankErrorKind::CertificateRejected)
}

/// Opens connections for the pool.
#[derive(Clone)]
pub(super) struct Connector {
    tls: TlsConnector,
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(config: Arc<ClientConfig>, timeout: Duration) -> Self {
        Self { tls: TlsConnector::from(config), timeout }
    }
}

impl tower::Service<Uri> for Connector {
    type Response = PooledTls;
    type Error = ConnectFailed;
    type Future = Pin<Box<dyn Future<Output = Result<PooledTls, ConnectFailed>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectFailed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (tls, timeout) = (self.tls.clone(), self.timeout);
        Box::pin(async move {
            tokio::time::timeout(timeout, connect(tls, uri)).await.unwrap_or(Err(ConnectFailed::Timeout))
        })
    }
}

async fn connect(tls: TlsConnector, uri: Uri) -> Result<PooledTls, ConnectFailed> {
    let host = uri.host().ok_or(ConnectFailed::NoHost)?.trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(|_| ConnectFailed::NoHost)?;
    let port = uri.port_u16().unwrap_or(443);
    let tcp = TcpStream::connect((host, port)).await.map_err(ConnectFailed::Tcp)?;
    tcp.set_nodelay(true).map_err(ConnectFailed::Tcp)?;
    let stream = tls.connect(name, tcp).await.map_err(ConnectFailed::Tls)?;
    Ok(PooledTls::from(stream))
}

/// A connection over TLS, as a pool keeps it.
pub struct PooledTls(TokioIo<TlsStream<TcpStream>>);

impl From<TlsStream<TcpStream>> for PooledTls {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        Self(TokioIo::new(stream))
    }
}

impl Connection for PooledTls {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for PooledTls {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl hyper::rt::Write for PooledTls {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
