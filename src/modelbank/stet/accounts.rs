//! Accounts, balances and transactions.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use crypto::Psd2Role;
use domain::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::consents::{allows, grants, live};
use super::refusal::Refusal;
use super::{BASE, hal};
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::people::Product;
use crate::engine::{Account, Consent, Movement, arrangements};
use crate::journal::Fact;

/// Transactions on one page.
const PAGE: usize = 40;

pub(super) async fn list(State(bank): State<Arc<Bank>>, caller: Caller) -> Result<Response, Refusal> {
    let consent = access(&bank, &caller, "accounts", true)?;
    let covered = consent.accounts.iter().filter_map(|id| bank.account(id));
    let accounts: Vec<Value> = covered.map(|account| view(&bank, &consent, account)).collect();
    bank.vault.keep().await?;
    let body = json!({ "accounts": accounts, "_links": { "self": link(&bank, "/accounts") } });
    Ok(hal(StatusCode::OK, &body))
}

pub(super) async fn balances(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let path = format!("/accounts/{id}/balances");
    let consent = access(&bank, &caller, &path, true)?;
    let account = covered(&bank, &consent, &id, "balances")?;
    bank.vault.keep().await?;
    let now = bank.now();
    let (booked, available) =
        bank.vault.read(|book| (book.booked(account, now), book.available(account, now)));
    let balance = |name: &str, kind: &str, amount: Decimal| {
        json!({
            "name": name,
            "balanceAmount": money(amount, account.currency),
            "balanceType": kind,
            "referenceDate": now.to_zoned(TimeZone::UTC).date().to_string(),
            "lastChangeDateTime": now.to_string(),
        })
    };
    let balances =
        [balance("Solde comptable", "CLBD", booked), balance("Solde disponible", "XPCD", available)];
    let links = json!({ "self": link(&bank, &path), "parent-list": link(&bank, "/accounts") });
    Ok(hal(StatusCode::OK, &json!({ "balances": balances, "_links": links })))
}

pub(super) async fn transactions(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(parameters): Query<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    let date = |name: &str| match parameters.get(name) {
        None => Ok(None),
        Some(text) => text.parse::<Date>().map(Some).map_err(|_| Refusal::format("A date is not valid")),
    };
    let (from, to) = (date("dateFrom")?, date("dateTo")?);
    let number: usize = match parameters.get("page").map(|page| page.parse()) {
        None => 1,
        Some(Ok(number)) if number > 0 => number,
        Some(_) => return Err(Refusal::format("page is no number")),
    };
    let path = format!("/accounts/{id}/transactions");
    // A later page belongs to the access that asked for the first.
    let consent = access(&bank, &caller, &path, number == 1)?;
    let account = covered(&bank, &consent, &id, "transactions")?;
    bank.vault.keep().await?;
    let mut all = bank.movements(account, bank.now());
    all.retain(|movement| {
        let day = movement.at.to_zoned(TimeZone::UTC).date();
        from.is_none_or(|from| day >= from) && to.is_none_or(|to| day <= to)
    });
    let page_link = |number: usize| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for name in ["dateFrom", "dateTo"] {
            if let Some(value) = parameters.get(name) {
                query.append_pair(name, value);
            }
        }
        query.append_pair("page", &number.to_string());
        link(&bank, &format!("{path}?{}", query.finish()))
    };
    let end = number.saturating_mul(PAGE);
    let mut links = json!({ "self": page_link(number), "parent-list": link(&bank, "/accounts") });
    if let (true, Some(links)) = (end < all.len(), links.as_object_mut()) {
        links.insert("next".into(), page_link(number.saturating_add(1)));
    }
    let shown = all.iter().skip(end.saturating_sub(PAGE)).take(PAGE);
    let views: Vec<Value> = shown.map(|movement| transaction(account, movement)).collect();
    Ok(hal(StatusCode::OK, &json!({ "transactions": views, "_links": links })))
}

/// Who is connected: the customer whose consent it is.
pub(super) async fn identity(State(bank): State<Arc<Bank>>, caller: Caller) -> Result<Response, Refusal> {
    let path = "/end-user-identity";
    let consent = access(&bank, &caller, path, true)?;
    if !grants(&consent, "psuIdentity") {
        return Err(Refusal::forbidden());
    }
    bank.vault.keep().await?;
    let account = consent.accounts.iter().find_map(|id| bank.account(id)).ok_or_else(Refusal::unknown)?;
    let body = json!({ "connectedPsu": account.owner, "_links": { "self": link(&bank, path) } });
    Ok(hal(StatusCode::OK, &body))
}

/// Whom the customer pays without authentication.
pub(super) async fn beneficiaries(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
) -> Result<Response, Refusal> {
    let path = "/trusted-beneficiaries";
    let consent = access(&bank, &caller, path, true)?;
    if !grants(&consent, "trustedBeneficiaries") {
        return Err(Refusal::forbidden());
    }
    bank.vault.keep().await?;
    let accounts = consent.accounts.iter().filter_map(|id| bank.account(id));
    let trusted = accounts.flat_map(arrangements::payees).filter(|payee| payee.trusted);
    let views = trusted.map(|payee| {
        json!({
            "id": payee.id,
            "isTrusted": true,
            "creditor": { "name": payee.name },
            "creditorAccount": { "iban": payee.account },
        })
    });
    let views: Vec<Value> = views.collect();
    let body = json!({ "beneficiaries": views, "_links": { "self": link(&bank, path) } });
    Ok(hal(StatusCode::OK, &body))
}

fn access(bank: &Bank, caller: &Caller, operation: &str, counts: bool) -> Result<Consent, Refusal> {
    let consent = live(bank, caller, Psd2Role::AccountInformation, "aisp")?;
    if counts && !caller.psu_present() && bank.exceeds_quota(&consent, operation) {
        return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "The accesses of today are used up"));
    }
    caller.facts.note(Fact::Consent);
    Ok(consent)
}

fn covered(bank: &Bank, consent: &Consent, id: &str, what: &str) -> Result<&'static Account, Refusal> {
    let account = bank.account(id).ok_or_else(Refusal::unknown)?;
    let covered = consent.covers(id) && allows(consent, what, account.iban);
    if covered { Ok(account) } else { Err(Refusal::forbidden()) }
}

fn link(bank: &Bank, path: &str) -> Value {
    json!({ "href": format!("{}{BASE}{path}", bank.api_url) })
}

fn view(bank: &Bank, consent: &Consent, account: &Account) -> Value {
    let kind = match account.product {
        Product::Current => "CACC",
        Product::Savings => "SVGS",
        Product::Card => "CARD",
    };
    let mut view = json!({
        "resourceId": account.id,
        "bicFi": "RIVGFRPP",
        "accountId": { "iban": account.iban, "currency": account.currency },
        "name": account.name,
        "usage": "PRIV",
        "cashAccountType": kind,
        "currency": account.currency,
        "psuStatus": "Account Holder",
    });
    let mut links = json!({});
    if let (Some(view), Some(links)) = (view.as_object_mut(), links.as_object_mut()) {
        for what in ["balances", "transactions"] {
            if allows(consent, what, account.iban) {
                let path = format!("/accounts/{}/{what}", account.id);
                links.insert(what.to_owned(), link(bank, &path));
            }
        }
        view.insert("_links".into(), Value::Object(links.clone()));
    }
    view
}

fn transaction(account: &Account, movement: &Movement) -> Value {
    let day = movement.at.to_zoned(TimeZone::UTC).date().to_string();
    let [domain, family, sub_family] = movement.code;
    let mut view = json!({
        "resourceId": movement.id,
        "transactionAmount": money(movement.amount.abs(), account.currency),
        "creditDebitIndicator": if movement.amount.is_sign_negative() { "DBIT" } else { "CRDT" },
        "status": if movement.pending { "PDNG" } else { "BOOK" },
        "valueDate": day,
        "transactionDate": day,
        "bankTransactionCode": { "domain": domain, "family": family, "subFamily": sub_family },
        "remittanceInformation": { "unstructured": [movement.counterparty, movement.remittance] },
    });
    if let Some(view) = view.as_object_mut() {
        if !movement.pending {
            view.insert("entryReference".into(), movement.id.clone().into());
            view.insert("bookingDate".into(), day.into());
        }
        if let Some(reference) = &movement.end_to_end {
            view.insert("endToEndId".into(), reference.clone().into());
        }
    }
    view
}

fn money(mut amount: Decimal, currency: &str) -> Value {
    amount.rescale(2);
    json!({ "currency": currency, "amount": amount.to_string() })
}
