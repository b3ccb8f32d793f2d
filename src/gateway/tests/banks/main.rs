//! What banks tell and how they are met: reading, profiles, deviations, plugins, a bank that fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "../support/mod.rs"]
mod support;

mod account_resources;
mod answer_signatures;
mod embedded;
mod failing;
mod files;
mod funds;
mod health;
mod institutions;
mod metadata_drift;
mod notifications;
mod onboarding;
mod pages_as_problems;
mod payees;
#[cfg(feature = "plugins")]
mod plugins;
mod quirks;
mod reading;
mod recording;
mod registration;
mod scorecard;
mod statement_file;
mod sync;
mod token_renewal;
