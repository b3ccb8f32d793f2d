//! What names cannot say: rules that make one field of ours from a bank's entry.
//!
//! A rule is a Rhai expression. It sees `entry`, the entry as the bank sent it,
//! and `value`, what stands where the standard has the field; what it gives takes
//! that value's place and passes the same checks. Absent is `()`.
//!
//! Rules come from files and see what banks send, so they are bounded: steps,
//! texts, lists and depth have limits, there are no functions of their own, no
//! modules, no clock and no output, and whatever they can call is below
//! [`functions`], where nothing grows beyond a text's limit. Numbers with a
//! fraction are texts, as money is never binary.

mod functions;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Regex, RegexBuilder};
use rhai::{AST, Array, Dynamic, Engine, EvalAltResult, Map, OptimizationLevel, ParseError, Scope};
use serde_json::Value;

pub(crate) use functions::Pattern;

/// Steps of one run.
const STEPS: u64 = 5_000;
/// Steps of all rules over one answer, so that an answer with many entries holds
/// nobody up either.
const ANSWER_STEPS: u64 = 2_000_000;
/// Bytes of a text, in a rule and of an entry.
pub(crate) const TEXT: usize = 16 * 1024;
/// Values in an entry, and in a list or map of a rule.
const VALUES: usize = 1_000;
/// Characters of a rule or pattern.
pub(crate) const RULE: usize = 4_096;
/// Bytes of a compiled pattern.
const PATTERN: usize = 256 * 1024;
/// Digits a JSON number keeps exactly on its way through a double.
const EXACT_DIGITS: usize = 15;

thread_local! {
    /// Steps that the rule that runs on this thread has left.
    static LEFT: Cell<u64> = const { Cell::new(STEPS) };
}

static ENGINE: LazyLock<Engine> = LazyLock::new(engine);

fn engine() -> Engine {
    let mut engine = Engine::new_raw();
    engine
        .set_optimization_level(OptimizationLevel::None)
        .set_strict_variables(true)
        .set_max_operations(STEPS)
        .set_max_string_size(TEXT)
        .set_max_array_size(VALUES)
        .set_max_map_size(VALUES)
        .set_max_variables(32)
        .set_max_expr_depths(32);
    engine.on_progress(|_| {
        let left = LEFT.get().checked_sub(1);
        LEFT.set(left.unwrap_or(0));
        // Anything here ends the run.
        left.is_none().then_some(Dynamic::UNIT)
    });
    for symbol in ["eval", "print", "debug"] {
        engine.disable_symbol(symbol);
    }
    engine.register_iterator::<Array>();
    functions::register(&mut engine);
    engine
}

/// What rules are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MapTarget {
    /// Accounts.
    Accounts,
    /// Balances.
    Balances,
    /// Transactions.
    Transactions,
}

impl MapTarget {
    /// Every target.
    pub const ALL: [Self; 3] = [Self::Accounts, Self::Balances, Self::Transactions];

    /// The key in profiles, below `map`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Balances => "balances",
            Self::Transactions => "transactions",
        }
    }

    /// The fields that rules may make, with what they must give.
    #[must_use]
    pub fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Accounts => &[
                ("resource_id", "The bank's own name of the resource."),
                ("currency", "ISO 4217 code."),
                ("display_name", "Name that the person or the bank gave the account."),
                ("product", "The bank's product name."),
                ("holders", "Names of the holders, a list."),
                ("cash_account_type", "ISO 20022 code: CACC, SVGS, CARD, LOAN."),
                ("bic", "BIC of the bank."),
            ],
            Self::Balances => &[
                ("type", "ISO 20022 code: CLBD, ITAV, XPCD."),
                ("amount", "A decimal number; in the Berlin Group's standard with its sign."),
                ("currency", "ISO 4217 code."),
                ("direction", "CRDT or DBIT."),
                ("credit_line_included", "true or false."),
                ("reference_date", "YYYY-MM-DD."),
                ("last_change_at", "RFC 3339."),
            ],
            Self::Transactions => &[
                ("bank_transaction_id", "The bank's identifier."),
                ("entry_reference", "Position in the statement."),
                ("end_to_end_id", "End-to-end identification."),
                ("mandate_id", "Mandate of a direct debit."),
                ("status", "BOOK, PDNG, INFO or RJCT."),
                ("amount", "A decimal number; in the Berlin Group's standard with its sign."),
                ("currency", "ISO 4217 code."),
                ("direction", "CRDT or DBIT."),
                ("booking_date", "YYYY-MM-DD."),
                ("value_date", "YYYY-MM-DD."),
                ("booked_at", "RFC 3339."),
                ("creditor_name", "Who was paid."),
                ("creditor_account", "Account that was paid, an IBAN."),
                ("debtor_name", "Who paid."),
                ("debtor_account", "Account that paid, an IBAN."),
                ("remittance", "Free texts, a list."),
                ("references", "Structured references, a list."),
                ("bank_transaction_code", "ISO bank transaction code."),
                ("proprietary_code", "The bank's own code."),
                ("merchant_category_code", "ISO 18245 code."),
            ],
        }
    }
}

/// The steps that the rules may still take over one answer.
#[derive(Debug)]
pub struct RuleBudget(Cell<u64>);

impl Default for RuleBudget {
    fn default() -> Self {
        Self(Cell::new(ANSWER_STEPS))
    }
}

impl RuleBudget {
    /// Runs something that takes steps, with at most [`STEPS`] of them.
    fn spend<T>(&self, run: impl FnOnce() -> T) -> T {
        let given = self.0.get().min(STEPS);
        LEFT.set(given);
        let result = run();
        self.0.set(self.0.get().saturating_sub(given.saturating_sub(LEFT.get())));
        result
    }
}

/// The rules of one bank; none, as a rule.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    patterns: BTreeMap<String, Pattern>,
    rules: BTreeMap<MapTarget, BTreeMap<&'static str, AST>>,
}

/// Why a text is no rule or pattern, or a rule gave nothing. Never holds what a bank sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleFailed {
    /// More steps than allowed.
    Steps,
    /// Something grew beyond its limit.
    Size,
    /// An operation failed.
    Fails,
}

impl std::fmt::Display for RuleFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Steps => "too many steps",
            Self::Size => "too large",
            Self::Fails => "fails",
        })
    }
}

impl From<Box<EvalAltResult>> for RuleFailed {
    fn from(error: Box<EvalAltResult>) -> Self {
        let root = error.unwrap_inner();
        if matches!(root, EvalAltResult::ErrorTooManyOperations(_) | EvalAltResult::ErrorTerminated(..)) {
            Self::Steps
        } else if matches!(root, EvalAltResult::ErrorDataTooLarge(..)) {
            Self::Size
        } else {
            Self::Fails
        }
    }
}

impl Mapping {
    /// Adds a pattern, which rules know by its name.
    pub(crate) fn add_pattern(&mut self, name: String, pattern: &str) -> Result<(), regex::Error> {
        let regex: Regex = RegexBuilder::new(pattern).size_limit(PATTERN).nest_limit(32).build()?;
        self.patterns.insert(name, Pattern::new(regex));
        Ok(())
    }

    /// Adds a rule, compiled with the patterns that there are.
    pub(crate) fn add_rule(
        &mut self,
        target: MapTarget,
        field: &'static str,
        rule: &str,
    ) -> Result<(), ParseError> {
        // Variables, so that no value is compiled in.
        let mut scope = self.scope();
        scope.push("entry", ()).push("value", ());
        let ast = ENGINE.compile_with_scope(&scope, rule)?;
        self.rules.entry(target).or_default().insert(field, ast);
        Ok(())
    }

    /// Runs a rule on an entry that has nothing: banks leave out what they like.
    pub(crate) fn try_rule(&self, target: MapTarget, field: &str) -> Result<(), Box<EvalAltResult>> {
        let Some(rule) = self.rules.get(&target).and_then(|rules| rules.get(field)) else { return Ok(()) };
        let mut scope = self.scope();
        scope.push_constant("entry", Map::new()).push_constant("value", ());
        let run = || ENGINE.eval_ast_with_scope::<Dynamic>(&mut scope, rule);
        RuleBudget::default().spend(run).map(drop)
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether there is a rule for entries of this kind.
    pub(crate) fn has(&self, target: MapTarget) -> bool {
        self.rules.contains_key(&target)
    }

    fn scope(&self) -> Scope<'static> {
        let mut scope = Scope::new();
        for (name, pattern) in &self.patterns {
            scope.push(name.clone(), pattern.clone());
        }
        scope
    }

    /// The rules for an entry of an answer; `None` where the bank has none.
    ///
    /// # Errors
    ///
    /// [`RuleFailed::Size`] if the entry is larger than rules may see.
    pub fn entry<'m>(
        &'m self,
        target: MapTarget,
        raw: impl FnOnce() -> Value,
        budget: &'m RuleBudget,
    ) -> Result<Option<EntryRules<'m>>, RuleFailed> {
        let Some(rules) = self.rules.get(&target) else { return Ok(None) };
        let mut scope = self.scope();
        scope.push_constant_dynamic("entry", Room::default().value(&raw())?);
        Ok(Some(EntryRules { target, rules, budget, scope: RefCell::new(scope) }))
    }
}

/// The rules of one bank over one of its entries.
pub struct EntryRules<'m> {
    target: MapTarget,
    rules: &'m BTreeMap<&'static str, AST>,
    budget: &'m RuleBudget,
    scope: RefCell<Scope<'static>>,
}

impl EntryRules<'_> {
    /// The key of a field's rule in profiles.
    #[must_use]
    pub fn key(&self, field: &str) -> String {
        format!("map.{}.{field}", self.target.as_str())
    }

    /// What the rule makes of the value that the standard has; `None` without a rule.
    ///
    /// # Errors
    ///
    /// [`RuleFailed`] if the rule runs into a limit or fails.
    pub fn read(&self, field: &str, standard: impl FnOnce() -> Value) -> Option<Result<Value, RuleFailed>> {
        self.rules.get(field).map(|rule| self.run(rule, &standard()))
    }

    fn run(&self, rule: &AST, standard: &Value) -> Result<Value, RuleFailed> {
        let value = Room::default().value(standard)?;
        let mut scope = self.scope.borrow_mut();
        let before = scope.len();
        scope.push_constant_dynamic("value", value);
        let result = self.budget.spend(|| ENGINE.eval_ast_with_scope::<Dynamic>(&mut scope, rule));
        scope.rewind(before);
        given(&result?)
    }
}

/// What of an entry still fits into the limits of rules.
struct Room {
    values: usize,
    text: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { values: VALUES, text: TEXT }
    }
}

impl Room {
    fn value(&mut self, raw: &Value) -> Result<Dynamic, RuleFailed> {
        self.values = self.values.checked_sub(1).ok_or(RuleFailed::Size)?;
        Ok(match raw {
            Value::Null => Dynamic::UNIT,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => match number.as_i64() {
                Some(number) => number.into(),
                None => self.text(&exact(number).unwrap_or_default())?,
            },
            Value::String(text) => self.text(text)?,
            Value::Array(items) => {
                items.iter().map(|item| self.value(item)).collect::<Result<Array, _>>()?.into()
            }
            Value::Object(members) => {
                let mut map = Map::new();
                for (name, value) in members {
                    self.spend(name)?;
                    map.insert(name.into(), self.value(value)?);
                }
                map.into()
            }
        })
    }

    fn text(&mut self, text: &str) -> Result<Dynamic, RuleFailed> {
        self.spend(text)?;
        Ok(text.into())
    }

    fn spend(&mut self, text: &str) -> Result<(), RuleFailed> {
        self.text = self.text.checked_sub(text.len()).ok_or(RuleFailed::Size)?;
        Ok(())
    }
}

fn exact(number: &serde_json::Number) -> Option<String> {
    let text = number.to_string();
    (text.bytes().filter(u8::is_ascii_digit).count() <= EXACT_DIGITS).then_some(text)
}

/// What a rule gave, as JSON.
fn given(result: &Dynamic) -> Result<Value, RuleFailed> {
    if result.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(value) = result.as_bool() {
        return Ok(value.into());
    }
    if let Ok(number) = result.as_int() {
        return Ok(number.into());
    }
    if let Some(items) = result.read_lock::<Array>() {
        return items.iter().map(given).collect();
    }
    result.clone().into_string().map(Value::from).map_err(|_| RuleFailed::Fails)
}

#[cfg(test)]
mod tests;
