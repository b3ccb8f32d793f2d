//! One table of a profile file, read key by key; what is left over is a problem.

use std::collections::{BTreeMap, BTreeSet};

use super::ProfileProblem;

/// Edits (Damerau-Levenshtein) that make an unknown key a misspelt one.
const MISSPELT: usize = 3;

/// Bytes of a key that can be a misspelt one.
const LONGEST_KEY: usize = 64;

/// What the reading of a file brought to light.
#[derive(Default)]
pub(super) struct Findings {
    /// What is wrong.
    pub(super) problems: Vec<ProfileProblem>,
    /// Every key that the reader knows, where it looked for it.
    pub(super) known: BTreeSet<String>,
}

/// A table with its place, and where its problems go.
pub(super) struct Table<'a> {
    file: &'a str,
    path: String,
    entries: toml::Table,
    findings: &'a mut Findings,
}

impl<'a> Table<'a> {
    pub(super) fn new(file: &'a str, path: String, entries: toml::Table, findings: &'a mut Findings) -> Self {
        Self { file, path, entries, findings }
    }

    /// Where a key of this table is.
    pub(super) fn place(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// Takes a key out, and notes that it is one.
    fn take(&mut self, key: &str) -> Option<toml::Value> {
        self.findings.known.insert(self.place(key));
        self.entries.remove(key)
    }

    /// The known key of this table that an unknown one is most like.
    fn meant_by(&self, unknown: &str) -> Option<&str> {
        if unknown.len() > LONGEST_KEY {
            return None;
        }
        let here = self.place("");
        let known = self.findings.known.range(here.clone()..).map_while(|key| key.strip_prefix(&here));
        known
            .map(|key| (strsim::damerau_levenshtein(key, unknown), key))
            .filter(|(edits, key)| *edits <= MISSPELT && *edits < key.len().min(unknown.len()))
            .min()
            .map(|(_, key)| key)
    }

    /// Notes a problem of a key of this table.
    pub(super) fn problem(&mut self, key: &str, why: &str) {
        let problem = ProfileProblem::new(self.file, self.place(key), why.to_owned());
        self.findings.problems.push(problem);
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(mut self) {
        let unknown: Vec<String> = self.entries.keys().cloned().collect();
        for key in unknown {
            let meant = self.meant_by(&key).map(|meant| format!("; is {meant} meant?"));
            self.problem(&key, &format!("is not a key here{}", meant.unwrap_or_default()));
        }
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let value = self.take(key)?;
        if let toml::Value::String(text) = value
            && !text.is_empty()
        {
            return Some(text);
        }
        self.problem(key, "is a text");
        None
    }

    pub(super) fn required_text(&mut self, key: &str) -> Option<String> {
        if self.entries.contains_key(key) {
            return self.text(key);
        }
        self.findings.known.insert(self.place(key));
        self.problem(key, "is missing");
        None
    }

    pub(super) fn parsed<T: std::str::FromStr>(&mut self, key: &str, what: &str) -> Option<T> {
        let text = self.required_text(key)?;
        let value = text.parse().ok();
        if value.is_none() {
            self.problem(key, &format!("is {what}"));
        }
        value
    }

    /// One of these words.
    pub(super) fn word(&mut self, key: &str, words: &[&str]) -> Option<String> {
        if self.entries.contains_key(key) {
            return self.word_or_none(key, words);
        }
        self.findings.known.insert(self.place(key));
        self.problem(key, "is missing");
        None
    }

    /// One of these words, or nothing.
    pub(super) fn word_or_none(&mut self, key: &str, words: &[&str]) -> Option<String> {
        let text = self.text(key)?;
        if words.contains(&text.as_str()) {
            return Some(text);
        }
        self.problem(key, &format!("is one of: {}", words.join(", ")));
        None
    }

    /// A list of texts, each read by `read`.
    pub(super) fn words<T>(&mut self, key: &str, what: &str, read: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let toml::Value::Array(list) = value else {
            self.problem(key, "is a list");
            return Vec::new();
        };
        let mut found = Vec::new();
        for (index, item) in list.iter().enumerate() {
            match item.as_str().filter(|text| !text.is_empty()).and_then(&read) {
                Some(value) => found.push(value),
                None => self.problem(&format!("{key}[{index}]"), &format!("is {what}")),
            }
        }
        found
    }

    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        let value = self.take(key)?.as_bool();
        if value.is_none() {
            self.problem(key, "is true or false");
        }
        value
    }

    /// A whole number from 1 to 65535.
    pub(super) fn number(&mut self, key: &str) -> Option<u16> {
        let value = self.take(key)?;
        let number = value.as_integer().and_then(|number| u16::try_from(number).ok()).filter(|n| *n > 0);
        if number.is_none() {
            self.problem(key, "is a whole number from 1 to 65535");
        }
        number
    }

    /// A whole number from 0 to `most`.
    pub(super) fn count(&mut self, key: &str, most: u8) -> Option<u8> {
        let value = self.take(key)?;
        let number = value.as_integer().and_then(|number| u8::try_from(number).ok()).filter(|n| *n <= most);
        if number.is_none() {
            self.problem(key, &format!("is a whole number from 0 to {most}"));
        }
        number
    }

    pub(super) fn table(&mut self, key: &str) -> Option<Table<'_>> {
        let value = self.take(key)?;
        if let toml::Value::Table(entries) = value {
            let path = self.place(key);
            return Some(Table { file: self.file, path, entries, findings: self.findings });
        }
        self.problem(key, "is a table");
        None
    }

    /// Reads each table of a list.
    pub(super) fn each_table<T>(
        &mut self,
        key: &str,
        mut read: impl FnMut(Table<'_>) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let toml::Value::Array(list) = value else {
            self.problem(key, "is a list of tables");
            return Vec::new();
        };
        let mut found = Vec::new();
        for (index, item) in list.into_iter().enumerate() {
            let path = format!("{}.{key}[{index}]", self.path);
            if let toml::Value::Table(entries) = item {
                found.extend(read(Table { file: self.file, path, entries, findings: self.findings }));
            } else {
                self.problem(&format!("{key}[{index}]"), "is a table");
            }
        }
        found
    }

    /// A table of texts under names of the file's own, which `fits` judges.
    pub(super) fn texts(
        &mut self,
        key: &str,
        what: &str,
        fits: impl Fn(&str, &str) -> bool,
    ) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let Some(mut inner) = self.table(key) else { return found };
        for (name, value) in std::mem::take(&mut inner.entries) {
            match value.as_str() {
                Some(text) if fits(&name, text) => drop(found.insert(name, text.to_owned())),
                Some(_) | None => inner.problem(&name, &format!("is {what}")),
            }
        }
        found
    }

    /// Any value, as JSON.
    pub(super) fn json(&mut self, key: &str) -> Option<serde_json::Value> {
        serde_json::to_value(self.take(key)?).ok()
    }

    /// Takes the entries of these names as they are.
    pub(super) fn take_known(&mut self, names: &[&str]) -> BTreeMap<String, toml::Value> {
        names.iter().filter_map(|name| Some(((*name).to_owned(), self.take(name)?))).collect()
    }
}
