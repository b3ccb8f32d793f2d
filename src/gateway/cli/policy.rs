//! `consentry policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::FilterFilesArgs;
use crate::filter::FilterMode;

/// Kinds of rules.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Who may do what, and where data may lie and pass (policies/access).
    #[command(flatten)]
    Access(AccessCommand),
    /// The filter: what requests look like, and signatures of attacks.
    #[command(subcommand)]
    Waf(WafCommand),
}

/// What can be done with the rules of access and residency.
#[derive(Debug, Subcommand)]
pub enum AccessCommand {
    /// Check a folder of rules as a gateway does that starts with it.
    Check(AccessArgs),
    /// Run the tests that lie beside the rules, and name rules that no test names.
    Test(AccessArgs),
    /// Say what the rules answer to a request in the form that tests have, and why.
    Explain {
        /// The request (JSON); - for what is piped in.
        file: PathBuf,
        /// Whose rules, and how it is told.
        #[command(flatten)]
        access: AccessArgs,
    },
    /// Prove by a solver that no request gets around what must hold, whatever it is.
    Prove {
        /// Prove of each way of spoiling a rule, too, that it would be noticed.
        #[arg(long)]
        mutants: bool,
        /// The solver.
        #[arg(long, default_value = "cvc5", value_name = "PROGRAM")]
        cvc5: PathBuf,
        /// Whose rules, and how it is told.
        #[command(flatten)]
        access: AccessArgs,
    },
}

/// Whose rules, and how it is told.
#[derive(Debug, Args)]
pub struct AccessArgs {
    /// A folder as policies/access, instead of the rules of the binary.
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What can be done with the rules of the filter.
#[derive(Debug, Subcommand)]
pub enum WafCommand {
    /// Run the tests that lie beside rules: what each must find and must not; and check the
    /// policy beside them.
    Test {
        /// Rules (*.conf) with tests/*.yaml and filter.toml.
        #[arg(long, default_value = "policies/waf", value_name = "FOLDER")]
        folder: PathBuf,
        /// Another policy of the filter (TOML).
        #[arg(long, value_name = "FILE")]
        filter_policy: Option<PathBuf>,
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
        /// Where the rules come from.
        #[command(flatten)]
        filter_files: FilterFilesArgs,
        /// End with {total, right, wrong: [ids]}.
        #[arg(long)]
        json: bool,
    },
    /// Say what each layer of the filter has to say of one request: {method, path, headers,
    /// body}, as in a line of replay.
    Explain {
        /// The file; - for what is piped in.
        file: PathBuf,
        /// Where the rules come from.
        #[command(flatten)]
        filter_files: FilterFilesArgs,
        /// What becomes of requests where the policy says nothing else.
        #[arg(long, value_enum, default_value = "block", value_name = "MODE")]
        filter: FilterMode,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}
