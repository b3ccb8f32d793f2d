//! An operator at the command line, with the profile of one of the sandbox's banks.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use connect::Signing;
use serde_json::Value;

use super::{POLISH, STET, TestGateway, UK};

/// An operator with the profile of one of the sandbox's banks.
pub struct Operator {
    pub gw: TestGateway,
    pub callback: String,
}

impl Operator {
    pub async fn of(bank: &'static str) -> Self {
        let gw = TestGateway::start().await;
        let profile = gw.sandbox.gateway().registry().profile(&bank.parse().unwrap()).unwrap();
        let url = &profile.accounts_api.as_ref().unwrap().url;
        let server = profile.authorization_server.as_ref().and_then(|server| server.issuer.clone());
        let issuer = server.unwrap_or_default();
        let key_url =
            if let Signing::DigestSignatureByUrl { key_url } = &profile.signing { key_url } else { "" };
        let head = format!("group = \"G\"\n[[brand]]\nid = \"{bank}\"\nname = \"B\"\n");
        let sandbox = "environment = \"sandbox\"\nclient_auth = \"certificate\"\ncapabilities = [\"accounts\"]\n\
                       sandbox_users = [{ username = \"anna\", password = \"sandbox\" }]\n";
        let rest = match bank {
            UK => format!(
                "dialect = \"uk-open-banking\"\nregion = \"uk\"\nsca = [\"oauth\"]\n{sandbox}\
                 client_id = \"deployment\"\nfinancial_id = \"001580000albion\"\n\
                 signing = {{ method = \"detached-jws\", trust_anchor = \"consentry.example\" }}\n\
                 accounts_api = {{ use = \"4.0\", \"4.0\" = \"{url}\" }}\n\
                 registration = {{ automatic = true, version = \"3.2\" }}\n\
                 authorization_server = {{ issuer = \"{issuer}\", response_type = \"code\", \
                 signed_request_object = true, pushed_requests = true }}\n"
            ),
            STET => format!(
                "dialect = \"stet\"\nregion = \"eu\"\nsca = [\"oauth\"]\n{sandbox}\
                 client_id = \"consentry-gateway\"\n\
                 signing = {{ method = \"digest-signature-by-url\", key_url = \"{key_url}\" }}\n\
                 accounts_api = {{ use = \"1.4\", \"1.4\" = \"{url}\" }}\n\
                 authorization_server = {{ issuer = \"{issuer}\", response_type = \"code\" }}\n"
            ),
            POLISH => format!(
                "dialect = \"polish-api\"\nregion = \"eu\"\nsca = [\"redirect\"]\n{sandbox}\
                 client_id = \"consentry-gateway\"\nsigning = {{ method = \"body-jws\" }}\n\
                 accounts_api = {{ use = \"2.1\", \"2.1\" = \"{url}\" }}\n"
            ),
            _ => format!(
                "dialect = \"berlin-group\"\nregion = \"eu\"\nsca = [\"redirect\"]\n{sandbox}\
                 signing = {{ method = \"digest-signature\" }}\n\
                 accounts_api = {{ use = \"1.3\", \"1.3\" = \"{url}\" }}\n"
            ),
        };
        let callback = format!("{}/callback/{bank}", gw.sandbox.access().issuer);
        let mut operator = Self { gw, callback };
        fs::write(operator.file("bank.toml"), head + rest.as_str()).unwrap();
        if bank == UK {
            let statement = operator.gw.folder().join("data/pki/software-statement.jwt");
            let register = ["register", "--json", "--software-statement", statement.to_str().unwrap()];
            let made = operator.at_bank(&register).await;
            let told: Value =
                serde_json::from_slice(&made.stdout).unwrap_or_else(|_| panic!("{}", said(&made)));
            told["metadata"]["redirect_uris"][0].as_str().unwrap().clone_into(&mut operator.callback);
        }
        operator
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.gw.folder().join(name)
    }

    /// Runs `consentry banks …`; the sandbox answers meanwhile.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        let mut process = Command::new(env!("CARGO_BIN_EXE_consentry"));
        process.arg("banks").args(arguments).current_dir(self.gw.folder());
        tokio::task::spawn_blocking(move || process.output().unwrap()).await.unwrap()
    }

    pub async fn at_bank(&self, arguments: &[&str]) -> Output {
        let access = ["--profile", "bank.toml", "--data-dir", "data"];
        self.run(&[arguments, &access].concat()).await
    }

    /// The lines of a new recording.
    pub async fn record(&self, name: &str) -> Vec<Value> {
        let made = self.at_bank(&["record", "--out", name, "--redirect-uri", &self.callback]).await;
        assert!(made.status.success(), "{}", said(&made));
        let text = fs::read_to_string(self.file(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What a recording tells that another does not.
    pub async fn drift(&self, new: &str, old: &str) -> (bool, Vec<String>) {
        let done = self.run(&["replay", new, "--against", old]).await;
        assert!(done.stderr.is_empty(), "{}", said(&done));
        let lines = String::from_utf8(done.stdout).unwrap().lines().map(str::to_owned).collect();
        (done.status.success(), lines)
    }
}

pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a command on the state of a gateway.
pub fn command(gw: &TestGateway, name: &str, arguments: &[&str]) -> Output {
    on_state(gw, name, arguments).output().unwrap()
}

/// Runs `consentry clients`, with something on its standard input.
pub fn clients(gw: &TestGateway, arguments: &[&str], input: &Value) -> Output {
    let mut command = on_state(gw, "clients", arguments);
    let mut run =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    run.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    run.wait_with_output().unwrap()
}

fn on_state(gw: &TestGateway, name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
    command.arg(name).args(arguments).arg("--data-dir").arg(gw.folder().join("data"));
    command.env_remove("CONSENTRY_DATABASE_URL");
    if let Some(url) = gw.database_url() {
        command.env("CONSENTRY_DATABASE_URL", url);
    }
    command
}
