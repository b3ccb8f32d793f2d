//! What the tests of the whole gateway share: a sandbox per test on free
//! ports, a fintech and a person, all over real sockets.

#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::sync::Arc;
use std::time::Duration;

use consentry::demo::{Answer, Browser, Client, RETURN, Tpp, Visit, verifier};
use consentry::sandbox::{Sandbox, SandboxOptions};
use domain::{Clock, ManualClock, SystemClock, SystemEntropy};
use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;

pub const UK: &str = "gb-albion-bank";
pub const EU: &str = "de-rheinbank";
pub const DECOUPLED: &str = "fr-banque-lumiere";

/// Where a test keeps its data.
#[derive(Clone, Copy, Debug)]
pub enum On {
    Sqlite,
    Postgres,
}

/// Runs a test on both databases. On PostgreSQL it needs
/// `CONSENTRY_TEST_POSTGRES`, and says so loudly where that is missing.
#[macro_export]
macro_rules! on_both_databases {
    ($($(#[doc = $doc:literal])* async fn $name:ident($gw:ident: TestGateway) $body:block)+) => {
        $(
            mod $name {
                use super::*;

                async fn check($gw: TestGateway) $body

                $(#[doc = $doc])*
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn on_sqlite() {
                    check(TestGateway::start($crate::support::On::Sqlite).await.unwrap()).await;
                }

                $(#[doc = $doc])*
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn on_postgres() {
                    match TestGateway::start($crate::support::On::Postgres).await {
                        Some(gateway) => check(gateway).await,
                        None => eprintln!("SKIPPED: set CONSENTRY_TEST_POSTGRES to run this on PostgreSQL"),
                    }
                }
            }
        )+
    };
}

/// A running sandbox of one test.
pub struct TestGateway {
    pub sandbox: Sandbox,
    pub clock: Arc<dyn Clock>,
    folder: TempDir,
}

/// How a test wants its sandbox.
pub struct Wanted {
    pub on: On,
    pub auto_approve: bool,
    pub clock: Arc<dyn Clock>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { on: On::Sqlite, auto_approve: true, clock: Arc::new(SystemClock) }
    }
}

impl TestGateway {
    /// A sandbox that approves by itself. `None` without the database.
    pub async fn start(on: On) -> Option<Self> {
        Self::wanted(Wanted { on, ..Wanted::default() }).await
    }

    /// A sandbox on SQLite whose clock stands still.
    pub async fn with_manual_clock() -> (Self, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let wanted = Wanted { clock: clock.clone(), ..Wanted::default() };
        (Self::wanted(wanted).await.unwrap(), clock)
    }

    pub async fn wanted(wanted: Wanted) -> Option<Self> {
        let database_url = match wanted.on {
            On::Sqlite => None,
            On::Postgres => Some(fresh_database(&std::env::var("CONSENTRY_TEST_POSTGRES").ok()?).await),
        };
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(SandboxOptions {
            data_dir: folder.path().join("data"),
            port_base: 0,
            auto_approve: wanted.auto_approve,
            clients: None,
            trust_ca: Vec::new(),
            banks: Vec::new(),
            read_deadline: Duration::from_secs(2),
            database_url,
            clock: Arc::clone(&wanted.clock),
            entropy: Arc::new(SystemEntropy),
        })
        .await
        .unwrap();
        Some(Self { sandbox, clock: wanted.clock, folder })
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

    /// A token of a grant with a consent at each bank.
    pub async fn granted(&self, tpp: &Tpp, banks: &[&str]) -> Granted {
        let own = tpp.own_token("accounts payments").await.unwrap();
        let consents = tpp.lodge(&own, banks).await.unwrap();
        let verifier = verifier();
        let pushed = tpp.push(&consents, &verifier).await.unwrap().expect(201).unwrap();
        let visit = self.person().walk(&tpp.start_of(&pushed).unwrap(), RETURN).await.unwrap();
        let code = parameter(&visit, "code");
        let answer = tpp.redeem(&code, &verifier).await.unwrap().expect(200).unwrap();
        Granted { own, consents, code, verifier, token: answer.text("/access_token").into() }
    }

    /// Polls a payment until `done`; at most ten seconds.
    pub async fn payment_until(
        &self,
        tpp: &Tpp,
        token: &SecretString,
        id: &str,
        done: impl Fn(&Value) -> bool,
    ) -> Value {
        let look = async {
            let mut beat = tokio::time::interval(Duration::from_millis(30));
            loop {
                beat.tick().await;
                let payment = tpp.get(token, &format!("/v1/payments/{id}")).await.unwrap().json();
                if done(&payment) {
                    return payment;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), look).await.expect("the payment gets there")
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Stops the sandbox and starts it again on the same state.
    pub async fn restarted(self) -> Self {
        let Self { sandbox, clock, folder } = self;
        sandbox.stop().await;
        let sandbox = Sandbox::start(SandboxOptions {
            data_dir: folder.path().join("data"),
            port_base: 0,
            auto_approve: true,
            clients: None,
            trust_ca: Vec::new(),
            banks: Vec::new(),
            read_deadline: Duration::from_secs(2),
            database_url: None,
            clock: Arc::clone(&clock),
            entropy: Arc::new(SystemEntropy),
        })
        .await
        .unwrap();
        Self { sandbox, clock, folder }
    }
}

/// What a PSU's approval gave.
pub struct Granted {
    pub own: SecretString,
    pub consents: Vec<String>,
    pub code: String,
    pub verifier: SecretString,
    pub token: SecretString,
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

/// A database name of this test alone, beside the given one.
async fn fresh_database(url: &str) -> String {
    let mut random = [0_u8; 8];
    domain::Entropy::fill(&SystemEntropy, &mut random);
    let suffix = format!("t{}", hex::encode(random));
    let made = store::postgres_databases(url, &[&suffix]).await.unwrap();
    made.into_iter().next().unwrap()
}
