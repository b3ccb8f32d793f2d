//! Fingerprints of entries, and what two lists of them say.

use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use domain::{BookingStatus, Pii, Region, Transaction, TransactionId};
use uuid::Uuid;

use crate::ids::{IdKey, content};

/// How sure it is that a booked entry is what a pending one became.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// Amount and direction alone agree, and nothing else fits as well.
    Low,
    /// Amount, direction, and counterparty or purpose agree.
    High,
    /// An identifier of the payment agrees.
    Exact,
}

impl Confidence {
    /// Code of our API.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Low => "LOW",
            Self::High => "HIGH",
            Self::Exact => "EXACT",
        }
    }
}

type Print = [u8; 8];
const NOTHING: Print = [0; 8];

/// What is kept of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    id: [u8; 16],
    /// Of all there is to it.
    content: Print,
    /// Of amount and direction.
    amount: Print,
    /// Of the counterparty's name or account.
    party: Print,
    /// Of the purpose.
    purpose: Print,
    /// Of an identifier that a payment keeps (end-to-end id, entry reference).
    reference: Print,
    /// Days since 1970 of booking; zero where there is none.
    day: i32,
    pending: bool,
}

/// Bytes of a mark.
const LENGTH: usize = 16 + 5 * 8 + 4 + 1;

impl Mark {
    pub(super) fn of(key: &IdKey, id: TransactionId, entry: &Transaction) -> Self {
        let print = |what: &str, text: &str| -> Print {
            if text.is_empty() {
                return NOTHING;
            }
            let digest = key.digest(&["mark", what, text]);
            digest.first_chunk().copied().unwrap_or(NOTHING)
        };
        let name = |name: &Option<Pii<String>>| name.as_deref().unwrap_or_default().to_lowercase();
        let party = format!("{}{}", name(&entry.creditor_name), name(&entry.debtor_name));
        let reference = entry.end_to_end_id.as_deref().or(entry.entry_reference.as_deref());
        let day = entry.booking_date.or(entry.value_date);
        Self {
            id: *id.uuid().as_bytes(),
            content: print("content", &content(entry)),
            amount: print("amount", &format!("{}{}", entry.amount, entry.direction.code())),
            party: print("party", &party),
            purpose: print("purpose", &entry.remittance.join(" ").to_lowercase()),
            reference: print("reference", reference.unwrap_or_default()),
            day: day.map_or(0, days),
            pending: entry.status == BookingStatus::Pending,
        }
    }

    pub(super) fn transaction(&self, region: Region) -> TransactionId {
        TransactionId::from_uuid(region, Uuid::from_bytes(self.id))
    }

    fn bytes(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id);
        for print in [self.content, self.amount, self.party, self.purpose, self.reference] {
            out.extend_from_slice(&print);
        }
        out.extend_from_slice(&self.day.to_be_bytes());
        out.push(u8::from(self.pending));
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk::<16>()?;
        let (content, rest) = rest.split_first_chunk()?;
        let (amount, rest) = rest.split_first_chunk()?;
        let (party, rest) = rest.split_first_chunk()?;
        let (purpose, rest) = rest.split_first_chunk()?;
        let (reference, rest) = rest.split_first_chunk()?;
        let (day, rest) = rest.split_first_chunk()?;
        Some(Self {
            id: *id,
            content: *content,
            amount: *amount,
            party: *party,
            purpose: *purpose,
            reference: *reference,
            day: i32::from_be_bytes(*day),
            pending: rest == [1],
        })
    }

    /// How sure it is that `self`, newly booked, was `old`.
    fn was(&self, old: &Self) -> Option<Confidence> {
        let same = |one: Print, other: Print| one != NOTHING && one == other;
        if self.amount != old.amount {
            return None;
        }
        if same(self.reference, old.reference) {
            return Some(Confidence::Exact);
        }
        if same(self.party, old.party) || same(self.purpose, old.purpose) {
            return Some(Confidence::High);
        }
        Some(Confidence::Low)
    }
}

fn days(date: domain::Date) -> i32 {
    let epoch = domain::Date::constant(1970, 1, 1);
    epoch.until(date).map_or(0, |span| span.get_days())
}

/// Marks as one text.
pub(super) fn text(marks: &[Mark]) -> String {
    let mut bytes = Vec::with_capacity(marks.len().saturating_mul(LENGTH));
    for mark in marks {
        mark.bytes(&mut bytes);
    }
    STANDARD_NO_PAD.encode(bytes)
}

/// The marks of a text.
pub(super) fn parse(text: &str) -> Option<Vec<Mark>> {
    let bytes = STANDARD_NO_PAD.decode(text).ok()?;
    let chunks = bytes.chunks_exact(LENGTH);
    chunks.remainder().is_empty().then(|| chunks.map(Mark::read).collect())?
}

/// What two lists say, the older one first.
pub(super) struct Difference {
    known: HashMap<[u8; 16], Mark>,
    replaced: HashMap<[u8; 16], (Mark, Confidence)>,
    pub(super) removed: Vec<Mark>,
}

/// What happened to one entry.
pub(super) enum Change {
    None,
    Modified,
    Added(Option<(Mark, Confidence)>),
}

impl Difference {
    pub(super) fn of(&self, mark: &Mark) -> Change {
        match self.known.get(&mark.id) {
            None => Change::Added(self.replaced.get(&mark.id).copied()),
            Some(before) if before.content == mark.content => Change::None,
            Some(_) => Change::Modified,
        }
    }
}

/// Compares what a client was told with what there is now.
///
/// An entry that fell out of the bank's window of history is not removed: only
/// what is younger than the oldest entry of now, or was pending, can be.
pub(super) fn compare(before: &[Mark], now: &[Mark]) -> Difference {
    let present: HashSet<[u8; 16]> = now.iter().map(|mark| mark.id).collect();
    let known: HashMap<[u8; 16], Mark> = before.iter().map(|mark| (mark.id, *mark)).collect();
    let oldest = now.iter().filter(|mark| mark.day != 0).map(|mark| mark.day).min();
    let gone = before.iter().filter(|mark| !present.contains(&mark.id));
    let removed: Vec<Mark> =
        gone.filter(|mark| mark.pending || oldest.is_some_and(|oldest| mark.day > oldest)).copied().collect();

    // Each pending entry that is gone became one booked entry at most: the
    // surest pairs are made first, and of equals the one with the fewest days between.
    let mut pairs: Vec<(Confidence, i32, Mark, Mark)> = Vec::new();
    let fresh = now.iter().filter(|mark| !mark.pending && !known.contains_key(&mark.id));
    for new in fresh {
        for old in removed.iter().filter(|old| old.pending) {
            if let Some(confidence) = new.was(old) {
                let apart = new.day.saturating_sub(old.day).abs();
                pairs.push((confidence, apart, *new, *old));
            }
        }
    }
    pairs.sort_by(|one, other| (other.0, one.1).cmp(&(one.0, other.1)));
    let mut replaced: HashMap<[u8; 16], (Mark, Confidence)> = HashMap::new();
    let mut taken: HashSet<[u8; 16]> = HashSet::new();
    for (confidence, _, new, old) in pairs {
        if !replaced.contains_key(&new.id) && taken.insert(old.id) {
            replaced.insert(new.id, (old, confidence));
        }
    }
    Difference { known, replaced, removed }
}

#[cfg(test)]
mod tests;
