//! A cell as a process of its own, with all that belongs to its region in one folder, and
//! recorders of what goes over its sockets.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use consentry::demo::Client;
use consentry::sandbox::{Access, BanksApart, SandboxOptions};
use crypto::pki::{Authority, Issued};
use domain::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

/// Longest time until a process answers.
const READY: Duration = Duration::from_secs(60);

/// Where a cell is.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its region.
    pub region: &'static str,
    /// The first of its ports: pages; the next one is the API.
    pub base: u16,
    /// Where other cells reach it.
    pub inner: u16,
    /// Everything that is its own.
    pub folder: PathBuf,
    /// PostgreSQL, if it is kept there.
    pub database: Option<String>,
    /// Redis, if there is one.
    pub redis: Option<String>,
}

impl Site {
    /// Its folder of data.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Origin of its API.
    pub fn api(&self) -> String {
        format!("https://localhost:{}", self.base.saturating_add(1))
    }

    fn pages(&self) -> String {
        format!("https://localhost:{}", self.base)
    }
}

/// A running cell, with model banks of its own.
pub struct Cell {
    pub site: Site,
    pub child: Child,
    banks: Option<BanksApart>,
}

/// How all of them are started.
pub struct Starter {
    pub binary: PathBuf,
    pub leak: Option<String>,
    pub issuer: String,
    pub global: Option<String>,
    /// The rules of access.
    pub policies: PathBuf,
    /// What is logged.
    pub log: &'static str,
}

impl Starter {
    /// Starts a cell and returns when it answers.
    pub async fn start(&self, site: &Site, with_banks: bool) -> anyhow::Result<Cell> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(site.folder.join("log"))?;
        let mut command = Command::new(&self.binary);
        command
            .arg("sandbox")
            .args(["--auto-approve", "--no-limits", "--bank-region", "pl-bank-wisla=pl"])
            .arg("--data-dir")
            .arg(site.data())
            .args(["--port-base", &site.base.to_string(), "--banks-apart", &site.base.to_string()])
            .args(["--issuer", &self.issuer])
            .arg("--cells")
            .arg(site.folder.join("cells.toml"))
            .arg("--policies")
            .arg(&self.policies)
            .current_dir(&site.folder)
            .env("CONSENTRY_LOG", self.log)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        for name in [
            "CONSENTRY_DATABASE_URL",
            "CONSENTRY_DATABASE_GLOBAL_URL",
            "CONSENTRY_REDIS_URL",
            "CONSENTRY_LEAK",
        ] {
            command.env_remove(name);
        }
        if let (Some(database), Some(global)) = (&site.database, &self.global) {
            command.env("CONSENTRY_DATABASE_URL", database).env("CONSENTRY_DATABASE_GLOBAL_URL", global);
        }
        if let Some(redis) = &site.redis {
            command.env("CONSENTRY_REDIS_URL", redis);
        }
        if let Some(leak) = &self.leak {
            command.env("CONSENTRY_LEAK", leak);
        }
        let mut child = command.spawn().with_context(|| format!("{} cannot start", self.binary.display()))?;
        let state = site.data().join("state.json");
        wait(&mut child, || state.exists()).await?;
        let banks = if with_banks {
            let options = SandboxOptions {
                port_base: site.base,
                auto_approve: true,
                ..SandboxOptions::at(site.data())
            };
            Some(BanksApart::start(&options).await?)
        } else {
            None
        };
        let root = std::fs::read_to_string(site.data().join("pki/root.pem"))?;
        let client = Client::new(&root, None)?;
        let url = format!("{}/.well-known/oauth-authorization-server", site.api());
        let mut beat = tokio::time::interval(Duration::from_millis(50));
        let answers = async {
            while !client.get(&url, &[]).await.is_ok_and(|answer| answer.status == 200) {
                beat.tick().await;
            }
        };
        tokio::time::timeout(READY, answers).await.context("a cell does not answer")?;
        Ok(Cell { site: site.clone(), child, banks })
    }
}

impl Cell {
    /// How it is reached.
    pub fn access(&self) -> anyhow::Result<Access> {
        Ok(self.banks.as_ref().context("the cell has no banks")?.access())
    }

    /// Ends it at once.
    pub async fn kill(&mut self) {
        let _ = self.child.kill().await;
    }

    /// Starts it again beside its banks.
    pub async fn start_again(&mut self, starter: &Starter) -> anyhow::Result<()> {
        let again = starter.start(&self.site, false).await?;
        self.child = again.child;
        Ok(())
    }

    /// Lets it crash, as a fault of memory would.
    pub async fn crash(&mut self) {
        if let Some(pid) = self.child.id() {
            let _ = Command::new("kill").args(["-ABRT", &pid.to_string()]).status().await;
        }
        let _ = self.child.wait().await;
    }
}

/// Starts a cell at each of these sites, which know each other: with the rules of three regions, and a
/// global database that all have (where that is not on PostgreSQL, in a file of `run`).
pub async fn start_all(
    run: &Path,
    sites: &[Site],
    mut starter: Starter,
    recorded: bool,
) -> anyhow::Result<(Vec<Cell>, Starter)> {
    introduce(sites, recorded).await?;
    let first = sites.first().context("no cell")?;
    starter.issuer = format!("https://localhost:{}", first.base);
    starter.policies = rules_of_three(run)?;
    let global = run.join("global");
    std::fs::create_dir_all(&global)?;
    let mut cells = Vec::new();
    for site in sites {
        std::fs::create_dir_all(site.data())?;
        if let Some(Cell { site: one, .. }) = cells.first() {
            share(&one.data(), &site.data())?;
            if site.database.is_none() {
                std::os::unix::fs::symlink(global.join("global.sqlite"), site.data().join("global.sqlite"))?;
            }
        } else {
            first_start(&starter, site, &global).await?;
        }
        cells.push(starter.start(site, true).await?);
    }
    Ok((cells, starter))
}

/// The first cell makes keys and certificates, and then its global database goes where all have it.
async fn first_start(starter: &Starter, site: &Site, global: &Path) -> anyhow::Result<()> {
    std::fs::remove_dir(site.data())?;
    let mut once = starter.start(site, false).await?;
    once.kill().await;
    if site.database.is_none() {
        for suffix in ["", "-wal", "-shm"] {
            let from = site.data().join(format!("global.sqlite{suffix}"));
            if from.exists() {
                std::fs::rename(&from, global.join(format!("global.sqlite{suffix}")))?;
            }
        }
        std::os::unix::fs::symlink(global.join("global.sqlite"), site.data().join("global.sqlite"))?;
    }
    Ok(())
}

/// The rules of the binary, in a folder of `run`, for the region that they do not know, too.
fn rules_of_three(run: &Path) -> anyhow::Result<PathBuf> {
    let (from, folder) =
        (Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/access"), run.join("policies"));
    std::fs::create_dir_all(&folder)?;
    for file in std::fs::read_dir(&from).with_context(|| format!("{} is missing", from.display()))? {
        let file = file?;
        std::fs::copy(file.path(), folder.join(file.file_name()))?;
    }
    let regions = folder.join("regions.toml");
    let text = std::fs::read_to_string(&regions)?;
    let text = text.replace("streams = [\"eu\"]", "streams = [\"eu\", \"pl\"]");
    let text = text.replace("streams = [\"uk\"]", "streams = [\"uk\", \"pl\"]");
    let third = "[pl]\njurisdiction = \"Poland\"\nbasis = \"For the proof.\"\ncopies = []\nstreams = [\"uk\", \"eu\"]\n";
    std::fs::write(&regions, format!("{text}\n{third}"))?;
    std::path::absolute(folder).map_err(Into::into)
}

async fn wait(child: &mut Child, done: impl Fn() -> bool) -> anyhow::Result<()> {
    let mut beat = tokio::time::interval(Duration::from_millis(20));
    let look = async {
        while !done() {
            beat.tick().await;
            if let Some(status) = child.try_wait()? {
                bail!("a cell ended before it was ready: {status}");
            }
        }
        Ok(())
    };
    tokio::time::timeout(READY, look).await.context("a cell does not start")?
}

/// Writes the file of each cell; each reaches the others through a recorder of its own, where what goes
/// over their sockets is to be `recorded`.
async fn introduce(sites: &[Site], recorded: bool) -> anyhow::Result<()> {
    let ca = Authority::new("cells", domain::Clock::now(&SystemClock))?;
    let shown: Vec<Issued> = sites.iter().map(|_| ca.issue_peer(&["localhost"])).collect::<Result<_, _>>()?;
    for (site, own) in sites.iter().zip(&shown) {
        let put = |name: &str, text: &str| std::fs::write(site.folder.join(name), text);
        put("cell.pem", &own.certificate_pem)?;
        put("cell.key", &own.key_pem)?;
        put("trust.pem", ca.certificate_pem())?;
        let mut text = format!(
            "name = \"cell-{region}\"\nregions = [\"{region}\"]\nlisten = \"127.0.0.1:{}\"\n\
             certificate = \"cell.pem\"\nkey = \"cell.key\"\ntrust = \"trust.pem\"\n",
            site.inner,
            region = site.region,
        );
        for (other, theirs) in sites.iter().zip(&shown).filter(|(other, _)| other.region != site.region) {
            put(&format!("{}.pem", other.region), &theirs.certificate_pem)?;
            let file = site.folder.join(format!("socket-to-{}", other.region));
            let way = if recorded {
                record(format!("127.0.0.1:{}", other.inner), file).await?
            } else {
                other.inner
            };
            text.push_str(&format!(
                "[[neighbour]]\nname = \"cell-{region}\"\nregions = [\"{region}\"]\n\
                 address = \"https://localhost:{way}\"\ncertificates = [\"{region}.pem\"]\n\
                 api = \"{}\"\npages = \"{}\"\n",
                other.api(),
                other.pages(),
                region = other.region,
            ));
        }
        put("cells.toml", &text)?;
    }
    Ok(())
}

/// Gives other cells the keys and certificates that all have.
fn share(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap_or_default();
        let own = name.starts_with("region")
            || name.contains(".sqlite")
            || ["lock", "audit", "banks"].contains(&&*name);
        if own {
            continue;
        }
        if entry.file_type()?.is_dir() {
            share(&entry.path(), &to.join(&name))?;
        } else {
            std::fs::copy(entry.path(), to.join(&name))?;
        }
    }
    Ok(())
}

/// Passes connections on to `target`, and writes down what goes over them. The port.
pub async fn record(target: String, file: PathBuf) -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let file = Arc::new(Mutex::new(tokio::fs::File::create(file).await?));
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (target, file) = (target.clone(), Arc::clone(&file));
            tokio::spawn(async move {
                let Ok(far) = TcpStream::connect(&target).await else { return };
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                let one = pass(near_in, far_out, Arc::clone(&file));
                let other = pass(far_in, near_out, file);
                tokio::join!(one, other);
            });
        }
    });
    Ok(port)
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    file: Arc<Mutex<tokio::fs::File>>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read) = from.read(&mut buffer).await {
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        if file.lock().await.write_all(bytes).await.is_err() || to.write_all(bytes).await.is_err() {
            break;
        }
    }
    let _ = file.lock().await.flush().await;
}
