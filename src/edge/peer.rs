//! Who is at the other end of a connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crypto::Psd2Problem;
use crypto::certificate::{Certificate, Thumbprint};
use domain::Timestamp;
use rustls::pki_types::CertificateDer;

use crate::ServerTls;
use crate::tls::Verdict;

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
    /// What makes it unfit, where certificates have to be by somebody's rules.
    pub unfit: Arc<[Psd2Problem]>,
    /// What was shown: the certificate, and those between it and an anchor.
    pub chain: Arc<[CertificateDer<'static>]>,
}

/// Whether a certificate chains to one of our trust anchors, is in date and not revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It does.
    Trusted,
    /// Its time is over or has not come.
    OutOfDate,
    /// Its authority, or that of one above it, has revoked it.
    Revoked,
    /// It chains to an anchor, but nobody says whether it is revoked, and somebody has to.
    RevocationUnknown,
    /// It is not by the rules that certificates have to be by, whoever vouches for it.
    Unfit,
    /// It chains to nothing we trust.
    Unknown,
}

impl PeerIdentity {
    /// The peer of a connection that ended elsewhere, judged by what we trust: somebody who may
    /// say so vouches for the proof of possession.
    pub async fn elsewhere(
        address: SocketAddr,
        tls: &ServerTls,
        chain: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Self {
        Peer::new(address, tls, chain).identity(now).await
    }

    /// The certificate, if it is one we trust.
    #[must_use]
    pub fn trusted(&self) -> Option<&PeerCertificate> {
        self.certificate.as_ref().filter(|certificate| certificate.trust == Trust::Trusted)
    }

    /// The first thing that makes the certificate unfit, if it is.
    #[must_use]
    pub fn unfit(&self) -> Option<&Psd2Problem> {
        self.certificate.as_ref()?.unfit.first()
    }
}

/// The peer of a connection, judged anew when what we trust has changed and
/// when time has passed.
pub(crate) struct Peer {
    address: SocketAddr,
    tls: ServerTls,
    shown: Option<Shown>,
    judged: Mutex<Option<Judged>>,
}

/// What the peer showed, and holds the key of.
struct Shown {
    thumbprint: Thumbprint,
    fields: Arc<Certificate>,
    chain: Arc<[CertificateDer<'static>]>,
}

/// A verdict and how long it holds.
struct Judged {
    verdict: Verdict,
    generation: u64,
    from: Timestamp,
    until: Timestamp,
}

/// Longest time in seconds that a verdict holds: authorities between the
/// certificate and the anchor, and revocation lists, run out, too.
const HOLDS: i64 = 60;

impl Peer {
    /// A certificate that cannot be read counts as none.
    pub(crate) fn new(address: SocketAddr, tls: &ServerTls, shown: &[CertificateDer<'_>]) -> Self {
        let leaf = shown.first().filter(|_| tls.load().asks_clients());
        let shown = leaf.and_then(|leaf| {
            Some(Shown {
                thumbprint: Thumbprint::of(leaf),
                fields: Arc::new(Certificate::parse(leaf).ok()?),
                chain: shown.iter().map(|der| der.clone().into_owned()).collect(),
            })
        });
        Self { address, tls: tls.clone(), shown, judged: Mutex::default() }
    }

    /// Who the peer is now.
    pub(crate) async fn identity(&self, now: Timestamp) -> PeerIdentity {
        let certificate = match &self.shown {
            Some(shown) => {
                let Verdict { trust, unfit } = self.verdict(shown, now).await;
                let (fields, chain) = (Arc::clone(&shown.fields), Arc::clone(&shown.chain));
                Some(PeerCertificate { thumbprint: shown.thumbprint, fields, trust, unfit, chain })
            }
            None => None,
        };
        PeerIdentity { address: self.address, certificate }
    }

    async fn verdict(&self, shown: &Shown, now: Timestamp) -> Verdict {
        let loaded = self.tls.load_full();
        if let Some(verdict) = self.held(loaded.generation, now) {
            return verdict;
        }
        let verdict = loaded.judge(&shown.fields, shown.chain.get(1..).unwrap_or_default(), now).await;
        let until = after(now, HOLDS).min(after(shown.fields.not_after, 1));
        *self.judged.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Judged { verdict: verdict.clone(), generation: loaded.generation, from: now, until });
        verdict
    }

    /// The verdict that holds still.
    fn held(&self, generation: u64, now: Timestamp) -> Option<Verdict> {
        let judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        let holds =
            |judged: &&Judged| judged.generation == generation && (judged.from..judged.until).contains(&now);
        judged.as_ref().filter(holds).map(|judged| judged.verdict.clone())
    }
}

pub(crate) fn after(at: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(at.as_second().saturating_add(seconds)).unwrap_or(Timestamp::MAX)
}
