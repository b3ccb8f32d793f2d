//! The filter's files, watched while requests are held against what they were.

use std::sync::{Arc, Mutex, PoisonError};

use domain::Date;
use telemetry::{FIGURES, Reloaded};

use super::GatewayFilter;
use super::files::Stamps;

/// The files of a filter, for who looks at them and for who is told to.
#[derive(Clone)]
pub(crate) struct WatchedFilter(Option<Arc<Mutex<Watched>>>);

struct Watched {
    filter: Arc<GatewayFilter>,
    /// The files when they were last read, good or not.
    seen: Stamps,
    /// The day when they were.
    day: Date,
}

impl WatchedFilter {
    /// Those of a filter, if there is one.
    pub(crate) fn of(filter: Option<Arc<GatewayFilter>>) -> Self {
        let watched = filter.map(|filter| {
            let seen = filter.in_force.load().stamps.clone();
            Arc::new(Mutex::new(Watched { seen, day: filter.today(), filter }))
        });
        Self(watched)
    }

    /// Takes up what changed, and that an exclusion has expired. Blocks while it reads.
    pub(crate) fn look(&mut self) {
        self.with(|watched| watched.look());
    }

    /// Takes up the files as they are, changed or not. Blocks while it reads.
    pub(crate) fn reload(&self) {
        self.with(|watched| watched.take_up());
    }

    /// Compiles what was not yet asked, so that nobody waits for it. Blocks while it does.
    pub(crate) fn compile_rest(&self) {
        self.with(|watched| watched.filter.compile_rest());
    }

    fn with(&self, run: impl FnOnce(&mut Watched)) {
        if let Some(watched) = &self.0 {
            run(&mut watched.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl Watched {
    fn look(&mut self) {
        let today = self.filter.today();
        let until = self.filter.in_force.load().until;
        let expired = today != self.day && until.is_some_and(|until| until < today);
        if expired || self.filter.files.stamps() != self.seen {
            self.take_up();
        }
    }

    fn take_up(&mut self) {
        // Reading twice between two changes is harmless, missing one is not.
        self.seen = self.filter.files.stamps();
        self.day = self.filter.today();
        match self.filter.take_up() {
            Ok(()) => tracing::info!("The rules of the filter were taken up"),
            Err(error) => {
                FIGURES.reload_failed(Reloaded::Filter);
                let why = format!("{error:#}");
                tracing::error!(error = why, "The filter stays as it was: {why}");
            }
        }
    }
}
