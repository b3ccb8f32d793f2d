//! Transactions: of all consents of a token at once, or of one account.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{AccountId, Date, Pii, Transaction, TransactionId};
use flows::{AccountData, Gateway, Read, Replaced, TransactionProvenance, TransactionWindow};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use web::{Accounts, Caller, Cursor, Json, Problem, ProblemCode, Psu, QueryParams, RateLimits, from_text};

use crate::accounts::{Answer, PartyName, account_id};
use crate::view::{AccountName, Amount, Page, Provenance, Shared, Source, limit_of};

/// What a creditor was told.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
struct RemittanceView {
    /// Free text, in the bank's order.
    #[schema(value_type = Vec<String>)]
    unstructured: Vec<Pii<String>>,
    /// Creditor references.
    structured: Vec<StructuredRemittance>,
}

/// A creditor reference.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct StructuredRemittance {
    /// The reference.
    #[schema(value_type = String)]
    reference: Pii<String>,
}

/// A bank transaction code.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct BankTransactionCode {
    /// ISO code `DOMN-FMLY-SUBF`.
    #[serde(skip_serializing_if = "Option::is_none")]
    iso: Option<String>,
    /// The bank's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    proprietary: Option<String>,
}

/// One entry of an account.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TransactionView {
    /// The same at every read and after every re-consent.
    id: String,
    /// The account.
    #[schema(value_type = String)]
    account_id: Shared,
    /// `BANK`, or `SYNTHETIC` where the bank has no usable id of its own.
    id_provenance: &'static str,
    /// The pending entry that this one was before; only of a booked entry that is
    /// new in a sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces_transaction_id: Option<String>,
    /// How sure that is: `EXACT` (an identifier agrees), `HIGH` (amount, and
    /// counterparty or purpose) or `LOW` (amount).
    #[serde(skip_serializing_if = "Option::is_none")]
    match_confidence: Option<&'static str>,
    /// `BOOK`, `PDNG`, `INFO` or `RJCT`.
    status: &'static str,
    /// How much, without a sign.
    amount: Amount,
    /// `CRDT` in, `DBIT` out.
    credit_debit_indicator: &'static str,
    /// Day of booking.
    #[serde(skip_serializing_if = "Option::is_none")]
    booking_date: Option<String>,
    /// Day of value.
    #[serde(skip_serializing_if = "Option::is_none")]
    value_date: Option<String>,
    /// Instant of booking, where the bank gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    booked_at: Option<String>,
    /// The bank's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    bank_transaction_id: Option<String>,
    /// Position in the statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry_reference: Option<String>,
    /// End-to-end id of the payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    end_to_end_id: Option<Pii<String>>,
    /// Mandate of a direct debit.
    #[serde(skip_serializing_if = "Option::is_none")]
    mandate_id: Option<String>,
    /// Who was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    creditor: Option<PartyName>,
    /// Account that was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    creditor_account: Option<AccountName>,
    /// Who paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    debtor: Option<PartyName>,
    /// Account that paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    debtor_account: Option<AccountName>,
    /// Purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    remittance: Option<RemittanceView>,
    /// Kind of entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    bank_transaction_code: Option<BankTransactionCode>,
    /// ISO 18245.
    #[serde(skip_serializing_if = "Option::is_none")]
    merchant_category_code: Option<String>,
    /// Where it comes from.
    source: Provenance,
}

impl TransactionView {
    /// The same entry, saying what it was before.
    pub(crate) fn replacing(mut self, old: &Replaced) -> Self {
        self.replaces_transaction_id = Some(old.id.to_string());
        self.match_confidence = Some(old.confidence.code());
        self
    }
}

/// Shows the entries of one account: without names and purposes, unless the
/// consent allows the detail.
#[derive(Debug)]
pub struct Viewer {
    account_id: Shared,
    detail: bool,
    source: Provenance,
}

impl Viewer {
    /// For the entries of this account.
    #[must_use]
    pub fn of(account: &AccountData) -> Self {
        Self {
            account_id: account.id.to_string().as_str().into(),
            detail: account.detail,
            source: Provenance::of(account),
        }
    }

    /// One entry.
    #[must_use]
    pub fn show(
        &self,
        id: TransactionId,
        provenance: TransactionProvenance,
        entry: Transaction,
    ) -> TransactionView {
        let text = |date: Option<Date>| date.map(|date| date.to_string());
        let party =
            |name: Option<String>| name.filter(|_| self.detail).map(|name| PartyName { name: name.into() });
        let counterpart = |known: &Option<domain::AccountIdentification>| {
            known.as_ref().filter(|_| self.detail).map(AccountName::from)
        };
        let code = entry.bank_transaction_code.is_some() || entry.proprietary_code.is_some();
        TransactionView {
            id: id.to_string(),
            account_id: self.account_id.clone(),
            id_provenance: provenance.code(),
            replaces_transaction_id: None,
            match_confidence: None,
            status: entry.status.code(),
            amount: entry.amount.into(),
            credit_debit_indicator: entry.direction.code(),
            booking_date: text(entry.booking_date),
            value_date: text(entry.value_date),
            booked_at: entry.booked_at.map(|at| at.to_string()),
            bank_transaction_id: entry.bank_transaction_id,
            entry_reference: entry.entry_reference,
            end_to_end_id: entry.end_to_end_id,
            mandate_id: entry.mandate_id,
            creditor: party(entry.creditor_name.map(Pii::into_inner)),
            creditor_account: counterpart(&entry.creditor_account),
            debtor: party(entry.debtor_name.map(Pii::into_inner)),
            debtor_account: counterpart(&entry.debtor_account),
            remittance: self.detail.then(|| RemittanceView {
                unstructured: entry.remittance,
                structured: entry
                    .references
                    .into_iter()
                    .map(|reference| StructuredRemittance { reference })
                    .collect(),
            }),
            bank_transaction_code: code.then_some(BankTransactionCode {
                iso: entry.bank_transaction_code,
                proprietary: entry.proprietary_code,
            }),
            merchant_category_code: entry.merchant_category_code,
            source: self.source.clone(),
        }
    }
}

/// Transactions, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TransactionList {
    /// The transactions.
    data: Vec<TransactionView>,
    /// How each bank answered.
    sources: Vec<Source>,
    /// Where the next page starts.
    page: Page,
}

/// Which transactions.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TransactionParams {
    /// First booking date, `YYYY-MM-DD`.
    #[serde(default)]
    #[param(value_type = Option<String>, format = Date)]
    from: Option<Date>,
    /// Last booking date, `YYYY-MM-DD`.
    #[serde(default)]
    #[param(value_type = Option<String>, format = Date)]
    to: Option<Date>,
    /// Transactions on a page, 1 to 1000.
    #[serde(default, deserialize_with = "from_text")]
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
    /// Where the page starts, from the page before.
    #[serde(default)]
    cursor: Option<String>,
}

/// List transactions of all accounts.
///
/// Newest first. A page is cut from what the banks report at the moment of
/// the call.
#[utoipa::path(get, operation_id = "listTransactions", path = "/v1/transactions", tag = "accounts", security(("mtls_oauth" = ["accounts"])),
    params(("PSU-IP-Address" = Option<String>, Header, description = "Address of the person, if present"), TransactionParams),
    responses((status = 200, description = "What was asked for", body = TransactionList),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Accounts>,
    Psu(psu): Psu,
    QueryParams(params): QueryParams<TransactionParams>,
) -> Answer<TransactionList> {
    transaction_page(&gateway, &caller, psu, None, &params).await
}

/// List transactions of one account.
#[utoipa::path(get, operation_id = "listAccountTransactions", path = "/v1/accounts/{account_id}/transactions", tag = "accounts",
    security(("mtls_oauth" = ["accounts"])), params(("account_id" = String, Path), TransactionParams,
        ("PSU-IP-Address" = Option<String>, Header, description = "Address of the person, if present")),
    responses((status = 200, description = "What was asked for", body = TransactionList),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn of_account(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Accounts>,
    Psu(psu): Psu,
    Path(account): Path<String>,
    QueryParams(params): QueryParams<TransactionParams>,
) -> Answer<TransactionList> {
    let account = account_id(&account)?;
    transaction_page(&gateway, &caller, psu, Some(account), &params).await
}

/// Where to look for one transaction.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OneTransactionParams {
    /// First booking date to look at, `YYYY-MM-DD`.
    #[serde(default)]
    #[param(value_type = Option<String>, format = Date)]
    from: Option<Date>,
    /// Last booking date to look at, `YYYY-MM-DD`.
    #[serde(default)]
    #[param(value_type = Option<String>, format = Date)]
    to: Option<Date>,
}

/// Get one transaction.
///
/// In full: where the bank tells more of a single transaction than in its list, it is
/// asked for that as well, if the consent allows the detail. Nothing of a transaction
/// is kept here, so it is looked for at the bank; its booking date as `from` and `to`
/// makes that fast.
#[utoipa::path(get, operation_id = "getAccountTransaction", path = "/v1/accounts/{account_id}/transactions/{transaction_id}", tag = "accounts",
    security(("mtls_oauth" = ["accounts"])), params(("account_id" = String, Path), ("transaction_id" = String, Path), OneTransactionParams,
        ("PSU-IP-Address" = Option<String>, Header, description = "Address of the person, if present")),
    responses((status = 200, description = "The transaction", body = TransactionView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Accounts>,
    Psu(psu): Psu,
    Path((account, transaction)): Path<(String, String)>,
    QueryParams(params): QueryParams<OneTransactionParams>,
) -> Answer<TransactionView> {
    let account = account_id(&account)?;
    let unknown = || Problem::new(ProblemCode::NotFound).detail("There is no such transaction.");
    let id: TransactionId = transaction.parse().map_err(|_| unknown())?;
    let window = window_of(params.from, params.to)?;
    let read = Read::Transaction(id, window);
    let reading = gateway.read(caller.asker(), Some(account), read, psu.as_ref()).await?;
    let limits = RateLimits::of(&reading);
    let found = reading.accounts.into_iter().find_map(|mut account| {
        let (id, provenance, entry) = account.transactions.pop()?;
        Some(Viewer::of(&account).show(id, provenance, entry))
    });
    Ok((limits, Json(found.ok_or_else(unknown)?)))
}

fn window_of(from: Option<Date>, to: Option<Date>) -> Result<TransactionWindow, Problem> {
    if let (Some(first), Some(last)) = (from, to)
        && first > last
    {
        return Err(Problem::new(ProblemCode::Query).error(
            "from",
            "parameter.invalid",
            "from is not after to",
        ));
    }
    Ok(TransactionWindow { from, to })
}

/// Position of an entry in the list: day, then id.
type Position = (String, String);

async fn transaction_page(
    gateway: &Gateway,
    caller: &Caller<Accounts>,
    psu: Option<connect::PsuPresence>,
    only: Option<AccountId>,
    params: &TransactionParams,
) -> Answer<TransactionList> {
    let limit = limit_of(params.limit, 500, 1_000)?;
    let window = window_of(params.from, params.to)?;
    let day = |day: Option<Date>| day.map(|day| day.to_string()).unwrap_or_default();
    let account = only.map(|id| id.to_string()).unwrap_or_default();
    let bound = [caller.client_id.as_str(), &account, &day(params.from), &day(params.to)];
    let cursors = Cursor::new(gateway.id_key(), "transactions", &bound);
    let after: Option<Position> = params.cursor.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;

    let read = Read::Transactions(window);
    let reading = gateway.read(caller.asker(), only, read, psu.as_ref()).await?;
    let limits = RateLimits::of(&reading);
    let mut entries: Vec<(Position, TransactionView)> = Vec::new();
    for account in reading.accounts {
        let viewer = Viewer::of(&account);
        for (id, provenance, entry) in account.transactions {
            let view = viewer.show(id, provenance, entry);
            let day = view.booking_date.clone().or_else(|| view.value_date.clone()).unwrap_or_default();
            entries.push(((day, id.to_string()), view));
        }
    }
    entries.sort_by(|(one, _), (other, _)| other.cmp(one));
    let mut rest =
        entries.into_iter().filter(|(position, _)| after.as_ref().is_none_or(|after| position < after));
    let page: Vec<_> = rest.by_ref().take(limit).collect();
    let has_more = rest.next().is_some();
    let last = page.last().map(|(position, _)| cursors.write(position));
    let list = TransactionList {
        data: page.into_iter().map(|(_, view)| view).collect(),
        sources: reading.sources.into_iter().map(Source::from).collect(),
        page: Page { next_cursor: last.filter(|_| has_more), has_more },
    };
    Ok((limits, Json(list)))
}
