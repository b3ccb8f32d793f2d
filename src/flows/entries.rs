//! Transactions of an account, and one of them with what the bank tells of it alone.

use connect::{
    AccountInformation, BankErrorKind, BankRequest, BankResponse, TransactionDetails, TransactionQuery,
    TransactionSelection,
};
use domain::{Date, Transaction, TransactionId};
use store::accounts::AccountLink;

use crate::accounts::Source;
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
        let query = TransactionQuery { from: source.history_from, to, status: TransactionSelection::Both };
        let first = information.transactions(&cx, &link.resource_id, &query)?;
        let read = |asked: &BankRequest, response: &BankResponse| {
            information.transactions_read(&cx, asked, response)
        };
        let entries = without_repeats(self.pages(information, &cx, first, read).await?);
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
