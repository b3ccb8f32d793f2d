//! Counting against the policies that are in force.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use governor::clock::{Clock, DefaultClock, Reference};
use governor::middleware::StateInformationMiddleware;
use governor::state::StateStore;
use governor::{Quota, RateLimiter, nanos::Nanos};

use crate::table::Table;
use crate::{Block, Load, Partition, Policies, Policy, Standing, Told};

/// Who, or what, is counted.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A certificate, by the SHA-256 of its DER form.
    Certificate([u8; 32]),
    /// An address; of IPv6 the first of its /64.
    Address(IpAddr),
    /// An identifier of ours: of a client, a consent, an institution.
    Id(Box<str>),
}

impl Key {
    /// An identifier of ours.
    #[must_use]
    pub fn id(id: &str) -> Self {
        Self::Id(id.into())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// A quota is used up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the quota {} is used up for {} ms", .policy.policy, .wait.as_millis())]
pub struct Exceeded {
    /// Which.
    pub policy: Standing,
    /// How long until there is something of it again.
    pub wait: Duration,
}

/// Requests between two sweeps of a table.
const SWEEP: u32 = 16_384;

/// Counts requests. `C` is the time; this process's own, unless a test says otherwise.
#[derive(Debug)]
pub struct Limiter<C: Clock = DefaultClock> {
    clock: C,
    rules: ArcSwap<Rules<C>>,
    /// Processes that share the quotas; each has a part of them while they cannot be settled.
    shares: AtomicU32,
    settled: AtomicBool,
}

/// Policies that are in force.
#[derive(Debug)]
struct Rules<C: Clock> {
    policies: Policies,
    counted: Vec<Counted<C>>,
}

/// A policy with what it has counted.
#[derive(Debug)]
struct Counted<C: Clock> {
    policy: Policy,
    gauge: Arc<Gauge<C>>,
    special: HashMap<Box<str>, Arc<Gauge<C>>>,
}

/// One quota with what was counted against it.
#[derive(Debug)]
pub(crate) struct Gauge<C: Clock> {
    standing: Standing,
    table: Arc<Table>,
    limiter: RateLimiter<Key, Shared, C, StateInformationMiddleware>,
    start: C::Instant,
    counted: AtomicU32,
}

/// A table that is looked at from outside of the limiter, too.
#[derive(Debug)]
struct Shared(Arc<Table>);

impl StateStore for Shared {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(key, f)
    }
}

impl Limiter {
    /// Counts by these policies, on this process's time.
    #[must_use]
    pub fn new(policies: Policies) -> Self {
        Self::on(DefaultClock::default(), policies)
    }
}

impl<C: Clock + Clone> Limiter<C> {
    /// Counts by these policies, on a clock.
    pub fn on(clock: C, policies: Policies) -> Self {
        let rules = ArcSwap::from_pointee(Rules::of(&clock, policies, None));
        Self { clock, rules, shares: AtomicU32::new(1), settled: AtomicBool::new(true) }
    }

    /// Takes up other policies. What a policy that stays the same has counted stays, too.
    pub fn replace(&self, policies: Policies) {
        let before = self.rules.load_full();
        self.rules.store(Arc::new(Rules::of(&self.clock, policies, Some(&before))));
    }

    /// The policies that are in force.
    #[must_use]
    pub fn policies(&self) -> Policies {
        self.rules.load().policies.clone()
    }

    /// What a process can do at once.
    #[must_use]
    pub fn load(&self) -> Load {
        self.rules.load().policies.load
    }

    /// Who is blocked, for what reason; `None` if nobody ever is.
    #[must_use]
    pub fn block_for(&self, reason: &str) -> Option<Block> {
        let rules = self.rules.load();
        let block = rules.policies.block.as_ref()?;
        block.reasons.iter().any(|known| known == reason).then(|| block.clone())
    }

    /// What a request's answer can tell of, with the class of the request.
    #[must_use]
    pub fn told(&self, method: &str, path: &str) -> Told {
        Told::of(self.rules.load().policies.class_of(method, path).map(|class| class.name.as_str()))
    }

    /// Counts one request of `key`, of the class that `told` has, and tells how it stands.
    ///
    /// # Errors
    ///
    /// [`Exceeded`]; policies that come before it have counted the request.
    pub fn count(&self, partition: Partition, key: &Key, told: Option<&Told>) -> Result<(), Exceeded> {
        let rules = self.rules.load();
        let class = told.and_then(Told::class);
        for counted in rules.counted.iter().filter(|counted| counted.is_about(partition, class)) {
            let standing = counted.gauge_of(key).count(&self.clock, key, self.cells())?;
            if let Some(told) = told {
                told.note(standing);
            }
        }
        Ok(())
    }

    /// How many requests of whatever class one may make at once, if a policy says it.
    #[must_use]
    pub fn at_once(&self, partition: Partition) -> Option<NonZeroU32> {
        let rules = self.rules.load();
        let all = rules.policies.policies.iter();
        all.filter(|policy| policy.partition == partition && policy.class.is_none())
            .map(|policy| policy.quota)
            .min()
    }

    /// How `key` stands, with nothing counted.
    #[must_use]
    pub fn standings(&self, partition: Partition, key: &Key) -> Vec<Standing> {
        let rules = self.rules.load();
        let of = rules.counted.iter().filter(|counted| counted.policy.partition == partition);
        of.map(|counted| counted.gauge_of(key).standing_of(&self.clock, key)).collect()
    }

    /// What one request costs: more than itself while other processes cannot be asked what they
    /// have let through.
    fn cells(&self) -> NonZeroU32 {
        let alone = !self.settled.load(Ordering::Relaxed);
        let shares = if alone { self.shares.load(Ordering::Relaxed) } else { 1 };
        NonZeroU32::new(shares).unwrap_or(NonZeroU32::MIN)
    }

    /// Every quota that is counted against.
    pub(crate) fn gauges(&self) -> Vec<Arc<Gauge<C>>> {
        let rules = self.rules.load();
        let all = rules.counted.iter().flat_map(|counted| counted.special.values().chain([&counted.gauge]));
        all.map(Arc::clone).collect()
    }

    /// Notes how many processes share the quotas, or that nobody can be asked. True if that
    /// is news.
    pub(crate) fn share(&self, processes: Option<u32>) -> bool {
        if let Some(processes) = processes {
            self.shares.store(processes.max(1), Ordering::Relaxed);
        }
        self.settled.swap(processes.is_some(), Ordering::Relaxed) != processes.is_some()
    }

    pub(crate) fn clock(&self) -> &C {
        &self.clock
    }
}

impl<C: Clock + Clone> Rules<C> {
    fn of(clock: &C, policies: Policies, before: Option<&Self>) -> Self {
        let counted = policies.policies.iter().map(|policy| {
            let before =
                before.and_then(|rules| rules.counted.iter().find(|old| old.policy.name == policy.name));
            Counted::of(clock, policy, before)
        });
        let counted = counted.collect();
        Self { policies, counted }
    }
}

impl<C: Clock + Clone> Counted<C> {
    fn of(clock: &C, policy: &Policy, before: Option<&Self>) -> Self {
        let gauge = |quota, window, before: Option<&Arc<Gauge<C>>>| {
            let standing = Standing::full(policy, quota, window);
            let same = before.filter(|gauge| gauge.standing == standing);
            same.map_or_else(|| Arc::new(Gauge::of(clock, standing)), Arc::clone)
        };
        let special = policy.special.iter().map(|special| {
            let before = before.and_then(|before| before.special.get(special.of.as_str()));
            let window = special.window.unwrap_or(policy.window);
            (special.of.as_str().into(), gauge(special.quota, window, before))
        });
        Self {
            special: special.collect(),
            gauge: gauge(policy.quota, policy.window, before.map(|before| &before.gauge)),
            policy: policy.clone(),
        }
    }

    fn is_about(&self, partition: Partition, class: Option<&str>) -> bool {
        let wanted = self.policy.class.as_deref();
        self.policy.partition == partition && (wanted.is_none() || wanted == class)
    }

    fn gauge_of(&self, key: &Key) -> &Gauge<C> {
        match key {
            Key::Id(id) if !self.special.is_empty() => self.special.get(id).unwrap_or(&self.gauge),
            Key::Id(_) | Key::Certificate(_) | Key::Address(_) => &self.gauge,
        }
    }
}

impl<C: Clock + Clone> Gauge<C> {
    fn of(clock: &C, standing: Standing) -> Self {
        let one = Duration::from_nanos(standing.one());
        let quota = Quota::with_period(one).unwrap_or_else(|| Quota::per_second(standing.quota));
        let quota = quota.allow_burst(standing.quota);
        let table = Arc::<Table>::default();
        let start = clock.now();
        let limiter = RateLimiter::new(quota, Shared(Arc::clone(&table)), clock.clone());
        Self { standing, table, limiter, start, counted: AtomicU32::new(0) }
    }

    fn count(&self, clock: &C, key: &Key, cells: NonZeroU32) -> Result<Standing, Exceeded> {
        if self.counted.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.table.sweep(self.now(clock));
        }
        // One request is always of a size that fits.
        let cells = cells.min(self.standing.quota);
        match self.limiter.check_key_n(key, cells) {
            Ok(Ok(snapshot)) => {
                self.table.note(key, 1);
                Ok(self.standing.with(snapshot.remaining_burst_capacity()))
            }
            Ok(Err(until)) => {
                let wait = until.wait_time_from(clock.now());
                Err(Exceeded { policy: self.standing.used_up(wait), wait })
            }
            Err(_) => Err(Exceeded { policy: self.standing.used_up(Duration::ZERO), wait: Duration::ZERO }),
        }
    }

    fn standing_of(&self, clock: &C, key: &Key) -> Standing {
        let ahead = self.table.until(key).saturating_sub(self.now(clock));
        let used = u32::try_from(ahead.div_ceil(self.standing.one())).unwrap_or(u32::MAX);
        self.standing.with(self.standing.quota.get().saturating_sub(used))
    }

    /// Nanoseconds since the quota was taken up.
    fn now(&self, clock: &C) -> u64 {
        clock.now().duration_since(self.start).as_u64()
    }

    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Notes what other processes are to be told.
    pub(crate) fn note(&self, key: &Key, cells: u32) {
        self.table.note(key, cells);
    }

    pub(crate) fn take_untold(&self) -> Vec<(Key, u32)> {
        self.table.take_untold()
    }

    /// Takes over how much of a key's quota is used in all processes together.
    pub(crate) fn raise(&self, clock: &C, key: &Key, ahead: Duration) {
        let ahead = u64::try_from(ahead.as_nanos()).unwrap_or(u64::MAX);
        self.table.raise(key, self.now(clock).saturating_add(ahead));
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn policies(text: &str) -> Policies {
        Policies::parse(&format!("{text}\n[load]\nin_flight = 10\nlag_ms = 10\n")).unwrap()
    }

    fn on(clock: &FakeRelativeClock, text: &str) -> Limiter<FakeRelativeClock> {
        Limiter::on(clock.clone(), policies(text))
    }

    const CLIENT: &str = "[[policy]]\nname = \"client\"\npartition = \"client\"\nquota = 4\nwindow = 2\n";

    #[test]
    fn a_quota_is_there_at_once_and_comes_back_evenly() {
        let clock = FakeRelativeClock::default();
        let limiter = on(&clock, CLIENT);
        let (one, other) = (Key::id("one"), Key::id("other"));
        for left in [3, 2, 1, 0] {
            let told = limiter.told("GET", "/");
            limiter.count(Partition::Client, &one, Some(&told)).unwrap();
            assert_eq!(told.standings()[0].remaining, left);
        }
        let exceeded = limiter.count(Partition::Client, &one, None).unwrap_err();
        assert_eq!((exceeded.wait, exceeded.policy.remaining), (Duration::from_millis(500), 0));
        assert_eq!(exceeded.policy.reset, 1, "the reset is never zero where nothing is left");
        limiter.count(Partition::Client, &other, None).unwrap();
        limiter.count(Partition::Consent, &one, None).unwrap();
        clock.advance(Duration::from_millis(500));
        assert_eq!(limiter.standings(Partition::Client, &one)[0].remaining, 1);
        limiter.count(Partition::Client, &one, None).unwrap();
        limiter.count(Partition::Client, &one, None).unwrap_err();
    }

    #[test]
    fn classes_and_specials_have_quotas_of_their_own() {
        let text = "[[class]]\nname = \"payments\"\nmethods = [\"POST\"]\npaths = [\"/v1/payments\"]\n\
            [[policy]]\nname = \"pay\"\npartition = \"client\"\nclass = \"payments\"\nquota = 1\nwindow = 60\n\
            special = [{ of = \"big\", quota = 2, window = 10 }]\n";
        let limiter = on(&FakeRelativeClock::default(), text);
        let count = |id, method| {
            limiter.count(Partition::Client, &Key::id(id), Some(&limiter.told(method, "/v1/payments")))
        };
        for _ in 0..3 {
            count("small", "GET").unwrap();
        }
        count("small", "POST").unwrap();
        assert_eq!(count("small", "POST").unwrap_err().policy.policy.as_ref(), "pay");
        count("big", "POST").unwrap();
        count("big", "POST").unwrap();
        assert_eq!(count("big", "POST").unwrap_err().wait, Duration::from_secs(5));
    }

    #[test]
    fn a_reload_keeps_what_stays_and_applies_what_changes() {
        let clock = FakeRelativeClock::default();
        let both = format!("{CLIENT}{}", CLIENT.replace("\"client\"", "\"consent\""));
        let limiter = on(&clock, &both);
        let key = Key::id("one");
        for partition in [Partition::Client, Partition::Consent] {
            (0..4).for_each(|_| limiter.count(partition, &key, None).unwrap());
        }
        limiter.replace(policies(&both.replacen("quota = 4", "quota = 40", 1)));
        limiter.count(Partition::Client, &key, None).unwrap();
        limiter.count(Partition::Consent, &key, None).unwrap_err();
    }

    #[test]
    fn who_has_everything_back_is_forgotten() {
        let clock = FakeRelativeClock::default();
        let limiter = on(&clock, CLIENT);
        for number in 0..SWEEP - 1 {
            limiter.count(Partition::Client, &Key::id(&number.to_string()), None).unwrap();
        }
        for gauge in limiter.gauges() {
            gauge.take_untold();
        }
        clock.advance(Duration::from_secs(3));
        limiter.count(Partition::Client, &Key::id("last"), None).unwrap();
        assert_eq!(limiter.gauges()[0].table.len(), 1);
    }
}
