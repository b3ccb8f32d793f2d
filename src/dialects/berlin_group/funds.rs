//! Confirmation of funds (XS2A 10): one question, answered under the consent that
//! the PSU gave to the bank, outside this interface or through it (Confirmation of
//! Funds Consent 2.0).

use connect::{
    ApiBase, BankConsentStatus, BankError, BankRequest, BankResponse, CallContext, ConsentHandling,
    ConsentInquiry, ConsentLodging, ConsentOrder, ConsentRevocation, Consents, Effect, FundsAnswer,
    FundsConfirmation, FundsQuestion, LodgedConsent, Operation, Profile,
};
use http::Method;
use serde_json::json;
use url::Url;

use super::accounts::{ConsentAuthorisation, consent_id, lodged};
use super::options::reference;
use super::{BerlinGroup, need_psu_id, request, success, with_consent, with_redirects};
use crate::funds::said;
use crate::node::Node;

/// The version of these consents, whatever that of the rest is.
const VERSION: &str = "2.0";
/// Where they are.
const PLACE: [&str; 2] = ["consents", "confirmation-of-funds"];

/// Consents to confirmation of funds.
struct FundsConsents;

impl FundsConfirmation for BerlinGroup {
    fn handling(&self, profile: &Profile) -> Option<ConsentHandling<'_>> {
        profile.berlin_group.funds_consents.as_ref().map(|_| ConsentHandling {
            consents: Consents::Lodged(&FundsConsents),
            inquiry: Some(&FundsConsents),
            revocation: Some(&FundsConsents),
            explicit_start: Some(&ConsentAuthorisation("PIIS")),
            operation: Operation::FundsConsent,
        })
    }

    fn ask(&self, cx: &CallContext<'_>, question: &FundsQuestion<'_>) -> Result<BankRequest, BankError> {
        let amount = &question.amount;
        let body = json!({
            "account": reference(cx, question.account)?,
            "instructedAmount": { "currency": amount.currency().code(), "amount": amount.amount_text() },
        });
        let url = cx.profile.funds_api()?.join(&["funds-confirmations"]);
        // The standard tells the bank nothing of the PSU here.
        let cx = CallContext { psu: None, psu_id: None, ..*cx };
        let request = request(&cx, Method::POST, url, Effect::Read, Some(&body))?;
        // Of those that it was not given through this interface the bank has its own record.
        let lodged = cx.profile.berlin_group.funds_consents.is_some() && cx.bank_consent_id.is_some();
        if lodged { with_consent(&cx, request) } else { Ok(request) }
    }

    fn answer(
        &self,
        cx: &CallContext<'_>,
        _question: &FundsQuestion<'_>,
        response: &BankResponse,
    ) -> Result<FundsAnswer, BankError> {
        let body = success(cx, response, Effect::Read)?;
        said(cx, &Node::root(&cx.profile.id, &body).get("fundsAvailable"), None)
    }
}

impl ConsentLodging for FundsConsents {
    fn lodge(&self, cx: &CallContext<'_>, order: &ConsentOrder) -> Result<BankRequest, BankError> {
        let [account] = order.accounts.as_slice() else {
            return Err(cx.unsupported("accounts"));
        };
        let body = json!({ "account": reference(cx, account)? });
        need_psu_id(cx)?;
        let request = request(cx, Method::POST, api(cx)?.join(&PLACE), Effect::Write, Some(&body))?;
        with_redirects(cx, request, &order.redirects)
    }

    fn lodged(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<LodgedConsent, BankError> {
        lodged(cx, response, ("PIIS", &api(cx)?, &PLACE))
    }
}

impl ConsentInquiry for FundsConsents {
    fn status(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError> {
        request(cx, Method::GET, own(cx, &["status"])?, Effect::Read, None)
    }

    fn status_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<BankConsentStatus, BankError> {
        BerlinGroup.status_read(cx, response)
    }
}

impl ConsentRevocation for FundsConsents {
    fn revoke(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError> {
        request(cx, Method::DELETE, own(cx, &[])?, Effect::Write, None)
    }

    fn revoked(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<(), BankError> {
        BerlinGroup.revoked(cx, response)
    }
}

/// Where the bank takes these consents.
fn api(cx: &CallContext<'_>) -> Result<ApiBase, BankError> {
    let url = cx.profile.berlin_group.funds_consents.clone();
    let url = url.ok_or_else(|| BankError::profile(&cx.profile.id, "berlin_group.funds_consents"))?;
    Ok(ApiBase { url, version: VERSION.to_owned() })
}

/// A place below the consent at hand.
fn own(cx: &CallContext<'_>, below: &[&str]) -> Result<Url, BankError> {
    Ok(api(cx)?.join(&[&PLACE, &[consent_id(cx)?][..], below].concat()))
}
