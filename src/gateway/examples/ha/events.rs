//! What happens: what an operator does on purpose, and what nobody wants.

use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, sleep};

use super::caches::Caches;
use super::collector::{Collector, Mood};
use super::database::Database;
use super::figures::{Payments, Row, Sort};
use super::gateways::Gateways;
use super::processes::{signal, until};
use super::rotations::rotate;
use super::traffic::{Kind, Traffic};

/// Traffic before something happens.
const BEFORE: Duration = Duration::from_secs(3);
/// Traffic that is as before, after it.
const AFTER: Duration = Duration::from_secs(4);
/// How long to wait for that.
const LONGEST: Duration = Duration::from_secs(70);
/// A call that is as before.
const USUAL: Duration = Duration::from_secs(2);
/// For how long a node of the database is frozen: longer than its key lives.
const FROZEN: Duration = Duration::from_secs(35);
/// A bank whose connections are held up.
const BANK: &str = "de-rheinbank";

/// Migrations of the kinds that a release may have.
const FURTHER: [(&str, &str); 4] = [
    ("9000_table.sql", "create table ha_notes (note_id text primary key, note text not null)"),
    ("9001_column.sql", "alter table payments add column ha_note text not null default ''"),
    ("9002_index.sql", "create index ha_notes_of_payments on payments (ha_note)"),
    ("9003_filled.sql", "update payments set ha_note = 'seen' where ha_note = ''"),
];

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Event {
    Nothing,
    RollingRestart,
    Rotations,
    SwitchoverPaused,
    OntoHosts,
    Switchover,
    Migration,
    NodeByNode,
    ServerKilled,
    PrimaryKilled,
    PrimaryFrozen,
    MasterKilled,
    RedisGone,
    GatewayFrozen,
    GatewayKilled,
    QuorumLost,
    CollectorGone,
    BankStalled,
}

/// All that runs.
pub struct World {
    pub database: Database,
    pub caches: Caches,
    pub gateways: Gateways,
    pub collector: Collector,
    pub traffic: Traffic,
    pub rows: Vec<Row>,
    /// How many rotations there are.
    pub rotations: u32,
}

impl Event {
    /// What it is called in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::RollingRestart => "both gateways restarted, one after the other",
            Self::Rotations => {
                "certificates, signing keys, limits, rules of access and of the filter, bank profiles changed"
            }
            Self::SwitchoverPaused => "switchover of PostgreSQL while PgBouncer pauses",
            Self::OntoHosts => "rolling restart onto an address with all three hosts",
            Self::Switchover => "switchover of PostgreSQL, found by its hosts",
            Self::Migration => "schema changed, while somebody reads it for 4 s in one transaction",
            Self::NodeByNode => "each PostgreSQL stopped and started, as for a minor version",
            Self::ServerKilled => "primary killed, and its agent lives",
            Self::PrimaryKilled => "primary killed, with its agent",
            Self::PrimaryFrozen => "primary frozen for 35 s, with its agent, then resumed",
            Self::MasterKilled => "master of Redis killed",
            Self::RedisGone => "no Redis at all for 10 s",
            Self::GatewayFrozen => "one gateway frozen for 15 s",
            Self::GatewayKilled => "one gateway killed",
            Self::QuorumLost => "two of three etcd gone for 25 s",
            Self::CollectorGone => "collector of traces silent, then gone",
            Self::BankStalled => "one bank lets nothing through for 10 s",
        }
    }

    fn sort(self) -> Sort {
        match self {
            Self::Nothing
            | Self::RollingRestart
            | Self::Rotations
            | Self::SwitchoverPaused
            | Self::OntoHosts
            | Self::Migration
            // Nothing of these is in the way of a request.
            | Self::MasterKilled
            | Self::RedisGone
            | Self::QuorumLost
            | Self::CollectorGone => Sort::Unnoticed,
            Self::Switchover | Self::NodeByNode => Sort::Planned,
            Self::ServerKilled => Sort::Fault { recovers_in: 20 },
            Self::PrimaryKilled => Sort::Fault { recovers_in: 40 },
            Self::PrimaryFrozen => Sort::Fault { recovers_in: 45 },
            Self::GatewayFrozen => Sort::Fault { recovers_in: 20 },
            Self::GatewayKilled => Sort::Fault { recovers_in: 5 },
            Self::BankStalled => Sort::Fault { recovers_in: 20 },
        }
    }
}

impl World {
    /// Has something happen while traffic goes on, and writes down what was noticed of it.
    pub async fn see(&mut self, event: Event) -> anyhow::Result<()> {
        println!("==> {}", event.name());
        let begun = Instant::now();
        sleep(BEFORE).await;
        let happened = Instant::now();
        let memory = self.happen(event).await.with_context(|| event.name())?;
        let calm = self.calm(happened).await;
        let ended = Instant::now();
        let note = if event == Event::Rotations {
            format!(", {} times in {} s", self.rotations, self.rotations)
        } else {
            String::new()
        };
        let row = Row {
            name: event.name(),
            sort: event.sort(),
            begun,
            happened,
            ended,
            calls: self.traffic.calls_since(begun),
            memory: self.gateways.memory().into_iter().chain([memory]).max().unwrap_or(0),
            note,
            payments: Payments::default(),
        };
        println!("{}", row.line());
        for (why, times) in row.reasons() {
            println!("    {times} × {why}");
        }
        self.rows.push(row);
        calm
    }

    /// Waits until nothing has been unusual for a while.
    async fn calm(&self, happened: Instant) -> anyhow::Result<()> {
        let since = Instant::now();
        until("traffic is as before", LONGEST, async || {
            let now = Instant::now();
            let Some(from) = now.checked_sub(AFTER).filter(|from| *from >= since) else { return false };
            let calls = self.traffic.calls_since(happened);
            let usual = |call: &super::traffic::Call| {
                call.ended < from
                    || (call.retried.is_empty()
                        && call.failed.is_none()
                        && call.ended.duration_since(call.begun) < USUAL)
            };
            let written = calls.iter().any(|call| call.kind == Kind::Consent && call.begun > from);
            written && calls.iter().all(usual)
        })
        .await
    }

    /// The event itself. The largest memory of a gateway that it saw by the way.
    async fn happen(&mut self, event: Event) -> anyhow::Result<u64> {
        let mut memory = 0;
        match event {
            Event::Nothing => sleep(AFTER).await,
            Event::RollingRestart => self.gateways.restart_each().await?,
            Event::Rotations => rotate(&self.gateways, self.rotations).await?,
            Event::SwitchoverPaused => {
                let database = &self.database;
                let moved = async {
                    database.switch_over().await?;
                    database.takes_changes().await
                };
                database.paused(moved).await?;
                self.database.whole().await?;
            }
            Event::OntoHosts => {
                let hosts = self.database.hosts();
                self.gateways.use_database(&hosts);
                self.gateways.restart_each().await?;
            }
            Event::Switchover => {
                self.database.switch_over().await?;
                self.database.whole().await?;
            }
            Event::Migration => self.migrate().await?,
            Event::NodeByNode => {
                // Copies first; the primary when it is none any more.
                let leader = self.database.leader().await?;
                for place in (0..3).filter(|place| *place != leader) {
                    self.database.restart(place).await?;
                }
                self.database.switch_over().await?;
                self.database.whole().await?;
                self.database.restart(leader).await?;
            }
            Event::ServerKilled => {
                let leader = self.database.leader().await?;
                let server = self.database.nodes.get(leader).and_then(super::database::Node::server);
                signal("KILL", &[server.context("no server")?]).await;
                self.writes_again().await?;
                self.database.whole().await?;
            }
            Event::PrimaryKilled => {
                let leader = self.database.leader().await?;
                self.database.kill(leader).await?;
                self.writes_again().await?;
                self.database.revive(leader)?;
                self.database.whole().await?;
            }
            Event::PrimaryFrozen => {
                let leader = self.database.leader().await?;
                self.database.freeze(leader, true).await?;
                sleep(FROZEN).await;
                self.database.freeze(leader, false).await?;
                self.database.whole().await?;
            }
            Event::MasterKilled => {
                let master = self.caches.master().await?;
                self.caches.kill(master).await;
                let caches = &self.caches;
                let elected = async || caches.master().await.is_ok_and(|place| place != master);
                until("the sentinels choose another master", LONGEST, elected).await?;
                self.caches.start().await?;
            }
            Event::RedisGone => {
                self.caches.stop().await;
                sleep(Duration::from_secs(10)).await;
                self.caches.start().await?;
            }
            Event::GatewayFrozen => {
                self.signal_gateway(1, "STOP").await?;
                sleep(Duration::from_secs(15)).await;
                self.signal_gateway(1, "CONT").await?;
            }
            Event::GatewayKilled => {
                let gateway = self.gateways.each.first_mut().context("no gateway")?;
                gateway.kill().await;
                gateway.start()?;
                self.gateways.ready(0).await?;
                self.gateways.both_balanced().await?;
            }
            Event::QuorumLost => {
                for etcd in self.database.etcd.iter_mut().take(2) {
                    etcd.kill().await;
                }
                sleep(Duration::from_secs(25)).await;
                self.database.start_etcd().await?;
                self.database.whole().await?;
            }
            Event::CollectorGone => {
                for mood in [Mood::Silent, Mood::Gone] {
                    self.collector.be(mood);
                    for _ in 0..10 {
                        sleep(Duration::from_secs(1)).await;
                        memory = self.gateways.memory().into_iter().chain([memory]).max().unwrap_or(0);
                    }
                }
                self.collector.be(Mood::Takes);
            }
            Event::BankStalled => {
                let (faults, _) = self.gateways.banks.bank(BANK).context("no such bank")?;
                faults.hold_wire(true);
                sleep(Duration::from_secs(10)).await;
                faults.hold_wire(false);
            }
        }
        Ok(memory)
    }

    /// Waits until something is written that was begun later than now.
    async fn writes_again(&self) -> anyhow::Result<()> {
        let since = Instant::now();
        until("writes go on", LONGEST, async || {
            let calls = self.traffic.calls_since(since);
            calls.iter().any(|call| call.kind == Kind::Consent && call.failed.is_none())
        })
        .await
    }

    async fn signal_gateway(&self, place: usize, name: &str) -> anyhow::Result<()> {
        let pid = self.gateways.each.get(place).and_then(super::processes::Process::pid);
        signal(name, &[pid.context("no such gateway")?]).await;
        Ok(())
    }

    /// Migrations of the kinds that there are, while a reader is in their way.
    async fn migrate(&mut self) -> anyhow::Result<()> {
        let folder = self.database.folder.join("further");
        std::fs::create_dir_all(folder.join("region"))?;
        for (name, sql) in FURTHER {
            std::fs::write(folder.join("region").join(name), sql)?;
        }
        let (database, gateways) = (&self.database, &self.gateways);
        let reads = "begin; select count(*) from payments; select pg_sleep(4); commit";
        let url = gateways.database().to_owned();
        let changes = async {
            sleep(Duration::from_secs(1)).await;
            gateways.migrated_at(&url, &folder).await
        };
        let (read, changed) = tokio::join!(database.sql("postgres", "consentry_eu", reads), changes);
        read?;
        println!("{}", changed?.trim());
        Ok(())
    }
}
