//! Processes that a run starts, stops, freezes and kills. Each works in the folder of the run, by which
//! `scripts/ha.sh` finds those that are left when a run is interrupted.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, interval, timeout};

/// How often to look whether something has come about.
const LOOK: Duration = Duration::from_millis(100);
/// Longest time that a process gets to end.
const ENDING: Duration = Duration::from_secs(30);

/// How to start a process.
#[derive(Clone, Debug)]
pub struct Plan {
    pub name: String,
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub variables: Vec<(String, String)>,
    /// The folder of the run.
    pub folder: PathBuf,
    /// Not as root, which PostgreSQL and its pooler refuse to be.
    pub humble: bool,
}

/// A process, while there is one.
#[derive(Debug)]
pub struct Process {
    pub plan: Plan,
    child: Option<Child>,
}

impl Plan {
    /// A program with its arguments, as whoever runs this.
    pub fn of(folder: &Path, name: &str, program: &str, arguments: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            program: program.into(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            variables: Vec::new(),
            folder: folder.to_owned(),
            humble: false,
        }
    }

    /// The same, as the user of the database.
    pub fn humbly(mut self) -> Self {
        self.humble = true;
        self
    }

    /// The same, with a variable.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The command, which is not running yet.
    pub fn command(&self) -> Command {
        let mut command = if self.humble && rustix::process::getuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(&self.program);
            command
        } else {
            Command::new(&self.program)
        };
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CONSENTRY_")) {
            command.env_remove(name);
        }
        let variables = self.variables.iter().map(|(name, value)| (name, value));
        command.args(&self.arguments).envs(variables).env("LC_ALL", "C").current_dir(&self.folder);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs it to its end; what it wrote.
    pub async fn run(&self) -> anyhow::Result<String> {
        let done = self.command().output().await.with_context(|| format!("{} cannot start", self.name))?;
        let written = String::from_utf8_lossy(&done.stdout).into_owned();
        if !done.status.success() {
            bail!("{} failed: {written}{}", self.name, String::from_utf8_lossy(&done.stderr));
        }
        Ok(written)
    }

    /// Where it writes what it logs.
    pub fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }
}

impl Process {
    /// Not started yet.
    pub fn planned(plan: Plan) -> Self {
        Self { plan, child: None }
    }

    pub fn start(&mut self) -> anyhow::Result<()> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.plan.log())?;
        let mut command = self.plan.command();
        command.stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("{} cannot start", self.plan.name))?;
        self.child = Some(child);
        Ok(())
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Whether it is there.
    pub fn lives(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Fails, if it has ended by itself.
    pub fn still(&mut self) -> anyhow::Result<()> {
        if self.lives() {
            return Ok(());
        }
        let log = std::fs::read_to_string(self.plan.log()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let last = lines.get(lines.len().saturating_sub(10)..).unwrap_or_default().join("\n");
        bail!("{} has ended: {last}", self.plan.name);
    }

    /// Ends it at once.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill().await;
        }
    }

    /// Asks it to end, and waits until it has; kills it if that takes too long.
    pub async fn stop(&mut self) {
        self.signal("TERM").await;
        if let Some(child) = &mut self.child
            && timeout(ENDING, child.wait()).await.is_err()
        {
            self.kill().await;
        }
        self.child = None;
    }

    pub async fn signal(&self, name: &str) {
        if let Some(pid) = self.pid() {
            signal(name, &[pid]).await;
        }
    }
}

/// Sends a signal to processes.
pub async fn signal(name: &str, pids: &[u32]) {
    let pids = pids.iter().map(ToString::to_string);
    let mut command = Command::new("kill");
    let _ = command.args(["-s", name]).args(pids).stderr(Stdio::null()).status().await;
}

/// The processes that a process has started.
pub fn children_of(parent: u32) -> Vec<u32> {
    let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
    all.flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let said = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // After the name, which may hold anything: state, parent.
            let of = said.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()?;
            (of == parent).then_some(pid)
        })
        .collect()
}

/// Memory that a process holds, in MiB.
pub fn memory_of(pid: u32) -> Option<u64> {
    let said = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = said.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kib.checked_div(1024)
}

/// Waits until something holds, or fails with what was waited for.
pub async fn until(what: &str, longest: Duration, holds: impl AsyncFnMut() -> bool) -> anyhow::Result<()> {
    until_seen(what, (LOOK, longest), holds).await
}

/// The same; how often it is looked at, and how long.
pub async fn until_seen(
    what: &str,
    (every, longest): (Duration, Duration),
    mut holds: impl AsyncFnMut() -> bool,
) -> anyhow::Result<()> {
    let end = Instant::now().checked_add(longest).context("no such time")?;
    let mut beat = interval(every);
    loop {
        beat.tick().await;
        if holds().await {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("{what}: not after {} s", longest.as_secs());
        }
    }
}

/// Asks a port of this machine by plain HTTP: status and body. Nothing, where nobody answers in time.
pub async fn ask(
    port: u16,
    method: &str,
    path: &str,
    body: &str,
    patience: Duration,
) -> Option<(u16, String)> {
    let asked = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut told = Vec::new();
        stream.read_to_end(&mut told).await.ok()?;
        let told = String::from_utf8_lossy(&told).into_owned();
        let (head, body) = told.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    };
    timeout(patience, asked).await.ok().flatten()
}
