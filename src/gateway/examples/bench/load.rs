//! Who asks: `edge_load`, a process of its own on the other core; and what a server takes meanwhile.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::figures::Sample;
use super::peers::Server;
use super::place::Place;
use super::processes::children_of;

/// Clock ticks in a second, as `/proc` counts them.
const TICK: f64 = 10_000.0;

/// Somebody who asks.
pub struct Load {
    program: PathBuf,
    pki: PathBuf,
    pub seconds: u64,
}

/// A server, and what it is asked.
#[derive(Clone, Debug)]
pub struct Target {
    pub name: String,
    pub pid: u32,
    pub port: u16,
    pub path: String,
    /// File of tokens, of which each connection shows one.
    pub tokens: PathBuf,
}

impl Target {
    /// The gateway.
    pub fn gateway(place: &Place, tokens: &Path, path: &str) -> anyhow::Result<Self> {
        let pid = place.gateway.pid().context("the gateway does not run")?;
        let (port, path, tokens) = (place.api(), path.to_owned(), tokens.to_owned());
        Ok(Self { name: "Consentry".to_owned(), pid, port, path, tokens })
    }

    /// A peer, that is sent the same headers.
    pub fn peer(server: &Server, tokens: &Path) -> anyhow::Result<Self> {
        let pid = server.process.pid().with_context(|| format!("{} does not run", server.name))?;
        let (port, path, tokens) = (server.port, server.path.clone(), tokens.to_owned());
        Ok(Self { name: server.name.to_owned(), pid, port, path, tokens })
    }

    /// The same, of another path.
    pub fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }
}

impl Load {
    pub fn of(place: &Place, program: &Path, seconds: u64) -> anyhow::Result<Self> {
        Ok(Self { program: std::path::absolute(program)?, pki: place.pki(), seconds })
    }

    fn command(&self, kind: &str, target: &Target, more: &[&str]) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", "1"]).arg(&self.program).arg(kind);
        command.args(["--port", &target.port.to_string(), "--path", &target.path]);
        command.args(["--header", "psu-ip-address: 192.0.2.10", "--tokens"]).arg(&target.tokens);
        for (name, file) in
            [("--root", "root.pem"), ("--certificate", "fintech.pem"), ("--key", "fintech.key")]
        {
            command.arg(name).arg(self.pki.join(file));
        }
        command.args(more).kill_on_drop(true);
        command
    }

    /// Asks, and says what came of it.
    pub async fn measure(&self, kind: &str, target: &Target, more: &[&str]) -> anyhow::Result<Sample> {
        let seconds = self.seconds.to_string();
        let mut command = self.command(kind, target, more);
        command.args(["--seconds", &seconds]);
        let before = cpu_of(target.pid)?;
        let done = command.output().await?;
        let taken = cpu_of(target.pid)? - before;
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let told: Value = serde_json::from_str(&said)
            .with_context(|| format!("{}: {said}{}", target.name, String::from_utf8_lossy(&done.stderr)))?;
        if told.get("failed").and_then(Value::as_u64) != Some(0) {
            bail!("{} failed: {told}", target.name);
        }
        Ok(Sample::of(&told, taken))
    }

    /// Kibibytes that the server takes for each of so many connections that were asked once.
    pub async fn idle(&self, target: &Target, connections: u32) -> anyhow::Result<f64> {
        let before = memory_of(target.pid)?;
        let held = self.hold(target, connections).await?;
        let after = memory_of(target.pid)?;
        held.let_go().await?;
        Ok((after - before) / f64::from(connections))
    }

    /// Reads beside so many connections on which nothing happens.
    pub async fn beside_idle(
        &self,
        target: &Target,
        connections: u32,
        path: &str,
    ) -> anyhow::Result<Vec<Sample>> {
        let held = self.hold(&target.clone().at(path), connections).await?;
        let mut samples = Vec::new();
        for _ in 0..3 {
            samples.push(self.measure("run", target, &[]).await?);
        }
        held.let_go().await?;
        Ok(samples)
    }

    async fn hold(&self, target: &Target, connections: u32) -> anyhow::Result<Held> {
        let count = connections.to_string();
        let mut command = self.command("idle", target, &["--connections", &count]);
        let mut holds = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let said = holds.stdout.take().context("it says when they are there")?;
        let line = BufReader::new(said).lines().next_line().await?;
        line.with_context(|| format!("{} did not keep {connections} connections", target.name))?;
        Ok(Held(holds))
    }
}

/// Connections that are kept.
struct Held(Child);

impl Held {
    async fn let_go(mut self) -> anyhow::Result<()> {
        drop(self.0.stdin.take());
        self.0.wait().await?;
        Ok(())
    }
}

/// User and system time of a process and its children, in microseconds.
fn cpu_of(pid: u32) -> anyhow::Result<f64> {
    let mut all = 0.0;
    for pid in std::iter::once(pid).chain(children_of(pid)) {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, rest) = stat.rsplit_once(')').context("no such process")?;
        // State is the third field of the line: user and system time are fourteenth and fifteenth.
        for ticks in rest.split_whitespace().skip(11).take(2) {
            all += ticks.parse::<f64>()? * TICK;
        }
    }
    Ok(all)
}

/// Proportional memory of a process, in kibibytes.
pub fn memory_of(pid: u32) -> anyhow::Result<f64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).context("no memory")?;
    Ok(line.split_whitespace().nth(1).context("no figure")?.parse()?)
}
