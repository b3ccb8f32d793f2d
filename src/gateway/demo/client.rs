//! A small HTTPS client for the demo fintech, its PSU, and tests.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::client_tls::trusting;

/// Longest time to an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Sends requests, with or without a client certificate. One connection each.
#[derive(Clone, Debug)]
pub struct Client {
    tls: Arc<ClientConfig>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; `null` if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A header, if it is there and plain.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The text of a member of the JSON body.
    #[must_use]
    pub fn text(&self, pointer: &str) -> String {
        self.json().pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// The answer, if it has this status.
    ///
    /// # Errors
    ///
    /// Says which status came, with the code of the problem.
    pub fn expect(self, status: u16) -> anyhow::Result<Self> {
        if self.status.as_u16() == status {
            return Ok(self);
        }
        let code = [self.text("/code"), self.text("/error")].concat();
        let detail = [self.text("/detail"), self.text("/error_description")].concat();
        Err(anyhow!("answered {} {code} {detail}", self.status.as_u16()))
    }
}

impl Client {
    /// A client that trusts one root and shows a certificate, if it has one.
    ///
    /// # Errors
    ///
    /// If a PEM text cannot be used.
    pub fn new(root_pem: &str, identity: Option<(&str, &str)>) -> anyhow::Result<Self> {
        Ok(Self { tls: trusting(root_pem, identity)? })
    }

    /// Sends one request.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Answer> {
        let work = async {
            let (parts, body) = self.open(method, url, headers, body).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        tokio::time::timeout(TIMEOUT, work).await.with_context(|| format!("{url} did not answer in time"))?
    }

    /// Sends one request; the body of the answer is still to come. The connection ends with
    /// it.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn open(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Response<Incoming>> {
        let url = Url::parse(url)?;
        let host = url.host_str().context("an address without a host")?.to_owned();
        let port = url.port_or_known_default().context("an address without a port")?;
        let stream =
            TcpStream::connect((host.as_str(), port)).await.with_context(|| format!("{host}:{port}"))?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(host)?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(url[url::Position::BeforePath..url::Position::AfterQuery].to_owned());
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
            request = request.header(http::header::HOST, host);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok(sender.send_request(request.body(Full::new(body.into()))?).await?)
    }

    /// Gets an address.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn get(&self, url: &str, headers: &[(&str, &str)]) -> anyhow::Result<Answer> {
        self.send(Method::GET, url, headers, Bytes::new()).await
    }

    /// Posts a form.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn post_form(&self, url: &str, form: &[(&str, &str)]) -> anyhow::Result<Answer> {
        self.post_form_with(url, &[], form).await
    }

    /// Posts a form with further headers.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn post_form_with(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        form: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/x-www-form-urlencoded"));
        self.send(Method::POST, url, &headers, body).await
    }

    /// Posts JSON.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn post_json(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> anyhow::Result<Answer> {
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/json"));
        self.send(Method::POST, url, &headers, body.to_string()).await
    }
}
