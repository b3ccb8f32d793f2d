//! What is noted of a request while it is answered: which banks were called for it, with what outcome,
//! and whose time it was.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::TraceContext;

tokio::task_local! {
    static TRAIL: Arc<Trail>;
}

/// Calls of one request that are kept, one by one.
const KEPT: usize = 64;

/// How a call to a bank went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BankOutcome {
    /// It answered with what was asked for.
    Ok,
    /// It said no (4xx).
    Refused,
    /// It failed: 5xx, no connection, no HTTP.
    Failed,
    /// It did not answer in time.
    Timeout,
    /// It was not called: it is left alone, or asked as often as it may be.
    Spared,
    /// It may have done what was asked, and nobody knows.
    Unknown,
}

impl BankOutcome {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Spared => "spared",
            Self::Unknown => "unknown",
        }
    }
}

/// A call to a bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankCall {
    /// The bank: our name of it.
    pub bank: String,
    /// What it was called for, such as `accounts`.
    pub operation: &'static str,
    /// Method.
    pub method: String,
    /// By which the bank finds it in its log, where its standard has such an id.
    pub request_id: Option<String>,
    /// Status of the answer.
    pub status: Option<u16>,
    /// How it went.
    pub outcome: BankOutcome,
    /// After how long it began.
    pub after: Duration,
    /// How long it took.
    pub took: Duration,
}

/// What is noted of a request.
#[derive(Debug)]
pub struct Trail {
    began: Instant,
    context: Option<TraceContext>,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    open: u32,
    since: Option<Instant>,
    at_banks: Duration,
    calls: Vec<BankCall>,
}

impl Trail {
    /// That of a request that begins now, in the context of a trace.
    #[must_use]
    pub fn begin(context: Option<TraceContext>) -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), context, noted: Mutex::default() })
    }

    /// Does something for this request.
    pub async fn of<T>(self: Arc<Self>, work: impl Future<Output = T>) -> T {
        TRAIL.scope(self, work).await
    }

    /// That of the request that is worked on, if it is one.
    #[must_use]
    pub fn now() -> Option<Arc<Self>> {
        TRAIL.try_with(Arc::clone).ok()
    }

    /// The context of its trace.
    #[must_use]
    pub fn context(&self) -> Option<TraceContext> {
        self.context
    }

    /// How long it has taken so far.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.began.elapsed()
    }

    /// How much of that a bank was waited for, or several at once.
    #[must_use]
    pub fn at_banks(&self) -> Duration {
        let noted = self.noted();
        noted.at_banks.saturating_add(noted.since.map_or(Duration::ZERO, |since| since.elapsed()))
    }

    /// The calls that have ended, in their order.
    #[must_use]
    pub fn calls(&self) -> Vec<BankCall> {
        self.noted().calls.clone()
    }

    /// A bank is called from now on.
    #[must_use]
    pub fn calling(self: &Arc<Self>) -> Calling {
        let mut noted = self.noted();
        noted.open = noted.open.saturating_add(1);
        noted.since.get_or_insert_with(Instant::now);
        Calling { trail: Arc::clone(self), began: Instant::now() }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is on its way; it ends with this value at the latest.
#[derive(Debug)]
pub struct Calling {
    trail: Arc<Trail>,
    began: Instant,
}

impl Calling {
    /// It has ended; of `call` the times are set here.
    pub fn ended(self, mut call: BankCall) {
        call.after = self.began.saturating_duration_since(self.trail.began);
        call.took = self.began.elapsed();
        let mut noted = self.trail.noted();
        if noted.calls.len() < KEPT {
            noted.calls.push(call);
        }
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        let mut noted = self.trail.noted();
        noted.open = noted.open.saturating_sub(1);
        if noted.open == 0
            && let Some(since) = noted.since.take()
        {
            noted.at_banks = noted.at_banks.saturating_add(since.elapsed());
        }
    }
}

/// Work that is for the same request as this, wherever it is done.
pub fn carried<T>(work: impl Future<Output = T> + Send) -> impl Future<Output = T> + Send {
    let trail = Trail::now();
    async move {
        match trail {
            Some(trail) => trail.of(work).await,
            None => work.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(bank: &str) -> BankCall {
        BankCall {
            bank: bank.to_owned(),
            operation: "accounts",
            method: "GET".to_owned(),
            request_id: None,
            status: Some(200),
            outcome: BankOutcome::Ok,
            after: Duration::ZERO,
            took: Duration::ZERO,
        }
    }

    /// Two banks that are asked at once are waited for once.
    #[tokio::test(start_paused = true)]
    async fn time_at_banks_is_counted_once() {
        let trail = Trail::begin(None);
        tokio::time::advance(Duration::from_millis(5)).await;
        let first = trail.calling();
        tokio::time::advance(Duration::from_millis(10)).await;
        let second = trail.calling();
        tokio::time::advance(Duration::from_millis(20)).await;
        first.ended(call("a"));
        assert_eq!(trail.at_banks(), Duration::from_millis(30), "it goes on");
        tokio::time::advance(Duration::from_millis(20)).await;
        second.ended(call("b"));
        tokio::time::advance(Duration::from_millis(7)).await;
        // One that is given up ends, too.
        drop(trail.calling());
        assert_eq!(trail.at_banks(), Duration::from_millis(50));
        assert_eq!(trail.took(), Duration::from_millis(62));
        let calls = trail.calls();
        let times: Vec<_> =
            calls.iter().map(|it| (&*it.bank, it.after.as_millis(), it.took.as_millis())).collect();
        assert_eq!(times, [("a", 5, 30), ("b", 15, 40)]);
    }

    #[tokio::test]
    async fn what_is_carried_along_is_of_the_same_request() {
        assert!(Trail::now().is_none());
        let trail = Trail::begin(None);
        let elsewhere = trail.clone().of(async { tokio::spawn(carried(async { Trail::now() })).await }).await;
        assert!(Arc::ptr_eq(&elsewhere.unwrap().unwrap(), &trail));
    }

    #[tokio::test]
    async fn so_many_calls_are_kept_and_no_more() {
        let trail = Trail::begin(None);
        for _ in 0..100 {
            trail.calling().ended(call("a"));
        }
        assert_eq!(trail.calls().len(), KEPT);
    }
}
