//! How the person approves what was begun at a bank: on its pages, in its app, or through us (NextGenPSD2
//! Implementation Guidelines §5.1, §7).

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::{AGAIN_AFTER, Call};
use crate::case::{Observed, Step};
use crate::http::Response;
use crate::play::{Failure, Play};
use crate::target::{Approach, BankConfiguration, Customer, PsuConfiguration};

/// Requests of one authentication that passes through us.
const MOST: usize = 10;
/// How long a person is waited for who approves in an app, and a bank whose customers are none.
const PERSON: Duration = Duration::from_secs(180);
const MACHINE: Duration = Duration::from_secs(20);

/// Status words at which an authorisation ends (NextGenPSD2 Implementation Guidelines §14.16).
const WELL: [&str; 2] = ["finalised", "exempted"];

impl Play<'_> {
    /// Has the person approve, or decline, what was begun last.
    pub(in crate::play) async fn visit(&mut self, step: &Step) -> Result<Observed, Failure> {
        let bank = self.bank()?;
        match bank.sca {
            Approach::Redirect => self.pages(step).await,
            Approach::Decoupled => self.app(step).await,
            Approach::Embedded => {
                let none = || Failure::NotApplicable("the configuration names no customer".to_owned());
                self.through_us(bank, bank.customer.as_ref().ok_or_else(none)?, step).await
            }
        }
    }

    /// Keeps the links of what a call began, for the person to go on with.
    pub(super) fn keep_links(&mut self, call: &Call, answer: &Response) {
        let links = answer.json().get("_links").filter(|links| links.is_object()).cloned();
        if let Some(links) = links.filter(|_| call.method == "POST" && answer.status == 201) {
            self.values.set("links", links);
        }
    }

    /// The address of a link of what was begun.
    fn link(&self, name: &str) -> Option<String> {
        href(self.values.get("links")?, name)
    }

    /// Sends the person's browser to the bank's pages, until it is back at the client.
    async fn pages(&mut self, step: &Step) -> Result<Observed, Failure> {
        let client = self.client(step)?;
        let place = match &step.url {
            Some(url) => self.values.filled(url),
            None => self.link("scaRedirect").unwrap_or_else(|| self.values.filled("${sca}")),
        };
        let url =
            Url::parse(&place).map_err(|_| Failure::broken("the bank names no address for the browser"))?;
        let redirect_uri = client.is.redirect_uris.first().cloned().unwrap_or_default();
        let observed = self.browse(url, &redirect_uri, step.deny).await?;
        if let Observed::Returned(params) = &observed {
            for (name, value) in params.iter().filter(|(name, _)| name == "code") {
                self.values.set(name, value.as_str());
            }
        }
        Ok(observed)
    }

    /// Waits until the person has decided in the bank's app.
    async fn app(&mut self, step: &Step) -> Result<Observed, Failure> {
        let by_hand = matches!(self.target.is.psu, PsuConfiguration::Operator);
        if by_hand {
            eprintln!("{} in the bank's app.", if step.deny { "Decline" } else { "Approve" });
        } else if step.deny {
            return Err(Failure::NotApplicable("nobody declines in the bank's app here".to_owned()));
        }
        let status = self.link("scaStatus");
        let status = status.ok_or_else(|| Failure::broken("the bank has no link scaStatus"))?;
        let until = tokio::time::Instant::now() + if by_hand { PERSON } else { MACHINE };
        loop {
            let answer = self.passed_on(step, "GET", &status, None).await?;
            let state = state_of(&answer);
            let (well, failed) = (WELL.contains(&state.as_str()), state == "failed");
            if (well && !step.deny) || (failed && step.deny) {
                return Ok(Observed::Returned(Vec::new()));
            }
            if well || failed || tokio::time::Instant::now() >= until {
                return Err(Failure::Broken(format!("the authorisation in the app is {state:?}")));
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    /// Passes on to the bank what the person would type: identifier, password, the first method, code. Who declines
    /// types wrong codes until the bank has enough of it.
    async fn through_us(
        &mut self,
        bank: &BankConfiguration,
        customer: &Customer,
        step: &Step,
    ) -> Result<Observed, Failure> {
        let mut links = self.values.get("links").cloned().unwrap_or_default();
        let mut methods = Value::Null;
        for _ in 0..MOST {
            let first = methods.pointer("/0/authenticationMethodId").cloned();
            let code = if step.deny { customer.code.chars().rev().collect() } else { customer.code.clone() };
            let next = [
                ("updatePsuIdentification", json!({})),
                ("updatePsuAuthentication", json!({"psuData": {"password": customer.password}})),
                ("selectAuthenticationMethod", json!({"authenticationMethodId": first})),
                ("authoriseTransaction", json!({"scaAuthenticationData": code})),
            ];
            let next = next.into_iter().find_map(|(name, body)| Some((href(&links, name)?, body)));
            let (place, body) = next.ok_or_else(|| {
                Failure::broken("the bank names no link with which the authentication would go on")
            })?;
            let place = if place.starts_with('/') {
                format!("{}{place}", bank.base("accounts").unwrap_or_default())
            } else {
                place
            };
            let answer = self.passed_on(step, "PUT", &place, Some(body)).await?;
            match (answer.status, state_of(&answer).as_str()) {
                (200, state) if WELL.contains(&state) && !step.deny => {
                    return Ok(Observed::Returned(Vec::new()));
                }
                (_, "failed") if step.deny => return Ok(Observed::Returned(Vec::new())),
                // A wrong code, of which the bank takes another.
                (400..500, _) if step.deny => {}
                (200, _) => {
                    let body = answer.json();
                    links = body.get("_links").cloned().unwrap_or_default();
                    methods = body.get("scaMethods").cloned().unwrap_or(methods);
                }
                (status, state) => {
                    return Err(Failure::Broken(format!(
                        "the authentication through us ended with status {status} and scaStatus {state:?}"
                    )));
                }
            }
        }
        Err(Failure::Broken(format!("the authentication through us did not end after {MOST} requests")))
    }

    /// A call of the person's authentication, dressed as the step's own would be.
    async fn passed_on(
        &mut self,
        step: &Step,
        method: &str,
        place: &str,
        body: Option<Value>,
    ) -> Result<Response, Failure> {
        let own = Step {
            method: Some(method.to_owned()),
            url: Some(place.to_owned()),
            body,
            client: step.client.clone(),
            ..Step::default()
        };
        match self.call(&own).await? {
            Observed::Answer(answer) => Ok(answer),
            Observed::Returned(_) | Observed::Closed(_) => {
                Err(Failure::broken("the bank ended the connection in the authentication"))
            }
        }
    }
}

fn href(links: &Value, name: &str) -> Option<String> {
    links.get(name)?.get("href")?.as_str().map(str::to_owned)
}

/// `scaStatus` of an answer, or of the error in it.
fn state_of(answer: &Response) -> String {
    let body = answer.json();
    body.get("scaStatus").and_then(Value::as_str).unwrap_or_default().to_owned()
}
