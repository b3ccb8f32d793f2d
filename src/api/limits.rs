//! How a client stands with what it may ask for.

use std::sync::Arc;

use ::limits::{Key, Partition, Standing, Told};
use axum::extract::State;
use axum::{Extension, Json};
use flows::{Gateway, Unattended};
use serde::Serialize;
use utoipa::ToSchema;
use web::{AnyScope, Caller, Problem};

/// How you stand.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct LimitsView {
    /// Every policy by which your requests are counted. Other policies hold for addresses
    /// before TLS and for what the gateway asks of institutions.
    limits: Vec<RequestLimitView>,
    /// Calls without the PSU under each consent of the token.
    unattended: Vec<UnattendedView>,
}

/// How you stand with one policy.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct RequestLimitView {
    /// Its name, as in the headers `RateLimit` and `RateLimit-Policy` and in `violated-policies`.
    #[schema(example = "client")]
    policy: String,
    /// What is counted apart: `peer` (your certificate), `client` (you), `consent`.
    #[schema(example = "client")]
    partition: &'static str,
    /// Only requests of this class count.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    /// The consent, where each is counted apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    consent_id: Option<String>,
    /// Requests that may come at once, and in a window.
    quota: u32,
    /// Seconds in which the whole quota comes back, evenly.
    window_seconds: u32,
    /// Requests that are left.
    remaining: u32,
    /// Seconds until all of it is back; where nothing is left, until there is something.
    reset_seconds: u32,
}

/// Calls without the PSU under one consent (RTS art. 36(5)(b)).
#[derive(Clone, Debug, Serialize, ToSchema)]
struct UnattendedView {
    /// The consent.
    consent_id: String,
    /// Calls a day, of all kinds together.
    limit: u8,
    /// Calls of today.
    used: u8,
    /// Calls that are left.
    remaining: u8,
    /// When the next day begins (UTC).
    #[schema(format = DateTime)]
    resets_at: String,
}

impl RequestLimitView {
    fn of(standing: Standing, consent_id: Option<String>) -> Self {
        Self {
            policy: standing.policy.to_string(),
            partition: standing.partition.as_str(),
            class: standing.class.map(|class| class.to_string()),
            consent_id,
            quota: standing.quota.get(),
            window_seconds: standing.window.get(),
            remaining: standing.remaining,
            reset_seconds: standing.reset,
        }
    }
}

impl From<Unattended> for UnattendedView {
    fn from(unattended: Unattended) -> Self {
        Self {
            consent_id: unattended.consent.to_string(),
            limit: unattended.limit,
            used: unattended.used,
            remaining: unattended.remaining(),
            resets_at: unattended.resets_at.to_string(),
        }
    }
}

/// Show how you stand with every limit.
///
/// Asking is a request, and counts as one.
#[utoipa::path(get, operation_id = "showLimits", path = "/v1/limits", tag = "service",
    security(("mtls_oauth" = [])),
    responses((status = 200, description = "What was asked for", body = LimitsView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AnyScope>,
    Extension(told): Extension<Arc<Told>>,
) -> Result<Json<LimitsView>, Problem> {
    let limiter = gateway.limiter();
    let of_peer = told.standings().into_iter().filter(|standing| standing.partition == Partition::Peer);
    let of_client = limiter.standings(Partition::Client, &Key::id(&caller.client_id));
    let mut limits: Vec<_> =
        of_peer.chain(of_client).map(|standing| RequestLimitView::of(standing, None)).collect();
    let mut unattended = Vec::new();
    for id in &caller.consents {
        let name = id.to_string();
        let standings = limiter.standings(Partition::Consent, &Key::id(&name));
        limits
            .extend(standings.into_iter().map(|standing| RequestLimitView::of(standing, Some(name.clone()))));
        let consent = gateway.consent(&caller.client_id, *id).await?;
        unattended.extend(gateway.unattended(&consent).await?.map(UnattendedView::from));
    }
    Ok(Json(LimitsView { limits, unattended }))
}
