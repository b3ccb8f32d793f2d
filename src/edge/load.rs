//! More to do than can be done in time: strangers are sent away first, then whoever asks the
//! most, so that everybody else is answered as on any other day.
//!
//! What is measured is how late a task runs that has nothing to do: everything else in the
//! process is as late. Handshakes are made and strangers served on threads that give way
//! ([`Lobby`]), and how late it is there says how many of them may come. While that is too long, shares shrink, round by
//! round; while it is not, they grow back. Who shows a certificate that we trust has a share of its own; all
//! others have one together, since an attacker has as many addresses as it wants. So it is
//! with handshakes, before which nobody is known: addresses that known clients came from
//! lately are let in, all others have one share.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use limits::{Key, Limiter};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Lobby;
use crate::conduct::PROBATION;
use crate::lobby::Room;
use crate::pace::Pace;
use crate::places::subscriber;

/// Time between two looks at how late it is.
const BEAT: Duration = Duration::from_millis(10);
/// Length of a round: the later it is, the fewer looks fit in.
const ROUND: Duration = Duration::from_millis(100);
/// Requests of a client that are refused in a round before it has to give way.
const PARDONED: u32 = 10;
/// Handshakes of known addresses that are made on the threads that answer, in a round; and of one of them.
const WELCOME: u32 = 20;
const WELCOME_EACH: u32 = 10;
/// How long an address is known that no known client has come from again.
const KNOWN_FOR: Duration = Duration::from_secs(60 * 60);
/// Handshakes and strangers may wait so many times as long as known clients.
const PATIENCE: u32 = 5;
/// Shares shrink to this part at the most in one round.
const STEEPEST: u32 = 8;
/// What a share is at least, in a round: of all strangers together, and of each client.
const FLOOR: u32 = 20;
const FLOOR_OF_CLIENT: u32 = 50;
/// Everybody may make as many requests as there are.
const OPEN: u32 = u32::MAX;
/// When to come back.
const LATER: Duration = Duration::from_secs(1);
/// Large bodies that are looked into at the same time, beside the threads that answer.
const LARGE_AT_ONCE: usize = 1;
/// Addresses of known clients that are kept.
const MOST_KNOWN: usize = 100_000;

/// What a process does at once, and how late it is.
#[derive(Debug)]
pub struct Overload {
    limiter: Arc<Limiter>,
    in_flight: AtomicU32,
    /// Requests of each known client.
    clients: Share,
    /// Requests of all strangers together.
    strangers: Share,
    /// Handshakes from all addresses together that no known client came from.
    arrivals: Share,
    round: DashMap<Key, u32>,
    /// Requests of known clients that were refused in this round.
    refused: DashMap<Key, u32>,
    /// When known clients went on over what they may ask, lately.
    excessive: DashMap<Key, Instant>,
    /// How quickly what each of them asks is begun.
    pace: Pace,
    /// Handshakes of known addresses in this round.
    welcomed: AtomicU32,
    welcomed_from: DashMap<IpAddr, u32>,
    known: DashMap<IpAddr, Instant>,
    /// Places for looking into large bodies.
    pub(crate) large: Arc<Semaphore>,
    /// Microseconds, of the last round.
    lag: AtomicU64,
    /// The same, where strangers are.
    lag_of_lobby: AtomicU64,
    shed: AtomicU64,
}

/// What may come in a round.
#[derive(Debug)]
struct Share {
    most: AtomicU32,
    came: AtomicU32,
}

impl Default for Share {
    fn default() -> Self {
        Self { most: AtomicU32::new(OPEN), came: AtomicU32::new(0) }
    }
}

impl Share {
    fn most(&self) -> u32 {
        self.most.load(Ordering::Relaxed)
    }

    /// Whether one more fits.
    fn take(&self) -> bool {
        self.came.fetch_add(1, Ordering::Relaxed) < self.most()
    }

    /// Ends a round in which so many came.
    fn judge(&self, came: u32, floor: u32, late: Duration, bound: Duration) {
        self.most.store(next(self.most(), came, floor, late, bound), Ordering::Relaxed);
        self.came.store(0, Ordering::Relaxed);
    }
}

/// A request that is worked on.
pub(crate) struct Working(Arc<Overload>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Overload {
    /// Bounds are those of the limiter's policies.
    #[must_use]
    pub fn new(limiter: Arc<Limiter>) -> Arc<Self> {
        Arc::new(Self {
            limiter,
            in_flight: AtomicU32::new(0),
            clients: Share::default(),
            strangers: Share::default(),
            arrivals: Share::default(),
            round: DashMap::new(),
            refused: DashMap::new(),
            excessive: DashMap::new(),
            pace: Pace::default(),
            welcomed: AtomicU32::new(0),
            welcomed_from: DashMap::new(),
            known: DashMap::new(),
            large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
            lag: AtomicU64::new(0),
            lag_of_lobby: AtomicU64::new(0),
            shed: AtomicU64::new(0),
        })
    }

    /// Lets a request of a peer in.
    ///
    /// # Errors
    ///
    /// When to come back.
    pub(crate) fn enter(self: &Arc<Self>, peer: &Key) -> Result<Working, Duration> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let working = Working(Arc::clone(self));
        let fits = match peer {
            Key::Certificate(_) => {
                let mut asked = self.round.entry(peer.clone()).or_default();
                *asked = asked.saturating_add(1);
                *asked <= self.clients.most()
            }
            Key::Address(_) | Key::Id(_) => self.strangers.take(),
        };
        if before < self.limiter.load().in_flight.get() && fits {
            return Ok(working);
        }
        self.shed.fetch_add(1, Ordering::Relaxed);
        Err(LATER)
    }

    /// How long a request of a known client, which may ask so many things at once, waits before it is begun.
    pub(crate) fn wait(&self, peer: &Key, quota: NonZeroU32) -> Duration {
        match peer {
            Key::Certificate(_) => self.pace.wait(peer, quota.get(), Instant::now()),
            Key::Address(_) | Key::Id(_) => Duration::ZERO,
        }
    }

    /// Whether a known client that was refused once more went on over what it may ask.
    pub(crate) fn exceeds(&self, peer: &Key) -> bool {
        match peer {
            Key::Certificate(_) => {
                let mut refused = self.refused.entry(peer.clone()).or_default();
                *refused = refused.saturating_add(1);
                let exceeds = *refused > PARDONED;
                drop(refused);
                if exceeds {
                    self.excessive.insert(peer.clone(), Instant::now());
                }
                exceeds
            }
            // They are where they would be sent.
            Key::Address(_) | Key::Id(_) => false,
        }
    }

    /// Whether a known client went on over what it may ask, lately.
    pub(crate) fn is_excessive(&self, peer: &Key) -> bool {
        self.excessive.get(peer).is_some_and(|last| last.elapsed() < PROBATION)
    }

    /// Lets a handshake in; false if there is no room for strangers now.
    pub(crate) fn admit(&self, address: IpAddr) -> bool {
        self.arrivals.take() || self.knows(address)
    }

    /// Where a handshake is made: of known addresses where it is answered, within bounds.
    pub(crate) fn greets(&self, address: IpAddr) -> Room {
        let address = subscriber(address);
        if !self.knows(address) || self.welcomed.load(Ordering::Relaxed) >= WELCOME {
            return Room::Lobby;
        }
        let mut from = self.welcomed_from.entry(address).or_default();
        *from = from.saturating_add(1);
        if *from > WELCOME_EACH || self.welcomed.fetch_add(1, Ordering::Relaxed) >= WELCOME {
            return Room::Lobby;
        }
        Room::Home
    }

    /// Whether whoever comes from an address is greeted where it is answered, as far as is known.
    pub(crate) fn expects(&self, address: IpAddr) -> bool {
        self.knows(address) && self.welcomed.load(Ordering::Relaxed) < WELCOME
    }

    /// Whether a client that we know came from an address lately.
    fn knows(&self, address: IpAddr) -> bool {
        self.known.get(&subscriber(address)).is_some_and(|last| last.elapsed() < KNOWN_FOR)
    }

    /// Notes that a client that we know came from an address.
    pub(crate) fn meet(&self, address: IpAddr) {
        let address = subscriber(address);
        if self.known.len() >= MOST_KNOWN && !self.known.contains_key(&address) {
            self.known.retain(|_, last| last.elapsed() < KNOWN_FOR);
            if self.known.len() >= MOST_KNOWN {
                self.known.clear();
            }
        }
        self.known.insert(address, Instant::now());
    }

    /// Requests that are worked on.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Requests that were sent away.
    #[must_use]
    pub fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }

    /// How late the process is.
    #[must_use]
    pub fn lag(&self) -> Duration {
        Duration::from_micros(self.lag.load(Ordering::Relaxed))
    }

    /// Looks how late it is, here and where handshakes are made, until `stop`.
    pub async fn watch(self: Arc<Self>, lobby: Arc<Lobby>, stop: CancellationToken) {
        let here = async {
            let mut round = Round::default();
            while !stop.is_cancelled() {
                let due = Instant::now().checked_add(BEAT).unwrap_or_else(Instant::now);
                tokio::time::sleep_until(due).await;
                if let Some(late) = round.add(due.elapsed()) {
                    self.judge(late);
                }
            }
        };
        let there = async {
            let mut round = Round::default();
            while !stop.is_cancelled() {
                tokio::time::sleep(BEAT).await;
                let asked = Instant::now();
                // What ends the threads ends this, too.
                let waited = lobby.run(async move { asked.elapsed() });
                let Some(Some(waited)) = stop.run_until_cancelled(waited).await else { return };
                if let Some(late) = round.add(waited) {
                    self.judge_handshakes(late);
                }
            }
        };
        tokio::join!(here, there);
    }

    /// Ends a round in which it was so late on average.
    fn judge(&self, late: Duration) {
        keep(&self.lag, late);
        let bound = self.bound();
        let most = self.round.iter().map(|entry| *entry.value()).max().unwrap_or(0);
        self.round.clear();
        self.refused.clear();
        self.excessive.retain(|_, last| last.elapsed() < PROBATION);
        self.pace.sweep(Instant::now());
        self.welcomed.store(0, Ordering::Relaxed);
        self.welcomed_from.clear();
        let was_open = self.strangers.most() == OPEN;
        // Known clients are sent away only once there is nobody else to send away.
        let alone = self.strangers.most() <= FLOOR;
        self.clients.judge(most, FLOOR_OF_CLIENT, if alone { late } else { Duration::ZERO }, bound);
        let there = Duration::from_micros(self.lag_of_lobby.load(Ordering::Relaxed));
        let late = late.max(there.checked_div(PATIENCE).unwrap_or_default());
        self.strangers.judge(self.strangers.came.load(Ordering::Relaxed), FLOOR, late, bound);
        if was_open && self.strangers.most() != OPEN {
            tracing::warn!(lag_ms = late.as_millis(), "There is more to do than can be done in time");
        }
    }

    /// Ends a round in which handshakes waited so long on average.
    fn judge_handshakes(&self, late: Duration) {
        keep(&self.lag_of_lobby, late);
        let was_open = self.arrivals.most() == OPEN;
        let bound = self.bound().saturating_mul(PATIENCE);
        self.arrivals.judge(self.arrivals.came.load(Ordering::Relaxed), FLOOR, late, bound);
        if was_open && self.arrivals.most() != OPEN {
            tracing::warn!(
                lag_ms = late.as_millis(),
                "More handshakes are asked for than can be made in time"
            );
        }
    }

    fn bound(&self) -> Duration {
        Duration::from_millis(self.limiter.load().lag_ms.get().into())
    }
}

/// Keeps how late it was, in microseconds.
fn keep(lag: &AtomicU64, late: Duration) {
    lag.store(u64::try_from(late.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// What was seen in a round.
struct Round {
    late: Duration,
    beats: u32,
    begun: Instant,
}

impl Default for Round {
    fn default() -> Self {
        Self { late: Duration::ZERO, beats: 0, begun: Instant::now() }
    }
}

impl Round {
    /// Adds a look; with the one that ends the round, how late it was on average.
    fn add(&mut self, late: Duration) -> Option<Duration> {
        self.late = self.late.saturating_add(late);
        self.beats = self.beats.saturating_add(1);
        let ended = self.begun.elapsed() >= ROUND;
        ended.then(|| std::mem::take(self)).and_then(|round| round.late.checked_div(round.beats))
    }
}

/// The share of the next round, after one in which so many came: the later it was, the
/// smaller.
fn next(share: u32, came: u32, floor: u32, late: Duration, bound: Duration) -> u32 {
    if late > bound {
        let times = late.as_millis().checked_div(bound.as_millis()).unwrap_or(u128::MAX);
        let part = u32::try_from(times).unwrap_or(STEEPEST).clamp(2, STEEPEST);
        return share.min(came).checked_div(part).unwrap_or(floor).max(floor);
    }
    if share == OPEN {
        return OPEN;
    }
    // It grows slowly where it is used up, and is gone once nobody needs it.
    let needed = came >= share.checked_div(2).unwrap_or(0) || late > bound.checked_div(2).unwrap_or(bound);
    if needed { share.saturating_add(share.div_ceil(20)) } else { OPEN }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_millis(50);
    const LATE: Duration = Duration::from_millis(60);

    fn overload(in_flight: u32) -> Arc<Overload> {
        let text = format!("[load]\nin_flight = {in_flight}\nlag_ms = 50\n");
        Overload::new(Arc::new(Limiter::new(limits::Policies::parse(&text).unwrap())))
    }

    fn client(number: u8) -> Key {
        Key::Certificate([number; 32])
    }

    fn stranger(number: u8) -> Key {
        Key::Address(IpAddr::from([192, 0, 2, number]))
    }

    #[test]
    fn strangers_are_sent_away_first_and_then_who_asks_the_most() {
        let overload = overload(1_000);
        let all = |key: &Key, times: u32| (0..times).filter(|_| overload.enter(key).is_ok()).count();
        let round = || {
            let strangers: usize = (0..100).map(|number| all(&stranger(number), 1)).sum();
            (strangers, all(&client(1), 200), all(&client(2), 10))
        };
        assert_eq!(round(), (100, 200, 10));
        overload.judge(LATE);
        assert_eq!(round(), (50, 200, 10));
        overload.judge(LATE);
        overload.judge(LATE);
        assert_eq!(round(), (20, 200, 10), "a share is never nothing");
        overload.judge(LATE);
        assert_eq!(round(), (20, 100, 10));
        (0..9).for_each(|_| overload.judge(LATE));
        assert_eq!(round(), (20, 50, 10));
        assert!(overload.shed() > 0 && overload.lag() == LATE);
        overload.judge(LATE);
        overload.judge(Duration::ZERO);
        assert_eq!(round(), (100, 200, 10), "it is over when nobody asks more");
    }

    #[test]
    fn handshakes_of_addresses_that_are_known_go_on() {
        let overload = overload(1_000);
        let [known, other] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(IpAddr::from);
        overload.meet(known);
        let admitted = |address, times: u32| (0..times).filter(|_| overload.admit(address)).count();
        assert_eq!((admitted(other, 100), admitted(known, 1)), (100, 1));
        // They may wait longer than requests.
        overload.judge_handshakes(LATE);
        assert_eq!((admitted(other, 100), admitted(known, 1)), (100, 1));
        overload.judge_handshakes(LATE * PATIENCE);
        assert_eq!((admitted(other, 100), admitted(known, 100)), (50, 100));
        overload.judge(LATE);
        assert_eq!(admitted(known, 100), 100);
    }

    #[test]
    fn known_addresses_are_greeted_where_they_are_answered_within_reason() {
        let overload = overload(1_000);
        let [one, two, three] = [1, 2, 3].map(|number| IpAddr::from([192, 0, 2, number]));
        assert_eq!((overload.greets(one), overload.expects(one)), (Room::Lobby, false));
        [one, two, three].into_iter().for_each(|address| overload.meet(address));
        let welcomed = |address| (0..100).filter(|_| overload.greets(address) == Room::Home).count();
        assert!(overload.expects(three));
        assert_eq!([one, two, three].map(welcomed), [10, 10, 0], "of one, and of all");
        assert!(!overload.expects(three));
        overload.judge(Duration::ZERO);
        assert_eq!(welcomed(three), 10);
    }

    #[test]
    fn some_refusals_are_pardoned_in_each_round() {
        let overload = overload(1_000);
        let exceeds = |key: &Key| (0..100).filter(|_| overload.exceeds(key)).count();
        assert_eq!((exceeds(&client(1)), exceeds(&stranger(1))), (90, 0));
        assert!(overload.is_excessive(&client(1)) && !overload.is_excessive(&client(2)));
        overload.judge(Duration::ZERO);
        assert_eq!((exceeds(&client(1)), exceeds(&client(2))), (90, 90));
    }

    #[test]
    fn strangers_are_sent_away_where_it_is_late_for_them_alone() {
        let overload = overload(1_000);
        let came = |key: &Key| (0..100).filter(|_| overload.enter(key).is_ok()).count();
        let round = || (came(&stranger(1)), came(&client(1)));
        assert_eq!(round(), (100, 100));
        overload.judge_handshakes(LATE * PATIENCE);
        overload.judge(Duration::ZERO);
        assert_eq!(round(), (50, 100));
        overload.judge_handshakes(Duration::ZERO);
        overload.judge(LATE);
        assert_eq!(round(), (25, 100));
    }

    #[test]
    fn the_later_it_is_the_more_are_sent_away() {
        let after = |late| next(OPEN, 8_000, FLOOR, Duration::from_millis(late), BOUND);
        assert_eq!([60, 260, 10_000].map(after), [4_000, 1_600, 1_000]);
    }

    #[test]
    fn a_share_grows_back_slowly_while_it_is_used_up() {
        assert_eq!(next(70, 100, FLOOR, Duration::from_millis(1), BOUND), 74);
        assert_eq!(next(70, 10, FLOOR, Duration::from_millis(1), BOUND), OPEN);
        assert_eq!(next(70, 10, FLOOR, Duration::from_millis(30), BOUND), 74);
        assert_eq!(next(OPEN, 10, FLOOR, Duration::from_millis(1), BOUND), OPEN);
    }

    #[test]
    fn no_more_is_worked_on_than_fits() {
        let overload = overload(2);
        let places = [overload.enter(&client(1)).ok(), overload.enter(&stranger(1)).ok()];
        assert!(places.iter().all(Option::is_some));
        assert_eq!(overload.enter(&client(2)).err(), Some(LATER));
        drop(places);
        assert_eq!(overload.in_flight(), 0);
        assert!(overload.enter(&client(2)).is_ok());
    }
}
