//! Figures that are looked up when somebody reads them: what the edge counts, how much of what there is,
//! whether what is shared is there, when certificates end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use domain::Timestamp;
use edge::Closed;
use store::Stores;
use store::standing::Standing;
use telemetry::Told;

use super::EdgeState;

/// What is looked up from time to time, as it was last.
#[derive(Debug, Default)]
pub(crate) struct Lately(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    regions: BTreeMap<String, Standing>,
    unsigned_since: BTreeMap<String, Instant>,
    there: BTreeMap<String, bool>,
    certificates: BTreeMap<String, Timestamp>,
}

impl Lately {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts how much there is in each region.
    ///
    /// # Errors
    ///
    /// If a store fails; what was counted before stays.
    pub(crate) async fn count(&self, stores: &Stores) -> Result<(), store::StoreError> {
        for store in stores.regions() {
            let (region, standing) = (store.region().to_string(), store.standing().await?);
            let mut known = self.known();
            if standing.unsigned > 0 {
                known.unsigned_since.entry(region.clone()).or_insert_with(Instant::now);
            } else {
                known.unsigned_since.remove(&region);
            }
            known.regions.insert(region, standing);
        }
        Ok(())
    }

    /// Notes what of what is shared is there.
    pub(crate) fn is_there(&self, name: &str, there: bool) {
        self.known().there.insert(name.to_owned(), there);
    }

    /// Notes when certificates end. One that is held and could not be read keeps its end; one that is held no more
    /// is forgotten.
    pub(crate) fn end(&self, held: &[String], ends: impl IntoIterator<Item = (String, Timestamp)>) {
        let mut known = self.known();
        known.certificates.retain(|name, _| held.contains(name));
        known.certificates.extend(ends);
    }

    /// How much there is in each region, as it was counted last.
    pub(crate) fn standings(&self) -> BTreeMap<String, Standing> {
        self.known().regions.clone()
    }

    /// When each certificate ends.
    pub(crate) fn certificates(&self) -> BTreeMap<String, Timestamp> {
        self.known().certificates.clone()
    }

    fn told(&self) -> Vec<Told> {
        let known = self.known();
        let regions = || known.regions.iter();
        let by_kind = |name, help, label: &'static str, of: fn(&Standing) -> &Vec<(String, i64)>| Told {
            name,
            help,
            counts: false,
            values: regions()
                .flat_map(|(region, standing)| {
                    of(standing).iter().map(move |(kind, number)| {
                        (vec![(label, kind.clone()), ("region", region.clone())], float(*number))
                    })
                })
                .collect(),
        };
        let by_region = |name, help, of: fn(&Standing) -> i64| Told {
            name,
            help,
            counts: false,
            values: regions()
                .map(|(region, standing)| (vec![("region", region.clone())], float(of(standing))))
                .collect(),
        };
        let unsigned = regions().map(|(region, _)| {
            let since = known.unsigned_since.get(region).map_or(0.0, |since| since.elapsed().as_secs_f64());
            (vec![("region", region.clone())], since)
        });
        let of_stores = known.there.iter().filter_map(|(name, there)| {
            let store = name.strip_prefix("store.")?;
            Some((vec![("store", store.to_owned())], f64::from(u8::from(*there))))
        });
        let mut told = vec![
            by_kind("consents", "Consents by status", "state", |standing| &standing.consents),
            by_kind("payments", "Payments by state", "state", |standing| &standing.payments),
            by_region("payments_attention", "Payments that a person must look after", |it| it.attention),
            by_region("webhooks_pending", "Deliveries of webhooks that are due, now or later", |it| {
                it.deliveries
            }),
            gauges(
                "audit_unsigned_seconds",
                "For how long entries of the audit log are under no checkpoint",
                unsigned,
            ),
            gauges("store_up", "Whether a database answers", of_stores),
            gauges(
                "certificate_expiry_seconds",
                "When a certificate ends, seconds since 1970",
                known
                    .certificates
                    .iter()
                    .map(|(name, at)| (vec![("name", name.clone())], float(at.as_second()))),
            ),
        ];
        if let Some(there) = known.there.get("redis") {
            told.push(gauge("redis_up", "Whether Redis answers", f64::from(u8::from(*there))));
        }
        told
    }
}

/// All of it.
pub(crate) fn told(edge: &EdgeState, lately: &Arc<Lately>) -> Vec<Told> {
    let mut all = vec![
        gauge("connections_open", "Connections that are open", large(edge.counters.open())),
        counter(
            "connections_accepted",
            "Connections that were accepted",
            std::iter::once((Vec::new(), large(edge.counters.accepted()))),
        ),
        counter(
            "connections_closed",
            "Connections that were ended from here",
            Closed::ALL.iter().map(|reason| {
                (vec![("reason", reason.as_str().to_owned())], large(edge.counters.closed(*reason)))
            }),
        ),
        counter(
            "edge_refused",
            "Requests that were refused",
            edge.evidence
                .counts()
                .into_iter()
                .map(|(reason, times)| (vec![("reason", reason.to_owned())], large(times))),
        ),
        gauge("blocked_addresses", "Addresses that are kept out", large(edge.blocked.all().len())),
        gauge("requests_in_flight", "Requests that are answered now", large(edge.overload.in_flight())),
        gauge(
            "scheduler_lag_seconds",
            "How late work is begun that should be begun now",
            edge.overload.lag().as_secs_f64(),
        ),
        gauges(
            "build_info",
            "The version that runs",
            std::iter::once((vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1.0)),
        ),
    ];
    all.extend(lately.told());
    all
}

type Values<'v> = &'v mut dyn Iterator<Item = (Vec<(&'static str, String)>, f64)>;

fn gauge(name: &'static str, help: &'static str, value: f64) -> Told {
    gauges(name, help, std::iter::once((Vec::new(), value)))
}

fn gauges(
    name: &'static str,
    help: &'static str,
    mut values: impl Iterator<Item = (Vec<(&'static str, String)>, f64)>,
) -> Told {
    of(name, help, false, &mut values)
}

fn counter(
    name: &'static str,
    help: &'static str,
    mut values: impl Iterator<Item = (Vec<(&'static str, String)>, f64)>,
) -> Told {
    of(name, help, true, &mut values)
}

fn of(name: &'static str, help: &'static str, counts: bool, values: Values<'_>) -> Told {
    Told { name, help, counts, values: values.collect() }
}

/// A count as a figure is written: exact up to 2⁵³.
#[allow(clippy::as_conversions, reason = "there is no other way, and no count is as large as that")]
fn float(number: i64) -> f64 {
    number as f64
}

fn large(number: impl TryInto<i64>) -> f64 {
    float(number.try_into().unwrap_or(i64::MAX))
}
