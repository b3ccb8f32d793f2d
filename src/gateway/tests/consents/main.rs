//! Consents: given, used, renewed, shown to the person, taken back here and at the bank.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "../support/mod.rs"]
mod support;

mod at_bank;
mod elsewhere;
mod journey;
mod psu;
mod renewal;
mod rules;
mod usage;
