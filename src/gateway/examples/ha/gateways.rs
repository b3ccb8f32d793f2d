//! The gateways: two processes on one configuration, behind balancers; and the model banks.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use consentry::sandbox::{Access, BanksApart, GatewayOfBanks, SandboxOptions};
use crypto::pki::Authority;
use domain::{Clock, SystemClock};

use super::balancer::{Backends, Check};
use super::processes::{Plan, Process, ask, memory_of, until};

/// How long one may take to be ready.
const READY: Duration = Duration::from_secs(60);
/// How long it may take to say whether it is.
const GLANCE: Duration = Duration::from_secs(1);
/// How long it still takes connections after it has said that it leaves: more than a balancer needs.
pub const BEFORE: Duration = Duration::from_millis(1_500);

/// All of them.
pub struct Gateways {
    pub each: Vec<Process>,
    pub banks: BanksApart,
    backends: Backends,
    folder: PathBuf,
    binary: PathBuf,
    ports: u16,
    front: u16,
    /// The address of the database.
    url: String,
    redis: String,
    collector: u16,
}

/// Where things are.
#[derive(Clone, Debug)]
pub struct Place {
    pub folder: PathBuf,
    pub binary: PathBuf,
    /// First port of the balancers and the banks, of which there are sixteen.
    pub front: u16,
    /// First port of the gateways, of which there are six.
    pub ports: u16,
    pub redis: String,
    /// Port of the collector of traces.
    pub collector: u16,
}

impl Gateways {
    /// Makes certificates, keys and the schema, and starts banks and balancers.
    pub async fn prepared(place: Place, url: &str) -> anyhow::Result<Self> {
        let Place { folder, binary, front, ports, redis, collector } = place;
        let options = SandboxOptions {
            port_base: front,
            auto_approve: true,
            ..SandboxOptions::at(folder.join("banks"))
        };
        let gateway = GatewayOfBanks {
            origin: format!("https://localhost:{front}"),
            host: "localhost".to_owned(),
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            profiles: Some(folder.join("profiles")),
        };
        let banks = BanksApart::of(&options, &gateway).await?;
        super::rotations::prepare(&folder)?;
        let port = |offset: u16| ports.saturating_add(offset);
        let checks = [2, 5].map(|at| Check { port: port(at), path: "/readyz" });
        let backends = Backends::asked(&checks);
        backends.balance(front, vec![port(0), port(3)], false).await?;
        backends.balance(front.saturating_add(1), vec![port(1), port(4)], false).await?;
        let mut gateways = Self {
            each: Vec::new(),
            banks,
            backends,
            folder,
            binary,
            ports,
            front,
            url: url.to_owned(),
            redis,
            collector,
        };
        std::fs::write(gateways.folder.join("consentry.toml"), gateways.configuration())?;
        gateways.run(&["keys", "init", "--config"], true).await?;
        gateways.run(&["migrate", "--config"], true).await?;
        gateways.each = (0..2).map(|at| Process::planned(gateways.plan(at))).collect();
        Ok(gateways)
    }

    /// Starts all, and waits until they are ready.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let plans: Vec<_> = (0..2).map(|place| self.plan(place)).collect();
        for (process, plan) in self.each.iter_mut().zip(plans) {
            process.plan = plan;
            process.start()?;
        }
        for place in 0..self.each.len() {
            self.ready(place).await?;
        }
        self.both_balanced().await
    }

    /// Waits until the balancer sends connections to both.
    pub async fn both_balanced(&self) -> anyhow::Result<()> {
        let backends = self.backends.clone();
        until("the balancer sees both", READY, async || backends.ready() == 2).await
    }

    /// Stops one as a cluster does and starts it again; with another address of the database, if it has
    /// changed.
    pub async fn restart(&mut self, place: usize) -> anyhow::Result<()> {
        let plan = self.plan(place);
        let process = self.each.get_mut(place).context("no such gateway")?;
        process.stop().await;
        process.plan = plan;
        process.start()?;
        self.ready(place).await
    }

    /// One after the other, each when the balancer knows of the one before.
    pub async fn restart_each(&mut self) -> anyhow::Result<()> {
        for place in 0..self.each.len() {
            self.restart(place).await?;
            self.both_balanced().await?;
        }
        Ok(())
    }

    /// Waits until one is ready.
    pub async fn ready(&mut self, place: usize) -> anyhow::Result<()> {
        let at = self.operations(place);
        let process = self.each.get_mut(place).context("no such gateway")?;
        until("a gateway is ready", READY, async || {
            !process.lives() || matches!(ask(at, "GET", "/readyz", "", GLANCE).await, Some((200, _)))
        })
        .await?;
        process.still()
    }

    /// The other address of the database from the next start on.
    pub fn use_database(&mut self, url: &str) {
        url.clone_into(&mut self.url);
    }

    /// The address of the database.
    pub fn database(&self) -> &str {
        &self.url
    }

    /// A command of the binary with the configuration's file behind it, or without.
    pub async fn run(&self, arguments: &[&str], configured: bool) -> anyhow::Result<String> {
        let file = self.folder.join("consentry.toml").display().to_string();
        let mut arguments = arguments.to_vec();
        if configured {
            arguments.push(&file);
        }
        let name = arguments.join(" ");
        let program = self.binary.display().to_string();
        let plan = Plan::of(&self.folder, "consentry", &program, &arguments);
        plan.with("CONSENTRY_DATABASE_URL", &self.url).run().await.with_context(|| name)
    }

    /// Brings the schema at an address up to date, and beyond with the migrations of a folder.
    pub async fn migrated_at(&self, url: &str, further: &Path) -> anyhow::Result<String> {
        let file = self.folder.join("consentry.toml").display().to_string();
        let program = self.binary.display().to_string();
        let plan = Plan::of(&self.folder, "consentry", &program, &["migrate", "--config", &file]);
        let further = further.display().to_string();
        plan.with("CONSENTRY_DATABASE_URL", url).with("CONSENTRY_TEST_MIGRATIONS", &further).run().await
    }

    /// Starts another gateway at another address of the database; it is expected to end.
    pub async fn started_at(&self, url: &str) -> anyhow::Result<String> {
        let mut plan = self.plan(0).with("CONSENTRY_DATABASE_URL", url);
        for name in ["PAGES", "API", "OPERATIONS"] {
            plan = plan.with(&format!("CONSENTRY_LISTEN_{name}"), "127.0.0.1:0");
        }
        tokio::time::timeout(READY, plan.run()).await.context("it runs")?
    }

    /// The folder of keys and logs.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The folder of profiles.
    pub fn profiles(&self) -> PathBuf {
        self.folder.join("profiles")
    }

    /// Where the configuration is, and the policies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What each has said.
    pub fn logs(&self) -> Vec<PathBuf> {
        self.each.iter().map(|process| process.plan.log()).collect()
    }

    /// How an outside client reaches them.
    pub fn access(&self) -> Access {
        Access { api: format!("https://localhost:{}", self.front.saturating_add(1)), ..self.banks.access() }
    }

    /// Memory of each, in MiB.
    pub fn memory(&self) -> Vec<u64> {
        self.each.iter().filter_map(|process| memory_of(process.pid()?)).collect()
    }

    /// Shows another certificate from now on, of the same authority.
    pub async fn renew_certificate(&self) -> anyhow::Result<()> {
        let pki = self.pki();
        let loopback = [std::net::Ipv4Addr::LOCALHOST.into()];
        let read = |name: &str| std::fs::read_to_string(pki.join(name));
        let root = Authority::from_pem(&read("root.pem")?, &read("root.key")?, SystemClock.now())?;
        let issued = root.issue_server(&["localhost"], &loopback)?;
        // Beside each other, as a Secret is mounted: first the key, and both before the signal.
        replace(&pki.join("server.key"), &issued.key_pem)?;
        replace(&pki.join("server.pem"), &issued.certificate_pem)?;
        for process in &self.each {
            process.signal("HUP").await;
        }
        Ok(())
    }

    /// Certificates and keys.
    pub fn pki(&self) -> PathBuf {
        self.folder.join("banks/pki")
    }

    fn operations(&self, place: usize) -> u16 {
        self.ports.saturating_add(u16::try_from(place).unwrap_or(0).saturating_mul(3)).saturating_add(2)
    }

    fn plan(&self, place: usize) -> Plan {
        let first = self.operations(place).saturating_sub(2);
        let at = |offset: u16| format!("127.0.0.1:{}", first.saturating_add(offset));
        let file = self.folder.join("consentry.toml").display().to_string();
        let program = self.binary.display().to_string();
        Plan::of(&self.folder, &format!("gateway-{place}"), &program, &["serve", "--config", &file])
            .with("CONSENTRY_DATABASE_URL", &self.url)
            .with("CONSENTRY_LISTEN_PAGES", &at(0))
            .with("CONSENTRY_LISTEN_API", &at(1))
            .with("CONSENTRY_LISTEN_OPERATIONS", &at(2))
    }

    fn configuration(&self) -> String {
        let origin = |offset: u16| format!("https://localhost:{}", self.front.saturating_add(offset));
        let folder = self.folder.display();
        format!(
            "[node]\ndata_dir = '{}'\n\
             [public]\nissuer = '{}'\napi = '{}'\n\
             [listen]\nper_address = 10000\nper_client = 10000\n\
             [redis]\nurl = '{}'\n\
             [policies]\nlimits = '{folder}/limits.toml'\naccess = '{folder}/access'\n\
             [filter]\npolicy = '{folder}/filter.toml'\n\
             [drain]\nbefore = '{}ms'\nlongest = '20s'\n\
             [telemetry]\notlp_endpoint = 'http://127.0.0.1:{}'\nsample_per_mille = 1000\n{}",
            self.data().display(),
            origin(0),
            origin(1),
            self.redis,
            BEFORE.as_millis(),
            self.collector,
            self.banks.configuration(&self.profiles()),
        )
    }
}

/// Puts a file in the place of another, whole.
pub fn replace(file: &Path, text: &str) -> anyhow::Result<()> {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, file)?;
    Ok(())
}
