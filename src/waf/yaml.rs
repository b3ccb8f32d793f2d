//! The YAML that tests of rules are written in, as JSON values: one document,
//! without anchors or tags.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// Mappings and lists inside each other; a test needs six.
const DEPTH: usize = 16;

enum Open {
    Mapping(Map<String, Value>, Option<String>),
    List(Vec<Value>),
}

/// Reads a document; an empty one is null. The error is a sentence with its line.
pub(crate) fn read(text: &str) -> Result<Value, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| format!("line {}: {}", error.marker().line(), error.info()))?;
        let complete = match event {
            Event::Scalar(text, style, 0, None) => scalar(&mut open, &text, style),
            Event::SequenceStart(0, None) => begin(&mut open, Open::List(Vec::new()))?,
            Event::MappingStart(0, None) => begin(&mut open, Open::Mapping(Map::new(), None))?,
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(Open::closed),
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) | Event::Alias(_) => {
                return Err(format!("line {}: anchors, aliases and tags are not read", span.start.line()));
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => None,
        };
        let Some(value) = complete else { continue };
        match open.last_mut() {
            None => root = Some(value),
            Some(Open::List(items)) => items.push(value),
            Some(Open::Mapping(entries, key)) => {
                if let Some(key) = key.take() {
                    entries.insert(key, value);
                }
            }
        }
    }
    Ok(root.unwrap_or(Value::Null))
}

fn begin(open: &mut Vec<Open>, new: Open) -> Result<Option<Value>, String> {
    open.push(new);
    if open.len() > DEPTH { Err("nested too deep".to_owned()) } else { Ok(None) }
}

/// A key is kept, anything else is a value.
fn scalar(open: &mut [Open], text: &str, style: ScalarStyle) -> Option<Value> {
    if let Some(Open::Mapping(_, key @ None)) = open.last_mut() {
        *key = Some(text.to_owned());
        return None;
    }
    if style != ScalarStyle::Plain {
        return Some(text.into());
    }
    Some(match text {
        "" | "~" | "null" => Value::Null,
        "true" => true.into(),
        "false" => false.into(),
        _ => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
    })
}

impl Open {
    fn closed(self) -> Value {
        match self {
            Self::Mapping(entries, _) => Value::Object(entries),
            Self::List(items) => Value::Array(items),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_lists_and_scalars_are_read() {
        let text = "---\na: 1\nb:\n  - \"2\"\n  - true\n  - {c: ~}\nd: |\n  x\n  y\ne: a:b\n";
        let expected = serde_json::json!({"a": 1, "b": ["2", true, {"c": null}], "d": "x\ny\n", "e": "a:b"});
        assert_eq!(read(text), Ok(expected));
        assert_eq!(read("# nothing\n"), Ok(Value::Null));
        assert!(read("a: &x 1\nb: *x\n").is_err());
        assert!(read("a: [").is_err());
    }
}
