//! Domestic transfers: authorised in all their parts, placed once.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use crypto::Psd2Role;
use domain::{Iban, Money};
use serde_json::{Value, json};

use super::parsed_with_token;
use super::refusal::Refusal;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::{self, Account, Consent, ConsentState, Instruction, Order, accounts};
use crate::journal::Fact;

/// Parts of a transfer that the order must repeat as they were authorised.
const PARTS: [&str; 6] = ["recipient", "sender", "transferData", "deliveryMode", "system", "executionMode"];

pub(super) async fn domestic(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?.to_owned();
    let body = parsed_with_token(&caller, &body)?;
    let consent = caller.bound_consent(&bank, "pis")?;
    let name = body.get("tppTransactionId").and_then(Value::as_str).filter(|id| (1..=64).contains(&id.len()));
    let name = name.ok_or(Refusal::format("tppTransactionId is missing"))?.to_owned();
    let authorised = consent.body.pointer("/privilegeList/0/pis:domestic").cloned().unwrap_or_default();
    if PARTS.iter().any(|part| body.get(part) != authorised.get(part)) {
        return Err(Refusal::unprocessable("The order is not what was authorised"));
    }
    let transfer = Transfer::read(&body)?;
    caller.facts.note(Fact::Consent);
    let now = bank.now();
    let product = transfer.system;
    let asked = Instruction::single(engine::Transfer {
        amount: transfer.money.amount(),
        currency: transfer.money.currency().code().to_owned(),
        creditor_name: transfer.name.to_owned(),
        creditor_account: transfer.account.as_str().to_owned(),
        remittance: transfer.description.to_owned(),
        end_to_end: Some(name),
        outcome: None,
    });
    let order = Order {
        consent: Some(consent.id.clone()),
        user: consent.user.clone(),
        ..Order::received(bank.fresh("pay-"), organisation, product, asked, now, body.clone())
    };
    let debtor = consent.accounts.first().cloned().unwrap_or_default();
    let declined = bank.faults.take_decline();
    let placed = bank.vault.change(|book| {
        book.note_asked(&order.transfers);
        // Once: two orders that arrive together must not both be carried out.
        let consent = book.consents.get_mut(&consent.id)?;
        if !consent.is_live(now) {
            return None;
        }
        consent.becomes(ConsentState::Consumed, now);
        let id = order.id.clone();
        book.orders.insert(id.clone(), order);
        book.execute(bank.kind, &id, &debtor, now, declined);
        book.orders.get(&id).cloned()
    });
    let placed = placed.ok_or_else(Refusal::forbidden)?;
    bank.vault.keep().await?;
    Ok(Json(view(&bank, &placed)))
}

pub(super) async fn read(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?;
    let body = parsed_with_token(&caller, &body)?;
    let consent = caller.bound_consent(&bank, "pis")?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let (id, name) = (text("paymentId"), text("tppTransactionId"));
    let order = bank.vault.read(|book| {
        let own = |order: &&Order| order.tpp == organisation && order.consent.as_ref() == Some(&consent.id);
        let named = |order: &&Order| match id {
            Some(id) => order.id == id,
            None => name.is_some() && order.end_to_end() == name,
        };
        book.orders.values().filter(own).find(named).cloned()
    });
    let order = order.ok_or(Refusal::unprocessable("There is no such payment"))?;
    let mut view = view(&bank, &order);
    if let Some(view) = view.as_object_mut() {
        view.insert("tppTransactionId".into(), order.end_to_end().into());
        view.insert("executionMode".into(), "Immediate".into());
    }
    Ok(Json(view))
}

fn view(bank: &Bank, order: &Order) -> Value {
    let status = match order.status(bank.now()) {
        "ACSP" => "pending",
        "ACSC" => "done",
        "RJCT" => "rejected",
        _ => "submitted",
    };
    let detail = order.reason().unwrap_or(status);
    json!({ "paymentId": order.id, "generalStatus": status, "detailedStatus": detail })
}

/// The account that a transfer to be approved names to be paid from.
pub(crate) fn asked_debtor(bank: &Bank, consent: &Consent) -> Option<&'static str> {
    let number = consent.body.pointer("/privilegeList/0/pis:domestic/sender/accountNumber")?.as_str()?;
    let named = |account: &&Account| account.iban == number || account.iban.get(2..) == Some(number);
    accounts(bank.kind).iter().find(named).map(|account| account.id)
}

/// What a transfer consists of.
pub(crate) struct Transfer<'a> {
    pub(crate) money: Money,
    pub(crate) name: &'a str,
    pub(crate) account: Iban,
    pub(crate) description: &'a str,
    system: &'a str,
}

impl<'a> Transfer<'a> {
    /// A transfer that was checked before.
    pub(crate) fn of(body: &'a Value) -> Option<Self> {
        Self::read(body).ok()
    }

    pub(super) fn read(body: &'a Value) -> Result<Self, Refusal> {
        let text =
            |pointer: &str| body.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        let amount = || {
            let places = text("/transferData/amount")?;
            // Two places, always.
            let two = places.split_once('.').is_some_and(|(_, places)| places.len() == 2);
            let money = Money::parse(places, "PLN".parse().ok()?).ok()?;
            (two && !money.amount().is_zero()).then_some(money)
        };
        let money = amount().ok_or(Refusal::format("amount is missing or not valid"))?;
        if text("/transferData/currency").is_some_and(|currency| currency != "PLN") {
            return Err(Refusal::unprocessable("Domestic transfers are in PLN"));
        }
        let number = text("/recipient/accountNumber").unwrap_or_default();
        let national = number.len() == 26 && number.bytes().all(|byte| byte.is_ascii_digit());
        let iban = if national { format!("PL{number}") } else { number.to_owned() };
        let account = iban.parse::<Iban>().map_err(|_| Refusal::format("accountNumber is not valid"))?;
        let lines = body.pointer("/recipient/nameAddress/value").and_then(Value::as_array);
        let fit = |line: &Value| line.as_str().is_some_and(|line| line.chars().count() <= 35);
        let lines = lines.filter(|lines| (1..=4).contains(&lines.len()) && lines.iter().all(fit));
        let name = lines.and_then(|lines| lines.first()?.as_str());
        let name = name.ok_or(Refusal::format("nameAddress is missing or not valid"))?;
        let description = text("/transferData/description").filter(|text| text.chars().count() <= 140);
        let description = description.ok_or(Refusal::format("description is missing or too long"))?;
        let system = text("/system").unwrap_or_default();
        let fits = matches!(
            (system, text("/deliveryMode")),
            ("Elixir", Some("StandardD1")) | ("ExpressElixir", Some("ExpressD0"))
        );
        if !fits || text("/executionMode").is_some_and(|mode| mode != "Immediate") {
            return Err(Refusal::unprocessable(
                "The bank makes such transfers by Elixir and ExpressElixir, at once",
            ));
        }
        Ok(Self { money, name, account, description, system })
    }
}
