//! Telling other processes what was counted here, and learning what they have counted.
//!
//! It happens behind the requests' backs: a quota can be overdrawn by what processes let
//! through between two rounds, and what was overdrawn is waited for afterwards.

use std::future::Future;
use std::time::Duration;

use governor::clock::Clock;

use crate::{Key, Limiter};

/// What one key used of a quota since the last round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Name of the policy.
    pub policy: String,
    /// Who. It is for the pool to see that nobody else can read it.
    pub key: Key,
    /// How much of the window that is.
    pub part: Duration,
}

/// How much of a window is used in all processes together.
pub type Ahead = Duration;

/// Nobody can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the quotas cannot be settled with other processes")]
pub struct PoolLost;

/// Where processes settle what they have counted.
pub trait Pool: Send + Sync {
    /// Adds what was spent here. Answers, for each in its order, how much of its window is
    /// used now, and how many processes there are.
    ///
    /// # Errors
    ///
    /// [`PoolLost`]; then nothing, or all of it, has been added.
    fn settle(&self, spent: &[Spent]) -> impl Future<Output = Result<(Vec<Ahead>, u32), PoolLost>> + Send;
}

/// One round. While the pool is lost, each process has its part of every quota.
pub async fn settle<C: Clock + Clone, P: Pool>(limiter: &Limiter<C>, pool: &P) {
    let mut spent = Vec::new();
    let mut of = Vec::new();
    for gauge in limiter.gauges() {
        let (quota, window) = (gauge.standing().quota, gauge.standing().window);
        for (key, cells) in gauge.take_untold() {
            // After a loss there is more to tell than a window can hold.
            let cells = cells.min(quota.get());
            let part = Duration::from_secs(window.get().into()).saturating_mul(cells);
            let part = part.checked_div(quota.get()).unwrap_or_default();
            spent.push(Spent { policy: gauge.standing().policy.to_string(), key, part });
            of.push((gauge.clone(), cells));
        }
    }
    match pool.settle(&spent).await {
        Ok((ahead, processes)) => {
            for (((gauge, _), spent), ahead) in of.iter().zip(&spent).zip(ahead) {
                gauge.raise(limiter.clock(), &spent.key, ahead);
            }
            if limiter.share(Some(processes)) {
                tracing::info!(processes, "Quotas are settled with {processes} processes again");
            }
        }
        Err(PoolLost) => {
            // It is told in the next round. If it was added after all, it counts twice: better
            // than not at all.
            for ((gauge, cells), spent) in of.iter().zip(&spent) {
                gauge.note(&spent.key, *cells);
            }
            if limiter.share(None) {
                tracing::error!("Quotas cannot be settled with other processes: each has its part of them");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use governor::clock::FakeRelativeClock;

    use super::*;
    use crate::{Partition, Policies};

    /// Two processes that meet, without time between them.
    #[derive(Default)]
    struct Meeting {
        used: Mutex<HashMap<Key, Duration>>,
        lost: AtomicBool,
    }

    impl Pool for Meeting {
        async fn settle(&self, spent: &[Spent]) -> Result<(Vec<Ahead>, u32), PoolLost> {
            if self.lost.load(Ordering::Relaxed) {
                return Err(PoolLost);
            }
            let mut used = self.used.lock().unwrap();
            let ahead = spent.iter().map(|spent| {
                let of = used.entry(spent.key.clone()).or_default();
                *of += spent.part;
                *of
            });
            Ok((ahead.collect(), 2))
        }
    }

    const TEXT: &str = "[[policy]]\nname = \"client\"\npartition = \"client\"\nquota = 10\nwindow = 10\n\
        [load]\nin_flight = 10\nlag_ms = 10\n";

    fn two() -> (FakeRelativeClock, [Limiter<FakeRelativeClock>; 2], Meeting) {
        let clock = FakeRelativeClock::default();
        let one = || Limiter::on(clock.clone(), Policies::parse(TEXT).unwrap());
        (clock.clone(), [one(), one()], Meeting::default())
    }

    fn most(limiter: &Limiter<FakeRelativeClock>, id: &str) -> usize {
        (0..100).take_while(|_| limiter.count(Partition::Client, &Key::id(id), None).is_ok()).count()
    }

    #[tokio::test]
    async fn what_one_process_let_through_the_other_does_not() {
        let (clock, [one, other], meeting) = two();
        (0..6).for_each(|_| one.count(Partition::Client, &Key::id("tpp"), None).unwrap());
        other.count(Partition::Client, &Key::id("tpp"), None).unwrap();
        settle(&one, &meeting).await;
        settle(&other, &meeting).await;
        assert_eq!(most(&other, "tpp"), 3, "six there, one here");
        assert_eq!(most(&other, "another"), 10);
        clock.advance(Duration::from_secs(1));
        assert_eq!(most(&other, "tpp"), 1);
    }

    #[tokio::test]
    async fn without_the_others_each_has_its_part() {
        let (_, [one, _], meeting) = two();
        settle(&one, &meeting).await;
        meeting.lost.store(true, Ordering::Relaxed);
        settle(&one, &meeting).await;
        assert_eq!(most(&one, "tpp"), 5);
        meeting.lost.store(false, Ordering::Relaxed);
        settle(&one, &meeting).await;
        assert_eq!(most(&one, "another"), 10);
        let tpp = meeting.used.lock().unwrap().get(&Key::id("tpp")).copied();
        assert_eq!(tpp, Some(Duration::from_secs(5)), "what was let through meanwhile is told later");
        assert!(meeting.used.lock().unwrap().values().all(|used| *used <= Duration::from_secs(10)));
    }
}
