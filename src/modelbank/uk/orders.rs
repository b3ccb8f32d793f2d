//! Consents to payments of all types and the orders under them: asked for, authorised by
//! the customer, placed once.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use crypto::Psd2Role;
use domain::Timestamp;
use jiff::ToSpan;
use serde_json::{Map, Value, json};

use super::consents::{own_consent, parsed};
use super::initiation;
use super::refusal::Refusal;
use super::signature::{demand, signed};
use super::version::Version;
use super::{files, international, payments, refund, scheduled, standing_orders, wishes};
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::book::Seen;
use crate::engine::{Book, Consent, ConsentState, Instruction, Order, Purpose};
use crate::journal::Fact;

/// Longest idempotency key.
const MAX_KEY: usize = 40;

/// One type of payment.
pub(super) struct Service {
    /// Its name in paths: `{name}-consents` and `{name}s`.
    pub(super) name: &'static str,
    /// The member of an order's `Data` that names it.
    pub(super) id: &'static str,
    /// How the names of its consents and orders begin.
    pub(super) prefixes: (&'static str, &'static str),
    /// What the bank calls its orders.
    pub(super) product: &'static str,
    /// Judges what a consent to it has beside its instruction.
    pub(super) judge: fn(&Bank, Version, &Value) -> Result<(), Refusal>,
    /// What the body of a consent asks for.
    pub(super) read: fn(&Bank, &Value) -> Result<Instruction, Refusal>,
    /// Where a consent to it begins.
    pub(super) begins: ConsentState,
    /// Members of its own in the answers to consents and orders, by their body and the time
    /// they were made.
    pub(super) more: fn(Timestamp, &Value) -> Vec<(&'static str, Value)>,
    /// Where an order stands, in the codes of version 4.0.
    pub(super) status: fn(&Order, Timestamp) -> &'static str,
}

/// Every type of payment.
pub(super) static ALL: [&Service; 5] = [
    &payments::DOMESTIC,
    &scheduled::DOMESTIC,
    &standing_orders::DOMESTIC,
    &international::INTERNATIONAL,
    &files::FILE,
];

/// The type and version of a request.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub(super) service: &'static Service,
    pub(super) version: Version,
}

impl At {
    fn consent(self, bank: &Bank, id: &str) -> String {
        format!("{}{}/pisp/{}-consents/{id}", bank.api_url, self.version.base(), self.service.name)
    }

    pub(super) fn order(self, bank: &Bank, id: &str) -> String {
        format!("{}{}/pisp/{}s/{id}", bank.api_url, self.version.base(), self.service.name)
    }

    /// The consent of a path, if it is the caller's and of this type.
    pub(super) fn own_consent(self, bank: &Bank, organisation: &str, id: &str) -> Result<Consent, Refusal> {
        let consent = own_consent(bank, organisation, id, Purpose::Payment)?;
        if self.is_of(&consent) { Ok(consent) } else { Err(Refusal::not_found()) }
    }

    /// The consent of the caller's token, if it is this one, authorised and of this type:
    /// what was approved for a later day is not paid today.
    fn authorised(self, bank: &Bank, caller: &Caller, id: &str) -> Result<Consent, Refusal> {
        let consent = authorised(bank, caller, id)?;
        let other = || Refusal::bad("U009", "The consent is to another type of payment");
        if self.is_of(&consent) { Ok(consent) } else { Err(other()) }
    }

    fn is_of(self, consent: &Consent) -> bool {
        consent.purpose == Purpose::Payment && consent.id.starts_with(self.service.prefixes.0)
    }
}

/// What a consent to a payment asks for.
pub(crate) fn asked(bank: &Bank, consent: &Consent) -> Option<Instruction> {
    let service = ALL.into_iter().find(|service| consent.id.starts_with(service.prefixes.0))?;
    (service.read)(bank, &consent.body).ok()
}

/// The account that a payment to be approved names to be paid from.
pub(crate) fn asked_debtor(bank: &Bank, consent: &Consent) -> Option<&'static str> {
    initiation::debtor(bank, &consent.body).ok()?.map(|account| account.id)
}

pub(super) async fn create_consent(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Extension(at): Extension<At>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?.to_owned();
    caller.token(&bank, "payments")?;
    let key = idempotency_key(&caller, &organisation, &format!("{}-consent", at.service.product))?;
    demand(&bank, &caller, &body)?;
    if let Some(made) = replayed(&bank, &caller, &key) {
        let consent = at.own_consent(&bank, &organisation, &made)?;
        return Ok(signed(&bank, StatusCode::CREATED, &consent_view(&bank, at, &consent)));
    }
    let body = parsed(&caller, &body)?;
    if at.service.begins == ConsentState::Awaiting {
        (at.service.read)(&bank, &body)?;
    }
    initiation::debtor(&bank, &body)?;
    (at.service.judge)(&bank, at.version, &body)?;
    let now = bank.now();
    let consent = Consent {
        expires: now.checked_add(24.hours()).ok(),
        state: at.service.begins,
        ..Consent::asked(bank.fresh(at.service.prefixes.0), organisation, Purpose::Payment, now, body)
    };
    let view = wishes::fresh(&bank, consent_view(&bank, at, &consent));
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
    Extension(at): Extension<At>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?;
    caller.token(&bank, "payments")?;
    let consent = at.own_consent(&bank, organisation, &id)?;
    Ok(signed(&bank, StatusCode::OK, &consent_view(&bank, at, &consent)))
}

pub(super) async fn funds(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Extension(at): Extension<At>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    caller.organisation(Psd2Role::PaymentInitiation)?;
    let consent = at.authorised(&bank, &caller, &id)?;
    let asked = (at.service.read)(&bank, &consent.body)?;
    let now = bank.now();
    let account = consent.accounts.first().and_then(|id| bank.account(id));
    let available = account.zip(asked.transfers.first()).is_some_and(|(account, transfer)| {
        let cost = crate::engine::exchange::cost(transfer.amount, &transfer.currency, account.currency);
        cost.is_some_and(|cost| bank.vault.read(|book| book.available(account, now)) >= cost)
    });
    let result = json!({"FundsAvailableDateTime": now.to_string(), "FundsAvailable": available});
    let itself = format!("{}/funds-confirmation", at.consent(&bank, &id));
    let body = json!({"Data": {"FundsAvailableResult": result}, "Links": {"Self": itself}, "Meta": {}});
    Ok(signed(&bank, StatusCode::OK, &body))
}

pub(super) async fn place(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Extension(at): Extension<At>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?.to_owned();
    caller.token(&bank, "payments")?;
    let key = idempotency_key(&caller, &organisation, at.service.product)?;
    demand(&bank, &caller, &body)?;
    let now = bank.now();
    if let Some(made) = replayed(&bank, &caller, &key) {
        let order = own_order(&bank, &organisation, &made, at.service.product)?;
        bank.vault.change(|book| book.note_asked(&order.transfers));
        return Ok(signed(&bank, StatusCode::CREATED, &order_view(&bank, at, &order, now)));
    }
    let body = parsed(&caller, &body)?;
    let id = body.pointer("/Data/ConsentId").and_then(Value::as_str);
    let id = id.ok_or_else(|| Refusal::field("U004", "ConsentId is missing", "Data.ConsentId"))?;
    note_asked(&bank, at.service, id);
    let consent = at.authorised(&bank, &caller, id)?;
    for pointer in ["/Data/Initiation", "/Risk"] {
        if body.pointer(pointer) != consent.body.pointer(pointer) {
            return Err(Refusal::field("U008", "The order is not what was consented to", "Data.Initiation"));
        }
    }
    let asked = (at.service.read)(&bank, &consent.body)?;
    let service = at.service;
    let order = Order {
        consent: Some(consent.id.clone()),
        user: consent.user.clone(),
        ..Order::received(bank.fresh(service.prefixes.1), organisation, service.product, asked, now, body)
    };
    let placed = carried_out(&bank, &consent, key, order, now);
    let placed = placed.ok_or_else(|| Refusal::bad("U009", "The consent is not authorised"))?;
    bank.vault.keep().await?;
    Ok(signed(&bank, StatusCode::CREATED, &order_view(&bank, at, &placed, now)))
}

pub(super) async fn read(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Extension(at): Extension<At>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?;
    caller.token(&bank, "payments")?;
    let order = own_order(&bank, organisation, &id, at.service.product)?;
    Ok(signed(&bank, StatusCode::OK, &order_view(&bank, at, &order, bank.now())))
}

/// Notes that the transfers of a consent are to be carried out.
fn note_asked(bank: &Bank, service: &Service, consent: &str) {
    let consent = bank.vault.read(|book| book.consents.get(consent).cloned());
    if let Some(asked) = consent.and_then(|consent| (service.read)(bank, &consent.body).ok()) {
        bank.vault.change(|book| book.note_asked(&asked.transfers));
    }
}

/// The order, with its consent consumed; none if the consent no longer stands.
fn carried_out(bank: &Bank, consent: &Consent, key: String, order: Order, now: Timestamp) -> Option<Order> {
    let debtor = consent.accounts.first().cloned().unwrap_or_default();
    let declined = bank.faults.take_decline();
    bank.vault.change(|book| {
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
    })
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

pub(super) fn remember(book: &mut Book, key: String, resource: &str, now: Timestamp) {
    let until = now.checked_add(24.hours()).unwrap_or(now);
    book.seen.insert(key, Seen { resource: resource.to_owned(), until });
}

fn data(body: &Value) -> Map<String, Value> {
    let mut data = Map::new();
    let asked = body.get("Data").and_then(Value::as_object);
    for name in ["Permission", "Initiation", "ReadRefundAccount", "Authorisation", "SCASupportData"] {
        if let Some(value) = asked.and_then(|asked| asked.get(name)) {
            data.insert(name.to_owned(), value.clone());
        }
    }
    data
}

fn consent_view(bank: &Bank, at: At, consent: &Consent) -> Value {
    let status = match consent.state {
        ConsentState::Incomplete | ConsentState::Awaiting if consent.has_expired(bank.now()) => "RJCT",
        ConsentState::Incomplete => "AWUP",
        ConsentState::Awaiting | ConsentState::Partly => "AWAU",
        ConsentState::Authorised => "AUTH",
        ConsentState::Rejected | ConsentState::Ended | ConsentState::Withdrawn => "RJCT",
        ConsentState::Consumed => "COND",
    };
    let mut data = data(&consent.body);
    data.insert("ConsentId".into(), consent.id.clone().into());
    data.insert("CreationDateTime".into(), consent.created.to_string().into());
    data.insert("Status".into(), at.version.of_consent(status).into());
    data.insert("StatusUpdateDateTime".into(), consent.changed.to_string().into());
    extend(&mut data, (at.service.more)(consent.created, &consent.body));
    let itself = at.consent(bank, &consent.id);
    let mut view = json!({"Data": data, "Links": {"Self": itself}, "Meta": {}});
    if let (Some(view), Some(risk)) = (view.as_object_mut(), consent.body.get("Risk")) {
        view.insert("Risk".into(), risk.clone());
    }
    wishes::echoed(bank, view)
}

fn order_view(bank: &Bank, at: At, order: &Order, now: Timestamp) -> Value {
    let mut data = data(&order.body);
    data.insert(at.service.id.into(), order.id.clone().into());
    data.insert("ConsentId".into(), order.consent.clone().into());
    data.insert("CreationDateTime".into(), order.created.to_string().into());
    let status = (at.service.status)(order, now);
    data.insert("Status".into(), at.version.of_order(status, at.service.product).into());
    data.insert("StatusUpdateDateTime".into(), order.status_since(now).to_string().into());
    extend(&mut data, (at.service.more)(order.created, &order.body));
    if at.version == Version::V4 {
        reason(&mut data, order);
    }
    if let Some(account) = refund::account(bank, order) {
        data.insert("Refund".into(), json!({"Account": account}));
    }
    json!({"Data": data, "Links": {"Self": at.order(bank, &order.id)}, "Meta": {}})
}

fn extend(data: &mut Map<String, Value>, more: Vec<(&'static str, Value)>) {
    data.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
}

/// Why an order was rejected, if it was.
pub(super) fn reason(data: &mut Map<String, Value>, order: &Order) {
    if let Some(reason) = order.reason() {
        let reason =
            json!([{"StatusReasonCode": reason, "StatusReasonDescription": "The bank rejected the payment"}]);
        data.insert("StatusReason".into(), reason);
    }
}
