//! What the edge counts and by what, shared by all listeners.

use std::sync::Arc;

use anyhow::Context;
use domain::Clock;
use edge::{BlockList, Closed, EdgeCounters, Evidence, Lobby, Overload};
use limits::Limiter;
use serde_json::{Map, Value, json};

/// What the edge counts, and by what.
#[derive(Clone, Debug)]
pub struct EdgeState {
    /// How many requests may be made.
    pub limiter: Arc<Limiter>,
    /// Connections.
    pub counters: Arc<EdgeCounters>,
    /// Where handshakes are made.
    pub lobby: Arc<Lobby>,
    /// How much there is to do.
    pub overload: Arc<Overload>,
    /// Refusals.
    pub evidence: Arc<Evidence>,
    /// Who is not let in.
    pub blocked: Arc<BlockList>,
}

impl EdgeState {
    pub(crate) fn of(limiter: Arc<Limiter>, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let lobby = Lobby::open().context("threads for strangers cannot be started")?;
        let overload = Overload::new(Arc::clone(&limiter));
        let blocked = BlockList::new(Arc::clone(&limiter), clock);
        let (counters, evidence) = (Arc::default(), Arc::default());
        Ok(Self { limiter, counters, lobby, overload, evidence, blocked })
    }

    /// All of it, as `/v1/sandbox/edge` shows it.
    pub(crate) fn view(&self) -> Value {
        let closed = Closed::ALL.iter().map(|reason| (reason.as_str(), self.counters.closed(*reason)));
        let numbers = |of: &mut dyn Iterator<Item = (&'static str, u64)>| -> Map<String, Value> {
            of.filter(|(_, times)| *times > 0).map(|(name, times)| (name.to_owned(), times.into())).collect()
        };
        json!({
            "connections": {
                "accepted": self.counters.accepted(),
                "open": self.counters.open(),
                "closed": numbers(&mut closed.into_iter()),
            },
            "requests": {
                "in_flight": self.overload.in_flight(),
                "refused": numbers(&mut self.evidence.counts().into_iter()),
            },
            "blocked": self.blocked.all().len(),
            "lag_ms": u64::try_from(self.overload.lag().as_millis()).unwrap_or(u64::MAX),
        })
    }
}
