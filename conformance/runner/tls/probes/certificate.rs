//! Who the server says it is, and whether that can be believed (RFC 5280, RFC 9525).

use std::time::Duration;

use rustls::RootCertStore;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use x509_cert::Certificate;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode, Reader, SliceReader};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::super::fact::Rule;
use super::super::full::{Client, Manner, Opening};
use super::super::{Fact, Place, Problem, Reply, greet};
use super::Taken;

/// What a certificate is judged by.
#[derive(Clone, Debug)]
pub struct Judge {
    /// Whom a client of the server trusts.
    pub roots: RootCertStore,
    /// What time it is, in unix seconds.
    pub now: i64,
}

/// The certificate is in date, for the name, strong, and leads to a root by what the server sent.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn certificate(place: &Place, judge: &Judge, within: Duration) -> Result<Vec<Fact>, Problem> {
    let chain = match Client::new(None).connect(place, &Manner::default(), within).await? {
        Opening::Open(session) => session.chain,
        Opening::Refused(refusal) if refusal.chain.is_empty() => {
            return Ok(vec![CHAIN.fails(format!("No certificate came: {}.", refusal.end))]);
        }
        Opening::Refused(refusal) => refusal.chain,
    };
    Ok(judge.chain(place, &chain))
}

/// A name that the server does not have gets an answer: another certificate, an alert, or the end.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn unknown_name(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let mut greeting = Taken::by(place, within).await?.greeting(place);
    greeting.server_name = Some("nobody.invalid".into());
    let reply = greet(place, &greeting, within).await?;
    let sentence = format!("Asked for a name that nobody has, the server {}.", reply.told());
    Ok(vec![match reply {
        Reply::Alert(_) | Reply::Closed | Reply::Hello(_) | Reply::Retry(_) => SNI.holds(sentence),
        Reply::Silent | Reply::Garbled(_) => SNI.fails(sentence),
    }])
}

impl Judge {
    fn chain(&self, place: &Place, chain: &[Vec<u8>]) -> Vec<Fact> {
        let parsed: Vec<Certificate> =
            chain.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
        let (Some(own), Some(own_der)) = (parsed.first(), chain.first()) else {
            return vec![CHAIN.fails("The server's certificate cannot be read.")];
        };
        if parsed.len() != chain.len() {
            return vec![CHAIN.fails("A certificate that the server sent cannot be read.")];
        }
        let mut facts = vec![self.dates(own), self.name(place, own_der), self.trust(own, chain)];
        for certificate in parsed.iter().filter(|one| !self_issued(one) || std::ptr::eq(*one, own)) {
            facts.push(signature(certificate));
            facts.push(key(certificate));
        }
        facts
    }

    fn dates(&self, own: &Certificate) -> Fact {
        let (start, end) = validity(own);
        let kept = (start..=end).contains(&self.now);
        let shown = |second: i64| {
            jiff::Timestamp::from_second(second).map_or_else(|_| second.to_string(), |time| time.to_string())
        };
        let sentence = format!("The certificate is valid from {} to {}.", shown(start), shown(end));
        DATES.check(kept, sentence.clone(), format!("{sentence} It is {}.", shown(self.now)))
    }

    fn name(&self, place: &Place, own: &[u8]) -> Fact {
        let der = CertificateDer::from(own);
        let kept = ServerName::try_from(place.host.as_str()).is_ok_and(|name| {
            ParsedCertificate::try_from(&der).is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
        });
        NAME.check(
            kept,
            format!("The certificate is for {}.", place.host),
            format!("The certificate is not for {}.", place.host),
        )
    }

    /// Dates have a fact of their own, so the chain is followed at a time at which they hold.
    fn trust(&self, own: &Certificate, chain: &[Vec<u8>]) -> Fact {
        let (start, end) = validity(own);
        let time = u64::try_from(self.now.clamp(start, end)).unwrap_or(0);
        let own_der = chain.first().map_or(&[][..], Vec::as_slice).into();
        let intermediates: Vec<CertificateDer<'_>> =
            chain.iter().skip(1).map(|der| CertificateDer::from(der.as_slice())).collect();
        let followed = ParsedCertificate::try_from(&own_der).and_then(|parsed| {
            verify_server_cert_signed_by_trust_anchor(
                &parsed,
                &self.roots,
                &intermediates,
                UnixTime::since_unix_epoch(Duration::from_secs(time)),
                ring::default_provider().signature_verification_algorithms.all,
            )
        });
        match followed {
            Ok(()) => CHAIN.holds(format!(
                "The certificate leads to a trusted root over {} that the server sent.",
                count(intermediates.len())
            )),
            Err(_) if self_issued(own) => CHAIN.fails("The certificate is signed by itself."),
            Err(error) if intermediates.is_empty() => CHAIN.fails(format!(
                "The server sent its own certificate alone, and that leads to no trusted root: {error}."
            )),
            Err(error) => CHAIN.fails(format!("The certificate leads to no trusted root: {error}.")),
        }
    }
}

fn count(intermediates: usize) -> String {
    match intermediates {
        0 => "no other certificate".into(),
        1 => "one other certificate".into(),
        more => format!("{more} other certificates"),
    }
}

fn validity(certificate: &Certificate) -> (i64, i64) {
    let validity = certificate.tbs_certificate.validity;
    let seconds =
        |time: x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    (seconds(validity.not_before), seconds(validity.not_after))
}

fn self_issued(certificate: &Certificate) -> bool {
    certificate.tbs_certificate.issuer == certificate.tbs_certificate.subject
}

fn signature(certificate: &Certificate) -> Fact {
    let oid = certificate.signature_algorithm.oid;
    let subject = &certificate.tbs_certificate.subject;
    let broken = BROKEN.iter().find(|(known, _)| *known == oid);
    SIGNATURE.check(
        broken.is_none(),
        format!("The certificate of {subject} is not signed over SHA-1 or MD5."),
        format!("The certificate of {subject} is signed over {}.", broken.map_or("", |(_, name)| name)),
    )
}

fn key(certificate: &Certificate) -> Fact {
    let subject = &certificate.tbs_certificate.subject;
    match strength(&certificate.tbs_certificate.subject_public_key_info) {
        Some((kind, bits, least)) => {
            let sentence = format!("The key of {subject} is {kind} with {bits} bits.");
            KEY.check(bits >= least, sentence.clone(), sentence)
        }
        None => KEY.fails(format!("The key of {subject} is of a kind that no client knows.")),
    }
}

/// The kind of a key, its size, and the least size that RFC 9325 §4.5 allows.
fn strength(key: &SubjectPublicKeyInfoOwned) -> Option<(&'static str, usize, usize)> {
    if key.algorithm.oid == RSA {
        return Some(("RSA", modulus_bits(key.subject_public_key.raw_bytes())?, 2048));
    }
    if key.algorithm.oid == EC {
        let curve = key.algorithm.parameters.as_ref()?.decode_as::<ObjectIdentifier>().ok()?;
        let (_, bits) = CURVES.iter().find(|(known, _)| *known == curve)?;
        return Some(("an elliptic curve's", *bits, 224));
    }
    let (_, bits) = EDWARDS.iter().find(|(known, _)| *known == key.algorithm.oid)?;
    Some(("an Edwards curve's", *bits, 224))
}

fn modulus_bits(key: &[u8]) -> Option<usize> {
    let mut reader = SliceReader::new(key).ok()?;
    let bytes = reader
        .sequence(|inner| {
            let modulus = UintRef::decode(inner)?.as_bytes().to_vec();
            UintRef::decode(inner)?;
            Ok(modulus)
        })
        .ok()?;
    Some(super::super::reply::bits(&bytes))
}

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

const CURVES: [(ObjectIdentifier, usize); 5] = [
    (ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.1"), 192),
    (ObjectIdentifier::new_unwrap("1.3.132.0.33"), 224),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"), 256),
    (ObjectIdentifier::new_unwrap("1.3.132.0.34"), 384),
    (ObjectIdentifier::new_unwrap("1.3.132.0.35"), 521),
];

const EDWARDS: [(ObjectIdentifier, usize); 2] =
    [(ObjectIdentifier::new_unwrap("1.3.101.112"), 255), (ObjectIdentifier::new_unwrap("1.3.101.113"), 448)];

const BROKEN: [(ObjectIdentifier, &str); 4] = [
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4"), "MD5"),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"), "SHA-1"),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"), "SHA-1"),
    (ObjectIdentifier::new_unwrap("1.2.840.10040.4.3"), "SHA-1"),
];

const CHAIN: Rule = Rule { probe: "certificate", clause: "FAPI 2.0 SP §5.2.1; RFC 5280 §6" };
const NAME: Rule = Rule { probe: "certificate", clause: "FAPI 2.0 SP §5.2.1; RFC 9525 §6" };
const DATES: Rule = Rule { probe: "certificate", clause: "RFC 5280 §4.1.2.5" };
const SIGNATURE: Rule = Rule { probe: "certificate", clause: "RFC 9325 §4.5" };
const KEY: Rule = Rule { probe: "certificate", clause: "RFC 9325 §4.5" };
const SNI: Rule = Rule { probe: "unknown_name", clause: "RFC 6066 §3; RFC 9325 §3.7" };
