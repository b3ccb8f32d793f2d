//! The authorization server and the guard of the API, clause by clause, in
//! both directions, through the real sockets.

#[path = "../support/mod.rs"]
mod support;

mod assertions;
mod codes;
mod fintech;
mod metadata;
mod pages;
mod push;
mod tls_clients;
mod tokens;
