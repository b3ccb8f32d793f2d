//! The TLS prober against servers that are sound, servers that are wrong, and OpenSSL.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod broken;
mod openssl;
mod sound;
mod tables;

use std::time::Duration;

use consentry_conformance::clock::Clock;
use consentry_conformance::tls::full::Identity;
use consentry_conformance::tls::probes::{self, Asked, Judge};
use consentry_conformance::tls::servers::{Authority, Served};
use consentry_conformance::tls::{Fact, Problem, Verdict};

/// Longer than any answer takes, even on a machine that does much else.
const PATIENT: Duration = Duration::from_secs(20);

/// Enough for servers that never answer; nothing waits for it where one does.
const BRIEF: Duration = Duration::from_secs(2);

fn authority() -> Authority {
    Authority::new(Clock::machine().as_second()).unwrap()
}

/// A client that nobody knows.
fn stranger() -> Identity {
    authority().client("stranger.test").unwrap()
}

fn judge(authority: &Authority) -> Judge {
    Judge { roots: authority.roots().unwrap(), now: authority.now() }
}

/// Runs the probe with this name.
async fn run(
    probe: &str,
    served: &Served,
    authority: &Authority,
    within: Duration,
) -> Result<Vec<Fact>, Problem> {
    let place = &served.place;
    match probe {
        "versions" => probes::versions(place, within).await,
        "suites12" => probes::suites12(place, within).await,
        "suites13" => probes::suites13(place, within).await,
        "groups" => probes::groups(place, within).await,
        "dhe" => probes::dhe(place, within).await,
        "renegotiation_info" => probes::renegotiation_info(place, within).await,
        "extended_master_secret" => probes::extended_master_secret(place, within).await,
        "renegotiation" => probes::renegotiation(place, within).await,
        "signatures" => probes::signatures(place, within).await,
        "compression" => probes::compression(place, within).await,
        "fallback" => probes::fallback(place, within).await,
        "unknown_name" => probes::unknown_name(place, within).await,
        "grease" => probes::grease(place, within).await,
        "version_tolerance" => probes::version_tolerance(place, within).await,
        "unknown_extension" => probes::unknown_extension(place, within).await,
        "large_hello" => probes::large_hello(place, within).await,
        "fragments" => probes::fragments(place, within).await,
        "garbage" => probes::garbage(place, within).await,
        "plain_http" => probes::plain_http(place, within).await,
        "empty_groups" => probes::empty_groups(place, within).await,
        "duplicate_extension" => probes::duplicate_extension(place, within).await,
        "filled_renegotiation_info" => probes::filled_renegotiation_info(place, within).await,
        "early_data_unasked" => probes::early_data_unasked(place, within).await,
        "certificate" => probes::certificate(place, &judge(authority), within).await,
        "early_data" => probes::early_data(place, within).await,
        "alpn" => probes::alpn(place, within).await,
        "client_certificates" => {
            probes::client_certificates(place, Asked::Wanted, &stranger(), "/", within).await
        }
        "client_resumption" => {
            probes::client_resumption(place, &authority.client("tpp.test").unwrap(), "/", within).await
        }
        other => panic!("no probe is called {other}"),
    }
}

/// What failed, a sentence on each line.
fn failures(facts: &[Fact]) -> Vec<&str> {
    let failed = facts.iter().filter(|fact| fact.verdict == Verdict::Fails);
    failed.map(|fact| fact.sentence.as_str()).collect()
}
