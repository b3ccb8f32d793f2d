//! Faults: the next calls of an operation go wrong in one of the ways banks go
//! wrong. Tests arm them, and whoever drives a sandbox.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use crate::twist::Twist;
use crate::wire::Gate;
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
    /// The right answer, a byte at a time with this between two.
    Drip(Duration),
    /// 200 with JSON that ends in the middle.
    MalformedJson,
    /// 502 with a page of HTML.
    HtmlError,
    /// 200 with a page of HTML.
    HtmlPage,
    /// The right answer, cut off half way through the body.
    Truncated,
    /// 200 with this many bytes of JSON.
    Huge(usize),
    /// 429 with `Retry-After: 1`.
    TooManyRequests,
    /// 500 without doing anything.
    Failed,
    /// 401 without doing anything.
    Unauthorised,
    /// The token endpoint burns the refresh token it was given, and its answer is lost.
    LoseRefreshToken,
    /// The right answer, with something wrong in its JSON.
    Twisted(Twist),
    /// The customer declines, or the bank rejects the payment.
    Decline,
    /// The TPP is told of the next change this much later.
    NoticeLate(Duration),
    /// The TPP is told of the next change twice.
    NoticeTwice,
    /// What the TPP is told of the next change does not prove to be the bank's.
    NoticeForged,
    /// In place of the next change, the TPP is told of something that is nobody's.
    NoticeOfStranger,
}

impl Fault {
    /// Every fault by its name, with what it does. Times and sizes stand for those
    /// that nobody named.
    pub const NAMED: &'static [(&'static str, Self, &'static str)] = &[
        ("unavailable", Self::Unavailable, "503, nothing is done"),
        ("failed", Self::Failed, "500, nothing is done"),
        ("unauthorised", Self::Unauthorised, "401, nothing is done"),
        ("too-many-requests", Self::TooManyRequests, "429 with `Retry-After: 1`"),
        ("disconnect", Self::Disconnect, "the connection closes, nothing is done"),
        ("lose-answer", Self::LoseAnswer, "it is done, then the connection closes"),
        ("slow", Self::Slow(Duration::from_secs(10)), "the right answer after `ms` (10000)"),
        (
            "drip",
            Self::Drip(Duration::from_millis(20)),
            "the right answer byte by byte, `ms` (20) between two",
        ),
        ("malformed-json", Self::MalformedJson, "200 with JSON that ends in the middle"),
        ("truncated", Self::Truncated, "the answer ends half way, though its length is stated"),
        ("huge", Self::Huge(64 << 20), "200 with 64 MiB"),
        ("html-error", Self::HtmlError, "502 with a page of HTML"),
        ("html-page", Self::HtmlPage, "200 with a page of HTML"),
        (
            "lose-refresh-token",
            Self::LoseRefreshToken,
            "the refresh token is burnt, and the answer with the new one lost",
        ),
        ("decline", Self::Decline, "the next customer declines, or the next payment is rejected (AM21)"),
        (
            "notice-late",
            Self::NoticeLate(Duration::from_secs(10)),
            "the TPP is told of the next change after `ms` (10000)",
        ),
        ("notice-twice", Self::NoticeTwice, "the TPP is told of the next change twice"),
        (
            "notice-forged",
            Self::NoticeForged,
            "the next notification has a wrong signature, or comes to a wrong address",
        ),
        (
            "notice-of-stranger",
            Self::NoticeOfStranger,
            "the next notification is about nothing that there is",
        ),
        ("ids-missing", Self::Twisted(Twist::IdsMissing), "entries have no identifiers"),
        ("ids-placeholder", Self::Twisted(Twist::IdsPlaceholder), "every entry is called `NOTPROVIDED`"),
        ("ids-repeated", Self::Twisted(Twist::IdsRepeated), "every entry has the identifier of the first"),
        ("ids-changing", Self::Twisted(Twist::IdsChanging), "entries have other identifiers each time"),
        ("signs-inverted", Self::Twisted(Twist::SignsInverted), "amounts have the other sign"),
        ("amounts-as-numbers", Self::Twisted(Twist::AmountsAsNumbers), "amounts are JSON numbers"),
        ("byte-order-mark", Self::Twisted(Twist::ByteOrderMark), "the JSON begins with a byte order mark"),
        ("page-again", Self::Twisted(Twist::PageAgain), "the link to the next page leads to the same page"),
        ("entries-repeated", Self::Twisted(Twist::EntriesRepeated), "every entry of a list comes twice"),
    ];

    /// Finds a fault by its name; `ms` are the milliseconds of one that takes time.
    #[must_use]
    pub fn from_word(word: &str, ms: Option<u64>) -> Option<Self> {
        let (_, fault, _) = Self::NAMED.iter().find(|(name, ..)| *name == word)?;
        let time = ms.map(Duration::from_millis);
        Some(match (*fault, time) {
            (Self::Slow(_), Some(time)) => Self::Slow(time),
            (Self::Drip(_), Some(time)) => Self::Drip(time),
            (Self::NoticeLate(_), Some(time)) => Self::NoticeLate(time),
            (fault, _) => fault,
        })
    }

    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        let same = |other: &Self| match (self, other) {
            (Self::Slow(_), Self::Slow(_))
            | (Self::Drip(_), Self::Drip(_))
            | (Self::NoticeLate(_), Self::NoticeLate(_))
            | (Self::Huge(_), Self::Huge(_)) => true,
            (fault, other) => fault == *other,
        };
        Self::NAMED.iter().find(|(_, fault, _)| same(fault)).map_or("", |(name, ..)| name)
    }

    /// It strikes what the bank tells TPPs of changes.
    fn is_of_notices(self) -> bool {
        matches!(self, Self::NoticeLate(_) | Self::NoticeTwice | Self::NoticeForged | Self::NoticeOfStranger)
    }

    /// It strikes requests.
    fn is_of_requests(self) -> bool {
        self != Self::Decline && !self.is_of_notices()
    }
}

/// What a request is about, whatever the standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The token endpoint.
    Token,
    /// Lists of entries.
    Transactions,
    /// Balances.
    Balances,
    /// Payments, and consents to them.
    Payments,
    /// Consents to account information.
    Consents,
    /// Accounts.
    Accounts,
    /// Questions about funds, and consents to them.
    Funds,
    /// Questions about payees.
    Payees,
}

impl Operation {
    /// Every operation with its name and what its paths have, the surest first.
    const SIGNS: [(Self, &'static str, &'static [&'static str]); 8] = [
        (Self::Token, "token", &["token"]),
        (Self::Transactions, "transactions", &["transaction"]),
        (Self::Balances, "balances", &["balance"]),
        (Self::Funds, "funds", &["funds"]),
        (Self::Payees, "payees", &["payee-verification", "name-verification"]),
        (Self::Payments, "payments", &["payment", "domestic"]),
        (Self::Consents, "consents", &["consent", "authorize"]),
        (Self::Accounts, "accounts", &["account"]),
    ];

    /// The names.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        Self::SIGNS.iter().map(|(_, name, _)| *name).collect()
    }

    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::SIGNS.iter().find(|(operation, ..)| *operation == self).map_or("", |(_, name, _)| name)
    }

    /// Finds an operation by its name.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::SIGNS.iter().find(|(_, name, _)| *name == word).map(|(operation, ..)| *operation)
    }

    fn of(path: &str) -> Option<Self> {
        let path = path.to_ascii_lowercase();
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let named =
            |signs: &&'static [&'static str], text: &str| signs.iter().any(|sign| text.contains(sign));
        // PolishAPI names the service before the operation in its paths.
        let by_last = Self::SIGNS.iter().find(|(_, _, signs)| last.starts_with("get") && named(signs, last));
        let found = by_last.or_else(|| Self::SIGNS.iter().find(|(_, _, signs)| named(signs, &path)));
        found.map(|(operation, ..)| *operation)
    }
}

/// Which requests a fault strikes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// With this method; empty is any.
    pub method: String,
    /// With this in their path; empty is any.
    pub path_part: String,
    /// About this; none is any.
    pub operation: Option<Operation>,
}

impl Target {
    fn is_hit_by(&self, method: &str, path: &str) -> bool {
        (self.method.is_empty() || self.method == method)
            && path.contains(&self.path_part)
            && self.operation.is_none_or(|wanted| Operation::of(path) == Some(wanted))
    }
}

/// A fault that waits for its requests.
#[derive(Clone, Debug)]
pub struct Armed {
    /// Which requests.
    pub target: Target,
    /// What happens to them.
    pub fault: Fault,
    /// How many more.
    pub calls: u32,
}

/// Handle to the faults of one running bank. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    armed: Arc<Mutex<Vec<Armed>>>,
    refusing: Arc<AtomicBool>,
    restated: Arc<Mutex<Map<String, Value>>>,
    wire: Arc<Gate>,
}

impl Faults {
    /// Makes the next `calls` requests with this method and with `path_part`
    /// in their path go wrong. An empty part is every path.
    pub fn arm(&self, method: &str, path_part: &str, fault: Fault, calls: u32) {
        let target = Target { method: method.to_owned(), path_part: path_part.to_owned(), operation: None };
        self.arm_at(target, fault, calls);
    }

    /// Makes the next `calls` requests of a target go wrong.
    pub fn arm_at(&self, target: Target, fault: Fault, calls: u32) {
        self.lock().push(Armed { target, fault, calls });
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

    /// Lets no byte of any connection arrive or leave, or lets them go on.
    pub fn hold_wire(&self, held: bool) {
        self.wire.hold(held);
    }

    pub(crate) fn wire(&self) -> Arc<Gate> {
        Arc::clone(&self.wire)
    }

    /// Those that wait.
    #[must_use]
    pub fn armed(&self) -> Vec<Armed> {
        self.lock().clone()
    }

    /// Disarms everything.
    pub fn clear(&self) {
        self.lock().clear();
        self.restated.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.refuse_connections(false);
        self.hold_wire(false);
    }

    pub(crate) fn refuses_connections(&self) -> bool {
        self.refusing.load(Ordering::SeqCst)
    }

    /// Takes one call of the first fault armed for this request.
    pub(crate) fn take(&self, method: &str, path: &str) -> Option<Fault> {
        self.take_where(|armed| armed.fault.is_of_requests() && armed.target.is_hit_by(method, path))
    }

    /// Takes one armed decline.
    pub(crate) fn take_decline(&self) -> bool {
        self.take_where(|armed| armed.fault == Fault::Decline).is_some()
    }

    /// Takes one fault armed for what TPPs are told of changes.
    pub(crate) fn take_of_notices(&self) -> Option<Fault> {
        self.take_where(|armed| armed.fault.is_of_notices())
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

    #[test]
    fn every_fault_has_a_name_and_is_found_by_it() {
        for (name, fault, _) in Fault::NAMED {
            assert_eq!((Fault::from_word(name, None), fault.word()), (Some(*fault), *name));
        }
        let slow = Fault::Slow(Duration::from_millis(7));
        assert_eq!((Fault::from_word("slow", Some(7)), slow.word()), (Some(slow), "slow"));
        assert_eq!(Fault::from_word("sluggish", None), None);
    }

    #[test]
    fn an_operation_is_known_by_the_paths_of_every_standard() {
        for (path, operation) in [
            ("/open-banking/v4.0/aisp/account-access-consents", Operation::Consents),
            ("/open-banking/v4.0/aisp/accounts/a/balances", Operation::Balances),
            ("/open-banking/v4.0/pisp/domestic-payment-consents", Operation::Payments),
            ("/token", Operation::Token),
            ("/open-banking/v4.0/cbpii/funds-confirmation-consents", Operation::Funds),
            ("/v1/funds-confirmations", Operation::Funds),
            ("/v2_1_1.1/confirmation/v2_1_1.1/getConfirmationOfFunds", Operation::Funds),
            ("/vop/v1/payee-verifications", Operation::Payees),
            ("/open-banking/v4.0/confirmation-payee/name-verification", Operation::Payees),
            ("/v1/accounts/a/transactions", Operation::Transactions),
            ("/v1/payments/sepa-credit-transfers", Operation::Payments),
            ("/stet/psd2/v1.4/payment-requests/p", Operation::Payments),
            ("/v2_1_1.1/accounts/v2_1_1.1/getAccounts", Operation::Accounts),
            ("/v2_1_1.1/accounts/v2_1_1.1/getTransactionsDone", Operation::Transactions),
        ] {
            assert_eq!(Operation::of(path), Some(operation), "{path}");
        }
        for name in Operation::names() {
            assert!(Operation::from_word(name).is_some());
        }
    }
}
