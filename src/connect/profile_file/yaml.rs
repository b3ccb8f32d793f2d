//! Profiles in YAML 1.2 (core schema), into the same values as TOML.
//!
//! What a file says stands where it says it: anchors, aliases and tags are
//! refused, so that nothing multiplies. A key twice in a mapping is refused.

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::lines::Lines;

/// Mappings and lists inside each other. A profile needs seven.
const DEPTH: usize = 16;

/// Why a text is no YAML for us, and on which line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotYaml {
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) why: String,
}

/// A mapping or list that is not at its end yet.
enum Open {
    Mapping { path: String, entries: toml::Table, key: Option<String> },
    List { path: String, items: Vec<toml::Value> },
}

/// Reads one document, which is a mapping.
pub(super) fn read(text: &str) -> Result<(toml::Table, Lines), NotYaml> {
    let mut tree = Tree { open: Vec::new(), lines: Lines::default(), root: None };
    let mut parser = Parser::new_from_str(text);
    // At the end of a text the parser counts one line more than there is.
    let last = lines_of(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| NotYaml {
            line: error.marker().line().min(last),
            key: String::new(),
            why: format!("not YAML: {}", error.info()),
        })?;
        tree.take(event, span.start.line()).map_err(|(key, why)| NotYaml {
            line: span.start.line().min(last),
            key,
            why: why.to_owned(),
        })?;
    }
    match tree.root {
        Some(toml::Value::Table(root)) => Ok((root, tree.lines)),
        _ => Err(NotYaml { line: 1, key: String::new(), why: "is a mapping".to_owned() }),
    }
}

/// Lines as YAML counts them (1.2.2 §5.4): a carriage return alone ends one, too.
fn lines_of(text: &str) -> usize {
    text.replace("\r\n", "\n").replace('\r', "\n").lines().count().max(1)
}

struct Tree {
    open: Vec<Open>,
    lines: Lines,
    root: Option<toml::Value>,
}

/// Key and reason.
type Refused = (String, &'static str);

impl Tree {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), Refused> {
        let repeats = "anchors, aliases and tags are not taken";
        match event {
            Event::Scalar(text, style, 0, None) => self.scalar(&text, style, line),
            Event::SequenceStart(0, None) => {
                let path = self.begin(line)?;
                self.open.push(Open::List { path, items: Vec::new() });
                Ok(())
            }
            Event::MappingStart(0, None) => {
                let path = self.begin(line)?;
                self.open.push(Open::Mapping { path, entries: toml::Table::new(), key: None });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::DocumentStart(_) if self.root.is_some() => Err((String::new(), "is one document")),
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) | Event::Alias(_) => {
                Err((self.path(), repeats))
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, line: usize) -> Result<(), Refused> {
        if let Some(Open::Mapping { path, entries, key: key @ None }) = self.open.last_mut() {
            let place = below(path, text);
            if entries.contains_key(text) {
                return Err((place, "is here twice"));
            }
            self.lines.note(place, line);
            *key = Some(text.to_owned());
            return Ok(());
        }
        let path = self.begin(line)?;
        let value = if style == ScalarStyle::Plain { plain(text) } else { Some(text.into()) };
        self.put(value.ok_or((path, "has no value"))?)
    }

    /// Where the value that comes now stands.
    fn begin(&mut self, line: usize) -> Result<String, Refused> {
        if self.open.len() >= DEPTH {
            return Err((self.path(), "is nested too deep"));
        }
        if let Some(Open::Mapping { path, key: None, .. }) = self.open.last() {
            return Err((path.clone(), "has a key that is no text"));
        }
        let path = self.path();
        self.lines.note(path.clone(), line);
        Ok(path)
    }

    fn path(&self) -> String {
        match self.open.last() {
            None => String::new(),
            Some(Open::Mapping { path, key, .. }) => {
                key.as_ref().map_or_else(|| path.clone(), |key| below(path, key))
            }
            Some(Open::List { path, items }) => format!("{path}[{}]", items.len()),
        }
    }

    fn end(&mut self) -> Result<(), Refused> {
        match self.open.pop() {
            Some(Open::Mapping { entries, .. }) => self.put(entries.into()),
            Some(Open::List { items, .. }) => self.put(items.into()),
            None => Ok(()),
        }
    }

    fn put(&mut self, value: toml::Value) -> Result<(), Refused> {
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some(Open::List { items, .. }) => items.push(value),
            Some(Open::Mapping { entries, key, .. }) => {
                if let Some(key) = key.take() {
                    entries.insert(key, value);
                }
            }
        }
        Ok(())
    }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What a scalar without quotes is (YAML 1.2.2 §10.3.2); null is none.
fn plain(text: &str) -> Option<toml::Value> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let number = digits.bytes().all(|b| b.is_ascii_digit());
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => return None,
        "true" | "True" | "TRUE" => true.into(),
        "false" | "False" | "FALSE" => false.into(),
        _ => match (number, text.parse::<i64>()) {
            (true, Ok(number)) => number.into(),
            _ if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
                text.parse::<f64>().map_or_else(|_| text.into(), toml::Value::from)
            }
            _ => text.into(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (usize, String, String) {
        let NotYaml { line, key, why } = read(text).err().unwrap();
        (line, key, why)
    }

    #[test]
    fn values_are_those_of_toml() {
        let text = "a: text\nb: [1, true, 'no', no, 2026-06-03, 4.0]\nc:\n  \"4.0\": |\n    x\n    y\n  d: {e: -7}\n";
        let same = "a = \"text\"\nb = [1, true, \"no\", \"no\", \"2026-06-03\", 4.0]\nc = { \"4.0\" = \"x\\ny\\n\", d = { e = -7 } }";
        let (root, lines) = read(text).ok().unwrap();
        assert_eq!(root, same.parse::<toml::Table>().unwrap());
        for (path, line) in [("a", 1), ("b[3]", 2), ("c.4.0", 4), ("c.d.e", 7), ("c.d.f", 7)] {
            assert_eq!(lines.of(path), Some(line), "{path}");
        }
    }

    #[test]
    fn a_carriage_return_ends_a_line() {
        assert_eq!(refused("a: 1\rb: 2\r\na: 3\r").0, 3);
        assert_eq!(lines_of("a\rb\r\nc\n"), 3);
    }

    /// A file is read while the gateway runs: whatever is in it, it is read or refused.
    #[test]
    fn no_slip_of_the_keyboard_stops_the_reader() {
        let text =
            "a: text\nb: [1, true, 'no', {c: d}]\ne:\n  - f: |\n      x\n    g: \"h\\n\"\n# i\nj: >-\n  k\n";
        let (mut read_well, mut refused) = (0, 0);
        for place in 0..=text.len() {
            for typed in "[]{}:-#&*!|>'\"%@`,?\n\t \0é~".chars() {
                let mut inserted = text.to_owned();
                inserted.insert(place, typed);
                let replaced: String =
                    text.char_indices().map(|(at, c)| if at == place { typed } else { c }).collect();
                for text in [inserted, replaced, text[place..].to_owned()] {
                    *(if read(&text).is_ok() { &mut read_well } else { &mut refused }) += 1;
                }
            }
        }
        assert!(read_well > 100 && refused > 100, "{read_well} {refused}");
    }

    #[test]
    fn what_is_missing_at_the_end_is_told_of_the_last_line() {
        for (text, line) in
            [("a: b\nc", 2), ("a: b\nc\n", 2), ("a: [", 1), ("", 1), ("{ a\n b", 2), ("a:\n", 1)]
        {
            assert_eq!(refused(text).0, line, "{text}");
        }
    }

    #[test]
    fn what_multiplies_repeats_or_goes_deep_is_refused_with_line_and_key() {
        let anchors = "anchors, aliases and tags are not taken";
        let deep = format!("a: {}1{}", "[".repeat(40), "]".repeat(40));
        let stairs: String = (0..40).map(|depth| format!("{}k:\n", " ".repeat(depth))).collect();
        for (text, line, key, why) in [
            ("a: 1\nb: &x [1]\nc: *x\n", 2, "b", anchors),
            ("a: !!binary aa\n", 1, "a", anchors),
            ("a: 1\nb:\n  c: 1\n  c: 2\n", 4, "b.c", "is here twice"),
            ("a: 1\nb:\n", 2, "b", "has no value"),
            ("a: 1\n---\nb: 1\n", 2, "", "is one document"),
            ("? [a]\n: 1\n", 1, "", "has a key that is no text"),
            ("- 1\n", 1, "", "is a mapping"),
        ] {
            assert_eq!(refused(text), (line, key.to_owned(), why.to_owned()), "{text}");
        }
        assert_eq!(refused(&deep).2, "is nested too deep");
        assert_eq!(refused(&stairs).2, "is nested too deep");
        assert!(refused("a: [1\n").2.starts_with("not YAML"));
    }
}
