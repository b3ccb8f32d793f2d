//! Accounts, balances and transactions: of all consents of a token at once, or
//! of one account.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use domain::{AccountId, AccountStatus, AccountUsage, BalanceType, CreditDebit, Date, Transaction};
use flows::{AccountData, Gateway, Read, Reading, TransactionProvenance, TransactionWindow};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use web::{Accounts, Caller, Cursor, Problem, ProblemCode, Psu, QueryParams, RateLimits, from_text};

use crate::view::{AccountName, Amount, Page, Provenance, Source, limit_of};

/// The servicing bank of an account.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Servicer {
    /// ISO 9362.
    #[serde(skip_serializing_if = "Option::is_none")]
    bic: Option<String>,
}

/// A person or organisation.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct PartyName {
    /// Name.
    name: String,
}

/// A payment account.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AccountView {
    /// The same after every re-consent.
    #[schema(example = "acc_uk_5f0c8a52b3e94c7f9a54a2d1c0b7e613")]
    id: String,
    /// The institution.
    institution_id: String,
    /// Consents it can be read under.
    consent_ids: Vec<String>,
    /// The primary identification.
    #[serde(skip_serializing_if = "Option::is_none")]
    identification: Option<AccountName>,
    /// All known ones.
    identifications: Vec<AccountName>,
    /// The servicing bank.
    servicer: Servicer,
    /// Who holds it.
    holders: Vec<PartyName>,
    /// Name the holder or the bank gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    /// The bank's product name.
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<String>,
    /// `PRIV`, `ORGA` or `UNKNOWN`.
    usage: &'static str,
    /// ISO 20022: CACC, SVGS, CARD, LOAN, CASH, OTHR.
    #[serde(skip_serializing_if = "Option::is_none")]
    cash_account_type: Option<String>,
    /// ISO 4217 code.
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
    /// `ENABLED`, `BLOCKED`, `CLOSED` or `UNKNOWN`.
    status: &'static str,
    /// Where it comes from.
    source: Provenance,
}

/// Accounts of all consents of the token.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AccountList {
    /// The accounts.
    data: Vec<AccountView>,
    /// How each bank answered.
    sources: Vec<Source>,
}

/// One balance of one account.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct BalanceView {
    /// The account.
    account_id: String,
    /// ISO 20022 balance type: CLBD, ITAV, XPCD, …
    #[serde(rename = "type")]
    kind: &'static str,
    /// How much, without a sign.
    amount: Amount,
    /// `CRDT` above zero, `DBIT` below.
    credit_debit_indicator: &'static str,
    /// Whether a credit line is counted in; absent where the bank does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    credit_line_included: Option<bool>,
    /// Day it refers to.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_date: Option<String>,
    /// Instant of the last change.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_change_at: Option<String>,
    /// Where it comes from.
    source: Provenance,
}

/// Balances.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct BalanceList {
    /// The balances, all types that the bank gives.
    data: Vec<BalanceView>,
    /// How each bank answered.
    sources: Vec<Source>,
}

/// What a creditor was told.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
struct RemittanceView {
    /// Free text, in the bank's order.
    unstructured: Vec<String>,
    /// Creditor references.
    structured: Vec<StructuredRemittance>,
}

/// A creditor reference.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct StructuredRemittance {
    /// The reference.
    reference: String,
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
struct TransactionView {
    /// The same at every read and after every re-consent.
    id: String,
    /// The account.
    account_id: String,
    /// `BANK`, or `SYNTHETIC` where the bank has no usable id of its own.
    id_provenance: &'static str,
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
    end_to_end_id: Option<String>,
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

/// What was read, with what is left of the day's calls without the PSU in the
/// headers `RateLimit` and `RateLimit-Policy`.
pub(crate) type Answer<T> = Result<(RateLimits, Json<T>), Problem>;

/// List accounts.
///
/// Reads the accounts of every consent of the token, at all banks at the same
/// time. Answers 200 if at least one bank answered; `sources` tells how each did.
/// A token without consents, such as a client's own, reads an empty list.
/// Without `PSU-IP-Address` it is one of the day's calls without the PSU, of which
/// the header `RateLimit` tells what is left under each consent.
#[utoipa::path(get, operation_id = "listAccounts", path = "/v1/accounts", tag = "accounts", security(("mtls_oauth" = ["accounts"])),
    params(("PSU-IP-Address" = Option<String>, Header, description = "Address of the person, if present")),
    responses((status = 200, description = "What was asked for", body = AccountList),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Accounts>,
    Psu(psu): Psu,
) -> Answer<AccountList> {
    let reading =
        gateway.read(&caller.client_id, &caller.consents, None, Read::Accounts, psu.as_ref()).await?;
    let limits = RateLimits::of(&reading);
    let data = reading.accounts.iter().filter_map(account_view).collect();
    let sources = reading.sources.into_iter().map(Source::from).collect();
    Ok((limits, Json(AccountList { data, sources })))
}

/// Show one account.
#[utoipa::path(get, operation_id = "showAccount", path = "/v1/accounts/{account_id}", tag = "accounts",
    security(("mtls_oauth" = ["accounts"])), params(("account_id" = String, Path)),
    responses((status = 200, description = "What was asked for", body = AccountView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Accounts>,
    Psu(psu): Psu,
    Path(account): Path<String>,
) -> Answer<AccountView> {
    let account = account_id(&account)?;
    let reading = gateway
        .read(&caller.client_id, &caller.consents, Some(account), Read::Accounts, psu.as_ref())
        .await?;
    let view = reading.accounts.first().and_then(account_view);
    let view = view.ok_or_else(|| Problem::new(ProblemCode::NotFound))?;
    Ok((RateLimits::of(&reading), Json(view)))
}

/// List balances of all accounts.
#[utoipa::path(get, operation_id = "listBalances", path = "/v1/balances", tag = "accounts", security(("mtls_oauth" = ["accounts"])),
    responses((status = 200, description = "What was asked for", body = BalanceList),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn balances(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Accounts>,
    Psu(psu): Psu,
) -> Answer<BalanceList> {
    let reading =
        gateway.read(&caller.client_id, &caller.consents, None, Read::Balances, psu.as_ref()).await?;
    Ok((RateLimits::of(&reading), Json(balance_list(reading))))
}

/// List balances of one account.
#[utoipa::path(get, operation_id = "listAccountBalances", path = "/v1/accounts/{account_id}/balances", tag = "accounts",
    security(("mtls_oauth" = ["accounts"])), params(("account_id" = String, Path)),
    responses((status = 200, description = "What was asked for", body = BalanceList),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn account_balances(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Accounts>,
    Psu(psu): Psu,
    Path(account): Path<String>,
) -> Answer<BalanceList> {
    let account = account_id(&account)?;
    let reading = gateway
        .read(&caller.client_id, &caller.consents, Some(account), Read::Balances, psu.as_ref())
        .await?;
    Ok((RateLimits::of(&reading), Json(balance_list(reading))))
}

/// List transactions of all accounts.
///
/// Newest first. A page is cut from what the banks report at the moment of
/// the call.
#[utoipa::path(get, operation_id = "listTransactions", path = "/v1/transactions", tag = "accounts", security(("mtls_oauth" = ["accounts"])),
    params(TransactionParams),
    responses((status = 200, description = "What was asked for", body = TransactionList),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn transactions(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Accounts>,
    Psu(psu): Psu,
    QueryParams(params): QueryParams<TransactionParams>,
) -> Answer<TransactionList> {
    transaction_page(&gateway, &caller, psu, None, &params).await
}

/// List transactions of one account.
#[utoipa::path(get, operation_id = "listAccountTransactions", path = "/v1/accounts/{account_id}/transactions", tag = "accounts",
    security(("mtls_oauth" = ["accounts"])), params(("account_id" = String, Path), TransactionParams),
    responses((status = 200, description = "What was asked for", body = TransactionList),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn account_transactions(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Accounts>,
    Psu(psu): Psu,
    Path(account): Path<String>,
    QueryParams(params): QueryParams<TransactionParams>,
) -> Answer<TransactionList> {
    let account = account_id(&account)?;
    transaction_page(&gateway, &caller, psu, Some(account), &params).await
}

pub(crate) fn account_id(text: &str) -> Result<AccountId, Problem> {
    text.parse().map_err(|_| Problem::new(ProblemCode::NotFound).detail("There is no such account."))
}

fn account_view(data: &AccountData) -> Option<AccountView> {
    let account = data.account.as_ref()?;
    let identifications: Vec<AccountName> = if data.detail {
        account.identifications.iter().map(AccountName::from).collect()
    } else {
        Vec::new()
    };
    let holders = if data.detail { account.holders.clone() } else { Vec::new() };
    Some(AccountView {
        id: data.id.to_string(),
        institution_id: data.institution.to_string(),
        consent_ids: vec![data.consent.to_string()],
        identification: identifications.first().cloned(),
        identifications,
        servicer: Servicer { bic: account.bic.clone() },
        holders: holders.into_iter().map(|name| PartyName { name }).collect(),
        display_name: account.display_name.clone(),
        product: account.product.clone(),
        usage: match account.usage {
            AccountUsage::Private => "PRIV",
            AccountUsage::Organisation => "ORGA",
            AccountUsage::Unknown => "UNKNOWN",
        },
        cash_account_type: account.cash_account_type.clone(),
        currency: account.currency.map(|currency| currency.to_string()),
        status: match account.status {
            AccountStatus::Enabled => "ENABLED",
            AccountStatus::Blocked => "BLOCKED",
            AccountStatus::Closed => "CLOSED",
            AccountStatus::Unknown => "UNKNOWN",
        },
        source: Provenance::of(data),
    })
}

fn balance_list(reading: Reading) -> BalanceList {
    let mut data = Vec::new();
    for account in &reading.accounts {
        for balance in &account.balances {
            data.push(BalanceView {
                account_id: account.id.to_string(),
                kind: BalanceType::code(balance.kind),
                amount: balance.amount.into(),
                credit_debit_indicator: CreditDebit::code(balance.direction),
                credit_line_included: balance.credit_line_included,
                reference_date: balance.reference_date.map(|day| day.to_string()),
                last_change_at: balance.last_change_at.map(|at| at.to_string()),
                source: Provenance::of(account),
            });
        }
    }
    BalanceList { data, sources: reading.sources.into_iter().map(Source::from).collect() }
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
    if let (Some(from), Some(to)) = (params.from, params.to)
        && from > to
    {
        return Err(Problem::new(ProblemCode::Query).error(
            "from",
            "parameter.invalid",
            "from is not after to",
        ));
    }
    let day = |day: Option<Date>| day.map(|day| day.to_string()).unwrap_or_default();
    let account = only.map(|id| id.to_string()).unwrap_or_default();
    let bound = [caller.client_id.as_str(), &account, &day(params.from), &day(params.to)];
    let cursors = Cursor::new(gateway.id_key(), "transactions", &bound);
    let after: Option<Position> = params.cursor.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;

    let window = TransactionWindow { from: params.from, to: params.to };
    let read = Read::Transactions(window);
    let reading = gateway.read(&caller.client_id, &caller.consents, only, read, psu.as_ref()).await?;
    let limits = RateLimits::of(&reading);
    let mut entries: Vec<(Position, TransactionView)> = Vec::new();
    for account in &reading.accounts {
        for (id, provenance, entry) in &account.transactions {
            let view = transaction_view(account, &id.to_string(), *provenance, entry);
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

fn transaction_view(
    account: &AccountData,
    id: &str,
    provenance: TransactionProvenance,
    entry: &Transaction,
) -> TransactionView {
    let text = |date: Option<Date>| date.map(|date| date.to_string());
    let party =
        |name: &Option<String>| name.clone().filter(|_| account.detail).map(|name| PartyName { name });
    let counterpart = |known: &Option<domain::AccountIdentification>| {
        known.as_ref().filter(|_| account.detail).map(AccountName::from)
    };
    let code = entry.bank_transaction_code.is_some() || entry.proprietary_code.is_some();
    TransactionView {
        id: id.to_owned(),
        account_id: account.id.to_string(),
        id_provenance: provenance.code(),
        status: entry.status.code(),
        amount: entry.amount.into(),
        credit_debit_indicator: entry.direction.code(),
        booking_date: text(entry.booking_date),
        value_date: text(entry.value_date),
        booked_at: entry.booked_at.map(|at| at.to_string()),
        bank_transaction_id: entry.bank_transaction_id.clone(),
        entry_reference: entry.entry_reference.clone(),
        end_to_end_id: entry.end_to_end_id.clone(),
        mandate_id: entry.mandate_id.clone(),
        creditor: party(&entry.creditor_name),
        creditor_account: counterpart(&entry.creditor_account),
        debtor: party(&entry.debtor_name),
        debtor_account: counterpart(&entry.debtor_account),
        remittance: account.detail.then(|| RemittanceView {
            unstructured: entry.remittance.clone(),
            structured: entry
                .references
                .iter()
                .map(|reference| StructuredRemittance { reference: reference.clone() })
                .collect(),
        }),
        bank_transaction_code: code.then(|| BankTransactionCode {
            iso: entry.bank_transaction_code.clone(),
            proprietary: entry.proprietary_code.clone(),
        }),
        merchant_category_code: entry.merchant_category_code.clone(),
        source: Provenance::of(account),
    }
}
