//! Confirmation of funds (XS2A 10): one question, answered under the consent that
//! the PSU gave to the bank outside this interface.

use connect::{
    BankError, BankRequest, BankResponse, CallContext, ConsentHandling, Effect, FundsAnswer,
    FundsConfirmation, FundsQuestion, Profile,
};
use http::Method;
use serde_json::json;

use super::options::reference;
use super::{BerlinGroup, request, success};
use crate::funds::said;
use crate::node::Node;

impl FundsConfirmation for BerlinGroup {
    fn handling(&self, _profile: &Profile) -> Option<ConsentHandling<'_>> {
        None
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
        request(&cx, Method::POST, url, Effect::Read, Some(&body))
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
