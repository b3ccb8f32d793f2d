//! A gateway as an operator runs it: `consentry serve` on a configuration, as a process of its own,
//! with model banks that know it as a bank knows anybody.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;

use consentry::demo::{Client, free_ports};
use consentry::sandbox::{Access, BanksApart, GatewayOfBanks, SandboxOptions};
use domain::{Entropy, SystemClock, SystemEntropy};
use serde_json::Value;
use store::ScratchDatabase;
use tempfile::TempDir;

use super::webhooks::until;

/// Banks, certificates and keys of a gateway that is not started yet.
pub struct Place {
    pub folder: TempDir,
    pub ports: u16,
    pub banks: BanksApart,
    database: Option<ScratchDatabase>,
}

impl Place {
    /// With keys, and a schema that is up to date.
    pub async fn ready() -> Self {
        let place = Self::bare().await;
        for command in [&["keys", "init"][..], &["migrate"]] {
            let done = place.command(command).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
        place
    }

    /// With banks and certificates alone.
    pub async fn bare() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = free_ports().unwrap();
        super::template::seed(&folder.path().join("template"), &SystemClock).await;
        let data = folder.path().join("banks");
        std::fs::create_dir(&data).unwrap();
        std::fs::rename(folder.path().join("template/pki"), data.join("pki")).unwrap();
        let options = SandboxOptions { port_base: ports, auto_approve: false, ..SandboxOptions::at(&data) };
        let gateway = GatewayOfBanks {
            origin: format!("https://localhost:{ports}"),
            host: "localhost".to_owned(),
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            profiles: Some(folder.path().join("profiles")),
        };
        let banks = BanksApart::of(&options, &gateway).await.unwrap();
        let database = match super::postgres() {
            Some(url) => Some(ScratchDatabase::beside(&url, &SystemEntropy).await.unwrap()),
            None => None,
        };
        let place = Self { folder, ports, banks, database };
        std::fs::write(place.file(), place.configuration("")).unwrap();
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn file(&self) -> PathBuf {
        self.path("consentry.toml")
    }

    /// Ports of this place: 0 pages, 1 API, 2 operations, 3 administration.
    pub fn port(&self, offset: u16) -> u16 {
        self.ports + offset
    }

    /// The configuration, with more in it.
    pub fn configuration(&self, more: &str) -> String {
        let at = |offset| self.port(offset);
        format!(
            "[node]\ndata_dir = '{}'\n\
             [public]\nissuer = 'https://localhost:{}'\napi = 'https://localhost:{}'\n\
             [listen]\npages = '127.0.0.1:{}'\napi = '127.0.0.1:{}'\noperations = '127.0.0.1:{}'\n\
             per_address = 10000\nper_client = 10000\n{}\
             [drain]\nbefore = '300ms'\nlongest = '10s'\n{more}",
            self.path("data").display(),
            at(0),
            at(1),
            at(0),
            at(1),
            at(2),
            self.banks.configuration(&self.path("profiles")),
        )
    }

    /// Another configuration from now on.
    pub fn configure(&self, text: &str) {
        std::fs::write(self.file(), text).unwrap();
    }

    /// The binary, with this configuration behind the command.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CONSENTRY_")) {
            command.env_remove(name);
        }
        if let Some(database) = &self.database {
            command.env("CONSENTRY_DATABASE_URL", &**database);
        }
        command.args(arguments).arg("--config").arg(self.file());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// A running gateway.
    pub async fn serve(&self) -> Served {
        self.start("serve", &[]).await
    }

    /// A running process of this kind, with variables of its own.
    pub async fn start(&self, role: &str, variables: &[(&str, &str)]) -> Served {
        let served = self.begin(role, variables);
        until("the gateway is ready", async || {
            assert!(served.status().is_none(), "it ended: {}", served.logged());
            served.asked("/readyz").filter(|(status, _)| *status == 200)
        })
        .await;
        served
    }

    /// The same, which may not be ready yet.
    pub fn begin(&self, role: &str, variables: &[(&str, &str)]) -> Served {
        let log = self.path(&format!("{role}-{}.log", uuid()));
        let child = self
            .command(&[role])
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let operations = format!("127.0.0.1:{}", self.port(2));
        let operations = variables
            .iter()
            .find(|(name, _)| *name == "CONSENTRY_LISTEN_OPERATIONS")
            .map_or(operations, |(_, at)| (*at).to_owned());
        Served { child: Mutex::new(child), log, operations }
    }

    /// How an outside client reaches it.
    pub fn access(&self) -> Access {
        Access { api: format!("https://localhost:{}", self.port(1)), ..self.banks.access() }
    }

    /// A client without a certificate.
    pub fn anybody(&self) -> Client {
        Client::new(&self.banks.access().pki.root, None).unwrap()
    }
}

fn uuid() -> String {
    SystemEntropy.uuid_v4().simple().to_string()
}

/// A process that serves. It is killed when it is dropped.
pub struct Served {
    child: Mutex<Child>,
    log: PathBuf,
    operations: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Served {
    /// What it has written to its log.
    pub fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Its log's lines of this message.
    pub fn lines(&self, message: &str) -> Vec<Value> {
        let log = self.logged();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["message"].as_str().is_some_and(|said| said.contains(message))).collect()
    }

    /// What it answers about itself: status and body. Nothing, where nobody answers.
    pub fn asked(&self, path: &str) -> Option<(u16, String)> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(&self.operations).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// Sends it a signal: TERM, HUP, STOP, CONT, KILL.
    pub fn signal(&self, name: &str) {
        let process = self.child.lock().unwrap().id().to_string();
        let sent = Command::new("kill").args(["-s", name, &process]).status().unwrap();
        assert!(sent.success());
    }

    /// How it has ended, if it has.
    fn status(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap().try_wait().unwrap()
    }

    /// Waits until it has ended; whether well.
    pub async fn ended(&self) -> bool {
        until("it ends", async || self.status()).await.success()
    }
}

/// Whether a folder holds this text in any file.
pub fn holds(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holds(&path, text)
        } else {
            String::from_utf8_lossy(&std::fs::read(path).unwrap()).contains(text)
        }
    })
}
