//! TLS for our listeners: 1.2 and 1.3 with AEAD and ECDHE only (BCP 195).

use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};

use crate::peer::Trust;

/// Why a TLS configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTls {
    /// A PEM file holds no usable certificate or key.
    #[error("the PEM text holds no usable {0}")]
    Pem(&'static str),
    /// The library refused the combination.
    #[error("the TLS configuration is not usable")]
    Rustls(#[from] Error),
    /// The client trust anchors are not usable.
    #[error("the client trust anchors are not usable")]
    Anchors(#[from] rustls::server::VerifierBuilderError),
}

/// How a listener speaks TLS.
#[derive(Clone, Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

impl ServerTls {
    /// For pages: no client certificate is asked for.
    ///
    /// # Errors
    ///
    /// [`InvalidTls`] if certificate or key cannot be used.
    pub fn for_pages(certificate_pem: &str, key_pem: &str) -> Result<Self, InvalidTls> {
        let (chain, key) = identity(certificate_pem, key_pem)?;
        let config = builder()?.with_no_client_auth().with_single_cert(chain, key)?;
        Ok(Self { config: Arc::new(with_alpn(config)), clients: None })
    }

    /// For the API: a client certificate is asked for. One that we do not trust
    /// does not end the connection; its requests get a problem document that
    /// says so, which a TLS alert would not.
    ///
    /// # Errors
    ///
    /// [`InvalidTls`] if certificate, key or anchors cannot be used.
    pub fn for_clients(
        certificate_pem: &str,
        key_pem: &str,
        client_anchors_pem: &[String],
    ) -> Result<Self, InvalidTls> {
        let (chain, key) = identity(certificate_pem, key_pem)?;
        let mut roots = RootCertStore::empty();
        for pem in client_anchors_pem {
            for anchor in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                roots.add(anchor.map_err(|_| InvalidTls::Pem("client trust anchor"))?)?;
            }
        }
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build()?;
        let verifier = Arc::new(PossessionOnly { inner: Arc::clone(&clients) });
        let config = builder()?.with_client_cert_verifier(verifier).with_single_cert(chain, key)?;
        Ok(Self { config: Arc::new(with_alpn(config)), clients: Some(clients) })
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Counts up whenever what is trusted changes.
    pub(crate) fn generation(&self) -> u64 {
        0
    }

    /// Whether a client certificate is asked for.
    pub(crate) fn asks_clients(&self) -> bool {
        self.clients.is_some()
    }

    /// Judges a certificate that a peer holds the key of.
    pub(crate) fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Trust {
        let Some(clients) = &self.clients else { return Trust::Unknown };
        let now =
            UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0)));
        match clients.verify_client_cert(leaf, intermediates, now) {
            Ok(_) => Trust::Trusted,
            Err(Error::InvalidCertificate(
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. },
            )) => Trust::OutOfDate,
            Err(_) => Trust::Unknown,
        }
    }
}

/// Checks that the peer holds the key of the certificate it shows, and leaves
/// the chain to [`ServerTls::judge`].
#[derive(Debug)]
struct PossessionOnly {
    inner: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for PossessionOnly {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // No hints: a client with a certificate of another CA shall show it and
        // be told what is wrong, instead of silently showing none.
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// The library's suites are AEAD with ECDHE only. Of its groups the hybrid one
/// comes first: what is recorded today shall not be read by tomorrow's machines.
fn provider() -> Arc<CryptoProvider> {
    let kx_groups = vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1];
    Arc::new(CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() })
}

fn builder() -> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>, InvalidTls> {
    let versions = &[&rustls::version::TLS13, &rustls::version::TLS12];
    Ok(ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions)?)
}

fn with_alpn(mut config: ServerConfig) -> ServerConfig {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity(certificate_pem: &str, key_pem: &str) -> Result<Identity, InvalidTls> {
    let chain = CertificateDer::pem_slice_iter(certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| InvalidTls::Pem("certificate"))?;
    let key =
        PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|_| InvalidTls::Pem("private key"))?;
    Ok((chain, key))
}
