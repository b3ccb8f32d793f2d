//! What TPPs are told of changes: who wants to know, where, and what waits to be told.

use std::collections::{BTreeMap, BTreeSet};

use domain::Timestamp;
use serde::{Deserialize, Serialize};

use super::book::{Book, ConsentState};

/// All that the bank knows of telling TPPs of changes.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Notices {
    /// By their own name.
    pub(crate) subscriptions: BTreeMap<String, Subscription>,
    /// Addresses by the consent or order that they came with.
    pub(crate) addresses: BTreeMap<String, String>,
    /// Where each consent and order stood when it was last looked at.
    seen: BTreeMap<String, String>,
    /// What waits to be told, by its own name.
    pub(crate) waiting: BTreeMap<String, Notice>,
}

/// A TPP's wish to be told of all that is its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    /// `organizationIdentifier` of the TPP.
    pub(crate) tpp: String,
    /// Its client.
    pub(crate) client: String,
    /// Where it wants to be told; none where it comes to ask.
    pub(crate) callback: Option<String>,
    pub(crate) version: String,
    /// Types of events.
    pub(crate) types: BTreeSet<String>,
}

/// A change that a TPP is to be told of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Notice {
    pub(crate) id: String,
    pub(crate) tpp: String,
    /// The consent or order.
    pub(crate) about: String,
    /// The customer withdrew the consent.
    pub(crate) withdrawn: bool,
    pub(crate) at: Timestamp,
    /// Nobody is told before.
    pub(crate) not_before: Timestamp,
    /// How often it could not be delivered.
    pub(crate) tries: u8,
    /// It is delivered twice.
    pub(crate) twice: bool,
    /// It does not prove to be the bank's.
    pub(crate) forged: bool,
}

/// Something that stands elsewhere than when it was last looked at, or than it began.
pub(crate) struct News {
    pub(crate) about: String,
    pub(crate) tpp: String,
    pub(crate) withdrawn: bool,
    stands: String,
}

/// Where orders begin.
const ORDERED: &str = "RCVD";

impl Notices {
    /// Somebody wants to be told of something.
    pub(crate) fn are_wanted(&self) -> bool {
        !self.subscriptions.is_empty() || !self.addresses.is_empty()
    }
}

impl Book {
    /// What stands elsewhere than when it was last looked at, of all that somebody wants to be
    /// told of.
    pub(crate) fn news(&self, now: Timestamp) -> Vec<News> {
        let notices = &self.notices;
        let tpps: BTreeSet<&str> = notices.subscriptions.values().map(|each| each.tpp.as_str()).collect();
        let watched = |tpp: &str, id: &str| tpps.contains(tpp) || notices.addresses.contains_key(id);
        let consents = self.consents.values().filter(|consent| watched(&consent.tpp, &consent.id));
        let consents = consents.map(|consent| {
            let begun = matches!(consent.state, ConsentState::Incomplete | ConsentState::Awaiting);
            let expired = if consent.has_expired(now) { " expired" } else { "" };
            let stands = if begun { String::new() } else { format!("{:?}{expired}", consent.state) };
            (&consent.id, &consent.tpp, stands, consent.state == ConsentState::Withdrawn)
        });
        let orders = self.orders.values().filter(|order| watched(&order.tpp, &order.id));
        let orders = orders.map(|order| {
            let stands = Some(order.status(now)).filter(|status| *status != ORDERED);
            (&order.id, &order.tpp, stands.unwrap_or_default().to_owned(), false)
        });
        let all = consents.chain(orders).filter_map(|(id, tpp, stands, withdrawn)| {
            let changed = notices.seen.get(id).map_or("", String::as_str) != stands;
            changed.then(|| News { about: id.clone(), tpp: tpp.clone(), withdrawn, stands })
        });
        all.collect()
    }

    /// Notes that something was looked at.
    pub(crate) fn note_seen(&mut self, news: &News) {
        self.notices.seen.insert(news.about.clone(), news.stands.clone());
    }
}
