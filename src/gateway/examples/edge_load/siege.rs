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
use crate::insider::insider;
use crate::steady::{arrivals, at_rate};
use crate::wire::{DEMO, Site, What, token};

/// Requests of the clients that behave, a second, and their connections.
const RATE: u32 = 200;
/// A program that is not optimised takes twenty times as long for each.
const RATE_OF_DEBUG: u32 = 20;
const CONNECTIONS: u32 = 8;
/// Requests of theirs that come over a connection of their own each, a second.
const ARRIVALS: u32 = 40;
const ARRIVALS_OF_DEBUG: u32 = 4;
/// Overload is so many times what can be answered.
const TIMES: u32 = 10;
/// What clients that behave may notice, in percent of their 99th percentile in peace, and what it may take, in MiB.
const BOUND_PERCENT: u64 = 200;
const BOUND_MIB: u64 = 384;
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
    /// The binary is not optimised: nobody is to fail, however long it takes.
    pub debug: bool,
}

/// What the client that behaves asks, with a token that was made for it just now.
async fn reading(site: &Site) -> anyhow::Result<What> {
    Ok(What::get("/v1/consents", Some(&token(site, DEMO).await?), false))
}

impl Siege {
    /// A gateway of its own, each attack in turn; prints a line for each, and fails if the
    /// gateway does, or its clients do.
    pub async fn lay(self) -> anyhow::Result<()> {
        let capacity = self.capacity().await?;
        eprintln!("{}", json!({ "requests_per_second_at_most": capacity }));
        let (mut gateway, place) = self.start(true)?;
        let site = ready(&place, &mut gateway).await?;
        let mut what = reading(&site).await?;
        let (within, insider) = insider(&place, &self.folder).await?;
        let process = gateway.id().context("the gateway has ended")?;
        let mut lines = Vec::new();
        // The first seconds warm it up.
        at_rate(&site, &what, CONNECTIONS, self.rates().0, Duration::from_secs(2)).await;
        let all = Attack::value_variants().iter().filter(|it| self.only.is_empty() || self.only.contains(it));
        let mut calm = Vec::new();
        for attack in all {
            // A siege takes longer than a token lives.
            what = reading(&site).await?;
            // In between, too: what is measured in peace is no more the same each time than the rest.
            calm.push(self.phase(None, &site, &what, process).await?);
            let (place, token) = if attack.is_of_client() {
                (&within, token(&Site::of(&within, true, false)?, &insider).await?)
            } else {
                (&place, "nobody".to_owned())
            };
            let attacker = self.attacker(*attack, place, &token, capacity.saturating_mul(TIMES))?;
            lines.push(self.phase(Some((*attack, attacker)), &site, &what, process).await?);
            if gateway.try_wait()?.is_some() {
                bail!("the gateway has ended under {attack:?}");
            }
        }
        for name in ["p99_us", "arrivals_p99_us"] {
            let mut peace: Vec<u64> = calm.iter().map(|line| figure(line, name)).collect();
            peace.sort_unstable();
            let middle = peace.get(peace.len() / 2).map_or(1, |middle| (*middle).max(1));
            for line in &mut lines {
                line[name.replace("us", "times_calm_percent")] =
                    json!(figure(line, name).saturating_mul(100) / middle);
            }
        }
        stop(&mut gateway).await;
        lines.iter().chain(&calm).for_each(|line| println!("{line}"));
        let wrong: Vec<_> = lines.iter().chain(&calm).flat_map(|line| wrong(line, self.debug)).collect();
        if !wrong.is_empty() {
            bail!("{}", wrong.join("; "));
        }
        Ok(())
    }

    /// Requests a second that a gateway answers, which holds nobody back, where nobody attacks.
    async fn capacity(&self) -> anyhow::Result<u32> {
        let (mut gateway, place) = self.start(false)?;
        let site = ready(&place, &mut gateway).await?;
        let token = token(&site, DEMO).await?;
        let header = format!("authorization: Bearer {token}");
        let mut asker = self.program()?;
        asker.args(["run", "--path", "/v1/consents", "--header", &header, "--seconds", "3"]);
        let told = asked(asker, &place)?.wait_with_output().await?;
        stop(&mut gateway).await;
        let told: Value = serde_json::from_slice(&told.stdout)?;
        let answered = told["per_second"].as_u64().and_then(|answered| u32::try_from(answered).ok());
        answered.filter(|answered| *answered > 0).with_context(|| format!("nothing was answered: {told}"))
    }

    /// Starts a gateway, with limits or without.
    fn start(&self, is_limited: bool) -> anyhow::Result<(Child, Place)> {
        let folder = self.folder.join("data");
        std::fs::create_dir_all(&folder)?;
        let log = std::fs::File::create(self.folder.join("log"))?;
        let limits = self.folder.join("limits.toml");
        let (all, us) = (r#"["127.0.0.0/8", "::1/128"]"#, r#"["127.0.0.1/32"]"#);
        if !LIMITS.contains(all) {
            bail!("the limits do not say whom they never block");
        }
        std::fs::write(&limits, LIMITS.replace(all, us))?;
        let mut command = Command::new(&self.binary);
        if is_limited {
            command.arg("sandbox").arg("--limits").arg(&limits);
        } else {
            command.args(["sandbox", "--no-limits"]);
        }
        let child = command
            .args(["--filter", "block", "--port-base", &self.port_base.to_string(), "--data-dir"])
            .arg(&folder)
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
        attack: Option<(Attack, Child)>,
        site: &Site,
        what: &What,
        process: u32,
    ) -> anyhow::Result<Value> {
        let (rate, coming) = self.rates();
        let steady = at_rate(site, what, CONNECTIONS, rate, self.time);
        let clients = async { tokio::join!(steady, arrivals(site, what, coming, self.time)) };
        tokio::pin!(clients);
        let mut beat = interval(Duration::from_millis(100));
        let mut memory = 0;
        let (mut steady, mut arrivals) = loop {
            tokio::select! {
                outcomes = &mut clients => break outcomes,
                _ = beat.tick() => memory = memory.max(resident(process)),
            }
        };
        let mut line = steady.view();
        let name = |(attack, _): &(Attack, Child)| format!("{attack:?}");
        line["attack"] = json!(attack.as_ref().map_or_else(|| "none".to_owned(), name));
        line["memory_kib"] = json!(memory);
        let arrivals = arrivals.view();
        line["arrivals_p99_us"] = arrivals["p99_us"].clone();
        line["arrivals"] = arrivals;
        if let Some((_, attacker)) = attack {
            let ended = attacker.wait_with_output().await?;
            line["attacks"] = serde_json::from_slice(&ended.stdout).unwrap_or(Value::Null);
        }
        Ok(line)
    }

    /// Requests a second of clients that behave: over connections that are kept, and over new ones.
    fn rates(&self) -> (u32, u32) {
        if self.debug { (RATE_OF_DEBUG, ARRIVALS_OF_DEBUG) } else { (RATE, ARRIVALS) }
    }

    /// A process of its own, on a core of its own: what is measured is what its attack costs the gateway, not
    /// what it costs the attacker. It must not be the gateway's core, not even for the time that nobody else
    /// wants (sched(7), `SCHED_IDLE`): the operating system lets such a one go on for a tick, some milliseconds,
    /// when somebody else awakes, often enough to be the 99th percentile.
    fn attacker(&self, attack: Attack, place: &Place, token: &str, per_second: u32) -> anyhow::Result<Child> {
        let name = attack.to_possible_value().context("an attack has a name")?;
        let mut attacker = self.program()?;
        attacker
            .args(["attack", name.get_name(), "--connections", &self.connections.to_string()])
            .args(["--seconds", &self.time.as_secs().to_string(), "--token", token])
            .args(["--per-second", &per_second.to_string()]);
        asked(attacker, place)
    }

    /// This program, on the core of attackers.
    fn program(&self) -> anyhow::Result<Command> {
        let this = std::env::current_exe()?;
        Ok(match self.attackers_on {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["--cpu-list", &core.to_string()]).arg(this);
                command
            }
            None => Command::new(this),
        })
    }
}

/// Starts this program, against a gateway.
fn asked(mut program: Command, place: &Place) -> anyhow::Result<Child> {
    program.args(["--port", &place.port.to_string(), "--root"]).arg(&place.root);
    program.arg("--certificate").arg(&place.certificate).arg("--key").arg(&place.key);
    program.stdout(Stdio::piped()).kill_on_drop(true).spawn().context("the attacker cannot start")
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

/// A figure of a line.
fn figure(line: &Value, name: &str) -> u64 {
    line.pointer(name).or_else(|| line.get(name)).and_then(Value::as_u64).unwrap_or(u64::MAX)
}

/// What ought not to be, in a line.
fn wrong(line: &Value, debug: bool) -> Vec<String> {
    let attack = &line["attack"];
    let failed = figure(line, "failed").saturating_add(figure(line, "/arrivals/failed"));
    let late = ["p99_times_calm_percent", "arrivals_p99_times_calm_percent"]
        .into_iter()
        .filter_map(|name| line.get(name).and_then(Value::as_u64));
    let late = late.max().filter(|_| !debug).unwrap_or(0);
    let mib = figure(line, "memory_kib") / 1_024;
    [
        (
            failed > 0,
            format!("{attack}: {failed} requests of clients that behave were refused or not answered"),
        ),
        (late > BOUND_PERCENT, format!("{attack}: their 99th percentile is {late} % of that in peace")),
        (mib > BOUND_MIB, format!("{attack}: {mib} MiB")),
    ]
    .into_iter()
    .filter_map(|(is_wrong, what)| is_wrong.then_some(what))
    .collect()
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
