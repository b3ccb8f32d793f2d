//! Payment coverage (STET 1.4 section 4.7): the PSU authorises the scope `cbpii`, and
//! its token asks.

use connect::{
    BankError, BankRequest, BankResponse, CallContext, ConsentByAuthorization, ConsentHandling, ConsentOrder,
    Consents, Effect, FundsAnswer, FundsConfirmation, FundsQuestion, LodgedConsent, Operation, Profile,
};
use http::Method;
use serde_json::json;

use super::accounts::written;
use super::{CBPII, Stet, request, success};
use crate::funds::{about, said};
use crate::node::Node;
use crate::tree::Tree;

/// Authorizations of questions about funds.
struct FundsConsents;

impl ConsentByAuthorization for FundsConsents {
    fn begin(&self, cx: &CallContext<'_>, _order: &ConsentOrder) -> Result<LodgedConsent, BankError> {
        cx.profile.funds_api()?;
        Ok(LodgedConsent::by_authorization(cx, CBPII))
    }
}

impl FundsConfirmation for Stet {
    fn handling(&self, _profile: &Profile) -> Option<ConsentHandling<'_>> {
        Some(ConsentHandling {
            consents: Consents::Authorized(&FundsConsents),
            inquiry: None,
            revocation: None,
            explicit_start: None,
            operation: Operation::FundsConsent,
        })
    }

    fn ask(&self, cx: &CallContext<'_>, question: &FundsQuestion<'_>) -> Result<BankRequest, BankError> {
        let amount = &question.amount;
        let body = json!({
            "paymentCoverageRequestId": question.reference,
            "instructedAmount": { "currency": amount.currency().code(), "amount": amount.amount_text() },
            "accountId": written(cx, question.account)?,
        });
        let url = cx.profile.funds_api()?.join(&["funds-confirmations"]);
        request(cx, Method::POST, url, Effect::Read, Some(&body))
    }

    fn answer(
        &self,
        cx: &CallContext<'_>,
        question: &FundsQuestion<'_>,
        response: &BankResponse,
    ) -> Result<FundsAnswer, BankError> {
        let body = success(cx, response, Effect::Read)?.unwrap_or(Tree::Null);
        let root = Node::root(&cx.profile.id, &body);
        let asked = root.get("request");
        let amount = asked.get("instructedAmount");
        about(cx, question, (&amount, ["amount", "currency"]), &asked.get("paymentCoverageRequestId"))?;
        said(cx, &root.get("result"), None)
    }
}
