//! Numbers and length-prefixed vectors as TLS writes them (RFC 8446 §3).

/// Bytes to be sent.
#[derive(Debug, Default)]
pub(super) struct Out(pub Vec<u8>);

impl Out {
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A vector whose length takes one byte. What does not fit is left away.
    pub fn vec8(&mut self, bytes: &[u8]) -> &mut Self {
        self.sized(bytes, 1)
    }

    /// A vector whose length takes two bytes.
    pub fn vec16(&mut self, bytes: &[u8]) -> &mut Self {
        self.sized(bytes, 2)
    }

    /// A vector whose length takes three bytes.
    pub fn vec24(&mut self, bytes: &[u8]) -> &mut Self {
        self.sized(bytes, 3)
    }

    fn sized(&mut self, bytes: &[u8], width: usize) -> &mut Self {
        let limit = (1_usize << (8 * width)) - 1;
        let kept = bytes.get(..limit).unwrap_or(bytes);
        let length = u32::try_from(kept.len()).unwrap_or(u32::MAX).to_be_bytes();
        self.bytes(length.get(4 - width..).unwrap_or_default()).bytes(kept)
    }
}

/// Numbers, one after the other.
pub(super) fn numbers(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

/// A vector with a length of two bytes, by itself.
pub(super) fn vec16(bytes: &[u8]) -> Vec<u8> {
    let mut out = Out::default();
    out.vec16(bytes);
    out.0
}

/// A vector with a length of one byte, by itself.
pub(super) fn vec8(bytes: &[u8]) -> Vec<u8> {
    let mut out = Out::default();
    out.vec8(bytes);
    out.0
}

/// A handshake message: its type and its body.
pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Out::default();
    out.u8(kind).vec24(body);
    out.0
}

/// Records of one content type, none with more than `most` bytes.
pub(super) fn records(kind: u8, version: u16, payload: &[u8], most: usize) -> Vec<u8> {
    let mut out = Out::default();
    for piece in payload.chunks(most.max(1)) {
        out.u8(kind).u16(version).vec16(piece);
    }
    out.0
}

/// Bytes that came. Every method is `None` where they end too early.
#[derive(Clone, Copy, Debug)]
pub(super) struct In<'a>(pub &'a [u8]);

impl<'a> In<'a> {
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn length(&mut self, width: usize) -> Option<usize> {
        let bytes = self.take(width)?;
        Some(bytes.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)))
    }

    pub fn vec8(&mut self) -> Option<&'a [u8]> {
        let length = self.length(1)?;
        self.take(length)
    }

    pub fn vec16(&mut self) -> Option<&'a [u8]> {
        let length = self.length(2)?;
        self.take(length)
    }

    pub fn vec24(&mut self) -> Option<&'a [u8]> {
        let length = self.length(3)?;
        self.take(length)
    }

    /// Numbers of two bytes, to the end.
    pub fn numbers(mut self) -> Vec<u16> {
        std::iter::from_fn(|| self.u16()).collect()
    }

    /// Extensions, each a type and its data.
    pub fn extensions(mut self) -> Vec<(u16, Vec<u8>)> {
        std::iter::from_fn(|| Some((self.u16()?, self.vec16()?.to_vec()))).collect()
    }
}

pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const SERVER_HELLO: u8 = 2;
pub(super) const CERTIFICATE: u8 = 11;
pub(super) const SERVER_KEY_EXCHANGE: u8 = 12;
pub(super) const CERTIFICATE_REQUEST: u8 = 13;
pub(super) const SERVER_HELLO_DONE: u8 = 14;
pub(super) const CLIENT_KEY_EXCHANGE: u8 = 16;
pub(super) const FINISHED: u8 = 20;

/// Extension types (IANA "TLS ExtensionType Values").
pub(super) mod extension {
    pub const SERVER_NAME: u16 = 0;
    pub const SUPPORTED_GROUPS: u16 = 10;
    pub const EC_POINT_FORMATS: u16 = 11;
    pub const SIGNATURE_ALGORITHMS: u16 = 13;
    pub const ALPN: u16 = 16;
    pub const PADDING: u16 = 21;
    pub const EXTENDED_MASTER_SECRET: u16 = 23;
    pub const SESSION_TICKET: u16 = 35;
    pub const EARLY_DATA: u16 = 42;
    pub const SUPPORTED_VERSIONS: u16 = 43;
    pub const PSK_MODES: u16 = 45;
    pub const KEY_SHARE: u16 = 51;
    pub const RENEGOTIATION_INFO: u16 = 0xff01;
}

/// A record holds at most this much (RFC 8446 §5.1).
pub(super) const MOST: usize = 1 << 14;
