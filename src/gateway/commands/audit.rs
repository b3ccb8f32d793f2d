//! `consentry audit`: what a log holds, held against what was signed of it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use audit::{
    Checkpoints, ConsistencyProof, Hash, InclusionProof, LogKey, Report, SignedCheckpoint, Tree, Verifier,
    merkle,
};
use crypto::digest::{from_hex, hex};
use serde::{Deserialize, Serialize};
use store::RegionalStore;
use store::audit_log::LoggedEntry;

use crate::audit_logs::read_verifier_key;
use crate::cli::AuditCommand;
use crate::stores;

/// Entries that are read at a time.
const PAGE: u32 = 2_000;

/// Runs one of the commands.
pub(crate) async fn run(command: AuditCommand) -> anyhow::Result<ExitCode> {
    match command {
        AuditCommand::Verify { file: Some(file), key, checkpoint, .. } => {
            let keys = key.iter().map(|key| key.parse().context("--key is no key of a log"));
            verify_file(&file, &keys.collect::<Result<Vec<_>, _>>()?, &checkpoint)
        }
        AuditCommand::Verify { file: None, checkpoint, region, at, .. } => {
            if !checkpoint.is_empty() && region.is_none() {
                bail!("--checkpoint is of one log: say of which with --region");
            }
            let stores = stores::open_for(&at).await?;
            let mut sound = true;
            for store in stores.regions().filter(|store| region.is_none_or(|only| store.region() == only)) {
                let key = read_verifier_key(&at.place()?.keys, store.region())?;
                let report = verify_store(store, key, &checkpoint).await?;
                sound &= tell(&store.region().to_string(), &report)?;
            }
            stores.close().await;
            Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        AuditCommand::Prove { sequence, since, region, at } => {
            let since = since.as_deref().map(crate::read).transpose()?;
            let stores = stores::open_for(&at).await?;
            let store = stores.region(region)?;
            let proof = match since {
                Some(since) => prove_growth(store, &since).await.and_then(|proof| json(&proof)),
                None => prove(store, sequence.unwrap_or_default()).await.and_then(|proof| json(&proof)),
            };
            stores.close().await;
            writeln!(std::io::stdout(), "{}", proof?)?;
            Ok(ExitCode::SUCCESS)
        }
        AuditCommand::Export { region, at } => {
            let stores = stores::open_for(&at).await?;
            let origin = read_verifier_key(&at.place()?.keys, region)?.name().to_owned();
            let done = export(stores.region(region)?, origin).await;
            stores.close().await;
            done.map(|()| ExitCode::SUCCESS)
        }
    }
}

/// Each entry of a log in turn.
async fn each(
    store: &RegionalStore,
    mut look: impl FnMut(LoggedEntry) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut next = 0;
    loop {
        let page = store.audit_entries(next, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        next = last.sequence.saturating_add(1);
        page.into_iter().try_for_each(&mut look)?;
    }
}

async fn verify_store(store: &RegionalStore, key: LogKey, elsewhere: &[PathBuf]) -> anyhow::Result<Report> {
    let origin = key.name().to_owned();
    let mut checkpoints = Checkpoints::new(vec![key], origin);
    store.audit_checkpoints().await?.iter().for_each(|note| checkpoints.add(note));
    add_files(&mut checkpoints, elsewhere)?;
    let mut verifier = checkpoints.into_verifier();
    each(store, |logged| {
        verifier.entry(logged.sequence, logged.entry.as_bytes(), logged.leaf_hash);
        Ok(())
    })
    .await?;
    Ok(verifier.finish())
}

fn add_files(checkpoints: &mut Checkpoints, files: &[PathBuf]) -> anyhow::Result<()> {
    for file in files {
        checkpoints.add(&crate::read(file)?);
    }
    Ok(())
}

fn json(proof: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(proof)?)
}

/// What was signed last.
async fn signed(store: &RegionalStore) -> anyhow::Result<SignedCheckpoint> {
    let notes = store.audit_checkpoints().await?;
    let note =
        notes.last().context("nothing of the log is signed yet: a running gateway does it every minute")?;
    Ok(SignedCheckpoint::parse(note)?)
}

async fn prove_growth(store: &RegionalStore, since: &str) -> anyhow::Result<ConsistencyProof> {
    let from = SignedCheckpoint::parse(since).context("--since is no checkpoint")?;
    let to = signed(store).await?;
    let mut tree = Tree::default();
    each(store, |logged| {
        tree.append(merkle::leaf(logged.entry.as_bytes()));
        Ok(())
    })
    .await?;
    Ok(ConsistencyProof::make(&tree, &from, &to)?)
}

async fn prove(store: &RegionalStore, sequence: u64) -> anyhow::Result<InclusionProof> {
    let checkpoint = signed(store).await?;
    let (mut tree, mut wanted) = (Tree::default(), None);
    each(store, |logged| {
        tree.append(merkle::leaf(logged.entry.as_bytes()));
        if logged.sequence == sequence {
            wanted = Some(logged.entry);
        }
        Ok(())
    })
    .await?;
    let entry = wanted.with_context(|| format!("the log has no entry {sequence}"))?;
    Ok(InclusionProof::make(&tree, entry, sequence, &checkpoint)?)
}

/// A line of an exported log.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    /// Which log it is; the first line.
    Log { origin: String },
    /// An entry, with its hash as it was when it was appended.
    Entry { sequence: u64, leaf_hash: String, entry: String },
    /// A signed checkpoint.
    Checkpoint(String),
}

async fn export(store: &RegionalStore, origin: String) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut line = |line: &Line| -> anyhow::Result<()> {
        writeln!(out, "{}", serde_json::to_string(line)?)?;
        Ok(())
    };
    line(&Line::Log { origin })?;
    for note in store.audit_checkpoints().await? {
        line(&Line::Checkpoint(note))?;
    }
    each(store, |LoggedEntry { sequence, entry, leaf_hash }| {
        let leaf_hash = leaf_hash.map(|hash| hex(&hash)).unwrap_or_default();
        line(&Line::Entry { sequence, leaf_hash, entry })
    })
    .await?;
    Ok(out.flush()?)
}

/// What a proof in a file proves.
fn verified_proof(file: &Path, keys: &[LogKey], origin: &str) -> anyhow::Result<String> {
    let text = crate::read(file)?;
    if let Ok(proof) = serde_json::from_str::<ConsistencyProof>(&text) {
        let verified = proof.verify(keys, origin)?;
        let (from, to) = (verified.from(), verified.to());
        return Ok(format!(
            "The {} entries of {origin} signed at {} begin with the {} signed at {}.",
            to.size, to.at, from.size, from.at
        ));
    }
    let proof: InclusionProof = serde_json::from_str(&text)
        .with_context(|| format!("{} is neither an exported log nor a proof", file.display()))?;
    let verified = proof.verify(keys, origin)?;
    let at = verified.checkpoint().at;
    Ok(format!("Entry {} of {origin}, as signed at {at}:\n{}", verified.sequence(), verified.entry()))
}

/// Holds an exported log, or a proof, against keys that somebody trusts.
fn verify_file(file: &Path, keys: &[LogKey], elsewhere: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let origin = keys.first().map(|key| key.name().to_owned()).unwrap_or_default();
    let unreadable = || format!("{} cannot be read", file.display());
    let mut lines = BufReader::new(File::open(file).with_context(unreadable)?).lines();
    let first = lines.next().transpose().with_context(unreadable)?.unwrap_or_default();
    let Ok(Line::Log { origin: told }) = serde_json::from_str(&first) else {
        writeln!(std::io::stdout(), "{}", verified_proof(file, keys, &origin)?)?;
        return Ok(ExitCode::SUCCESS);
    };
    if told != origin {
        bail!("{} is the log {told}, and the key is of {origin}", file.display());
    }
    let mut checkpoints = Some(Checkpoints::new(keys.to_vec(), origin.clone()));
    if let Some(checkpoints) = &mut checkpoints {
        add_files(checkpoints, elsewhere)?;
    }
    let mut verifier: Option<Verifier> = None;
    for (number, line) in lines.enumerate() {
        let place = || format!("line {} of {} is no line of a log", number.saturating_add(2), file.display());
        match serde_json::from_str(&line.with_context(unreadable)?).with_context(place)? {
            Line::Log { .. } => bail!("{}", place()),
            Line::Checkpoint(note) => checkpoints.as_mut().with_context(place)?.add(&note),
            Line::Entry { sequence, leaf_hash, entry } => {
                if let Some(whole) = checkpoints.take() {
                    verifier = Some(whole.into_verifier());
                }
                let mut kept: Hash = [0; 32];
                let kept = from_hex(&leaf_hash, &mut kept).then_some(kept);
                verifier.as_mut().with_context(place)?.entry(sequence, entry.as_bytes(), kept);
            }
        }
    }
    let verifier = verifier.or_else(|| checkpoints.map(Checkpoints::into_verifier));
    let report = verifier.context("the log has no lines")?.finish();
    Ok(if tell(&origin, &report)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says what a log was found to be; true if nothing is wrong.
fn tell(log: &str, report: &Report) -> anyhow::Result<bool> {
    let Report { size, root, checkpoints, verified, covered, findings, unlisted } = report;
    let mut told = String::new();
    writeln!(told, "{log}: {size} entries, root {}", hex(root))?;
    writeln!(told, "  {verified} of {checkpoints} checkpoints agree; entries before {covered} are signed")?;
    for finding in findings {
        writeln!(told, "  {finding}")?;
    }
    if *unlisted > 0 {
        writeln!(told, "  and {unlisted} more")?;
    }
    std::io::stdout().write_all(told.as_bytes())?;
    Ok(findings.is_empty())
}
