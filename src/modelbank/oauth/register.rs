//! Registration of clients by request, and its management (UK Dynamic Client
//! Registration 3.2; RFC 7591, RFC 7592).

mod request;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::refusal::OauthRefusal;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::book::RegisteredClient;
use crate::journal::Fact;
use crate::registration::{RegistrationDesk, RegistrationWay};

/// Registers a client.
pub(crate) async fn create(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, OauthRefusal> {
    let desk = desk(&bank)?;
    let wanted = request::checked(&bank, desk, &caller, &body)?;
    let client = RegisteredClient { id: bank.fresh("tpp-"), issued: bank.now(), token: None, ..wanted };
    let (client, token) = with_token(&bank, desk, client);
    let answer = described(&bank, desk, &client, token);
    bank.vault.change(|book| book.clients.insert(client.id.clone(), client));
    bank.vault.keep().await?;
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// Shows a registration to its client.
pub(crate) async fn read(
    State(bank): State<Arc<Bank>>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<Response, OauthRefusal> {
    let desk = desk(&bank)?;
    let client = managed(&bank, desk, &caller, &id)?;
    Ok(Json(described(&bank, desk, &client, None)).into_response())
}

/// Replaces a registration.
pub(crate) async fn replace(
    State(bank): State<Arc<Bank>>,
    Path(id): Path<String>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, OauthRefusal> {
    let desk = desk(&bank)?;
    let before = managed(&bank, desk, &caller, &id)?;
    let wanted = request::checked(&bank, desk, &caller, &body)?;
    let client = RegisteredClient { id, issued: before.issued, token: before.token, ..wanted };
    let (client, token) = with_token(&bank, desk, client);
    let answer = described(&bank, desk, &client, token);
    bank.vault.change(|book| book.clients.insert(client.id.clone(), client));
    bank.vault.keep().await?;
    Ok(Json(answer).into_response())
}

/// Ends a registration, and every token of the client with it.
pub(crate) async fn delete(
    State(bank): State<Arc<Bank>>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<StatusCode, OauthRefusal> {
    managed(&bank, desk(&bank)?, &caller, &id)?;
    bank.vault.change(|book| {
        book.clients.remove(&id);
        book.tokens.retain(|_, token| token.client.as_ref() != Some(&id));
    });
    bank.vault.keep().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn desk(bank: &Bank) -> Result<&RegistrationDesk, OauthRefusal> {
    bank.registration.as_ref().ok_or(OauthRefusal::request("The bank registers nobody by request"))
}

/// The registration that the caller's token manages. Whoever may not see it does
/// not learn whether there is one.
fn managed(
    bank: &Bank,
    desk: &RegistrationDesk,
    caller: &Caller,
    id: &str,
) -> Result<RegisteredClient, OauthRefusal> {
    let refused =
        OauthRefusal { error: "invalid_token", description: "The token does not manage this client" };
    let client = bank.vault.read(|book| book.clients.get(id).cloned()).ok_or(refused)?;
    let peer = caller.peer.as_deref().and_then(|peer| peer.organization_identifier.as_ref());
    let ours = peer == Some(&client.organisation);
    let fits = if desk.has(RegistrationWay::OwnToken) {
        let token = caller.header(AUTHORIZATION.as_str()).and_then(|header| header.strip_prefix("Bearer "));
        let digest = token.map(|token| crypto::digest::sha256_hex(token.as_bytes()));
        digest.is_some() && digest == client.token
    } else {
        let token = caller.live_token(bank);
        token.is_ok_and(|token| {
            let scope = |wanted: &str| token.scope.split(' ').any(|word| word == wanted);
            token.client.as_deref() == Some(id)
                && token.consent.is_none()
                && desk.token_scope().is_none_or(scope)
        })
    };
    if !(ours && fits) {
        return Err(OauthRefusal {
            error: "invalid_token",
            description: "The token does not manage this client",
        });
    }
    caller.facts.note(Fact::Token);
    Ok(client)
}

/// Gives the registration a new token, where it has one of its own.
fn with_token(
    bank: &Bank,
    desk: &RegistrationDesk,
    client: RegisteredClient,
) -> (RegisteredClient, Option<String>) {
    if !desk.has(RegistrationWay::OwnToken) {
        return (client, None);
    }
    let token = bank.fresh("");
    (RegisteredClient { token: Some(crypto::digest::sha256_hex(token.as_bytes())), ..client }, Some(token))
}

/// A registration as the client is told of it.
fn described(
    bank: &Bank,
    desk: &RegistrationDesk,
    client: &RegisteredClient,
    token: Option<String>,
) -> Value {
    let mut answer: Map<String, Value> = client.metadata.clone();
    let time = |name: &str, seconds: i64| {
        json!(if desk.millis().contains(&name) { seconds.saturating_mul(1000) } else { seconds })
    };
    for name in ["iat", "exp"] {
        match answer.get(name).and_then(Value::as_i64) {
            Some(seconds) if desk.millis().contains(&name) => {
                drop(answer.insert(name.to_owned(), time(name, seconds)))
            }
            _ => drop(answer.remove(name)),
        }
    }
    answer.insert("client_id".into(), json!(client.id));
    answer.insert("client_id_issued_at".into(), time("client_id_issued_at", client.issued.as_second()));
    if desk.has(RegistrationWay::ScopeList) {
        answer.insert("scope".into(), json!(client.scope.split(' ').collect::<Vec<_>>()));
    }
    if let Some(token) = token {
        answer.insert("registration_access_token".into(), json!(token));
        answer.insert(
            "registration_client_uri".into(),
            json!(format!("{}/register/{}", bank.api_url, client.id)),
        );
    }
    Value::Object(answer)
}
