//! How a bank tells us that something of ours has changed there.

use std::time::Duration;

use crate::ApiBase;

/// How a bank notifies, and how its word is known to be its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notifications {
    /// To an address of ours: security event tokens (UK Open Banking), or notices to the
    /// address that came with each consent and payment (Berlin Group).
    pub push: bool,
    /// How often its events are fetched (UK aggregated polling); never, if `None`.
    pub poll: Option<Duration>,
    /// What stands before `/event-subscriptions` and `/events`. `None`: the bank was told our
    /// address in another way.
    pub events_api: Option<ApiBase>,
    /// `iss` of its tokens; `None` is the issuer of its authorization server.
    pub issuer: Option<String>,
    /// What it is asked to notify of (Berlin Group); empty: `PROCESS`.
    pub content: Vec<NoticeContent>,
    /// `organizationIdentifier` of the client certificate that it must show; `None`: it need
    /// not show any.
    pub organisation: Option<String>,
}

/// What a Berlin Group bank is asked to notify of (`TPP-Notification-Content-Preferred`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeContent {
    /// Every step of an authorisation.
    Sca,
    /// Every status of a consent or payment.
    Process,
    /// The last status alone.
    Last,
}

impl NoticeContent {
    /// Every word of the standard.
    pub(crate) const WORDS: &'static [&'static str] = &["SCA", "PROCESS", "LAST"];

    /// The word of the standard.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sca => "SCA",
            Self::Process => "PROCESS",
            Self::Last => "LAST",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Sca, Self::Process, Self::Last].into_iter().find(|content| content.as_str() == word)
    }
}
