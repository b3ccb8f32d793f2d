//! A sandbox of its own to judge: started for a run, and ended with it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use url::Url;

/// Ports of a sandbox.
const PORTS: u16 = 16;

/// Profiles that are about banks, and the model bank of each.
const BANKS: [(&str, &str); 6] = [
    ("uk-functional", "gb-albion-bank"),
    ("berlin-group-functional", "de-rheinbank"),
    ("berlin-group-decoupled", "fr-banque-lumiere"),
    ("berlin-group-embedded", "at-donaubank"),
    ("stet-functional", "fr-credit-rivage"),
    ("polish-api-functional", "pl-bank-wisla"),
];

/// A sandbox, and the folder with its data and our configuration.
#[derive(Debug)]
pub struct Sandbox {
    child: Child,
    folder: PathBuf,
}

impl Sandbox {
    /// Starts this program's own sandbox on free ports, with our clients registered, and writes the
    /// configuration for it.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn start() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program does not know where it lies")?;
        let folder =
            std::env::temp_dir().join(format!("consentry-conformance-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let mut tries = 0_u8;
        loop {
            let base = free_base()?;
            match Self::at(&program, &folder, base).await {
                Ok(started) => return Ok(started),
                Err(error) if tries < 3 && error.to_string().contains("is taken") => tries += 1,
                Err(error) => {
                    let _ = std::fs::remove_dir_all(&folder);
                    return Err(error);
                }
            }
        }
    }

    async fn at(program: &Path, folder: &Path, base: u16) -> anyhow::Result<Self> {
        let kit = folder.join("kit");
        let issuer = Url::parse(&format!("https://localhost:{base}"))?;
        let api = Url::parse(&format!("https://localhost:{}", base + 1))?;
        let mut banks = free_base()?;
        while banks == base {
            banks = free_base()?;
        }
        crate::setup::write(&kit, &issuer, Some(&api), &[], banks)?;
        let mut child = Command::new(program)
            .arg("sandbox")
            .arg("--data-dir")
            .arg(folder.join("data"))
            .args(["--port-base", &base.to_string(), "--auto-approve", "--filter", "block"])
            .arg("--clients")
            .arg(kit.join("clients.json"))
            .arg("--trust-ca")
            .arg(kit.join("ca.pem"))
            .arg("--trust-bank-ca")
            .arg(kit.join("ca.pem"))
            .arg("--banks")
            .arg(kit.join("hostile-banks"))
            .arg("--software-issuers")
            .arg(kit.join("software-issuers.json"))
            .env_remove("CONSENTRY_DATABASE_URL")
            .env_remove("CONSENTRY_GLOBAL_DATABASE_URL")
            .env_remove("CONSENTRY_REDIS_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the sandbox cannot be started")?;
        let stdout = child.stdout.take().context("the sandbox says nothing")?;
        let stderr = child.stderr.take().context("the sandbox says nothing")?;
        let errors = tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            let mut last = String::new();
            while let Ok(Some(line)) = lines.next_line().await {
                if line.starts_with("consentry:") {
                    last = line;
                }
            }
            last
        });
        let mut lines = BufReader::new(stdout).lines();
        let ready = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if line.contains("sandbox is ready") {
                    return true;
                }
            }
            false
        };
        let ready = tokio::time::timeout(Duration::from_secs(120), ready).await.unwrap_or(false);
        if !ready {
            let _ = child.start_kill();
            bail!("the sandbox did not start: {}", errors.await.unwrap_or_default());
        }
        // What it says later is nobody's: it must not wait for us to read it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        std::fs::copy(folder.join("data/pki/root.pem"), kit.join("root-0.pem"))
            .context("the sandbox left no root certificate")?;
        let file = kit.join("target.toml");
        // The sandbox trusts its own root, also where it sends webhooks.
        let text = std::fs::read_to_string(&file)?
            .replace("roots = []", "roots = [\"root-0.pem\"]\nwebhook_receiver = \"sandbox\"");
        let text = text
            + "\n[certificates.sandbox]\nchain = \"../data/pki/server.pem\"\nkey = \"../data/pki/server.key\"\n";
        std::fs::write(&file, text)?;
        crate::setup::write_banks(&kit, &folder.join("data"), &issuer)?;
        Ok(Self { child, folder: folder.to_owned() })
    }

    /// The configuration for it.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.folder.join("kit/target.toml")
    }

    /// The configuration for one of its model banks, where a profile is about banks.
    #[must_use]
    pub fn bank(&self, profile: &str) -> Option<PathBuf> {
        let (_, bank) = BANKS.iter().find(|(of, _)| *of == profile)?;
        Some(self.folder.join(format!("kit/bank-{bank}.toml")))
    }

    /// The configurations for the model banks that profiles are about.
    pub fn banks(&self) -> impl Iterator<Item = PathBuf> {
        BANKS.iter().filter_map(|(profile, _)| self.bank(profile))
    }

    /// Ends it, and removes its folder.
    pub async fn stop(mut self) {
        let _ = self.child.kill().await;
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Also where a run is broken off.
        let _ = self.child.start_kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The first of enough free ports in a row, below those from which outgoing connections take theirs.
fn free_base() -> anyhow::Result<u16> {
    for _ in 0..200 {
        let (_, chance, ..) = uuid::Uuid::new_v4().as_fields();
        let base = 12_000 + PORTS * (chance % 1_200);
        if (base..base + PORTS).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return Ok(base);
        }
    }
    bail!("sixteen free ports in a row cannot be found")
}
