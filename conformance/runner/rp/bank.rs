//! The listeners: TLS with the right certificate and with wrong ones, and one without TLS.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use url::Url;

use super::mode::Mode;
use super::seen::Seen;
use super::world::{Asked, World};
use crate::anybody::Anybody;
use crate::http::{Identity, Request, Response};
use crate::jose::{base64url, sha256};

/// A listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// With the right certificate.
    Right,
    /// Its certificate has expired.
    Expired,
    /// Its certificate is for another host.
    OtherName,
    /// Its certificate is of an issuer that nobody trusts.
    Stranger,
    /// Without TLS.
    Plain,
}

impl Place {
    /// In the order of their ports.
    pub const ALL: [Self; 5] = [Self::Right, Self::Expired, Self::OtherName, Self::Stranger, Self::Plain];

    /// How far its port is from the first.
    #[must_use]
    pub fn offset(self) -> u16 {
        match self {
            Self::Right => 0,
            Self::Expired => 1,
            Self::OtherName => 2,
            Self::Stranger => 3,
            Self::Plain => 4,
        }
    }
}

/// The certificates of the listeners.
#[derive(Debug)]
pub struct Identities {
    /// For `localhost`, of an issuer that the client trusts.
    pub right: Identity,
    /// The same, and expired.
    pub expired: Identity,
    /// The same for another host.
    pub other_name: Identity,
    /// For `localhost`, of an issuer that the client does not trust.
    pub stranger: Identity,
}

/// Why there is no bank.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// A certificate and its key cannot be used.
    #[error("a certificate of the hostile bank cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// A port is taken.
    #[error("the hostile bank cannot listen at {place}: {source}")]
    Listen {
        /// Where.
        place: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// No keys can be made.
    #[error("the hostile bank has no keys: this machine makes none")]
    Keys,
}

/// A hostile bank that listens until it is dropped.
#[derive(Debug)]
pub struct Bank {
    world: Arc<World>,
    serving: Vec<JoinHandle<()>>,
}

impl Drop for Bank {
    fn drop(&mut self) {
        self.serving.iter().for_each(JoinHandle::abort);
    }
}

impl Bank {
    /// Starts it at five ports from this one on, or any five ports for port 0.
    ///
    /// # Errors
    ///
    /// If a port is taken or a certificate is none.
    pub async fn start(
        listen: SocketAddr,
        identities: Identities,
        client_id: &str,
    ) -> Result<Self, Unusable> {
        let mut listeners = Vec::new();
        let mut ports = BTreeMap::new();
        for place in Place::ALL {
            let mut at = listen;
            if listen.port() != 0 {
                at.set_port(listen.port().saturating_add(place.offset()));
            }
            let cannot = |source| Unusable::Listen { place: at, source };
            let listener = TcpListener::bind(at).await.map_err(cannot)?;
            ports.insert(place, listener.local_addr().map_err(cannot)?.port());
            listeners.push((place, listener));
        }
        let world = Arc::new(World::new(ports, client_id).ok_or(Unusable::Keys)?);
        let mut serving = Vec::new();
        for (place, listener) in listeners {
            let tls = match place {
                Place::Right => Some(acceptor(&identities.right)?),
                Place::Expired => Some(acceptor(&identities.expired)?),
                Place::OtherName => Some(acceptor(&identities.other_name)?),
                Place::Stranger => Some(acceptor(&identities.stranger)?),
                Place::Plain => None,
            };
            serving.push(tokio::spawn(serve(listener, place, tls, Arc::clone(&world))));
        }
        Ok(Self { world, serving })
    }

    /// The issuer of a mode.
    #[must_use]
    pub fn issuer(&self, mode: Mode) -> String {
        self.world.issuer(mode)
    }

    /// Where account information is.
    #[must_use]
    pub fn accounts_api(&self, mode: Mode) -> String {
        format!("{}{}", self.issuer(mode), super::data::AISP)
    }

    /// What it saw in a mode since it was told to forget.
    #[must_use]
    pub fn seen(&self, mode: Mode) -> Vec<Seen> {
        self.world.module(mode, |module| module.seen.clone())
    }

    /// A journey begins: what was before is forgotten.
    pub fn forget(&self, mode: Mode) {
        self.world.module(mode, |module| *module = super::world::Module::default());
    }

    /// What was seen is forgotten, and nothing else.
    pub fn forget_seen(&self, mode: Mode) {
        self.world.module(mode, |module| module.seen.clear());
    }

    /// The access tokens of a mode have ended.
    pub fn end_tokens(&self, mode: Mode) {
        self.world.module(mode, |module| module.tokens.retain(|token, _| !token.starts_with("user-")));
    }

    /// The client's time is so many seconds ahead of the machine's.
    pub fn set_ahead(&self, seconds: i64) {
        self.world.clock.set_ahead(seconds);
    }
}

fn acceptor(identity: &Identity) -> Result<tokio_rustls::TlsAcceptor, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Anybody::new(Arc::clone(&provider)));
    let (chain, key) = identity.parts();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    Ok(tokio_rustls::TlsAcceptor::from(Arc::new(config)))
}

async fn serve(
    listener: TcpListener,
    place: Place,
    tls: Option<tokio_rustls::TlsAcceptor>,
    world: Arc<World>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, place, tls.clone(), Arc::clone(&world)));
    }
}

/// One connection. A client that goes away ends it and nothing else.
async fn connection(
    stream: TcpStream,
    place: Place,
    tls: Option<tokio_rustls::TlsAcceptor>,
    world: Arc<World>,
) {
    // Small answers wait for nobody.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return http(TokioIo::new(stream), place, None, world).await;
    };
    // Known before the client sees the certificate, and so before it can have refused it.
    world.connected(place);
    let Ok(stream) = tls.accept(stream).await else { return };
    let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let leaf = leaf.map(|leaf| base64url(&sha256(leaf)));
    http(TokioIo::new(stream), place, leaf, world).await;
}

async fn http<T>(io: TokioIo<T>, place: Place, leaf: Option<String>, world: Arc<World>)
where
    TokioIo<T>: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let (world, leaf) = (Arc::clone(&world), leaf.clone());
        async move { Ok::<_, Infallible>(answer(place, &world, leaf, request).await) }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
}

async fn answer(
    place: Place,
    world: &World,
    certificate: Option<String>,
    request: hyper::Request<hyper::body::Incoming>,
) -> hyper::Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let host = header("host").unwrap_or_default();
    let path = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let Ok(url) = Url::parse(&format!("https://{host}{path}")) else {
        return whole(&Response { status: 400, ..Response::default() });
    };
    let form =
        header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let mut sent: Vec<_> = url.query_pairs().into_owned().collect();
    if form {
        sent.extend(url::form_urlencoded::parse(&body).into_owned());
    }
    let bearer =
        header("authorization").and_then(|value| value.split_once(' ').map(|(_, token)| token.to_owned()));
    let interaction = header("x-fapi-interaction-id");
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let request =
        Request { method: head.method.to_string(), url, headers, body, certificate: certificate.clone() };
    let asked = Asked { request, sent, bearer, certificate, interaction, plain: place == Place::Plain };
    whole(&world.answer(&asked))
}

fn whole(answer: &Response) -> hyper::Response<Full<Bytes>> {
    let mut made = hyper::Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        made = made.header(name, value);
    }
    made.body(Full::new(answer.body.clone())).unwrap_or_default()
}
