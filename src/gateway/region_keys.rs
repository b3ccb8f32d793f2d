//! The keys of a region, on disk: `keys/region-<region>.json` holds those that wrap its data
//! keys, and the one of its blind indexes.
//!
//! On the disk they are as they are, or sealed under a key that a PKCS#11 token keeps; then they
//! are opened once, at the start and when they change. Or a token keeps those that wrap, and is asked
//! for each data key.
//!
//! When a new key wraps is written down beforehand and decided by the clock, as for the keys
//! that sign: every process that reads the file changes at the same instant.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, bail};
use crypto::envelope::{KEY_LEN, RegionKeys, WrappingKey, WrapsBy};
use crypto::pkcs11::{Place, TokenSecret};
use domain::{Entropy, Region, Timestamp};
use serde::{Deserialize, Serialize};
use store::vault::Vault;
use telemetry::{FIGURES, Reloaded};
use zeroize::{Zeroize, Zeroizing};

use crate::keys::{OnToken, pin_of, unusable};
use crate::{modified, private_file};

/// The file of one region.
pub(crate) struct RegionKeyFile {
    path: PathBuf,
    region: Region,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// What the keys are sealed under, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<OnToken>,
    index_key: String,
    wrapping: Vec<KeptKey>,
}

/// Opens the secret key on a token.
fn open(token: &OnToken) -> anyhow::Result<TokenSecret> {
    let place = token.place();
    TokenSecret::open(&place, &pin_of(&token.pin_file)?).with_context(|| unusable(&place))
}

/// A key that the token keeps and wraps by itself. It has to be there now.
fn held_by(token: &OnToken, label: &str) -> anyhow::Result<WrapsBy> {
    let place = Place { key: label.to_owned(), ..token.place() };
    let pin = pin_of(&token.pin_file)?;
    TokenSecret::open(&place, &pin).with_context(|| unusable(&place))?;
    Ok(WrapsBy::Token(Box::new(move || TokenSecret::open(&place, &pin))))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptKey {
    number: u32,
    from: Timestamp,
    /// Empty where the token keeps it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    key: String,
    /// Its label on the token, if that keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<String>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.index_key.zeroize();
    }
}

impl Drop for KeptKey {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// A key that wraps, without the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its number.
    pub(crate) number: u32,
    /// When it takes over, or took over.
    pub(crate) from: Timestamp,
}

fn random(entropy: &dyn Entropy) -> String {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    entropy.fill(key.as_mut_slice());
    hex::encode(key.as_slice())
}

impl RegionKeyFile {
    /// The file of a region below a data folder.
    pub(crate) fn at(data: &Path, region: Region) -> Self {
        Self { path: data.join(format!("keys/region-{region}.json")), region }
    }

    /// Makes the keys, if there are none.
    pub(crate) fn begin(&self, entropy: &dyn Entropy, now: Timestamp) -> anyhow::Result<()> {
        if self.path.exists() {
            return Ok(());
        }
        let first = KeptKey { number: 1, from: now, key: random(entropy), held: None };
        self.put(&Kept { token: None, index_key: random(entropy), wrapping: vec![first] })
    }

    /// What of this file's is sealed.
    fn about(&self, what: &str) -> Vec<u8> {
        format!("consentry region {} {what}", self.region).into_bytes()
    }

    /// Seals the keys of the file under one of a token, which is made there if `make`.
    pub(crate) fn move_to(&self, token: OnToken, make: bool, entropy: &dyn Entropy) -> anyhow::Result<()> {
        let mut kept = self.kept()?;
        if let Some(there) = &kept.token {
            bail!("the keys of {} are sealed under key {} of token {}", self.region, there.key, there.token);
        }
        if make {
            let place = token.place();
            TokenSecret::make(&place, &pin_of(&token.pin_file)?).with_context(|| unusable(&place))?;
        }
        let secret = open(&token)?;
        let seal = |what: &str, key: &str| -> anyhow::Result<String> {
            let bytes = Zeroizing::new(hex::decode(key).map_err(|_| self.damaged())?);
            Ok(hex::encode(secret.seal(&self.about(what), &bytes, entropy)?))
        };
        kept.index_key = seal("index", &kept.index_key)?;
        for key in &mut kept.wrapping {
            key.key = seal(&format!("key {}", key.number), &key.key)?;
        }
        kept.token = Some(token);
        self.put(&kept)
    }

    fn damaged(&self) -> anyhow::Error {
        anyhow::anyhow!("{} holds a key that is none: put it back from its backup", self.path.display())
    }

    fn kept(&self) -> anyhow::Result<Kept> {
        let name = self.path.display();
        let text = fs::read_to_string(&self.path).map(Zeroizing::new).with_context(|| {
            format!("{name} cannot be read: what is kept of {} is sealed with it", self.region)
        })?;
        // The cause would repeat what it could not read.
        serde_json::from_str(&text)
            .map_err(|_| anyhow::anyhow!("{name} is damaged: put it back from its backup"))
    }

    /// The keys.
    pub(crate) fn read(&self) -> anyhow::Result<RegionKeys> {
        let kept = self.kept()?;
        let secret = kept.token.as_ref().map(open).transpose()?;
        let bytes = |what: &str, text: &str| -> anyhow::Result<Zeroizing<[u8; KEY_LEN]>> {
            let mut stored = Zeroizing::new(hex::decode(text).map_err(|_| self.damaged())?);
            if let Some(secret) = &secret {
                stored = secret.unseal(&self.about(what), &stored).with_context(|| {
                    format!("{} is not sealed under the key that it names", self.path.display())
                })?;
            }
            let mut key = Zeroizing::new([0; KEY_LEN]);
            if stored.len() != key.len() {
                return Err(self.damaged());
            }
            key.copy_from_slice(&stored);
            Ok(key)
        };
        let index = bytes("index", &kept.index_key)?;
        let mut wrapping = Vec::new();
        for kept_key in &kept.wrapping {
            let by = match (&kept_key.held, &kept.token) {
                (Some(label), Some(token)) => held_by(token, label)?,
                (Some(_), None) => return Err(self.damaged()),
                (None, _) => WrapsBy::Memory(bytes(&format!("key {}", kept_key.number), &kept_key.key)?),
            };
            wrapping.push(WrappingKey { number: kept_key.number, from: kept_key.from, by });
        }
        RegionKeys::new(self.region, wrapping, &index).context(self.damaged())
    }

    /// Adds a key that takes over at `from`; one that is made on the token and never leaves it, if `held`.
    pub(crate) fn rotate(
        &self,
        entropy: &dyn Entropy,
        from: Timestamp,
        held: bool,
    ) -> anyhow::Result<Listed> {
        let mut kept = self.kept()?;
        if let Some(coming) = kept.wrapping.iter().find(|key| key.from > from) {
            bail!("key {} of {} takes over at {}: let it, first", coming.number, self.region, coming.from);
        }
        let number = kept.wrapping.iter().map(|key| key.number).max().unwrap_or(0).saturating_add(1);
        if held {
            let token = kept.token.as_ref().with_context(|| {
                format!("the keys of {} are on no token: to-pkcs11 names one", self.region)
            })?;
            let label = format!("{}-{number}", token.key);
            let place = Place { key: label.clone(), ..token.place() };
            TokenSecret::make(&place, &pin_of(&token.pin_file)?).with_context(|| unusable(&place))?;
            kept.wrapping.push(KeptKey { number, from, key: String::new(), held: Some(label) });
            self.put(&kept)?;
            return Ok(Listed { number, from });
        }
        let mut key = random(entropy);
        if let Some(token) = &kept.token {
            let plain = Zeroizing::new(hex::decode(std::mem::take(&mut key))?);
            key = hex::encode(open(token)?.seal(&self.about(&format!("key {number}")), &plain, entropy)?);
        }
        kept.wrapping.push(KeptKey { number, from, key, held: None });
        self.put(&kept)?;
        Ok(Listed { number, from })
    }

    /// Takes out a key by which nothing is wrapped any more.
    pub(crate) fn drop_key(&self, number: u32) -> anyhow::Result<()> {
        let mut kept = self.kept()?;
        let before = kept.wrapping.len();
        kept.wrapping.retain(|key| key.number != number);
        if kept.wrapping.len() == before {
            bail!("{} has no key {number}", self.region);
        }
        if kept.wrapping.is_empty() {
            bail!("key {number} is the only one of {}", self.region);
        }
        self.put(&kept)
    }

    /// The keys that wrap, in their order.
    pub(crate) fn list(&self) -> anyhow::Result<Vec<Listed>> {
        let mut keys: Vec<_> =
            self.kept()?.wrapping.iter().map(|key| Listed { number: key.number, from: key.from }).collect();
        keys.sort_by_key(|key| key.number);
        Ok(keys)
    }

    fn put(&self, kept: &Kept) -> anyhow::Result<()> {
        private_file::replace(&self.path, &Zeroizing::new(serde_json::to_string_pretty(kept)?))
    }
}

/// The files of the regions, whose changes vaults take up.
pub(crate) struct WatchedRegionKeys(Vec<(RegionKeyFile, Option<SystemTime>, Vault)>);

impl WatchedRegionKeys {
    pub(crate) fn of(data: &Path, vaults: impl Iterator<Item = Vault>) -> Self {
        let watched = vaults.map(|vault| {
            let file = RegionKeyFile::at(data, vault.region());
            let seen = modified(&file.path);
            (file, seen, vault)
        });
        Self(watched.collect())
    }

    /// Takes up files that have changed. What cannot be used changes nothing.
    pub(crate) fn look(&mut self) {
        for (file, seen, vault) in &mut self.0 {
            let now = modified(&file.path);
            if now == *seen {
                continue;
            }
            *seen = now;
            match file.read() {
                Ok(keys) => vault.take_up(keys),
                Err(error) => {
                    FIGURES.reload_failed(Reloaded::RegionKeys);
                    tracing::error!(error = %error, "The keys of {} stay as they were", file.region)
                }
            }
        }
    }
}
