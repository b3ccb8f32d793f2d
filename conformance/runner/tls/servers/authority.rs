//! Who signs the certificates of the servers, soundly or not.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize, SignatureAlgorithm, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::super::Problem;
use super::super::full::Identity;
use super::HOST;

/// A root and a certificate authority under it, both valid around one moment.
#[derive(Debug)]
pub struct Authority {
    now: i64,
    root: CertificateDer<'static>,
    between: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A chain and the key of its first certificate.
#[derive(Debug)]
pub(super) struct Signed {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl Authority {
    /// An authority whose certificates are valid for ten days around `now`, in unix seconds.
    ///
    /// # Errors
    ///
    /// Where no keys can be made.
    pub fn new(now: i64) -> Result<Self, Problem> {
        let root_key = KeyPair::generate().map_err(own)?;
        let root_params = signing("Proving root", now)?;
        let root = root_params.self_signed(&root_key).map_err(own)?.der().clone();
        let root = (root, Issuer::new(root_params, root_key));
        let key = KeyPair::generate().map_err(own)?;
        let params = signing("Proving authority", now)?;
        let between = params.signed_by(&key, &root.1).map_err(own)?.der().clone();
        Ok(Self { now, root: root.0, between, issuer: Issuer::new(params, key) })
    }

    /// Whom clients of the servers trust, and the servers trust among clients.
    ///
    /// # Errors
    ///
    /// Where the root is not a root.
    pub fn roots(&self) -> Result<RootCertStore, Problem> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).map_err(|error| Problem::Own(error.to_string()))?;
        Ok(roots)
    }

    /// What time it is for the certificates.
    #[must_use]
    pub const fn now(&self) -> i64 {
        self.now
    }

    /// A client that the servers let in.
    ///
    /// # Errors
    ///
    /// Where no key can be made.
    pub fn client(&self, name: &str) -> Result<Identity, Problem> {
        let signed = self.sign(name, (-5, 5))?;
        Identity::new(signed.chain, &signed.key)
    }

    /// A certificate for a name, valid between two days counted from now.
    pub(super) fn sign(&self, name: &str, days: (i64, i64)) -> Result<Signed, Problem> {
        let key = KeyPair::generate().map_err(own)?;
        let own_certificate = leaf(name, self.now, days)?.signed_by(&key, &self.issuer).map_err(own)?;
        Ok(Signed { chain: vec![own_certificate.der().clone(), self.between.clone()], key: private(&key) })
    }

    /// A certificate that nobody else signed.
    pub(super) fn self_signed(&self) -> Result<Signed, Problem> {
        let key = KeyPair::generate().map_err(own)?;
        let certificate = leaf(HOST, self.now, (-5, 5))?.self_signed(&key).map_err(own)?;
        Ok(Signed { chain: vec![certificate.der().clone()], key: private(&key) })
    }

    /// A certificate that says it is signed with SHA-1. No library signs so any more, so the
    /// algorithm's name is written over; the signature is wrong, which comes on top.
    pub(super) fn over_sha1(&self) -> Result<Signed, Problem> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(own)?;
        let certificate = leaf(HOST, self.now, (-5, 5))?.self_signed(&key).map_err(own)?;
        let mut der = certificate.der().to_vec();
        let places: Vec<usize> = (0..der.len())
            .filter(|at| der.get(*at..).is_some_and(|rest| rest.starts_with(&RSA_WITH_SHA256)))
            .collect();
        for at in places {
            if let Some(last) = der.get_mut(at + RSA_WITH_SHA256.len() - 1) {
                *last = 5;
            }
        }
        Ok(Signed { chain: vec![der.into()], key: private(&key) })
    }

    /// A chain for a key of 1024 bits, which nobody has the private half of.
    pub(super) fn with_small_key(&self) -> Result<Vec<Vec<u8>>, Problem> {
        let certificate =
            leaf(HOST, self.now, (-5, 5))?.signed_by(&SmallKey::new(), &self.issuer).map_err(own)?;
        Ok(vec![certificate.der().to_vec(), self.between.to_vec()])
    }
}

fn own(error: rcgen::Error) -> Problem {
    Problem::Own(format!("a certificate could not be made: {error}"))
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

fn dated(mut params: CertificateParams, now: i64, days: (i64, i64)) -> CertificateParams {
    let at = |day: i64| {
        let second = now.saturating_add(day.saturating_mul(86_400));
        date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(second).unwrap_or(0))
    };
    params.not_before = at(days.0);
    params.not_after = at(days.1);
    params
}

fn signing(name: &str, now: i64) -> Result<CertificateParams, Problem> {
    let mut params = dated(CertificateParams::new(Vec::new()).map_err(own)?, now, (-5, 5));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(params)
}

fn leaf(name: &str, now: i64, days: (i64, i64)) -> Result<CertificateParams, Problem> {
    let mut params = dated(CertificateParams::new(vec![name.to_owned()]).map_err(own)?, now, days);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

/// An RSA key with 1024 bits, of which only the public half looks right.
struct SmallKey(Vec<u8>);

impl SmallKey {
    fn new() -> Self {
        let modulus = [0xb5; 128];
        Self([&[0x30, 0x81, 0x89, 2, 0x81, 0x81, 0], modulus.as_slice(), &[2, 3, 1, 0, 1]].concat())
    }
}

impl PublicKeyData for SmallKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

/// The object identifier of `sha256WithRSAEncryption`; with 5 at its end it is that of SHA-1.
const RSA_WITH_SHA256: [u8; 11] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11];
