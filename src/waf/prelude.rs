//! Rules whose outcome is the same for every request, run when they are loaded.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::byteset::BitSet;
use crate::compile::{Compiled, Effect, Rule, Test};
use crate::exclusions::Typed;
use crate::inspect::Inspection;
use crate::request::{Request, Variables};
use crate::seclang::{Collection, Ctl, Macro, Part, Selector, VariableRef};
use crate::state::State;
use crate::texts::Texts;

/// What the first rules come to, whatever the request is.
#[derive(Debug, Default)]
pub(crate) struct Prelude {
    /// Variables of TX.
    pub(crate) state: Arc<HashMap<String, Vec<u8>>>,
    /// Rules of phase 1 that are done.
    pub(crate) done: BitSet,
}

impl Prelude {
    /// Runs, once and for all, what is the same for every request: the rules at
    /// the beginning that look at variables of TX alone, as the Core Rule Set's
    /// fifty defaults do.
    pub(crate) fn of(compiled: &Compiled) -> Self {
        let mut texts = Texts::new(&compiled.chains, &compiled.signatures);
        let nothing = Request {
            method: "",
            target: "",
            protocol: "",
            headers: &[],
            body: &[],
            peer: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let variables = Variables::of_head(&nothing, &mut texts, &Typed::default());
        let mut inspection = Inspection::new(compiled, texts, variables, State::default());
        let [rules, _] = &compiled.phases;
        let mut done = BitSet::with_room(rules.len());
        let mut changing = BTreeSet::new();
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
            changing.extend(rule.sets());
            at += 1;
        }
        Self { state: Arc::new(inspection.state.into_fixed()), done }
    }
}

impl Rule {
    /// Whether it looks at and changes nothing but variables of TX that are the
    /// same for every request.
    pub(crate) fn depends_only_on_tx(&self, changing: &BTreeSet<String>) -> bool {
        let steady = |variable: &VariableRef| match (variable.collection, &variable.selector) {
            (Collection::Tx, Selector::Named(name)) => {
                !changing.contains(name) && name.parse::<u8>().is_err()
            }
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
                | Test::Address(_) => false,
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

    /// Names of the variables that it sets.
    pub(crate) fn sets(&self) -> impl Iterator<Item = String> {
        self.conditions.iter().flat_map(|condition| &condition.effects).filter_map(|effect| match effect {
            Effect::Set(set) => set.name.literal().map(str::to_ascii_lowercase),
            Effect::Ctl(_) => None,
        })
    }
}
