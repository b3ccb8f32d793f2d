//! Which rules of a phase a request wakes: those whose first signature some text may hold, and those that begin
//! with none. Most rules sleep through most requests.

use std::collections::BTreeMap;

use crate::byteset::BitSet;
use crate::compile::{Compiled, Rule, SelectionId, Source, SourceId};
use crate::signatures::SignatureId;

/// What wakes the rules of a phase.
#[derive(Debug, Default)]
pub(crate) struct Waking {
    /// Rules that begin with no signature, or look where rules change what is there.
    pub(crate) always: BitSet,
    /// By selection and source: its signatures, and the places of the rules that begin with each.
    pub(crate) selections: Vec<(SelectionId, Vec<(SourceId, Sleepers)>)>,
}

/// Rules that begin with a signature of one source.
#[derive(Debug, Default)]
pub(crate) struct Sleepers {
    by_signature: BTreeMap<SignatureId, Vec<usize>>,
    signatures: BitSet,
}

impl Waking {
    /// Of both phases.
    pub(crate) fn of_all(compiled: &Compiled) -> [Self; 2] {
        let ([head, body], [next_head, next_body]) = (&compiled.phases, &compiled.prelude.next);
        let signatures = compiled.signatures.count();
        let sources = compiled.sources.as_slice();
        [Self::of(head, next_head, sources, signatures), Self::of(body, next_body, sources, signatures)]
    }

    /// Of the rules of a phase that some request comes to, where there are so many signatures; `next` says from
    /// each place on which rule has to be asked.
    fn of(rules: &[Rule], next: &[usize], all: &[Source], signatures: usize) -> Self {
        let mut waking = Self { always: BitSet::with_room(rules.len()), selections: Vec::new() };
        let mut selections: BTreeMap<SelectionId, BTreeMap<SourceId, Sleepers>> = BTreeMap::new();
        let reached = reached(rules, next);
        for (place, rule) in rules.iter().enumerate().filter(|(place, _)| reached.contains(*place)) {
            let Some((signature, from)) = rule.conditions.first().and_then(|first| first.sought()) else {
                waking.always.insert(place);
                continue;
            };
            for (source, of) in from.iter().filter_map(|source| Some((source, all.get(*source)?))) {
                let sleepers = selections.entry(of.selection).or_default().entry(*source).or_default();
                sleepers.signatures.make_room(signatures);
                sleepers.signatures.insert(signature);
                sleepers.by_signature.entry(signature).or_default().push(place);
            }
        }
        waking.selections = selections
            .into_iter()
            .map(|(selection, sources)| (selection, sources.into_iter().collect()))
            .collect();
        waking
    }
}

/// The places that are come to, if not by every request: rules jump forward only.
fn reached(rules: &[Rule], next: &[usize]) -> BitSet {
    let mut come_by = BitSet::with_room(rules.len() + 1);
    let mut reached = BitSet::with_room(rules.len());
    come_by.insert(0);
    for (place, rule) in rules.iter().enumerate() {
        let asked = next.get(place).copied().unwrap_or(place);
        if !come_by.contains(place) {
            continue;
        }
        if asked == place {
            reached.insert(place);
            come_by.insert(rule.next);
            come_by.insert(place + 1);
        } else {
            come_by.insert(asked);
        }
    }
    reached
}

impl Sleepers {
    /// Adds the rules that these candidates wake.
    pub(crate) fn wake(&self, candidates: &BitSet, awake: &mut BitSet) {
        for signature in candidates.common(&self.signatures) {
            let places = self.by_signature.get(&signature);
            places.into_iter().flatten().for_each(|place| awake.insert(*place));
        }
    }
}
