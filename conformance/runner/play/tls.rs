//! What the TLS of the target's places takes and refuses.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::{Failure, Play};
use crate::case::Step;
use crate::tls::full::Identity;
use crate::tls::probes::{self, Asked, Judge};
use crate::tls::{Fact, Place, Problem, Verdict};

/// For one exchange.
const WITHIN: Duration = Duration::from_secs(5);

impl Play<'_> {
    /// Asks one question of every place: the issuer, the API and the resource.
    pub(super) async fn tls(&mut self, step: &Step) -> Result<(), Failure> {
        let name = step.with.get("of").and_then(Value::as_str).unwrap_or_default();
        let mut wrong = Vec::new();
        for url in self.places() {
            let place = self.place(&url).await?;
            let facts = self.ask_place(name, &place).await.map_err(|problem| match problem {
                Problem::Unreachable(error) => Failure::Blocked(format!("{}: {error}", url.authority())),
                Problem::Own(why) => Failure::Blocked(why.to_string()),
            })?;
            for fact in facts {
                let verdict = match fact.verdict {
                    Verdict::Holds => "holds",
                    Verdict::Noted => "noted",
                    Verdict::Fails => "fails",
                    Verdict::Skipped => "skipped",
                };
                self.notes.push(format!(
                    "{}: {verdict}: {} ({})",
                    url.authority(),
                    fact.sentence,
                    fact.clause
                ));
                if fact.verdict == Verdict::Fails {
                    wrong.push(format!("{}: {}", url.authority(), fact.sentence));
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(Failure::Broken(wrong.join("; "))) }
    }

    async fn ask_place(&self, name: &str, place: &Place) -> Result<Vec<Fact>, Problem> {
        match name {
            "versions" => probes::versions(place, WITHIN).await,
            "suites12" => probes::suites12(place, WITHIN).await,
            "suites13" => probes::suites13(place, WITHIN).await,
            "groups" => probes::groups(place, WITHIN).await,
            "dhe" => probes::dhe(place, WITHIN).await,
            "renegotiation-info" => probes::renegotiation_info(place, WITHIN).await,
            "renegotiation" => probes::renegotiation(place, WITHIN).await,
            "extended-master-secret" => probes::extended_master_secret(place, WITHIN).await,
            "signatures" => probes::signatures(place, WITHIN).await,
            "compression" => probes::compression(place, WITHIN).await,
            "fallback" => probes::fallback(place, WITHIN).await,
            "unknown-name" => probes::unknown_name(place, WITHIN).await,
            "grease" => probes::grease(place, WITHIN).await,
            "large-hello" => probes::large_hello(place, WITHIN).await,
            "fragments" => probes::fragments(place, WITHIN).await,
            "garbage" => probes::garbage(place, WITHIN).await,
            "plain-http" => probes::plain_http(place, WITHIN).await,
            "version-tolerance" => probes::version_tolerance(place, WITHIN).await,
            "unknown-extension" => probes::unknown_extension(place, WITHIN).await,
            "empty-groups" => probes::empty_groups(place, WITHIN).await,
            "duplicate-extension" => probes::duplicate_extension(place, WITHIN).await,
            "filled-renegotiation-info" => probes::filled_renegotiation_info(place, WITHIN).await,
            "early-data-unasked" => probes::early_data_unasked(place, WITHIN).await,
            "resumption" => probes::resumption(place, WITHIN).await,
            "early-data" => probes::early_data(place, WITHIN).await,
            "alpn" => probes::alpn(place, WITHIN).await,
            "certificate" => {
                let roots = self.target.http.setup().roots.clone();
                let now = crate::clock::Clock::machine().as_second();
                probes::certificate(place, &Judge { roots, now }, WITHIN).await
            }
            "stranger" => match self.identity("lookalike") {
                Some(stranger) => {
                    probes::client_certificates(place, Asked::Any, &stranger, "/", WITHIN).await
                }
                None => Ok(Vec::new()),
            },
            _ => Ok(Vec::new()),
        }
    }

    fn identity(&self, name: &str) -> Option<Identity> {
        let (chain, key) = self.target.http.identity(name)?.parts();
        Identity::new(chain, &key).ok()
    }

    fn places(&self) -> Vec<Url> {
        let mut places: Vec<Url> = Vec::new();
        let is = &self.target.is;
        for url in std::iter::once(&self.target.issuer).chain(&is.api).chain(&is.resource) {
            if url.scheme() == "https" && !places.iter().any(|known| known.authority() == url.authority()) {
                places.push(url.clone());
            }
        }
        places
    }

    async fn place(&self, url: &Url) -> Result<Place, Failure> {
        let at = self.target.http.place_of(url);
        let found: Option<SocketAddr> = tokio::net::lookup_host(&at)
            .await
            .ok()
            .and_then(|mut all| all.find(SocketAddr::is_ipv4).or(all.next()));
        let address = found.ok_or_else(|| Failure::Blocked(format!("{at} has no address")))?;
        Ok(Place { host: url.host_str().unwrap_or_default().to_owned(), address })
    }
}
