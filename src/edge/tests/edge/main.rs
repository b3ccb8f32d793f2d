//! The listener through real sockets and TLS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod abuse;
mod bounds;
mod proxy;
mod slow;
mod suites;
mod support;
