//! A secret key on a token, under which keys of ours are sealed while they are on the disk.

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Ulong;
use domain::Entropy;
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{Place, TokenError, load, log_in, only};

/// Bytes of a nonce of AES-GCM.
const NONCE: usize = 12;
/// Bits of its tag.
const TAG: Ulong = Ulong::new(128);

/// An AES-256 key that never leaves its token.
pub struct TokenSecret {
    session: Session,
    key: ObjectHandle,
}

impl TokenSecret {
    /// Opens the key.
    ///
    /// # Errors
    ///
    /// [`TokenError`] says what is missing; [`TokenError::NotKept`] if it is a key that the token gives away.
    pub fn open(place: &Place, pin: &SecretString) -> Result<Self, TokenError> {
        let session = log_in(&load(&place.module)?, &place.token, pin)?;
        let key = only(&session, &place.key, ObjectClass::SECRET_KEY)
            .map_err(|error| if matches!(error, TokenError::NoKey) { TokenError::NoSecret } else { error })?;
        let wanted = [
            AttributeType::KeyType,
            AttributeType::ValueLen,
            AttributeType::Sensitive,
            AttributeType::Extractable,
        ];
        let found = session.get_attributes(key, &wanted)?;
        let is = |attribute: &Attribute| found.contains(attribute);
        if !is(&Attribute::KeyType(KeyType::AES)) || !is(&Attribute::ValueLen(Ulong::new(32))) {
            return Err(TokenError::NoSecret);
        }
        if !is(&Attribute::Sensitive(true)) || !is(&Attribute::Extractable(false)) {
            return Err(TokenError::NotKept);
        }
        Ok(Self { session, key })
    }

    /// Makes a key on the token, of a label that no secret key has yet.
    ///
    /// # Errors
    ///
    /// [`TokenError`], as for [`Self::open`]; [`TokenError::Taken`] if there is one.
    pub fn make(place: &Place, pin: &SecretString) -> Result<Self, TokenError> {
        let module = load(&place.module)?;
        let session = log_in(&module, &place.token, pin)?;
        let label = Attribute::Label(place.key.as_bytes().to_vec());
        if !session.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY), label.clone()])?.is_empty() {
            return Err(TokenError::Taken);
        }
        let slot = session.get_session_info()?.slot_id();
        // The login of the process holds for this session, too.
        module.open_rw_session(slot)?.generate_key(
            &Mechanism::AesKeyGen,
            &[
                label,
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::ValueLen(Ulong::new(32)),
                Attribute::Encrypt(true),
                Attribute::Decrypt(true),
            ],
        )?;
        Self::open(place, pin)
    }

    /// Seals a few bytes (AES-256-GCM); `about` has to be the same when they are opened. The
    /// nonce comes first.
    ///
    /// # Errors
    ///
    /// [`TokenError::Token`] if the token cannot do it.
    pub fn seal(&self, about: &[u8], plain: &[u8], entropy: &dyn Entropy) -> Result<Vec<u8>, TokenError> {
        let mut nonce = [0; NONCE];
        entropy.fill(&mut nonce);
        let mut sealed = nonce.to_vec();
        let mechanism = Mechanism::AesGcm(GcmParams::new(&mut nonce, about, TAG)?);
        sealed.extend(self.session.encrypt(&mechanism, self.key, plain)?);
        Ok(sealed)
    }

    /// Opens what [`Self::seal`] has made.
    ///
    /// # Errors
    ///
    /// [`TokenError::Token`] if it is not by this key, or about something else.
    pub fn unseal(&self, about: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE>().ok_or(TokenError::NoSecret)?;
        let mut nonce = *nonce;
        let mechanism = Mechanism::AesGcm(GcmParams::new(&mut nonce, about, TAG)?);
        Ok(Zeroizing::new(self.session.decrypt(&mechanism, self.key, rest)?))
    }
}

impl std::fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSecret").finish_non_exhaustive()
    }
}
