//! PolishAPI 2.1.1, and 3.0 by the same words below its own addresses: every
//! request is a POST with a header inside its body, and signed. The PSU's
//! authorization makes the consent, named by us, and the code it gives is redeemed
//! at a token endpoint that speaks JSON.
//!
//! Account information is asked for in one scope, `ais`. The way in two steps
//! (`ais-accounts`, then `exchange_token`) is for banks whose customers choose
//! accounts at the TPP; ours choose at the bank.

mod accounts;
mod batches;
mod funds;
mod payments;
mod resources;
mod tokens;

use std::io::Read;

use connect::{
    AccountInformation, AccountResources, ApiBase, BankError, BankErrorKind, BankRequest, BankResponse,
    BatchInitiation, CallContext, Dialect, Effect, FundsConfirmation, Operation, PayeeVerification,
    PaymentInitiation, Profile, RedirectUris, ScaStart, Signature, Signing, TokenEndpoint, TokenKind,
};
use http::Method;
use jiff::ToSpan;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use url::Url;
use uuid::Uuid;

use crate::node::Node;
use crate::payees::EpcPayees;
use crate::status::{after, parsed};
use crate::tree::Tree;

/// How addresses name version 2.1.1, once before and once after the service.
const VERSION: &str = "v2_1_1.1";
/// How they name version 3.0.
const VERSION_3: &str = "v3_0.1";
/// Hundreds of nanoseconds from the start of UUID time (1582-10-15) to 1970.
const GREGORIAN_OFFSET: u64 = 0x01B2_1DD2_1381_4000;

/// The dialect; without state.
#[derive(Clone, Copy, Debug, Default)]
pub struct PolishApi;

impl Dialect for PolishApi {
    fn name(&self) -> &'static str {
        "polish-api"
    }

    fn standard(&self, profile: &Profile) -> String {
        let version = profile.accounts_api.as_ref().or(profile.payments_api.as_ref());
        format!("PolishAPI {}", version.map_or("2.1", |api| &api.version))
    }

    fn token_for(&self, _profile: &Profile, operation: Operation) -> TokenKind<'_> {
        match operation {
            Operation::Consent
            | Operation::PaymentLodge
            | Operation::FundsConsent
            | Operation::Funds
            | Operation::Payees => TokenKind::None,
            Operation::AccountData | Operation::PaymentSubmit | Operation::PaymentStatus => TokenKind::Psu,
        }
    }

    fn accounts(&self) -> Option<&dyn AccountInformation> {
        Some(self)
    }

    fn resources(&self) -> Option<&dyn AccountResources> {
        Some(self)
    }

    fn payments(&self) -> Option<&dyn PaymentInitiation> {
        Some(self)
    }

    fn batches(&self) -> Option<&dyn BatchInitiation> {
        Some(&batches::Batches)
    }

    fn funds(&self) -> Option<&dyn FundsConfirmation> {
        Some(self)
    }

    fn payees(&self) -> Option<&dyn PayeeVerification> {
        Some(&EpcPayees)
    }

    fn tokens(&self) -> Option<&dyn TokenEndpoint> {
        Some(self)
    }
}

/// What the header inside a body says beside who, when and which request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// Nothing: a request to the authorization server.
    Server,
    /// The token, and whether the PSU asks: account information.
    AccountData,
    /// The token: payments.
    Payment,
}

fn address(api: &ApiBase, service: &str, operation: &str) -> Url {
    let version = if api.version == "3.0" { VERSION_3 } else { VERSION };
    api.join(&[service, version, operation])
}

/// The request's identifier in the version the standard wants: time-based, with
/// our own chance in place of a network address.
fn request_id(cx: &CallContext<'_>) -> Uuid {
    let chance = cx.request_id.as_bytes();
    let [.., a, b, c, d, e, f, g, h] = *chance;
    let micros = u64::try_from(cx.now.as_microsecond()).unwrap_or(0);
    let ticks = micros.saturating_mul(10).saturating_add(GREGORIAN_OFFSET);
    let node = [c | 1, d, e, f, g, h];
    uuid::Builder::from_gregorian_timestamp(ticks, u16::from_be_bytes([a, b]), &node).into_uuid()
}

/// A request with the header that every body has.
fn request(
    cx: &CallContext<'_>,
    url: Url,
    effect: Effect,
    inside: Inside,
    members: Map<String, Value>,
) -> Result<BankRequest, BankError> {
    let mut header = Map::new();
    header.insert("requestId".into(), json!(request_id(cx)));
    header.insert("sendDate".into(), json!(cx.now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()));
    header.insert("tppId".into(), json!(client_id(cx)?));
    if let Some(psu) = cx.psu {
        header.insert("ipAddress".into(), json!(psu.ip_address));
        if let Some(agent) = &psu.user_agent {
            header.insert("userAgent".into(), json!(agent));
        }
    }
    if inside == Inside::AccountData {
        header.insert("isDirectPsu".into(), json!(cx.psu.is_some()));
    }
    if inside != Inside::Server {
        let token = cx.access_token.ok_or_else(|| cx.error(BankErrorKind::TokenInvalid))?;
        header.insert("token".into(), json!(token.expose_secret()));
    }
    let mut body = members;
    body.insert("requestHeader".into(), Value::Object(header));
    sealed(cx, url, effect, inside, &Value::Object(body))
}

/// A signed request with this body.
fn sealed(
    cx: &CallContext<'_>,
    url: Url,
    effect: Effect,
    inside: Inside,
    body: &Value,
) -> Result<BankRequest, BankError> {
    let language = cx.psu.and_then(|psu| psu.accept_language.as_deref()).unwrap_or("pl");
    let request = BankRequest::of(Method::POST, url, effect)
        .header("x-request-id", &request_id(cx).to_string())
        .and_then(|request| request.header("accept", "application/json"))
        .and_then(|request| request.header("accept-encoding", "gzip"))
        .and_then(|request| request.header("accept-language", language))
        .and_then(|request| request.header("accept-charset", "utf-8"));
    let request = match cx.access_token.filter(|_| inside != Inside::Server) {
        Some(token) => request.and_then(|request| {
            request.header("authorization", &format!("Bearer {}", token.expose_secret()))
        }),
        None => request,
    };
    let request = request.map_err(|name| cx.error(BankErrorKind::Internal).at(name))?;
    let request = request.body("application/json", body.to_string());
    Ok(if cx.profile.signing == Signing::BodyJws { request.signed(Signature::BodyJws) } else { request })
}

fn client_id<'a>(cx: &CallContext<'a>) -> Result<&'a str, BankError> {
    cx.profile.client_id.as_deref().ok_or_else(|| BankError::profile(&cx.profile.id, "client_id"))
}

/// Asks where the PSU goes to give what `privileges` name.
fn authorize(
    cx: &CallContext<'_>,
    api: &ApiBase,
    scope: &str,
    (until, privileges): (domain::Timestamp, Value),
    redirects: &RedirectUris,
) -> Result<BankRequest, BankError> {
    let mut members = Map::new();
    members.insert("response_type".into(), json!("code"));
    members.insert("client_id".into(), json!(client_id(cx)?));
    members.insert("redirect_uri".into(), json!(redirects.callback));
    members.insert("scope".into(), json!(scope));
    members.insert("state".into(), json!(redirects.state.expose_secret()));
    members.insert(
        "scope_details".into(),
        json!({
            "consentId": cx.request_id,
            "scopeGroupType": scope,
            "scopeTimeLimit": until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "throttlingPolicy": "psd2Regulatory",
            "privilegeList": privileges,
        }),
    );
    request(cx, address(api, "auth", "authorize"), Effect::Write, Inside::Server, members)
}

/// Where the PSU goes, and the name under which it is known: ours.
fn authorized(cx: &CallContext<'_>, response: &BankResponse) -> Result<(String, ScaStart), BankError> {
    let body = success(cx, response, Effect::Write)?;
    let root = Node::root(&cx.profile.id, &body);
    let link = root.get("aspspRedirectUri");
    let url = link.required_text().and_then(|text| text.parse::<Url>().map_err(|_| link.malformed()));
    let url = url.and_then(|url| if url.scheme() == "https" { Ok(url) } else { Err(link.malformed()) });
    let url = url.map_err(|error| after(Effect::Write, error))?;
    Ok((cx.request_id.to_string(), ScaStart::Code(url)))
}

/// The end of a consent: as asked for, within what the bank allows, else in 90 days.
fn time_limit(cx: &CallContext<'_>, wanted: Option<domain::Date>) -> domain::Timestamp {
    let days = i64::from(cx.profile.max_consent_days.unwrap_or(90));
    let latest = cx.now.checked_add(days.saturating_mul(24).hours()).unwrap_or(cx.now);
    let wanted = wanted.and_then(|day| day.at(23, 59, 59, 0).to_zoned(jiff::tz::TimeZone::UTC).ok());
    wanted.map_or(latest, |wanted| wanted.timestamp().min(latest))
}

/// An answer as it is read: unpacked, since we must say that we take it packed.
fn unpacked(cx: &CallContext<'_>, response: &BankResponse) -> Result<BankResponse, BankError> {
    let packed = response.header_text("content-encoding").unwrap_or_default().trim().to_ascii_lowercase();
    let limit = u64::try_from(cx.profile.limits.max_body).unwrap_or(u64::MAX);
    let mut body = Vec::new();
    let read = match packed.as_str() {
        "" | "identity" => return Ok(response.clone()),
        "gzip" => flate2::read::GzDecoder::new(&*response.body).take(limit).read_to_end(&mut body),
        "deflate" => flate2::read::ZlibDecoder::new(&*response.body).take(limit).read_to_end(&mut body),
        _ => return Err(BankError::malformed(&cx.profile.id, "content-encoding")),
    };
    read.map_err(|_| BankError::malformed(&cx.profile.id, "body"))?;
    Ok(BankResponse { body: body.into(), ..response.clone() })
}

/// The JSON of a successful answer; an unsuccessful one is the bank's error.
fn success(
    cx: &CallContext<'_>,
    response: &BankResponse,
    effect: Effect,
) -> Result<Tree<'static>, BankError> {
    let response = unpacked(cx, response).map_err(|error| after(effect, error))?;
    if !response.status.is_success() {
        return Err(failure(cx, &response, effect));
    }
    // What was unpacked goes, so the tree must not lie in it.
    parsed(cx, &response, effect).map(Tree::into_owned)
}

/// Reads an answer that is no success: `{responseHeader, code, message}`.
fn failure(cx: &CallContext<'_>, response: &BankResponse, effect: Effect) -> BankError {
    crate::status::failure(cx, response, effect, "code")
}

#[cfg(test)]
mod tests;
