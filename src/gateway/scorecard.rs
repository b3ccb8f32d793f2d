//! What a bank's interface is worth to those who build on it, found by reading only:
//! one consent, everything twice, and the consent ended.

mod marks;

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use connect::{
    AccountInformation, BankError, BankErrorKind, BankRequest, BankResponse, CallContext, Page, PageGuard,
    TransactionQuery,
};
use domain::{Account, Date};
use jiff::ToSpan;
use serde_json::{Value, json};

use crate::probe::{Probe, fresh};
use marks::{Days, History, Listing, Seen};
pub(crate) use marks::{Mark, Verdict};

/// Most accounts that are read.
const MOST_ACCOUNTS: usize = 5;
/// Most pages of a list that are read.
const MOST_PAGES: usize = 40;
/// Days of history that are read: what a bank gives without fresh authentication (RTS Art. 10).
const DAYS: i64 = 89;
/// No account of anybody.
const UNKNOWN: &str = "00000000-consentry-unknown";

/// A scorecard in the making.
#[derive(Default)]
pub(crate) struct Scorecard(Mutex<Notes>);

#[derive(Default)]
struct Notes {
    seen: Seen,
    times: Vec<u128>,
}

/// How long the bank took for its answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) calls: usize,
    pub(crate) median_ms: u128,
    pub(crate) slowest_ms: u128,
}

impl Scorecard {
    /// The marks and the pace.
    pub(crate) fn finish(self) -> (Vec<Mark>, Pace) {
        let mut notes = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        notes.times.sort_unstable();
        let at = |index: usize| notes.times.get(index).copied().unwrap_or_default();
        let calls = notes.times.len();
        let pace = Pace { calls, median_ms: at(calls / 2), slowest_ms: at(calls.saturating_sub(1)) };
        (notes.seen.marks(), pace)
    }

    /// Reads all there is to read, twice. What goes wrong is a mark, not an error.
    pub(crate) async fn examine(
        &self,
        probe: &Probe<'_>,
        bank: &dyn AccountInformation,
        cx: &CallContext<'_>,
    ) -> Result<usize, BankError> {
        let first = self.accounts(probe, bank, cx).await?;
        let again = self.accounts(probe, bank, cx).await?;
        let ids: Vec<String> =
            first.iter().take(MOST_ACCOUNTS).map(|account| account.resource_id.clone()).collect();
        self.note(|seen| seen.accounts = vec![first, again]);
        let to = cx.now.to_zoned(jiff::tz::TimeZone::UTC).date();
        let (from, older_to) = (to.saturating_sub(DAYS.days()), to.saturating_sub((DAYS / 2).days()));
        for id in &ids {
            let cx = fresh(probe, cx);
            let answer = self.call(probe, bank.balances(&cx, id)?).await;
            let read = answer.and_then(|answer| bank.balances_read(&cx, &answer));
            self.note(|seen| seen.balances.push(read.err().map(|error| word(&error))));
            let whole = self.listing(probe, bank, &cx, id, (from, to)).await?;
            let again = self.listing(probe, bank, &cx, id, (from, to)).await?;
            let older = self.listing(probe, bank, &cx, id, (from, older_to)).await?;
            let days = Days { from, to };
            self.note(|seen| seen.histories.push(History { days, whole, again, older, older_to }));
        }
        let cx = fresh(probe, cx);
        let refused = match self.call(probe, bank.balances(&cx, UNKNOWN)?).await {
            Ok(answer) => match bank.balances_read(&cx, &answer) {
                Ok(_) => Err("told of".to_owned()),
                Err(error) if error.kind == BankErrorKind::MalformedResponse => Err(word(&error)),
                Err(error) => Ok(word(&error)),
            },
            Err(error) => Err(word(&error)),
        };
        self.note(|seen| seen.refusal = Some(refused));
        Ok(ids.len())
    }

    /// Ends the consent and looks whether that holds. `of_consents` has the token that a bank wants for that.
    pub(crate) async fn end(
        &self,
        probe: &Probe<'_>,
        bank: &dyn AccountInformation,
        of_consents: &CallContext<'_>,
        cx: &CallContext<'_>,
    ) -> Result<(), BankError> {
        let Some(revocation) = bank.revocation() else { return Ok(()) };
        let asking = fresh(probe, of_consents);
        revocation.revoked(&asking, &self.call(probe, revocation.revoke(&asking)?).await?)?;
        let cx = fresh(probe, cx);
        let read = self.call(probe, bank.accounts(&cx)?).await;
        let refused = read.and_then(|answer| bank.accounts_read(&cx, &answer)).is_err();
        self.note(|seen| seen.ended = Some(refused));
        Ok(())
    }

    async fn accounts(
        &self,
        probe: &Probe<'_>,
        bank: &dyn AccountInformation,
        cx: &CallContext<'_>,
    ) -> Result<Vec<Account>, BankError> {
        let cx = fresh(probe, cx);
        let (mut guard, mut found) = (PageGuard::new(MOST_PAGES), Vec::new());
        let mut request = bank.accounts(&cx)?;
        loop {
            let page = bank.accounts_read(&cx, &self.call(probe, request).await?)?;
            found.extend(page.items);
            let Some(link) = page.next else { return Ok(found) };
            guard.admit(cx.profile, &link)?;
            request = bank.next_page(&fresh(probe, &cx), &link)?;
        }
    }

    /// A list, or as much of it as could be read.
    async fn listing(
        &self,
        probe: &Probe<'_>,
        bank: &dyn AccountInformation,
        cx: &CallContext<'_>,
        account: &str,
        (from, to): (Date, Date),
    ) -> Result<Listing, BankError> {
        let query = TransactionQuery { from: Some(from), to: Some(to), ..TransactionQuery::default() };
        let (mut guard, mut listing) = (PageGuard::new(MOST_PAGES), Listing::default());
        let mut cx = fresh(probe, cx);
        let mut request = bank.transactions(&cx, account, &query)?;
        loop {
            let answer = self.call(probe, request.clone()).await;
            let read = answer.and_then(|answer| bank.transactions_read(&cx, &request, &answer));
            let page = match read {
                Ok(Page { items, next }) => {
                    listing.entries.extend(items);
                    listing.pages = listing.pages.saturating_add(1);
                    next.map(|link| guard.admit(cx.profile, &link).map(|()| link)).transpose()
                }
                Err(error) => Err(error),
            };
            cx = fresh(probe, &cx);
            match page {
                Ok(Some(link)) => request = bank.next_page(&cx, &link)?,
                Ok(None) => return Ok(listing),
                Err(error) => {
                    listing.trouble = Some(word(&error));
                    return Ok(listing);
                }
            }
        }
    }

    async fn call(&self, probe: &Probe<'_>, request: BankRequest) -> Result<BankResponse, BankError> {
        let since = Instant::now();
        let answer = probe.call(request).await;
        let took = since.elapsed().as_millis();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).times.push(took);
        answer
    }

    fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).seen);
    }
}

/// Our word for an error, and the place of it.
fn word(error: &BankError) -> String {
    match &error.field {
        Some(field) => format!("{} at {field}", error.kind.code()),
        None => error.kind.code().to_owned(),
    }
}

/// Marks and pace as members of a JSON object.
pub(crate) fn json(marks: &[Mark], pace: Pace) -> Value {
    let count = |verdict| marks.iter().filter(|mark| mark.verdict == verdict).count();
    let lines = marks
        .iter()
        .map(|mark| json!({ "mark": mark.name, "verdict": mark.verdict.word(), "detail": mark.detail }));
    json!({
        "marks": lines.collect::<Vec<_>>(),
        "yes": count(Verdict::Yes),
        "no": count(Verdict::No),
        "unseen": count(Verdict::Unseen),
        "calls": pace.calls,
        "median_ms": pace.median_ms,
        "slowest_ms": pace.slowest_ms,
    })
}
