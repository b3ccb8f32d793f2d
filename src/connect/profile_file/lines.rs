//! On which line of a file a key stands.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The line, from 1, of every key (`brand[2].accounts_api.use`) and every entry
/// of a list (`brand[2].quirks[0]`).
#[derive(Default)]
pub(super) struct Lines(BTreeMap<String, usize>);

impl Lines {
    /// Notes where something stands.
    pub(super) fn note(&mut self, path: String, line: usize) {
        self.0.entry(path).or_insert(line);
    }

    /// Of a TOML file; none of what is not TOML.
    pub(super) fn of_toml(text: &str) -> Self {
        let mut lines = Self::default();
        if let Ok(root) = DeTable::parse(text) {
            let newlines = text.match_indices('\n').map(|(byte, _)| byte).collect();
            Toml { newlines, lines: &mut lines }.table("", root.get_ref());
        }
        lines
    }

    /// The line of a key: where it stands; else, for a brand's, where the
    /// defaults have it; else where what should hold it begins.
    pub(super) fn of(&self, path: &str) -> Option<usize> {
        let inherited = || self.0.get(&format!("defaults.{}", brand_key(path)?));
        self.0.get(path).or_else(inherited).copied().or_else(|| self.of_holder(path))
    }

    fn of_holder(&self, path: &str) -> Option<usize> {
        let mut rest = path;
        while let Some(end) = rest.rfind(['.', '[']) {
            rest = rest.get(..end)?;
            if let Some(line) = self.0.get(rest) {
                return Some(*line);
            }
        }
        None
    }
}

/// What follows `brand[n].`.
fn brand_key(path: &str) -> Option<&str> {
    path.strip_prefix("brand[")?.split_once("].").map(|(_, key)| key)
}

/// The line that a byte is on.
pub(super) fn line_at(text: &str, byte: usize) -> Option<usize> {
    Some(text.get(..byte)?.matches('\n').count().saturating_add(1))
}

struct Toml<'a> {
    newlines: Vec<usize>,
    lines: &'a mut Lines,
}

impl Toml<'_> {
    fn table(&mut self, path: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = key.get_ref();
            let path = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
            self.note(path.clone(), key.span().start);
            self.value(&path, value);
        }
    }

    fn value(&mut self, path: &str, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(path, table),
            DeValue::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    self.note(path.clone(), value.span().start);
                    self.value(&path, value);
                }
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }

    fn note(&mut self, path: String, byte: usize) {
        let above = self.newlines.partition_point(|newline| *newline < byte);
        self.lines.note(path, above.saturating_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "group = \"G\"\n\n[defaults]\nregion = \"eu\"\n\n[[brand]]\nid = \"one\"\n\n[[brand]]\nid = \"two\"\naccounts_api = { use = \"4.0\",\n  \"4.0\" = \"x\" }\nquirks = [\n  { name = \"a\" },\n  { name = \"b\" },\n]\n";

    #[test]
    fn a_key_is_found_where_it_stands_or_where_it_should() {
        let lines = Lines::of_toml(FILE);
        for (path, line) in [
            ("group", Some(1)),
            ("brand[0].id", Some(7)),
            ("brand[1].accounts_api.4.0", Some(12)),
            ("brand[1].quirks[1].name", Some(15)),
            ("brand[1].quirks[1].nothing", Some(15)),
            ("brand[1].region", Some(4)),
            ("brand[1].nothing", Some(9)),
            ("nothing", None),
        ] {
            assert_eq!(lines.of(path), line, "{path}");
        }
        assert_eq!(Lines::of_toml("not = = toml").of("x"), None);
    }
}
