//! The `consentry` binary's inside: command line, sandbox, demo, wiring.

pub mod cli;
mod commands;
pub mod demo;
pub mod sandbox;
