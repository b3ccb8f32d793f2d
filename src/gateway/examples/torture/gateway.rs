//! A gateway as a process of its own: started, stopped, frozen and killed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use consentry::demo::{Client, Tpp};
use serde_json::json;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Longest time until a gateway answers after its start.
const READY: Duration = Duration::from_secs(60);
/// How often to look whether it does.
const LOOK: Duration = Duration::from_millis(10);

/// How to start it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The binary.
    pub binary: PathBuf,
    /// Its folder.
    pub folder: PathBuf,
    /// Its first port.
    pub port_base: u16,
    /// The first port of the model banks' process, and of the gateway that has the pages.
    pub banks: u16,
    /// PostgreSQL instead of SQLite.
    pub database: Option<String>,
    /// Through which several gateways tell each other what was revoked.
    pub redis: Option<String>,
    /// Where it writes what it logs.
    pub log: PathBuf,
}

impl Plan {
    /// Origin of its API.
    pub fn api(&self) -> String {
        format!("https://localhost:{}", self.port_base.saturating_add(1))
    }
}

/// The process, while there is one.
pub struct Gateway {
    plan: Plan,
    child: Option<Child>,
}

impl Gateway {
    /// Not started yet.
    pub fn planned(plan: Plan) -> Self {
        Self { plan, child: None }
    }

    /// Starts it; with a place at which it ends itself (see `CONSENTRY_CRASH_AT`).
    pub fn start(&mut self, crash_at: Option<&str>) -> anyhow::Result<()> {
        let plan = &self.plan;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&plan.log)?;
        let mut command = Command::new(&plan.binary);
        command
            .arg("sandbox")
            .args(["--auto-approve", "--no-limits"])
            .arg("--data-dir")
            .arg(&plan.folder)
            .args(["--port-base", &plan.port_base.to_string()])
            .args(["--banks-apart", &plan.banks.to_string()])
            .args(["--issuer", &format!("https://localhost:{}", plan.banks)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        for name in ["CONSENTRY_DATABASE_URL", "CONSENTRY_REDIS_URL", "CONSENTRY_CRASH_AT"] {
            command.env_remove(name);
        }
        if let Some(url) = &plan.database {
            command.args(["--database-url", url]);
        }
        if let Some(url) = &plan.redis {
            command.args(["--redis-url", url]);
        }
        if let Some(place) = crash_at {
            command.env("CONSENTRY_CRASH_AT", place);
        }
        self.child =
            Some(command.spawn().with_context(|| format!("{} cannot start", plan.binary.display()))?);
        Ok(())
    }

    /// Whether the process is there.
    pub fn lives(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Returns when it answers, or has ended.
    pub async fn ready(&mut self, client: &Client) -> anyhow::Result<()> {
        let url = format!("{}/.well-known/oauth-authorization-server", self.plan.api());
        let answers = async {
            let mut beat = tokio::time::interval(LOOK);
            loop {
                beat.tick().await;
                if client.get(&url, &[]).await.is_ok_and(|answer| answer.status == 200) {
                    return Ok(());
                }
                if !self.lives() {
                    bail!("it ended before it answered: see {}", self.plan.log.display());
                }
            }
        };
        timeout(READY, answers).await.context("no answer after a minute")?
    }

    /// Ends it at once (SIGKILL).
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill().await;
        }
    }

    /// Asks it to end, and waits until it has; then kills it.
    pub async fn stop(&mut self) {
        self.signal("TERM").await;
        if let Some(child) = &mut self.child
            && timeout(READY, child.wait()).await.is_err()
        {
            self.kill().await;
        }
        self.child = None;
    }

    /// Freezes it, or lets it go on.
    pub async fn freeze(&self, frozen: bool) {
        self.signal(if frozen { "STOP" } else { "CONT" }).await;
    }

    /// Sets its clock by so many seconds, if it lets us: true if it did.
    pub async fn step_clock(&self, tpp: &Tpp, seconds: i64) -> bool {
        let mut tpp = tpp.clone();
        tpp.api = self.plan.api();
        let step = async {
            let token = tpp.own_token("payments").await.ok()?;
            let step = json!({ "days": 0, "seconds": seconds });
            tpp.post(&token, "/v1/sandbox/clock", &step).await.ok()?.expect(200).ok()
        };
        timeout(Duration::from_secs(2), step).await.ok().flatten().is_some()
    }

    /// Lets no file grow beyond what it has, or any: a disk that is full.
    pub async fn fill_disk(&self, full: bool) {
        let limit = if full { "0:unlimited" } else { "unlimited:unlimited" };
        self.run("prlimit", |command, pid| {
            command.args(["--pid", pid, &format!("--fsize={limit}")]);
        })
        .await;
    }

    async fn signal(&self, name: &str) {
        self.run("kill", |command, pid| {
            command.args([&format!("-{name}"), pid]);
        })
        .await;
    }

    async fn run(&self, tool: &str, arguments: impl FnOnce(&mut Command, &str)) {
        let Some(pid) = self.child.as_ref().and_then(Child::id) else { return };
        let mut command = Command::new(tool);
        arguments(&mut command, &pid.to_string());
        let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    }
}

/// Copies keys and certificates of one gateway's folder into another's.
pub fn share(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if kind.is_dir() {
            share(&entry.path(), &to.join(&name))?;
        } else if name != "lock" {
            std::fs::copy(entry.path(), to.join(&name))?;
        }
    }
    Ok(())
}
