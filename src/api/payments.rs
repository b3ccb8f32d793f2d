//! Payments: ordered, shown.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use domain::{InstitutionId, PaymentId, PaymentPolicy, PaymentState, Region, Timestamp};
use flows::{Gateway, PaymentReply, PaymentRequest};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::clients::ClientRow;
use store::idempotency::ClaimKey;
use store::payments::{PaymentRow, PaymentsOf};
use utoipa::{IntoParams, ToSchema};
use web::{
    Caller, Cursor, IdempotencyKey, Json, JsonBody, Payments, Problem, ProblemCode, QueryParams, from_text,
};

use crate::consents::stored_answer;
use crate::payment_order::PaymentCreate;
use crate::payment_view::{LifeView, PaymentView, SchemeChoiceView, life_of};
use crate::view::{Page, PageParams, Step, limit_of};

/// Order a payment.
///
/// Recorded at once; the bank is called when the PSU approves. Send the PSU to
/// `authorization.href`. Sent again with the same Idempotency-Key and body, it
/// answers the same and orders nothing.
#[utoipa::path(post, operation_id = "orderPayment", path = "/v1/payments", tag = "payments", security(("mtls_oauth" = ["payments"])),
    params(("Idempotency-Key" = String, Header, description = "Quoted or bare; kept for 30 days")),
    request_body = PaymentCreate,
    responses((status = 201, description = "Made", body = PaymentView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn order(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    key: IdempotencyKey,
    body: JsonBody<PaymentCreate>,
) -> Result<Response, Problem> {
    let fingerprint = crypto::digest::sha256_hex(&body.bytes);
    let request = ordered(&gateway, &caller, body).await;
    let view = |row: &PaymentRow, life| serde_json::to_string(&PaymentView::of(row, life));
    answered(&gateway, &caller, (PLACE, key, fingerprint), request, view).await
}

/// Makes an order of what was asked, once by its key, and answers with what `view` shows.
/// What is refused is answered as before, if it was taken before.
pub(crate) async fn answered(
    gateway: &Gateway,
    caller: &Caller<Payments>,
    (place, key, fingerprint): (Place, IdempotencyKey, String),
    request: Result<PaymentRequest, Problem>,
    view: impl FnOnce(&PaymentRow, LifeView) -> serde_json::Result<String>,
) -> Result<Response, Problem> {
    let client_id = &caller.client_id;
    let stored =
        |reply: PaymentReply| stored_answer(reply.status, reply.body, reply.replayed, place.collection);
    let request = match request {
        Ok(request) => request,
        Err(problem) => {
            let before = gateway.answered_elsewhen(client_id, place.operation, &key.0, &fingerprint).await?;
            return before.map(stored).ok_or_else(|| problem.outcome("not_executed"));
        }
    };
    let claim = |region| ClaimKey {
        client_id: client_id.clone(),
        operation: place.operation,
        key: key.0.clone(),
        fingerprint,
        region,
    };
    let answer = |row: &PaymentRow| {
        let first = Step::first(row.created_at, row.state.as_str());
        let life = LifeView::of(row, row.can_cancel(), vec![first]);
        let href = format!("{}{}", gateway.config().pages_origin, gateway.approval_path(row.id));
        view(row, life.approved_at(href)).unwrap_or_default()
    };
    // Whatever goes wrong here, no bank has been called.
    let reply = gateway.order_payment(client_id, request, claim, answer).await;
    reply.map(stored).map_err(|error| Problem::from(error).outcome("not_executed"))
}

/// Where orders of a kind are made.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// What an idempotency key belongs to.
    pub(crate) operation: &'static str,
    /// Path that an order's id follows.
    pub(crate) collection: &'static str,
}

const PLACE: Place = Place { operation: "POST /v1/payments", collection: "/v1/payments" };

/// An order that its token, its institution and its client's registration admit.
pub(crate) async fn ordered(
    gateway: &Gateway,
    caller: &Caller<Payments>,
    body: JsonBody<PaymentCreate>,
) -> Result<PaymentRequest, Problem> {
    let mut request = body.value.parse(gateway)?;
    gateway.check_constraints(&request.institution, request.order.kind(), &body.bytes)?;
    gateway.check_order(&caller.token, &request.order).await?;
    request.policy = admitted(gateway, caller, &request).await?;
    Ok(request)
}

/// Holds an order against the registration of its client, and what that may pay.
pub(crate) async fn admitted(
    gateway: &Gateway,
    caller: &Caller<Payments>,
    request: &PaymentRequest,
) -> Result<Option<PaymentPolicy>, Problem> {
    let client = registered(gateway, &caller.client_id, &request.redirect_uri).await?;
    if let Some(policy) = &client.payment_policy {
        gateway.admit_payment(&caller.client_id, policy, &request.order)?;
    }
    Ok(client.payment_policy)
}

/// An order that could be made.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Validated {
    /// `true`: what cannot be ordered is answered with what is wrong with it.
    valid: bool,
    /// What kind of order it would be.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The rail it would run on.
    scheme: &'static str,
    /// Why this rail, where the order leaves it to us (`AUTO`).
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme_choice: Option<SchemeChoiceView>,
}

/// Try an order.
///
/// Holds it against all that ordering it would be held against, the institution's own
/// constraints included, and orders nothing. No bank is called and nothing is kept.
#[utoipa::path(post, operation_id = "validatePayment", path = "/v1/payments:validate", tag = "payments", security(("mtls_oauth" = ["payments"])),
    request_body = PaymentCreate,
    responses((status = 200, description = "It could be ordered", body = Validated),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn validate(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    body: JsonBody<PaymentCreate>,
) -> Result<Json<Validated>, Problem> {
    let request =
        ordered(&gateway, &caller, body).await.map_err(|problem| problem.outcome("not_executed"))?;
    let scheme = request.order.scheme();
    Ok(Json(Validated {
        valid: true,
        kind: request.order.kind().as_str(),
        scheme: scheme.as_str(),
        scheme_choice: SchemeChoiceView::of(request.scheme_choice.as_deref()),
    }))
}

/// A payment in a list, without its life; none, if it is a batch.
pub(crate) fn listed(gateway: &Gateway, payment: &PaymentRow) -> Option<PaymentView> {
    PaymentView::of(payment, LifeView::of(payment, gateway.can_cancel(payment), Vec::new()))
}

/// One page of certain payments of a region.
pub(crate) async fn page_of(
    gateway: &Gateway,
    region: Region,
    of: &PaymentsOf,
    cursors: &Cursor<'_>,
    params: &PageParams,
) -> Result<(Vec<PaymentView>, Page), Problem> {
    let limit = limit_of(params.limit, 100, 500)?;
    let after: Option<(Timestamp, PaymentId)> =
        params.cursor.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    let mut found = gateway.stores().region(region)?.payments_of(of, after, limit.saturating_add(1)).await?;
    let page = Page::of(&mut found, limit, |row| cursors.write(&(row.created_at, row.id)));
    Ok((found.iter().filter_map(|payment| listed(gateway, payment)).collect(), page))
}

/// Which payments.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PaymentParams {
    /// Those in this state.
    #[serde(default)]
    #[param(example = "SETTLED")]
    state: Option<String>,
    /// Those at this institution.
    #[serde(default)]
    institution_id: Option<String>,
    /// Payments on a page, 1 to 500.
    #[serde(default, deserialize_with = "from_text")]
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u16>,
    /// Where the page starts, from the page before.
    #[serde(default)]
    cursor: Option<String>,
}

/// Payments, the newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PaymentList {
    /// The payments.
    pub(crate) data: Vec<PaymentView>,
    /// Where the next page starts.
    pub(crate) page: Page,
}

/// List your payments.
///
/// The newest first, of all regions held here. Each is shown in full, with its life, at
/// `/v1/payments/{payment_id}`. Batches are not among them, so that a page may be shorter
/// than its limit; `page.has_more` says whether there is another.
#[utoipa::path(get, operation_id = "listPayments", path = "/v1/payments", tag = "payments",
    security(("mtls_oauth" = ["payments"])), params(PaymentParams),
    responses((status = 200, description = "What was asked for", body = PaymentList),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    QueryParams(params): QueryParams<PaymentParams>,
) -> Result<Json<PaymentList>, Problem> {
    let limit = limit_of(params.limit, 100, 500)?;
    let wrong = |parameter, detail: String| {
        Problem::new(ProblemCode::Query).error(parameter, "parameter.invalid", detail)
    };
    let state = params.state.as_deref().map(|word| {
        let known = || PaymentState::ALL.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ");
        PaymentState::from_word(word).ok_or_else(|| wrong("state", known()))
    });
    let institution = params.institution_id.as_deref().map(|text| {
        text.parse::<InstitutionId>().map_err(|error| wrong("institution_id", error.to_string()))
    });
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let bound = [caller.client_id.clone(), text(&params.state), text(&params.institution_id)];
    let bound = bound.each_ref().map(String::as_str);
    let cursors = Cursor::new(gateway.id_key(), "payments", &bound);
    let after: Option<(Timestamp, PaymentId)> =
        params.cursor.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    let of = PaymentsOf {
        mandate: None,
        refunds: None,
        client_id: caller.client_id.clone(),
        state: state.transpose()?,
        institution: institution.transpose()?,
    };
    let mut found = Vec::new();
    for store in gateway.stores().regions() {
        found.extend(store.payments_of(&of, after, limit.saturating_add(1)).await?);
    }
    // As the stores order them: by the text of the id where the time is the same.
    found.sort_by_key(|row| Reverse((row.created_at, row.id.to_string())));
    let page = Page::of(&mut found, limit, |row| cursors.write(&(row.created_at, row.id)));
    let data = found.iter().filter_map(|payment| listed(&gateway, payment)).collect();
    Ok(Json(PaymentList { data, page }))
}

/// Show a payment.
#[utoipa::path(get, operation_id = "showPayment", path = "/v1/payments/{payment_id}", tag = "payments",
    security(("mtls_oauth" = ["payments"])), params(("payment_id" = String, Path)),
    responses((status = 200, description = "What was asked for", body = PaymentView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    Path(payment): Path<String>,
) -> Result<Json<PaymentView>, Problem> {
    let payment = gateway.payment(&caller.client_id, payment_id(&payment)?).await?;
    shown(&gateway, &payment).await
}

/// Cancel a payment.
///
/// On our word while no bank can execute it: until the PSU has approved, and at banks that
/// execute on the PSU's word alone until the PSU is sent there. Later at the bank, where it
/// takes orders back whose day is still to come (`can_cancel`). Some banks want the PSU to
/// approve that: `cancellation.authorization.href` is where, and the order stands until then.
/// Refused, nothing changes. Cancelled again, it answers the same.
#[utoipa::path(post, operation_id = "cancelPayment", path = "/v1/payments/{payment_id}/cancel", tag = "payments",
    security(("mtls_oauth" = ["payments"])), params(("payment_id" = String, Path)),
    responses((status = 200, description = "Done", body = PaymentView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn cancel(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    Path(payment): Path<String>,
) -> Result<Json<PaymentView>, Problem> {
    let payment = gateway.cancel_payment(&caller.client_id, payment_id(&payment)?).await?;
    shown(&gateway, &payment).await
}

pub(crate) fn payment_id(text: &str) -> Result<PaymentId, Problem> {
    text.parse().map_err(|_| Problem::new(ProblemCode::NotFound).detail("There is no such payment."))
}

/// With its history.
async fn shown(gateway: &Gateway, payment: &PaymentRow) -> Result<Json<PaymentView>, Problem> {
    let life = life_of(gateway, payment).await?;
    let batch = || {
        Problem::new(ProblemCode::NotFound)
            .detail(format!("This is a batch: it is at /v1/payment-batches/{}.", payment.id))
    };
    PaymentView::of(payment, life).map(Json).ok_or_else(batch)
}

/// The client: the PSU is sent to no address that it did not register.
pub(crate) async fn registered(
    gateway: &Gateway,
    client_id: &str,
    redirect_uri: &str,
) -> Result<ClientRow, Problem> {
    let client = gateway.stores().global().client(client_id).await?;
    let knows = |client: &ClientRow| {
        let known = client.metadata.get("redirect_uris").and_then(Value::as_array);
        known.is_some_and(|known| known.iter().any(|uri| uri.as_str() == Some(redirect_uri)))
    };
    client.filter(knows).ok_or_else(|| {
        let detail = "one of the redirect_uris of your registration";
        Problem::new(ProblemCode::Invalid).error("/redirect_uri", "redirect_uri.unregistered", detail)
    })
}
