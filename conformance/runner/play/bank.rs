//! Calls to a bank, in its dialect: dressed and signed as its standard wants, but for what a step
//! changes.

mod approve;
mod authorise;
mod dress;
mod judge;
mod register;
mod share;

use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::{Failure, Play};
use crate::case::{Expectation, JwtEdit, Observed, Step};
use crate::http::Request;
use crate::jose::SigningKey;
use crate::target::{BankConfiguration, Dialect};
pub(crate) use share::Shared;

/// Between two questions whether something has come about.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// What is about to be sent.
struct Call {
    method: String,
    url: Url,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Which API of the bank: `accounts`, `payments`, `funds` or `recurring`.
    api: String,
}

impl Call {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn put(&mut self, name: &str, value: impl Into<String>) {
        self.headers.push((name.to_owned(), value.into()));
    }
}

impl<'t> Play<'t> {
    /// The bank that is judged.
    fn bank(&self) -> Result<&'t BankConfiguration, Failure> {
        let target = self.target;
        let none = || Failure::NotApplicable("the configuration describes no bank".to_owned());
        target.is.bank.as_ref().ok_or_else(none)
    }

    /// A call: `url` is below the base address of the API that `with.api` names, or a whole address.
    pub(super) async fn call(&mut self, step: &Step) -> Result<Observed, Failure> {
        let bank = self.bank()?;
        let api = step.with.get("api").and_then(Value::as_str).unwrap_or("accounts").to_owned();
        let place = self.values.filled(step.url.as_deref().unwrap_or("/accounts"));
        let place = if place.starts_with('/') {
            let base = bank.base(&api);
            let base = base.ok_or_else(|| Failure::NotApplicable(format!("the bank has no {api} API")))?;
            format!("{base}{place}")
        } else {
            place
        };
        let url = Url::parse(&place).map_err(|_| Failure::Blocked(format!("{place} is no address")))?;
        let body = match (&step.body, &step.text) {
            (Some(body), _) => self.values.fill(body).to_string().into_bytes(),
            (None, Some(text)) => self.values.filled(text).into_bytes(),
            (None, None) => Vec::new(),
        };
        let method = step.method.clone().unwrap_or_else(|| "GET".to_owned());
        let mut call = Call { method, url, headers: Vec::new(), body, api };
        self.dress(bank, step, &mut call)?;
        let certificate = match self.client(step) {
            Ok(client) => self.certificate(step, client)?,
            Err(_) => step.certificate.clone().filter(|name| name != "none"),
        };
        let mut request = Request::new(&call.method, call.url.clone()).with(certificate.as_deref());
        request.headers = call.headers.clone();
        request.body = call.body.clone().into();
        let mut observed = self.observe(&request).await?;
        // What takes its time at the bank is asked for again, until it is there.
        let within = step.with.get("within_s").and_then(Value::as_u64).unwrap_or(0);
        for _ in 0..within.saturating_mul(4) {
            let Expectation::One(expect) = &step.expect else { break };
            if self.holds(expect, &observed).is_ok() {
                break;
            }
            tokio::time::sleep(AGAIN_AFTER).await;
            observed = self.observe(&request).await?;
        }
        if let Observed::Answer(answer) = &observed {
            self.judge_answer(bank, step, &call, answer).await?;
            self.keep_links(&call, answer);
        }
        Ok(observed)
    }

    /// The key that signs in the place of the seal, if a step wants another.
    fn sealing<'k>(
        &'k self,
        edit: &JwtEdit,
        fresh: &'k mut Option<SigningKey>,
    ) -> Result<&'k SigningKey, Failure> {
        if edit.key.as_deref() == Some("fresh") {
            let made = SigningKey::fresh_p256();
            let made = made.ok_or_else(|| Failure::Blocked("this machine makes no P-256 key".to_owned()))?;
            return Ok(fresh.insert(made));
        }
        let none = || Failure::NotApplicable("the configuration has no seal to sign with".to_owned());
        self.target.seal.as_ref().ok_or_else(none)
    }

    /// The certificate of the seal in DER.
    fn seal_certificate(&self, bank: &BankConfiguration) -> Vec<u8> {
        let name = bank.seal.as_deref().unwrap_or_default();
        self.target.http.identity(name).map(|seal| seal.leaf().to_vec()).unwrap_or_default()
    }

    fn dress(&mut self, bank: &BankConfiguration, step: &Step, call: &mut Call) -> Result<(), Failure> {
        if let Some(name) = &step.token {
            let token = self.values.text(name).map_or_else(|| self.values.filled(name), str::to_owned);
            call.put("authorization", format!("Bearer {token}"));
        }
        match bank.dialect {
            Dialect::UkOpenBanking => self.dress_uk(bank, step, call),
            Dialect::BerlinGroup => self.dress_berlin(bank, step, call),
            Dialect::Stet => self.dress_stet(bank, step, call),
            Dialect::PolishApi => self.dress_polish(bank, step, call),
        }
    }
}
