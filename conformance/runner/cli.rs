//! `consentry conformance`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use url::Url;

use crate::clock::Clock;
use crate::jose::{base64url, sha256};
use crate::mutants;
use crate::report::{self, Report, Signer, Terminal};
use crate::sandbox::Sandbox;
use crate::suite::{self, Baseline, Options};
use crate::target::{Configuration, Target};

/// Whether a target does what standards and its own description say.
#[derive(Debug, Args)]
pub struct ConformanceArgs {
    /// The command.
    #[command(subcommand)]
    pub command: ConformanceCommand,
}

/// What can be done about conformance.
#[derive(Debug, Subcommand)]
pub enum ConformanceCommand {
    /// Run cases against a target. Ends with 0 if all that must hold does, 1 if not, and 2 if the
    /// run could not be made.
    Run(Box<RunArgs>),
    /// Show what profiles and cases there are.
    List {
        /// The cases of this profile.
        #[arg(long)]
        profile: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make certificates, keys, registrations and the configuration for a target.
    Setup(SetupArgs),
    /// Prove that the cases can fail: put a proxy that breaks it in one way after the other before
    /// the target. Ends with 1 if a mutant is not caught by the cases that it names.
    Mutants(MutantsArgs),
    /// Compare two runs: ends with 1 if something is worse.
    Diff {
        /// The folder of the earlier run.
        before: PathBuf,
        /// The folder of the later run.
        after: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Find out whether a report and its evidence are what was signed.
    Verify {
        /// The folder of a run.
        folder: PathBuf,
        /// The thumbprint of the key that must have signed it.
        #[arg(long)]
        key: Option<String>,
    },
}

/// What is run, and against what.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Which profile; may be given more than once, or `all`.
    #[arg(long, required = true, value_name = "PROFILE")]
    pub profile: Vec<String>,
    /// The issuer, or for profiles without an authorization server the address to judge.
    #[arg(long, value_name = "URL")]
    pub target: Option<Url>,
    /// Who we are there (TOML), as `setup` writes it.
    #[arg(long, value_name = "FILE", conflicts_with = "sandbox")]
    pub config: Option<PathBuf>,
    /// Judge a sandbox of our own, which is started for the run and ended with it.
    #[arg(long, conflicts_with = "target")]
    pub sandbox: bool,
    /// Where the reports go.
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Only cases whose id is this or has this in it; may be given more than once. Each must name a case.
    #[arg(long, value_name = "ID")]
    pub only: Vec<String>,
    /// More cases: a folder of TOML files.
    #[arg(long, value_name = "FOLDER")]
    pub cases: Option<PathBuf>,
    /// A folder with the official OpenAPI files of the bank's standard, against which answers are judged.
    #[arg(long, value_name = "FOLDER")]
    pub specs: Option<PathBuf>,
    /// A folder with regression tests of the OWASP Core Rule Set (YAML), which `waf` plays beside its
    /// own cases.
    #[arg(long, value_name = "FOLDER")]
    pub crs_tests: Option<PathBuf>,
    /// A folder with official manifests of the UK standard, which `uk-functional` plays beside its own
    /// cases.
    #[arg(long, value_name = "FOLDER")]
    pub manifests: Option<PathBuf>,
    /// Known failures, each with an owner, a reason and a last day (TOML).
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// So many cases at once.
    #[arg(long, default_value_t = 4, value_name = "NUMBER")]
    pub jobs: usize,
    /// Seconds for one case, without those that it waits for.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub longest: u64,
    /// Leave out cases that have to wait longer than this, where the target's time cannot be moved.
    #[arg(long, default_value_t = 90, value_name = "SECONDS")]
    pub longest_wait: u64,
    /// The key that signs the report (PEM); made if it is not there. Without it, a key for this run.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Print the report as JSON instead of tables.
    #[arg(long)]
    pub json: bool,
}

/// Which mutants, before what.
#[derive(Debug, Args)]
pub struct MutantsArgs {
    /// Who we are at the target (TOML), as `setup` writes it.
    #[arg(long, value_name = "FILE", required_unless_present = "sandbox")]
    pub config: Option<PathBuf>,
    /// Before a sandbox of our own, which is started for the run and ended with it.
    #[arg(long, conflicts_with_all = ["config", "target"])]
    pub sandbox: bool,
    /// The issuer.
    #[arg(long, value_name = "URL")]
    pub target: Option<Url>,
    /// Only mutants that this profile catches; may be given more than once.
    #[arg(long, value_name = "PROFILE")]
    pub profile: Vec<String>,
    /// Only mutants whose name is this or has this in it; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Run all cases of the profile against each mutant, and show which of them catch it.
    #[arg(long)]
    pub whole: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// What is made for a target.
#[derive(Debug, Args)]
pub struct SetupArgs {
    /// Where it goes.
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
    /// The issuer.
    #[arg(long, value_name = "URL", default_value = "https://localhost:8440")]
    pub target: Url,
    /// Origin of the API, if it is another.
    #[arg(long, value_name = "URL")]
    pub api: Option<Url>,
    /// The root that issued the target's certificate (PEM); may be given more than once.
    #[arg(long, value_name = "FILE")]
    pub root: Vec<PathBuf>,
    /// The first of five ports at which the hostile banks of `fapi2-rp` listen while it runs.
    #[arg(long, value_name = "PORT", default_value_t = 8480)]
    pub bank_port: u16,
    /// The folder of a sandbox at the target: only configurations for its model banks are written.
    #[arg(long, value_name = "FOLDER")]
    pub sandbox_data: Option<PathBuf>,
}

/// Does what the command says.
///
/// # Errors
///
/// If it cannot be done.
pub async fn run(args: ConformanceArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        ConformanceCommand::Run(args) => match run_cases(&args).await {
            Ok(true) => Ok(ExitCode::SUCCESS),
            Ok(false) => Ok(ExitCode::FAILURE),
            Err(error) => {
                eprintln!("consentry: {error:#}");
                Ok(ExitCode::from(2))
            }
        },
        ConformanceCommand::List { profile, json } => list(profile.as_deref(), json),
        ConformanceCommand::Setup(SetupArgs { out, target, sandbox_data: Some(data), .. }) => {
            for file in crate::setup::write_banks(&out, &data, &target)? {
                println!("Written: {}", file.display());
            }
            Ok(ExitCode::SUCCESS)
        }
        ConformanceCommand::Setup(args) => {
            crate::setup::write(&args.out, &args.target, args.api.as_ref(), &args.root, args.bank_port)?;
            println!("Written to {}", args.out.display());
            println!("Register what clients.json holds at the target, let it trust ca.pem, and run");
            println!(
                "  consentry conformance run --profile fapi2-security --config {} --out report",
                args.out.join("target.toml").display()
            );
            println!("For fapi2-rp, let it know the banks of hostile-banks, and trust ca.pem for banks.");
            Ok(ExitCode::SUCCESS)
        }
        ConformanceCommand::Mutants(args) => hunt(&args).await,
        ConformanceCommand::Diff { before, after, json } => {
            let changes = report::diff(&report::read(&before)?, &report::read(&after)?);
            if json {
                println!("{}", serde_json::to_string_pretty(&changes)?);
            } else {
                for change in &changes {
                    let was = change.before.as_deref().unwrap_or("not there");
                    let is = change.after.as_deref().unwrap_or("gone");
                    let sign = if change.worse { "-" } else { "+" };
                    println!("{sign} {}: {was} -> {is}. {}", change.case, change.says);
                }
                if changes.is_empty() {
                    println!("Nothing is other than before");
                }
            }
            let worse = changes.iter().any(|change| change.worse);
            Ok(if worse { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
        ConformanceCommand::Verify { folder, key } => {
            let by = report::verify(&folder, key.as_deref())?;
            println!("Report and evidence are what the key {by} signed");
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn list(profile: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    let names = profile.map_or_else(suite::profiles, |name| vec![name.to_owned()]);
    let profiles: Vec<_> = names.iter().map(|name| suite::profile(name, None)).collect::<Result<_, _>>()?;
    if json {
        let shown: Vec<_> = profiles
            .iter()
            .map(|profile| {
                let cases: Vec<_> = profile
                    .cases
                    .iter()
                    .map(|case| {
                        serde_json::json!({
                            "id": case.id, "title": case.title, "clause": case.clause, "severity": case.severity,
                            "needs": case.needs, "clients": case.clients, "left_out": case.left_out,
                        })
                    })
                    .collect();
                serde_json::json!({"profile": profile.name, "title": profile.title, "cases": cases})
            })
            .collect();
        println!("{}", serde_json::to_string_pretty(&shown)?);
    } else if profile.is_some() {
        for case in profiles.iter().flat_map(|profile| &profile.cases) {
            println!("{}\n    {} ({})", case.id, case.title, case.clause);
        }
    } else {
        for profile in &profiles {
            println!("{:<26} {:>4} cases  {}", profile.name, profile.cases.len(), profile.title);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn hunt(args: &MutantsArgs) -> anyhow::Result<ExitCode> {
    let sandbox = if args.sandbox { Some(Sandbox::start().await?) } else { None };
    let ran = hunt_at(args, sandbox.as_ref()).await;
    if let Some(sandbox) = sandbox {
        sandbox.stop().await;
    }
    ran
}

async fn hunt_at(args: &MutantsArgs, sandbox: Option<&Sandbox>) -> anyhow::Result<ExitCode> {
    let file = sandbox.map(Sandbox::configuration).or_else(|| args.config.clone());
    let mut configurations = vec![Target::read(&file.context("there is no configuration")?)?];
    for file in sandbox.into_iter().flat_map(Sandbox::banks) {
        configurations.push(Target::read(&file)?);
    }
    let clock = std::sync::Arc::new(Clock::default());
    let wanted = |mutant: &&mutants::Mutant| {
        let named = args.only.is_empty() || args.only.iter().any(|part| mutant.name.contains(part.as_str()));
        named && (args.profile.is_empty() || args.profile.iter().any(|profile| profile == mutant.profile))
    };
    if let Some(unknown) =
        args.only.iter().find(|part| !mutants::all().any(|it| it.name.contains(part.as_str())))
    {
        anyhow::bail!("no mutant has {unknown} in its name");
    }
    let mut found = Vec::new();
    for configuration in &mut configurations {
        if let Some(target) = &args.target {
            configuration.issuer = Some(target.clone());
        }
        let security = mutants::mutants().filter(|_| configuration.bank.is_none());
        for mutant in security.chain(mutants::of_banks(configuration)).filter(wanted) {
            let caught = mutants::hunt(mutant, configuration, &clock, args.whole).await?;
            if !args.json {
                let (name, missed) = (mutant.name, caught.missed.join(", "));
                if missed.is_empty() {
                    println!("caught   {name:<28} {}", caught.by.join(", "));
                } else {
                    println!("SURVIVES {name:<28} {}; not caught by {missed}", mutant.breaks);
                }
            }
            found.push(caught);
        }
    }
    let survivors = found.iter().filter(|caught| !caught.missed.is_empty()).count();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&found)?);
    } else {
        println!("{} mutants, {survivors} not caught by every case that must", found.len());
    }
    Ok(if survivors == 0 && !found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run_cases(args: &RunArgs) -> anyhow::Result<bool> {
    let sandbox = if args.sandbox { Some(Sandbox::start().await?) } else { None };
    let ran = run_at(args, sandbox.as_ref()).await;
    if let Some(sandbox) = sandbox {
        sandbox.stop().await;
    }
    ran
}

/// The configuration of a run, or of one of its profiles.
fn configured(args: &RunArgs, file: Option<&PathBuf>) -> anyhow::Result<Target> {
    let mut configuration = match file {
        Some(file) => Target::read(file)?,
        None => Configuration { deadline_s: 10, ..Configuration::default() },
    };
    if let Some(target) = &args.target {
        configuration.issuer = Some(target.clone());
    }
    if let Some(bank) = &mut configuration.bank {
        bank.specs = args.specs.clone().or(bank.specs.take());
        bank.manifests = args.manifests.clone().or(bank.manifests.take());
        if bank.specs.is_none() {
            eprintln!("No --specs: answers are not judged by the standard's OpenAPI files");
        }
    }
    Target::new(configuration)
}

async fn run_at(args: &RunArgs, sandbox: Option<&Sandbox>) -> anyhow::Result<bool> {
    let file = sandbox.map(Sandbox::configuration).or_else(|| args.config.clone());
    let text = file.as_ref().map(std::fs::read).transpose()?.unwrap_or_default();
    let target = configured(args, file.as_ref())?;
    let mut names = args.profile.clone();
    if names.iter().any(|name| name == "all") {
        names = suite::profiles();
    }
    // What moves time far on comes last: certificates and tokens of the others are not to end.
    names.sort_by_key(|name| name == "psd2-rts");
    let baseline = args.baseline.as_deref().map(Baseline::read).transpose()?.unwrap_or_default();
    let clock = Clock::default();
    let started = Clock::machine();
    let options = Options {
        only: args.only.clone(),
        jobs: args.jobs,
        longest: Duration::from_secs(args.longest),
        longest_wait: Duration::from_secs(args.longest_wait),
        baseline: baseline.clone(),
        today: started.to_zoned(jiff::tz::TimeZone::UTC).date(),
    };
    let terminal = if args.json { Terminal::quiet() } else { Terminal::default() };
    let mut outcomes = Vec::new();
    for name in &names {
        let bank = sandbox.and_then(|sandbox| sandbox.bank(name));
        let bank = bank.map(|file| configured(args, Some(&file))).transpose()?;
        let target = bank.as_ref().unwrap_or(&target);
        let mut profile = suite::profile(name, args.cases.as_deref())?;
        if name == "uk-functional"
            && let Some(bank) = &target.is.bank
            && let Some(folder) = &bank.manifests
        {
            profile.cases.extend(crate::bank::Manifests::read(folder)?.cases(bank)?);
        }
        if name == "waf"
            && let Some(folder) = &args.crs_tests
        {
            profile.cases.extend(suite::crs::cases(folder)?);
        }
        outcomes.extend(suite::run(&profile, target, &clock, &options, &terminal).await?);
    }
    let played = |part: &str| outcomes.iter().any(|outcome| outcome.case.contains(part));
    let unknown: Vec<_> = args.only.iter().map(String::as_str).filter(|part| !played(part)).collect();
    anyhow::ensure!(unknown.is_empty(), "no case has {} in its id", unknown.join(" or "));
    let mut report = Report {
        format: 1,
        runner: env!("CARGO_PKG_VERSION").to_owned(),
        profiles: names,
        target: target.issuer.to_string(),
        started,
        ms: Clock::machine().duration_since(started).as_millis().unsigned_abs(),
        environment: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        configuration: format!("sha-256 {}", base64url(&sha256(&text))),
        counts: std::collections::BTreeMap::new(),
        idle_waivers: Vec::new(),
        outcomes,
    };
    report.count(&baseline);
    let signer = args.key.as_deref().map_or_else(Signer::fresh, Signer::open)?;
    if let Some(folder) = &args.out {
        report::write(&report, folder, &signer).context("the report could not be kept")?;
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", report::summary(&report));
        if let Some(folder) = &args.out {
            println!("{}", folder.join("report.html").display());
        }
    }
    Ok(report.passed())
}
