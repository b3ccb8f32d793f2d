//! Confirmation of funds (PSD2 art. 65).

use std::sync::Arc;

use axum::extract::State;
use domain::Violations;
use flows::{FlowError, FundsConfirmed, FundsRequest, Gateway};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Caller, Funds, Json, JsonBody, Problem, Psu};

use crate::consents::consent_id;
use crate::view::Amount;

/// A question about an account.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FundsConfirmationCreate {
    /// The consent of the type `FUNDS_CONFIRMATION`; it names the account.
    #[schema(example = "con_uk_0197f0c2a7c07d3e8a3b5d1f20c4e6a8")]
    consent_id: String,
    /// How much is to be there, in the currency of the account.
    amount: Amount,
    /// Your name for the question, which the bank sees, 1 to 35 characters; ours if absent.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 35)]
    reference: Option<String>,
}

/// A bank's yes or no. It is about this moment and reserves nothing, and must not be
/// stored or used for anything but the payment by card (PSD2 art. 65(3)).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct FundsConfirmationView {
    /// The consent.
    consent_id: String,
    /// Where it was asked.
    institution_id: String,
    /// Whether the amount is there.
    available: bool,
    /// Whether that can be relied on: false at a bank that is known to answer
    /// untruly, or not at all.
    reliable: bool,
    /// What the bank was asked under.
    reference: String,
    /// The bank's own name for its answer, where it gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    bank_reference: Option<String>,
    /// The standard that the bank speaks, with version.
    standard: String,
    /// When it was answered (RFC 3339).
    as_of: String,
}

impl FundsConfirmationView {
    fn of(consent_id: String, confirmed: FundsConfirmed) -> Self {
        Self {
            consent_id,
            institution_id: confirmed.institution.to_string(),
            available: confirmed.answer.available,
            reliable: confirmed.answer.reliable,
            reference: confirmed.reference,
            bank_reference: confirmed.answer.bank_reference,
            standard: confirmed.standard,
            as_of: confirmed.as_of.to_string(),
        }
    }
}

/// Ask whether an account covers an amount.
///
/// The token must be one of the consent. The bank is asked each time: an answer is
/// true of one moment and may not be kept, so that there is no idempotency key.
#[utoipa::path(post, operation_id = "confirmFunds", path = "/v1/funds-confirmations", tag = "funds",
    security(("mtls_oauth" = ["fundsconfirmations"])), request_body = FundsConfirmationCreate,
    params(("PSU-IP-Address" = Option<String>, Header, description = "Address of the person, if present")),
    responses((status = 200, description = "The bank's answer", body = FundsConfirmationView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn confirm(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Funds>,
    Psu(psu): Psu,
    body: JsonBody<FundsConfirmationCreate>,
) -> Result<Json<FundsConfirmationView>, Problem> {
    let asked = body.value;
    let mut violations = Violations::default();
    let amount = asked.amount.parse("/amount", &mut violations);
    let Some(amount) = amount.filter(|_| violations.is_empty()) else {
        return Err(FlowError::Invalid(violations).into());
    };
    let request =
        FundsRequest { consent: consent_id(&asked.consent_id)?, amount, reference: asked.reference };
    let confirmed = gateway.confirm_funds(caller.asker(), &caller.token, &request, psu.as_ref()).await?;
    Ok(Json(FundsConfirmationView::of(asked.consent_id, confirmed)))
}
