//! From a software statement to a bank that authorises us, by the commands an
//! operator has: register, show, probe, update, delete, and look for drift.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{TestGateway, UK};
use serde_json::{Value, json};

/// An operator's folder beside a running sandbox.
struct Operator {
    gw: TestGateway,
    banks: tempfile::TempDir,
}

impl Operator {
    async fn start(registration: &str) -> Self {
        let gw = TestGateway::start().await;
        let banks = tempfile::tempdir().unwrap();
        let issuer = gw.sandbox.gateway().registry().profile(&UK.parse().unwrap()).unwrap();
        let base = |api: &Option<connect::ApiBase>| api.as_ref().unwrap().url.to_string();
        let (accounts, payments) = (base(&issuer.accounts_api), base(&issuer.payments_api));
        let issuer = issuer.authorization_server.as_ref().unwrap().issuer.clone().unwrap();
        let profile = format!(
            "group = \"Albion\"\n[[brand]]\nid = \"{UK}\"\nname = \"Albion\"\ndialect = \"uk-open-banking\"\n\
             region = \"uk\"\nenvironment = \"sandbox\"\ncountries = [\"GB\"]\nsca = [\"oauth\"]\n\
             capabilities = [\"accounts\", \"payments\"]\nclient_auth = \"certificate\"\n\
             client_id = \"deployment\"\nfinancial_id = \"deployment\"\n\
             signing = {{ method = \"detached-jws\", trust_anchor = \"consentry.example\" }}\n\
             accounts_api = {{ use = \"4.0\", \"4.0\" = \"{accounts}\" }}\n\
             payments_api = {{ use = \"4.0\", \"4.0\" = \"{payments}\" }}\n\
             authorization_server = {{ issuer = \"{issuer}\", response_type = \"code\", \
             signed_request_object = true, pushed_requests = true }}\n{registration}\n"
        );
        fs::write(banks.path().join("albion.toml"), profile).unwrap();
        fs::write(banks.path().join(format!("{UK}.deployment.toml")), "financial_id = \"001580000albion\"\n")
            .unwrap();
        Self { gw, banks }
    }

    fn data(&self) -> PathBuf {
        self.gw.folder().join("data")
    }

    fn deployment(&self) -> PathBuf {
        self.banks.path().join(format!("{UK}.deployment.toml"))
    }

    /// Runs `consentry banks …` on the bank; the sandbox answers meanwhile.
    async fn run(&self, command: &[&str], more: &[&str]) -> Output {
        let mut process = Command::new(env!("CARGO_BIN_EXE_consentry"));
        process.arg("banks").args(command).arg("--profile").arg(self.banks.path().join("albion.toml"));
        process.arg("--data-dir").arg(self.data()).args(more);
        tokio::task::spawn_blocking(move || process.output().unwrap()).await.unwrap()
    }

    async fn json(&self, command: &[&str], more: &[&str]) -> Value {
        let done = self.run(command, &[more, &["--json"]].concat()).await;
        assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice(&done.stdout).unwrap()
    }

    async fn refusal(&self, command: &[&str], more: &[&str]) -> String {
        let done = self.run(command, more).await;
        assert!(!done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stdout));
        String::from_utf8_lossy(&done.stderr).into_owned()
    }

    fn statement(&self) -> String {
        self.data().join("pki/software-statement.jwt").display().to_string()
    }
}

fn mode(file: &Path) -> u32 {
    fs::metadata(file).unwrap().permissions().mode() & 0o777
}

const EVERYTHING: &str =
    "registration = { automatic = true, version = \"3.2\", read = true, update = true, delete = true }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_registers_probes_and_ends_a_registration_by_commands() {
    let operator = Operator::start(EVERYTHING).await;
    let empty = operator.refusal(&["probe"], &[]).await;
    assert!(empty.contains("client_id is empty (`consentry banks register` fills it)"), "{empty}");
    let nowhere = operator.refusal(&["registration", "show"], &[]).await;
    assert!(nowhere.contains("knows of no such registration"), "{nowhere}");

    let statement = operator.statement();
    let with_statement = ["--software-statement", statement.as_str()];
    let made = operator.json(&["register"], &with_statement).await;
    assert_eq!(made["metadata"]["scope"], "openid accounts payments");
    let id = made["client_id"].as_str().unwrap();
    assert_eq!(made["written"], json!([operator.deployment().display().to_string()]));
    let kept = fs::read_to_string(operator.deployment()).unwrap();
    assert!(kept.contains(&format!("client_id = \"{id}\"")), "{kept}");
    assert!(kept.contains("financial_id = \"001580000albion\""), "{kept}");
    assert_eq!(mode(&operator.deployment()), 0o600);
    let again = operator.refusal(&["register"], &with_statement).await;
    assert!(again.contains(&format!("registered at {UK} already, as {id}")), "{again}");

    let shown = operator.json(&["registration", "show"], &[]).await;
    assert_eq!((&shown["client_id"], &shown["issued_at"]), (&made["client_id"], &made["issued_at"]));
    let callback = made["metadata"]["redirect_uris"][0].as_str().unwrap();
    let probed = operator.json(&["probe"], &["--redirect-uri", callback]).await;
    assert_eq!(probed["authorised"], true, "{probed}");

    let only_accounts = [&with_statement[..], &["--role", "aisp"]].concat();
    let changed = operator.json(&["registration", "update"], &only_accounts).await;
    assert_eq!(changed["metadata"]["scope"], "openid accounts");
    let ended = operator.json(&["registration", "delete"], &[]).await;
    assert_eq!(ended["deleted"], id);
    assert!(!fs::read_to_string(operator.deployment()).unwrap().contains("client_id"));
    operator.gw.sandbox.stop().await;
}

/// What a bank does not offer is not tried, and a text that is no statement is one
/// before the bank is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_profile_does_not_offer_is_refused_before_the_bank_is_asked() {
    let operator = Operator::start("registration = { automatic = true }").await;
    let no_statement = operator.data().join("pki/root.pem").display().to_string();
    let refused = operator.refusal(&["register"], &["--software-statement", &no_statement]).await;
    assert!(refused.contains("the software statement is no JWT"), "{refused}");
    let refused = operator.refusal(&["register"], &["--redirect-uri", "https://x.example/"]).await;
    assert!(refused.contains("the bank wants a software statement"), "{refused}");
    operator.json(&["register"], &["--software-statement", &operator.statement()]).await;
    let refused = operator.refusal(&["registration", "delete"], &[]).await;
    assert!(refused.contains("does not say that a registration can be deleted"), "{refused}");
    operator.gw.sandbox.stop().await;
}

/// Exit code 0 as long as nothing has changed and everything fits; then the member
/// and what it means.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discovery_tells_what_has_changed_since_it_was_kept() {
    let operator = Operator::start(EVERYTHING).await;
    let first = operator.json(&["discover"], &[]).await;
    assert_eq!((&first["misfits"], &first["drift"]), (&json!([]), &json!([])));
    let kept = operator.banks.path().join("albion.json");
    fs::write(&kept, first.to_string()).unwrap();
    let against = ["--against", kept.to_str().unwrap()];
    assert!(operator.run(&["discover"], &against).await.status.success());

    let (faults, _) = operator.gw.sandbox.bank(UK).unwrap();
    faults.restate("id_token_signing_alg_values_supported", json!(["RS256"]));
    faults.restate("registration_endpoint", json!("https://evil.example/register"));
    let changed = operator.run(&["discover"], &against).await;
    assert_eq!(changed.status.code(), Some(1));
    let said = String::from_utf8(changed.stdout).unwrap();
    for expected in [
        "does not fit: registration_endpoint: the host is not one of the profile",
        "does not fit: id_token_signing_alg_values_supported: the profile needs what is not offered",
        "has changed: registration_endpoint: the address has moved",
        "has changed: id_token_signing_alg_values_supported: the algorithm is no longer offered ([\"PS256\"])",
        "2 that do not fit, 3 changes",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let statement = operator.statement();
    let refused = operator.refusal(&["register"], &["--software-statement", &statement]).await;
    assert!(refused.contains("/registration_endpoint"), "{refused}");
    operator.gw.sandbox.stop().await;
}
