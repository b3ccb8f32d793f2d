//! What a bank answers otherwise than it did: the shapes of two recordings,
//! operation by operation. Values are not compared, codes are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::codes::is_code;
use super::form::{Form, form_of};
use super::{Exchange, last_of};

/// Stands for any entry of a list in paths.
const ENTRY: &str = "[]";
/// Members that lead to other pages of a list.
const PAGING: [&str; 5] = ["next", "nextPage", "prev", "previous", "previousPage"];

/// One difference between an old recording and a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The bank.
    pub bank: String,
    /// What was asked for.
    pub operation: String,
    /// Where in the answer: `$` is its body, `[]` any entry of a list.
    pub path: String,
    /// What is different.
    pub change: Change,
}

/// What is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there before; how it looks.
    Appeared(String),
    /// It is no longer there; how it looked.
    Vanished(String),
    /// It looks otherwise.
    Form {
        /// How it looked.
        before: String,
        /// How it looks.
        now: String,
    },
    /// A code that was not met before.
    NewCode(String),
    /// Other statuses.
    Status {
        /// Those before.
        before: String,
        /// Those now.
        now: String,
    },
    /// Other content types.
    ContentType {
        /// Those before.
        before: String,
        /// Those now.
        now: String,
    },
    /// What was asked for is in one of the recordings only.
    Asked {
        /// Whether it is in the new one.
        now: bool,
    },
}

impl Change {
    /// A word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Appeared(_) => "appeared",
            Self::Vanished(_) => "vanished",
            Self::Form { .. } => "form",
            Self::NewCode(_) => "new-code",
            Self::Status { .. } => "status",
            Self::ContentType { .. } => "content-type",
            Self::Asked { .. } => "asked",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Appeared(form) => write!(f, "appeared ({form})"),
            Self::Vanished(form) => write!(f, "vanished ({form})"),
            Self::Form { before, now } => write!(f, "{before} -> {now}"),
            Self::NewCode(code) => write!(f, "new code {code}"),
            Self::Status { before, now } => write!(f, "status {before} -> {now}"),
            Self::ContentType { before, now } => write!(f, "content type {before} -> {now}"),
            Self::Asked { now: true } => f.write_str("is in the new recording only"),
            Self::Asked { now: false } => f.write_str("is in the old recording only"),
        }
    }
}

/// A line of a recording is no exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {0} is no recorded exchange")]
pub struct NoExchange(pub usize);

/// The shapes of a recording's answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shapes(BTreeMap<(String, String), Shape>);

/// The shapes of the answers to one operation of a bank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shape {
    statuses: BTreeSet<String>,
    media: BTreeSet<String>,
    /// By the members on the way there; `[]` is any entry of a list.
    fields: BTreeMap<Vec<String>, Field>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Field {
    forms: BTreeSet<Looks>,
    codes: BTreeSet<String>,
}

/// How a value looks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Looks {
    Null,
    Bool,
    Number,
    Text(Form),
    List,
    Object,
    /// Not JSON at all.
    Bytes,
}

impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("boolean"),
            Self::Number => f.write_str("number"),
            Self::Text(form) => form.fmt(f),
            Self::List => f.write_str("list"),
            Self::Object => f.write_str("object"),
            Self::Bytes => f.write_str("not JSON"),
        }
    }
}

impl Shapes {
    /// The shapes of a recording (JSON Lines).
    ///
    /// # Errors
    ///
    /// The number of a line that is no exchange.
    pub fn of(recording: &str) -> Result<Self, NoExchange> {
        let mut shapes = Self::default();
        for (index, line) in recording.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let exchange: Exchange =
                serde_json::from_str(line).map_err(|_| NoExchange(index.saturating_add(1)))?;
            shapes.add(exchange);
        }
        Ok(shapes)
    }

    fn add(&mut self, exchange: Exchange) {
        let operation = exchange
            .operation
            .unwrap_or_else(|| format!("{} {}", exchange.method, last_of(&exchange.url).unwrap_or_default()));
        let shape = self.0.entry((exchange.bank, operation)).or_default();
        shape.statuses.insert(exchange.status.to_string());
        let content_type = |(name, _): &(&String, &Value)| name.eq_ignore_ascii_case("content-type");
        let media = exchange.resp_headers.iter().find(content_type).and_then(|(_, value)| value.as_str());
        shape.media.insert(media.unwrap_or("none").to_owned());
        let body = exchange.body.unwrap_or_default();
        if body.starts_with('\u{feff}') {
            let mark = vec!["byte order mark".to_owned()];
            shape.fields.entry(mark).or_default().forms.insert(Looks::Bytes);
        }
        match serde_json::from_str(body.trim_start_matches('\u{feff}')) {
            Ok(value) => shape.note(&[], "", &value),
            Err(_) if body.is_empty() => {}
            Err(_) => {
                shape.fields.entry(Vec::new()).or_default().forms.insert(Looks::Bytes);
            }
        }
    }

    /// What is different since the older recording.
    #[must_use]
    pub fn since(&self, old: &Self) -> Vec<Difference> {
        let operations: BTreeSet<_> = old.0.keys().chain(self.0.keys()).collect();
        let mut found = Vec::new();
        for key in operations {
            let changes = match (old.0.get(key), self.0.get(key)) {
                (Some(before), Some(now)) => now.since(before),
                (before, _) => vec![(shown(&[]), Change::Asked { now: before.is_none() })],
            };
            let (bank, operation) = key;
            found.extend(changes.into_iter().map(|(path, change)| Difference {
                bank: bank.clone(),
                operation: operation.clone(),
                path,
                change,
            }));
        }
        found
    }
}

impl Shape {
    fn note(&mut self, path: &[String], member: &str, value: &Value) {
        let field = self.fields.entry(path.to_vec()).or_default();
        field.forms.insert(match value {
            Value::Null => Looks::Null,
            Value::Bool(_) => Looks::Bool,
            Value::Number(_) => Looks::Number,
            Value::String(text) => {
                if is_code(member, text) {
                    field.codes.insert(text.clone());
                }
                Looks::Text(form_of(text))
            }
            Value::Array(_) => Looks::List,
            Value::Object(_) => Looks::Object,
        });
        let below = |name: &str| [path, &[name.to_owned()]].concat();
        match value {
            Value::Array(items) => {
                items.iter().for_each(|item| self.note(&below(ENTRY), member, item));
            }
            Value::Object(members) => {
                members.iter().for_each(|(name, value)| self.note(&below(name), name, value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn since(&self, old: &Self) -> Vec<(String, Change)> {
        let mut found = Vec::new();
        let body = || shown(&[]);
        if self.statuses != old.statuses {
            let change = Change::Status { before: joined(&old.statuses), now: joined(&self.statuses) };
            found.push((body(), change));
        }
        if self.media != old.media {
            let change = Change::ContentType { before: joined(&old.media), now: joined(&self.media) };
            found.push((body(), change));
        }
        let paths: BTreeSet<_> = old.fields.keys().chain(self.fields.keys()).collect();
        for path in paths {
            let mut note = |change| found.push((shown(path), change));
            match (old.fields.get(path), self.fields.get(path)) {
                (Some(before), Some(now)) => now.since(before).into_iter().for_each(note),
                (None, Some(now)) if old.tells_of(path) => note(Change::Appeared(joined(&now.forms))),
                (Some(before), None) if self.tells_of(path) => note(Change::Vanished(joined(&before.forms))),
                (None | Some(_), None) | (None, Some(_)) => {}
            }
        }
        found
    }

    /// Whether the lack of `path` means something: what it would stand in is
    /// there. An empty list tells nothing of its entries, and whether there is
    /// another page depends on how much there is to tell.
    fn tells_of(&self, path: &[String]) -> bool {
        let Some((member, parent)) = path.split_last() else { return true };
        let paging = PAGING.iter().any(|paging| paging.eq_ignore_ascii_case(member));
        let parent = self.fields.get(parent).filter(|_| !paging);
        parent.is_some_and(|parent| member != ENTRY || !parent.forms.contains(&Looks::List))
    }
}

/// The path as people write it.
fn shown(path: &[String]) -> String {
    let segments = path.iter().map(|name| if name == ENTRY { name.clone() } else { format!(".{name}") });
    format!("${}", segments.collect::<String>())
}

impl Field {
    fn since(&self, old: &Self) -> Vec<Change> {
        // A text of any form is no news where texts had none.
        let loose = old.forms.contains(&Looks::Text(Form::Text));
        let known = |form: &&Looks| old.forms.contains(*form) || (loose && matches!(form, Looks::Text(_)));
        let codes = self.codes.difference(&old.codes).cloned().map(Change::NewCode);
        let same = self.forms.iter().all(|form| known(&form));
        let changed = (!same).then(|| Change::Form { before: joined(&old.forms), now: joined(&self.forms) });
        changed.into_iter().chain(codes).collect()
    }
}

fn joined<T: fmt::Display>(parts: &BTreeSet<T>) -> String {
    parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests;
