//! Headers with a meaning: Idempotency-Key, and who is present.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use connect::PsuPresence;
use http::request::Parts;

use crate::{Problem, ProblemCode};

/// The Idempotency-Key of a request (draft-ietf-httpapi-idempotency-key-header):
/// quoted as the draft wants, or bare as most clients send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(pub String);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let value = values.next().ok_or_else(|| Problem::new(ProblemCode::KeyMissing))?;
        if values.next().is_some() {
            return Err(Problem::new(ProblemCode::KeyInvalid).detail("There is more than one."));
        }
        let text = value.to_str().map_err(|_| Problem::new(ProblemCode::KeyInvalid))?.trim();
        let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let key = quoted.unwrap_or(text);
        let plain = key.bytes().all(|b| (b'!'..=b'~').contains(&b) && b != b'"' && b != b'\\');
        if key.is_empty() || key.len() > 255 || !plain {
            return Err(Problem::new(ProblemCode::KeyInvalid)
                .detail("A key has 1 to 255 printable ASCII characters, no spaces and no quotes inside."));
        }
        Ok(Self(key.to_owned()))
    }
}

/// Whether the PSU is present, as the client asserts: `PSU-IP-Address`, or
/// `x-fapi-customer-ip-address`. Without either, nobody is.
#[derive(Clone, Debug)]
pub struct Psu(pub Option<PsuPresence>);

impl<S: Send + Sync> FromRequestParts<S> for Psu {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let Some(address) = text("psu-ip-address").or_else(|| text("x-fapi-customer-ip-address")) else {
            return Ok(Self(None));
        };
        let ip_address: IpAddr = address.trim().parse().map_err(|_| {
            Problem::new(ProblemCode::Header).error(
                "PSU-IP-Address",
                "header.invalid",
                "expected an IP address",
            )
        })?;
        Ok(Self(Some(PsuPresence {
            ip_address,
            user_agent: text("psu-user-agent").map(str::to_owned),
            accept_language: text("psu-accept-language").map(str::to_owned),
            last_authenticated: None,
        })))
    }
}
