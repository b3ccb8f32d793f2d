//! The state of a gateway in its folder that is no database: keys, and the mark of its version.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use domain::{Entropy, Region, Timestamp};

use crate::keys::{KeyStore, Purpose};
use crate::private_file;
use crate::region_keys::RegionKeyFile;
use crate::stores;

/// Written last: a folder of a sandbox with contents but without it is half-written.
pub(crate) const MARK: &str = "state.json";
/// What is in it.
pub(crate) const VERSION: &str = "{\"version\":2}\n";

/// Marks a folder as one with state of this version.
pub(crate) fn mark(folder: &Path) -> anyhow::Result<()> {
    let mark = folder.join(MARK);
    if mark.exists() { Ok(()) } else { private_file::write(&mark, VERSION) }
}

/// Refuses a folder without the state of a gateway.
pub(crate) fn require_state(path: &Path) -> anyhow::Result<()> {
    if !path.join(MARK).exists() {
        bail!(
            "{} holds no gateway: start `consentry sandbox` or `consentry serve` once, or name its --data-dir",
            path.display()
        );
    }
    Ok(())
}

/// The key of everything that is known by its digest.
pub(crate) fn id_key(folder: &Path) -> anyhow::Result<[u8; 32]> {
    let file = folder.join("keys/ids.hex");
    let text = fs::read_to_string(&file)
        .with_context(|| format!("{} is missing: remove the data folder and start again", file.display()))?;
    let mut id_key = [0; 32];
    hex::decode_to_slice(text.trim(), &mut id_key)
        .context("keys/ids.hex is damaged: remove the data folder and start again")?;
    Ok(id_key)
}

/// Keys of the gateway that are no certificates.
pub(crate) struct Keys {
    pub(crate) id_key: [u8; 32],
    /// Those that sign webhooks.
    pub(crate) webhook: KeyStore,
    /// Those that sign id_tokens.
    pub(crate) signing: KeyStore,
}

impl Keys {
    /// Reads the keys. None is made.
    pub(crate) fn open(folder: &Path, regions: &[Region], now: Timestamp) -> anyhow::Result<Self> {
        let missing = || {
            format!(
                "{} lacks keys: `consentry keys init` makes them, once for all that share them",
                folder.join("keys").display()
            )
        };
        let id_key = id_key(folder).with_context(missing)?;
        for region in regions {
            RegionKeyFile::at(folder, *region).read().with_context(missing)?;
        }
        let webhook = KeyStore::open(folder, Purpose::Webhooks, now).with_context(missing)?;
        let signing = KeyStore::open(folder, Purpose::IdTokens, now).with_context(missing)?;
        Ok(Self { id_key, webhook, signing })
    }

    /// Reads the keys; those that are missing are made.
    pub(crate) async fn made(
        folder: &Path,
        regions: &[Region],
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let keys = folder.join("keys");
        if !keys.exists() {
            let partial = folder.join("keys.partial");
            fs::create_dir_all(&partial)?;
            let mut id_key = [0; 32];
            entropy.fill(&mut id_key);
            private_file::write(&partial.join("ids.hex"), &hex::encode(id_key))?;
            // RSA takes long enough to find that the runtime should not wait for it.
            let first = partial.clone();
            let begin = move || {
                KeyStore::begin(&first, Purpose::Webhooks, now)?;
                KeyStore::begin(&first, Purpose::IdTokens, now)
            };
            tokio::task::spawn_blocking(begin).await??;
            fs::rename(&partial, &keys)?;
        }
        for region in regions {
            RegionKeyFile::at(folder, *region).begin(entropy, now)?;
        }
        stores::note_regions(folder, regions)?;
        Self::open(folder, regions, now)
    }
}
