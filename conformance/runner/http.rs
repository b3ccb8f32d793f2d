//! Requests as a test client makes them: one connection each, nothing followed, everything kept.

mod client;
mod exchange;
mod redact;

pub use client::{Client, Identity, NoAnswer, Setup};
pub use exchange::{Exchange, Request, Response};
pub use redact::redacted;
