//! The fintech-facing REST API, version 1. Its OpenAPI document is generated
//! from this code and checked in under `openapi/`.

mod account_resources;
mod accounts;
mod address;
mod bank_notifications;
mod batch_body;
mod batches;
mod consent_view;
mod consents;
mod event_stream;
mod event_types;
mod events;
mod everywhere;
mod funds;
mod health;
mod institutions;
mod limits;
mod mandate_funds;
mod mandates;
mod payees;
mod payment_order;
mod payment_policy;
mod payment_view;
mod payments;
mod problems;
mod refunds;
mod requests;
mod statement_file;
mod status;
mod sync;
mod transactions;
mod view;
mod vocabulary;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use connect::directory::Directory;
use flows::Gateway;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{AuthorizationCode, Flow, OAuth2, Scopes, SecurityScheme};
use utoipa::{Modify, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use event_stream::EventStreams;
pub use transactions::{TransactionView, Viewer};

/// What the API works with.
#[derive(Clone)]
pub struct Api {
    /// The use cases.
    pub gateway: Arc<Gateway>,
    /// The imported institution directory; empty where none was imported.
    pub directory: Arc<Directory>,
    /// The event streams that are open.
    pub streams: EventStreams,
}

impl FromRef<Api> for EventStreams {
    fn from_ref(api: &Api) -> Self {
        api.streams.clone()
    }
}

impl FromRef<Api> for Arc<Gateway> {
    fn from_ref(api: &Api) -> Self {
        Arc::clone(&api.gateway)
    }
}

impl FromRef<Api> for Arc<Directory> {
    fn from_ref(api: &Api) -> Self {
        Arc::clone(&api.directory)
    }
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Consentry",
        description = "Accounts and payments across many banks, under the consent of the person they belong to. \
                       Clients accept unknown members and unknown values of enumerations.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/", description = "The gateway's mutual-TLS listener")),
    tags(
        (name = "institutions", description = "Which banks there are and what they can do"),
        (name = "consents", description = "What a person allows, where, until when"),
        (name = "accounts", description = "Accounts, balances and transactions of all consents of a token"),
        (name = "funds", description = "Whether an account covers an amount, yes or no"),
        (name = "payments", description = "Payments, placed at most once"),
        (name = "mandates", description = "Payments again and again, within limits that the PSU approves once"),
        (name = "webhooks", description = "Events, pushed to the client or pulled by it"),
        (name = "service", description = "The service itself"),
    ),
    modifiers(&Security, &Webhooks)
)]
struct Document;

/// Tokens are bound to the client's certificate (RFC 8705).
struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut OpenApi) {
        let scopes = Scopes::from_iter([
            ("accounts", "lodge consents and read under them"),
            ("payments", "order payments and mandates"),
            ("fundsconfirmations", "lodge consents to confirmation of funds, and ask under them"),
        ]);
        let flow = AuthorizationCode::new("/oauth/authorize", "/oauth/token", scopes);
        let scheme = SecurityScheme::OAuth2(OAuth2::with_description(
            [Flow::AuthorizationCode(flow)],
            "FAPI 2.0: pushed requests, PKCE, tokens bound to the client certificate",
        ));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("mtls_oauth", scheme);
    }
}

/// What the gateway sends.
struct Webhooks;

impl Modify for Webhooks {
    fn modify(&self, document: &mut OpenApi) {
        document.webhooks = event_types::webhooks();
    }
}

fn documented() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(institutions::list))
        .routes(routes!(institutions::show))
        .routes(routes!(health::show))
        .routes(routes!(limits::show))
        .routes(routes!(requests::show))
        .routes(routes!(consents::lodge, consents::list))
        .routes(routes!(consents::show, consents::revoke))
        .routes(routes!(consents::history))
        .routes(routes!(consents::reconfirm))
        .routes(routes!(consents::renew))
        .routes(routes!(accounts::list))
        .routes(routes!(accounts::show))
        .routes(routes!(accounts::balances))
        .routes(routes!(accounts::account_balances))
        .routes(routes!(transactions::list))
        .routes(routes!(transactions::of_account))
        .routes(routes!(transactions::show))
        .routes(routes!(sync::sync))
        .routes(routes!(account_resources::parties))
        .routes(routes!(account_resources::beneficiaries))
        .routes(routes!(account_resources::standing_orders))
        .routes(routes!(account_resources::direct_debits))
        .routes(routes!(account_resources::scheduled_payments))
        .routes(routes!(account_resources::statements))
        .routes(routes!(statement_file::show))
        .routes(routes!(funds::confirm))
        .routes(routes!(payees::verify))
        .routes(routes!(payments::order, payments::list))
        .routes(routes!(payments::validate))
        .routes(routes!(payment_policy::show))
        .routes(routes!(batches::order))
        .routes(routes!(batches::show))
        .routes(routes!(batches::payments))
        .routes(routes!(batches::cancel))
        .routes(routes!(institutions::constraints))
        .routes(routes!(payments::show))
        .routes(routes!(mandates::order, mandates::list))
        .routes(routes!(mandates::show, mandates::revoke))
        .routes(routes!(mandates::pay, mandates::payments))
        .routes(routes!(mandate_funds::confirm))
        .routes(routes!(payments::cancel))
        .routes(routes!(refunds::order, refunds::list))
        .routes(routes!(events::list))
        .routes(routes!(event_stream::follow))
        .routes(routes!(events::show))
        .routes(routes!(event_types::list))
        .routes(routes!(webhooks::add, webhooks::list))
        .routes(routes!(webhooks::show, webhooks::change, webhooks::remove))
        .routes(routes!(webhooks::verify))
        .routes(routes!(webhooks::enable))
        .routes(routes!(webhooks::rotate_secret))
        .routes(routes!(webhooks::test))
        .routes(routes!(webhooks::deliveries))
        .routes(routes!(webhooks::redeliver))
        .routes(routes!(problems::list))
        .routes(routes!(problems::show))
        .routes(routes!(status::health))
        .routes(routes!(status::ready))
}

/// The OpenAPI 3.1 document.
#[must_use]
pub fn document() -> OpenApi {
    with_forms(documented().into_openapi())
}

fn with_forms(mut document: OpenApi) -> OpenApi {
    vocabulary::write(&mut document);
    everywhere::write(&mut document);
    document
}

/// The routes of the API, with `GET /openapi.json`.
pub fn routes(api: Api) -> Router {
    let (router, document) = documented().split_for_parts();
    let document = Arc::new(with_forms(document));
    router
        .route("/openapi.json", axum::routing::get(move || async move { axum::Json((*document).clone()) }))
        .with_state(api)
}

/// Where banks notify of what has changed there; no part of the API for fintechs.
pub fn bank_routes(gateway: Arc<Gateway>) -> Router {
    bank_notifications::routes(gateway)
}
