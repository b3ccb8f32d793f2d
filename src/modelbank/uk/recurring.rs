//! Variable recurring payments: consent with control parameters, orders under it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use crypto::Psd2Role;
use domain::Timestamp;
use serde_json::{Map, Value, json};

use super::consents::{own_consent, parsed};
use super::initiation::{self, money, payee, words};
use super::orders::{authorised, idempotency_key, own_order, reason, remember, replayed};
use super::refusal::Refusal;
use super::signature::{demand, signed};
use super::{PISP, limits, refund, wishes};
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::{Consent, ConsentState, Instruction, Order, Purpose, Transfer, accounts};
use crate::habit::Habit;

/// What the bank calls payments under a consent.
const PRODUCT: &str = "vrp";
/// The periods of `PeriodicLimits`.
const PERIODS: [&str; 6] = ["Day", "Week", "Fortnight", "Month", "Half-year", "Year"];
/// What payments under a consent may be for.
const TYPES: [&str; 2] = ["UK.OBIE.VRPType.Sweeping", "UK.OBIE.VRPType.Other"];
/// How customers authenticate for one payment; this bank leaves nothing to TPPs.
const METHODS: [&str; 1] = ["UK.OBIE.SCANotRequired"];

pub(super) async fn create_consent(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?.to_owned();
    caller.token(&bank, "payments")?;
    let key = idempotency_key(&caller, &organisation, "vrp-consent")?;
    demand(&bank, &caller, &body)?;
    if let Some(made) = replayed(&bank, &caller, &key) {
        let consent = own_consent(&bank, &organisation, &made, Purpose::Recurring)?;
        return Ok(signed(&bank, StatusCode::CREATED, &consent_view(&bank, &consent)));
    }
    let body = parsed(&caller, &body)?;
    let now = bank.now();
    let expires = control(&body, now)?;
    payee(initiation::of(&body)?)?;
    wishes::judge_risk(&bank, &body)?;
    let consent = Consent {
        expires,
        ..Consent::asked(bank.fresh("vrc-"), organisation, Purpose::Recurring, now, body)
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
    let consent = standing(&bank, &caller, &id)?;
    Ok(signed(&bank, StatusCode::OK, &consent_view(&bank, &consent)))
}

pub(super) async fn end_consent(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    standing(&bank, &caller, &id)?;
    let now = bank.now();
    bank.vault.change(|book| book.end_consent(&id, now));
    bank.vault.keep().await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn funds(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    caller.organisation(Psd2Role::PaymentInitiation)?;
    let consent = authorised(&bank, &caller, &id)?;
    demand(&bank, &caller, &body)?;
    let body = parsed(&caller, &body)?;
    if body.pointer("/Data/ConsentId").and_then(Value::as_str) != Some(consent.id.as_str()) {
        return Err(Refusal::field("U008", "The question is about another consent", "Data.ConsentId"));
    }
    let asked = body.pointer("/Data/InstructedAmount");
    let (amount, _) = money(asked, "Data.InstructedAmount")?;
    let now = bank.now();
    let account = consent.accounts.first().and_then(|id| bank.account(id));
    let covered = account.is_some_and(|account| bank.vault.read(|book| book.covers(account, amount, now)));
    let itself = format!("{}{PISP}/domestic-vrp-consents/{id}/funds-confirmation", bank.api_url);
    let view = json!({
        "Data": {
            "FundsConfirmationId": bank.fresh("vfc-"),
            "ConsentId": consent.id,
            "CreationDateTime": now.to_string(),
            "FundsAvailableResult": {
                "FundsAvailableDateTime": now.to_string(),
                "FundsAvailable": if covered { "Available" } else { "NotAvailable" },
            },
            "InstructedAmount": asked,
        },
        "Links": { "Self": itself },
        "Meta": {},
    });
    Ok(signed(&bank, StatusCode::CREATED, &view))
}

pub(super) async fn place(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?.to_owned();
    caller.token(&bank, "payments")?;
    let key = idempotency_key(&caller, &organisation, "vrp")?;
    demand(&bank, &caller, &body)?;
    let now = bank.now();
    if let Some(made) = replayed(&bank, &caller, &key) {
        let order = own_order(&bank, &organisation, &made, PRODUCT)?;
        return Ok(signed(&bank, StatusCode::CREATED, &order_view(&bank, &order, now)));
    }
    let body = parsed(&caller, &body)?;
    let id = body.pointer("/Data/ConsentId").and_then(Value::as_str);
    let id = id.ok_or_else(|| Refusal::field("U004", "ConsentId is missing", "Data.ConsentId"))?;
    let consent = authorised(&bank, &caller, id)?;
    if consent.purpose != Purpose::Recurring {
        return Err(Refusal::bad("U009", "The consent is not to recurring payments"));
    }
    same(&body, &consent)?;
    let text = |pointer: &str, path| {
        let found = body.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        found.ok_or_else(|| Refusal::field("U004", "The field is missing", path))
    };
    text("/Data/Instruction/InstructionIdentification", "Data.Instruction.InstructionIdentification")?;
    let end_to_end =
        text("/Data/Instruction/EndToEndIdentification", "Data.Instruction.EndToEndIdentification")?;
    let instructed = body.pointer("/Data/Instruction/InstructedAmount");
    let (amount, currency) = money(instructed, "Data.Instruction.InstructedAmount")?;
    let (creditor_name, creditor_account) = payee(initiation::of(&body)?)?;
    let remittance = body.pointer("/Data/Instruction/RemittanceInformation");
    let transfer = Transfer {
        amount,
        currency: currency.to_owned(),
        creditor_name: creditor_name.to_owned(),
        creditor_account: creditor_account.to_owned(),
        remittance: remittance.map(|told| words(told).join(" ")).unwrap_or_default(),
        end_to_end: Some(end_to_end.to_owned()),
        outcome: None,
    };
    let asked = Instruction::single(transfer);
    let order = Order {
        consent: Some(consent.id.clone()),
        user: consent.user.clone(),
        ..Order::received(bank.fresh("vrp-"), organisation, PRODUCT, asked, now, body.clone())
    };
    let debtor = consent.accounts.first().cloned().unwrap_or_default();
    let declined = bank.faults.take_decline();
    let breach = || {
        let message = "The payment does not keep to the control parameters";
        Refusal::field("U014", message, "Data.Instruction.InstructedAmount")
    };
    let placed = bank.vault.change(|book| {
        // Once, and within the limits: two orders may arrive together.
        if let Some(seen) = book.seen.get(&key) {
            return book.orders.get(&seen.resource).cloned().ok_or_else(Refusal::not_found);
        }
        let live = book.consents.get(&consent.id).filter(|consent| consent.is_live(now));
        let live = live.ok_or_else(|| Refusal::bad("U009", "The consent is not authorised"))?;
        if !limits::keeps(book, live, amount, now) {
            return Err(breach());
        }
        remember(book, key, &order.id, now);
        let id = order.id.clone();
        book.orders.insert(id.clone(), order);
        book.execute(bank.kind, &id, &debtor, now, declined);
        book.orders.get(&id).cloned().ok_or_else(Refusal::not_found)
    })?;
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

/// The consent of this path, if it is the caller's and was not ended.
fn standing(bank: &Bank, caller: &Caller, id: &str) -> Result<Consent, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?;
    caller.token(bank, "payments")?;
    let consent = own_consent(bank, organisation, id, Purpose::Recurring)?;
    if consent.state == ConsentState::Ended { Err(Refusal::not_found()) } else { Ok(consent) }
}

/// Judges the control parameters; answers when the consent ends.
fn control(body: &Value, now: Timestamp) -> Result<Option<Timestamp>, Refusal> {
    let missing = |path| Refusal::field("U004", "The field is missing", path);
    let invalid = |path| Refusal::field("U002", "The value is not known", path);
    let parameters = body.pointer("/Data/ControlParameters");
    let parameters = parameters.ok_or_else(|| missing("Data.ControlParameters"))?;
    for (name, path, known) in [
        ("VRPType", "Data.ControlParameters.VRPType", &TYPES[..]),
        ("PSUAuthenticationMethods", "Data.ControlParameters.PSUAuthenticationMethods", &METHODS),
    ] {
        let given = parameters.get(name).and_then(Value::as_array).filter(|given| !given.is_empty());
        let given = given.ok_or_else(|| missing(path))?;
        if !given.iter().all(|word| known.iter().any(|known| word == known)) {
            return Err(invalid(path));
        }
    }
    let most = parameters.get("MaximumIndividualAmount");
    money(most, "Data.ControlParameters.MaximumIndividualAmount")?;
    let path = "Data.ControlParameters.PeriodicLimits";
    let limits = parameters.get("PeriodicLimits").and_then(Value::as_array).filter(|all| !all.is_empty());
    for limit in limits.ok_or_else(|| missing(path))? {
        money(Some(limit), path)?;
        let word = |name: &str| limit.get(name).and_then(Value::as_str).unwrap_or_default();
        let aligned = ["Consent", "Calendar"].contains(&word("PeriodAlignment"));
        let fortnight = word("PeriodType") == "Fortnight" && word("PeriodAlignment") == "Calendar";
        if !PERIODS.contains(&word("PeriodType")) || !aligned || fortnight {
            return Err(invalid(path));
        }
    }
    let path = "Data.ControlParameters.ValidToDateTime";
    let wrong = || Refusal::field("U003", "The date cannot be read or is over", path);
    match parameters.get("ValidToDateTime") {
        None => Ok(None),
        Some(end) => {
            let end = end.as_str().and_then(|text| text.parse::<Timestamp>().ok());
            end.filter(|end| *end > now).map(Some).ok_or_else(wrong)
        }
    }
}

/// An order repeats what was consented to, and is one of the kinds allowed.
fn same(body: &Value, consent: &Consent) -> Result<(), Refusal> {
    for pointer in ["/Data/Initiation", "/Risk"] {
        if body.pointer(pointer) != consent.body.pointer(pointer) {
            return Err(Refusal::field("U008", "The order is not what was consented to", "Data.Initiation"));
        }
    }
    let payee = body.pointer("/Data/Instruction/CreditorAccount");
    if payee != consent.body.pointer("/Data/Initiation/CreditorAccount") {
        let path = "Data.Instruction.CreditorAccount";
        return Err(Refusal::field("U008", "The order is for another payee", path));
    }
    for (one, all, path) in [
        ("/Data/VRPType", "/Data/ControlParameters/VRPType", "Data.VRPType"),
        (
            "/Data/PSUAuthenticationMethod",
            "/Data/ControlParameters/PSUAuthenticationMethods",
            "Data.PSUAuthenticationMethod",
        ),
    ] {
        let one = body.pointer(one).ok_or_else(|| Refusal::field("U004", "The field is missing", path))?;
        let all = consent.body.pointer(all).and_then(Value::as_array);
        if !all.is_some_and(|all| all.contains(one)) {
            return Err(Refusal::field("U014", "The consent does not allow this", path));
        }
    }
    Ok(())
}

/// The limits of a consent as its customer reads them.
pub(crate) fn limits_in_words(body: &Value) -> Vec<String> {
    let parameters = body.pointer("/Data/ControlParameters").cloned().unwrap_or_default();
    let money = |found: &Value| {
        let text = |name: &str| found.get(name).and_then(Value::as_str).unwrap_or_default();
        format!("{} {}", text("Amount"), text("Currency"))
    };
    let each = parameters.get("MaximumIndividualAmount").map(|most| format!("{} a payment", money(most)));
    let limits = parameters.get("PeriodicLimits").and_then(Value::as_array).into_iter().flatten();
    let period =
        |limit: &Value| limit.get("PeriodType").and_then(Value::as_str).unwrap_or_default().to_lowercase();
    each.into_iter().chain(limits.map(|limit| format!("{} a {}", money(limit), period(limit)))).collect()
}

/// The account that a consent is paid from, once its customer chose it.
fn debtor(bank: &Bank, consent: &Consent) -> Option<Value> {
    let id = consent.accounts.first()?;
    accounts(bank.kind).iter().find(|account| account.id == id).map(refund::named)
}

fn copied(data: &mut Map<String, Value>, body: &Value, names: &[&str]) {
    for name in names {
        if let Some(value) = body.get("Data").and_then(|data| data.get(name)) {
            data.insert((*name).to_owned(), value.clone());
        }
    }
}

fn consent_view(bank: &Bank, consent: &Consent) -> Value {
    let status = match consent.state {
        _ if consent.has_expired(bank.now()) => "EXPD",
        ConsentState::Incomplete | ConsentState::Awaiting | ConsentState::Partly => "AWAU",
        ConsentState::Authorised | ConsentState::Consumed => "AUTH",
        ConsentState::Rejected => "RJCT",
        ConsentState::Ended | ConsentState::Withdrawn => "CANC",
    };
    let mut data = Map::new();
    copied(&mut data, &consent.body, &["ReadRefundAccount", "ControlParameters", "Initiation"]);
    data.insert("ConsentId".into(), consent.id.clone().into());
    data.insert("CreationDateTime".into(), consent.created.to_string().into());
    data.insert("Status".into(), status.into());
    data.insert("StatusUpdateDateTime".into(), consent.changed.to_string().into());
    if let Some(debtor) = debtor(bank, consent) {
        data.insert("DebtorAccount".into(), debtor);
    }
    let itself = format!("{}{PISP}/domestic-vrp-consents/{}", bank.api_url, consent.id);
    let view = json!({"Data": data, "Risk": consent.body.get("Risk"), "Links": {"Self": itself}, "Meta": {}});
    wishes::echoed(bank, view)
}

fn order_view(bank: &Bank, order: &Order, now: Timestamp) -> Value {
    let mut data = Map::new();
    copied(&mut data, &order.body, &["ConsentId", "Initiation", "Instruction"]);
    data.insert("DomesticVRPId".into(), order.id.clone().into());
    data.insert("CreationDateTime".into(), order.created.to_string().into());
    data.insert("Status".into(), order.status(now).into());
    data.insert("StatusUpdateDateTime".into(), order.status_since(now).to_string().into());
    reason(&mut data, order);
    if let Some(account) = refund::account(bank, order) {
        let nested = bank.has(Habit::VrpRefundNested);
        data.insert("Refund".into(), if nested { json!({"Account": account}) } else { account });
    }
    let itself = format!("{}{PISP}/domestic-vrps/{}", bank.api_url, order.id);
    json!({"Data": data, "Risk": order.body.get("Risk"), "Links": {"Self": itself}, "Meta": {}})
}
