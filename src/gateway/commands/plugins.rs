//! `consentry plugins`.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use connect::Profile;
use crypto::{SigningKey, pki};

use crate::cli::PluginsCommand;
use crate::plugged::Plugged;
use crate::{private_file, read};

/// Runs one of the commands.
pub(crate) fn run(command: PluginsCommand) -> anyhow::Result<ExitCode> {
    match command {
        PluginsCommand::Key { out, public } => key(&out, &public),
        PluginsCommand::Sign { key, files } => {
            let key_pem = read(&key)?;
            let key = SigningKey::from_pem(&key_pem, "").with_context(|| key.display().to_string())?;
            files.iter().try_for_each(|file| sign(&key, file))?;
            Ok(ExitCode::SUCCESS)
        }
        PluginsCommand::Check { folder } => check(&folder),
    }
}

/// Makes a key; what is there is not overwritten.
fn key(out: &Path, public: &Path) -> anyhow::Result<ExitCode> {
    let secret = pki::generate_ed25519()?;
    let half = pki::public_half(&secret)?;
    for (file, text, mode) in [(out, secret, 0o600), (public, half, 0o644)] {
        if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        }
        let created = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
        let mut created = match created {
            Ok(created) => created,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                bail!("{} is there already", file.display())
            }
            Err(error) => return Err(error).with_context(|| format!("{} cannot be written", file.display())),
        };
        created.write_all(text.as_bytes())?;
    }
    writeln!(std::io::stdout(), "{} signs; {} says whose signature counts", out.display(), public.display())?;
    Ok(ExitCode::SUCCESS)
}

fn sign(key: &SigningKey, file: &Path) -> anyhow::Result<()> {
    let plugin = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    if plugins::plugin_name(file).is_none() {
        bail!("{} has no name for a plugin, such as my-bank.wasm", file.display());
    }
    let signature = plugins::signature_of(file);
    private_file::replace(&signature, &plugins::sign(key, &plugin)?)?;
    writeln!(std::io::stdout(), "{}", signature.display())?;
    Ok(())
}

/// Loads a folder as the gateway would.
fn check(folder: &Path) -> anyhow::Result<ExitCode> {
    let plugins = Plugged::open(Some(folder))?.dialects();
    let mut out = std::io::stdout().lock();
    for plugin in &plugins {
        let any = Profile::blank("xx-bank".parse()?, "", "eu".parse()?, plugin.name());
        writeln!(out, "{:<24} {}", plugin.name(), plugin.standard(&any))?;
    }
    writeln!(out, "{} plugins", plugins.len())?;
    Ok(ExitCode::SUCCESS)
}
