//! Servers for proving the probes: one that is sound, and many that are wrong in one way each.
//!
//! [`careful`] and most of the broken ones only write hellos and can finish no handshake, which is
//! all that most probes look at. Where a handshake has to end, rustls serves.

mod again;
mod authority;
mod full;
mod heard;
mod raw;
mod ways;

use std::future::Future;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

pub use authority::Authority;

use super::{Place, Problem, TLS12};
use ways::Way;

/// The name that the servers' certificates are for.
pub const HOST: &str = "tls.test";

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Served {
    /// Where it listens.
    pub place: Place,
    task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is wrong with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BrokenTls {
    /// Agrees to SSL 2.0.
    TakesSsl2,
    /// Agrees to SSL 3.0.
    TakesSsl3,
    /// Agrees to TLS 1.0.
    TakesTls10,
    /// Agrees to TLS 1.1.
    TakesTls11,
    /// Knows no version that is still in use.
    KnowsOldOnly,
    /// Agrees to a suite without encryption.
    TakesNull,
    /// Agrees to a suite weakened for export.
    TakesExport,
    /// Agrees to a suite without certificates.
    TakesAnonymous,
    /// Agrees to RC4.
    TakesRc4,
    /// Agrees to 3DES.
    TakesTripleDes,
    /// Agrees to CBC with a MAC.
    TakesCbc,
    /// Agrees to static RSA.
    TakesStaticRsa,
    /// Agrees to static Diffie-Hellman over a curve.
    TakesStaticEcdh,
    /// Agrees to a tag of 64 bits.
    TakesShortTag,
    /// Chooses a suite that the client did not offer.
    ChoosesUnasked,
    /// Agrees to TLS 1.3 without encryption.
    TakesIntegrityOnly,
    /// Agrees to a curve with 192 bits.
    TakesSmallCurve,
    /// Has a Diffie-Hellman group with 1024 bits.
    HasSmallDhGroup,
    /// Leaves `renegotiation_info` away.
    LacksRenegotiationInfo,
    /// Leaves `extended_master_secret` away.
    LacksExtendedMasterSecret,
    /// Compresses.
    Compresses,
    /// Signs over SHA-1.
    SignsOverSha1,
    /// Begins a second handshake where its client wants one.
    Renegotiates,
    /// Does not look at `TLS_FALLBACK_SCSV` and does not mark downgrades.
    IgnoresFallback,
    /// Says nothing when asked for a name that it does not have.
    HangsOnUnknownName,
    /// Refuses greetings with GREASE.
    RefusesGrease,
    /// Refuses clients that know newer versions.
    RefusesNewerVersions,
    /// Refuses extensions that it does not know.
    RefusesUnknownExtensions,
    /// Says nothing on large greetings.
    HangsOnLargeGreetings,
    /// Waits for the rest of a record that is whole.
    HangsOnFragments,
    /// Waits for more when what came is no TLS.
    HangsOnGarbage,
    /// Serves pages without TLS on the same port.
    ServesPlainHttp,
    /// Says nothing on an empty list of groups.
    HangsOnEmptyGroups,
    /// Says nothing on an extension that comes twice.
    HangsOnDuplicateExtension,
    /// Says nothing on `renegotiation_info` with content.
    HangsOnFilledRenegotiationInfo,
    /// Agrees to early data in its hello.
    AgreesToEarlyDataUnasked,
    /// Its certificate is over.
    CertificateExpired,
    /// Its certificate has not begun.
    CertificateTooNew,
    /// Its certificate is for somebody else.
    CertificateOfAnother,
    /// Its certificate is signed by itself.
    CertificateSelfSigned,
    /// It sends its own certificate and not the one in between.
    CertificateAlone,
    /// Its certificate is signed over SHA-1.
    CertificateOverSha1,
    /// Its key has 1024 bits.
    CertificateWithSmallKey,
    /// It takes early data.
    TakesEarlyData,
    /// It agrees to HTTP/2 only.
    LacksHttp11,
    /// It never asks for a client certificate.
    NeverAsks,
    /// It lets every client certificate in.
    LetsStrangersIn,
    /// It goes on with sessions without asking for the certificate again.
    GoesOnWithoutCertificate,
}

impl BrokenTls {
    /// Every way to be wrong.
    pub const ALL: [Self; 48] = [
        Self::TakesSsl2,
        Self::TakesSsl3,
        Self::TakesTls10,
        Self::TakesTls11,
        Self::KnowsOldOnly,
        Self::TakesNull,
        Self::TakesExport,
        Self::TakesAnonymous,
        Self::TakesRc4,
        Self::TakesTripleDes,
        Self::TakesCbc,
        Self::TakesStaticRsa,
        Self::TakesStaticEcdh,
        Self::TakesShortTag,
        Self::ChoosesUnasked,
        Self::TakesIntegrityOnly,
        Self::TakesSmallCurve,
        Self::HasSmallDhGroup,
        Self::LacksRenegotiationInfo,
        Self::LacksExtendedMasterSecret,
        Self::Compresses,
        Self::SignsOverSha1,
        Self::Renegotiates,
        Self::IgnoresFallback,
        Self::HangsOnUnknownName,
        Self::RefusesGrease,
        Self::RefusesNewerVersions,
        Self::RefusesUnknownExtensions,
        Self::HangsOnLargeGreetings,
        Self::HangsOnFragments,
        Self::HangsOnGarbage,
        Self::ServesPlainHttp,
        Self::HangsOnEmptyGroups,
        Self::HangsOnDuplicateExtension,
        Self::HangsOnFilledRenegotiationInfo,
        Self::AgreesToEarlyDataUnasked,
        Self::CertificateExpired,
        Self::CertificateTooNew,
        Self::CertificateOfAnother,
        Self::CertificateSelfSigned,
        Self::CertificateAlone,
        Self::CertificateOverSha1,
        Self::CertificateWithSmallKey,
        Self::TakesEarlyData,
        Self::LacksHttp11,
        Self::NeverAsks,
        Self::LetsStrangersIn,
        Self::GoesOnWithoutCertificate,
    ];

    /// Its name, what is wrong, and the probe that has to notice with a part of what it says.
    #[must_use]
    pub const fn told(self) -> Told {
        let (name, description, probe, sentence) = match self {
            Self::TakesSsl2 => (
                "takes-ssl2",
                "agrees to SSL 2.0",
                "versions",
                "SSL 2.0, the server said something that is not TLS",
            ),
            Self::TakesSsl3 => ("takes-ssl3", "agrees to SSL 3.0", "versions", "agreed to SSL 3.0"),
            Self::TakesTls10 => ("takes-tls10", "agrees to TLS 1.0", "versions", "agreed to TLS 1.0"),
            Self::TakesTls11 => ("takes-tls11", "agrees to TLS 1.1", "versions", "agreed to TLS 1.1"),
            Self::KnowsOldOnly => ("knows-old-only", "knows TLS 1.1 at most", "versions", "neither"),
            Self::TakesNull => ("takes-null", "agrees not to encrypt", "suites12", "does not encrypt"),
            Self::TakesExport => ("takes-export", "agrees to export keys", "suites12", "for export"),
            Self::TakesAnonymous => ("takes-anonymous", "needs no certificate", "suites12", "nobody proves"),
            Self::TakesRc4 => ("takes-rc4", "agrees to RC4", "suites12", "RC4"),
            Self::TakesTripleDes => ("takes-3des", "agrees to 3DES", "suites12", "3DES"),
            Self::TakesCbc => ("takes-cbc", "agrees to CBC", "suites12", "CBC"),
            Self::TakesStaticRsa => ("takes-static-rsa", "agrees to static RSA", "suites12", "static RSA"),
            Self::TakesStaticEcdh => {
                ("takes-static-ecdh", "agrees to static ECDH", "suites12", "static ECDH")
            }
            Self::TakesShortTag => ("takes-short-tag", "agrees to CCM_8", "suites12", "tag is short"),
            Self::ChoosesUnasked => {
                ("chooses-unasked", "chooses what nobody offered", "suites12", "not offered")
            }
            Self::TakesIntegrityOnly => {
                ("takes-integrity-only", "agrees to TLS 1.3 in the clear", "suites13", "SHA256_SHA256")
            }
            Self::TakesSmallCurve => ("takes-small-curve", "agrees to secp192r1", "groups", "secp192r1"),
            Self::HasSmallDhGroup => {
                ("has-small-dh-group", "has a DH group of 1024 bits", "dhe", "1024 bits")
            }
            Self::LacksRenegotiationInfo => {
                ("lacks-renegotiation-info", "leaves RFC 5746 away", "renegotiation_info", "away")
            }
            Self::LacksExtendedMasterSecret => {
                ("lacks-extended-master-secret", "leaves RFC 7627 away", "extended_master_secret", "away")
            }
            Self::Compresses => ("compresses", "compresses", "compression", "method 1"),
            Self::SignsOverSha1 => ("signs-over-sha1", "signs over SHA-1", "signatures", "SHA-1"),
            Self::Renegotiates => ("renegotiates", "lets clients start over", "renegotiation", "renegotiate"),
            Self::IgnoresFallback => {
                ("ignores-fallback", "ignores RFC 7507", "fallback", "agreed to TLS 1.2")
            }
            Self::HangsOnUnknownName => {
                ("hangs-on-unknown-name", "waits on names it does not have", "unknown_name", "said nothing")
            }
            Self::RefusesGrease => ("refuses-grease", "refuses GREASE", "grease", "GREASE"),
            Self::RefusesNewerVersions => {
                ("refuses-newer-versions", "refuses clients of the future", "version_tolerance", "0x0305")
            }
            Self::RefusesUnknownExtensions => {
                ("refuses-unknown-extensions", "refuses the unknown", "unknown_extension", "unknown")
            }
            Self::HangsOnLargeGreetings => {
                ("hangs-on-large-greetings", "waits on large greetings", "large_hello", "said nothing")
            }
            Self::HangsOnFragments => {
                ("hangs-on-fragments", "reads one record and waits", "fragments", "said nothing")
            }
            Self::HangsOnGarbage => ("hangs-on-garbage", "waits on garbage", "garbage", "said nothing"),
            Self::ServesPlainHttp => ("serves-plain-http", "serves without TLS", "plain_http", "200"),
            Self::HangsOnEmptyGroups => {
                ("hangs-on-empty-groups", "waits on an empty list", "empty_groups", "said nothing")
            }
            Self::HangsOnDuplicateExtension => {
                ("hangs-on-duplicate-extension", "waits on doubles", "duplicate_extension", "said nothing")
            }
            Self::HangsOnFilledRenegotiationInfo => (
                "hangs-on-filled-renegotiation-info",
                "waits on splices",
                "filled_renegotiation_info",
                "said nothing",
            ),
            Self::AgreesToEarlyDataUnasked => {
                ("agrees-to-early-data-unasked", "echoes early_data", "early_data_unasked", "early data")
            }
            Self::CertificateExpired => ("certificate-expired", "its time is over", "certificate", "It is"),
            Self::CertificateTooNew => ("certificate-too-new", "its time is to come", "certificate", "It is"),
            Self::CertificateOfAnother => {
                ("certificate-of-another", "is for another name", "certificate", "is not for")
            }
            Self::CertificateSelfSigned => {
                ("certificate-self-signed", "signs for itself", "certificate", "signed by itself")
            }
            Self::CertificateAlone => {
                ("certificate-alone", "sends no intermediate", "certificate", "its own certificate alone")
            }
            Self::CertificateOverSha1 => {
                ("certificate-over-sha1", "is signed over SHA-1", "certificate", "signed over SHA-1")
            }
            Self::CertificateWithSmallKey => {
                ("certificate-with-small-key", "has RSA with 1024 bits", "certificate", "1024 bits")
            }
            Self::TakesEarlyData => ("takes-early-data", "takes early data", "early_data", "took"),
            Self::LacksHttp11 => ("lacks-http11", "agrees to HTTP/2 only", "alpn", "does not take it"),
            Self::NeverAsks => (
                "never-asks",
                "asks for no client certificate",
                "client_certificates",
                "no client certificate",
            ),
            Self::LetsStrangersIn => {
                ("lets-strangers-in", "believes every certificate", "client_certificates", "from nowhere")
            }
            Self::GoesOnWithoutCertificate => {
                ("goes-on-without-certificate", "resumes for all", "client_resumption", "shows none")
            }
        };
        Told { name, description, probe, sentence }
    }
}

/// What there is to say about a broken server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// A name for lists and command lines.
    pub name: &'static str,
    /// What is wrong, in a few words.
    pub description: &'static str,
    /// The probe that has to notice.
    pub probe: &'static str,
    /// A part of the sentence in which it says so.
    pub sentence: &'static str,
}

/// A sound server that asks for no client certificate.
///
/// # Errors
///
/// Where there is no port or no certificate.
pub async fn sound(authority: &Authority) -> Result<Served, Problem> {
    full::serve(full::Config::sound(authority)?).await
}

/// A sound server that lets only clients in whose certificate the authority signed.
///
/// # Errors
///
/// As [`sound`].
pub async fn sound_mutual(authority: &Authority) -> Result<Served, Problem> {
    full::serve(full::Config::mutual(authority)?).await
}

/// A server that writes careful hellos and finishes no handshake.
///
/// # Errors
///
/// As [`sound`].
pub async fn careful(authority: &Authority) -> Result<Served, Problem> {
    raw::serve(raw::Manner::careful(authority)?).await
}

/// A server that is wrong in one way.
///
/// # Errors
///
/// As [`sound`].
pub async fn broken(kind: BrokenTls, authority: &Authority) -> Result<Served, Problem> {
    let mut manner = raw::Manner::careful(authority)?;
    match kind.way() {
        Way::Ends(config) => return full::serve(config(authority)?).await,
        Way::Says(change) => change(&mut manner),
        Way::Meets(when, trouble) => manner.meets(when, trouble),
        Way::Shows(chain) => {
            manner.versions = vec![TLS12];
            manner.chain = chain(authority)?;
        }
    }
    raw::serve(manner).await
}

/// Serves every connection by the same means, on a port of this machine only.
async fn listen<F, R>(each: F) -> Result<Served, Problem>
where
    F: Fn(TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let own = |error: std::io::Error| Problem::Own(format!("no port to listen on: {error}"));
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(own)?;
    let address = listener.local_addr().map_err(own)?;
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((stream, _)) = accepted else { break };
                    connections.spawn(each(stream));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    });
    Ok(Served { place: Place { host: HOST.to_owned(), address }, task })
}
