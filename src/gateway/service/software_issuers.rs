//! Whose software statements (RFC 7591 §2.3) are believed.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use oauth::SoftwareIssuer;

/// Reads a JSON array of `{issuer, jwks}`.
pub(super) fn read(file: Option<&Path>) -> anyhow::Result<Arc<[SoftwareIssuer]>> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Entry {
        issuer: String,
        jwks: serde_json::Value,
    }

    let Some(file) = file else { return Ok(Arc::default()) };
    let name = file.display();
    let entries: Vec<Entry> = serde_json::from_str(&crate::read(file)?)
        .with_context(|| format!("{name} is no array of {{issuer, jwks}}"))?;
    let issuers = entries.into_iter().map(|entry| {
        let keys = crypto::Jwks::from_value(&entry.jwks)
            .with_context(|| format!("the jwks of {} in {name} cannot be used", entry.issuer))?;
        Ok(SoftwareIssuer { issuer: entry.issuer, keys })
    });
    issuers.collect()
}
