//! The only place from which bytes go to a bank: circuit breaker, limits,
//! signature, pooled mutual TLS, deadline and size cap, in that order.
//!
//! It never follows a redirect, never repeats a request that writes and of which
//! a byte may have been sent, and never goes to a host that is not the profile's.
//! A read is repeated where the bank could not be reached or said that it is
//! overloaded, within the deadline and a budget.
//!
//! A caller that gives up does not end its call: what the bank does is learned
//! all the same, and its place stays taken as long as the bank works on it.

mod bulkhead;
mod called;
mod connector;
mod oauth;
mod registration;
mod seal;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use domain::{Clock, Entropy, InstitutionId};
use http::header::{CONTENT_LENGTH, HOST};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use limits::{Key, Limiter, Partition};
use secrecy::SecretString;
use tokio::time::Instant;

use bulkhead::Bulkheads;
use called::Called;
pub use connector::PooledTls;
use connector::{ConnectFailed, Connector};
pub use seal::Seal;
pub(crate) use seal::{IAT, ISS, TAN};

use crate::health::{Health, Pulse, Refusal, Sign};
use crate::{BankError, BankErrorKind, BankRequest, BankResponse, Effect, Limits, Profile};

/// Time to reach a bank: name, TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle connections are closed after this.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an answer's head.
const MAX_HEAD: usize = 64 * 1024;
/// Longest pause before the first repeat of a read; it doubles with each.
const FIRST_PAUSE_MS: u64 = 100;

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
    /// Chance, for the pauses before repeats.
    pub entropy: Arc<dyn Entropy>,
    /// Counts calls by bank.
    pub limiter: Arc<Limiter>,
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

type Wire = Client<Connector, Full<Bytes>>;

/// Connections by which these authorities are believed and this certificate is shown.
fn wire(roots_pem: &str, identity: Option<&TlsIdentity>) -> Result<Wire, InvalidTransport> {
    let tls = connector::client_config(roots_pem, identity)?;
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .http1_max_buf_size(MAX_HEAD)
        // An idle connection that the bank closed took nothing of the request.
        .retry_canceled_requests(true)
        .build(Connector::new(tls, CONNECT_TIMEOUT)))
}

type Answer = Result<BankResponse, BankError>;

/// Sends requests to banks over pooled connections.
pub struct Transport {
    client: ArcSwap<Wire>,
    bulkheads: Bulkheads,
    health: Health,
    seal: Option<Seal>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    limiter: Arc<Limiter>,
}

impl Transport {
    /// A transport with this material.
    ///
    /// # Errors
    ///
    /// [`InvalidTransport`] names the part that cannot be used.
    pub fn new(config: TransportConfig) -> Result<Self, InvalidTransport> {
        let client = wire(&config.roots_pem, config.identity.as_ref())?;
        Ok(Self {
            client: ArcSwap::from_pointee(client),
            bulkheads: Bulkheads::default(),
            health: Health::default(),
            seal: config.seal,
            clock: config.clock,
            entropy: config.entropy,
            limiter: config.limiter,
        })
    }

    /// Shows banks another certificate, and believes these authorities, from the next connection on. Calls that are
    /// under way end over the connections they have.
    ///
    /// # Errors
    ///
    /// [`InvalidTransport`] names the part that cannot be used; then everything stays as it was.
    pub fn present(&self, roots_pem: &str, identity: &TlsIdentity) -> Result<(), InvalidTransport> {
        self.client.store(Arc::new(wire(roots_pem, Some(identity))?));
        Ok(())
    }

    /// How the banks are doing, seen from here.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Sends one request. Every status is an answer; what it means is the dialect's to say.
    ///
    /// # Errors
    ///
    /// [`BankError`] whose outcome is `Unknown` if the request writes and may have arrived.
    pub async fn call(&self, profile: &Profile, request: BankRequest) -> Answer {
        if !profile.permits(&request.url) {
            return Err(BankError::new(&profile.id, BankErrorKind::ProfileError).at("hosts"));
        }
        let effect = request.effect;
        let started = Instant::now();
        let pulse = self.health.pulse(&profile.id, request.service);
        let mut repeats = 0;
        let answer = loop {
            let answer = self.hedged(profile, &pulse, &request, started).await;
            let pause = self.pause(repeats);
            let left = profile.limits.deadline.saturating_sub(started.elapsed());
            let again = effect == Effect::Read
                && repeats < profile.limits.retries
                && passing(&answer)
                && pause < left
                && pulse.take_retry();
            if !again {
                break answer;
            }
            repeats = repeats.saturating_add(1);
            tokio::time::sleep(pause).await;
        };
        answer.map_err(|failure| BankError {
            outcome: match effect {
                Effect::Read => crate::Outcome::NotDone,
                Effect::Write => failure.outcome,
            },
            ..failure
        })
    }

    /// A read that takes long is asked a second time, where the profile says so;
    /// the first answer counts.
    async fn hedged(
        &self,
        profile: &Profile,
        pulse: &Arc<Pulse>,
        request: &BankRequest,
        started: Instant,
    ) -> Answer {
        let first = self.once(profile, pulse, request.clone(), started);
        let Some(wait) = profile.limits.hedge_after.filter(|_| request.effect == Effect::Read) else {
            return first.await;
        };
        tokio::pin!(first);
        if let Ok(answer) = tokio::time::timeout(wait, &mut first).await {
            return answer;
        }
        if !pulse.take_retry() {
            return first.await;
        }
        let second = self.once(profile, pulse, request.clone(), started);
        tokio::pin!(second);
        tokio::select! {
            answer = &mut first => if answer.is_ok() { answer } else { second.await },
            answer = &mut second => if answer.is_ok() { answer } else { first.await },
        }
    }

    async fn once(
        &self,
        profile: &Profile,
        pulse: &Arc<Pulse>,
        mut request: BankRequest,
        started: Instant,
    ) -> Answer {
        let error = |kind| BankError::new(&profile.id, kind);
        let called = Called::of(profile, &request);
        let admission = pulse.admit(Instant::now()).map_err(|refusal| {
            called.spared(match refusal {
                Refusal::Down(left) => {
                    error(BankErrorKind::BankUnavailable).at("breaker").with_retry_after(Some(left))
                }
                Refusal::Throttled(left) => error(BankErrorKind::Throttled).with_retry_after(Some(left)),
            })
        })?;
        let limits = profile.limits;
        // A call that waited for half of its time has no fair chance any more,
        // and cut off while being sent its outcome would be unknown.
        let patience =
            limits.deadline.checked_div(2).unwrap_or(limits.deadline).saturating_sub(started.elapsed());
        let place = tokio::time::timeout(patience, self.bulkheads.enter(profile))
            .await
            .ok()
            .flatten()
            .ok_or_else(|| called.spared(error(BankErrorKind::Overloaded)))?;
        let patience = patience.min(limits.deadline.saturating_sub(started.elapsed()));
        self.in_quota(profile, patience).await.map_err(|refused| called.spared(refused))?;
        seal::sign(profile, self.seal.as_ref(), self.clock.now(), &mut request)?;
        let left = limits.deadline.saturating_sub(started.elapsed());
        let (client, id) = (Wire::clone(&self.client.load()), profile.id.clone());
        let (pulse, clock) = (Arc::clone(pulse), Arc::clone(&self.clock));
        let (calling, noted) = (called.calling(), called.clone());
        let work = async move {
            let sent = Instant::now();
            let answer = tokio::time::timeout(left, exchange(&client, &id, limits, request)).await;
            let answer =
                answer.unwrap_or_else(|_| Err(BankError::new(&id, BankErrorKind::BankTimeout).unknown()));
            let took = sent.elapsed();
            called.count(called::outcome_of(&answer), took);
            tracing::debug!(
                institution = id.as_str(),
                status = answer.as_ref().ok().map(|response| response.status.as_u16()),
                failure = answer.as_ref().err().map(|failure| failure.kind.code()),
                elapsed_ms = took.as_millis(),
                "bank called"
            );
            match &answer {
                Ok(response) if matches!(response.status.as_u16(), 429 | 503) => {
                    if let Some(wait) = response.retry_after() {
                        pulse.throttle(Instant::now(), wait);
                        place.too_many();
                    }
                }
                Ok(_) => place.good(),
                Err(_) => {}
            }
            if let Some(sign) = sign_of(&answer) {
                admission.tell(sign, took, clock.now(), limits.open_for);
            }
            drop(place);
            answer
        };
        let answer =
            tokio::spawn(work).await.unwrap_or_else(|_| Err(error(BankErrorKind::Internal).unknown()));
        if let Some(calling) = calling {
            calling.ended(noted.as_call(&answer));
        }
        answer
    }

    /// Waits until the bank lets itself be asked, if that is soon.
    async fn in_quota(&self, profile: &Profile, patience: Duration) -> Result<(), BankError> {
        let key = Key::id(profile.id.as_str());
        let until = Instant::now().checked_add(patience).unwrap_or_else(Instant::now);
        while let Err(exceeded) = self.limiter.count(Partition::Institution, &key, None) {
            if exceeded.wait > until.saturating_duration_since(Instant::now()) {
                let throttled = BankError::new(&profile.id, BankErrorKind::Throttled);
                return Err(throttled.at("limits").with_retry_after(Some(exceeded.wait)));
            }
            tokio::time::sleep(exceeded.wait).await;
        }
        Ok(())
    }

    /// A random pause before a repeat ("full jitter"), so that many callers do
    /// not come back at the same time.
    fn pause(&self, repeats: u8) -> Duration {
        let most = FIRST_PAUSE_MS.saturating_mul(1_u64.checked_shl(u32::from(repeats)).unwrap_or(1));
        let mut random = [0; 8];
        self.entropy.fill(&mut random);
        Duration::from_millis(u64::from_le_bytes(random).checked_rem(most).unwrap_or(0))
    }
}

/// Whether a read may do better in a moment: the bank was not reached, or says
/// that somebody before it was not.
fn passing(answer: &Answer) -> bool {
    match answer {
        Ok(response) => matches!(response.status.as_u16(), 502..=504) && response.retry_after().is_none(),
        Err(error) => error.kind == BankErrorKind::BankUnavailable && error.retry_after.is_none(),
    }
}

/// What an answer tells of the bank; nothing, where the call was not its matter.
fn sign_of(answer: &Answer) -> Option<Sign> {
    let error = match answer {
        Ok(response) if response.status.is_server_error() && response.status.as_u16() != 501 => {
            return Some(Sign::Failed);
        }
        Ok(_) => return Some(Sign::Answered),
        Err(error) => error,
    };
    if matches!(error.kind, BankErrorKind::BankUnavailable | BankErrorKind::BankTimeout) {
        Some(Sign::Silent)
    } else if matches!(error.kind, BankErrorKind::TlsFailed | BankErrorKind::CertificateRejected) {
        Some(Sign::Closed)
    } else {
        error.kind.counts_against_bank().then_some(Sign::Failed)
    }
}

async fn exchange(client: &Wire, id: &InstitutionId, limits: Limits, request: BankRequest) -> Answer {
    let error = |kind| BankError::new(id, kind);
    let mut wire = http::Request::new(Full::new(request.body.unwrap_or_default()));
    *wire.method_mut() = request.method;
    *wire.uri_mut() = request.url.as_str().parse().map_err(|_| error(BankErrorKind::Internal).at("url"))?;
    *wire.headers_mut() = request.headers;
    wire.headers_mut().remove(HOST);
    wire.headers_mut().remove(CONTENT_LENGTH);

    let answer = client.request(wire).await.map_err(|failure| classify(id, &failure))?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, limits.max_body).collect().await.map_err(|failure| {
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

/// Whether the request can have arrived, and whose fault the failure is.
fn classify(id: &InstitutionId, failure: &hyper_util::client::legacy::Error) -> BankError {
    let error = |kind| BankError::new(id, kind);
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
