//! Client authentication, by the registered method only (FAPI 2.0 SP
//! §5.3.2.1), and what the client's tokens will be bound to.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use crypto::dpop::Proof;
use crypto::{Confirmation, jws};
use domain::Timestamp;
use edge::{PeerCertificate, PeerIdentity, Trust};
use limits::{Key, Partition, Told};
use store::StoreError;
use web::dpop::{ProofRefused, proof_of};

use crate::assertion::{self, AssertionId};
use crate::client::{ClientAuth, role_missing};
use crate::form::Form;
use crate::{Client, OAuth, OAuthError};

/// A form from a client that proved who it is.
pub(crate) struct ClientForm {
    pub(crate) client: Arc<Client>,
    /// The certificate of the connection: trusted, or registered.
    pub(crate) certificate: Option<PeerCertificate>,
    /// The key that the request proves to hold (RFC 9449).
    pub(crate) proof: Option<Proof>,
    /// Address of the client.
    pub(crate) address: IpAddr,
    pub(crate) form: Form,
}

impl ClientForm {
    /// What a token for this request is bound to. Without proof of possession
    /// there is no token (FAPI 2.0 SP §5.3.2.1-4).
    pub(crate) fn confirmation(&self) -> Result<Confirmation, OAuthError> {
        if let Some(proof) = &self.proof {
            return Ok(Confirmation::Key(proof.key));
        }
        if self.client.dpop_bound {
            return Err(OAuthError::proof(
                "the client's tokens are bound to a DPoP key: the proof is missing",
            ));
        }
        let certificate = self
            .certificate
            .as_ref()
            .ok_or_else(|| OAuthError::client("a trusted client certificate or a DPoP proof is needed"))?;
        Ok(match certificate.trust {
            Trust::Trusted => Confirmation::Certificate(certificate.thumbprint),
            Trust::OutOfDate | Trust::Revoked | Trust::RevocationUnknown | Trust::Unfit | Trust::Unknown => {
                Confirmation::SelfSigned(certificate.thumbprint)
            }
        })
    }

    /// Whether the certificate, or the registration, states the PSD2 role for
    /// a scope.
    pub(crate) fn role_covers(&self, scope: &str) -> bool {
        self.client.role_covers(self.certificate.as_ref().map(|shown| &*shown.fields), scope)
    }

    /// The scopes of a request for which the client is registered and has the
    /// PSD2 role; a role that is missing takes its scope away (RFC 6749 §3.3).
    pub(crate) fn scopes(&self, asked: &str) -> Result<Vec<&'static str>, OAuthError> {
        let registered = self
            .client
            .scope_of(asked)
            .ok_or_else(|| OAuthError::new("invalid_scope", "the client is not registered for this scope"))?;
        let (scopes, without): (Vec<_>, Vec<_>) =
            registered.into_iter().partition(|scope| self.role_covers(scope));
        if scopes.is_empty() {
            return Err(OAuthError::new("invalid_scope", role_missing(without)));
        }
        Ok(scopes)
    }
}

impl FromRequest<OAuth> for ClientForm {
    type Rejection = OAuthError;

    async fn from_request(request: Request, oauth: &OAuth) -> Result<Self, OAuthError> {
        let Unspent { asked, ids } = Unspent::from_request(request, oauth).await?;
        ids.spend(oauth).await?;
        Ok(asked)
    }
}

/// A form from a client that proved who it is, by proofs that may have been
/// used before: nothing is answered, and nothing that matters is done, before
/// they are spent.
pub(crate) struct Unspent {
    pub(crate) asked: ClientForm,
    pub(crate) ids: ProofIds,
}

impl FromRequest<OAuth> for Unspent {
    type Rejection = OAuthError;

    async fn from_request(request: Request, oauth: &OAuth) -> Result<Self, OAuthError> {
        let (parts, body) = request.into_parts();
        let peer = parts.extensions.get::<PeerIdentity>().cloned();
        let peer = peer.ok_or_else(|| OAuthError::client("the connection is not known"))?;
        // A key that may be in other hands proves nothing, whatever else does.
        if peer.certificate.as_ref().is_some_and(|shown| shown.trust == Trust::Revoked) {
            return Err(OAuthError::client("the certificate of the connection is revoked"));
        }
        if let Some(unfit) = peer.unfit() {
            return Err(OAuthError::unfit(unfit));
        }
        let form = Form::read(&parts.headers, body).await?;
        let gateway = &oauth.gateway;
        let proof = proof_of(gateway, &parts, None);
        let proof = proof.map_err(|refused| match refused {
            ProofRefused::Invalid(why) => OAuthError::proof(why),
            ProofRefused::Nonce => {
                OAuthError::new("use_dpop_nonce", "the DPoP proof needs the nonce of this answer")
            }
        })?;
        let now = gateway.clock().now();
        let (client, certificate, assertion) = authenticate(oauth, &form, &peer, now).await?;
        let told = parts.extensions.get::<Arc<Told>>().map(|told| &**told);
        if let Some(told) = told {
            told.note_client(&client.id);
        }
        let counted = gateway.limiter().count(Partition::Client, &Key::id(&client.id), told);
        counted.map_err(|exceeded| OAuthError::too_many(exceeded.policy.reset))?;
        // Without a key of some kind the request could lead to no token.
        if certificate.is_none() && proof.is_none() && !client.dpop_bound {
            return Err(OAuthError::client("a trusted client certificate or a DPoP proof is needed"));
        }
        let ids = ProofIds::of(&client, assertion, proof.as_ref(), now);
        let address = peer.address.ip().to_canonical();
        Ok(Self { asked: ClientForm { client, certificate, proof, address, form }, ids })
    }
}

async fn authenticate(
    oauth: &OAuth,
    form: &Form,
    peer: &PeerIdentity,
    now: Timestamp,
) -> Result<(Arc<Client>, Option<PeerCertificate>, Option<AssertionId>), OAuthError> {
    let refused = || OAuthError::client("client authentication failed");
    let given = form.get("client_assertion");
    if form.get("client_secret").is_some() {
        return Err(OAuthError::client("client secrets are not accepted"));
    }
    let claimed = match (form.get("client_id"), given) {
        (Some(id), _) => id.to_owned(),
        // Which client an assertion is for is needed to find the key that verifies it.
        (None, Some(assertion)) => jws::peek_claims(assertion)
            .ok()
            .and_then(|claims| claims.get("sub")?.as_str().map(str::to_owned))
            .ok_or_else(refused)?,
        (None, None) => return Err(refused()),
    };
    let client = oauth.client(&claimed).await?.ok_or_else(refused)?;
    let trusted = peer.trusted().cloned();
    let (certificate, assertion) = match (&client.auth, given) {
        (ClientAuth::PrivateKeyJwt, Some(given)) => {
            let issuer = &oauth.gateway.config().issuer;
            (trusted, Some(assertion::check(&client, issuer, form, given, now)?))
        }
        (ClientAuth::Certificate(subject), None) => {
            let shown =
                trusted.ok_or_else(|| OAuthError::client("a trusted client certificate is needed"))?;
            if !subject.matches(&shown.fields) {
                return Err(OAuthError::client("the certificate is not the registered one"));
            }
            (Some(shown), None)
        }
        (ClientAuth::SelfSigned, None) => (Some(registered(&client, peer, now)?), None),
        // By the registered method, not by another one that would do too.
        (ClientAuth::PrivateKeyJwt, None)
        | (ClientAuth::Certificate(_) | ClientAuth::SelfSigned, Some(_)) => {
            return Err(OAuthError::client("the client is not registered for this way to authenticate"));
        }
    };
    let fixed = client.organization_identifier.as_deref();
    // PSD2: a client is one organisation; a certificate of another is not its.
    // One that the client registered itself was vouched for by the registration.
    let stated = certificate.as_ref().filter(|shown| shown.trust == Trust::Trusted);
    let shown = stated.map(|shown| shown.fields.organization_identifier.as_deref());
    if fixed.is_some() && shown.is_some_and(|shown| shown != fixed) {
        return Err(OAuthError::client("the certificate belongs to another organisation"));
    }
    Ok((client, certificate, assertion))
}

/// RFC 8705 §2.2.2: the certificate of the connection is one of those that the
/// client registered, and in date.
fn registered(client: &Client, peer: &PeerIdentity, now: Timestamp) -> Result<PeerCertificate, OAuthError> {
    let shown = peer.certificate.as_ref();
    let shown = shown.ok_or_else(|| OAuthError::client("a client certificate is needed"))?;
    if !shown.fields.is_valid_at(now) {
        return Err(OAuthError::client("the certificate is out of date"));
    }
    if !client.keys.iter().any(|key| key.certificate() == Some(&shown.thumbprint)) {
        return Err(OAuthError::client("the certificate is not the registered one"));
    }
    // Bound as what it is registered as, whoever else may trust it.
    Ok(PeerCertificate { trust: Trust::Unknown, ..shown.clone() })
}

/// The ids of the assertion (RFC 7523 §3 (7)) and of the DPoP proof (RFC 9449
/// §11.1) of a request: each must not have been seen before.
#[must_use = "a proof that is not spent can be used again"]
pub(crate) struct ProofIds {
    assertion: Option<(String, AssertionId)>,
    proof: Option<AssertionId>,
}

impl ProofIds {
    fn of(client: &Client, assertion: Option<AssertionId>, proof: Option<&Proof>, now: Timestamp) -> Self {
        let memory = i64::try_from(crypto::dpop::MEMORY).unwrap_or(i64::MAX);
        let end = crate::seconds_after(now, memory);
        Self {
            assertion: assertion.map(|assertion| (client.id.clone(), assertion)),
            proof: proof.map(|proof| (format!("{} {}", proof.key, proof.jti), end)),
        }
    }

    /// Uses them up.
    pub(crate) async fn spend(self, oauth: &OAuth) -> Result<(), OAuthError> {
        if let Some((owner, (jti, end))) = self.assertion {
            let digest = crypto::digest::sha256_hex(jti.as_bytes());
            let used = OAuthError::client("the client assertion was used before");
            claim(oauth, &owner, &digest, end, used).await?;
        }
        if let Some((id, end)) = self.proof {
            let digest = crypto::digest::sha256_hex(id.as_bytes());
            claim(oauth, "dpop", &digest, end, OAuthError::proof("the DPoP proof was used before")).await?;
        }
        Ok(())
    }
}

/// Uses up an id of `owner`, or fails with `used` if that was done before.
pub(crate) async fn claim(
    oauth: &OAuth,
    owner: &str,
    digest: &str,
    end: Timestamp,
    used: OAuthError,
) -> Result<(), OAuthError> {
    match oauth.gateway.stores().global().claim_id(owner, digest, end).await {
        Ok(()) => Ok(()),
        Err(StoreError::Conflict) => Err(used),
        Err(error) => Err(error.into()),
    }
}
