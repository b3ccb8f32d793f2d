//! How each bank is doing, seen from here: when to leave it alone, and for how
//! long. One record per bank and service, so that a bank whose payments are
//! down still gives accounts.

mod pulse;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{InstitutionId, Timestamp};
use tokio::time::Instant;

pub use pulse::Tally;
pub(crate) use pulse::{Pulse, Refusal, Sign};

/// What a bank is called for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Account information, and the authorization server.
    #[default]
    Accounts,
    /// Payment initiation.
    Payments,
    /// Confirmation of funds.
    Funds,
    /// Verification of payees.
    Payees,
    /// Events that the bank has waiting, and subscriptions to them.
    Events,
}

impl Service {
    /// Its word in figures.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Payments => "payments",
            Self::Funds => "funds",
            Self::Payees => "payees",
            Self::Events => "events",
        }
    }
}

/// How a service of a bank is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HealthStatus {
    /// Nobody has called it lately.
    #[default]
    Unknown,
    /// It answers.
    Healthy,
    /// It fails more than one call in ten, or asked to be called less often.
    Degraded,
    /// It is not called, apart from a probe now and then.
    Down,
}

impl HealthStatus {
    /// Word of our API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Healthy => "HEALTHY",
            Self::Degraded => "DEGRADED",
            Self::Down => "DOWN",
        }
    }
}

/// What was seen of one service in the last ten minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceHealth {
    /// How it is doing.
    pub status: HealthStatus,
    /// Calls that were made.
    pub calls: usize,
    /// Calls that the bank failed: 5xx, no answer, or one that is not HTTP.
    pub failed: usize,
    /// Failed calls that got no answer at all.
    pub unanswered: usize,
    /// Time of the middle answer.
    pub median: Option<Duration>,
    /// Time that 95 of 100 answers stayed below.
    pub p95: Option<Duration>,
    /// When it is called again, where it is left alone.
    pub retry_after: Option<Duration>,
    /// Since when unavailability is presumed: five calls in a row got no answer
    /// within 30 s (RTS Art. 33(1)).
    pub presumed_unavailable_since: Option<Timestamp>,
}

/// A service of a bank that is doing better or worse than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthChange {
    /// The bank.
    pub institution: InstitutionId,
    /// Which of its services.
    pub service: Service,
    /// Before.
    pub from: HealthStatus,
    /// Now.
    pub to: HealthStatus,
}

/// The records of all banks that were called.
#[derive(Debug, Default)]
pub struct Health(Mutex<BTreeMap<(InstitutionId, Service), Arc<Pulse>>>);

impl Health {
    /// The record of a service, made at its first call.
    pub(crate) fn pulse(&self, institution: &InstitutionId, service: Service) -> Arc<Pulse> {
        let mut pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pulses.entry((institution.clone(), service)).or_default())
    }

    /// What was seen of a service; nothing, if it was never called.
    #[must_use]
    pub fn of(&self, institution: &InstitutionId, service: Service) -> ServiceHealth {
        let pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pulse = pulses.get(&(institution.clone(), service));
        pulse.map(|pulse| pulse.view(Instant::now())).unwrap_or_default()
    }

    /// What was seen of each service since this was last asked.
    #[must_use]
    pub fn tallies(&self, wall: Timestamp) -> Vec<(InstitutionId, Service, Tally)> {
        let pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = pulses.iter().filter_map(|((institution, service), pulse)| {
            Some((institution.clone(), *service, pulse.drain(wall)?))
        });
        seen.collect()
    }

    /// Takes back what could not be written down.
    pub fn give_back(&self, institution: &InstitutionId, service: Service, tally: Tally) {
        self.pulse(institution, service).give_back(tally);
    }

    /// The services whose status has changed since this was last asked.
    #[must_use]
    pub fn changes(&self) -> Vec<HealthChange> {
        let now = Instant::now();
        let pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = pulses.iter().filter_map(|((institution, service), pulse)| {
            let (from, to) = pulse.change(now)?;
            Some(HealthChange { institution: institution.clone(), service: *service, from, to })
        });
        changes.collect()
    }
}
