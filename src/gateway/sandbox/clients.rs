//! Clients that are there from the start.

use std::path::Path;

use anyhow::{Context, bail};
use domain::Timestamp;
use serde_json::{Value, json};
use store::Stores;

/// Registers the demo client, and those of `--clients`.
pub(super) async fn preload(stores: &Stores, file: Option<&Path>, now: Timestamp) -> anyhow::Result<()> {
    let demo = json!({
        "client_id": "demo-fintech",
        "client_name": "Demo Fintech",
        "redirect_uris": ["https://localhost:8455/return"],
        "grant_types": ["authorization_code", "client_credentials"],
        "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_san_dns": "fintech.consentry.example",
        "scope": "openid accounts payments",
    });
    let mut clients = vec![demo];
    if let Some(file) = file {
        let text = crate::read(file)?;
        let more: Vec<Value> = serde_json::from_str(&text)
            .with_context(|| format!("{} is no JSON array of client metadata", file.display()))?;
        clients.extend(more);
    }
    let mut named = Vec::new();
    for (index, metadata) in clients.iter().enumerate() {
        let Some(id) = metadata.get("client_id").and_then(Value::as_str).filter(|id| !id.is_empty()) else {
            bail!("client {index} of --clients has no client_id");
        };
        oauth::Client::from_metadata(id, metadata).with_context(|| format!("client {id} of --clients"))?;
        named.push((id, metadata));
    }
    // What is put twice is there once.
    Ok(store::transaction!(keyed stores.global(), tx => {
        for (id, metadata) in &named {
            tx.put_client(id, metadata, now).await?;
        }
        Ok::<_, store::StoreError>(())
    })?)
}
