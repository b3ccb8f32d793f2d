//! The one bank that a command is about, and who we are there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use connect::{Deployment, Profile, Seal, TlsIdentity, Transport, TransportConfig};
use crypto::{Certificate, SigningKey};
use domain::{InstitutionId, SystemClock, SystemEntropy};
use limits::{Limiter, Policies};

use super::banks::embedded;
use crate::cli::BankAccessArgs;
use crate::service::state::require_state;
use crate::{deployments, read};

/// A bank and what the operator knows of it.
pub(super) struct ChosenBank {
    /// Its profile with its deployment in it.
    pub(super) profile: Profile,
    /// Its deployment.
    pub(super) deployment: Deployment,
    /// The banks whose registration it shares, itself among them.
    pub(super) sharing: Vec<InstitutionId>,
    /// The profile file, or where deployments lie if the bank ships with the binary.
    place: PathBuf,
}

impl ChosenBank {
    /// The bank that the arguments name.
    pub(super) fn of(args: &BankAccessArgs) -> anyhow::Result<Self> {
        let (place, profiles, profile) = named(&args.profile, args.bank.as_deref())?;
        let shared = |profile: &Profile| profile.registration.as_ref()?.shared_as.clone();
        let ours = shared(&profile);
        let shares = |other: &&Profile| other.id == profile.id || (ours.is_some() && shared(other) == ours);
        let sharing = profiles.iter().filter(shares).map(|profile| profile.id.clone()).collect();
        let deployment = deployments::read(&deployments::beside(&place, &profile.id))?;
        let profile = profile.deployed(deployment.clone());
        Ok(Self { profile, deployment, sharing, place })
    }

    /// Where the deployment of a bank beside this one lies.
    pub(super) fn file_of(&self, bank: &InstitutionId) -> PathBuf {
        deployments::beside(&self.place, bank)
    }
}

/// One bank of a file, without what its operator knows of it.
pub(super) fn profile_of(file: &Path, bank: Option<&str>) -> anyhow::Result<Profile> {
    named(file, bank).map(|(_, _, profile)| profile)
}

/// The file, its banks, and the one that is meant.
fn named(file: &Path, bank: Option<&str>) -> anyhow::Result<(PathBuf, Vec<Profile>, Profile)> {
    let (place, profiles) = profiles(file)?;
    let file = file.display();
    let known = profiles.iter().map(|profile| profile.id.to_string()).collect::<Vec<_>>().join(", ");
    let mut found = profiles.iter().filter(|profile| bank.is_none_or(|bank| profile.id.as_str() == bank));
    let profile = match (found.next(), found.next()) {
        (Some(one), None) => one.clone(),
        (Some(_), Some(_)) => bail!("{file} holds several banks: name one with --bank ({known})"),
        (None, _) => bail!("{file} holds no such bank: it holds {known}"),
    };
    Ok((place, profiles, profile))
}

/// The banks of a file, or one that ships with the binary.
fn profiles(named: &Path) -> anyhow::Result<(PathBuf, Vec<Profile>)> {
    let file = named.display().to_string();
    let shipped = || embedded().profile(&file.parse().ok()?);
    if let Some(profile) = Some(()).filter(|()| !named.exists()).and_then(|()| shipped()) {
        return Ok((PathBuf::from("."), vec![Arc::unwrap_or_clone(profile)]));
    }
    let (profiles, problems) = connect::read_profiles(&file, &read(named)?);
    match problems.first() {
        Some(problem) => bail!("{problem}"),
        None => Ok((named.to_owned(), profiles)),
    }
}

/// Who we are, and whom we trust.
pub(super) struct Material {
    /// Authorities of banks, PEM.
    pub(super) roots: String,
    certificate: String,
    key: String,
    /// Signs what we say.
    pub(super) signing_key: Arc<SigningKey>,
    /// The certificate of the signing key, where messages are to be signed.
    seal: Option<Arc<Certificate>>,
}

impl Material {
    /// What the arguments name; what they do not, from the data folder.
    pub(super) fn of(args: &BankAccessArgs) -> anyhow::Result<Self> {
        let pki = args.data_dir.join("pki");
        let own = |name: &str| {
            require_state(&args.data_dir)?;
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
        let seal = seal.map(|pem| Certificate::from_pem(&pem)).transpose()?.map(Arc::new);
        let kid = match (&args.signing_kid, &seal) {
            (Some(kid), _) => kid.clone(),
            (None, Some(seal)) => seal.thumbprint.to_string(),
            (None, None) => SigningKey::from_pem(&signing_key, "")?.public_key().thumbprint(),
        };
        let signing_key = Arc::new(SigningKey::from_pem(&signing_key, kid)?);
        Ok(Self { roots, certificate, key, signing_key, seal })
    }

    /// Our certificate for TLS.
    pub(super) fn certificate(&self) -> anyhow::Result<Certificate> {
        Ok(Certificate::from_pem(&self.certificate)?)
    }

    /// The way to banks.
    pub(super) fn transport(&self) -> anyhow::Result<Transport> {
        let seal = self.seal.as_ref().map(|certificate| Seal {
            key: Arc::clone(&self.signing_key),
            certificate: Arc::clone(certificate),
            jws_issuer: certificate.subject_dn.clone(),
        });
        Ok(Transport::new(TransportConfig {
            roots_pem: self.roots.clone(),
            identity: Some(TlsIdentity {
                certificate_chain_pem: self.certificate.clone(),
                private_key_pem: self.key.clone().into(),
            }),
            seal,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            limiter: Arc::new(Limiter::new(Policies::embedded()?)),
        })?)
    }
}
