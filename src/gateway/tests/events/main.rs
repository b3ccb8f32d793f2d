//! Events, as webhooks and as a stream.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "../support/mod.rs"]
mod support;

mod endpoints;
mod events;
mod keys;
mod mtls;
mod stream;
mod webhooks;
