//! `Digest` and `Signature` over every request, by the seal that `keyId` names.
//!
//! `keyId` is an address with the fingerprint of the certificate in it. The bank
//! has the certificate from the client's registration and fetches nothing.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use crypto::http_signature::{CavageHeader, verify_cavage, verify_digest};
use http_body_util::{BodyExt, Limited};
use jiff::fmt::rfc2822;

use super::refusal::Refusal;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::journal::Fact;

/// Largest body, in bytes.
const MAX_BODY: usize = 256 * 1024;
/// Seconds that `Date` may be off.
const SKEW: u64 = 300;

/// Lets only signed requests through.
pub(super) async fn demanded(State(bank): State<Arc<Bank>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large").into_response();
    };
    let body = body.to_bytes();
    if let Err(refusal) = check(&bank, &Caller::of(&parts), &body) {
        return refusal.into_response();
    }
    next.run(Request::from_parts(parts, Body::from(body))).await
}

fn check(bank: &Bank, caller: &Caller, body: &[u8]) -> Result<(), Refusal> {
    let request_id = caller.header("x-request-id").and_then(|id| uuid::Uuid::parse_str(id).ok());
    request_id.ok_or(Refusal::format("X-Request-ID is missing or no UUID"))?;
    let missing = || Refusal::format("Digest, Date or Signature is missing");
    let digest = caller.header("digest").ok_or_else(missing)?;
    let date = caller.header("date").ok_or_else(missing)?;
    let signature = caller.header("signature").ok_or_else(missing)?;
    verify_digest(digest, body).map_err(|_| Refusal::format("The digest does not match the body"))?;
    let invalid = Refusal::new(StatusCode::FORBIDDEN, "The signature is not valid");
    let date = rfc2822::DateTimeParser::new().parse_timestamp(date).map_err(|_| invalid)?;
    if date.as_second().abs_diff(bank.now().as_second()) > SKEW {
        return Err(invalid);
    }
    let client = caller.client(bank).ok_or(invalid)?;
    let seal = client.seal.as_ref().ok_or(invalid)?;
    let named = CavageHeader::parse(signature).map_err(|_| invalid)?;
    let fingerprint = crypto::digest::sha256_hex(&seal.der);
    let address = url::Url::parse(&named.key_id).ok().filter(|url| url.scheme() == "https");
    if address.is_none_or(|url| !url.as_str().contains(&fingerprint)) || !caller.seals_with(bank, seal) {
        return Err(invalid);
    }
    let mut required = vec!["(request-target)", "digest", "date", "x-request-id"];
    for name in caller.headers.keys().map(|name| name.as_str()) {
        if name.starts_with("psu-") || matches!(name, "content-type" | "content-length") {
            required.push(name);
        }
    }
    verify_cavage(signature, seal.public_key(), |name| caller.sent(name), &required).map_err(|_| invalid)?;
    caller.facts.note(Fact::Signature);
    Ok(())
}
