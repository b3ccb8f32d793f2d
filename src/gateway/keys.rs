//! The keys that sign, on disk: `keys/signing.toml` lists those of id_tokens and
//! `keys/signing/` holds those that are files; `keys/webhook.toml` and `keys/webhook/`
//! are the same of webhooks.
//!
//! Who changes the list holds `keys/lock` and replaces it as a whole, so a
//! running gateway reads the old list or the new one. When a key signs is
//! written down beforehand and decided by the clock: every process that reads
//! the list changes keys at the same instant, and none has to be told.

mod manifest;
mod watch;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use crypto::pkcs11::{Place, TokenKey};
use crypto::{Algorithm, SigningKey, pki};
use domain::Timestamp;
use secrecy::SecretString;

pub use manifest::KeySource;
pub(crate) use manifest::{Entry, Manifest, OnToken, State};
pub(crate) use watch::Watch;

use crate::private_file;

/// What keys sign. Each has a list of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Purpose {
    /// id_tokens, published at /.well-known/jwks.json.
    IdTokens,
    /// Webhooks, published at /.well-known/webhook-keys.json.
    Webhooks,
}

impl Purpose {
    /// The only algorithm that these keys sign with.
    pub(crate) fn signs(self) -> Algorithm {
        match self {
            Self::IdTokens => Algorithm::Ps256,
            Self::Webhooks => Algorithm::EdDsa,
        }
    }

    /// Why keys of other algorithms are refused.
    pub(crate) fn why_only_one(self) -> String {
        let signs = self.signs();
        match self {
            Self::IdTokens => format!(
                "clients registered for id_tokens signed with {signs}, so the key that signs has to be one of {signs}"
            ),
            Self::Webhooks => format!("receivers verify webhooks with {signs} (Standard Webhooks, v1a)"),
        }
    }

    /// Name of the list, and of the folder beside it.
    fn stem(self) -> &'static str {
        match self {
            Self::IdTokens => "signing",
            Self::Webhooks => "webhook",
        }
    }

    /// How to name it on the command line, where it is not understood.
    fn option(self) -> &'static str {
        match self {
            Self::IdTokens => "",
            Self::Webhooks => "--use webhooks ",
        }
    }

    fn generate(self) -> Result<String, pki::IssueFailed> {
        match self {
            Self::IdTokens => pki::generate_rsa(),
            Self::Webhooks => pki::generate_ed25519(),
        }
    }
}

/// The keys of one purpose in the folder of the keys.
#[derive(Clone, Debug)]
pub(crate) struct KeyStore {
    folder: PathBuf,
    purpose: Purpose,
}

/// How a new key takes over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Seconds that it is published before it signs.
    pub(crate) publish_first: u32,
    /// Seconds that the former key stays published after it.
    pub(crate) overlap: u32,
}

/// What a change did.
#[derive(Debug)]
pub(crate) struct Change {
    /// The key that signs next, or now.
    pub(crate) key: Entry,
    /// The key that signed before.
    pub(crate) former: Option<Entry>,
    /// Keys whose time was over.
    pub(crate) dropped: Vec<Entry>,
}

impl KeyStore {
    /// The keys of a data folder. A folder of an earlier version, with one key
    /// in `keys/signing.pem` or `keys/webhook.pem`, gets its list.
    pub(crate) fn open(data: &Path, purpose: Purpose, now: Timestamp) -> anyhow::Result<Self> {
        let store = Self { folder: data.join("keys"), purpose };
        if !store.list().exists() {
            let _lock = store.lock()?;
            store.take_in_single_key(now)?;
        }
        Ok(store)
    }

    /// Makes the first key in the folder of the keys. Takes a while.
    pub(crate) fn begin(folder: &Path, purpose: Purpose, now: Timestamp) -> anyhow::Result<()> {
        let store = Self { folder: folder.to_owned(), purpose };
        let key = store.generate(now)?;
        store.write(&Manifest { keys: vec![key] })
    }

    /// The list of keys.
    pub(crate) fn read(&self) -> anyhow::Result<Manifest> {
        let file = self.list();
        let text = fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        Manifest::parse(&text).with_context(|| format!("{} is damaged", file.display()))
    }

    /// Reads the key itself.
    pub(crate) fn load(&self, entry: &Entry) -> anyhow::Result<SigningKey> {
        let key = match &entry.source {
            KeySource::File(file) => {
                let file = self.folder.join(file);
                let pem = fs::read_to_string(&file)
                    .with_context(|| format!("{} cannot be read", file.display()))?;
                SigningKey::from_pem(&pem, &*entry.kid)
                    .with_context(|| format!("{} is damaged", file.display()))?
            }
            KeySource::Token { place, pin_file } => {
                SigningKey::on_token(open_on_token(place, pin_file)?, &*entry.kid)
            }
        };
        if key.algorithm() != entry.algorithm {
            bail!("key {} is listed as {} and is one of {}", entry.kid, entry.algorithm, key.algorithm());
        }
        if key.algorithm() != self.purpose.signs() {
            bail!("key {} is one of {}; {}", entry.kid, key.algorithm(), self.purpose.why_only_one());
        }
        Ok(key)
    }

    /// Makes a new key that takes over. With `publish_first` of 0 a key that
    /// is published already takes over at once instead.
    pub(crate) fn rotate(&self, plan: Plan, now: Timestamp) -> anyhow::Result<Change> {
        let _lock = self.lock()?;
        let manifest = self.read()?;
        let waiting = manifest.next(now).cloned();
        let key = match waiting {
            Some(next) if plan.publish_first == 0 => next,
            _ => {
                self.refuse_while_one_waits(&manifest, now)?;
                self.generate(now)?
            }
        };
        self.take_over(manifest, key, plan, now)
    }

    /// Lets a key on a token take over.
    pub(crate) fn add_token(
        &self,
        place: Place,
        pin_file: PathBuf,
        plan: Plan,
        now: Timestamp,
    ) -> anyhow::Result<Change> {
        let _lock = self.lock()?;
        let manifest = self.read()?;
        self.refuse_while_one_waits(&manifest, now)?;
        let key = open_on_token(&place, &pin_file)?;
        let public = key.public_key();
        if public.algorithm() != self.purpose.signs() {
            let why = self.purpose.why_only_one();
            bail!("the key on the token is one of {}; {why}", public.algorithm());
        }
        let entry = Entry {
            kid: kid_of(&public.thumbprint()),
            algorithm: public.algorithm(),
            signs_from: now,
            published_until: None,
            source: KeySource::Token { place, pin_file },
        };
        if manifest.keys.iter().any(|listed| listed.kid == entry.kid) {
            bail!("key {} is listed already", entry.kid);
        }
        self.take_over(manifest, entry, plan, now)
    }

    fn refuse_while_one_waits(&self, manifest: &Manifest, now: Timestamp) -> anyhow::Result<()> {
        if let Some(next) = manifest.next(now) {
            bail!(
                "key {} is published already and signs from {}: wait for it, or let it sign at once with \
                 `consentry keys rotate {}--publish-first 0`",
                next.kid,
                next.signs_from,
                self.purpose.option(),
            );
        }
        Ok(())
    }

    /// Forgets the keys whose time is over, and removes their files.
    pub(crate) fn drop_over(&self, now: Timestamp) -> anyhow::Result<()> {
        // Keys that several share may lie where none of them can write.
        if self.read()?.drop_over(now).is_empty() {
            return Ok(());
        }
        let _lock = self.lock()?;
        let mut manifest = self.read()?;
        let dropped = manifest.drop_over(now);
        if !dropped.is_empty() {
            self.write(&manifest)?;
            self.remove_files(&dropped);
        }
        Ok(())
    }

    /// Where the list is.
    pub(crate) fn list(&self) -> PathBuf {
        self.folder.join(self.purpose.stem()).with_extension("toml")
    }

    fn take_over(
        &self,
        mut manifest: Manifest,
        key: Entry,
        plan: Plan,
        now: Timestamp,
    ) -> anyhow::Result<Change> {
        let dropped = manifest.drop_over(now);
        let signs_from = later(now, plan.publish_first)?;
        let until = later(signs_from, plan.overlap)?;
        let key = Entry { signs_from, ..key };
        let former = manifest.take_over(key.clone(), until, now);
        self.write(&manifest)?;
        self.remove_files(&dropped);
        Ok(Change { key, former, dropped })
    }

    fn generate(&self, now: Timestamp) -> anyhow::Result<Entry> {
        let pem = self.purpose.generate()?;
        let public = SigningKey::from_pem(&pem, "")?;
        let kid = kid_of(&public.public_key().thumbprint());
        let file = Path::new(self.purpose.stem()).join(format!("{kid}.pem"));
        let path = self.folder.join(&file);
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        private_file::replace(&path, &pem)?;
        let algorithm = public.algorithm();
        Ok(Entry {
            kid,
            algorithm,
            signs_from: later(now, 0)?,
            published_until: None,
            source: KeySource::File(file),
        })
    }

    fn take_in_single_key(&self, now: Timestamp) -> anyhow::Result<()> {
        if self.list().exists() {
            return Ok(());
        }
        let file = Path::new(self.purpose.stem()).with_extension("pem");
        let path = self.folder.join(&file);
        let pem = fs::read_to_string(&path).with_context(|| {
            format!("{} is missing: remove the data folder and start again", self.list().display())
        })?;
        let kid: String = crypto::digest::sha256_b64url(pem.as_bytes()).chars().take(16).collect();
        let key = SigningKey::from_pem(&pem, &*kid).with_context(|| {
            format!("{} is damaged: remove the data folder and start again", path.display())
        })?;
        let algorithm = key.algorithm();
        let source = KeySource::File(file);
        let key = Entry { kid, algorithm, signs_from: later(now, 0)?, published_until: None, source };
        self.write(&Manifest { keys: vec![key] })
    }

    fn write(&self, manifest: &Manifest) -> anyhow::Result<()> {
        private_file::replace(&self.list(), &manifest.to_toml()?)
    }

    /// The list no longer names them; one that cannot be removed harms nobody.
    fn remove_files(&self, dropped: &[Entry]) {
        for entry in dropped {
            if let KeySource::File(file) = &entry.source
                && let Err(error) = fs::remove_file(self.folder.join(file))
            {
                tracing::warn!(key.id = %entry.kid, error = %error, "The file of key {} stays", entry.kid);
            }
        }
    }

    /// Waits until nobody else changes the keys.
    fn lock(&self) -> anyhow::Result<fs::File> {
        let path = self.folder.join("lock");
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        file.lock().with_context(|| format!("{} cannot be locked", path.display()))?;
        Ok(file)
    }
}

/// Opens a key on a token.
pub(crate) fn open_on_token(place: &Place, pin_file: &Path) -> anyhow::Result<TokenKey> {
    TokenKey::open(place.clone(), pin_of(pin_file)?).with_context(|| unusable(place))
}

/// Reads a PIN.
pub(crate) fn pin_of(file: &Path) -> anyhow::Result<SecretString> {
    let mut pin = fs::read_to_string(file)
        .with_context(|| format!("the PIN file {} cannot be read", file.display()))?;
    pin.truncate(pin.trim_end_matches(['\r', '\n']).len());
    Ok(pin.into())
}

/// Which key on a token cannot be used.
pub(crate) fn unusable(place: &Place) -> String {
    format!("key {} of token {} by {} cannot be used", place.key, place.token, place.module.display())
}

/// A name that says nothing, and that a file may have.
fn kid_of(thumbprint: &str) -> String {
    crypto::digest::sha256_hex(thumbprint.as_bytes()).chars().take(16).collect()
}

/// `seconds` after `at`, whole seconds.
fn later(at: Timestamp, seconds: u32) -> anyhow::Result<Timestamp> {
    Ok(Timestamp::from_second(at.as_second().saturating_add(seconds.into()))?)
}
