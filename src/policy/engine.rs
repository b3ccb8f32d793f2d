//! The engine: who asks gets a permit, or the reasons why not.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use moka::sync::Cache;
use serde::Serialize;

use crate::ask::Ask;
use crate::invalid::InvalidPolicies;
use crate::rules::{Own, Rules};
use crate::source::{Source, Stamps, stamps};
use crate::trial;

/// Permits that are remembered, of some 300 bytes each.
const PERMITS: u64 = 10_000;

/// A request that can be decided. The request types of this crate are all there are.
pub trait Decision: Ask + Hash {
    /// The same request, without what it borrows.
    type Lasting: Decision + 'static;
}

/// Decides by the rules in force. Shared, and read by many while it is reloaded.
#[derive(Debug)]
pub struct Engine {
    folder: Option<PathBuf>,
    current: ArcSwap<Current>,
    seen: Mutex<Seen>,
}

/// What the folder was when it was last read.
#[derive(Debug)]
struct Seen {
    /// What it looked like. `None` if it could not be looked at.
    stamps: Option<Stamps>,
    /// It held no rules.
    invalid: bool,
}

/// Rules, and the files that they are from.
#[derive(Debug)]
struct Current {
    source: Source,
    rules: Rules,
    /// What these rules permitted: they look at nothing but the request, so the same one gets the same.
    permitted: Cache<Box<[u8]>, Arc<[Arc<str>]>>,
}

/// Everything that a request says, one after the other: what `Hash` gives a hasher is different for
/// requests that are not equal, since texts end with a byte that no text has, and lists begin with their
/// length.
#[derive(Default)]
struct Said(Vec<u8>);

impl Hasher for Said {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

/// Proof that the rules permit a request of type `D`. Only [`Engine::decide`] makes one.
#[must_use]
pub struct Permit<D> {
    rules: Arc<[Arc<str>]>,
    of: PhantomData<fn() -> D>,
}

/// A request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    reasons: Vec<Reason>,
}

/// One of the reasons of a refusal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Reason {
    /// The id of the rule.
    pub rule: Arc<str>,
    /// What the rule says, for the developer of a client.
    pub says: Arc<str>,
}

impl Engine {
    /// Reads the rules of a folder, or those that are shipped, and runs their own tests.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicies`] if a file does not parse, is not valid by the schema, or a test
    /// fails.
    pub fn open(folder: Option<PathBuf>) -> Result<Self, InvalidPolicies> {
        // Before the files: what changes in between is taken up at the next look.
        let stamps = folder.as_deref().and_then(|folder| stamps(folder).ok());
        let current = Current::read(Source::read(folder.as_deref())?)?;
        let seen = Mutex::new(Seen { stamps, invalid: false });
        Ok(Self { folder, current: ArcSwap::from_pointee(current), seen })
    }

    /// Decides a request, by one set of rules from begin to end.
    ///
    /// # Errors
    ///
    /// [`Denied`] names the reasons. What no rule permits is denied, and so is everything when
    /// a rule fails or a region is not described.
    pub fn decide<D: Decision>(&self, asked: &D) -> Result<Permit<D>, Denied> {
        let rules = self.current.load().permit(asked)?;
        Ok(Permit { rules, of: PhantomData })
    }

    /// Reads the folder again. True if the rules are others than before.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicies`]; the old rules stay in force.
    pub fn reload(&self) -> Result<bool, InvalidPolicies> {
        match &self.folder {
            Some(folder) => self.reread(folder, &mut self.seen()),
            None => Ok(false),
        }
    }

    /// Reads the folder again if it looks changed since it was last read.
    ///
    /// Cheap otherwise: one look at each file's length and time. `Some(Ok)` if other rules are
    /// in force, or the folder holds rules again. An error is told once, and again only after
    /// another change. `None` if there is nothing to tell.
    pub fn look(&self) -> Option<Result<(), InvalidPolicies>> {
        let folder = self.folder.as_deref()?;
        let mut seen = self.seen();
        if stamps(folder).ok() == seen.stamps {
            return None;
        }
        let was_invalid = seen.invalid;
        match self.reread(folder, &mut seen) {
            Ok(changed) => (changed || was_invalid).then_some(Ok(())),
            Err(invalid) => Some(Err(invalid)),
        }
    }

    fn reread(&self, folder: &Path, seen: &mut Seen) -> Result<bool, InvalidPolicies> {
        *seen = Seen { stamps: stamps(folder).ok(), invalid: true };
        let source = Source::read(Some(folder))?;
        let changed = source != self.current.load().source;
        if changed {
            self.current.store(Arc::new(Current::read(source)?));
        }
        seen.invalid = false;
        Ok(changed)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the rules in force.
    pub(crate) fn with_rules<T>(&self, then: impl FnOnce(&Rules) -> T) -> T {
        then(&self.current.load().rules)
    }
}

impl Current {
    fn read(source: Source) -> Result<Self, InvalidPolicies> {
        let rules = Rules::read(&source)?;
        InvalidPolicies::unless_none(trial::findings(&trial::run(&source, &rules)?))?;
        Ok(Self { source, rules, permitted: Cache::new(PERMITS) })
    }

    /// The rules by which a request is permitted. Cedar is asked only once; a refusal is not remembered.
    fn permit<D: Decision>(&self, asked: &D) -> Result<Arc<[Arc<str>]>, Denied> {
        let mut said = Said::default();
        D::ACTION.hash(&mut said);
        asked.hash(&mut said);
        if let Some(rules) = self.permitted.get(said.0.as_slice()) {
            return Ok(rules);
        }
        let rules: Arc<[Arc<str>]> = self.rules.decide(asked)?.into();
        self.permitted.insert(said.0.into(), Arc::clone(&rules));
        Ok(rules)
    }
}

impl<D: Decision> Permit<D> {
    /// The ids of the rules that permit it.
    #[must_use]
    pub fn rules(&self) -> &[Arc<str>] {
        &self.rules
    }

    /// The first of them.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        self.rules.first().map(|rule| &**rule)
    }

    /// The same permit, of a request that borrows nothing.
    pub fn lasting(self) -> Permit<D::Lasting> {
        Permit { rules: self.rules, of: PhantomData }
    }
}

impl<D> fmt::Debug for Permit<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("rules", &self.rules).finish()
    }
}

impl Denied {
    pub(crate) fn of(own: Own) -> Self {
        Self { reasons: vec![Reason::from(own)] }
    }

    pub(crate) fn because(mut reasons: Vec<Reason>) -> Self {
        reasons.sort_unstable();
        Self { reasons }
    }

    /// Every reason, by the id of its rule.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// The ids of the rules that forbid it.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.reasons.iter().map(|reason| &*reason.rule)
    }
}

impl std::error::Error for Denied {}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("denied by ")?;
        for (number, reason) in self.reasons.iter().enumerate() {
            f.write_str(if number > 0 { ", " } else { "" })?;
            f.write_str(&reason.rule)?;
        }
        Ok(())
    }
}

impl From<Own> for Reason {
    fn from((rule, says): Own) -> Self {
        Self { rule: rule.into(), says: says.into() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::requests::{ConsentFacts, MandateFacts, OrderPayment, ReadData, Service};

    fn said<D: Decision>(asked: &D) -> Vec<u8> {
        let mut said = Said::default();
        asked.hash(&mut said);
        said.0
    }

    #[test]
    fn requests_that_are_not_equal_say_something_else() {
        let region = |name: &str| name.parse().unwrap();
        let consent = ConsentFacts {
            client: "ab",
            granted: true,
            in_force: true,
            service: Service::Accounts,
            region: region("uk"),
            permissions: ["A"].into(),
        };
        let (client, class, needs) = ("c", "d", ["B"].into());
        let cell = region("uk");
        let base = ReadData { client, consent, class, needs, psu_present: true, beyond_history: false, cell };
        let sets: [BTreeSet<&str>; 4] = [[].into(), ["A", "B"].into(), ["AB"].into(), ["B"].into()];
        let mut all = vec![base.clone()];
        let mut with = |change: &dyn Fn(&mut ReadData<'_>)| {
            let mut changed = base.clone();
            change(&mut changed);
            all.push(changed);
        };
        with(&|asked| (asked.client, asked.consent.client) = ("ca", "b"));
        with(&|asked| (asked.client, asked.consent.client) = ("", "cab"));
        with(&|asked| (asked.class, asked.client) = ("", "cd"));
        with(&|asked| asked.consent.granted = false);
        with(&|asked| asked.consent.in_force = false);
        with(&|asked| asked.consent.service = Service::Funds);
        with(&|asked| asked.consent.region = region("eu"));
        with(&|asked| asked.cell = region("eu"));
        with(&|asked| asked.psu_present = false);
        with(&|asked| asked.beyond_history = true);
        with(&|asked| std::mem::swap(&mut asked.needs, &mut asked.consent.permissions));
        for set in &sets {
            with(&|asked| asked.consent.permissions.clone_from(set));
        }
        for set in sets.iter().filter(|set| **set != base.needs) {
            with(&|asked| asked.needs.clone_from(set));
        }
        let told: BTreeSet<_> = all.iter().map(said).collect();
        assert_eq!(told.len(), all.len());
        let order = |mandate| said(&OrderPayment { client, region: cell, cell, mandate });
        let mandate = MandateFacts { client: "", granted: false, in_force: false, region: cell };
        assert_ne!(order(None), order(Some(mandate)));
    }
}
