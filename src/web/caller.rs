//! Who calls, proved: an access token, bound to the certificate of the
//! connection (RFC 8705 §3), with the scope the operation needs.
//!
//! A handler that takes a [`Caller`] cannot forget to authorise.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use domain::{ConsentId, GrantId};
use edge::{PeerCertificate, PeerIdentity, Trust};
use flows::Gateway;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::{Problem, ProblemCode};

/// Which scope an operation needs.
pub trait ScopeRule: Send + Sync + 'static {
    /// One of these; none means any token will do.
    const ANY_OF: &'static [&'static str];
}

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = [$($scope:literal),*];)+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl ScopeRule for $name {
                const ANY_OF: &'static [&'static str] = &[$($scope),*];
            }
        )+
    };
}

rules! {
    /// `accounts`.
    Accounts = ["accounts"];
    /// `payments`.
    Payments = ["payments"];
    /// `accounts` or `payments`.
    AccountsOrPayments = ["accounts", "payments"];
    /// Any token.
    AnyScope = [];
}

/// A client that proved who it is.
#[derive(Clone, Debug)]
pub struct Caller<R> {
    /// The client.
    pub client_id: String,
    /// The grant of the token; none for a client's own token.
    pub grant: Option<GrantId>,
    /// Consents that the grant holds.
    pub consents: Vec<ConsentId>,
    rule: PhantomData<R>,
}

impl<R, S> FromRequestParts<S> for Caller<R>
where
    R: ScopeRule,
    S: Send + Sync,
    Arc<Gateway>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let gateway = Arc::<Gateway>::from_ref(state);
        let certificate = trusted_certificate(parts)?;
        let token = bearer_token(parts)?;
        let digest = crypto::digest::sha256_hex(token.as_bytes());
        let now = gateway.clock().now();
        let token = gateway.stores().global().live_token(&digest, now).await?;
        let token = token.ok_or_else(|| Problem::new(ProblemCode::TokenInvalid))?;
        if token.thumbprint != certificate.thumbprint {
            return Err(Problem::new(ProblemCode::CertificateMismatch));
        }
        let granted = token.scope.split(' ').any(|scope| R::ANY_OF.contains(&scope));
        if !granted && !R::ANY_OF.is_empty() {
            let wanted = R::ANY_OF.join(" or ");
            return Err(
                Problem::new(ProblemCode::ScopeMissing).detail(format!("This needs the scope {wanted}."))
            );
        }
        Ok(Self {
            client_id: token.client_id,
            grant: token.grant,
            consents: consents_of(&token.details),
            rule: PhantomData,
        })
    }
}

/// The certificate of the connection, if we trust it.
fn trusted_certificate(parts: &Parts) -> Result<PeerCertificate, Problem> {
    let peer = parts.extensions.get::<PeerIdentity>();
    let Some(certificate) = peer.and_then(|peer| peer.certificate.as_ref()) else {
        return Err(Problem::new(ProblemCode::CertificateMissing));
    };
    match certificate.trust {
        Trust::Trusted => Ok(certificate.clone()),
        Trust::OutOfDate => Err(Problem::new(ProblemCode::CertificateOutOfDate)),
        Trust::Unknown => Err(Problem::new(ProblemCode::CertificateUntrusted)),
    }
}

/// The token of the Authorization header, and of nowhere else (FAPI 2.0 SP
/// §5.3.4-2); the scheme's case does not matter (RFC 9110 §11.1).
fn bearer_token(parts: &Parts) -> Result<&str, Problem> {
    let missing = || Problem::new(ProblemCode::TokenMissing);
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or_else(missing)?;
    if values.next().is_some() {
        return Err(missing().detail("There is more than one Authorization header."));
    }
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(missing()) }
}

/// The consents that `authorization_details` name (RFC 9396).
fn consents_of(details: &serde_json::Value) -> Vec<ConsentId> {
    let details = details.as_array().map(Vec::as_slice).unwrap_or_default();
    details
        .iter()
        .filter(|detail| detail.get("type").and_then(|kind| kind.as_str()) == Some("account_access"))
        .filter_map(|detail| detail.get("consent_id")?.as_str()?.parse().ok())
        .collect()
}
