//! A client that sends one request over one connection and follows nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Position, Url};

/// Whose certificates are taken.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Those of the authorities of this system.
    System,
    /// Those of the authorities in a PEM file.
    File(PathBuf),
}

/// Where systems keep their authorities.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    Unreachable(String),
    Tls(String),
    Roots(String),
    Slow,
    Cut(String),
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
}

pub(super) struct Client {
    url: Url,
    tls: Option<TlsConnector>,
    patience: Duration,
}

impl Client {
    pub(super) fn new(url: &Url, trust: &Trust, patience: Duration) -> Result<Self, Failure> {
        let tls = if url.scheme() == "https" { Some(connector(trust)?) } else { None };
        Ok(Self { url: url.clone(), tls, patience })
    }

    /// The answer to a body in JSON. Connecting, sending and the answer's head are one wait.
    pub(super) async fn post(&self, headers: &[(&str, String)], body: Bytes) -> Result<Answer, Failure> {
        let exchange = async {
            let host = self.url.host_str().unwrap_or_default();
            let port = self.url.port_or_known_default().unwrap_or(443);
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            let tcp = TcpStream::connect((bare, port))
                .await
                .map_err(|why| Failure::Unreachable(why.to_string()))?;
            let request = self.request(headers, body)?;
            match &self.tls {
                Some(tls) => {
                    let name =
                        ServerName::try_from(bare.to_owned()).map_err(|why| Failure::Tls(why.to_string()))?;
                    let stream = tls.connect(name, tcp).await.map_err(|why| Failure::Tls(why.to_string()))?;
                    exchange(TokioIo::new(stream), request).await
                }
                None => exchange(TokioIo::new(tcp), request).await,
            }
        };
        tokio::time::timeout(self.patience, exchange).await.unwrap_or(Err(Failure::Slow))
    }

    fn request(&self, headers: &[(&str, String)], body: Bytes) -> Result<Request<Full<Bytes>>, Failure> {
        let target = &self.url[Position::BeforePath..Position::AfterQuery];
        let host = &self.url[Position::BeforeHost..Position::AfterPort];
        let mut request = Request::post(target)
            .header(HOST, host)
            .header(USER_AGENT, "consentry-conformance")
            .header(CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        request.body(Full::new(body)).map_err(|why| Failure::Unreachable(why.to_string()))
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, Failure>
where
    S: Read + Write + Unpin + Send + 'static,
{
    let cut = |why: hyper::Error| Failure::Cut(why.to_string());
    let (mut sender, connection) = http1::handshake(stream).await.map_err(cut)?;
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(cut);
    driver.abort();
    Ok(Answer { status: answer?.status() })
}

fn connector(trust: &Trust) -> Result<TlsConnector, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| Failure::Tls(why.to_string()))?
        .with_root_certificates(roots(trust)?)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(trust: &Trust) -> Result<RootCertStore, Failure> {
    let file = match trust {
        Trust::File(file) => file.clone(),
        Trust::System => std::env::var_os("SSL_CERT_FILE")
            .map(PathBuf::from)
            .or_else(|| BUNDLES.into_iter().map(PathBuf::from).find(|bundle| bundle.exists()))
            .ok_or_else(|| Failure::Roots("this system has none".to_owned()))?,
    };
    let text = std::fs::read(&file).map_err(|why| Failure::Roots(why.to_string()))?;
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(CertificateDer::pem_slice_iter(&text).flatten());
    if store.is_empty() { Err(Failure::Roots("it holds no certificate".to_owned())) } else { Ok(store) }
}
