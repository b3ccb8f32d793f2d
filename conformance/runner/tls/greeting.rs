//! A `ClientHello`, every part of which can be chosen (RFC 5246 §7.4.1.2, RFC 8446 §4.1.2).

use uuid::Uuid;

use super::wire::{CLIENT_HELLO, Out, extension, message, numbers, vec8, vec16};
use super::{Place, SSL3, TLS10, TLS12, TLS13, suites};

/// What a client says first.
///
/// Start from [`Greeting::tls12`], [`Greeting::tls13`], [`Greeting::modern`] or
/// [`Greeting::legacy`] and change what the question is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The version in the hello itself, which TLS 1.3 leaves at 1.2.
    pub legacy_version: u16,
    /// The version of the record that carries it.
    pub record_version: u16,
    /// `supported_versions`; none is sent where this is empty.
    pub versions: Vec<u16>,
    /// Thirty-two bytes of chance.
    pub random: Vec<u8>,
    /// The session to go on with, or what stands in for one.
    pub session_id: Vec<u8>,
    /// Cipher suites, the best first.
    pub suites: Vec<u16>,
    /// Compression methods; 0 is none, 1 is DEFLATE (RFC 3749).
    pub compression: Vec<u8>,
    /// `server_name` (RFC 6066 §3).
    pub server_name: Option<String>,
    /// `supported_groups`; an empty list is sent as such, `None` is not sent.
    pub groups: Option<Vec<u16>>,
    /// `key_share`: a group and its public value. `Some` and empty asks the server to pick a group.
    pub key_shares: Option<Vec<(u16, Vec<u8>)>>,
    /// `signature_algorithms`; none is sent where this is empty.
    pub signature_schemes: Vec<u16>,
    /// `application_layer_protocol_negotiation` (RFC 7301); none is sent where this is empty.
    pub alpn: Vec<Vec<u8>>,
    /// `renegotiation_info` (RFC 5746) with this content, empty in a first handshake.
    pub renegotiation_info: Option<Vec<u8>>,
    /// `extended_master_secret` (RFC 7627).
    pub extended_master_secret: bool,
    /// `TLS_FALLBACK_SCSV` among the suites (RFC 7507).
    pub fallback_scsv: bool,
    /// `session_ticket` (RFC 5077), empty to ask for one.
    pub session_ticket: Option<Vec<u8>>,
    /// `early_data` (RFC 8446 §4.2.10).
    pub early_data: bool,
    /// Extensions that follow all others, for GREASE and for what should not be there.
    pub extra: Vec<(u16, Vec<u8>)>,
    /// The message is padded to at least so many bytes (RFC 7685).
    pub padded_to: usize,
}

impl Greeting {
    /// TLS 1.2 and nothing newer, with every suite there is.
    #[must_use]
    pub fn tls12(place: &Place) -> Self {
        Self {
            legacy_version: TLS12,
            record_version: TLS10,
            versions: Vec::new(),
            random: chance(),
            session_id: Vec::new(),
            suites: suites::BEFORE_13.iter().map(|(code, _)| *code).collect(),
            compression: vec![0],
            server_name: place.server_name(),
            groups: Some(COMMON_GROUPS.to_vec()),
            key_shares: None,
            signature_schemes: SCHEMES.to_vec(),
            alpn: Vec::new(),
            renegotiation_info: Some(Vec::new()),
            extended_master_secret: true,
            fallback_scsv: false,
            session_ticket: None,
            early_data: false,
            extra: Vec::new(),
            padded_to: 0,
        }
    }

    /// TLS 1.2 as a good client of today speaks it: forward secrecy and AEAD only.
    #[must_use]
    pub fn careful12(place: &Place) -> Self {
        Self { suites: suites::RECOMMENDED.to_vec(), ..Self::tls12(place) }
    }

    /// TLS 1.3 only, with a share for X25519.
    #[must_use]
    pub fn tls13(place: &Place) -> Self {
        Self {
            versions: vec![TLS13],
            session_id: chance(),
            suites: suites::OF_13.iter().map(|(code, _)| *code).take(3).collect(),
            key_shares: Some(vec![(X25519, chance())]),
            renegotiation_info: None,
            extended_master_secret: false,
            ..Self::tls12(place)
        }
    }

    /// TLS 1.3 and 1.2, as clients of today greet.
    #[must_use]
    pub fn modern(place: &Place) -> Self {
        let mut suites = Self::tls13(place).suites;
        suites.extend(suites::RECOMMENDED);
        Self {
            versions: vec![TLS13, TLS12],
            suites,
            renegotiation_info: Some(Vec::new()),
            extended_master_secret: true,
            ..Self::tls13(place)
        }
    }

    /// A client that knows no version after this one.
    #[must_use]
    pub fn legacy(place: &Place, version: u16) -> Self {
        let all = Self::tls12(place);
        if version == SSL3 {
            return Self {
                legacy_version: SSL3,
                record_version: SSL3,
                server_name: None,
                groups: None,
                signature_schemes: Vec::new(),
                renegotiation_info: None,
                extended_master_secret: false,
                ..all
            };
        }
        Self { legacy_version: version, signature_schemes: Vec::new(), ..all }
    }

    /// The handshake message.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let bare = message(CLIENT_HELLO, &self.body(None));
        match self.padded_to.checked_sub(bare.len()) {
            None | Some(0) => bare,
            Some(missing) => message(CLIENT_HELLO, &self.body(Some(missing.saturating_sub(4)))),
        }
    }

    fn body(&self, padding: Option<usize>) -> Vec<u8> {
        let mut codes = self.suites.clone();
        if self.fallback_scsv {
            codes.push(suites::FALLBACK_SCSV);
        }
        let mut out = Out::default();
        out.u16(self.legacy_version).bytes(&self.random).vec8(&self.session_id);
        out.vec16(&numbers(&codes)).vec8(&self.compression);
        let mut extensions = Out::default();
        for (kind, data) in self.extensions(padding) {
            extensions.u16(kind).vec16(&data);
        }
        if !extensions.0.is_empty() {
            out.vec16(&extensions.0);
        }
        out.0
    }

    fn extensions(&self, padding: Option<usize>) -> Vec<(u16, Vec<u8>)> {
        let mut all = Vec::new();
        if let Some(name) = &self.server_name {
            let mut entry = Out::default();
            entry.u8(0).vec16(name.as_bytes());
            all.push((extension::SERVER_NAME, vec16(&entry.0)));
        }
        if let Some(info) = &self.renegotiation_info {
            all.push((extension::RENEGOTIATION_INFO, vec8(info)));
        }
        if self.extended_master_secret {
            all.push((extension::EXTENDED_MASTER_SECRET, Vec::new()));
        }
        if let Some(groups) = &self.groups {
            all.push((extension::SUPPORTED_GROUPS, vec16(&numbers(groups))));
            all.push((extension::EC_POINT_FORMATS, vec8(&[0])));
        }
        if let Some(ticket) = &self.session_ticket {
            all.push((extension::SESSION_TICKET, ticket.clone()));
        }
        if !self.signature_schemes.is_empty() {
            all.push((extension::SIGNATURE_ALGORITHMS, vec16(&numbers(&self.signature_schemes))));
        }
        if !self.alpn.is_empty() {
            let names: Vec<u8> = self.alpn.iter().flat_map(|name| vec8(name)).collect();
            all.push((extension::ALPN, vec16(&names)));
        }
        if !self.versions.is_empty() {
            all.push((extension::SUPPORTED_VERSIONS, vec8(&numbers(&self.versions))));
            all.push((extension::PSK_MODES, vec8(&[1])));
        }
        if let Some(shares) = &self.key_shares {
            let mut entries = Out::default();
            for (group, share) in shares {
                entries.u16(*group).vec16(share);
            }
            all.push((extension::KEY_SHARE, vec16(&entries.0)));
        }
        if self.early_data {
            all.push((extension::EARLY_DATA, Vec::new()));
        }
        if let Some(length) = padding {
            all.push((extension::PADDING, vec![0; length]));
        }
        all.extend(self.extra.iter().cloned());
        all
    }
}

/// Thirty-two bytes that nobody has to keep secret, because the greeting goes no further.
pub(super) fn chance() -> Vec<u8> {
    [*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat()
}

const X25519: u16 = 0x001d;

/// Groups that servers of today have.
const COMMON_GROUPS: [u16; 5] = [X25519, 0x0017, 0x0018, 0x0019, 0x0100];

/// Signature schemes for ECDSA, EdDSA, RSA-PSS and RSA, SHA-1 last so that an old server can be heard.
const SCHEMES: [u16; 13] =
    [0x0403, 0x0503, 0x0603, 0x0807, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201, 0x0202];
