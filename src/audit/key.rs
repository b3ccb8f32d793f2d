//! Whose signatures of a checkpoint count (C2SP signed-note).

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use crypto::digest::{hex, sha256};
use crypto::{Algorithm, PublicKey};

/// The Ed25519 key of a log or of a witness, with its name.
///
/// As text it is a note's verifier key, as other tools read it: the name, the identifier in
/// hexadecimal, and the type and the key in base64; parted by plus signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogKey {
    name: String,
    id: KeyId,
    key: PublicKey,
    bytes: [u8; 32],
}

/// What a signature tells of its key besides the name.
pub(crate) type KeyId = [u8; 4];

/// Why a key cannot be one of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLogKey {
    /// The name is empty or too long, or has a space, a control character or a plus sign.
    #[error("the name of the key cannot be written in a checkpoint")]
    Name,
    /// Checkpoints are signed with Ed25519 only.
    #[error("the key is not an Ed25519 key")]
    Kind,
    /// The text is no verifier key of an Ed25519 key, or its identifier is another key's.
    #[error("the text is no verifier key")]
    Text,
}

impl LogKey {
    /// A key by its name, which is the log's origin or what a witness calls itself.
    ///
    /// # Errors
    ///
    /// [`InvalidLogKey::Name`] and [`InvalidLogKey::Kind`].
    pub fn new(name: impl Into<String>, key: PublicKey) -> Result<Self, InvalidLogKey> {
        let name = name.into();
        if !is_name(&name) {
            return Err(InvalidLogKey::Name);
        }
        let bytes = ed25519(&key).ok_or(InvalidLogKey::Kind)?;
        let [a, b, c, d, ..] = sha256(&[name.as_bytes(), b"\n", &[ED25519], &bytes].concat());
        Ok(Self { name, id: [a, b, c, d], key, bytes })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify(message, signature)
    }
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[ED25519], self.bytes.as_slice()].concat());
        write!(f, "{}+{}+{key}", self.name, hex(&self.id))
    }
}

impl FromStr for LogKey {
    type Err = InvalidLogKey;

    fn from_str(text: &str) -> Result<Self, InvalidLogKey> {
        let mut parts = text.splitn(3, '+');
        let (name, key) = parts.next().zip(parts.nth(1)).ok_or(InvalidLogKey::Text)?;
        let key = STANDARD.decode(key).map_err(|_| InvalidLogKey::Text)?;
        let bytes = key.strip_prefix(&[ED25519]).ok_or(InvalidLogKey::Text)?;
        let read = Self::new(name, PublicKey::ed25519(bytes).map_err(|_| InvalidLogKey::Text)?)?;
        if read.to_string() == text { Ok(read) } else { Err(InvalidLogKey::Text) }
    }
}

/// C2SP signed-note: neither spaces nor a plus sign. We take the same for origins.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |part: char| !part.is_whitespace() && !part.is_control() && part != '+';
    (1..=MAX_NAME).contains(&text.len()) && text.chars().all(plain)
}

fn ed25519(key: &PublicKey) -> Option<[u8; 32]> {
    if key.algorithm() != Algorithm::EdDsa {
        return None;
    }
    URL_SAFE_NO_PAD.decode(key.jwk().get("x")?.as_str()?).ok()?.try_into().ok()
}

/// C2SP signed-note, signature types.
const ED25519: u8 = 1;
const MAX_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use crypto::{SigningKey, pki};

    use super::*;
    use crate::sample::{ORIGIN, log_key};

    /// Made with Node's crypto.
    const PUBLISHED: &str =
        "consentry.example/audit/eu+bfdaa4ea+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs";

    #[test]
    fn a_key_is_written_as_other_tools_read_it() {
        assert_eq!(log_key(7).to_string(), PUBLISHED);
        assert_eq!(PUBLISHED.parse(), Ok(log_key(7)));
        assert_eq!(log_key(7).name(), ORIGIN);
    }

    #[test]
    fn a_bent_text_is_no_key() {
        for place in 0..PUBLISHED.len() {
            let (head, tail) = PUBLISHED.split_at(place);
            for other in ["A", "b", "+", " ", "\n", "=", ""] {
                let bent = format!("{head}{other}{}", &tail[1..]);
                assert!(bent == PUBLISHED || bent.parse::<LogKey>().is_err(), "{bent}");
            }
        }
    }

    #[test]
    fn a_name_with_a_space_or_a_plus_sign_and_a_key_of_another_kind_are_refused() {
        let key = || log_key(7).key;
        for name in ["", "a b", "a+b", "a\n", "a\u{a0}b", "a\u{7f}", &"a".repeat(256)] {
            assert_eq!(LogKey::new(name, key()), Err(InvalidLogKey::Name), "{name:?}");
        }
        assert!(LogKey::new("a".repeat(255), key()).is_ok());
        let p256 = SigningKey::from_pem(&pki::generate_p256().unwrap(), "k").unwrap();
        assert_eq!(LogKey::new("a", p256.public_key().clone()), Err(InvalidLogKey::Kind));
    }
}
