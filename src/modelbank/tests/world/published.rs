//! Every answer that the tests see, held to the interface descriptions that the standards
//! publish, where those are at hand.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

use boon::{Compiler, Draft, SchemaIndex, Schemas};
use serde_json::Value;
use serde_yaml_ng::Value as Yaml;

use super::Answer;

/// Where each description lies, and which paths it is about.
const DESCRIPTIONS: [(&str, &str, &str); 7] = [
    ("berlin-group/psd2-api_v1.3.11-2021-10-01v1.yaml", "/v1/", ""),
    (
        "uk-open-banking/v4.0.1/account-info-openapi.yaml",
        "/open-banking/v4.0/aisp/",
        "/open-banking/v4.0/aisp",
    ),
    (
        "uk-open-banking/v4.0.1/payment-initiation-openapi.yaml",
        "/open-banking/v4.0/pisp/",
        "/open-banking/v4.0/pisp",
    ),
    ("uk-open-banking/v4.0.1/events-openapi.yaml", "/open-banking/v4.0/event", "/open-banking/v4.0"),
    (
        "uk-open-banking/v4.0.1/confirmation-funds-openapi.yaml",
        "/open-banking/v4.0/cbpii/",
        "/open-banking/v4.0/cbpii",
    ),
    (
        "uk-open-banking/v3.1.11/payment-initiation-openapi.yaml",
        "/open-banking/v3.1/pisp/",
        "/open-banking/v3.1/pisp",
    ),
    ("uk-open-banking/v4.0.1/vrp-openapi.yaml", "/open-banking/v4.0/pisp/", "/open-banking/v4.0/pisp"),
];

struct Description {
    document: Value,
    about: &'static str,
    base: &'static str,
    compiled: Mutex<HashMap<String, (Schemas, SchemaIndex)>>,
}

static PUBLISHED: LazyLock<Vec<Description>> = LazyLock::new(|| {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/specs"));
    if !folder.is_dir() {
        eprintln!("SKIPPED: no published interface descriptions in {}", folder.display());
        return Vec::new();
    }
    let read = |(file, about, base): (&str, &'static str, &'static str)| {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let document = json(serde_yaml_ng::from_str(&text).unwrap());
        Description { document, about, base, compiled: Mutex::default() }
    };
    DESCRIPTIONS.into_iter().map(read).collect()
});

/// A description as JSON, where numbers are no keys.
fn json(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Sequence(list) => {
            // A list of words is published with one of them twice, which no schema may have.
            let all = list.into_iter().map(json);
            let once = |mut seen: Vec<Value>, next| {
                if !seen.contains(&next) {
                    seen.push(next);
                }
                seen
            };
            Value::Array(all.fold(Vec::new(), once))
        }
        Yaml::Mapping(map) => {
            let text = |key: Yaml| match key {
                // The alternatives that are published overlap, so that more than one fits.
                Yaml::String(word) if word == "oneOf" => "anyOf".to_owned(),
                Yaml::String(text) => text,
                other @ (Yaml::Null
                | Yaml::Bool(_)
                | Yaml::Number(_)
                | Yaml::Sequence(_)
                | Yaml::Mapping(_)
                | Yaml::Tagged(_)) => serde_yaml_ng::to_string(&other).unwrap().trim().to_owned(),
            };
            Value::Object(map.into_iter().map(|(key, value)| (text(key), json(value))).collect())
        }
        plain @ (Yaml::Null | Yaml::Bool(_) | Yaml::Number(_) | Yaml::String(_) | Yaml::Tagged(_)) => {
            serde_json::to_value(plain).unwrap()
        }
    }
}

/// True if there is something to be held to.
pub fn are_here() -> bool {
    !PUBLISHED.is_empty()
}

/// What is wrong with an answer, if a description is about its request.
pub fn judge(method: &str, url: &str, answer: &Answer) -> Result<(), String> {
    let url = url::Url::parse(url).map_err(|error| error.to_string())?;
    for description in PUBLISHED.iter().filter(|description| url.path().starts_with(description.about)) {
        description.judge(method, url.path(), answer)?;
    }
    Ok(())
}

impl Description {
    fn judge(&self, method: &str, path: &str, answer: &Answer) -> Result<(), String> {
        let path = path.strip_prefix(self.base).unwrap();
        // Of several patterns the one with the most fixed words is meant.
        let paths = self.document["paths"].as_object().unwrap();
        let fitting = paths.keys().filter_map(|pattern| Some((fixed_words(pattern, path)?, pattern)));
        let Some((_, pattern)) = fitting.max() else { return Ok(()) };
        let Some(operation) = paths[pattern].get(method.to_ascii_lowercase()) else { return Ok(()) };
        // Answered before the interface is asked.
        if answer.status == hyper::StatusCode::PAYLOAD_TOO_LARGE {
            return Ok(());
        }
        let status = answer.status.as_str();
        let at = format!("{method} {pattern} {status}");
        let mut place =
            format!("/paths/{}/{}/responses/{status}", escaped(pattern), method.to_ascii_lowercase());
        let response = operation["responses"].get(status);
        let mut response = response.ok_or_else(|| format!("{at} is not published: {}", answer.text))?;
        if let Some(elsewhere) = response["$ref"].as_str() {
            place = elsewhere.trim_start_matches('#').to_owned();
            response = self.document.pointer(&place).unwrap();
        }
        let Some(media) = response["content"].as_object() else {
            return if answer.text.is_empty() { Ok(()) } else { Err(format!("{at} has no body")) };
        };
        // A report is a file in the bank's own form, published as JSON without members.
        if pattern.ends_with("/report-file") && answer.status == hyper::StatusCode::OK {
            return Ok(());
        }
        let told = answer.header("content-type").split(';').next().unwrap_or_default();
        let fits = |media: &&String| media.split(';').next() == Some(told);
        let media = media.keys().find(fits).ok_or_else(|| format!("{at} is published without {told}"))?;
        let place = format!("{place}/content/{}/schema", escaped(media));
        let body: Value = serde_json::from_str(&answer.text).unwrap();
        let mut compiled = self.compiled.lock().unwrap();
        let (schemas, index) = compiled.entry(place).or_insert_with_key(|place| self.schema(place));
        let judged = schemas.validate(&body, *index);
        judged.map_err(|error| format!("{at} is not as published: {error:#} in {body:#}"))
    }

    /// The schema at a place of the document.
    fn schema(&self, place: &str) -> (Schemas, SchemaIndex) {
        let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
        // OpenAPI 3.0 writes schemas in the words of draft 4, nearly.
        compiler.set_default_draft(Draft::V4);
        compiler.enable_format_assertions();
        compiler.add_resource("https://published.example/api", self.document.clone()).unwrap();
        let index = compiler.compile(&format!("https://published.example/api#{place}"), &mut schemas);
        (schemas, index.unwrap())
    }
}

/// How many words of a path are those of the pattern; `None` if another does not fit.
fn fixed_words(pattern: &str, path: &str) -> Option<usize> {
    let (wanted, given): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
    let fits = wanted.len() == given.len()
        && wanted.iter().zip(&given).all(|(wanted, given)| wanted.starts_with('{') || wanted == given);
    fits.then(|| wanted.iter().filter(|word| !word.starts_with('{')).count())
}

/// A key as JSON Pointer has it, and then a fragment.
fn escaped(key: &str) -> String {
    let pointer = key.replace('~', "~0").replace('/', "~1");
    pointer.replace('{', "%7B").replace('}', "%7D").replace(' ', "%20")
}
