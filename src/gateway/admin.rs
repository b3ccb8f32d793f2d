//! The operators' interface: JSON below `/admin/v1`, and a console of the same for a browser. It listens by
//! itself, asks for a certificate of an operator, and shows nothing of a person.
//!
//! Who may look is a viewer, who may change something is an operator: by the common name of the certificate.
//! What somebody changes is in the log's target `audit` with the thumbprint of the certificate, since a name
//! is a person's.

mod changes;
mod console;
mod refusal;
mod view;

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use crypto::certificate::Thumbprint;
use edge::PeerIdentity;
use flows::Gateway;
use http::request::Parts;
use http::{HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Value, json};
use store::Stores;
use tokio::sync::Notify;
use web::JsonBody;

use crate::service::{EdgeState, Lately};
use refusal::Refusal;
use view::View;

/// What the interface shows and changes.
#[derive(Clone)]
pub(crate) struct Admin {
    /// The use cases.
    pub(crate) gateway: Arc<Gateway>,
    /// The stores.
    pub(crate) stores: Stores,
    /// What the edge counts.
    pub(crate) edge: EdgeState,
    /// What is looked up from time to time.
    pub(crate) lately: Arc<Lately>,
    /// Who may look.
    pub(crate) viewers: Arc<[String]>,
    /// Who may change something.
    pub(crate) operators: Arc<[String]>,
    /// Digest of the configuration.
    pub(crate) config: String,
    /// Rings when all files are to be read anew.
    pub(crate) reload: Arc<Notify>,
}

/// What somebody may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Viewer,
    Operator,
}

/// Somebody who may look.
#[derive(Clone, Copy, Debug)]
struct Viewer(Role);

/// Somebody who may change something, by this certificate.
#[derive(Clone, Copy, Debug)]
struct Operator(Thumbprint);

impl FromRequestParts<Admin> for Operator {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Admin) -> Result<Self, Refusal> {
        let thumbprint = parts.extensions.get::<PeerIdentity>().and_then(PeerIdentity::trusted);
        let thumbprint = thumbprint.map(|certificate| certificate.thumbprint);
        match (parts.extensions.get(), thumbprint) {
            (Some(Viewer(Role::Operator)), Some(thumbprint)) => Ok(Self(thumbprint)),
            (Some(_) | None, _) => Err(Refusal::of_role(
                "Your certificate is one of who may look. Who may change something is named under [admin].",
            )),
        }
    }
}

/// The routes.
pub(crate) fn routes(admin: Admin) -> Router {
    Router::new()
        .route("/", get(console::show))
        .route("/console.css", get(console::style))
        .route("/clients/{id}/{change}", post(console::change_client))
        .route("/payments/{id}/end", post(console::end_payment))
        .route("/reload", post(console::reload))
        .route("/admin/v1/status", get(status))
        .route("/admin/v1/banks", get(banks))
        .route("/admin/v1/clients", get(clients))
        .route("/admin/v1/clients/{id}/{change}", post(change_client))
        .route("/admin/v1/payments", get(payments))
        .route("/admin/v1/payments/{id}/end", post(end_payment))
        .route("/admin/v1/deliveries", get(deliveries))
        .route("/admin/v1/reload", post(reload))
        .fallback(web::no_such_path)
        .method_not_allowed_fallback(web::no_such_method)
        .layer(from_fn_with_state(admin.clone(), known))
        .layer(from_fn(from_here))
        .layer(from_fn(web::in_its_occasion))
        .with_state(admin)
}

/// Lets nobody in who is not named.
async fn known(State(admin): State<Admin>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<PeerIdentity>().and_then(PeerIdentity::trusted);
    let name = peer.and_then(|certificate| certificate.fields.common_name.clone());
    let role = match name {
        Some(name) if admin.operators.contains(&name) => Role::Operator,
        Some(name) if admin.viewers.contains(&name) => Role::Viewer,
        Some(_) | None => {
            return Refusal::of_role("A certificate is wanted of somebody who is named under [admin].")
                .into_response();
        }
    };
    request.extensions_mut().insert(Viewer(role));
    next.run(request).await
}

/// A browser shows its certificate to whoever makes it ask. What changes something comes from our own
/// pages, or from no browser.
async fn from_here(request: Request, next: Next) -> Response {
    let site = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
    let foreign = site.is_some_and(|site| site != b"same-origin" && site != b"none");
    if request.method() != Method::GET && foreign {
        return Refusal::of_role("This was asked for by a page of somebody else.").into_response();
    }
    let mut response = next.run(request).await;
    let policy =
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    response.headers_mut().insert("content-security-policy", HeaderValue::from_static(policy));
    response
}

async fn status(State(admin): State<Admin>) -> Json<Value> {
    Json(view::status(&admin))
}

async fn banks(State(admin): State<Admin>) -> Json<Value> {
    Json(json!({ "data": view::banks(&admin) }))
}

async fn clients(State(admin): State<Admin>) -> Result<Json<Value>, Refusal> {
    Ok(Json(json!({ "data": view::clients(&admin).await? })))
}

async fn payments(State(admin): State<Admin>) -> Result<Json<Value>, Refusal> {
    Ok(Json(json!({ "data": view::payments(&admin).await? })))
}

async fn deliveries(State(admin): State<Admin>) -> Result<Json<Value>, Refusal> {
    Ok(Json(json!({ "data": view::deliveries(&admin).await? })))
}

async fn change_client(
    State(admin): State<Admin>,
    operator: Operator,
    Path((id, change)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    changes::client(&admin, operator.0, &id, &change).await?;
    Ok(Json(json!({ "client_id": id, "done": change })))
}

/// What a person found out about a payment.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    /// Whether the bank executed it.
    executed: bool,
}

async fn end_payment(
    State(admin): State<Admin>,
    operator: Operator,
    Path(id): Path<String>,
    found: JsonBody<Found>,
) -> Result<Json<Value>, Refusal> {
    changes::payment(&admin, operator.0, &id, found.value.executed).await?;
    Ok(Json(json!({ "id": id, "executed": found.value.executed })))
}

async fn reload(State(admin): State<Admin>, operator: Operator) -> Json<Value> {
    changes::reload(&admin, operator.0);
    Json(json!({ "done": "reload" }))
}

/// All that the console shows.
async fn everything(admin: &Admin) -> Result<View, Refusal> {
    Ok(View {
        status: view::status(admin),
        banks: view::banks(admin),
        clients: view::clients(admin).await?,
        payments: view::payments(admin).await?,
        deliveries: view::deliveries(admin).await?,
    })
}
