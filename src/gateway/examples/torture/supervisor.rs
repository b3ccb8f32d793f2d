//! What goes wrong: processes, the database, the disk, banks and time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use consentry::demo::{Client, Tpp};
use consentry::sandbox::BanksApart;
use modelbank::Fault;

use super::chance::Chance;
use super::database::Database;
use super::gateway::Gateway;

/// Banks with faults.
const BANKS: [&str; 4] = ["gb-albion-bank", "de-rheinbank", "fr-credit-rivage", "pl-bank-wisla"];

/// Everything that can be broken.
pub struct Supervisor {
    pub gateways: Vec<Gateway>,
    pub banks: Arc<BanksApart>,
    pub database: Option<Database>,
    /// Kills and starts Redis.
    pub redis: Option<String>,
    /// The fintech, which sets clocks.
    pub tpp: Tpp,
    pub client: Client,
    pub chance: Chance,
    /// How often what was done.
    pub done: BTreeMap<&'static str, u32>,
}

impl Supervisor {
    /// Breaks one thing after the other until `over`.
    pub async fn torment(&mut self, over: &AtomicBool) -> anyhow::Result<()> {
        while !over.load(Ordering::Relaxed) {
            let pause = Duration::from_millis(self.chance.between(100, 1_200));
            tokio::time::sleep(pause).await;
            self.raise_the_dead().await?;
            let which = usize::try_from(self.chance.below(u64::try_from(self.gateways.len())?))?;
            match self.chance.below(100) {
                0..=17 => self.kill(which).await?,
                18..=29 => self.restart(which).await?,
                30..=38 => self.freeze(which).await,
                39..=46 => self.starve(which).await,
                47..=56 => self.break_database().await?,
                57..=61 => self.hold_a_bank().await,
                62..=69 => self.step_clock(which).await,
                70..=72 => self.kill_redis().await?,
                _ => self.spoil_a_bank(),
            }
        }
        Ok(())
    }

    /// Ends all faults, and has one gateway run that nothing happens to.
    pub async fn heal(&mut self) -> anyhow::Result<()> {
        for bank in BANKS {
            if let Some((faults, _)) = self.banks.bank(bank) {
                faults.clear();
            }
        }
        for gateway in &mut self.gateways {
            gateway.stop().await;
        }
        // One of them: time is moved on for it alone.
        let Some(gateway) = self.gateways.first_mut() else { return Ok(()) };
        gateway.start(None)?;
        gateway.ready(&self.client).await
    }

    /// A gateway that ended at a commit is started again.
    async fn raise_the_dead(&mut self) -> anyhow::Result<()> {
        for place in 0..self.gateways.len() {
            let Some(gateway) = self.gateways.get_mut(place) else { continue };
            if !gateway.lives() {
                *self.done.entry("ended at a commit").or_default() += 1;
                self.start(place).await?;
            }
        }
        Ok(())
    }

    /// Two of three times with a commit at which it will end.
    async fn start(&mut self, which: usize) -> anyhow::Result<()> {
        let side = if self.chance.percent(50) { "before" } else { "after" };
        let place = format!("{side}:{}", self.chance.between(1, 600));
        let place = self.chance.percent(66).then_some(place.as_str());
        let Some(gateway) = self.gateways.get_mut(which) else { return Ok(()) };
        gateway.start(place)?;
        // One that ends before it answers is found dead later.
        if let Err(error) = gateway.ready(&self.client).await
            && gateway.lives()
        {
            return Err(error);
        }
        Ok(())
    }

    async fn kill(&mut self, which: usize) -> anyhow::Result<()> {
        *self.done.entry("killed").or_default() += 1;
        if let Some(gateway) = self.gateways.get_mut(which) {
            gateway.kill().await;
        }
        self.start(which).await
    }

    async fn restart(&mut self, which: usize) -> anyhow::Result<()> {
        *self.done.entry("restarted").or_default() += 1;
        if let Some(gateway) = self.gateways.get_mut(which) {
            gateway.stop().await;
        }
        self.start(which).await
    }

    async fn freeze(&mut self, which: usize) {
        *self.done.entry("frozen").or_default() += 1;
        let time = Duration::from_millis(self.chance.between(50, 1_500));
        if let Some(gateway) = self.gateways.get(which) {
            gateway.freeze(true).await;
            tokio::time::sleep(time).await;
            gateway.freeze(false).await;
        }
    }

    async fn starve(&mut self, which: usize) {
        *self.done.entry("disk full").or_default() += 1;
        let time = Duration::from_millis(self.chance.between(50, 600));
        if let Some(gateway) = self.gateways.get(which) {
            gateway.fill_disk(true).await;
            tokio::time::sleep(time).await;
            gateway.fill_disk(false).await;
        }
    }

    async fn break_database(&mut self) -> anyhow::Result<()> {
        let Some(database) = &self.database else { return Ok(()) };
        let time = Duration::from_millis(self.chance.between(0, 800));
        match self.chance.below(10) {
            0..=2 => {
                *self.done.entry("database killed").or_default() += 1;
                database.kill().await?;
            }
            3..=5 => {
                *self.done.entry("database connections held up").or_default() += 1;
                database.hold(time).await;
            }
            _ => {
                *self.done.entry("database connections cut").or_default() += 1;
                database.cut(time).await;
            }
        }
        Ok(())
    }

    /// No packet of a bank arrives for a while.
    async fn hold_a_bank(&mut self) {
        let time = Duration::from_millis(self.chance.between(50, 2_500));
        let Some((faults, _)) = self.chance.one_of(&BANKS).and_then(|bank| self.banks.bank(bank)) else {
            return;
        };
        *self.done.entry("bank connections held up").or_default() += 1;
        faults.hold_wire(true);
        tokio::time::sleep(time).await;
        faults.hold_wire(false);
    }

    /// The clock of one gateway is set: by less than a minute as a rule, and by up to half an
    /// hour now and then, for a moment. Forwards and back.
    async fn step_clock(&mut self, which: usize) {
        let far = self.chance.percent(20);
        let most = if far { 1_800 } else { 50 };
        let by = i64::try_from(self.chance.between(1, most)).unwrap_or(1);
        let by = if self.chance.percent(50) { by } else { -by };
        let Some(gateway) = self.gateways.get(which) else { return };
        if gateway.step_clock(&self.tpp, by).await {
            *self.done.entry("clock set").or_default() += 1;
            tokio::time::sleep(Duration::from_millis(self.chance.between(50, 1_200))).await;
            gateway.step_clock(&self.tpp, -by).await;
        }
    }

    async fn kill_redis(&mut self) -> anyhow::Result<()> {
        let Some(tool) = &self.redis else { return Ok(()) };
        *self.done.entry("redis killed").or_default() += 1;
        super::database::killed_and_started(tool).await
    }

    fn spoil_a_bank(&mut self) {
        let faults = [
            Fault::LoseAnswer,
            Fault::LoseAnswer,
            Fault::Disconnect,
            Fault::Slow(Duration::from_millis(self.chance.between(50, 3_000))),
            Fault::Unavailable,
            Fault::HtmlError,
            Fault::MalformedJson,
            Fault::Truncated,
            Fault::TooManyRequests,
        ];
        let calls = u32::try_from(self.chance.between(1, 6)).unwrap_or(1);
        let method = if self.chance.percent(70) { "POST" } else { "GET" };
        let (Some(bank), Some(fault)) = (self.chance.one_of(&BANKS), self.chance.one_of(&faults)) else {
            return;
        };
        *self.done.entry("bank spoiled").or_default() += 1;
        if let Some((armed, _)) = self.banks.bank(bank) {
            armed.arm(method, "/", *fault, calls);
        }
    }
}
