//! The Core Rule Set's own tests, sent to a running gateway.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::Path;

use consentry::{FilterFiles, FilterMode};
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use waf::regression::{EXPECTED_VARIABLES, WireTest, wire_tests};

use crate::edge::{connected, connector, port_of};
use crate::support::log::Log;
use crate::support::{TestGateway, Wanted};

/// A release with the settings that its tests expect, below `home`.
fn release(crs: &Path, home: &Path) -> std::path::PathBuf {
    let folder = home.join("crs");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(crs.join("rules"), folder.join("rules")).unwrap();
    let mut setup = std::fs::read_to_string(crs.join("crs-setup.conf.example")).unwrap();
    let variables = EXPECTED_VARIABLES.iter().map(|(name, value)| format!("setvar:tx.{name}={value}"));
    let variables = variables.collect::<Vec<_>>().join(",");
    write!(setup, "\nSecAction \"id:900999,phase:1,pass,nolog,{variables}\"\n").unwrap();
    std::fs::write(folder.join("crs-setup.conf"), setup).unwrap();
    folder
}

/// The rules that matched, by request.
fn told(log: &str) -> HashMap<String, Vec<u64>> {
    let mut told = HashMap::new();
    for line in log.lines() {
        let Some((_, rest)) = line.split_once("waf.rules=[") else { continue };
        let (rules, _) = rest.split_once(']').unwrap();
        let rules = rules.split(", ").map(|rule| rule.parse().unwrap()).collect();
        let (_, id) = line.split_once("Request req_").unwrap();
        told.insert(format!("req_{}", id.split(' ').next().unwrap()), rules);
    }
    told
}

/// The head of the answer; nothing, if there is none for as long as bodies are waited for.
async fn answer_of(mut stream: impl AsyncReadExt + Unpin) -> String {
    let mut head = Vec::new();
    let read = async {
        while !head.windows(4).any(|window| window == b"\r\n\r\n")
            && stream.read_buf(&mut head).await.is_ok_and(|read| read > 0)
        {}
    };
    let _ = tokio::time::timeout(std::time::Duration::from_secs(40), read).await;
    String::from_utf8_lossy(&head).into_owned()
}

/// Status and id of an answer: none has no id but what no rule ever sees.
fn head(answer: &str) -> (u16, Option<String>) {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: "));
    (status, id.map(|id| id.trim().to_owned()))
}

/// Over TLS and through everything that stands before the rules; what is refused there has been
/// stopped, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_own_tests_pass_through_the_whole_gateway() {
    let crs = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/crs"));
    if !crs.exists() {
        eprintln!("SKIPPED: no Core Rule Set beside the checkout");
        return;
    }
    let log = Log::of("consentry=debug");
    let home = tempfile::tempdir().unwrap();
    let policy = home.path().join("filter.toml");
    // Our own rules are not to end the search before the others have had their turn.
    std::fs::write(
        &policy,
        "paranoia_level = 4\n[thresholds]\nown = 1_000\n[budget]\nbytes = 1_000_000\nvalues = 4_000\nwork = 400_000_000\n",
    )
    .unwrap();
    let files =
        FilterFiles { crs: Some(release(crs, home.path())), policy: Some(policy), ..FilterFiles::default() };
    let wanted = Wanted { filter: FilterMode::Report, filter_files: files, ..Wanted::default() };
    let gw = TestGateway::wanted(wanted).await;
    let access = gw.sandbox.access();
    let (connector, port) =
        (connector(&access.pki.root, Some(&access.pki.fintech), &[]), port_of(&access.api));
    let tests = wire_tests(crs).unwrap();
    let answers: Vec<_> = futures_util::stream::iter(&tests)
        .map(async |test| {
            let mut stream = connected(&connector, port).await;
            // It may be refused before it is sent.
            let _ = stream.write_all(&test.bytes).await;
            head(&answer_of(stream).await)
        })
        .buffered(8)
        .collect()
        .await;
    gw.sandbox.stop().await;
    let told = told(&log.text());
    let mut tallies: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    for (test, (status, id)) in tests.iter().zip(&answers) {
        let rules = id.as_ref().and_then(|id| told.get(id)).cloned().unwrap_or_default();
        let judged = judge(test, *status, &rules);
        if let Err(why) = &judged {
            eprintln!("{}: {status} {why}", test.name);
        }
        let tally = tallies.entry(test.rule / 1_000).or_default();
        tally.0 += usize::from(judged.is_ok());
        tally.1 += 1;
    }
    let sum = |of: fn(&(usize, usize)) -> usize| tallies.values().map(of).sum::<usize>();
    let (passed, all) = (sum(|tally| tally.0), sum(|tally| tally.1));
    eprintln!("{passed} of {all}: {tallies:?}");
    assert!(all > 4_000 && passed * 100 >= all * 97, "{passed} of {all}: {tallies:?}");
}

/// What is refused before any rule is stopped, whatever rule would have found it.
fn judge(test: &WireTest, status: u16, rules: &[u64]) -> Result<(), String> {
    let stopped = matches!(status, 400 | 405 | 408 | 411 | 413 | 414 | 431 | 501 | 505);
    if rules.is_empty() && stopped && test.expects_matches() { Ok(()) } else { test.judge(rules) }
}
