//! What the tests of the whole gateway share: a sandbox per test on free
//! ports, a fintech and a person, all over real sockets.

#![allow(dead_code, reason = "each test file uses its own part of this")]

pub mod consents;
pub mod customer;
pub mod funds;
pub mod log;
pub mod operator;
pub mod served;
pub mod template;
pub mod webhooks;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use consentry::demo::{Answer, Browser, Client, RETURN, Tpp, Visit, verifier};
use consentry::sandbox::{LimitsFrom, Sandbox, SandboxOptions};
use consentry::{FilterFiles, FilterMode};
use domain::{Clock, ManualClock, ShiftedClock, SystemClock, SystemEntropy};
use secrecy::SecretString;
use serde_json::{Value, json};
use store::ScratchDatabase;
use tempfile::TempDir;

pub const UK: &str = "gb-albion-bank";
pub const EU: &str = "de-rheinbank";
pub const DECOUPLED: &str = "fr-banque-lumiere";
pub const STET: &str = "fr-credit-rivage";
pub const POLISH: &str = "pl-bank-wisla";
pub const EMBEDDED: &str = "at-donaubank";

/// A running sandbox of one test.
pub struct TestGateway {
    pub sandbox: Sandbox,
    pub clock: Arc<dyn Clock>,
    folder: TempDir,
    database: Option<ScratchDatabase>,
}

/// How a test wants its sandbox.
pub struct Wanted {
    pub auto_approve: bool,
    /// Requests that are not as described are refused, unless a test is about what their
    /// handlers say of them.
    pub filter: FilterMode,
    pub filter_files: FilterFiles,
    pub clock: Arc<dyn Clock>,
    pub virtual_time: Option<Arc<ShiftedClock>>,
    pub require_dpop_nonce: bool,
    pub webhook_challenge: bool,
    pub bank_notifications: bool,
    pub open_registration: bool,
    /// Questions about payees that a client may ask on a day.
    pub payee_verifications_per_day: u32,
    /// The limits, as a file has them.
    pub limits: String,
    /// Issuers of software statements: an array of `{issuer, jwks}`.
    pub software_issuers: Value,
    /// A folder of rules of access.
    pub policies: Option<PathBuf>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            auto_approve: true,
            filter: FilterMode::Block,
            filter_files: FilterFiles::default(),
            clock: Arc::new(SystemClock),
            virtual_time: None,
            require_dpop_nonce: false,
            webhook_challenge: false,
            bank_notifications: false,
            open_registration: true,
            payee_verifications_per_day: 1_000,
            limits: limits(""),
            software_issuers: Value::Array(Vec::new()),
            policies: None,
        }
    }
}

/// Whether the tests run on PostgreSQL: `CONSENTRY_TEST_ON=postgres`, with the
/// address of a database in `CONSENTRY_TEST_POSTGRES`. The whole suite runs on
/// each database in turn; a single run is on one.
pub fn postgres() -> Option<String> {
    match std::env::var("CONSENTRY_TEST_ON").as_deref() {
        Ok("postgres") => {
            Some(std::env::var("CONSENTRY_TEST_POSTGRES").expect("CONSENTRY_TEST_POSTGRES names a database"))
        }
        Ok("sqlite") | Err(_) => None,
        Ok(other) => panic!("CONSENTRY_TEST_ON is sqlite or postgres, not {other}"),
    }
}

/// The limits that come with the binary, with these policies (TOML) in the place of those of
/// their names, on a machine that is never late: it does more than one test at a time.
pub fn limits(policies: &str) -> String {
    let embedded = include_str!("../../../../policies/limits/limits.toml");
    let mut all: toml::Table = embedded.parse().unwrap();
    let changed: toml::Table = policies.parse().unwrap();
    let changed = changed.get("policy").and_then(toml::Value::as_array).cloned().unwrap_or_default();
    let known = all["policy"].as_array_mut().unwrap();
    known.retain(|policy| changed.iter().all(|changed| changed["name"] != policy["name"]));
    known.extend(changed);
    all["load"]["lag_ms"] = 60_000.into();
    all.to_string()
}

/// The rules of access that come with the binary, in a folder, with more of them.
pub fn rules_with(more: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/access");
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    add_rules(folder.path(), more);
    folder
}

/// Puts rules behind those of consents in a folder.
pub fn add_rules(folder: &Path, more: &str) {
    let file = folder.join("consent.cedar");
    let rules = std::fs::read_to_string(&file).unwrap();
    // Nobody reads half of it.
    let whole = folder.join("consent.new");
    std::fs::write(&whole, format!("{rules}\n{more}")).unwrap();
    std::fs::rename(whole, file).unwrap();
}

impl TestGateway {
    /// Where its limits are read from.
    pub fn limits_file(&self) -> std::path::PathBuf {
        self.folder.path().join("limits.toml")
    }

    /// A sandbox that approves by itself.
    pub async fn start() -> Self {
        Self::wanted(Wanted::default()).await
    }

    /// A sandbox whose clock stands still.
    pub async fn with_manual_clock() -> (Self, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let wanted = Wanted { clock: clock.clone(), ..Wanted::default() };
        (Self::wanted(wanted).await, clock)
    }

    pub async fn wanted(wanted: Wanted) -> Self {
        let database = match postgres() {
            Some(url) => Some(fresh_database(&url).await),
            None => None,
        };
        let folder = tempfile::tempdir().unwrap();
        Self::on(folder, database, wanted).await
    }

    async fn on(folder: TempDir, database: Option<ScratchDatabase>, wanted: Wanted) -> Self {
        let issuers = folder.path().join("issuers.json");
        std::fs::write(&issuers, wanted.software_issuers.to_string()).unwrap();
        let limits = folder.path().join("limits.toml");
        std::fs::write(&limits, &wanted.limits).unwrap();
        let data = folder.path().join("data");
        if !data.exists() {
            template::seed(&data, &*wanted.clock).await;
        }
        let sandbox = Sandbox::start(SandboxOptions {
            limits: LimitsFrom::File(limits),
            auto_approve: wanted.auto_approve,
            filter: wanted.filter,
            filter_files: wanted.filter_files,
            require_dpop_nonce: wanted.require_dpop_nonce,
            webhook_challenge: wanted.webhook_challenge,
            bank_notifications: wanted.bank_notifications,
            open_registration: wanted.open_registration,
            payee_verifications_per_day: wanted.payee_verifications_per_day,
            software_issuers: Some(issuers),
            policies: wanted.policies,
            read_deadline: Duration::from_secs(2),
            event_heartbeat: Duration::from_millis(100),
            database_url: database.as_deref().map(str::to_owned),
            clock: Arc::clone(&wanted.clock),
            virtual_time: wanted.virtual_time,
            ..SandboxOptions::at(data)
        })
        .await
        .unwrap();
        Self { sandbox, clock: wanted.clock, folder, database }
    }

    /// A fintech that has registered.
    pub async fn tpp(&self) -> Tpp {
        let mut tpp = Tpp::discover(&self.sandbox.access(), Arc::clone(&self.clock)).await.unwrap();
        tpp.register().await.unwrap();
        tpp
    }

    /// A client without a certificate.
    pub fn anybody(&self) -> Client {
        Client::new(&self.sandbox.access().pki.root, None).unwrap()
    }

    /// A person with a browser.
    pub fn person(&self) -> Browser {
        Browser::new(self.anybody(), "anna", "sandbox")
    }

    /// One whose filter tells of what it would refuse, and lets it pass to its handler.
    pub async fn that_reports() -> Self {
        Self::wanted(Wanted { filter: FilterMode::Report, ..Wanted::default() }).await
    }

    /// A token of a grant with a consent at each bank.
    pub async fn granted(&self, tpp: &Tpp, banks: &[&str]) -> Granted {
        let own = tpp.own_token("accounts payments").await.unwrap();
        let consents = tpp.lodge(&own, banks).await.unwrap();
        self.given(tpp, consents, self.person()).await
    }

    /// The same, of consents that were lodged.
    pub async fn given(&self, tpp: &Tpp, consents: Vec<String>, person: Browser) -> Granted {
        given(tpp, consents, person).await
    }

    /// The first IBAN of a bank's accounts, read as any fintech would.
    pub async fn iban_at(&self, tpp: &Tpp, bank: &str) -> String {
        let granted = self.granted(tpp, &[bank]).await;
        let accounts = tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
        let found = rows(&accounts).into_iter().find(|row| row["cash_account_type"] == "CACC");
        found.unwrap()["identification"]["iban"].as_str().unwrap().to_owned()
    }

    /// As [`payment_until`].
    pub async fn payment_until(
        &self,
        tpp: &Tpp,
        token: &SecretString,
        id: &str,
        done: impl Fn(&Value) -> bool,
    ) -> Value {
        payment_until(tpp, token, id, done).await
    }

    /// Reads the accounts until the banks answer: they are left alone for a
    /// moment after they failed or asked for it.
    pub async fn read_again(&self, tpp: &Tpp, token: &SecretString) {
        let look = async {
            let mut beat = tokio::time::interval(Duration::from_millis(50));
            loop {
                beat.tick().await;
                if tpp.get(token, "/v1/accounts").await.unwrap().status == 200 {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), look).await.expect("the banks answer again");
    }

    /// The database it keeps its state in, where that is no file.
    pub fn database_url(&self) -> Option<&str> {
        self.database.as_deref()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A second gateway, with banks of its own, on the same keys and stores.
    pub async fn twin(&self) -> Sandbox {
        let (from, to) = (self.folder().join("data"), self.folder().join("twin"));
        copy(&from, &to, |from, to| std::os::unix::fs::symlink(from, to).unwrap());
        let options = SandboxOptions {
            auto_approve: true,
            database_url: self.database_url().map(str::to_owned),
            clock: Arc::clone(&self.clock),
            ..SandboxOptions::at(to)
        };
        Sandbox::start(options).await.unwrap()
    }

    /// Stops the sandbox and starts it again on the same state.
    pub async fn restarted(self) -> Self {
        self.restarted_after(|| {}).await
    }

    /// The same, with a change to the state in between.
    pub async fn restarted_after(self, change: impl FnOnce()) -> Self {
        let Self { sandbox, clock, folder, database } = self;
        sandbox.stop().await;
        change();
        Self::on(folder, database, Wanted { clock, ..Wanted::default() }).await
    }
}

/// Currency of a bank's country, and an account there that is paid.
pub fn payee(bank: &str) -> (&'static str, Value) {
    match bank {
        UK => {
            let account = json!({ "sort_code": "200000", "account_number": "55779911" });
            ("GBP", json!({ "sort_code_account_number": account }))
        }
        POLISH => ("PLN", json!({ "iban": "PL06999010060000000000020018" })),
        _ => ("EUR", json!({ "iban": "DE42999100002000000018" })),
    }
}

/// Polls a payment until `done`; at most ten seconds.
pub async fn payment_until(
    tpp: &Tpp,
    token: &SecretString,
    id: &str,
    done: impl Fn(&Value) -> bool,
) -> Value {
    shown_until(tpp, token, &format!("/v1/payments/{id}"), done).await
}

/// Polls a place of the API until `done`; at most ten seconds.
pub async fn shown_until(
    tpp: &Tpp,
    token: &SecretString,
    place: &str,
    done: impl Fn(&Value) -> bool,
) -> Value {
    let look = async {
        let mut beat = tokio::time::interval(Duration::from_millis(30));
        loop {
            beat.tick().await;
            let shown = tpp.get(token, place).await.unwrap().json();
            if done(&shown) {
                return shown;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), look).await.expect("it gets there")
}

/// What a PSU's approval gave.
pub struct Granted {
    pub own: SecretString,
    pub consents: Vec<String>,
    pub code: String,
    pub verifier: SecretString,
    pub token: SecretString,
}

/// A token of a grant with these consents, which the person gives.
pub async fn given(tpp: &Tpp, consents: Vec<String>, mut person: Browser) -> Granted {
    let own = tpp.own_token("accounts payments").await.unwrap();
    let verifier = verifier();
    let pushed = tpp.push(&consents, &verifier).await.unwrap().expect(201).unwrap();
    let visit = person.walk(&tpp.start_of(&pushed).unwrap(), RETURN).await.unwrap();
    let code = parameter(&visit, "code");
    let answer = tpp.redeem(&code, &verifier).await.unwrap().expect(200).unwrap();
    Granted { own, consents, code, verifier, token: answer.text("/access_token").into() }
}

/// A parameter of the address where a walk ended.
pub fn parameter(visit: &Visit, name: &str) -> String {
    let found = visit.url.query_pairs().find(|(found, _)| found == name);
    found.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// Holds an answer to being a problem document of this kind.
#[track_caller]
pub fn assert_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.text("/code").as_str()),
        (status, code),
        "{:?}",
        answer.json()
    );
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let body = answer.json();
    assert_eq!(body["status"], status);
    assert!(body["title"].as_str().is_some_and(|title| !title.is_empty()));
    assert_eq!(body["type"], format!("/v1/problems/{code}"));
    assert!(answer.header("x-request-id").is_some_and(|id| id.starts_with("req_")));
}

/// The rows of a list.
pub fn rows(answer: &Answer) -> Vec<Value> {
    answer.json()["data"].as_array().cloned().unwrap_or_default()
}

/// Copies what belongs to a sandbox and to no process, and lets `database` see to each database.
fn copy(from: &Path, to: &Path, database: impl Copy + Fn(&Path, &Path)) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let name = entry.file_name().into_string().unwrap();
        if path.is_dir() {
            copy(&path, &target, database);
        } else if name.ends_with(".sqlite") {
            database(&path, &target);
        } else if name != "lock" && !name.contains(".sqlite-") {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// A database name of this test alone, beside the given one.
pub async fn fresh_database(url: &str) -> ScratchDatabase {
    ScratchDatabase::beside(url, &SystemEntropy).await.unwrap()
}
