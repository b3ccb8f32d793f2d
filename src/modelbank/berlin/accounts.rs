//! Accounts, balances and transactions.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use crypto::Psd2Role;
use domain::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::consents::allows;
use super::refusal::Refusal;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::arrangements;
use crate::engine::people::Product;
use crate::engine::{Account, Consent, ConsentState, Movement};
use crate::journal::Fact;

/// Transactions on one page.
const PAGE: usize = 40;

type Parameters = Query<HashMap<String, String>>;

pub(super) async fn list(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Query(parameters): Parameters,
) -> Result<Json<Value>, Refusal> {
    let consent = access(&bank, &caller, "accounts", true)?;
    let accounts = consent.accounts.iter().filter_map(|id| bank.account(id));
    let views: Vec<Value> = accounts.map(|account| view(&bank, &consent, account, &parameters)).collect();
    bank.vault.keep().await?;
    Ok(Json(json!({ "accounts": views })))
}

pub(super) async fn one(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(parameters): Parameters,
) -> Result<Json<Value>, Refusal> {
    let consent = access(&bank, &caller, &format!("accounts/{id}"), true)?;
    let account = covered(&bank, &consent, &id)?;
    bank.vault.keep().await?;
    Ok(Json(json!({ "account": view(&bank, &consent, account, &parameters) })))
}

pub(super) async fn balances(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let consent = access(&bank, &caller, &format!("accounts/{id}/balances"), true)?;
    let account = covered(&bank, &consent, &id)?;
    demand(&consent, "balances")?;
    bank.vault.keep().await?;
    Ok(Json(json!({"account": {"iban": account.iban}, "balances": balances_view(&bank, account)})))
}

pub(super) async fn transactions(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(parameters): Parameters,
) -> Result<Json<Value>, Refusal> {
    let parameter = |name: &str| parameters.get(name).map(String::as_str);
    if parameter("bookingStatus") == Some("information") {
        return standing_orders(&bank, &caller, &id).await;
    }
    let (booked, pending) = match parameter("bookingStatus") {
        Some("booked") => (true, false),
        Some("pending") => (false, true),
        Some("both") => (true, true),
        Some(_) | None => {
            return Err(Refusal::format("bookingStatus is booked, pending, both or information"));
        }
    };
    let date = |name: &str| match parameter(name) {
        None => Ok(None),
        Some(text) => text.parse::<Date>().map(Some).map_err(|_| Refusal::format("A date is not valid")),
    };
    let from = date("dateFrom")?.ok_or(Refusal::format("dateFrom is missing"))?;
    let to = date("dateTo")?;
    let number: usize = match parameter("page").map(str::parse) {
        None => 1,
        Some(Ok(number)) if number > 0 => number,
        Some(_) => return Err(Refusal::format("page is no number")),
    };
    // A later page belongs to the access that asked for the first.
    let consent = access(&bank, &caller, &format!("accounts/{id}/transactions"), number == 1)?;
    let account = covered(&bank, &consent, &id)?;
    demand(&consent, "transactions")?;
    bank.vault.keep().await?;
    let mut all = bank.movements(account, bank.now());
    all.retain(|movement| {
        let day = movement.at.to_zoned(TimeZone::UTC).date();
        let wanted = if movement.pending { pending } else { booked };
        wanted && day >= from && to.is_none_or(|to| day <= to)
    });
    let path = format!("/v1/accounts/{id}");
    let mut links = json!({"account": {"href": format!("{}{path}", bank.api_url)}});
    let end = number.saturating_mul(PAGE);
    if let (true, Some(links)) = (end < all.len(), links.as_object_mut()) {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for name in ["bookingStatus", "dateFrom", "dateTo"] {
            if let Some(value) = parameter(name) {
                query.append_pair(name, value);
            }
        }
        query.append_pair("page", &number.saturating_add(1).to_string());
        let href = format!("{}{path}/transactions?{}", bank.api_url, query.finish());
        links.insert("next".into(), json!({ "href": href }));
    }
    let page: Vec<&Movement> = all.iter().skip(end.saturating_sub(PAGE)).take(PAGE).collect();
    let views = |pending: bool| -> Vec<Value> {
        let wanted = page.iter().filter(|movement| movement.pending == pending);
        wanted.map(|movement| transaction(account, movement)).collect()
    };
    let mut report = json!({ "_links": links });
    if let Some(report) = report.as_object_mut() {
        if booked {
            report.insert("booked".into(), views(false).into());
        }
        if pending {
            report.insert("pending".into(), views(true).into());
        }
    }
    Ok(Json(json!({"account": {"iban": account.iban}, "transactions": report})))
}

/// What repeats, as entries for information.
async fn standing_orders(bank: &Bank, caller: &Caller, id: &str) -> Result<Json<Value>, Refusal> {
    let consent = access(bank, caller, &format!("accounts/{id}/transactions"), true)?;
    let account = covered(bank, &consent, id)?;
    demand(&consent, "transactions")?;
    bank.vault.keep().await?;
    let orders = arrangements::standing_orders(account, bank.now());
    let views: Vec<Value> = orders
        .iter()
        .map(|order| {
            json!({
                "entryReference": order.id,
                "valueDate": order.next.to_string(),
                "transactionAmount": money(-order.amount, account.currency),
                "creditorName": order.name,
                "creditorAccount": {"iban": order.account},
                "remittanceInformationUnstructured": "Rent",
                "bankTransactionCode": "PMNT-ICDT-STDO",
                "additionalInformationStructured": {"standingOrderDetails": {
                    "startDate": "2024-01-01",
                    "frequency": "Monthly",
                    "dayOfExecution": order.day.to_string(),
                }},
            })
        })
        .collect();
    let report = json!({"information": views, "_links": {"account": {"href": format!("{}/v1/accounts/{id}", bank.api_url)}}});
    Ok(Json(json!({"account": {"iban": account.iban}, "transactions": report})))
}

/// The payees that are paid without authentication, of one account or of all.
pub(super) async fn trusted_beneficiaries(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Query(parameters): Parameters,
) -> Result<Json<Value>, Refusal> {
    let consent = access(&bank, &caller, "trusted-beneficiaries", true)?;
    demand_additional(&consent, "trustedBeneficiaries")?;
    let wanted = match parameters.get("accountId") {
        Some(id) => vec![covered(&bank, &consent, id)?],
        None => consent.accounts.iter().filter_map(|id| bank.account(id)).collect(),
    };
    bank.vault.keep().await?;
    let views: Vec<Value> = wanted
        .into_iter()
        .flat_map(|account| arrangements::payees(account).into_iter().map(move |payee| (account, payee)))
        .filter(|(_, payee)| payee.trusted)
        .map(|(account, payee)| {
            let name = crypto::digest::sha256(payee.id.as_bytes());
            let id = uuid::Builder::from_slice(name.get(..16).unwrap_or_default())
                .map(uuid::Builder::into_uuid)
                .unwrap_or_default();
            json!({
                "trustedBeneficiaryId": id.to_string(),
                "debtorAccount": {"iban": account.iban},
                "creditorAccount": {"iban": payee.account},
                "creditorName": payee.name,
            })
        })
        .collect();
    Ok(Json(json!({ "trustedBeneficiaries": views })))
}

/// What the consent allows beside the accounts themselves.
fn demand_additional(consent: &Consent, what: &str) -> Result<(), Refusal> {
    if consent.body.pointer(&format!("/access/additionalInformation/{what}")).is_some() {
        Ok(())
    } else {
        Err(Refusal::unauthorised("CONSENT_INVALID", "The consent does not cover this access"))
    }
}

/// The live consent of the `Consent-ID` header; counts the access if the
/// customer is not there.
fn access(bank: &Bank, caller: &Caller, operation: &str, counts: bool) -> Result<Consent, Refusal> {
    let organisation = caller.organisation(Psd2Role::AccountInformation)?;
    let id = caller.header("consent-id").ok_or(Refusal::format("Consent-ID is missing"))?;
    bank.settle();
    let now = bank.now();
    let consent = bank.vault.read(|book| book.consents.get(id).cloned());
    let consent = consent.filter(|consent| consent.tpp == organisation).ok_or(Refusal::new(
        StatusCode::BAD_REQUEST,
        "CONSENT_UNKNOWN",
        "There is no such consent",
    ))?;
    if consent.state == ConsentState::Authorised && consent.has_expired(now) {
        return Err(Refusal::unauthorised("CONSENT_EXPIRED", "The consent has expired"));
    }
    if !consent.is_live(now) {
        return Err(Refusal::unauthorised("CONSENT_INVALID", "The consent is not valid"));
    }
    if counts && !caller.psu_present() && bank.exceeds_quota(&consent, operation) {
        let text = "The consent's accesses of today are used up";
        return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "ACCESS_EXCEEDED", text));
    }
    caller.facts.note(Fact::Consent);
    Ok(consent)
}

fn covered(bank: &Bank, consent: &Consent, id: &str) -> Result<&'static Account, Refusal> {
    let account = bank.account(id).ok_or_else(Refusal::unknown)?;
    if consent.covers(id) {
        Ok(account)
    } else {
        Err(Refusal::unauthorised("CONSENT_INVALID", "The consent does not cover this account"))
    }
}

fn demand(consent: &Consent, what: &str) -> Result<(), Refusal> {
    if allows(consent, what) {
        Ok(())
    } else {
        Err(Refusal::unauthorised("CONSENT_INVALID", "The consent does not cover this access"))
    }
}

fn view(bank: &Bank, consent: &Consent, account: &Account, parameters: &HashMap<String, String>) -> Value {
    let path = format!("{}/v1/accounts/{}", bank.api_url, account.id);
    let (kind, product) = match account.product {
        Product::Current => ("CACC", "Current account"),
        Product::Savings => ("SVGS", "Savings account"),
    };
    let mut view = json!({
        "resourceId": account.id,
        "iban": account.iban,
        "currency": account.currency,
        "name": account.name,
        "ownerName": account.owner,
        "product": product,
        "cashAccountType": kind,
        "status": "enabled",
        "usage": "PRIV",
    });
    let mut links = json!({});
    if let (Some(view), Some(links)) = (view.as_object_mut(), links.as_object_mut()) {
        for what in ["balances", "transactions"] {
            if allows(consent, what) {
                links.insert(what.to_owned(), json!({"href": format!("{path}/{what}")}));
            }
        }
        if parameters.get("withBalance").is_some_and(|with| with == "true") && allows(consent, "balances") {
            view.insert("balances".into(), balances_view(bank, account));
        }
        view.insert("_links".into(), Value::Object(links.clone()));
    }
    view
}

fn balances_view(bank: &Bank, account: &Account) -> Value {
    let now = bank.now();
    let (booked, available) =
        bank.vault.read(|book| (book.booked(account, now), book.available(account, now)));
    let balance = |kind: &str, amount: Decimal| {
        json!({
            "balanceAmount": money(amount, account.currency),
            "balanceType": kind,
            "lastChangeDateTime": now.to_string(),
            "referenceDate": now.to_zoned(TimeZone::UTC).date().to_string(),
        })
    };
    json!([balance("interimBooked", booked), balance("interimAvailable", available)])
}

fn transaction(account: &Account, movement: &Movement) -> Value {
    let day = movement.at.to_zoned(TimeZone::UTC).date().to_string();
    let side = if movement.amount.is_sign_negative() { "creditor" } else { "debtor" };
    let mut view = json!({
        "transactionId": movement.id,
        "valueDate": day,
        "transactionAmount": money(movement.amount, account.currency),
        format!("{side}Name"): movement.counterparty,
        "remittanceInformationUnstructured": movement.remittance,
        "bankTransactionCode": movement.code.join("-"),
    });
    if let Some(view) = view.as_object_mut() {
        if !movement.pending {
            view.insert("bookingDate".into(), day.into());
            view.insert("entryReference".into(), movement.id.clone().into());
        }
        if let Some(iban) = &movement.counterparty_account {
            view.insert(format!("{side}Account"), json!({ "iban": iban }));
        }
        if let Some(reference) = &movement.end_to_end {
            view.insert("endToEndId".into(), reference.clone().into());
        }
        if let Some(category) = movement.merchant_category {
            view.insert("additionalInformation".into(), format!("MCC {category}").into());
        }
    }
    view
}

fn money(amount: Decimal, currency: &str) -> Value {
    let mut amount = amount;
    amount.rescale(2);
    json!({"currency": currency, "amount": amount.to_string()})
}
