//! A `ClientHello`, read as far as a raw server needs it.

use super::super::wire::{CLIENT_HELLO, HANDSHAKE, In, extension};

/// What a client said.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub legacy_version: u16,
    pub random: Vec<u8>,
    /// The message as it came.
    pub message: Vec<u8>,
    pub session_id: Vec<u8>,
    pub suites: Vec<u16>,
    pub compression: Vec<u8>,
    pub extensions: Vec<(u16, Vec<u8>)>,
    /// In how many records it came.
    pub records: usize,
}

/// What has come so far.
pub(super) enum Progress {
    More,
    Greeting(Heard),
    Nonsense,
}

impl Heard {
    /// Reads records until there is a greeting.
    pub fn read(bytes: &[u8]) -> Progress {
        let mut message = Vec::new();
        let mut rest = In(bytes);
        let mut records = 0;
        while let Some(kind) = rest.0.first() {
            if *kind != HANDSHAKE {
                return Progress::Nonsense;
            }
            let (_, version) = (rest.u8(), rest.u16());
            if version.is_some_and(|version| version >> 8 != 3) {
                return Progress::Nonsense;
            }
            let Some(payload) = rest.vec16() else { break };
            records += 1;
            message.extend_from_slice(payload);
        }
        let mut whole = In(&message);
        let read = (whole.u8(), whole.vec24().map(<[u8]>::to_vec));
        match read {
            (Some(CLIENT_HELLO), Some(body)) => match Self::body(&body) {
                Some(heard) => Progress::Greeting(Self { records, message, ..heard }),
                None => Progress::Nonsense,
            },
            (None | Some(CLIENT_HELLO), None) => Progress::More,
            _ => Progress::Nonsense,
        }
    }

    fn body(body: &[u8]) -> Option<Self> {
        let mut body = In(body);
        Some(Self {
            legacy_version: body.u16()?,
            random: body.take(32)?.to_vec(),
            session_id: body.vec8()?.to_vec(),
            suites: In(body.vec16()?).numbers(),
            compression: body.vec8()?.to_vec(),
            extensions: body.vec16().map(|all| In(all).extensions()).unwrap_or_default(),
            ..Self::default()
        })
    }

    pub fn extension(&self, kind: u16) -> Option<&[u8]> {
        self.extensions.iter().find(|(known, _)| *known == kind).map(|(_, data)| data.as_slice())
    }

    /// `supported_versions`, where they came.
    pub fn versions(&self) -> Option<Vec<u16>> {
        Some(In(In(self.extension(extension::SUPPORTED_VERSIONS)?).vec8()?).numbers())
    }

    /// `supported_groups`, where they came.
    pub fn groups(&self) -> Option<Vec<u16>> {
        Some(In(In(self.extension(extension::SUPPORTED_GROUPS)?).vec16()?).numbers())
    }

    /// Whether SHA-1 is all that the client can check.
    pub fn knows_sha1_only(&self) -> bool {
        let schemes = self.extension(extension::SIGNATURE_ALGORITHMS).and_then(|data| In(data).vec16());
        schemes.is_some_and(|all| In(all).numbers().iter().all(|scheme| scheme >> 8 == 2))
    }

    /// The groups that the client sent a share for.
    pub fn shares(&self) -> Vec<u16> {
        let entries =
            self.extension(extension::KEY_SHARE).and_then(|data| In(data).vec16()).unwrap_or_default();
        // A share is a type and its data, as an extension is.
        In(entries).extensions().into_iter().map(|(group, _)| group).collect()
    }

    /// Whether this name is asked for.
    pub fn asks_for(&self, name: &str) -> bool {
        self.extension(extension::SERVER_NAME).is_some_and(|data| data.ends_with(name.as_bytes()))
    }

    /// Whether an extension comes twice.
    pub fn doubled(&self) -> bool {
        self.extensions
            .iter()
            .enumerate()
            .any(|(at, (kind, _))| self.extensions.iter().skip(at + 1).any(|(later, _)| later == kind))
    }

    /// Whether `renegotiation_info` has content.
    pub fn renegotiates(&self) -> bool {
        self.extension(extension::RENEGOTIATION_INFO).is_some_and(|data| data.len() > 1)
    }
}
