//! Which client certificates are trusted: those that chain to an anchor, are in
//! date, and are not revoked (RFC 5280 §6).

use std::sync::Arc;
use std::time::Duration;

use crypto::ocsp::{Question, Status};
use crypto::{Certificate, Psd2Problem, TrustProfile};
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
use crate::OcspCache;
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
    responders: Option<Arc<OcspCache>>,
    profiles: Vec<TrustProfile>,
}

/// What became of a certificate.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) trust: Trust,
    /// What makes it unfit for every profile, if there are profiles.
    pub(crate) unfit: Arc<[Psd2Problem]>,
}

impl Verdict {
    /// Of a certificate that nobody vouches for.
    pub(crate) fn unknown() -> Self {
        Self { trust: Trust::Unknown, unfit: Arc::default() }
    }
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
        Self {
            algorithms,
            revocation,
            anchors: Vec::new(),
            lists: Vec::new(),
            responders: None,
            profiles: Vec::new(),
        }
    }

    /// Trusts these authorities, too: PEM, or one in DER.
    ///
    /// # Errors
    ///
    /// [`InvalidTls::Unusable`] if there is none, or one cannot be read.
    pub fn add_anchors(&mut self, bytes: &[u8]) -> Result<(), InvalidTls> {
        let unusable = || InvalidTls::Unusable("authority");
        for der in each::<CertificateDer<'static>>(bytes).ok_or_else(unusable)? {
            let anchor = webpki::anchor_from_trusted_cert(&der).map_err(|_| unusable())?;
            self.anchors.push(anchor.to_owned());
        }
        Ok(())
    }

    /// Heeds these revocation lists, too: PEM, or one in DER.
    ///
    /// # Errors
    ///
    /// [`InvalidTls::Unusable`] if there is none, or one cannot be read.
    pub fn add_lists(&mut self, bytes: &[u8]) -> Result<(), InvalidTls> {
        let unusable = || InvalidTls::Unusable("revocation list");
        for der in each::<CertificateRevocationListDer<'static>>(bytes).ok_or_else(unusable)? {
            let list = OwnedCertRevocationList::from_der(&der).map_err(|_| unusable())?;
            self.lists.push(list.into());
        }
        Ok(())
    }

    /// Asks responders of what the lists say nothing fresh about.
    #[must_use]
    pub fn asking(mut self, responders: Arc<OcspCache>) -> Self {
        self.responders = Some(responders);
        self
    }

    /// Takes only certificates that fit this profile, or another one that was added. Its
    /// issuers are authorities that we trust: trusted lists name those that issue.
    pub fn add_profile(&mut self, profile: TrustProfile) {
        self.anchors.extend_from_slice(profile.issuers());
        self.profiles.push(profile);
    }

    pub(crate) async fn judge(
        &self,
        shown: &Certificate,
        intermediates: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Verdict {
        let leaf = CertificateDer::from(shown.der.as_slice());
        let judged = self.profiles.iter().map(|profile| shown.judge_psd2(profile, &[], now).err());
        // Of several profiles, the one that it misses least says what is wrong.
        let least = judged.map(Option::unwrap_or_default).min_by_key(Vec::len).unwrap_or_default();
        let trust = self.trust(&leaf, intermediates, now).await;
        // That its time is over, or that it was revoked, says more.
        let says_more = matches!(trust, Trust::OutOfDate | Trust::Revoked);
        let trust = if least.is_empty() || says_more { trust } else { Trust::Unfit };
        Verdict { trust, unfit: least.into() }
    }

    async fn trust(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Trust {
        let seconds = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0));
        let Ok(end_entity) = EndEntityCert::try_from(leaf) else { return Trust::Unknown };
        let shown = Shown { leaf: end_entity, intermediates, now: UnixTime::since_unix_epoch(seconds) };
        let issuer = match self.verify(&shown, None) {
            Ok(issuer) => issuer,
            Err(Error::CertExpired { .. } | Error::CertNotValidYet { .. }) => return Trust::OutOfDate,
            Err(_) => return Trust::Unknown,
        };
        if self.revocation == Revocation::Off {
            return Trust::Trusted;
        }
        let status = match self.listed(&shown) {
            Some(status) => Some(status),
            None => self.asked(leaf, &issuer, now).await,
        };
        match (status, self.revocation) {
            (Some(Status::Revoked), _) => Trust::Revoked,
            (Some(Status::Good), _) | (None, Revocation::Off | Revocation::Soft) => Trust::Trusted,
            (None, Revocation::Hard) => Trust::RevocationUnknown,
        }
    }

    /// What the lists say, of a chain that is good otherwise; `None` if there
    /// is no fresh one of the issuer.
    fn listed(&self, shown: &Shown<'_>) -> Option<Status> {
        let lists: Vec<_> = self.lists.iter().collect();
        let options = RevocationOptionsBuilder::new(&lists).ok()?;
        // What a list says of any certificate of the chain holds though the list is old.
        let known = options
            .with_depth(RevocationCheckDepth::Chain)
            .with_status_policy(UnknownStatusPolicy::Allow)
            .with_expiration_policy(ExpirationPolicy::Ignore);
        if self.verify(shown, Some(known.build())).is_err_and(|error| error == Error::CertRevoked) {
            return Some(Status::Revoked);
        }
        let fresh = options
            .with_depth(RevocationCheckDepth::EndEntity)
            .with_status_policy(UnknownStatusPolicy::Deny)
            .with_expiration_policy(ExpirationPolicy::Enforce);
        self.verify(shown, Some(fresh.build())).is_ok().then_some(Status::Good)
    }

    /// What the responder says that the certificate names.
    async fn asked(
        &self,
        leaf: &CertificateDer<'_>,
        issuer: &TrustAnchor<'_>,
        now: Timestamp,
    ) -> Option<Status> {
        let question = Question::about(leaf, issuer)?;
        self.responders.as_ref()?.status(&question, now).await
    }

    /// Verifies the chain, and answers with who issued the certificate.
    fn verify(
        &self,
        shown: &Shown<'_>,
        revocation: Option<RevocationOptions<'_>>,
    ) -> Result<TrustAnchor<'static>, Error> {
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
        )?;
        match path.intermediate_certificates().next() {
            Some(issuer) => Ok(webpki::anchor_from_trusted_cert(&issuer.der())?.to_owned()),
            None => Ok(path.anchor().to_owned()),
        }
    }
}

/// What bytes hold of a kind: PEM, or one in DER. `None`, if there is none or one cannot be read.
fn each<T: PemObject + From<Vec<u8>>>(bytes: &[u8]) -> Option<Vec<T>> {
    if is_der(bytes) {
        return Some(vec![T::from(bytes.to_vec())]);
    }
    let found: Vec<T> = T::pem_slice_iter(bytes).collect::<Result<_, _>>().ok()?;
    (!found.is_empty()).then_some(found)
}

/// PEM is text; DER begins with the tag of a sequence.
fn is_der(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x30)
}
