//! Connections to a server under test, from an address of one's choice.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::header::HOST;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedCipherSuite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Place;

/// The client that every sandbox has.
pub const DEMO: &str = "demo-fintech";

/// A server, and who we are to it.
#[derive(Clone)]
pub struct Site {
    pub address: SocketAddr,
    /// `host:port`, as requests name it.
    pub host: String,
    tls: Arc<ClientConfig>,
    roots: Arc<RootCertStore>,
    /// From where we connect, if that is not left to the machine.
    pub local: Option<IpAddr>,
}

/// A connection that takes one request after the other.
pub enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

impl Site {
    /// With the certificate of the place, if it is to be shown.
    pub fn of(place: &Place, shows: bool, http2: bool) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(read(&place.root)?.as_bytes()) {
            roots.add(certificate?)?;
        }
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&roots));
        let mut config = if shows {
            let chain = read(&place.certificate)?;
            let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>()?;
            config
                .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(read(&place.key)?.as_bytes())?)?
        } else {
            config.with_no_client_auth()
        };
        config.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        config.resumption = Resumption::disabled();
        let address = SocketAddr::from(([127, 0, 0, 1], place.port));
        let host = format!("localhost:{}", place.port);
        Ok(Self { address, host, tls: Arc::new(config), roots, local: None })
    }

    /// The same, with tickets of earlier connections.
    pub fn resuming(mut self) -> Self {
        let mut tls = (*self.tls).clone();
        tls.resumption = Resumption::default();
        self.tls = Arc::new(tls);
        self
    }

    /// The same, from another address of this machine.
    pub fn from(&self, address: IpAddr) -> Self {
        Self { local: Some(address), ..self.clone() }
    }

    /// The same with TLS 1.2 and one cipher suite, whose keys can be had.
    pub fn older(&self, suite: SupportedCipherSuite) -> anyhow::Result<Self> {
        let provider =
            CryptoProvider { cipher_suites: vec![suite], ..rustls::crypto::aws_lc_rs::default_provider() };
        let mut tls = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS12])?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        tls.enable_secret_extraction = true;
        tls.resumption = Resumption::disabled();
        Ok(Self { tls: Arc::new(tls), ..self.clone() })
    }

    pub async fn tcp(&self) -> anyhow::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(local) = self.local {
            socket.bind((local, 0).into())?;
        }
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    pub async fn tls(&self) -> anyhow::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("localhost")?;
        Ok(TlsConnector::from(Arc::clone(&self.tls)).connect(name, self.tcp().await?).await?)
    }

    pub async fn connect(&self) -> anyhow::Result<Connection> {
        let stream = self.tls().await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2".as_slice());
        let io = TokioIo::new(stream);
        Ok(if is_http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            Connection::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await?;
            tokio::spawn(connection);
            Connection::Http1(sender)
        })
    }

    /// A request, with the header that shows a token, if there is one.
    pub fn request(&self, what: &What) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder().method(what.method.clone());
        request = if what.http2 {
            request.uri(format!("https://{}{}", self.host, what.path))
        } else {
            request.uri(what.path.as_str()).header(HOST, &self.host)
        };
        for (name, value) in &what.headers {
            request = request.header(name, value);
        }
        Ok(request.body(Full::new(what.body.clone()))?)
    }
}

/// What is asked again and again.
#[derive(Clone)]
pub struct What {
    pub method: Method,
    pub path: String,
    pub headers: Vec<(String, String)>,
    /// Tokens that the connections show, each the next one.
    pub tokens: Vec<String>,
    pub body: Bytes,
    pub http2: bool,
}

impl What {
    pub fn get(path: &str, token: Option<&str>, http2: bool) -> Self {
        let headers = token.map(|token| ("authorization".to_owned(), format!("Bearer {token}")));
        Self {
            method: Method::GET,
            path: path.to_owned(),
            headers: headers.into_iter().collect(),
            tokens: Vec::new(),
            body: Bytes::new(),
            http2,
        }
    }

    /// The same, of one of the connections.
    pub fn of(&self, connection: u32) -> Self {
        let mut what = self.clone();
        let place = usize::try_from(connection).unwrap_or(0).checked_rem(self.tokens.len());
        let token = place.and_then(|place| self.tokens.get(place));
        what.headers.extend(token.map(|token| ("authorization".to_owned(), format!("Bearer {token}"))));
        what
    }
}

impl Connection {
    /// One request; its status, and the length of the answer.
    pub async fn ask(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<(StatusCode, usize)> {
        let answer = match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes().len()))
    }
}

/// A token of a client's own.
pub async fn token(site: &Site, client: &str) -> anyhow::Result<String> {
    let form = format!("grant_type=client_credentials&client_id={client}&scope=accounts%20payments");
    told(site, "/oauth/token", "application/x-www-form-urlencoded", form, "access_token").await
}

/// Posts something, and reads one text of the answer.
pub async fn told(
    site: &Site,
    path: &str,
    media_type: &str,
    body: String,
    name: &str,
) -> anyhow::Result<String> {
    let what = What {
        method: Method::POST,
        headers: vec![("content-type".to_owned(), media_type.to_owned())],
        body: Bytes::from(body),
        ..What::get(path, None, false)
    };
    let Connection::Http1(mut sender) = site.connect().await? else { bail!("HTTP/1.1 is needed") };
    let answer = sender.send_request(site.request(&what)?).await?;
    let body = answer.into_body().collect().await?.to_bytes();
    let told: serde_json::Value = serde_json::from_slice(&body)?;
    let text = told.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
    text.with_context(|| format!("no {name}: {told}"))
}
