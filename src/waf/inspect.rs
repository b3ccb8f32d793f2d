//! Rules in their order, over one request.

use std::rc::Rc;

use crate::body::Processor;
use crate::budget::Budget;
use crate::byteset::BitSet;
use crate::compile::{
    Compiled, Condition, Effect, NumberTest, Rule, Source, SourceId, Test, among, left_out,
};
use crate::evaluate::{Evaluation, Hit, number_holds};
use crate::exclusions::{Exemptions, Typed};
use crate::load::RuleSet;
use crate::request::{Item, Request, Variables};
use crate::seclang::{Collection, Ctl, EngineMode, Macro, Selector, TagOrId, Target, VariableRef};
use crate::signatures::SignatureId;
use crate::state::{Matched, State, number as number_of};
use crate::texts::{TextId, Texts};
use crate::verdict::{Match, OverBudget, Verdict, fingerprint, masked, shown_name};

impl RuleSet {
    /// Holds a request against the rules.
    ///
    /// # Errors
    ///
    /// [`OverBudget`] where the request is larger or dearer than what is
    /// inspected. The caller refuses it: part of it was never looked at.
    pub fn inspect(&self, request: &Request<'_>, typed: &Typed) -> Result<Verdict, OverBudget> {
        self.inspect_but(request, typed, &Exemptions::default())
    }

    /// The same, without what is left out of such requests.
    ///
    /// # Errors
    ///
    /// As [`RuleSet::inspect`].
    pub fn inspect_but(
        &self,
        request: &Request<'_>,
        typed: &Typed,
        exempt: &Exemptions,
    ) -> Result<Verdict, OverBudget> {
        if request.size() > self.budget.bytes {
            return Err(OverBudget::Bytes);
        }
        if self.compiled.mode == EngineMode::Off {
            return Ok(Verdict::default());
        }
        let mut texts = Texts::new(&self.compiled.chains, &self.compiled.signatures);
        let variables = Variables::of_head(request, &mut texts, typed);
        let state = State::beginning_with(&self.compiled.prelude.state);
        let mut inspection = Inspection::new(&self.compiled, texts, variables, state);
        inspection.exempt = Some(exempt);
        inspection.run(request, typed, &self.budget)
    }
}

/// One request on its way through the rules.
pub(crate) struct Inspection<'r> {
    rules: &'r Compiled,
    texts: Texts<'r>,
    variables: Variables,
    pub(crate) state: State,
    /// What the sources of the phase hold, where they were asked.
    sources: Vec<Option<Rc<Held>>>,
    /// What most sources hold.
    nothing: Rc<Held>,
    /// What the operator leaves out of this request.
    exempt: Option<&'r Exemptions>,
    removed: Vec<TagOrId>,
    removed_targets: Vec<(TagOrId, VariableRef)>,
    mode: EngineMode,
    verdict: Verdict,
}

/// A value that a condition looks at.
#[derive(Clone, Copy)]
struct Value {
    collection: Collection,
    name: TextId,
    value: TextId,
    counted: bool,
}

/// What a source holds.
#[derive(Default)]
struct Held {
    /// Values, and what the chain makes of them.
    values: Vec<(Value, TextId)>,
    /// The signatures that may match any of them.
    candidates: BitSet,
}

/// Matches that are told of one request at most.
const TOLD: usize = 256;

impl<'r> Inspection<'r> {
    pub(crate) fn new(rules: &'r Compiled, texts: Texts<'r>, variables: Variables, state: State) -> Self {
        Self {
            rules,
            texts,
            variables,
            state,
            sources: Vec::new(),
            nothing: Rc::default(),
            exempt: None,
            removed: Vec::new(),
            removed_targets: Vec::new(),
            mode: rules.mode,
            verdict: Verdict::default(),
        }
    }

    fn run(mut self, request: &Request<'_>, typed: &Typed, budget: &Budget) -> Result<Verdict, OverBudget> {
        self.check_values(budget)?;
        self.phase(0, budget)?;
        if self.going_on() {
            self.variables.read_body(request, &mut self.texts, typed);
            self.check_values(budget)?;
            self.phase(1, budget)?;
        }
        self.verdict.score = SCORES.iter().map(|name| self.state.number(name)).sum();
        self.verdict.work = self.texts.work();
        Ok(self.verdict)
    }

    fn check_values(&self, budget: &Budget) -> Result<(), OverBudget> {
        let many = self.variables.count() > budget.values;
        if many { Err(OverBudget::Values) } else { Ok(()) }
    }

    fn going_on(&self) -> bool {
        self.mode != EngineMode::Off && !self.verdict.blocked
    }

    /// Runs the rules of a phase, but for those that are decided or left out.
    fn phase(&mut self, phase: usize, budget: &Budget) -> Result<(), OverBudget> {
        let (Some(rules), Some(next)) = (self.rules.phases.get(phase), self.rules.prelude.next.get(phase))
        else {
            return Ok(());
        };
        let exempt = self.exempt.and_then(|exempt| exempt.rules.get(phase));
        self.sources = vec![None; self.rules.sources.len()];
        let mut at = 0;
        while let Some((at_rule, rule)) = next.get(at).and_then(|asked| Some((*asked, rules.get(*asked)?))) {
            if !self.going_on() {
                break;
            }
            let left_out = exempt.is_some_and(|places| places.contains(at_rule))
                || self.removed.iter().any(|named| among(named, rule.id, &rule.tags));
            at = if !left_out && self.rule(rule) { rule.next } else { at_rule + 1 };
            if self.texts.work() > budget.work {
                return Err(OverBudget::Work);
            }
        }
        Ok(())
    }

    /// Whether the rule matched; then what it does is done.
    pub(crate) fn rule(&mut self, rule: &'r Rule) -> bool {
        let told = self.verdict.matches.len();
        let added = self.state.added;
        for (place, condition) in rule.conditions.iter().enumerate() {
            let last = place + 1 == rule.conditions.len();
            if !self.condition(rule, condition, last) {
                self.verdict.matches.truncate(told);
                return false;
            }
        }
        if let Some(last) = self.verdict.matches.get_mut(told..).and_then(<[Match]>::last_mut) {
            last.score = self.state.added - added;
        }
        if rule.denies {
            self.verdict.refused_by = self.verdict.refused_by.or(Some(rule.id));
            self.verdict.blocked = self.mode == EngineMode::On;
        }
        true
    }

    fn condition(&mut self, rule: &'r Rule, condition: &'r Condition, last: bool) -> bool {
        if condition.targets.is_empty() {
            self.apply(condition, Hit::default());
            return true;
        }
        if let Some((name, count, test, argument)) = condition.number() {
            return self.number(rule, condition, last, (name, count), (test, argument));
        }
        if let (Test::Signature(signature), [_, ..]) = (&condition.test, condition.sources.as_slice()) {
            if !condition.sources.iter().any(|source| self.held(*source).candidates.contains(*signature)) {
                return false;
            }
            if let [_] = condition.chains.as_slice() {
                return self.signature(rule, condition, last, *signature);
            }
        }
        let mut matched = Vec::new();
        for value in self.values(&condition.targets) {
            if self.leaves_out(rule, &value) {
                continue;
            }
            let mut before = None;
            for chain in &condition.chains {
                let text = self.texts.transformed(value.value, *chain);
                if before.replace(text) == Some(text) {
                    continue;
                }
                let Some(hit) = self.holds(condition, text) else { continue };
                matched.push(self.note(rule, condition, last, &value, text, hit));
                break;
            }
        }
        self.keep(matched)
    }

    /// A signature in the values that it may match.
    fn signature(&mut self, rule: &'r Rule, condition: &'r Condition, last: bool, id: SignatureId) -> bool {
        let mut matched = Vec::new();
        for source in &condition.sources {
            let held = self.held(*source);
            if !held.candidates.contains(id) {
                continue;
            }
            for (value, text) in &held.values {
                if !self.texts.may_match(*text, id) || self.leaves_out(rule, value) {
                    continue;
                }
                let Some(hit) = self.holds(condition, *text) else { continue };
                matched.push(self.note(rule, condition, last, value, *text, hit));
            }
        }
        self.keep(matched)
    }

    /// Keeps what matched for what comes after, and says whether anything did.
    fn keep(&mut self, matched: Vec<Matched>) -> bool {
        let any = !matched.is_empty();
        if any {
            self.state.matched = matched;
        }
        any
    }

    /// A number of TX against another: most rules are such, and no text is made of them.
    fn number(
        &mut self,
        rule: &'r Rule,
        condition: &'r Condition,
        last: bool,
        (name, count): (&str, bool),
        (test, argument): (NumberTest, &Macro),
    ) -> bool {
        let number = match (self.state.get(name), count) {
            (found, true) => i64::from(found.is_some()),
            (Some(found), false) => number_of(found),
            (None, false) => return false,
        };
        let argument = match argument.literal() {
            Some(text) => number_of(text.as_bytes()),
            None => number_of(&self.state.expand(argument, &self.variables, &self.texts)),
        };
        let holds = number_holds(test, number, argument) != condition.negated;
        // Where nothing is told or changed, nobody asks what matched.
        let alone = rule.conditions.len() == 1 && condition.effects.is_empty() && !rule.told;
        if holds && !alone {
            let text = self.texts.put(number.to_string().as_bytes());
            let name = self.texts.put(name.as_bytes());
            let value = Value { collection: Collection::Tx, name, value: text, counted: count };
            let hit = Hit { length: self.texts.bytes(text).len(), ..Hit::default() };
            let found = self.note(rule, condition, last, &value, text, hit);
            self.state.matched = vec![found];
        }
        holds
    }

    /// What follows from one value that matched.
    fn note(
        &mut self,
        rule: &'r Rule,
        condition: &'r Condition,
        last: bool,
        value: &Value,
        text: TextId,
        hit: Hit,
    ) -> Matched {
        let found = Matched { name: self.name_of(value), value: text };
        // Macros of this very match see it.
        self.state.matched.push(found.clone());
        if last && rule.told {
            self.tell(rule, value, text, &hit);
        }
        self.apply(condition, hit);
        found
    }

    fn holds(&mut self, condition: &Condition, text: TextId) -> Option<Hit> {
        let mut evaluation = Evaluation {
            texts: &mut self.texts,
            signatures: &self.rules.signatures,
            state: &self.state,
            variables: &self.variables,
        };
        let hit = evaluation.test(&condition.test, text, condition.capture && !condition.negated);
        match (condition.negated, hit) {
            (false, hit) => hit,
            (true, Some(_)) => None,
            (true, None) => Some(Hit { length: self.texts.bytes(text).len(), ..Hit::default() }),
        }
    }

    /// What a match changes.
    fn apply(&mut self, condition: &'r Condition, hit: Hit) {
        if condition.capture && !hit.groups.is_empty() {
            self.state.capture(hit.groups);
        }
        for effect in &condition.effects {
            match effect {
                Effect::Set(set) => self.state.set(set, &self.variables, &self.texts),
                Effect::Ctl(ctl) => self.control(ctl),
            }
        }
    }

    fn control(&mut self, ctl: &Ctl) {
        match ctl {
            Ctl::RemoveRules(rules) => self.removed.push(rules.clone()),
            Ctl::RemoveTarget(rules, variable) => {
                self.removed_targets.push((rules.clone(), variable.clone()))
            }
            Ctl::BodyProcessor(name) => self.variables.processor = Processor::named(name),
            Ctl::ForceRequestBody(on) => self.variables.force_body = *on,
            Ctl::Engine(mode) => self.mode = *mode,
        }
    }

    /// Whether the operator or an earlier rule took the value out of this one's sight.
    fn leaves_out(&self, rule: &Rule, value: &Value) -> bool {
        let selects = |variable: &VariableRef| {
            variable.collection == value.collection
                && variable.selector.selects(&self.texts.bytes(value.name))
        };
        let exempt = self.exempt.and_then(|exempt| exempt.targets.get(&rule.id));
        let removed = self.removed_targets.iter().filter(|(rules, _)| among(rules, rule.id, &rule.tags));
        exempt.into_iter().flatten().any(selects) || removed.map(|(_, variable)| variable).any(selects)
    }

    /// What a source holds: looked up once per phase.
    fn held(&mut self, source: SourceId) -> Rc<Held> {
        if let Some(Some(known)) = self.sources.get(source) {
            return known.clone();
        }
        let held = self.rules.sources.get(source).and_then(|it| self.look(it));
        let held = held.map_or_else(|| self.nothing.clone(), Rc::new);
        if let Some(place) = self.sources.get_mut(source) {
            *place = Some(held.clone());
        }
        held
    }

    fn look(&mut self, source: &Source) -> Option<Held> {
        let Source { variable: VariableRef { collection, selector }, but, chain } = source;
        let items = self.items(*collection, selector);
        if items.is_empty() {
            return None;
        }
        let mut held = Held {
            values: Vec::with_capacity(items.len()),
            candidates: BitSet::with_room(self.rules.signatures.count()),
        };
        for item in items {
            if item.typed || !self.selects(&item, selector, but.iter()) {
                continue;
            }
            let text = self.texts.transformed(item.value, *chain);
            self.texts.add_candidates(text, &mut held.candidates);
            let value = Value { collection: *collection, name: item.name, value: item.value, counted: false };
            held.values.push((value, text));
        }
        Some(held)
    }

    fn values(&mut self, targets: &[Target]) -> Vec<Value> {
        let mut values = Vec::new();
        for target in targets.iter().filter(|target| !target.excluded) {
            let collection = target.variable.collection;
            let selected = self.selected(target, targets);
            if target.count {
                let value = self.texts.put(selected.len().to_string().as_bytes());
                values.push(Value { collection, name: 0, value, counted: true });
                continue;
            }
            let looked_at = selected.into_iter().filter(|item| !item.typed);
            values.extend(looked_at.map(|Item { name, value, .. }| Value {
                collection,
                name,
                value,
                counted: false,
            }));
        }
        values
    }

    /// What a target selects, without what its list leaves out.
    fn selected(&mut self, target: &Target, targets: &[Target]) -> Vec<Item> {
        let VariableRef { collection, selector } = &target.variable;
        let mut items = self.items(*collection, selector);
        items.retain(|item| self.selects(item, selector, left_out(targets, *collection)));
        items
    }

    fn selects<'s>(
        &self,
        item: &Item,
        selector: &Selector,
        mut but: impl Iterator<Item = &'s Selector>,
    ) -> bool {
        let selects = |selector: &Selector| {
            matches!(selector, Selector::All) || selector.selects(&self.texts.bytes(item.name))
        };
        selects(selector) && !but.any(selects)
    }

    fn items(&mut self, collection: Collection, selector: &Selector) -> Vec<Item> {
        let made: Vec<(Vec<u8>, TextId)> = if collection == Collection::Tx {
            let named = self.state.selected(selector);
            named.into_iter().map(|(name, value)| (name.into_bytes(), self.texts.put(&value))).collect()
        } else if collection == Collection::MatchedVars {
            self.state.matched.iter().map(|it| (it.name.clone().into_bytes(), it.value)).collect()
        } else if collection == Collection::MatchedVar {
            self.state.matched.last().map(|it| (Vec::new(), it.value)).into_iter().collect()
        } else if matches!(collection, Collection::MatchedVarName | Collection::MatchedVarsNames) {
            let names: Vec<_> = self.state.matched.iter().map(|it| it.name.clone()).collect();
            let kept = if collection == Collection::MatchedVarName { 1 } else { names.len() };
            names.iter().rev().take(kept).map(|it| (Vec::new(), self.texts.put(it.as_bytes()))).collect()
        } else if collection == Collection::ReqbodyProcessor {
            let name = self.variables.processor.map_or("", Processor::name);
            vec![(Vec::new(), self.texts.put(name.as_bytes()))]
        } else if collection == Collection::ArgsCombinedSize {
            let size = self.variables.arguments_size;
            vec![(Vec::new(), self.texts.put(size.to_string().as_bytes()))]
        } else {
            return self.variables.of(collection).to_vec();
        };
        made.into_iter()
            .map(|(name, value)| Item { name: self.texts.put(&name), value, typed: false })
            .collect()
    }

    /// How rules call a value: `ARGS:name`.
    fn name_of(&self, value: &Value) -> String {
        let count = if value.counted { "&" } else { "" };
        let collection = value.collection.name();
        match &*self.texts.bytes(value.name) {
            [] => format!("{count}{collection}"),
            name => format!("{count}{collection}:{}", String::from_utf8_lossy(name)),
        }
    }

    fn tell(&mut self, rule: &Rule, value: &Value, text: TextId, hit: &Hit) {
        if self.verdict.matches.len() >= TOLD {
            return;
        }
        let bytes = self.texts.bytes(text);
        let name = self.texts.bytes(value.name);
        let collection = value.collection.name();
        let target = if name.is_empty() {
            collection.to_owned()
        } else {
            format!("{collection}:{}", shown_name(&name))
        };
        let end = hit.offset.saturating_add(hit.length);
        self.verdict.matches.push(Match {
            rule: rule.id,
            message: self.state.expand_numbers(&rule.message, &self.variables, &self.texts),
            severity: rule.severity,
            level: rule.level(),
            score: 0,
            target,
            offset: hit.offset,
            length: hit.length,
            digest: fingerprint(&bytes),
            masked: masked(bytes.get(hit.offset..end).unwrap_or_default()),
        });
    }
}

/// Variables in which the rule sets count: the Core Rule Set's, and our own.
const SCORES: [&str; 2] = ["blocking_inbound_anomaly_score", "api_anomaly_score"];

#[cfg(test)]
mod tests;
