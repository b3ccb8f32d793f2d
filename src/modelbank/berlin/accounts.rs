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

use super::cards::CARDS;
use super::consents::allows;
use super::refusal::Refusal;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::arrangements;
use crate::engine::people::Product;
use crate::engine::{Account, Consent, ConsentState, Movement, Purpose};
use crate::journal::Fact;

/// Transactions on one page.
const PAGE: usize = 40;
/// Longest `entryReference`.
const MAX_REFERENCE: usize = 35;

type Parameters = Query<HashMap<String, String>>;

pub(super) async fn list<const CARDS: bool>(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Query(parameters): Parameters,
) -> Result<Json<Value>, Refusal> {
    let kind = Kind::of(CARDS);
    let consent = access(&bank, &caller, kind.place, true)?;
    let views: Vec<Value> =
        kind.shared(&bank, &consent).map(|account| view(&bank, &consent, account, &parameters)).collect();
    bank.vault.keep().await?;
    Ok(Json(json!({ kind.list: views })))
}

pub(super) async fn one<const CARDS: bool>(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(parameters): Parameters,
) -> Result<Json<Value>, Refusal> {
    let kind = Kind::of(CARDS);
    let consent = access(&bank, &caller, &format!("{}/{id}", kind.place), true)?;
    let account = kind.covered(&bank, &consent, &id)?;
    bank.vault.keep().await?;
    Ok(Json(json!({ kind.one: view(&bank, &consent, account, &parameters) })))
}

pub(super) async fn balances<const CARDS: bool>(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let kind = Kind::of(CARDS);
    let consent = access(&bank, &caller, &format!("{}/{id}/balances", kind.place), true)?;
    let account = kind.covered(&bank, &consent, &id)?;
    demand(&consent, "balances")?;
    bank.vault.keep().await?;
    Ok(Json(kind.about(account, "balances", balances_view(&bank, account))))
}

pub(super) async fn transactions<const CARDS: bool>(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(parameters): Parameters,
) -> Result<Json<Value>, Refusal> {
    let kind = Kind::of(CARDS);
    if !CARDS && parameters.get("bookingStatus").is_some_and(|status| status == "information") {
        return standing_orders(&bank, &caller, &id).await;
    }
    let (account, report) = report(&bank, &caller, &id, &parameters, kind)?;
    bank.vault.keep().await?;
    Ok(Json(kind.about(account, kind.entries, report)))
}

/// One entry, of which both sides are told.
pub(super) async fn entry(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path((id, entry)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let consent = access(&bank, &caller, &format!("accounts/{id}/transactions/{entry}"), true)?;
    let account = ACCOUNTS.covered(&bank, &consent, &id)?;
    demand(&consent, "transactions")?;
    bank.vault.keep().await?;
    let all = bank.movements(account, bank.now());
    let movement = all.iter().find(|movement| movement.id == entry).ok_or_else(Refusal::unknown)?;
    let mut told = transaction(account, movement);
    let own = if movement.amount.is_sign_negative() { "debtor" } else { "creditor" };
    if let Some(told) = told.as_object_mut() {
        told.insert(format!("{own}Name"), account.owner.into());
        told.insert(format!("{own}Account"), json!({ "iban": account.iban }));
    }
    Ok(Json(json!({ "transactionsDetails": told })))
}

/// Accounts, or cards: where they lie and in which words they are told.
pub(super) struct Kind {
    pub(super) cards: bool,
    pub(super) place: &'static str,
    pub(super) list: &'static str,
    pub(super) one: &'static str,
    pub(super) entries: &'static str,
    pub(super) entry: fn(&Account, &Movement) -> Value,
}

static ACCOUNTS: Kind = Kind {
    cards: false,
    place: "accounts",
    list: "accounts",
    one: "account",
    entries: "transactions",
    entry: transaction,
};

impl Kind {
    fn of(cards: bool) -> &'static Self {
        if cards { &CARDS } else { &ACCOUNTS }
    }

    /// Those of a consent.
    fn shared(&self, bank: &Bank, consent: &Consent) -> impl Iterator<Item = &'static Account> {
        let cards = self.cards;
        let accounts = consent.accounts.iter().filter_map(|id| bank.account(id));
        accounts.filter(move |account| (account.product == Product::Card) == cards)
    }

    /// The one of this id, if there is one and the consent covers it.
    fn covered(&self, bank: &Bank, consent: &Consent, id: &str) -> Result<&'static Account, Refusal> {
        let account = bank.account(id).filter(|account| (account.product == Product::Card) == self.cards);
        let account = account.ok_or_else(Refusal::unknown)?;
        if consent.covers(id) {
            Ok(account)
        } else {
            Err(Refusal::unauthorised("CONSENT_INVALID", "The consent does not cover this account"))
        }
    }

    /// An answer about one of them. What is owed on a card is positive.
    fn about(&self, account: &Account, name: &str, told: Value) -> Value {
        let mut body = json!({ self.one: reference(account), name: told });
        if let (true, Some(body)) = (self.cards, body.as_object_mut()) {
            body.insert("debitAccounting".into(), true.into());
        }
        body
    }
}

/// One page of entries with the links beside them.
fn report(
    bank: &Bank,
    caller: &Caller,
    id: &str,
    parameters: &HashMap<String, String>,
    kind: &Kind,
) -> Result<(&'static Account, Value), Refusal> {
    let parameter = |name: &str| parameters.get(name).map(String::as_str);
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
    let place = kind.place;
    let consent = access(bank, caller, &format!("{place}/{id}/transactions"), number == 1)?;
    let account = kind.covered(bank, &consent, id)?;
    demand(&consent, "transactions")?;
    let mut all = bank.movements(account, bank.now());
    all.retain(|movement| {
        let day = movement.at.to_zoned(TimeZone::UTC).date();
        let wanted = if movement.pending { pending } else { booked };
        wanted && day >= from && to.is_none_or(|to| day <= to)
    });
    let path = format!("/v1/{place}/{id}");
    let mut links = json!({kind.one: {"href": format!("{}{path}", bank.api_url)}});
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
        wanted.map(|movement| (kind.entry)(account, movement)).collect()
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
    Ok((account, report))
}

/// What repeats, as entries for information.
async fn standing_orders(bank: &Bank, caller: &Caller, id: &str) -> Result<Json<Value>, Refusal> {
    let consent = access(bank, caller, &format!("accounts/{id}/transactions"), true)?;
    let account = ACCOUNTS.covered(bank, &consent, id)?;
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
        Some(id) => vec![ACCOUNTS.covered(&bank, &consent, id)?],
        None => ACCOUNTS.shared(&bank, &consent).collect(),
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
    let reads = |consent: &Consent| consent.tpp == organisation && consent.purpose == Purpose::Accounts;
    let consent = consent.filter(reads).ok_or(Refusal::new(
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

fn demand(consent: &Consent, what: &str) -> Result<(), Refusal> {
    if allows(consent, what) {
        Ok(())
    } else {
        Err(Refusal::unauthorised("CONSENT_INVALID", "The consent does not cover this access"))
    }
}

/// How others name an account.
pub(super) fn reference(account: &Account) -> Value {
    match account.masked_pan() {
        Some(number) => json!({ "maskedPan": number }),
        None => json!({ "iban": account.iban }),
    }
}

fn view(bank: &Bank, consent: &Consent, account: &Account, parameters: &HashMap<String, String>) -> Value {
    let place = if account.product == Product::Card { "card-accounts" } else { "accounts" };
    let path = format!("{}/v1/{place}/{}", bank.api_url, account.id);
    let (kind, product) = match account.product {
        Product::Current => ("CACC", "Current account"),
        Product::Savings => ("SVGS", "Savings account"),
        Product::Card => ("CARD", "Credit card"),
    };
    let mut view = json!({
        "resourceId": account.id,
        "currency": account.currency,
        "name": account.name,
        "ownerName": account.owner,
        "product": product,
        "status": "enabled",
        "usage": "PRIV",
    });
    let mut links = json!({});
    if let (Some(view), Some(links)) = (view.as_object_mut(), links.as_object_mut()) {
        match account.masked_pan() {
            Some(number) => {
                view.insert("maskedPan".into(), number.into());
                view.insert("debitAccounting".into(), true.into());
            }
            None => {
                view.insert("iban".into(), account.iban.into());
                view.insert("cashAccountType".into(), kind.into());
            }
        }
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

/// A card's are what the customer owes, as positive amounts (`debitAccounting`).
fn balances_view(bank: &Bank, account: &Account) -> Value {
    let now = bank.now();
    let (booked, available) =
        bank.vault.read(|book| (book.booked(account, now), book.available(account, now)));
    let balance = |kind: &str, amount: Decimal| {
        let amount = if account.product == Product::Card { -amount } else { amount };
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
            view.insert("entryReference".into(), entry_reference(&movement.id).into());
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

/// The bank's name of an entry, or where that is too long, one made from it.
fn entry_reference(id: &str) -> String {
    if id.len() <= MAX_REFERENCE {
        return id.to_owned();
    }
    crypto::digest::sha256_hex(id.as_bytes()).chars().take(MAX_REFERENCE).collect()
}

pub(super) fn money(amount: Decimal, currency: &str) -> Value {
    let mut amount = amount;
    amount.rescale(2);
    json!({"currency": currency, "amount": amount.to_string()})
}
