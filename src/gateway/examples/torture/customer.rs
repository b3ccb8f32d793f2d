//! A fintech's customers: each orders payments, repeats what was not answered, lets
//! the person approve, asks what became of it, and remembers all it was told.

use std::collections::BTreeSet;
use std::time::Duration;

use consentry::demo::{Answer, Browser, Client, RETURN, Tpp};
use domain::{Clock, SystemClock, Timestamp};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::chance::Chance;

/// The banks that are paid from, and how often of a hundred.
const BANKS: [(&str, &str, &str, u64); 4] = [
    ("gb-albion-bank", "GBP", "", 40),
    ("de-rheinbank", "EUR", "DE89370400440532013000", 30),
    ("fr-credit-rivage", "EUR", "DE89370400440532013000", 20),
    ("pl-bank-wisla", "PLN", "PL61109010140000071219812874", 10),
];
/// How long one repeats an order that is not answered.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long one waits for one answer.
const ANSWER: Duration = Duration::from_secs(20);
/// How long a person tries to approve.
const APPROVAL: Duration = Duration::from_secs(60);
/// How long one asks what became of it.
const WATCH: Duration = Duration::from_secs(10);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(40);

/// An order of `amount` in a currency at a bank, to somebody whose IBAN this is; without one, at a UK bank.
pub fn order(bank: &str, (currency, iban): (&str, &str), amount: &str, name: &str) -> Value {
    let creditor = if iban.is_empty() {
        json!({ "sort_code_account_number": { "sort_code": "990011", "account_number": "20000018" } })
    } else {
        json!({ "iban": iban })
    };
    json!({
        "institution_id": bank,
        "amount": { "amount": amount, "currency": currency },
        "creditor": { "name": "Corner Bookshop" },
        "creditor_account": creditor,
        "debtor_account": null,
        "remittance": { "unstructured": ["Invoice"] },
        "end_to_end_id": name,
        "redirect_uri": RETURN,
    })
}

/// What one was told of a payment.
#[derive(Clone, Debug)]
pub struct Told {
    /// When the question left, before anything could be known of a later instant.
    pub asked_at: Timestamp,
    /// `executed`, `not_executed` or `unknown`.
    pub outcome: String,
    /// Whether that is the last word.
    pub is_final: bool,
    /// The state.
    pub state: String,
}

/// A payment, and all that its customer was told.
#[derive(Clone, Debug)]
pub struct Record {
    /// Where it is paid from.
    pub bank: &'static str,
    /// The key that it was ordered with.
    pub name: String,
    /// The end-to-end id of each payment of it: one, unless it is a batch.
    pub names: Vec<String>,
    /// Identifiers that orders with its key were answered with: one, or none.
    pub ids: BTreeSet<String>,
    /// Answers that nobody may give.
    pub wrong_answers: Vec<String>,
    /// In the order of asking.
    pub told: Vec<Told>,
    /// How often an order was sent.
    pub orders_sent: u32,
    /// It is for the day after.
    pub later: bool,
    /// Where such orders are asked about.
    pub place: &'static str,
    /// Under the mandate, so that nobody approves it.
    pub under_mandate: bool,
    /// Of each payment, in hundredths.
    pub cents: u64,
}

/// Where payments are ordered one by one.
const PAYMENTS: &str = "/v1/payments";
/// Where they are ordered many at once.
pub const BATCHES: &str = "/v1/payment-batches";
/// Where mandates are.
pub const MANDATES: &str = "/v1/mandates";
/// The bank that some are paid from under a mandate.
const MANDATE_BANK: &str = "gb-albion-bank";

impl Record {
    /// Of one payment at once that nothing is known of.
    pub fn of(bank: &'static str, name: &str) -> Self {
        Self {
            bank,
            name: name.to_owned(),
            names: vec![name.to_owned()],
            ids: BTreeSet::new(),
            wrong_answers: Vec::new(),
            told: Vec::new(),
            orders_sent: 0,
            later: false,
            place: PAYMENTS,
            under_mandate: false,
            cents: 1,
        }
    }

    pub fn note(&mut self, asked_at: Timestamp, payment: &Value) {
        let text = |name: &str| payment.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.told.push(Told {
            asked_at,
            outcome: text("outcome"),
            is_final: payment.get("final").and_then(Value::as_bool) == Some(true),
            state: text("state"),
        });
    }
}

/// One customer of the fintech.
pub struct Customer {
    pub tpp: Tpp,
    /// The APIs of the gateways; any will do.
    pub apis: Vec<String>,
    /// Browsers of people are none of the fintech's.
    pub people: Client,
    pub chance: Chance,
    pub token: SecretString,
    /// Under which some are paid.
    pub mandate: String,
}

impl Customer {
    /// Orders a payment and sees it through.
    pub async fn pay(&mut self, name: String) -> Record {
        let draw = self.chance.below(100);
        let mut passed = 0_u64;
        let (bank, currency, iban, _) = BANKS
            .into_iter()
            .find(|(.., share)| {
                passed = passed.saturating_add(*share);
                draw < passed
            })
            .unwrap_or(BANKS[0]);
        let mut record = Record { cents: self.chance.between(1, 9), ..Record::of(bank, &name) };
        let mut order = order(bank, (currency, iban), &format!("0.0{}", record.cents), &name);
        // Some are for the day after, which comes when all the trouble is over.
        record.later = self.chance.percent(12);
        if record.later {
            let tomorrow = domain::utc_day(SystemClock.now()).tomorrow().unwrap_or_default();
            if let Some(order) = order.as_object_mut() {
                order.insert("requested_execution_date".into(), json!(tomorrow.to_string()));
            }
        }
        // Some are batches. What a UK bank tells of a file is no more than that it was taken.
        if !record.later && !iban.is_empty() && self.chance.percent(15) {
            batch_of(&mut record, &mut order, self.chance.between(2, 4));
        }
        // Some are made under a mandate.
        if !record.later && bank == MANDATE_BANK && self.chance.percent(25) {
            record.under_mandate = true;
            order = json!({ "amount": order.get("amount"), "end_to_end_id": name });
        }
        let Some(ordered) = self.order(&mut record, &name, &order).await else { return record };
        let start = ordered.text("/authorization/href");
        let id = ordered.text("/id");
        // Some never come.
        if !record.under_mandate && !self.chance.percent(4) {
            self.approve(&start).await;
        }
        self.watch(&mut record, &id).await;
        record
    }

    /// Sends an order until it is answered.
    async fn order(&mut self, record: &mut Record, key: &str, order: &Value) -> Option<Answer> {
        let under = format!("{MANDATES}/{}/payments", self.mandate);
        let place = if record.under_mandate { under.as_str() } else { record.place };
        let all = async {
            let mut beat = tokio::time::interval(PAUSE);
            let mut answered = None;
            loop {
                beat.tick().await;
                let mut answers = Vec::new();
                let impatient = Duration::from_millis(self.chance.between(1, 40));
                let way = self.chance.below(10);
                let asked_at = SystemClock.now();
                record.orders_sent = record.orders_sent.saturating_add(1);
                let (one, other) = (self.anywhere(), self.anywhere());
                match way {
                    // Hangs up before the answer can be there.
                    0 => drop(timeout(impatient, one.post_once(&self.token, place, key, order)).await),
                    // Twice at once, perhaps at two gateways.
                    1 => {
                        let (a, b) = tokio::join!(
                            timeout(ANSWER, one.post_once(&self.token, place, key, order)),
                            timeout(ANSWER, other.post_once(&self.token, place, key, order))
                        );
                        answers.extend([a, b].into_iter().flatten().flatten());
                    }
                    _ => {
                        let answer = timeout(ANSWER, one.post_once(&self.token, place, key, order)).await;
                        answers.extend(answer.into_iter().flatten());
                    }
                }
                for answer in answers {
                    match answer.status.as_u16() {
                        201 => {
                            record.ids.insert(answer.text("/id"));
                            // What was answered before is answered again, whatever has become
                            // of it since.
                            let again = answer.header("idempotency-replayed") == Some("true");
                            let known_at = if again { Timestamp::MIN } else { asked_at };
                            record.note(known_at, &answer.json());
                            answered = Some(answer);
                        }
                        401 => self.renew().await,
                        // Still being answered, or nothing was done.
                        409 | 429 | 500..=599 => {}
                        other => record.wrong_answers.push(format!("{other} {}", answer.text("/code"))),
                    }
                }
                // Some repeat what was answered.
                if answered.is_some() && !self.chance.percent(15) {
                    return answered;
                }
            }
        };
        timeout(PATIENCE, all).await.ok().flatten()
    }

    /// The person approves; when a page fails, from the start again.
    async fn approve(&self, start: &str) {
        let mut person = Browser::new(self.people.clone(), "anna", "sandbox");
        let tries = async {
            let mut beat = tokio::time::interval(PAUSE);
            for _ in 0..12 {
                beat.tick().await;
                if let Ok(Ok(visit)) = timeout(ANSWER, person.walk(start, RETURN)).await
                    && visit.page.is_none()
                {
                    return;
                }
            }
        };
        let _ = timeout(APPROVAL, tries).await;
    }

    /// Asks what became of it, until that is certain or one has waited enough.
    async fn watch(&mut self, record: &mut Record, id: &str) {
        let path = format!("{}/{id}", record.place);
        let look = async {
            let mut beat = tokio::time::interval(PAUSE);
            loop {
                beat.tick().await;
                let asked_at = SystemClock.now();
                let asked = self.anywhere();
                let answer = timeout(ANSWER, asked.get(&self.token, &path)).await;
                match answer {
                    Ok(Ok(answer)) if answer.status == 200 => {
                        record.note(asked_at, &answer.json());
                        let kept = |told: &Told| record.later && told.state == "ACCEPTED";
                        if record.told.last().is_some_and(|told| told.is_final || kept(told)) {
                            return;
                        }
                    }
                    Ok(Ok(answer)) if answer.status == 401 => self.renew().await,
                    Ok(Ok(answer)) if answer.status == 404 => {
                        record.wrong_answers.push("404 of a payment that was answered".to_owned());
                    }
                    _ => {}
                }
            }
        };
        let _ = timeout(WATCH, look).await;
    }

    /// The fintech at any of the gateways.
    fn anywhere(&self) -> Tpp {
        let mut tpp = self.tpp.clone();
        if let Some(api) = self.chance.one_of(&self.apis) {
            tpp.api.clone_from(api);
        }
        tpp
    }

    /// A new token, as soon as one can be had.
    async fn renew(&mut self) {
        if let Ok(Ok(token)) = timeout(ANSWER, self.tpp.own_token("payments")).await {
            self.token = token;
        }
    }
}

/// A mandate that is wide enough for all, given before anything is broken.
pub async fn mandate(tpp: &Tpp, token: &SecretString, people: &Client) -> anyhow::Result<String> {
    let wanted = json!({
        "institution_id": MANDATE_BANK,
        "scheme": "SWEEPING",
        "constraints": {
            "max_per_payment": { "amount": "1.00", "currency": "GBP" },
            "periodic_limits": [{
                "period": "YEAR", "alignment": "CONSENT",
                "max_amount": { "amount": "100000.00", "currency": "GBP" },
            }],
        },
        "creditor": { "name": "Anna Archer" },
        "creditor_account": {
            "sort_code_account_number": { "sort_code": "990011", "account_number": "20000018" },
        },
        "redirect_uri": RETURN,
    });
    let ordered = tpp.post(token, MANDATES, &wanted).await?.expect(201)?;
    let start = ordered.text("/authorization/href");
    Browser::new(people.clone(), "anna", "sandbox").walk(&start, RETURN).await?;
    let place = format!("{MANDATES}/{}", ordered.text("/id"));
    let given = async {
        let mut beat = tokio::time::interval(PAUSE);
        loop {
            beat.tick().await;
            if tpp.get(token, &place).await?.text("/status") == "AUTHORIZED" {
                return Ok::<_, anyhow::Error>(ordered.text("/id"));
            }
        }
    };
    timeout(APPROVAL, given).await?
}

/// Makes a batch of an order: so many payments of the same kind.
fn batch_of(record: &mut Record, order: &mut Value, size: u64) {
    let Some(order) = order.as_object_mut() else { return };
    record.place = BATCHES;
    record.names = (0..size).map(|number| format!("{}-{number}", record.name)).collect();
    let mut payment = serde_json::Map::new();
    for member in ["amount", "creditor", "creditor_account", "remittance", "end_to_end_id"] {
        payment.extend(order.remove_entry(member));
    }
    let payments = record.names.iter().map(|name| {
        let mut payment = payment.clone();
        payment.insert("end_to_end_id".into(), json!(name));
        Value::Object(payment)
    });
    order.insert("payments".into(), payments.collect());
}

/// A token, however long it takes.
pub async fn first_token(tpp: &Tpp) -> anyhow::Result<SecretString> {
    let mut beat = tokio::time::interval(PAUSE);
    let got = async {
        loop {
            beat.tick().await;
            if let Ok(token) = tpp.own_token("payments").await {
                return token;
            }
        }
    };
    Ok(timeout(PATIENCE, got).await?)
}
