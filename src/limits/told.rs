//! What an answer tells of limits (draft-ietf-httpapi-ratelimit-headers-10).

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::{Partition, Policy};

/// How somebody stands with one quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Name of the policy.
    pub policy: Arc<str>,
    /// What is counted apart.
    pub partition: Partition,
    /// The class of requests that it counts; none counts all.
    pub class: Option<Arc<str>>,
    /// Requests that may come at once, and in a window.
    pub quota: NonZeroU32,
    /// Seconds in which the whole quota comes back.
    pub window: NonZeroU32,
    /// Requests that are left.
    pub remaining: u32,
    /// Seconds until all of it is back; where nothing is left, until there is something.
    pub reset: u32,
}

impl Standing {
    /// With nothing used.
    pub(crate) fn full(policy: &Policy, quota: NonZeroU32, window: NonZeroU32) -> Self {
        Self {
            policy: policy.name.as_str().into(),
            partition: policy.partition,
            class: policy.class.as_deref().map(Into::into),
            quota,
            window,
            remaining: quota.get(),
            reset: 0,
        }
    }

    /// Nanoseconds in which one comes back.
    pub(crate) fn one(&self) -> u64 {
        let window = u64::from(self.window.get()).saturating_mul(1_000_000_000);
        window.checked_div(u64::from(self.quota.get())).unwrap_or(1).max(1)
    }

    /// With so many left.
    pub(crate) fn with(&self, remaining: u32) -> Self {
        let quota = u64::from(self.quota.get());
        let used = quota.saturating_sub(remaining.into());
        let reset = used.saturating_mul(self.window.get().into()).div_ceil(quota);
        Self { remaining, reset: u32::try_from(reset).unwrap_or(u32::MAX), ..self.clone() }
    }

    /// With nothing left for so long.
    pub(crate) fn used_up(&self, wait: Duration) -> Self {
        let reset = wait.as_millis().div_ceil(1_000).max(1);
        Self { remaining: 0, reset: u32::try_from(reset).unwrap_or(u32::MAX), ..self.clone() }
    }

    /// An item of `RateLimit-Policy`.
    #[must_use]
    pub fn policy_item(&self) -> String {
        format!("\"{}\";q={};w={}", self.policy, self.quota, self.window)
    }

    /// An item of `RateLimit`.
    #[must_use]
    pub fn item(&self) -> String {
        format!("\"{}\";r={};t={}", self.policy, self.remaining, self.reset)
    }
}

/// What was counted of one request, for its answer.
pub struct Told {
    class: Option<Arc<str>>,
    client: OnceLock<Box<str>>,
    standings: Mutex<Vec<Standing>>,
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told").field("class", &self.class).finish_non_exhaustive()
    }
}

impl Told {
    pub(crate) fn of(class: Option<&str>) -> Self {
        Self { class: class.map(Into::into), client: OnceLock::new(), standings: Mutex::default() }
    }

    /// The class of the request.
    #[must_use]
    pub fn class(&self) -> Option<&str> {
        self.class.as_deref()
    }

    /// Notes which client has proved that the request is its.
    pub fn note_client(&self, id: &str) {
        let _ = self.client.set(id.into());
    }

    /// The client, once that is known.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.client.get().map(|id| &**id)
    }

    /// Notes how somebody stands.
    pub fn note(&self, standing: Standing) {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner).push(standing);
    }

    /// What was noted.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
