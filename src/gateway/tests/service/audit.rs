//! Who saw what, under which consent: a log that shows when somebody changed it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use consentry::demo::bearer;
use serde_json::Value;

use crate::support::{EU, TestGateway, UK};

/// The commands over the logs of a gateway.
pub struct Auditor {
    data: PathBuf,
    database: Option<String>,
}

impl Auditor {
    pub fn of(gateway: &TestGateway) -> Self {
        let database = gateway.database_url().map(str::to_owned);
        Self { data: gateway.folder().join("data"), database }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
        command.arg("audit").args(arguments).arg("--data-dir").arg(&self.data);
        command.env_remove("CONSENTRY_DATABASE_URL");
        if let Some(database) = &self.database {
            command.args(["--database-url", database]);
        }
        command.output().expect("the binary runs")
    }

    /// What a command says that succeeds.
    pub fn told(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn key(&self) -> String {
        std::fs::read_to_string(self.data.join("audit/eu.key")).unwrap().trim().to_owned()
    }

    /// What is said of a file that the auditor was sent.
    fn verdict(&self, file: &Path, text: &str) -> (bool, String) {
        std::fs::write(file, text).unwrap();
        let output = self.run(&["verify", file.to_str().unwrap(), "--key", &self.key()]);
        let told = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(told).unwrap())
    }
}

/// The entries of an exported log.
pub fn entries(exported: &str) -> Vec<Value> {
    let lines = exported.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let entries = lines.filter_map(|line| Some(line.get("entry")?["entry"].as_str()?.to_owned()));
    entries.map(|entry| serde_json::from_str(&entry).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_saw_what_is_in_a_log_that_shows_when_it_was_changed() {
    let gateway = TestGateway::start().await;
    let tpp = gateway.tpp().await;
    let iban = gateway.iban_at(&tpp, EU).await;
    let granted = gateway.granted(&tpp, &[UK, EU]).await;
    let account = {
        let accounts = tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap().json();
        let held = accounts["data"].as_array().unwrap().iter();
        held.map(|row| row["id"].as_str().unwrap().to_owned()).find(|id| id.starts_with("acc_eu")).unwrap()
    };
    let balances = format!("/v1/accounts/{account}/balances");
    tpp.get(&granted.token, &balances).await.unwrap().expect(200).unwrap();
    let gateway = gateway.restarted().await;
    let auditor = Auditor::of(&gateway);

    let verified = auditor.told(&["verify"]);
    assert!(verified.contains("eu: ") && verified.contains("uk: "), "{verified}");
    let exported = auditor.told(&["export", "--region", "eu"]);
    let entries = entries(&exported);
    let consent = granted.consents.iter().find(|id| id.starts_with("con_eu")).unwrap();
    let under = |entry: &&Value| entry["consentry.consent.id"] == consent.as_str();
    let reads = entries.iter().filter(under).map(|entry| {
        assert_eq!(entry["event.action"], "data.read");
        assert_eq!(entry["consentry.region"], "eu");
        assert_eq!(entry["consentry.institution.id"], EU);
        assert_eq!(entry["organization.id"], tpp.client_id.as_str());
        assert!(entry["http.request.id"].as_str().unwrap().starts_with("req_"));
        assert_eq!(entry["tls.client.hash.sha256"].as_str().unwrap().len(), 64);
        assert_eq!(entry["rule.id"], "consent.read");
        (entry["consentry.data.class"].as_str().unwrap(), entry["consentry.permission"].as_str().unwrap())
    });
    assert_eq!(
        reads.collect::<Vec<_>>(),
        [("ACCOUNTS", "READ_ACCOUNTS_DETAIL"), ("BALANCES", "READ_BALANCES")]
    );
    // Lodged by the client with its certificate, brought into force by the PSU's browser, which has none.
    let changed = |entry: &&Value| {
        entry["event.type"] == "change" && entry["consentry.resource.id"] == consent.as_str()
    };
    let changes: Vec<_> = entries.iter().filter(changed).collect();
    let of = |action: &str| *changes.iter().find(|entry| entry["event.action"] == action).expect(action);
    for (entry, certificates) in [(of("consent.created"), 1), (of("consent.authorized"), 0)] {
        assert_eq!(entry["rule.id"], "agreement.step", "{entry}");
        assert_eq!(entry.get("tls.client.hash.sha256").is_some(), certificates == 1, "{entry}");
    }
    assert!(changes.iter().all(|entry| entry["http.request.id"].is_string()), "{changes:?}");
    for personal in [iban.as_str(), "Anna", "anna"] {
        assert!(!exported.contains(personal), "{personal}");
    }

    let file = gateway.folder().join("log.jsonl");
    let (sound, told) = auditor.verdict(&file, &exported);
    assert!(sound && told.contains("checkpoints agree"), "{told}");
    let lines: Vec<_> = exported.lines().collect();
    let but = |left_out: usize| {
        let kept = lines.iter().enumerate().filter(|(at, _)| *at != left_out);
        kept.map(|(_, line)| *line).collect::<Vec<_>>().join("\n")
    };
    let last = lines.len() - 1;
    for (bent, finding) in [
        (exported.replacen("READ_BALANCES", "READ_PARTY", 1), "does not have the hash that is kept of it"),
        (but(last - 1), "is missing"),
        (but(last), "were signed"),
    ] {
        let (sound, told) = auditor.verdict(&file, &bent);
        assert!(!sound && told.contains(finding), "{finding}: {told}");
    }

    // Somebody kept the first checkpoint.
    let first = lines.iter().find_map(|line| {
        let line = serde_json::from_str::<Value>(line).unwrap();
        Some(line.get("checkpoint")?.as_str()?.to_owned())
    });
    let kept = gateway.folder().join("kept.txt");
    std::fs::write(&kept, first.unwrap()).unwrap();
    let growth = auditor.told(&["prove", "--since", kept.to_str().unwrap(), "--region", "eu"]);
    let (sound, told) = auditor.verdict(&file, &growth);
    assert!(sound && told.contains("begin with the"), "{told}");
    // Another region's log does not.
    assert!(!auditor.run(&["prove", "--since", kept.to_str().unwrap(), "--region", "uk"]).status.success());

    let proof = auditor.told(&["prove", "1", "--region", "eu"]);
    let (sound, told) = auditor.verdict(&file, &proof);
    assert!(sound && told.contains("Entry 1 of"), "{told}");
    let (sound, told) = auditor.verdict(&file, &proof.replacen("event.action", "event.ac-ion", 1));
    assert!(!sound && told.contains("not shown to be entry 1"), "{told}");
}

/// RTS art. 36(5)(b) allows four reads a day without the PSU: the fifth is refused, and that is in
/// the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_our_rules_refuse_is_in_the_log_with_its_reason() {
    let (gateway, _) = TestGateway::with_manual_clock().await;
    let tpp = gateway.tpp().await;
    let granted = gateway.granted(&tpp, &[EU]).await;
    let (accounts, bearer) = (format!("{}/v1/accounts", tpp.api), bearer(&granted.token));
    for status in [200, 200, 200, 200, 429] {
        let answer = tpp.http.get(&accounts, &[("authorization", &bearer)]).await.unwrap();
        assert_eq!(answer.status, status);
    }
    let gateway = gateway.restarted().await;
    let exported = Auditor::of(&gateway).told(&["export", "--region", "eu"]);
    let entries = entries(&exported);
    let reads: Vec<_> = entries.iter().filter(|entry| entry["event.action"] == "data.read").collect();
    let outcomes: Vec<_> = reads.iter().map(|entry| entry["event.outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["success", "success", "success", "success", "failure"]);
    let refused = reads[4];
    assert_eq!(refused["event.reason"], "consent.unattended_used_up");
    assert_eq!(refused["consentry.psu.present"], false);
    assert_eq!(refused["consentry.consent.id"], granted.consents[0].as_str());
}
