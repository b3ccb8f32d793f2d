//! Directives: rules with their chains, markers, and changes of earlier rules.

use super::action::{Action, TagOrId, actions};
use super::operator::{Operator, OperatorKind, operator};
use super::variable::{Target, targets};
use super::{LoadError, Place, Statement};

/// Whether rules refuse, only tell, or rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineMode {
    /// They refuse.
    #[default]
    On,
    /// They tell what they would refuse.
    DetectionOnly,
    /// They rest.
    Off,
}

impl EngineMode {
    pub(crate) fn parse(place: &Place, text: &str) -> Result<Self, LoadError> {
        match text.to_ascii_lowercase().as_str() {
            "on" => Ok(Self::On),
            "detectiononly" => Ok(Self::DetectionOnly),
            "off" => Ok(Self::Off),
            _ => Err(LoadError::unsupported(place, "mode of the engine", text)),
        }
    }
}

/// One condition of a rule, with what it does.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Where it stands.
    pub place: Place,
    /// What is looked at.
    pub targets: Vec<Target>,
    /// What it is held against.
    pub operator: Operator,
    /// What happens at a match.
    pub actions: Vec<Action>,
}

/// A rule: conditions that hold together.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleDecl {
    /// Number; rules without one are refused.
    pub id: u64,
    /// 1 to 5.
    pub phase: u8,
    /// The conditions, at least one.
    pub links: Vec<Link>,
}

/// What a source says.
#[derive(Clone, Debug, PartialEq)]
pub enum Directive {
    /// SecRule or SecAction.
    Rule(RuleDecl),
    /// SecMarker.
    Marker(String),
    /// SecDefaultAction.
    DefaultAction(u8, Vec<Action>),
    /// SecRuleRemoveById, SecRuleRemoveByTag.
    Remove(TagOrId),
    /// SecRuleUpdateTargetById, SecRuleUpdateTargetByTag.
    UpdateTargets(TagOrId, Vec<Target>),
    /// SecRuleUpdateActionById.
    UpdateActions(TagOrId, Vec<Action>),
    /// SecRuleEngine.
    Engine(EngineMode),
    /// Without effect here.
    Inert(String),
}

/// Directives about logs, limits, files and answers, which are the caller's.
const INERT: &[&str] = &[
    "secargumentseparator",
    "secauditengine",
    "secauditlog",
    "secauditlogformat",
    "secauditlogparts",
    "secauditlogrelevantstatus",
    "secauditlogtype",
    "seccollectiontimeout",
    "seccomponentsignature",
    "seccookieformat",
    "secdatadir",
    "secdebuglog",
    "secdebugloglevel",
    "secrequestbodyaccess",
    "secrequestbodyinmemorylimit",
    "secrequestbodyjsondepthlimit",
    "secrequestbodylimit",
    "secrequestbodylimitaction",
    "secrequestbodynofileslimit",
    "secresponsebodyaccess",
    "secresponsebodylimit",
    "secresponsebodylimitaction",
    "secresponsebodymimetype",
    "sectmpdir",
    "secunicodemapfile",
];

pub(super) fn directives(statements: Vec<Statement>) -> Result<Vec<(Place, Directive)>, LoadError> {
    let mut found = Vec::new();
    let mut open: Option<RuleDecl> = None;
    for statement in statements {
        let place = statement.place.clone();
        match condition(&statement)? {
            Some(link) => open = continued(open.take(), link, &place, &mut found)?,
            None if open.is_some() => {
                return Err(LoadError::malformed(&place, "a chain is not at its end here"));
            }
            None => found.push((place, other(&statement)?)),
        }
    }
    match open {
        Some(rule) => Err(LoadError::malformed(&place_of(&rule), "the chain has no end")),
        None => Ok(found),
    }
}

/// Adds a condition to the rule that it belongs to, and the rule to what was
/// found when it is complete.
fn continued(
    open: Option<RuleDecl>,
    link: Link,
    place: &Place,
    found: &mut Vec<(Place, Directive)>,
) -> Result<Option<RuleDecl>, LoadError> {
    let chained = link.actions.contains(&Action::Chain);
    let rule = match open {
        Some(mut rule) => {
            rule.links.push(link);
            rule
        }
        None => begun(link, place)?,
    };
    if chained {
        return Ok(Some(rule));
    }
    found.push((place_of(&rule), Directive::Rule(rule)));
    Ok(None)
}

fn begun(link: Link, place: &Place) -> Result<RuleDecl, LoadError> {
    let id =
        link.actions.iter().find_map(|action| if let Action::Id(id) = action { Some(*id) } else { None });
    let id = id.ok_or_else(|| LoadError::malformed(place, "a rule has an id"))?;
    let phases = link.actions.iter().rev();
    let phase =
        phases.into_iter().find_map(|action| if let Action::Phase(it) = action { Some(*it) } else { None });
    Ok(RuleDecl { id, phase: phase.unwrap_or(2), links: vec![link] })
}

fn place_of(rule: &RuleDecl) -> Place {
    rule.links.first().map_or_else(|| Place { file: "".into(), line: 0 }, |link| link.place.clone())
}

fn condition(statement: &Statement) -> Result<Option<Link>, LoadError> {
    let place = &statement.place;
    let arguments: Vec<&str> = statement.arguments.iter().map(String::as_str).collect();
    match (statement.name.to_ascii_lowercase().as_str(), arguments.as_slice()) {
        ("secrule", [variables, operation, rest @ ..]) if rest.len() <= 1 => Ok(Some(Link {
            place: place.clone(),
            targets: targets(place, variables)?,
            operator: operator(place, operation)?,
            actions: actions(place, rest.first().copied().unwrap_or(""))?,
        })),
        ("secaction", [list]) => Ok(Some(Link {
            place: place.clone(),
            targets: Vec::new(),
            operator: Operator { negated: false, kind: OperatorKind::UnconditionalMatch },
            actions: actions(place, list)?,
        })),
        ("secrule" | "secaction", _) => Err(LoadError::malformed(place, "wrong number of arguments")),
        _ => Ok(None),
    }
}

fn other(statement: &Statement) -> Result<Directive, LoadError> {
    let place = &statement.place;
    let arguments: Vec<&str> = statement.arguments.iter().map(String::as_str).collect();
    match (statement.name.to_ascii_lowercase().as_str(), arguments.as_slice()) {
        ("secmarker", [name]) => Ok(Directive::Marker((*name).to_owned())),
        ("secdefaultaction", [list]) => default_action(place, list),
        ("secruleremovebyid", [ids]) => Ok(Directive::Remove(TagOrId::ids(place, ids)?)),
        ("secruleremovebytag", [tag]) => Ok(Directive::Remove(TagOrId::Tag((*tag).to_owned()))),
        ("secruleupdatetargetbyid", [ids, list]) => {
            Ok(Directive::UpdateTargets(TagOrId::ids(place, ids)?, targets(place, list)?))
        }
        ("secruleupdatetargetbytag", [tag, list]) => {
            Ok(Directive::UpdateTargets(TagOrId::Tag((*tag).to_owned()), targets(place, list)?))
        }
        ("secruleupdateactionbyid", [ids, list]) => {
            Ok(Directive::UpdateActions(TagOrId::ids(place, ids)?, actions(place, list)?))
        }
        ("secruleengine", [mode]) => Ok(Directive::Engine(EngineMode::parse(place, mode)?)),
        // Another separator would make other arguments of the same query.
        ("secargumentseparator", [separator]) if *separator != "&" => {
            Err(LoadError::unsupported(place, "separator of arguments", separator))
        }
        (known, _) if INERT.contains(&known) => Ok(Directive::Inert(statement.name.clone())),
        _ => Err(LoadError::unsupported(place, "directive", &statement.name)),
    }
}

fn default_action(place: &Place, list: &str) -> Result<Directive, LoadError> {
    let list = actions(place, list)?;
    let phase = list.iter().find_map(|action| if let Action::Phase(it) = action { Some(*it) } else { None });
    let phase = phase.ok_or_else(|| LoadError::malformed(place, "SecDefaultAction names a phase"))?;
    Ok(Directive::DefaultAction(phase, list))
}
