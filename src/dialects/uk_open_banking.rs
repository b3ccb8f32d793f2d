//! UK Open Banking Read/Write API 3.1 and 4.0: account access consents,
//! accounts, single domestic payments, variable recurring payments, confirmation
//! of funds and of payees, authorised through OAuth.

mod accounts;
mod batches;
mod error;
mod events;
mod file_report;
mod funds;
mod orders;
mod payees;
mod payments;
mod recurring;
mod resources;
mod statement_file;

use connect::{
    AccountInformation, AccountResources, BankConsentStatus, BankError, BankErrorKind, BankEvents,
    BankRequest, BankResponse, BatchInitiation, CallContext, Dialect, Effect, FundsConfirmation, Operation,
    PayeeVerification, PaymentInitiation, Profile, QuirkName, RecurringPayments, Signature, Signing,
    StatementFiles, TokenEndpoint, TokenKind, http_date,
};
use domain::{AccountIdentification, SortCodeAccount};
use http::Method;
use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;

use crate::node::Node;
use crate::status::{after, parsed};
use crate::tree::Tree;
use error::failure;

/// The dialect; without state.
#[derive(Clone, Copy, Debug, Default)]
pub struct UkOpenBanking;

impl Dialect for UkOpenBanking {
    fn name(&self) -> &'static str {
        "uk-open-banking"
    }

    fn standard(&self, profile: &Profile) -> String {
        let version = profile.accounts_api.as_ref().or(profile.payments_api.as_ref());
        format!("UK Open Banking {}", version.map_or("4.0", |api| &api.version))
    }

    fn token_for(&self, _profile: &Profile, operation: Operation) -> TokenKind<'_> {
        match operation {
            Operation::Consent => TokenKind::Client("accounts"),
            Operation::AccountData | Operation::PaymentSubmit | Operation::Funds => TokenKind::Psu,
            Operation::PaymentLodge | Operation::PaymentStatus => TokenKind::Client("payments"),
            Operation::FundsConsent => TokenKind::Client("fundsconfirmations"),
            Operation::Payees => TokenKind::Client(payees::SCOPE),
        }
    }

    fn accounts(&self) -> Option<&dyn AccountInformation> {
        Some(self)
    }

    fn resources(&self) -> Option<&dyn AccountResources> {
        Some(self)
    }

    fn statement_files(&self) -> Option<&dyn StatementFiles> {
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
        Some(&payees::UkPayees)
    }

    fn recurring(&self) -> Option<&dyn RecurringPayments> {
        Some(&recurring::UkRecurring)
    }

    fn events(&self) -> Option<&dyn BankEvents> {
        Some(&events::UkEvents)
    }

    fn tokens(&self) -> Option<&dyn TokenEndpoint> {
        None
    }
}

/// A request with the headers every call has.
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
        .header("x-fapi-interaction-id", &cx.request_id.to_string())
        .and_then(|request| request.header("accept", "application/json"))
        .and_then(|request| request.header("authorization", &format!("Bearer {}", token.expose_secret())))
        .map_err(unsendable)?;
    let psu = cx.psu;
    let authenticated = psu.and_then(|psu| psu.last_authenticated).map(http_date);
    let optional = [
        ("x-fapi-financial-id", cx.profile.financial_id.clone()),
        ("x-fapi-customer-ip-address", psu.map(|psu| psu.ip_address.to_string())),
        ("x-customer-user-agent", psu.and_then(|psu| psu.user_agent.clone())),
        ("x-fapi-auth-date", authenticated),
    ];
    request = request.headers_if_known(optional).map_err(unsendable)?;
    Ok(match body {
        Some(body) => request.body("application/json", body.to_string()),
        None => request,
    })
}

/// A payment request: once only by its idempotency key, and signed.
fn signed(cx: &CallContext<'_>, request: BankRequest) -> Result<BankRequest, BankError> {
    let request = request
        .header("x-idempotency-key", &cx.request_id.to_string())
        .map_err(|name| cx.error(BankErrorKind::Internal).at(name))?;
    Ok(sealed(cx, request))
}

/// A request that is signed where the bank wants that.
fn sealed(cx: &CallContext<'_>, request: BankRequest) -> BankRequest {
    match cx.profile.signing {
        Signing::DetachedJws { .. } => request.signed(Signature::DetachedJws),
        Signing::None
        | Signing::DigestSignature
        | Signing::DigestSignatureByUrl { .. }
        | Signing::MessageSignature { .. }
        | Signing::BodyJws => request,
    }
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

/// An answer of which nothing but its success counts.
fn accepted(cx: &CallContext<'_>, response: &BankResponse) -> Result<(), BankError> {
    if response.status.is_success() { Ok(()) } else { Err(failure(&cx.profile.id, response, Effect::Write)) }
}

/// The answer to the end of a consent; one that is not there has ended.
fn ended(cx: &CallContext<'_>, response: &BankResponse) -> Result<(), BankError> {
    let Err(error) = accepted(cx, response) else { return Ok(()) };
    let over = matches!(error.kind, BankErrorKind::ResourceUnknown | BankErrorKind::ConsentMissing);
    if over { Ok(()) } else { Err(error) }
}

/// A date that the profile says may hold none is absent then (a quirk).
fn date_or_none<T>(
    profile: &Profile,
    step: &str,
    field: &str,
    read: Result<Option<T>, BankError>,
) -> Result<Option<T>, BankError> {
    read.or_else(|error| {
        let version = profile.accounts_api.as_ref().map_or("", |api| api.version.as_str());
        let quirk = profile.quirks.find(QuirkName::InvalidDateIsNone, step, version);
        let known = quirk.is_some_and(|quirk| quirk.text("field") == Some(field));
        if known { Ok(None) } else { Err(error) }
    })
}

/// Status of a consent: words of 3.1, codes of 4.0.
fn consent_status(node: &Node<'_>) -> Result<BankConsentStatus, BankError> {
    Ok(match node.required_text()?.as_str() {
        "AwaitingAuthorisation" | "AWAU" => BankConsentStatus::AwaitingAuthorisation,
        "Authorised" | "AUTH" => BankConsentStatus::Authorised,
        "Rejected" | "RJCT" => BankConsentStatus::Rejected,
        "Revoked" | "CANC" => BankConsentStatus::RevokedByPsu,
        "Expired" | "EXPD" => BankConsentStatus::Expired,
        "Consumed" | "COND" => BankConsentStatus::Consumed,
        _ => return Err(node.malformed()),
    })
}

/// `OBCashAccount`: scheme and identification.
fn identification(node: &Node<'_>) -> Result<Option<AccountIdentification>, BankError> {
    let Some(text) = node.get("Identification").text()? else { return Ok(None) };
    let scheme = node.get("SchemeName").text()?.unwrap_or_default();
    let name = scheme.strip_prefix("UK.OBIE.").or_else(|| scheme.strip_prefix("UK.OB.")).unwrap_or(&scheme);
    Ok(Some(match name {
        "SortCodeAccountNumber" => match sort_code(&text) {
            Some(account) => AccountIdentification::SortCode(account),
            None => AccountIdentification::Other { identification: text, scheme_name: scheme },
        },
        "IBAN" => crate::berlin_group::iban_or_other(text),
        "BBAN" => AccountIdentification::Bban(text),
        // A card number in clear is never kept.
        "PAN" if text.bytes().all(|b| b.is_ascii_digit()) && text.len() >= 12 => return Ok(None),
        "PAN" => AccountIdentification::MaskedPan(text),
        _ => AccountIdentification::Other { identification: text, scheme_name: scheme },
    }))
}

fn sort_code(text: &str) -> Option<SortCodeAccount> {
    let digits: String = text.chars().filter(|c| *c != '-' && *c != ' ').collect();
    SortCodeAccount::new(digits.get(..6)?, digits.get(6..)?).ok()
}

/// Scheme and identification as the standard writes them.
fn written(cx: &CallContext<'_>, account: &AccountIdentification) -> Result<(String, String), BankError> {
    Ok(match account {
        AccountIdentification::SortCode(account) => {
            ("UK.OBIE.SortCodeAccountNumber".into(), account.joined())
        }
        AccountIdentification::Iban(iban) => ("UK.OBIE.IBAN".into(), iban.as_str().to_owned()),
        AccountIdentification::Bban(text) => ("UK.OBIE.BBAN".into(), text.clone()),
        AccountIdentification::Other { identification, scheme_name } => {
            (scheme_name.clone(), identification.clone())
        }
        AccountIdentification::MaskedPan(_) => {
            return Err(cx.unsupported("account"));
        }
    })
}

#[cfg(test)]
mod tests;
