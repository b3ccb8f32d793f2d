//! A client's own keys and certificates (`/v1/application`): added and removed
//! by the client itself, both good meanwhile, so that it rotates without a gap.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use crypto::Jwks;
use flows::Invalidated;
use http::StatusCode;
use serde_json::{Map, Value, json};
use store::clients::ClientRow;
use web::{AnyScope, Caller, JsonBody, Problem, ProblemCode};

use crate::registration::forget_certificates;
use crate::{Client, OAuth};

/// Keys of one client at most.
const MAX_KEYS: usize = 10;

async fn own(oauth: &OAuth, caller: &Caller<AnyScope>) -> Result<ClientRow, Problem> {
    if caller.grant.is_some() {
        return Err(Problem::new(ProblemCode::ScopeMissing)
            .detail("This needs a token of the client's own (client_credentials)."));
    }
    let row = oauth.gateway.stores().global().client(&caller.client_id).await?;
    row.ok_or_else(|| Problem::new(ProblemCode::NotFound).detail("There is no such client."))
}

/// `GET /v1/application`: the registration as it is in effect.
pub(crate) async fn show(
    State(oauth): State<OAuth>,
    caller: Caller<AnyScope>,
) -> Result<Json<Value>, Problem> {
    let row = own(&oauth, &caller).await?;
    let client = Client::from_metadata(&row.client_id, &row.metadata)
        .map_err(|_| Problem::new(ProblemCode::Internal))?;
    Ok(Json(client.effective(&row.metadata)))
}

fn keys_of(row: &ClientRow) -> Vec<Value> {
    let keys = row.metadata.pointer("/jwks/keys").and_then(Value::as_array);
    keys.cloned().unwrap_or_default()
}

fn kid(key: &Value) -> Option<&str> {
    key.get("kid").and_then(Value::as_str)
}

fn refused(code: &str, detail: &str) -> Problem {
    Problem::new(ProblemCode::Invalid).error("/", code, detail)
}

async fn put(oauth: &OAuth, row: &ClientRow, keys: Vec<Value>) -> Result<(), Problem> {
    let mut metadata = row.metadata.clone();
    if let Some(members) = metadata.as_object_mut() {
        members.insert("jwks".to_owned(), json!({ "keys": keys }));
    }
    let now = Client::from_metadata(&row.client_id, &metadata)
        .map_err(|why| refused("key.needed", &why.to_string()))?;
    let was = Client::from_metadata(&row.client_id, &row.metadata).ok();
    let changed = store::transaction!(oauth.gateway.stores().global(), tx => {
        if !tx.change_client(row, &metadata).await? {
            // Another change came between; the caller looks and tries again.
            return Err(store::StoreError::Conflict);
        }
        if let Some(was) = &was {
            forget_certificates(tx, was, &now, oauth.gateway.clock().now()).await?;
        }
        oauth.gateway.invalidate(tx, Invalidated::Client(&row.client_id)).await
    })?;
    Ok(oauth.gateway.until_dropped(&changed).await?)
}

/// `POST /v1/application/keys`: adds a public key (RFC 7517). With `x5c` it
/// brings the certificate of a `self_signed_tls_client_auth` client.
pub(crate) async fn add_key(
    State(oauth): State<OAuth>,
    caller: Caller<AnyScope>,
    body: JsonBody<Map<String, Value>>,
) -> Result<Response, Problem> {
    let row = own(&oauth, &caller).await?;
    let key = Value::Object(body.value);
    let Some(name) = kid(&key).map(str::to_owned) else {
        return Err(refused("key.kid", "a key has a kid, by which it is removed later"));
    };
    let usable = Jwks::from_value(&json!({ "keys": [&key] })).is_ok_and(|keys| !keys.is_empty());
    if !usable {
        return Err(refused("key.unusable", "a public key: RSA of 2048 bits and more, P-256 or Ed25519"));
    }
    let mut keys = keys_of(&row);
    if keys.iter().any(|known| kid(known) == Some(&name)) {
        return Err(refused("key.kid_taken", "a key with this kid is registered"));
    }
    if keys.len() >= MAX_KEYS {
        return Err(refused("key.too_many", "a client has at most 10 keys: remove an old one first"));
    }
    keys.push(key.clone());
    put(&oauth, &row, keys).await?;
    tracing::info!(client.id = row.client_id, "Client {} added a key", row.client_id);
    let location = format!(
        "/v1/application/keys/{}",
        url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>()
    );
    Ok((StatusCode::CREATED, [(http::header::LOCATION, location)], Json(key)).into_response())
}

/// `DELETE /v1/application/keys/{kid}`. The last key that the client needs to
/// authenticate stays.
pub(crate) async fn remove_key(
    State(oauth): State<OAuth>,
    caller: Caller<AnyScope>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let row = own(&oauth, &caller).await?;
    let keys = keys_of(&row);
    let left: Vec<Value> = keys.iter().filter(|key| kid(key) != Some(&name)).cloned().collect();
    if left.len() == keys.len() {
        return Err(Problem::new(ProblemCode::NotFound).detail("There is no such key."));
    }
    put(&oauth, &row, left).await?;
    tracing::info!(client.id = row.client_id, "Client {} removed a key", row.client_id);
    Ok(StatusCode::NO_CONTENT)
}
