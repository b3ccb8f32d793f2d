//! Deviations of banks, one by one: a model bank takes up a habit; a profile that
//! knows nothing of it fails, where the standard is strict, and one that states it
//! gets through.

mod authorization;
mod journeys;
mod payments;
mod reading;
mod tokens;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::support::consents::ShiftedClock;
use crate::support::{TestGateway, UK};
use connect::{Profile, Quirk, QuirkName, Quirks};
use consentry::demo::Tpp;
use modelbank::{Habit, Habits};

use journeys::Journey;

/// What a profile that knows nothing of the habit comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strict {
    /// It gets nowhere.
    Fails,
    /// It gets through: the standard allows what the bank does, or nothing of ours
    /// depends on it.
    Passes,
}

/// One deviation, at the bank and in the profile.
struct Pair {
    name: QuirkName,
    parameters: toml::Table,
    /// What the bank does beside, for this deviation to matter.
    beside: &'static [Habit],
    /// What both profiles state beside.
    prepare: fn(&mut Profile),
    journey: Journey,
    strict: Strict,
    /// The bank is first met with the habit: what it was before would be remembered.
    at_first_sight: bool,
}

impl Pair {
    /// A deviation that a strict profile fails at.
    fn fails(name: QuirkName, journey: Journey) -> Self {
        let (parameters, beside) = (toml::Table::new(), &[][..]);
        let (prepare, at_first_sight) = (|_: &mut Profile| {}, false);
        Self { name, parameters, beside, prepare, journey, strict: Strict::Fails, at_first_sight }
    }

    /// A deviation that costs nobody anything.
    fn passes(name: QuirkName, journey: Journey) -> Self {
        Self { strict: Strict::Passes, ..Self::fails(name, journey) }
    }

    fn with(mut self, name: &str, value: impl Into<toml::Value>) -> Self {
        self.parameters.insert(name.to_owned(), value.into());
        self
    }

    fn beside(self, beside: &'static [Habit]) -> Self {
        Self { beside, ..self }
    }

    fn prepared(self, prepare: fn(&mut Profile)) -> Self {
        Self { prepare, ..self }
    }

    fn at_first_sight(self) -> Self {
        Self { at_first_sight: true, ..self }
    }

    fn quirk(&self) -> Quirk {
        let parameters: BTreeMap<String, toml::Value> = self.parameters.clone().into_iter().collect();
        Quirk { name: self.name, at: Vec::new(), versions: Vec::new(), parameters }
    }
}

/// A gateway, a fintech, and the bank whose habits change.
struct World {
    gw: TestGateway,
    clock: Arc<ShiftedClock>,
    tpp: Tpp,
    habits: Habits,
    profile: Profile,
}

impl World {
    async fn start() -> Self {
        let (gw, clock) = TestGateway::with_shifted_clock().await;
        let tpp = gw.tpp().await;
        let habits = gw.sandbox.bank_habits(UK).unwrap();
        let profile = (*gw.sandbox.gateway().registry().profile(&UK.parse().unwrap()).unwrap()).clone();
        Self { gw, clock, tpp, habits, profile }
    }

    /// Goes through each: the bank as it is, with the habit, and with the habit known.
    async fn hold(&self, pairs: impl IntoIterator<Item = Pair>) {
        for pair in pairs {
            let word = pair.name.as_str();
            let habit = Habit::from_word(word).expect("every deviation is a habit of the model bank");
            let mut strict = self.profile.clone();
            (pair.prepare)(&mut strict);
            if !pair.at_first_sight {
                let before = self.go(&pair, &strict, pair.beside).await;
                before.unwrap_or_else(|why| panic!("{word}: without the habit: {why}"));
            }
            let habits = [&[habit], pair.beside].concat();
            let met = self.go(&pair, &strict, &habits).await;
            let expected = pair.strict == Strict::Passes;
            assert_eq!(met.is_ok(), expected, "{word}: a strict profile met {met:?}");

            let mut known = strict;
            state(&mut known, pair.quirk());
            self.go(&pair, &known, &habits)
                .await
                .unwrap_or_else(|why| panic!("{word}: with its profile: {why}"));
        }
        self.habits.become_only([]);
    }

    async fn go(&self, pair: &Pair, profile: &Profile, habits: &[Habit]) -> Result<(), String> {
        self.habits.become_only(habits.iter().copied());
        self.gw.sandbox.gateway().registry().put(profile.clone());
        pair.journey.run(&self.gw, &self.tpp, &self.clock).await
    }
}

/// A request that the browser brings itself, signed.
fn in_the_browser(profile: &mut Profile) {
    let server = profile.authorization_server.as_mut().unwrap();
    server.pushed_requests = false;
}

/// States a further deviation.
fn state(profile: &mut Profile, quirk: Quirk) {
    profile.deviate(Quirks::new(profile.quirks.iter().cloned().chain([quirk]).collect()));
}
