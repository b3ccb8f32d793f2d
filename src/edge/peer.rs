//! Who is at the other end of a connection.

use std::net::SocketAddr;
use std::sync::Arc;

use crypto::certificate::{Certificate, Thumbprint};

/// The peer of a connection, as our own TLS layer saw it. Nothing a request
/// says can change it.
#[derive(Clone, Debug)]
pub struct PeerIdentity {
    /// Address of the peer.
    pub address: SocketAddr,
    /// The certificate the peer proved to hold, if it showed one.
    pub certificate: Option<PeerCertificate>,
}

/// A certificate whose private key the peer holds.
#[derive(Clone, Debug)]
pub struct PeerCertificate {
    /// SHA-256 over the DER form (RFC 8705 `x5t#S256`), computed once per connection.
    pub thumbprint: Thumbprint,
    /// Its fields.
    pub fields: Arc<Certificate>,
    /// Whether it chains to one of our trust anchors.
    pub trust: Trust,
}

/// Whether a certificate chains to one of our trust anchors and is in date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It does.
    Trusted,
    /// Its time is over or has not come.
    OutOfDate,
    /// It chains to nothing we trust.
    Unknown,
}

impl PeerIdentity {
    /// The certificate, if it is one we trust.
    #[must_use]
    pub fn trusted(&self) -> Option<&PeerCertificate> {
        self.certificate.as_ref().filter(|certificate| certificate.trust == Trust::Trusted)
    }
}
