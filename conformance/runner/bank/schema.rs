//! Answers, held to the OpenAPI files that a standard publishes and the user has.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use boon::{Compiler, Draft, Schemas};
use serde_json::{Map, Value};

/// The official descriptions of a bank's interface.
#[derive(Debug, Default)]
pub struct Descriptions {
    documents: Vec<(String, Value)>,
}

impl Descriptions {
    /// Reads every OpenAPI file of a folder and of those in it, JSON or YAML.
    ///
    /// # Errors
    ///
    /// If one cannot be read, or there is none.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        files_of(folder, &mut files).with_context(|| format!("{} cannot be read", folder.display()))?;
        files.sort();
        let mut documents = Vec::new();
        for file in files {
            let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            let document = if file.extension().is_some_and(|kind| kind == "json") {
                serde_json::from_str(&text).map_err(|error| error.to_string())
            } else {
                super::yaml::read(&text)
            };
            let document =
                document.map_err(anyhow::Error::msg).with_context(|| file.display().to_string())?;
            if ["openapi", "swagger"].iter().any(|version| document.get(*version).is_some()) {
                documents.push((file.display().to_string(), mended(document)));
            }
        }
        anyhow::ensure!(!documents.is_empty(), "{} has no OpenAPI files", folder.display());
        Ok(Self { documents })
    }

    /// Whether an answer is one of those that the descriptions have for a request. The path is that
    /// below the base address, or with as much of it as the description has.
    ///
    /// # Errors
    ///
    /// A sentence about what does not fit, without values; [`Misfit::Unknown`] if no description has
    /// the operation.
    pub fn judge(&self, method: &str, path: &str, status: u16, body: &Value) -> Result<(), Misfit> {
        let path = path.split('?').next().unwrap_or_default();
        let method = method.to_ascii_lowercase();
        let all = self.documents.iter();
        let found: Vec<_> = all
            .filter_map(|(name, document)| Some((name, document, operation(document, &method, path)?)))
            .collect();
        // What describes more of the path is meant.
        let most = found.iter().map(|(_, _, (_, parts))| *parts).max().unwrap_or_default();
        let mut wrong = Misfit::Unknown;
        for (name, document, (item, _)) in found.iter().filter(|(_, _, (_, parts))| *parts == most) {
            match fits(name, document, item, status, body) {
                // The same path may be in the files of several versions.
                Ok(()) => return Ok(()),
                Err(why) => wrong = Misfit::Wrong(why),
            }
        }
        Err(wrong)
    }
}

/// Why an answer does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// No description has the operation.
    Unknown,
    /// The description has it otherwise.
    Wrong(String),
}

fn files_of(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files_of(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|kind| ["yaml", "yml", "json"].iter().any(|known| kind == *known))
        {
            files.push(path);
        }
    }
    Ok(())
}

/// OpenAPI 3.0 as a JSON Schema: `nullable` allows null, a published list of words may have one twice,
/// and alternatives that overlap as published are alternatives all the same.
fn mended(value: Value) -> Value {
    match value {
        Value::Array(of) => {
            let mut once: Vec<Value> = Vec::new();
            for item in of.into_iter().map(mended) {
                if !once.contains(&item) {
                    once.push(item);
                }
            }
            Value::Array(once)
        }
        Value::Object(of) => {
            let nullable = of.get("nullable") == Some(&Value::Bool(true));
            let mut made = Map::new();
            for (name, value) in of {
                let name = if name == "oneOf" && value.is_array() { "anyOf".to_owned() } else { name };
                // Examples and their likes hold anything, and are no schemas.
                if matches!(name.as_str(), "example" | "examples") {
                    continue;
                }
                made.insert(name, mended(value));
            }
            if nullable && let Some(kind @ Value::String(_)) = made.get("type").cloned() {
                made.insert("type".to_owned(), Value::Array(vec![kind, "null".into()]));
            }
            Value::Object(made)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// The operation of a path, as a JSON pointer, and of how many parts its path is.
fn operation(document: &Value, method: &str, path: &str) -> Option<(String, usize)> {
    let paths = document.get("paths")?.as_object()?;
    let mut found: Vec<_> = paths
        .iter()
        .filter(|(template, item)| item.get(method).is_some() && matches(template, path))
        .map(|(template, _)| template)
        .collect();
    // What is written out comes before what stands for anything.
    found.sort_by_key(|template| (template.matches('{').count(), std::cmp::Reverse(template.len())));
    let template = found.first()?;
    let pointer = format!("/paths/{}/{method}", template.replace('~', "~0").replace('/', "~1"));
    Some((pointer, template.trim_matches('/').split('/').count()))
}

/// Whether a path ends in what a template describes.
fn matches(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) =
        (template.trim_matches('/').split('/').collect(), path.trim_matches('/').split('/').collect());
    let Some(skipped) = path.len().checked_sub(template.len()) else { return false };
    let first_fits = template.first().is_some_and(|first| !first.starts_with('{'));
    let rest = path.iter().skip(skipped);
    first_fits && template.iter().zip(rest).all(|(wanted, part)| wanted.starts_with('{') || wanted == part)
}

fn fits(name: &str, document: &Value, item: &str, status: u16, body: &Value) -> Result<(), String> {
    let responses = document.pointer(&format!("{item}/responses")).and_then(Value::as_object);
    let responses = responses.ok_or("the description has no answers")?;
    let code = status.to_string();
    let key = [code.as_str(), "default"].into_iter().find(|key| responses.contains_key(*key));
    let key = key.ok_or_else(|| format!("the description has no answer {status} here"))?;
    let mut pointer = format!("{item}/responses/{key}");
    if let Some(named) = document.pointer(&format!("{pointer}/$ref")).and_then(Value::as_str) {
        pointer = named.trim_start_matches('#').to_owned();
    }
    let content = document.pointer(&format!("{pointer}/content")).and_then(Value::as_object);
    let media = content.and_then(|content| content.keys().find(|media| media.contains("json")));
    let pointer = match media {
        Some(media) => format!("{pointer}/content/{}/schema", media.replace('~', "~0").replace('/', "~1")),
        // So says version 2.
        None => format!("{pointer}/schema"),
    };
    if document.pointer(&pointer).is_none() {
        return Ok(());
    }
    let mut compiler = Compiler::new();
    compiler.set_default_draft(Draft::V4);
    let url = "mem:///description.json";
    let unusable = |error: &dyn std::fmt::Display| format!("{name} cannot be used: {error}");
    compiler.add_resource(url, document.clone()).map_err(|error| unusable(&error))?;
    let mut schemas = Schemas::new();
    let escaped = percent_encoding::utf8_percent_encode(&pointer, percent_encoding::NON_ALPHANUMERIC);
    let place = format!("{url}#{}", escaped.to_string().replace("%2F", "/"));
    let index = compiler.compile(&place, &mut schemas).map_err(|error| unusable(&error))?;
    schemas.validate(body, index).map_err(|error| {
        let mut places = Vec::new();
        leaves(&error, &mut places);
        places.dedup();
        places.truncate(6);
        format!("the body is not as described: {}", places.join("; "))
    })
}

/// Where it does not fit, and by which keyword: no values.
fn leaves(error: &boon::ValidationError<'_, '_>, places: &mut Vec<String>) {
    if error.causes.is_empty() {
        let kind = broken(error);
        let place = error.instance_location.to_string();
        places.push(format!("{} {kind}", if place.is_empty() { "the body" } else { &place }));
    }
    for cause in &error.causes {
        leaves(cause, places);
    }
}

fn broken(error: &boon::ValidationError<'_, '_>) -> String {
    if let boon::ErrorKind::Required { want } = &error.kind {
        return format!("{} is missing", want.join(", "));
    }
    if let boon::ErrorKind::AdditionalProperties { got } = &error.kind {
        let names: Vec<_> = got.iter().map(AsRef::as_ref).collect();
        return format!("{} is not known", names.join(", "));
    }
    if let boon::ErrorKind::MinLength { want, .. } = &error.kind {
        return format!("has less than {want} characters");
    }
    if let boon::ErrorKind::MaxLength { want, .. } = &error.kind {
        return format!("has more than {want} characters");
    }
    if let boon::ErrorKind::Pattern { want, .. } = &error.kind {
        return format!("does not match {want}");
    }
    if matches!(&error.kind, boon::ErrorKind::Type { .. }) {
        return "is of another type".to_owned();
    }
    if matches!(&error.kind, boon::ErrorKind::Enum { .. }) {
        return "is none of the known words".to_owned();
    }
    format!("breaks {}", error.schema_url.rsplit('/').next().unwrap_or_default())
}
