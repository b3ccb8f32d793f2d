//! What an operator should know before the night: whether everything that a gateway needs is there, and
//! whether it will be there tomorrow. Nothing is changed.

mod around;

use std::path::Path;

use crypto::Certificate;
use domain::{Clock, SystemClock};
use serde::Serialize;

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

/// Whether certificates are in date, and those of servers are of the names that they are reached by.
fn certificates(config: &Config) -> Vec<Finding> {
    let named = [
        ("server", &config.tls.certificate),
        ("bank", &config.bank.certificate),
        ("seal", &config.bank.seal_certificate),
    ];
    let mut found = Vec::new();
    for (name, file) in named {
        let what = format!("certificate: {name}");
        // What is missing, the configuration's own finding has said.
        let Some(read) = file.as_ref().and_then(|file| Some(Certificate::from_pem(&crate::read(file).ok()?)))
        else {
            continue;
        };
        let certificate = match read {
            Ok(certificate) => certificate,
            Err(error) => {
                found.push(Finding::bad(what, error.to_string()));
                continue;
            }
        };
        found.push(in_date(&what, &certificate));
        if name == "server" {
            let origins =
                [Some(&config.public.issuer), config.public.pages.as_ref(), Some(&config.public.api)];
            let hosts = origins.into_iter().flatten().filter_map(|origin| host_of(origin));
            let missing: Vec<_> = hosts.filter(|host| !covers(&certificate, host)).collect();
            found.push(if missing.is_empty() {
                Finding::good(format!("{what}: names"), "it is of every name that clients use")
            } else {
                Finding::bad(format!("{what}: names"), format!("it is not of {}", missing.join(", ")))
            });
        }
    }
    found
}

fn in_date(what: &str, certificate: &Certificate) -> Finding {
    let now = SystemClock.now();
    let days = certificate.not_after.as_second().saturating_sub(now.as_second()).div_euclid(86_400);
    let until = certificate.not_after;
    match () {
        () if !certificate.is_valid_at(now) => {
            Finding::bad(what, format!("it is out of date: until {until}"))
        }
        () if days < SOON => Finding::doubtful(what, format!("it ends in {days} days, on {until}")),
        () => Finding::good(what, format!("until {until}")),
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
