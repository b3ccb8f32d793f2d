//! The rehearsal of a region's loss: its databases are backed up while traffic goes on, destroyed with all
//! their copies, and restored; then it is held to all that anybody was told before.
//!
//! Data and keys of a region lie in one cluster, so that one backup has both as of one moment.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::time::sleep;

use super::database::{Database, private_folder};
use super::events::World;
use super::processes::{Plan, ask, until};

/// How long an archive may take to have all.
const ARCHIVED: Duration = Duration::from_secs(60);
/// How long until a restored region takes changes.
const RESTORED: Duration = Duration::from_secs(90);
/// How long one waits for an answer of etcd.
const ANSWER: Duration = Duration::from_secs(5);
/// Traffic after the backup, which the archive alone has.
const AFTER_BACKUP: Duration = Duration::from_secs(8);
/// In how many seconds a segment of the log is archived at the latest: what may be lost with the cluster.
const ARCHIVE_TIMEOUT: u32 = 15;

/// Where backups go.
#[derive(Clone, Debug)]
pub struct Backups {
    folder: PathBuf,
}

/// What a rehearsal took.
#[derive(Debug)]
pub struct Rehearsal {
    pub backup: Duration,
    /// From the loss until something was written again.
    pub until_written: Duration,
    /// Size of the databases, as PostgreSQL has it.
    pub size: String,
}

impl Backups {
    /// A repository below the folder, sealed with a secret of the region.
    pub fn planned(folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.join("backups");
        private_folder(&folder)?;
        Ok(Self { folder })
    }

    /// What the settings of a node have of it: its log is archived.
    pub fn settings(&self, node: &str) -> String {
        format!(
            "    archive_mode: 'on'\n    archive_timeout: {ARCHIVE_TIMEOUT}s\n    \
             archive_command: 'pgbackrest --config={} --stanza=consentry archive-push %p'\n",
            self.file(node).display()
        )
    }

    /// How a node is made from a backup instead of from nothing.
    pub fn bootstrap(&self, node: &str) -> String {
        format!(
            "  method: backup\n  backup:\n    command: 'pgbackrest --config={} --stanza=consentry restore'\n    \
             no_params: true\n    keep_existing_recovery_conf: true\n",
            self.file(node).display()
        )
    }

    /// Writes the settings of a node's programs.
    pub fn write(&self, node: &str, data: &Path, port: u16) -> anyhow::Result<()> {
        let at = |name: &str| self.folder.join(name).display().to_string();
        let home = data.parent().context("no home of the data")?;
        let text = format!(
            "[global]\nrepo1-path={}\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=a secret of the region\n\
             compress-type=lz4\nstart-fast=y\nlog-level-console=warn\nlog-level-file=off\nlock-path={}\n\
             spool-path={}\n[consentry]\npg1-path={}\npg1-port={port}\npg1-socket-path={}\npg1-user=postgres\n",
            at("repository"),
            at("lock"),
            at("spool"),
            data.display(),
            home.display(),
        );
        std::fs::write(self.file(node), text)?;
        super::database::readable(&self.file(node))?;
        Ok(())
    }

    fn file(&self, node: &str) -> PathBuf {
        self.folder.join(format!("{node}.conf"))
    }

    async fn run(&self, node: &str, command: &str) -> anyhow::Result<()> {
        let file = format!("--config={}", self.file(node).display());
        let arguments = [file.as_str(), "--stanza=consentry", command];
        Plan::of(&self.folder, "pgbackrest", "pgbackrest", &arguments).humbly().run().await.map(drop)
    }
}

/// Makes the repository ready.
pub async fn begun(database: &Database, backups: &Backups) -> anyhow::Result<()> {
    let leader = database.nodes.get(database.leader().await?).context("no leader")?;
    backups.run(&leader.name, "stanza-create").await
}

/// Backs up under traffic, loses everything, restores.
pub async fn rehearse(world: &mut World, backups: &Backups) -> anyhow::Result<Rehearsal> {
    println!("==> a region lost with all its copies, and restored");
    let started = Instant::now();
    let database = &mut world.database;
    let leader = database.nodes.get(database.leader().await?).context("no leader")?;
    backups.run(&leader.name, "backup").await?;
    let backup = started.elapsed();
    sleep(AFTER_BACKUP).await;
    let traffic = world.traffic.clone();
    traffic.pause(true);
    until("all requests are over", ARCHIVED.saturating_mul(2), async || traffic.open() == 0).await?;
    let total = "select pg_size_pretty(sum(pg_database_size(oid))) from pg_database";
    let size = database.sql("postgres", "postgres", total).await?.trim().to_owned();
    archived(database).await?;

    let lost = Instant::now();
    for place in 0..database.nodes.len() {
        database.kill(place).await?;
    }
    for node in &database.nodes {
        std::fs::remove_dir_all(&node.data).with_context(|| node.data.display().to_string())?;
    }
    database.forget_cluster().await?;
    // Clients come all the time; the gateways run on, and answer as soon as they can.
    traffic.pause(false);
    database.restore(backups).await?;
    until("the region takes changes again", RESTORED, async || {
        let calls = traffic.calls_since(lost.into());
        calls.iter().any(|call| call.kind == super::traffic::Kind::Consent && call.failed.is_none())
    })
    .await?;
    let until_written = lost.elapsed();
    database.whole().await?;
    Ok(Rehearsal { backup, until_written, size })
}

/// Waits until all that is written is in the archive.
async fn archived(database: &Database) -> anyhow::Result<()> {
    let name = database.sql("postgres", "postgres", "select pg_walfile_name(pg_current_wal_lsn())").await?;
    database.sql("postgres", "postgres", "select pg_switch_wal()").await?;
    let asked =
        format!("select coalesce(last_archived_wal >= '{}', false) from pg_stat_archiver", name.trim());
    until("the log is archived", ARCHIVED, async || {
        database.sql("postgres", "postgres", &asked).await.is_ok_and(|told| told.trim() == "t")
    })
    .await
}

/// What the rehearsal showed, as the documentation has it.
pub async fn told(world: &World, rehearsal: &Rehearsal) -> anyhow::Result<String> {
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    let verified = audited(world).await?;
    let refused = of_another_region(world).await?;
    println!("{verified}");
    Ok(format!(
        "\n| rehearsal | |\n|---|---|\n| databases | {} |\n| full backup, under traffic | {} |\n\
         | from the loss of all three nodes until something was written | {} |\n\
         | at most lost, where no copy is left and the log is archived each {ARCHIVE_TIMEOUT} s | {ARCHIVE_TIMEOUT} s |\n\
         | `consentry audit verify` afterwards | whole |\n| the backup of another region | refused: {refused} |\n",
        rehearsal.size,
        seconds(rehearsal.backup),
        seconds(rehearsal.until_written),
    ))
}

/// The logs of audit are whole, and say nothing else than before.
async fn audited(world: &World) -> anyhow::Result<String> {
    let data = world.gateways.data().display().to_string();
    world.gateways.run(&["audit", "verify", "--data-dir", &data], false).await
}

/// A backup of another region is refused: what it was refused with.
async fn of_another_region(world: &World) -> anyhow::Result<String> {
    let database = &world.database;
    let hosts = database.hosts();
    let swapped = format!("{}/swapped", hosts.trim_end_matches("/consentry"));
    database.sql("postgres", "postgres", "create database swapped owner consentry").await?;
    world.gateways.migrated_at(&swapped, Path::new("")).await?;
    database.copied("consentry_uk", "swapped_eu").await?;
    let Err(refused) = world.gateways.started_at(&swapped).await else {
        bail!("a gateway started with the database of another region");
    };
    let told = format!("{refused:#}");
    let said = told.lines().find_map(|line| line.get(line.find("this is the database of region")?..));
    Ok(said.with_context(|| format!("refused otherwise: {told}"))?.trim().to_owned())
}

impl Database {
    /// Takes out of etcd what it knows of the cluster, as somebody does who gives it up.
    pub async fn forget_cluster(&self) -> anyhow::Result<()> {
        // All keys below /service/consentry/.
        let range = r#"{"key":"L3NlcnZpY2UvY29uc2VudHJ5Lw==","range_end":"L3NlcnZpY2UvY29uc2VudHJ5MA=="}"#;
        let port = *self.etcd_ports.first().context("no etcd")?;
        match ask(port, "POST", "/v3/kv/deleterange", range, ANSWER).await {
            Some((200, _)) => Ok(()),
            other => bail!("etcd keeps the former cluster: {other:?}"),
        }
    }

    /// Makes the first node from the backup, and the others from that.
    pub async fn restore(&mut self, backups: &Backups) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            let file = node.data.with_file_name("patroni.yml");
            let settings = std::fs::read_to_string(&file)?;
            let from = format!("bootstrap:\n{}", backups.bootstrap(&node.name));
            std::fs::write(&file, settings.replacen("bootstrap:\n", &from, 1))?;
        }
        let (first, others) = self.nodes.split_first_mut().context("no nodes")?;
        first.agent.start()?;
        let rest = first.rest;
        until("the restored server takes changes", RESTORED, async || {
            matches!(ask(rest, "GET", "/primary", "", ANSWER).await, Some((200, _)))
        })
        .await?;
        for node in others {
            node.agent.start()?;
        }
        Ok(())
    }

    /// Makes the tables of one database those of another.
    async fn copied(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let leader = self.nodes.get(self.leader().await?).context("no leader")?;
        let (port, dump) = (leader.port.to_string(), self.folder.join("copy.sql").display().to_string());
        let at = |program: &str| self.programs.postgres.join(program).display().to_string();
        let reach = ["-h", "127.0.0.1", "-p", &port, "-U", "consentry"];
        let write = ["--clean", "--if-exists", "-f", &dump, from];
        let arguments: Vec<_> = reach.iter().chain(&write).copied().collect();
        Plan::of(&self.folder, "pg_dump", &at("pg_dump"), &arguments).run().await?;
        let read = ["-q", "-v", "ON_ERROR_STOP=1", "-f", &dump, to];
        let arguments: Vec<_> = reach.iter().chain(&read).copied().collect();
        Plan::of(&self.folder, "psql", &at("psql"), &arguments).run().await.map(drop)
    }
}
