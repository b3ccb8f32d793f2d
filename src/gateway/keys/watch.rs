//! Keeps the ring of a running gateway as the list on disk and the clock say.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use crypto::{KeyRing, SigningKey};
use domain::{Clock, Timestamp};
use telemetry::{FIGURES, Reloaded};

use super::{Entry, KeyStore, Manifest, State};
use crate::stamp::Stamp;

/// Looks at the list again and again. Blocks while it reads.
pub(crate) struct Watch {
    store: KeyStore,
    clock: Arc<dyn Clock>,
    ring: Arc<KeyRing>,
    /// The list as it was when it was last read, whether it was good or not.
    seen: Option<Stamp>,
    loaded: Loaded,
    shown: Shown,
}

/// A good list with the keys that it names.
struct Loaded {
    manifest: Manifest,
    keys: BTreeMap<String, Arc<SigningKey>>,
}

/// The keys of a ring.
struct Shown {
    current: Arc<SigningKey>,
    others: Vec<Arc<SigningKey>>,
}

impl Watch {
    /// Reads the keys.
    pub(crate) fn open(store: KeyStore, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let seen = stamp(&store);
        let now = clock.now();
        let loaded = Loaded::read(&store, None, now)?;
        let shown = loaded.at(now).context("no key signs now")?;
        let ring = Arc::new(KeyRing::new(Arc::clone(&shown.current), &shown.others)?);
        tidy(&store, now);
        Ok(Self { store, clock, ring, seen, loaded, shown })
    }

    /// The ring that is kept.
    pub(crate) fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring)
    }

    /// Takes up what changed. A list that cannot be used is named once in the
    /// log, and the keys stay as they are until it changes again: so a token is
    /// not asked over and over with a PIN that it refuses.
    pub(crate) fn look(&mut self) {
        let now = self.clock.now();
        let stamp = stamp(&self.store);
        if stamp != self.seen {
            self.seen = stamp;
            match Loaded::read(&self.store, Some(&self.loaded), now) {
                Ok(loaded) => self.loaded = loaded,
                Err(error) => {
                    FIGURES.reload_failed(Reloaded::Keys);
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "The signing keys stay as they were: the new ones cannot be used"
                    );
                }
            }
        }
        let Some(shown) = self.loaded.at(now) else { return };
        if shown.kids() == self.shown.kids() {
            return;
        }
        if let Err(error) = self.ring.replace(Arc::clone(&shown.current), &shown.others) {
            FIGURES.reload_failed(Reloaded::Keys);
            tracing::warn!(error = %error, "The signing keys stay as they were");
            return;
        }
        let kid = shown.current.kid();
        tracing::info!(key.id = kid, published = shown.kids().len(), "Key {kid} signs");
        self.shown = shown;
        tidy(&self.store, now);
    }
}

impl Loaded {
    /// Reads the list, and the keys that are not in memory.
    fn read(store: &KeyStore, before: Option<&Self>, now: Timestamp) -> anyhow::Result<Self> {
        let manifest = store.read()?;
        let mut keys = BTreeMap::new();
        for entry in &manifest.keys {
            if manifest.state(entry, now) == State::Over {
                continue;
            }
            let key = match before.and_then(|before| before.same(entry)) {
                Some(key) => key,
                None => Arc::new(store.load(entry)?),
            };
            keys.insert(entry.kid.clone(), key);
        }
        Ok(Self { manifest, keys })
    }

    fn same(&self, entry: &Entry) -> Option<Arc<SigningKey>> {
        let known = self.manifest.keys.iter().find(|known| known.kid == entry.kid)?;
        (known.source == entry.source).then(|| self.keys.get(&entry.kid).map(Arc::clone))?
    }

    /// The keys of the ring at this time.
    fn at(&self, now: Timestamp) -> Option<Shown> {
        let mut current = None;
        let mut others = Vec::new();
        for entry in &self.manifest.keys {
            let Some(key) = self.keys.get(&entry.kid) else { continue };
            match self.manifest.state(entry, now) {
                State::Current => current = Some(Arc::clone(key)),
                State::Next | State::Retired => others.push(Arc::clone(key)),
                State::Over => {}
            }
        }
        Some(Shown { current: current?, others })
    }
}

impl Shown {
    fn kids(&self) -> Vec<&str> {
        std::iter::once(&self.current).chain(&self.others).map(|key| key.kid()).collect()
    }
}

/// Forgets the keys whose time is over. What stays is published nowhere.
fn tidy(store: &KeyStore, now: Timestamp) {
    if let Err(error) = store.drop_over(now) {
        tracing::warn!(error = format!("{error:#}"), "A signing key whose time is over could not be removed");
    }
}

/// Reading twice between two changes is harmless, missing one is not: so the
/// stamp is taken before the list is read.
fn stamp(store: &KeyStore) -> Option<Stamp> {
    Stamp::of(&store.list())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use domain::{ManualClock, SystemClock};

    use super::*;
    use crate::keys::{Plan, Purpose};

    struct World {
        folder: tempfile::TempDir,
        clock: Arc<ManualClock>,
        store: KeyStore,
    }

    fn world() -> World {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        fs::create_dir(folder.path().join("keys")).unwrap();
        KeyStore::begin(&folder.path().join("keys"), Purpose::IdTokens, clock.now()).unwrap();
        let store = KeyStore::open(folder.path(), Purpose::IdTokens, clock.now()).unwrap();
        World { folder, clock, store }
    }

    fn kids(ring: &KeyRing) -> Vec<String> {
        let jwks = ring.jwks();
        let keys = jwks["keys"].as_array().unwrap();
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder.join("keys/signing")).unwrap().count()
    }

    /// OpenID Connect Core §10.1.1: published before it signs, and afterwards.
    #[test]
    fn a_key_is_published_then_signs_then_retires_then_is_gone() {
        let World { folder, clock, store } = world();
        let mut watch = Watch::open(store.clone(), clock.clone()).unwrap();
        let ring = watch.ring();
        let old = ring.current().kid().to_owned();
        let plan = Plan { publish_first: 300, overlap: 1_000 };
        let change = store.rotate(plan, clock.now()).unwrap();
        let new = change.key.kid;
        watch.look();
        assert_eq!(kids(&ring), [old.clone(), new.clone()], "the new one is published, the old one signs");
        clock.advance(299);
        watch.look();
        assert_eq!(ring.current().kid(), old);
        clock.advance(1);
        watch.look();
        assert_eq!(kids(&ring), [new.clone(), old.clone()], "now the new one signs");
        clock.advance(999);
        watch.look();
        assert_eq!(kids(&ring).len(), 2);
        clock.advance(1);
        watch.look();
        assert_eq!(kids(&ring), std::slice::from_ref(&new));
        assert_eq!(store.read().unwrap().keys.len(), 1);
        assert_eq!(files(folder.path()), 1, "the file of the old one is gone");
        watch.look();
        assert_eq!(kids(&ring), [new]);
    }

    /// What cannot be used changes nothing; the next good list is taken up.
    #[test]
    fn a_bad_list_or_key_leaves_the_ring_as_it_was() {
        let World { folder, clock, store } = world();
        let mut watch = Watch::open(store.clone(), clock.clone()).unwrap();
        let ring = watch.ring();
        let before = kids(&ring);
        let good = fs::read_to_string(store.list()).unwrap();
        let missing = format!(
            "{good}\n[[key]]\nkid = \"x\"\nalg = \"PS256\"\nsigns_from = \"2020-01-01T00:00:00Z\"\nfile = \"no.pem\"\n"
        );
        fs::write(folder.path().join("keys/ec.pem"), crypto::pki::generate_p256().unwrap()).unwrap();
        let other_kind = missing.replace("no.pem", "ec.pem");
        let both = missing.replace("file = \"no.pem\"", "");
        for bad in ["", "nonsense", "key = []", &missing, &other_kind, &both, &format!("{good}\n{good}")] {
            fs::write(store.list(), bad).unwrap();
            watch.look();
            assert_eq!(kids(&ring), before, "{bad}");
            assert!(Watch::open(store.clone(), clock.clone()).is_err(), "{bad}");
        }
        fs::remove_file(store.list()).unwrap();
        watch.look();
        assert_eq!(kids(&ring), before);
        fs::write(store.list(), good).unwrap();
        store.rotate(Plan { publish_first: 0, overlap: 10 }, clock.now()).unwrap();
        watch.look();
        assert_eq!(kids(&ring).len(), 2);
    }

    /// A key that must not sign any more is replaced by one that clients know already.
    #[test]
    fn a_key_that_waits_is_let_in_at_once_or_waited_for() {
        let World { folder: _folder, clock, store } = world();
        let later = Plan { publish_first: 300, overlap: 1_000 };
        let waiting = store.rotate(later, clock.now()).unwrap().key.kid;
        let refused = store.rotate(later, clock.now()).unwrap_err().to_string();
        assert!(refused.contains(&waiting) && refused.contains("--publish-first 0"), "{refused}");
        let change = store.rotate(Plan { publish_first: 0, overlap: 0 }, clock.now()).unwrap();
        assert_eq!(change.key.kid, waiting);
        let manifest = store.read().unwrap();
        assert_eq!(manifest.current(clock.now()).unwrap().kid, waiting);
        assert_eq!(manifest.state(&manifest.keys[0], clock.now()), State::Over, "the overlap was 0");
    }
}
