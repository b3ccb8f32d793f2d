//! JSON through the strict reader, the model and the signatures. The first line is method and path.

#![no_main]

use crypto::json::{InvalidJson, MAX_DEPTH, unique_value};
use fuzz::{Written, line};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let (first, body) = line(data);
    let strict = unique_value(body);
    let loose = serde_json::from_slice::<Value>(body);
    match (&strict, &loose) {
        (Ok(strict), Ok(loose)) => {
            assert_eq!(strict, loose, "one meaning");
            assert!(depth(strict) <= usize::from(MAX_DEPTH));
            let again = unique_value(strict.to_string().as_bytes());
            assert!(has_fraction(strict) || again.as_ref() == Ok(strict), "written and read again");
        }
        (Ok(_), Err(error)) => panic!("only the strict reader takes it: {error}"),
        (Err(InvalidJson::Malformed), Ok(_)) => panic!("only the strict reader finds it malformed"),
        (Err(_), _) => {}
    }
    let Ok(text) = std::str::from_utf8(first) else { return };
    let Some((method, target)) = text.split_once(' ') else { return };
    let headers = vec![("content-type".to_owned(), b"application/json".as_slice())];
    let written = Written { method, target, headers, body };
    judge(&written, strict.as_ref().ok());
});

fn judge(written: &Written<'_>, value: Option<&Value>) {
    let judged = written.judged();
    let wants_json = judged.deviations.is_empty() && judged.operation.is_some() && !written.body.is_empty();
    let empty = written.body.trim_ascii() == b"{}";
    let Some(value) = value else {
        assert!(!(wants_json && judged.typed.whole_body()), "what is no JSON of one meaning is a deviation");
        return;
    };
    let plain = value.to_string();
    let again = Written { body: plain.as_bytes(), headers: written.headers.clone(), ..*written };
    if !empty {
        assert_eq!(again.judged(), judged, "spelling and space mean nothing");
    }
    let verdicts = (written.inspected(&judged.typed), again.inspected(&judged.typed));
    if let (Ok(one), Ok(other)) = verdicts
        && !has_fraction(value)
    {
        assert_eq!(one.rules(), other.rules(), "spelling and space mean nothing to rules");
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// A number that is not whole is read to the nearest that there is, and may be written as another.
fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        _ => false,
    }
}
