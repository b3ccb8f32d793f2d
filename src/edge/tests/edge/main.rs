//! The listener through real sockets and TLS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod abuse;
mod bounds;
mod frames;
#[cfg(target_os = "linux")]
mod lobby;
mod ocsp;
mod openssl;
mod pkcs11;
mod proxy;
mod revocation;
mod rotation;
mod slow;
mod smuggling;
#[path = "../../../crypto/tests/softhsm/mod.rs"]
mod softhsm;
mod suites;
mod support;
mod traces;
