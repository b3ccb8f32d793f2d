//! How banks tell of changes: as events that are pushed or fetched, or as notices about one
//! resource. Whatever they say, it is only what to ask the bank about.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use url::Url;

use super::{CallContext, TokenKind};
use crate::{BankError, BankRequest, BankResponse, EventRefused, Profile};

/// What events a bank is to send, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventWish {
    /// Our address; none where we fetch them.
    pub callback: Option<Url>,
    /// Which types.
    pub types: BTreeSet<String>,
}

/// A subscription as the bank has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSubscription {
    /// The bank's name of it.
    pub id: String,
    /// What it is for.
    pub wish: EventWish,
}

/// A request for events that wait, with what became of those before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPoll {
    /// Most that are wanted.
    pub at_most: u16,
    /// Names (`jti`) of tokens that were acted on.
    pub acknowledged: Vec<String>,
    /// Names of tokens that are not taken.
    pub refused: BTreeMap<String, EventRefused>,
}

/// Events that a bank had waiting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolledEvents {
    /// Tokens by what the bank calls each.
    pub tokens: BTreeMap<String, String>,
    /// There are more.
    pub more: bool,
}

/// Events as security event tokens, in one standard.
pub trait BankEvents: Send + Sync {
    /// The token of all requests here.
    fn token(&self, profile: &Profile) -> TokenKind<'static>;

    /// The types that are of use to us.
    fn types(&self) -> BTreeSet<String>;

    /// The bank's identifiers of what the events of a token are about; types that we do not
    /// know are about nothing. `None` if an event does not say what it is about.
    fn about(&self, events: &Map<String, Value>) -> Option<BTreeSet<String>>;

    /// Asks which subscriptions there are.
    ///
    /// # Errors
    ///
    /// `profile-error` if the profile lacks the address.
    fn subscriptions(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`BankEvents::subscriptions`].
    ///
    /// # Errors
    ///
    /// The bank's error, or `malformed-response`.
    fn subscriptions_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<Vec<EventSubscription>, BankError>;

    /// Subscribes, or changes the subscription of this name.
    ///
    /// # Errors
    ///
    /// `profile-error` if the profile lacks the address.
    fn subscribe(
        &self,
        cx: &CallContext<'_>,
        id: Option<&str>,
        wish: &EventWish,
    ) -> Result<BankRequest, BankError>;

    /// Ends a subscription.
    ///
    /// # Errors
    ///
    /// `profile-error` if the profile lacks the address.
    fn unsubscribe(&self, cx: &CallContext<'_>, id: &str) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`BankEvents::subscribe`] or [`BankEvents::unsubscribe`].
    ///
    /// # Errors
    ///
    /// The bank's error.
    fn taken(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<(), BankError>;

    /// Asks for events; the bank answers at once. Asking twice does no harm.
    ///
    /// # Errors
    ///
    /// `profile-error` if the profile lacks the address.
    fn poll(&self, cx: &CallContext<'_>, ask: &EventPoll) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`BankEvents::poll`].
    ///
    /// # Errors
    ///
    /// The bank's error, or `malformed-response`.
    fn polled(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<PolledEvents, BankError>;
}

/// Notices about one consent or payment, to an address that was made for it.
pub trait ResourceNotices: Send + Sync {
    /// Asks for notices along with a request that makes a consent or payment.
    ///
    /// # Errors
    ///
    /// `internal` if the address cannot be a header.
    fn notify(
        &self,
        cx: &CallContext<'_>,
        request: BankRequest,
        address: &Url,
    ) -> Result<BankRequest, BankError>;

    /// The bank's identifier of what a notice is about, if it names it; `None` if the body is
    /// no notice.
    fn about(&self, body: &[u8]) -> Option<Option<String>>;
}
