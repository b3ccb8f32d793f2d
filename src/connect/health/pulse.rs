//! The record of one service of one bank, and the circuit breaker over it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::Timestamp;
use tokio::time::Instant;

use super::{HealthStatus, ServiceHealth};

/// Calls older than this say nothing about now.
const WINDOW: Duration = Duration::from_secs(600);
/// Calls that are remembered at most.
const REMEMBERED: usize = 512;
/// Calls in a row without an answer, after which a bank is left alone. The
/// number of RTS Art. 33(1).
const IN_A_ROW: u32 = 5;
/// How long a call must have waited to count for RTS Art. 33(1).
const UNANSWERED_AFTER: Duration = Duration::from_secs(30);
/// A rate of failures says something from this many calls on.
const ENOUGH_CALLS: usize = 10;
/// Failures of a hundred calls after which a bank is left alone.
const DOWN_PERCENT: usize = 80;
/// Failures of a hundred calls after which a bank is degraded.
const DEGRADED_PERCENT: usize = 10;
/// A bank that fails its probes is left alone ever longer, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// `Retry-After` is heeded up to this.
const LONGEST_THROTTLE: Duration = Duration::from_secs(600);
/// Repeats that a bank which always fails is asked: a tenth of its calls, and
/// these to begin with.
const FIRST_RETRIES: u32 = 10;

/// What a call told of the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It answered.
    Answered,
    /// It answered that it has failed, or what is no answer.
    Failed,
    /// It did not answer.
    Silent,
    /// No secure connection comes about; repeating does not help.
    Closed,
}

/// Why a call is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The bank is down; it is tried again after this.
    Down(Duration),
    /// The bank asked to be left alone for this long.
    Throttled(Duration),
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    took: Duration,
    sign: Sign,
}

#[derive(Clone, Copy, Debug, Default)]
enum Breaker {
    #[default]
    Closed,
    /// Left alone until then; `strikes` times it failed again.
    Open { until: Instant, strikes: u32 },
    /// One call may find out.
    Probing { under_way: bool, strikes: u32 },
}

#[derive(Debug, Default)]
struct State {
    samples: VecDeque<Sample>,
    silent_in_a_row: u32,
    long_silent_in_a_row: u32,
    breaker: Breaker,
    throttled_until: Option<Instant>,
    presumed_unavailable_since: Option<Timestamp>,
    /// What was not written down yet.
    tally: Tally,
    /// Until when unavailability is in the tally.
    down_until: Option<Timestamp>,
    /// The status that was last told.
    told: HealthStatus,
    /// Tenths of a retry: calls add one, a retry takes ten.
    retries: u32,
}

/// What was seen of a service since it was last written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls.
    pub calls: i64,
    /// Calls that the bank failed.
    pub failed: i64,
    /// Failed calls without any answer.
    pub unanswered: i64,
    /// Milliseconds of all answers together.
    pub took_ms: i64,
    /// Milliseconds of the slowest answer.
    pub slowest_ms: i64,
    /// Milliseconds in which it was presumed unavailable.
    pub down_ms: i64,
}

impl Tally {
    fn count(&mut self, sample: Sample) {
        let ms = i64::try_from(sample.took.as_millis()).unwrap_or(i64::MAX);
        self.calls = self.calls.saturating_add(1);
        match sample.sign {
            Sign::Answered => {
                self.took_ms = self.took_ms.saturating_add(ms);
                self.slowest_ms = self.slowest_ms.max(ms);
            }
            Sign::Failed => {
                self.failed = self.failed.saturating_add(1);
                self.took_ms = self.took_ms.saturating_add(ms);
                self.slowest_ms = self.slowest_ms.max(ms);
            }
            Sign::Silent | Sign::Closed => {
                self.failed = self.failed.saturating_add(1);
                self.unanswered = self.unanswered.saturating_add(1);
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.failed = self.failed.saturating_add(other.failed);
        self.unanswered = self.unanswered.saturating_add(other.unanswered);
        self.took_ms = self.took_ms.saturating_add(other.took_ms);
        self.slowest_ms = self.slowest_ms.max(other.slowest_ms);
        self.down_ms = self.down_ms.saturating_add(other.down_ms);
    }
}

/// The record of one service of one bank.
#[derive(Debug)]
pub(crate) struct Pulse(Mutex<State>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Mutex::new(State { retries: FIRST_RETRIES.saturating_mul(10), ..State::default() }))
    }
}

/// The right to make one call. Whoever has it says what the call told; one that
/// came to nothing before it was sent gives it back.
#[derive(Debug)]
pub(crate) struct Admission {
    pulse: Arc<Pulse>,
    told: bool,
}

impl Pulse {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the right to make a call.
    pub(crate) fn admit(self: &Arc<Self>, now: Instant) -> Result<Admission, Refusal> {
        let mut state = self.lock();
        if let Some(left) = state.throttled(now) {
            return Err(Refusal::Throttled(left));
        }
        match state.breaker {
            Breaker::Closed => {}
            Breaker::Open { until, .. } if until > now => {
                return Err(Refusal::Down(until.duration_since(now)));
            }
            Breaker::Probing { under_way: true, .. } => return Err(Refusal::Down(Duration::from_secs(1))),
            Breaker::Open { strikes, .. } | Breaker::Probing { under_way: false, strikes } => {
                state.breaker = Breaker::Probing { under_way: true, strikes };
            }
        }
        state.retries = state.retries.saturating_add(1).min(FIRST_RETRIES.saturating_mul(10));
        drop(state);
        Ok(Admission { pulse: Arc::clone(self), told: false })
    }

    /// Takes one retry from the budget, if one is left.
    pub(crate) fn take_retry(&self) -> bool {
        let mut state = self.lock();
        let left = state.retries.checked_sub(10);
        if let Some(left) = left {
            state.retries = left;
        }
        left.is_some()
    }

    /// The bank asks to be left alone this long.
    pub(crate) fn throttle(&self, now: Instant, wait: Duration) {
        let until = now.checked_add(wait.min(LONGEST_THROTTLE));
        let mut state = self.lock();
        state.throttled_until = state.throttled_until.max(until);
    }

    fn note(&self, now: Instant, wall: Timestamp, sample: Sample, pause: Duration) {
        let mut state = self.lock();
        state.samples.push_back(sample);
        state.tally.count(sample);
        state.count_down(wall);
        state.forget(now);
        if sample.sign == Sign::Silent {
            state.silent_in_a_row = state.silent_in_a_row.saturating_add(1);
            if sample.took >= UNANSWERED_AFTER || sample.took < Duration::from_secs(1) {
                // It waited in full, or there was nothing to wait for.
                state.long_silent_in_a_row = state.long_silent_in_a_row.saturating_add(1);
            }
            if state.long_silent_in_a_row >= IN_A_ROW && state.presumed_unavailable_since.is_none() {
                state.presumed_unavailable_since = Some(wall);
            }
        } else {
            state.silent_in_a_row = 0;
            state.long_silent_in_a_row = 0;
            if sample.sign == Sign::Answered {
                state.presumed_unavailable_since = None;
                state.down_until = None;
            }
        }
        state.breaker = match state.breaker {
            Breaker::Probing { .. } if sample.sign == Sign::Answered => {
                // What was before the bank came back says nothing about it now.
                state.samples.clear();
                state.samples.push_back(sample);
                Breaker::Closed
            }
            Breaker::Probing { strikes, .. } => open(now, pause, strikes.saturating_add(1)),
            Breaker::Closed if state.is_lost(sample.sign) => open(now, pause, 0),
            other @ (Breaker::Closed | Breaker::Open { .. }) => other,
        };
    }

    /// What was seen since this was last asked, if there was anything.
    pub(crate) fn drain(&self, wall: Timestamp) -> Option<Tally> {
        let mut state = self.lock();
        state.count_down(wall);
        let tally = std::mem::take(&mut state.tally);
        (tally != Tally::default()).then_some(tally)
    }

    /// What could not be written down is not lost.
    pub(crate) fn give_back(&self, tally: Tally) {
        self.lock().tally.add(tally);
    }

    /// The status before and now, if it is another than was last told.
    pub(crate) fn change(&self, now: Instant) -> Option<(HealthStatus, HealthStatus)> {
        let mut state = self.lock();
        state.forget(now);
        let to = state.status(now);
        let from = std::mem::replace(&mut state.told, to);
        (from != to).then_some((from, to))
    }

    /// What was seen in the last minutes.
    pub(crate) fn view(&self, now: Instant) -> ServiceHealth {
        let mut state = self.lock();
        state.forget(now);
        let mut times: Vec<Duration> = state
            .samples
            .iter()
            .filter(|sample| matches!(sample.sign, Sign::Answered | Sign::Failed))
            .map(|sample| sample.took)
            .collect();
        times.sort_unstable();
        let at = |percent: usize| times.get(times.len().saturating_mul(percent) / 100).copied();
        let rest = match state.breaker {
            Breaker::Open { until, .. } => left(until, now),
            Breaker::Closed | Breaker::Probing { .. } => None,
        };
        ServiceHealth {
            status: state.status(now),
            calls: state.samples.len(),
            failed: state.failures(),
            unanswered: state.samples.iter().filter(|sample| sample.sign == Sign::Silent).count(),
            median: at(50),
            p95: at(95),
            retry_after: rest.max(state.throttled(now)),
            presumed_unavailable_since: state.presumed_unavailable_since,
        }
    }
}

impl State {
    /// Counts the time in which the service was presumed unavailable, until now.
    fn count_down(&mut self, wall: Timestamp) {
        let Some(since) = self.presumed_unavailable_since else { return };
        let from = self.down_until.map_or(since, |until| until.max(since));
        let ms = wall.as_millisecond().saturating_sub(from.as_millisecond()).max(0);
        self.tally.down_ms = self.tally.down_ms.saturating_add(ms);
        self.down_until = Some(wall.max(from));
    }

    fn forget(&mut self, now: Instant) {
        while self.samples.len() > REMEMBERED
            || self.samples.front().is_some_and(|oldest| now.duration_since(oldest.at) > WINDOW)
        {
            self.samples.pop_front();
        }
    }

    fn status(&self, now: Instant) -> HealthStatus {
        if !matches!(self.breaker, Breaker::Closed) {
            HealthStatus::Down
        } else if self.throttled(now).is_some()
            || worse(self.failures(), self.samples.len(), DEGRADED_PERCENT)
        {
            HealthStatus::Degraded
        } else if self.samples.is_empty() {
            HealthStatus::Unknown
        } else {
            HealthStatus::Healthy
        }
    }

    /// How long the bank wants to be left alone from now on.
    fn throttled(&self, now: Instant) -> Option<Duration> {
        self.throttled_until.and_then(|until| left(until, now))
    }

    fn failures(&self) -> usize {
        self.samples.iter().filter(|sample| sample.sign != Sign::Answered).count()
    }

    fn is_lost(&self, last: Sign) -> bool {
        last == Sign::Closed
            || self.silent_in_a_row >= IN_A_ROW
            || (last != Sign::Answered && worse(self.failures(), self.samples.len(), DOWN_PERCENT))
    }
}

/// What is left until then; nothing, if it is past.
fn left(until: Instant, now: Instant) -> Option<Duration> {
    until.checked_duration_since(now).filter(|left| !left.is_zero())
}

/// Whether so many of these calls failed, of enough.
fn worse(failed: usize, calls: usize, percent: usize) -> bool {
    calls >= ENOUGH_CALLS && failed.saturating_mul(100) >= calls.saturating_mul(percent)
}

fn open(now: Instant, pause: Duration, strikes: u32) -> Breaker {
    let pause = pause.saturating_mul(1_u32.checked_shl(strikes.min(8)).unwrap_or(1)).min(LONGEST_PAUSE);
    Breaker::Open { until: now.checked_add(pause).unwrap_or(now), strikes }
}

impl Admission {
    /// Says what the call told of the bank, which is left alone for `pause` if
    /// it is lost; `took` is the time from sending to the answer or the giving up.
    pub(crate) fn tell(mut self, sign: Sign, took: Duration, wall: Timestamp, pause: Duration) {
        self.told = true;
        let now = Instant::now();
        self.pulse.note(now, wall, Sample { at: now, took, sign }, pause);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let mut state = self.pulse.lock();
        if let Breaker::Probing { strikes, .. } = state.breaker {
            state.breaker = Breaker::Probing { under_way: false, strikes };
        }
    }
}

#[cfg(test)]
mod tests;
