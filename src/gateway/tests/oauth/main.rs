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
mod ciba;
mod codes;
mod details;
mod dpop_resource;
mod dpop_tokens;
mod fintech;
mod forgeries;
mod grants;
mod hostile;
mod keys;
mod metadata;
mod operator;
mod own_keys;
mod pages;
mod pages_access;
mod pages_languages;
mod pages_payee;
mod pages_person;
mod pages_sca;
mod pages_theme;
mod pages_time;
mod prover;
mod push;
mod refresh;
mod registration;
mod signed_requests;
mod signed_responses;
mod software;
mod tls_clients;
mod tokens;
mod two_gateways;
mod wishes;
