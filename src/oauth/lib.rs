//! The authorization server: FAPI 2.0 Security Profile for the fintech, hosted
//! pages for the PSU.
//!
//! Two listeners share it. Pages (no client certificate): discovery, keys,
//! `/oauth/authorize`, consent and payment pages, callbacks from banks. Back
//! channel (client certificate): pushed requests, tokens, registration.

mod application;
mod assertion;
mod authenticate;
mod authorize;
mod backchannel;
mod client;
mod details;
mod discovery;
mod error;
mod form;
mod granting;
mod grants;
mod id_token;
mod introspect;
mod locale;
mod pages;
mod par;
mod register;
mod registration;
mod request_object;
mod response;
mod revoke;
mod software;
mod texts;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{delete, get, post};
use crypto::KeyRing;
use domain::Timestamp;
use flows::Gateway;
use http::HeaderValue;
use moka::sync::Cache;
use store::StoreError;

pub use client::{Client, InvalidMetadata};
pub use error::OAuthError;
pub use registration::{Registration, new_client_id};
pub use software::SoftwareIssuer;

/// What the authorization server works with.
#[derive(Clone, Debug)]
pub struct OAuth {
    /// The use cases.
    pub gateway: Arc<Gateway>,
    /// Keys that sign what we say: the current one is of PS256. Their public
    /// halves are the JWKS.
    pub keys: Arc<KeyRing>,
    /// Lets any client with a trusted certificate register itself; without it,
    /// only with a software statement.
    pub open_registration: bool,
    /// Whose software statements are believed.
    pub software_issuers: Arc<[SoftwareIssuer]>,
    /// Registered clients, as they were when last read.
    pub clients: Clients,
}

/// Registered clients, parsed, each with the state of the registrations that
/// it was read in.
#[derive(Clone, Debug)]
pub struct Clients(Arc<Cache<String, (u64, Arc<Client>)>>);

impl Default for Clients {
    fn default() -> Self {
        let cache = Cache::builder().max_capacity(10_000).time_to_live(std::time::Duration::from_secs(60));
        Self(Arc::new(cache.build()))
    }
}

impl FromRef<OAuth> for Arc<Gateway> {
    fn from_ref(oauth: &OAuth) -> Self {
        Arc::clone(&oauth.gateway)
    }
}

impl OAuth {
    /// An active client.
    pub(crate) async fn client(&self, id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        let generation = self.gateway.clients_generation();
        let kept = self.clients.0.get(id);
        if let (Some(now), Some((then, client))) = (generation, kept)
            && now == then
        {
            return Ok(Some(client));
        }
        let row = self.gateway.stores().global().client(id).await?;
        let Some(row) = row.filter(|row| row.status == "active") else { return Ok(None) };
        let Ok(client) = Client::from_metadata(&row.client_id, &row.metadata) else {
            tracing::error!(client.id = id, "The registration of {id} cannot be understood");
            return Ok(None);
        };
        let client = Arc::new(client);
        if let Some(generation) = generation {
            self.clients.0.insert(id.to_owned(), (generation, Arc::clone(&client)));
        }
        Ok(Some(client))
    }

    /// What a PSU's browser and a client's discovery reach.
    pub fn page_routes(&self) -> Router {
        Router::new()
            .route("/oauth/authorize", get(authorize::authorize))
            .route("/consent/{session}", get(pages::consent::show).post(pages::consent::decide))
            .route("/consent/{session}/bank", post(pages::consent::choose))
            .route("/consent/{session}/next", get(pages::consent::next))
            .route("/consent/{session}/sca", get(pages::sca::show_consent).post(pages::sca::answer_consent))
            .route("/consent/{session}/wait", get(pages::consent::wait))
            .route("/consent/{session}/extend", post(pages::time::extend_consent))
            .route("/consent/{session}/leave", post(pages::session::leave_consent))
            .route("/pay/{session}", get(pages::payment::show).post(pages::payment::decide))
            .route("/pay/{session}/open/{key}", get(pages::payment::open))
            .route("/pay/{session}/sca", get(pages::sca::show_payment).post(pages::sca::answer_payment))
            .route("/pay/{session}/wait", get(pages::payment::wait))
            .route("/pay/{session}/extend", post(pages::time::extend_payment))
            .route("/pay/{session}/leave", post(pages::session::leave_payment))
            .route("/mandate/{session}", get(pages::mandate::show).post(pages::mandate::decide))
            .route("/mandate/{session}/sca", get(pages::sca::show_mandate).post(pages::sca::answer_mandate))
            .route("/mandate/{session}/wait", get(pages::mandate::wait))
            .route("/mandate/{session}/extend", post(pages::time::extend_mandate))
            .route("/mandate/{session}/leave", post(pages::session::leave_mandate))
            .route("/callback/{institution}", get(pages::callback::callback))
            .route("/callback/{institution}/fragment", get(pages::callback::handed_over))
            .route("/access", get(pages::access::show))
            .route("/access/withdraw", post(pages::access::withdraw))
            .route("/access/forget", post(pages::access::forget))
            .route("/assets/page.css", get(pages::style_sheet))
            .route("/assets/fragment.js", get(pages::fragment_script))
            .route("/assets/theme.css", get(pages::theme))
            .layer(from_fn_with_state(self.clone(), pages::negotiate))
            .with_state(self.clone())
            .merge(self.discovery_routes())
    }

    /// What a client reaches with its certificate, or with DPoP proofs.
    pub fn back_channel_routes(&self) -> Router {
        Router::new()
            .route("/oauth/par", post(par::push))
            .route("/oauth/token", post(token::token))
            .route("/oauth/bc-authorize", post(backchannel::authorize))
            .route("/oauth/introspect", post(introspect::introspect))
            .route("/oauth/revoke", post(revoke::revoke))
            .route("/oauth/register", post(register::register))
            .route(
                "/oauth/register/{client_id}",
                get(register::show).put(register::replace).delete(register::remove),
            )
            .route("/oauth/grants/{grant_id}", get(grants::show).delete(grants::revoke))
            .route("/v1/application", get(application::show))
            .route("/v1/application/keys", post(application::add_key))
            .route("/v1/application/keys/{kid}", delete(application::remove_key))
            .layer(from_fn_with_state(self.clone(), offer_nonce))
            .with_state(self.clone())
            .merge(self.discovery_routes())
    }

    fn discovery_routes(&self) -> Router {
        Router::new()
            .route("/.well-known/openid-configuration", get(discovery::metadata))
            .route("/.well-known/oauth-authorization-server", get(discovery::metadata))
            .route("/.well-known/jwks.json", get(discovery::keys))
            .route("/.well-known/webhook-keys.json", get(discovery::webhook_keys))
            .route("/.well-known/authorization-details", get(discovery::detail_types))
            .route("/.well-known/authorization-details/{type}", get(discovery::detail_schema))
            .with_state(self.clone())
    }
}

/// RFC 9449 §8.2: whoever proves with DPoP is told the nonce to use next.
async fn offer_nonce(State(oauth): State<OAuth>, request: Request, next: Next) -> Response {
    let proves = request.headers().contains_key(web::dpop::DPOP);
    let mut response = next.run(request).await;
    if proves && let Ok(nonce) = HeaderValue::from_str(&web::dpop::nonce(&oauth.gateway)) {
        response.headers_mut().insert(web::dpop::DPOP_NONCE, nonce);
    }
    response
}

/// `at` plus some seconds.
pub(crate) fn seconds_after(at: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(at.as_second().saturating_add(seconds)).unwrap_or(at)
}
