//! What rules need not look at: because another layer has typed it, or because
//! the operator decided so, for a while and for a reason.

use std::collections::BTreeSet;

use jiff::civil::Date;

use crate::seclang::{LoadError, Place, TagOrId, VariableRef};

/// Parts of one request that a schema has already typed.
#[derive(Clone, Debug, Default)]
pub struct Typed {
    parameters: BTreeSet<String>,
    whole_body: bool,
}

impl Typed {
    /// Arguments whose form another layer has checked, as rules name them:
    /// `page` in a query or form, `json.debtor.iban` in a JSON body.
    pub fn parameters(names: impl IntoIterator<Item = String>) -> Self {
        Self { parameters: names.into_iter().collect(), whole_body: false }
    }

    /// Says that every part of the body was either typed or is an argument, so
    /// that the raw body need not be looked at.
    #[must_use]
    pub fn with_whole_body(mut self) -> Self {
        self.whole_body = true;
        self
    }

    pub(crate) fn has(&self, name: &[u8]) -> bool {
        !self.parameters.is_empty()
            && std::str::from_utf8(name).is_ok_and(|name| self.parameters.contains(name))
    }

    pub(crate) fn whole_body(&self) -> bool {
        self.whole_body
    }
}

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
}

impl RuleExclusion {
    pub(crate) fn read(&self) -> Result<Excluded, LoadError> {
        let refused = |why| LoadError::Exclusion { what: self.rules.clone(), why };
        if self.owner.trim().is_empty() {
            return Err(refused("it has no owner"));
        }
        if self.reason.trim().is_empty() {
            return Err(refused("it has no reason"));
        }
        let place = Place { file: "exclusions".into(), line: 1 };
        let rules = match self.rules.strip_prefix("tag:") {
            Some(tag) => TagOrId::Tag(tag.to_owned()),
            None => TagOrId::ids(&place, &self.rules)?,
        };
        let target = self.target.as_deref().map(|target| VariableRef::parse(&place, target)).transpose()?;
        Ok(Excluded { rules, target })
    }
}
