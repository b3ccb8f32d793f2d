//! Pushed authorization requests (RFC 9126): the only way to ask a PSU.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::{ConsentId, ConsentStatus, Timestamp};
use http::StatusCode;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::authenticate::ClientForm;
use crate::{OAuth, OAuthError};

/// A request that was checked and may be shown to a PSU.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pushed {
    pub(crate) redirect_uri: String,
    pub(crate) scope: String,
    pub(crate) state: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) code_challenge: String,
    pub(crate) consents: Vec<ConsentId>,
}

/// Seconds that a `request_uri` lives (FAPI 2.0 SP: less than 600).
const LIFETIME: u32 = 300;
/// Longest `state` and `nonce`: longer ones are refused, never cut.
const MAX_OPAQUE: usize = 1_024;
/// Consents in one request.
const MAX_CONSENTS: usize = 10;

/// Where a `request_uri` is kept in the store.
pub(crate) fn digest_of(request_uri: &str) -> Option<String> {
    let reference = request_uri.strip_prefix(PREFIX)?;
    Some(crypto::digest::sha256_hex(reference.as_bytes()))
}

const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// `POST /oauth/par`.
pub(crate) async fn push(State(oauth): State<OAuth>, asked: ClientForm) -> Result<Response, OAuthError> {
    let pushed = check(&oauth, &asked).await?;
    let (clock, entropy) = (oauth.gateway.clock(), oauth.gateway.entropy());
    let reference = crypto::token(entropy, 32);
    let digest = crypto::digest::sha256_hex(reference.expose_secret().as_bytes());
    let end = clock.now().as_second().saturating_add(i64::from(LIFETIME));
    let end = Timestamp::from_second(end).unwrap_or_else(|_| clock.now());
    let params =
        serde_json::to_value(&pushed).map_err(|_| OAuthError::request("the request cannot be kept"))?;
    let mut tx = oauth.gateway.stores().global().begin().await?;
    tx.push_request(&digest, &asked.client.id, &params, end).await?;
    tx.commit().await?;
    let body = json!({
        "request_uri": format!("{PREFIX}{}", reference.expose_secret()),
        "expires_in": LIFETIME,
    });
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

async fn check(oauth: &OAuth, asked: &ClientForm) -> Result<Pushed, OAuthError> {
    let ClientForm { client, form, .. } = asked;
    if !client.may_use("authorization_code") {
        return Err(OAuthError::new(
            "unauthorized_client",
            "the client is not registered for this grant type",
        ));
    }
    // RFC 9126 §2.1: no reference inside a pushed request.
    if form.get("request_uri").is_some() {
        return Err(OAuthError::request("request_uri is not pushed"));
    }
    if form.get("request").is_some() {
        return Err(OAuthError::new("request_not_supported", "request objects are not supported"));
    }
    match form.need("response_type", "response_type is missing")? {
        "code" => {}
        _ => return Err(OAuthError::new("unsupported_response_type", "response_type is code")),
    }
    if form.get("response_mode").is_some_and(|mode| mode != "query") {
        return Err(OAuthError::request("response_mode is query"));
    }
    // Compared exactly (RFC 9700 §2.1); unregistered ones are refused even though pushed.
    let redirect_uri = form.need("redirect_uri", "redirect_uri is missing")?;
    if !client.redirect_uris.iter().any(|known| known == redirect_uri) {
        return Err(OAuthError::request("redirect_uri is not registered"));
    }
    // PKCE with S256 only (FAPI 2.0 SP §5.3.2.2-5).
    let code_challenge = form.need("code_challenge", "code_challenge is missing")?;
    if form.get("code_challenge_method") != Some("S256") {
        return Err(OAuthError::request("code_challenge_method is S256"));
    }
    let base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if code_challenge.len() != 43 || !code_challenge.bytes().all(base64url) {
        return Err(OAuthError::request("code_challenge is 43 characters of base64url"));
    }
    let opaque = |name: &'static str, long: &'static str| match form.get(name) {
        Some(value) if value.len() > MAX_OPAQUE => Err(OAuthError::request(long)),
        value => Ok(value.map(str::to_owned)),
    };
    let state = opaque("state", "state is longer than 1024 bytes")?;
    let nonce = opaque("nonce", "nonce is longer than 1024 bytes")?;
    let scope = form.need("scope", "scope is missing")?;
    let scopes = client.scope_of(scope).ok_or_else(invalid_scope)?;
    let consents = match form.get("authorization_details") {
        Some(details) => consents_of(oauth, asked, details).await?,
        None => Vec::new(),
    };
    if !consents.is_empty() && !scopes.contains(&"accounts") {
        return Err(OAuthError::new("invalid_scope", "account_access needs the scope accounts"));
    }
    for scope in &scopes {
        roles_cover(asked, scope)?;
    }
    Ok(Pushed {
        redirect_uri: redirect_uri.to_owned(),
        scope: scopes.join(" "),
        state,
        nonce,
        code_challenge: code_challenge.to_owned(),
        consents,
    })
}

/// `invalid_scope`.
pub(crate) fn invalid_scope() -> OAuthError {
    OAuthError::new("invalid_scope", "the client is not registered for this scope")
}

/// PSD2: a scope needs the role in the certificate, where the certificate
/// states roles (ETSI TS 119 495).
pub(crate) fn roles_cover(asked: &ClientForm, scope: &str) -> Result<(), OAuthError> {
    use crypto::certificate::Psd2Role;
    let fields = &asked.certificate.fields;
    let role = match scope {
        "accounts" => Psd2Role::AccountInformation,
        "payments" => Psd2Role::PaymentInitiation,
        _ => return Ok(()),
    };
    if fields.psd2.is_none() || fields.has_role(role) {
        return Ok(());
    }
    Err(OAuthError::new("invalid_scope", "the certificate does not state the PSD2 role for this scope"))
}

/// RFC 9396: an array of typed objects, each naming a consent of this client
/// that still waits for its PSU.
async fn consents_of(oauth: &OAuth, asked: &ClientForm, text: &str) -> Result<Vec<ConsentId>, OAuthError> {
    let invalid = |why| OAuthError::new("invalid_authorization_details", why);
    let Ok(Value::Array(details)) = serde_json::from_str(text) else {
        return Err(invalid("authorization_details is a JSON array"));
    };
    if details.is_empty() || details.len() > MAX_CONSENTS {
        return Err(invalid("authorization_details names 1 to 10 consents"));
    }
    let mut consents = Vec::new();
    for detail in &details {
        let Some(object) = detail.as_object() else {
            return Err(invalid("authorization_details holds objects"));
        };
        if object.get("type").and_then(Value::as_str) != Some("account_access") {
            return Err(invalid("the type is account_access"));
        }
        if object.keys().any(|name| name != "type" && name != "consent_id") {
            return Err(invalid("account_access has the members type and consent_id"));
        }
        let id = object.get("consent_id").and_then(Value::as_str).and_then(|id| id.parse().ok());
        let id: ConsentId = id.ok_or_else(|| invalid("consent_id is not one"))?;
        if consents.contains(&id) {
            return Err(invalid("a consent is named twice"));
        }
        let consent = oauth.gateway.consent(&asked.client.id, id).await;
        let consent = consent.map_err(|_| invalid("there is no such consent"))?;
        match consent.status {
            ConsentStatus::Created
            | ConsentStatus::AwaitingRedirect
            | ConsentStatus::AwaitingDecoupled
            | ConsentStatus::PartiallyAuthorized
            | ConsentStatus::Authorized
            | ConsentStatus::Suspended => consents.push(id),
            ConsentStatus::Rejected
            | ConsentStatus::RevokedByPsu
            | ConsentStatus::RevokedByClient
            | ConsentStatus::RevokedByInstitution
            | ConsentStatus::Expired
            | ConsentStatus::Failed => return Err(invalid("the consent has ended")),
        }
    }
    Ok(consents)
}
