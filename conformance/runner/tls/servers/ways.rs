//! How each broken server comes to be wrong.

use super::super::{Problem, SSL3, TLS10, TLS11, TLS12};
use super::full::Config;
use super::raw::{
    DECODE_ERROR, ILLEGAL_PARAMETER, Manner, PROTOCOL_VERSION, Trouble, UNSUPPORTED_EXTENSION, When,
};
use super::{Authority, BrokenTls, HOST};

/// What makes a server wrong.
pub(super) enum Way {
    /// It says something else in its hello.
    Says(fn(&mut Manner)),
    /// It does not bear some greetings.
    Meets(When, Trouble),
    /// It sends another chain, without having the key.
    Shows(fn(&Authority) -> Result<Vec<Vec<u8>>, Problem>),
    /// It finishes handshakes, wrongly.
    Ends(fn(&Authority) -> Result<Config, Problem>),
}

impl BrokenTls {
    pub(super) fn way(self) -> Way {
        match self {
            Self::TakesSsl2 => {
                Way::Says(|server| server.on_garbage = |bytes| greets(bytes, &[0x80], Trouble::Ssl2))
            }
            Self::TakesSsl3 => Way::Says(|server| server.versions.push(SSL3)),
            Self::TakesTls10 => Way::Says(|server| server.versions.push(TLS10)),
            Self::TakesTls11 => Way::Says(|server| server.versions.push(TLS11)),
            Self::KnowsOldOnly => Way::Says(|server| server.versions = vec![TLS11]),
            Self::TakesNull => Way::Says(|server| server.suites.push(0x0002)),
            Self::TakesExport => Way::Says(|server| server.suites.push(0x0008)),
            Self::TakesAnonymous => Way::Says(|server| server.suites.push(0xc018)),
            Self::TakesRc4 => Way::Says(|server| server.suites.push(0xc011)),
            Self::TakesTripleDes => Way::Says(|server| server.suites.push(0xc012)),
            Self::TakesCbc => Way::Says(|server| server.suites.push(0xc027)),
            Self::TakesStaticRsa => Way::Says(|server| server.suites.push(0x009c)),
            Self::TakesStaticEcdh => Way::Says(|server| server.suites.push(0xc02d)),
            Self::TakesShortTag => Way::Says(|server| server.suites.push(0xc0ae)),
            Self::ChoosesUnasked => Way::Says(|server| server.chooses = Some(0x5a5a)),
            Self::TakesIntegrityOnly => Way::Says(|server| server.suites13.push(0xc0b4)),
            Self::TakesSmallCurve => Way::Says(|server| server.groups.push(0x0013)),
            Self::HasSmallDhGroup => Way::Says(|server| {
                server.suites.push(0x009e);
                server.prime = 128;
            }),
            Self::LacksRenegotiationInfo => Way::Says(|server| server.renegotiation_info = false),
            Self::LacksExtendedMasterSecret => Way::Says(|server| server.extended_master_secret = false),
            Self::Compresses => Way::Says(|server| server.compresses = true),
            Self::SignsOverSha1 => Way::Says(Manner::signs_over_sha1),
            Self::Renegotiates => Way::Says(|server| server.renegotiates = true),
            Self::IgnoresFallback => Way::Says(|server| server.looks_at_fallback = false),
            Self::AgreesToEarlyDataUnasked => Way::Says(|server| server.echoes_early_data = true),
            Self::HangsOnGarbage => Way::Says(|server| server.on_garbage = |_| Trouble::Hang),
            Self::ServesPlainHttp => {
                Way::Says(|server| server.on_garbage = |bytes| greets(bytes, b"GET ", Trouble::Page))
            }
            Self::HangsOnUnknownName => Way::Meets(|heard| !heard.asks_for(HOST), Trouble::Hang),
            Self::RefusesGrease => Way::Meets(
                |heard| heard.suites.iter().any(|suite| suite & 0x0f0f == 0x0a0a),
                Trouble::Refuse(ILLEGAL_PARAMETER),
            ),
            Self::RefusesNewerVersions => {
                Way::Meets(|heard| heard.legacy_version > TLS12, Trouble::Refuse(PROTOCOL_VERSION))
            }
            Self::RefusesUnknownExtensions => {
                Way::Meets(|heard| heard.extension(0xfa17).is_some(), Trouble::Refuse(UNSUPPORTED_EXTENSION))
            }
            Self::HangsOnLargeGreetings => Way::Meets(|heard| heard.message.len() >= 1 << 14, Trouble::Hang),
            Self::HangsOnFragments => Way::Meets(|heard| heard.records > 2, Trouble::Hang),
            Self::HangsOnEmptyGroups => {
                Way::Meets(|heard| heard.groups().is_some_and(|all| all.is_empty()), Trouble::Hang)
            }
            Self::HangsOnDuplicateExtension => Way::Meets(|heard| heard.doubled(), Trouble::Hang),
            Self::HangsOnFilledRenegotiationInfo => Way::Meets(|heard| heard.renegotiates(), Trouble::Hang),
            Self::CertificateWithSmallKey => Way::Shows(Authority::with_small_key),
            Self::CertificateExpired => Way::Ends(|by| Config::open(by.sign(HOST, (-4, -1))?)),
            Self::CertificateTooNew => Way::Ends(|by| Config::open(by.sign(HOST, (1, 4))?)),
            Self::CertificateOfAnother => Way::Ends(|by| Config::open(by.sign("other.test", (-5, 5))?)),
            Self::CertificateSelfSigned => Way::Ends(|by| Config::open(by.self_signed()?)),
            Self::CertificateOverSha1 => Way::Ends(|by| Config::open(by.over_sha1()?)),
            Self::CertificateAlone => Way::Ends(|by| {
                let mut alone = by.sign(HOST, (-5, 5))?;
                alone.chain.truncate(1);
                Config::open(alone)
            }),
            Self::TakesEarlyData => Way::Ends(Config::hasty),
            Self::LacksHttp11 => Way::Ends(Config::without_http11),
            Self::NeverAsks => Way::Ends(Config::sound),
            Self::LetsStrangersIn => Way::Ends(Config::trusting),
            Self::GoesOnWithoutCertificate => Way::Ends(Config::resuming),
        }
    }
}

/// What is done with bytes that begin so; all others are refused.
fn greets(bytes: &[u8], start: &[u8], trouble: Trouble) -> Trouble {
    if bytes.starts_with(start) { trouble } else { Trouble::Refuse(DECODE_ERROR) }
}
