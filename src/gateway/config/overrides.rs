//! What the environment says instead of the file: `database.url_file` is
//! `CONSENTRY_DATABASE_URL_FILE`.

use anyhow::{Context, bail};
use serde_json::Value as Json;
use toml::{Table, Value};

use super::{Variables, schema};

/// What the names begin with.
pub(super) const PREFIX: &str = "CONSENTRY_";

/// Names of ours that are no values of the file: they say where it is, or are for the tests.
const OTHERS: [&str; 5] =
    ["CONSENTRY_CONFIG", "CONSENTRY_LOG", "CONSENTRY_LOG_FOLDER", "CONSENTRY_PLUGINS", "CONSENTRY_TEST_"];

/// A value of the file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Leaf {
    /// Its section.
    pub(crate) section: String,
    /// Its name in it.
    pub(crate) key: String,
    /// What it is for.
    pub(crate) says: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Truth,
    List,
}

impl Leaf {
    /// Its name in the environment.
    pub(crate) fn variable(&self) -> String {
        variable(&format!("{}.{}", self.section, self.key))
    }

    /// Reads what the environment says; lists are parted by commas.
    fn value(&self, text: &str) -> anyhow::Result<Value> {
        Ok(match self.kind {
            Kind::Text => Value::String(text.to_owned()),
            Kind::Number => Value::Integer(text.parse().context("a whole number is wanted")?),
            Kind::Truth => Value::Boolean(text.parse().context("true or false is wanted")?),
            Kind::List => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
            }
        })
    }
}

/// The name of a value in the environment.
pub(super) fn variable(dotted: &str) -> String {
    format!("{PREFIX}{}", dotted.replace('.', "_").to_uppercase())
}

/// Puts what the environment says into the place of what the file says. An empty variable says nothing.
pub(super) fn apply(all: &mut Table, variables: &Variables) -> anyhow::Result<()> {
    let leaves = leaves();
    for (name, text) in variables.iter().filter(|(_, text)| !text.is_empty()) {
        let Some(leaf) = leaves.iter().find(|leaf| leaf.variable() == *name) else {
            if OTHERS.iter().any(|other| name == other || (other.ends_with('_') && name.starts_with(other))) {
                continue;
            }
            bail!("{name} is no variable of ours: `consentry config example` names them all");
        };
        let value = leaf.value(text).with_context(|| format!("{name} cannot be used"))?;
        let section = all.entry(leaf.section.clone()).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(section) = section else { bail!("{} is no section", leaf.section) };
        section.insert(leaf.key.clone(), value);
    }
    Ok(())
}

/// Every value that there is, in the order of sections.
pub(crate) fn leaves() -> Vec<Leaf> {
    let schema = schema();
    let mut all = Vec::new();
    for (section, described) in properties(&schema) {
        for (key, value) in properties(resolved(&schema, described)) {
            let says = value.get("description").and_then(Json::as_str).unwrap_or_default();
            all.push(Leaf {
                section: section.clone(),
                key: key.clone(),
                says: says.split_whitespace().collect::<Vec<_>>().join(" "),
                kind: kind(&schema, value),
            });
        }
    }
    all
}

/// What a section is for.
pub(super) fn said_of(section: &str) -> String {
    let schema = schema();
    let described = properties(&schema).find(|(name, _)| *name == section).map(|(_, described)| described);
    let says = described.and_then(|described| described.get("description")?.as_str());
    says.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn properties(schema: &Json) -> impl Iterator<Item = (&String, &Json)> {
    schema.get("properties").and_then(Json::as_object).into_iter().flatten()
}

/// What a reference of the schema is about.
fn resolved<'s>(schema: &'s Json, described: &'s Json) -> &'s Json {
    let reference = described.get("$ref").and_then(Json::as_str).and_then(|text| text.strip_prefix('#'));
    reference.and_then(|place| schema.pointer(place)).unwrap_or(described)
}

fn kind(schema: &Json, described: &Json) -> Kind {
    let described = resolved(schema, described);
    let said = |name: &str| match described.get("type") {
        Some(Json::String(only)) => only == name,
        Some(Json::Array(any)) => any.iter().any(|one| one == name),
        _ => false,
    };
    match () {
        () if said("array") => Kind::List,
        () if said("boolean") => Kind::Truth,
        () if said("integer") => Kind::Number,
        () => Kind::Text,
    }
}
