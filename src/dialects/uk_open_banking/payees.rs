//! Confirmation of Payee, as UK banks answer it: `POST …/name-verification` (Pay.UK
//! Confirmation of Payee API, `OBNameVerificationRequest1`), with a token of the scope
//! `name-verification` and a signed body.
//!
//! Members, headers and reason codes are those of what banks publish of their responders; the
//! rulebook itself is given to participants only and was not at hand.

use connect::{BankError, BankRequest, BankResponse, CallContext, Effect, PayeeQuestion, PayeeVerification};
use domain::{PayeeMatch, PayeeUnverified};
use http::Method;
use serde_json::json;

use super::{request, sealed, success};
use crate::node::Node;
use crate::payees::close;

/// The scope of the token.
pub(super) const SCOPE: &str = "name-verification";

/// Verification of payees as UK banks have it.
pub(super) struct UkPayees;

impl PayeeVerification for UkPayees {
    fn ask(&self, cx: &CallContext<'_>, question: &PayeeQuestion<'_>) -> Result<BankRequest, BankError> {
        let account = question.account.uk_account();
        let account = account.ok_or_else(|| cx.unsupported("account"))?;
        let body = json!({ "Data": {
            "SchemeName": "SortCodeAccountNumber",
            // The standard wants a guess. Where it is wrong, the bank says so and compares the
            // name all the same.
            "AccountType": "Personal",
            "Identification": account.joined(),
            "Name": question.name,
        } });
        let url = cx.profile.payees_api()?.join(&["name-verification"]);
        Ok(sealed(cx, request(cx, Method::POST, url, Effect::Read, Some(&body))?))
    }

    fn answer(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<PayeeMatch, BankError> {
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let data = root.get("Data");
        let report = data.get("VerificationReport");
        let matched = report.get("Matched");
        if matched.boolean()?.ok_or_else(|| matched.malformed())? {
            return Ok(PayeeMatch::Match);
        }
        let reason = report.get("ReasonCode");
        let not_possible = |reason| Ok(PayeeMatch::NotPossible { reason });
        match reason.required_word()?.as_ref() {
            // It is the name that was asked about; of the kind of account we said what we do
            // not know.
            "BANM" | "PANM" => Ok(PayeeMatch::Match),
            "MBAM" | "BAMM" | "PAMM" => close(&report.get("Name")),
            "ANNM" => Ok(PayeeMatch::NoMatch),
            "AC01" | "SCNS" => not_possible(PayeeUnverified::AccountUnknown),
            "CASS" => not_possible(PayeeUnverified::AccountMoved),
            "ACNS" | "OPTO" => not_possible(PayeeUnverified::AccountNotCovered),
            "IVCR" => not_possible(PayeeUnverified::ReferenceNeeded),
            _ => Err(reason.malformed()),
        }
    }
}
