//! What rules do when they match.

use super::variable::{Macro, VariableRef, targets};
use super::{LoadError, Place, Target};
use crate::transform::Transformation;

/// How grave a match is (RFC 5424 §6.2.1, as the rules name it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// 0.
    Emergency,
    /// 1.
    Alert,
    /// 2.
    Critical,
    /// 3.
    Error,
    /// 4.
    Warning,
    /// 5.
    Notice,
    /// 6.
    Info,
    /// 7.
    Debug,
}

impl Severity {
    const ALL: [(Self, &'static str); 8] = [
        (Self::Emergency, "EMERGENCY"),
        (Self::Alert, "ALERT"),
        (Self::Critical, "CRITICAL"),
        (Self::Error, "ERROR"),
        (Self::Warning, "WARNING"),
        (Self::Notice, "NOTICE"),
        (Self::Info, "INFO"),
        (Self::Debug, "DEBUG"),
    ];

    /// Its name in rules.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name)
    }

    fn parse(text: &str) -> Option<Self> {
        let numbered = text.parse().ok().and_then(|number: usize| Self::ALL.get(number));
        numbered
            .or_else(|| Self::ALL.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)))
            .map(|(it, _)| *it)
    }
}

/// Whether a match ends the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disruptive {
    /// Go on.
    Pass,
    /// Refuse.
    Deny,
    /// What SecDefaultAction of the phase says.
    Block,
}

/// Change of a variable of TX.
#[derive(Clone, Debug, PartialEq)]
pub struct SetVar {
    /// Its name, without `tx.`.
    pub name: Macro,
    /// What becomes of it.
    pub change: Change,
}

/// What becomes of a variable.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is this.
    Set(Macro),
    /// A number is added.
    Add(Macro),
    /// A number is taken away.
    Subtract(Macro),
    /// It is there no more.
    Unset,
}

impl Change {
    /// The text that it takes its value from.
    #[must_use]
    pub fn value(&self) -> &Macro {
        const NOTHING: &Macro = &Macro { parts: Vec::new() };
        match self {
            Self::Set(value) | Self::Add(value) | Self::Subtract(value) => value,
            Self::Unset => NOTHING,
        }
    }
}

/// How rules are named that something is done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagOrId {
    /// By a tag.
    Tag(String),
    /// By numbers, both inclusive.
    Ids(u64, u64),
}

impl TagOrId {
    /// `7` or `7-9`.
    pub(crate) fn ids(place: &Place, text: &str) -> Result<Self, LoadError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.trim().parse(), last.trim().parse()) {
            (Ok(first), Ok(last)) => Ok(Self::Ids(first, last)),
            (Ok(_) | Err(_), _) => Err(LoadError::malformed(place, format!("\"{text}\" names no rules"))),
        }
    }
}

/// Change of the engine for the rest of the request.
#[derive(Clone, Debug, PartialEq)]
pub enum Ctl {
    /// Rules are left out.
    RemoveRules(TagOrId),
    /// A variable is left out of rules.
    RemoveTarget(TagOrId, VariableRef),
    /// The body is read as this.
    BodyProcessor(String),
    /// REQUEST_BODY is there whatever the processor.
    ForceRequestBody(bool),
    /// Rules run: on, off, or detecting only.
    Engine(super::EngineMode),
}

/// One action.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Number of the rule.
    Id(u64),
    /// 1 to 5.
    Phase(u8),
    /// Whether a match ends the request.
    Disruptive(Disruptive),
    /// The next rule belongs to this one.
    Chain,
    /// TX.0 to TX.9 are what the pattern captured.
    Capture,
    /// `t:none`: no transformation so far.
    NoTransformation,
    /// A transformation more.
    Transform(Transformation),
    /// What the rule finds.
    Message(Macro),
    /// A word about the rule.
    Tag(String),
    /// How grave.
    Severity(Severity),
    /// Change of a variable.
    SetVar(SetVar),
    /// Go on behind a marker or rule.
    SkipAfter(String),
    /// Leave out so many rules.
    Skip(usize),
    /// Change of the engine.
    Ctl(Ctl),
    /// Look at every step of the transformations.
    MultiMatch,
    /// Whether a match is told.
    Log(bool),
    /// Without effect here: about logs, files and stores that this engine has not.
    Inert(&'static str),
}

/// Actions about logs, answers and stores between requests, none of which this engine has.
const INERT: &[&str] = &[
    "accuracy",
    "auditlog",
    "expirevar",
    "initcol",
    "logdata",
    "maturity",
    "noauditlog",
    "rev",
    "status",
    "ver",
];

/// The same of `ctl`.
const INERT_CTL: &[&str] = &["auditengine", "auditlogparts", "debugloglevel"];

/// Reads a list of actions.
pub(crate) fn actions(place: &Place, text: &str) -> Result<Vec<Action>, LoadError> {
    split(text).into_iter().filter(|one| !one.is_empty()).map(|one| action(place, one)).collect()
}

/// At commas outside single quotes.
fn split(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut from, mut quoted, mut escaped) = (0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            '\'' if !escaped => quoted = !quoted,
            ',' if !quoted => {
                found.extend(text.get(from..at));
                from = at + 1;
            }
            _ => {}
        }
        escaped = character == '\\' && !escaped;
    }
    found.extend(text.get(from..));
    found.into_iter().map(str::trim).collect()
}

fn action(place: &Place, text: &str) -> Result<Action, LoadError> {
    let (name, value) = text.split_once(':').unwrap_or((text, ""));
    let name = name.trim().to_ascii_lowercase();
    let value = unquoted(value.trim());
    let number =
        || value.parse::<u64>().map_err(|_| LoadError::malformed(place, format!("\"{text}\" has no number")));
    Ok(match name.as_str() {
        "id" => Action::Id(number()?),
        "phase" => Action::Phase(phase(place, &value)?),
        "pass" => Action::Disruptive(Disruptive::Pass),
        "deny" | "drop" => Action::Disruptive(Disruptive::Deny),
        "block" => Action::Disruptive(Disruptive::Block),
        "chain" => Action::Chain,
        "capture" => Action::Capture,
        "t" if value.eq_ignore_ascii_case("none") => Action::NoTransformation,
        "t" => Transformation::named(&value)
            .map(Action::Transform)
            .ok_or_else(|| LoadError::unsupported(place, "transformation", &value))?,
        "msg" => Action::Message(Macro::parse(place, &value)?),
        "tag" => Action::Tag(value),
        "severity" => Severity::parse(&value)
            .map(Action::Severity)
            .ok_or_else(|| LoadError::unsupported(place, "severity", &value))?,
        "setvar" => Action::SetVar(setvar(place, &value)?),
        "skipafter" => Action::SkipAfter(value),
        "skip" => Action::Skip(usize::try_from(number()?).unwrap_or(usize::MAX)),
        "ctl" => ctl(place, &value)?,
        "multimatch" => Action::MultiMatch,
        "log" => Action::Log(true),
        "nolog" => Action::Log(false),
        other => INERT
            .iter()
            .find(|known| **known == other)
            .map(|known| Action::Inert(known))
            .ok_or_else(|| LoadError::unsupported(place, "action", other))?,
    })
}

fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
    inner.map_or_else(|| value.to_owned(), |inner| inner.replace("\\'", "'"))
}

fn phase(place: &Place, value: &str) -> Result<u8, LoadError> {
    match value {
        "request" => Ok(2),
        "response" => Ok(4),
        "logging" => Ok(5),
        _ => value
            .parse()
            .ok()
            .filter(|phase| (1..=5).contains(phase))
            .ok_or_else(|| LoadError::malformed(place, format!("\"{value}\" is no phase"))),
    }
}

fn setvar(place: &Place, value: &str) -> Result<SetVar, LoadError> {
    let (removed, value) = value.strip_prefix('!').map_or((false, value), |value| (true, value));
    let (name, change) = value.split_once('=').map_or((value, "1"), |(name, change)| (name, change));
    let prefix = name.get(..3).filter(|prefix| prefix.eq_ignore_ascii_case("tx."));
    let Some(name) = prefix.and_then(|_| name.get(3..)) else {
        return Err(LoadError::unsupported(place, "collection to set", name));
    };
    let change = match change.split_at_checked(1) {
        _ if removed => Change::Unset,
        Some(("+", number)) => Change::Add(Macro::parse(place, number)?),
        Some(("-", number)) => Change::Subtract(Macro::parse(place, number)?),
        _ => Change::Set(Macro::parse(place, change)?),
    };
    Ok(SetVar { name: Macro::parse(place, name)?, change })
}

fn ctl(place: &Place, value: &str) -> Result<Action, LoadError> {
    let (name, value) = value.split_once('=').unwrap_or((value, ""));
    let name = name.trim().to_ascii_lowercase();
    let target = || -> Result<(&str, VariableRef), LoadError> {
        let (rules, target) = value
            .split_once(';')
            .ok_or_else(|| LoadError::malformed(place, format!("ctl:{name} needs rules;variable")))?;
        match <[Target; 1]>::try_from(targets(place, target)?) {
            Ok([target]) => Ok((rules, target.variable)),
            Err(_) => Err(LoadError::malformed(place, format!("ctl:{name} takes one variable"))),
        }
    };
    let ctl = match name.as_str() {
        "ruleremovebyid" => Ctl::RemoveRules(TagOrId::ids(place, value)?),
        "ruleremovebytag" => Ctl::RemoveRules(TagOrId::Tag(value.to_owned())),
        "ruleremovetargetbyid" => {
            let (rules, variable) = target()?;
            Ctl::RemoveTarget(TagOrId::ids(place, rules)?, variable)
        }
        "ruleremovetargetbytag" => {
            let (rules, variable) = target()?;
            Ctl::RemoveTarget(TagOrId::Tag(rules.to_owned()), variable)
        }
        "requestbodyprocessor" => match value.to_ascii_uppercase() {
            known if ["URLENCODED", "MULTIPART", "JSON", "XML"].contains(&known.as_str()) => {
                Ctl::BodyProcessor(known)
            }
            other => return Err(LoadError::unsupported(place, "body processor", &other)),
        },
        "forcerequestbodyvariable" => Ctl::ForceRequestBody(value.eq_ignore_ascii_case("on")),
        "ruleengine" => Ctl::Engine(super::EngineMode::parse(place, value)?),
        other => {
            return INERT_CTL
                .iter()
                .find(|known| **known == other)
                .map(|known| Action::Inert(known))
                .ok_or_else(|| LoadError::unsupported(place, "ctl", other));
        }
    };
    Ok(Action::Ctl(ctl))
}
