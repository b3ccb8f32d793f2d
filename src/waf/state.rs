//! What rules keep while they run: variables of TX, captures, what matched.

use std::sync::Arc;

use ahash::{HashMap, HashSet};

use crate::request::Variables;
use crate::seclang::{Change, Collection, Macro, Part, Selector, SetVar, VariableRef};
use crate::texts::{TextId, Texts};

/// By a pattern, names of variables of TX that it matches, of those that are the same for every request.
pub(crate) type Matching = HashMap<String, Vec<String>>;

/// A value that matched, and where it stood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matched {
    pub(crate) collection: Collection,
    pub(crate) name: TextId,
    /// How many there are is what matched.
    pub(crate) counted: bool,
    pub(crate) value: TextId,
}

impl Matched {
    /// How rules call it: `ARGS:name`.
    pub(crate) fn shown(&self, texts: &Texts<'_>) -> String {
        let count = if self.counted { "&" } else { "" };
        let collection = self.collection.name();
        match &*texts.bytes(self.name) {
            [] => format!("{count}{collection}"),
            name => format!("{count}{collection}:{}", String::from_utf8_lossy(name)),
        }
    }
}

/// Variables of rules.
#[derive(Default)]
pub(crate) struct State {
    /// What is the same for every request that came so far.
    fixed: Arc<HashMap<String, Vec<u8>>>,
    /// What this request changed; none where it is there no more.
    variables: HashMap<String, Option<Vec<u8>>>,
    /// Groups of the last match that had any.
    captures: Vec<Vec<u8>>,
    /// What was added to scores so far.
    pub(crate) added: i64,
    /// What the condition before this one matched.
    pub(crate) matched: Vec<Matched>,
}

impl State {
    /// Begins with what is the same for every request.
    pub(crate) fn beginning_with(fixed: &Arc<HashMap<String, Vec<u8>>>) -> Self {
        Self { fixed: fixed.clone(), ..Self::default() }
    }

    /// What rules that look at no request have set.
    pub(crate) fn into_fixed(self) -> Arc<HashMap<String, Vec<u8>>> {
        if self.variables.is_empty() {
            return self.fixed;
        }
        let mut all = HashMap::clone(&self.fixed);
        for (name, value) in self.variables {
            match value {
                Some(value) => drop(all.insert(name, value)),
                None => drop(all.remove(&name)),
            }
        }
        Arc::new(all)
    }

    /// Whether variables are still these, as far as they have these names.
    pub(crate) fn is(&self, fixed: &Arc<HashMap<String, Vec<u8>>>, names: &HashSet<String>) -> bool {
        Arc::ptr_eq(&self.fixed, fixed) && !self.variables.keys().any(|name| names.contains(name))
    }

    /// Goes on as after rules that have set these variables and added this to scores.
    pub(crate) fn go_on_with(&mut self, fixed: &Arc<HashMap<String, Vec<u8>>>, added: i64) {
        self.fixed = Arc::clone(fixed);
        self.added = self.added.saturating_add(added);
    }

    /// The groups of a match, as TX.0 to TX.9.
    pub(crate) fn capture(&mut self, groups: Vec<Vec<u8>>) {
        self.captures = groups;
    }

    /// The values of TX that are selected; `matching` says which names of those that are the same for every request a
    /// pattern has.
    pub(crate) fn selected(&self, selector: &Selector, matching: &Matching) -> Vec<(String, Vec<u8>)> {
        let own = self.variables.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let mut found: Vec<_> = match selector {
            Selector::Named(name) => {
                return self.get(name).map(|value| (name.clone(), value.to_vec())).into_iter().collect();
            }
            Selector::Matching(pattern) => {
                let known = matching.get(pattern.as_str()).into_iter().flatten();
                known.filter_map(|name| self.fixed.get_key_value(name)).collect()
            }
            Selector::All => self.fixed.iter().collect(),
        };
        found.retain(|(name, _)| !self.variables.contains_key(*name));
        found.extend(own.filter(|(name, _)| selector.selects(name.as_bytes())));
        let mut found: Vec<_> =
            found.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        found.sort();
        found
    }

    /// One value of TX, by its name in any case.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        if let Ok(group) = name.parse::<usize>() {
            return self.captures.get(group).map(Vec::as_slice);
        }
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.get(&name.to_ascii_lowercase());
        }
        match self.variables.get(name) {
            Some(own) => own.as_deref(),
            None => self.fixed.get(name).map(Vec::as_slice),
        }
    }

    /// A value of TX as a number.
    pub(crate) fn number(&self, name: &str) -> i64 {
        self.get(name).map_or(0, number)
    }

    /// Does what a rule's `setvar` says.
    pub(crate) fn set(&mut self, set: &SetVar, variables: &Variables, texts: &Texts<'_>) {
        let name = String::from_utf8_lossy(&self.expand(&set.name, variables, texts)).to_ascii_lowercase();
        let value = match &set.change {
            Change::Set(value) => self.expand(value, variables, texts),
            Change::Add(value) => {
                let more = number(&self.expand(value, variables, texts));
                if SCORES.iter().any(|score| name.starts_with(score)) {
                    self.added = self.added.saturating_add(more);
                }
                self.number(&name).saturating_add(more).to_string().into_bytes()
            }
            Change::Subtract(value) => {
                let rest = self.number(&name).saturating_sub(number(&self.expand(value, variables, texts)));
                rest.to_string().into_bytes()
            }
            Change::Unset => {
                self.variables.insert(name, None);
                return;
            }
        };
        self.variables.insert(name, Some(value));
    }

    /// The text with its values.
    pub(crate) fn expand(&self, text: &Macro, variables: &Variables, texts: &Texts<'_>) -> Vec<u8> {
        let mut expanded = Vec::new();
        for part in &text.parts {
            match part {
                Part::Text(text) => expanded.extend_from_slice(text.as_bytes()),
                Part::Value(variable) => expanded.extend(self.first(variable, variables, texts)),
            }
        }
        expanded
    }

    /// The text with those of its values that are numbers: others may be what a
    /// person wrote.
    pub(crate) fn expand_numbers(&self, text: &Macro, variables: &Variables, texts: &Texts<'_>) -> String {
        let mut expanded = String::new();
        for part in &text.parts {
            match part {
                Part::Text(text) => expanded.push_str(text),
                Part::Value(variable) => {
                    let value = self.first(variable, variables, texts);
                    let number = std::str::from_utf8(&value).ok().filter(|text| text.parse::<i32>().is_ok());
                    expanded.push_str(number.unwrap_or("…"));
                }
            }
        }
        expanded
    }

    fn first(&self, variable: &VariableRef, variables: &Variables, texts: &Texts<'_>) -> Vec<u8> {
        match (variable.collection, &variable.selector) {
            (Collection::Tx, Selector::Named(name)) => self.get(name).unwrap_or_default().to_vec(),
            (Collection::MatchedVar | Collection::MatchedVars, _) => {
                self.matched.last().map_or_else(Vec::new, |matched| texts.bytes(matched.value).to_vec())
            }
            (Collection::MatchedVarName | Collection::MatchedVarsNames, _) => {
                self.matched.last().map_or_else(Vec::new, |matched| matched.shown(texts).into_bytes())
            }
            (collection, selector) => {
                let mut items = variables.of(collection).iter();
                let found = items.find(|item| selector.selects(&texts.bytes(item.name)));
                found.map_or_else(Vec::new, |item| texts.bytes(item.value).to_vec())
            }
        }
    }
}

/// Beginnings of the variables in which rules count: the Core Rule Set's, by level, and our own.
const SCORES: [&str; 2] = ["inbound_anomaly_score_pl", "api_anomaly_score"];

/// As C reads numbers: sign and digits at the beginning, else zero.
pub(crate) fn number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        Some(_) | None => (false, text),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let size =
        digits.fold(0_i64, |sum, digit| sum.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    if negative { -size } else { size }
}
