//! What a server says in the clear, read as far as it goes.

use super::wire::{
    ALERT, APPLICATION_DATA, CERTIFICATE, CERTIFICATE_REQUEST, CHANGE_CIPHER_SPEC, HANDSHAKE, In, MOST,
    SERVER_HELLO, SERVER_HELLO_DONE, SERVER_KEY_EXCHANGE, extension,
};
use super::{TLS13, suites};

/// How a server answered a greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It agreed, and said this.
    Hello(Box<Hello>),
    /// It wants to be greeted again, with another group (RFC 8446 §4.1.4).
    Retry(Retry),
    /// It refused, with this description (RFC 8446 §6).
    Alert(u8),
    /// It closed the connection without a word.
    Closed,
    /// It kept the connection open and had said nothing whole when the time was over.
    Silent,
    /// It said something that is not TLS, which begins like this.
    Garbled(Vec<u8>),
}

/// A `ServerHello` and, up to TLS 1.2, what follows it in the clear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The version that was agreed on, from `supported_versions` where that is there.
    pub version: u16,
    /// The server's random.
    pub random: Vec<u8>,
    /// The session's id, or the client's own come back.
    pub session_id: Vec<u8>,
    /// The suite that was chosen.
    pub suite: u16,
    /// The compression method that was chosen; 0 is none.
    pub compression: u8,
    /// Extensions as they came.
    pub extensions: Vec<(u16, Vec<u8>)>,
    /// The group of the key exchange, where the server named one.
    pub group: Option<u16>,
    /// The size of the prime where keys are agreed on in a finite field.
    pub dh_bits: Option<usize>,
    /// The server's public value.
    pub public: Vec<u8>,
    /// Certificates as they came, the server's own first.
    pub chain: Vec<Vec<u8>>,
    /// Whether it asked for a client certificate in the clear.
    pub asks_for_certificate: bool,
    /// Whether the server's turn ended (`ServerHelloDone`, or the hello itself in TLS 1.3).
    pub whole: bool,
}

/// A `HelloRetryRequest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The version that was agreed on.
    pub version: u16,
    /// The suite that was chosen.
    pub suite: u16,
    /// The group that is wanted.
    pub group: Option<u16>,
}

impl Hello {
    /// An extension's data.
    #[must_use]
    pub fn extension(&self, kind: u16) -> Option<&[u8]> {
        self.extensions.iter().find(|(known, _)| *known == kind).map(|(_, data)| data.as_slice())
    }

    /// Whether renegotiation would be secure (RFC 5746 §3.4): the extension is there, and empty.
    #[must_use]
    pub fn secure_renegotiation(&self) -> bool {
        self.extension(extension::RENEGOTIATION_INFO) == Some(&[0])
    }

    /// Whether the master secret covers the handshake (RFC 7627 §5.2).
    #[must_use]
    pub fn extended_master_secret(&self) -> bool {
        self.extension(extension::EXTENDED_MASTER_SECRET).is_some()
    }

    /// Whether a ticket will be sent (RFC 5077 §3.2).
    #[must_use]
    pub fn ticket(&self) -> bool {
        self.extension(extension::SESSION_TICKET).is_some()
    }

    /// The protocol that was chosen (RFC 7301 §3.1).
    #[must_use]
    pub fn alpn(&self) -> Option<Vec<u8>> {
        let names = In(self.extension(extension::ALPN)?).vec16()?;
        Some(In(names).vec8()?.to_vec())
    }

    /// Whether the random says that the server knows a newer version than the one it chose
    /// (RFC 8446 §4.1.3).
    #[must_use]
    pub fn downgrade_marked(&self) -> bool {
        self.random.get(24..).is_some_and(|end| end == b"DOWNGRD\x01" || end == b"DOWNGRD\x00")
    }
}

impl Reply {
    /// The version that was agreed on.
    #[must_use]
    pub fn version(&self) -> Option<u16> {
        match self {
            Self::Hello(hello) => Some(hello.version),
            Self::Retry(retry) => Some(retry.version),
            Self::Alert(_) | Self::Closed | Self::Silent | Self::Garbled(_) => None,
        }
    }

    /// The suite that was chosen.
    #[must_use]
    pub fn suite(&self) -> Option<u16> {
        match self {
            Self::Hello(hello) => Some(hello.suite),
            Self::Retry(retry) => Some(retry.suite),
            Self::Alert(_) | Self::Closed | Self::Silent | Self::Garbled(_) => None,
        }
    }

    /// The group that was chosen or is wanted.
    #[must_use]
    pub fn group(&self) -> Option<u16> {
        match self {
            Self::Hello(hello) => hello.group,
            Self::Retry(retry) => retry.group,
            Self::Alert(_) | Self::Closed | Self::Silent | Self::Garbled(_) => None,
        }
    }

    /// The hello, where the server agreed at once.
    #[must_use]
    pub fn hello(&self) -> Option<&Hello> {
        match self {
            Self::Hello(hello) => Some(hello),
            Self::Retry(_) | Self::Alert(_) | Self::Closed | Self::Silent | Self::Garbled(_) => None,
        }
    }

    /// Whether the server agreed, at once or to be greeted again.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.version().is_some()
    }

    /// Whether the server refused in a way that a client can see: an alert or the end.
    #[must_use]
    pub fn refuses(&self) -> bool {
        matches!(self, Self::Alert(_) | Self::Closed)
    }

    /// What the server did, to follow "the server".
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::Hello(hello) => {
                format!("agreed to {} with {}", super::version_name(hello.version), suites::name(hello.suite))
            }
            Self::Retry(retry) => {
                format!("agreed to {} and asked to be greeted again", super::version_name(retry.version))
            }
            Self::Alert(code) => format!("refused with the alert {}", alert_name(*code)),
            Self::Closed => "closed the connection".into(),
            Self::Silent => "said nothing until the time was over".into(),
            Self::Garbled(start) => {
                format!("said something that is not TLS, beginning {}", start.escape_ascii())
            }
        }
    }

    /// Reads what came; `None` while more is needed. `ended` says that nothing more will come.
    pub(super) fn read(bytes: &[u8], ended: Option<End>) -> Option<Self> {
        let heard = Heard::read(bytes);
        if let Some(end) = ended {
            return Some(heard.settle().unwrap_or(match end {
                End::Closed => Self::Closed,
                End::Late => Self::Silent,
            }));
        }
        if heard.over { heard.settle() } else { None }
    }
}

/// Why nothing more comes.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Closed,
    Late,
}

/// What alerts are called (RFC 8446 §6, RFC 5246 §7.2).
#[must_use]
pub(super) fn alert_name(code: u8) -> String {
    let name = match code {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => return format!("number {code}"),
    };
    name.to_owned()
}

/// What has come so far.
#[derive(Default)]
struct Heard {
    hello: Option<Hello>,
    retry: Option<Retry>,
    alert: Option<u8>,
    garbled: Option<Vec<u8>>,
    over: bool,
}

impl Heard {
    fn settle(self) -> Option<Reply> {
        self.hello
            .map(|hello| Reply::Hello(Box::new(hello)))
            .or(self.retry.map(Reply::Retry))
            .or(self.alert.map(Reply::Alert))
            .or(self.garbled.map(Reply::Garbled))
    }

    fn read(bytes: &[u8]) -> Self {
        let mut heard = Self::default();
        let mut messages = Vec::new();
        let mut rest = In(bytes);
        while !rest.0.is_empty() && !heard.over {
            let mut record = rest;
            let (Some(kind), Some(version)) = (record.u8(), record.u16()) else { break };
            let known = matches!(kind, CHANGE_CIPHER_SPEC | ALERT | HANDSHAKE | APPLICATION_DATA);
            if !known || version >> 8 != 3 {
                heard.garble(rest.0);
                break;
            }
            let Some(payload) = record.vec16() else { break };
            if payload.len() > MOST + 2048 {
                heard.garble(rest.0);
                break;
            }
            rest = record;
            match kind {
                HANDSHAKE => messages.extend_from_slice(payload),
                ALERT => heard.alarm(payload),
                _ => heard.over = true,
            }
        }
        heard.messages(&messages);
        heard
    }

    fn garble(&mut self, from: &[u8]) {
        self.garbled = Some(from.get(..60).unwrap_or(from).to_vec());
        self.over = true;
    }

    /// Warnings are followed by what the server does, and only close_notify ends it.
    fn alarm(&mut self, payload: &[u8]) {
        let mut alert = In(payload);
        if let (Some(level), Some(code)) = (alert.u8(), alert.u8())
            && (level == 2 || code == 0 || code == 100)
        {
            self.alert = Some(code);
            self.over = true;
        }
    }

    fn messages(&mut self, bytes: &[u8]) {
        let mut rest = In(bytes);
        while let (Some(kind), Some(body)) = (rest.u8(), rest.vec24()) {
            if self.message(kind, body).is_none() {
                self.garble(body);
            }
            if self.over {
                break;
            }
        }
    }

    fn message(&mut self, kind: u8, body: &[u8]) -> Option<()> {
        match (kind, &mut self.hello) {
            (SERVER_HELLO, None) => self.greeted(body),
            (CERTIFICATE, Some(hello)) => {
                let mut list = In(In(body).vec24()?);
                hello.chain = std::iter::from_fn(|| list.vec24()).map(<[u8]>::to_vec).collect();
                Some(())
            }
            (SERVER_KEY_EXCHANGE, Some(hello)) => hello.key_exchange(body),
            (CERTIFICATE_REQUEST, Some(hello)) => {
                hello.asks_for_certificate = true;
                Some(())
            }
            (SERVER_HELLO_DONE, Some(hello)) => {
                hello.whole = true;
                self.over = true;
                Some(())
            }
            (_, Some(_)) => Some(()),
            (_, None) => None,
        }
    }

    fn greeted(&mut self, body: &[u8]) -> Option<()> {
        let mut body = In(body);
        let mut hello = Hello {
            version: body.u16()?,
            random: body.take(32)?.to_vec(),
            session_id: body.vec8()?.to_vec(),
            suite: body.u16()?,
            compression: body.u8()?,
            extensions: body.vec16().map(|all| In(all).extensions()).unwrap_or_default(),
            ..Hello::default()
        };
        if let Some(version) = hello.extension(extension::SUPPORTED_VERSIONS) {
            hello.version = In(version).u16()?;
        }
        hello.group = hello.extension(extension::KEY_SHARE).and_then(|share| In(share).u16());
        if hello.random == RETRY {
            self.retry = Some(Retry { version: hello.version, suite: hello.suite, group: hello.group });
            self.over = true;
            return Some(());
        }
        if hello.version >= TLS13 {
            hello.whole = true;
            self.over = true;
        }
        self.hello = Some(hello);
        Some(())
    }
}

impl Hello {
    /// `ServerKeyExchange` (RFC 5246 §7.4.3, RFC 8422 §5.4).
    fn key_exchange(&mut self, body: &[u8]) -> Option<()> {
        let mut body = In(body);
        if suites::is_dhe(self.suite) {
            self.dh_bits = Some(bits(body.vec16()?));
            body.vec16()?;
            self.public = body.vec16()?.to_vec();
        } else if suites::is_ecdhe(self.suite) && body.u8()? == 3 {
            self.group = Some(body.u16()?);
            self.public = body.vec8()?.to_vec();
        }
        Some(())
    }
}

/// The size of a number.
pub(super) fn bits(number: &[u8]) -> usize {
    let mut significant = number.iter().skip_while(|byte| **byte == 0);
    significant.next().map_or(0, |first| {
        let top = 8_usize.saturating_sub(usize::try_from(first.leading_zeros()).unwrap_or(0));
        top + 8 * significant.count()
    })
}

/// The random of a `HelloRetryRequest` (RFC 8446 §4.1.3).
pub(super) const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

#[cfg(test)]
mod tests {
    use super::super::wire::{Out, message, records, vec8, vec16};
    use super::*;

    fn flight() -> Vec<u8> {
        let mut hello = Out::default();
        hello.u16(0x0303).bytes(&[1; 32]).bytes(&vec8(&[2; 32])).u16(0xc02b).u8(0);
        hello.vec16(&[0xff, 1, 0, 1, 0, 0, 23, 0, 0]);
        let mut exchange = Out::default();
        exchange.u8(3).u16(0x001d).vec8(&[3; 32]).u16(0x0403).vec16(&[4; 70]);
        let mut certificates = Out::default();
        certificates.vec24(&{
            let mut list = Out::default();
            list.vec24(&[5; 300]).vec24(&[6; 200]);
            list.0
        });
        let mut said = message(SERVER_HELLO, &hello.0);
        said.extend(message(CERTIFICATE, &certificates.0));
        said.extend(message(SERVER_KEY_EXCHANGE, &exchange.0));
        said.extend(message(CERTIFICATE_REQUEST, &[1, 64, 0, 2, 4, 3, 0, 0]));
        said.extend(message(SERVER_HELLO_DONE, &[]));
        records(HANDSHAKE, 0x0303, &said, 100)
    }

    #[test]
    fn a_flight_is_read_whole() {
        let Some(Reply::Hello(hello)) = Reply::read(&flight(), None) else { panic!("no hello") };
        assert!(hello.whole && hello.secure_renegotiation() && hello.extended_master_secret());
        assert!(hello.asks_for_certificate && !hello.ticket() && hello.alpn().is_none());
        assert_eq!((hello.suite, hello.group, hello.public.len()), (0xc02b, Some(0x001d), 32));
        assert_eq!(hello.chain.iter().map(Vec::len).collect::<Vec<_>>(), [300, 200]);
    }

    #[test]
    fn a_flight_cut_off_anywhere_is_not_whole() {
        let bytes = flight();
        for end in 0..bytes.len() {
            let part = bytes.get(..end).unwrap();
            assert_eq!(Reply::read(part, None), None, "after {end} bytes");
            match Reply::read(part, Some(End::Closed)) {
                Some(Reply::Hello(hello)) => assert!(!hello.whole, "after {end} bytes"),
                Some(other) => assert_eq!(other, Reply::Closed, "after {end} bytes"),
                None => panic!("no reply after {end} bytes"),
            }
        }
    }

    #[test]
    fn a_flight_with_any_byte_changed_is_read_without_harm() {
        let bytes = flight();
        for at in 0..bytes.len() {
            for value in [0x00, 0x01, 0x7f, 0xff] {
                let mut changed = bytes.clone();
                *changed.get_mut(at).unwrap() = value;
                assert!(Reply::read(&changed, Some(End::Late)).is_some());
            }
        }
    }

    #[test]
    fn alerts_that_only_warn_are_followed_by_the_answer() {
        let warning = records(ALERT, 0x0303, &[1, 112], 2);
        assert_eq!(Reply::read(&warning, None), None);
        let both = [warning, flight()].concat();
        assert!(matches!(Reply::read(&both, None), Some(Reply::Hello(_))));
        let fatal = records(ALERT, 0x0303, &[2, 70], 2);
        assert_eq!(Reply::read(&fatal, None), Some(Reply::Alert(70)));
    }

    #[test]
    fn the_size_of_a_prime_does_not_count_leading_zeros() {
        assert_eq!(bits(&[0, 0, 0x80, 0]), 16);
        assert_eq!(bits(&[1]), 1);
        assert_eq!(bits(&vec16(&[])), 0);
    }
}
