//! Changes to what would be right.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Values;

/// Changes to parameters, claims or headers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Values that are put in, or in the place of the right ones.
    #[serde(default)]
    pub set: BTreeMap<String, Value>,
    /// What is left out.
    #[serde(default)]
    pub remove: Vec<String>,
    /// What comes twice. Of forms and headers only.
    #[serde(default)]
    pub twice: Vec<String>,
    /// Only these are left.
    #[serde(default)]
    pub only: Option<Vec<String>>,
}

impl Edit {
    /// The pairs as they are sent.
    #[must_use]
    pub fn pairs(&self, mut pairs: Vec<(String, String)>, values: &Values) -> Vec<(String, String)> {
        if let Some(only) = &self.only {
            pairs.retain(|(name, _)| only.contains(name));
        }
        pairs.retain(|(name, _)| !self.remove.contains(name));
        for (name, value) in &self.set {
            let value = super::value::plain(&values.fill(value));
            match pairs.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = value,
                None => pairs.push((name.clone(), value)),
            }
        }
        for name in &self.twice {
            if let Some(pair) = pairs.iter().find(|(known, _)| known == name).cloned() {
                pairs.push(pair);
            }
        }
        pairs
    }

    /// The members as they are sent.
    #[must_use]
    pub fn members(&self, mut members: Map<String, Value>, values: &Values) -> Map<String, Value> {
        if let Some(only) = &self.only {
            members.retain(|name, _| only.contains(name));
        }
        members.retain(|name, _| !self.remove.contains(name));
        for (name, value) in &self.set {
            members.insert(name.clone(), values.fill(value));
        }
        members
    }
}

/// Changes to a JWT.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtEdit {
    /// Changes to its header.
    #[serde(default)]
    pub header: Edit,
    /// Changes to its claims.
    #[serde(default)]
    pub claims: Edit,
    /// The algorithm that signs and that the header names.
    #[serde(default)]
    pub alg: Option<String>,
    /// Whose key signs: a role, or `fresh`.
    #[serde(default)]
    pub key: Option<String>,
    /// A byte of the signature is changed.
    #[serde(default)]
    pub tamper: bool,
    /// It is not sent at all.
    #[serde(default)]
    pub omit: bool,
    /// It is sent even if the client has none usually.
    #[serde(default)]
    pub force: bool,
    /// It is not sent once more with a nonce, which would show that it is fresh. Of proofs only.
    #[serde(default)]
    pub once: bool,
    /// It comes twice. Of proofs only.
    #[serde(default)]
    pub twice: bool,
    /// The very one of the step before. Of proofs and assertions only.
    #[serde(default)]
    pub again: bool,
    /// This text, in its place.
    #[serde(default)]
    pub text: Option<String>,
}
