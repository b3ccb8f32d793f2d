//! What is told of an event.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::customer::Record;
use super::traffic::{Call, Kind};

/// What takes longer is not as before.
const SLOW: Duration = Duration::from_secs(2);

/// Whether anything may fail meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Nothing fails, and nothing has to be sent again.
    Unnoticed,
    /// Nothing fails.
    Planned,
    /// It is as before after so many seconds.
    Fault { recovers_in: u64 },
}

/// An event, and the traffic meanwhile.
#[derive(Debug)]
pub struct Row {
    pub name: &'static str,
    pub sort: Sort,
    /// When its traffic began, when it happened, and when its traffic ended.
    pub begun: Instant,
    pub happened: Instant,
    pub ended: Instant,
    pub calls: Vec<Call>,
    /// Largest memory of a gateway, MiB.
    pub memory: u64,
    /// What else is to be said.
    pub note: String,
    pub payments: Payments,
}

/// What became of an event's payments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Payments {
    pub ordered: usize,
    pub settled: usize,
    pub flagged: usize,
    pub doubled: usize,
    pub lost: usize,
}

impl Row {
    /// How many were sent again.
    pub fn retried(&self) -> usize {
        self.calls.iter().filter(|call| !call.retried.is_empty()).count()
    }

    pub fn failed(&self) -> usize {
        self.calls.iter().filter(|call| call.failed.is_some()).count()
    }

    pub fn longest(&self) -> Duration {
        self.calls.iter().map(|call| call.ended.duration_since(call.begun)).max().unwrap_or_default()
    }

    /// The longest time without an answer to something that changes something.
    pub fn gap(&self) -> Duration {
        let writes = self.calls.iter().filter(|call| matches!(call.kind, Kind::Order | Kind::Consent));
        let mut done: Vec<_> = writes.filter(|call| call.failed.is_none()).map(|call| call.ended).collect();
        done.push(self.begun);
        done.sort_unstable();
        let pairs = done.iter().zip(done.iter().skip(1));
        pairs.map(|(one, next)| next.duration_since(*one)).max().unwrap_or_default()
    }

    /// How long after it had happened the last request ended that was not answered as before.
    pub fn recovered(&self) -> Duration {
        let unlike = |call: &&Call| {
            !call.retried.is_empty() || call.failed.is_some() || call.ended.duration_since(call.begun) > SLOW
        };
        let late = self.calls.iter().filter(unlike).filter(|call| call.ended > self.happened);
        late.map(|call| call.begun.max(self.happened).duration_since(self.happened)).max().unwrap_or_default()
    }

    /// Why requests were sent again or failed, and how often.
    pub fn reasons(&self) -> BTreeMap<String, usize> {
        let mut reasons = BTreeMap::new();
        for call in &self.calls {
            for (what, why) in call
                .retried
                .iter()
                .map(|why| ("again", why))
                .chain(call.failed.iter().map(|why| ("failed", why)))
            {
                *reasons.entry(format!("{what}: {:?}: {why}", call.kind)).or_default() += 1;
            }
        }
        reasons
    }

    /// What may not be.
    pub fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut must = |holds: bool, what: String| {
            if !holds {
                found.push(format!("{}: {what}", self.name));
            }
        };
        must(!self.calls.iter().any(|call| call.untold), "a 503 without Retry-After".to_owned());
        must(self.payments.doubled == 0, format!("{} payments doubled", self.payments.doubled));
        must(self.payments.lost == 0, format!("{} payments lost", self.payments.lost));
        must(!self.calls.is_empty(), "no traffic".to_owned());
        match self.sort {
            Sort::Unnoticed => {
                let (failed, retried) = (self.failed(), self.retried());
                must(
                    failed == 0 && retried == 0,
                    format!("{failed} requests failed, {retried} were sent again"),
                );
            }
            Sort::Planned => must(self.failed() == 0, format!("{} requests failed", self.failed())),
            Sort::Fault { recovers_in } => {
                let took = self.recovered();
                must(
                    took <= Duration::from_secs(recovers_in),
                    format!("recovered after {} s", took.as_secs()),
                );
            }
        }
        found
    }

    /// Its line in the table.
    pub fn line(&self) -> String {
        let seconds = |time: Duration| format!("{:.1}", time.as_secs_f64());
        let Payments { ordered, settled, flagged, doubled, lost } = self.payments;
        let promised = match self.sort {
            Sort::Unnoticed => "not noticed".to_owned(),
            Sort::Planned => "nothing fails".to_owned(),
            Sort::Fault { recovers_in } => format!("≤ {recovers_in} s"),
        };
        format!(
            "| {}{} | {promised} | {} | {} | {} | {} | {} | {} | {ordered} / {settled} / {flagged} / {doubled} / {lost} | {} |",
            self.name,
            self.note,
            self.calls.len(),
            self.retried(),
            self.failed(),
            self.longest().as_millis(),
            seconds(self.gap()),
            seconds(self.recovered()),
            self.memory,
        )
    }
}

/// The head of the table.
pub const HEAD: &str = "| event | promised | requests | retried | failed | longest, ms | longest without a write, s | as before after, s | payments ordered / settled / flagged / doubled / lost | memory, MiB |
|---|---|---|---|---|---|---|---|---|---|";

/// Counts what became of the payments of each event.
pub fn count(
    rows: &mut [Row],
    records: &[(Instant, Record)],
    found: &HashMap<String, Value>,
    doubled: &[String],
) {
    for row in rows {
        let of = |at: &Instant| (row.begun..row.ended).contains(at);
        for (_, record) in records.iter().filter(|(at, _)| of(at)) {
            let payments = &mut row.payments;
            payments.doubled = payments.doubled.saturating_add(usize::from(doubled.contains(&record.name)));
            let Some(id) = record.ids.first() else { continue };
            payments.ordered = payments.ordered.saturating_add(1);
            let Some(kept) = found.get(id) else {
                payments.lost = payments.lost.saturating_add(1);
                continue;
            };
            let settled = kept.get("outcome").and_then(Value::as_str) == Some("executed");
            payments.settled = payments.settled.saturating_add(usize::from(settled));
            let flagged = kept.get("attention").is_some_and(|attention| !attention.is_null());
            payments.flagged = payments.flagged.saturating_add(usize::from(flagged));
        }
    }
}
