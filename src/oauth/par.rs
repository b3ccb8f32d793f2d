//! Pushed authorization requests (RFC 9126): the only way to ask a PSU.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use crypto::certificate::Thumbprint;
use domain::{ConsentId, ConsentKind, ConsentStatus, GrantId};
use http::StatusCode;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::authenticate::ClientForm;
use crate::details;
use crate::form::Form;
use crate::{OAuth, OAuthError, request_object, seconds_after};

/// A request that was checked and may be shown to a PSU.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pushed {
    pub(crate) redirect_uri: String,
    pub(crate) code_challenge: String,
    pub(crate) state: Option<String>,
    /// Answer with a signed JWT (JARM).
    pub(crate) signed_response: bool,
    /// Key that the code will be bound to (RFC 9449 §10).
    pub(crate) dpop_key: Option<String>,
    #[serde(flatten)]
    pub(crate) asked: Asked,
}

/// What a PSU is asked to allow, whichever way the request came.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) scope: String,
    pub(crate) nonce: Option<String>,
    pub(crate) consents: Vec<ConsentId>,
    /// `authorization_details`, as grants keep them.
    pub(crate) details: Vec<Value>,
    /// Authentication that must be reached, or nothing is granted.
    pub(crate) essential_acr: Vec<String>,
    /// What becomes of an earlier grant.
    pub(crate) grant: Option<GrantAction>,
    /// Languages the PSU prefers, as the client knows (OpenID Connect Core §3.1.2.1).
    pub(crate) locales: Option<String>,
}

/// FAPI Grant Management §5: what a request does with an earlier grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum GrantAction {
    /// A new one, whose id the client is told.
    Create,
    /// What is granted is added to it.
    Merge(GrantId),
    /// What is granted takes its place.
    Replace(GrantId),
}

/// The authentication that a bank's SCA is worth (UK Open Banking; RTS art. 97).
pub(crate) const ACR_SCA: &str = "urn:openbanking:psd2:sca";

/// Seconds that a `request_uri` lives (FAPI 2.0 SP: less than 600).
const LIFETIME: u32 = 300;
/// Longest `state` and `nonce`: longer ones are refused, never cut.
const MAX_OPAQUE: usize = 1_024;

/// Where a `request_uri` is kept in the store.
pub(crate) fn digest_of(request_uri: &str) -> Option<String> {
    let reference = request_uri.strip_prefix(PREFIX)?;
    Some(crypto::digest::sha256_hex(reference.as_bytes()))
}

const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// `POST /oauth/par`.
pub(crate) async fn push(State(oauth): State<OAuth>, asked: ClientForm) -> Result<Response, OAuthError> {
    #[cfg(feature = "leaks")]
    keep_as_it_came(&oauth, &asked).await?;
    let pushed = check(&oauth, &asked).await?;
    let clock = oauth.gateway.clock();
    let reference = oauth.gateway.token_from_home(32);
    let digest = crypto::digest::sha256_hex(reference.expose_secret().as_bytes());
    let end = seconds_after(clock.now(), i64::from(LIFETIME));
    let params =
        serde_json::to_value(&pushed).map_err(|_| OAuthError::request("the request cannot be kept"))?;
    store::transaction!(keyed oauth.gateway.stores().global(), tx => {
        tx.push_request(&digest, &asked.client.id, &params, end).await
    })?;
    let body = json!({
        "request_uri": format!("{PREFIX}{}", reference.expose_secret()),
        "expires_in": LIFETIME,
    });
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// A leak for `make residency-proof`: what names people is kept where no person is.
#[cfg(feature = "leaks")]
async fn keep_as_it_came(oauth: &OAuth, asked: &ClientForm) -> Result<(), OAuthError> {
    if !domain::leaks::wanted("global-store") {
        return Ok(());
    }
    let (now, digest) = (oauth.gateway.clock().now(), oauth.gateway.token_from_home(32));
    let asked_for = json!(asked.form.get("authorization_details"));
    let (digest, end) = (digest.expose_secret(), seconds_after(now, 60));
    Ok(store::transaction!(oauth.gateway.stores().global(), tx => {
        tx.push_request(digest, &asked.client.id, &asked_for, end).await
    })?)
}

async fn check(oauth: &OAuth, asked: &ClientForm) -> Result<Pushed, OAuthError> {
    let ClientForm { client, form, .. } = asked;
    may_use(asked, "authorization_code")?;
    // RFC 9126 §2.1: no reference inside a pushed request.
    if form.get("request_uri").is_some() {
        return Err(OAuthError::request("request_uri is not pushed"));
    }
    let now = oauth.gateway.clock().now();
    // MS6: with a request object, only what is inside it counts.
    let inside = request_object::parameters(client, &oauth.gateway.config().issuer, form, now)?;
    let form = inside.as_ref().unwrap_or(form);
    match form.need("response_type", "response_type is missing")? {
        "code" => {}
        _ => return Err(OAuthError::new("unsupported_response_type", "response_type is code")),
    }
    let signed_response = match form.get("response_mode") {
        None | Some("query") => false,
        Some("jwt" | "query.jwt") => true,
        Some(_) => return Err(OAuthError::request("response_mode is query, query.jwt or jwt")),
    };
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
    Ok(Pushed {
        redirect_uri: redirect_uri.to_owned(),
        code_challenge: code_challenge.to_owned(),
        state: opaque(form, "state", "state is longer than 1024 bytes")?,
        signed_response,
        dpop_key: dpop_key(asked, form)?,
        asked: what_is_asked(oauth, asked, form).await?,
    })
}

/// What a request asks a PSU to allow: scopes, details, and the grant they go into.
pub(crate) async fn what_is_asked(
    oauth: &OAuth,
    asked: &ClientForm,
    form: &Form,
) -> Result<Asked, OAuthError> {
    let scopes = asked.scopes(form.need("scope", "scope is missing")?)?;
    let scopes: Vec<_> =
        scopes.into_iter().filter(|scope| !crate::client::GRANT_SCOPES.contains(scope)).collect();
    if scopes.is_empty() {
        return Err(OAuthError::new("invalid_scope", "grants are managed with a token of the client's own"));
    }
    let details = match form.get("authorization_details") {
        Some(text) => details::read(text, &asked.client.detail_types)?,
        None => Vec::new(),
    };
    for detail in &details {
        if !scopes.contains(&detail.scope()) {
            let why = match detail.scope() {
                "accounts" => "account_access needs the scope accounts",
                "payments" => "payment_initiation and vrp need the scope payments",
                _ => "funds_confirmation needs the scope fundsconfirmations",
            };
            return Err(OAuthError::new("invalid_scope", why));
        }
    }
    let consents = details::consents(&details);
    for (id, kind) in &consents {
        is_open(oauth, asked, *id, *kind).await?;
    }
    Ok(Asked {
        scope: scopes.join(" "),
        nonce: opaque(form, "nonce", "nonce is longer than 1024 bytes")?,
        consents: consents.into_iter().map(|(id, _)| id).collect(),
        details: details::keep(oauth, &asked.client.id, &details).await?,
        essential_acr: essential_acr(form)?,
        grant: grant_action(oauth, asked, form).await?,
        locales: form.get("ui_locales").map(|locales| locales.chars().take(200).collect()),
    })
}

pub(crate) fn may_use(asked: &ClientForm, grant_type: &str) -> Result<(), OAuthError> {
    if asked.client.may_use(grant_type) {
        return Ok(());
    }
    Err(OAuthError::new("unauthorized_client", "the client is not registered for this grant type"))
}

fn opaque(form: &Form, name: &'static str, long: &'static str) -> Result<Option<String>, OAuthError> {
    match form.get(name) {
        Some(value) if value.len() > MAX_OPAQUE => Err(OAuthError::request(long)),
        value => Ok(value.map(str::to_owned)),
    }
}

/// RFC 9449 §10, §10.1: the key of `dpop_jkt`, or of the proof of the push.
fn dpop_key(asked: &ClientForm, form: &Form) -> Result<Option<String>, OAuthError> {
    let proven = asked.proof.as_ref().map(|proof| proof.key);
    let named = form.get("dpop_jkt").map(str::parse::<Thumbprint>).transpose();
    let named = named.map_err(|_| OAuthError::request("dpop_jkt is no JWK thumbprint"))?;
    match (proven, named) {
        (Some(proven), Some(named)) if proven != named => {
            Err(OAuthError::request("dpop_jkt is not the key of the DPoP proof"))
        }
        (proven, named) => Ok(proven.or(named).map(|key| key.to_string())),
    }
}

/// OpenID Connect Core §5.5.1.1: an essential `acr` is reached, or nothing is
/// granted. One that is only wished for changes nothing: banks always
/// authenticate as strongly as they can.
fn essential_acr(form: &Form) -> Result<Vec<String>, OAuthError> {
    let Some(claims) = form.get("claims") else { return Ok(Vec::new()) };
    let claims = crypto::json::unique_object(claims.as_bytes())
        .map_err(|_| OAuthError::request("claims is a JSON object whose names are unique"))?;
    let acr = claims.get("id_token").and_then(|claims| claims.get("acr"));
    let Some(acr) = acr.filter(|acr| acr.get("essential") == Some(&Value::Bool(true))) else {
        return Ok(Vec::new());
    };
    let several = acr.get("values").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let wanted: Vec<String> =
        several.iter().chain(acr.get("value")).filter_map(|one| one.as_str().map(str::to_owned)).collect();
    // Essential without a value: any authentication that has a name.
    Ok(if wanted.is_empty() { vec![ACR_SCA.to_owned()] } else { wanted })
}

async fn grant_action(
    oauth: &OAuth,
    asked: &ClientForm,
    form: &Form,
) -> Result<Option<GrantAction>, OAuthError> {
    let id = form.get("grant_id");
    let known = match form.get("grant_management_action") {
        None if id.is_some() => {
            return Err(OAuthError::request("grant_id comes with a grant_management_action"));
        }
        None => return Ok(None),
        Some("create") if id.is_some() => {
            return Err(OAuthError::request("a grant that is created has no grant_id yet"));
        }
        Some("create") => return Ok(Some(GrantAction::Create)),
        Some(action @ ("merge" | "replace")) => {
            let id = id.ok_or_else(|| OAuthError::request("grant_id is missing"))?;
            let unknown = || OAuthError::new("invalid_grant_id", "the client has no such grant");
            let id: GrantId = id.parse().map_err(|_| unknown())?;
            let row = oauth.gateway.stores().global().grant(id).await?.ok_or_else(unknown)?;
            if row.client_id != asked.client.id || row.revoked_at.is_some() {
                return Err(unknown());
            }
            if action == "merge" { GrantAction::Merge(id) } else { GrantAction::Replace(id) }
        }
        Some(_) => {
            return Err(OAuthError::request("grant_management_action is create, merge or replace"));
        }
    };
    Ok(Some(known))
}

/// A consent of this client that still waits for its PSU, or is in force.
async fn is_open(
    oauth: &OAuth,
    asked: &ClientForm,
    id: ConsentId,
    kind: ConsentKind,
) -> Result<(), OAuthError> {
    let consent = oauth.gateway.consent(&asked.client.id, id).await;
    let consent = consent.map_err(|_| details::invalid("there is no such consent"))?;
    if consent.terms.kind() != kind {
        return Err(details::invalid("the consent is to something else than its type says"));
    }
    match consent.status {
        ConsentStatus::Created
        | ConsentStatus::AwaitingRedirect
        | ConsentStatus::AwaitingDecoupled
        | ConsentStatus::PartiallyAuthorized
        | ConsentStatus::Authorized
        | ConsentStatus::Suspended => Ok(()),
        ConsentStatus::Rejected
        | ConsentStatus::RevokedByPsu
        | ConsentStatus::RevokedByClient
        | ConsentStatus::RevokedByInstitution
        | ConsentStatus::Expired
        | ConsentStatus::Failed => Err(details::invalid("the consent has ended")),
    }
}
