//! `consentry banks probe`.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use connect::{Profile, Registry, Seal, TlsIdentity, Transport, TransportConfig};
use crypto::{Certificate, SigningKey};
use domain::{SystemClock, SystemEntropy};
use url::Url;

use crate::cli::ProbeArgs;
use crate::demo::{Browser, Client};
use crate::plugged::Plugged;
use crate::probe::{Probe, Report};
use crate::sandbox::state::require_sandbox;

/// Runs the command.
pub(crate) async fn run(args: ProbeArgs) -> anyhow::Result<ExitCode> {
    let profile = profile(&args)?;
    let registry = Registry::new(dialects::all());
    let plugged = Plugged::open(args.plugins.plugins.as_deref())?;
    registry.replace_plugins(plugged.dialects());
    plugged.require(&registry, &profile)?;
    let dialect =
        registry.dialect(&profile).with_context(|| format!("there is no dialect {}", profile.dialect))?;
    let material = Material::of(&args)?;
    let key = Arc::new(SigningKey::from_pem(&material.signing_key, material.kid.clone())?);
    let transport = Transport::new(TransportConfig {
        roots_pem: material.roots.clone(),
        identity: Some(TlsIdentity {
            certificate_chain_pem: material.certificate.clone(),
            private_key_pem: material.key.clone().into(),
        }),
        seal: material.seal(&key)?,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    })?;
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
        key: &key,
        redirect_uri,
        clock: &SystemClock,
        entropy: &SystemEntropy,
    };
    let report = probe.run(&mut browser).await;
    tell(&report, args.json)?;
    Ok(if report.refused.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The one bank of the file, or the one that was named.
fn profile(args: &ProbeArgs) -> anyhow::Result<Profile> {
    let file = args.profile.display().to_string();
    let (profiles, problems) = connect::read_profiles(&file, &read(&args.profile)?);
    if let Some(problem) = problems.first() {
        bail!("{problem}");
    }
    let known = profiles.iter().map(|profile| profile.id.to_string()).collect::<Vec<_>>().join(", ");
    let wanted = |profile: &Profile| args.bank.as_ref().is_none_or(|bank| profile.id.as_str() == bank);
    let mut found = profiles.into_iter().filter(wanted);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => bail!("{file} holds several banks: name one with --bank ({known})"),
        (None, _) => bail!("{file} holds no such bank: it holds {known}"),
    }
}

/// Who we are, and whom we trust.
struct Material {
    roots: String,
    certificate: String,
    key: String,
    signing_key: String,
    kid: String,
    /// The certificate of the signing key, where messages are to be signed.
    seal: Option<String>,
}

impl Material {
    /// What the arguments name; what they do not, from the data folder.
    fn of(args: &ProbeArgs) -> anyhow::Result<Self> {
        let pki = args.data_dir.join("pki");
        let own = |name: &str| {
            require_sandbox(&args.data_dir)?;
            read(&pki.join(name))
        };
        let mut roots = String::new();
        for file in &args.trust_ca {
            roots.push_str(&read(file)?);
            roots.push('\n');
        }
        if args.trust_ca.is_empty() {
            roots = own("root.pem")?;
        }
        let (certificate, key) = match (&args.certificate, &args.key) {
            (Some(certificate), Some(key)) => (read(certificate)?, read(key)?),
            _ => (own("gateway-qwac.pem")?, own("gateway-qwac.key")?),
        };
        let (signing_key, seal) = match &args.signing_key {
            Some(file) => (read(file)?, None),
            None if args.key.is_some() => (key.clone(), None),
            None => (own("gateway-qseal.key")?, Some(own("gateway-qseal.pem")?)),
        };
        let kid = match (&args.signing_kid, &seal) {
            (Some(kid), _) => kid.clone(),
            (None, Some(seal)) => Certificate::from_pem(seal)?.thumbprint.to_string(),
            (None, None) => "probe".to_owned(),
        };
        Ok(Self { roots, certificate, key, signing_key, kid, seal })
    }

    fn seal(&self, key: &Arc<SigningKey>) -> anyhow::Result<Option<Seal>> {
        let Some(pem) = &self.seal else { return Ok(None) };
        let certificate = Arc::new(Certificate::from_pem(pem)?);
        let jws_issuer = certificate.subject_dn.clone();
        Ok(Some(Seal { key: Arc::clone(key), certificate, jws_issuer }))
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
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
