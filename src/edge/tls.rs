//! TLS for our listeners: 1.2 and 1.3 with AEAD and ECDHE only (BCP 195). All
//! of it can be replaced while connections are open.

mod clients;
mod files;
mod possession;
mod signing;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use crypto::{Certificate, SigningKey};
use domain::Timestamp;
use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ProducesTickets;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, ServerConfig};

pub(crate) use clients::Verdict;
pub use clients::{ClientTrust, Revocation};
pub use files::{ClientFiles, ServerKey, TlsFiles, TlsWatch};
use possession::PossessionOnly;

/// Why a TLS configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTls {
    /// A text or file holds nothing of this kind that can be used.
    #[error("there is no usable {0} in it")]
    Unusable(&'static str),
    /// Key and certificate do not belong together.
    #[error("the key is not the one of the certificate")]
    KeyMismatch,
    /// The library refused the combination.
    #[error("the TLS configuration is not usable")]
    Rustls(#[from] Error),
    /// A file cannot be used.
    #[error("{} cannot be used", file.display())]
    File {
        /// Which one.
        file: PathBuf,
        /// Why.
        #[source]
        why: Box<InvalidTls>,
    },
    /// A file cannot be read.
    #[error("it cannot be read")]
    Unreadable(#[from] std::io::Error),
}

/// What a listener shows of itself.
#[derive(Debug)]
pub struct ServerIdentity(CertifiedKey);

impl ServerIdentity {
    /// A certificate with its chain, and its private key.
    ///
    /// # Errors
    ///
    /// [`InvalidTls`] if one of the two cannot be used, or they are no pair.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, InvalidTls> {
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes());
        let key = key.map_err(|_| InvalidTls::Unusable("private key"))?;
        let key = provider().key_provider.load_private_key(key);
        let key = key.map_err(|_| InvalidTls::Unusable("private key"))?;
        let certified = CertifiedKey::new(chain(certificate_pem)?, key);
        certified.keys_match().map_err(|_| InvalidTls::KeyMismatch)?;
        Ok(Self(certified))
    }

    /// A certificate with its chain, whose key we have parsed, or a token keeps.
    ///
    /// # Errors
    ///
    /// [`InvalidTls`] if the certificate cannot be used or is another key's.
    pub fn with_key(certificate_pem: &str, key: Arc<SigningKey>) -> Result<Self, InvalidTls> {
        let chain = chain(certificate_pem)?;
        let leaf = chain.first().and_then(|leaf| Certificate::parse(leaf).ok());
        let leaf = leaf.ok_or(InvalidTls::Unusable("certificate"))?;
        if leaf.public_key() != key.public_key() {
            return Err(InvalidTls::KeyMismatch);
        }
        Ok(Self(CertifiedKey::new(chain, signing::rustls_key(key))))
    }

    /// Adds what its authority says of the certificate: an OCSP response in
    /// DER (RFC 6066 §8).
    #[must_use]
    pub fn stapling(mut self, response: Vec<u8>) -> Self {
        self.0.ocsp = Some(response);
        self
    }
}

/// How a listener speaks TLS. Clones share what is replaced.
#[derive(Clone, Debug)]
pub struct ServerTls {
    current: Arc<ArcSwap<Loaded>>,
    /// Outlives what is replaced: sessions can be resumed, and are judged anew.
    tickets: Arc<dyn ProducesTickets>,
}

/// What is in force until it is replaced.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Counts up with every replacement.
    pub(crate) generation: u64,
    pub(crate) config: Arc<ServerConfig>,
    clients: Option<ClientTrust>,
}

impl ServerTls {
    /// Without `clients` no client certificate is asked for. With them one is;
    /// one that we do not trust does not end the connection: its requests get a
    /// problem document that says so, which a TLS alert would not.
    ///
    /// # Errors
    ///
    /// [`InvalidTls`] if the library cannot use it.
    pub fn new(identity: ServerIdentity, clients: Option<ClientTrust>) -> Result<Self, InvalidTls> {
        let tickets = aws_lc_rs::Ticketer::new()?;
        let loaded = Loaded::new(0, identity, clients, &tickets)?;
        Ok(Self { current: Arc::new(ArcSwap::from_pointee(loaded)), tickets })
    }

    /// For pages: no client certificate is asked for.
    ///
    /// # Errors
    ///
    /// [`InvalidTls`] if certificate or key cannot be used.
    pub fn for_pages(certificate_pem: &str, key_pem: &str) -> Result<Self, InvalidTls> {
        Self::new(ServerIdentity::from_pem(certificate_pem, key_pem)?, None)
    }

    /// For the API: a client certificate is asked for.
    ///
    /// # Errors
    ///
    /// [`InvalidTls`] if certificate, key or anchors cannot be used.
    pub fn for_clients(
        certificate_pem: &str,
        key_pem: &str,
        client_anchors_pem: &[String],
    ) -> Result<Self, InvalidTls> {
        let mut clients = ClientTrust::new(Revocation::Off);
        for pem in client_anchors_pem {
            clients.add_anchors(pem.as_bytes())?;
        }
        Self::new(ServerIdentity::from_pem(certificate_pem, key_pem)?, Some(clients))
    }

    /// Puts these in force: for new connections at once, and for the certificates
    /// of open ones with their next request.
    ///
    /// # Errors
    ///
    /// [`InvalidTls`] if the library cannot use it; then nothing changes.
    pub fn replace(&self, identity: ServerIdentity, clients: Option<ClientTrust>) -> Result<(), InvalidTls> {
        let generation = self.current.load().generation.wrapping_add(1);
        let loaded = Loaded::new(generation, identity, clients, &self.tickets)?;
        self.current.store(Arc::new(loaded));
        Ok(())
    }

    pub(crate) fn load_full(&self) -> Arc<Loaded> {
        self.current.load_full()
    }

    pub(crate) fn load(&self) -> Guard<Arc<Loaded>> {
        self.current.load()
    }
}

impl Loaded {
    fn new(
        generation: u64,
        identity: ServerIdentity,
        clients: Option<ClientTrust>,
        tickets: &Arc<dyn ProducesTickets>,
    ) -> Result<Self, InvalidTls> {
        let versions = &[&rustls::version::TLS13, &rustls::version::TLS12];
        let provider = provider();
        let algorithms = provider.signature_verification_algorithms;
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions)?;
        let builder = match &clients {
            Some(_) => builder.with_client_cert_verifier(Arc::new(PossessionOnly { algorithms })),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.0)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = Arc::clone(tickets);
        Ok(Self { generation, config: Arc::new(config), clients })
    }

    /// Whether a client certificate is asked for.
    pub(crate) fn asks_clients(&self) -> bool {
        self.clients.is_some()
    }

    /// Judges a certificate that a peer holds the key of.
    pub(crate) async fn judge(
        &self,
        shown: &Certificate,
        intermediates: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Verdict {
        match &self.clients {
            Some(clients) => clients.judge(shown, intermediates, now).await,
            None => Verdict::unknown(),
        }
    }
}

/// The library's suites are AEAD with ECDHE only. Of its groups the hybrid one
/// comes first: what is recorded today shall not be read by tomorrow's machines.
fn provider() -> Arc<CryptoProvider> {
    let kx_groups = vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1];
    Arc::new(CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() })
}

fn chain(certificate_pem: &str) -> Result<Vec<CertificateDer<'static>>, InvalidTls> {
    let unusable = InvalidTls::Unusable("certificate");
    match CertificateDer::pem_slice_iter(certificate_pem.as_bytes()).collect::<Result<Vec<_>, _>>() {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) | Err(_) => Err(unusable),
    }
}
