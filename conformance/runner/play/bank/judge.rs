//! What every answer of a bank is held to: its signature, and the published description.

use serde_json::Value;

use super::dress::UK_CLAIMS;
use super::{Call, Play};
use crate::bank::{Misfit, verify_detached};
use crate::case::Step;
use crate::http::{Request, Response};
use crate::jose::Jwk;
use crate::play::Failure;
use crate::target::{BankConfiguration, Dialect};

impl Play<'_> {
    pub(super) async fn judge_answer(
        &mut self,
        bank: &BankConfiguration,
        step: &Step,
        call: &Call,
        answer: &Response,
    ) -> Result<(), Failure> {
        let wants = |name: &str| step.with.get(name).and_then(Value::as_bool);
        let spoken = !answer.body.is_empty();
        let usual = match bank.dialect {
            Dialect::UkOpenBanking => {
                answer.status < 300 && matches!(call.api.as_str(), "payments" | "recurring")
            }
            Dialect::PolishApi => true,
            Dialect::BerlinGroup | Dialect::Stet => false,
        };
        if spoken && wants("signed").unwrap_or(usual) {
            self.signed_answer(bank, answer).await?;
        }
        if wants("schema") == Some(true)
            && let Some(descriptions) = &self.target.descriptions
        {
            let json = answer.json();
            match descriptions.judge(&call.method, call.url.path(), answer.status, &json) {
                // What nobody describes cannot be judged.
                Ok(()) | Err(Misfit::Unknown) => {}
                Err(Misfit::Wrong(why)) => return Err(Failure::Broken(why)),
            }
        }
        Ok(())
    }

    /// `x-jws-signature` of an answer: a detached JWS of the bank over the exact bytes.
    async fn signed_answer(&mut self, bank: &BankConfiguration, answer: &Response) -> Result<(), Failure> {
        let signature = answer.header("x-jws-signature");
        let signature = signature.ok_or_else(|| Failure::broken("the answer has no x-jws-signature"))?;
        let keys = match (&self.target.answer_keys, &bank.answer_keys) {
            (Some(keys), _) => keys.clone(),
            (None, None) => self.known.keys.clone(),
            (None, Some(url)) => match self.send(&Request::new("GET", url.clone())).await {
                Ok(answer) => Jwk::set(&answer.json()),
                Err(error) => {
                    return Err(Failure::Blocked(format!("the bank's keys cannot be read: {error}")));
                }
            },
        };
        let critical: &[&str] = if bank.dialect == Dialect::UkOpenBanking { &UK_CLAIMS } else { &[] };
        let algorithms: &[&str] =
            if bank.dialect == Dialect::UkOpenBanking { &["PS256"] } else { &["PS256", "ES256", "RS256"] };
        let header = verify_detached(signature, &answer.body, &keys, algorithms, critical)
            .map_err(|why| Failure::Broken(format!("x-jws-signature of the answer: {why}")))?;
        if bank.dialect == Dialect::UkOpenBanking {
            let [iat, ..] = UK_CLAIMS;
            let made = header.get(iat).and_then(Value::as_i64);
            if made.is_none_or(|made| made > self.clock.now().saturating_add(10)) {
                return Err(Failure::broken("x-jws-signature of the answer: iat is missing or to come"));
            }
        }
        Ok(())
    }
}
