//! The values that conditions look at: as they came, and through chains of transformations.

use std::cell::OnceCell;
use std::rc::Rc;

use super::Inspection;
use crate::body::Processor;
use crate::byteset::{BitSet, ByteSet};
use crate::chains::ChainId;
use crate::compile::{Selection, SelectionId, Source, SourceId, left_out};
use crate::request::Item;
use crate::seclang::{Collection, Selector, Target, VariableRef};
use crate::signatures::SignatureId;
use crate::texts::{TextId, Texts};

/// A value that a condition looks at.
#[derive(Clone, Copy)]
pub(super) struct Value {
    pub(super) collection: Collection,
    pub(super) name: TextId,
    pub(super) value: TextId,
    pub(super) counted: bool,
}

/// What a source holds.
#[derive(Default)]
pub(super) struct Held {
    /// Values, and what the chain makes of them.
    pub(super) values: Vec<(Value, TextId)>,
    /// The bytes of all of them.
    present: ByteSet,
    /// The signatures that may match any of them, where that was asked for.
    candidates: OnceCell<BitSet>,
}

impl Held {
    pub(super) fn candidates(&self, texts: &mut Texts<'_>) -> &BitSet {
        self.candidates.get_or_init(|| {
            let mut candidates = BitSet::with_room(texts.signatures());
            self.values.iter().for_each(|(_, text)| texts.add_candidates(*text, &mut candidates));
            candidates
        })
    }

    fn push(&mut self, value: Value, text: TextId, texts: &Texts<'_>) {
        self.present = self.present.union(texts.present(text));
        self.values.push((value, text));
    }
}

impl Inspection<'_> {
    /// Whether a signature may match any value of a source.
    pub(super) fn may_hold(&mut self, source: SourceId, signature: SignatureId) -> bool {
        let held = self.held(source);
        held.candidates(&mut self.texts).contains(signature)
    }

    /// How many values a target selects.
    pub(super) fn count(&self, target: &Target) -> i64 {
        let VariableRef { collection, selector } = &target.variable;
        let items = self.variables.of(*collection).iter();
        let selected = items.filter(|item| selects(&self.texts, item, selector, std::iter::empty()));
        i64::try_from(selected.count()).unwrap_or(i64::MAX)
    }

    /// What a source holds: looked up once, and once more where the body changed it.
    pub(super) fn held(&mut self, source: SourceId) -> Rc<Held> {
        if let Some(Some(known)) = self.sources.get(source) {
            return Rc::clone(known);
        }
        let held = match self.rules.sources.get(source) {
            Some(Source { selection, chain }) => self.through(*selection, *chain),
            None => Rc::clone(&self.nothing),
        };
        if let Some(place) = self.sources.get_mut(source) {
            *place = Some(Rc::clone(&held));
        }
        held
    }

    /// What a chain makes of what a selection holds: most often nothing else.
    fn through(&mut self, selection: SelectionId, chain: ChainId) -> Rc<Held> {
        let plain = self.plain(selection);
        let untouched = self.rules.chains.get(chain).is_some_and(|step| !step.needs.meets(&plain.present));
        let mut values = plain.values.iter();
        if untouched || values.all(|(value, text)| self.texts.transformed(value.value, chain) == *text) {
            return plain;
        }
        let mut held = Held { values: Vec::with_capacity(plain.values.len()), ..Held::default() };
        for (value, _) in &plain.values {
            let text = self.texts.transformed(value.value, chain);
            held.push(*value, text, &self.texts);
        }
        Rc::new(held)
    }

    /// What a selection holds as it came.
    pub(super) fn plain(&mut self, selection: SelectionId) -> Rc<Held> {
        if let Some(Some(known)) = self.selections.get(selection) {
            return Rc::clone(known);
        }
        let held = self.rules.selections.get(selection).and_then(|selection| self.select(selection));
        let held = held.map_or_else(|| Rc::clone(&self.nothing), Rc::new);
        if let Some(place) = self.selections.get_mut(selection) {
            *place = Some(Rc::clone(&held));
        }
        held
    }

    fn select(&mut self, selection: &Selection) -> Option<Held> {
        let Selection { variable: VariableRef { collection, selector }, but } = selection;
        let Self { variables, texts, .. } = self;
        let items = variables.of(*collection);
        let mut held = None;
        for item in items.iter().filter(|item| !item.typed) {
            if !selects(texts, item, selector, but.iter()) {
                continue;
            }
            let held: &mut Held = held.get_or_insert_default();
            let value = Value { collection: *collection, name: item.name, value: item.value, counted: false };
            held.push(value, item.value, texts);
        }
        held
    }

    pub(super) fn values(&mut self, targets: &[Target]) -> Vec<Value> {
        let mut values = Vec::new();
        for target in targets.iter().filter(|target| !target.excluded) {
            let VariableRef { collection, selector } = &target.variable;
            let made = if collection.is_kept() { Vec::new() } else { self.made(*collection, selector) };
            let Self { variables, texts, .. } = self;
            let items = if collection.is_kept() { variables.of(*collection) } else { made.as_slice() };
            let but = || left_out(targets, *collection);
            let selected = items.iter().filter(|item| selects(texts, item, selector, but()));
            if target.count {
                let count = selected.count();
                let value = texts.put(count.to_string().as_bytes());
                values.push(Value { collection: *collection, name: 0, value, counted: true });
                continue;
            }
            let looked_at = selected.filter(|item| !item.typed);
            values.extend(looked_at.map(|Item { name, value, .. }| Value {
                collection: *collection,
                name: *name,
                value: *value,
                counted: false,
            }));
        }
        values
    }

    /// Values that rules make while they run.
    fn made(&mut self, collection: Collection, selector: &Selector) -> Vec<Item> {
        let made: Vec<(Vec<u8>, TextId)> = if collection == Collection::Tx {
            let named = self.state.selected(selector, &self.rules.stretches.matching);
            named.into_iter().map(|(name, value)| (name.into_bytes(), self.texts.put(&value))).collect()
        } else if collection == Collection::MatchedVars {
            self.state.matched.iter().map(|it| (it.shown(&self.texts).into_bytes(), it.value)).collect()
        } else if collection == Collection::MatchedVar {
            self.state.matched.last().map(|it| (Vec::new(), it.value)).into_iter().collect()
        } else if matches!(collection, Collection::MatchedVarName | Collection::MatchedVarsNames) {
            let names: Vec<_> = self.state.matched.iter().map(|it| it.shown(&self.texts)).collect();
            let kept = if collection == Collection::MatchedVarName { 1 } else { names.len() };
            names.iter().rev().take(kept).map(|it| (Vec::new(), self.texts.put(it.as_bytes()))).collect()
        } else if collection == Collection::ReqbodyProcessor {
            let name = self.variables.processor.map_or("", Processor::name);
            vec![(Vec::new(), self.texts.put(name.as_bytes()))]
        } else {
            let size = self.variables.arguments_size;
            vec![(Vec::new(), self.texts.put(size.to_string().as_bytes()))]
        };
        made.into_iter()
            .map(|(name, value)| Item { name: self.texts.put(&name), value, typed: false })
            .collect()
    }
}

/// Whether a value is chosen by its name.
fn selects<'s>(
    texts: &Texts<'_>,
    item: &Item,
    selector: &Selector,
    mut but: impl Iterator<Item = &'s Selector>,
) -> bool {
    let selects =
        |selector: &Selector| matches!(selector, Selector::All) || selector.selects(texts.view(item.name));
    selects(selector) && !but.any(selects)
}
