//! What became of each transfer of an order, and each time that one was made.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use crypto::Psd2Role;
use domain::Timestamp;
use serde_json::{Value, json};

use super::orders::{At, own_order};
use super::refusal::Refusal;
use super::signature::signed;
use super::version::Version;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::{Moved, Outcome};

pub(super) async fn read(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Extension(at): Extension<At>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?;
    caller.token(&bank, "payments")?;
    let order = own_order(&bank, organisation, &id, at.service.product)?;
    let now = bank.now();
    let each = order.moved().into_iter().enumerate().map(|(number, moved)| {
        let code = moved.at.map_or_else(
            || order.status_of(moved.transfer, now),
            |at| order.settling(at, moved.transfer, now),
        );
        let since = moved.at.unwrap_or_else(|| order.status_since(now));
        detail(at.version, &format!("{id}-{number}"), code, &moved, since)
    });
    let each: Vec<Value> = each.collect();
    let itself = format!("{}/payment-details", at.order(&bank, &id));
    let body = json!({"Data": {"PaymentStatus": each}, "Links": {"Self": itself}, "Meta": {}});
    Ok(signed(&bank, StatusCode::OK, &body))
}

fn detail(version: Version, id: &str, code: &'static str, moved: &Moved<'_>, since: Timestamp) -> Value {
    let mut detail = json!({
        "PaymentTransactionId": id,
        "Status": version.of_payment(code),
        "StatusUpdateDateTime": since.to_string(),
    });
    let rejected = match &moved.transfer.outcome {
        Some(Outcome::Rejected(reason, _)) if version == Version::V4 && moved.at.is_none() => Some(reason),
        Some(Outcome::Rejected(..) | Outcome::Executed(_)) | None => None,
    };
    if let (Some(reason), Some(detail)) = (rejected, detail.as_object_mut()) {
        detail.insert("StatusDetail".into(), json!({"Status": code, "StatusReason": reason}));
    }
    detail
}
