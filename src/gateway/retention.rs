//! How long what is over is kept: `policies/retention/retention.toml`, or a file of the
//! operator's; and who sees to it.

use std::path::Path;

use anyhow::Context;
use domain::Timestamp;
use jiff::SignedDuration;
use serde::Deserialize;
use store::erasure::{Erased, SubjectKind};
use store::{RegionalStore, Stores};

/// Erased in one round, of each kind.
const AT_ONCE: u32 = 100;

/// How long each class of data is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    consents: Rule,
    payments: Rule,
    mandates: Rule,
    events: Rule,
    answers: Rule,
    requests: Rule,
}

/// How long one class of data is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it is.
    pub what: String,
    /// Days that it is kept after it is over.
    pub keep_days: u32,
    /// Why so long.
    pub why: String,
}

impl Rule {
    /// What was over before this is kept no longer.
    fn before(&self, now: Timestamp) -> Timestamp {
        let kept = SignedDuration::from_hours(i64::from(self.keep_days).saturating_mul(24));
        now.checked_sub(kept).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// What a round has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    /// Consents, payments and mandates that were erased.
    pub(crate) erased: u64,
    /// Events and answers that were deleted.
    pub(crate) deleted: u64,
}

impl Retention {
    /// The rules of the binary.
    ///
    /// # Errors
    ///
    /// If they are no rules.
    pub fn embedded() -> anyhow::Result<Self> {
        let text = include_str!("../../policies/retention/retention.toml");
        toml::from_str(text).context("policies/retention/retention.toml is no rules of retention")
    }

    /// The rules of a file, or of the binary.
    ///
    /// # Errors
    ///
    /// What is wrong with the file.
    pub(crate) fn of(file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(file) = file else { return Self::embedded() };
        toml::from_str(&crate::read(file)?)
            .with_context(|| format!("{} is no rules of retention", file.display()))
    }

    /// The rules, by the class of data that they are for.
    pub(crate) fn rules(&self) -> [(&'static str, &Rule); 6] {
        [
            ("consents", &self.consents),
            ("payments", &self.payments),
            ("mandates", &self.mandates),
            ("events", &self.events),
            ("answers", &self.answers),
            ("requests", &self.requests),
        ]
    }

    /// Removes what is kept long enough, everywhere, some of it at a time.
    pub(crate) async fn keep(&self, stores: &Stores, now: Timestamp) -> Result<Removed, store::StoreError> {
        let mut removed = Removed::default();
        for store in stores.regions() {
            let kinds = [
                (SubjectKind::Consents, &self.consents),
                (SubjectKind::Payments, &self.payments),
                (SubjectKind::Mandates, &self.mandates),
            ];
            for (kind, rule) in kinds {
                removed.erased = removed.erased.saturating_add(erase(store, kind, rule, now).await?);
            }
            // Also those that somebody else has begun with.
            store.finish_erasures(now).await?;
            let deleted = [
                store.forget_events(self.events.before(now)).await?,
                store.forget_answers(self.answers.before(now)).await?,
                store.forget_requests(self.requests.before(now)).await?,
            ];
            removed.deleted = deleted.into_iter().fold(removed.deleted, u64::saturating_add);
        }
        Ok(removed)
    }
}

async fn erase(
    store: &RegionalStore,
    kind: SubjectKind,
    rule: &Rule,
    now: Timestamp,
) -> Result<u64, store::StoreError> {
    let mut erased = 0_u64;
    for subject in store.over_since(kind, rule.before(now), AT_ONCE).await? {
        if store.erase_here(subject, "retention", now).await? == Erased::Gone {
            erased = erased.saturating_add(1);
        }
    }
    Ok(erased)
}
