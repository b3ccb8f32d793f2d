//! Clients that behave: as many requests as somebody wants, and how long each took.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::wire::{Connection, Site, What};

/// What became of requests.
#[derive(Default)]
pub struct Outcome {
    pub times: Vec<Duration>,
    pub failed: u64,
    pub took: Duration,
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.failed = self.failed.saturating_add(other.failed);
    }

    /// The time that so many of a thousand stayed below.
    pub fn quantile(&mut self, of_thousand: usize) -> Duration {
        self.times.sort_unstable();
        let at = self.times.len().saturating_mul(of_thousand) / 1_000;
        self.times.get(at).or(self.times.last()).copied().unwrap_or_default()
    }

    pub fn view(&mut self) -> Value {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let took = self.took.as_micros().max(1);
        let done = u128::try_from(self.times.len()).unwrap_or(u128::MAX);
        json!({
            "requests": self.times.len(),
            "failed": self.failed,
            "per_second": u64::try_from(done.saturating_mul(1_000_000) / took).unwrap_or(u64::MAX),
            "p50_us": micros(self.quantile(500)),
            "p99_us": micros(self.quantile(990)),
            "p999_us": micros(self.quantile(999)),
        })
    }
}

/// So many requests a second over so many connections: each is due at an instant of its own, and late
/// from then on if the one before was answered late. How late a timer wakes us is not the server's.
pub async fn at_rate(site: &Site, what: &What, connections: u32, per_second: u32, time: Duration) -> Outcome {
    let opened = opened(site, connections).await;
    let started = Instant::now();
    let until = started + time;
    let pause = Duration::from_secs(1) * connections / per_second.max(1);
    let mut clients = JoinSet::new();
    for (number, connection) in (0..).zip(opened) {
        let (site, what) = (site.clone(), what.of(number));
        let first = started + pause * number / connections;
        clients.spawn(async move {
            let mut outcome = Outcome::default();
            let mut connection = connection;
            let mut due = first;
            while due < until {
                let mut begun = due;
                if Instant::now() < due {
                    sleep_until(due).await;
                    begun = Instant::now();
                }
                if connection.is_none() {
                    connection = site.connect().await.ok();
                }
                let answer = match (&mut connection, site.request(&what)) {
                    (Some(connection), Ok(request)) => connection.ask(request).await.ok(),
                    _ => None,
                };
                match answer {
                    Some((status, _)) if status.is_success() => outcome.times.push(begun.elapsed()),
                    other => {
                        outcome.failed += 1;
                        if other.is_none() {
                            connection = None;
                        }
                    }
                }
                due += pause;
            }
            outcome
        });
    }
    let mut all = Outcome::default();
    while let Some(outcome) = clients.join_next().await {
        all.add(outcome.unwrap_or_default());
    }
    all.took = started.elapsed();
    all
}

/// So many requests a second, over a connection of its own each; each is due at an instant of its own, whatever became
/// of those before.
pub async fn arrivals(site: &Site, what: &What, per_second: u32, time: Duration) -> Outcome {
    let started = Instant::now();
    let mut clients = JoinSet::new();
    let count = u32::try_from(time.as_millis()).unwrap_or(u32::MAX).saturating_mul(per_second) / 1_000;
    for number in 0..count {
        let (site, what) = (site.clone(), what.clone());
        let due = started + Duration::from_secs(1) * number / per_second;
        clients.spawn(async move {
            sleep_until(due).await;
            let begun = Instant::now();
            let asked = async { site.connect().await?.ask(site.request(&what)?).await };
            match asked.await {
                Ok((status, _)) if status.is_success() => Some(begun.elapsed()),
                Ok(_) | Err(_) => None,
            }
        });
    }
    let mut all = Outcome::default();
    while let Some(answered) = clients.join_next().await {
        match answered.ok().flatten() {
            Some(time) => all.times.push(time),
            None => all.failed += 1,
        }
    }
    all.took = started.elapsed();
    all
}

/// So many connections, where they come about.
async fn opened(site: &Site, connections: u32) -> Vec<Option<Connection>> {
    let mut opened = Vec::new();
    for _ in 0..connections {
        opened.push(site.connect().await.ok());
    }
    opened
}

/// As many requests as are answered, over so many connections.
pub async fn closed_loop(site: &Site, what: &What, connections: u32, time: Duration) -> Outcome {
    let mut clients = JoinSet::new();
    let opened = opened(site, connections).await;
    let started = Instant::now();
    let until = started + time;
    for (number, mut connection) in (0..).zip(opened.into_iter().flatten()) {
        let (site, what) = (site.clone(), what.of(number));
        clients.spawn(async move {
            let mut outcome = Outcome::default();
            while Instant::now() < until {
                let begun = Instant::now();
                let Ok(request) = site.request(&what) else { break };
                match connection.ask(request).await {
                    Ok((status, _)) if status.is_success() => outcome.times.push(begun.elapsed()),
                    Ok(_) => outcome.failed += 1,
                    Err(_) => {
                        outcome.failed += 1;
                        break;
                    }
                }
            }
            outcome
        });
    }
    let mut all = Outcome::default();
    while let Some(outcome) = clients.join_next().await {
        all.add(outcome.unwrap_or_default());
    }
    all.took = started.elapsed();
    all
}

/// Connections that are made, asked once, and closed, so many at a time.
pub async fn handshakes(site: &Site, what: &What, at_once: u32, time: Duration) -> Outcome {
    let started = Instant::now();
    let until = started + time;
    let failed = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..at_once {
        let (site, what, failed) = (site.clone(), what.clone(), Arc::clone(&failed));
        clients.spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < until {
                let begun = Instant::now();
                let asked = async { site.connect().await?.ask(site.request(&what)?).await };
                match asked.await {
                    Ok((status, _)) if status.is_success() => times.push(begun.elapsed()),
                    _ => {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            times
        });
    }
    let mut all = Outcome::default();
    while let Some(times) = clients.join_next().await {
        all.times.extend(times.unwrap_or_default());
    }
    all.failed = failed.load(Ordering::Relaxed);
    all.took = started.elapsed();
    all
}
