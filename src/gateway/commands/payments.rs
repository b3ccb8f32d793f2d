//! `consentry payments`: those that a person must look after.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use domain::{Clock, PaymentId, SystemClock};
use serde_json::json;
use store::payments::PaymentRow;
use store::{StoreError, Stores};

use crate::cli::PaymentsCommand;
use crate::stores;

/// Runs one of the commands.
pub(crate) async fn run(command: PaymentsCommand) -> anyhow::Result<ExitCode> {
    match command {
        PaymentsCommand::Flagged { json, at } => {
            let stores = stores::open_for(&at).await?;
            let found = flagged(&stores).await;
            stores.close().await;
            list(&found?, json)?;
        }
        PaymentsCommand::End { id, executed, at, .. } => {
            let stores = stores::open_for(&at).await?;
            let done = end(&stores, id, executed).await;
            stores.close().await;
            done?;
            let word = if executed { "executed" } else { "not executed" };
            writeln!(std::io::stdout(), "Payment {id} was {word}: the gateway tells its client so.")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn flagged(stores: &Stores) -> Result<Vec<PaymentRow>, StoreError> {
    let mut found = Vec::new();
    for store in stores.regions() {
        found.extend(store.payments_flagged().await?);
    }
    Ok(found)
}

/// What helps to find the order at the bank, and nothing of a person.
fn list(found: &[PaymentRow], as_json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for row in found {
        let attention = row.bank.attention.as_ref();
        let code = attention.map_or("", |attention| attention.code.as_str());
        let since = attention.map(|attention| attention.since.to_string()).unwrap_or_default();
        let ids = [&row.bank.consent_id, &row.bank.payment_id].map(|id| id.as_deref().unwrap_or("-"));
        if as_json {
            let shown = json!({
                "id": row.id.to_string(), "client_id": row.client_id, "state": row.state.as_str(),
                "institution_id": row.institution.as_str(), "code": code, "since": since,
                "instruction_id": row.terms.order.instruction_id(),
                "bank_ids": row.bank.consent_id.iter().chain(&row.bank.payment_id).collect::<Vec<_>>(),
            });
            writeln!(out, "{shown}")?;
        } else {
            let [consent, payment] = ids;
            writeln!(out, "{} {} {} {code} since {since}", row.id, row.state, row.institution)?;
            let ours = row.terms.order.instruction_id();
            writeln!(out, "    at the bank: {consent} {payment}; our instruction: {ours}")?;
        }
    }
    if !as_json {
        writeln!(out, "{} payments", found.len())?;
    }
    Ok(())
}

/// Notes what a person found out; the gateway takes it up, with its event.
pub(crate) async fn end(stores: &Stores, id: PaymentId, executed: bool) -> anyhow::Result<()> {
    let store = stores.region(id.region()).context("its region is not held here")?;
    for _ in 0..8 {
        let row = store.payment(id).await?.with_context(|| format!("there is no payment {id}"))?;
        if row.is_final() {
            bail!("payment {id} is {} already", row.state);
        }
        if row.bank.attention.is_none() {
            bail!("payment {id} is not flagged: the gateway finds out by itself what becomes of it");
        }
        let (was, now) = (row.state, SystemClock.now());
        let mut noted = row;
        noted.bank.found_out = Some(executed);
        noted.next_poll_at = Some(now);
        // What an earlier run has noted unheard is seen when the payment is looked at again.
        let kept = store::transaction!(keyed store, tx => {
            tx.update_payment(was, &noted, None, "operator", now).await
        });
        match kept {
            Ok(_) => return Ok(()),
            // The gateway was faster; look again.
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error).context("the payment cannot be kept"),
        }
    }
    bail!("payment {id} is being worked on: try again")
}
