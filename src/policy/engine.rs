//! The engine: who asks gets a permit, or the reasons why not.

use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use serde::Serialize;

use crate::ask::Ask;
use crate::invalid::InvalidPolicies;
use crate::rules::{Own, Rules};
use crate::source::{Source, Stamps, stamps};
use crate::trial;

/// A request that can be decided. The request types of this crate are all there are.
pub trait Decision: Ask {
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
}

/// Proof that the rules permit a request of type `D`. Only [`Engine::decide`] makes one.
#[must_use]
pub struct Permit<D> {
    rules: Vec<Arc<str>>,
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
        let rules = self.current.load().rules.decide(asked)?;
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
        Ok(Self { source, rules })
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
