//! The `consentry` binary's inside: command line, sandbox, demo, wiring.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;

mod admin;
mod audit_logs;
mod certificates;
pub mod cli;
mod client_tls;
mod commands;
mod config;
pub mod demo;
mod deployments;
mod doctor;
mod filter;
mod keys;
pub mod log;
mod plugged;
mod private_file;
mod probe;
mod region_keys;
mod retention;
pub mod sandbox;
mod scorecard;
mod serve;
mod service;
mod signals;
mod stamp;
mod stores;
mod tape;

pub use filter::{FilterFiles, FilterMode};
pub use keys::KeySource;

/// Reads a text file that somebody named.
pub(crate) fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}

/// The texts of the files of a setting that names whom to trust, one after the other.
pub(crate) fn together(files: &[PathBuf], name: &str) -> anyhow::Result<String> {
    if files.is_empty() {
        anyhow::bail!("{name} names no authority: nobody would be trusted");
    }
    let texts = files.iter().map(|file| read(file).with_context(|| name.to_owned()));
    Ok(texts.collect::<anyhow::Result<Vec<_>>>()?.join("\n"))
}

/// The text of a file; of what is piped in for `-`.
pub(crate) fn read_or_piped(file: &Path) -> anyhow::Result<String> {
    if file != Path::new("-") {
        return read(file);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("nothing can be read from the standard input")?;
    Ok(text)
}

/// When a file that is watched was last changed; none if it is not there.
pub(crate) fn modified(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}
