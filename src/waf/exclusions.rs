//! What rules need not look at because the operator decided so, for a while and for a reason.

use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::byteset::BitSet;
use crate::compile::among;
use crate::load::RuleSet;
use crate::seclang::{Collection, LoadError, Place, TagOrId, VariableRef};

/// A rule, or one variable of it, that an operator leaves out.
///
/// It has an end: an exclusion that has expired is not applied, and the load
/// report says so, so that a forgotten one closes by itself and no restart
/// fails in the night because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleExclusion {
    /// A rule (`942100`), rules (`942100-942199`) or a tag (`tag:attack-sqli`).
    pub rules: String,
    /// The variable, such as `ARGS:json.remittance.unstructured`; none for the whole rule.
    pub target: Option<String>,
    /// Who decided it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// The last day on which it holds, in UTC.
    pub expires: Date,
}

/// An exclusion, read.
#[derive(Clone, Debug)]
pub(crate) struct Excluded {
    pub(crate) rules: TagOrId,
    pub(crate) target: Option<VariableRef>,
    /// As it was written.
    pub(crate) written: RuleExclusion,
}

/// What is left out of some requests beside what is left out of all.
#[derive(Debug, Default)]
pub struct Exemptions {
    /// Places of the rules that do not run, by phase.
    pub(crate) rules: [BitSet; 2],
    /// What a rule does not look at.
    pub(crate) targets: BTreeMap<u64, Vec<VariableRef>>,
}

impl RuleSet {
    /// Finds the rules that exclusions name. They are for requests that are inspected with
    /// [`RuleSet::inspect_but`].
    ///
    /// # Errors
    ///
    /// [`LoadError`] where an exclusion is not what it should be.
    pub fn exemptions(&self, exclusions: &[RuleExclusion]) -> Result<Exemptions, LoadError> {
        let mut exempt = Exemptions::default();
        for exclusion in exclusions {
            let Excluded { rules: named, target, .. } = exclusion.read()?;
            for (rules, left_out) in self.compiled.phases.iter().zip(&mut exempt.rules) {
                for (at, rule) in rules.iter().enumerate() {
                    match &target {
                        _ if !among(&named, rule.id, &rule.tags) => {}
                        Some(target) => exempt.targets.entry(rule.id).or_default().push(target.clone()),
                        None => {
                            left_out.make_room(rules.len());
                            left_out.insert(at);
                        }
                    }
                }
            }
        }
        Ok(exempt)
    }

    /// Whether an exclusion is about a rule of these.
    #[must_use]
    pub fn names(&self, exclusion: &RuleExclusion, rule: Option<u64>) -> bool {
        let Ok(Excluded { rules: named, .. }) = exclusion.read() else { return false };
        let mut rules = self.compiled.phases.iter().flatten();
        rules.any(|it| rule.is_none_or(|rule| rule == it.id) && among(&named, it.id, &it.tags))
    }
}

impl RuleExclusion {
    /// Whether it still holds on a day.
    #[must_use]
    pub fn holds_on(&self, today: Date) -> bool {
        today <= self.expires
    }

    /// Whether it is what it should be.
    ///
    /// # Errors
    ///
    /// [`LoadError`] says what is missing or wrong.
    pub fn check(&self) -> Result<(), LoadError> {
        self.read().map(drop)
    }

    pub(crate) fn read(&self) -> Result<Excluded, LoadError> {
        let refused = |why| LoadError::Exclusion { what: self.rules.clone(), why };
        if self.owner.trim().is_empty() {
            return Err(refused("it has no owner"));
        }
        if self.reason.trim().is_empty() {
            return Err(refused("it has no reason"));
        }
        let place = Place { file: "exclusion".into(), line: 1 };
        let rules = match self.rules.strip_prefix("tag:") {
            Some(tag) => TagOrId::Tag(tag.to_owned()),
            None => TagOrId::ids(&place, &self.rules)?,
        };
        let target = self.target.as_deref().map(|target| VariableRef::parse(&place, target)).transpose()?;
        if target.as_ref().is_some_and(|target| target.collection == Collection::Tx) {
            return Err(refused("TX is what rules themselves keep"));
        }
        Ok(Excluded { rules, target, written: self.clone() })
    }
}
