//! Whether the account of a mandate covers an amount.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::Violations;
use flows::{FlowError, Gateway, MandateFunds};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Caller, Json, JsonBody, Payments, Problem, Psu};

use crate::mandates::{above_zero, mandate_id};
use crate::view::Amount;

/// A question about the account of a mandate.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MandateFundsCreate {
    /// How much is to be there: above zero, and no more than one payment may have.
    amount: Amount,
}

/// A bank's yes or no. It is about this moment and reserves nothing.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct MandateFundsView {
    /// The mandate.
    mandate_id: String,
    /// Where it was asked.
    institution_id: String,
    /// Whether the amount is there.
    available: bool,
    /// Whether that can be relied on.
    reliable: bool,
    /// The bank's own name for its answer, where it gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    bank_reference: Option<String>,
    /// The standard that the bank speaks, with version.
    standard: String,
    /// When it was answered (RFC 3339).
    as_of: String,
}

impl MandateFundsView {
    fn of(mandate_id: String, funds: MandateFunds) -> Self {
        Self {
            mandate_id,
            institution_id: funds.institution.to_string(),
            available: funds.answer.available,
            reliable: funds.answer.reliable,
            bank_reference: funds.answer.bank_reference,
            standard: funds.standard,
            as_of: funds.as_of.to_string(),
        }
    }
}

/// Ask whether the account of a mandate covers an amount.
///
/// Nothing is drawn on the limits of the mandate. The bank is asked each time, so that
/// there is no idempotency key.
#[utoipa::path(post, operation_id = "confirmMandateFunds", path = "/v1/mandates/{mandate_id}/funds-confirmations", tag = "mandates",
    security(("mtls_oauth" = ["payments"])),
    params(("mandate_id" = String, Path),
        ("PSU-IP-Address" = Option<String>, Header, description = "Address of the person, if present")),
    request_body = MandateFundsCreate,
    responses((status = 200, description = "The bank's answer", body = MandateFundsView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn confirm(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    Psu(psu): Psu,
    Path(mandate): Path<String>,
    body: JsonBody<MandateFundsCreate>,
) -> Result<Json<MandateFundsView>, Problem> {
    let mandate = gateway.mandate(&caller.client_id, mandate_id(&mandate)?).await?;
    gateway.check_mandate(&caller.token, &mandate.terms.order).await?;
    let mut violations = Violations::default();
    let amount = above_zero(&body.value.amount, "/amount", &mut violations);
    let Some(amount) = amount.filter(|_| violations.is_empty()) else {
        return Err(FlowError::Invalid(violations).into());
    };
    let funds = gateway.confirm_mandate_funds(&caller.client_id, mandate.id, &amount, psu.as_ref()).await?;
    Ok(Json(MandateFundsView::of(mandate.id.to_string(), funds)))
}
