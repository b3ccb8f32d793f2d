//! The only place from which bytes go to a bank: limits, signature, pooled
//! mutual TLS, deadline and size cap, in that order.
//!
//! It never follows a redirect, never repeats a request of which a byte may
//! have been sent, and never goes to a host that is not the profile's.

mod bulkhead;
mod connector;
mod oauth;
mod seal;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::Clock;
use http::header::{CONTENT_LENGTH, HOST};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use secrecy::SecretString;

use bulkhead::Bulkheads;
use connector::{ConnectFailed, Connector};
pub use seal::Seal;

use crate::{BankError, BankErrorKind, BankRequest, BankResponse, Effect, Profile};

/// Time to reach a bank: name, TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle connections are closed after this.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an answer's head.
const MAX_HEAD: usize = 64 * 1024;

/// Our certificate for TLS (QWAC, OBWAC) and its key.
pub struct TlsIdentity {
    /// PEM, our certificate first.
    pub certificate_chain_pem: String,
    /// PEM, unencrypted.
    pub private_key_pem: SecretString,
}

/// What a transport is made of.
pub struct TransportConfig {
    /// PEM of the authorities that banks' certificates must chain to.
    pub roots_pem: String,
    /// Our certificate; without one, banks that ask for it refuse us.
    pub identity: Option<TlsIdentity>,
    /// Our seal; without one, requests that must be signed fail.
    pub seal: Option<Seal>,
    /// Time of signatures.
    pub clock: Arc<dyn Clock>,
}

/// The material of a transport is not usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTransport {
    /// No certificate in the roots.
    #[error("the roots hold no PEM certificate")]
    Roots,
    /// No certificate in the chain.
    #[error("the identity holds no PEM certificate")]
    Certificate,
    /// No private key.
    #[error("the identity holds no PEM private key")]
    Key,
    /// Certificate and key do not fit, or the library refuses them.
    #[error("the identity's certificate and key cannot be used together")]
    Mismatch,
}

/// Sends requests to banks over pooled connections.
pub struct Transport {
    client: Client<Connector, Full<Bytes>>,
    bulkheads: Bulkheads,
    seal: Option<Seal>,
    clock: Arc<dyn Clock>,
}

impl Transport {
    /// A transport with this material.
    ///
    /// # Errors
    ///
    /// [`InvalidTransport`] names the part that cannot be used.
    pub fn new(config: TransportConfig) -> Result<Self, InvalidTransport> {
        let tls = connector::client_config(&config.roots_pem, config.identity.as_ref())?;
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http1_max_buf_size(MAX_HEAD)
            // An idle connection that the bank closed took nothing of the request.
            .retry_canceled_requests(true)
            .build(Connector::new(tls, CONNECT_TIMEOUT));
        Ok(Self { client, bulkheads: Bulkheads::default(), seal: config.seal, clock: config.clock })
    }

    /// Sends one request. Every status is an answer; what it means is the dialect's to say.
    ///
    /// # Errors
    ///
    /// [`BankError`] whose outcome is `Unknown` if the request writes and may have arrived.
    pub async fn call(&self, profile: &Profile, mut request: BankRequest) -> Result<BankResponse, BankError> {
        let error = |kind| BankError::new(&profile.id, kind);
        if !profile.permits(&request.url) {
            return Err(error(BankErrorKind::ProfileError).at("hosts"));
        }
        let deadline = profile.limits.deadline;
        let started = tokio::time::Instant::now();
        // A call that waited for half of its time has no fair chance any more,
        // and cut off while being sent its outcome would be unknown.
        let patience = deadline.checked_div(2).unwrap_or(deadline);
        let place = tokio::time::timeout(patience, self.bulkheads.enter(profile))
            .await
            .ok()
            .flatten()
            .ok_or_else(|| error(BankErrorKind::Overloaded))?;
        seal::sign(profile, self.seal.as_ref(), self.clock.now(), &mut request)?;
        let effect = request.effect;
        let left = deadline.saturating_sub(started.elapsed());
        let answer = tokio::time::timeout(left, self.exchange(profile, request)).await;
        drop(place);
        let answer = answer.unwrap_or_else(|_| Err(error(BankErrorKind::BankTimeout).unknown()));
        tracing::debug!(
            institution = profile.id.as_str(),
            status = answer.as_ref().ok().map(|response| response.status.as_u16()),
            failure = answer.as_ref().err().map(|failure| failure.kind.code()),
            elapsed_ms = started.elapsed().as_millis(),
            "bank called"
        );
        answer.map_err(|failure| BankError {
            outcome: match effect {
                Effect::Read => crate::Outcome::NotDone,
                Effect::Write => failure.outcome,
            },
            ..failure
        })
    }

    async fn exchange(&self, profile: &Profile, request: BankRequest) -> Result<BankResponse, BankError> {
        let error = |kind| BankError::new(&profile.id, kind);
        let mut wire = http::Request::new(Full::new(request.body.unwrap_or_default()));
        *wire.method_mut() = request.method;
        *wire.uri_mut() =
            request.url.as_str().parse().map_err(|_| error(BankErrorKind::Internal).at("url"))?;
        *wire.headers_mut() = request.headers;
        wire.headers_mut().remove(HOST);
        wire.headers_mut().remove(CONTENT_LENGTH);

        let answer = self.client.request(wire).await.map_err(|failure| classify(profile, &failure))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, profile.limits.max_body).collect().await.map_err(|failure| {
            // The request has arrived: the bank has begun to answer.
            let kind = if failure.is::<LengthLimitError>() {
                BankErrorKind::MalformedResponse
            } else {
                BankErrorKind::BankUnavailable
            };
            error(kind).at("body").with_status(head.status.as_u16()).unknown()
        })?;
        Ok(BankResponse { status: head.status, headers: head.headers, body: body.to_bytes() })
    }
}

/// Whether the request can have arrived, and whose fault the failure is.
fn classify(profile: &Profile, failure: &hyper_util::client::legacy::Error) -> BankError {
    let error = |kind| BankError::new(&profile.id, kind);
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(failure);
    while let Some(cause) = source {
        if let Some(stage) = cause.downcast_ref::<ConnectFailed>() {
            return error(stage.kind());
        }
        if let Some(kind) = connector::refusal(cause) {
            // An alert about our certificate ends the handshake on the bank's
            // side (TLS 1.3 sends it after ours is done): nothing was read.
            return error(kind);
        }
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>() {
            if hyper.is_parse() {
                return error(BankErrorKind::MalformedResponse).at("head").unknown();
            }
            if hyper.is_canceled() {
                // The connection went away before a byte was written.
                return error(BankErrorKind::BankUnavailable);
            }
        }
        source = cause.source();
    }
    let failed = error(BankErrorKind::BankUnavailable);
    if failure.is_connect() { failed } else { failed.unknown() }
}

#[cfg(test)]
mod tests;
