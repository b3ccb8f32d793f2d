//! Three PostgreSQL under Patroni, which keeps its leader's key in three etcd; and PgBouncer in front.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::balancer::{Backends, Check};
use super::drill::Backups;
use super::processes::{Plan, Process, ask, children_of, signal, until};

/// How long a cluster may take to be whole.
const WHOLE: Duration = Duration::from_secs(90);
/// How long one of its agents may take to answer.
const ANSWER: Duration = Duration::from_secs(30);
/// How long one is asked how it is.
const GLANCE: Duration = Duration::from_secs(2);

/// Where programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The folder of PostgreSQL's.
    pub postgres: PathBuf,
    /// The folder of Patroni (a virtual environment).
    pub patroni: PathBuf,
}

/// A node: agent and server.
pub struct Node {
    pub name: String,
    pub agent: Process,
    pub data: PathBuf,
    pub port: u16,
    /// Where its agent answers.
    pub rest: u16,
}

/// All of it.
pub struct Database {
    pub etcd: Vec<Process>,
    pub nodes: Vec<Node>,
    pub programs: Programs,
    pub folder: PathBuf,
    pub etcd_ports: Vec<u16>,
    /// Follows the primary.
    pub primary_port: u16,
    pooler: Process,
    pooler_port: u16,
}

impl Database {
    /// Plans it at ports from `ports` on, of which it takes fourteen.
    pub fn planned(
        folder: &Path,
        programs: &Programs,
        ports: u16,
        backups: Option<&Backups>,
    ) -> anyhow::Result<Self> {
        let port = |offset: u16| ports.saturating_add(offset);
        let names = ["one", "two", "three"];
        let peers = names.iter().zip(3..).map(|(name, at)| format!("{name}=http://127.0.0.1:{}", port(at)));
        let peers = peers.collect::<Vec<_>>().join(",");
        let etcd = names.iter().zip(0..).map(|(name, at)| {
            let (client, peer) = (
                format!("http://127.0.0.1:{}", port(at)),
                format!("http://127.0.0.1:{}", port(at.saturating_add(3))),
            );
            let data = folder.join(format!("etcd-{name}")).display().to_string();
            let arguments = [
                "--name",
                name,
                "--data-dir",
                &data,
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
                "--initial-cluster",
                &peers,
                "--initial-cluster-token",
                "consentry",
                "--heartbeat-interval",
                "200",
                "--election-timeout",
                "2000",
                "--logger",
                "zap",
                "--log-level",
                "error",
            ];
            Process::planned(Plan::of(folder, &format!("etcd-{name}"), "etcd", &arguments))
        });
        let etcd_ports: Vec<_> = (0..3).map(port).collect();
        let hosts: Vec<_> = etcd_ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let mut nodes = Vec::new();
        for (name, at) in names.iter().zip(0_u16..) {
            let home = folder.join(format!("node-{name}"));
            private_folder(&home)?;
            let (server, rest) = (port(at.saturating_add(6)), port(at.saturating_add(9)));
            let data = home.join("data");
            if let Some(backups) = backups {
                backups.write(name, &data, server)?;
            }
            let more = backups.map(|backups| backups.settings(name)).unwrap_or_default();
            let settings = node_settings(name, server, rest, &hosts, &data, &programs.postgres, &more);
            let file = home.join("patroni.yml");
            std::fs::write(&file, settings)?;
            readable(&file)?;
            let patroni = &programs.patroni;
            let program = patroni.join("bin/patroni").display().to_string();
            let plan =
                Plan::of(&home, "patroni", "/usr/bin/python3", &[&program, &file.display().to_string()]);
            let libraries = libraries(patroni)?;
            let agent = Process::planned(plan.with("PYTHONPATH", &libraries.display().to_string()).humbly());
            nodes.push(Node { name: (*name).to_owned(), agent, data, port: server, rest });
        }
        let (primary_port, pooler_port) = (port(12), port(13));
        let pooler = pooler(folder, primary_port, pooler_port)?;
        Ok(Self {
            etcd: etcd.collect(),
            nodes,
            programs: programs.clone(),
            folder: folder.to_owned(),
            etcd_ports,
            primary_port,
            pooler,
            pooler_port,
        })
    }

    /// Starts all, and makes the gateways' role and database.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        self.start_etcd().await?;
        for node in &mut self.nodes {
            node.agent.start()?;
        }
        self.whole().await?;
        let checks: Vec<_> =
            self.nodes.iter().map(|node| Check { port: node.rest, path: "/primary" }).collect();
        let ports = self.nodes.iter().map(|node| node.port).collect();
        Backends::asked(&checks).balance(self.primary_port, ports, true).await?;
        let made = "create role consentry login createdb";
        self.sql("postgres", "postgres", made).await?;
        self.sql("postgres", "postgres", "create database consentry owner consentry").await?;
        self.pooler.start()?;
        let port = self.pooler_port;
        let answers = async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
        until("PgBouncer answers", GLANCE.saturating_mul(5), answers).await
    }

    /// Starts those of etcd that are not there, and waits for them.
    pub async fn start_etcd(&mut self) -> anyhow::Result<()> {
        for process in &mut self.etcd {
            if !process.lives() {
                process.start()?;
            }
        }
        let ports = self.etcd_ports.clone();
        until("etcd is whole", WHOLE, async || {
            let mut healthy = 0;
            for port in &ports {
                let told = ask(*port, "GET", "/health", "", GLANCE).await;
                healthy +=
                    usize::from(told.is_some_and(|(status, body)| status == 200 && body.contains("true")));
            }
            healthy == ports.len()
        })
        .await
    }

    /// Waits until there is a leader, and all others follow, one of them synchronously.
    pub async fn whole(&mut self) -> anyhow::Result<()> {
        let rests: Vec<_> = self.nodes.iter().map(|node| node.rest).collect();
        let whole = until("the cluster is whole", WHOLE, async || {
            let mut wanted = vec!["leader", "replica", "sync_standby"];
            for member in members(&rests).await {
                let text = |name| member.get(name).and_then(Value::as_str).unwrap_or_default();
                if matches!(text("state"), "running" | "streaming") {
                    wanted.retain(|role| *role != text("role"));
                }
            }
            wanted.is_empty()
        })
        .await;
        for node in &mut self.nodes {
            node.agent.still()?;
        }
        whole
    }

    /// The place of the leader.
    pub async fn leader(&self) -> anyhow::Result<usize> {
        self.of_role("leader").await.context("the database has no leader")
    }

    async fn of_role(&self, role: &str) -> Option<usize> {
        let rests: Vec<_> = self.nodes.iter().map(|node| node.rest).collect();
        let members = members(&rests).await;
        let found = members.iter().find(|member| member.get("role").and_then(Value::as_str) == Some(role))?;
        let name = found.get("name")?.as_str()?;
        self.nodes.iter().position(|node| node.name == name)
    }

    /// Has the synchronous copy take over.
    pub async fn switch_over(&self) -> anyhow::Result<()> {
        let leader = self.nodes.get(self.leader().await?).context("no leader")?;
        let next = self.of_role("sync_standby").await.context("no copy that is up to date")?;
        let next = self.nodes.get(next).context("no such node")?;
        let wanted = json!({ "leader": leader.name, "candidate": next.name }).to_string();
        let done = ask(leader.rest, "POST", "/switchover", &wanted, ANSWER).await;
        match done {
            Some((200, _)) => Ok(()),
            Some((status, why)) => bail!("no switchover: {status} {why}"),
            None => bail!("no answer to a switchover"),
        }
    }

    /// Stops a node, agent and server, as for an upgrade of its programs, and starts it again.
    pub async fn restart(&mut self, place: usize) -> anyhow::Result<()> {
        let node = self.nodes.get_mut(place).context("no such node")?;
        node.agent.stop().await;
        node.agent.start()?;
        self.whole().await
    }

    /// Ends a node at once, agent and server.
    pub async fn kill(&mut self, place: usize) -> anyhow::Result<()> {
        let node = self.nodes.get_mut(place).context("no such node")?;
        let server = node.server();
        node.agent.kill().await;
        if let Some(server) = server {
            signal("KILL", &[server]).await;
        }
        Ok(())
    }

    /// Starts the agent of a node again, which starts its server.
    pub fn revive(&mut self, place: usize) -> anyhow::Result<()> {
        self.nodes.get_mut(place).context("no such node")?.agent.start()
    }

    /// Freezes a node, agent and server, or lets it go on.
    pub async fn freeze(&self, place: usize, frozen: bool) -> anyhow::Result<()> {
        let node = self.nodes.get(place).context("no such node")?;
        let server = node.server().context("the node has no server")?;
        let name = if frozen { "STOP" } else { "CONT" };
        node.agent.signal(name).await;
        signal(name, &[server]).await;
        signal(name, &children_of(server)).await;
        Ok(())
    }

    /// PAUSE, then `work`, then RESUME, whatever became of it.
    pub async fn paused(&self, work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
        self.tell_pooler("PAUSE").await?;
        let worked = work.await;
        self.tell_pooler("RESUME").await?;
        worked
    }

    /// Waits until changes are taken where the pooler sends them.
    pub async fn takes_changes(&self) -> anyhow::Result<()> {
        until("the primary takes changes", ANSWER, async || {
            let asked = "select pg_is_in_recovery()";
            self.sql_at(self.primary_port, "postgres", "postgres", asked)
                .await
                .is_ok_and(|told| told.trim() == "f")
        })
        .await
    }

    async fn tell_pooler(&self, what: &str) -> anyhow::Result<()> {
        self.sql_at(self.pooler_port, "consentry", "pgbouncer", what).await.map(drop)
    }

    /// Runs a statement at the primary; what it gave.
    pub async fn sql(&self, user: &str, database: &str, statement: &str) -> anyhow::Result<String> {
        let leader = self.nodes.get(self.leader().await?).context("no leader")?;
        self.sql_at(leader.port, user, database, statement).await
    }

    async fn sql_at(&self, port: u16, user: &str, database: &str, sql: &str) -> anyhow::Result<String> {
        let program = self.programs.postgres.join("psql").display().to_string();
        let port = port.to_string();
        let arguments = [
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            user,
            "-d",
            database,
            "-AtX",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            sql,
        ];
        Plan::of(&self.folder, "psql", &program, &arguments).run().await
    }

    /// The address through the pooler.
    pub fn pooled(&self) -> String {
        format!("postgres://consentry@127.0.0.1:{}/consentry?pooler=transaction", self.pooler_port)
    }

    /// The address of all nodes.
    pub fn hosts(&self) -> String {
        let hosts: Vec<_> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("postgres://consentry@{}/consentry", hosts.join(","))
    }

    /// Ends all of it, the servers as a power cut would.
    pub async fn stop(&mut self) {
        for node in &mut self.nodes {
            let server = node.server();
            node.agent.kill().await;
            if let Some(server) = server {
                signal("QUIT", &[server]).await;
            }
        }
        self.pooler.kill().await;
        for process in &mut self.etcd {
            process.kill().await;
        }
    }
}

impl Node {
    /// The process of its server.
    pub fn server(&self) -> Option<u32> {
        let said = std::fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        said.lines().next()?.trim().parse().ok()
    }
}

/// The members of the cluster as any of its agents knows them.
async fn members(rests: &[u16]) -> Vec<Value> {
    for rest in rests {
        let Some((200, body)) = ask(*rest, "GET", "/cluster", "", GLANCE).await else { continue };
        let told: Value = serde_json::from_str(&body).unwrap_or_default();
        if let Some(members) = told.get("members").and_then(Value::as_array) {
            return members.clone();
        }
    }
    Vec::new()
}

/// A folder that is the database's user's.
pub fn private_folder(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    if rustix::process::getuid().is_root() {
        let given = std::process::Command::new("chown").arg("postgres:").arg(folder).status()?;
        anyhow::ensure!(given.success(), "{} cannot be the database's", folder.display());
    }
    Ok(())
}

/// Lets all read a file.
pub fn readable(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644))
}

/// Where a virtual environment keeps its libraries.
fn libraries(home: &Path) -> anyhow::Result<PathBuf> {
    let versions = std::fs::read_dir(home.join("lib"))?;
    let found = versions.flatten().map(|entry| entry.path().join("site-packages")).find(|path| path.exists());
    found.with_context(|| format!("{} has no libraries", home.display()))
}

fn node_settings(
    name: &str,
    server: u16,
    rest: u16,
    etcd: &[String],
    data: &Path,
    programs: &Path,
    more: &str,
) -> String {
    format!(
        "scope: consentry
name: {name}
log: {{level: INFO}}
restapi: {{listen: '127.0.0.1:{rest}', connect_address: '127.0.0.1:{rest}'}}
etcd3: {{hosts: [{}]}}
bootstrap:
  dcs:
    # The shortest that Patroni takes: so long a node may be silent.
    ttl: 20
    loop_wait: 2
    retry_timeout: 3
    maximum_lag_on_failover: 1048576
    synchronous_mode: true
    # A server that died is not waited for.
    primary_start_timeout: 0
    # Without etcd the primary stays, as long as all others say that they follow it.
    failsafe_mode: true
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters: {{wal_level: replica, hot_standby: 'on', wal_log_hints: 'on', max_connections: 200}}
  initdb: [{{encoding: UTF8}}, {{locale: C}}, data-checksums]
postgresql:
  listen: '127.0.0.1:{server}'
  connect_address: '127.0.0.1:{server}'
  data_dir: {}
  bin_dir: {}
  pgpass: {}
  authentication:
    superuser: {{username: postgres}}
    replication: {{username: replicator}}
  pg_hba: ['host all all 127.0.0.1/32 trust', 'host replication replicator 127.0.0.1/32 trust', 'local all all trust']
  # A copy is made at once, and not when the next checkpoint comes.
  basebackup: [{{checkpoint: fast}}]
  parameters:
    unix_socket_directories: '..'
    shared_buffers: 64MB
    wal_keep_size: 128MB
{more}",
        etcd.iter().map(|host| format!("'{host}'")).collect::<Vec<_>>().join(", "),
        data.display(),
        programs.display(),
        data.with_file_name("pgpass").display(),
    )
}

fn pooler(folder: &Path, primary: u16, port: u16) -> anyhow::Result<Process> {
    let home = folder.join("pooler");
    private_folder(&home)?;
    let users = home.join("users");
    std::fs::write(&users, "\"consentry\" \"\"\n\"postgres\" \"\"\n")?;
    readable(&users)?;
    let file = home.join("pgbouncer.ini");
    std::fs::write(
        &file,
        format!(
            "[databases]\n* = host=127.0.0.1 port={primary}\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\nadmin_users = consentry\n\
             pool_mode = transaction\ndefault_pool_size = 12\nmax_client_conn = 400\n\
             server_login_retry = 1\nignore_startup_parameters = extra_float_digits\n",
            users.display()
        ),
    )?;
    readable(&file)?;
    let path = std::env::var("PATH").unwrap_or_default();
    let plan = Plan::of(&home, "pgbouncer", "pgbouncer", &[&file.display().to_string()]);
    Ok(Process::planned(plan.with("PATH", &format!("{path}:/usr/sbin")).humbly()))
}
