//! Three Redis, and three sentinels that choose which of them is written to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::processes::{Plan, Process, until};

/// How long it may take to agree on a master.
const AGREED: Duration = Duration::from_secs(40);

/// All of them.
pub struct Caches {
    servers: Vec<Process>,
    sentinels: Vec<Process>,
    folder: PathBuf,
    ports: u16,
}

impl Caches {
    /// Plans them at ports from `ports` on, of which they take six.
    pub fn planned(folder: &Path, ports: u16) -> anyhow::Result<Self> {
        let port = |offset: u16| ports.saturating_add(offset);
        let mut servers = Vec::new();
        let mut sentinels = Vec::new();
        for at in 0..3 {
            let home = folder.join(format!("redis-{at}"));
            std::fs::create_dir_all(&home)?;
            let common = format!("bind 127.0.0.1\nprotected-mode no\ndir {}\n", home.display());
            let mut settings = format!(
                "{common}port {}\nsave \"\"\nappendonly no\nmin-replicas-to-write 1\nmin-replicas-max-lag 3\n\
                 repl-diskless-sync-delay 0\n",
                port(at)
            );
            if at > 0 {
                settings.push_str(&format!("replicaof 127.0.0.1 {}\n", port(0)));
            }
            let file = home.join("redis.conf");
            std::fs::write(&file, settings)?;
            let named = file.display().to_string();
            servers.push(Process::planned(Plan::of(&home, "redis", "redis-server", &[&named])));
            let file = home.join("sentinel.conf");
            std::fs::write(
                &file,
                format!(
                    "{common}port {}\nsentinel monitor consentry 127.0.0.1 {} 2\n\
                     sentinel down-after-milliseconds consentry 2000\n\
                     sentinel failover-timeout consentry 6000\n",
                    port(at.saturating_add(3)),
                    port(0)
                ),
            )?;
            let named = file.display().to_string();
            let plan = Plan::of(&home, "sentinel", "redis-server", &[&named, "--sentinel"]);
            sentinels.push(Process::planned(plan));
        }
        Ok(Self { servers, sentinels, folder: folder.to_owned(), ports })
    }

    /// Starts those that are not there, and waits until the sentinels know a master that is.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        for process in self.servers.iter_mut().chain(&mut self.sentinels) {
            if !process.lives() {
                process.start()?;
            }
        }
        until("Redis has a master", AGREED, async || {
            let Ok(place) = self.master().await else { return false };
            let role = self.ask(self.port(place), &["role"]).await.unwrap_or_default();
            let known = self.ask(self.port(3), &["sentinel", "ckquorum", "consentry"]).await;
            role.starts_with("master") && known.is_ok_and(|told| told.starts_with("OK"))
        })
        .await
    }

    /// The place of the one that is written to.
    pub async fn master(&self) -> anyhow::Result<u16> {
        let told = self.ask(self.port(3), &["sentinel", "get-master-addr-by-name", "consentry"]).await?;
        let port: u16 = told.lines().nth(1).context("no master")?.trim().parse()?;
        port.checked_sub(self.ports).context("a master of others")
    }

    /// Kills one.
    pub async fn kill(&mut self, place: u16) {
        if let Some(server) = self.servers.get_mut(usize::from(place)) {
            server.kill().await;
        }
    }

    /// Kills all, the sentinels too.
    pub async fn stop(&mut self) {
        for process in self.servers.iter_mut().chain(&mut self.sentinels) {
            process.kill().await;
        }
    }

    /// The address, as the gateways have it.
    pub fn address(&self) -> String {
        let sentinels: Vec<_> = (3..6).map(|at| format!("127.0.0.1:{}", self.port(at))).collect();
        format!("redis+sentinel://{}/consentry", sentinels.join(","))
    }

    fn port(&self, offset: u16) -> u16 {
        self.ports.saturating_add(offset)
    }

    async fn ask(&self, port: u16, question: &[&str]) -> anyhow::Result<String> {
        let port = port.to_string();
        let arguments: Vec<_> =
            ["-h", "127.0.0.1", "-p", &port].into_iter().chain(question.iter().copied()).collect();
        Plan::of(&self.folder, "redis-cli", "redis-cli", &arguments).run().await
    }
}
