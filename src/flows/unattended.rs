//! Calls without the PSU: counted before the bank is called, at most so many a
//! day (RTS art. 36(5)(b)).

use connect::{Profile, UnattendedCounting};
use domain::{AccountId, ConsentId, Timestamp};
use jiff::ToSpan;
use store::consents::ConsentRow;

use crate::consents::{date_of, end_of};
use crate::read::Read;
use crate::{FlowError, Gateway};

/// How many calls without the PSU a consent has left today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unattended {
    /// The consent.
    pub consent: ConsentId,
    /// Calls a day, of all kinds together.
    pub limit: u8,
    /// Calls of today.
    pub used: u8,
    /// When the next day begins (UTC).
    pub resets_at: Timestamp,
    /// When this was so.
    pub as_of: Timestamp,
}

impl Unattended {
    /// Calls that are left.
    #[must_use]
    pub fn remaining(&self) -> u8 {
        self.limit.saturating_sub(self.used)
    }

    /// Seconds until the next day; at least 1.
    #[must_use]
    pub fn resets_in(&self) -> u64 {
        let left = self.resets_at.duration_since(self.as_of).as_millis();
        u64::try_from(left).unwrap_or(0).div_ceil(1_000).max(1)
    }
}

impl Gateway {
    /// How many accesses without the PSU a consent has left today; none where its bank counts
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if the store fails.
    pub async fn unattended(&self, consent: &ConsentRow) -> Result<Option<Unattended>, FlowError> {
        if !self.counts(consent) {
            return Ok(None);
        }
        let store = self.parts.stores.region(consent.id.region())?;
        let used = store.unattended_calls(consent.id, date_of(self.now())).await?;
        Ok(Some(self.count(consent, used)))
    }

    /// The same, of a consent with so many of today.
    pub(crate) fn unattended_of(&self, consent: &ConsentRow, used: i64) -> Option<Unattended> {
        self.counts(consent).then(|| self.count(consent, used))
    }

    /// Whether its bank counts accesses without the PSU.
    fn counts(&self, consent: &ConsentRow) -> bool {
        let bank = consent.institution.as_ref().and_then(|id| self.parts.registry.profile(id));
        bank.is_none_or(|profile| profile.unattended != UnattendedCounting::Unlimited)
    }

    /// Takes one of the day's accesses without the PSU, as the bank counts them: for each
    /// thing that is read, where they are counted apart. None where nothing is counted.
    pub(crate) async fn take_unattended(
        &self,
        profile: &Profile,
        consent: &ConsentRow,
        read: Read<'_>,
        accounts: &[AccountId],
    ) -> Result<Option<Unattended>, FlowError> {
        let kind = read.kind().as_str();
        let mut slot = None;
        let items = match profile.unattended {
            UnattendedCounting::Unlimited => return Ok(None),
            UnattendedCounting::Together => vec![String::new()],
            UnattendedCounting::Slots(minutes) => {
                slot = Some(slot_of(self.now(), minutes));
                vec![String::new()]
            }
            UnattendedCounting::Apart if read == Read::Accounts || accounts.is_empty() => {
                vec![kind.to_owned()]
            }
            UnattendedCounting::Apart => accounts.iter().map(|account| format!("{kind} {account}")).collect(),
        };
        let store = self.parts.stores.region(consent.id.region())?;
        let (day, limit) = (date_of(self.now()), consent.terms.frequency_per_day);
        let mut most = 0;
        for item in items {
            match store.take_unattended_call(consent.id, &item, day, slot, limit).await? {
                Some(used) => most = most.max(used),
                None => return Err(FlowError::UnattendedUsedUp(self.count(consent, i64::from(limit)))),
            }
        }
        Ok(Some(self.count(consent, most)))
    }

    /// Whether transactions are asked for from before what is given without the PSU (RTS art. 10).
    pub(crate) fn is_beyond_history(&self, consent: &ConsentRow, read: Read<'_>) -> bool {
        match read {
            Read::Transactions(window) | Read::Transaction(_, window) => {
                window.from.is_some_and(|from| from < self.earliest(consent))
            }
            Read::Accounts | Read::Balances | Read::Resource(_) | Read::StatementFile(_) => false,
        }
    }

    /// The first day of transactions that is given without the PSU.
    pub(crate) fn earliest(&self, consent: &ConsentRow) -> domain::Date {
        let days = self.rules_of(consent).history_days_without_sca;
        date_of(self.now()).saturating_sub(i64::from(days).days())
    }

    fn count(&self, consent: &ConsentRow, used: i64) -> Unattended {
        let now = self.now();
        Unattended {
            consent: consent.id,
            limit: consent.terms.frequency_per_day,
            used: u8::try_from(used).unwrap_or(u8::MAX),
            resets_at: end_of(date_of(now)).unwrap_or(now),
            as_of: now,
        }
    }
}

/// The part of a day, of so many minutes, in which an instant lies.
fn slot_of(at: Timestamp, minutes: u16) -> i64 {
    let second = at.as_second().rem_euclid(24 * 60 * 60);
    second.div_euclid(i64::from(minutes.max(1)).saturating_mul(60))
}
