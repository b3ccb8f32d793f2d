//! A client that keeps its connections, and knows whether a request left.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use consentry::demo::Answer;
use consentry::sandbox::Access;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

/// How long one waits for one answer.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECTION: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// No byte of the request left: it may be sent again.
    NotSent(anyhow::Error),
    /// It may have arrived.
    Lost(anyhow::Error),
}

/// A client with a certificate, of one origin.
#[derive(Clone)]
pub struct Wire {
    tls: Arc<ClientConfig>,
    host: String,
    port: u16,
    idle: Arc<Mutex<Vec<SendRequest<Full<Bytes>>>>>,
}

impl Wire {
    /// To the API, with the certificate of the demo's fintech.
    pub fn to_api(access: &Access) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(access.pki.root.as_bytes()) {
            roots.add(certificate?)?;
        }
        let fintech = &access.pki.fintech;
        let chain = CertificateDer::pem_slice_iter(fintech.certificate_pem.as_bytes());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(
                chain.collect::<Result<_, _>>()?,
                PrivateKeyDer::from_pem_slice(fintech.key_pem.as_bytes())?,
            )?;
        let url = Url::parse(&access.api)?;
        Ok(Self {
            tls: Arc::new(tls),
            host: url.host_str().context("no host")?.to_owned(),
            port: url.port().context("no port")?,
            idle: Arc::default(),
        })
    }

    /// Sends one request, over a connection that is there, or a new one.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, NoAnswer> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, format!("{}:{}", self.host, self.port));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Full::new(body)).map_err(|error| NoAnswer::NotSent(error.into()))?;
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let fresh = kept.is_none();
            let mut connection = match kept {
                Some(kept) => kept,
                None => match timeout(CONNECTION, self.connect()).await {
                    Ok(Ok(connection)) => connection,
                    Ok(Err(error)) => return Err(NoAnswer::NotSent(error)),
                    Err(_) => return Err(NoAnswer::NotSent(anyhow::anyhow!("no connection in time"))),
                },
            };
            let answered = timeout(ANSWER, connection.try_send_request(request)).await;
            let response = match answered {
                Err(_) => return Err(NoAnswer::Lost(anyhow::anyhow!("no answer in time"))),
                Ok(Ok(response)) => response,
                Ok(Err(mut error)) => match error.take_message() {
                    // A connection that was kept has ended meanwhile.
                    Some(unsent) if !fresh => {
                        request = unsent;
                        continue;
                    }
                    Some(_) => return Err(NoAnswer::NotSent(error.into_error().into())),
                    None => return Err(NoAnswer::Lost(error.into_error().into())),
                },
            };
            let (parts, body) = response.into_parts();
            let body = match timeout(ANSWER, body.collect()).await {
                Err(_) => return Err(NoAnswer::Lost(anyhow::anyhow!("half an answer"))),
                Ok(Err(error)) => return Err(NoAnswer::Lost(error.into())),
                Ok(Ok(body)) => body.to_bytes(),
            };
            if connection.ready().await.is_ok() {
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            return Ok(Answer { status: parts.status, headers: parts.headers, body });
        }
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(self.host.clone())?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }
}
