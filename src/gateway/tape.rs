//! Takes down what a bank tells of accounts, without the person: answers are
//! redacted before they are kept.

use std::sync::{Mutex, PoisonError};

use connect::{
    AccountInformation, BankError, BankRequest, BankResponse, CallContext, MapTarget, NextPage, PageGuard,
    TransactionQuery,
};
use dialects::recorded::Redactor;

use crate::probe::{Probe, fresh};

/// Most accounts that are read.
const MOST_ACCOUNTS: usize = 5;
/// Most links to further pages of a list that are followed.
const MOST_LINKS: usize = 2;

/// A recording.
pub(crate) struct Tape(Mutex<Taken>);

struct Taken {
    redactor: Redactor,
    lines: Vec<String>,
}

impl Tape {
    /// An empty one.
    pub(crate) fn new(redactor: Redactor) -> Self {
        Self(Mutex::new(Taken { redactor, lines: Vec::new() }))
    }

    /// One line for each answer, in their order.
    pub(crate) fn into_lines(self) -> Vec<String> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).lines
    }

    /// The bank's names of the accounts to read.
    pub(crate) async fn accounts(
        &self,
        probe: &Probe<'_>,
        bank: &dyn AccountInformation,
        cx: &CallContext<'_>,
    ) -> Result<Vec<String>, BankError> {
        let mut asked = Some(bank.accounts(cx)?);
        let (mut guard, mut found) = (PageGuard::new(MOST_LINKS), Vec::new());
        while let Some(request) = asked {
            let page = bank.accounts_read(cx, &self.call(probe, MapTarget::Accounts, request).await?)?;
            found.extend(page.items.into_iter().map(|account| account.resource_id));
            asked = if found.len() < MOST_ACCOUNTS {
                next(bank, &fresh(probe, cx), &mut guard, page.next.as_ref())?
            } else {
                None
            };
        }
        found.truncate(MOST_ACCOUNTS);
        Ok(found)
    }

    /// Reads the balances of each account. What the bank refuses is on the tape.
    pub(crate) async fn balances(
        &self,
        probe: &Probe<'_>,
        bank: &dyn AccountInformation,
        cx: &CallContext<'_>,
        accounts: &[String],
    ) -> Result<(), BankError> {
        for account in accounts {
            let request = bank.balances(&fresh(probe, cx), account)?;
            self.call(probe, MapTarget::Balances, request).await?;
        }
        Ok(())
    }

    /// Reads the transactions of each account. An answer that cannot be read is on
    /// the tape, and the last one of its account.
    pub(crate) async fn transactions(
        &self,
        probe: &Probe<'_>,
        bank: &dyn AccountInformation,
        cx: &CallContext<'_>,
        accounts: &[String],
    ) -> Result<(), BankError> {
        for account in accounts {
            let mut guard = PageGuard::new(MOST_LINKS);
            let mut cx = fresh(probe, cx);
            let mut asked = Some(bank.transactions(&cx, account, &TransactionQuery::default())?);
            while let Some(request) = asked {
                let answer = self.call(probe, MapTarget::Transactions, request.clone()).await?;
                let read = bank.transactions_read(&cx, &request, &answer);
                cx = fresh(probe, &cx);
                asked = match read {
                    Ok(page) => next(bank, &cx, &mut guard, page.next.as_ref())?,
                    Err(_) => None,
                };
            }
        }
        Ok(())
    }

    async fn call(
        &self,
        probe: &Probe<'_>,
        operation: MapTarget,
        request: BankRequest,
    ) -> Result<BankResponse, BankError> {
        let answer = probe.call(request.clone()).await?;
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = taken.redactor.line(operation, &request, &answer);
        taken.lines.push(line);
        Ok(answer)
    }
}

/// The next page; none where the bank's links end, run in a circle or go on for too long.
fn next(
    bank: &dyn AccountInformation,
    cx: &CallContext<'_>,
    guard: &mut PageGuard,
    link: Option<&NextPage>,
) -> Result<Option<BankRequest>, BankError> {
    let link = link.filter(|link| guard.admit(cx.profile, link).is_ok());
    link.map(|link| bank.next_page(cx, link)).transpose()
}
