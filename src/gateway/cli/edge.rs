//! What is said of the edge.

use std::path::PathBuf;

use clap::Args;
use crypto::Scheme;
use crypto::pkcs11::Place;
use serde::{Deserialize, Serialize};

use crate::filter::FilterFiles;
use crate::keys::KeySource;
use crate::sandbox::ServerFiles;

/// What is asked of the revocation of client certificates.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize, Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum RevocationCheck {
    /// Nothing.
    Off,
    /// What is known to be revoked is refused.
    #[default]
    Soft,
    /// What is not known to be unrevoked is refused.
    Hard,
}

impl From<RevocationCheck> for ::edge::Revocation {
    fn from(check: RevocationCheck) -> Self {
        match check {
            RevocationCheck::Off => Self::Off,
            RevocationCheck::Soft => Self::Soft,
            RevocationCheck::Hard => Self::Hard,
        }
    }
}

/// By whose rules client certificates have to be.
#[derive(Clone, Debug, Args)]
pub struct TrustProfileArgs {
    /// Take client certificates that are QWACs (ETSI TS 119 495) of these issuers (PEM); may be
    /// given more than once. Changes are taken up while the sandbox runs.
    #[arg(long, value_name = "FILE")]
    pub qwac_issuers: Vec<PathBuf>,
    /// Take client certificates of the Open Banking directory, from these issuers (PEM); may be
    /// given more than once.
    #[arg(long, value_name = "FILE")]
    pub open_banking_issuers: Vec<PathBuf>,
}

impl TrustProfileArgs {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<(Scheme, PathBuf)> {
        let of = |scheme, files: &[PathBuf]| -> Vec<_> {
            files.iter().map(|file| (scheme, file.clone())).collect()
        };
        [of(Scheme::Eidas, &self.qwac_issuers), of(Scheme::OpenBanking, &self.open_banking_issuers)].concat()
    }
}

/// What both ports show of themselves.
#[derive(Clone, Debug, Args)]
pub struct ServerArgs {
    /// Show this certificate with its chain (PEM) in the place of the sandbox's own. Changes are
    /// taken up while the sandbox runs.
    #[arg(long, value_name = "FILE", requires = "key_of_server", conflicts_with = "demo")]
    pub server_cert: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, value_name = "FILE", requires = "server_cert", group = "key_of_server")]
    pub server_key: Option<PathBuf>,
    /// Its key is on a PKCS#11 token, reached by this library.
    #[arg(
        long, value_name = "LIBRARY", group = "key_of_server",
        requires_all = ["server_cert", "server_key_token", "server_key_label", "server_key_pin_file"]
    )]
    pub server_key_module: Option<PathBuf>,
    /// The label of the token.
    #[arg(long, value_name = "LABEL", requires = "server_key_module")]
    pub server_key_token: Option<String>,
    /// The label of the key.
    #[arg(long, value_name = "LABEL", requires = "server_key_module")]
    pub server_key_label: Option<String>,
    /// The file that holds the PIN of the token.
    #[arg(long, value_name = "FILE", requires = "server_key_module")]
    pub server_key_pin_file: Option<PathBuf>,
    /// Staple this OCSP response (DER) about the certificate. Changes are taken up while the
    /// sandbox runs.
    #[arg(long, value_name = "FILE")]
    pub server_ocsp_response: Option<PathBuf>,
}

impl From<ServerArgs> for ServerFiles {
    fn from(args: ServerArgs) -> Self {
        let token = || {
            let (module, token) = (args.server_key_module?, args.server_key_token?);
            let place = Place { module, token, key: args.server_key_label? };
            Some(KeySource::Token { place, pin_file: args.server_key_pin_file? })
        };
        let key = args.server_key.map(KeySource::File).or_else(token);
        Self { certificate: args.server_cert.zip(key), ocsp_response: args.server_ocsp_response }
    }
}

/// How the edge is.
#[derive(Clone, Debug, Args)]
pub struct EdgeArgs {
    /// What both ports show of themselves.
    #[command(flatten)]
    pub server: ServerArgs,
    /// By whose rules client certificates have to be.
    #[command(flatten)]
    pub trust_profiles: TrustProfileArgs,
    /// Where the rules of the filter come from. Changes are taken up while the sandbox runs.
    #[command(flatten)]
    pub filter_files: FilterFilesArgs,
}

/// Where the rules of the filter come from.
#[derive(Clone, Debug, Args)]
pub struct FilterFilesArgs {
    /// A release of the OWASP Core Rule Set beside our own rules: the folder with rules/.
    #[arg(long, value_name = "FOLDER")]
    pub crs: Option<PathBuf>,
    /// The policy of the filter (TOML) in the place of the one that is compiled in:
    /// levels, thresholds, modes of routes, exclusions.
    #[arg(long, value_name = "FILE")]
    pub filter_policy: Option<PathBuf>,
    /// Rules (*.conf, with tests/*.yaml) in the place of our own that are compiled in.
    #[arg(long, value_name = "FOLDER")]
    pub waf_rules: Option<PathBuf>,
}

impl From<FilterFilesArgs> for FilterFiles {
    fn from(args: FilterFilesArgs) -> Self {
        let FilterFilesArgs { crs, filter_policy, waf_rules } = args;
        Self { policy: filter_policy, rules: waf_rules, crs }
    }
}
