//! What is judged, and as whom: the configuration.

mod bank;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::bank::Descriptions;
use crate::http::{Client as HttpClient, Identity, Setup};
use crate::jose::{Jwk, SigningKey};
use crate::rp::{Bank, Identities};
pub use bank::{Approach, BankConfiguration, Customer, Dialect, RegistrationConfiguration, Signing};

/// A configuration as it is written (TOML). Paths are relative to the file.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// The issuer, in the place of `--target`.
    #[serde(default)]
    pub issuer: Option<Url>,
    /// A protected resource that answers a GET with the token of an authorization.
    #[serde(default)]
    pub resource: Option<Url>,
    /// Origin of the API.
    #[serde(default)]
    pub api: Option<Url>,
    /// The description of the API (OpenAPI 3.1, JSON), in the place of its `/openapi.json`.
    #[serde(default)]
    pub openapi: Option<PathBuf>,
    /// What is prepared before the operations of the API are asked for (TOML).
    #[serde(default)]
    pub preparation: Option<PathBuf>,
    /// Certificates whose issuing is believed (PEM).
    #[serde(default)]
    pub roots: Vec<PathBuf>,
    /// Certificates whose issuing is believed, in PEM, without a file.
    #[serde(skip)]
    pub root_pem: Vec<String>,
    /// `"host:port" = "host:port"`: where to connect to in the place of an address's own.
    #[serde(default)]
    pub connect: BTreeMap<String, String>,
    /// The name of a certificate for `localhost` that the target trusts where it sends webhooks.
    #[serde(default)]
    pub webhook_receiver: Option<String>,
    /// Seconds for one request.
    #[serde(default = "ten")]
    pub deadline_s: u64,
    /// What the target can do beyond what its metadata says; cases have it as `needs`.
    #[serde(default)]
    pub features: BTreeSet<String>,
    /// Values that cases name as `${…}`.
    #[serde(default)]
    pub values: BTreeMap<String, Value>,
    /// Who authorizes.
    #[serde(default)]
    pub psu: PsuConfiguration,
    /// How the target's time is moved on, if it can be.
    #[serde(default)]
    pub time: Option<TimeConfiguration>,
    /// Client certificates by name.
    #[serde(default)]
    pub certificates: BTreeMap<String, CertificateConfiguration>,
    /// Registered clients by role.
    #[serde(default)]
    pub clients: BTreeMap<String, ClientConfiguration>,
    /// Hostile banks, for a target that is a client of banks.
    #[serde(default)]
    pub rp: Option<RpConfiguration>,
    /// The bank, where the target is one.
    #[serde(default)]
    pub bank: Option<BankConfiguration>,
    /// How clients are registered.
    #[serde(default)]
    pub registration: Option<RegistrationConfiguration>,
}

/// Hostile banks: where they listen, and as what. The target must know their profiles.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RpConfiguration {
    /// The first of five ports, each for another certificate.
    pub listen: SocketAddr,
    /// What the target is called at every bank.
    pub client_id: String,
    /// Who issued the first three certificates (PEM); the target must trust it.
    pub root: PathBuf,
    /// For `localhost`.
    pub certificate: CertificateConfiguration,
    /// The same, and expired.
    pub expired: CertificateConfiguration,
    /// For another host.
    pub other_name: CertificateConfiguration,
    /// For `localhost`, by somebody whom the target does not trust.
    pub stranger: CertificateConfiguration,
}

impl RpConfiguration {
    fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let pairs = [&mut self.certificate, &mut self.expired, &mut self.other_name, &mut self.stranger];
        let pairs = pairs.into_iter().flat_map(|pair| [&mut pair.chain, &mut pair.key]);
        std::iter::once(&mut self.root).chain(pairs)
    }

    /// The certificates.
    ///
    /// # Errors
    ///
    /// If one cannot be read.
    pub fn identities(&self) -> anyhow::Result<Identities> {
        let read = |pair: &CertificateConfiguration| Identity::read(&pair.chain, &pair.key);
        Ok(Identities {
            right: read(&self.certificate)?,
            expired: read(&self.expired)?,
            other_name: read(&self.other_name)?,
            stranger: read(&self.stranger)?,
        })
    }
}

fn ten() -> u64 {
    10
}

/// How a person's decision comes about.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "mode")]
pub enum PsuConfiguration {
    /// The pages decide by themselves: redirects are followed, with cookies.
    #[default]
    Redirects,
    /// So they do, and decline where this header says so.
    RedirectsOrHeader {
        /// The header that declines.
        deny_header: String,
        /// Its value.
        deny_value: String,
    },
    /// A program gets the address as its last argument, and writes the address at which the browser
    /// came back to the client; with `--deny` before it, the person declines.
    Command {
        /// Program and arguments.
        command: Vec<String>,
    },
    /// The operator opens the address, and pastes where the browser ended.
    Operator,
}

/// A request that moves the target's time on: `{"days": …, "seconds": …}`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TimeConfiguration {
    /// Where it is sent, with a token of the client's own. A GET says `{"seconds_ahead": …}`.
    pub url: Url,
    /// Whose token: the role of a client that authenticates without an assertion, which would have
    /// to know what time it is.
    #[serde(default)]
    pub client: Option<String>,
}

/// A client certificate.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateConfiguration {
    /// The certificate and its issuers (PEM).
    pub chain: PathBuf,
    /// Its key (PEM).
    pub key: PathBuf,
}

/// How a client says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Authentication {
    /// By an assertion (RFC 7523).
    PrivateKeyJwt,
    /// By a certificate of a trusted issuer (RFC 8705 §2.1).
    TlsClientAuth,
    /// By a certificate that is registered itself (RFC 8705 §2.2).
    SelfSignedTlsClientAuth,
}

/// What its tokens are bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Binding {
    /// The certificate (RFC 8705 §3).
    Mtls,
    /// The key of a proof (RFC 9449).
    Dpop,
}

/// A registered client.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientConfiguration {
    /// Its identifier.
    pub client_id: String,
    /// How it says who it is.
    pub authentication: Authentication,
    /// What its tokens are bound to.
    pub binding: Binding,
    /// The name of its certificate.
    #[serde(default)]
    pub certificate: Option<String>,
    /// The key that signs its assertions and request objects (PEM).
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// What the key is called in its key set.
    #[serde(default)]
    pub kid: Option<String>,
    /// Requests must be signed, and answers are (FAPI 2.0 Message Signing).
    #[serde(default)]
    pub message_signing: bool,
    /// Where the browser comes back to; the first is used, the second where a case wants another.
    pub redirect_uris: Vec<String>,
    /// What it asks for.
    #[serde(default = "openid")]
    pub scope: String,
    /// The scope of tokens of its own.
    #[serde(default)]
    pub own_scope: Option<String>,
    /// `authorization_details` of each request, where the target wants some.
    #[serde(default)]
    pub authorization_details: Option<Value>,
}

fn openid() -> String {
    "openid accounts".to_owned()
}

/// A client, with its key.
#[derive(Debug)]
pub struct TestClient {
    /// Its role.
    pub role: String,
    /// As it is configured.
    pub is: ClientConfiguration,
    /// Signs assertions and request objects.
    pub key: Option<SigningKey>,
}

/// What is judged: addresses, clients, certificates, and a way to get there.
#[derive(Debug)]
pub struct Target {
    /// The issuer, or another address that the profile begins with.
    pub issuer: Url,
    /// As it is configured.
    pub is: Configuration,
    /// Clients by role.
    pub clients: BTreeMap<String, TestClient>,
    /// The way to it.
    pub http: HttpClient,
    /// The hostile banks, once a case wants them.
    pub banks: tokio::sync::OnceCell<Bank>,
    /// The key that signs requests to a bank (QSealC).
    pub seal: Option<SigningKey>,
    /// The key of a test directory, which signs software statements.
    pub directory: Option<SigningKey>,
    /// The keys that sign a bank's answers, where it publishes none.
    pub answer_keys: Option<Vec<Jwk>>,
    /// The official descriptions of the bank's interface.
    pub descriptions: Option<Descriptions>,
}

impl Target {
    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or names what is not there.
    pub fn read(file: &Path) -> anyhow::Result<Configuration> {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let mut is: Configuration = toml::from_str(&text)
            .with_context(|| format!("{} is no configuration of a target", file.display()))?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let beside = |path: &mut PathBuf| *path = folder.join(&path);
        is.roots.iter_mut().chain(&mut is.openapi).chain(&mut is.preparation).for_each(beside);
        for certificate in is.certificates.values_mut() {
            beside(&mut certificate.chain);
            beside(&mut certificate.key);
        }
        is.clients.values_mut().filter_map(|client| client.key.as_mut()).for_each(beside);
        is.rp.iter_mut().flat_map(RpConfiguration::files).for_each(beside);
        is.bank.iter_mut().for_each(|bank| bank.beside(folder));
        is.registration.iter_mut().for_each(|registration| registration.beside(folder));
        Ok(is)
    }

    /// A target as it is configured.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or the address is missing.
    pub fn new(is: Configuration) -> anyhow::Result<Self> {
        let Some(issuer) = is.issuer.clone() else {
            bail!("there is no target: give --target, or `issuer` in the configuration");
        };
        let mut roots = RootCertStore::empty();
        // The person's browser goes to the hostile banks, too.
        for file in is.roots.iter().chain(is.rp.iter().map(|rp| &rp.root)) {
            for certificate in CertificateDer::pem_file_iter(file)
                .with_context(|| format!("{} cannot be read", file.display()))?
            {
                let certificate = certificate.with_context(|| format!("{} is no PEM", file.display()))?;
                roots.add(certificate).with_context(|| format!("{} is no root", file.display()))?;
            }
        }
        for pem in &is.root_pem {
            roots.add(CertificateDer::from_pem_slice(pem.as_bytes())?)?;
        }
        let mut identities = BTreeMap::new();
        for (name, certificate) in &is.certificates {
            identities.insert(name.clone(), Arc::new(Identity::read(&certificate.chain, &certificate.key)?));
        }
        let mut clients = BTreeMap::new();
        for (role, client) in &is.clients {
            if let Some(name) = &client.certificate
                && !identities.contains_key(name)
            {
                bail!("the client {role} has the certificate {name}, which is not configured");
            }
            if client.redirect_uris.is_empty() {
                bail!("the client {role} has no redirect_uris");
            }
            let key = match &client.key {
                Some(file) => Some(
                    SigningKey::read(file)
                        .with_context(|| format!("{}, the key of the client {role}", file.display()))?,
                ),
                None => None,
            };
            clients.insert(role.clone(), TestClient { role: role.clone(), is: client.clone(), key });
        }
        let http = HttpClient::new(Setup {
            roots,
            identities,
            connect: is.connect.clone(),
            deadline: Duration::from_secs(is.deadline_s),
        })?;
        let banks = tokio::sync::OnceCell::new();
        let seal = is.bank.as_ref().and_then(|bank| bank.seal.as_ref()).map(|name| {
            let certificate = is.certificates.get(name);
            let certificate = certificate.with_context(|| format!("the seal {name} is not configured"))?;
            read_key(&certificate.key)
        });
        let directory = is.registration.as_ref().and_then(|registration| registration.directory_key.as_ref());
        let directory = directory.map(|file| read_key(file)).transpose()?;
        let answer_keys = is.bank.as_ref().and_then(|bank| bank.answer_key_file.as_ref());
        let answer_keys = answer_keys.map(|file| read_keys(file)).transpose()?;
        let specs = is.bank.as_ref().and_then(|bank| bank.specs.as_ref());
        let descriptions = specs.map(|folder| Descriptions::read(folder)).transpose()?;
        Ok(Self {
            issuer,
            clients,
            http,
            seal: seal.transpose()?,
            directory,
            answer_keys,
            descriptions,
            banks,
            is,
        })
    }

    /// Whether the bank offers what is at a path.
    fn offers(&self, path: &str) -> bool {
        self.is.bank.as_ref().is_some_and(|bank| bank.endpoints.iter().any(|known| known == path))
    }

    fn approves(&self, approach: Approach) -> bool {
        self.is.bank.as_ref().is_some_and(|bank| bank.sca == approach)
    }

    fn signs(&self, signing: Signing) -> bool {
        self.is.bank.as_ref().is_some_and(|bank| bank.signing == signing)
    }

    /// The client of a role.
    #[must_use]
    pub fn client(&self, role: &str) -> Option<&TestClient> {
        self.clients.get(role)
    }

    /// What cases may need: what is configured, and what clients there are.
    #[must_use]
    pub fn has(&self, need: &str) -> bool {
        match need {
            "resource" => self.is.resource.is_some(),
            "api" => self.is.api.is_some(),
            "time" => self.is.time.is_some(),
            "rp" => self.is.rp.is_some(),
            "webhook-receiver" => self.is.webhook_receiver.is_some(),
            "bank" => self.is.bank.is_some(),
            "registration" => self.is.registration.is_some(),
            "plain-registration" => self.is.registration.as_ref().is_some_and(|how| how.plain),
            "signed-registration" => self.is.registration.as_ref().is_some_and(|how| how.media.is_some()),
            "directory" => self.directory.is_some(),
            "seal" => self.seal.is_some(),
            // In an app nobody declines by himself.
            "deny" => match self.is.psu {
                PsuConfiguration::Redirects => false,
                PsuConfiguration::RedirectsOrHeader { .. } | PsuConfiguration::Command { .. } => {
                    !self.approves(Approach::Decoupled)
                }
                PsuConfiguration::Operator => true,
            },
            "decoupled" => self.approves(Approach::Decoupled),
            "embedded" => self.approves(Approach::Embedded),
            "cavage" => self.seal.is_some() && self.signs(Signing::Cavage),
            "rfc9421" => self.seal.is_some() && self.signs(Signing::Rfc9421),
            _ => match need.split_once(':') {
                Some(("client", role)) => self.clients.contains_key(role),
                Some(("certificate", name)) => self.is.certificates.contains_key(name),
                Some(("endpoint", path)) => self.offers(path),
                Some(("value", name)) => self.is.values.contains_key(name),
                Some(_) | None => self.is.features.contains(need),
            },
        }
    }
}

fn read_key(file: &Path) -> anyhow::Result<SigningKey> {
    SigningKey::read(file).with_context(|| format!("{} cannot be used to sign", file.display()))
}

fn read_keys(file: &Path) -> anyhow::Result<Vec<Jwk>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(Jwk::set(&serde_json::from_str(&text).with_context(|| file.display().to_string())?))
}
