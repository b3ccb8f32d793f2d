//! What clients learn about us: RFC 8414 metadata at both locations, keys.

use axum::Json;
use axum::extract::State;
use http::header::CACHE_CONTROL;
use serde_json::{Value, json};

use crate::OAuth;
use crate::client::SCOPES;

type Cacheable = ([(http::HeaderName, &'static str); 1], Json<Value>);

fn cacheable(value: Value) -> Cacheable {
    ([(CACHE_CONTROL, "public, max-age=300")], Json(value))
}

/// `GET /.well-known/openid-configuration`, `GET /.well-known/oauth-authorization-server`.
pub(crate) async fn metadata(State(oauth): State<OAuth>) -> Cacheable {
    let config = oauth.gateway.config();
    let (issuer, back) = (&config.issuer, &config.api_origin);
    let endpoints = json!({
        "token_endpoint": format!("{back}/oauth/token"),
        "pushed_authorization_request_endpoint": format!("{back}/oauth/par"),
        "revocation_endpoint": format!("{back}/oauth/revoke"),
        "registration_endpoint": format!("{back}/oauth/register"),
    });
    let mut metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/oauth/authorize"),
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        // The back channel is mutual TLS throughout, so its aliases are itself (RFC 8705 §5).
        "mtls_endpoint_aliases": endpoints,
        "scopes_supported": SCOPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "client_credentials"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["PS256"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "tls_client_auth"],
        "token_endpoint_auth_signing_alg_values_supported": ["PS256", "ES256", "EdDSA"],
        "revocation_endpoint_auth_methods_supported": ["private_key_jwt", "tls_client_auth"],
        "revocation_endpoint_auth_signing_alg_values_supported": ["PS256", "ES256", "EdDSA"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_details_types_supported": ["account_access"],
        "require_pushed_authorization_requests": true,
        "authorization_response_iss_parameter_supported": true,
        "tls_client_certificate_bound_access_tokens": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": true,
        "require_request_uri_registration": false,
        "claims_parameter_supported": false,
    });
    if let (Some(all), Value::Object(endpoints)) = (metadata.as_object_mut(), endpoints) {
        all.extend(endpoints);
    }
    cacheable(metadata)
}

/// `GET /.well-known/jwks.json`.
pub(crate) async fn keys(State(oauth): State<OAuth>) -> Cacheable {
    cacheable(json!({ "keys": [oauth.signing_key.public_jwk()] }))
}

/// `GET /.well-known/webhook-keys.json`: the keys that sign webhooks (`v1a`).
pub(crate) async fn webhook_keys(State(oauth): State<OAuth>) -> Cacheable {
    cacheable(json!({ "keys": [oauth.gateway.webhook_key().public_jwk()] }))
}
