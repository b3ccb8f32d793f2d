//! Confirmation of the availability of funds (CAF), answered under the consent that
//! the PSU gave to the bank outside this interface: the request carries no token.

use connect::{
    BankError, BankRequest, BankResponse, CallContext, ConsentHandling, Effect, FundsAnswer,
    FundsConfirmation, FundsQuestion, Profile,
};
use serde_json::{Map, json};

use super::accounts::written;
use super::{Inside, PolishApi, address, request, success};
use crate::funds::said;
use crate::node::Node;

impl FundsConfirmation for PolishApi {
    fn handling(&self, _profile: &Profile) -> Option<ConsentHandling<'_>> {
        None
    }

    fn ask(&self, cx: &CallContext<'_>, question: &FundsQuestion<'_>) -> Result<BankRequest, BankError> {
        let currency = question.amount.currency();
        if currency.places() != 2 {
            // The standard writes every amount with two places.
            return Err(cx.unsupported("currency"));
        }
        let mut members = Map::new();
        members.insert("accountNumber".into(), json!(written(cx, question.account)?));
        members.insert("amount".into(), json!(question.amount.amount_text()));
        members.insert("currency".into(), json!(currency.code()));
        let url = address(cx.profile.funds_api()?, "confirmation", "getConfirmationOfFunds");
        request(cx, url, Effect::Read, Inside::Server, members)
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
