//! Confirmation of funds (CBPII): a consent for one account, which the PSU
//! authorises at the bank, and questions under it.

use connect::{
    BankConsentStatus, BankError, BankErrorKind, BankRequest, BankResponse, CallContext, ConsentHandling,
    ConsentInquiry, ConsentLodging, ConsentOrder, ConsentRevocation, Consents, Effect, FundsAnswer,
    FundsConfirmation, FundsQuestion, LodgedConsent, Operation, Profile,
};
use http::Method;
use serde_json::{Map, Value, json};
use url::Url;

use super::accounts::{end_of_day, lodged_for};
use super::{UkOpenBanking, request, success, written};
use crate::funds::{about, said};
use crate::node::Node;

/// Consents to confirmation of funds.
struct FundsConsents;

impl FundsConfirmation for UkOpenBanking {
    fn handling(&self, _profile: &Profile) -> Option<ConsentHandling<'_>> {
        Some(ConsentHandling {
            consents: Consents::Lodged(&FundsConsents),
            inquiry: Some(&FundsConsents),
            revocation: Some(&FundsConsents),
            explicit_start: None,
            operation: Operation::FundsConsent,
        })
    }

    fn ask(&self, cx: &CallContext<'_>, question: &FundsQuestion<'_>) -> Result<BankRequest, BankError> {
        let consent = cx.bank_consent_id.ok_or_else(|| cx.error(BankErrorKind::ConsentMissing))?;
        let amount = &question.amount;
        let body = json!({ "Data": {
            "ConsentId": consent,
            "Reference": question.reference,
            "InstructedAmount": { "Amount": amount.amount_text(), "Currency": amount.currency().code() },
        } });
        let url = cx.profile.funds_api()?.join(&["funds-confirmations"]);
        request(cx, Method::POST, url, Effect::Read, Some(&body))
    }

    fn answer(
        &self,
        cx: &CallContext<'_>,
        question: &FundsQuestion<'_>,
        response: &BankResponse,
    ) -> Result<FundsAnswer, BankError> {
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let data = root.get("Data");
        let amount = data.get("InstructedAmount");
        about(cx, question, (&amount, ["Amount", "Currency"]), &data.get("Reference"))?;
        said(cx, &data.get("FundsAvailable"), data.get("FundsConfirmationId").identifier()?)
    }
}

impl ConsentLodging for FundsConsents {
    fn lodge(&self, cx: &CallContext<'_>, order: &ConsentOrder) -> Result<BankRequest, BankError> {
        let [account] = order.accounts.as_slice() else {
            return Err(cx.unsupported("accounts"));
        };
        let (scheme, identification) = written(cx, account)?;
        let mut data = Map::new();
        data.insert(
            "DebtorAccount".into(),
            json!({ "SchemeName": scheme, "Identification": identification }),
        );
        if let Some(until) = order.valid_until {
            data.insert("ExpirationDateTime".into(), json!(end_of_day(until)));
        }
        let body = json!({ "Data": Value::Object(data) });
        let url = cx.profile.funds_api()?.join(&["funds-confirmation-consents"]);
        request(cx, Method::POST, url, Effect::Write, Some(&body))
    }

    fn lodged(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<LodgedConsent, BankError> {
        lodged_for("openid fundsconfirmations", cx, response)
    }
}

impl ConsentInquiry for FundsConsents {
    fn status(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError> {
        request(cx, Method::GET, consent_url(cx)?, Effect::Read, None)
    }

    fn status_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<BankConsentStatus, BankError> {
        UkOpenBanking.status_read(cx, response)
    }
}

impl ConsentRevocation for FundsConsents {
    fn revoke(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError> {
        request(cx, Method::DELETE, consent_url(cx)?, Effect::Write, None)
    }

    fn revoked(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<(), BankError> {
        UkOpenBanking.revoked(cx, response)
    }
}

fn consent_url(cx: &CallContext<'_>) -> Result<Url, BankError> {
    let id = cx.bank_consent_id.ok_or_else(|| cx.error(BankErrorKind::ConsentMissing))?;
    Ok(cx.profile.funds_api()?.join(&["funds-confirmation-consents", id]))
}
