//! Dynamic client registration (RFC 7591) and its management (RFC 7592), by
//! the certificate of the connection and, where there is one, a software
//! statement of an issuer that the operator trusts.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Request, State};
use axum::response::{IntoResponse, Response};
use edge::{PeerCertificate, PeerIdentity};
use flows::Invalidated;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use store::clients::ClientRow;
use web::{AnyScope, Caller};

use crate::client::InvalidMetadata;
use crate::registration::{Registration, forget_certificates, new_client_id};
use crate::software::{self, Statement};
use crate::{Client, OAuth, OAuthError};

/// Largest registration in bytes.
const MAX_BODY: usize = 128 * 1024;

/// Metadata of a request: a JSON object, or a JWT that the client signed (UK
/// Dynamic Client Registration 3.x).
pub(crate) struct Wanted {
    metadata: Map<String, Value>,
    statement: Option<Statement>,
    certificate: PeerCertificate,
    parts: Parts,
}

impl FromRequest<OAuth> for Wanted {
    type Rejection = OAuthError;

    async fn from_request(request: Request, oauth: &OAuth) -> Result<Self, OAuthError> {
        let (parts, body) = request.into_parts();
        let certificate = certificate_of(&parts)?;
        let (metadata, statement) = read(oauth, &parts.headers, body).await?;
        Ok(Self { metadata, statement, certificate, parts })
    }
}

/// Where registration is not open, somebody trusted vouches for the client: when
/// it registers, and whenever its metadata changes.
fn may_register(oauth: &OAuth, statement: Option<&Statement>) -> Result<(), OAuthError> {
    if statement.is_some() || oauth.open_registration {
        return Ok(());
    }
    Err(OAuthError::new(
        "invalid_software_statement",
        "registration here needs a software statement of a trusted issuer",
    ))
}

fn certificate_of(parts: &Parts) -> Result<PeerCertificate, OAuthError> {
    let peer = parts.extensions.get::<PeerIdentity>();
    if let Some(unfit) = peer.and_then(PeerIdentity::unfit) {
        return Err(OAuthError::unfit(unfit));
    }
    let trusted = peer.and_then(PeerIdentity::trusted).cloned();
    trusted.ok_or_else(|| OAuthError::client("a trusted client certificate is needed"))
}

async fn read(
    oauth: &OAuth,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Map<String, Value>, Option<Statement>), OAuthError> {
    let bad = |why| OAuthError::new("invalid_client_metadata", why);
    let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let bytes = to_bytes(body, MAX_BODY).await.map_err(|_| bad("the body is too large or ended early"))?;
    let signed = match essence.as_str() {
        "application/json" => None,
        "application/jwt" | "application/jose" => {
            let text = std::str::from_utf8(&bytes).map_err(|_| bad("the body is no JWT"))?;
            Some(text.trim())
        }
        _ => return Err(bad("the body is application/json, application/jwt or application/jose")),
    };
    let claimed = match signed {
        None => crypto::json::unique_object(&bytes),
        Some(jwt) => crypto::jws::peek_claims(jwt).map_err(|_| crypto::json::InvalidJson::Malformed),
    };
    let mut metadata = claimed.map_err(|_| bad("the body is no JSON object whose names are unique"))?;
    let statement = match metadata.get("software_statement") {
        None => None,
        Some(Value::String(statement)) => Some(software::check(oauth, statement)?),
        Some(_) => {
            return Err(OAuthError::new("invalid_software_statement", "a software statement is a JWT"));
        }
    };
    if let Some(jwt) = signed {
        software::signed_by_client(oauth, jwt, &metadata, statement.as_ref()).await?;
        // Claims of the JWT itself are no metadata.
        for name in ["iss", "aud", "iat", "exp", "nbf", "jti"] {
            metadata.remove(name);
        }
    }
    if let Some(statement) = &statement {
        // RFC 7591 §2.3: what the statement says takes precedence.
        statement.apply(&mut metadata)?;
    }
    Ok((metadata, statement))
}

/// What is wrong with metadata (RFC 7591 §3.2.2).
fn refused(invalid: InvalidMetadata) -> OAuthError {
    match invalid {
        InvalidMetadata::RedirectUri => OAuthError::new(
            "invalid_redirect_uri",
            "redirect_uris are absolute https addresses without fragment",
        ),
        InvalidMetadata::Metadata(why) => OAuthError::new("invalid_client_metadata", why),
    }
}

fn meaning(row: &ClientRow) -> Result<Client, OAuthError> {
    Client::from_metadata(&row.client_id, &row.metadata).map_err(refused)
}

/// `POST /oauth/register`. The client becomes the organisation that its
/// certificate names: every later certificate must name the same one.
pub(crate) async fn register(State(oauth): State<OAuth>, wanted: Wanted) -> Result<Response, OAuthError> {
    may_register(&oauth, wanted.statement.as_ref())?;
    let Wanted { metadata, certificate, .. } = wanted;
    let client_id = new_client_id(oauth.gateway.entropy());
    let registration = Registration::new(&client_id, metadata, Some(&certificate.fields));
    let Registration { client, metadata } = registration.map_err(refused)?;
    let now = oauth.gateway.clock().now();
    let management = crypto::token(oauth.gateway.entropy(), 32);
    // What is put twice is there once.
    store::transaction!(keyed oauth.gateway.stores().global(), tx => {
        tx.put_client(&client_id, &metadata, now).await?;
        tx.set_registration_token(&client_id, &digest(&management)).await
    })?;
    tracing::info!(client.id = client_id, "Client {client_id} registered");
    let row = ClientRow {
        client_id,
        status: "active".to_owned(),
        metadata,
        registration_digest: None,
        created_at: now,
        payment_policy: None,
    };
    Ok((StatusCode::CREATED, Json(answer(&oauth, &client, &row, &management))).into_response())
}

fn digest(token: &SecretString) -> String {
    crypto::digest::sha256_hex(token.expose_secret().as_bytes())
}

fn answer(oauth: &OAuth, client: &Client, row: &ClientRow, management: &SecretString) -> Value {
    let mut answer = client.effective(&row.metadata);
    if let Some(members) = answer.as_object_mut() {
        let back = &oauth.gateway.config().api_origin;
        members.insert("client_id_issued_at".to_owned(), json!(row.created_at.as_second()));
        members.insert("registration_access_token".to_owned(), management.expose_secret().into());
        members.insert(
            "registration_client_uri".to_owned(),
            format!("{back}/oauth/register/{}", row.client_id).into(),
        );
    }
    answer
}

/// The registration that a request may manage: by the token it was answered
/// with (RFC 7592 §3), or by a token of the client's own (UK), over a
/// connection of the same organisation.
async fn managed(
    oauth: &OAuth,
    parts: &mut Parts,
    id: &str,
) -> Result<(ClientRow, SecretString), OAuthError> {
    let certificate = certificate_of(parts)?;
    // RFC 7592 §2: an unknown client is told apart from a wrong token by nobody.
    let unknown = || OAuthError::token("the registration access token is not valid");
    let row = oauth.gateway.stores().global().client(id).await?;
    let row = row.filter(|row| row.status == "active").ok_or_else(unknown)?;
    let client = meaning(&row)?;
    let fixed = client.organization_identifier.as_deref();
    if fixed.is_some() && certificate.fields.organization_identifier.as_deref() != fixed {
        return Err(OAuthError::client("the certificate belongs to another organisation"));
    }
    let shown = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.split_once(' '));
    let shown =
        shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    let shown: SecretString = shown.ok_or_else(unknown)?.into();
    let known = row.registration_digest.as_deref().unwrap_or_default();
    if crypto::digest::same(digest(&shown).as_bytes(), known.as_bytes()) {
        return Ok((row, shown));
    }
    let own = Caller::<AnyScope>::from_request_parts(parts, oauth).await.map_err(|_| unknown())?;
    if own.client_id != row.client_id || own.grant.is_some() {
        return Err(unknown());
    }
    Ok((row, shown))
}

/// `GET /oauth/register/{client_id}`.
pub(crate) async fn show(
    State(oauth): State<OAuth>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, OAuthError> {
    let (mut parts, _) = request.into_parts();
    let (row, token) = managed(&oauth, &mut parts, &id).await?;
    let client = meaning(&row)?;
    Ok(Json(answer(&oauth, &client, &row, &token)))
}

/// `PUT /oauth/register/{client_id}`: replaces all metadata (RFC 7592 §2.2).
pub(crate) async fn replace(
    State(oauth): State<OAuth>,
    Path(id): Path<String>,
    wanted: Wanted,
) -> Result<Json<Value>, OAuthError> {
    let Wanted { mut metadata, certificate, mut parts, statement } = wanted;
    let (row, token) = managed(&oauth, &mut parts, &id).await?;
    may_register(&oauth, statement.as_ref())?;
    if metadata.get("client_id").and_then(Value::as_str) != Some(&row.client_id) {
        return Err(OAuthError::new("invalid_client_metadata", "client_id is the one that is replaced"));
    }
    for name in ["registration_access_token", "registration_client_uri", "client_id_issued_at"] {
        metadata.remove(name);
    }
    let registration = Registration::new(&row.client_id, metadata, Some(&certificate.fields));
    let Registration { client, metadata } = registration.map_err(refused)?;
    let (was, now) = (meaning(&row)?, oauth.gateway.clock().now());
    let replaced = store::transaction!(keyed oauth.gateway.stores().global(), tx => {
        tx.put_client(&row.client_id, &metadata, row.created_at).await?;
        forget_certificates(tx, &was, &client, now).await?;
        oauth.gateway.invalidate(tx, Invalidated::Client(&row.client_id)).await
    })?;
    oauth.gateway.until_dropped(&replaced).await?;
    let row = ClientRow { metadata, ..row };
    Ok(Json(answer(&oauth, &client, &row, &token)))
}

/// `DELETE /oauth/register/{client_id}`: its grants and tokens end with it (C6), and
/// so do its consents; the answer does not wait for the banks to be told.
pub(crate) async fn remove(
    State(oauth): State<OAuth>,
    Path(id): Path<String>,
    request: Request,
) -> Result<StatusCode, OAuthError> {
    let (mut parts, _) = request.into_parts();
    let (row, _) = managed(&oauth, &mut parts, &id).await?;
    let deleted = store::transaction!(keyed oauth.gateway.stores().global(), tx => {
        tx.set_client_status(&row.client_id, "deleted").await?;
        tx.revoke_client(&row.client_id, oauth.gateway.clock().now()).await?;
        oauth.gateway.invalidate(tx, Invalidated::Client(&row.client_id)).await
    })?;
    oauth.gateway.until_dropped(&deleted).await?;
    tracing::info!(client.id = row.client_id, "Client {} deleted", row.client_id);
    Ok(StatusCode::NO_CONTENT)
}
