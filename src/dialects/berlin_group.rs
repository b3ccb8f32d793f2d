//! Berlin Group NextGenPSD2 XS2A Framework 1.3.x: consents, accounts and single
//! SEPA payments, by redirect, OAuth, decoupled or embedded authentication.

mod accounts;
mod batches;
mod cards;
mod embedded;
mod error;
mod flicker;
mod funds;
mod notices;
mod options;
mod payments;
mod reading;
mod resources;
mod sca;
mod transactions;

use connect::{
    AccountInformation, AccountResources, BankError, BankErrorKind, BankRequest, BankResponse,
    BatchInitiation, CallContext, Dialect, Effect, EmbeddedAuthentication, FundsConfirmation, Operation,
    PayeeVerification, PaymentInitiation, Profile, RedirectUris, ResourceNotices, ScaFlow, Signature,
    Signing, StartAuthorisation, TokenEndpoint, TokenKind,
};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use url::Url;

use crate::payees::EpcPayees;
use crate::status::{after, parsed};
pub(crate) use accounts::consent_status;
pub(crate) use error::failure;
pub(crate) use payments::payment_status;
pub(crate) use reading::{account, balance, iban_or_other, identifications};
pub(crate) use sca::{sca_start, sca_status};
pub(crate) use transactions::transactions_of;

use crate::tree::Tree;

/// The dialect; without state.
#[derive(Clone, Copy, Debug, Default)]
pub struct BerlinGroup;

impl Dialect for BerlinGroup {
    fn name(&self) -> &'static str {
        "berlin-group"
    }

    fn standard(&self, profile: &Profile) -> String {
        let version = profile.accounts_api.as_ref().or(profile.payments_api.as_ref());
        format!("Berlin Group NextGenPSD2 {}", version.map_or("1.3", |api| &api.version))
    }

    fn token_for(&self, profile: &Profile, operation: Operation) -> TokenKind<'_> {
        if !profile.sca.contains(&ScaFlow::OAuth) {
            return TokenKind::None;
        }
        match operation {
            Operation::Consent
            | Operation::FundsConsent
            | Operation::PaymentLodge
            | Operation::PaymentSubmit
            | Operation::Payees => TokenKind::None,
            Operation::AccountData | Operation::Funds | Operation::PaymentStatus => TokenKind::PsuIfHeld,
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

    fn notices(&self) -> Option<&dyn ResourceNotices> {
        Some(self)
    }

    fn tokens(&self) -> Option<&dyn TokenEndpoint> {
        None
    }

    fn embedded(&self) -> Option<&dyn EmbeddedAuthentication> {
        Some(self)
    }
}

/// A request with the headers every call has: identification of the request,
/// of the PSU's device if there is one, token and consent.
fn request(
    cx: &CallContext<'_>,
    method: Method,
    url: Url,
    effect: Effect,
    body: Option<&Value>,
) -> Result<BankRequest, BankError> {
    let unsendable = |name: &'static str| cx.error(BankErrorKind::Internal).at(name);
    let mut request = BankRequest::of(method, url, effect)
        .header("x-request-id", &cx.request_id.to_string())
        .and_then(|request| request.header("accept", "application/json"))
        .map_err(unsendable)?;
    request = request.headers_if_known(options::psu_headers(cx)).map_err(unsendable)?;
    if let Some(token) = cx.access_token {
        let name = cx.profile.berlin_group.token_header.clone().unwrap_or(AUTHORIZATION);
        let value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
        let mut value = value.map_err(|_| unsendable("authorization"))?;
        value.set_sensitive(true);
        request.headers.insert(name, value);
    }
    request.headers.extend(cx.profile.berlin_group.headers.clone());
    request = request.signed(match cx.profile.signing {
        Signing::DigestSignature => Signature::DigestAndSignature,
        Signing::MessageSignature { .. } => Signature::MessageSignature,
        Signing::None
        | Signing::DetachedJws { .. }
        | Signing::DigestSignatureByUrl { .. }
        | Signing::BodyJws => Signature::None,
    });
    Ok(match body {
        Some(body) => request.body("application/json", body.to_string()),
        None => request,
    })
}

/// Names where the browser comes back to.
fn with_redirects(
    cx: &CallContext<'_>,
    request: BankRequest,
    redirects: &RedirectUris,
) -> Result<BankRequest, BankError> {
    let preferred = match cx.profile.sca.first() {
        Some(ScaFlow::Decoupled | ScaFlow::Embedded) => "false",
        Some(ScaFlow::Redirect | ScaFlow::OAuth) | None => "true",
    };
    let unsendable = |name| cx.error(BankErrorKind::Internal).at(name);
    let request = request
        .header("tpp-redirect-uri", redirects.ok.as_str())
        .and_then(|request| request.header("tpp-nok-redirect-uri", redirects.nok.as_str()))
        .and_then(|request| request.header("tpp-redirect-preferred", preferred))
        .map_err(unsendable)?;
    let explicit = match cx.profile.berlin_group.start_authorisation {
        StartAuthorisation::Auto => return Ok(request),
        StartAuthorisation::Implicit => "false",
        StartAuthorisation::Explicit => "true",
    };
    request.header("tpp-explicit-authorisation-preferred", explicit).map_err(unsendable)
}

/// Starts the authorisation of a consent or payment at the address that an answer gave.
fn start_authorisation(
    cx: &CallContext<'_>,
    link: &Url,
    redirects: &RedirectUris,
) -> Result<BankRequest, BankError> {
    if !cx.profile.permits(link) {
        return Err(BankError::malformed(&cx.profile.id, "/_links/startAuthorisation"));
    }
    let request = request(cx, Method::POST, link.clone(), Effect::Write, Some(&json!({})))?;
    with_redirects(cx, request, redirects)
}

/// Some banks begin no authentication without knowing whom to ask.
fn need_psu_id(cx: &CallContext<'_>) -> Result<(), BankError> {
    if cx.profile.psu_id_required && cx.psu_id.is_none() {
        return Err(cx.error(BankErrorKind::InvalidRequest).at("psu-id"));
    }
    Ok(())
}

/// Adds `Consent-ID`, without which no account is given.
fn with_consent(cx: &CallContext<'_>, request: BankRequest) -> Result<BankRequest, BankError> {
    let consent = cx.bank_consent_id.ok_or_else(|| cx.error(BankErrorKind::ConsentMissing))?;
    request.header("consent-id", consent).map_err(|name| cx.error(BankErrorKind::Internal).at(name))
}

/// The JSON of a successful answer; an unsuccessful one is the bank's error.
fn success<'r>(
    cx: &CallContext<'_>,
    response: &'r BankResponse,
    effect: Effect,
) -> Result<Tree<'r>, BankError> {
    if !response.status.is_success() {
        return Err(failure(&cx.profile.id, response, effect));
    }
    parsed(cx, response, effect)
}

#[cfg(test)]
mod tests;
