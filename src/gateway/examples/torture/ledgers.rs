//! The three ledgers, side by side: what customers were told, what the gateway has,
//! what the banks did.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use anyhow::Context;
use consentry::demo::{Delivery, Tpp};
use consentry::sandbox::BanksApart;
use domain::ShiftedClock;
use futures_util::StreamExt;
use modelbank::LedgerLine;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::customer::{BATCHES, MANDATES, Record};

/// How long the gateway has to bring everything to an end, and longer for each payment.
const SETTLING: Duration = Duration::from_secs(180);
/// How much longer.
const SETTLING_EACH: Duration = Duration::from_millis(100);
/// Questions at the same time.
const AT_ONCE: usize = 12;
/// Seconds by which time is moved on.
const AHEAD: i64 = 400;

/// What became of it all.
#[derive(Debug, Default)]
pub struct Findings {
    /// By what was found, how often.
    pub counts: BTreeMap<&'static str, usize>,
    /// What may not be.
    pub violations: Vec<String>,
}

impl Findings {
    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn violation(&mut self, kind: &'static str, record: &Record, detail: &str) {
        self.count(kind);
        self.violations.push(format!("{kind}: {} at {}: {detail}", record.name, record.bank));
    }
}

/// Waits until every payment is final or flagged; each as the gateway has it then.
pub async fn settled(
    tpp: &Tpp,
    clock: &ShiftedClock,
    records: &[Record],
) -> anyhow::Result<HashMap<String, Value>> {
    let places = records.iter().flat_map(|record| record.ids.iter().map(|id| (id.clone(), record.place)));
    let mut open: BTreeMap<String, &str> = places.collect();
    let mut found = HashMap::new();
    let all = async {
        let mut beat = tokio::time::interval(Duration::from_millis(500));
        let mut round = 0_u32;
        while !open.is_empty() {
            beat.tick().await;
            // What nobody approved expires, and what was held up is tried again.
            if round == A_DAY_AT {
                time_goes_on_by(tpp, clock, 86_400).await?;
            } else if round.checked_rem(4) == Some(0) {
                time_goes_on(tpp, clock).await?;
            }
            round = round.saturating_add(1);
            // A round of many questions may take as long as a token lives.
            let token = super::customer::first_token(tpp).await?;
            let asked = open.clone().into_iter().map(|(id, place)| {
                let token = token.clone();
                async move { Ok::<_, anyhow::Error>((shown(tpp, &token, &id, place).await?, id)) }
            });
            let mut answers = futures_util::stream::iter(asked).buffer_unordered(AT_ONCE);
            while let Some(answer) = answers.next().await {
                let (answer, id) = answer?;
                let over =
                    answer.get("final") == Some(&Value::Bool(true)) || answer.get("attention").is_some();
                if over {
                    open.remove(&id);
                }
                found.insert(id, answer);
            }
        }
        Ok::<_, anyhow::Error>(())
    };
    let each = SETTLING_EACH.saturating_mul(u32::try_from(records.len())?);
    if let Ok(outcome) = tokio::time::timeout(SETTLING.saturating_add(each), all).await {
        outcome?;
    }
    Ok(found)
}

/// An order as the gateway shows it; a batch with its payments.
async fn shown(tpp: &Tpp, token: &SecretString, id: &str, place: &str) -> anyhow::Result<Value> {
    let path = format!("{place}/{id}");
    let answer = tpp.get(token, &path).await?.expect(200).with_context(|| format!("payment {id}"))?;
    let mut answer = answer.json();
    if place == BATCHES {
        let payments = tpp.get(token, &format!("{path}/payments")).await?.expect(200)?.json();
        if let Some(batch) = answer.as_object_mut() {
            batch.insert("payments".into(), payments.get("data").cloned().unwrap_or_default());
        }
    }
    Ok(answer)
}

/// Round of questions at which the day after begins: what could end before has ended.
const A_DAY_AT: u32 = 16;

/// Moves the time of the gateway and of the fintech on, by more than the second pause
/// of a webhook.
pub async fn time_goes_on(tpp: &Tpp, clock: &ShiftedClock) -> anyhow::Result<()> {
    time_goes_on_by(tpp, clock, AHEAD).await
}

async fn time_goes_on_by(tpp: &Tpp, clock: &ShiftedClock, seconds: i64) -> anyhow::Result<()> {
    let token = super::customer::first_token(tpp).await?;
    tpp.post(&token, "/v1/sandbox/clock", &json!({ "days": 0, "seconds": seconds })).await?.expect(200)?;
    clock.advance(seconds);
    Ok(())
}

/// Compares the three.
pub fn compare(records: &[Record], found: &HashMap<String, Value>, banks: &BanksApart) -> Findings {
    let mut findings = Findings::default();
    let mut ledger: HashMap<String, Vec<LedgerLine>> = HashMap::new();
    let names: BTreeSet<_> = records.iter().map(|record| record.bank).collect();
    for bank in names {
        for line in banks.ledger(bank) {
            ledger.entry(line.end_to_end_id.clone()).or_default().push(line);
        }
    }
    let named = |name: &str| ledger.get(name).map(Vec::as_slice);
    for record in records {
        let kept = record.ids.first().and_then(|id| found.get(id));
        let lines = record.names.iter().enumerate().map(|(place, name)| {
            // PolishAPI has a name of the instruction alone.
            let payment = kept.map(|kept| payment_of(kept, place));
            let instruction = payment.and_then(|payment| payment.get("instruction_id")?.as_str());
            named(name).or_else(|| named(instruction?)).unwrap_or_default()
        });
        let lines: Vec<_> = lines.collect();
        one(record, kept, &lines, &mut findings);
    }
    findings
}

/// A payment of a batch, or the payment that it is.
fn payment_of(kept: &Value, place: usize) -> &Value {
    kept.get("payments").map_or(kept, |payments| payments.get(place).unwrap_or(&Value::Null))
}

/// What is drawn on the mandate is what was executed under it, and what may have been.
pub async fn drawn(
    tpp: &Tpp,
    mandate: &str,
    records: &[Record],
    found: &HashMap<String, Value>,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let token = super::customer::first_token(tpp).await?;
    let shown = tpp.get(&token, &format!("{MANDATES}/{mandate}")).await?.expect(200)?;
    let used = shown.text("/constraints/periodic_limits/0/used_amount/amount");
    let used: u64 = used.replace('.', "").parse().context("what is drawn on the mandate")?;
    let (mut executed, mut open) = (0_u64, 0_u64);
    for record in records.iter().filter(|record| record.under_mandate) {
        let payment = record.ids.first().and_then(|id| found.get(id));
        match payment.and_then(|payment| payment.get("outcome")?.as_str()) {
            Some("executed") => executed = executed.saturating_add(record.cents),
            Some("unknown") => open = open.saturating_add(record.cents),
            Some(_) | None => {}
        }
    }
    findings.counts.insert("drawn on the mandate, hundredths", usize::try_from(used)?);
    if used < executed || used > executed.saturating_add(open) {
        let violation = format!("drawn wrong: {used} of {executed} executed and {open} open");
        findings.violations.push(violation);
    }
    Ok(())
}

fn one(record: &Record, kept: Option<&Value>, lines: &[&[LedgerLine]], findings: &mut Findings) {
    findings.count(match record {
        Record { under_mandate: true, .. } => "payments under a mandate",
        Record { place: BATCHES, .. } => "batches",
        Record { .. } => "payments",
    });
    let mut executed = Vec::new();
    for lines in lines {
        let times: Vec<_> = lines.iter().filter_map(|line| line.executed_at).collect();
        if times.len() > 1 {
            findings.violation("double", record, &format!("executed {} times", times.len()));
        }
        let asked = lines.iter().map(|line| line.asked).max().unwrap_or(0);
        if lines.len() > 1 || asked > 1 {
            findings.violation("sent twice", record, &format!("{} orders, asked {asked} times", lines.len()));
        }
        executed.push(times.into_iter().next());
    }
    for wrong in &record.wrong_answers {
        findings.violation("told wrong", record, &format!("answered {wrong}"));
    }
    if record.ids.len() > 1 {
        findings.violation("double", record, "one key, several payments");
    }
    for told in &record.told {
        let said = format!("told {} {} (final: {})", told.state, told.outcome, told.is_final);
        let mut times = executed.iter().flatten();
        let wrong = match told.outcome.as_str() {
            "executed" => times.next().is_none(),
            "not_executed" if told.is_final => times.next().is_some(),
            "not_executed" => times.any(|at| *at < told.asked_at),
            "unknown" => false,
            _ => true,
        };
        if wrong {
            findings.violation("told wrong", record, &said);
            break;
        }
    }
    if record.ids.is_empty() {
        // Nobody was told of a payment: the bank must not have one, since nobody approved any.
        findings.count("never answered");
        if !record.under_mandate && executed.iter().any(Option::is_some) {
            findings.violation("told wrong", record, "executed, and the order was never answered");
        }
        return;
    }
    let Some(kept) = kept else {
        findings.violation("lost", record, "the gateway does not have it");
        return;
    };
    let flagged = kept.get("attention").is_some();
    for (place, executed) in executed.iter().enumerate() {
        in_the_end(record, payment_of(kept, place), flagged, executed.is_some(), findings);
    }
}

/// How a payment stands when all is over, beside what its bank has done.
fn in_the_end(record: &Record, payment: &Value, flagged: bool, executed: bool, findings: &mut Findings) {
    let text = |name: &str| payment.get(name).and_then(Value::as_str).unwrap_or_default();
    let (state, outcome) = (text("state"), text("outcome"));
    let is_final = payment.get("final") == Some(&Value::Bool(true));
    match (is_final, outcome, executed) {
        (true, "executed", true) => findings.count("executed"),
        (true, "not_executed", false) => findings.count("not executed"),
        (true, ..) => findings.violation("told wrong", record, &format!("{state} in the end")),
        (false, ..) if flagged => findings.count("flagged"),
        (false, ..) => findings.violation("not final", record, &format!("{state} in the end")),
    }
}

/// Every step of every payment was told, in order, at least once.
pub fn events(found: &HashMap<String, Value>, arrived: &[Delivery], findings: &mut Findings) {
    let mut told: HashMap<String, Vec<i64>> = HashMap::new();
    for delivery in arrived {
        let body: Value = serde_json::from_slice(&delivery.body).unwrap_or_default();
        let id = body.pointer("/resource/id").and_then(Value::as_str).unwrap_or_default();
        let sequence = body.get("sequence").and_then(Value::as_i64).unwrap_or_default();
        let seen = told.entry(id.to_owned()).or_default();
        if !seen.contains(&sequence) {
            seen.push(sequence);
        }
    }
    for (id, payment) in found {
        let steps = payment.get("status_history").and_then(Value::as_array).map_or(0, Vec::len);
        let wanted: Vec<i64> = (1..).take(steps).collect();
        let seen = told.get(id).map(Vec::as_slice).unwrap_or_default();
        if seen != wanted.as_slice() {
            findings.count("events missing or out of order");
            findings.violations.push(format!("events of {id}: {seen:?} of {steps}"));
        }
    }
}

/// How many events have not arrived yet, of the payments that are there.
pub fn missing(found: &HashMap<String, Value>, arrived: &[Delivery]) -> usize {
    let mut findings = Findings::default();
    events(found, arrived, &mut findings);
    findings.violations.len()
}
