//! Rules one behind the other that look at variables of TX alone: what they come to is known beforehand for a request
//! in which nothing was found, whatever else rules have noted of it. The Core Rule Set ends each phase with such
//! rules, which add up scores.

use std::collections::BTreeSet;
use std::sync::Arc;

use ahash::{HashMap, HashSet};

use crate::compile::{Compiled, Effect, Rule, Test};
use crate::inspect::Inspection;
use crate::prelude::Changing;
use crate::seclang::{Collection, Macro, Part, Selector, VariableRef};
use crate::state::{Matching, State};

/// By phase and place, what begins there, if anything.
#[derive(Debug, Default)]
pub(crate) struct Stretches {
    phases: [Vec<Option<Stretch>>; 2],
    /// Which variables that are the same for every request have the patterns by which rules name variables.
    pub(crate) matching: Matching,
}

/// Such rules, and what they come to.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// The variables with which it comes to that.
    pub(crate) from: Arc<HashMap<String, Vec<u8>>>,
    /// The variables behind it.
    pub(crate) to: Arc<HashMap<String, Vec<u8>>>,
    /// What is added to scores.
    pub(crate) added: i64,
    /// The places of its rules.
    pub(crate) rules: Vec<usize>,
    /// The variables that they look at or set.
    pub(crate) names: HashSet<String>,
    /// Where it goes on.
    pub(crate) next: usize,
}

impl Stretches {
    /// Runs them as they run for a request in which nothing was found.
    pub(crate) fn of(compiled: &Compiled) -> Self {
        let mut stretches = Self::default();
        let mut from = Arc::clone(&compiled.prelude.state);
        for (phase, stretches) in stretches.phases.iter_mut().enumerate() {
            let rules = compiled.phases.get(phase).map_or(0, Vec::len);
            let mut at = 0;
            while at < rules {
                let found = Stretch::of(compiled, phase, at, &from);
                let (next, found) = match found {
                    Some(stretch) => {
                        from = Arc::clone(&stretch.to);
                        (stretch.next.max(at + 1), Some(stretch))
                    }
                    None => (at + 1, None),
                };
                stretches.push(found);
                // In the middle of one nothing begins.
                stretches.resize_with(next.min(rules), || None);
                at = next;
            }
        }
        stretches.matching = stretches.matching(compiled);
        stretches
    }

    fn matching(&self, compiled: &Compiled) -> Matching {
        let behind = self.phases.iter().flatten().flatten().flat_map(|stretch| stretch.to.keys());
        let names: BTreeSet<&String> = compiled.prelude.state.keys().chain(behind).collect();
        let conditions = compiled.phases.iter().flatten().flat_map(|rule| &rule.conditions);
        let mut matching = Matching::default();
        for target in conditions.flat_map(|condition| &condition.targets) {
            if let (Collection::Tx, Selector::Matching(pattern)) =
                (target.variable.collection, &target.variable.selector)
            {
                let found = names.iter().filter(|name| pattern.is_match(name.as_bytes()));
                matching.insert(pattern.as_str().to_owned(), found.map(|name| (*name).clone()).collect());
            }
        }
        matching
    }

    /// Knows nothing beforehand.
    #[cfg(test)]
    pub(crate) fn forget(&mut self) {
        self.phases = Default::default();
    }

    /// What begins at a place.
    pub(crate) fn at(&self, phase: usize, place: usize) -> Option<&Stretch> {
        self.phases.get(phase).and_then(|stretches| stretches.get(place)).and_then(Option::as_ref)
    }
}

impl Stretch {
    fn of(
        compiled: &Compiled,
        phase: usize,
        begin: usize,
        from: &Arc<HashMap<String, Vec<u8>>>,
    ) -> Option<Self> {
        let (rules, asked) = (compiled.phases.get(phase)?, compiled.prelude.next.get(phase)?);
        let knows = |rule: &Rule| rule.depends_only_on_tx(&Changing::default());
        // Only what is asked begins anything, and most rules begin nothing.
        if asked.get(begin) != Some(&begin) || !rules.get(begin).is_some_and(knows) {
            return None;
        }
        let mut inspection = Inspection::of_nothing(compiled, State::beginning_with(from));
        let (mut at, mut places, mut names) = (begin, Vec::new(), HashSet::default());
        while let Some((place, rule)) = asked.get(at).and_then(|place| Some((*place, rules.get(*place)?))) {
            if !knows(rule) {
                break;
            }
            let matched = inspection.rule(rule);
            // What refuses or tells does so for each request.
            if matched && (rule.denies || rule.told) {
                break;
            }
            places.push(place);
            rule.add_names(&mut names);
            at = if matched { rule.next } else { place + 1 };
        }
        if places.is_empty() {
            return None;
        }
        let added = inspection.state.added;
        let to = inspection.state.into_fixed();
        Some(Self { from: Arc::clone(from), to, added, rules: places, names, next: at })
    }
}

impl Rule {
    /// Adds the variables of TX that it looks at or sets, where that is all that it does.
    fn add_names(&self, names: &mut HashSet<String>) {
        let mut add = |name: &str| names.extend([name.to_ascii_lowercase()]);
        for condition in &self.conditions {
            condition.targets.iter().filter_map(|target| name(&target.variable)).for_each(&mut add);
            if let Test::Number(_, argument) | Test::Text(_, argument) = &condition.test {
                named(argument).for_each(&mut add);
            }
            for effect in &condition.effects {
                let Effect::Set(set) = effect else { continue };
                set.name.literal().into_iter().chain(named(set.change.value())).for_each(&mut add);
            }
        }
    }
}

fn name(variable: &VariableRef) -> Option<&str> {
    if let Selector::Named(name) = &variable.selector { Some(name) } else { None }
}

fn named(text: &Macro) -> impl Iterator<Item = &str> {
    text.parts.iter().filter_map(|part| if let Part::Value(variable) = part { name(variable) } else { None })
}
