//! On which line of a file a key stands.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The line, from 1, of the key `path` (`brand[2].accounts_api.use`): where it
/// stands; else, for a brand's, where the defaults have it; else where what
/// should hold it begins.
pub(super) fn line_of(text: &str, path: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let (span, whole) = in_table(root.get_ref(), path, None)?;
    let default = brand_key(path).filter(|_| !whole).map(|key| format!("defaults.{key}"));
    let inherited = default.and_then(|path| in_table(root.get_ref(), &path, None));
    let span = inherited.filter(|(_, whole)| *whole).map_or(span, |(span, _)| span);
    line_at(text, span.start)
}

/// The line that a byte is on.
pub(super) fn line_at(text: &str, byte: usize) -> Option<usize> {
    Some(text.get(..byte)?.matches('\n').count().saturating_add(1))
}

/// What follows `brand[n].`.
fn brand_key(path: &str) -> Option<&str> {
    path.strip_prefix("brand[")?.split_once("].").map(|(_, key)| key)
}

/// The span of the deepest thing on the way to `path`, and whether it is the end
/// of it. Keys may hold dots, so each is tried as a whole.
fn in_table(table: &DeTable<'_>, path: &str, found: Option<Range<usize>>) -> Option<(Range<usize>, bool)> {
    let mut deepest = found.map(|span| (span, false));
    for (key, value) in table {
        let Some(rest) = path.strip_prefix(key.get_ref().as_ref()) else { continue };
        let reached = match rest.strip_prefix('.') {
            _ if rest.is_empty() => Some((key.span(), true)),
            Some(rest) => in_value(value, rest, key.span()),
            None if rest.starts_with('[') => in_value(value, rest, key.span()),
            None => continue,
        };
        match reached {
            Some((span, true)) => return Some((span, true)),
            other => deepest = other.or(deepest),
        }
    }
    deepest
}

fn in_value(value: &Spanned<DeValue<'_>>, path: &str, at: Range<usize>) -> Option<(Range<usize>, bool)> {
    match value.get_ref() {
        DeValue::Table(table) => in_table(table, path, Some(at)),
        DeValue::Array(values) => {
            let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
            let value = values.get(index.parse::<usize>().ok()?)?;
            match rest.strip_prefix('.') {
                Some(rest) => in_value(value, rest, value.span()),
                None => Some((value.span(), true)),
            }
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => Some((at, false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "group = \"G\"\n\n[defaults]\nregion = \"eu\"\n\n[[brand]]\nid = \"one\"\n\n[[brand]]\nid = \"two\"\naccounts_api = { use = \"4.0\",\n  \"4.0\" = \"x\" }\nquirks = [\n  { name = \"a\" },\n  { name = \"b\" },\n]\n";

    #[test]
    fn a_key_is_found_where_it_stands_or_where_it_should() {
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
            assert_eq!(line_of(FILE, path), line, "{path}");
        }
        assert_eq!(line_of("not = = toml", "x"), None);
    }
}
