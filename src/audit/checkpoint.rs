//! Checkpoints: how large a log was at a time, and the root it had then, signed (C2SP
//! tlog-checkpoint in a C2SP signed-note).
//!
//! ```text
//! consentry.example/audit/eu
//! 5
//! fKo0Xb2JKmZFTWxlEuo8PqPw0+whvj/C4jdXBf049nI=
//! at 2026-11-28T10:00:00Z
//!
//! — consentry.example/audit/eu v9qk6kw8B45hEQFft5sNXAt5…
//! ```
//!
//! The fourth line is an extension of ours. There is one way only to write a checkpoint, and
//! nothing else is read as one.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto::{SigningFailed, SigningKey};
use domain::Timestamp;

use crate::key::{InvalidLogKey, KeyId, LogKey, is_name};
use crate::merkle::Hash;

/// What is signed of a log. Its text is that of the note, without signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log, e.g. `consentry.example/audit/eu`.
    pub origin: String,
    /// How many entries it had.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// When that was.
    pub at: Timestamp,
}

/// Why a checkpoint was not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The origin is empty or too long, or has a space, a control character or a plus sign.
    #[error("the origin of the log cannot be written in a checkpoint")]
    Origin,
    /// The key is none that signs checkpoints.
    #[error(transparent)]
    Key(#[from] InvalidLogKey),
    /// The key did not sign.
    #[error("the checkpoint could not be signed")]
    Signing(#[from] SigningFailed),
}

impl Checkpoint {
    /// The text with one signature, by an Ed25519 key under this name.
    ///
    /// # Errors
    ///
    /// [`SignError`] if the origin, the name or the key is not of a kind that can be used, or
    /// the key could not sign.
    pub fn sign(&self, key: &SigningKey, name: &str) -> Result<String, SignError> {
        if !is_name(&self.origin) {
            return Err(SignError::Origin);
        }
        let note = self.to_string();
        Ok(format!("{note}\n{}", signature_line(&note, key, name)?))
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, size, root, at } = self;
        write!(f, "{origin}\n{size}\n{}\nat {at}\n", STANDARD.encode(root))
    }
}

/// Why a checkpoint does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The text is not in the form of a checkpoint.
    #[error("the text is no checkpoint: {0}")]
    Malformed(&'static str),
    /// It is of another log.
    #[error("the checkpoint is of the log {found}, not of {expected}")]
    Origin {
        /// The log it names.
        found: String,
        /// The log it should name.
        expected: String,
    },
    /// None of its signatures is by a key that counts.
    #[error("the checkpoint is not signed by a known key")]
    Unsigned,
    /// One of its signatures names a key that counts, and is not by that key.
    #[error("the checkpoint's signature by {0} is wrong")]
    Forged(String),
}

/// A checkpoint as it was read: what it claims is not believed before it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    text: String,
    claimed: Checkpoint,
    signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    name: String,
    id: KeyId,
    bytes: Vec<u8>,
}

impl SignedCheckpoint {
    /// Reads the text of a checkpoint with its signatures, of which it has at least one and may
    /// have some of kinds that are not known here.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let parsed = if text.len() > MAX_BYTES { Err("it is too long") } else { read(text) };
        let (claimed, signatures) = parsed.map_err(CheckpointError::Malformed)?;
        Ok(Self { text: text.to_owned(), claimed, signatures })
    }

    /// What it says, if it is of the log with this origin and signed by one of the keys.
    ///
    /// Signatures by other keys are ignored, those of witnesses and of keys that are no longer
    /// or not yet known; a wrong one by a known key is not (C2SP signed-note, Signatures).
    ///
    /// # Errors
    ///
    /// [`CheckpointError`], all but `Malformed`.
    pub fn verify(&self, keys: &[LogKey], origin: &str) -> Result<Checkpoint, CheckpointError> {
        if self.claimed.origin != origin {
            let (found, expected) = (self.claimed.origin.clone(), origin.to_owned());
            return Err(CheckpointError::Origin { found, expected });
        }
        let note = self.claimed.to_string();
        let mut signed = false;
        for Signature { name, id, bytes } in &self.signatures {
            if let Some(key) = keys.iter().find(|key| key.name() == name && key.id() == *id) {
                if !key.verify(note.as_bytes(), bytes) {
                    return Err(CheckpointError::Forged(name.clone()));
                }
                signed = true;
            }
        }
        if signed { Ok(self.claimed.clone()) } else { Err(CheckpointError::Unsigned) }
    }

    /// The text with one signature more, as a witness adds it.
    #[cfg(test)]
    fn countersign(&self, key: &SigningKey, name: &str) -> Result<String, SignError> {
        Ok(format!("{}{}", self.text, signature_line(&self.claimed.to_string(), key, name)?))
    }

    /// What it says, whoever wrote it.
    #[must_use]
    pub fn unverified(&self) -> &Checkpoint {
        &self.claimed
    }

    /// The text that was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn signature_line(note: &str, key: &SigningKey, name: &str) -> Result<String, SignError> {
    let id = LogKey::new(name, key.public_key().clone())?.id();
    let signature = [id.as_slice(), &key.sign(note.as_bytes())?].concat();
    Ok(format!("— {name} {}\n", STANDARD.encode(signature)))
}

fn read(text: &str) -> Result<(Checkpoint, Vec<Signature>), &'static str> {
    let (note, signatures) = text.split_once("\n\n").ok_or("nothing parts it from its signatures")?;
    let lines: Vec<_> = note.split('\n').collect();
    let [origin, size, root, at] = lines.as_slice() else {
        return Err("it does not have four lines");
    };
    let claimed = Checkpoint {
        origin: is_name(origin).then(|| (*origin).to_owned()).ok_or("its first line is no origin")?,
        size: size.parse().map_err(|_| "its second line is no size")?,
        root: base64(root).and_then(|root| root.try_into().ok()).ok_or("its third line is no hash")?,
        at: at.strip_prefix("at ").and_then(|at| at.parse().ok()).ok_or("its fourth line is no time")?,
    };
    // Numbers and times can be written in other ways too, of which none was signed.
    if claimed.to_string().strip_suffix('\n') != Some(note) {
        return Err("a size or a time is not written in the one way");
    }
    let lines = signatures.strip_suffix('\n').ok_or("its last line does not end")?.split('\n');
    let signatures: Option<_> = lines.map(signature).collect();
    Ok((claimed, signatures.ok_or("a line below it is no signature")?))
}

fn signature(line: &str) -> Option<Signature> {
    let (name, signature) = line.strip_prefix("— ")?.split_once(' ')?;
    let signature = base64(signature)?;
    let (id, bytes) = signature.split_first_chunk()?;
    let formed = is_name(name) && !bytes.is_empty();
    formed.then(|| Signature { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
}

/// Padded, and without bits left over (RFC 4648 §3.5).
fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Room for the 16 signatures that must be accepted, were each as long as the longest that there
/// are (C2SP signed-note, Format).
const MAX_BYTES: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use crypto::pki;

    use super::*;
    use crate::sample::{ORIGIN, at, checkpoint, log_key, signed, signing_key};

    /// Made twice, with Node's crypto and with Python's hashlib and OpenSSL: the entries are
    /// `entry 0` to `entry 4`, and the seed of the key is 32 bytes of 7.
    const PUBLISHED: &str = "\
consentry.example/audit/eu
5
fKo0Xb2JKmZFTWxlEuo8PqPw0+whvj/C4jdXBf049nI=
at 2026-11-28T10:00:00Z

— consentry.example/audit/eu v9qk6kw8B45hEQFft5sNXAt5kjJiDWNXIyJk2rJIDJ5Rxkl6JomA65Kvuo+Te2xPpnJqQErrmfKSYnSNMvzuDIG8hgs=
";

    fn verify(text: &str) -> Result<Checkpoint, CheckpointError> {
        SignedCheckpoint::parse(text)?.verify(&[log_key(7)], ORIGIN)
    }

    #[test]
    fn a_checkpoint_is_what_other_programs_make_of_the_same_log() {
        let five = Checkpoint { at: at(0), ..checkpoint(5) };
        assert_eq!(five.sign(&signing_key(7), ORIGIN).unwrap(), PUBLISHED);
        assert_eq!(verify(PUBLISHED), Ok(five));
    }

    #[test]
    fn what_was_signed_is_read_again() {
        for size in 0..20 {
            let signed = signed(&checkpoint(size));
            assert_eq!(signed.verify(&[log_key(8), log_key(7)], ORIGIN), Ok(checkpoint(size)));
            assert_eq!(signed.unverified(), &checkpoint(size));
        }
        let largest = Checkpoint {
            size: u64::MAX,
            at: "2026-11-28T10:00:00.000001Z".parse().unwrap(),
            ..checkpoint(1)
        };
        assert_eq!(signed(&largest).verify(&[log_key(7)], ORIGIN), Ok(largest));
    }

    #[test]
    fn a_checkpoint_with_one_character_changed_is_refused() {
        for (place, had) in PUBLISHED.char_indices() {
            for put in ["", "0", "A", "b", " ", "\n", "=", "+", "\u{a0}", "—", "\r", "\0"] {
                let tail = &PUBLISHED[place + had.len_utf8()..];
                let bent = format!("{}{put}{tail}", &PUBLISHED[..place]);
                assert!(bent == PUBLISHED || verify(&bent).is_err(), "{bent}");
                let longer = format!("{}{put}{had}{tail}", &PUBLISHED[..place]);
                assert!(longer == PUBLISHED || verify(&longer).is_err(), "{longer}");
            }
        }
    }

    #[test]
    fn each_field_is_signed() {
        let changes: [fn(&mut Checkpoint); 3] =
            [|it| it.size += 1, |it| it.root[31] ^= 1, |it| it.at = at(59)];
        for change in changes {
            let mut changed = Checkpoint { at: at(0), ..checkpoint(5) };
            change(&mut changed);
            let (_, signatures) = PUBLISHED.split_once("\n\n").unwrap();
            let forged = format!("{changed}\n{signatures}");
            assert_eq!(verify(&forged), Err(CheckpointError::Forged(ORIGIN.into())), "{forged}");
        }
        let elsewhere = PUBLISHED.replacen("/eu\n", "/uk\n", 1);
        let named = SignedCheckpoint::parse(&elsewhere).unwrap();
        assert!(matches!(verify(&elsewhere), Err(CheckpointError::Origin { .. })));
        assert!(matches!(
            named.verify(&[log_key(7)], "consentry.example/audit/uk"),
            Err(CheckpointError::Forged(_))
        ));
    }

    #[test]
    fn another_form_of_the_same_is_no_checkpoint() {
        for (had, put) in [
            ("\n5\n", "\n05\n"),
            ("\n5\n", "\n+5\n"),
            ("\n5\n", "\n5 \n"),
            ("\n5\n", "\n18446744073709551616\n"),
            ("nI=\n", "nI\n"),
            ("nI=\n", "nJ=\n"),
            ("nI=\n", "nI==\n"),
            ("fKo0", ""),
            ("+whv", "-whv"),
            ("at 2026", "at  2026"),
            ("at 2026", "At 2026"),
            ("10:00:00Z", "10:00:00z"),
            ("10:00:00Z", "10:00:00.000Z"),
            ("10:00:00Z", "11:00:00+01:00"),
            ("T10", " 10"),
            ("at 2026-11-28T10:00:00Z\n", ""),
            ("at 2026-11-28T10:00:00Z\n", "at 2026-11-28T10:00:00Z\nmore\n"),
            ("consentry.example", "con sentry.example"),
            ("\n\n", "\n"),
            ("\n\n", "\n\n\n"),
            ("—", "-"),
            ("— consentry.example/audit/eu v", "— v"),
            ("— consentry.example/audit/eu v", "—  v"),
            ("hgs=\n", "hgs="),
            ("hgs=\n", "hgs=\n\n"),
            ("hgs=\n", "hgs=\nmore"),
            ("hgs=\n", "hgs=\nmore\n"),
            ("hgs=\n", "hgs=\n— a AAAAAA==\n"),
            ("\n", "\r\n"),
        ] {
            let bent = PUBLISHED.replace(had, put);
            assert_ne!(bent, PUBLISHED, "{had}");
            assert!(matches!(verify(&bent), Err(CheckpointError::Malformed(_))), "{bent}");
        }
        for text in ["", "\n", "\n\n", "\n\n\n", "a\n0\n\n", &PUBLISHED[..PUBLISHED.find('—').unwrap()]] {
            assert!(matches!(verify(text), Err(CheckpointError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn one_signature_by_a_known_key_is_enough_and_a_wrong_one_is_too_many() {
        let witness = LogKey::new("witness.example", signing_key(9).public_key().clone()).unwrap();
        let signed = SignedCheckpoint::parse(PUBLISHED).unwrap();
        let both = signed.countersign(&signing_key(9), "witness.example").unwrap();
        let both = SignedCheckpoint::parse(&both).unwrap();
        for keys in [vec![log_key(7)], vec![witness.clone()], vec![log_key(8), witness.clone(), log_key(7)]] {
            assert!(both.verify(&keys, ORIGIN).is_ok());
        }
        for keys in [vec![], vec![log_key(8)], vec![log_key(9)]] {
            assert_eq!(both.verify(&keys, ORIGIN), Err(CheckpointError::Unsigned));
        }
        let other = SignedCheckpoint::parse(&checkpoint(6).sign(&signing_key(9), "witness.example").unwrap())
            .unwrap();
        let line = other.as_str().lines().last().unwrap();
        let wrong = SignedCheckpoint::parse(&format!("{PUBLISHED}{line}\n")).unwrap();
        assert!(wrong.verify(&[log_key(7)], ORIGIN).is_ok());
        let forged = Err(CheckpointError::Forged("witness.example".into()));
        assert_eq!(wrong.verify(&[log_key(7), witness], ORIGIN), forged);
    }

    /// C2SP signed-note, Format: 16 signatures of up to 5 kB.
    #[test]
    fn sixteen_of_the_longest_signatures_are_read_and_an_endless_text_is_not() {
        let line = format!("— witness.example {}\n", STANDARD.encode([7; 5_000]));
        let text = format!("{PUBLISHED}{}", line.repeat(15));
        assert!(verify(&text).is_ok());
        let endless = format!("{PUBLISHED}{}", line.repeat(20));
        assert_eq!(verify(&endless), Err(CheckpointError::Malformed("it is too long")));
    }

    #[test]
    fn what_could_not_be_read_is_not_signed() {
        for origin in ["", "a b", "a\nb", "a+b"] {
            let unwritable = Checkpoint { origin: origin.into(), ..checkpoint(1) };
            assert_eq!(unwritable.sign(&signing_key(7), ORIGIN), Err(SignError::Origin));
            let named = checkpoint(1).sign(&signing_key(7), origin);
            assert_eq!(named, Err(SignError::Key(InvalidLogKey::Name)));
        }
        let p256 = SigningKey::from_pem(&pki::generate_p256().unwrap(), "k").unwrap();
        assert_eq!(checkpoint(1).sign(&p256, ORIGIN), Err(SignError::Key(InvalidLogKey::Kind)));
    }
}
