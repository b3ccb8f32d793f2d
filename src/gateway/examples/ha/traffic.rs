//! Traffic at a constant rate, whatever becomes of it: accounts are read, consents lodged, payments
//! ordered and approved. Who calls repeats what the interface says may be repeated, and writes down all.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use consentry::demo::{Answer, Browser, Client, PERMISSIONS, RETURN, Tpp, bearer};
use consentry::sandbox::Access;
use domain::{Clock, Entropy, SystemClock, SystemEntropy};
use http::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::time::{Instant, interval, sleep, timeout};
use url::Url;

use super::customer::{Record, order};
use super::wire::{NoAnswer, Wire};

/// For how long one repeats what may be repeated.
const DEADLINE: Duration = Duration::from_secs(60);
/// The pause after a connection that was refused.
const REFUSED: Duration = Duration::from_millis(200);
/// The longest that one waits because one was told to.
const LONGEST_WAIT: u64 = 10;
/// Between two questions what became of a payment.
const ASK: Duration = Duration::from_millis(800);
/// How long one asks.
const WATCH: Duration = Duration::from_secs(90);
/// One approval of a person.
const WALK: Duration = Duration::from_secs(40);
/// Between two tokens.
const TOKEN: Duration = Duration::from_secs(5);

/// The banks that are paid from, with what they pay.
const BANKS: [(&str, &str, &str); 3] = [
    ("gb-albion-bank", "GBP", ""),
    ("de-rheinbank", "EUR", "DE89370400440532013000"),
    ("fr-credit-rivage", "EUR", "DE89370400440532013000"),
];
/// The banks whose accounts are read.
const READ: [&str; 2] = ["gb-albion-bank", "de-rheinbank"];

/// What was called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Read,
    Consent,
    Order,
    Approval,
    Question,
    Token,
}

/// One request, with all its repetitions.
#[derive(Clone, Debug)]
pub struct Call {
    pub kind: Kind,
    pub begun: Instant,
    pub ended: Instant,
    /// Why it was sent again: the interface said so, or no byte of it had left.
    pub retried: Vec<String>,
    /// Why it failed, if it did.
    pub failed: Option<String>,
    /// A 503 did not say when to come back.
    pub untold: bool,
}

/// How many a second.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    pub reads: u32,
    pub consents: u32,
    /// A minute.
    pub payments: u32,
}

/// What is done again and again.
#[derive(Clone, Copy, Debug)]
enum Work {
    Read,
    Consent,
    Pay,
    Renew,
}

/// A fintech and its customers.
#[derive(Clone)]
pub struct Traffic(Arc<Shared>);

struct Shared {
    wire: Wire,
    tpp: Tpp,
    people: Client,
    /// Of the grant under which accounts are read.
    reading: SecretString,
    own: Mutex<SecretString>,
    calls: Mutex<Vec<Call>>,
    records: Mutex<Vec<(Instant, Record)>>,
    consents: Mutex<BTreeSet<String>>,
    next: AtomicU64,
    open: AtomicU64,
    paused: AtomicBool,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Traffic {
    /// Registers, and has a person grant access to accounts at two banks.
    pub async fn prepared(access: &Access) -> anyhow::Result<Self> {
        let mut tpp = Tpp::discover(access, Arc::new(SystemClock)).await?;
        tpp.register().await?;
        let own = tpp.own_token("accounts payments").await?;
        let people = Client::new(&access.pki.root, None)?;
        let (reading, consents) = tpp.granted(&access.pki.root, &READ).await?;
        Ok(Self(Arc::new(Shared {
            wire: Wire::to_api(access)?,
            tpp,
            people,
            reading,
            own: Mutex::new(own),
            calls: Mutex::default(),
            records: Mutex::default(),
            consents: Mutex::new(consents.into_iter().collect()),
            next: AtomicU64::default(),
            open: AtomicU64::default(),
            paused: AtomicBool::default(),
        })))
    }

    /// Begins, and goes on for as long as this program runs.
    pub fn begin(&self, rates: Rates) {
        let every = |times: u32, of: Duration| of.checked_div(times).unwrap_or(of);
        let second = Duration::from_secs(1);
        self.each(every(rates.reads, second), Work::Read);
        self.each(every(rates.consents, second), Work::Consent);
        self.each(every(rates.payments, Duration::from_secs(60)), Work::Pay);
        self.each(TOKEN, Work::Renew);
    }

    /// No further requests begin, or they do again.
    pub fn pause(&self, paused: bool) {
        self.0.paused.store(paused, Ordering::Relaxed);
    }

    /// How many requests, and payments with all that belongs to them, are not over.
    pub fn open(&self) -> u64 {
        self.0.open.load(Ordering::Relaxed)
    }

    /// What was called for since.
    pub fn calls_since(&self, since: Instant) -> Vec<Call> {
        held(&self.0.calls).iter().filter(|call| call.begun >= since).cloned().collect()
    }

    /// The payments, with the instant at which each was ordered.
    pub fn records(&self) -> Vec<(Instant, Record)> {
        held(&self.0.records).clone()
    }

    /// The consents that somebody was told of.
    pub fn consents(&self) -> BTreeSet<String> {
        held(&self.0.consents).clone()
    }

    /// Asks for a resource until it is answered for good.
    pub async fn shown(&self, path: &str) -> Result<Value, String> {
        let call = self.call(Kind::Question, Method::GET, path, &[], Bytes::new()).await;
        let answer = call.ok_or_else(|| "no answer".to_owned())?;
        if answer.status == 200 { Ok(answer.json()) } else { Err(answer.status.to_string()) }
    }

    fn each(&self, pause: Duration, work: Work) {
        let traffic = self.clone();
        tokio::spawn(async move {
            let mut beat = interval(pause);
            loop {
                beat.tick().await;
                if traffic.0.paused.load(Ordering::Relaxed) {
                    continue;
                }
                let of = traffic.clone();
                tokio::spawn(async move {
                    of.0.open.fetch_add(1, Ordering::Relaxed);
                    match work {
                        Work::Read => of.read().await,
                        Work::Consent => of.consent().await,
                        Work::Pay => of.pay().await,
                        Work::Renew => of.renew().await,
                    }
                    of.0.open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
    }

    async fn read(&self) {
        self.call(Kind::Read, Method::GET, "/v1/accounts", &[], Bytes::new()).await;
    }

    async fn consent(&self) {
        let bank = READ.get(self.number() % 2).copied().unwrap_or_default();
        let wanted =
            json!({ "type": "ACCOUNT_INFORMATION", "institution_id": bank, "permissions": PERMISSIONS });
        let key = SystemEntropy.uuid_v4().to_string();
        if let Some(answer) = self.keyed(Kind::Consent, "/v1/consents", &key, &wanted).await {
            held(&self.0.consents).insert(answer.text("/id"));
        }
    }

    /// Orders a payment and sees it through.
    async fn pay(&self) {
        let number = self.number();
        let (bank, currency, iban) = BANKS.get(number % BANKS.len()).copied().unwrap_or(BANKS[0]);
        let name = format!("HA-{number}");
        let order = order(bank, (currency, iban), "0.01", &name);
        let mut record = Record::of(bank, &name);
        let (begun, asked_at) = (Instant::now(), SystemClock.now());
        if let Some(answer) = self.keyed(Kind::Order, "/v1/payments", &name, &order).await {
            let id = answer.text("/id");
            record.ids.insert(id.clone());
            let again = answer.header("idempotency-replayed") == Some("true");
            record.note(if again { domain::Timestamp::MIN } else { asked_at }, &answer.json());
            held(&self.0.records).push((begun, record.clone()));
            self.approve(&answer.text("/authorization/href")).await;
            self.watch(&mut record, &id).await;
        }
        let mut records = held(&self.0.records);
        records.retain(|(_, kept)| kept.name != record.name);
        records.push((begun, record));
    }

    /// A person approves; from the start again where a page fails.
    async fn approve(&self, start: &str) {
        let mut person = Browser::new(self.0.people.clone(), "anna", "sandbox");
        let begun = Instant::now();
        let mut call = Call::begun(Kind::Approval, begun);
        loop {
            let why = match timeout(WALK, person.walk(start, RETURN)).await {
                Ok(Ok(visit)) => match visit.page {
                    // Sent back to the fintech, perhaps with the word that something failed.
                    None => match visit.url.query_pairs().find(|(name, _)| name == "error") {
                        None => break,
                        Some((_, error)) => format!("sent back with {error}"),
                    },
                    Some(page) => format!("a page with {} at {}", page.status, visit.url.path()),
                },
                Ok(Err(error)) => format!("{error:#}"),
                Err(_) => "no end in time".to_owned(),
            };
            if begun.elapsed() > DEADLINE {
                call.failed = Some(why);
                break;
            }
            call.retried.push(why);
            sleep(REFUSED).await;
        }
        self.over(call);
    }

    /// Asks what became of it, until that is certain or one has waited enough.
    async fn watch(&self, record: &mut Record, id: &str) {
        let path = format!("/v1/payments/{id}");
        let look = async {
            let mut beat = interval(ASK);
            loop {
                beat.tick().await;
                let asked_at = SystemClock.now();
                let Some(answer) = self.call(Kind::Question, Method::GET, &path, &[], Bytes::new()).await
                else {
                    continue;
                };
                if answer.status == 404 {
                    record.wrong_answers.push("404 of a payment that was answered".to_owned());
                }
                record.note(asked_at, &answer.json());
                if record.told.last().is_some_and(|told| told.is_final) {
                    return;
                }
            }
        };
        let _ = timeout(WATCH, look).await;
    }

    /// A new token of the fintech's own.
    async fn renew(&self) {
        let form = || {
            let tpp = &self.0.tpp;
            let assertion = tpp.assertion(|_| {}).unwrap_or_default();
            url::form_urlencoded::Serializer::new(String::new())
                .append_pair("grant_type", "client_credentials")
                .append_pair("scope", "accounts payments")
                .append_pair("client_id", &tpp.client_id)
                .append_pair(
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                )
                .append_pair("client_assertion", &assertion)
                .finish()
        };
        let endpoint = self.0.tpp.endpoint("token_endpoint").ok().and_then(|url| Url::parse(url).ok());
        let path = endpoint.map(|url| url.path().to_owned()).unwrap_or_default();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = self.repeated(Kind::Token, Method::POST, &path, &headers, || form().into()).await;
        if let Some(answer) = answer {
            *held(&self.0.own) = answer.text("/access_token").into();
        }
    }

    async fn keyed(&self, kind: Kind, path: &str, key: &str, body: &Value) -> Option<Answer> {
        let headers = [("idempotency-key", key), ("content-type", "application/json")];
        self.call(kind, Method::POST, path, &headers, body.to_string().into()).await
    }

    /// Sends a request until it is answered for good; nothing, if it is not.
    async fn call(
        &self,
        kind: Kind,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Option<Answer> {
        let token = match kind {
            Kind::Read => self.0.reading.clone(),
            Kind::Consent | Kind::Order | Kind::Approval | Kind::Question | Kind::Token => {
                held(&self.0.own).clone()
            }
        };
        let bearer = bearer(&token);
        let mut all = vec![("authorization", bearer.as_str()), ("psu-ip-address", "192.0.2.10")];
        all.extend(headers);
        self.repeated(kind, method, path, &all, || body.clone()).await
    }

    async fn repeated(
        &self,
        kind: Kind,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Fn() -> Bytes,
    ) -> Option<Answer> {
        let mut call = Call::begun(kind, Instant::now());
        let answered = loop {
            let (why, wait) = match self.0.wire.send(method.clone(), path, headers, body()).await {
                Ok(answer) if answer.status.is_success() => break Some(answer),
                Ok(answer) => {
                    let told = answer.header("retry-after").and_then(|wait| wait.parse::<u64>().ok());
                    call.untold |= answer.status == 503 && told.is_none();
                    let why = format!(
                        "{} {}{}",
                        answer.status.as_u16(),
                        answer.text("/code"),
                        answer.text("/error")
                    );
                    let Some(wait) = told else {
                        call.failed = Some(why);
                        break Some(answer).filter(|_| kind == Kind::Question);
                    };
                    (why, Duration::from_secs(wait.min(LONGEST_WAIT)))
                }
                Err(NoAnswer::NotSent(error)) => (format!("not sent: {error:#}"), REFUSED),
                Err(NoAnswer::Lost(error)) => {
                    let why = format!("no answer: {error:#}");
                    call.failed.get_or_insert(why.clone());
                    // What has a key is asked for again all the same, to know what became of it.
                    if !matches!(kind, Kind::Order | Kind::Consent) {
                        break None;
                    }
                    (why, REFUSED)
                }
            };
            if call.begun.elapsed() > DEADLINE {
                call.failed = Some(why);
                break None;
            }
            call.retried.push(why);
            sleep(wait).await;
        };
        self.over(call);
        answered
    }

    fn over(&self, call: Call) {
        held(&self.0.calls).push(Call { ended: Instant::now(), ..call });
    }

    fn number(&self) -> usize {
        usize::try_from(self.0.next.fetch_add(1, Ordering::Relaxed)).unwrap_or(0)
    }
}

impl Call {
    fn begun(kind: Kind, begun: Instant) -> Self {
        Self { kind, begun, ended: begun, retried: Vec::new(), failed: None, untold: false }
    }
}
