//! Who calls, proved: an access token, bound to the certificate of the
//! connection (RFC 8705 §3) or to the key of a DPoP proof (RFC 9449 §7), with
//! the scope the operation needs.
//!
//! A handler that takes a [`Caller`] cannot forget to authorise.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use crypto::Confirmation;
use crypto::certificate::Thumbprint;
use domain::{ConsentId, GrantId, RequestId};
use edge::{Asked, PeerCertificate, PeerIdentity, Trust};
use flows::{Asker, Gateway, LiveToken};
use http::header::AUTHORIZATION;
use http::request::Parts;
use limits::{Key, Partition, Told};

use crate::dpop::{self, ProofRefused};
use crate::{ForeignLegs, Problem, ProblemCode};

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
    /// `fundsconfirmations`.
    Funds = ["fundsconfirmations"];
    /// `accounts` or `fundsconfirmations`.
    AccountsOrFunds = ["accounts", "fundsconfirmations"];
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
    /// The token, for what else it covers.
    pub token: Arc<LiveToken>,
    request: RequestId,
    certificate: Option<Thumbprint>,
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
        let moves_money = parts.extensions.get::<Asked>().is_some_and(|asked| asked.moves_money);
        let caller = Self::prove(&gateway, parts).await;
        caller.map_err(|problem| if moves_money { problem.outcome("not_executed") } else { problem })
    }
}

impl<R: ScopeRule> Caller<R> {
    async fn prove(gateway: &Gateway, parts: &Parts) -> Result<Self, Problem> {
        let token = match authorization(parts)? {
            (Scheme::Bearer, token) => by_certificate(gateway, parts, token).await?,
            (Scheme::Dpop, token) => by_proof(gateway, parts, token).await?,
        };
        let granted = token.row.scope.split(' ').any(|scope| R::ANY_OF.contains(&scope));
        if !granted && !R::ANY_OF.is_empty() {
            let wanted = R::ANY_OF.join(" or ");
            return Err(
                Problem::new(ProblemCode::ScopeMissing).detail(format!("This needs the scope {wanted}."))
            );
        }
        let told = parts.extensions.get::<Arc<Told>>().map(|told| &**told);
        if let Some(told) = told {
            told.note_client(&token.row.client_id);
        }
        let client = Key::id(&token.row.client_id);
        let counted = gateway.limiter().count(Partition::Client, &client, told);
        counted.map_err(|exceeded| Problem::of_exceeded(&exceeded))?;
        // Whoever is refused here asks nobody else either.
        if let Some(legs) = parts.extensions.get::<ForeignLegs>() {
            legs.note(&token.consents);
        }
        Ok(Self {
            client_id: token.row.client_id.clone(),
            grant: token.row.grant,
            consents: token.consents.clone(),
            token,
            request: parts.extensions.get::<Asked>().map(|asked| asked.id).unwrap_or_default(),
            certificate: certificate_of(parts).ok().map(|shown| shown.thumbprint),
            rule: PhantomData,
        })
    }

    /// Who asks, for the audit log.
    #[must_use]
    pub fn asker(&self) -> Asker<'_> {
        Asker {
            client: &self.client_id,
            consents: &self.consents,
            request: self.request,
            certificate: self.certificate,
        }
    }
}

/// A token that is bound to the certificate of the connection.
async fn by_certificate(gateway: &Gateway, parts: &Parts, token: &str) -> Result<Arc<LiveToken>, Problem> {
    let certificate = certificate_of(parts)?;
    // Looked up only for a certificate that can be some client's.
    let distrust = match certificate.trust {
        Trust::Trusted => None,
        Trust::OutOfDate => return Err(Problem::new(ProblemCode::CertificateOutOfDate)),
        Trust::Revoked => return Err(Problem::new(ProblemCode::CertificateRevoked)),
        Trust::Unfit => return Err(unfit(certificate)),
        Trust::RevocationUnknown => Some(ProblemCode::RevocationUnknown),
        Trust::Unknown => Some(ProblemCode::CertificateUntrusted),
    };
    let found = gateway.live_token(token).await?;
    let token = found.ok_or_else(|| Problem::new(distrust.unwrap_or(ProblemCode::TokenInvalid)))?;
    match (token.row.cnf, distrust) {
        (Confirmation::Certificate(_), Some(code)) => Err(Problem::new(code)),
        (Confirmation::SelfSigned(_), _) if !certificate.fields.is_valid_at(gateway.clock().now()) => {
            Err(Problem::new(ProblemCode::CertificateOutOfDate))
        }
        (Confirmation::Certificate(bound) | Confirmation::SelfSigned(bound), _)
            if bound == certificate.thumbprint =>
        {
            Ok(token)
        }
        (Confirmation::Certificate(_) | Confirmation::SelfSigned(_), _) => {
            Err(Problem::new(ProblemCode::CertificateMismatch))
        }
        // RFC 9449 §7.1: such a token is nothing without its proof.
        (Confirmation::Key(_), _) => Err(Problem::new(ProblemCode::ProofInvalid)
            .detail("The token is bound to a DPoP key: send it with the scheme DPoP and a proof.")
            .token_of_dpop()),
    }
}

/// Says all that is wrong with a certificate.
fn unfit(certificate: &PeerCertificate) -> Problem {
    let whole = Problem::new(ProblemCode::CertificateUnfit);
    certificate
        .unfit
        .iter()
        .fold(whole, |problem, why| problem.error("certificate", "certificate.unfit", why.to_string()))
}

/// A token that is bound to the key of a proof.
async fn by_proof(gateway: &Gateway, parts: &Parts, token: &str) -> Result<Arc<LiveToken>, Problem> {
    // The proof is enough, but not for one whose key may be in other hands, and not beside a
    // certificate that nobody may show here.
    if let Ok(shown) = certificate_of(parts) {
        if shown.trust == Trust::Revoked {
            return Err(Problem::new(ProblemCode::CertificateRevoked));
        }
        if !shown.unfit.is_empty() {
            return Err(unfit(shown));
        }
    }
    let invalid = |why: &str| Problem::new(ProblemCode::ProofInvalid).detail(why);
    let proof = dpop::proof_of(gateway, parts, Some(token));
    let proof = match proof {
        Ok(Some(proof)) => proof,
        Ok(None) => return Err(invalid("The DPoP header is missing.")),
        Err(ProofRefused::Invalid(why)) => return Err(invalid(&format!("Refused: {why}."))),
        Err(ProofRefused::Nonce) => {
            return Err(Problem::new(ProblemCode::ProofNonce).dpop_nonce(dpop::nonce(gateway)));
        }
    };
    let token = gateway.live_token(token).await?;
    let token = token.ok_or_else(|| Problem::new(ProblemCode::TokenInvalid).token_of_dpop())?;
    if token.row.cnf != Confirmation::Key(proof.key) {
        return Err(invalid("The token is bound to another key.").token_of_dpop());
    }
    // RFC 9449 §11.1: last, so that a refused request uses nothing up.
    if !gateway.note_proof(&proof) {
        return Err(invalid("The DPoP proof was used before."));
    }
    Ok(token)
}

/// The certificate of the connection.
fn certificate_of(parts: &Parts) -> Result<&PeerCertificate, Problem> {
    let peer = parts.extensions.get::<PeerIdentity>();
    let certificate = peer.and_then(|peer| peer.certificate.as_ref());
    certificate.ok_or_else(|| Problem::new(ProblemCode::CertificateMissing))
}

/// How a token is shown.
enum Scheme {
    Bearer,
    Dpop,
}

/// The token of the Authorization header, and of nowhere else (FAPI 2.0 SP
/// §5.3.4-2); the scheme's case does not matter (RFC 9110 §11.1).
fn authorization(parts: &Parts) -> Result<(Scheme, &str), Problem> {
    let missing = || Problem::new(ProblemCode::TokenMissing);
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or_else(missing)?;
    if values.next().is_some() {
        return Err(missing().detail("There is more than one Authorization header."));
    }
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok((Scheme::Bearer, token.trim()))
    } else if scheme.eq_ignore_ascii_case("dpop") {
        Ok((Scheme::Dpop, token.trim()))
    } else {
        Err(missing())
    }
}
