//! One request to a bank and its answer, as values: dialects build and read
//! them, only the transport sends them.

use std::fmt;

use bytes::Bytes;
use domain::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use url::Url;

use crate::health::Service;

/// How the transport signs a request with our seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// Not at all.
    None,
    /// Detached JWS over the body in `x-jws-signature` (UK Open Banking).
    DetachedJws,
    /// `Digest`, `Signature` and `TPP-Signature-Certificate` (Berlin Group,
    /// draft-cavage-http-signatures).
    DigestAndSignature,
    /// `Digest`, `Date` and `Signature` over the request's target as well; the
    /// key is named by the address of its certificate (STET).
    DigestAndSignatureByUrl,
    /// `Content-Digest`, `Signature-Input`, `Signature` and `TPP-Signature-Certificate`
    /// (RFC 9421).
    MessageSignature,
    /// Detached JWS over the body in `x-jws-signature` (PolishAPI).
    BodyJws,
}

/// Whether a request changes anything at the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It only reads; sending it twice does no harm.
    Read,
    /// It creates, moves or revokes; after a failure its outcome may be unknown.
    Write,
}

/// A request to a bank. Debug shows the method and the host only: paths hold
/// identifiers, headers hold tokens.
#[derive(Clone)]
pub struct BankRequest {
    /// Method.
    pub method: Method,
    /// Absolute address; its host must be one of the profile's.
    pub url: Url,
    /// All headers but those of the signature.
    pub headers: HeaderMap,
    /// The exact bytes to send.
    pub body: Option<Bytes>,
    /// How to sign.
    pub signature: Signature,
    /// What it does at the bank.
    pub effect: Effect,
    /// What it is for.
    pub service: Service,
}

impl BankRequest {
    /// A request that reads.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self::of(Method::GET, url, Effect::Read)
    }

    /// A request of any method, without headers and body.
    #[must_use]
    pub fn of(method: Method, url: Url, effect: Effect) -> Self {
        let (headers, signature, service) = (HeaderMap::new(), Signature::None, Service::Accounts);
        Self { method, url, headers, body: None, signature, effect, service }
    }

    /// Adds a header. A value that HTTP forbids is left out and reported.
    ///
    /// # Errors
    ///
    /// The header's name, if the value has a character that HTTP forbids.
    pub fn header(mut self, name: &'static str, value: &str) -> Result<Self, &'static str> {
        let value = HeaderValue::from_str(value).map_err(|_| name)?;
        self.headers.insert(HeaderName::from_static(name), value);
        Ok(self)
    }

    /// Adds the headers that have a value.
    ///
    /// # Errors
    ///
    /// As [`BankRequest::header`].
    pub fn headers_if_known(
        self,
        headers: impl IntoIterator<Item = (&'static str, Option<String>)>,
    ) -> Result<Self, &'static str> {
        let mut known = headers.into_iter().filter_map(|(name, value)| Some((name, value?)));
        known.try_fold(self, |request, (name, value)| request.header(name, &value))
    }

    /// Sets the body and its content type.
    #[must_use]
    pub fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = Some(body.into());
        self
    }

    /// Sets how to sign.
    #[must_use]
    pub fn signed(mut self, signature: Signature) -> Self {
        self.signature = signature;
        self
    }

    /// The value of a header as text.
    #[must_use]
    pub fn header_text(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A date as HTTP writes it (RFC 9110 §5.6.7).
#[must_use]
pub fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

impl fmt::Debug for BankRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BankRequest")
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .field("effect", &self.effect)
            .finish_non_exhaustive()
    }
}

/// A bank's answer. Debug shows the status and the length only.
#[derive(Clone)]
pub struct BankResponse {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, at most the profile's limit.
    pub body: Bytes,
}

impl BankResponse {
    /// The value of a header as text.
    #[must_use]
    pub fn header_text(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// How long the bank asks us to wait (`Retry-After` in seconds).
    #[must_use]
    pub fn retry_after(&self) -> Option<std::time::Duration> {
        let seconds = self.header_text("retry-after")?.trim().parse().ok()?;
        Some(std::time::Duration::from_secs(seconds))
    }
}

impl fmt::Debug for BankResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BankResponse")
            .field("status", &self.status)
            .field("body_length", &self.body.len())
            .finish_non_exhaustive()
    }
}
