//! Transactions of an account, and one of them with what the bank tells of it alone.

use connect::{
    AccountInformation, BankErrorKind, BankRequest, BankResponse, Profile, TransactionDetails,
    TransactionQuery, TransactionSelection,
};
use domain::{Date, Transaction, TransactionId};
use jiff::ToSpan;
use store::accounts::AccountLink;

use crate::accounts::Source;
use crate::consents::date_of;
use crate::ids::{TransactionProvenance, without_repeats};
use crate::{FlowError, Gateway};

/// An entry with our id.
pub(crate) type Entry = (TransactionId, TransactionProvenance, Transaction);

impl Gateway {
    /// The entries of an account, up to a day.
    pub(crate) async fn entries(
        &self,
        information: &dyn AccountInformation,
        source: &Source<'_>,
        link: &AccountLink,
        to: Option<Date>,
    ) -> Result<Vec<Entry>, FlowError> {
        let cx = self.cx(source);
        let read = |asked: &BankRequest, response: &BankResponse| {
            information.transactions_read(&cx, asked, response)
        };
        let mut entries = Vec::new();
        for (from, to) in windows(&source.profile, date_of(self.now()), source.history_from, to) {
            let query = TransactionQuery { from, to, status: TransactionSelection::Both };
            let first = information.transactions(&cx, &link.resource_id, &query)?;
            entries.extend(self.pages(information, &cx, first, read).await?);
        }
        let entries = without_repeats(entries);
        let ids = self.parts.id_key.transactions(link.account, &entries);
        Ok(ids.into_iter().zip(entries).map(|((id, provenance), entry)| (id, provenance, entry)).collect())
    }

    /// One entry of an account, in full where the consent allows it and the bank tells
    /// more than in its list; none if the list has no such entry.
    pub(crate) async fn entry(
        &self,
        information: &dyn AccountInformation,
        source: &Source<'_>,
        link: &AccountLink,
        wanted: (TransactionId, Option<Date>),
        in_full: bool,
    ) -> Result<Option<Entry>, FlowError> {
        let (id, to) = wanted;
        // The list is asked, as our ids tell nobody the bank's.
        let entries = self.entries(information, source, link, to).await?;
        let Some((id, provenance, listed)) = entries.into_iter().find(|(found, ..)| *found == id) else {
            return Ok(None);
        };
        let offered = information.details().filter(|details| in_full && details.offered(&source.profile));
        let entry = match offered {
            Some(details) => self.in_full(details, source, link, listed).await?,
            None => listed,
        };
        Ok(Some((id, provenance, entry)))
    }

    async fn in_full(
        &self,
        details: &dyn TransactionDetails,
        source: &Source<'_>,
        link: &AccountLink,
        listed: Transaction,
    ) -> Result<Transaction, FlowError> {
        let cx = self.cx(source);
        let Some(request) = details.detail(&cx, &link.resource_id, &listed) else { return Ok(listed) };
        let told = details.detail_read(&cx, &listed, &self.call(&source.profile, request?).await?)?;
        // An identifier that leads to another entry identifies nothing.
        if (told.amount, told.direction) != (listed.amount, listed.direction) {
            return Err(cx.error(BankErrorKind::MalformedResponse).at("amount").into());
        }
        Ok(listed.completed_by(told))
    }
}

/// The first and last days to ask for, the latest first: one after the other where the bank
/// answers for so many days only.
fn windows(
    profile: &Profile,
    today: Date,
    from: Option<Date>,
    to: Option<Date>,
) -> Vec<(Option<Date>, Option<Date>)> {
    let Some(most) = profile.max_days_per_query else { return vec![(from, to)] };
    let before = |day: Date, days: u16| day.saturating_sub(i64::from(days).days());
    let first = from.unwrap_or_else(|| before(today, profile.max_history_days));
    let mut windows = Vec::new();
    // What is dated ahead belongs to the latest one.
    let (mut last, mut end) = (to, to.unwrap_or(today));
    loop {
        let begin = before(end, most.saturating_sub(1)).max(first);
        windows.push((Some(begin), last));
        if begin <= first {
            return windows;
        }
        end = before(begin, 1);
        last = Some(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_time_is_asked_for_in_windows() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        let mut profile =
            Profile::blank("de-bank".parse().unwrap(), "B", "eu".parse().unwrap(), "berlin-group");
        let today = day("2026-11-27");
        let asked = |profile: &Profile, from: Option<&str>, to: Option<&str>| {
            let text = |day: Option<Date>| day.map(|day| day.to_string()).unwrap_or_default();
            windows(profile, today, from.map(day), to.map(day))
                .into_iter()
                .map(|(from, to)| (text(from), text(to)))
                .collect::<Vec<_>>()
        };
        let window = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(asked(&profile, None, None), [window("", "")]);
        profile.max_days_per_query = Some(30);
        let parts = [("2026-10-29", ""), ("2026-09-29", "2026-10-28"), ("2026-09-20", "2026-09-28")];
        assert_eq!(asked(&profile, Some("2026-09-20"), None), parts.map(|(from, to)| window(from, to)));
        assert_eq!(asked(&profile, Some("2026-10-29"), None), [window("2026-10-29", "")]);
        assert_eq!(asked(&profile, Some("2026-11-30"), None), [window("2026-11-30", "")]);
        let parts = [("2026-01-03", "2026-02-01"), ("2026-01-02", "2026-01-02")];
        assert_eq!(asked(&profile, Some("2026-01-02"), Some("2026-02-01")), parts.map(|(f, t)| window(f, t)));
        // Without a wish, as far back as the bank goes.
        profile.max_history_days = 31;
        assert_eq!(
            asked(&profile, None, None),
            [("2026-10-29", ""), ("2026-10-27", "2026-10-28")].map(|(f, t)| window(f, t))
        );
    }
}
