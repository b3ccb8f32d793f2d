//! What a plugin wants to send, checked and made into a request: it names a place
//! below the profile's address and never a host, and names the token and the
//! person's device without having seen them.

use connect::{
    ApiBase, BankError, BankErrorKind, BankRequest, CallContext, Effect, NextPage, Signature, Signing,
};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use secrecy::ExposeSecret;
use url::Url;

use crate::wit;

/// Most headers of a request.
const HEADERS: usize = 64;

/// Longest address, bytes.
const ADDRESS: usize = 8 * 1024;

/// Headers that are ours to write: of the connection, of the body, and of signatures.
const RESERVED: [&str; 18] = [
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "digest",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "signature",
    "te",
    "tpp-signature-certificate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-jws-signature",
];

/// Why the plugin's word is not taken, and where.
pub(crate) fn refused(cx: &CallContext<'_>, field: impl Into<String>) -> BankError {
    cx.error(BankErrorKind::PluginFailed).at(field)
}

/// The request that a plugin described, to a place below `api`.
pub(crate) fn request(
    cx: &CallContext<'_>,
    api: &ApiBase,
    given: wit::Request,
    effect: Effect,
) -> Result<BankRequest, BankError> {
    let method = match (given.method, effect) {
        (wit::Method::Get, _) => Method::GET,
        (wit::Method::Post, _) => Method::POST,
        (wit::Method::Put, Effect::Write) => Method::PUT,
        (wit::Method::Delete, Effect::Write) => Method::DELETE,
        (wit::Method::Put | wit::Method::Delete, Effect::Read) => return Err(refused(cx, "method")),
    };
    let mut request = BankRequest::of(method, address(cx, api, &given.target)?, effect);
    request.headers = headers(cx, given.headers)?;
    if let Some(body) = given.body {
        if request.method == Method::GET {
            return Err(refused(cx, "body"));
        }
        let kind = HeaderValue::try_from(body.content_type).map_err(|_| refused(cx, "body.content-type"))?;
        request.headers.insert(CONTENT_TYPE, kind);
        request.body = Some(body.content.into());
    }
    Ok(request.signed(match cx.profile.signing {
        Signing::None => Signature::None,
        Signing::DetachedJws { .. } => Signature::DetachedJws,
        Signing::DigestSignature => Signature::DigestAndSignature,
        Signing::DigestSignatureByUrl { .. } => Signature::DigestAndSignatureByUrl,
        Signing::MessageSignature { .. } => Signature::MessageSignature,
        Signing::BodyJws => Signature::BodyJws,
    }))
}

/// A place below an address of the profile.
fn address(cx: &CallContext<'_>, api: &ApiBase, target: &wit::Target) -> Result<Url, BankError> {
    if !target.path.iter().all(|segment| ApiBase::is_segment(segment)) {
        return Err(refused(cx, "target.path"));
    }
    let segments: Vec<&str> = target.path.iter().map(String::as_str).collect();
    let mut url = api.join(&segments);
    if !target.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&target.query);
    }
    if url.as_str().len() > ADDRESS || !cx.profile.permits(&url) {
        return Err(refused(cx, "target"));
    }
    Ok(url)
}

fn headers(cx: &CallContext<'_>, given: Vec<(String, wit::HeaderValue)>) -> Result<HeaderMap, BankError> {
    if given.len() > HEADERS {
        return Err(refused(cx, "headers"));
    }
    let mut headers = HeaderMap::new();
    for (index, (name, value)) in given.into_iter().enumerate() {
        let wrong = || refused(cx, format!("headers[{index}]"));
        let name = HeaderName::try_from(name).map_err(|_| wrong())?;
        let value = match value {
            // What authorises us never comes from a plugin.
            wit::HeaderValue::Text(_) if name == AUTHORIZATION => return Err(wrong()),
            wit::HeaderValue::Text(text) => Some(text),
            wit::HeaderValue::BearerToken => {
                cx.access_token.map(|token| format!("Bearer {}", token.expose_secret()))
            }
            wit::HeaderValue::PsuIpAddress => cx.psu.map(|psu| psu.ip_address.to_string()),
            wit::HeaderValue::PsuUserAgent => cx.psu.and_then(|psu| psu.user_agent.clone()),
        };
        let Some(value) = value else { continue };
        let value = HeaderValue::try_from(value).map_err(|_| wrong())?;
        if RESERVED.contains(&name.as_str()) || headers.insert(name, value).is_some() {
            return Err(wrong());
        }
    }
    Ok(headers)
}

/// A target as we keep it between the page that named it and the request for it.
#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    path: Vec<String>,
    query: Vec<(String, String)>,
}

/// The page that a plugin named.
pub(crate) fn page_of(cx: &CallContext<'_>, target: wit::Target) -> Result<NextPage, BankError> {
    let url = address(cx, cx.profile.accounts_api()?, &target)?;
    let kept = Kept { path: target.path, query: target.query };
    let kept = serde_json::to_string(&kept).map_err(|_| cx.error(BankErrorKind::Internal))?;
    Ok(NextPage::asked_in_body(url, kept))
}

/// What the plugin called a page.
pub(crate) fn target_of(cx: &CallContext<'_>, page: &NextPage) -> Result<wit::Target, BankError> {
    let kept = page.asks().and_then(|asks| serde_json::from_str(asks).ok());
    let Kept { path, query } = kept.ok_or_else(|| refused(cx, "next"))?;
    Ok(wit::Target { path, query })
}

#[cfg(test)]
mod tests;
