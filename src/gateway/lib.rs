//! The `consentry` binary's inside: command line, sandbox, demo, wiring.

use anyhow::Context;

pub mod cli;
mod commands;
pub mod demo;
mod deployments;
mod filter;
mod keys;
mod plugged;
mod private_file;
mod probe;
pub mod sandbox;
mod scorecard;
mod stamp;
mod tape;

pub use filter::{FilterFiles, FilterMode};

/// Reads a text file that somebody named.
pub(crate) fn read(file: &std::path::Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}
