//! Accounts, balances and transactions.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use crypto::Psd2Role;
use domain::Timestamp;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::AISP;
use super::consents::permits;
use super::refusal::Refusal;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::people::Product;
use crate::engine::{Account, Consent, Movement};
use crate::habit::{Habit, INTERNAL, SISTER};
use crate::journal::Fact;

/// Transactions on one page.
const PAGE: usize = 40;

type Parameters = Query<HashMap<String, String>>;

pub(super) async fn list(State(bank): State<Arc<Bank>>, caller: Caller) -> Result<Json<Value>, Refusal> {
    let (consent, accounts) = access(&bank, &caller, None, &["ReadAccountsBasic", "ReadAccountsDetail"])?;
    let age = bank.now().as_second().saturating_sub(consent.changed.as_second());
    if bank.has(Habit::AccountListOnce) && age >= 3_600 {
        return Err(Refusal::Forbidden);
    }
    let views: Vec<Value> = accounts.iter().map(|account| account_view(&consent, account)).collect();
    Ok(Json(page(&bank, "/accounts", json!({ "Account": views }))))
}

pub(super) async fn one(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let (consent, accounts) =
        access(&bank, &caller, Some(&id), &["ReadAccountsBasic", "ReadAccountsDetail"])?;
    let views: Vec<Value> = accounts.iter().map(|account| account_view(&consent, account)).collect();
    Ok(Json(page(&bank, &format!("/accounts/{id}"), json!({ "Account": views }))))
}

pub(super) async fn balances(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    balances_of(&bank, &caller, Some(&id), &format!("/accounts/{id}/balances"))
}

pub(super) async fn all_balances(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
) -> Result<Json<Value>, Refusal> {
    balances_of(&bank, &caller, None, "/balances")
}

pub(super) async fn transactions(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(parameters): Parameters,
) -> Result<Json<Value>, Refusal> {
    transactions_of(&bank, &caller, Some(&id), &format!("/accounts/{id}/transactions"), &parameters)
}

pub(super) async fn all_transactions(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Query(parameters): Parameters,
) -> Result<Json<Value>, Refusal> {
    transactions_of(&bank, &caller, None, "/transactions", &parameters)
}

/// The consent and the accounts it covers, if it has one of `permissions`.
pub(super) fn access(
    bank: &Bank,
    caller: &Caller,
    account: Option<&str>,
    permissions: &[&str],
) -> Result<(Consent, Vec<&'static Account>), Refusal> {
    let organisation = caller.organisation(Psd2Role::AccountInformation)?;
    // The client's own token opens nothing of a customer's.
    if caller.live_token(bank)?.consent.is_none() {
        return Err(Refusal::Token);
    }
    let consent = caller.bound_consent(bank, "accounts")?;
    let permitted = permissions.iter().any(|permission| permits(&consent, permission));
    if consent.has_expired(bank.now()) {
        return Err(Refusal::Expired);
    }
    if !consent.is_live(bank.now()) {
        return Err(Refusal::NotAuthorised);
    }
    if consent.tpp != organisation || !permitted {
        return Err(Refusal::Forbidden);
    }
    let covered: Vec<&'static Account> = match account {
        None => consent.accounts.iter().filter_map(|id| bank.account(id)).collect(),
        Some(id) => {
            let known = bank.account(id).ok_or_else(Refusal::not_found)?;
            if !consent.covers(id) {
                return Err(Refusal::Forbidden);
            }
            vec![known]
        }
    };
    caller.facts.note(Fact::Consent);
    Ok((consent, covered))
}

pub(super) fn page(bank: &Bank, path: &str, data: Value) -> Value {
    let slash = if bank.has(Habit::LinkEndsInSlash) { "/" } else { "" };
    let itself = format!("{}{AISP}{path}{slash}", bank.api_url);
    json!({"Data": data, "Links": {"Self": itself}, "Meta": {"TotalPages": 1}})
}

fn account_view(consent: &Consent, account: &Account) -> Value {
    let (kind, description) = match account.product {
        Product::Current => ("CACC", "Current account"),
        Product::Savings => ("SVGS", "Savings account"),
        Product::Card => ("CARD", "Credit card"),
    };
    let mut view = json!({
        "AccountId": account.id,
        "Status": "Enabled",
        "Currency": account.currency,
        "AccountCategory": "Personal",
        "AccountTypeCode": kind,
        "Description": description,
        "Nickname": account.name,
    });
    if let (true, Some(view)) = (permits(consent, "ReadAccountsDetail"), view.as_object_mut()) {
        let detail = json!([
            {"SchemeName": "UK.OBIE.SortCodeAccountNumber", "Identification": account.sort_code_account(), "Name": account.owner},
            {"SchemeName": "UK.OBIE.IBAN", "Identification": account.iban, "Name": account.owner},
        ]);
        view.insert("Account".into(), detail);
    }
    view
}

fn balances_of(
    bank: &Bank,
    caller: &Caller,
    account: Option<&str>,
    path: &str,
) -> Result<Json<Value>, Refusal> {
    let (_, accounts) = access(bank, caller, account, &["ReadBalances"])?;
    let now = bank.now();
    let mut views = Vec::new();
    for account in accounts {
        let (booked, available) =
            bank.vault.read(|book| (book.booked(account, now), book.available(account, now)));
        for (kind, amount) in [("ITBD", booked), ("ITAV", available)] {
            views.push(json!({
                "AccountId": account.id,
                "CreditDebitIndicator": indicator(amount),
                "Type": kind,
                "DateTime": now.to_string(),
                "Amount": money(amount, account.currency),
            }));
        }
    }
    Ok(Json(page(bank, path, json!({ "Balance": views }))))
}

fn transactions_of(
    bank: &Bank,
    caller: &Caller,
    account: Option<&str>,
    path: &str,
    parameters: &HashMap<String, String>,
) -> Result<Json<Value>, Refusal> {
    let permissions = ["ReadTransactionsBasic", "ReadTransactionsDetail"];
    let (consent, accounts) = access(bank, caller, account, &permissions)?;
    let now = bank.now();
    let bound = |name: &'static str, date: Option<&String>| match date {
        None => Ok(None),
        Some(text) => {
            date_time(text).map(Some).ok_or(Refusal::field("U003", "The date cannot be read", name))
        }
    };
    let from = bound("fromBookingDateTime", parameters.get("fromBookingDateTime"))?;
    let to = bound("toBookingDateTime", parameters.get("toBookingDateTime"))?;
    let consented = |name: &str| consent.body.pointer(name).and_then(Value::as_str).and_then(date_time);
    let from = from.max(consented("/Data/TransactionFromDateTime"));
    let limit = consented("/Data/TransactionToDateTime");
    let number: usize = match parameters.get("page").map(|page| page.parse()) {
        None => 1,
        Some(Ok(number)) if number > 0 => number,
        Some(_) => return Err(Refusal::field("U002", "The page is no number", "page")),
    };
    let (credits, debits) =
        (permits(&consent, "ReadTransactionsCredits"), permits(&consent, "ReadTransactionsDebits"));
    let mut all: Vec<(&Account, Movement)> = Vec::new();
    for account in accounts {
        all.extend(bank.movements(account, now).into_iter().map(|movement| (account, movement)));
    }
    all.retain(|(_, movement)| {
        let visible = if movement.amount.is_sign_negative() { debits } else { credits };
        visible
            && from.is_none_or(|from| movement.at >= from)
            && to.is_none_or(|to| movement.at <= to)
            && limit.is_none_or(|limit| movement.at <= limit)
    });
    all.sort_by(|(_, a), (_, b)| (b.at, &b.id).cmp(&(a.at, &a.id)));
    let pages = all.len().div_ceil(PAGE).max(1);
    if number > pages {
        return Err(Refusal::field("U002", "There is no such page", "page"));
    }
    let detail = permits(&consent, "ReadTransactionsDetail");
    let start = number.saturating_sub(1).saturating_mul(PAGE);
    let views: Vec<Value> = all
        .iter()
        .skip(start)
        .take(PAGE)
        .map(|(account, movement)| transaction_view(bank, account, movement, detail))
        .collect();
    let link = |number: usize| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for name in ["fromBookingDateTime", "toBookingDateTime"] {
            if let Some(value) = parameters.get(name) {
                query.append_pair(name, value);
            }
        }
        query.append_pair("page", &number.to_string());
        let base = if bank.has(Habit::LinksUnreliable) {
            INTERNAL
        } else if bank.has(Habit::LinksOfAnotherBrand) {
            SISTER
        } else {
            &bank.api_url
        };
        format!("{base}{AISP}{path}?{}", query.finish())
    };
    let mut links = json!({"Self": link(number), "First": link(1), "Last": link(pages)});
    if let Some(links) = links.as_object_mut() {
        if number > 1 {
            links.insert("Prev".into(), link(number.saturating_sub(1)).into());
        }
        if number < pages {
            links.insert("Next".into(), link(number.saturating_add(1)).into());
        }
    }
    Ok(Json(json!({"Data": {"Transaction": views}, "Links": links, "Meta": {"TotalPages": pages}})))
}

fn transaction_view(bank: &Bank, account: &Account, movement: &Movement, detail: bool) -> Value {
    let [_, family, sub_family] = movement.code;
    let at = movement.at.to_string();
    let booked = if bank.has(Habit::InvalidDateIsNone) { "0000-00-00T00:00:00" } else { &at };
    let mut view = json!({
        "AccountId": account.id,
        "TransactionId": movement.id,
        "CreditDebitIndicator": indicator(movement.amount),
        "Status": if movement.pending { "PDNG" } else { "BOOK" },
        "BookingDateTime": booked,
        "ValueDateTime": movement.at.to_string(),
        "Amount": money(movement.amount, account.currency),
        "BankTransactionCode": {"Code": family, "SubCode": sub_family},
    });
    if let (true, Some(view)) = (detail, view.as_object_mut()) {
        if !movement.remittance.is_empty() {
            view.insert("TransactionInformation".into(), movement.remittance.clone().into());
        }
        if let Some(reference) = &movement.end_to_end {
            view.insert("TransactionReference".into(), reference.clone().into());
        }
        if let Some(category) = movement.merchant_category {
            let merchant = json!({"MerchantName": movement.counterparty, "MerchantCategoryCode": category});
            view.insert("MerchantDetails".into(), merchant);
        } else {
            let side = if movement.amount.is_sign_negative() { "CreditorAccount" } else { "DebtorAccount" };
            let mut other = json!({ "Name": movement.counterparty });
            if let (Some(account), Some(other)) = (&movement.counterparty_account, other.as_object_mut()) {
                let sort_code = account.len() == 14 && account.bytes().all(|byte| byte.is_ascii_digit());
                let scheme = if sort_code { "UK.OBIE.SortCodeAccountNumber" } else { "UK.OBIE.IBAN" };
                other.insert("SchemeName".into(), scheme.into());
                other.insert("Identification".into(), account.clone().into());
            }
            view.insert(side.into(), other);
        }
    }
    view
}

pub(super) fn money(amount: Decimal, currency: &str) -> Value {
    let mut amount = amount.abs();
    amount.rescale(2);
    json!({"Amount": amount.to_string(), "Currency": currency})
}

fn indicator(amount: Decimal) -> &'static str {
    if amount.is_sign_negative() { "Debit" } else { "Credit" }
}

/// A date and time, with a zone or, as the filters allow, without.
fn date_time(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| {
        let local = text.parse::<jiff::civil::DateTime>().ok()?;
        local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })
}
