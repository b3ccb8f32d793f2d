//! A gateway with banks. The banks' authorization is a model bank's; what is read again and again is kept
//! by an nginx in front of it, so that the bank is quicker than whoever asks it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use consentry::demo::{Tpp, free_ports};
use consentry::sandbox::{Access, BanksApart, GatewayOfBanks, SandboxOptions};
use domain::SystemClock;
use secrecy::{ExposeSecret, SecretString};

use super::processes::{Plan, Process, ask, until_seen};

/// How long a process may take to listen.
const READY: Duration = Duration::from_secs(120);
/// How long it may take to say whether it is.
const GLANCE: Duration = Duration::from_secs(1);
/// The bank whose likes are asked.
pub const PATTERN: &str = "de-rheinbank";
/// Its likes.
pub const BANKS: usize = 50;
/// Connections of who asks.
pub const CONNECTIONS: usize = 32;

/// How the gateway is started.
#[derive(Clone, Debug)]
pub struct Start {
    pub folder: PathBuf,
    /// The gateway, with what is to be before it.
    pub program: Vec<String>,
    /// The core of servers under test, if they are to have one of their own.
    pub core: Option<&'static str>,
}

impl Start {
    /// On a core of its own.
    pub fn pinned(folder: &Path, binary: &Path) -> anyhow::Result<Self> {
        let program = vec![std::path::absolute(binary)?.display().to_string()];
        Ok(Self { folder: std::path::absolute(folder)?, program, core: Some("0") })
    }
}

/// Everything but the peers.
pub struct Place {
    pub folder: PathBuf,
    pub banks: BanksApart,
    pub gateway: Process,
    bank: Process,
    tpp: Tpp,
    pub ports: u16,
    others: u16,
    core: Option<&'static str>,
}

/// What a person has granted.
pub struct Grant {
    pub token: SecretString,
    pub consents: Vec<String>,
}

/// The n-th of the banks.
pub fn bank(number: usize) -> String {
    format!("de-bench-{number}")
}

impl Place {
    /// Certificates, keys and schema; banks, their front, and the gateway, which is ready.
    pub async fn ready(start: Start) -> anyhow::Result<Self> {
        let Start { folder, program, core } = start;
        std::fs::create_dir_all(&folder)?;
        let (ports, others) = (free_ports()?, free_ports()?);
        let options = SandboxOptions {
            port_base: ports,
            auto_approve: true,
            ..SandboxOptions::at(folder.join("banks"))
        };
        let profiles = folder.join("profiles");
        let gateway = GatewayOfBanks {
            origin: format!("https://localhost:{ports}"),
            host: "localhost".to_owned(),
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            profiles: Some(profiles.clone()),
        };
        let banks = BanksApart::of(&options, &gateway).await?;
        let front = others + 1;
        // What is done by the clock would be counted by the time that counting takes.
        let work = if core.is_some() { "" } else { "[work]\nhere = false\n" };
        std::fs::write(folder.join("limits.toml"), without_end()?)?;
        std::fs::write(folder.join("consentry.toml"), configuration(&folder, ports, others, &banks) + work)?;
        let behind = behind(&profiles, front)?;
        let file = folder.join("consentry.toml").display().to_string();
        let binary = program.last().context("no program")?;
        for command in [&["keys", "init", "--config", &file][..], &["migrate", "--config", &file]] {
            Plan::of(&folder, "consentry", binary, command).run().await?;
        }
        super::large::prepare(&folder)?;
        std::fs::write(folder.join("bank.conf"), front_of(&folder, front, behind))?;
        let bank = nginx(&folder, "bank", core.map(|_| "1"))?;
        let mut arguments: Vec<&str> = program.iter().map(String::as_str).collect();
        arguments.extend(["serve", "--config", &file]);
        let mut gateway = Process::planned(pinned(&folder, "gateway", core, &arguments));
        begin(&mut gateway, others).await?;
        let mut tpp = Tpp::discover(&reached(&banks, ports), Arc::new(SystemClock)).await?;
        tpp.register().await?;
        Ok(Self { folder, banks, gateway, bank, tpp, ports, others, core })
    }

    /// Starts the gateway; how long it took to be ready.
    pub async fn start_gateway(&mut self) -> anyhow::Result<Duration> {
        begin(&mut self.gateway, self.others).await
    }

    /// A grant at each of these sets of banks. What the model bank does for it has to be signed; the reads
    /// are not. The gateway is started anew.
    pub async fn granted(&mut self, sets: &[Vec<String>]) -> anyhow::Result<Vec<Grant>> {
        self.likes(BANKS, true).await?;
        let mut all = Vec::new();
        for banks in sets {
            all.push(self.grant(banks).await?);
        }
        self.likes(BANKS, false).await?;
        Ok(all)
    }

    /// A grant for each connection at one of the banks, so that no two ask the same; the file of their
    /// tokens, and the first one.
    pub async fn many(&mut self) -> anyhow::Result<(PathBuf, Grant)> {
        let mut grants = self.granted(&vec![vec![bank(0)]; CONNECTIONS]).await?;
        Ok((self.tokens("many", &grants)?, grants.swap_remove(0)))
    }

    /// The same at the bank to which every request is signed.
    pub async fn many_signed(&self) -> anyhow::Result<PathBuf> {
        let mut grants = Vec::new();
        for _ in 0..CONNECTIONS {
            grants.push(self.grant(&[PATTERN.to_owned()]).await?);
        }
        self.tokens("signed", &grants)
    }

    async fn grant(&self, banks: &[String]) -> anyhow::Result<Grant> {
        let banks: Vec<&str> = banks.iter().map(String::as_str).collect();
        let (token, consents) = self.tpp.granted(&self.banks.access().pki.root, &banks).await?;
        Ok(Grant { token, consents })
    }

    /// A file of tokens.
    pub fn tokens(&self, name: &str, grants: &[Grant]) -> anyhow::Result<PathBuf> {
        let file = self.folder.join(format!("{name}.tokens"));
        let lines: Vec<&str> = grants.iter().map(|grant| grant.token.expose_secret()).collect();
        std::fs::write(&file, lines.join("\n"))?;
        Ok(file)
    }

    /// Starts the gateway with so many banks; how long it took to be ready.
    pub async fn with_banks(&mut self, count: usize) -> anyhow::Result<Duration> {
        self.likes(count, false).await
    }

    /// Writes the profiles of the pattern's likes, which sign or do not, and starts the gateway with them.
    async fn likes(&mut self, count: usize, sign: bool) -> anyhow::Result<Duration> {
        let profiles = self.folder.join("profiles");
        let text = std::fs::read_to_string(profiles.join(format!("{PATTERN}.toml")))?;
        let text = match sign {
            true => text.as_str(),
            false => text.split("[brand.signing]").next().context("no profile")?,
        };
        let profile = |number| profiles.join(format!("{}.toml", bank(number)));
        self.gateway.stop().await;
        for number in 0..count {
            let like = text.replace(&format!("id = \"{PATTERN}\""), &format!("id = \"{}\"", bank(number)));
            std::fs::write(profile(number), like)?;
        }
        // Of a time with more of them.
        let mut others = (count..).map(profile);
        while others.next().is_some_and(|other| std::fs::remove_file(other).is_ok()) {}
        self.start_gateway().await
    }

    /// What the gateway answers to a read.
    pub async fn read(&self, token: &SecretString, path: &str) -> anyhow::Result<Vec<u8>> {
        let answer = self.tpp.get(token, path).await?.expect(200)?;
        let sources = answer.json();
        let sources = sources.get("sources").and_then(|all| all.as_array()).map(Vec::as_slice);
        for source in sources.unwrap_or_default() {
            if source.get("status").and_then(|status| status.as_str()) != Some("OK") {
                bail!("a bank did not answer: {source}");
            }
        }
        Ok(answer.body.to_vec())
    }

    /// How an outside client reaches the gateway.
    pub fn access(&self) -> Access {
        reached(&self.banks, self.ports)
    }

    /// Where certificates and keys are.
    pub fn pki(&self) -> PathBuf {
        self.folder.join("banks/pki")
    }

    /// Port of the API.
    pub fn api(&self) -> u16 {
        self.ports + 1
    }

    /// Port of the bank's front.
    pub fn front(&self) -> u16 {
        self.others + 1
    }

    /// Ports of the peers.
    pub fn peer(&self, number: u16) -> u16 {
        self.others + 2 + number
    }

    /// A server under test.
    pub fn server(&self, name: &str, arguments: &[&str]) -> Plan {
        pinned(&self.folder, name, self.core, arguments)
    }

    /// What the bank's front was asked by the gateway for a read, once: path and query.
    pub fn asked_of_the_bank(&self) -> anyhow::Result<String> {
        let log = std::fs::read_to_string(self.folder.join("bank.asked"))?;
        let asked = log.lines().rfind(|line| line.starts_with("GET /v1/accounts"));
        let asked = asked.context("the bank was not asked for accounts")?;
        asked.split(' ').nth(1).map(str::to_owned).context("no path")
    }

    pub async fn stop(mut self) {
        self.gateway.stop().await;
        self.bank.stop().await;
        self.banks.stop().await;
    }
}

fn reached(banks: &BanksApart, ports: u16) -> Access {
    Access { api: format!("https://localhost:{}", ports + 1), ..banks.access() }
}

/// How often a gateway that starts is asked whether it is ready.
const OFTEN: Duration = Duration::from_millis(2);

/// Starts the gateway, whose operations are at this port; how long it took to be ready.
async fn begin(gateway: &mut Process, operations: u16) -> anyhow::Result<Duration> {
    let started = std::time::Instant::now();
    gateway.start()?;
    until_seen("the gateway is ready", (OFTEN, READY), async || {
        !gateway.lives() || matches!(ask(operations, "GET", "/readyz", "", GLANCE).await, Some((200, _)))
    })
    .await?;
    let took = started.elapsed();
    gateway.still()?;
    Ok(took)
}

/// A process that has a core, or any.
fn pinned(folder: &Path, name: &str, core: Option<&str>, arguments: &[&str]) -> Plan {
    let mut all = match core {
        Some(core) => vec!["taskset", "-c", core],
        None => Vec::new(),
    };
    all.extend(arguments);
    Plan::of(folder, name, all[0], &all[1..])
}

/// nginx with a configuration of the folder, in the foreground and alone.
pub fn nginx(folder: &Path, name: &str, core: Option<&str>) -> anyhow::Result<Process> {
    let error = folder.join(format!("{name}.err")).display().to_string();
    let file = folder.join(format!("{name}.conf")).display().to_string();
    let prefix = folder.display().to_string();
    let arguments = ["nginx", "-e", &error, "-p", &prefix, "-c", &file];
    let mut process = Process::planned(pinned(folder, name, core, &arguments));
    process.start()?;
    Ok(process)
}

/// What every nginx here begins with.
pub fn nginx_head(folder: &Path, name: &str) -> String {
    let folder = folder.display();
    format!(
        "daemon off; master_process off; worker_processes 1; pid {folder}/{name}.pid;\n\
         events {{ worker_connections 16000; }}\n\
         http {{\n  keepalive_requests 100000000; client_body_temp_path {folder}/{name}.body;\n  \
         proxy_temp_path {folder}/{name}.proxy; fastcgi_temp_path {folder}/{name}.f; uwsgi_temp_path {folder}/{name}.u;\n  \
         scgi_temp_path {folder}/{name}.s;\n"
    )
}

/// TLS with client certificates, as every server here has it.
pub fn nginx_tls(pki: &Path, port: u16) -> String {
    let pki = pki.display();
    format!(
        "    listen 127.0.0.1:{port} ssl http2 backlog=4096;\n    \
         ssl_certificate {pki}/server.pem; ssl_certificate_key {pki}/server.key;\n    \
         ssl_client_certificate {pki}/root.pem; ssl_verify_client on; ssl_session_cache shared:{port}:10m;\n"
    )
}

fn front_of(folder: &Path, port: u16, behind: u16) -> String {
    let pki = folder.join("banks/pki");
    let head = nginx_head(folder, "bank");
    let tls = nginx_tls(&pki, port);
    let large = super::large::location(folder);
    let (folder, pki) = (folder.display(), pki.display());
    format!(
        "{head}  proxy_cache_path {folder}/kept keys_zone=kept:10m inactive=1d;\n  \
         map $upstream_cache_status $asked {{ default 1; HIT 0; }}\n  \
         log_format asked '$request_method $request_uri';\n  access_log {folder}/bank.asked asked if=$asked;\n  \
         server {{\n{tls}{large}    \
         location / {{\n      proxy_pass https://127.0.0.1:{behind}; proxy_http_version 1.1;\n      \
         proxy_set_header Connection \"\"; proxy_set_header Host localhost:{behind}; proxy_ssl_name localhost;\n      \
         proxy_ssl_certificate {pki}/gateway-qwac.pem; proxy_ssl_certificate_key {pki}/gateway-qwac.key;\n      \
         proxy_cache kept; proxy_cache_key $request_uri; proxy_cache_valid 200 1d; proxy_cache_bypass $ask_anew;\n      \
         proxy_no_cache $ask_anew; proxy_ignore_headers Cache-Control Expires Set-Cookie Vary;\n      \
         proxy_hide_header x-request-id; add_header x-request-id $http_x_request_id;\n    }}\n  }}\n  \
         map $request_uri $ask_anew {{ default 1; ~^/v1/accounts \"\"; }}\n}}\n"
    )
}

/// Puts the front before the pattern; the port that it had.
fn behind(profiles: &Path, front: u16) -> anyhow::Result<u16> {
    let file = profiles.join(format!("{PATTERN}.toml"));
    let text = std::fs::read_to_string(&file)?;
    let (_, rest) = text.split_once("\"https://localhost:").context("the pattern has no address")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let text = text.replace(&format!("localhost:{digits}/v1"), &format!("localhost:{front}/v1"));
    std::fs::write(file, text)?;
    Ok(digits.parse()?)
}

/// The limits of the project, counted, and never reached.
fn without_end() -> anyhow::Result<String> {
    let limits = std::fs::read_to_string("policies/limits/limits.toml")
        .context("policies/limits/limits.toml: run this where the project is")?;
    let line = |line: &str| match line.split(" = ").next() {
        Some("quota") => "quota = 100000000".to_owned(),
        Some("window") => "window = 1".to_owned(),
        Some("lag_ms") => "lag_ms = 60000".to_owned(),
        _ => line.to_owned(),
    };
    Ok(limits.lines().map(line).collect::<Vec<_>>().join("\n"))
}

fn configuration(folder: &Path, ports: u16, operations: u16, banks: &BanksApart) -> String {
    format!(
        "[node]\ndata_dir = '{0}/data'\n\
         [public]\nissuer = 'https://localhost:{1}'\napi = 'https://localhost:{2}'\n\
         [listen]\npages = '127.0.0.1:{1}'\napi = '127.0.0.1:{2}'\noperations = '127.0.0.1:{operations}'\n\
         connections = 12000\nper_address = 20000\nper_client = 20000\n\
         [policies]\nlimits = '{0}/limits.toml'\n\
         [drain]\nbefore = '0s'\nlongest = '5s'\n{3}",
        folder.display(),
        ports,
        ports + 1,
        banks.configuration(&folder.join("profiles")),
    )
}
