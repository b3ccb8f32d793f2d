//! Rules in their order, over one request.

use std::rc::Rc;

use crate::byteset::BitSet;
use crate::compile::{Condition, Effect, Group, Rule, Test, among};
use crate::evaluate::{Evaluation, Hit};
use crate::exclusions::Typed;
use crate::body::Processor;
use crate::load::RuleSet;
use crate::request::{Item, Request, Variables};
use crate::seclang::{Collection, Ctl, EngineMode, Selector, TagOrId, Target, VariableRef};
use crate::state::{Matched, State};
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
        if request.size() > self.budget.bytes {
            return Err(OverBudget::Bytes);
        }
        if self.compiled.mode == EngineMode::Off {
            return Ok(Verdict::default());
        }
        let mut texts = Texts::new(&self.compiled.chains, &self.compiled.signatures);
        let variables = Variables::of_head(request, &mut texts, typed);
        let mut inspection = Inspection {
            rules: self,
            texts,
            variables,
            state: State::default(),
            groups: Vec::new(),
            removed: Vec::new(),
            removed_targets: Vec::new(),
            mode: self.compiled.mode,
            verdict: Verdict::default(),
        };
        inspection.run(request, typed)
    }
}

/// One request on its way through the rules.
struct Inspection<'r> {
    rules: &'r RuleSet,
    texts: Texts<'r>,
    variables: Variables,
    state: State,
    groups: Vec<Option<Rc<Seen>>>,
    removed: Vec<TagOrId>,
    removed_targets: Vec<(TagOrId, VariableRef)>,
    mode: EngineMode,
    verdict: Verdict,
}

/// The values of a group, transformed.
struct Seen {
    values: Vec<Value>,
    /// The signatures that may match any of them.
    candidates: BitSet,
}

/// A value that a condition looks at.
struct Value {
    collection: Collection,
    name: TextId,
    counted: bool,
    /// What the chain makes of it; all that it goes through where every step counts.
    texts: Vec<TextId>,
}

/// Matches that are told of one request at most.
const TOLD: usize = 256;

impl<'r> Inspection<'r> {
    fn run(&mut self, request: &Request<'_>, typed: &Typed) -> Result<Verdict, OverBudget> {
        let [head, body] = &self.rules.compiled.phases;
        self.check_values()?;
        self.phase(head)?;
        if self.going_on() {
            self.variables.read_body(request, &mut self.texts, typed);
            self.check_values()?;
            self.phase(body)?;
        }
        self.verdict.score = SCORES.iter().map(|name| self.state.number(name)).sum();
        self.verdict.work = self.texts.work();
        Ok(std::mem::take(&mut self.verdict))
    }

    fn check_values(&self) -> Result<(), OverBudget> {
        let many = self.variables.count() > self.rules.budget.values;
        if many { Err(OverBudget::Values) } else { Ok(()) }
    }

    fn going_on(&self) -> bool {
        self.mode != EngineMode::Off && !self.verdict.blocked
    }

    fn phase(&mut self, rules: &'r [Rule]) -> Result<(), OverBudget> {
        self.groups = (0..self.rules.compiled.groups.len()).map(|_| None).collect();
        let mut at = 0;
        while let Some(rule) = rules.get(at) {
            if !self.going_on() {
                break;
            }
            let removed = self.removed.iter().any(|named| among(named, rule.id, &rule.tags));
            at = if !removed && self.rule(rule) { rule.next } else { at + 1 };
            if self.texts.work() > self.rules.budget.work {
                return Err(OverBudget::Work);
            }
        }
        Ok(())
    }

    /// Whether the rule matched; then what it does is done.
    fn rule(&mut self, rule: &'r Rule) -> bool {
        let told = self.verdict.matches.len();
        for (place, condition) in rule.conditions.iter().enumerate() {
            let last = place + 1 == rule.conditions.len();
            if !self.condition(rule, condition, last) {
                self.verdict.matches.truncate(told);
                return false;
            }
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
        let values = match (condition.group, &condition.test) {
            (Some(group), Test::Signature(signature)) => {
                let seen = self.seen(group);
                if !seen.candidates.contains(*signature) {
                    return false;
                }
                seen
            }
            _ => {
                let chains = if condition.multi {
                    self.rules.compiled.chains.through(condition.chain)
                } else {
                    vec![condition.chain]
                };
                let values = self.values(&condition.targets, &chains);
                Rc::new(Seen { values, candidates: BitSet::default() })
            }
        };
        let mut matched = Vec::new();
        for value in &values.values {
            if self.leaves_out(rule, value) {
                continue;
            }
            for text in &value.texts {
                let Some(hit) = self.holds(condition, *text) else { continue };
                let found = Matched { name: self.name_of(value), value: *text };
                // Macros of this very match see it.
                self.state.matched.push(found.clone());
                if last && rule.told {
                    self.tell(rule, value, *text, &hit);
                }
                self.apply(condition, hit);
                matched.push(found);
                break;
            }
        }
        let any = !matched.is_empty();
        if any {
            self.state.matched = matched;
        }
        any
    }

    fn holds(&mut self, condition: &Condition, text: TextId) -> Option<Hit> {
        let mut evaluation = Evaluation {
            texts: &mut self.texts,
            signatures: &self.rules.compiled.signatures,
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
            Ctl::RemoveTarget(rules, variable) => self.removed_targets.push((rules.clone(), variable.clone())),
            Ctl::BodyProcessor(name) => self.variables.processor = Processor::named(name),
            Ctl::ForceRequestBody(on) => self.variables.force_body = *on,
            Ctl::Engine(mode) => self.mode = *mode,
        }
    }

    /// Whether an earlier rule took the value out of this one's sight.
    fn leaves_out(&self, rule: &Rule, value: &Value) -> bool {
        self.removed_targets.iter().any(|(rules, variable)| {
            variable.collection == value.collection
                && among(rules, rule.id, &rule.tags)
                && variable.selector.selects(&self.texts.bytes(value.name))
        })
    }

    /// The values of a group, looked up once per phase.
    fn seen(&mut self, group: usize) -> Rc<Seen> {
        if let Some(Some(seen)) = self.groups.get(group) {
            return seen.clone();
        }
        let seen = Rc::new(self.rules.compiled.groups.get(group).map_or_else(Seen::nothing, |it| self.look(it)));
        if let Some(place) = self.groups.get_mut(group) {
            *place = Some(seen.clone());
        }
        seen
    }

    fn look(&mut self, group: &Group) -> Seen {
        let values = self.values(&group.targets, &group.chains);
        let mut candidates = BitSet::with_room(self.rules.compiled.signatures.count());
        for text in values.iter().flat_map(|value| &value.texts) {
            candidates.add(&self.texts.candidates(*text));
        }
        Seen { values, candidates }
    }

    fn values(&mut self, targets: &[Target], chains: &[usize]) -> Vec<Value> {
        let mut values = Vec::new();
        for target in targets.iter().filter(|target| !target.excluded) {
            let collection = target.variable.collection;
            let selected = self.selected(target, targets);
            if target.count {
                let count = self.texts.put(selected.len().to_string().as_bytes());
                values.push(Value { collection, name: 0, counted: true, texts: vec![count] });
                continue;
            }
            for item in selected.into_iter().filter(|item| !item.typed) {
                let mut texts: Vec<TextId> =
                    chains.iter().map(|chain| self.texts.transformed(item.value, *chain)).collect();
                texts.dedup();
                values.push(Value { collection, name: item.name, counted: false, texts });
            }
        }
        values
    }

    /// What a target selects, without what its list leaves out.
    fn selected(&mut self, target: &Target, targets: &[Target]) -> Vec<Item> {
        let VariableRef { collection, selector } = &target.variable;
        let excluded: Vec<&Selector> = targets
            .iter()
            .filter(|other| other.excluded && other.variable.collection == *collection)
            .map(|other| &other.variable.selector)
            .collect();
        let mut items = self.items(*collection, selector);
        let texts = &self.texts;
        items.retain(|item| {
            let name = texts.bytes(item.name);
            selector.selects(&name) && !excluded.iter().any(|selector| selector.selects(&name))
        });
        items
    }

    fn items(&mut self, collection: Collection, selector: &Selector) -> Vec<Item> {
        let made = match collection {
            Collection::Tx => {
                let named = self.state.selected(selector);
                named.into_iter().map(|(name, value)| (name.into_bytes(), self.texts.put(&value))).collect()
            }
            Collection::MatchedVars => {
                self.state.matched.iter().map(|it| (it.name.clone().into_bytes(), it.value)).collect()
            }
            Collection::MatchedVar => {
                self.state.matched.last().map(|it| (Vec::new(), it.value)).into_iter().collect()
            }
            Collection::MatchedVarsNames | Collection::MatchedVarName => {
                let names: Vec<_> = self.state.matched.iter().map(|it| it.name.clone()).collect();
                let kept = if collection == Collection::MatchedVarName { 1 } else { names.len() };
                names.iter().rev().take(kept).map(|it| (Vec::new(), self.texts.put(it.as_bytes()))).collect()
            }
            Collection::ReqbodyProcessor => {
                let name = self.variables.processor.map_or("", Processor::name);
                vec![(Vec::new(), self.texts.put(name.as_bytes()))]
            }
            Collection::ArgsCombinedSize => {
                let size = self.variables.arguments_size(&self.texts);
                vec![(Vec::new(), self.texts.put(size.to_string().as_bytes()))]
            }
            steady => return self.variables.of(steady).to_vec(),
        };
        let made: Vec<(Vec<u8>, TextId)> = made;
        made.into_iter().map(|(name, value)| Item { name: self.texts.put(&name), value, typed: false }).collect()
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
        let target = if name.is_empty() { collection.to_owned() } else { format!("{collection}:{}", shown_name(&name)) };
        let end = hit.offset.saturating_add(hit.length);
        self.verdict.matches.push(Match {
            rule: rule.id,
            message: self.state.expand_numbers(&rule.message, &self.variables, &self.texts),
            severity: rule.severity,
            target,
            offset: hit.offset,
            length: hit.length,
            digest: fingerprint(&bytes),
            masked: masked(bytes.get(hit.offset..end).unwrap_or_default()),
        });
    }
}

impl Seen {
    fn nothing() -> Self {
        Self { values: Vec::new(), candidates: BitSet::default() }
    }
}

/// Variables in which the rule sets count: the Core Rule Set's, and our own.
const SCORES: [&str; 2] = ["blocking_inbound_anomaly_score", "api_anomaly_score"];
