//! A small log, and keys to sign it with.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto::SigningKey;
use domain::Timestamp;

use crate::merkle::leaf;
use crate::{Checkpoint, Frontier, Hash, LogKey, SignedCheckpoint, Tree};

pub(crate) const ORIGIN: &str = "consentry.example/audit/eu";

/// The Ed25519 key whose seed is 32 times this byte (RFC 8410 §7).
pub(crate) fn signing_key(seed: u8) -> SigningKey {
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let der = STANDARD.encode([head.as_slice(), &[seed; 32]].concat());
    let label = "PRIVATE KEY";
    SigningKey::from_pem(&format!("-----BEGIN {label}-----\n{der}\n-----END {label}-----\n"), "k").unwrap()
}

pub(crate) fn log_key(seed: u8) -> LogKey {
    LogKey::new(ORIGIN, signing_key(seed).public_key().clone()).unwrap()
}

pub(crate) fn entry(sequence: u64) -> String {
    format!("entry {sequence}")
}

pub(crate) fn leaves(size: u64) -> impl Iterator<Item = Hash> {
    (0..size).map(|sequence| leaf(entry(sequence).as_bytes()))
}

pub(crate) fn tree(size: u64) -> Tree {
    leaves(size).collect()
}

pub(crate) fn at(minute: u64) -> Timestamp {
    format!("2026-11-28T10:{minute:02}:00Z").parse().unwrap()
}

/// Of the first `size` entries, a minute for each.
pub(crate) fn checkpoint(size: u64) -> Checkpoint {
    let mut frontier = Frontier::empty();
    leaves(size).for_each(|leaf| frontier.append(leaf));
    Checkpoint { origin: ORIGIN.into(), size, root: frontier.root(), at: at(size) }
}

pub(crate) fn signed(checkpoint: &Checkpoint) -> SignedCheckpoint {
    SignedCheckpoint::parse(&checkpoint.sign(&signing_key(7), ORIGIN).unwrap()).unwrap()
}
