//! Which client certificates are trusted: those that chain to an anchor, are in
//! date, and are not revoked (RFC 5280 §6).

use std::time::Duration;

use domain::Timestamp;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime,
};
use webpki::{
    CertRevocationList, EndEntityCert, Error, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptions, RevocationOptionsBuilder, UnknownStatusPolicy,
};

use super::InvalidTls;
use crate::peer::Trust;

/// What is asked of the revocation of client certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Revocation {
    /// Nothing.
    #[default]
    Off,
    /// What is known to be revoked is refused.
    Soft,
    /// What is not known to be unrevoked is refused.
    Hard,
}

/// Whom we trust, and what was revoked.
#[derive(Debug)]
pub struct ClientTrust {
    algorithms: &'static [&'static dyn SignatureVerificationAlgorithm],
    revocation: Revocation,
    anchors: Vec<TrustAnchor<'static>>,
    lists: Vec<CertRevocationList<'static>>,
}

/// A certificate that a peer holds the key of, with what it showed besides.
struct Shown<'a> {
    leaf: EndEntityCert<'a>,
    intermediates: &'a [CertificateDer<'a>],
    now: UnixTime,
}

impl ClientTrust {
    /// Trusts nobody yet.
    #[must_use]
    pub fn new(revocation: Revocation) -> Self {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
        Self { algorithms, revocation, anchors: Vec::new(), lists: Vec::new() }
    }

    /// Trusts these authorities, too: PEM, or one in DER.
    ///
    /// # Errors
    ///
    /// [`InvalidTls::Unusable`] if there is none, or one cannot be read.
    pub fn add_anchors(&mut self, bytes: &[u8]) -> Result<(), InvalidTls> {
        let unusable = || InvalidTls::Unusable("authority");
        let found = if is_der(bytes) {
            vec![CertificateDer::from(bytes)]
        } else {
            let found = CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
            found.map_err(|_| unusable())?
        };
        for der in &found {
            let anchor = webpki::anchor_from_trusted_cert(der).map_err(|_| unusable())?;
            self.anchors.push(anchor.to_owned());
        }
        if found.is_empty() { Err(unusable()) } else { Ok(()) }
    }

    /// Heeds these revocation lists, too: PEM, or one in DER.
    ///
    /// # Errors
    ///
    /// [`InvalidTls::Unusable`] if there is none, or one cannot be read.
    pub fn add_lists(&mut self, bytes: &[u8]) -> Result<(), InvalidTls> {
        let unusable = || InvalidTls::Unusable("revocation list");
        let found = if is_der(bytes) {
            vec![CertificateRevocationListDer::from(bytes)]
        } else {
            let found = CertificateRevocationListDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
            found.map_err(|_| unusable())?
        };
        for der in &found {
            let list = OwnedCertRevocationList::from_der(der).map_err(|_| unusable())?;
            self.lists.push(list.into());
        }
        if found.is_empty() { Err(unusable()) } else { Ok(()) }
    }

    pub(crate) fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Trust {
        let now = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0));
        let Ok(leaf) = EndEntityCert::try_from(leaf) else { return Trust::Unknown };
        let shown = Shown { leaf, intermediates, now: UnixTime::since_unix_epoch(now) };
        match self.verify(&shown, None) {
            Ok(()) if self.revocation == Revocation::Off => Trust::Trusted,
            Ok(()) => self.judge_revocation(&shown),
            Err(Error::CertExpired { .. } | Error::CertNotValidYet { .. }) => Trust::OutOfDate,
            Err(_) => Trust::Unknown,
        }
    }

    /// Of a chain that is good otherwise.
    fn judge_revocation(&self, shown: &Shown<'_>) -> Trust {
        let lists: Vec<_> = self.lists.iter().collect();
        let Ok(options) = RevocationOptionsBuilder::new(&lists) else { return self.not_known() };
        // What a list says of any certificate of the chain holds though the list is old.
        let known = options
            .with_depth(RevocationCheckDepth::Chain)
            .with_status_policy(UnknownStatusPolicy::Allow)
            .with_expiration_policy(ExpirationPolicy::Ignore);
        if self.verify(shown, Some(known.build())) == Err(Error::CertRevoked) {
            return Trust::Revoked;
        }
        let fresh = options
            .with_depth(RevocationCheckDepth::EndEntity)
            .with_status_policy(UnknownStatusPolicy::Deny)
            .with_expiration_policy(ExpirationPolicy::Enforce);
        match self.verify(shown, Some(fresh.build())) {
            Ok(()) => Trust::Trusted,
            Err(_) => self.not_known(),
        }
    }

    /// The verdict on a certificate of which nothing fresh is known.
    fn not_known(&self) -> Trust {
        match self.revocation {
            Revocation::Off | Revocation::Soft => Trust::Trusted,
            Revocation::Hard => Trust::RevocationUnknown,
        }
    }

    fn verify(&self, shown: &Shown<'_>, revocation: Option<RevocationOptions<'_>>) -> Result<(), Error> {
        let usage = KeyUsage::client_auth();
        let Shown { leaf, intermediates, now } = shown;
        let path = leaf.verify_for_usage(
            self.algorithms,
            &self.anchors,
            intermediates,
            *now,
            usage,
            revocation,
            None,
        );
        path.map(|_| ())
    }
}

/// PEM is text; DER begins with the tag of a sequence.
fn is_der(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x30)
}
