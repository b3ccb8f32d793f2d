//! What a script expects: named assertions, of which all must hold, and one of some others.

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use super::steps::named;
use super::{Manifests, Script};

impl Manifests {
    pub(super) fn expectation(&self, script: &Script, v4: bool) -> anyhow::Result<Value> {
        let mut all = Wanted::default();
        for name in &script.asserts {
            all.add(self.assertion(name, v4)?);
        }
        if script.asserts_one_of.is_empty() {
            if all.is_empty() {
                return Ok(json!({"status": ["2xx"]}));
            }
            return Ok(all.expect());
        }
        let mut several = Vec::new();
        for name in &script.asserts_one_of {
            let mut one = all.clone();
            one.add(self.assertion(name, v4)?);
            several.push(one.expect());
        }
        Ok(json!(several))
    }

    /// An assertion by its name; of two versions the bank's.
    fn assertion(&self, name: &str, v4: bool) -> anyhow::Result<&Value> {
        let newer = self.assertions.get(&format!("{name}V4")).filter(|_| v4);
        let found = newer.or_else(|| self.assertions.get(name)).and_then(|found| found.get("expect"));
        found.with_context(|| format!("assertions.json has no {name}"))
    }
}

/// Conditions that must all hold.
#[derive(Clone, Default)]
struct Wanted {
    status: Option<Value>,
    headers: Map<String, Value>,
    json: Map<String, Value>,
    body: Option<Value>,
}

impl Wanted {
    fn is_empty(&self) -> bool {
        self.status.is_none() && self.headers.is_empty() && self.json.is_empty() && self.body.is_none()
    }

    fn add(&mut self, expect: &Value) {
        if let Some(status) = expect.get("status-code") {
            self.status = Some(status.clone());
        }
        for wanted in expect.get("matches").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| wanted.get(name).and_then(Value::as_str);
            if let Some(name) = text("header-present") {
                self.headers.insert(name.to_ascii_lowercase(), json!({"present": true}));
            } else if let Some(name) = text("header") {
                let value = named(text("value").unwrap_or_default());
                self.headers.insert(name.to_ascii_lowercase(), json!(value));
            } else if let Some(path) = text("JSON-NOT-PRESENT") {
                self.json.insert(pointer(path), json!({"present": false}));
            } else if let Some(path) = text("JSON") {
                self.at(path, text("Value").or(text("value")));
            }
        }
    }

    /// A place in the body. One of several that is found by what is in it may be anywhere.
    fn at(&mut self, path: &str, value: Option<&str>) {
        match (path.contains("#["), value) {
            (true, Some(value)) => {
                let last = path.rsplit('.').next().unwrap_or_default();
                let pattern = format!(r#""{}"\s*:\s*"{}""#, regex::escape(last), regex::escape(value));
                self.body = Some(json!({"matches": pattern}));
            }
            (true, None) => {}
            (false, None) => drop(self.json.insert(pointer(path), json!({"present": true}))),
            (false, Some(word @ ("true" | "false"))) => {
                drop(self.json.insert(pointer(path), json!({"one_of": [word, word == "true"]})));
            }
            (false, Some(value)) => drop(self.json.insert(pointer(path), json!(named(value)))),
        }
    }

    fn expect(self) -> Value {
        let mut expect = Map::new();
        if let Some(status) = self.status {
            expect.insert("status".to_owned(), status);
        }
        expect.insert("headers".to_owned(), json!(self.headers));
        expect.insert("json".to_owned(), json!(self.json));
        if let Some(body) = self.body {
            expect.insert("body".to_owned(), body);
        }
        Value::Object(expect)
    }
}

fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}
