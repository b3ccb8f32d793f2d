//! What operators change while everything runs, and whether each gateway has taken it up.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::time::interval;

use super::gateways::{Gateways, replace};
use super::processes::until;

/// How long a gateway may take to take something up.
const TAKES: Duration = Duration::from_secs(30);
/// A bank whose profile changes.
const BANK: &str = "de-rheinbank";

/// What a gateway says that has taken up each of them.
const SAID: [&str; 6] = [
    "The TLS files were taken up",
    " signs\"",
    "The limits were read anew",
    "banks were read anew",
    "The rules of access were read anew",
    "The rules of the filter were taken up",
];
/// What it says that has not.
const REFUSED: [&str; 2] = ["stay as they", "stays as it"];

/// Files of the project that change: what they say, and what of it is another thing each time.
const LIMITS: &str = "lag_ms = 10";
const ACCESS: &str = "The consent or mandate is at home in another region.";
const FILTER: &str = "work = 12_582_912";

/// Puts what changes beside the configuration.
pub fn prepare(folder: &Path) -> anyhow::Result<()> {
    let policies = Path::new("policies");
    let copy = |from: &Path, to: &Path| {
        std::fs::copy(from, to).with_context(|| format!("{}: run this where the project is", from.display()))
    };
    copy(&policies.join("limits/limits.toml"), &folder.join("limits.toml"))?;
    copy(&policies.join("waf/filter.toml"), &folder.join("filter.toml"))?;
    let access = folder.join("access");
    std::fs::create_dir_all(&access)?;
    for entry in std::fs::read_dir(policies.join("access"))? {
        let entry = entry?;
        copy(&entry.path(), &access.join(entry.file_name()))?;
    }
    Ok(())
}

/// A file, and the part of it that is written anew.
struct Changing {
    file: std::path::PathBuf,
    text: String,
    part: String,
}

impl Changing {
    fn of(file: std::path::PathBuf, part: &str) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(&file)?;
        ensure!(text.contains(part), "{}: there is no {part}", file.display());
        Ok(Self { file, text, part: part.to_owned() })
    }

    fn to(&self, part: &str) -> anyhow::Result<()> {
        replace(&self.file, &self.text.replace(&self.part, part))
    }
}

/// Each second another certificate, and by turns another key, other limits, another profile, other rules of access
/// and of the filter. Ends when each gateway has said that it took up each of them.
pub async fn rotate(gateways: &Gateways, times: u32) -> anyhow::Result<()> {
    let folder = gateways.folder();
    let data = gateways.data().display().to_string();
    let limits = Changing::of(folder.join("limits.toml"), LIMITS)?;
    let access = Changing::of(folder.join("access/consent.cedar"), ACCESS)?;
    let filter = Changing::of(folder.join("filter.toml"), FILTER)?;
    let profile = gateways.profiles().join(format!("{BANK}.toml"));
    let text = std::fs::read_to_string(&profile)?;
    let name = text.lines().find(|line| line.starts_with("name = ")).context("a profile has a name")?;
    let bank = Changing::of(profile, name)?;
    let logs = gateways.logs();
    let before: Vec<usize> = logs.iter().map(|log| read(log).len()).collect();
    let mut beat = interval(Duration::from_secs(1));
    for turn in 0..times {
        beat.tick().await;
        gateways.renew_certificate().await?;
        match turn % 5 {
            0 => {
                let rotate = ["keys", "rotate", "--publish-first", "1", "--data-dir", &data];
                gateways.run(&rotate, false).await?;
            }
            1 => limits.to(&format!("lag_ms = {}", 11 + turn))?,
            2 => bank.to(&format!("name = \"Rheinbank {turn}\""))?,
            3 => access.to(&format!("The consent or mandate is at home elsewhere ({turn})."))?,
            _ => filter.to(&format!("work = {}", 12_582_913 + turn))?,
        }
    }
    let mut missing = Vec::new();
    let all = async || {
        missing.clear();
        for (log, before) in logs.iter().zip(&before) {
            let since = read(log).split_off(*before);
            missing.extend(SAID.into_iter().filter(|said| !since.contains(said)));
        }
        missing.is_empty()
    };
    let taken = until("every change is taken up", TAKES, all).await;
    for (log, before) in logs.iter().zip(&before) {
        if let Some(line) =
            read(log).split_off(*before).lines().find(|line| REFUSED.iter().any(|it| line.contains(it)))
        {
            bail!("a change was refused: {line}");
        }
    }
    taken.with_context(|| format!("no gateway, or one only, said: {}", missing.join(", ")))
}

fn read(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}
