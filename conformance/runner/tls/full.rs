//! Handshakes that go to their end, on rustls with ring: certificates, tickets, client certificates.
//!
//! Nothing is believed here. The server's chain is taken down whatever it is, and judged by
//! [`super::probes`] afterwards.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, ResolvesClientCert, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, HandshakeKind, NamedGroup, SignatureScheme, SupportedProtocolVersion,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::exchange::open;
use super::reply::alert_name;
use super::{Place, Problem};

/// A certificate to be shown, and its key.
#[derive(Clone, Debug)]
pub struct Identity(Arc<CertifiedKey>);

impl Identity {
    /// A chain, the own certificate first, and the key of that.
    ///
    /// # Errors
    ///
    /// Where ring cannot use the key.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'_>) -> Result<Self, Problem> {
        let key = rustls::crypto::ring::sign::any_supported_type(key)
            .map_err(|error| Problem::Own(format!("a client key cannot be used: {error}")))?;
        Ok(Self(Arc::new(CertifiedKey::new(chain, key))))
    }
}

/// How one connection is made.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// The only version, where one is meant.
    pub version: Option<&'static SupportedProtocolVersion>,
    /// Protocols to offer (RFC 7301).
    pub alpn: Vec<Vec<u8>>,
    /// What is sent as early data (RFC 8446 §2.3), where a ticket allows that.
    pub early: Option<Vec<u8>>,
}

/// A client whose tickets and identity last longer than one connection.
#[derive(Debug)]
pub struct Client {
    witness: Arc<Witness>,
    shown: Arc<Shown>,
    tickets: Arc<Tickets>,
}

/// How a connection began.
#[derive(Debug)]
pub enum Opening {
    /// The handshake ended.
    Open(Box<Session>),
    /// It did not.
    Refused(Refusal),
}

/// A handshake that did not end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// How it ended instead.
    pub end: End,
    /// The server's chain, where it came so far.
    pub chain: Vec<Vec<u8>>,
}

/// How a handshake ended that should have gone on. It can be put after "because".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// The server sent an alert.
    #[error("the server sent the alert {0}")]
    Alert(String),
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The time was over.
    #[error("the server said nothing until the time was over")]
    Late,
    /// The server said what it must not say.
    #[error("the server did what it must not: {0}")]
    Wrong(String),
}

impl End {
    /// Whether the server refused in a way that a client can see.
    #[must_use]
    pub const fn refuses(&self) -> bool {
        matches!(self, Self::Alert(_) | Self::Closed)
    }

    fn of(error: &std::io::Error) -> Self {
        match (alert(error), error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())) {
            (Some(name), _) => Self::Alert(name),
            (None, Some(wrong)) => Self::Wrong(wrong.to_string()),
            (None, None) => Self::Closed,
        }
    }
}

/// A connection whose handshake ended.
#[derive(Debug)]
pub struct Session {
    stream: TlsStream<TcpStream>,
    /// The server's chain; empty where a session was gone on with.
    pub chain: Vec<Vec<u8>>,
    /// Whether an earlier session was gone on with.
    pub resumed: bool,
    /// Whether a client certificate was asked for.
    pub asked: bool,
    /// The protocol that was chosen.
    pub alpn: Option<Vec<u8>>,
    /// Whether the ticket allowed early data.
    pub early_allowed: bool,
    /// Whether the server took it.
    pub early_taken: bool,
}

/// What came back on a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP status.
    Status(u16),
    /// An alert instead.
    Alert(String),
    /// The end of the connection.
    Closed,
    /// Nothing before the time was over.
    Silent,
    /// Something that is no HTTP/1.1.
    Other,
}

impl Client {
    /// A client that shows this identity, if any, where one is asked for.
    #[must_use]
    pub fn new(identity: Option<Identity>) -> Self {
        Self {
            witness: Arc::new(Witness::new()),
            shown: Arc::new(Shown {
                identity,
                hidden: AtomicBool::new(false),
                asked: AtomicBool::new(false),
            }),
            tickets: Arc::new(Tickets::new()),
        }
    }

    /// From now on the client shows no certificate. Its tickets stay.
    pub fn hide_identity(&self) {
        self.shown.hidden.store(true, Ordering::SeqCst);
    }

    /// How many sessions the servers offered to go on with.
    #[must_use]
    pub fn tickets(&self) -> usize {
        self.tickets.count.load(Ordering::SeqCst)
    }

    /// Whether the last connection asked for a client certificate.
    #[must_use]
    pub fn was_asked(&self) -> bool {
        self.shown.asked.load(Ordering::SeqCst)
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// Where there is no connection, or the place's name cannot be asked for.
    pub async fn connect(
        &self,
        place: &Place,
        manner: &Manner,
        within: Duration,
    ) -> Result<Opening, Problem> {
        let until = Instant::now() + within;
        let name = ServerName::try_from(place.host.clone())
            .map_err(|_| Problem::Own(format!("{} is no name of a server", place.host)))?;
        let connector = TlsConnector::from(Arc::new(self.config(manner)?));
        let stream = open(place, until).await?;
        self.witness.forget();
        self.shown.asked.store(false, Ordering::SeqCst);

        let mut early_allowed = false;
        let connecting = connector.connect_with(name, stream, |connection| {
            if let (Some(bytes), Some(mut early)) = (&manner.early, connection.early_data()) {
                early_allowed = true;
                // What does not go out early is only missing from a test.
                let _sent = std::io::Write::write(&mut early, bytes);
            }
        });
        let stream = match timeout_at(until, connecting).await {
            Err(_) => return Ok(Opening::Refused(self.refusal(End::Late))),
            Ok(Err(error)) => return Ok(Opening::Refused(self.refusal(End::of(&error)))),
            Ok(Ok(stream)) => stream,
        };
        let (_, connection) = stream.get_ref();
        Ok(Opening::Open(Box::new(Session {
            chain: self.witness.seen(),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            asked: self.was_asked(),
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            early_taken: connection.is_early_data_accepted(),
            early_allowed,
            stream,
        })))
    }

    fn refusal(&self, end: End) -> Refusal {
        Refusal { end, chain: self.witness.seen() }
    }

    fn config(&self, manner: &Manner) -> Result<ClientConfig, Problem> {
        let versions =
            manner.version.map_or_else(|| rustls::DEFAULT_VERSIONS.to_vec(), |version| vec![version]);
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&versions)
            .map_err(|error| Problem::Own(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(self.witness.clone())
            .with_client_cert_resolver(self.shown.clone());
        config.alpn_protocols.clone_from(&manner.alpn);
        config.enable_early_data = manner.early.is_some();
        config.resumption = Resumption::store(self.tickets.clone());
        Ok(config)
    }
}

impl Session {
    /// Asks for a path by HTTP/1.1 and reads the status.
    pub async fn get(&mut self, host: &str, path: &str, within: Duration) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let asking = async {
            if let Err(error) = self.stream.write_all(request.as_bytes()).await {
                return ended(&error);
            }
            if let Err(error) = self.stream.flush().await {
                return ended(&error);
            }
            self.answer().await
        };
        timeout_at(Instant::now() + within, asking).await.unwrap_or(Answer::Silent)
    }

    /// Reads the status of an answer to a request that was sent already.
    async fn answer(&mut self) -> Answer {
        let mut heard = Vec::new();
        loop {
            match self.stream.read_buf(&mut heard).await {
                Ok(count) if count > 0 => {}
                Ok(_) => return Answer::Closed,
                Err(error) => return ended(&error),
            }
            if let Some((line, _)) = heard.split_at_checked(12) {
                let status = str::from_utf8(line).ok().and_then(|line| line.strip_prefix("HTTP/1.1 "));
                return status.and_then(|code| code.parse().ok()).map_or(Answer::Other, Answer::Status);
            }
        }
    }
}

/// An alert is an answer of the server; everything else is the end.
fn ended(error: &std::io::Error) -> Answer {
    match alert(error) {
        Some(name) => Answer::Alert(name),
        None => Answer::Closed,
    }
}

fn alert(error: &std::io::Error) -> Option<String> {
    let rustls::Error::AlertReceived(description) = error.get_ref()?.downcast_ref()? else { return None };
    Some(alert_name(u8::from(*description)))
}

/// Takes down the chain, and believes only that the server has the key of its certificate.
#[derive(Debug)]
struct Witness {
    provider: CryptoProvider,
    chain: Mutex<Vec<Vec<u8>>>,
}

impl Witness {
    fn new() -> Self {
        Self { provider: ring::default_provider(), chain: Mutex::default() }
    }

    fn forget(&self) {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn seen(&self) -> Vec<Vec<u8>> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates).map(|der| der.to_vec()).collect();
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = chain;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Shows a certificate, or not, and remembers that it was asked to.
#[derive(Debug)]
struct Shown {
    identity: Option<Identity>,
    hidden: AtomicBool,
    asked: AtomicBool,
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _roots: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::SeqCst);
        let identity = self.identity.as_ref().map(|identity| identity.0.clone());
        identity.filter(|_| !self.hidden.load(Ordering::SeqCst))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Keeps sessions under one name, so that one that began at a place can be tried at another.
#[derive(Debug)]
struct Tickets {
    sessions: ClientSessionMemoryCache,
    count: AtomicUsize,
}

impl Tickets {
    fn new() -> Self {
        Self { sessions: ClientSessionMemoryCache::new(64), count: AtomicUsize::new(0) }
    }

    fn name() -> ServerName<'static> {
        ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into())
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _name: ServerName<'static>, group: NamedGroup) {
        self.sessions.set_kx_hint(Self::name(), group);
    }

    fn kx_hint(&self, _name: &ServerName<'_>) -> Option<NamedGroup> {
        self.sessions.kx_hint(&Self::name())
    }

    fn set_tls12_session(&self, _name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.sessions.set_tls12_session(Self::name(), value);
    }

    fn tls12_session(&self, _name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.sessions.tls12_session(&Self::name())
    }

    fn remove_tls12_session(&self, _name: &ServerName<'static>) {
        self.sessions.remove_tls12_session(&Self::name());
    }

    fn insert_tls13_ticket(&self, _name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.sessions.insert_tls13_ticket(Self::name(), value);
    }

    fn take_tls13_ticket(&self, _name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.sessions.take_tls13_ticket(&Self::name())
    }
}
