//! Faults a test arms: the next calls of an operation go wrong in one of the
//! ways banks go wrong.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};

/// One way to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 503 without doing anything.
    Unavailable,
    /// The connection closes without an answer, nothing is done.
    Disconnect,
    /// The request is carried out, then the connection closes without an
    /// answer: the caller cannot know.
    LoseAnswer,
    /// The right answer, this much later.
    Slow(Duration),
    /// 200 with JSON that ends in the middle.
    MalformedJson,
    /// 502 with a page of HTML.
    HtmlError,
    /// The right answer, cut off half way through the body.
    Truncated,
    /// 200 with this many bytes of JSON.
    Huge(usize),
    /// 429 with `Retry-After: 1`.
    TooManyRequests,
    /// The customer declines, or the bank rejects the payment.
    Decline,
}

#[derive(Debug)]
struct Armed {
    method: &'static str,
    path_part: &'static str,
    fault: Fault,
    calls: u32,
}

/// Handle to the faults of one running bank. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    armed: Arc<Mutex<Vec<Armed>>>,
    refusing: Arc<AtomicBool>,
    restated: Arc<Mutex<Map<String, Value>>>,
}

impl Faults {
    /// Makes the next `calls` requests with this method and with `path_part`
    /// in their path go wrong. An empty part is every path.
    pub fn arm(&self, method: &'static str, path_part: &'static str, fault: Fault, calls: u32) {
        self.lock().push(Armed { method, path_part, fault, calls });
    }

    /// Makes the next `times` customers decline, or payments be rejected.
    pub fn decline(&self, times: u32) {
        self.arm("", "", Fault::Decline, times);
    }

    /// Makes the bank's metadata say this instead, from now on.
    pub fn restate(&self, member: &str, value: Value) {
        self.restated.lock().unwrap_or_else(PoisonError::into_inner).insert(member.to_owned(), value);
    }

    pub(crate) fn restated(&self) -> Map<String, Value> {
        self.restated.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes every new connection before the TLS handshake, or stops that.
    pub fn refuse_connections(&self, refuse: bool) {
        self.refusing.store(refuse, Ordering::SeqCst);
    }

    /// Disarms everything.
    pub fn clear(&self) {
        self.lock().clear();
        self.restated.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.refuse_connections(false);
    }

    pub(crate) fn refuses_connections(&self) -> bool {
        self.refusing.load(Ordering::SeqCst)
    }

    /// Takes one call of the first fault armed for this request.
    pub(crate) fn take(&self, method: &str, path: &str) -> Option<Fault> {
        self.take_where(|armed| {
            armed.fault != Fault::Decline && armed.method == method && path.contains(armed.path_part)
        })
    }

    /// Takes one armed decline.
    pub(crate) fn take_decline(&self) -> bool {
        self.take_where(|armed| armed.fault == Fault::Decline).is_some()
    }

    fn take_where(&self, wanted: impl Fn(&Armed) -> bool) -> Option<Fault> {
        let mut all = self.lock();
        let armed = all.iter_mut().find(|armed| armed.calls > 0 && wanted(armed))?;
        armed.calls = armed.calls.saturating_sub(1);
        let fault = armed.fault;
        all.retain(|armed| armed.calls > 0);
        Some(fault)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Armed>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_the_named_operation_as_often_as_armed() {
        let faults = Faults::default();
        faults.arm("GET", "/accounts", Fault::HtmlError, 2);
        faults.decline(1);
        assert_eq!(faults.take("POST", "/v1/accounts"), None);
        assert_eq!(faults.take("GET", "/v1/consents"), None);
        assert_eq!(faults.take("GET", "/v1/accounts"), Some(Fault::HtmlError));
        assert_eq!(faults.take("GET", "/v1/accounts/1/balances"), Some(Fault::HtmlError));
        assert_eq!(faults.take("GET", "/v1/accounts"), None);
        assert!(faults.take_decline());
        assert!(!faults.take_decline());
    }
}
