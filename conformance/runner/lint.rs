//! What is wrong with a file, and what was probably meant.
//!
//! Three things that people make by hand and get wrong: certificates of PSD2, descriptions of
//! interfaces, and receivers of webhooks. Each check answers with [`Finding`]s and never stops
//! at the first.

pub mod certificate;
pub mod cli;
mod finding;
pub mod openapi;
pub mod webhook;

pub use finding::{Finding, Severity};
