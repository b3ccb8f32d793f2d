//! The `consentry` binary's inside: command line, sandbox, demo, wiring.

pub mod cli;
mod commands;
pub mod demo;
mod deployments;
mod keys;
mod plugged;
mod private_file;
mod probe;
pub mod sandbox;
