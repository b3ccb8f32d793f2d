//! Deviations of payments.

use connect::QuirkName as Name;

use crate::quirks::journeys::Journey::{Payment, Recurring};
use crate::quirks::{Pair, World};

/// Read/Write API: domestic payment consents and orders, message signing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_banks_want_of_payments_and_repeat_of_them() {
    let world = World::start().await;
    world
        .hold([
            Pair::fails(Name::ContractIndicatorLeftOut, Payment),
            Pair::fails(Name::ContractIndicatorMisspelt, Payment)
                .with("field_name", "ContractPresentInidicator"),
            Pair::fails(Name::ContractIndicatorUnreliable, Payment),
            Pair::fails(Name::DebtorEchoUnreliable, Payment),
            Pair::fails(Name::FieldLeftOut, Payment)
                .with("field", "Data.Initiation.InstructionIdentification"),
            Pair::fails(Name::JwsPayloadNotEncoded, Payment),
            Pair::fails(Name::PaymentContextFixed, Payment),
            Pair::fails(Name::RefundAccountNotAsked, Payment),
            Pair::fails(Name::RefundUnreliable, Payment),
            Pair::fails(Name::SandboxSteering, Payment).with("desired_status", "Authorised"),
            Pair::fails(Name::StatusUnreliable, Payment),
            Pair::passes(Name::SelfLinkWithoutId, Payment),
        ])
        .await;
    world.gw.sandbox.stop().await;
}

/// Read/Write API: domestic VRP consents and orders.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_banks_answer_to_recurring_payments() {
    let world = World::start().await;
    world
        .hold([
            Pair::fails(Name::ContractIndicatorLeftOut, Recurring),
            Pair::fails(Name::StatusUnreliable, Recurring),
            Pair::fails(Name::VrpRefundNested, Recurring).with("path", "Data.Refund.Account"),
        ])
        .await;
    world.gw.sandbox.stop().await;
}
