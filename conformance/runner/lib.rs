//! Black-box conformance: suites of cases against any target, with the evidence.
//!
//! Depends on no crate of the gateway. TLS runs on another cryptographic library and JOSE is
//! read and written here, so that a mistake of the gateway's cannot hide by being made twice.

pub mod clock;
pub mod lint;
pub mod tls;
