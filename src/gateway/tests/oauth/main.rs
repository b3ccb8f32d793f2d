//! The authorization server and the guard of the API, clause by clause, in
//! both directions, through the real sockets.

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

mod assertions;
mod codes;
mod fintech;
mod keys;
mod metadata;
mod pages;
mod pages_access;
mod pages_languages;
mod pages_person;
mod pages_theme;
mod pages_time;
mod push;
mod tls_clients;
mod tokens;
