//! Envelope encryption: values are sealed under data keys, data keys are wrapped
//! under keys that encrypt keys. AES-256-GCM (NIST SP 800-38D) for both.
//!
//! What a value belongs to (region, table, column, row) is authenticated with it, so
//! that one that was moved elsewhere does not open. Whoever destroys a data key has
//! destroyed every copy of what it sealed, in backups too.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Entropy, Region, Timestamp};
use zeroize::{Zeroize, Zeroizing};

use crate::digest::MacKey;
use crate::pkcs11::{TokenError, TokenSecret};

/// Length of every key here, in bytes.
pub const KEY_LEN: usize = 32;

/// A value that does not open: another key, another place, or tampered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is sealed does not open")]
pub struct Unopened;

/// Which value of which row.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Region of the row.
    pub region: Region,
    /// Its table.
    pub table: &'a str,
    /// The column.
    pub column: &'a str,
    /// Its primary key.
    pub row: &'a str,
}

impl Place<'_> {
    /// The row comes last, as it alone may hold a bar.
    fn authenticated(&self) -> Aad<Vec<u8>> {
        let Self { region, table, column, row } = self;
        Aad::from(format!("{region}|{table}|{column}|{row}").into_bytes())
    }
}

/// The name of a data key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DataKeyId([u8; 16]);

impl DataKeyId {
    /// A fresh one.
    #[must_use]
    pub fn new(entropy: &dyn Entropy) -> Self {
        let mut id = [0; 16];
        entropy.fill(&mut id);
        Self(id)
    }
}

impl FromStr for DataKeyId {
    type Err = Unopened;

    fn from_str(text: &str) -> Result<Self, Unopened> {
        let mut id = [0; 16];
        // One spelling only: what was changed is not the same.
        let lower = text.bytes().all(|byte| !byte.is_ascii_uppercase());
        hex::decode_to_slice(text, &mut id).ok().filter(|()| lower).ok_or(Unopened)?;
        Ok(Self(id))
    }
}

impl fmt::Display for DataKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for DataKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// AES-256-GCM under one key, with a random nonce before each text.
struct Cipher(LessSafeKey);

impl Cipher {
    fn new(key: &[u8; KEY_LEN]) -> Result<Self, Unopened> {
        UnboundKey::new(&AES_256_GCM, key).map(|key| Self(LessSafeKey::new(key))).map_err(|_| Unopened)
    }

    fn seal(&self, aad: Aad<Vec<u8>>, plain: &[u8], entropy: &dyn Entropy) -> Result<Vec<u8>, Unopened> {
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut text = plain.to_vec();
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text)
            .map_err(|_| Unopened)?;
        Ok([nonce.as_slice(), &text, tag.as_ref()].concat())
    }

    fn open(&self, aad: Aad<Vec<u8>>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(Unopened)?;
        let mut text = Zeroizing::new(text.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.0.open_in_place(nonce, aad, &mut text).map_err(|_| Unopened)?.len();
        text.truncate(plain);
        Ok(text)
    }
}

/// The key of what belongs to one consent, payment or mandate. Never printed.
pub struct DataKey {
    id: DataKeyId,
    cipher: Cipher,
}

impl DataKey {
    /// Which one it is.
    #[must_use]
    pub fn id(&self) -> DataKeyId {
        self.id
    }

    /// Seals a value for its place: `v1.<key>.<nonce, text and tag, base64url>`.
    ///
    /// # Errors
    ///
    /// [`Unopened`] if it is too long for AES-GCM (64 GiB).
    pub fn seal(&self, place: Place<'_>, plain: &str, entropy: &dyn Entropy) -> Result<String, Unopened> {
        let sealed = self.cipher.seal(place.authenticated(), plain.as_bytes(), entropy)?;
        Ok(format!("{VERSION}{}.{}", self.id, URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// Opens what [`Self::seal`] made for the same place.
    ///
    /// # Errors
    ///
    /// [`Unopened`] if it is anything else.
    pub fn open(&self, place: Place<'_>, sealed: &str) -> Result<Zeroizing<String>, Unopened> {
        let (id, text) =
            sealed.strip_prefix(VERSION).and_then(|rest| rest.split_once('.')).ok_or(Unopened)?;
        if id.parse() != Ok(self.id) {
            return Err(Unopened);
        }
        let text = URL_SAFE_NO_PAD.decode(text).map_err(|_| Unopened)?;
        let mut plain = self.cipher.open(place.authenticated(), &text)?;
        String::from_utf8(std::mem::take(&mut *plain)).map(Zeroizing::new).map_err(|_| Unopened)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({}, …)", self.id)
    }
}

const VERSION: &str = "v1.";

/// The data key under which a text is sealed; none if it is not sealed.
#[must_use]
pub fn sealed_under(text: &str) -> Option<DataKeyId> {
    text.strip_prefix(VERSION)?.split_once('.')?.0.parse().ok()
}

/// The keys of one region that wrap its data keys, by number: the highest whose time has
/// come wraps, all unwrap. And the key of its blind indexes, which is another in every
/// region, so that no two can be joined.
pub struct RegionKeys {
    region: Region,
    wrapping: BTreeMap<u32, Wrapping>,
    index: MacKey,
}

struct Wrapping {
    from: Timestamp,
    by: Wrapper,
}

/// What wraps, in use.
enum Wrapper {
    Memory(Cipher),
    Token {
        open: OpenToken,
        /// None before the token is asked first, and after it has failed.
        secret: Mutex<Option<TokenSecret>>,
    },
}

/// Opens a key on a token, also again after the token was away.
pub type OpenToken = Box<dyn Fn() -> Result<TokenSecret, TokenError> + Send + Sync>;

/// What wraps data keys.
pub enum WrapsBy {
    /// A key in memory.
    Memory(Zeroizing<[u8; KEY_LEN]>),
    /// A key that never leaves its token, which is asked for each data key.
    Token(OpenToken),
}

impl Wrapper {
    fn new(by: WrapsBy) -> Result<Self, Unopened> {
        match by {
            WrapsBy::Memory(key) => Cipher::new(&key).map(Self::Memory),
            WrapsBy::Token(open) => Ok(Self::Token { open, secret: Mutex::default() }),
        }
    }

    fn seal(&self, about: Vec<u8>, plain: &[u8], entropy: &dyn Entropy) -> Result<Vec<u8>, Unopened> {
        match self {
            Self::Memory(cipher) => cipher.seal(Aad::from(about), plain, entropy),
            Self::Token { .. } => self.asked(|secret| secret.seal(&about, plain, entropy)),
        }
    }

    fn open(&self, about: Vec<u8>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        match self {
            Self::Memory(cipher) => cipher.open(Aad::from(about), sealed),
            Self::Token { .. } => self.asked(|secret| secret.unseal(&about, sealed)),
        }
    }

    /// Asks the token, and once more over a session of its own where that has failed.
    fn asked<T>(&self, ask: impl Fn(&TokenSecret) -> Result<T, TokenError>) -> Result<T, Unopened> {
        let Self::Token { open, secret } = self else { return Err(Unopened) };
        let mut secret = secret.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = secret.as_ref()
            && let Ok(answer) = ask(open)
        {
            return Ok(answer);
        }
        *secret = None;
        let opened = open().map_err(|_| Unopened)?;
        let answer = ask(&opened).map_err(|_| Unopened)?;
        *secret = Some(opened);
        Ok(answer)
    }
}

/// A key that wraps data keys.
pub struct WrappingKey {
    /// Its number in its region.
    pub number: u32,
    /// When it takes over: late enough for every process to know it then.
    pub from: Timestamp,
    /// The key.
    pub by: WrapsBy,
}

/// A data key as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// Number of the key that wraps it.
    pub by: u32,
    /// Nonce, key and tag, base64url.
    pub text: String,
}

impl RegionKeys {
    /// Keys of a region: those that wrap, and the one of blind indexes.
    ///
    /// # Errors
    ///
    /// [`Unopened`] if there is none that wraps.
    pub fn new(
        region: Region,
        wrapping: impl IntoIterator<Item = WrappingKey>,
        index: &[u8; KEY_LEN],
    ) -> Result<Self, Unopened> {
        let wrapping = wrapping
            .into_iter()
            .map(|WrappingKey { number, from, by }| Ok((number, Wrapping { from, by: Wrapper::new(by)? })));
        let wrapping: BTreeMap<_, _> = wrapping.collect::<Result<_, _>>()?;
        if wrapping.is_empty() {
            return Err(Unopened);
        }
        Ok(Self { region, wrapping, index: MacKey::new(index) })
    }

    /// Whose they are.
    #[must_use]
    pub fn region(&self) -> Region {
        self.region
    }

    /// Number of the key that wraps at this time.
    #[must_use]
    pub fn current(&self, now: Timestamp) -> u32 {
        let come = self.wrapping.iter().rev().find(|(_, key)| key.from <= now);
        come.or_else(|| self.wrapping.first_key_value()).map_or(0, |(number, _)| *number)
    }

    /// Makes a data key, and wraps it.
    ///
    /// # Errors
    ///
    /// [`Unopened`] if the cipher fails.
    pub fn make(&self, now: Timestamp, entropy: &dyn Entropy) -> Result<(DataKey, Wrapped), Unopened> {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        entropy.fill(key.as_mut_slice());
        let id = DataKeyId::new(entropy);
        let wrapped = self.wrap(id, &key, now, entropy)?;
        Ok((DataKey { id, cipher: Cipher::new(&key)? }, wrapped))
    }

    /// Unwraps a data key.
    ///
    /// # Errors
    ///
    /// [`Unopened`] if it was wrapped by another key, in another region or under another name.
    pub fn unwrap(&self, id: DataKeyId, wrapped: &Wrapped) -> Result<DataKey, Unopened> {
        Ok(DataKey { id, cipher: Cipher::new(&*self.plain(id, wrapped)?)? })
    }

    /// Wraps a data key anew, by the key of this time.
    ///
    /// # Errors
    ///
    /// As [`Self::unwrap`].
    pub fn rewrap(
        &self,
        id: DataKeyId,
        wrapped: &Wrapped,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Wrapped, Unopened> {
        self.wrap(id, &*self.plain(id, wrapped)?, now, entropy)
    }

    /// A value by which rows can be found and that says nothing: HMAC-SHA-256, hexadecimal.
    /// `kind` keeps values apart that are spelt alike.
    #[must_use]
    pub fn blind_index(&self, kind: &str, value: &str) -> String {
        let mut named = format!("{kind}|{value}");
        let index = hex::encode(self.index.digest(named.as_bytes()));
        named.zeroize();
        index
    }

    fn wrap(
        &self,
        id: DataKeyId,
        key: &[u8; KEY_LEN],
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Wrapped, Unopened> {
        let by = self.current(now);
        let wrapper = &self.wrapping.get(&by).ok_or(Unopened)?.by;
        let text = wrapper.seal(self.authenticated(id, by), key, entropy)?;
        Ok(Wrapped { by, text: URL_SAFE_NO_PAD.encode(text) })
    }

    fn plain(&self, id: DataKeyId, wrapped: &Wrapped) -> Result<Zeroizing<[u8; KEY_LEN]>, Unopened> {
        let wrapper = &self.wrapping.get(&wrapped.by).ok_or(Unopened)?.by;
        let text = URL_SAFE_NO_PAD.decode(&wrapped.text).map_err(|_| Unopened)?;
        let plain = wrapper.open(self.authenticated(id, wrapped.by), &text)?;
        plain.as_slice().try_into().map(Zeroizing::new).map_err(|_| Unopened)
    }

    fn authenticated(&self, id: DataKeyId, by: u32) -> Vec<u8> {
        format!("{}|data key|{by}|{id}", self.region).into_bytes()
    }
}

impl fmt::Debug for RegionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegionKeys({}, {} that wrap)", self.region, self.wrapping.len())
    }
}

#[cfg(test)]
mod tests {
    use domain::SystemEntropy;

    use super::*;

    fn keys(region: &str, numbers: &[u32]) -> RegionKeys {
        let wrapping = numbers.iter().map(|number| WrappingKey {
            number: *number,
            from: at(i64::from(*number)),
            by: WrapsBy::Memory(Zeroizing::new([u8::try_from(*number).unwrap(); KEY_LEN])),
        });
        RegionKeys::new(region.parse().unwrap(), wrapping, &[u8::try_from(region.len()).unwrap(); KEY_LEN])
            .unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn place<'a>(region: &str, table: &'a str, column: &'a str, row: &'a str) -> Place<'a> {
        Place { region: region.parse().unwrap(), table, column, row }
    }

    #[test]
    fn a_value_opens_in_its_place_and_in_no_other() {
        let (key, _) = keys("uk", &[1]).make(at(1), &SystemEntropy).unwrap();
        let here = place("uk", "payments", "terms", "pay_1");
        let sealed = key.seal(here, "Corner Bookshop", &SystemEntropy).unwrap();
        assert_eq!(sealed_under(&sealed), Some(key.id()));
        assert!(!sealed.contains("Bookshop"));
        assert_eq!(*key.open(here, &sealed).unwrap(), "Corner Bookshop");
        for elsewhere in [
            place("eu", "payments", "terms", "pay_1"),
            place("uk", "mandates", "terms", "pay_1"),
            place("uk", "payments", "bank", "pay_1"),
            place("uk", "payments", "terms", "pay_2"),
        ] {
            assert_eq!(key.open(elsewhere, &sealed).unwrap_err(), Unopened, "{elsewhere:?}");
        }
        assert_ne!(sealed, key.seal(here, "Corner Bookshop", &SystemEntropy).unwrap(), "a nonce of its own");
    }

    #[test]
    fn what_was_tampered_with_does_not_open() {
        let (key, _) = keys("uk", &[1]).make(at(1), &SystemEntropy).unwrap();
        let here = place("uk", "payments", "terms", "pay_1");
        let sealed = key.seal(here, "Corner Bookshop", &SystemEntropy).unwrap();
        for at in VERSION.len()..sealed.len() {
            let mut other = sealed.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            assert!(key.open(here, &other).is_err(), "{at}");
        }
        for text in ["", "v1.", "v1.ff.", "{\"plain\":1}", &sealed[..sealed.len() - 4]] {
            assert!(key.open(here, text).is_err(), "{text:?}");
        }
        assert_eq!(sealed_under("{\"plain\":1}"), None);
    }

    #[test]
    fn a_data_key_is_wrapped_for_its_region_and_its_name() {
        let (uk, eu) = (keys("uk", &[1]), keys("eu", &[1]));
        let (key, wrapped) = uk.make(at(1), &SystemEntropy).unwrap();
        let here = place("uk", "payments", "terms", "pay_1");
        let sealed = key.seal(here, "text", &SystemEntropy).unwrap();
        assert_eq!(*uk.unwrap(key.id(), &wrapped).unwrap().open(here, &sealed).unwrap(), "text");
        assert!(eu.unwrap(key.id(), &wrapped).is_err(), "of another region");
        assert!(uk.unwrap(DataKeyId::new(&SystemEntropy), &wrapped).is_err(), "under another name");
        assert!(keys("uk", &[2]).unwrap(key.id(), &wrapped).is_err(), "by another key");
    }

    #[test]
    fn a_new_key_wraps_and_the_old_one_still_unwraps() {
        let (old, both, new) = (keys("uk", &[1]), keys("uk", &[1, 2]), keys("uk", &[2]));
        let (key, first) = old.make(at(1), &SystemEntropy).unwrap();
        assert_eq!((both.current(at(0)), both.current(at(1)), both.current(at(2))), (1, 1, 2));
        assert!(both.unwrap(key.id(), &first).is_ok());
        let early = both.rewrap(key.id(), &first, at(1), &SystemEntropy).unwrap();
        assert_eq!(early.by, 1, "its time has not come");
        let second = both.rewrap(key.id(), &first, at(2), &SystemEntropy).unwrap();
        assert_eq!(second.by, 2);
        assert!(new.unwrap(key.id(), &second).is_ok(), "the old key is needed no more");
        assert!(old.unwrap(key.id(), &second).is_err());
    }

    #[test]
    fn a_blind_index_is_its_regions_and_its_kinds() {
        let (uk, other) = (keys("uk", &[1]), keys("eude", &[1]));
        let index = uk.blind_index("account", "GB33BUKB20201555555555");
        assert_eq!(index, uk.blind_index("account", "GB33BUKB20201555555555"));
        assert_ne!(index, uk.blind_index("bank consent", "GB33BUKB20201555555555"));
        assert_ne!(index, other.blind_index("account", "GB33BUKB20201555555555"));
    }
}
