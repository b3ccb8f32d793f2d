//! The signing keys of one server: one that signs, and all that are published.
//!
//! OpenID Connect Core §10.1.1: a new key is published before it signs, and a
//! former one stays published while its signatures may still be verified. What
//! is published and what signs change in one step, so a signature is never by
//! a key that is not in the key set.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Value, json};

use crate::key::SigningKey;

/// Why keys make no ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRing {
    /// RFC 7517 §4.5: keys of one set have distinct names.
    #[error("two keys have the same kid")]
    DuplicateKid,
}

/// The keys of one server. Shared; changed at run time as a whole.
pub struct KeyRing(RwLock<Keys>);

struct Keys {
    current: Arc<SigningKey>,
    published: Arc<[Arc<SigningKey>]>,
    jwks: Arc<Value>,
}

impl KeyRing {
    /// A ring in which `current` signs, and it and the `others` are published.
    ///
    /// # Errors
    ///
    /// [`InvalidRing`] if two have the same `kid`.
    pub fn new(current: Arc<SigningKey>, others: &[Arc<SigningKey>]) -> Result<Self, InvalidRing> {
        Ok(Self(RwLock::new(Keys::new(current, others)?)))
    }

    /// The key that signs now.
    #[must_use]
    pub fn current(&self) -> Arc<SigningKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).current)
    }

    /// All keys that are published, the current key first: for what is signed by each of
    /// them.
    #[must_use]
    pub fn published(&self) -> Arc<[Arc<SigningKey>]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).published)
    }

    /// The key set to publish (RFC 7517): the current key first, each with
    /// `kid`, `use` and `alg`.
    #[must_use]
    pub fn jwks(&self) -> Arc<Value> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).jwks)
    }

    /// Changes the keys, for whoever asks from now on.
    ///
    /// # Errors
    ///
    /// As [`KeyRing::new`]; then the ring stays as it was.
    pub fn replace(&self, current: Arc<SigningKey>, others: &[Arc<SigningKey>]) -> Result<(), InvalidRing> {
        let keys = Keys::new(current, others)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyRing").field(&self.current()).finish()
    }
}

impl Keys {
    fn new(current: Arc<SigningKey>, others: &[Arc<SigningKey>]) -> Result<Self, InvalidRing> {
        let mut kids = BTreeSet::new();
        let published: Arc<[_]> = std::iter::once(&current).chain(others).cloned().collect();
        if !published.iter().all(|key| kids.insert(key.kid())) {
            return Err(InvalidRing::DuplicateKid);
        }
        let keys: Vec<Value> = published.iter().map(|key| key.public_jwk()).collect();
        let jwks = Arc::new(json!({ "keys": keys }));
        Ok(Self { current, published, jwks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, Jwks, jws};

    fn key(kid: &str) -> Arc<SigningKey> {
        Arc::new(SigningKey::from_pem(&crate::pki::generate_p256().unwrap(), kid).unwrap())
    }

    #[test]
    fn the_current_key_signs_and_all_are_published() {
        let (old, new) = (key("old"), key("new"));
        let ring = KeyRing::new(Arc::clone(&old), &[Arc::clone(&new)]).unwrap();
        let sign = || jws::sign_compact(&ring.current(), &serde_json::Map::new(), b"{}").unwrap();
        let verifies = |token: &str| {
            let published = Jwks::from_value(&ring.jwks()).unwrap();
            jws::verify_compact(token, &published, &[Algorithm::Es256]).is_ok()
        };
        let before = sign();
        ring.replace(Arc::clone(&new), &[old]).unwrap();
        let after = sign();
        assert!(verifies(&before) && verifies(&after));
        assert_eq!(jws::peek_header(&after).unwrap()["kid"], "new");
        ring.replace(new, &[]).unwrap();
        assert!(!verifies(&before) && verifies(&after));
    }

    /// RFC 7517 §4.5: "different keys within the JWK Set SHOULD use distinct 'kid' values".
    #[test]
    fn two_keys_of_one_name_make_no_ring_and_the_former_stays() {
        let ring = KeyRing::new(key("a"), &[]).unwrap();
        assert_eq!(ring.replace(key("b"), &[key("c"), key("b")]), Err(InvalidRing::DuplicateKid));
        assert_eq!(ring.current().kid(), "a");
        assert_eq!(ring.jwks()["keys"].as_array().unwrap().len(), 1);
    }
}
