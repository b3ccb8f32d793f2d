//! From files to a rule set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use crate::budget::Budget;
use crate::compile::{Compiled, Compiler, Rule, Test};
use crate::exclusions::{Excluded, RuleExclusion};
use crate::seclang::{self, Directive, EngineMode, LoadError, Place};

/// Rules as text, with the data files that they name.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    setup: Vec<Source>,
    rules: Vec<Source>,
    data: BTreeMap<String, String>,
}

/// One file of rules.
#[derive(Clone, Debug)]
pub struct Source {
    /// What errors call it.
    pub name: String,
    /// The rules.
    pub text: String,
    /// Whether its patterns are known to compile: they need not be to say so.
    known: bool,
}

/// What a rule does whose pattern cannot run in linear time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patterns {
    /// Nothing is loaded.
    #[default]
    Refuse,
    /// It is left out, and the report names it.
    LeaveOut,
}

/// How rules are run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Values of TX that replace those of the setup: `blocking_paranoia_level`,
    /// `inbound_anomaly_score_threshold`, `allowed_methods` and so on.
    pub variables: BTreeMap<String, String>,
    /// Whether rules refuse; none leaves it to `SecRuleEngine`.
    pub mode: Option<EngineMode>,
    /// What the operator leaves out.
    pub exclusions: Vec<RuleExclusion>,
    /// The day on which exclusions are held against their end, in UTC.
    pub today: Date,
    /// What becomes of patterns that cannot run.
    pub patterns: Patterns,
    /// How much of a request is inspected.
    pub budget: Budget,
}

impl Settings {
    /// What the rules themselves say, without exclusions.
    #[must_use]
    pub fn new(today: Date) -> Self {
        Self {
            variables: BTreeMap::new(),
            mode: None,
            exclusions: Vec::new(),
            today,
            patterns: Patterns::Refuse,
            budget: Budget::default(),
        }
    }

    /// The same with a variable of TX.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same at a paranoia level of the Core Rule Set, 1 to 4.
    #[must_use]
    pub fn at_level(self, level: u8) -> Self {
        let level = level.to_string();
        self.with("blocking_paranoia_level", &level).with("detection_paranoia_level", &level)
    }
}

/// What was loaded, and what has no effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Rules that run before the body is read.
    pub phase_1: usize,
    /// Rules that run after it.
    pub phase_2: usize,
    /// Rules about answers and logs, which are never run: only requests are inspected.
    pub response_rules: usize,
    /// Distinct patterns and lists of phrases.
    pub signatures: usize,
    /// Distinct chains of transformations.
    pub chains: usize,
    /// Directives and actions without effect here, with their number.
    pub inert: BTreeMap<String, usize>,
    /// Rules that were left out because of their pattern, and why.
    pub left_out: Vec<(u64, String)>,
    /// Exclusions that have expired and are not applied.
    pub expired: Vec<RuleExclusion>,
    /// Exclusions that name no rule that was loaded.
    pub idle: Vec<RuleExclusion>,
}

impl LoadReport {
    pub(crate) fn note_inert(&mut self, name: &str) {
        *self.inert.entry(name.to_ascii_lowercase()).or_insert(0) += 1;
    }
}

/// Rules that are ready to run. Cheap to share, nothing in it changes.
#[derive(Debug)]
pub struct RuleSet {
    pub(crate) compiled: Compiled,
    pub(crate) budget: Budget,
}

impl Source {
    fn of(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), known: false }
    }
}

impl Sources {
    /// The rules that read bodies, without which nothing looks into one, and
    /// the gateway's own rules for JSON interfaces.
    #[must_use]
    pub fn own() -> Self {
        let source = |(name, text): &(&str, &str)| Source { known: true, ..Source::of(*name, *text) };
        let rules = OWN.iter().map(source).collect();
        Self { setup: Vec::new(), rules, data: BTreeMap::new() }
    }

    /// Only the rules that read bodies.
    #[must_use]
    pub fn engine() -> Self {
        let mut own = Self::own();
        own.rules.truncate(1);
        own
    }

    /// A release of the Core Rule Set: `crs-setup.conf` (or its example) and
    /// `rules/*.conf` in the order of their names, with `rules/*.data`.
    ///
    /// # Errors
    ///
    /// [`LoadError::Unreadable`] names the file.
    pub fn folder(path: &Path) -> Result<Self, LoadError> {
        let mut sources = Self::rules(&path.join("rules"))?;
        let setups = ["crs-setup.conf", "crs-setup.conf.example"].map(|name| path.join(name));
        if let Some(setup) = setups.iter().find(|path| path.exists()) {
            sources.setup.push(read(setup)?);
        }
        Ok(sources)
    }

    /// Rules of a folder: `*.conf` in the order of their names, with `*.data`.
    ///
    /// # Errors
    ///
    /// [`LoadError::Unreadable`] names the file.
    pub fn rules(folder: &Path) -> Result<Self, LoadError> {
        let mut sources = Self::default();
        for file in listed(folder)? {
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("conf") => sources.rules.push(read(&file)?),
                Some("data") => {
                    let Source { name, text, known: _ } = read(&file)?;
                    sources.data.insert(name, text);
                }
                Some(_) | None => {}
            }
        }
        Ok(sources)
    }

    /// Rules of a folder in the place of the gateway's own. Those that read bodies are
    /// there in any case: the folder's, or the gateway's.
    ///
    /// # Errors
    ///
    /// [`LoadError::Unreadable`] names the file.
    pub fn own_of(folder: &Path) -> Result<Self, LoadError> {
        let rules = Self::rules(folder)?;
        let engine = Self::engine();
        let has = |wanted: &Source| rules.rules.iter().any(|source| source.name == wanted.name);
        Ok(if engine.rules.iter().all(has) { rules } else { engine.and(rules) })
    }

    /// Whether there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Adds a file of rules.
    #[must_use]
    pub fn with(mut self, name: &str, text: &str) -> Self {
        self.rules.push(Source::of(name, text));
        self
    }

    /// Adds a data file, such as those of `@pmFromFile`.
    #[must_use]
    pub fn with_data(mut self, name: &str, text: &str) -> Self {
        self.data.insert(name.to_owned(), text.to_owned());
        self
    }

    /// These, then the others; all setups come first.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.setup.extend(others.setup);
        self.rules.extend(others.rules);
        self.data.extend(others.data);
        self
    }
}

impl RuleSet {
    /// Reads and compiles rules.
    ///
    /// # Errors
    ///
    /// [`LoadError`] at the first thing that cannot be read, is not supported
    /// or makes no sense; then nothing is loaded.
    pub fn load(sources: &Sources, settings: &Settings) -> Result<(Self, LoadReport), LoadError> {
        let mut report = LoadReport::default();
        let mut directives = Vec::new();
        for source in &sources.setup {
            directives.extend(seclang::parse(&source.name, &source.text)?);
        }
        directives.extend(overrides(settings)?);
        let mut known_files = Vec::new();
        for source in &sources.rules {
            let parsed = seclang::parse(&source.name, &source.text)?;
            known_files.extend(parsed.first().filter(|_| source.known).map(|(place, _)| place.file.clone()));
            directives.extend(parsed);
        }
        let excluded = current(settings, &mut report)?;
        let compiler = Compiler::new(&sources.data, settings.patterns, known_files);
        let mut compiled = compiler.compile(directives, &excluded, &mut report)?;
        compiled.mode = settings.mode.unwrap_or(compiled.mode);
        Ok((Self { compiled, budget: settings.budget }, report))
    }

    /// Compiles what is compiled when it is first asked otherwise: the patterns of the gateway's own rules. Whether
    /// all of it could be.
    pub fn compile_rest(&self) -> bool {
        let conditions = self.compiled.phases.iter().flatten().flat_map(|rule| &rule.conditions);
        let cards =
            conditions.filter(|one| matches!(&one.test, Test::Card(numbers) if numbers.regex().is_none()));
        let cards = cards.count() == 0;
        self.compiled.signatures.compile() && cards
    }

    /// Paranoia level of a rule, as its tags say; 1 where they do not.
    #[must_use]
    pub fn level_of(&self, rule: u64) -> u8 {
        let mut rules = self.compiled.phases.iter().flatten();
        rules.find(|it| it.id == rule).map_or(1, Rule::level)
    }
}

/// The rule that sets what the settings say, behind the setup and before the rules.
fn overrides(settings: &Settings) -> Result<Vec<(Place, Directive)>, LoadError> {
    if settings.variables.is_empty() {
        return Ok(Vec::new());
    }
    let mut rule = format!("SecAction \"id:{OVERRIDES},phase:1,pass,nolog");
    for (name, value) in &settings.variables {
        let harmless = |text: &str| text.chars().all(|it| !it.is_control() && !"'\"\\".contains(it));
        if !(harmless(name) && harmless(value)) {
            let place = Place { file: "settings".into(), line: 1 };
            return Err(LoadError::malformed(&place, format!("\"{name}\" has a quote or control character")));
        }
        rule.push_str(&format!(",setvar:'tx.{name}={value}'"));
    }
    rule.push('"');
    seclang::parse("settings", &rule)
}

fn current(settings: &Settings, report: &mut LoadReport) -> Result<Vec<Excluded>, LoadError> {
    let mut current = Vec::new();
    for exclusion in &settings.exclusions {
        let read = exclusion.read()?;
        if exclusion.holds_on(settings.today) {
            current.push(read);
        } else {
            report.expired.push(exclusion.clone());
        }
    }
    Ok(current)
}

/// What lies in a folder, in the order of the names.
pub(crate) fn listed(folder: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let entries = std::fs::read_dir(folder).map_err(|error| LoadError::unreadable(folder, &error))?;
    let mut files: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Source, LoadError> {
    let text = std::fs::read_to_string(path).map_err(|error| LoadError::unreadable(path, &error))?;
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Ok(Source::of(name, text))
}

/// Number of the rule that the settings become.
const OVERRIDES: u64 = 9_100_999;

/// Our rules; the first file is the one that reads bodies.
const OWN: &[(&str, &str)] = &[
    ("engine.conf", include_str!("../../policies/waf/engine.conf")),
    ("cards.conf", include_str!("../../policies/waf/cards.conf")),
    ("json.conf", include_str!("../../policies/waf/json.conf")),
];
