//! The service as a whole: its commands, its edge, its sandbox, several of it, and what it is built of.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../../../crypto/tests/softhsm/mod.rs"]
mod softhsm;

mod admin;
mod audit;
mod cells;
mod certificates;
mod cli;
mod core_rule_set;
mod decisions;
mod edge;
mod filter;
mod filter_rules;
mod instances;
mod layers;
mod limits;
mod openapi;
mod persons;
mod region_token;
mod revocation;
mod sandbox_drive;
mod sandbox_options;
mod serve;
mod server_identity;
mod statistics;
mod telemetry;
