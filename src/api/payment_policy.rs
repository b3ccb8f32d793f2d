//! What the operator of the gateway lets a client pay, shown to that client.

use std::sync::Arc;

use axum::extract::State;
use domain::{Money, Others, PaymentPolicy};
use flows::Gateway;
use serde::Serialize;
use utoipa::ToSchema;
use web::{Caller, Json, Payments, Problem};

use crate::view::Amount;

/// What you may pay. Empty lists and missing members are no limit.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct PolicyView {
    /// The most that one payment may be; other currencies are refused.
    max_per_payment: Vec<Amount>,
    /// The most that you may order on a day, UTC; other currencies are refused.
    max_per_day: Vec<Amount>,
    /// How many payments you may order on a day, UTC. Each payment of a batch counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_payments_per_day: Option<u32>,
    /// How many payees are trusted.
    trusted_payees: usize,
    /// Payees who are not: `ALLOWED` like those who are, up to `max_to_others`, or `REFUSED`.
    others: &'static str,
    /// The most that one payment to a payee who is not trusted may be.
    max_to_others: Vec<Amount>,
    /// What you have ordered today, in each region, which count apart. Empty where days have
    /// no limit.
    today: Vec<TodayView>,
}

/// What was ordered on a day and did not come to nothing.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct TodayView {
    /// Region of the institutions that are paid from.
    #[schema(example = "eu")]
    region: String,
    /// How many payments.
    payments: i64,
    /// How much, in the currencies of `max_per_day`.
    amounts: Vec<Amount>,
    /// When the next day begins.
    #[schema(format = DateTime)]
    resets_at: String,
}

fn amounts(of: &[Money]) -> Vec<Amount> {
    of.iter().copied().map(Amount::from).collect()
}

impl PolicyView {
    fn of(policy: &PaymentPolicy, today: Vec<TodayView>) -> Self {
        let (others, most) = match &policy.payees.others {
            Others::Alike => ("ALLOWED", Vec::new()),
            Others::UpTo(most) => ("ALLOWED", amounts(most)),
            Others::Refused => ("REFUSED", Vec::new()),
        };
        Self {
            max_per_payment: amounts(&policy.max_per_payment),
            max_per_day: amounts(&policy.max_per_day),
            max_payments_per_day: policy.max_payments_per_day,
            trusted_payees: policy.payees.trusted.len(),
            others,
            max_to_others: most,
            today,
        }
    }
}

/// Show what you may pay.
///
/// What the operator of the gateway lets you pay, and what of the day's limits you have
/// used. Institutions have limits of their own (`/v1/institutions/{institution_id}/constraints`).
#[utoipa::path(get, operation_id = "showPaymentPolicy", path = "/v1/payment-policy", tag = "payments",
    security(("mtls_oauth" = ["payments"])),
    responses((status = 200, description = "What was asked for", body = PolicyView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
) -> Result<Json<PolicyView>, Problem> {
    let client = gateway.stores().global().client(&caller.client_id).await?;
    let policy = client.and_then(|client| client.payment_policy).unwrap_or_default();
    let mut today = Vec::new();
    if policy.limits_days() {
        for (region, spent) in gateway.spent_today(&caller.client_id, &policy).await? {
            today.push(TodayView {
                region: region.to_string(),
                payments: spent.payments,
                amounts: amounts(&spent.amounts),
                resets_at: spent.resets_at.to_string(),
            });
        }
    }
    Ok(Json(PolicyView::of(&policy, today)))
}
