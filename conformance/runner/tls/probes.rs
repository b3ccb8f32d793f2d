//! What is asked of a server, one function for each question.
//!
//! A probe takes a [`Place`] and how long one exchange may take, makes its own connections, and
//! tells what it saw as [`Fact`]s. Its name is the name of its facts.

mod certificate;
mod client;
mod handshake;
mod robustness;
mod session;
mod suites;
mod versions;

use std::time::Duration;

pub use certificate::{Judge, certificate, unknown_name};
pub use client::{Asked, client_certificates};
pub use handshake::{
    compression, extended_master_secret, fallback, renegotiation, renegotiation_info, signatures,
};
pub use robustness::{
    duplicate_extension, early_data_unasked, empty_groups, filled_renegotiation_info, fragments, garbage,
    grease, large_hello, plain_http, unknown_extension, version_tolerance,
};
pub use session::{alpn, client_resumption, early_data, foreign_ticket, resumption};
pub use suites::{dhe, groups, suites12, suites13};
pub use versions::versions;

use super::{Fact, Greeting, Place, Problem, TLS12, TLS13, Unreachable, greet};

/// Runs every probe that needs nothing but the place, in the order in which one would ask.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn all(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let mut facts = versions(place, within).await?;
    facts.extend(suites12(place, within).await?);
    facts.extend(suites13(place, within).await?);
    facts.extend(groups(place, within).await?);
    facts.extend(dhe(place, within).await?);
    facts.extend(renegotiation_info(place, within).await?);
    facts.extend(renegotiation(place, within).await?);
    facts.extend(extended_master_secret(place, within).await?);
    facts.extend(signatures(place, within).await?);
    facts.extend(compression(place, within).await?);
    facts.extend(fallback(place, within).await?);
    facts.extend(unknown_name(place, within).await?);
    facts.extend(grease(place, within).await?);
    facts.extend(large_hello(place, within).await?);
    facts.extend(fragments(place, within).await?);
    facts.extend(garbage(place, within).await?);
    facts.extend(plain_http(place, within).await?);
    facts.extend(version_tolerance(place, within).await?);
    facts.extend(unknown_extension(place, within).await?);
    facts.extend(empty_groups(place, within).await?);
    facts.extend(duplicate_extension(place, within).await?);
    facts.extend(filled_renegotiation_info(place, within).await?);
    facts.extend(early_data_unasked(place, within).await?);
    Ok(facts)
}

/// Which of the versions that may be taken are.
#[derive(Clone, Copy)]
struct Taken {
    tls12: bool,
    tls13: bool,
}

impl Taken {
    async fn by(place: &Place, within: Duration) -> Result<Self, Unreachable> {
        let twelve = greet(place, &Greeting::tls12(place), within).await?;
        let thirteen = greet(place, &Greeting::tls13(place), within).await?;
        Ok(Self { tls12: twelve.version() == Some(TLS12), tls13: thirteen.version() == Some(TLS13) })
    }

    /// The greeting that a server which takes anything at all agrees to.
    fn greeting(self, place: &Place) -> Greeting {
        if self.tls13 { Greeting::modern(place) } else { Greeting::tls12(place) }
    }
}

const NO_TLS12: &str = "The server does not take TLS 1.2, so there is nothing to ask.";
const NO_TLS13: &str = "The server does not take TLS 1.3, so there is nothing to ask.";
