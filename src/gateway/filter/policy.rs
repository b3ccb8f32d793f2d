//! The filter's policy: how strict it is, where it is otherwise, and what it leaves out.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, bail};
use domain::Date;
use serde::Deserialize;
use waf::model::Model;
use waf::{Budget, RuleExclusion, Settings};

use super::FilterMode;
use crate::read;

const EMBEDDED: &str = include_str!("../../../policies/waf/filter.toml");

/// Methods that operations have. The Core Rule Set would refuse most: the model holds each
/// operation to its own, and so it does with media types.
const METHODS: &str = "GET HEAD POST PUT PATCH DELETE OPTIONS";

/// Media types that operations take, as the Core Rule Set lists them.
const MEDIA_TYPES: &str = "|application/json| |application/x-www-form-urlencoded| |application/xml| \
                           |application/jwt| |application/secevent+jwt|";

/// The policy as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FilterPolicy {
    /// Paranoia level of the Core Rule Set, 1 to 4.
    paranoia_level: u8,
    thresholds: Thresholds,
    budget: Limits,
    #[serde(rename = "route")]
    routes: Vec<RouteEntry>,
    #[serde(rename = "exclusion")]
    exclusions: Vec<ExclusionEntry>,
}

/// From which score on a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Thresholds {
    own: u32,
    core_rule_set: u32,
}

/// How much of one request is inspected ([`Budget`]).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    bytes: usize,
    values: usize,
    work: usize,
}

/// One operation, as the description writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteName {
    method: String,
    path: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteEntry {
    method: String,
    path: String,
    mode: FilterMode,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExclusionEntry {
    rules: OneOrMany<String>,
    #[serde(default)]
    target: Option<String>,
    #[serde(default)]
    route: Option<OneOrMany<RouteName>>,
    owner: String,
    reason: String,
    expires: Day,
}

/// A value, or a list of such.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "there is to be one, or a list of such, with nothing beside")]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn each(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// A date, with quotes or without.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Day {
    Date(toml::value::Datetime),
    Text(String),
}

/// What the policy says of one operation.
#[derive(Debug, Default)]
pub(super) struct OfOperation {
    pub(super) mode: Option<FilterMode>,
    pub(super) exclusions: Vec<RuleExclusion>,
}

impl Default for FilterPolicy {
    fn default() -> Self {
        Self {
            paranoia_level: 1,
            thresholds: Thresholds::default(),
            budget: Limits::default(),
            routes: Vec::new(),
            exclusions: Vec::new(),
        }
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { own: 5, core_rule_set: 5 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let Budget { bytes, values, work } = Budget::default();
        Self { bytes, values, work }
    }
}

impl FilterPolicy {
    /// The policy of a file; without one, the one that comes with the gateway.
    ///
    /// # Errors
    ///
    /// What is wrong, with file and entry.
    pub(crate) fn read(file: Option<&Path>) -> anyhow::Result<Self> {
        match file {
            Some(file) => Self::parse(&read(file)?)
                .with_context(|| format!("{} is no policy of the filter", file.display())),
            None => Self::parse(EMBEDDED).context("the policy of the filter was spoiled"),
        }
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let policy: Self = toml::from_str(text)?;
        if !(1..=4).contains(&policy.paranoia_level) {
            bail!("paranoia_level is 1 to 4");
        }
        let Thresholds { own, core_rule_set } = policy.thresholds;
        let Limits { bytes, values, work } = policy.budget;
        if own == 0 || core_rule_set == 0 {
            bail!("thresholds: 0 would refuse everything");
        }
        if bytes == 0 || values == 0 || work == 0 {
            bail!("budget: 0 would refuse everything");
        }
        for (entry, exclusion) in policy.exclusions.iter().enumerate() {
            let at = || exclusion.named(entry);
            let read = exclusion.read().with_context(at)?;
            if read.is_empty() || exclusion.route.as_ref().is_some_and(|routes| routes.each().is_empty()) {
                bail!("{}: a list is empty", at());
            }
            read.iter().try_for_each(RuleExclusion::check).with_context(at)?;
        }
        Ok(policy)
    }

    /// How the rules are run on a day, without what is left out.
    pub(crate) fn bare_settings(&self, today: Date) -> Settings {
        let Limits { bytes, values, work } = self.budget;
        let settings = Settings::new(today)
            .at_level(self.paranoia_level)
            .with("inbound_anomaly_score_threshold", &self.thresholds.core_rule_set.to_string())
            .with("api_threshold", &self.thresholds.own.to_string())
            .with("allowed_methods", METHODS)
            .with("allowed_request_content_type", MEDIA_TYPES);
        Settings { budget: Budget { bytes, values, work }, ..settings }
    }

    /// The same, with what is left out of every request.
    pub(super) fn settings(&self, today: Date) -> anyhow::Result<Settings> {
        let everywhere = self.exclusions.iter().filter(|exclusion| exclusion.route.is_none());
        let exclusions = everywhere.map(ExclusionEntry::read).collect::<Result<Vec<_>, _>>()?.concat();
        Ok(Settings { exclusions, ..self.bare_settings(today) })
    }

    /// What it says of operations, by their names.
    ///
    /// # Errors
    ///
    /// A route that the interface does not have, or that comes twice.
    pub(super) fn operations(&self, model: &Model) -> anyhow::Result<BTreeMap<String, OfOperation>> {
        let mut operations = BTreeMap::<String, OfOperation>::new();
        for (entry, route) in self.routes.iter().enumerate() {
            let at = || format!("route {}", entry.saturating_add(1));
            let RouteEntry { method, path, mode } = route;
            let operation = described(model, method, path).with_context(at)?;
            if operations.entry(operation).or_default().mode.replace(*mode).is_some() {
                bail!("{}: {method} {path} has a mode already", at());
            }
        }
        for (entry, exclusion) in self.exclusions.iter().enumerate() {
            for RouteName { method, path } in exclusion.route.iter().flat_map(OneOrMany::each) {
                let operation = described(model, method, path).with_context(|| exclusion.named(entry))?;
                operations.entry(operation).or_default().exclusions.extend(exclusion.read()?);
            }
        }
        Ok(operations)
    }

    /// A sentence for each exclusion that does not hold any more.
    pub(crate) fn expired(&self, today: Date) -> impl Iterator<Item = String> {
        let exclusions = self.exclusions.iter().filter_map(|exclusion| exclusion.read().ok()).flatten();
        exclusions.filter(move |exclusion| !exclusion.holds_on(today)).map(|exclusion| expired(&exclusion))
    }

    /// The last days of its exclusions.
    pub(super) fn ends(&self) -> impl Iterator<Item = Date> {
        self.exclusions.iter().filter_map(|exclusion| exclusion.expires.read().ok())
    }

    /// The same without exclusions.
    pub(super) fn without_exclusions(&self) -> Self {
        Self { exclusions: Vec::new(), ..self.clone() }
    }
}

/// Says that an exclusion is not applied any more.
pub(super) fn expired(exclusion: &RuleExclusion) -> String {
    let RuleExclusion { rules, owner, expires, .. } = exclusion;
    format!("The exclusion of {rules} ({owner}) has expired on {expires} and is not applied")
}

fn described(model: &Model, method: &str, path: &str) -> anyhow::Result<String> {
    let operation = model.described(&method.to_ascii_uppercase(), path);
    operation.map(str::to_owned).with_context(|| format!("the interface has no {method} {path}"))
}

impl ExclusionEntry {
    /// One for each of its rules.
    fn read(&self) -> anyhow::Result<Vec<RuleExclusion>> {
        let expires = self.expires.read()?;
        let of = |rules: &String| RuleExclusion {
            rules: rules.clone(),
            target: self.target.clone(),
            owner: self.owner.clone(),
            reason: self.reason.clone(),
            expires,
        };
        Ok(self.rules.each().iter().map(of).collect())
    }

    /// How messages name it.
    fn named(&self, entry: usize) -> String {
        format!("exclusion {} ({})", entry.saturating_add(1), self.rules.each().join(", "))
    }
}

impl Day {
    fn read(&self) -> anyhow::Result<Date> {
        let text = match self {
            Self::Date(date) => date.to_string(),
            Self::Text(text) => text.clone(),
        };
        Date::from_str(&text).with_context(|| format!("expires: {text} is no date such as 2026-12-31"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        format!("{:#}", FilterPolicy::parse(text).unwrap_err())
    }

    fn exclusion(change: impl Fn(&str) -> String) -> String {
        let whole =
            "[[exclusion]]\nrules = \"942100\"\nowner = \"o\"\nreason = \"r\"\nexpires = 2026-12-31\n";
        change(whole)
    }

    #[test]
    fn what_comes_with_the_gateway_is_what_is_meant_where_nothing_is_said() {
        // But for what is left out for a while.
        assert_eq!(FilterPolicy::read(None).unwrap().without_exclusions(), FilterPolicy::default());
        assert_eq!(FilterPolicy::parse("").unwrap(), FilterPolicy::default());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_entry() {
        for (text, wanted) in [
            ("paranoia = 1", "unknown field `paranoia`"),
            ("[thresholds]\ncrs = 5", "unknown field `crs`"),
            ("paranoia_level = 5", "paranoia_level is 1 to 4"),
            ("thresholds.own = 0", "thresholds: 0 would refuse everything"),
            ("budget.work = 0", "budget: 0 would refuse everything"),
            (
                "[[route]]\nmethod = \"GET\"\npath = \"/v1/accounts\"\nmode = \"maybe\"",
                "unknown variant `maybe`",
            ),
        ] {
            assert!(refused(text).contains(wanted), "{}", refused(text));
        }
        for (from, to, wanted) in [
            ("owner = \"o\"\n", "", "missing field `owner`"),
            ("\"o\"", "\" \"", "exclusion 1 (942100): exclusion of 942100: it has no owner"),
            ("\"r\"", "\"\"", "it has no reason"),
            ("2026-12-31", "\"soon\"", "exclusion 1 (942100): expires: soon is no date"),
            ("\"942100\"", "\"sql\"", "exclusion 1 (sql): exclusion:1: \"sql\" names no rules"),
            (
                "\"942100\"",
                "[\"942100\", \"sql\"]",
                "exclusion 1 (942100, sql): exclusion:1: \"sql\" names no rules",
            ),
            ("\"942100\"", "[]", "exclusion 1 (): a list is empty"),
            ("owner", "route = []\nowner", "exclusion 1 (942100): a list is empty"),
            ("owner", "target = \"ARG:x\"\nowner", "unsupported variable \"ARG:x\""),
            ("owner", "target = \"TX:x\"\nowner", "TX is what rules themselves keep"),
        ] {
            let text = exclusion(|whole| whole.replace(from, to));
            assert!(refused(&text).contains(wanted), "{}", refused(&text));
        }
        let quoted = exclusion(|whole| whole.replace("2026-12-31", "\"2026-12-31\""));
        assert!(FilterPolicy::parse(&quoted).is_ok());
    }
}
