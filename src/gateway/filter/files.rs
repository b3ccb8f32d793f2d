//! The filter's rules: where they come from, and what is in force.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use domain::Date;
use waf::model::Model;
use waf::{Exemptions, LoadReport, RuleExclusion, RuleSet, Sources};

use super::FilterMode;
use super::policy::{FilterPolicy, OfOperation, expired};
use crate::stamp::Stamp;

/// Where the filter's rules come from. What is not named is what comes with the gateway.
#[derive(Clone, Debug, Default)]
pub struct FilterFiles {
    /// The policy (TOML).
    pub policy: Option<PathBuf>,
    /// Rules in the place of the gateway's own: a folder of `*.conf`, with `tests/*.yaml`.
    pub rules: Option<PathBuf>,
    /// A release of the OWASP Core Rule Set: a folder with `rules/`.
    pub crs: Option<PathBuf>,
}

/// Files as they were.
pub(super) type Stamps = Vec<(PathBuf, Option<Stamp>)>;

impl FilterFiles {
    /// Every file that counts, as it is now. What is gone is a change, too.
    pub(super) fn stamps(&self) -> Stamps {
        let rules = self.rules.iter().flat_map(|folder| [folder.clone(), folder.join("tests")]);
        let crs = self.crs.iter().flat_map(|folder| [folder.clone(), folder.join("rules")]);
        let mut paths: Vec<PathBuf> = self.policy.iter().cloned().collect();
        for folder in rules.chain(crs) {
            let entries = std::fs::read_dir(&folder).into_iter().flatten();
            paths.extend(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| !path.is_dir()));
        }
        paths.sort();
        paths.into_iter().map(|path| (path.clone(), Stamp::of(&path))).collect()
    }

    /// Our own rules, and those of the Core Rule Set.
    fn sources(&self) -> anyhow::Result<Sources> {
        let own = match &self.rules {
            Some(folder) => Sources::own_of(folder)?,
            None => Sources::own(),
        };
        let Some(folder) = &self.crs else { return Ok(own) };
        let released = Sources::folder(folder)?;
        if released.is_empty() {
            bail!("{} has no rules: it is to be the folder of a release", folder.display());
        }
        Ok(own.and(released))
    }
}

/// The rules as requests are held against them.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) rules: RuleSet,
    routes: HashMap<String, Route>,
    elsewhere: Route,
    /// The files that they come from, as they were before they were read.
    pub(super) stamps: Stamps,
    /// The day after which the next exclusion does not hold any more.
    pub(super) until: Option<Date>,
}

/// What is different for one operation.
#[derive(Debug, Default)]
pub(super) struct Route {
    pub(super) mode: Option<FilterMode>,
    pub(super) exempt: Exemptions,
    /// What is left out here, written.
    pub(super) exclusions: Vec<RuleExclusion>,
}

impl InForce {
    /// Reads, compiles and tries the rules.
    ///
    /// # Errors
    ///
    /// What is wrong, and in which file.
    pub(super) fn load(files: &FilterFiles, model: &Model, today: Date) -> anyhow::Result<Self> {
        let stamps = files.stamps();
        let policy = FilterPolicy::read(files.policy.as_deref())?;
        Self::of(files, &policy, model, today).map(|loaded| Self { stamps, ..loaded })
    }

    /// The same, with nothing left out.
    pub(super) fn without_exclusions(
        files: &FilterFiles,
        model: &Model,
        today: Date,
    ) -> anyhow::Result<Self> {
        let policy = FilterPolicy::read(files.policy.as_deref())?.without_exclusions();
        Self::of(files, &policy, model, today)
    }

    fn of(files: &FilterFiles, policy: &FilterPolicy, model: &Model, today: Date) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let named = || files.policy.as_ref().map_or_else(String::new, |file| file.display().to_string());
        let operations = policy.operations(model).with_context(named)?;
        if let Some(folder) = &files.rules {
            tried(folder, policy, today)?;
        }
        let settings = policy.settings(today)?;
        let (rules, report) = RuleSet::load(&files.sources()?, &settings)?;
        let released = files.crs.is_some();
        tell_of(&report, released);
        let exclusions = settings.exclusions.into_iter().filter(|exclusion| exclusion.holds_on(today));
        let elsewhere = Route { exclusions: exclusions.collect(), ..Route::default() };
        let routes = operations.into_iter().map(|(operation, of)| {
            Ok((operation, Route::of(of, &rules, &elsewhere.exclusions, today, released)?))
        });
        let routes = routes.collect::<anyhow::Result<_>>()?;
        let until = policy.ends().filter(|end| today <= *end).min();
        let (number, took) = (report.phase_1.saturating_add(report.phase_2), begun.elapsed());
        tracing::info!(waf.rules = number, took_ms = took.as_millis(), "The filter has {number} rules");
        Ok(Self { rules, routes, elsewhere, stamps: Stamps::default(), until })
    }

    /// What holds for a request; `operation` tells which it is, and is asked where that matters.
    pub(super) fn route<'m>(&self, operation: impl FnOnce() -> Option<&'m str>) -> &Route {
        if self.routes.is_empty() {
            return &self.elsewhere;
        }
        operation().and_then(|operation| self.routes.get(operation)).unwrap_or(&self.elsewhere)
    }
}

impl Route {
    fn of(
        of: OfOperation,
        rules: &RuleSet,
        everywhere: &[RuleExclusion],
        today: Date,
        released: bool,
    ) -> anyhow::Result<Self> {
        let (holding, expired): (Vec<_>, Vec<_>) =
            of.exclusions.into_iter().partition(|exclusion| exclusion.holds_on(today));
        expired.iter().for_each(tell_of_expired);
        let idle = holding.iter().filter(|exclusion| !rules.names(exclusion, None));
        idle.for_each(|exclusion| tell_of_idle(exclusion, released));
        let exempt = rules.exemptions(&holding)?;
        Ok(Self { mode: of.mode, exempt, exclusions: [everywhere, &holding].concat() })
    }
}

/// Runs the tests that lie beside rules, if there are any.
fn tried(folder: &Path, policy: &FilterPolicy, today: Date) -> anyhow::Result<()> {
    if !folder.join("tests").is_dir() {
        tracing::warn!(folder = %folder.display(), "The rules of {} have no tests", folder.display());
        return Ok(());
    }
    let report = waf::policy::test(folder, &policy.bare_settings(today))?;
    if !report.failures.is_empty() {
        bail!("the tests of {} fail: {report}", folder.display());
    }
    Ok(())
}

fn tell_of(report: &LoadReport, released: bool) {
    report.expired.iter().for_each(tell_of_expired);
    report.idle.iter().for_each(|exclusion| tell_of_idle(exclusion, released));
}

fn tell_of_expired(exclusion: &RuleExclusion) {
    let RuleExclusion { rules, owner, expires, .. } = exclusion;
    tracing::warn!(waf.exclusion = rules, owner, %expires, "{}", expired(exclusion));
}

fn tell_of_idle(exclusion: &RuleExclusion, released: bool) {
    let RuleExclusion { rules, owner, .. } = exclusion;
    // Rules of the Core Rule Set are not there where it is not: nothing to tell of.
    if !released && !rules.starts_with("9100") {
        return;
    }
    tracing::warn!(
        waf.exclusion = rules,
        owner,
        "The exclusion of {rules} ({owner}) names no rule that is there"
    );
}
