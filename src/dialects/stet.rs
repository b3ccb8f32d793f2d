//! STET PSD2 API 1.4 (France): account information under an OAuth token alone,
//! and single SEPA credit transfers that are confirmed after authentication.
//!
//! The standard lodges no consent and answers no question about one: the PSU's
//! authorization is the consent, and its token says whether it still stands.

mod accounts;
mod batches;
mod funds;
mod payments;
mod requests;
mod resources;

use connect::{
    AccountInformation, AccountResources, BankError, BankErrorKind, BankRequest, BankResponse,
    BatchInitiation, CallContext, Dialect, Effect, FundsConfirmation, Operation, PayeeVerification,
    PaymentInitiation, Profile, Signature, Signing, TokenEndpoint, TokenKind, http_date,
};
use http::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;

use crate::payees::EpcPayees;
use crate::status::{after, parsed};
use crate::tree::Tree;

/// Media type of requests and answers (STET 1.4 section 3.5).
const MEDIA: &str = "application/hal+json; charset=utf-8";
/// Scope of account information.
const AISP: &str = "aisp";
/// The same with transactions older than 90 days, once after authentication.
const AISP_AND_HISTORY: &str = "aisp extended_transaction_history";
/// Scope of confirmation of funds.
const CBPII: &str = "cbpii";
/// Scope of payment initiation.
const PISP: &str = "pisp";

/// The dialect; without state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stet;

impl Dialect for Stet {
    fn name(&self) -> &'static str {
        "stet"
    }

    fn standard(&self, profile: &Profile) -> String {
        let version = profile.accounts_api.as_ref().or(profile.payments_api.as_ref());
        format!("STET {}", version.map_or("1.4", |api| &api.version))
    }

    fn token_for(&self, _profile: &Profile, operation: Operation) -> TokenKind<'_> {
        match operation {
            Operation::Consent | Operation::AccountData | Operation::FundsConsent | Operation::Funds => {
                TokenKind::Psu
            }
            Operation::PaymentLodge | Operation::PaymentSubmit | Operation::PaymentStatus => {
                TokenKind::Client(PISP)
            }
            Operation::Payees => TokenKind::None,
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
        None
    }
}

/// A request with the headers every call has; all of them are signed.
fn request(
    cx: &CallContext<'_>,
    method: Method,
    url: Url,
    effect: Effect,
    body: Option<&Value>,
) -> Result<BankRequest, BankError> {
    let unsendable = |name: &'static str| cx.error(BankErrorKind::Internal).at(name);
    let token = cx.access_token.ok_or_else(|| cx.error(BankErrorKind::TokenInvalid))?;
    let mut request = BankRequest::of(method, url, effect)
        .header("x-request-id", &cx.request_id.to_string())
        .and_then(|request| request.header("accept", MEDIA))
        .and_then(|request| request.header("authorization", &format!("Bearer {}", token.expose_secret())))
        .map_err(unsendable)?;
    if let Some(psu) = cx.psu {
        let optional = [
            ("psu-ip-address", Some(psu.ip_address.to_string())),
            ("psu-user-agent", psu.user_agent.clone()),
            ("psu-accept-language", psu.accept_language.clone()),
            ("psu-date", Some(http_date(cx.now))),
        ];
        request = request.headers_if_known(optional).map_err(unsendable)?;
    }
    request = request.signed(match cx.profile.signing {
        Signing::DigestSignatureByUrl { .. } => Signature::DigestAndSignatureByUrl,
        Signing::MessageSignature { .. } => Signature::MessageSignature,
        Signing::None | Signing::DetachedJws { .. } | Signing::DigestSignature | Signing::BodyJws => {
            Signature::None
        }
    });
    Ok(match body {
        Some(body) => request.body(MEDIA, body.to_string()),
        None => request,
    })
}

/// The JSON of a successful answer, none where the bank has no content; an
/// unsuccessful one is the bank's error.
fn success<'r>(
    cx: &CallContext<'_>,
    response: &'r BankResponse,
    effect: Effect,
) -> Result<Option<Tree<'r>>, BankError> {
    if !response.status.is_success() {
        return Err(failure(cx, response, effect));
    }
    if response.status == StatusCode::NO_CONTENT {
        return Ok(None);
    }
    parsed(cx, response, effect).map(Some)
}

/// Reads an answer that is no success: `{timestamp, status, error, message, path}`.
/// `error` is a word for the status at most banks, a code of their own at others.
fn failure(cx: &CallContext<'_>, response: &BankResponse, effect: Effect) -> BankError {
    crate::status::failure(cx, response, effect, "error")
}

#[cfg(test)]
mod tests;
