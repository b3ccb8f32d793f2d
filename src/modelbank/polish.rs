//! The Polish face: PolishAPI 2.1. Everything is a POST with a header in its
//! body and a detached JWS over it, in both directions; the authorization makes
//! the consent, under the name that the TPP gave it.

mod accounts;
mod authorize;
mod funds;
mod orders;
mod payments;
mod refusal;
mod signature;
mod token;

use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use axum::routing::post;
use axum::{Extension, Router};
use serde_json::{Map, Value, json};

use crate::bank::Bank;
use crate::caller::Caller;
use orders::Kind;
pub(crate) use orders::{asked, asked_debtor};
pub(crate) use payments::to_cancel;
use refusal::Refusal;

pub(crate) fn router(bank: &Arc<Bank>) -> Router<Arc<Bank>> {
    let auth =
        Router::new().route("/authorize", post(authorize::authorize)).route("/token", post(token::issue));
    let accounts = Router::new()
        .route("/getAccounts", post(accounts::list))
        .route("/getAccount", post(accounts::one))
        .route("/getTransactionsDone", post(accounts::done))
        .route("/getTransactionsPending", post(accounts::pending))
        .route("/getTransactionsScheduled", post(accounts::scheduled))
        .route("/getTransactionDetail", post(accounts::detail))
        .route("/deleteConsent", post(authorize::delete));
    let payments = Router::new()
        .route("/getPayment", post(payments::read))
        .route("/getBundle", post(payments::read_bundle))
        .route("/getRecurringPayment", post(payments::read_recurring))
        .route("/cancelPayments", post(payments::cancel))
        .route("/cancelRecurringPayment", post(payments::cancel_recurring));
    let payments = Kind::ALL.into_iter().fold(payments, |payments, kind| {
        let place = post(payments::place).layer(Extension(kind));
        payments.route(&format!("/{}", kind.name()), place)
    });
    Router::new()
        .nest("/v2_1_1.1/auth/v2_1_1.1", auth)
        .nest("/v2_1_1.1/accounts/v2_1_1.1", accounts)
        .nest("/v2_1_1.1/payments/v2_1_1.1", payments)
        .route("/v2_1_1.1/confirmation/v2_1_1.1/getConfirmationOfFunds", post(funds::confirm))
        .layer(from_fn_with_state(Arc::clone(bank), signature::both_ways))
}

/// A body whose header belongs to this request.
fn parsed(caller: &Caller, body: &[u8]) -> Result<Value, Refusal> {
    let body: Value =
        serde_json::from_slice(body).map_err(|_| Refusal::format("The body is not valid JSON"))?;
    let header = body.get("requestHeader").ok_or(Refusal::format("requestHeader is missing"))?;
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    if text("requestId") != caller.header("x-request-id") {
        return Err(Refusal::format("requestId is not the X-REQUEST-ID"));
    }
    for name in ["sendDate", "tppId"] {
        text(name).filter(|text| !text.is_empty()).ok_or(Refusal::format("requestHeader is not complete"))?;
    }
    Ok(body)
}

/// The same, with the token that the caller sends outside.
fn parsed_with_token(caller: &Caller, body: &[u8]) -> Result<Value, Refusal> {
    let body = parsed(caller, body)?;
    let inside = body.pointer("/requestHeader/token").and_then(Value::as_str);
    let outside = caller.header("authorization").and_then(|header| header.split_once(' '));
    match (inside, outside) {
        (Some(inside), Some((_, outside))) if inside == outside.trim() => Ok(body),
        _ => Err(Refusal::token()),
    }
}

/// An answer with its header.
fn answer(bank: &Bank, caller: &Caller, members: Value) -> Value {
    let mut answer = members.as_object().cloned().unwrap_or_else(Map::new);
    let header = json!({
        "requestId": caller.header("x-request-id"),
        "sendDate": date_time(bank.now()),
        "isCallback": false,
    });
    answer.insert("responseHeader".into(), header);
    Value::Object(answer)
}

/// A date with time as the standard writes it.
fn date_time(at: domain::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A number with two places, and its sign apart.
fn amount(amount: rust_decimal::Decimal) -> String {
    let mut amount = amount;
    amount.rescale(2);
    amount.to_string()
}
