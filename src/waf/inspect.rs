//! Rules in their order, over one request.

mod held;

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use crate::body::Processor;
use crate::budget::Budget;
use crate::byteset::BitSet;
use crate::compile::{Compiled, Condition, Effect, NumberTest, Rule, among};
use crate::evaluate::{Evaluation, Hit, Wants, number_holds};
use crate::exclusions::Exemptions;
use crate::load::RuleSet;
use crate::request::{Request, Variables};
use crate::seclang::{Collection, Ctl, EngineMode, Macro, TagOrId, VariableRef};
use crate::signatures::SignatureId;
use crate::state::{Matched, State, number as number_of};
use crate::texts::{TextId, Texts};
use crate::typed::Typed;
use crate::verdict::{Match, OverBudget, Verdict, fingerprint, masked, shown_name};
use held::{Held, Value};

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
    /// What the sources hold, where they were asked.
    sources: Vec<Option<Rc<Held>>>,
    /// What selections hold before any chain, where they were asked.
    selections: Vec<Option<Rc<Held>>>,
    /// What most sources hold.
    nothing: Rc<Held>,
    /// What the operator leaves out of this request.
    exempt: Option<&'r Exemptions>,
    removed: Vec<TagOrId>,
    removed_targets: Vec<(TagOrId, VariableRef)>,
    mode: EngineMode,
    verdict: Verdict,
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
            sources: vec![None; rules.sources.len()],
            selections: vec![None; rules.selections.len()],
            nothing: Rc::default(),
            exempt: None,
            removed: Vec::new(),
            removed_targets: Vec::new(),
            mode: rules.mode,
            verdict: Verdict::default(),
        }
    }

    /// Of rules that look at no request.
    pub(crate) fn of_nothing(rules: &'r Compiled, state: State) -> Self {
        let mut texts = Texts::new(&rules.chains, &rules.signatures);
        let nothing = Request {
            method: "",
            target: "",
            protocol: "",
            headers: &[],
            body: &[],
            peer: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let variables = Variables::of_head(&nothing, &mut texts, &Typed::default());
        Self::new(rules, texts, variables, state)
    }

    fn run(mut self, request: &Request<'_>, typed: &Typed, budget: &Budget) -> Result<Verdict, OverBudget> {
        self.check_values(budget)?;
        self.phase(0, budget)?;
        if self.going_on() {
            let changed = self.variables.read_body(request, &mut self.texts, typed);
            self.forget(&changed);
            self.check_values(budget)?;
            self.phase(1, budget)?;
        }
        self.verdict.score = SCORES.iter().map(|name| self.state.number(name)).sum();
        self.verdict.work = self.texts.work();
        Ok(self.verdict)
    }

    /// Forgets what sources held of collections that changed.
    fn forget(&mut self, changed: &[bool]) {
        let Compiled { sources, selections, .. } = self.rules;
        for (place, selection) in self.selections.iter_mut().zip(selections) {
            if changed.get(selection.variable.collection.slot()).is_some_and(|changed| *changed) {
                *place = None;
            }
        }
        for (place, source) in self.sources.iter_mut().zip(sources) {
            if self.selections.get(source.selection).is_some_and(Option::is_none) {
                *place = None;
            }
        }
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
        let awake = self.awake(phase, budget)?;
        let mut at = 0;
        while let Some((at_rule, rule)) = next.get(at).and_then(|asked| Some((*asked, rules.get(*asked)?))) {
            if !self.going_on() {
                break;
            }
            if !awake.contains(at_rule) {
                at = at_rule + 1;
                continue;
            }
            if let Some(behind) = self.passed(phase, at_rule, exempt) {
                at = behind;
                continue;
            }
            let left_out = exempt.is_some_and(|places| places.contains(at_rule))
                || self.removed.iter().any(|named| among(named, rule.id, &rule.tags));
            at = if !left_out && self.rule(rule) { rule.next } else { at_rule + 1 };
            self.check_work(budget)?;
        }
        Ok(())
    }

    /// Where it goes on behind rules whose outcome is known, as nothing was found yet and none of them is left out.
    fn passed(&mut self, phase: usize, place: usize, exempt: Option<&BitSet>) -> Option<usize> {
        let stretch = self.rules.stretches.at(phase, place)?;
        let left_out = |exempt: &BitSet| stretch.rules.iter().any(|rule| exempt.contains(*rule));
        if !self.removed.is_empty()
            || !self.state.is(&stretch.from, &stretch.names)
            || exempt.is_some_and(left_out)
        {
            return None;
        }
        self.state.go_on_with(&stretch.to, stretch.added);
        Some(stretch.next)
    }

    /// The rules of a phase that this request wakes.
    fn awake(&mut self, phase: usize, budget: &Budget) -> Result<BitSet, OverBudget> {
        let Some(waking) = self.rules.waking.get(phase) else { return Ok(BitSet::default()) };
        let mut awake = waking.always.clone();
        for (selection, sources) in &waking.selections {
            // Most selections hold nothing.
            if self.plain(*selection).values.is_empty() {
                continue;
            }
            for (source, sleepers) in sources {
                let held = self.held(*source);
                sleepers.wake(held.candidates(&mut self.texts), &mut awake);
                self.check_work(budget)?;
            }
        }
        Ok(awake)
    }

    fn check_work(&self, budget: &Budget) -> Result<(), OverBudget> {
        if self.texts.work() > budget.work { Err(OverBudget::Work) } else { Ok(()) }
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
        if let Some((target, test, argument)) = condition.count()
            && number_holds(test, self.count(target), argument) == condition.negated
        {
            return false;
        }
        let sought = condition.sought();
        if let Some((signature, sources)) = sought
            && !sources.iter().any(|source| self.may_hold(*source, signature))
        {
            return false;
        }
        if let ([_, ..], [_]) = (condition.sources.as_slice(), condition.chains.as_slice()) {
            return self.kept(rule, condition, last, sought.map(|(signature, _)| signature));
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

    /// A test of values that rules do not change; of a signature, those that it may match.
    fn kept(
        &mut self,
        rule: &'r Rule,
        condition: &'r Condition,
        last: bool,
        sought: Option<SignatureId>,
    ) -> bool {
        let mut matched = Vec::new();
        for source in &condition.sources {
            if sought.is_some_and(|signature| !self.may_hold(*source, signature)) {
                continue;
            }
            for (value, text) in &self.held(*source).values {
                let may_match = sought.is_none_or(|signature| self.texts.may_match(*text, signature));
                if !may_match || self.leaves_out(rule, value) {
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
        let Value { collection, name, counted, .. } = *value;
        let found = Matched { collection, name, counted, value: text };
        // Macros of this very match see it.
        self.state.matched.push(found);
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
        let wants = match (condition.negated, condition.capture) {
            (true, _) => Wants::Any,
            (false, true) => Wants::Groups,
            (false, false) => Wants::Place,
        };
        let hit = evaluation.test(&condition.test, text, wants);
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
            variable.collection == value.collection && variable.selector.selects(self.texts.view(value.name))
        };
        let exempt = self.exempt.and_then(|exempt| exempt.targets.get(&rule.id));
        let removed = self.removed_targets.iter().filter(|(rules, _)| among(rules, rule.id, &rule.tags));
        exempt.into_iter().flatten().any(selects) || removed.map(|(_, variable)| variable).any(selects)
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
