//! What is around a gateway: names, databases, Redis, banks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connect::{BankFilter, Profile, Registry};
use domain::{Clock, SystemClock, SystemEntropy};
use rustls::pki_types::ServerName;
use secrecy::ExposeSecret;
use store::SchemaUse;
use store::bell::Bell;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::{Finding, host_of};
use crate::config::Config;
use crate::serve;
use crate::stores::{self, StorePlace};

/// Longest time for one question.
const PATIENCE: Duration = Duration::from_secs(5);
/// Seconds that clocks may differ: a proof of possession is good for a minute, less what is on its way.
const SKEW: i64 = 2;
/// Banks that are asked at the same time.
const AT_ONCE: usize = 16;

/// Whether the names by which clients reach us are known here.
pub(super) async fn names(config: &Config) -> Vec<Finding> {
    let origins = [Some(&config.public.issuer), config.public.pages.as_ref(), Some(&config.public.api)];
    let hosts: BTreeSet<_> = origins.into_iter().flatten().filter_map(|origin| host_of(origin)).collect();
    let mut found = Vec::new();
    for host in hosts {
        let what = format!("name: {host}");
        found.push(match resolved(&host, 443).await {
            Ok(number) => Finding::good(what, format!("{number} addresses")),
            // Clients may have another resolver.
            Err(why) => Finding::doubtful(what, why),
        });
    }
    found
}

async fn resolved(host: &str, port: u16) -> Result<usize, String> {
    let asked = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, port))).await;
    match asked {
        Ok(Ok(addresses)) => Ok(addresses.count()),
        Ok(Err(_)) => Err("it does not resolve here".to_owned()),
        Err(_) => Err(format!("nobody resolved it within {} s", PATIENCE.as_secs())),
    }
}

/// Whether every database answers, its schema is as it is wanted, and its clock is ours.
pub(super) async fn databases(config: &Config) -> Vec<Finding> {
    let what = "databases";
    let (options, regions) = match (serve::store_options(config, SchemaUse::AsItIs), serve::regions(config)) {
        (Ok(options), Ok(regions)) => (options, regions),
        (Err(error), _) | (_, Err(error)) => return vec![Finding::bad(what, format!("{error:#}"))],
    };
    let place = StorePlace { folder: &config.node.data_dir, keys: config.key_dir(), stores: &options };
    let opened = stores::open(place, &regions, Arc::new(SystemClock), Arc::new(SystemEntropy));
    let opened = match tokio::time::timeout(PATIENCE, opened).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return vec![Finding::bad(what, format!("{error:#}"))],
        Err(_) => return vec![Finding::bad(what, format!("no answer within {} s", PATIENCE.as_secs()))],
    };
    let mut found = Vec::new();
    let began = Instant::now();
    for (name, answer) in opened.ask_all(PATIENCE).await {
        let what = format!("database: {name}");
        found.push(match answer {
            Ok(()) => Finding::good(what, "it answers, and its schema is up to date"),
            Err(error) => Finding::bad(what, error.to_string()),
        });
    }
    let took = began.elapsed();
    if took > Duration::from_millis(50) {
        let says = format!("all were asked at once, and it took {} ms: is one far away?", took.as_millis());
        found.push(Finding::doubtful("databases: time to answer", says));
    }
    match opened.times().await {
        Ok(times) => {
            let ours = SystemClock.now().as_microsecond();
            found.extend(times.into_iter().map(|(name, theirs)| skew(&name, ours, theirs)));
        }
        Err(error) => found.push(Finding::bad("clock", error.to_string())),
    }
    opened.close().await;
    found
}

/// How far the clock of a database is from ours; both in microseconds.
fn skew(name: &str, ours: i64, theirs: i64) -> Finding {
    let what = format!("clock: database {name}");
    let apart = ours.saturating_sub(theirs).saturating_abs() / 1_000;
    let says = format!("{apart} ms apart from ours");
    if apart > SKEW.saturating_mul(1_000) {
        Finding::bad(what, says + ": set both by the same source")
    } else {
        Finding::good(what, says)
    }
}

/// Whether Redis answers, if there is one.
pub(super) async fn redis(config: &Config) -> Vec<Finding> {
    let what = "redis";
    let url = match crate::config::address(config.redis.url.as_ref(), config.redis.url_file.as_deref()) {
        Ok(Some(url)) => url,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![Finding::bad(what, format!("{error:#}"))],
    };
    let finding = match Bell::at(url.expose_secret()) {
        Err(error) => Finding::bad(what, error.to_string()),
        Ok(bell) => match tokio::time::timeout(PATIENCE, bell.answers()).await {
            Ok(Ok(())) => Finding::good(what, "it answers"),
            Ok(Err(_)) | Err(_) => Finding::doubtful(
                what,
                "it does not answer: revocations take a moment longer, limits are counted apart",
            ),
        },
    };
    vec![finding]
}

/// Whether the banks that can be called are there, and take our certificate.
pub(super) async fn banks(config: &Config) -> Vec<Finding> {
    let Ok(options) = serve::service_options(config, CancellationToken::new()) else { return Vec::new() };
    let Ok((registry, tls)) = crate::service::banks_of(&options) else { return Vec::new() };
    let mut waiting = called(&registry).into_iter();
    let (mut asked, mut found) = (JoinSet::new(), Vec::new());
    loop {
        while asked.len() < AT_ONCE
            && let Some((id, host, port)) = waiting.next()
        {
            let tls = TlsConnector::from(Arc::clone(&tls));
            asked.spawn(async move {
                let what = format!("bank: {id}");
                match tokio::time::timeout(PATIENCE, greeted(&tls, &host, port)).await {
                    Ok(Ok(())) => {
                        Finding::good(what, format!("{host}:{port} answers and its certificate is taken"))
                    }
                    Ok(Err(why)) => Finding::bad(what, format!("{host}:{port}: {why}")),
                    Err(_) => Finding::bad(
                        what,
                        format!("{host}:{port}: no answer within {} s", PATIENCE.as_secs()),
                    ),
                }
            });
        }
        match asked.join_next().await {
            Some(Ok(finding)) => found.push(finding),
            Some(Err(_)) => {}
            None => break,
        }
    }
    found.sort_by(|one, other| one.what.cmp(&other.what));
    found
}

/// Each bank that can be called, and where.
fn called(registry: &Registry) -> Vec<(String, String, u16)> {
    let all = registry.list(&BankFilter::default(), None, 100_000);
    let place = |profile: &Profile| {
        let url = &profile.accounts_api.as_ref().or(profile.payments_api.as_ref())?.url;
        Some((profile.id.to_string(), url.host_str()?.to_owned(), url.port_or_known_default()?))
    };
    all.iter().filter(|profile| profile.connectable()).filter_map(|profile| place(profile)).collect()
}

async fn greeted(tls: &TlsConnector, host: &str, port: u16) -> Result<(), String> {
    let stream = TcpStream::connect((host, port)).await.map_err(|error| error.to_string())?;
    let name =
        ServerName::try_from(host.to_owned()).map_err(|_| "it has no name that a certificate can have")?;
    tls.connect(name, stream).await.map_err(|error| error.to_string())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn clocks_may_differ_a_little() {
        let apart = |millis: i64| skew("global", 5_000_000, 5_000_000 + millis * 1_000);
        for millis in [0, 40, -1_900, 2_000] {
            assert_eq!(apart(millis).verdict, Verdict::Good, "{millis}");
        }
        for millis in [2_001, -3_000] {
            let finding = apart(millis);
            assert_eq!(finding.verdict, Verdict::Bad, "{millis}");
            assert_eq!(finding.what, "clock: database global");
            assert!(finding.says.contains(&format!("{} ms", millis.abs())), "{}", finding.says);
        }
    }
}
