//! What a server's TLS takes and refuses, found out by greetings written by hand.
//!
//! [`greet`] sends one `ClientHello` and reads what comes back in the clear; nothing here asks a
//! TLS library what it would allow. Only where a handshake has to end (certificates, tickets, client
//! certificates) does [`full`] use rustls, on ring. [`probes`] turn answers into [`Fact`]s for
//! FAPI 2.0 SP §5.2.1 and BCP 195 (RFC 9325); [`servers`] answer wrongly on purpose, so that each
//! probe is known to notice what it is for.

mod exchange;
mod fact;
pub mod full;
mod greeting;
pub mod groups;
pub mod probes;
mod reply;
pub mod servers;
pub mod suites;
mod twelve;
mod wire;

use std::net::{IpAddr, SocketAddr};

pub use exchange::{Cut, Unreachable, greet, greet_cut, say};
pub use fact::{Fact, Problem, Verdict};
pub use greeting::Greeting;
pub use reply::{Hello, Reply, Retry};

/// SSL 3.0 (RFC 6101).
pub const SSL3: u16 = 0x0300;
/// TLS 1.0 (RFC 2246).
pub const TLS10: u16 = 0x0301;
/// TLS 1.1 (RFC 4346).
pub const TLS11: u16 = 0x0302;
/// TLS 1.2 (RFC 5246).
pub const TLS12: u16 = 0x0303;
/// TLS 1.3 (RFC 8446).
pub const TLS13: u16 = 0x0304;

/// Where a server listens, and the name it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name that goes into SNI and that the certificate has to be for.
    pub host: String,
    /// Where connections go.
    pub address: SocketAddr,
}

impl Place {
    /// The name for SNI (RFC 6066 §3), in which literal addresses are not allowed.
    #[must_use]
    pub fn server_name(&self) -> Option<String> {
        self.host.parse::<IpAddr>().is_err().then(|| self.host.clone())
    }
}

/// What a version is called.
#[must_use]
pub fn version_name(version: u16) -> String {
    match version {
        SSL3 => "SSL 3.0".into(),
        TLS10 => "TLS 1.0".into(),
        TLS11 => "TLS 1.1".into(),
        TLS12 => "TLS 1.2".into(),
        TLS13 => "TLS 1.3".into(),
        other => format!("version {other:#06x}"),
    }
}
