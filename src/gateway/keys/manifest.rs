//! A list of keys: `signing.toml`, `webhook.toml`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, bail};
use crypto::Algorithm;
use crypto::pkcs11::Place;
use domain::Timestamp;
use serde::{Deserialize, Serialize};

/// All keys, in the order in which they sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) keys: Vec<Entry>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name in the key set.
    pub(crate) kid: String,
    /// What it signs with.
    pub(crate) algorithm: Algorithm,
    /// Since when it signs, or will.
    pub(crate) signs_from: Timestamp,
    /// Until when it is in the key set; known once another takes over.
    pub(crate) published_until: Option<Timestamp>,
    /// Where it is.
    pub(crate) source: KeySource,
}

/// Where a private key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A PEM file; of keys that sign, below their folder.
    File(PathBuf),
    /// A PKCS#11 token.
    Token {
        /// Which key of which token.
        place: Place,
        /// The file that holds the token's PIN.
        pin_file: PathBuf,
    },
}

/// A key on a token, as files name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnToken {
    /// The library of the token's maker.
    pub(crate) module: PathBuf,
    /// The token's label.
    pub(crate) token: String,
    /// The key's label.
    pub(crate) key: String,
    /// The file that holds the PIN.
    pub(crate) pin_file: PathBuf,
}

impl OnToken {
    /// Which key of which token.
    pub(crate) fn place(&self) -> Place {
        let Self { module, token, key, .. } = self;
        Place { module: module.clone(), token: token.clone(), key: key.clone() }
    }
}

/// What a key is used for at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Published, and will sign.
    Next,
    /// Published, and signs.
    Current,
    /// Published, and signed.
    Retired,
    /// Not published any more.
    Over,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Current => "current",
            Self::Retired => "retired",
            Self::Over => "over",
        }
    }
}

impl Manifest {
    /// Reads the list.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let file: wire::File = toml::from_str(text)?;
        let mut keys = file.key.into_iter().map(Entry::try_from).collect::<anyhow::Result<Vec<_>>>()?;
        if keys.is_empty() {
            bail!("it lists no key");
        }
        let mut kids = BTreeSet::new();
        if let Some(twice) = keys.iter().find(|key| !kids.insert(key.kid.as_str())) {
            bail!("it lists key {} twice", twice.kid);
        }
        keys.sort_by_key(|key| key.signs_from);
        Ok(Self { keys })
    }

    /// The list as it is written.
    pub(crate) fn to_toml(&self) -> anyhow::Result<String> {
        let file = wire::File { key: self.keys.iter().map(wire::Key::from).collect() };
        let text = toml::to_string(&file).context("the list of keys cannot be written as TOML")?;
        Ok(format!("# Keys that sign. Written by `consentry keys`, see docs/keys.md.\n\n{text}"))
    }

    /// The key that signs at this time: the one that began last. Before all of
    /// them, when a clock was set back, the first.
    pub(crate) fn current(&self, now: Timestamp) -> Option<&Entry> {
        self.keys.iter().rev().find(|key| key.signs_from <= now).or(self.keys.first())
    }

    /// The key that will sign.
    pub(crate) fn next(&self, now: Timestamp) -> Option<&Entry> {
        self.keys.iter().find(|key| self.state(key, now) == State::Next)
    }

    /// What a key is used for at this time.
    pub(crate) fn state(&self, key: &Entry, now: Timestamp) -> State {
        if self.current(now).is_some_and(|current| current.kid == key.kid) {
            State::Current
        } else if key.signs_from > now {
            State::Next
        } else if key.published_until.is_some_and(|until| until <= now) {
            State::Over
        } else {
            State::Retired
        }
    }

    /// Puts a key in, or changes when it signs. The one before it stays
    /// published `until` then, and is answered.
    pub(crate) fn take_over(&mut self, key: Entry, until: Timestamp, now: Timestamp) -> Option<Entry> {
        let former = self.current(now).map(|current| current.kid.clone());
        self.keys.retain(|listed| listed.kid != key.kid);
        let former = self.keys.iter_mut().find(|listed| Some(&listed.kid) == former.as_ref());
        let former = former.map(|former| {
            former.published_until = Some(until);
            former.clone()
        });
        self.keys.push(key);
        former
    }

    /// Takes out the keys whose time is over.
    pub(crate) fn drop_over(&mut self, now: Timestamp) -> Vec<Entry> {
        let over: Vec<Entry> =
            self.keys.iter().filter(|key| self.state(key, now) == State::Over).cloned().collect();
        self.keys.retain(|key| !over.contains(key));
        over
    }
}

mod wire {
    use super::{Deserialize, OnToken, PathBuf, Serialize, Timestamp};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct File {
        pub(super) key: Vec<Key>,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Key {
        pub(super) kid: String,
        pub(super) alg: String,
        pub(super) signs_from: Timestamp,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) published_until: Option<Timestamp>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) file: Option<PathBuf>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) pkcs11: Option<OnToken>,
    }
}

impl TryFrom<wire::Key> for Entry {
    type Error = anyhow::Error;

    fn try_from(key: wire::Key) -> anyhow::Result<Self> {
        let wire::Key { kid, alg, signs_from, published_until, file, pkcs11 } = key;
        let algorithm = Algorithm::from_name(&alg)
            .with_context(|| format!("{alg} of key {kid} is no algorithm of ours"))?;
        let source = match (file, pkcs11) {
            (Some(file), None) => KeySource::File(file),
            (None, Some(on)) => KeySource::Token { place: on.place(), pin_file: on.pin_file },
            (Some(_), Some(_)) | (None, None) => bail!("key {kid} needs either file or pkcs11"),
        };
        Ok(Self { kid, algorithm, signs_from, published_until, source })
    }
}

impl From<&Entry> for wire::Key {
    fn from(entry: &Entry) -> Self {
        let (file, pkcs11) = match entry.source.clone() {
            KeySource::File(file) => (Some(file), None),
            KeySource::Token { place: Place { module, token, key }, pin_file } => {
                (None, Some(OnToken { module, token, key, pin_file }))
            }
        };
        Self {
            kid: entry.kid.clone(),
            alg: entry.algorithm.as_str().to_owned(),
            signs_from: entry.signs_from,
            published_until: entry.published_until,
            file,
            pkcs11,
        }
    }
}
