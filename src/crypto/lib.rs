//! The cryptography of open banking: JSON Web Signatures, key sets, HTTP
//! message signatures, webhook signatures, certificate fields and digests; and
//! the strict JSON that signed things are made of.
//!
//! One library underneath (aws-lc), few algorithms, no negotiation: a caller
//! names what it allows and everything else is refused. Keys are parsed once.
//! No error of this crate carries a key, a payload or a claim.

pub mod certificate;
mod confirmation;
pub mod digest;
pub mod dpop;
pub mod envelope;
pub mod http_signature;
pub mod json;
mod jwks;
pub mod jws;
mod key;
pub mod message_signature;
pub mod ocsp;
pub mod pkcs11;
#[cfg(feature = "pki")]
pub mod pki;
mod ring;
mod signed;
pub mod webhook;

pub use certificate::{
    Certificate, InvalidCertificate, OrganizationIdSpelling, Psd2Identity, Psd2Problem, Psd2Role,
    Psd2Statement, QcType, Scheme, Thumbprint, TrustProfile,
};
pub use confirmation::{Confirmation, InvalidConfirmation};
pub use digest::token;
pub use jwks::{InvalidJwks, Jwk, Jwks};
pub use key::{Algorithm, InvalidKey, PublicKey, SigningFailed, SigningKey};
pub use ring::{InvalidRing, KeyRing};
