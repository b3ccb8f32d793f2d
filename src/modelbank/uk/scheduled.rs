//! Domestic payments on a day.

use super::initiation::{self, day};
use super::orders::Service;
use super::refusal::Refusal;
use super::wishes;
use crate::bank::Bank;
use crate::engine::{ConsentState, Instruction, Order, Plan};
use serde_json::Value;

pub(super) static DOMESTIC: Service = Service {
    name: "domestic-scheduled-payment",
    id: "DomesticScheduledPaymentId",
    prefixes: ("psc-", "psp-"),
    product: "scheduled",
    judge: |bank, _, body| {
        permission(body)?;
        wishes::judge(bank, body)
    },
    read,
    begins: ConsentState::Awaiting,
    more: |_, _| Vec::new(),
    status: Order::status,
};

fn read(bank: &Bank, body: &Value) -> Result<Instruction, Refusal> {
    let initiation = initiation::of(body)?;
    // EndToEndIdentification may be missing here; InstructionIdentification may not.
    let mut named = initiation.clone();
    if let (Some(members), Some(id)) = (named.as_object_mut(), initiation.get("InstructionIdentification")) {
        members.entry("EndToEndIdentification").or_insert(id.clone());
    }
    let path = "Data.Initiation.RequestedExecutionDateTime";
    let on = day(bank, initiation.get("RequestedExecutionDateTime"), path)?;
    let on = on.ok_or_else(|| initiation::missing(path))?;
    let plan = Plan::on(Some(on), bank.today());
    Ok(Instruction { plan, ..Instruction::single(initiation::transfer(bank, &named)?) })
}

/// A consent is to create an order, and nothing else.
pub(super) fn permission(body: &Value) -> Result<(), Refusal> {
    match body.pointer("/Data/Permission").and_then(Value::as_str) {
        Some("Create") => Ok(()),
        Some(_) => Err(Refusal::field("U002", "The permission is not known", "Data.Permission")),
        None => Err(initiation::missing("Data.Permission")),
    }
}
