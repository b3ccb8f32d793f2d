//! Verification of payees between banks in the euro area: EPC103-24, "Verification Of Payee
//! Scheme Inter-PSP API Specifications" (of the rulebook EPC218-23). One interface, whatever
//! the bank speaks to third parties otherwise.
//!
//! Path, headers, members and codes are those of the published descriptions of that document
//! by routing mechanisms; the document itself was not at hand. It leaves signatures of messages
//! to the security framework (EPC164-22), which asks for mutual TLS by a QWAC: nothing is
//! signed here.

use connect::{
    BankError, BankErrorKind, BankRequest, BankResponse, CallContext, Effect, PayeeQuestion,
    PayeeVerification,
};
use domain::{AccountIdentification, PayeeMatch, PayeeUnverified};
use http::Method;
use serde_json::json;

use crate::node::Node;
use crate::status::{failure, parsed};

/// Verification of payees as the EPC has it.
pub(crate) struct EpcPayees;

impl PayeeVerification for EpcPayees {
    fn ask(&self, cx: &CallContext<'_>, question: &PayeeQuestion<'_>) -> Result<BankRequest, BankError> {
        let AccountIdentification::Iban(iban) = question.account else {
            return Err(cx.unsupported("account"));
        };
        let missing = |key| BankError::profile(&cx.profile.id, key);
        let responding = cx.profile.bics.first().ok_or_else(|| missing("bics"))?;
        let requesting = cx.profile.payees.requesting_bic.as_ref();
        let requesting = requesting.ok_or_else(|| missing("payee_verification.requesting_bic"))?;
        let agent = |bic: &str| json!({ "financialInstitutionId": { "bicfi": bic } });
        let body = json!({
            "party": { "name": question.name },
            "partyAccount": { "iban": iban.as_str() },
            "partyAgent": agent(responding),
            "requestingAgent": agent(requesting),
        });
        let url = cx.profile.payees_api()?.join(&["payee-verifications"]);
        let at = cx.now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
        let request = BankRequest::of(Method::POST, url, Effect::Read)
            .header("x-request-id", &cx.request_id.to_string())
            .and_then(|request| request.header("x-request-timestamp", &at))
            .and_then(|request| request.header("accept", "application/json"))
            .map_err(|name| cx.error(BankErrorKind::Internal).at(name))?;
        Ok(request.body("application/json", body.to_string()))
    }

    fn answer(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<PayeeMatch, BankError> {
        if !response.status.is_success() {
            return Err(failure(cx, response, Effect::Read, "code"));
        }
        let body = parsed(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let code = root.get("partyNameMatch");
        match code.required_word()?.as_ref() {
            "MTCH" => Ok(PayeeMatch::Match),
            "CMTC" => close(&root.get("matchedName")),
            // A name that came along nevertheless is nobody's business.
            "NMTC" => Ok(PayeeMatch::NoMatch),
            "NOAP" => Ok(PayeeMatch::NotPossible { reason: PayeeUnverified::Unexplained }),
            _ => Err(code.malformed()),
        }
    }
}

/// A close match, which is none without the name.
pub(crate) fn close(name: &Node<'_>) -> Result<PayeeMatch, BankError> {
    PayeeMatch::close(&name.required_text()?).ok_or_else(|| name.malformed())
}

#[cfg(test)]
mod tests {
    use connect::Profile;
    use serde_json::Value;

    use super::*;
    use crate::world::{answer, context, sent};

    fn profile() -> Profile {
        let id = "de-examplebank".parse().unwrap();
        let mut profile = Profile::blank(id, "Example Bank", "eu".parse().unwrap(), "berlin-group");
        profile.bics = vec!["EXMPDEFF".into()];
        profile.payees.address = Some("https://vop.bank.example/vop/v1".parse().unwrap());
        profile.payees.requesting_bic = Some("GATEDEFF".into());
        profile
    }

    fn account() -> AccountIdentification {
        AccountIdentification::Iban("DE02120300000000202051".parse().unwrap())
    }

    /// EPC103-24: who asks whom about which name and account, and when.
    #[test]
    fn a_question_about_a_payee_names_both_banks_account_and_name() {
        let (profile, account) = (profile(), account());
        let cx = context(&profile);
        let question = PayeeQuestion { name: "Anna Lindner", account: &account };
        let request = EpcPayees.ask(&cx, &question).unwrap();
        assert_eq!(request.url.as_str(), "https://vop.bank.example/vop/v1/payee-verifications");
        assert_eq!(request.header_text("x-request-timestamp"), Some("2026-06-01T10:00:00.000Z"));
        assert_eq!(request.header_text("x-request-id"), Some("99391c7e-ad88-49ec-a2ad-99ddcb1f7721"));
        let expected = json!({
            "party": { "name": "Anna Lindner" },
            "partyAccount": { "iban": "DE02120300000000202051" },
            "partyAgent": { "financialInstitutionId": { "bicfi": "EXMPDEFF" } },
            "requestingAgent": { "financialInstitutionId": { "bicfi": "GATEDEFF" } },
        });
        assert_eq!(sent(&request), expected);
        assert!(profile.permits(&request.url));
    }

    #[test]
    fn what_cannot_be_asked_says_what_is_missing() {
        let account = account();
        let question = PayeeQuestion { name: "Anna Lindner", account: &account };
        let complete = profile();
        let without = |key: &'static str, change: fn(&mut Profile)| {
            let mut profile = complete.clone();
            change(&mut profile);
            (key, profile)
        };
        for (key, profile) in [
            without("bics", |profile| profile.bics.clear()),
            without("payee_verification.requesting_bic", |profile| profile.payees.requesting_bic = None),
            without("payee_verification.address", |profile| profile.payees.address = None),
        ] {
            let error = EpcPayees.ask(&context(&profile), &question).unwrap_err();
            assert_eq!((error.kind, error.field.as_deref()), (BankErrorKind::ProfileError, Some(key)));
        }
        let other = AccountIdentification::Bban("12345".into());
        let question = PayeeQuestion { account: &other, ..question };
        let error = EpcPayees.ask(&context(&profile()), &question).unwrap_err();
        assert_eq!(error.kind, BankErrorKind::Unsupported);
    }

    #[test]
    fn only_a_close_match_has_a_name() {
        let profile = profile();
        let cx = context(&profile);
        let read = |body: Value| EpcPayees.answer(&cx, &answer(200, &[], &body));
        let both = |code: &str| read(json!({ "partyNameMatch": code, "matchedName": "Anna Lindner" }));
        assert_eq!(both("MTCH").unwrap(), PayeeMatch::Match);
        assert_eq!(both("CMTC").unwrap().name(), Some("Anna Lindner"));
        assert_eq!(both("NMTC").unwrap(), PayeeMatch::NoMatch);
        assert_eq!(both("NOAP").unwrap().reason(), Some(PayeeUnverified::Unexplained));
        for wrong in [
            json!({ "partyNameMatch": "CMTC" }),
            json!({ "partyNameMatch": "CMTC", "matchedName": " " }),
            json!({ "partyNameMatch": "YES" }),
            json!({}),
        ] {
            assert_eq!(read(wrong).unwrap_err().kind, BankErrorKind::MalformedResponse);
        }
        let refused = EpcPayees.answer(&cx, &answer(400, &[], &json!({ "code": "CLIENT_INVALID" })));
        assert_eq!(refused.unwrap_err().bank_code.as_deref(), Some("CLIENT_INVALID"));
    }
}
