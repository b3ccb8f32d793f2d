//! Aggregated reads: what each home answers is put together in memory and kept nowhere.

use domain::{ConsentId, Timestamp};
use serde_json::{Map, Value, json};

/// Lists that are put together.
const LISTS: [&str; 3] = ["data", "sources", "summaries"];

/// Puts another home's answer behind what there is.
pub(crate) fn merge(into: &mut Map<String, Value>, other: Map<String, Value>) {
    for (name, value) in other {
        if !LISTS.contains(&name.as_str()) {
            continue;
        }
        match (into.get_mut(&name), value) {
            (Some(Value::Array(there)), Value::Array(more)) => there.extend(more),
            (None, more) => drop(into.insert(name, more)),
            (Some(_), _) => {}
        }
    }
}

/// Why something is left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeftOut {
    /// Code of the problem.
    pub(crate) code: String,
    /// The rules that forbid it, if any do.
    pub(crate) denied_by: Vec<String>,
}

/// Says that what lies in another region is left out, and why.
pub(crate) fn leave_out(
    into: &mut Map<String, Value>,
    consent: &ConsentId,
    status: &str,
    why: &LeftOut,
    now: Timestamp,
) {
    let mut source = json!({
        "consent_id": consent.to_string(), "region": consent.region().as_str(), "status": status,
        "code": why.code, "as_of": now.to_string(),
    });
    if let Value::Object(source) = &mut source
        && !why.denied_by.is_empty()
    {
        source.insert("denied_by".to_owned(), why.denied_by.clone().into());
    }
    match into.get_mut("sources") {
        Some(Value::Array(sources)) => sources.push(source),
        Some(_) | None => drop(into.insert("sources".to_owned(), Value::Array(vec![source]))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn lists_are_put_together_and_what_is_left_out_is_named() {
        let mut all = object(json!({ "data": [1], "sources": ["uk"], "page": { "has_more": false } }));
        merge(&mut all, object(json!({ "data": [2, 3], "sources": ["eu"], "summaries": [4], "page": 7 })));
        let consent: ConsentId = "con_fr_01a2220987ac795c99a8df167cd7c47e".parse().unwrap();
        let why =
            LeftOut { code: "region.denied".to_owned(), denied_by: vec!["residency.stream".to_owned()] };
        leave_out(&mut all, &consent, "RESIDENCY_DENIED", &why, Timestamp::UNIX_EPOCH);
        let expected = json!({
            "data": [1, 2, 3],
            "sources": ["uk", "eu", {
                "consent_id": consent.to_string(), "region": "fr", "status": "RESIDENCY_DENIED",
                "code": "region.denied", "denied_by": ["residency.stream"], "as_of": "1970-01-01T00:00:00Z",
            }],
            "summaries": [4],
            "page": { "has_more": false },
        });
        assert_eq!(Value::Object(all), expected);
        let mut nothing = Map::new();
        leave_out(&mut nothing, &consent, "FAILED", &LeftOut::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(nothing["sources"].as_array().unwrap().len(), 1);
    }
}
