//! Accounts and transactions.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use crypto::Psd2Role;
use domain::Date;
use jiff::ToSpan;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::{amount, date_time, parsed_with_token};
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::people::Product;
use crate::engine::{Account, Consent, Movement, arrangements};
use crate::journal::Fact;

/// Entries on a page, where the TPP names no number.
const PAGE: u64 = 40;
/// Most entries on a page.
const MOST: u64 = 100;

pub(super) async fn list(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (consent, body) = access(&bank, &caller, &body, "ais-accounts:getAccounts")?;
    bank.vault.keep().await?;
    let accounts: Vec<&Account> = consent.accounts.iter().filter_map(|id| bank.account(id)).collect();
    let (shown, pages) = page(&accounts, &body)?;
    let views = shown.iter().map(|account| {
        let (code, name) = kind(account);
        let kind = json!({ "code": code, "description": name });
        json!({ "accountNumber": account.iban, "accountTypeName": name, "accountType": kind })
    });
    Ok(Json(json!({ "accounts": views.collect::<Vec<Value>>(), "pageInfo": pages })))
}

pub(super) async fn one(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (consent, body) = access(&bank, &caller, &body, "ais:getAccount")?;
    let account = covered(&bank, &consent, &body)?;
    bank.vault.keep().await?;
    let now = bank.now();
    let (booked, available) =
        bank.vault.read(|book| (book.booked(account, now), book.available(account, now)));
    let (code, name) = kind(account);
    let view = json!({
        "accountNumber": account.iban,
        "nameAddress": { "value": [account.owner, "ul. Nadbrzeżna 12", "00-950 Warszawa"] },
        "accountType": { "code": code, "description": name },
        "accountTypeName": name,
        "accountHolderType": "individual",
        "accountNameClient": account.name,
        "currency": account.currency,
        "availableBalance": amount(available.max(rust_decimal::Decimal::ZERO)),
        "bookingBalance": amount(booked),
    });
    Ok(Json(json!({ "account": view })))
}

pub(super) async fn done(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    transactions(&bank, &caller, &body, "ais:getTransactionsDone").await
}

pub(super) async fn pending(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    transactions(&bank, &caller, &body, "ais:getTransactionsPending").await
}

/// Payments to come.
pub(super) async fn scheduled(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (consent, body) = access(&bank, &caller, &body, "ais:getTransactionsScheduled")?;
    let account = covered(&bank, &consent, &body)?;
    bank.vault.keep().await?;
    let payments = arrangements::to_come(account, bank.now());
    let (shown, pages) = page(&payments, &body)?;
    let views = shown.iter().map(|payment| {
        json!({
            "itemId": payment.id,
            "amount": amount(payment.amount),
            "currency": account.currency,
            "description": "Bilety do teatru",
            "tradeDate": format!("{}T00:00:00.000Z", payment.on),
            "transactionCategory": "DEBIT",
            "sender": { "accountNumber": account.iban, "nameAddress": { "value": [account.owner] } },
            "recipient": {
                "accountNumber": payment.payee.account,
                "nameAddress": { "value": [payment.payee.name] },
            },
        })
    });
    Ok(Json(json!({ "transactions": views.collect::<Vec<Value>>(), "pageInfo": pages })))
}

/// One transaction, of which more is told than in the lists.
pub(super) async fn detail(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (consent, body) = access(&bank, &caller, &body, "ais:getTransactionDetail")?;
    let account = covered(&bank, &consent, &body)?;
    bank.vault.keep().await?;
    let item = body.get("itemId").and_then(Value::as_str).ok_or(Refusal::format("itemId is missing"))?;
    let all = bank.movements(account, bank.now());
    let movement = all
        .iter()
        .find(|movement| movement.id == item)
        .ok_or(Refusal::unprocessable("There is no such item"))?;
    let mut told = view(account, movement);
    if let (Some(category), Some(told)) = (movement.merchant_category, told.as_object_mut()) {
        told.insert("mcc".into(), category.into());
    }
    Ok(Json(json!({ "baseInfo": told })))
}

async fn transactions(
    bank: &Bank,
    caller: &Caller,
    body: &Bytes,
    privilege: &'static str,
) -> Result<Json<Value>, Refusal> {
    let (consent, body) = access(bank, caller, body, privilege)?;
    let account = covered(bank, &consent, &body)?;
    bank.vault.keep().await?;
    let date = |name: &str| match body.get(name).and_then(Value::as_str) {
        None => Ok(None),
        Some(text) => text.parse::<Date>().map(Some).map_err(|_| Refusal::format("A date is not valid")),
    };
    let (from, to) = (date("transactionDateFrom")?, date("transactionDateTo")?);
    let days =
        allowed(&consent, privilege).and_then(|allowed| allowed.get("maxAllowedHistoryLong")?.as_i64());
    let today = bank.now().to_zoned(TimeZone::UTC).date();
    let oldest = today.saturating_sub(days.unwrap_or(90).clamp(1, 1_460).days());
    let pending = privilege == "ais:getTransactionsPending";
    let mut all = bank.movements(account, bank.now());
    all.retain(|movement| {
        let day = movement.at.to_zoned(TimeZone::UTC).date();
        let within = from.is_none_or(|from| day >= from) && to.is_none_or(|to| day <= to);
        movement.pending == pending && within && day >= oldest
    });
    let (shown, pages) = page(&all, &body)?;
    let views: Vec<Value> = shown.iter().map(|movement| view(account, movement)).collect();
    Ok(Json(json!({ "transactions": views, "pageInfo": pages })))
}

/// The live consent of the caller's token, if it has the privilege; counts the
/// access if the customer is not there.
fn access(
    bank: &Bank,
    caller: &Caller,
    body: &[u8],
    privilege: &'static str,
) -> Result<(Consent, Value), Refusal> {
    let organisation = caller.organisation(Psd2Role::AccountInformation)?;
    let body = parsed_with_token(caller, body)?;
    let consent = caller.bound_consent(bank, "ais")?;
    if !consent.is_live(bank.now()) {
        return Err(Refusal::token());
    }
    if consent.tpp != organisation || allowed(&consent, privilege).is_none() {
        return Err(Refusal::forbidden());
    }
    let direct = body.pointer("/requestHeader/isDirectPsu") == Some(&Value::Bool(true));
    if direct {
        let address = body.pointer("/requestHeader/ipAddress").and_then(Value::as_str);
        address.ok_or(Refusal::format("ipAddress is missing, where the customer asks"))?;
        caller.facts.note(Fact::PsuPresent);
    }
    let first = body.get("pageId").is_none();
    let account = body.get("accountNumber").and_then(Value::as_str).unwrap_or_default();
    if !direct && first && bank.exceeds_quota(&consent, &format!("{privilege} {account}")) {
        let text = "The accesses of today are used up";
        return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "ACCESS_EXCEEDED", text));
    }
    caller.facts.note(Fact::Consent);
    Ok((consent, body))
}

/// What the consent says of a privilege.
fn allowed<'a>(consent: &'a Consent, privilege: &str) -> Option<&'a Value> {
    let lists = consent.body.get("privilegeList")?.as_array()?;
    lists.iter().find_map(|list| list.get(privilege))
}

fn covered(bank: &Bank, consent: &Consent, body: &Value) -> Result<&'static Account, Refusal> {
    let number = body.get("accountNumber").and_then(Value::as_str);
    let number = number.ok_or(Refusal::format("accountNumber is missing"))?;
    let ids = consent.accounts.iter().filter_map(|id| bank.account(id));
    let mut named = ids.filter(|account| account.iban == number || account.iban.get(2..) == Some(number));
    named.next().ok_or_else(Refusal::forbidden)
}

/// One page of a list, and the names of those beside it.
fn page<'a, T>(all: &'a [T], body: &Value) -> Result<(Vec<&'a T>, Value), Refusal> {
    let size = match body.get("perPage") {
        None => PAGE,
        Some(size) => {
            size.as_u64().filter(|size| *size > 0).ok_or(Refusal::format("perPage is not valid"))?
        }
    };
    let size = usize::try_from(size.min(MOST)).unwrap_or(1);
    let number = match body.get("pageId").map(|page| page.as_str().and_then(|page| page.parse().ok())) {
        None => 1_usize,
        Some(Some(number)) if number > 0 => number,
        Some(_) => return Err(Refusal::format("There is no such page")),
    };
    let start = number.saturating_sub(1).saturating_mul(size);
    let mut pages = json!({});
    if let Some(pages) = pages.as_object_mut() {
        if number > 1 {
            pages.insert("previousPage".into(), number.saturating_sub(1).to_string().into());
        }
        if start.saturating_add(size) < all.len() {
            pages.insert("nextPage".into(), number.saturating_add(1).to_string().into());
        }
    }
    Ok((all.iter().skip(start).take(size).collect(), pages))
}

fn kind(account: &Account) -> (&'static str, &'static str) {
    match account.product {
        Product::Current => ("CACC", "Konto osobiste"),
        Product::Savings => ("SVGS", "Konto oszczędnościowe"),
        Product::Card => ("CARD", "Karta kredytowa"),
    }
}

fn view(account: &Account, movement: &Movement) -> Value {
    let out = movement.amount.is_sign_negative();
    let mut other = json!({ "nameAddress": { "value": [movement.counterparty] } });
    if let (Some(number), Some(other)) = (&movement.counterparty_account, other.as_object_mut()) {
        other.insert("accountNumber".into(), number.clone().into());
    }
    let itself = json!({ "accountNumber": account.iban, "nameAddress": { "value": [account.owner] } });
    let (sender, recipient) = if out { (itself, other) } else { (other, itself) };
    let mut view = json!({
        "itemId": movement.id,
        "amount": amount(movement.amount.abs()),
        "currency": account.currency,
        "description": movement.remittance,
        "transactionType": movement.code.join("-"),
        "tradeDate": date_time(movement.at),
        "transactionCategory": if out { "DEBIT" } else { "CREDIT" },
        "sender": sender,
        "recipient": recipient,
    });
    if let (false, Some(view)) = (movement.pending, view.as_object_mut()) {
        view.insert("bookingDate".into(), date_time(movement.at).into());
    }
    view
}
