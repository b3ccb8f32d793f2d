//! YAML 1.2 (core schema) into JSON values, as far as OpenAPI files need it: no aliases, and keys are
//! texts whatever they look like.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value, json};

enum Open {
    Map(Map<String, Value>, Option<String>),
    List(Vec<Value>),
}

/// Reads one document.
///
/// # Errors
///
/// If the text is no YAML, or repeats itself by anchors.
pub fn read(text: &str) -> Result<Value, String> {
    parsed(text).or_else(|why| parsed(&indented(text)).map_err(|_| why))
}

fn parsed(text: &str) -> Result<Value, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut root = Value::Null;
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| format!("no YAML: {error}"))?;
        let value = match event {
            Event::Scalar(text, style, ..) => {
                if let Some(Open::Map(_, key @ None)) = open.last_mut() {
                    *key = Some(text.into_owned());
                    continue;
                }
                if style == ScalarStyle::Plain { plain(&text) } else { json!(text) }
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::Map(map, _)) => Value::Object(map),
                Some(Open::List(list)) => Value::Array(list),
                None => continue,
            },
            Event::Alias(_) => return Err(format!("an alias in line {}", span.start.line())),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => continue,
        };
        match open.last_mut() {
            None => root = value,
            Some(Open::List(list)) => list.push(value),
            Some(Open::Map(map, key)) => {
                map.insert(key.take().unwrap_or_default(), value);
            }
        }
    }
    Ok(root)
}

/// Published files close brackets where their key begins, which YAML 1.2 does not allow (§8.1): such a
/// line is set further in.
fn indented(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    for line in text.lines() {
        if line.trim_start().starts_with(['}', ']']) {
            whole.push_str("                    ");
        }
        whole.push_str(line);
        whole.push('\n');
    }
    whole
}

fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => json!(true),
        "false" | "False" | "FALSE" => json!(false),
        _ => {
            let number = text.parse::<i64>().ok().map(|number| json!(number));
            let digits = text.starts_with(|first: char| first.is_ascii_digit() || first == '-');
            let decimal = || text.parse::<f64>().ok().filter(|_| digits).map(|number| json!(number));
            number.or_else(decimal).unwrap_or_else(|| json!(text))
        }
    }
}
