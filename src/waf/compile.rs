//! Directives into rules that run: patterns compiled, chains shared, jumps resolved.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::byteset::ByteSet;
use crate::chains::{ChainId, Chains};
use crate::exclusions::Excluded;
use crate::load::{LoadReport, Patterns};
use crate::pattern::{Pattern, Runs};
use crate::prelude::Prelude;
use crate::seclang::{
    Action, Collection, Ctl, Directive, Disruptive, EngineMode, Link, LoadError, Macro, Network,
    OperatorKind, Place, RuleDecl, Selector, SetVar, Severity, TagOrId, Target, VariableRef,
};
use crate::signatures::{Declared, SignatureId, Signatures};
use crate::state::number;
use crate::stretch::Stretches;
use crate::transform::Transformation;
use crate::waking::Waking;

/// A rule as it runs.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: u64,
    pub(crate) message: Macro,
    pub(crate) severity: Option<Severity>,
    pub(crate) tags: Vec<String>,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) told: bool,
    pub(crate) denies: bool,
    /// Where the phase goes on after a match.
    pub(crate) next: usize,
}

/// One condition of a rule.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) targets: Vec<Target>,
    /// What values go through; several where every step counts.
    pub(crate) chains: Vec<ChainId>,
    pub(crate) test: Test,
    pub(crate) negated: bool,
    pub(crate) capture: bool,
    pub(crate) effects: Vec<Effect>,
    /// Where it looks, if rules do not change what is there.
    pub(crate) sources: Vec<SourceId>,
}

impl Condition {
    /// The signature that has to be found for it to hold, and where, if it is such a condition.
    pub(crate) fn sought(&self) -> Option<(SignatureId, &[SourceId])> {
        match (&self.test, self.sources.as_slice()) {
            (Test::Signature(signature), sources @ [_, ..]) if !self.negated => Some((*signature, sources)),
            (_, _) => None,
        }
    }
}

/// What a condition holds values against.
#[derive(Debug)]
pub(crate) enum Test {
    Signature(SignatureId),
    Text(TextTest, Macro),
    Number(NumberTest, Macro),
    ByteRange(ByteSet),
    UrlEncoding,
    Utf8,
    Address(Vec<Network>),
    Card(Runs),
    Always,
    Never,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum TextTest {
    Within,
    Contains,
    BeginsWith,
    EndsWith,
    Equals,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum NumberTest {
    Equal,
    AtLeast,
    More,
    AtMost,
    Less,
}

/// What a match changes for later rules.
#[derive(Debug)]
pub(crate) enum Effect {
    Set(SetVar),
    Ctl(Ctl),
}

/// Number of a source.
pub(crate) type SourceId = usize;

/// Values that conditions look at through the same chain.
#[derive(Debug, PartialEq)]
pub(crate) struct Source {
    pub(crate) selection: SelectionId,
    pub(crate) chain: ChainId,
}

/// Number of a selection.
pub(crate) type SelectionId = usize;

/// Values that one target of a condition selects.
#[derive(Debug, PartialEq)]
pub(crate) struct Selection {
    pub(crate) variable: VariableRef,
    /// Names that are left out.
    pub(crate) but: Vec<Selector>,
}

/// Everything that runs.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// The rules of phases 1 and 2.
    pub(crate) phases: [Vec<Rule>; 2],
    pub(crate) signatures: Signatures,
    pub(crate) chains: Chains,
    pub(crate) sources: Vec<Source>,
    pub(crate) selections: Vec<Selection>,
    pub(crate) mode: EngineMode,
    pub(crate) prelude: Prelude,
    /// What wakes the rules of each phase.
    pub(crate) waking: [Waking; 2],
    /// Rules whose outcome is known as long as nothing was found.
    pub(crate) stretches: Stretches,
}

/// Rules and markers of a phase before jumps are resolved.
enum Step {
    Rule(Box<RuleDecl>),
    Marker(String),
}

/// Makes rules of directives.
pub(crate) struct Compiler<'d> {
    data: &'d BTreeMap<String, String>,
    patterns: Patterns,
    /// Files whose patterns are known to compile.
    known_files: Vec<Arc<str>>,
    chains: Chains,
    declared: Vec<Declared>,
    known: BTreeMap<String, SignatureId>,
    sources: Vec<Source>,
    selections: Vec<Selection>,
    defaults: BTreeMap<u8, Vec<Action>>,
}

/// A pattern cannot run, and the caller wants such rules left out.
struct LeftOut(String);

enum Failure {
    Load(LoadError),
    LeftOut(LeftOut),
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

impl<'d> Compiler<'d> {
    /// For rules of which those from `known_files` are known to compile.
    pub(crate) fn new(
        data: &'d BTreeMap<String, String>,
        patterns: Patterns,
        known_files: Vec<Arc<str>>,
    ) -> Self {
        Self {
            data,
            patterns,
            known_files,
            chains: Chains::new(),
            declared: Vec::new(),
            known: BTreeMap::new(),
            sources: Vec::new(),
            selections: Vec::new(),
            defaults: BTreeMap::new(),
        }
    }

    pub(crate) fn compile(
        mut self,
        directives: Vec<(Place, Directive)>,
        excluded: &[Excluded],
        report: &mut LoadReport,
    ) -> Result<Compiled, LoadError> {
        let mut steps: Vec<(Place, Step)> = Vec::new();
        let mut mode = EngineMode::On;
        for (place, directive) in directives {
            match directive {
                Directive::Rule(rule) => steps.push((place, Step::Rule(Box::new(rule)))),
                Directive::Marker(name) => steps.push((place, Step::Marker(name))),
                Directive::DefaultAction(phase, actions) => {
                    self.defaults.insert(phase, actions);
                }
                Directive::Remove(rules) => steps.retain(|(_, step)| !step.is_among(&rules)),
                Directive::UpdateTargets(rules, targets) => {
                    chosen(&mut steps, &rules).for_each(|rule| update_targets(rule, &targets));
                }
                Directive::UpdateActions(rules, actions) => {
                    chosen(&mut steps, &rules).for_each(|rule| update_actions(rule, &actions));
                }
                Directive::Engine(wanted) => mode = wanted,
                Directive::Inert(name) => report.note_inert(&name),
            }
        }
        exclude(&mut steps, excluded, report);
        self.finish(steps, mode, report)
    }

    fn finish(
        mut self,
        steps: Vec<(Place, Step)>,
        mode: EngineMode,
        report: &mut LoadReport,
    ) -> Result<Compiled, LoadError> {
        unique(&steps)?;
        let phases = [self.phase(1, &steps, report)?, self.phase(2, &steps, report)?];
        report.response_rules =
            steps.iter().filter(|(_, step)| step.phase().is_some_and(|phase| phase > 2)).count();
        report.signatures = self.declared.len();
        report.chains = self.chains.count();
        let nowhere = Place { file: "all sources".into(), line: 0 };
        let signatures = Signatures::new(std::mem::take(&mut self.declared))
            .map_err(|why| LoadError::malformed(&nowhere, why))?;
        let [first, second] = &phases;
        report.phase_1 = first.len();
        report.phase_2 = second.len();
        let Self { chains, sources, selections, .. } = self;
        let (prelude, waking, stretches) =
            (Prelude::default(), <[Waking; 2]>::default(), Stretches::default());
        let mut compiled =
            Compiled { phases, signatures, chains, sources, selections, mode, prelude, waking, stretches };
        compiled.prelude = Prelude::of(&compiled);
        compiled.waking = Waking::of_all(&compiled);
        compiled.stretches = Stretches::of(&compiled);
        Ok(compiled)
    }

    fn phase(
        &mut self,
        phase: u8,
        steps: &[(Place, Step)],
        report: &mut LoadReport,
    ) -> Result<Vec<Rule>, LoadError> {
        let mut rules = Vec::new();
        let mut jumps = Vec::new();
        let mut markers: Vec<(&str, usize)> = Vec::new();
        for (place, step) in steps {
            match step {
                Step::Marker(name) => markers.push((name, rules.len())),
                Step::Rule(decl) if decl.phase == phase => match self.rule(decl, report) {
                    Ok(rule) => {
                        jumps.push((place, decl, rules.len()));
                        rules.push(rule);
                    }
                    Err(Failure::Load(error)) => return Err(error),
                    Err(Failure::LeftOut(LeftOut(why))) => report.left_out.push((decl.id, why)),
                },
                Step::Rule(_) => {}
            }
        }
        let ids: Vec<u64> = rules.iter().map(|rule: &Rule| rule.id).collect();
        for (place, decl, at) in jumps {
            let next = jump(place, decl, at, &markers, &ids)?;
            if let Some(rule) = rules.get_mut(at) {
                rule.next = next;
            }
        }
        Ok(rules)
    }

    fn rule(&mut self, decl: &RuleDecl, report: &mut LoadReport) -> Result<Rule, Failure> {
        let defaults = self.defaults.get(&decl.phase).cloned().unwrap_or_default();
        let mut rule = Rule {
            id: decl.id,
            message: Macro::default(),
            severity: None,
            tags: Vec::new(),
            conditions: Vec::new(),
            told: !defaults.contains(&Action::Log(false)),
            denies: false,
            next: 0,
        };
        for action in decl.links.iter().flat_map(|link| &link.actions) {
            match action {
                Action::Message(message) => rule.message = message.clone(),
                Action::Severity(severity) => rule.severity = Some(*severity),
                Action::Tag(tag) => rule.tags.push(tag.clone()),
                Action::Log(told) => rule.told = *told,
                Action::Disruptive(Disruptive::Deny) => rule.denies = true,
                Action::Disruptive(Disruptive::Pass) => rule.denies = false,
                Action::Disruptive(Disruptive::Block) => {
                    rule.denies = defaults.contains(&Action::Disruptive(Disruptive::Deny));
                }
                Action::Inert(name) => report.note_inert(name),
                Action::Id(_)
                | Action::Phase(_)
                | Action::Chain
                | Action::Capture
                | Action::NoTransformation
                | Action::Transform(_)
                | Action::SetVar(_)
                | Action::SkipAfter(_)
                | Action::Skip(_)
                | Action::Ctl(_)
                | Action::MultiMatch => {}
            }
        }
        for link in &decl.links {
            rule.conditions.push(self.condition(decl.id, link, &defaults)?);
        }
        Ok(rule)
    }

    fn condition(&mut self, rule: u64, link: &Link, defaults: &[Action]) -> Result<Condition, Failure> {
        if let Some(early) = link.targets.iter().find(|target| target.variable.collection.of_answer()) {
            let what = format!("{} before there is an answer", early.variable.collection.name());
            return Err(Failure::Load(LoadError::malformed(&link.place, what)));
        }
        let (mut transformations, mut effects) = (Vec::<Transformation>::new(), Vec::new());
        for action in defaults.iter().chain(&link.actions) {
            match action {
                Action::NoTransformation => transformations.clear(),
                Action::Transform(next) => transformations.push(*next),
                Action::SetVar(set) => effects.push(Effect::Set(set.clone())),
                Action::Ctl(ctl) => effects.push(Effect::Ctl(ctl.clone())),
                Action::Id(_)
                | Action::Phase(_)
                | Action::Disruptive(_)
                | Action::Chain
                | Action::Capture
                | Action::Message(_)
                | Action::Tag(_)
                | Action::Severity(_)
                | Action::SkipAfter(_)
                | Action::Skip(_)
                | Action::MultiMatch
                | Action::Log(_)
                | Action::Inert(_) => {}
            }
        }
        let chain = self.chains.chain(&transformations);
        let multi = link.actions.contains(&Action::MultiMatch);
        let chains = if multi { self.chains.through(chain) } else { vec![chain] };
        let test = self.test(rule, &link.place, &link.operator.kind)?;
        let mut condition = Condition {
            targets: link.targets.clone(),
            chains,
            test,
            negated: link.operator.negated,
            capture: link.actions.contains(&Action::Capture),
            effects,
            sources: Vec::new(),
        };
        condition.sources = self.sources_of(&condition);
        Ok(condition)
    }

    /// Conditions that count, and those on what rules change, have none.
    fn sources_of(&mut self, condition: &Condition) -> Vec<SourceId> {
        let Condition { targets, chains, .. } = condition;
        if !targets.iter().all(|target| !target.count && target.variable.collection.is_kept()) {
            return Vec::new();
        }
        let mut sources = Vec::new();
        for target in targets.iter().filter(|target| !target.excluded) {
            let but: Vec<_> = left_out(targets, target.variable.collection).cloned().collect();
            let selection =
                place_of(&mut self.selections, Selection { variable: target.variable.clone(), but });
            let places =
                chains.iter().map(|chain| place_of(&mut self.sources, Source { selection, chain: *chain }));
            sources.extend(places);
        }
        sources
    }

    fn test(&mut self, rule: u64, place: &Place, kind: &OperatorKind) -> Result<Test, Failure> {
        let text = |test, argument: &Macro| Test::Text(test, argument.clone());
        let number = |test, argument: &Macro| Test::Number(test, argument.clone());
        Ok(match kind {
            OperatorKind::Rx(pattern) => Test::Signature(self.pattern(rule, place, pattern)?),
            OperatorKind::Pm(phrases) => Test::Signature(self.phrases(place, phrases)?),
            OperatorKind::PmFromFile(files) => {
                let phrases = self.phrases_of(place, files)?;
                Test::Signature(self.phrases(place, &phrases)?)
            }
            OperatorKind::DetectSqli => Test::Signature(self.signature("sqli".to_owned(), Declared::sqli())),
            OperatorKind::DetectXss => Test::Signature(self.signature("xss".to_owned(), Declared::xss())),
            OperatorKind::Within(argument) => text(TextTest::Within, argument),
            OperatorKind::Contains(argument) => text(TextTest::Contains, argument),
            OperatorKind::BeginsWith(argument) => text(TextTest::BeginsWith, argument),
            OperatorKind::EndsWith(argument) => text(TextTest::EndsWith, argument),
            OperatorKind::StrEq(argument) => text(TextTest::Equals, argument),
            OperatorKind::Eq(argument) => number(NumberTest::Equal, argument),
            OperatorKind::Ge(argument) => number(NumberTest::AtLeast, argument),
            OperatorKind::Gt(argument) => number(NumberTest::More, argument),
            OperatorKind::Le(argument) => number(NumberTest::AtMost, argument),
            OperatorKind::Lt(argument) => number(NumberTest::Less, argument),
            OperatorKind::ValidateByteRange(allowed) => Test::ByteRange(*allowed),
            OperatorKind::ValidateUrlEncoding => Test::UrlEncoding,
            OperatorKind::ValidateUtf8Encoding => Test::Utf8,
            OperatorKind::VerifyCc(pattern) => Test::Card(self.compiled(rule, place, pattern)?.runs),
            OperatorKind::IpMatch(networks) => Test::Address(networks.clone()),
            OperatorKind::UnconditionalMatch => Test::Always,
            OperatorKind::NoMatch => Test::Never,
        })
    }

    fn pattern(&mut self, rule: u64, place: &Place, written: &str) -> Result<SignatureId, Failure> {
        let key = format!("rx {written}");
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let pattern = self.compiled(rule, place, written)?;
        Ok(self.signature(key, Declared::pattern(pattern)))
    }

    fn compiled(&self, rule: u64, place: &Place, written: &str) -> Result<Pattern, Failure> {
        let known = self.known_files.iter().any(|file| Arc::ptr_eq(file, &place.file));
        let compiled = if known { Pattern::of_known(written) } else { Pattern::compile(written) };
        compiled.map_err(|why| match self.patterns {
            Patterns::Refuse => Failure::Load(LoadError::Pattern { place: place.clone(), rule, why }),
            Patterns::LeaveOut => Failure::LeftOut(LeftOut(why)),
        })
    }

    fn phrases(&mut self, place: &Place, phrases: &[String]) -> Result<SignatureId, LoadError> {
        let key = format!("pm {}", phrases.join("\n"));
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let declared = Declared::phrases(phrases).map_err(|why| LoadError::malformed(place, why))?;
        Ok(self.signature(key, declared))
    }

    fn signature(&mut self, key: String, declared: Declared) -> SignatureId {
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        self.declared.push(declared);
        self.known.insert(key, self.declared.len() - 1);
        self.declared.len() - 1
    }

    fn phrases_of(&self, place: &Place, files: &[String]) -> Result<Vec<String>, LoadError> {
        let mut phrases = Vec::new();
        for file in files {
            let missing = || LoadError::malformed(place, format!("there is no data file \"{file}\""));
            let text = self.data.get(file).ok_or_else(missing)?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            phrases.extend(lines.map(str::to_owned));
        }
        Ok(phrases)
    }
}

impl Rule {
    /// Paranoia level, as its tags say; 1 where they do not.
    pub(crate) fn level(&self) -> u8 {
        let mut levels = self.tags.iter().filter_map(|tag| tag.strip_prefix("paranoia-level/"));
        levels.find_map(|level| level.parse().ok()).unwrap_or(1)
    }
}

impl Condition {
    /// One target as it came, whose number is compared.
    fn compared(&self) -> Option<(&Target, NumberTest, &Macro)> {
        match (self.targets.as_slice(), self.chains.as_slice(), &self.test) {
            ([target], [0], Test::Number(test, argument)) => Some((target, *test, argument)),
            (_, _, _) => None,
        }
    }

    /// What of a request is counted, and what the number is compared with, where that is all.
    pub(crate) fn count(&self) -> Option<(&Target, NumberTest, i64)> {
        let (target, test, argument) = self.compared()?;
        let counts = target.count && target.variable.collection.is_kept();
        argument.literal().filter(|_| counts).map(|text| (target, test, number(text.as_bytes())))
    }

    /// The variable of TX whose number is compared, where that is all.
    pub(crate) fn number(&self) -> Option<(&str, bool, NumberTest, &Macro)> {
        let (target, test, argument) = self.compared()?;
        match (target.variable.collection, &target.variable.selector) {
            (Collection::Tx, Selector::Named(name)) => Some((name, target.count, test, argument)),
            (_, Selector::All | Selector::Named(_) | Selector::Matching(_)) => None,
        }
    }
}

impl Step {
    fn phase(&self) -> Option<u8> {
        match self {
            Self::Rule(rule) => Some(rule.phase),
            Self::Marker(_) => None,
        }
    }

    fn is_among(&self, rules: &TagOrId) -> bool {
        match self {
            Self::Rule(rule) => {
                let actions = rule.links.iter().flat_map(|link| &link.actions);
                let tags =
                    actions.filter_map(|action| if let Action::Tag(tag) = action { Some(tag) } else { None });
                among(rules, rule.id, tags)
            }
            Self::Marker(_) => false,
        }
    }
}

/// Where a thing stands in a list, at whose end it is put if it is new.
fn place_of<T: PartialEq>(list: &mut Vec<T>, thing: T) -> usize {
    let known = list.iter().position(|known| *known == thing);
    known.unwrap_or_else(|| {
        list.push(thing);
        list.len() - 1
    })
}

/// Names that a list of targets leaves out of a collection.
pub(crate) fn left_out(targets: &[Target], collection: Collection) -> impl Iterator<Item = &Selector> {
    let excluded = targets.iter().filter(move |it| it.excluded && it.variable.collection == collection);
    excluded.map(|target| &target.variable.selector)
}

/// Whether a rule is one of those that are named.
pub(crate) fn among<'t>(rules: &TagOrId, id: u64, tags: impl IntoIterator<Item = &'t String>) -> bool {
    match rules {
        TagOrId::Ids(first, last) => (*first..=*last).contains(&id),
        TagOrId::Tag(wanted) => tags.into_iter().any(|tag| tag == wanted),
    }
}

fn chosen<'s>(steps: &'s mut [(Place, Step)], rules: &TagOrId) -> impl Iterator<Item = &'s mut RuleDecl> {
    steps.iter_mut().filter(move |(_, step)| step.is_among(rules)).filter_map(|(_, step)| match step {
        Step::Rule(rule) => Some(rule.as_mut()),
        Step::Marker(_) => None,
    })
}

/// Of a chain, only the first condition's targets are changed, as elsewhere.
fn update_targets(rule: &mut RuleDecl, targets: &[Target]) {
    if let Some(first) = rule.links.first_mut() {
        first.targets.extend_from_slice(targets);
    }
}

fn update_actions(rule: &mut RuleDecl, actions: &[Action]) {
    if let Some(first) = rule.links.first_mut() {
        first.actions.extend_from_slice(actions);
    }
}

/// What the operator leaves out is left out of every condition.
fn exclude(steps: &mut Vec<(Place, Step)>, excluded: &[Excluded], report: &mut LoadReport) {
    for Excluded { rules, target, written } in excluded {
        if !steps.iter().any(|(_, step)| step.is_among(rules)) {
            report.idle.push(written.clone());
        }
        let Some(variable) = target else {
            steps.retain(|(_, step)| !step.is_among(rules));
            continue;
        };
        let target = Target { variable: variable.clone(), count: false, excluded: true };
        for link in chosen(steps, rules).flat_map(|rule| &mut rule.links) {
            link.targets.push(target.clone());
        }
    }
}

fn unique(steps: &[(Place, Step)]) -> Result<(), LoadError> {
    let mut seen = BTreeMap::new();
    for (place, step) in steps {
        let Step::Rule(rule) = step else { continue };
        if let Some(first) = seen.insert(rule.id, place) {
            return Err(LoadError::malformed(place, format!("rule {} is already at {first}", rule.id)));
        }
    }
    Ok(())
}

/// Where a rule goes on when it has matched.
fn jump(
    place: &Place,
    decl: &RuleDecl,
    at: usize,
    markers: &[(&str, usize)],
    ids: &[u64],
) -> Result<usize, LoadError> {
    for action in decl.links.iter().flat_map(|link| &link.actions) {
        if let Action::Skip(rules) = action {
            return Ok(at.saturating_add(1).saturating_add(*rules));
        }
        let Action::SkipAfter(wanted) = action else { continue };
        let marker = markers.iter().find(|(name, to)| name == wanted && *to > at).map(|(_, to)| *to);
        let rule =
            || ids.iter().position(|id| id.to_string() == *wanted).filter(|to| *to > at).map(|to| to + 1);
        return marker.or_else(rule).ok_or_else(|| {
            LoadError::malformed(place, format!("nothing is called \"{wanted}\" after this rule"))
        });
    }
    Ok(at + 1)
}
