//! Values that cases name: `${…}`.

use std::collections::BTreeMap;

use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Value, json};

use crate::jose::base64url;

/// What a case knows by name.
#[derive(Clone, Debug, Default)]
pub struct Values {
    known: BTreeMap<String, Value>,
    now: i64,
}

impl Values {
    /// Keeps a value.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.known.insert(name.to_owned(), value.into());
    }

    /// A value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.known.get(name)
    }

    /// A text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.known.get(name).and_then(Value::as_str)
    }

    /// What time it is for the target, in Unix seconds.
    pub fn at(&mut self, now: i64) {
        self.now = now;
    }

    /// The value with all that it names in its place. A text that is nothing but `${…}` becomes what
    /// that stands for, of any kind.
    #[must_use]
    pub fn fill(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.fill_text(text),
            Value::Array(of) => of.iter().map(|value| self.fill(value)).collect(),
            Value::Object(of) => of.iter().map(|(name, value)| (name.clone(), self.fill(value))).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn fill_text(&self, text: &str) -> Value {
        if let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'))
            && !name.contains("${")
        {
            return self.named(name);
        }
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else { break };
            filled.push_str(before);
            filled.push_str(&plain(&self.named(name)));
            rest = after;
        }
        filled.push_str(rest);
        json!(filled)
    }

    /// A text with all that it names in its place.
    #[must_use]
    pub fn filled(&self, text: &str) -> String {
        plain(&self.fill_text(text))
    }

    fn named(&self, name: &str) -> Value {
        let name = name.trim();
        if let Some(rest) = name.strip_prefix("now") {
            let rest = rest.replace(' ', "");
            if rest.is_empty() {
                return json!(self.now);
            }
            if let Ok(by) = rest.parse::<i64>() {
                return json!(self.now.saturating_add(by));
            }
        }
        if let Some(number) = name.strip_prefix("random ") {
            return json!(random(number.trim().parse().unwrap_or(32)));
        }
        if let Some(number) = name.strip_prefix("digits ") {
            let chance = random(number.trim().parse().unwrap_or(12));
            return json!(chance.bytes().map(|byte| char::from(b'0' + byte % 10)).collect::<String>());
        }
        if let Some(number) = name.strip_prefix("text ") {
            return json!("x".repeat(number.trim().parse().unwrap_or(1)));
        }
        if let Some(days) = name.strip_prefix("day") {
            let by = days.replace(' ', "").parse::<i64>().unwrap_or(0).saturating_mul(86_400);
            let at = jiff::Timestamp::from_second(self.now.saturating_add(by)).unwrap_or_default();
            return json!(at.strftime("%Y-%m-%d").to_string());
        }
        if let Some(rest) = name.strip_prefix("time") {
            let by = rest.replace(' ', "").parse::<i64>().unwrap_or(0);
            let at = jiff::Timestamp::from_second(self.now.saturating_add(by)).unwrap_or_default();
            return json!(at.to_string());
        }
        if name == "uuid" {
            return json!(uuid::Uuid::new_v4().to_string());
        }
        self.known.get(name).cloned().unwrap_or_else(|| json!(format!("${{{name}}}")))
    }
}

/// A text of so many random characters of base64url.
#[must_use]
pub fn random(characters: usize) -> String {
    let mut bytes = vec![0; characters];
    // A text of zeros would be noticed: the target refuses what it has seen before.
    let _ = SystemRandom::new().fill(&mut bytes);
    base64url(&bytes).chars().take(characters).collect()
}

/// A value as a parameter has it: a text without quotes, anything else as JSON.
#[must_use]
pub(crate) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
