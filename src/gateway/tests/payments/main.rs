//! Payments of every kind, one by one, in batches and under mandates.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "../support/mod.rs"]
mod support;

mod batches;
mod kinds;
mod mandates;
mod policies;
mod refunds;
mod single;
mod taken_back;
