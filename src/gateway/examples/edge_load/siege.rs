//! Clients that behave beside clients that do not: what the former notice of the latter.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::{Instant, interval, timeout};

use crate::Place;
use crate::attack::Attack;
use crate::steady::at_rate;
use crate::wire::{Site, What, token};

/// Requests of the clients that behave, a second, and their connections.
const RATE: u32 = 200;
const CONNECTIONS: u32 = 8;
/// Those of the sandbox, but for whom they never block: attackers are on this machine, too.
const LIMITS: &str = include_str!("../../../../policies/limits/limits.toml");
/// Longest time until the gateway answers.
const READY: Duration = Duration::from_secs(60);

/// How it is besieged.
pub struct Siege {
    pub binary: PathBuf,
    pub folder: PathBuf,
    pub port_base: u16,
    pub connections: u32,
    pub time: Duration,
    pub only: Vec<Attack>,
    /// The core that attackers compute on; where nobody says, all of them.
    pub attackers_on: Option<u32>,
}

impl Siege {
    /// A gateway of its own, each attack in turn; prints a line for each, and fails if the
    /// gateway does, or its clients do.
    pub async fn lay(self) -> anyhow::Result<()> {
        let (mut gateway, place) = self.start()?;
        let site = ready(&place, &mut gateway).await?;
        let what = What::get("/v1/consents", Some(&token(&site).await?), false);
        let process = gateway.id().context("the gateway has ended")?;
        let mut lines = Vec::new();
        // The first seconds warm it up.
        at_rate(&site, &what, CONNECTIONS, RATE, Duration::from_secs(2)).await;
        let all = Attack::value_variants().iter().filter(|it| self.only.is_empty() || self.only.contains(it));
        let mut calm = Vec::new();
        for attack in all {
            // In between, too: what is measured in peace is no more the same each time than the rest.
            calm.push(self.phase(None, &site, &what, process).await?);
            lines.push(self.phase(Some((*attack, &place)), &site, &what, process).await?);
            if gateway.try_wait()?.is_some() {
                bail!("the gateway has ended under {attack:?}");
            }
        }
        calm.sort_by_key(p99);
        let middle = calm.get(calm.len() / 2).map_or(1, p99).max(1);
        for line in &mut lines {
            line["p99_times_calm_percent"] = json!(p99(line).saturating_mul(100) / middle);
        }
        lines.extend(calm);
        lines.iter().for_each(|line| println!("{line}"));
        stop(&mut gateway).await;
        let failed = lines.iter().filter(|line| failed(line) != 0).count();
        if failed > 0 {
            bail!("clients that behave were refused or not answered in {failed} of {} phases", lines.len());
        }
        Ok(())
    }

    /// Starts a gateway.
    fn start(&self) -> anyhow::Result<(Child, Place)> {
        let folder = self.folder.join("data");
        std::fs::create_dir_all(&folder)?;
        let log = std::fs::File::create(self.folder.join("log"))?;
        let limits = self.folder.join("limits.toml");
        let (all, us) = (r#"["127.0.0.0/8", "::1/128"]"#, r#"["127.0.0.1/32"]"#);
        if !LIMITS.contains(all) {
            bail!("the limits do not say whom they never block");
        }
        std::fs::write(&limits, LIMITS.replace(all, us))?;
        let child = Command::new(&self.binary)
            .args(["sandbox", "--filter", "block", "--port-base", &self.port_base.to_string(), "--data-dir"])
            .arg(&folder)
            .arg("--limits")
            .arg(&limits)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        let child = child.with_context(|| format!("{} cannot start", self.binary.display()))?;
        let pki = folder.join("pki");
        let place = Place {
            port: self.port_base.saturating_add(1),
            root: pki.join("root.pem"),
            certificate: pki.join("fintech.pem"),
            key: pki.join("fintech.key"),
        };
        Ok((child, place))
    }

    async fn phase(
        &self,
        attack: Option<(Attack, &Place)>,
        site: &Site,
        what: &What,
        process: u32,
    ) -> anyhow::Result<Value> {
        let attacker = attack.map(|(attack, place)| self.attacker(attack, place)).transpose()?;
        let steady = at_rate(site, what, CONNECTIONS, RATE, self.time);
        tokio::pin!(steady);
        let mut beat = interval(Duration::from_millis(100));
        let mut memory = 0;
        let mut outcome = loop {
            tokio::select! {
                outcome = &mut steady => break outcome,
                _ = beat.tick() => memory = memory.max(resident(process)),
            }
        };
        let mut line = outcome.view();
        line["attack"] = json!(attack.map_or_else(|| "none".to_owned(), |(attack, _)| format!("{attack:?}")));
        line["memory_kib"] = json!(memory);
        if let Some(attacker) = attacker {
            let ended = attacker.wait_with_output().await?;
            line["attacks"] = serde_json::from_slice(&ended.stdout).unwrap_or(Value::Null);
        }
        Ok(line)
    }

    /// A process of its own, on a core of its own: what is measured is what its attack costs the gateway, not
    /// what it costs the attacker. It must not be the gateway's core, not even for the time that nobody else
    /// wants (sched(7), `SCHED_IDLE`): the operating system lets such a one go on for a tick, some milliseconds,
    /// when somebody else awakes, often enough to be the 99th percentile.
    fn attacker(&self, attack: Attack, place: &Place) -> anyhow::Result<Child> {
        let name = attack.to_possible_value().context("an attack has a name")?;
        let this = std::env::current_exe()?;
        let mut command = match self.attackers_on {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["--cpu-list", &core.to_string()]).arg(this);
                command
            }
            None => Command::new(this),
        };
        let child = command
            .args(["attack", name.get_name(), "--connections", &self.connections.to_string()])
            .args(["--seconds", &self.time.as_secs().to_string(), "--port", &place.port.to_string()])
            .arg("--root")
            .arg(&place.root)
            .arg("--certificate")
            .arg(&place.certificate)
            .arg("--key")
            .arg(&place.key)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        child.context("the attacker cannot start")
    }
}

/// Waits until the gateway answers.
async fn ready(place: &Place, gateway: &mut Child) -> anyhow::Result<Site> {
    let until = Instant::now() + READY;
    let mut beat = interval(Duration::from_millis(20));
    loop {
        beat.tick().await;
        if let Ok(site) = Site::of(place, true, false)
            && let Ok(mut connection) = site.connect().await
        {
            let health = site.request(&What::get("/healthz", None, false))?;
            if connection.ask(health).await.is_ok_and(|(status, _)| status.is_success()) {
                return Ok(site);
            }
        }
        if gateway.try_wait()?.is_some() || Instant::now() > until {
            bail!("the gateway does not answer");
        }
    }
}

/// The 99th percentile of a line, in microseconds.
fn p99(line: &Value) -> u64 {
    line["p99_us"].as_u64().unwrap_or(u64::MAX)
}

/// Requests of a line that were refused or not answered.
fn failed(line: &Value) -> u64 {
    line["failed"].as_u64().unwrap_or(u64::MAX)
}

async fn stop(gateway: &mut Child) {
    if let Some(id) = gateway.id() {
        let _ = Command::new("kill").arg(id.to_string()).status().await;
    }
    if timeout(READY, gateway.wait()).await.is_err() {
        let _ = gateway.kill().await;
    }
}

/// Memory of a process in KiB.
pub fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
