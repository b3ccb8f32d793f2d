//! Failures that somebody answers for, until a day.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

/// Failures that are known.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Each of them.
    #[serde(default)]
    pub waivers: Vec<Waiver>,
}

/// One failure that somebody answers for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Of which case.
    pub case: String,
    /// Played by which client, if not by any.
    #[serde(default)]
    pub client: Option<String>,
    /// Who answers for it.
    pub owner: String,
    /// Why it is so.
    pub reason: String,
    /// The last day on which it counts.
    pub expires: jiff::civil::Date,
}

impl Baseline {
    /// Reads a file of waivers (TOML).
    ///
    /// # Errors
    ///
    /// If it cannot be read, or a waiver has no owner or reason.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let read: Self =
            toml::from_str(&text).with_context(|| format!("{} is no baseline", file.display()))?;
        for waiver in &read.waivers {
            if waiver.owner.trim().is_empty() || waiver.reason.trim().is_empty() {
                bail!("the waiver of {} names no owner or no reason", waiver.case);
            }
        }
        Ok(read)
    }

    /// The waiver of a case that a client plays, expired or not.
    #[must_use]
    pub fn of(&self, case: &str, client: &str) -> Option<&Waiver> {
        self.waivers
            .iter()
            .find(|waiver| waiver.case == case && waiver.client.as_deref().is_none_or(|name| name == client))
    }
}
