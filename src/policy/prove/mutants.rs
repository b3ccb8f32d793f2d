//! Rules with one mistake each.

use std::collections::BTreeSet;

use cedar_policy::{Effect, Policy, PolicySet, ValidationMode, Validator};
use serde_json::{Map, Value, json};

use crate::requests::choices;

use super::action::Action;
use super::report::{ProveFailed, Survivor};
use super::solver::{Solver, silent};

/// A rule with a mistake in it.
pub(super) struct Mutant {
    /// The place of the rule among the others.
    number: usize,
    rule: String,
    change: String,
    /// The rule as it is then. `None` if it is gone.
    policy: Option<Policy>,
}

/// What became of a mutant.
pub(super) enum Judged {
    /// It does not pass the check of the files.
    Invalid,
    /// It breaks an invariant, and perhaps already on a request of the tests.
    Rejected {
        /// It does.
        by_example: bool,
    },
    /// Each half decides as it did.
    Equivalent,
    /// A half decides otherwise, and breaks nothing.
    Survived,
}

impl Mutant {
    pub(super) fn survivor(&self) -> Survivor {
        let text = self.policy.as_ref().and_then(Policy::to_cedar).unwrap_or_default();
        Survivor { rule: self.rule.clone(), change: self.change.clone(), text }
    }
}

/// Judges a mutant by the actions that it, or the rule, is about.
pub(super) fn judge(
    solver: &mut Solver<'_>,
    validator: &Validator,
    policies: &[Policy],
    actions: &[Action],
    mutant: &Mutant,
) -> Result<Judged, ProveFailed> {
    if let Some(policy) = &mutant.policy {
        let alone = PolicySet::from_policies([policy.clone()]).map_err(silent)?;
        if !validator.validate(&alone, ValidationMode::Strict).validation_passed_without_warnings() {
            return Ok(Judged::Invalid);
        }
    }
    let mut changed = policies.to_vec();
    let original = match &mutant.policy {
        Some(policy) => changed.get_mut(mutant.number).map(|place| std::mem::replace(place, policy.clone())),
        None => Some(changed.remove(mutant.number)),
    };
    let either: Vec<Policy> = original.into_iter().chain(mutant.policy.clone()).collect();
    let mut concerned = Vec::new();
    for action in actions.iter().filter(|action| either.iter().any(|policy| action.concerns(policy))) {
        concerned.push((action, action.halves(&changed)?));
    }
    let by_example = concerned.iter().any(|(action, halves)| action.refutes(halves));
    for (action, halves) in &concerned {
        if action.rejects(solver, halves)? {
            return Ok(Judged::Rejected { by_example });
        }
    }
    if by_example {
        let text = mutant.survivor().to_string();
        return Err(ProveFailed::Solver(format!(
            "it sees nothing wrong, where the evaluator does, in {text}"
        )));
    }
    for (action, halves) in &concerned {
        if !action.same(solver, halves)? {
            return Ok(Judged::Survived);
        }
    }
    Ok(Judged::Equivalent)
}

/// Every mutant of every rule.
pub(super) fn of(policies: &[Policy]) -> Result<Vec<Mutant>, String> {
    let mut mutants = Vec::new();
    for (number, policy) in policies.iter().enumerate() {
        let rule = policy.id().to_string();
        let form = policy.to_json().map_err(|error| format!("{rule} has no other form: {error}"))?;
        let mut seen = BTreeSet::from([form.to_string()]);
        mutants.push(Mutant { number, rule: rule.clone(), change: "is gone".to_owned(), policy: None });
        for (change, form) in changes(policy.effect(), &form) {
            if !seen.insert(form.to_string()) {
                continue;
            }
            let policy = Policy::from_json(Some(policy.id().clone()), form)
                .map_err(|error| format!("{rule}: {change}: {error}"))?;
            mutants.push(Mutant { number, rule: rule.clone(), change, policy: Some(policy) });
        }
    }
    Ok(mutants)
}

type Changed = (String, Value);

fn changes(effect: Effect, form: &Value) -> Vec<Changed> {
    let with = |field: &str, value: Value| {
        let mut form = form.clone();
        if let Value::Object(fields) = &mut form {
            fields.insert(field.to_owned(), value);
        }
        form
    };
    let flipped = match effect {
        Effect::Permit => "forbid",
        Effect::Forbid => "permit",
    };
    let mut all = vec![(format!("is a {flipped}"), with("effect", json!(flipped)))];
    if let Some(several) = form.pointer("/action/entities").and_then(Value::as_array) {
        for number in 0..several.len() {
            let left = without(several, number);
            all.push((
                format!("is not about its action {number}"),
                with("action", json!({ "op": "in", "entities": left })),
            ));
        }
    }
    let clauses = form.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    for (number, clause) in clauses.iter().enumerate() {
        all.push((format!("has no clause {number}"), with("conditions", without(&clauses, number).into())));
        let mut put = |change: String, clause: Value| {
            let mut clauses = clauses.clone();
            if let Some(place) = clauses.get_mut(number) {
                *place = clause;
            }
            all.push((format!("{change} in clause {number}"), with("conditions", clauses.into())));
        };
        let kind = clause.get("kind").and_then(Value::as_str).unwrap_or_default();
        let body = clause.get("body").cloned().unwrap_or_default();
        let other = if kind == "when" { "unless" } else { "when" };
        put(format!("{other} for {kind}"), json!({ "kind": other, "body": body }));
        for (change, body) in within(&body, true) {
            put(change, json!({ "kind": kind, "body": body }));
        }
    }
    all
}

fn without(list: &[Value], number: usize) -> Vec<Value> {
    list.iter().enumerate().filter(|(other, _)| *other != number).map(|(_, value)| value.clone()).collect()
}

/// The changes of an expression, and of every expression within it. `yes_no` if it is one that
/// is true or false.
fn within(expression: &Value, yes_no: bool) -> Vec<Changed> {
    let Some((operator, operands)) = expression.as_object().and_then(|one| one.iter().next()) else {
        return Vec::new();
    };
    let mut all = here(operator, operands);
    let logical = matches!(operator.as_str(), "&&" | "||" | "!");
    if yes_no && !logical {
        all.push((format!("not {operator}"), negated(expression)));
    }
    let Some(parts) = operands.as_object() else { return all };
    for (part, value) in parts {
        let yes_no = logical || (operator == "if-then-else" && (yes_no || part == "if"));
        for (change, value) in within(value, yes_no) {
            let mut parts = parts.clone();
            parts.insert(part.clone(), value);
            all.push((change, json!({ operator: parts })));
        }
    }
    all
}

/// The changes of an expression itself.
fn here(operator: &str, operands: &Value) -> Vec<Changed> {
    let part = |name: &str| operands.get(name).cloned().unwrap_or_default();
    let by = |other: &str| (format!("{other} for {operator}"), json!({ other: operands }));
    let only = |name: &str| (format!("only the {name} of {operator}"), part(name));
    match operator {
        "&&" => vec![only("left"), only("right"), by("||")],
        "||" => vec![only("left"), only("right"), by("&&")],
        "!" => vec![only("arg")],
        "==" => vec![by("!=")],
        "!=" => vec![by("==")],
        "containsAny" => vec![by("containsAll")],
        "containsAll" => vec![by("containsAny")],
        "if-then-else" => {
            let turned = json!({ "if": part("if"), "then": part("else"), "else": part("then") });
            vec![only("then"), only("else"), ("turned if".to_owned(), json!({ operator: turned }))]
        }
        "Value" => other_names(operands),
        _ => Vec::new(),
    }
}

/// A name of a closed list by each other of the list.
fn other_names(literal: &Value) -> Vec<Changed> {
    let text = |field: &str| literal.pointer(field).and_then(Value::as_str);
    let (Some(kind), Some(id)) = (text("/__entity/type"), text("/__entity/id")) else { return Vec::new() };
    let lists = choices();
    let list = lists.iter().find(|(of, _)| *of == kind);
    let others = list.into_iter().flat_map(|(_, names)| names).filter(|name| **name != id);
    others
        .map(|name| {
            let entity = json!({ "__entity": { "type": kind, "id": name } });
            (format!("{name} for {id}"), json!({ "Value": entity }))
        })
        .collect()
}

fn negated(expression: &Value) -> Value {
    let mut arg = Map::new();
    arg.insert("arg".to_owned(), expression.clone());
    json!({ "!": arg })
}
