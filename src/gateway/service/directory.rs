//! The imported institution directory: kept in the global store line by line
//! in the format it was imported from, indexed in memory at the start.

use connect::directory::{Directory, DirectoryEntry, import};
use serde_json::json;
use store::GlobalStore;

/// One entry as a line of the import format.
pub(crate) fn line_of(entry: &DirectoryEntry) -> String {
    json!({
        "id": entry.id,
        "name": entry.name,
        "legalName": entry.legal_name,
        "countries": entry.countries,
        "bic": entry.bic,
        "status": entry.status,
    })
    .to_string()
}

/// Loads the index.
pub(crate) async fn load(store: &GlobalStore) -> anyhow::Result<Directory> {
    let lines = store.directory().await?.join("\n");
    let mut entries = Vec::new();
    import(lines.as_bytes(), |_| {}, |entry| entries.push(entry))?;
    Ok(Directory::build(entries))
}
