//! Who is told of every request: what a client can ask for afterwards is noted, and traces are kept of
//! some.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::{Clock, Entropy};
use edge::{Answered, Witness};
use flows::{CallEvidence, Gateway, RequestEvidence};
use telemetry::{BankCall, TraceContext};

/// Traces in a second that are kept because somebody else keeps theirs.
const ASKED_FOR: u32 = 20;

/// Who keeps traces.
pub(crate) trait Tracer: Send + Sync {
    /// A request was answered in a trace that is kept.
    fn trace(&self, context: TraceContext, answered: &Answered<'_>);
}

/// Notes requests, and has some traced.
pub(crate) struct Witnessing {
    /// Is there once the gateway is.
    gateway: OnceLock<Arc<Gateway>>,
    tracer: Option<Arc<dyn Tracer>>,
    /// How many of 1,000 are kept that nobody asks to keep.
    per_mille: u16,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// The second, and how many were asked for in it.
    second: AtomicU64,
    asked_for: AtomicU32,
}

impl Witnessing {
    /// Without a tracer nothing is traced; contexts of others pass through.
    pub(crate) fn new(
        tracer: Option<Arc<dyn Tracer>>,
        per_mille: u16,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Arc<Self> {
        Arc::new(Self {
            gateway: OnceLock::new(),
            tracer,
            per_mille,
            clock,
            entropy,
            second: AtomicU64::new(0),
            asked_for: AtomicU32::new(0),
        })
    }

    /// What is noted is noted there.
    pub(crate) fn notes_at(&self, gateway: &Arc<Gateway>) {
        let _ = self.gateway.set(Arc::clone(gateway));
    }

    /// Whether one more may be kept because its sender keeps it: a client cannot have all of its requests
    /// traced at our cost.
    fn has_room(&self) -> bool {
        let now = u64::try_from(self.clock.now().as_second()).unwrap_or_default();
        if self.second.swap(now, Ordering::Relaxed) != now {
            self.asked_for.store(0, Ordering::Relaxed);
        }
        self.asked_for.fetch_add(1, Ordering::Relaxed) < ASKED_FOR
    }

    fn is_chosen(&self) -> bool {
        let mut chance = [0; 4];
        self.entropy.fill(&mut chance);
        u32::from_le_bytes(chance) % 1_000 < u32::from(self.per_mille)
    }
}

impl Witness for Witnessing {
    fn context(&self, given: Option<TraceContext>) -> Option<TraceContext> {
        let traces = self.tracer.is_some();
        match given {
            Some(given) => {
                let sampled = traces && ((given.sampled && self.has_room()) || self.is_chosen());
                Some(TraceContext { sampled, ..given.child(&*self.entropy) })
            }
            None => traces.then(|| TraceContext::begin(&*self.entropy, self.is_chosen())),
        }
    }

    fn answered(&self, answered: &Answered<'_>) {
        let context = answered.trail.context();
        if let (Some(tracer), Some(context)) = (&self.tracer, context.filter(|context| context.sampled)) {
            tracer.trace(context, answered);
        }
        let (Some(gateway), Some(client)) = (self.gateway.get(), answered.client) else { return };
        gateway.note_request(RequestEvidence {
            id: answered.id,
            client_id: client.to_owned(),
            at: answered.at,
            method: answered.method.to_string(),
            route: answered.route.to_owned(),
            status: answered.status,
            code: answered.reason.map(str::to_owned),
            region: answered.region,
            took_us: micros(answered.trail.took()),
            at_banks_us: micros(answered.trail.at_banks()),
            calls: answered.trail.calls().into_iter().map(evidence).collect(),
            trace_id: context.map(|context| format!("{:032x}", context.trace)),
        });
    }
}

fn evidence(call: BankCall) -> CallEvidence {
    CallEvidence {
        institution_id: call.bank,
        operation: call.operation.to_owned(),
        method: call.method,
        request_id: call.request_id,
        status: call.status,
        outcome: call.outcome.as_str().to_owned(),
        after_us: micros(call.after),
        took_us: micros(call.took),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
