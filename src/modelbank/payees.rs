//! Verification of payees between banks (EPC103-24): the same at every bank in the euro area
//! and in Poland, beside what it has for third parties.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use crypto::Psd2Role;
use domain::Timestamp;
use serde_json::{Value, json};

use crate::bank::Bank;
use crate::caller::{Caller, Unfit};
use crate::engine::accounts;
use crate::engine::payee::{Verdict, verdict};

pub(crate) fn router() -> Router<Arc<Bank>> {
    Router::new().route("/vop/v1/payee-verifications", post(verify))
}

/// A refused request: a code of the standard, or none.
struct Refusal(StatusCode, Option<&'static str>);

const FORMAT: Refusal = Refusal(StatusCode::BAD_REQUEST, Some("FORMAT_ERROR"));
const TIMESTAMP: Refusal = Refusal(StatusCode::BAD_REQUEST, Some("TIMESTAMP_INVALID"));

impl From<Unfit> for Refusal {
    fn from(_: Unfit) -> Self {
        Self(StatusCode::UNAUTHORIZED, Some("CLIENT_INVALID"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, code) = self;
        (status, Json(json!({ "type": "about:blank", "code": code }))).into_response()
    }
}

async fn verify(State(bank): State<Arc<Bank>>, caller: Caller, body: Bytes) -> Result<Response, Refusal> {
    caller.organisation(Psd2Role::PaymentInitiation)?;
    let id = caller.header("x-request-id").filter(|id| uuid::Uuid::parse_str(id).is_ok()).ok_or(FORMAT)?;
    let sent = caller.header("x-request-timestamp").and_then(|at| at.parse::<Timestamp>().ok());
    sent.ok_or(TIMESTAMP)?;
    let body: Value = serde_json::from_slice(&body).map_err(|_| FORMAT)?;
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).ok_or(FORMAT);
    for agent in ["/partyAgent", "/requestingAgent"] {
        let bic = text(&format!("{agent}/financialInstitutionId/bicfi"))?;
        if !domain::is_bic(bic) {
            return Err(FORMAT);
        }
    }
    let (name, iban) = (text("/party/name")?, text("/partyAccount/iban")?);
    let account = accounts(bank.kind).iter().find(|account| account.iban == iban);
    let answer = match account.map_or(Verdict::NotPossible, |account| verdict(account, name)) {
        Verdict::Match => json!({ "partyNameMatch": "MTCH" }),
        Verdict::Close(owner) => json!({ "partyNameMatch": "CMTC", "matchedName": owner }),
        Verdict::NoMatch => json!({ "partyNameMatch": "NMTC" }),
        Verdict::NotPossible => json!({ "partyNameMatch": "NOAP" }),
    };
    let now = bank.now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
    let headers = [("x-request-id", id.to_owned()), ("x-response-timestamp", now)];
    Ok((StatusCode::OK, headers, Json(answer)).into_response())
}
