//! Deviations of payments.

use connect::QuirkName as Name;

use crate::journeys::Journey::Payment;
use crate::{Pair, World};

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
            Pair::fails(Name::SandboxSteering, Payment).with("desired_status", "Authorised"),
            Pair::fails(Name::StatusUnreliable, Payment),
            Pair::passes(Name::SelfLinkWithoutId, Payment),
        ])
        .await;
    world.gw.sandbox.stop().await;
}
