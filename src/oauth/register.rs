//! Client registration (RFC 7591) by the certificate of the connection.

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use edge::PeerIdentity;
use http::StatusCode;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use web::JsonBody;

use crate::client::InvalidMetadata;
use crate::{Client, OAuth, OAuthError};

/// `POST /oauth/register`. The client becomes the organisation that its
/// certificate names: every later certificate must name the same one.
pub(crate) async fn register(
    State(oauth): State<OAuth>,
    Extension(peer): Extension<PeerIdentity>,
    body: Result<JsonBody<serde_json::Map<String, Value>>, web::Problem>,
) -> Result<Response, OAuthError> {
    let certificate =
        peer.trusted().ok_or_else(|| OAuthError::client("a trusted client certificate is needed"))?;
    if !oauth.open_registration {
        return Err(OAuthError::new("access_denied", "registration is not open here"));
    }
    let mut metadata =
        body.map_err(|_| OAuthError::new("invalid_client_metadata", "the body is no JSON object"))?.value;
    let organisation = certificate.fields.organization_identifier.clone();
    if let Some(organisation) = organisation {
        metadata.insert("organization_identifier".to_owned(), organisation.into());
    } else {
        metadata.remove("organization_identifier");
    }
    let token = crypto::token(oauth.gateway.entropy(), 16);
    let client_id = format!("tpp-{}", token.expose_secret());
    let metadata = Value::Object(metadata);
    let client = Client::from_metadata(&client_id, &metadata).map_err(|invalid| match invalid {
        InvalidMetadata::RedirectUri => OAuthError::new(
            "invalid_redirect_uri",
            "redirect_uris are absolute https addresses without fragment",
        ),
        InvalidMetadata::Metadata(why) => OAuthError::new("invalid_client_metadata", why),
    })?;
    let now = oauth.gateway.clock().now();
    let mut tx = oauth.gateway.stores().global().begin().await?;
    tx.put_client(&client_id, &metadata, now).await?;
    tx.commit().await?;
    tracing::info!(client.id = client_id, "Client {client_id} registered");
    let mut answer = metadata;
    if let Some(members) = answer.as_object_mut() {
        members.insert("client_id".to_owned(), client_id.into());
        members.insert("client_id_issued_at".to_owned(), json!(now.as_second()));
        members.insert("scope".to_owned(), client.scopes.join(" ").into());
        members.insert("tls_client_certificate_bound_access_tokens".to_owned(), true.into());
    }
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}
