//! Groups in which keys are agreed on (IANA "TLS Supported Groups").

/// A group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its number on the wire.
    pub code: u16,
    /// Its name in the registry.
    pub name: &'static str,
    /// The size of its field.
    pub bits: u16,
    /// What kind it is, because sizes mean different things.
    pub kind: Kind,
}

/// Kinds of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An elliptic curve.
    Curve,
    /// A finite field (RFC 7919).
    Field,
    /// A curve together with ML-KEM, for when a quantum computer reads what was recorded today.
    Hybrid,
    /// ML-KEM alone.
    Kem,
}

/// The group with this number.
#[must_use]
pub fn group(code: u16) -> Option<Group> {
    ALL.iter().copied().find(|group| group.code == code)
}

/// What a group is called.
#[must_use]
pub fn name(code: u16) -> String {
    group(code).map_or_else(|| format!("{code:#06x}"), |group| group.name.to_owned())
}

impl Group {
    /// Whether it is as strong as RFC 9325 §4.5 wants: 224 bits of a curve, 2048 of a field.
    #[must_use]
    pub const fn is_strong(&self) -> bool {
        match self.kind {
            Kind::Curve => self.bits >= 224,
            Kind::Field => self.bits >= 2048,
            Kind::Hybrid | Kind::Kem => true,
        }
    }
}

const fn of(kind: Kind, code: u16, name: &'static str, bits: u16) -> Group {
    Group { code, name, bits, kind }
}

/// Every group of the registry that has parameters of its own.
pub const ALL: [Group; 46] = [
    of(Kind::Curve, 0x0001, "sect163k1", 163),
    of(Kind::Curve, 0x0002, "sect163r1", 163),
    of(Kind::Curve, 0x0003, "sect163r2", 163),
    of(Kind::Curve, 0x0004, "sect193r1", 193),
    of(Kind::Curve, 0x0005, "sect193r2", 193),
    of(Kind::Curve, 0x0006, "sect233k1", 233),
    of(Kind::Curve, 0x0007, "sect233r1", 233),
    of(Kind::Curve, 0x0008, "sect239k1", 239),
    of(Kind::Curve, 0x0009, "sect283k1", 283),
    of(Kind::Curve, 0x000a, "sect283r1", 283),
    of(Kind::Curve, 0x000b, "sect409k1", 409),
    of(Kind::Curve, 0x000c, "sect409r1", 409),
    of(Kind::Curve, 0x000d, "sect571k1", 571),
    of(Kind::Curve, 0x000e, "sect571r1", 571),
    of(Kind::Curve, 0x000f, "secp160k1", 160),
    of(Kind::Curve, 0x0010, "secp160r1", 160),
    of(Kind::Curve, 0x0011, "secp160r2", 160),
    of(Kind::Curve, 0x0012, "secp192k1", 192),
    of(Kind::Curve, 0x0013, "secp192r1", 192),
    of(Kind::Curve, 0x0014, "secp224k1", 224),
    of(Kind::Curve, 0x0015, "secp224r1", 224),
    of(Kind::Curve, 0x0016, "secp256k1", 256),
    of(Kind::Curve, 0x0017, "secp256r1", 256),
    of(Kind::Curve, 0x0018, "secp384r1", 384),
    of(Kind::Curve, 0x0019, "secp521r1", 521),
    of(Kind::Curve, 0x001a, "brainpoolP256r1", 256),
    of(Kind::Curve, 0x001b, "brainpoolP384r1", 384),
    of(Kind::Curve, 0x001c, "brainpoolP512r1", 512),
    of(Kind::Curve, 0x001d, "x25519", 255),
    of(Kind::Curve, 0x001e, "x448", 448),
    of(Kind::Curve, 0x001f, "brainpoolP256r1tls13", 256),
    of(Kind::Curve, 0x0020, "brainpoolP384r1tls13", 384),
    of(Kind::Curve, 0x0021, "brainpoolP512r1tls13", 512),
    of(Kind::Field, 0x0100, "ffdhe2048", 2048),
    of(Kind::Field, 0x0101, "ffdhe3072", 3072),
    of(Kind::Field, 0x0102, "ffdhe4096", 4096),
    of(Kind::Field, 0x0103, "ffdhe6144", 6144),
    of(Kind::Field, 0x0104, "ffdhe8192", 8192),
    of(Kind::Kem, 0x0200, "MLKEM512", 512),
    of(Kind::Kem, 0x0201, "MLKEM768", 768),
    of(Kind::Kem, 0x0202, "MLKEM1024", 1024),
    of(Kind::Hybrid, 0x11eb, "SecP256r1MLKEM768", 256),
    of(Kind::Hybrid, 0x11ec, "X25519MLKEM768", 255),
    of(Kind::Hybrid, 0x11ed, "SecP384r1MLKEM1024", 384),
    of(Kind::Hybrid, 0x6399, "X25519Kyber768Draft00", 255),
    of(Kind::Hybrid, 0x639a, "SecP256r1Kyber768Draft00", 256),
];
