//! Whether a payee goes by a name (Regulation (EU) 2024/886, UK Confirmation of Payee).

use std::sync::Arc;

use axum::extract::State;
use domain::{InstitutionId, PayeeMatch, Pii, Timestamp, Violations};
use flows::{FlowError, Gateway, PayeeRequest, PayeeVerified};
use serde::{Deserialize, Serialize};
use store::payments::PayeeCheck;
use utoipa::ToSchema;
use web::{Caller, Json, JsonBody, Payments, Problem};

use crate::view::AccountName;

/// A question about an account.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PayeeVerificationCreate {
    /// The institution that holds the account.
    #[schema(example = "de-rheinbank")]
    institution_id: String,
    /// The name that the payer knows, 1 to 140 characters.
    #[schema(min_length = 1, max_length = 140, example = "Anna Lindner")]
    name: String,
    /// The account: `iban` or `sort_code_account_number`.
    account: AccountName,
}

/// What the institution that holds an account says of a name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PayeeResult {
    /// `MATCH`, `CLOSE_MATCH`, `NO_MATCH` or `NOT_POSSIBLE`. Accept unknown values.
    #[schema(example = "CLOSE_MATCH")]
    result: &'static str,
    /// The name that the institution gives, of a close match.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "Anna Lindner")]
    matched_name: Option<Pii<String>>,
    /// Why it is not possible: `INSTITUTION_UNKNOWN`, `NOT_OFFERED`, `UNAVAILABLE`, `TIMED_OUT`,
    /// `ACCOUNT_UNKNOWN`, `ACCOUNT_MOVED`, `ACCOUNT_NOT_COVERED`, `REFERENCE_NEEDED`,
    /// `UNEXPLAINED` or `LIMIT`. Accept unknown values.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// When it was asked (RFC 3339).
    checked_at: String,
}

impl PayeeResult {
    fn new(result: &PayeeMatch, at: Timestamp) -> Self {
        Self {
            result: result.as_str(),
            matched_name: result.name().map(str::to_owned).map(Pii::from),
            reason: result.reason().map(|reason| reason.as_str()),
            checked_at: at.to_string(),
        }
    }

    /// Of a payment, once it is known.
    pub(crate) fn of(check: Option<&PayeeCheck>) -> Option<Self> {
        match check? {
            PayeeCheck::Wanted => None,
            PayeeCheck::Done { result, at } => Some(Self::new(result, *at)),
        }
    }
}

/// The answer to a question about a payee. It is kept nowhere here.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PayeeVerificationView {
    /// Where it was asked.
    institution_id: String,
    /// What it said.
    #[serde(flatten)]
    result: PayeeResult,
}

impl From<PayeeVerified> for PayeeVerificationView {
    fn from(verified: PayeeVerified) -> Self {
        Self {
            institution_id: verified.institution.to_string(),
            result: PayeeResult::new(&verified.result, verified.checked_at),
        }
    }
}

/// Ask whether a payee goes by a name.
///
/// The institution that holds the account is asked each time, and nothing is kept. An
/// institution that does not answer, or verifies no payees, is `NOT_POSSIBLE` and no error. How
/// often a client may ask on a day is limited (`quota.payee_verifications`), so that nobody
/// finds out names by trying.
#[utoipa::path(post, operation_id = "verifyPayee", path = "/v1/payee-verifications", tag = "payments",
    security(("mtls_oauth" = ["payments"])), request_body = PayeeVerificationCreate,
    responses((status = 200, description = "What the institution says", body = PayeeVerificationView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn verify(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    body: JsonBody<PayeeVerificationCreate>,
) -> Result<Json<PayeeVerificationView>, Problem> {
    let asked = body.value;
    let mut violations = Violations::default();
    let v = &mut violations;
    let institution =
        v.take("/institution_id", "institution.invalid", asked.institution_id.parse::<InstitutionId>());
    let account = asked.account.parse("/account", v);
    let (Some(institution), Some(account)) = (institution, account) else {
        return Err(FlowError::Invalid(violations).into());
    };
    let request = PayeeRequest { institution, name: asked.name, account };
    let verified = gateway.verify_payee(&caller.client_id, &request).await?;
    Ok(Json(verified.into()))
}
