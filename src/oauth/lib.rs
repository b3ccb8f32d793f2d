//! The authorization server: FAPI 2.0 Security Profile for the fintech, hosted
//! pages for the PSU.
//!
//! Two listeners share it. Pages (no client certificate): discovery, keys,
//! `/oauth/authorize`, consent and payment pages, callbacks from banks. Back
//! channel (client certificate): pushed requests, tokens, registration.

mod authenticate;
mod authorize;
mod client;
mod discovery;
mod error;
mod id_token;
mod pages;
mod par;
mod register;
mod revoke;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, post};
use crypto::SigningKey;
use flows::Gateway;

pub use client::{Client, InvalidMetadata};
pub use error::OAuthError;

/// What the authorization server works with.
#[derive(Clone, Debug)]
pub struct OAuth {
    /// The use cases.
    pub gateway: Arc<Gateway>,
    /// Key that signs id_tokens (PS256); its public half is the JWKS.
    pub signing_key: Arc<SigningKey>,
    /// Lets any client with a trusted certificate register itself.
    pub open_registration: bool,
}

impl FromRef<OAuth> for Arc<Gateway> {
    fn from_ref(oauth: &OAuth) -> Self {
        Arc::clone(&oauth.gateway)
    }
}

impl OAuth {
    /// What a PSU's browser and a client's discovery reach.
    pub fn page_routes(&self) -> Router {
        Router::new()
            .route("/oauth/authorize", get(authorize::authorize))
            .route("/consent/{session}", get(pages::consent::show).post(pages::consent::decide))
            .route("/consent/{session}/bank", post(pages::consent::choose))
            .route("/consent/{session}/next", get(pages::consent::next))
            .route("/consent/{session}/wait", get(pages::consent::wait))
            .route("/pay/{session}", get(pages::payment::show).post(pages::payment::decide))
            .route("/pay/{session}/wait", get(pages::payment::wait))
            .route("/callback/{institution}", get(pages::callback::callback))
            .route("/assets/page.css", get(pages::stylesheet))
            .layer(axum::middleware::from_fn(pages::negotiate))
            .with_state(self.clone())
            .merge(self.discovery_routes())
    }

    /// What a client reaches with its certificate.
    pub fn back_channel_routes(&self) -> Router {
        Router::new()
            .route("/oauth/par", post(par::push))
            .route("/oauth/token", post(token::token))
            .route("/oauth/revoke", post(revoke::revoke))
            .route("/oauth/register", post(register::register))
            .with_state(self.clone())
            .merge(self.discovery_routes())
    }

    fn discovery_routes(&self) -> Router {
        Router::new()
            .route("/.well-known/openid-configuration", get(discovery::metadata))
            .route("/.well-known/oauth-authorization-server", get(discovery::metadata))
            .route("/.well-known/jwks.json", get(discovery::keys))
            .route("/.well-known/webhook-keys.json", get(discovery::webhook_keys))
            .with_state(self.clone())
    }
}
