//! Domestic payments, carried out at once.

use super::orders::Service;
use super::{initiation, wishes};
use crate::engine::{ConsentState, Instruction, Order};

pub(super) static DOMESTIC: Service = Service {
    name: "domestic-payment",
    id: "DomesticPaymentId",
    prefixes: ("pdc-", "pmt-"),
    product: "domestic",
    judge: |bank, _, body| wishes::judge(bank, body),
    read: |bank, body| Ok(Instruction::single(initiation::transfer(bank, initiation::of(body)?)?)),
    begins: ConsentState::Awaiting,
    more: |_, _| Vec::new(),
    status: Order::status,
};
