//! The instructions of a read, counted by callgrind: steadier than any clock, so that a change which makes
//! the path dearer is seen where it is made. What the kernel does is not counted.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use consentry::demo::bearer;
use http::Method;
use tokio::process::Command;

use super::place::{Place, Start, bank};
use super::wire::{NoAnswer, Wire};

/// Reads before anything is counted: connections are made, caches filled.
const BEFORE: u32 = 50;
/// A change below this share is taken for chance.
const TOLERANCE: f64 = 0.10;

/// How it is done.
#[derive(Args, Clone, Debug)]
pub struct Options {
    #[arg(long)]
    folder: PathBuf,
    /// The gateway.
    #[arg(long)]
    binary: PathBuf,
    /// Reads that are counted.
    #[arg(long, default_value_t = 200)]
    reads: u32,
    /// The file of what a read took before: a line `PROFILE INSTRUCTIONS`.
    #[arg(long)]
    known: PathBuf,
    /// How the gateway was built, as the file names it.
    #[arg(long)]
    profile: String,
    /// Write the figure into the file instead of holding it to it.
    #[arg(long)]
    update: bool,
}

/// Counts, and compares.
pub async fn count(options: &Options) -> anyhow::Result<()> {
    let folder = std::path::absolute(&options.folder)?;
    let known = std::path::absolute(&options.known)?;
    let binary = std::path::absolute(&options.binary)?.display().to_string();
    let out = format!("--callgrind-out-file={}/callgrind.%p", folder.display());
    let valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--quiet", &out];
    let program = valgrind.iter().map(|argument| (*argument).to_owned()).chain([binary]).collect();
    let mut place = Place::ready(Start { folder: folder.clone(), program, core: None }).await?;
    let grants = place.granted(&[vec![bank(0)]]).await?;
    let token = &grants.first().context("no grant")?.token;
    place.read(token, "/v1/accounts").await?;
    let wire = Wire::to_api(&place.access())?;
    let bearer = bearer(token);
    let headers = [("authorization", bearer.as_str()), ("psu-ip-address", "192.0.2.10")];
    let read = async || match wire.send(Method::GET, "/v1/accounts", &headers, Bytes::new()).await {
        Ok(answer) => answer.expect(200).map(|_| ()),
        Err(NoAnswer::NotSent(error) | NoAnswer::Lost(error)) => Err(error),
    };
    let pid = place.gateway.pid().context("the gateway does not run")?;
    for _ in 0..BEFORE {
        read().await?;
    }
    control(pid, &folder, &["-i", "on"]).await?;
    read().await?;
    control(pid, &folder, &["-z"]).await?;
    for _ in 0..options.reads {
        read().await?;
    }
    control(pid, &folder, &["-d"]).await?;
    let all = counted(&folder, pid)?;
    place.stop().await;
    let each = all / f64::from(options.reads);
    let text = std::fs::read_to_string(&known).unwrap_or_default();
    let before = text.lines().find_map(|line| line.strip_prefix(&format!("{} ", options.profile)));
    println!("{each:.0} instructions by read ({}); known: {}", options.profile, before.unwrap_or("nothing"));
    if options.update {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.retain(|line| !line.starts_with(&format!("{} ", options.profile)));
        lines.push(format!("{} {each:.0}", options.profile));
        return Ok(std::fs::write(&known, lines.join("\n") + "\n")?);
    }
    let Some(before) = before else {
        println!("SKIPPED: no figure is known of {}", options.profile);
        return Ok(());
    };
    let before: f64 = before.parse()?;
    if each > before * (1.0 + TOLERANCE) {
        bail!(
            "a read has become dearer: {each:.0} instructions, {before:.0} before; make it cheaper, or write the figure anew (UPDATE=1) and say why"
        );
    }
    if each < before * (1.0 - TOLERANCE) {
        bail!(
            "a read has become cheaper: {each:.0} instructions, {before:.0} before; write the figure anew (UPDATE=1)"
        );
    }
    Ok(())
}

async fn control(pid: u32, folder: &Path, what: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("callgrind_control");
    let done = command.args(what).arg(pid.to_string()).current_dir(folder).output().await?;
    if !done.status.success() {
        bail!("callgrind_control {what:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(())
}

/// What was dumped: the sum of the one dump that there is.
fn counted(folder: &Path, pid: u32) -> anyhow::Result<f64> {
    let name = format!("callgrind.{pid}.1");
    let dump = std::fs::read_to_string(folder.join(&name)).with_context(|| name)?;
    let line = dump
        .lines()
        .find_map(|line| line.strip_prefix("summary: ").or_else(|| line.strip_prefix("totals: ")));
    Ok(line.context("the dump has no sum")?.trim().parse()?)
}
