//! What others published, read from beside the checkout.

use serde_json::Value;

/// A published JSON document. Says so where it is absent.
pub fn published(path: &str) -> Option<Value> {
    let file = format!("{}/../../../shared/data/{path}", env!("CARGO_MANIFEST_DIR"));
    let Ok(text) = std::fs::read(&file) else {
        eprintln!("SKIPPED: {path} is not beside the checkout");
        return None;
    };
    Some(serde_json::from_slice(&text).unwrap())
}
