//! What the demo found: tables for people, one JSON object for machines.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Value, json};

/// One step of the journey.
#[derive(Clone, Debug)]
pub struct Step {
    /// What was done.
    pub name: &'static str,
    /// Whether it held.
    pub ok: bool,
    /// How long it took.
    pub ms: u128,
    /// Why it did not hold.
    pub why: Option<String>,
}

/// The journey.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Steps in order.
    pub steps: Vec<Step>,
    /// Answer of `/v1/accounts`.
    pub accounts: Value,
    /// Answer of `/v1/balances`.
    pub balances: Value,
    /// Answer of `/v1/transactions`.
    pub transactions: Value,
    /// The payment, last seen.
    pub payment: Value,
    /// From order to settlement.
    pub payment_ms: u128,
    /// Whether a webhook's signature was verified.
    pub webhook_verified: bool,
    /// All of it.
    pub total_ms: u128,
}

impl Report {
    /// Whether every step held.
    #[must_use]
    pub fn ok(&self) -> bool {
        !self.steps.is_empty() && self.steps.iter().all(|step| step.ok)
    }

    fn distinct(&self, member: &str) -> Vec<String> {
        let rows = rows(&self.accounts);
        let found: BTreeSet<_> =
            rows.iter().map(|row| text(row, member)).filter(|text| !text.is_empty()).collect();
        found.into_iter().collect()
    }

    /// One JSON object.
    #[must_use]
    pub fn json(&self) -> Value {
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|step| {
                let mut value = json!({ "name": step.name, "ok": step.ok, "ms": millis(step.ms) });
                if let (Some(why), Some(members)) = (&step.why, value.as_object_mut()) {
                    members.insert("why".to_owned(), why.clone().into());
                }
                value
            })
            .collect();
        json!({
            "ok": self.ok(),
            "steps": steps,
            "accounts": rows(&self.accounts).len(),
            "banks": self.distinct("/institution_id"),
            "regions": self.distinct("/source/region"),
            "payment": { "state": text(&self.payment, "/state"), "ms": millis(self.payment_ms) },
            "webhook": { "verified": self.webhook_verified },
            "total_ms": millis(self.total_ms),
        })
    }

    /// Tables for people.
    #[must_use]
    pub fn tables(&self) -> String {
        let mut out = String::new();
        let balances = rows(&self.balances);
        let mut accounts = vec![["Bank", "Region", "Account", "Name", "Balance"].map(str::to_owned)];
        for account in rows(&self.accounts) {
            let id = text(account, "/id");
            let balance = balances.iter().find(|balance| text(balance, "/account_id") == id);
            let balance = balance.map_or_else(String::new, amount);
            let iban = text(account, "/identification/iban");
            let number = if iban.is_empty() {
                let sort_code = text(account, "/identification/sort_code_account_number/sort_code");
                let number = text(account, "/identification/sort_code_account_number/account_number");
                format!("{sort_code} {number}")
            } else {
                iban
            };
            accounts.push([
                text(account, "/institution_id"),
                text(account, "/source/region"),
                number,
                text(account, "/display_name"),
                balance,
            ]);
        }
        table(&mut out, "Accounts of two banks in one call", &accounts);
        let mut newest = vec![["Booked", "Amount", "With", "Purpose"].map(str::to_owned)];
        let all = rows(&self.transactions);
        for entry in all.iter().take(8) {
            let other = [text(entry, "/creditor/name"), text(entry, "/debtor/name")].concat();
            newest.push([
                text(entry, "/booking_date"),
                amount(entry),
                other,
                text(entry, "/remittance/unstructured/0"),
            ]);
        }
        table(&mut out, &format!("Newest of {} transactions", all.len()), &newest);
        let payment = vec![
            ["Payment", "State", "ISO", "Amount", "To"].map(str::to_owned),
            [
                text(&self.payment, "/id"),
                text(&self.payment, "/state"),
                text(&self.payment, "/iso_status"),
                amount(&self.payment),
                text(&self.payment, "/creditor/name"),
            ],
        ];
        table(&mut out, "One payment", &payment);
        let mut steps = vec![["Step", "Result", "ms"].map(str::to_owned)];
        for step in &self.steps {
            let result = step.why.clone().unwrap_or_else(|| "ok".to_owned());
            steps.push([step.name.to_owned(), result, step.ms.to_string()]);
        }
        table(&mut out, "The journey", &steps);
        let verdict = if self.ok() { "Every step held" } else { "A step did not hold" };
        let _ = write!(out, "{verdict}; {} ms in all.", self.total_ms);
        out
    }
}

fn millis(ms: u128) -> u64 {
    u64::try_from(ms).unwrap_or(u64::MAX)
}

fn rows(answer: &Value) -> &[Value] {
    answer.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn amount(value: &Value) -> String {
    let sign = if text(value, "/credit_debit_indicator") == "DBIT" { "-" } else { "" };
    format!("{sign}{} {}", text(value, "/amount/amount"), text(value, "/amount/currency"))
}

fn table<const N: usize>(out: &mut String, title: &str, rows: &[[String; N]]) {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count().min(44));
        }
    }
    let _ = writeln!(out, "{title}");
    for row in rows {
        let mut line = String::from(" ");
        for (width, cell) in widths.iter().zip(row) {
            let cell: String = cell.chars().take(44).collect();
            let _ = write!(line, " {cell:<width$} ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    let _ = writeln!(out);
}
