//! Accounts and balances: of all consents of a token at once, or of one account.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{
    AccountId, AccountStatus, AccountUsage, Balance, BalanceSummary, BalanceType, CreditDebit, Pii,
};
use flows::{AccountData, Gateway, Read, Reading};
use serde::Serialize;
use utoipa::ToSchema;
use web::{Accounts, Caller, Json, Problem, ProblemCode, Psu, RateLimits};

use crate::view::{AccountName, Amount, Provenance, Source};

/// The servicing bank of an account.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Servicer {
    /// ISO 9362.
    #[serde(skip_serializing_if = "Option::is_none")]
    bic: Option<String>,
}

/// A person or organisation.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PartyName {
    /// Name.
    #[schema(value_type = String)]
    pub(crate) name: Pii<String>,
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
    #[schema(value_type = Option<String>)]
    display_name: Option<Pii<String>>,
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

/// One balance out of those of an account.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ChosenBalance {
    /// ISO 20022 balance type it was chosen from.
    #[serde(rename = "type")]
    kind: &'static str,
    /// How much, without a sign.
    amount: Amount,
    /// `CRDT` above zero, `DBIT` below.
    credit_debit_indicator: &'static str,
    /// Whether a credit line is counted in; absent where the bank does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    credit_line_included: Option<bool>,
}

impl From<Balance> for ChosenBalance {
    fn from(balance: Balance) -> Self {
        Self {
            kind: balance.kind.code(),
            amount: balance.amount.into(),
            credit_debit_indicator: balance.direction.code(),
            credit_line_included: balance.credit_line_included,
        }
    }
}

/// How much there is on an account: which of its balances to show.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct BalanceSummaryView {
    /// The account.
    account_id: String,
    /// What is booked; absent where the bank gives no such balance.
    #[serde(skip_serializing_if = "Option::is_none")]
    booked: Option<ChosenBalance>,
    /// What can be spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    available: Option<ChosenBalance>,
}

/// Balances.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct BalanceList {
    /// The balances, all types that the bank gives.
    data: Vec<BalanceView>,
    /// Which of them to show, by account.
    summaries: Vec<BalanceSummaryView>,
    /// How each bank answered.
    sources: Vec<Source>,
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
    let reading = gateway.read(caller.asker(), None, Read::Accounts, psu.as_ref()).await?;
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
    let reading = gateway.read(caller.asker(), Some(account), Read::Accounts, psu.as_ref()).await?;
    let view = reading.accounts.first().and_then(account_view);
    let view = view.ok_or_else(|| Problem::new(ProblemCode::NotFound))?;
    Ok((RateLimits::of(&reading), Json(view)))
}

/// List balances of all accounts.
#[utoipa::path(get, operation_id = "listBalances", path = "/v1/balances", tag = "accounts", security(("mtls_oauth" = ["accounts"])),
    params(("PSU-IP-Address" = Option<String>, Header, description = "Address of the person, if present")),
    responses((status = 200, description = "What was asked for", body = BalanceList),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn balances(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Accounts>,
    Psu(psu): Psu,
) -> Answer<BalanceList> {
    let reading = gateway.read(caller.asker(), None, Read::Balances, psu.as_ref()).await?;
    Ok((RateLimits::of(&reading), Json(balance_list(reading))))
}

/// List balances of one account.
#[utoipa::path(get, operation_id = "listAccountBalances", path = "/v1/accounts/{account_id}/balances", tag = "accounts",
    security(("mtls_oauth" = ["accounts"])), params(("account_id" = String, Path),
        ("PSU-IP-Address" = Option<String>, Header, description = "Address of the person, if present")),
    responses((status = 200, description = "What was asked for", body = BalanceList),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn account_balances(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Accounts>,
    Psu(psu): Psu,
    Path(account): Path<String>,
) -> Answer<BalanceList> {
    let account = account_id(&account)?;
    let reading = gateway.read(caller.asker(), Some(account), Read::Balances, psu.as_ref()).await?;
    Ok((RateLimits::of(&reading), Json(balance_list(reading))))
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
    let (mut data, mut summaries) = (Vec::new(), Vec::new());
    for account in &reading.accounts {
        let summary = BalanceSummary::of(&account.balances);
        summaries.push(BalanceSummaryView {
            account_id: account.id.to_string(),
            booked: summary.booked.map(ChosenBalance::from),
            available: summary.available.map(ChosenBalance::from),
        });
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
    BalanceList { data, summaries, sources: reading.sources.into_iter().map(Source::from).collect() }
}
