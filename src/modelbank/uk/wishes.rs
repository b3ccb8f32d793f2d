//! What a bank of some habits wants of payments, and what it answers to them.

use serde_json::Value;

use super::refusal::Refusal;
use crate::bank::Bank;
use crate::habit::Habit;

/// The name that version 3.1 of the standard published by mistake.
const MISSPELT: &str = "ContractPresentInidicator";

fn missing(path: &'static str) -> Refusal {
    Refusal::field("U004", "The field is missing", path)
}

fn unwanted(path: &'static str) -> Refusal {
    Refusal::field("U001", "The field is not known here", path)
}

/// Judges risk block and fields of a consent to a single payment.
pub(super) fn judge(bank: &Bank, body: &Value) -> Result<(), Refusal> {
    judge_risk(bank, body)?;
    if bank.has(Habit::FieldLeftOut) && body.pointer("/Data/Initiation/InstructionIdentification").is_some() {
        return Err(unwanted("Data.Initiation.InstructionIdentification"));
    }
    let steering = body.pointer("/Data/Initiation/SupplementaryData/DesiredStatus");
    if bank.has(Habit::SandboxSteering) && !steering.is_some_and(Value::is_string) {
        return Err(missing("Data.Initiation.SupplementaryData.DesiredStatus"));
    }
    Ok(())
}

/// Judges what single and recurring payments have in common.
pub(super) fn judge_risk(bank: &Bank, body: &Value) -> Result<(), Refusal> {
    if bank.has(Habit::RefundAccountNotAsked) && body.pointer("/Data/ReadRefundAccount").is_some() {
        return Err(unwanted("Data.ReadRefundAccount"));
    }
    let risk = body.get("Risk").and_then(Value::as_object).ok_or_else(|| missing("Risk"))?;
    let misspelt = bank.has(Habit::ContractIndicatorMisspelt);
    if misspelt && !risk.contains_key(MISSPELT) {
        return Err(missing("Risk.ContractPresentInidicator"));
    }
    let indicator_unknown = misspelt || bank.has(Habit::ContractIndicatorLeftOut);
    if indicator_unknown && risk.contains_key("ContractPresentIndicator") {
        return Err(unwanted("Risk.ContractPresentIndicator"));
    }
    let context = risk.get("PaymentContextCode").and_then(Value::as_str);
    if bank.has(Habit::PaymentContextFixed) && context != Some("PartyToParty") {
        return Err(Refusal::field("U002", "The context is not supported", "Risk.PaymentContextCode"));
    }
    Ok(())
}

/// The answer to a consent that was just made.
pub(super) fn fresh(bank: &Bank, mut view: Value) -> Value {
    if bank.has(Habit::StatusUnreliable) {
        put(&mut view, "/Data/Status", "COND".into());
    }
    if bank.has(Habit::SelfLinkWithoutId)
        && let Some((list, _)) =
            view.pointer("/Links/Self").and_then(Value::as_str).and_then(|link| link.rsplit_once('/'))
    {
        let list = list.to_owned();
        put(&mut view, "/Links/Self", list.into());
    }
    view
}

/// What the bank repeats of a payment consent.
pub(super) fn echoed(bank: &Bank, mut view: Value) -> Value {
    if bank.has(Habit::ContractIndicatorUnreliable) {
        put(&mut view, "/Risk/ContractPresentIndicator", true.into());
    }
    if bank.has(Habit::DebtorEchoUnreliable) {
        put(&mut view, "/Data/Initiation/DebtorAccount/Identification", "10101000000000".into());
    }
    view
}

fn put(view: &mut Value, pointer: &str, value: Value) {
    if let Some(place) = view.pointer_mut(pointer) {
        *place = value;
    }
}
