//! Black-box conformance: suites of cases against any target, with the evidence.
//!
//! Depends on no crate of the gateway. TLS runs on another cryptographic library and JOSE is
//! read and written here, so that a mistake of the gateway's cannot hide by being made twice.

mod anybody;
pub mod bank;
pub mod case;
pub mod cli;
pub mod clock;
pub mod contract;
pub mod http;
pub mod jose;
pub mod lint;
pub mod mutants;
pub mod play;
mod private;
pub mod report;
pub mod rp;
pub mod sandbox;
pub mod setup;
pub mod suite;
pub mod target;
pub mod tls;
