//! A request that the solver found, as a person reads it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cedar_policy::EntityUid;
use cedar_policy_symcc::Env;
use serde_json::{Value, json};

/// The request and the regions, a line for each fact.
///
/// A solver calls a region `""` or `A`, as it comes: all that counts is which are the same, so
/// that they are given names here.
pub(super) fn readable(env: &Env) -> String {
    let mut shown = Shown::default();
    let asked = |uid: Option<&EntityUid>| uid.map(entity).unwrap_or_default();
    let ask = env.request.action().map(|action| action.id().unescaped().to_owned());
    shown.line("ask", &json!(ask));
    shown.line("principal", &asked(env.request.principal()));
    shown.line("resource", &asked(env.request.resource()));
    let context = env.request.context().and_then(|context| context.to_json_value().ok());
    shown.lines("", &context.unwrap_or_default());
    let regions = env.entities.to_json_value().ok();
    let mut described = BTreeMap::new();
    for region in regions.iter().filter_map(Value::as_array).flatten() {
        let (Some(uid), Some(facts)) = (region.get("uid"), region.get("attrs")) else { continue };
        if uid.get("type").and_then(Value::as_str) == Some("Region") {
            let name = shown.name(&json!({ "__entity": uid }));
            described.insert(name.as_str().unwrap_or_default().to_owned(), facts);
        }
    }
    for (name, facts) in described {
        shown.lines(&format!("regions.{name}."), facts);
    }
    shown.text
}

/// What was shown, and what entities were called in it.
#[derive(Default)]
struct Shown {
    text: String,
    names: BTreeMap<(String, String), String>,
    regions: usize,
    clients: usize,
}

impl Shown {
    fn lines(&mut self, before: &str, value: &Value) {
        for (name, value) in value.as_object().into_iter().flatten() {
            let name = format!("{before}{name}");
            if value.is_object() && value.get("__entity").is_none() {
                self.lines(&format!("{name}."), value);
            } else {
                self.line(&name, value);
            }
        }
    }

    fn line(&mut self, name: &str, value: &Value) {
        let value = self.name(value);
        let gap = if self.text.is_empty() { "" } else { "\n" };
        // A text takes all that is written into it.
        let _ = write!(self.text, "{gap}    {name} = {value}");
    }

    /// The value, with names in the place of entities.
    fn name(&mut self, value: &Value) -> Value {
        if let Some(several) = value.as_array() {
            return several.iter().map(|value| self.name(value)).collect();
        }
        let part = |field: &str| value.pointer(field).and_then(Value::as_str).map(str::to_owned);
        let (Some(of), Some(id)) = (part("/__entity/type"), part("/__entity/id")) else {
            return value.clone();
        };
        let counted = match of.as_str() {
            "Region" => Some(&mut self.regions),
            "Client" => Some(&mut self.clients),
            _ => None,
        };
        // A name of a closed list says something.
        let Some(counted) = counted else { return json!(id) };
        let name = self.names.entry((of.clone(), id)).or_insert_with(|| {
            *counted += 1;
            format!("{}-{counted}", of.to_lowercase())
        });
        json!(name)
    }
}

fn entity(uid: &EntityUid) -> Value {
    json!({ "__entity": { "type": uid.type_name().to_string(), "id": uid.id().unescaped() } })
}
