//! `X-JWS-SIGNATURE`: a detached JWS over the exact body, both ways.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use crypto::{Algorithm, jws};
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value};

use super::answer;
use super::refusal::Refusal;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::journal::Fact;

/// Largest body, in bytes.
const MAX_BODY: usize = 256 * 1024;

/// Lets only signed requests through, and signs what is answered.
pub(super) async fn both_ways(State(bank): State<Arc<Bank>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let caller = Caller::of(&parts);
    let response = match Limited::new(body, MAX_BODY).collect().await {
        Err(_) => Refusal::format("The body is too large").into_response(),
        Ok(body) => {
            let body = body.to_bytes();
            match check(&bank, &caller, &body) {
                Err(refusal) => refusal.into_response(),
                Ok(()) => next.run(Request::from_parts(parts, Body::from(body))).await,
            }
        }
    };
    signed(&bank, &caller, response).await
}

fn check(bank: &Bank, caller: &Caller, body: &Bytes) -> Result<(), Refusal> {
    let id = caller.header("x-request-id").and_then(|id| uuid::Uuid::parse_str(id).ok());
    let time_based = id.is_some_and(|id| id.get_version_num() == 1);
    if !time_based {
        return Err(Refusal::format("X-REQUEST-ID is missing or no UUID of version 1"));
    }
    let packing = caller.header("accept-encoding").unwrap_or_default();
    let texts = [caller.header("accept-language"), caller.header("accept-charset")];
    if !(packing.contains("gzip") || packing.contains("deflate")) || texts.contains(&None) {
        return Err(Refusal::new(
            StatusCode::NOT_ACCEPTABLE,
            "HEADER_MISSING",
            "Accept-Encoding, Accept-Language or Accept-Charset is missing",
        ));
    }
    let signature = caller.header("x-jws-signature");
    let signature = signature.ok_or(Refusal::signature("X-JWS-SIGNATURE is missing"))?;
    let invalid = || Refusal::signature("X-JWS-SIGNATURE does not match");
    let client = caller.client(bank).ok_or_else(Refusal::forbidden)?;
    let allowed = [Algorithm::Ps256, Algorithm::Es256];
    let verified =
        jws::verify_detached(signature, body, &client.keys, &allowed, &[]).map_err(|_| invalid())?;
    let seal = client.seal.as_ref().filter(|seal| caller.seals_with(bank, seal)).ok_or_else(invalid)?;
    let named = verified.header.get("x5t#S256").and_then(Value::as_str);
    if named.is_some_and(|named| named != seal.thumbprint.to_string()) {
        return Err(invalid());
    }
    caller.facts.note(Fact::Signature);
    Ok(())
}

/// The answer with its header and the bank's signature over the bytes.
async fn signed(bank: &Bank, caller: &Caller, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    parts.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let body = match serde_json::from_slice::<Value>(&body) {
        Ok(value) => answer(bank, caller, value).to_string(),
        // Nothing to say: a consent that is deleted.
        Err(_) => return Response::from_parts(parts, Body::from(body)),
    };
    let mut header = Map::new();
    header.insert("typ".into(), "JOSE".into());
    let key = bank.signing.as_ref();
    let token = key.and_then(|key| jws::sign_detached(key, &header, body.as_bytes()).ok());
    match token.and_then(|token| HeaderValue::try_from(token).ok()) {
        Some(token) => {
            parts.headers.insert("x-jws-signature", token);
            parts.headers.remove(CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(body))
        }
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
