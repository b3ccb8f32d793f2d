//! Rules whose outcome is the same for every request, run when they are loaded.

use std::collections::BTreeSet;
use std::sync::Arc;

use ahash::HashMap;

use crate::byteset::BitSet;
use crate::compile::{Compiled, Effect, Rule, Test};
use crate::inspect::Inspection;
use crate::seclang::{Collection, Ctl, Macro, Part, Selector, VariableRef};
use crate::state::State;

/// What does not depend on the request.
#[derive(Debug, Default)]
pub(crate) struct Prelude {
    /// Variables of TX.
    pub(crate) state: Arc<HashMap<String, Vec<u8>>>,
    /// By phase and place of a rule: the next place, from there on, whose rule has to be asked.
    pub(crate) next: [Vec<usize>; 2],
}

/// Names of variables that differ between requests.
#[derive(Debug, Default)]
pub(crate) struct Changing {
    names: BTreeSet<String>,
    /// Beginnings of names that rules put together.
    beginnings: BTreeSet<String>,
}

impl Prelude {
    /// Runs, once and for all, what is the same for every request: the rules at
    /// the beginning that look at variables of TX alone, as the Core Rule Set's
    /// fifty defaults do; and later ones that jump over others because of such
    /// variables, as those of a lower paranoia level do.
    pub(crate) fn of(compiled: &Compiled) -> Self {
        let mut inspection = Inspection::of_nothing(compiled, State::default());
        let [head, body] = &compiled.phases;
        let done = beginning(head, &mut inspection);
        let mut changing = Changing::default();
        let others = head.iter().enumerate().filter(|(at, _)| !done.contains(*at)).map(|(_, rule)| rule);
        others.chain(body).for_each(|rule| changing.add(rule));
        let next = [
            next_asked(head, &done, &changing, &mut inspection),
            next_asked(body, &BitSet::default(), &changing, &mut inspection),
        ];
        Self { state: inspection.state.into_fixed(), next }
    }
}

/// Runs the rules at the beginning that depend on nothing, and says which are done.
fn beginning<'r>(rules: &'r [Rule], inspection: &mut Inspection<'r>) -> BitSet {
    let mut done = BitSet::with_room(rules.len());
    let mut changing = Changing::default();
    let mut at = 0;
    while let Some(rule) = rules.get(at) {
        if rule.depends_only_on_tx(&changing) {
            let matched = inspection.rule(rule);
            // What refuses or tells does so for each request.
            if matched && (rule.denies || rule.told) {
                break;
            }
            let next = if matched { rule.next } else { at + 1 };
            (at..next).for_each(|place| done.insert(place));
            at = next;
            continue;
        }
        if !rule.only_sets_variables(at) {
            break;
        }
        changing.add(rule);
        at += 1;
    }
    done
}

/// From each place on, the next rule that is not done or decided.
fn next_asked<'r>(
    rules: &'r [Rule],
    done: &BitSet,
    changing: &Changing,
    inspection: &mut Inspection<'r>,
) -> Vec<usize> {
    let mut next = vec![rules.len(); rules.len() + 1];
    for (at, rule) in rules.iter().enumerate().rev() {
        let after = if done.contains(at) {
            at + 1
        } else if rule.only_jumps() && rule.depends_only_on_tx(changing) {
            if inspection.rule(rule) { rule.next } else { at + 1 }
        } else {
            at
        };
        let asked = if after == at { at } else { next.get(after).copied().unwrap_or(rules.len()) };
        if let Some(place) = next.get_mut(at) {
            *place = asked;
        }
    }
    next
}

impl Changing {
    /// Adds what a rule sets.
    fn add(&mut self, rule: &Rule) {
        for effect in rule.conditions.iter().flat_map(|condition| &condition.effects) {
            let Effect::Set(set) = effect else { continue };
            match (set.name.literal(), set.name.parts.first()) {
                (Some(name), _) => drop(self.names.insert(name.to_ascii_lowercase())),
                (None, Some(Part::Text(text))) => drop(self.beginnings.insert(text.to_ascii_lowercase())),
                (None, Some(Part::Value(_)) | None) => drop(self.beginnings.insert(String::new())),
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        self.names.contains(name) || self.beginnings.iter().any(|text| name.starts_with(text.as_str()))
    }
}

impl Rule {
    /// Whether it looks at and changes nothing but variables of TX that are the
    /// same for every request.
    pub(crate) fn depends_only_on_tx(&self, changing: &Changing) -> bool {
        let steady = |variable: &VariableRef| match (variable.collection, &variable.selector) {
            (Collection::Tx, Selector::Named(name)) => !changing.has(name) && name.parse::<u8>().is_err(),
            (_, Selector::All | Selector::Named(_) | Selector::Matching(_)) => false,
        };
        let known = |text: &Macro| {
            text.parts.iter().all(|part| match part {
                Part::Text(_) => true,
                Part::Value(variable) => steady(variable),
            })
        };
        let silent = !(self.denies || self.told);
        self.conditions.iter().all(|condition| {
            let targets = condition.targets.iter().all(|target| steady(&target.variable));
            let test = match &condition.test {
                Test::Number(_, argument) | Test::Text(_, argument) => known(argument),
                Test::Signature(_)
                | Test::ByteRange(_)
                | Test::UrlEncoding
                | Test::Utf8
                | Test::Address(_)
                | Test::Card(_) => false,
                Test::Always | Test::Never => true,
            };
            let effects = condition.effects.iter().all(|effect| match effect {
                Effect::Set(set) => set.name.literal().is_some() && known(set.change.value()),
                Effect::Ctl(_) => false,
            });
            targets && test && effects && !condition.capture && (silent || condition.effects.is_empty())
        })
    }

    /// Whether all it may do is to set variables of known names, and to go on.
    pub(crate) fn only_sets_variables(&self, at: usize) -> bool {
        let harmless = |effect: &Effect| match effect {
            Effect::Set(set) => set.name.literal().is_some(),
            Effect::Ctl(Ctl::BodyProcessor(_) | Ctl::ForceRequestBody(_)) => true,
            Effect::Ctl(Ctl::RemoveRules(_) | Ctl::RemoveTarget(..) | Ctl::Engine(_)) => false,
        };
        let mut effects = self.conditions.iter().flat_map(|condition| &condition.effects);
        !self.denies && self.next == at + 1 && effects.all(harmless)
    }

    /// Whether all it may do is to go on elsewhere.
    pub(crate) fn only_jumps(&self) -> bool {
        !(self.denies || self.told) && self.conditions.iter().all(|condition| condition.effects.is_empty())
    }
}
