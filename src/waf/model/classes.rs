//! What is known of the values in a schema's places: which have a form, and which are
//! free text.

use std::collections::HashMap;

use serde_json::{Number, Value};

use super::{ValueClass, escaped};

/// Number of a node.
pub(super) type NodeId = usize;

/// What a text in one place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Leaf {
    /// Of a form that the schema states.
    Typed,
    /// An address that somebody is sent to.
    Address,
    /// JSON in a text.
    Json,
    /// Anything.
    Free,
}

impl Leaf {
    /// What the outside calls it.
    pub(super) fn class(self) -> ValueClass {
        match self {
            Self::Typed => ValueClass::Form,
            Self::Address => ValueClass::Address,
            Self::Json => ValueClass::Json,
            Self::Free => ValueClass::Free,
        }
    }
}

/// One schema, or all that may stand in one place.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// A text may stand here.
    pub(super) text: Option<Leaf>,
    /// A number may.
    pub(super) number: bool,
    /// True or false may.
    pub(super) boolean: bool,
    pub(super) members: HashMap<String, NodeId>,
    /// What members are whose name is not stated.
    pub(super) others: Option<NodeId>,
    pub(super) items: Option<NodeId>,
    /// Schemas of which one or all hold, too.
    pub(super) also: Vec<NodeId>,
}

/// All schemas of a description.
#[derive(Debug, Default)]
pub(super) struct Classes(pub(super) Vec<Node>);

/// How rules name the values in a place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named<'a> {
    /// They do not.
    No,
    /// All by one name: a query, a form.
    Flat(&'a str),
    /// By their path from `json`.
    Json,
}

/// A value that was found in a place.
pub(super) struct Found<'a> {
    pub(super) leaf: Leaf,
    /// The text; empty for what is none.
    pub(super) text: &'a str,
    /// As rules name it, if they do and the name is none of the sender's.
    pub(super) name: Option<String>,
    /// JSON pointer from the place.
    pub(super) pointer: &'a str,
}

/// Where a walk is.
#[derive(Clone, Debug)]
struct Step {
    /// As rules name it; none below a name that the sender chose.
    name: Option<String>,
    pointer: String,
    /// Entries of lists are counted in names.
    counted: bool,
}

impl Step {
    fn member(&self, member: &str, stated: bool) -> Self {
        let name = self.name.as_ref().filter(|_| stated).map(|name| format!("{name}.{member}"));
        Self { name, pointer: format!("{}/{}", self.pointer, escaped(member)), counted: self.counted }
    }

    fn item(&self, number: usize) -> Self {
        let name = self.name.as_ref();
        let name =
            name.map(|name| if self.counted { format!("{name}.array_{number}") } else { name.clone() });
        Self { name, pointer: format!("{}/{number}", self.pointer), counted: self.counted }
    }
}

impl Classes {
    /// Tells of every value below, in order, what it is.
    pub(super) fn walk(
        &self,
        node: NodeId,
        value: &Value,
        named: Named<'_>,
        tell: &mut dyn FnMut(Found<'_>),
    ) {
        let name = match named {
            Named::No => None,
            Named::Flat(name) => Some(name.to_owned()),
            Named::Json => Some("json".to_owned()),
        };
        let step = Step { name, pointer: String::new(), counted: matches!(named, Named::Json) };
        self.go(&self.all(&[node]), value, &step, tell);
    }

    fn go(&self, nodes: &[&Node], value: &Value, step: &Step, tell: &mut dyn FnMut(Found<'_>)) {
        let found = |leaf, text| Found { leaf, text, name: step.name.clone(), pointer: &step.pointer };
        match value {
            // A value that is no text has its form from JSON.
            Value::Null | Value::Bool(_) | Value::Number(_) => tell(found(Leaf::Typed, "")),
            Value::String(text) => {
                let leaf = nodes.iter().filter_map(|node| node.text).max().unwrap_or(Leaf::Free);
                tell(found(leaf, text));
            }
            Value::Array(items) => {
                let inner: Vec<NodeId> = nodes.iter().filter_map(|node| node.items).collect();
                let inner = self.all(&inner);
                for (number, item) in items.iter().enumerate() {
                    self.go(&inner, item, &step.item(number), tell);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    let stated: Vec<NodeId> =
                        nodes.iter().filter_map(|node| node.members.get(name)).copied().collect();
                    let others = || nodes.iter().filter_map(|node| node.others).collect();
                    let inner = if stated.is_empty() { others() } else { stated.clone() };
                    self.go(&self.all(&inner), member, &step.member(name, !stated.is_empty()), tell);
                }
            }
        }
    }

    /// These nodes and all that hold beside them.
    fn all(&self, nodes: &[NodeId]) -> Vec<&Node> {
        let mut numbers: Vec<NodeId> = nodes.to_vec();
        let mut place = 0;
        while let Some(node) = numbers.get(place).and_then(|number| self.0.get(*number)) {
            for also in &node.also {
                if !numbers.contains(also) {
                    numbers.push(*also);
                }
            }
            place = place.saturating_add(1);
        }
        numbers.iter().filter_map(|number| self.0.get(*number)).collect()
    }

    /// A value of a query or form as its schema has it: a number where only numbers may
    /// stand. None, if it is that already.
    pub(super) fn as_written(&self, node: NodeId, value: &Value) -> Option<Value> {
        let nodes = self.all(&[node]);
        let Value::String(text) = value else { return None };
        if nodes.iter().any(|node| node.text.is_some()) {
            return None;
        }
        if nodes.iter().any(|node| node.boolean) && (text == "true" || text == "false") {
            return Some(Value::Bool(text == "true"));
        }
        let number = nodes.iter().any(|node| node.number).then(|| text.parse::<Number>().ok()).flatten();
        number.map(Value::Number)
    }
}
