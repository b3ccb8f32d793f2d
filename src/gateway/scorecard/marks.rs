//! What was seen of a bank, judged. Nothing of a person is in a mark: counts and days only.

use std::collections::{BTreeSet, HashMap, HashSet};

use domain::{Account, BookingStatus, Date, Transaction};

/// Days that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Days {
    pub(crate) from: Date,
    pub(crate) to: Date,
}

/// A list as it was read to its end, or to where that failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) entries: Vec<Transaction>,
    pub(crate) pages: usize,
    /// What ended it before its end: our word for it.
    pub(crate) trouble: Option<String>,
}

/// What was read of one account.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) days: Days,
    /// All of the days.
    pub(crate) whole: Listing,
    /// The same once more.
    pub(crate) again: Listing,
    /// The older half of the days alone.
    pub(crate) older: Listing,
    /// The last day of that half.
    pub(crate) older_to: Date,
}

/// All that was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The accounts, as often as they were read.
    pub(crate) accounts: Vec<Vec<Account>>,
    /// What kept balances from being read: our words for it.
    pub(crate) balances: Vec<Option<String>>,
    pub(crate) histories: Vec<History>,
    /// How the bank refused an account that does not exist; an error of ours, if it was
    /// one that we know.
    pub(crate) refusal: Option<Result<String, String>>,
    /// Whether a consent that we ended gave nothing more.
    pub(crate) ended: Option<bool>,
}

/// How it is with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it should be.
    Yes,
    /// Not.
    No,
    /// There was nothing to tell it by.
    Unseen,
}

impl Verdict {
    /// A word for programs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unseen => "unseen",
        }
    }

    fn of(seen: usize, wrong: usize) -> Self {
        match (seen, wrong) {
            (0, _) => Self::Unseen,
            (_, 0) => Self::Yes,
            _ => Self::No,
        }
    }
}

/// One line of a scorecard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Name for programs.
    pub(crate) name: &'static str,
    /// How it is.
    pub(crate) verdict: Verdict,
    /// By what that is told.
    pub(crate) detail: String,
}

fn mark(name: &'static str, verdict: Verdict, detail: String) -> Mark {
    Mark { name, verdict, detail }
}

impl Seen {
    /// Every mark, in the order of the table in the docs.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        vec![
            self.account_ids(),
            self.account_numbers(),
            self.balances_read(),
            self.transactions_read(),
            self.paging(),
            self.repeats(),
            self.ids_given(),
            self.ids_unique(),
            self.ids_stable(),
            self.dates(),
            self.window(),
            self.whole(),
            self.errors(),
            self.ending(),
        ]
    }

    fn account_ids(&self) -> Mark {
        let ids = |accounts: &Vec<Account>| -> HashSet<String> {
            accounts.iter().map(|account| account.resource_id.clone()).collect()
        };
        let (seen, wrong) = match self.accounts.as_slice() {
            [first, again, ..] if !first.is_empty() => {
                (first.len(), ids(first).symmetric_difference(&ids(again)).count())
            }
            _ => (0, 0),
        };
        mark(
            "account-ids-stable",
            Verdict::of(seen, wrong),
            format!("{seen} accounts, {wrong} ids of one read only"),
        )
    }

    fn account_numbers(&self) -> Mark {
        let first = self.accounts.first().map_or(&[][..], Vec::as_slice);
        let bare = first.iter().filter(|account| account.identifications.is_empty()).count();
        let detail = format!("{bare} of {} accounts without a number", first.len());
        mark("account-numbers-given", Verdict::of(first.len(), bare), detail)
    }

    fn balances_read(&self) -> Mark {
        let troubles: Vec<&str> = self.balances.iter().filter_map(Option::as_deref).collect();
        let verdict = Verdict::of(self.balances.len(), troubles.len());
        mark("balances-readable", verdict, told(self.balances.len(), "accounts", &troubles))
    }

    fn listings(&self) -> impl Iterator<Item = &Listing> {
        self.histories.iter().flat_map(|history| [&history.whole, &history.again, &history.older])
    }

    fn wholes(&self) -> impl Iterator<Item = &Listing> {
        self.histories.iter().map(|history| &history.whole)
    }

    fn entries(&self) -> impl Iterator<Item = &Transaction> {
        self.wholes().flat_map(|listing| &listing.entries)
    }

    fn transactions_read(&self) -> Mark {
        let troubles: Vec<&str> = self.listings().filter_map(|listing| listing.trouble.as_deref()).collect();
        let lists = self.listings().count();
        mark("transactions-readable", Verdict::of(lists, troubles.len()), told(lists, "lists", &troubles))
    }

    fn paging(&self) -> Mark {
        let of_pages = |listing: &&Listing| listing.pages > 1;
        let lists = self.listings().filter(of_pages).count();
        let broken = self.listings().filter(of_pages).filter(|listing| listing.trouble.is_some()).count();
        let pages: usize = self.listings().map(|listing| listing.pages).sum();
        let detail = format!("{lists} lists of several pages, {broken} without an end, {pages} pages in all");
        mark("paging-ends", Verdict::of(lists, broken), detail)
    }

    fn repeats(&self) -> Mark {
        let (mut seen, mut repeated) = (0_usize, 0_usize);
        for listing in self.wholes() {
            let mut known = HashSet::new();
            for entry in &listing.entries {
                let Some(id) = &entry.bank_transaction_id else { continue };
                seen = seen.saturating_add(1);
                if !known.insert((id, flows::entry_content(entry))) {
                    repeated = repeated.saturating_add(1);
                }
            }
        }
        let detail = format!("{repeated} of {seen} entries come twice");
        mark("entries-once", Verdict::of(seen, repeated), detail)
    }

    fn ids_given(&self) -> Mark {
        let booked = |entry: &&Transaction| entry.status == BookingStatus::Booked;
        let all = self.entries().filter(booked).count();
        let bare = self.entries().filter(booked).filter(|entry| entry.bank_transaction_id.is_none()).count();
        let detail = format!("{bare} of {all} booked entries without an id");
        mark("transaction-ids-given", Verdict::of(all, bare), detail)
    }

    fn ids_unique(&self) -> Mark {
        let (mut seen, mut shared) = (0_usize, 0_usize);
        for listing in self.wholes() {
            let mut contents: HashMap<&str, HashSet<String>> = HashMap::new();
            for entry in &listing.entries {
                if let Some(id) = &entry.bank_transaction_id {
                    contents.entry(id).or_default().insert(flows::entry_content(entry));
                }
            }
            seen = seen.saturating_add(contents.len());
            shared = shared.saturating_add(contents.values().filter(|contents| contents.len() > 1).count());
        }
        let detail = format!("{shared} of {seen} ids for several entries");
        mark("transaction-ids-unique", Verdict::of(seen, shared), detail)
    }

    fn ids_stable(&self) -> Mark {
        let (mut seen, mut changed) = (0_usize, 0_usize);
        for history in &self.histories {
            let ids = |listing: &Listing| {
                let mut ids: HashMap<String, BTreeSet<String>> = HashMap::new();
                for entry in &listing.entries {
                    if let Some(id) = &entry.bank_transaction_id {
                        ids.entry(flows::entry_content(entry)).or_default().insert(id.clone());
                    }
                }
                ids
            };
            let again = ids(&history.again);
            for (content, ids) in ids(&history.whole) {
                let Some(later) = again.get(&content) else { continue };
                seen = seen.saturating_add(1);
                if *later != ids {
                    changed = changed.saturating_add(1);
                }
            }
        }
        let detail = format!("{changed} of {seen} entries have another id at the second read");
        mark("transaction-ids-stable", Verdict::of(seen, changed), detail)
    }

    fn dates(&self) -> Mark {
        let (mut seen, mut wrong) = (0_usize, 0_usize);
        for history in &self.histories {
            for entry in history.whole.entries.iter().filter(|entry| entry.status == BookingStatus::Booked) {
                seen = seen.saturating_add(1);
                if entry.booking_date.is_none_or(|day| day > history.days.to) {
                    wrong = wrong.saturating_add(1);
                }
            }
        }
        let detail = format!("{wrong} of {seen} booked entries without a day, or with one to come");
        mark("booking-days-right", Verdict::of(seen, wrong), detail)
    }

    fn window(&self) -> Mark {
        let (mut seen, mut outside) = (0_usize, 0_usize);
        for history in &self.histories {
            for entry in &history.older.entries {
                let Some(day) = entry.booking_date else { continue };
                seen = seen.saturating_add(1);
                if day < history.days.from || day > history.older_to {
                    outside = outside.saturating_add(1);
                }
            }
        }
        let detail = format!("{outside} of {seen} entries outside the days that were asked for");
        mark("days-kept", Verdict::of(seen, outside), detail)
    }

    /// What a bank leaves out of a long list, it has to show in a short one.
    fn whole(&self) -> Mark {
        let (mut seen, mut missing) = (0_usize, 0_usize);
        for history in &self.histories {
            let mut told: HashMap<String, usize> = HashMap::new();
            for entry in &history.whole.entries {
                let count = told.entry(flows::entry_content(entry)).or_default();
                *count = count.saturating_add(1);
            }
            let booked = |entry: &&Transaction| {
                entry.status == BookingStatus::Booked
                    && entry
                        .booking_date
                        .is_some_and(|day| day >= history.days.from && day <= history.older_to)
            };
            for entry in history.older.entries.iter().filter(booked) {
                seen = seen.saturating_add(1);
                match told.get_mut(&flows::entry_content(entry)) {
                    Some(count) if *count > 0 => *count = count.saturating_sub(1),
                    Some(_) | None => missing = missing.saturating_add(1),
                }
            }
        }
        let detail = format!("{missing} of {seen} older entries are missing in the whole list");
        mark("history-whole", Verdict::of(seen, missing), detail)
    }

    fn errors(&self) -> Mark {
        let (verdict, detail) = match &self.refusal {
            None => (Verdict::Unseen, "not tried".to_owned()),
            Some(Ok(how)) => (Verdict::Yes, format!("an unknown account is {how}")),
            Some(Err(how)) => (Verdict::No, format!("an unknown account is {how}")),
        };
        mark("errors-in-form", verdict, detail)
    }

    fn ending(&self) -> Mark {
        let (verdict, detail) = match self.ended {
            None => (Verdict::Unseen, "the standard ends no consent"),
            Some(true) => (Verdict::Yes, "nothing is read after it was ended"),
            Some(false) => (Verdict::No, "accounts are read after it was ended"),
        };
        mark("consent-ends", verdict, detail.to_owned())
    }
}

fn told(seen: usize, what: &str, troubles: &[&str]) -> String {
    match troubles.first() {
        None => format!("{seen} {what}"),
        Some(first) => format!("{} of {seen} {what} not, first: {first}", troubles.len()),
    }
}

#[cfg(test)]
mod tests;
