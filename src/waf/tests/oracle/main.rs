//! libmodsecurity beside our engine: the same rules over the same requests, and the same rules
//! have to tell something of each. What differs is listed in `known.rs`, with its reason.

#![expect(clippy::unwrap_used, reason = "tests")]

mod engines;
mod known;
mod made;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use engines::{Both, Judged};
use known::Difference;
use waf::{Request, Sources, regression};

/// The Core Rule Set, where this machine has it.
fn core_rule_set() -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/crs"));
    if !path.exists() {
        eprintln!("SKIPPED: no Core Rule Set beside the checkout ({})", path.display());
        return None;
    }
    Some(path.to_owned())
}

/// What a run came to.
#[derive(Default)]
struct Tally {
    requests: usize,
    /// Requests that one of both cannot be shown.
    unshown: usize,
    told: BTreeSet<u64>,
    same: usize,
    /// What differs as it may.
    known: BTreeMap<&'static str, usize>,
    /// Rules that one alone tells of, and of which requests.
    differing: BTreeMap<(&'static str, u64), Vec<String>>,
}

impl Tally {
    fn ask(&mut self, both: &Both, name: &str, request: &Request<'_>) {
        self.requests += 1;
        let Judged::Both(ours, theirs) = both.judge(request) else {
            self.unshown += 1;
            return;
        };
        self.told.extend(ours.keys().chain(theirs.keys()));
        self.same += ours.keys().filter(|rule| theirs.contains_key(rule)).count();
        for (whose, these, others) in [("ours", &ours, &theirs), ("theirs", &theirs, &ours)] {
            for (rule, place) in these.iter().filter(|(rule, _)| !others.contains_key(rule)) {
                let difference = Difference { whose, rule: *rule, place, request };
                if let Some(why) = known::reason(&difference) {
                    *self.known.entry(why).or_default() += 1;
                } else {
                    self.differing.entry((whose, *rule)).or_default().push(format!("{name}: {place}"));
                }
            }
        }
    }

    #[track_caller]
    fn end(self, what: &str) {
        let pairs: usize = self.differing.values().map(Vec::len).sum();
        let Self { requests, unshown, same, known, .. } = &self;
        let rules = self.told.len();
        eprintln!(
            "{what}: {requests} requests, {unshown} not to be shown to both; {rules} rules told something, \
             {same} times both, {} times one as is known, {pairs} times one as is not",
            known.values().sum::<usize>()
        );
        for (why, times) in known {
            eprintln!("  known, {times} times: {why}");
        }
        for ((whose, rule), told) in &self.differing {
            eprintln!("  {rule} only {whose}, {} times, such as", told.len());
            for place in told.iter().take(8) {
                eprintln!("    {}", place.escape_debug());
            }
        }
        assert!(pairs == 0, "the engines differ");
    }
}

/// Requests that our own rules are tested with, and thousands made of attacks.
#[test]
fn our_rules_find_the_same_in_both_engines() {
    let both = Both::with(&Sources::own(), None);
    let mut tally = Tally::default();
    for request in made::of_our_tests().iter().chain(&made::by_chance(4_000)) {
        request.show(|shown| tally.ask(&both, &request.name, shown));
    }
    tally.end("our rules");
}

#[test]
fn the_core_rule_set_finds_the_same_in_both_engines_over_its_own_requests() {
    let Some(folder) = core_rule_set() else { return };
    let both = Both::with(&Sources::engine().and(Sources::folder(&folder).unwrap()), Some(&folder));
    let mut tally = Tally::default();
    for request in regression::requests(&folder).unwrap() {
        request.show(|shown| tally.ask(&both, &request.name, shown));
    }
    tally.end("the Core Rule Set over its own tests");
}

#[test]
fn the_core_rule_set_finds_the_same_in_both_engines_over_made_requests() {
    let Some(folder) = core_rule_set() else { return };
    let both = Both::with(&Sources::engine().and(Sources::folder(&folder).unwrap()), Some(&folder));
    let mut tally = Tally::default();
    for request in made::of_our_tests().iter().chain(&made::by_chance(3_000)) {
        request.show(|shown| tally.ask(&both, &request.name, shown));
    }
    tally.end("the Core Rule Set over made requests");
}
