//! Figures of this process, as Prometheus reads them (OpenMetrics text).
//!
//! There is one set of them in a process, as there is one process to be looked at. Each name is written
//! here, and nowhere else; `charts/consentry/metrics.txt` lists them for dashboards and alerts, and a test
//! holds a running gateway to that list.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;

use crate::{BankOutcome, TraceContext};

/// What every name begins with.
const PREFIX: &str = "consentry";

/// Upper ends of what is counted together, seconds.
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// Routes that are told apart. There are fewer; who finds a way to more is not told.
const ROUTES: usize = 1_000;

/// Figures of this process.
pub static FIGURES: LazyLock<Figures> = LazyLock::new(Figures::default);

/// What is taken up anew while a gateway runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// Who may do what.
    Access,
    /// Profiles of banks.
    Banks,
    /// Who holds which region.
    Cell,
    /// The configuration.
    Configuration,
    /// What looks into requests.
    Filter,
    /// Keys that sign.
    Keys,
    /// How many requests may be made.
    Limits,
    /// Plugins.
    Plugins,
    /// Keys of regions.
    RegionKeys,
    /// Certificates, authorities, revocation lists.
    Tls,
}

impl Reloaded {
    /// All of it.
    const ALL: [Self; 10] = [
        Self::Access,
        Self::Banks,
        Self::Cell,
        Self::Configuration,
        Self::Filter,
        Self::Keys,
        Self::Limits,
        Self::Plugins,
        Self::RegionKeys,
        Self::Tls,
    ];

    fn what(self) -> What {
        let what = match self {
            Self::Access => "access",
            Self::Banks => "banks",
            Self::Cell => "cell",
            Self::Configuration => "configuration",
            Self::Filter => "filter",
            Self::Keys => "keys",
            Self::Limits => "limits",
            Self::Plugins => "plugins",
            Self::RegionKeys => "region_keys",
            Self::Tls => "tls",
        };
        What { what }
    }
}

/// Of which requests something is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The route, as the interface's description writes it; `other` for what is none.
    pub route: &'static str,
    /// Method.
    pub method: &'static str,
    /// Status of the answer.
    pub status: u16,
    /// Who asked: `client`, `stranger`, `browser` or `cell`.
    pub client_class: &'static str,
    /// Whose data it was about; `none` where that cannot be said.
    pub region: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
    client_class: &'static str,
    region: &'static str,
}

/// Of which calls to banks something is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BankLabels {
    /// The bank: our name of it.
    pub bank: String,
    /// What it is called for, such as `accounts`.
    pub operation: &'static str,
    /// Where its customers' data lives.
    pub region: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BankOutcomeLabels {
    bank: String,
    operation: &'static str,
    outcome: &'static str,
    region: String,
}

/// One name and one value of a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Task {
    task: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct What {
    what: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Delivered {
    outcome: &'static str,
    region: String,
}

/// The trace in which an example was seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Seen {
    trace_id: String,
}

type Times = HistogramWithExemplars<Seen>;

#[derive(Clone, Copy, Debug)]
struct NewTimes;

impl MetricConstructor<Times> for NewTimes {
    fn new_metric(&self) -> Times {
        HistogramWithExemplars::new(BUCKETS.into_iter())
    }
}

type TimesBy<L> = Family<L, Times, NewTimes>;

/// All of them.
#[derive(Debug)]
pub struct Figures {
    requests: Family<RequestLabels, Counter>,
    request_times: TimesBy<RouteLabels>,
    gateway_times: TimesBy<RouteLabels>,
    bank_requests: Family<BankOutcomeLabels, Counter>,
    bank_times: TimesBy<BankLabels>,
    deliveries: Family<Delivered, Counter>,
    background_failures: Family<Task, Counter>,
    reload_failures: Family<What, Counter>,
    shadowed: Counter,
    shadow_differences: Counter,
    evidence_dropped: Counter,
    routes: RwLock<HashSet<&'static str>>,
}

impl Default for Figures {
    fn default() -> Self {
        let reload_failures = Family::default();
        // From nought: what is first seen as one has not grown, for whoever looks.
        Reloaded::ALL.iter().for_each(|each| drop(reload_failures.get_or_create(&each.what())));
        Self {
            requests: Family::default(),
            request_times: Family::new_with_constructor(NewTimes),
            gateway_times: Family::new_with_constructor(NewTimes),
            bank_requests: Family::default(),
            bank_times: Family::new_with_constructor(NewTimes),
            deliveries: Family::default(),
            background_failures: Family::default(),
            reload_failures,
            shadowed: Counter::default(),
            shadow_differences: Counter::default(),
            evidence_dropped: Counter::default(),
            routes: RwLock::default(),
        }
    }
}

/// How long something took, and in which trace.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    /// All of it.
    pub all: Duration,
    /// Waiting for banks.
    pub at_banks: Duration,
    /// The trace, if it is kept.
    pub trace: Option<TraceContext>,
}

impl Figures {
    /// A request was answered.
    pub fn answered(&self, labels: RequestLabels, spent: Spent) {
        let RequestLabels { route, client_class, region, .. } = labels;
        let by_route = RouteLabels { route, client_class, region };
        let seen = seen(spent.trace);
        let ours = spent.all.saturating_sub(spent.at_banks);
        self.request_times.get_or_create(&by_route).observe(spent.all.as_secs_f64(), seen.clone(), None);
        self.gateway_times.get_or_create(&by_route).observe(ours.as_secs_f64(), seen, None);
        self.requests.get_or_create(&labels).inc();
    }

    /// A bank was called.
    pub fn bank_called(
        &self,
        labels: BankLabels,
        outcome: BankOutcome,
        took: Duration,
        trace: Option<TraceContext>,
    ) {
        self.bank_times.get_or_create(&labels).observe(took.as_secs_f64(), seen(trace), None);
        let BankLabels { bank, operation, region } = labels;
        let outcome = outcome.as_str();
        self.bank_requests.get_or_create(&BankOutcomeLabels { bank, operation, outcome, region }).inc();
    }

    /// A webhook was delivered, or not.
    pub fn delivered(&self, region: &str, arrived: bool) {
        let outcome = if arrived { "delivered" } else { "failed" };
        self.deliveries.get_or_create(&Delivered { outcome, region: region.to_owned() }).inc();
    }

    /// A round of background work failed.
    pub fn background_failed(&self, task: &'static str) {
        self.background_failures.get_or_create(&Task { task }).inc();
    }

    /// Something could not be taken up, and stays as it was.
    pub fn reload_failed(&self, what: Reloaded) {
        self.reload_failures.get_or_create(&what.what()).inc();
    }

    /// A read was asked a second time elsewhere.
    pub fn shadowed(&self, differs: bool) {
        self.shadowed.inc();
        if differs {
            self.shadow_differences.inc();
        }
    }

    /// Evidence of a request is kept by nobody: there was too much of it.
    pub fn evidence_dropped(&self, number: u64) {
        self.evidence_dropped.inc_by(number);
    }

    /// A name of which there are few, as of routes and regions, for as long as the process lives.
    #[must_use]
    pub fn known(&self, route: &str) -> &'static str {
        if let Some(known) = self.routes.read().unwrap_or_else(PoisonError::into_inner).get(route) {
            return known;
        }
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = routes.get(route) {
            return known;
        }
        if routes.len() >= ROUTES {
            return "other";
        }
        let kept: &'static str = Box::leak(route.to_owned().into_boxed_str());
        routes.insert(kept);
        kept
    }
}

fn seen(trace: Option<TraceContext>) -> Option<Seen> {
    trace
        .filter(|context| context.sampled)
        .map(|context| Seen { trace_id: format!("{:032x}", context.trace) })
}

/// Registers the figures of this process, and what is collected when they are read.
pub fn registered(collect: impl Fn() -> Vec<Told> + Send + Sync + 'static) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    let all = &*FIGURES;
    registry.register("http_requests", "Requests that were answered", all.requests.clone());
    registry.register(
        "http_request_duration_seconds",
        "Time to the answer, banks included",
        all.request_times.clone(),
    );
    registry.register(
        "gateway_duration_seconds",
        "Time to the answer without that in which banks were waited for",
        all.gateway_times.clone(),
    );
    registry.register("bank_requests", "Calls to banks", all.bank_requests.clone());
    registry.register("bank_request_duration_seconds", "Time of calls to banks", all.bank_times.clone());
    registry.register("webhook_deliveries", "Deliveries of webhooks", all.deliveries.clone());
    registry.register(
        "background_failures",
        "Rounds of background work that failed",
        all.background_failures.clone(),
    );
    registry.register(
        "reload_failures",
        "Files that could not be taken up and stay as they were",
        all.reload_failures.clone(),
    );
    registry.register("shadow_requests", "Reads that were asked elsewhere, too", all.shadowed.clone());
    registry.register(
        "shadow_differences",
        "Reads that were answered otherwise elsewhere",
        all.shadow_differences.clone(),
    );
    registry.register(
        "evidence_dropped",
        "Requests of which no evidence is kept, as there were too many",
        all.evidence_dropped.clone(),
    );
    registry.register_collector(Box::new(Collected(Arc::new(collect))));
    registry
}

/// All figures of a registry, as text.
#[must_use]
pub fn text_of(registry: &Registry) -> String {
    let mut page = String::new();
    // A string takes whatever it is given.
    let _ = text::encode(&mut page, registry);
    page
}

/// A figure that is looked up when it is read: a name without prefix, what it is, and its values by label.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub help: &'static str,
    /// It only grows.
    pub counts: bool,
    /// Each value, with the names and values of its labels.
    pub values: Vec<(Vec<(&'static str, String)>, f64)>,
}

/// What is looked up when it is read.
#[derive(Clone)]
pub struct Collected(Arc<dyn Fn() -> Vec<Told> + Send + Sync>);

impl fmt::Debug for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collected").finish_non_exhaustive()
    }
}

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Told { name, help, counts, values } in (self.0)() {
            let kind = if counts { ConstCounter::<f64>::TYPE } else { MetricType::Gauge };
            let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
            for (labels, value) in values {
                let metric = metric.encode_family(&labels)?;
                if counts {
                    ConstCounter::new(value).encode(metric)?;
                } else {
                    ConstGauge::new(value).encode(metric)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = "/v1/accounts/{account_id}";

    /// Invariant: an example names a trace that is kept, and no label names anything but what there are
    /// few of.
    #[test]
    fn figures_are_told_with_an_example() {
        let route = FIGURES.known(ROUTE);
        assert!(std::ptr::eq(route, FIGURES.known(ROUTE)), "once");
        let labels =
            RequestLabels { route, method: "GET", status: 200, client_class: "client", region: "eu" };
        let trace: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        let spent =
            |trace| Spent { all: Duration::from_millis(40), at_banks: Duration::from_millis(39), trace };
        FIGURES.answered(labels.clone(), spent(Some(trace)));
        FIGURES.answered(labels, spent(Some(TraceContext { sampled: false, ..trace })));
        let bank =
            BankLabels { bank: "de-rheinbank".to_owned(), operation: "accounts", region: "eu".to_owned() };
        FIGURES.bank_called(bank, BankOutcome::Unknown, Duration::from_secs(31), None);
        FIGURES.delivered("eu", false);
        let registry = registered(|| {
            vec![
                Told {
                    name: "connections_open",
                    help: "Connections",
                    counts: false,
                    values: vec![(Vec::new(), 3.0)],
                },
                Told {
                    name: "edge_refused",
                    help: "Refusals",
                    counts: true,
                    values: vec![(vec![("reason", "quota.exceeded".to_owned())], 7.0)],
                },
            ]
        });
        let page = text_of(&registry);
        for told in [
            "consentry_http_requests_total{route=\"/v1/accounts/{account_id}\",method=\"GET\",status=\"200\",client_class=\"client\",region=\"eu\"} 2",
            "consentry_http_request_duration_seconds_bucket{le=\"0.05\",route=\"/v1/accounts/{account_id}\",client_class=\"client\",region=\"eu\"} 2 # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"} 0.04",
            "consentry_gateway_duration_seconds_bucket{le=\"0.001\",route=\"/v1/accounts/{account_id}\",client_class=\"client\",region=\"eu\"} 2",
            "consentry_bank_requests_total{bank=\"de-rheinbank\",operation=\"accounts\",outcome=\"unknown\",region=\"eu\"} 1",
            "consentry_webhook_deliveries_total{outcome=\"failed\",region=\"eu\"} 1",
            "consentry_connections_open 3",
            "consentry_edge_refused_total{reason=\"quota.exceeded\"} 7",
            "# EOF",
        ] {
            assert!(page.lines().any(|line| line.starts_with(told)), "{told}\n{page}");
        }
    }

    #[test]
    fn nobody_makes_routes_without_end() {
        let figures = Figures::default();
        for number in 0..ROUTES {
            assert_ne!(figures.known(&format!("/{number}")), "other");
        }
        assert_eq!(figures.known("/one-more"), "other");
    }
}
