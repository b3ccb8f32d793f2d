//! Keys that a PKCS#11 token keeps (OASIS PKCS #11 v2.40): an HSM, a smart card, SoftHSM. Private
//! keys that sign, and a secret one that seals; they never leave it.
//!
//! Sessions are kept and reused. One that fails is dropped and the signature
//! tried once more on a fresh one, so a token that was restarted comes back by
//! itself. A PIN that the token refused is not tried again: tokens count.

mod secret;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::Ulong;
use secrecy::SecretString;

use crate::digest::sha256;
use crate::key::{Algorithm, InvalidKey, PublicKey, SigningFailed};

pub use secret::TokenSecret;

/// Where a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The library of the token's maker.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// The label of the key; the one that the private and the public key share.
    pub key: String,
}

/// Why a key on a token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No library, or it does not start.
    #[error("the PKCS#11 module could not be loaded")]
    Module(#[source] Error),
    /// None, or several, have the label.
    #[error("there is not exactly one token of this label")]
    NoToken,
    /// Wrong or locked.
    #[error("the token did not take the PIN")]
    Pin(#[source] Error),
    /// The token refused the PIN before; it was not asked again.
    #[error("the token refused the PIN before")]
    PinRefusedBefore,
    /// None, or several, have the label.
    #[error("the token holds not exactly one key pair of this label")]
    NoKey,
    /// The public key is of a kind we do not use.
    #[error("the key on the token is of no use")]
    Key(#[from] InvalidKey),
    /// None, or several, have the label, or it is no AES key of 256 bits.
    #[error("the token holds not exactly one AES key of 256 bits of this label")]
    NoSecret,
    /// Somebody could take the key off the token.
    #[error("the token gives this key away: it has to be sensitive and not extractable")]
    NotKept,
    /// A new key was to have the label.
    #[error("the token has a secret key of this label already")]
    Taken,
    /// What the private key signs, the public key does not verify.
    #[error("the private and the public key of this label are no pair")]
    NoPair,
    /// Anything else that the token says.
    #[error("the token failed")]
    Token(#[from] Error),
}

/// What a token said when it could not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault(Option<RvError>);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(code) => write!(f, "{code:?}"),
            None => f.write_str("no PKCS#11 code"),
        }
    }
}

impl From<&TokenError> for Fault {
    fn from(error: &TokenError) -> Self {
        match error {
            TokenError::Module(error) | TokenError::Pin(error) | TokenError::Token(error) => {
                Self(if let Error::Pkcs11(code, _) = error { Some(*code) } else { None })
            }
            TokenError::PinRefusedBefore => Self(Some(RvError::PinIncorrect)),
            TokenError::NoToken => Self(Some(RvError::TokenNotPresent)),
            TokenError::NoKey
            | TokenError::NoSecret
            | TokenError::NotKept
            | TokenError::Taken
            | TokenError::Key(_)
            | TokenError::NoPair => Self(Some(RvError::KeyHandleInvalid)),
        }
    }
}

/// A private key on a token, with its public half.
pub struct TokenKey {
    place: Place,
    pin: SecretString,
    module: Pkcs11,
    public: PublicKey,
    pool: Mutex<Pool>,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Live>,
    pin_refused: bool,
}

/// A session that is logged in, and the key's handle in it.
struct Live {
    session: Session,
    key: ObjectHandle,
}

impl TokenKey {
    /// Opens the key pair and makes sure that it is one.
    ///
    /// # Errors
    ///
    /// [`TokenError`] says what is missing.
    pub fn open(place: Place, pin: SecretString) -> Result<Self, TokenError> {
        let module = load(&place.module)?;
        let session = log_in(&module, &place.token, &pin)?;
        let public = public_key(&session, &place.key)?;
        let key = only(&session, &place.key, ObjectClass::PRIVATE_KEY)?;
        let live = Live { session, key };
        let probe = b"consentry: is this a pair?";
        let signature = live.sign(&jws_mechanism(&public)?, probe, &public)?;
        if !public.verify(probe, &signature) {
            return Err(TokenError::NoPair);
        }
        let pool = Mutex::new(Pool { idle: vec![live], pin_refused: false });
        Ok(Self { place, pin, module, public, pool })
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs in the form JWS wants.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        self.sign_by(&jws_mechanism(&self.public).map_err(failed)?, message)
    }

    /// Signs RSASSA-PKCS1-v1_5 with SHA-256.
    pub(crate) fn sign_rsa_sha256(&self, message: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        match self.public.algorithm() {
            Algorithm::Ps256 => self.sign_by(&Mechanism::Sha256RsaPkcs, message),
            Algorithm::Es256 | Algorithm::EdDsa => Err(SigningFailed::WrongKind("an RSA key")),
        }
    }

    fn sign_by(&self, mechanism: &Mechanism<'_>, message: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        let idle = self.pool().idle.pop();
        if let Some(live) = idle
            && let Ok(signature) = live.sign(mechanism, message, &self.public)
        {
            self.pool().idle.push(live);
            return Ok(signature);
        }
        let live = self.connect().map_err(failed)?;
        let signature = live.sign(mechanism, message, &self.public).map_err(|error| failed(error.into()))?;
        self.pool().idle.push(live);
        Ok(signature)
    }

    fn connect(&self) -> Result<Live, TokenError> {
        if self.pool().pin_refused {
            return Err(TokenError::PinRefusedBefore);
        }
        let session = log_in(&self.module, &self.place.token, &self.pin).inspect_err(|error| {
            self.pool().pin_refused |= matches!(error, TokenError::Pin(_));
        })?;
        let key = only(&session, &self.place.key, ObjectClass::PRIVATE_KEY)?;
        Ok(Live { session, key })
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Live {
    fn sign(&self, mechanism: &Mechanism<'_>, message: &[u8], public: &PublicKey) -> Result<Vec<u8>, Error> {
        match public.algorithm() {
            // Not every token hashes for ECDSA; RFC 7518 §3.4 wants the r || s that it answers.
            Algorithm::Es256 => self.session.sign(mechanism, self.key, &sha256(message)),
            Algorithm::Ps256 | Algorithm::EdDsa => self.session.sign(mechanism, self.key, message),
        }
    }
}

fn failed(error: TokenError) -> SigningFailed {
    SigningFailed::Token(Fault::from(&error))
}

/// How a token makes the signature that JWS has for this key.
fn jws_mechanism(public: &PublicKey) -> Result<Mechanism<'static>, TokenError> {
    match public.algorithm() {
        // RFC 7518 §3.5: the salt is as long as the hash.
        Algorithm::Ps256 => Ok(Mechanism::Sha256RsaPkcsPss(PkcsPssParams {
            hash_alg: MechanismType::SHA256,
            mgf: PkcsMgfType::MGF1_SHA256,
            s_len: Ulong::new(32),
        })),
        Algorithm::Es256 => Ok(Mechanism::Ecdsa),
        Algorithm::EdDsa => Err(TokenError::Key(InvalidKey::Unsupported)),
    }
}

/// Loads a module, once per process: PKCS#11 knows one `C_Initialize` each.
fn load(path: &Path) -> Result<Pkcs11, TokenError> {
    static MODULES: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(&path) {
        return Ok(module.clone());
    }
    let module = Pkcs11::new(&path).map_err(TokenError::Module)?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(TokenError::Module(error)),
    }
    modules.insert(path, module.clone());
    Ok(module)
}

fn log_in(module: &Pkcs11, token: &str, pin: &SecretString) -> Result<Session, TokenError> {
    let mut slots = Vec::new();
    for slot in module.get_slots_with_initialized_token()? {
        if module.get_token_info(slot)?.label() == token {
            slots.push(slot);
        }
    }
    let [slot] = slots.as_slice() else { return Err(TokenError::NoToken) };
    let session = module.open_ro_session(*slot)?;
    match session.login(UserType::User, Some(pin)) {
        // A login holds for all sessions of a process.
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
        Err(error) => {
            let refused = matches!(
                error,
                Error::Pkcs11(
                    RvError::PinIncorrect
                        | RvError::PinInvalid
                        | RvError::PinLenRange
                        | RvError::PinExpired
                        | RvError::PinLocked,
                    _
                )
            );
            Err(if refused { TokenError::Pin(error) } else { TokenError::Token(error) })
        }
    }
}

fn only(session: &Session, label: &str, class: ObjectClass) -> Result<ObjectHandle, TokenError> {
    let wanted = [Attribute::Class(class), Attribute::Label(label.as_bytes().to_vec())];
    match session.find_objects(&wanted)?.as_slice() {
        [key] => Ok(*key),
        _ => Err(TokenError::NoKey),
    }
}

fn public_key(session: &Session, label: &str) -> Result<PublicKey, TokenError> {
    let key = only(session, label, ObjectClass::PUBLIC_KEY)?;
    let read = |wanted| -> Result<Option<Attribute>, Error> {
        Ok(session.get_attributes(key, &[wanted])?.into_iter().next())
    };
    let Some(Attribute::KeyType(kind)) = read(AttributeType::KeyType)? else {
        return Err(InvalidKey::Malformed.into());
    };
    let key = if kind == KeyType::RSA {
        match (read(AttributeType::Modulus)?, read(AttributeType::PublicExponent)?) {
            (Some(Attribute::Modulus(n)), Some(Attribute::PublicExponent(e))) => PublicKey::rsa(&n, &e),
            _ => Err(InvalidKey::Malformed),
        }
    } else if kind == KeyType::EC {
        match (read(AttributeType::EcParams)?, read(AttributeType::EcPoint)?) {
            (Some(Attribute::EcParams(curve)), Some(Attribute::EcPoint(point))) if curve == P256 => {
                // PKCS #11 §2.3.3 wraps the point in an OCTET STRING; some tokens do not.
                PublicKey::p256(
                    point.strip_prefix(&[0x04, 65]).filter(|_| point.len() == 67).unwrap_or(&point),
                )
            }
            (Some(_), Some(_)) => Err(InvalidKey::Unsupported),
            _ => Err(InvalidKey::Malformed),
        }
    } else {
        Err(InvalidKey::Unsupported)
    };
    Ok(key?)
}

/// The object identifier of P-256 (prime256v1) in DER: how `CKA_EC_PARAMS`
/// names the curve.
pub const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
