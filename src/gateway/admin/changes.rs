//! What operators change. Each change is in the log's target `audit`.

use crypto::certificate::Thumbprint;
use domain::PaymentId;

use super::Admin;
use super::refusal::Refusal;
use crate::commands::{clients, payments};

/// Suspends a client, or lets it in again.
pub(super) async fn client(admin: &Admin, by: Thumbprint, id: &str, change: &str) -> Result<(), Refusal> {
    let to = match change {
        "suspend" => clients::Status::Suspended,
        "resume" => clients::Status::Active,
        _ => return Err(Refusal::missing("There is suspend, and resume.")),
    };
    let changed = clients::change_in(admin.stores.global(), id, to).await;
    changed.map_err(|error| Refusal::of_state(&error))?;
    tracing::info!(target: "audit", certificate = %by, client.id = id, status = to.as_str(), "An operator changed a client");
    Ok(())
}

/// Ends a payment of which a person found out what became of it.
pub(super) async fn payment(admin: &Admin, by: Thumbprint, id: &str, executed: bool) -> Result<(), Refusal> {
    let id: PaymentId = id.parse().map_err(|_| Refusal::missing("There is no such payment."))?;
    payments::end(&admin.stores, id, executed).await.map_err(|error| Refusal::of_state(&error))?;
    let state = if executed { "executed" } else { "not executed" };
    tracing::info!(target: "audit", certificate = %by, payment.id = %id, state, "An operator ended a payment");
    Ok(())
}

/// Has all files read anew.
pub(super) fn reload(admin: &Admin, by: Thumbprint) {
    tracing::info!(target: "audit", certificate = %by, "An operator had everything read anew");
    admin.reload.notify_one();
}
