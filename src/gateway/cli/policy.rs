//! `consentry policy`.

use std::path::PathBuf;

use clap::Subcommand;

/// Kinds of rules.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// The filter: what requests look like, and signatures of attacks.
    #[command(subcommand)]
    Waf(WafCommand),
}

/// What can be done with the rules of the filter.
#[derive(Debug, Subcommand)]
pub enum WafCommand {
    /// Run the tests that lie beside rules: what each must find and must not.
    Test {
        /// Rules (*.conf) with tests/*.yaml.
        #[arg(long, default_value = "policies/waf", value_name = "FOLDER")]
        folder: PathBuf,
    },
    /// Run the regression tests of the OWASP Core Rule Set, and print the rate by category.
    Crs {
        /// A release: crs-setup.conf.example, rules/, tests/regression/tests/.
        folder: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Play requests through the edge, short of the token check: lines of
    /// {id, method, path, headers, body, expect: allow|block}.
    Replay {
        /// The file (JSON lines).
        file: PathBuf,
        /// A release of the Core Rule Set beside our own rules.
        #[arg(long, value_name = "FOLDER")]
        crs: Option<PathBuf>,
        /// End with {total, right, wrong: [ids]}.
        #[arg(long)]
        json: bool,
    },
}
