//! What clients learn about us: RFC 8414 metadata at both locations, keys.

use axum::Json;
use axum::extract::{Path, State};
use http::header::CACHE_CONTROL;
use serde_json::{Value, json};
use web::{Problem, ProblemCode};

use crate::OAuth;
use crate::client::{GRANT_SCOPES, GRANT_TYPES, SCOPES};
use crate::details::{self, DETAIL_TYPES};
use crate::locale::Locale;
use crate::par::ACR_SCA;

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
        "backchannel_authentication_endpoint": format!("{back}/oauth/bc-authorize"),
        "introspection_endpoint": format!("{back}/oauth/introspect"),
        "revocation_endpoint": format!("{back}/oauth/revoke"),
        "registration_endpoint": format!("{back}/oauth/register"),
        "grant_management_endpoint": format!("{back}/oauth/grants"),
    });
    let algorithms = json!(["PS256", "ES256", "EdDSA", "Ed25519"]);
    let methods = json!(["private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"]);
    let scopes: Vec<_> = SCOPES.iter().chain(GRANT_SCOPES).collect();
    let mut metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/oauth/authorize"),
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        // The back channel asks for a certificate throughout, so its aliases are itself (RFC 8705 §5).
        "mtls_endpoint_aliases": endpoints,
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "query.jwt", "jwt"],
        "grant_types_supported": GRANT_TYPES,
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["PS256"],
        "acr_values_supported": [ACR_SCA],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nonce", "acr", "auth_time"],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_signing_alg_values_supported": ["PS256"],
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "dpop_signing_alg_values_supported": algorithms,
        "request_object_signing_alg_values_supported": algorithms,
        "authorization_signing_alg_values_supported": ["PS256"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_details_types_supported": DETAIL_TYPES,
        "authorization_details_types_metadata_endpoint":
            format!("{issuer}/.well-known/authorization-details"),
        "grant_management_actions_supported": ["query", "revoke", "create", "merge", "replace"],
        "grant_management_action_required": false,
        "backchannel_token_delivery_modes_supported": ["poll", "ping"],
        "backchannel_authentication_request_signing_alg_values_supported": algorithms,
        "backchannel_user_code_parameter_supported": false,
        "require_pushed_authorization_requests": true,
        "require_signed_request_object": false,
        "authorization_response_iss_parameter_supported": true,
        "tls_client_certificate_bound_access_tokens": true,
        "request_parameter_supported": true,
        "request_uri_parameter_supported": true,
        "require_request_uri_registration": false,
        "claims_parameter_supported": true,
        "ui_locales_supported": Locale::ALL.map(Locale::tag),
    });
    if let (Some(all), Value::Object(endpoints)) = (metadata.as_object_mut(), endpoints) {
        all.extend(endpoints);
    }
    cacheable(metadata)
}

/// `GET /.well-known/authorization-details`: the types with their JSON Schemas.
pub(crate) async fn detail_types() -> Cacheable {
    let types = DETAIL_TYPES.iter().map(|kind| {
        let schema = details::schema(kind).unwrap_or_default();
        ((*kind).to_owned(), json!({ "version": "1", "schema": schema }))
    });
    cacheable(json!({ "types_metadata": types.collect::<serde_json::Map<_, _>>() }))
}

/// `GET /.well-known/authorization-details/{type}`: the JSON Schema of a type.
pub(crate) async fn detail_schema(Path(kind): Path<String>) -> Result<Cacheable, Problem> {
    let unknown = || Problem::new(ProblemCode::NotFound).detail("There is no such type.");
    details::schema(&kind).map(cacheable).ok_or_else(unknown)
}

/// `GET /.well-known/jwks.json`.
pub(crate) async fn keys(State(oauth): State<OAuth>) -> Cacheable {
    cacheable(Value::clone(&oauth.keys.jwks()))
}

/// `GET /.well-known/webhook-keys.json`: the keys that sign webhooks (`v1a`).
pub(crate) async fn webhook_keys(State(oauth): State<OAuth>) -> Cacheable {
    cacheable(Value::clone(&oauth.gateway.webhook_keys().jwks()))
}
