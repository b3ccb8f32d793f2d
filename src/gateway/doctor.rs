//! What an operator should know before the night: whether everything that a gateway needs is there, and
//! whether it will be there tomorrow. Nothing is changed.

mod around;

use std::path::Path;

use crypto::Certificate;
use domain::{Clock, SystemClock};
use jiff::Timestamp;
use serde::Serialize;

use crate::certificates::{self, Whose};
use crate::config::Config;
use crate::serve;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// As it should be.
    Good,
    /// It works, and may not tomorrow.
    Doubtful,
    /// It does not work.
    Bad,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was looked at.
    pub(crate) what: String,
    /// How it is.
    pub(crate) verdict: Verdict,
    /// What is said of it, and what helps.
    pub(crate) says: String,
}

impl Finding {
    fn good(what: impl Into<String>, says: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Good, says: says.into() }
    }

    fn doubtful(what: impl Into<String>, says: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Doubtful, says: says.into() }
    }

    fn bad(what: impl Into<String>, says: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Bad, says: says.into() }
    }
}

/// Days before its end at which a certificate is worth a word.
const SOON: i64 = 21;
/// Bytes that should be free where it writes.
const ROOM: u64 = 1024 * 1024 * 1024;
/// File descriptors besides those of connections.
const BESIDES: u64 = 1_000;

/// Looks at all of it.
pub(crate) async fn examine(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    let wrong = serve::check(config).await;
    found.extend(wrong.iter().map(|(what, why)| Finding::bad(format!("configuration: {what}"), why.clone())));
    if wrong.is_empty() {
        found.push(Finding::good("configuration", format!("can be used ({})", config.digest())));
    }
    found.extend(certificates(config));
    found.push(disk(&config.node.data_dir));
    found.push(files(config));
    found.extend(around::names(config).await);
    found.extend(around::databases(config).await);
    found.extend(around::redis(config).await);
    found.extend(around::banks(config).await);
    found
}

/// Whether certificates are in date and follow each other, and those of servers are of the names that they are reached
/// by.
fn certificates(config: &Config) -> Vec<Finding> {
    let now = SystemClock.now();
    let mut found = Vec::new();
    for held in certificates::held(config) {
        let (what, all) = (format!("certificate: {}", held.name), held.read());
        let Some((end, first)) = certificates::first_end(held.whose, &all, now).zip(all.first()) else {
            // What is missing, the configuration's own finding has said.
            if held.files.iter().any(|file| crate::read(file).is_ok()) {
                found.push(Finding::bad(what, "no certificate in it can be read"));
            }
            continue;
        };
        found.push(in_date(&what, (certificates::last_begin(held.whose, &all), end), now));
        if held.whose == Whose::Ours && all.len() > 1 {
            let chain = format!("{what}: chain");
            found.push(match certificates::broken(&all) {
                None => Finding::good(chain, format!("{} certificates, each issued by the next", all.len())),
                Some(why) => {
                    Finding::bad(chain, format!("{why}: whoever does not know the issuer refuses it"))
                }
            });
        }
        if held.name == "server" {
            let origins =
                [Some(&config.public.issuer), config.public.pages.as_ref(), Some(&config.public.api)];
            let hosts = origins.into_iter().flatten().filter_map(|origin| host_of(origin));
            let missing: Vec<_> = hosts.filter(|host| !covers(first, host)).collect();
            found.push(if missing.is_empty() {
                Finding::good(format!("{what}: names"), "it is of every name that clients use")
            } else {
                Finding::bad(format!("{what}: names"), format!("it is not of {}", missing.join(", ")))
            });
        }
    }
    found
}

/// Whether something is in date that begins and ends then.
fn in_date(what: &str, (begin, end): (Option<Timestamp>, Timestamp), now: Timestamp) -> Finding {
    let days = end.as_second().saturating_sub(now.as_second()).div_euclid(86_400);
    match () {
        () if now > end => Finding::bad(what, format!("it is out of date: until {end}")),
        () if begin.is_some_and(|begin| now < begin) => Finding::bad(what, "it is not in date yet"),
        () if days < SOON => Finding::doubtful(what, format!("it ends in {days} days, on {end}")),
        () => Finding::good(what, format!("until {end}")),
    }
}

/// The host of an origin.
fn host_of(origin: &str) -> Option<String> {
    Some(origin.parse::<url::Url>().ok()?.host_str()?.trim_matches(['[', ']']).to_owned())
}

fn covers(certificate: &Certificate, host: &str) -> bool {
    let by_name = certificate.san_dns.iter().any(|name| {
        let below =
            name.strip_prefix("*.").zip(host.split_once('.')).is_some_and(|(zone, (_, rest))| zone == rest);
        below || name.eq_ignore_ascii_case(host)
    });
    by_name || host.parse().is_ok_and(|address| certificate.san_ip.contains(&address))
}

/// Whether there is room where it writes.
fn disk(folder: &Path) -> Finding {
    let what = "disk";
    match rustix::fs::statvfs(folder) {
        Err(_) => Finding::bad(what, format!("{} is not there", folder.display())),
        Ok(place) => {
            let free = place.f_bavail.saturating_mul(place.f_frsize);
            let megabytes = free / 1024 / 1024;
            let says = format!("{megabytes} MiB free at {}", folder.display());
            if free < ROOM { Finding::doubtful(what, says) } else { Finding::good(what, says) }
        }
    }
}

/// Whether it may open as many files as connections want.
fn files(config: &Config) -> Finding {
    let what = "file limit";
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    // Pages and API each, and one to a bank or a database for some of them.
    let wanted = u64::from(config.listen.connections).saturating_mul(2).saturating_add(BESIDES);
    match limit {
        Some(limit) if limit < wanted => Finding::doubtful(
            what,
            format!(
                "{limit} files may be open, and {wanted} may be wanted: raise it, or lower listen.connections"
            ),
        ),
        Some(limit) => Finding::good(what, format!("{limit} files may be open, {wanted} may be wanted")),
        None => Finding::good(what, "there is none"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_soon_is_worth_a_word() {
        let at = |day: i64| Timestamp::from_second(1_800_000_000 + day * 86_400).unwrap();
        let is = |begin, end, day| in_date("it", (Some(at(begin)), at(end)), at(day)).verdict;
        assert_eq!(is(0, 90, 1), Verdict::Good);
        assert_eq!(is(0, 90, 69), Verdict::Good);
        assert_eq!(is(0, 90, 70), Verdict::Doubtful);
        assert_eq!(is(0, 90, 91), Verdict::Bad);
        assert_eq!(is(5, 90, 1), Verdict::Bad);
        assert_eq!(in_date("it", (None, at(90)), at(1)).verdict, Verdict::Good);
    }
}
