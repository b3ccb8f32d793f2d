//! Domestic payments: consent, funds confirmation, order.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use crypto::Psd2Role;
use domain::Timestamp;
use jiff::ToSpan;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::PISP;
use super::consents::{own_consent, parsed};
use super::refusal::Refusal;
use super::signature::{demand, signed};
use super::{refund, wishes};
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::book::Seen;
use crate::engine::{Account, Consent, ConsentState, Instruction, Order, Purpose, Transfer, accounts};
use crate::habit::Habit;
use crate::journal::Fact;

/// Longest idempotency key.
const MAX_KEY: usize = 40;
/// What the bank calls single payments.
const PRODUCT: &str = "domestic";

pub(super) async fn create_consent(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?.to_owned();
    caller.token(&bank, "payments")?;
    let key = idempotency_key(&caller, &organisation, "consent")?;
    demand(&bank, &caller, &body)?;
    if let Some(made) = replayed(&bank, &caller, &key) {
        let consent = own_consent(&bank, &organisation, &made, Purpose::Payment)?;
        return Ok(signed(&bank, StatusCode::CREATED, &consent_view(&bank, &consent)));
    }
    let body = parsed(&caller, &body)?;
    let initiation = Initiation::read(&bank, &body)?;
    initiation.debtor(&bank)?;
    wishes::judge(&bank, &body)?;
    let now = bank.now();
    let consent = Consent {
        expires: now.checked_add(24.hours()).ok(),
        ..Consent::asked(bank.fresh("pdc-"), organisation, Purpose::Payment, now, body)
    };
    let view = wishes::fresh(&bank, consent_view(&bank, &consent));
    bank.vault.change(|book| {
        book.prune(now);
        book.names.insert(consent.tpp.clone(), caller.name());
        remember(book, key, &consent.id, now);
        book.consents.insert(consent.id.clone(), consent);
    });
    bank.vault.keep().await?;
    Ok(signed(&bank, StatusCode::CREATED, &view))
}

pub(super) async fn read_consent(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?;
    caller.token(&bank, "payments")?;
    let consent = own_consent(&bank, organisation, &id, Purpose::Payment)?;
    Ok(signed(&bank, StatusCode::OK, &consent_view(&bank, &consent)))
}

pub(super) async fn funds(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    caller.organisation(Psd2Role::PaymentInitiation)?;
    let consent = authorised(&bank, &caller, &id)?;
    let initiation = Initiation::read(&bank, &consent.body)?;
    let now = bank.now();
    let account = consent.accounts.first().and_then(|id| bank.account(id));
    let available = account
        .is_some_and(|account| bank.vault.read(|book| book.available(account, now)) >= initiation.amount);
    let result = json!({"FundsAvailableDateTime": now.to_string(), "FundsAvailable": available});
    let itself = format!("{}{PISP}/domestic-payment-consents/{id}/funds-confirmation", bank.api_url);
    let body = json!({"Data": {"FundsAvailableResult": result}, "Links": {"Self": itself}, "Meta": {}});
    Ok(signed(&bank, StatusCode::OK, &body))
}

pub(super) async fn place(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?.to_owned();
    caller.token(&bank, "payments")?;
    let key = idempotency_key(&caller, &organisation, "payment")?;
    demand(&bank, &caller, &body)?;
    let now = bank.now();
    if let Some(made) = replayed(&bank, &caller, &key) {
        let order = own_order(&bank, &organisation, &made, PRODUCT)?;
        bank.vault.change(|book| book.note_asked([order.end_to_end()]));
        return Ok(signed(&bank, StatusCode::CREATED, &order_view(&bank, &order, now)));
    }
    let body = parsed(&caller, &body)?;
    let name = body.pointer("/Data/Initiation/EndToEndIdentification").and_then(Value::as_str);
    bank.vault.change(|book| book.note_asked([name]));
    let id = body.pointer("/Data/ConsentId").and_then(Value::as_str);
    let id = id.ok_or_else(|| Refusal::field("U004", "ConsentId is missing", "Data.ConsentId"))?;
    let consent = authorised(&bank, &caller, id)?;
    for pointer in ["/Data/Initiation", "/Risk"] {
        if body.pointer(pointer) != consent.body.pointer(pointer) {
            return Err(Refusal::field("U008", "The order is not what was consented to", "Data.Initiation"));
        }
    }
    let initiation = Initiation::read(&bank, &body)?;
    let transfer = Transfer {
        amount: initiation.amount,
        currency: initiation.currency.to_owned(),
        creditor_name: initiation.creditor_name.to_owned(),
        creditor_account: initiation.creditor_account.to_owned(),
        remittance: initiation.remittance,
        end_to_end: Some(initiation.end_to_end.to_owned()),
        outcome: None,
    };
    let asked = Instruction::single(transfer);
    let order = Order {
        consent: Some(consent.id.clone()),
        user: consent.user.clone(),
        ..Order::received(bank.fresh("pmt-"), organisation, PRODUCT, asked, now, body)
    };
    let debtor = consent.accounts.first().cloned().unwrap_or_default();
    let declined = bank.faults.take_decline();
    let placed = bank.vault.change(|book| {
        // Once: two orders that arrive together must not both be carried out.
        if let Some(seen) = book.seen.get(&key) {
            return book.orders.get(&seen.resource).cloned();
        }
        let consent = book.consents.get_mut(&consent.id)?;
        if consent.state != ConsentState::Authorised {
            return None;
        }
        consent.becomes(ConsentState::Consumed, now);
        remember(book, key, &order.id, now);
        let id = order.id.clone();
        book.orders.insert(id.clone(), order);
        book.execute(bank.kind, &id, &debtor, now, declined);
        book.orders.get(&id).cloned()
    });
    let placed = placed.ok_or_else(|| Refusal::bad("U009", "The consent is not authorised"))?;
    bank.vault.keep().await?;
    Ok(signed(&bank, StatusCode::CREATED, &order_view(&bank, &placed, now)))
}

pub(super) async fn read(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?;
    caller.token(&bank, "payments")?;
    let order = own_order(&bank, organisation, &id, PRODUCT)?;
    Ok(signed(&bank, StatusCode::OK, &order_view(&bank, &order, bank.now())))
}

/// The account that a payment to be approved names to be paid from.
pub(crate) fn asked_debtor(bank: &Bank, consent: &Consent) -> Option<&'static str> {
    let initiation = Initiation::read(bank, &consent.body).ok()?;
    initiation.debtor(bank).ok()?.map(|account| account.id)
}

/// What an order needs of `Data.Initiation`.
struct Initiation<'a> {
    amount: Decimal,
    currency: &'a str,
    creditor_name: &'a str,
    creditor_account: &'a str,
    end_to_end: &'a str,
    remittance: String,
    debtor: Option<(&'a str, &'a str)>,
}

impl<'a> Initiation<'a> {
    fn read(bank: &Bank, body: &'a Value) -> Result<Self, Refusal> {
        let text = |pointer: &str, path| text(body, pointer, path);
        if !bank.has(Habit::FieldLeftOut) {
            let path = "Data.Initiation.InstructionIdentification";
            text("/Data/Initiation/InstructionIdentification", path)?;
        }
        let end_to_end =
            text("/Data/Initiation/EndToEndIdentification", "Data.Initiation.EndToEndIdentification")?;
        let instructed = body.pointer("/Data/Initiation/InstructedAmount");
        let (amount, currency) = money(instructed, "Data.Initiation.InstructedAmount")?;
        let (creditor_name, creditor_account) = payee(body)?;
        let debtor = body.pointer("/Data/Initiation/DebtorAccount");
        let debtor = debtor.and_then(|debtor| {
            Some((debtor.get("SchemeName")?.as_str()?, debtor.get("Identification")?.as_str()?))
        });
        let remittance = body.pointer("/Data/Initiation/RemittanceInformation");
        let remittance = remittance.map(|remittance| words(remittance).join(" ")).unwrap_or_default();
        Ok(Self { amount, currency, creditor_name, creditor_account, end_to_end, remittance, debtor })
    }

    /// The account to pay from, if the order names one.
    fn debtor(&self, bank: &Bank) -> Result<Option<&'static Account>, Refusal> {
        let Some((scheme, identification)) = self.debtor else { return Ok(None) };
        let found = accounts(bank.kind).iter().find(|account| match scheme {
            "UK.OBIE.IBAN" => account.iban == identification,
            _ => account.sort_code_account() == identification,
        });
        let path = "Data.Initiation.DebtorAccount.Identification";
        found.map(Some).ok_or_else(|| Refusal::field("U021", "The bank has no such account", path))
    }
}

fn text<'a>(body: &'a Value, pointer: &str, path: &'static str) -> Result<&'a str, Refusal> {
    let found = body.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    found.ok_or_else(|| Refusal::field("U004", "The field is missing", path))
}

/// An amount and its currency.
pub(super) fn money<'a>(found: Option<&'a Value>, path: &'static str) -> Result<(Decimal, &'a str), Refusal> {
    let found = found.ok_or_else(|| Refusal::field("U004", "The field is missing", path))?;
    let invalid = || Refusal::field("U002", "The amount is not valid", path);
    let number = found.get("Amount").and_then(Value::as_str).and_then(amount).ok_or_else(invalid)?;
    let currency = found.get("Currency").and_then(Value::as_str).ok_or_else(invalid)?;
    if currency != "GBP" {
        return Err(Refusal::field("U023", "Only GBP is supported", path));
    }
    Ok((number, currency))
}

/// Who is paid: name and account.
pub(super) fn payee(body: &Value) -> Result<(&str, &str), Refusal> {
    let scheme_path = "Data.Initiation.CreditorAccount.SchemeName";
    let scheme = text(body, "/Data/Initiation/CreditorAccount/SchemeName", scheme_path)?;
    let account_path = "Data.Initiation.CreditorAccount.Identification";
    let account = text(body, "/Data/Initiation/CreditorAccount/Identification", account_path)?;
    let name_path = "Data.Initiation.CreditorAccount.Name";
    let name = text(body, "/Data/Initiation/CreditorAccount/Name", name_path)?;
    let fits = match scheme {
        "UK.OBIE.SortCodeAccountNumber" => {
            account.len() == 14 && account.bytes().all(|byte| byte.is_ascii_digit())
        }
        "UK.OBIE.IBAN" => account.parse::<domain::Iban>().is_ok(),
        _ => return Err(Refusal::field("U027", "The scheme is not supported", scheme_path)),
    };
    if fits {
        Ok((name, account))
    } else {
        Err(Refusal::field("U021", "The account is not valid in its scheme", account_path))
    }
}

/// `^\d{1,13}(\.\d{1,5})?$`, more than nothing, and at most two places.
pub(super) fn amount(text: &str) -> Option<Decimal> {
    let currency: domain::Currency = "GBP".parse().ok()?;
    let money = domain::Money::parse(text, currency).ok()?;
    (!money.amount().is_zero()).then(|| money.amount())
}

/// Every text inside a remittance, whatever its structure.
pub(super) fn words(value: &Value) -> Vec<&str> {
    if let Some(text) = value.as_str() {
        return vec![text];
    }
    if let Some(items) = value.as_array() {
        return items.iter().flat_map(words).collect();
    }
    value.as_object().map(|members| members.values().flat_map(words).collect()).unwrap_or_default()
}

/// The consent of the caller's token, if it is this one and authorised.
pub(super) fn authorised(bank: &Bank, caller: &Caller, id: &str) -> Result<Consent, Refusal> {
    let consent = caller.bound_consent(bank, "payments")?;
    if consent.id != id {
        return Err(Refusal::Forbidden);
    }
    if !consent.is_live(bank.now()) {
        return Err(Refusal::bad("U009", "The consent is not authorised"));
    }
    caller.facts.note(Fact::Consent);
    Ok(consent)
}

/// The order of this path, if it is the caller's.
pub(super) fn own_order(bank: &Bank, organisation: &str, id: &str, product: &str) -> Result<Order, Refusal> {
    let order = bank.vault.read(|book| book.orders.get(id).cloned());
    let order = order.filter(|order| order.product == product).ok_or_else(Refusal::not_found)?;
    if order.tpp == organisation { Ok(order) } else { Err(Refusal::Forbidden) }
}

pub(super) fn idempotency_key(
    caller: &Caller,
    organisation: &str,
    operation: &str,
) -> Result<String, Refusal> {
    let key = caller.header("x-idempotency-key");
    let key = key.ok_or_else(|| Refusal::bad("U007", "x-idempotency-key is missing"))?;
    if key.is_empty() || key.len() > MAX_KEY {
        return Err(Refusal::bad("U006", "x-idempotency-key has 1 to 40 characters"));
    }
    Ok(format!("{organisation}/{operation}/{key}"))
}

pub(super) fn replayed(bank: &Bank, caller: &Caller, key: &str) -> Option<String> {
    let now = bank.now();
    let made = bank
        .vault
        .read(|book| book.seen.get(key).filter(|seen| seen.until > now).map(|seen| seen.resource.clone()))?;
    caller.facts.note(Fact::Replay);
    Some(made)
}

pub(super) fn remember(book: &mut crate::engine::Book, key: String, resource: &str, now: Timestamp) {
    let until = now.checked_add(24.hours()).unwrap_or(now);
    book.seen.insert(key, Seen { resource: resource.to_owned(), until });
}

fn data(body: &Value) -> Map<String, Value> {
    let mut data = Map::new();
    let asked = body.get("Data").and_then(Value::as_object);
    for name in ["Initiation", "ReadRefundAccount", "Authorisation", "SCASupportData"] {
        if let Some(value) = asked.and_then(|asked| asked.get(name)) {
            data.insert(name.to_owned(), value.clone());
        }
    }
    data
}

fn consent_view(bank: &Bank, consent: &Consent) -> Value {
    let status = match consent.state {
        ConsentState::Awaiting if consent.has_expired(bank.now()) => "RJCT",
        ConsentState::Awaiting | ConsentState::Partly => "AWAU",
        ConsentState::Authorised => "AUTH",
        ConsentState::Rejected | ConsentState::Ended | ConsentState::Withdrawn => "RJCT",
        ConsentState::Consumed => "COND",
    };
    let mut data = data(&consent.body);
    data.insert("ConsentId".into(), consent.id.clone().into());
    data.insert("CreationDateTime".into(), consent.created.to_string().into());
    data.insert("Status".into(), status.into());
    data.insert("StatusUpdateDateTime".into(), consent.changed.to_string().into());
    let itself = format!("{}{PISP}/domestic-payment-consents/{}", bank.api_url, consent.id);
    let view = json!({"Data": data, "Risk": consent.body.get("Risk"), "Links": {"Self": itself}, "Meta": {}});
    wishes::echoed(bank, view)
}

fn order_view(bank: &Bank, order: &Order, now: Timestamp) -> Value {
    let mut data = data(&order.body);
    data.insert("DomesticPaymentId".into(), order.id.clone().into());
    data.insert("ConsentId".into(), order.consent.clone().into());
    data.insert("CreationDateTime".into(), order.created.to_string().into());
    data.insert("Status".into(), order.status(now).into());
    data.insert("StatusUpdateDateTime".into(), order.status_since(now).to_string().into());
    reason(&mut data, order);
    if let Some(account) = refund::account(bank, order) {
        data.insert("Refund".into(), json!({"Account": account}));
    }
    let itself = format!("{}{PISP}/domestic-payments/{}", bank.api_url, order.id);
    json!({"Data": data, "Links": {"Self": itself}, "Meta": {}})
}

/// Why an order was rejected, if it was.
pub(super) fn reason(data: &mut Map<String, Value>, order: &Order) {
    if let Some(reason) = order.reason() {
        let reason =
            json!([{"StatusReasonCode": reason, "StatusReasonDescription": "The bank rejected the payment"}]);
        data.insert("StatusReason".into(), reason);
    }
}
