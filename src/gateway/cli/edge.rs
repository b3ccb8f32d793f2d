//! What is said of the edge.

use std::path::PathBuf;

use clap::Args;

use crate::filter::FilterFiles;

/// What is asked of the revocation of client certificates.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum RevocationCheck {
    /// Nothing.
    Off,
    /// What is known to be revoked is refused.
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

/// How the edge is.
#[derive(Clone, Debug, Args)]
pub struct EdgeArgs {
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
