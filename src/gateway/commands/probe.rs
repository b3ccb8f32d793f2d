//! `consentry banks probe`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use connect::Registry;
use domain::{SystemClock, SystemEntropy};
use url::Url;

use super::bank_access::{ChosenBank, Material};
use crate::cli::ProbeArgs;
use crate::demo::{Browser, Client};
use crate::plugged::Plugged;
use crate::probe::{Probe, Report};

/// Runs the command.
pub(crate) async fn run(args: ProbeArgs) -> anyhow::Result<ExitCode> {
    let profile = ChosenBank::of(&args.access)?.profile;
    profile.filled()?;
    let registry = Registry::new(dialects::all());
    let plugged = Plugged::open(args.access.plugins.plugins.as_deref())?;
    registry.replace_plugins(plugged.dialects());
    plugged.require(&registry, &profile)?;
    let dialect =
        registry.dialect(&profile).with_context(|| format!("there is no dialect {}", profile.dialect))?;
    let material = Material::of(&args.access)?;
    let transport = material.transport()?;
    let redirect_uri = match &args.redirect_uri {
        Some(url) => url.clone(),
        None => Url::parse(&format!("https://localhost:8440/callback/{}", profile.id))?,
    };
    let user = profile.sandbox_users.first();
    let name = user.map_or("", |user| user.username.as_str());
    let password = user.map_or("", |user| secrecy::ExposeSecret::expose_secret(&user.password));
    let mut browser = Browser::new(Client::new(&material.roots, None)?, name, password);
    let probe = Probe {
        profile: &profile,
        dialect: &*dialect,
        transport: &transport,
        key: &material.signing_key,
        redirect_uri,
        clock: &SystemClock,
        entropy: &SystemEntropy,
    };
    let report = probe.run(&mut browser).await;
    tell(&report, args.json)?;
    Ok(if report.refused.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(report: &Report, as_json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if as_json {
        writeln!(out, "{}", report.json())?;
        return Ok(());
    }
    for step in &report.steps {
        let note = step.note.as_deref().unwrap_or_default();
        writeln!(out, "  ok    {:<15} {:>5} ms  {note}", step.name, step.ms)?;
    }
    match &report.refused {
        None => writeln!(out, "{} authorised us.", report.bank)?,
        Some((step, why)) => {
            writeln!(out, "  ends  {step:<15}           {why}")?;
            writeln!(out, "Nothing was authorised at {}: {}.", report.bank, why.code())?;
        }
    }
    Ok(())
}
