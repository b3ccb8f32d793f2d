//! Judging banks, as far as that needs no bank: signatures, descriptions, manifests, and the cases.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod cases;
mod descriptions;
mod evidence;
mod manifests;
mod signatures;

use std::path::PathBuf;

/// A folder of what standards publish, where it is at hand.
fn published(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")).join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: there is no {name} beside the project");
    None
}
