//! Identifiers that outlive a consent.
//!
//! An account's id is a keyed digest of who asks, where the account is held
//! and how it is identified; a transaction's id one of its account and the
//! bank's id of it, or its content where the bank has no stable id. The same
//! account therefore keeps its ids after every re-consent, and nobody without
//! the key learns a number from an id.

use std::collections::HashMap;

use crypto::digest::MacKey;
use domain::{Account, AccountId, AccountIdentification, InstitutionId, Region, Transaction, TransactionId};
use uuid::Uuid;

/// The key of the digests. Losing it changes every id.
#[derive(Clone)]
pub struct IdKey(MacKey);

impl std::fmt::Debug for IdKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdKey(…)")
    }
}

/// Where the identity of a transaction comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionProvenance {
    /// The bank's own identifier.
    Bank,
    /// A digest of the content.
    Synthetic,
}

impl TransactionProvenance {
    /// Code of our API.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Bank => "BANK",
            Self::Synthetic => "SYNTHETIC",
        }
    }
}

impl IdKey {
    /// A key from 32 random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(MacKey::new(&bytes))
    }

    /// Keyed digest of some parts; their borders count.
    #[must_use]
    pub fn digest(&self, parts: &[&str]) -> [u8; 32] {
        let length = parts.iter().map(|part| part.len().saturating_add(8)).sum();
        let mut message = Vec::with_capacity(length);
        for part in parts {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            message.extend_from_slice(&length.to_be_bytes());
            message.extend_from_slice(part.as_bytes());
        }
        self.0.digest(&message)
    }

    /// A UUID of version 7 that is the same for the same instant and parts.
    pub(crate) fn uuid_of(&self, at: domain::Timestamp, parts: &[&str]) -> Uuid {
        let mut bytes = [0; 10];
        for (slot, byte) in bytes.iter_mut().zip(self.digest(parts)) {
            *slot = byte;
        }
        let millis = u64::try_from(at.as_millisecond()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    }

    fn uuid(&self, parts: &[&str]) -> Uuid {
        let mut bytes = [0; 16];
        for (slot, byte) in bytes.iter_mut().zip(self.digest(parts)) {
            *slot = byte;
        }
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// Id of an account as `client` sees it.
    #[must_use]
    pub fn account(
        &self,
        client: &str,
        institution: &InstitutionId,
        region: Region,
        account: &Account,
    ) -> AccountId {
        let identity = primary(&account.identifications)
            .map_or_else(|| format!("resource:{}", account.resource_id), AccountIdentification::normalised);
        let currency = account.currency.map_or("", |currency| currency.code());
        let parts = ["account", client, institution.as_str(), &identity, currency];
        AccountId::from_uuid(region, self.uuid(&parts))
    }

    /// Ids of an account's transactions. Of entries with the same content, the
    /// first, second, … get ids of their own.
    #[must_use]
    pub fn transactions(
        &self,
        account: AccountId,
        transactions: &[Transaction],
    ) -> Vec<(TransactionId, TransactionProvenance)> {
        let mut bank_ids: HashMap<&str, usize> = HashMap::new();
        for id in transactions.iter().filter_map(|entry| entry.bank_transaction_id.as_deref()) {
            *bank_ids.entry(id).or_default() += 1;
        }
        let mut seen: HashMap<String, u32> = HashMap::new();
        let account_text = account.to_string();
        let id = |provenance: TransactionProvenance, identity: &str, nth: &str| {
            let parts = ["transaction", &account_text, provenance.code(), identity, nth];
            (TransactionId::from_uuid(account.region(), self.uuid(&parts)), provenance)
        };
        transactions
            .iter()
            .map(|entry| {
                // An id that the bank gives to two entries identifies neither.
                let unique = entry.bank_transaction_id.as_deref().filter(|id| bank_ids.get(id) == Some(&1));
                if let Some(unique) = unique {
                    return id(TransactionProvenance::Bank, unique, "1");
                }
                let content = content(entry);
                let nth = seen.get(&content).copied().unwrap_or_default().saturating_add(1);
                let found = id(TransactionProvenance::Synthetic, &content, &nth.to_string());
                seen.insert(content, nth);
                found
            })
            .collect()
    }
}

/// Drops the repeats of entries that a bank delivers twice, as it does where its pages
/// overlap: the same identifier of the bank's and the same content. Where one
/// identifier stands for different contents, the bank's identifiers say nothing, and
/// equal entries are entries of their own.
pub(crate) fn without_repeats(entries: Vec<Transaction>) -> Vec<Transaction> {
    let mut first: HashMap<&str, &Transaction> = HashMap::with_capacity(entries.len());
    let mut repeated = mirrored(&entries);
    for (entry, repeated) in entries.iter().zip(&mut repeated) {
        let Some(id) = entry.bank_transaction_id.as_deref() else { continue };
        match first.get(id) {
            None => {
                first.insert(id, entry);
            }
            Some(known) if content(known) == content(entry) => *repeated = true,
            Some(_) => return entries,
        }
    }
    entries.into_iter().zip(repeated).filter(|(_, repeated)| !repeated).map(|(entry, _)| entry).collect()
}

/// Which entries tell a booking again with its two days exchanged, as a bank without
/// identifiers does: everything else is the same, and the days differ.
fn mirrored(entries: &[Transaction]) -> Vec<bool> {
    let days = |entry: &Transaction| Some((entry.booking_date?, entry.value_date?));
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut mirror = |entry: &Transaction| {
        let (booked, value) = days(entry).filter(|(booked, value)| booked != value)?;
        if entry.bank_transaction_id.is_some() || entry.entry_reference.is_some() {
            return None;
        }
        if let Some(untold) =
            seen.get_mut(&content_on(entry, (Some(value), Some(booked)))).filter(|untold| **untold > 0)
        {
            *untold = untold.saturating_sub(1);
            return Some(());
        }
        *seen.entry(content(entry)).or_default() += 1;
        None
    };
    entries.iter().map(|entry| mirror(entry).is_some()).collect()
}

fn primary(identifications: &[AccountIdentification]) -> Option<&AccountIdentification> {
    let rank = |identification: &AccountIdentification| match identification {
        AccountIdentification::Iban(_) => 0,
        AccountIdentification::SortCode(_) => 1,
        AccountIdentification::Bban(_) => 2,
        AccountIdentification::Other { .. } => 3,
        AccountIdentification::MaskedPan(_) => 4,
    };
    identifications.iter().min_by_key(|identification| rank(identification))
}

/// All there is to an entry but the bank's id of it, as one text.
#[must_use]
pub fn content(entry: &Transaction) -> String {
    content_on(entry, (entry.booking_date, entry.value_date))
}

/// The same, as if it were booked and of value on these days.
fn content_on(entry: &Transaction, (booked, value): (Option<domain::Date>, Option<domain::Date>)) -> String {
    let date = |date: Option<domain::Date>| date.map(|date| date.to_string()).unwrap_or_default();
    let after = entry.balance_after.map(|(money, direction)| format!("{money}{}", direction.code()));
    let account = |account: &Option<AccountIdentification>| {
        account.as_ref().map(AccountIdentification::normalised).unwrap_or_default()
    };
    [
        entry.status.code().to_owned(),
        date(booked),
        date(value),
        entry.amount.to_string(),
        entry.direction.code().to_owned(),
        entry.creditor_name.clone().unwrap_or_default().into_inner(),
        account(&entry.creditor_account),
        entry.debtor_name.clone().unwrap_or_default().into_inner(),
        account(&entry.debtor_account),
        entry.remittance.join("\u{1f}"),
        entry.references.join("\u{1f}"),
        entry.end_to_end_id.clone().unwrap_or_default().into_inner(),
        after.unwrap_or_default(),
    ]
    .join("\u{1e}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{BookingStatus, CreditDebit, Money};

    fn key() -> IdKey {
        IdKey::new([7; 32])
    }

    fn account(resource_id: &str, iban: &str) -> Account {
        Account {
            resource_id: resource_id.into(),
            identifications: vec![AccountIdentification::Iban(iban.parse().unwrap())],
            currency: Some("EUR".parse().unwrap()),
            display_name: None,
            product: None,
            holders: Vec::new(),
            cash_account_type: None,
            usage: domain::AccountUsage::Unknown,
            status: domain::AccountStatus::Unknown,
            bic: None,
            balances: Vec::new(),
        }
    }

    fn entry(bank_id: Option<&str>, text: &str) -> Transaction {
        Transaction {
            bank_transaction_id: bank_id.map(str::to_owned),
            entry_reference: None,
            end_to_end_id: None,
            mandate_id: None,
            status: BookingStatus::Booked,
            amount: Money::parse("5.00", "EUR".parse().unwrap()).unwrap(),
            direction: CreditDebit::Debit,
            booking_date: Some("2026-01-02".parse().unwrap()),
            value_date: None,
            booked_at: None,
            creditor_name: None,
            creditor_account: None,
            debtor_name: None,
            debtor_account: None,
            remittance: vec![text.to_owned().into()],
            references: Vec::new(),
            bank_transaction_code: None,
            proprietary_code: None,
            merchant_category_code: None,
            balance_after: None,
        }
    }

    /// Invariant 4: re-consent keeps account and transaction ids.
    #[test]
    fn a_new_resource_name_at_the_bank_does_not_change_the_account() {
        let (bank, region) = ("de-rheinbank".parse().unwrap(), "eu".parse().unwrap());
        let before = key().account("tpp", &bank, region, &account("r-1", "DE89370400440532013000"));
        let after = key().account("tpp", &bank, region, &account("r-2", "DE89370400440532013000"));
        assert_eq!(before, after);
        let other = key().account("other-tpp", &bank, region, &account("r-1", "DE89370400440532013000"));
        assert_ne!(before, other);
    }

    #[test]
    fn an_entry_that_is_delivered_twice_is_one() {
        let twice = [entry(Some("1"), "a"), entry(Some("2"), "b"), entry(Some("1"), "a"), entry(None, "c")];
        assert_eq!(without_repeats(twice.to_vec()), [twice[0].clone(), twice[1].clone(), twice[3].clone()]);
        // Without an identifier two equal entries are two: so one pays for two coffees.
        let coffees = [entry(None, "c"), entry(None, "c")];
        assert_eq!(without_repeats(coffees.to_vec()), coffees);
        // An identifier of two contents identifies nothing, nor do the others.
        let reused =
            [entry(Some("1"), "a"), entry(Some("1"), "a"), entry(Some("2"), "a"), entry(Some("2"), "b")];
        assert_eq!(without_repeats(reused.to_vec()), reused);
    }

    /// A bank without identifiers tells one booking twice, its two days exchanged.
    #[test]
    fn a_booking_told_again_with_its_days_exchanged_is_one() {
        let day = |text: &str| Some(text.parse().unwrap());
        let dated = |id: Option<&str>, booked: &str, value: &str| Transaction {
            booking_date: day(booked),
            value_date: day(value),
            ..entry(id, "interest")
        };
        let (one, other) = (dated(None, "2026-05-04", "2026-05-06"), dated(None, "2026-05-06", "2026-05-04"));
        assert_eq!(without_repeats(vec![one.clone(), other.clone()]), std::slice::from_ref(&one));
        // Two that were told as often are two, and days that are the same mirror nothing.
        let twice = vec![one.clone(), one.clone(), other.clone(), other.clone()];
        assert_eq!(without_repeats(twice), [one.clone(), one.clone()]);
        let same = vec![dated(None, "2026-05-04", "2026-05-04"), dated(None, "2026-05-04", "2026-05-04")];
        assert_eq!(without_repeats(same.clone()), same);
        // What the bank has names for is what the bank says it is.
        let named =
            vec![dated(Some("1"), "2026-05-04", "2026-05-06"), dated(Some("2"), "2026-05-06", "2026-05-04")];
        assert_eq!(without_repeats(named.clone()), named);
    }

    #[test]
    fn equal_entries_and_reused_bank_ids_still_get_ids_of_their_own() {
        let account = AccountId::from_uuid("eu".parse().unwrap(), Uuid::from_u128(1));
        let entries = [
            entry(Some("1"), "a"),
            entry(Some("x"), "b"),
            entry(Some("x"), "c"),
            entry(None, "d"),
            entry(None, "d"),
        ];
        let ids = key().transactions(account, &entries);
        let distinct: std::collections::HashSet<_> = ids.iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(distinct.len(), entries.len());
        let sources: Vec<_> = ids.iter().map(|(_, source)| source.code()).collect();
        assert_eq!(sources, ["BANK", "SYNTHETIC", "SYNTHETIC", "SYNTHETIC", "SYNTHETIC"]);
        assert_eq!(ids, key().transactions(account, &entries));
    }
}
