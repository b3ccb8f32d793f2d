//! The proof: what has to hold of any rules, for every request there can be.
//!
//! The rules are written twice, as permits and as forbids, and each half has to keep the
//! invariants without the other: the permits alone allow nothing that must not be, and neither
//! do the forbids if everything else were allowed. Both together refuse nothing that is proper.
//! Cedar's symbolic compiler turns each of these into a question that a solver answers.
//!
//! What the proof is worth is measured by mutants: rules with one deliberate mistake. It has to
//! reject every one of which a half decides otherwise than it did.

mod action;
mod example;
mod mutants;
mod report;
mod solver;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use cedar_policy::{Policy, Schema, Validator};

use crate::rules::{Rules, action_names, parse, parsed_schema};
use crate::source::Source;
use crate::trial;

use action::{Action, Question};
use mutants::Judged;
use solver::{Solver, on_two};

pub use report::{Broken, Half, Held, Mutants, ProveFailed, Proved, Survivor};

/// Proves that the rules of a folder, or those that are shipped, keep the invariants; and that
/// the proof would notice if they did not.
///
/// Two solvers run at once, each in a thread of its own, and this waits for them.
///
/// # Errors
///
/// [`ProveFailed`] says what does not hold and shows a request, or which mutant was not
/// noticed, or why nothing could be proved.
pub fn prove(folder: Option<&Path>, cvc5: &Path, mutants: bool) -> Result<Proved, ProveFailed> {
    let actions: Vec<_> = action_names().collect();
    prove_by(INVARIANTS, &actions, &Source::read(folder)?, cvc5, mutants)
}

fn prove_by(
    invariants: &str,
    names: &[&'static str],
    source: &Source,
    cvc5: &Path,
    mutants: bool,
) -> Result<Proved, ProveFailed> {
    let rules = Rules::read(source)?;
    let schema = parsed_schema()?;
    let invariants = parse("invariants.cedar", invariants, &schema)?;
    let tests = trial::asked(source, &rules)?;
    let mut actions = Vec::new();
    for name in names {
        actions.push(Action::new(name, &schema, rules.policies(), &invariants, &tests)?);
    }
    let policies: Vec<Policy> = rules
        .policies()
        .iter()
        .filter(|policy| actions.iter().any(|action| action.concerns(policy)))
        .cloned()
        .collect();

    let asked = AtomicUsize::new(0);
    let questions: Vec<(&Action, Question<'_>)> = actions
        .iter()
        .flat_map(|action| action.questions(&policies).map(move |question| (action, question)))
        .collect();
    let answers = on_two(cvc5, &asked, questions, |solver, (action, question)| action.ask(solver, question))?;
    let (mut held, mut broken) = (Vec::new(), Vec::new());
    for answer in answers {
        match answer {
            Ok(holds) => held.push(holds),
            Err(breaks) => broken.push(breaks),
        }
    }
    if !broken.is_empty() {
        return Err(ProveFailed::Broken(broken));
    }
    let mutants = mutants.then(|| noticed(cvc5, &asked, &policies, &actions, schema)).transpose()?;
    Ok(Proved { held, rules: policies.len(), mutants, questions: asked.load(Ordering::Relaxed) })
}

fn noticed(
    cvc5: &Path,
    asked: &AtomicUsize,
    policies: &[Policy],
    actions: &[Action],
    schema: Schema,
) -> Result<Mutants, ProveFailed> {
    let all = mutants::of(policies).map_err(ProveFailed::Solver)?;
    let total = all.len();
    let validator = Validator::new(schema);
    let judged = on_two(cvc5, asked, all, |solver: &mut Solver<'_>, mutant| {
        let judged = mutants::judge(solver, &validator, policies, actions, &mutant)?;
        Ok((judged, mutant))
    })?;
    let mut report = Mutants { total, ..Mutants::default() };
    let mut survivors = Vec::new();
    for (judged, mutant) in judged {
        match judged {
            Judged::Invalid => report.invalid += 1,
            Judged::Rejected { by_example } => {
                report.rejected += 1;
                report.by_example += usize::from(by_example);
            }
            Judged::Equivalent => report.equivalent.push(mutant.survivor()),
            Judged::Survived => survivors.push(mutant.survivor()),
        }
    }
    if survivors.is_empty() { Ok(report) } else { Err(ProveFailed::Survived(survivors)) }
}

/// They are not an operator's to change: rules that keep others are not what was reviewed.
const INVARIANTS: &str = include_str!("invariants.cedar");

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// An invariant that nobody states is one that nobody checks: mutants tell.
    #[test]
    fn without_an_invariant_rules_with_a_mistake_pass_and_are_named() {
        let named = std::env::var_os("CONSENTRY_TEST_CVC5").map(PathBuf::from);
        let cvc5 = named.clone().unwrap_or_else(|| "/usr/bin/cvc5".into());
        if named.is_none() && !cvc5.exists() {
            eprintln!("SKIPPED: nothing was proved. There is no {}.", cvc5.display());
            return;
        }
        let prove = |invariants: &str| prove_by(invariants, &["forward"], &Source::shipped(), &cvc5, true);
        let proved = prove(INVARIANTS).unwrap_or_else(|failed| panic!("{failed}"));
        assert_eq!(proved.rules, 2, "{proved}");
        let lacking = INVARIANTS.replace(
            "@id(\"forward.named\")\n@holds(\"only\")",
            "@id(\"forward.named\")\n@holds(\"always\")",
        );
        assert_ne!(lacking, INVARIANTS);
        let Err(ProveFailed::Survived(survivors)) = prove(&lacking) else {
            panic!("the proof notices nothing")
        };
        let of = |rule: &str, change: &str| {
            survivors.iter().any(|survivor| survivor.rule == rule && survivor.change == change)
        };
        assert!(of("residency.stream", "is gone"), "{survivors:?}");
        assert!(of("residency.forward", "has no clause 0"), "{survivors:?}");
    }
}
