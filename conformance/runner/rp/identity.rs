//! Certificates of the banks, right and wrong.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};

use super::bank::{Identities, Place};
use crate::clock::Clock;
use crate::http::Identity;

/// A certificate and its key, both in PEM.
#[derive(Clone, Debug)]
pub struct Made {
    /// The listener that it is for.
    pub place: Place,
    /// What its files are called.
    pub name: &'static str,
    /// The certificate; a stranger's with its issuer.
    pub chain: String,
    /// The key.
    pub key: String,
}

/// What the files of a listener are called.
#[must_use]
pub fn name_of(place: Place) -> &'static str {
    match place {
        Place::Right | Place::Plain => "bank",
        Place::Expired => "bank-expired",
        Place::OtherName => "bank-other-name",
        Place::Stranger => "bank-stranger",
    }
}

/// The certificates of all listeners.
///
/// # Errors
///
/// If this machine makes no key.
pub fn made(ca: &Issuer<'static, KeyPair>) -> Result<Vec<Made>, rcgen::Error> {
    let (stranger, root) = authority()?;
    let mut all = Vec::new();
    for place in Place::ALL {
        if place == Place::Plain {
            continue;
        }
        let host = if place == Place::OtherName { "other.conformance.example" } else { "localhost" };
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        if place != Place::OtherName {
            params.subject_alt_names.push(SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()));
        }
        params.distinguished_name.push(DnType::CommonName, host);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let (from, to) = if place == Place::Expired { (-60, -2) } else { (-1, 700) };
        between(&mut params, from, to);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let issuer = if place == Place::Stranger { &stranger } else { ca };
        let mut chain = params.signed_by(&key, issuer)?.pem();
        if place == Place::Stranger {
            chain.push_str(&root);
        }
        all.push(Made { place, name: name_of(place), chain, key: key.serialize_pem() });
    }
    Ok(all)
}

fn authority() -> Result<(Issuer<'static, KeyPair>, String), rcgen::Error> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, "Somebody");
    between(&mut params, -1, 700);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let root = params.self_signed(&key)?.pem();
    Ok((Issuer::new(params, key), root))
}

/// Makes a certificate valid between two days from now.
pub fn between(params: &mut CertificateParams, from: i64, to: i64) {
    let now = Clock::machine().as_second();
    let at = |days: i64| {
        let seconds = now.saturating_add(days.saturating_mul(86_400));
        let day = jiff::Timestamp::from_second(seconds).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC);
        rcgen::date_time_ymd(day.year().into(), day.month().unsigned_abs(), day.day().unsigned_abs())
    };
    params.not_before = at(from);
    params.not_after = at(to);
}

impl Identities {
    /// The certificates that were made.
    ///
    /// # Errors
    ///
    /// If one is missing, or is no PEM.
    pub fn of(made: &[Made]) -> anyhow::Result<Self> {
        let one = |place: Place| {
            let made = made.iter().find(|made| made.place == place);
            let made = made.ok_or_else(|| anyhow::anyhow!("there is no {}", name_of(place)))?;
            Identity::of_pem(&made.chain, &made.key)
        };
        Ok(Self {
            right: one(Place::Right)?,
            expired: one(Place::Expired)?,
            other_name: one(Place::OtherName)?,
            stranger: one(Place::Stranger)?,
        })
    }
}
