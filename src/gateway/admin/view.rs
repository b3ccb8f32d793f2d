//! What operators see. Nothing of it is a person's.

use connect::{BankFilter, HealthStatus, ServiceHealth};
use domain::Timestamp;
use oauth::Client;
use serde::Serialize;
use serde_json::{Value, json};
use store::payments::PaymentRow;

use super::Admin;
use super::refusal::Refusal;

/// Deliveries that are shown.
const DELIVERIES: usize = 100;

/// All of it, for the console.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) status: Value,
    pub(super) banks: Vec<Bank>,
    pub(super) clients: Vec<ClientView>,
    pub(super) payments: Vec<PaymentView>,
    pub(super) deliveries: Vec<DeliveryView>,
}

/// A bank that was called.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Bank {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) region: String,
    pub(super) services: Vec<Service>,
}

/// A service of a bank, as it answered in the last ten minutes.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Service {
    pub(super) service: &'static str,
    pub(super) status: &'static str,
    pub(super) calls: usize,
    pub(super) failed: usize,
    pub(super) p95_ms: Option<u64>,
}

/// A client.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ClientView {
    pub(super) client_id: String,
    pub(super) name: String,
    pub(super) status: String,
    pub(super) registered_at: String,
}

/// A payment that a person must look after.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PaymentView {
    pub(super) id: String,
    pub(super) client_id: String,
    pub(super) institution_id: String,
    pub(super) state: String,
    pub(super) code: String,
    pub(super) since: String,
    pub(super) instruction_id: String,
}

/// A delivery of an event that failed so far.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DeliveryView {
    pub(super) event_id: String,
    pub(super) kind: String,
    pub(super) client_id: String,
    pub(super) attempts: u32,
    pub(super) region: String,
}

/// How everything is.
pub(super) fn status(admin: &Admin) -> Value {
    let regions = admin.lately.standings().into_iter().map(|(region, standing)| {
        json!({
            "region": region,
            "consents": counted(&standing.consents),
            "payments": counted(&standing.payments),
            "payments_attention": standing.attention,
            "deliveries_pending": standing.deliveries,
            "audit_unsigned": standing.unsigned,
        })
    });
    let mut certificates: Vec<_> = admin.lately.certificates().into_iter().collect();
    certificates.sort_by_key(|(_, at)| *at);
    let now = admin.gateway.clock().now();
    let certificates = certificates
        .into_iter()
        .map(|(name, at)| json!({ "name": name, "not_after": at.to_string(), "days": days_until(now, at) }));
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "config": admin.config,
        "edge": admin.edge.view(),
        "regions": regions.collect::<Vec<_>>(),
        "certificates": certificates.collect::<Vec<_>>(),
    })
}

fn counted(numbers: &[(String, i64)]) -> Value {
    numbers
        .iter()
        .map(|(kind, number)| (kind.clone(), Value::from(*number)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Whole days, negative where it is over.
fn days_until(now: Timestamp, at: Timestamp) -> i64 {
    at.as_second().saturating_sub(now.as_second()).div_euclid(86_400)
}

/// The banks that were called lately: those that do worst first.
pub(super) fn banks(admin: &Admin) -> Vec<Bank> {
    let all = admin.gateway.registry().list(&BankFilter::default(), None, 100_000);
    let mut called: Vec<_> = all
        .into_iter()
        .filter_map(|profile| {
            let health = admin.gateway.health_of(&profile.id);
            let services = [
                ("accounts", health.accounts),
                ("payments", health.payments),
                ("funds", health.funds),
                ("payees", health.payees),
            ];
            let services: Vec<_> =
                services.into_iter().filter_map(|(name, health)| service(name, &health)).collect();
            (!services.is_empty()).then(|| Bank {
                id: profile.id.to_string(),
                name: profile.name.clone(),
                region: profile.region.to_string(),
                services,
            })
        })
        .collect();
    called.sort_by_key(|bank| bank.services.iter().map(|service| rank(service.status)).min());
    called
}

fn service(name: &'static str, health: &ServiceHealth) -> Option<Service> {
    (health.status != HealthStatus::Unknown).then(|| Service {
        service: name,
        status: health.status.as_str(),
        calls: health.calls,
        failed: health.failed,
        p95_ms: health.p95.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
    })
}

fn rank(status: &str) -> u8 {
    match status {
        "DOWN" => 0,
        "DEGRADED" => 1,
        _ => 2,
    }
}

/// The clients.
pub(super) async fn clients(admin: &Admin) -> Result<Vec<ClientView>, Refusal> {
    let rows = admin.stores.global().clients().await?;
    let shown = rows.into_iter().map(|row| {
        let name = Client::from_metadata(&row.client_id, &row.metadata).map(|client| client.name.to_string());
        ClientView {
            name: name.unwrap_or_default(),
            client_id: row.client_id,
            status: row.status,
            registered_at: row.created_at.to_string(),
        }
    });
    Ok(shown.collect())
}

/// The payments that a person must look after.
pub(super) async fn payments(admin: &Admin) -> Result<Vec<PaymentView>, Refusal> {
    let mut found = Vec::new();
    for store in admin.stores.regions() {
        let rows = store.payments_flagged().await?;
        found.extend(rows.iter().map(payment));
    }
    Ok(found)
}

fn payment(row: &PaymentRow) -> PaymentView {
    let attention = row.bank.attention.as_ref();
    PaymentView {
        id: row.id.to_string(),
        client_id: row.client_id.clone(),
        institution_id: row.institution.to_string(),
        state: row.state.as_str().to_owned(),
        code: attention.map(|attention| attention.code.clone()).unwrap_or_default(),
        since: attention.map(|attention| attention.since.to_string()).unwrap_or_default(),
        instruction_id: row.terms.order.instruction_id().to_owned(),
    }
}

/// Deliveries that failed so far and will be tried again.
pub(super) async fn deliveries(admin: &Admin) -> Result<Vec<DeliveryView>, Refusal> {
    let mut found = Vec::new();
    for store in admin.stores.regions() {
        let due = store.deliveries_due(Timestamp::MAX, &[]).await?;
        found.extend(due.into_iter().filter(|due| due.attempts > 0).map(|due| DeliveryView {
            event_id: due.event.id.to_string(),
            kind: due.event.event_type.to_string(),
            client_id: due.event.client_id.clone(),
            attempts: due.attempts,
            region: store.region().to_string(),
        }));
    }
    found.truncate(DELIVERIES);
    Ok(found)
}
