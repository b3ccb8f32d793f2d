//! Proof that the cases can fail: a proxy that breaks what it stands before, in named ways.
//!
//! It shows its own certificate, knows the test clients' keys, and so can make good what they do
//! wrong: to whoever asks through it, the target seems to let it pass. Each mutant must be caught.

mod answers;
mod api;
mod banks;
mod codes;
mod list;
mod proofs;
mod proxy;
mod repair;
mod tokens;
mod world;

use std::sync::Arc;

use serde::Serialize;

use crate::clock::Clock;
use crate::suite::{self, Baseline, Options, Progress};
use crate::target::{Configuration, Target};

pub use banks::of_banks;
pub use list::{Mutant, mutants};
pub use proxy::Proxy;

/// Every mutant, of whatever profile.
pub fn all() -> impl Iterator<Item = &'static Mutant> {
    mutants().chain(banks::mutants())
}

/// What became of a mutant.
#[derive(Clone, Debug, Serialize)]
pub struct Caught {
    /// Its name.
    pub mutant: &'static str,
    /// What it breaks.
    pub breaks: &'static str,
    /// The cases that failed.
    pub by: Vec<String>,
    /// The cases that must catch it, and did not.
    pub missed: Vec<&'static str>,
}

/// What a target is caught by with which nothing can even be begun.
const UNBEGUN: &str = "the metadata cannot be used";

/// Nobody hears of it.
struct Nobody;

impl Progress for Nobody {
    fn begins(&self, _: usize) {}
    fn played(&self, _: &crate::report::Outcome) {}
}

/// Runs cases against a target behind a mutant: those that it names, or all of its profile.
///
/// # Errors
///
/// If the proxy cannot be started.
pub async fn hunt(
    mutant: &'static Mutant,
    configuration: &Configuration,
    clock: &Arc<Clock>,
    whole: bool,
) -> anyhow::Result<Caught> {
    let proxy = Proxy::start(mutant, configuration.clone(), Arc::clone(clock)).await?;
    let target = Target::new(proxy.through(configuration))?;
    let mut profile = suite::profile(mutant.profile, None)?;
    let mut only = Vec::new();
    if !whole {
        profile.cases.retain(|case| mutant.caught_by.contains(&case.id.as_str()));
        only.extend(mutant.caught_by.iter().map(|case| (*case).to_owned()));
    }
    let options = Options {
        only,
        jobs: 4,
        longest: std::time::Duration::from_secs(30),
        longest_wait: std::time::Duration::from_secs(5),
        baseline: Baseline::default(),
        today: jiff::civil::Date::MIN,
    };
    let outcomes = suite::run(&profile, &target, clock, &options, &Nobody).await;
    proxy.stop().await;
    let by = match outcomes {
        Ok(outcomes) => {
            let failed = outcomes.iter().filter(|outcome| {
                outcome.verdict.fails() || outcome.verdict == crate::report::Verdict::Warned
            });
            let mut by: Vec<_> = failed.map(|outcome| outcome.case.clone()).collect();
            by.dedup();
            by
        }
        // What cannot even begin has been caught by the first look.
        Err(_) => vec![UNBEGUN.to_owned()],
    };
    let begun = !by.iter().any(|case| case == UNBEGUN);
    let must = mutant.caught_by.iter().copied();
    let missed = must.filter(|case| begun && !by.iter().any(|by| by == case)).collect();
    Ok(Caught { mutant: mutant.name, breaks: mutant.breaks, by, missed })
}
