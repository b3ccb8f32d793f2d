//! One case as one client plays it.

mod actions;
mod authorize;
mod bank;
mod browser;
mod crs;
mod forms;
mod jwts;
mod probes;
mod receiver;
mod rp;
pub(crate) mod time;
mod tls;
mod webhooks;

use std::sync::Arc;

use serde_json::Value;
use url::Url;

use crate::case::{Case, Expect, Expectation, Observed, Step, Values};
use crate::clock::Clock;
use crate::contract::Contract;
use crate::http::{Exchange, NoAnswer, Request, Response};
use crate::jose::{Jwk, SigningKey, thumbprint};
use crate::target::{Authentication, Binding, Target, TestClient};

pub(crate) use bank::Shared;

/// Why a case did not pass: a sentence for somebody who knows the clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The target does what it must not, or does not what it must.
    Broken(String),
    /// The case could not be played: something before it, or outside of it, is missing.
    Blocked(String),
    /// The case does not apply to this target.
    NotApplicable(String),
}

impl Failure {
    fn broken(says: impl Into<String>) -> Self {
        Self::Broken(says.into())
    }
}

/// What the authorization server says about itself, and its keys; read once for a run.
#[derive(Debug)]
pub struct Known {
    /// Its metadata.
    pub metadata: Value,
    /// Its key set.
    pub keys: Vec<Jwk>,
    /// The API by its own description, where a profile is about that.
    pub contract: Option<Contract>,
    /// What cases share.
    pub(crate) shared: Shared,
}

/// A case while it is played.
pub struct Play<'t> {
    /// What is judged.
    pub target: &'t Target,
    clock: &'t Clock,
    known: Arc<Known>,
    /// The client that plays.
    pub role: String,
    /// What is known by name.
    pub values: Values,
    exchanges: Vec<Exchange>,
    notes: Vec<String>,
    proof_key: SigningKey,
    nonce: Option<String>,
    last_proof: Option<String>,
    last_assertion: Option<String>,
    step: String,
}

/// What a case leaves behind.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// What was asked and answered.
    pub exchanges: Vec<Exchange>,
    /// What else was seen, in sentences.
    pub notes: Vec<String>,
}

/// Whether the next step is played.
enum Next {
    On,
    End,
}

impl<'t> Play<'t> {
    /// A case, to be played by the client of a role.
    ///
    /// # Errors
    ///
    /// If no key can be made.
    pub fn new(target: &'t Target, clock: &'t Clock, known: Arc<Known>, role: &str) -> Result<Self, Failure> {
        let mut values = Values::default();
        if let Some(customer) = target.is.bank.as_ref().and_then(|bank| bank.customer.as_ref()) {
            values.set("psu_id", &*customer.id);
            values.set("psu_password", &*customer.password);
            values.set("psu_code", &*customer.code);
        }
        for (name, value) in &target.is.values {
            values.set(name, value.clone());
        }
        values.set("issuer", target.issuer.as_str().trim_end_matches('/'));
        for (name, url) in [("resource", &target.is.resource), ("api", &target.is.api)] {
            if let Some(url) = url {
                values.set(name, url.as_str().trim_end_matches('/'));
            }
        }
        if let Some(bank) = &target.is.bank {
            for api in ["accounts", "payments", "funds", "recurring"] {
                for (name, word) in crate::bank::words(bank.is_v4(api)) {
                    values.set(&format!("{api}:{name}"), word);
                }
            }
        }
        for (name, value) in known.metadata.as_object().into_iter().flatten() {
            values.set(&format!("metadata:{name}"), value.clone());
        }
        for client in target.clients.values() {
            let redirect_uris = &client.is.redirect_uris;
            values.set(&format!("redirect_uri:{}", client.role), redirect_uris.first().cloned());
            values.set(
                &format!("second_redirect_uri:{}", client.role),
                redirect_uris.get(1).or(redirect_uris.first()).cloned(),
            );
            values.set(&format!("client_id:{}", client.role), client.is.client_id.as_str());
        }
        let proof_key = SigningKey::fresh_p256()
            .ok_or_else(|| Failure::Blocked("this machine makes no P-256 key".to_owned()))?;
        let public = proof_key.public();
        values.set("jkt", thumbprint(&public));
        for name in ["x", "y"] {
            values.set(&format!("proof_key:{name}"), public.get(name).cloned().unwrap_or_default());
        }
        let mut play = Self {
            target,
            clock,
            known,
            role: role.to_owned(),
            values,
            exchanges: Vec::new(),
            notes: Vec::new(),
            proof_key,
            nonce: None,
            last_proof: None,
            last_assertion: None,
            step: String::new(),
        };
        if let Some(client) = target.client(role) {
            play.values.set("client_id", client.is.client_id.as_str());
            let redirect_uris = &client.is.redirect_uris;
            play.values.set("redirect_uri", redirect_uris.first().cloned());
            play.values.set("second_redirect_uri", redirect_uris.get(1).or(redirect_uris.first()).cloned());
            play.values.set("scope", client.is.scope.as_str());
            let turned: Vec<_> = client.is.scope.split(' ').rev().collect();
            play.values.set("scope_turned", turned.join(" "));
        }
        Ok(play)
    }

    /// Plays the steps of a case one after the other.
    ///
    /// # Errors
    ///
    /// With the first that does not come out as it must.
    pub async fn steps(&mut self, case: &Case) -> Result<(), Failure> {
        let played = self.each(&case.steps).await;
        let mended = if case.finally.is_empty() { Ok(()) } else { self.each(&case.finally).await };
        played.and(mended)
    }

    async fn each(&mut self, steps: &[Step]) -> Result<(), Failure> {
        let mut left_out = 0_usize;
        for (index, step) in steps.iter().enumerate() {
            if left_out > 0 {
                left_out = left_out.saturating_sub(1);
                continue;
            }
            self.step = step.says.clone().unwrap_or_else(|| format!("{}. {:?}", index + 1, step.action));
            self.values.at(self.clock.now());
            for (name, value) in &step.set {
                // What stands for something may stand for what names more.
                let value = self.values.fill(&self.values.fill(value));
                self.values.set(name, value);
            }
            if step.skips.is_some() {
                left_out = self.shared(step);
                continue;
            }
            match self.one(step).await {
                Ok(Next::On) => {}
                Ok(Next::End) => return Ok(()),
                Err(Failure::Broken(why)) => return Err(Failure::Broken(format!("{}: {why}", self.step))),
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// What was asked and answered, and what else was seen.
    #[must_use]
    pub fn evidence(self) -> Evidence {
        Evidence { exchanges: self.exchanges, notes: self.notes }
    }

    async fn one(&mut self, step: &Step) -> Result<Next, Failure> {
        let Some(observed) = self.act(step).await? else {
            self.keep(step, &Observed::Closed(String::new()))?;
            return Ok(Next::On);
        };
        if let Some(end) = &step.or_end
            && self.holds(end, &observed).is_ok()
        {
            return Ok(Next::End);
        }
        match &step.expect {
            Expectation::Success => self.succeeded(step, &observed)?,
            Expectation::One(expect) => self.holds(expect, &observed).map_err(Failure::Broken)?,
            Expectation::Any(several) => {
                let wrong: Vec<_> =
                    several.iter().map_while(|expect| self.holds(expect, &observed).err()).collect();
                if wrong.len() == several.len() {
                    return Err(Failure::Broken(wrong.join("; nor: ")));
                }
            }
        }
        self.keep(step, &observed)?;
        Ok(Next::On)
    }

    fn holds(&self, expect: &Expect, observed: &Observed) -> Result<(), String> {
        expect.holds(observed, &|value| self.values.fill(value))
    }

    /// Keeps what the step wants kept.
    fn keep(&mut self, step: &Step, observed: &Observed) -> Result<(), Failure> {
        if step.save.is_empty() {
            return Ok(());
        }
        let found = match observed {
            Observed::Answer(answer) => {
                let mut found = answer.json();
                if found.is_null() {
                    found = Value::from(answer.text());
                }
                found
            }
            Observed::Returned(params) => {
                params.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect()
            }
            Observed::Closed(_) => Value::Null,
        };
        for (name, pointer) in &step.save {
            let pointer = &self.values.filled(pointer);
            if let Some(known) = pointer.strip_prefix("value:") {
                let value = self.values.get(known).cloned().unwrap_or_default();
                self.values.set(name, value);
                continue;
            }
            let value = match (pointer.strip_prefix("header:"), observed) {
                (Some(header), Observed::Answer(answer)) => answer.header(header).map(Value::from),
                _ => found.pointer(pointer).cloned(),
            };
            let Some(value) = value else {
                return Err(Failure::broken(format!("the answer has no {pointer}")));
            };
            self.values.set(name, value);
        }
        Ok(())
    }

    /// The client that plays a step.
    fn client(&self, step: &Step) -> Result<&'t TestClient, Failure> {
        let role = step.client.as_deref().unwrap_or(&self.role);
        self.target
            .client(role)
            .ok_or_else(|| Failure::NotApplicable(format!("no client {role} is configured")))
    }

    /// The certificate that a client shows in a step.
    fn certificate(&self, step: &Step, client: &TestClient) -> Result<Option<String>, Failure> {
        let certificate = match step.certificate.as_deref() {
            None => client.is.certificate.clone(),
            Some("none") => None,
            Some("other") => {
                let own = &client.is.certificate;
                let other = self.target.is.certificates.keys().find(|name| Some(*name) != own.as_ref());
                let other = other.ok_or_else(|| {
                    Failure::NotApplicable("there is no second certificate in the configuration".to_owned())
                })?;
                let second = self.target.client("second").and_then(|client| client.is.certificate.clone());
                Some(second.filter(|name| Some(name) != own.as_ref()).unwrap_or_else(|| other.clone()))
            }
            Some(name) if self.target.is.certificates.contains_key(name) => Some(name.to_owned()),
            Some(name) => return Err(Failure::NotApplicable(format!("no certificate {name} is configured"))),
        };
        Ok(certificate)
    }

    /// An endpoint of the metadata: its alias for mutual TLS where the client needs it (RFC 8705 §5).
    fn endpoint(&self, name: &str, client: &TestClient) -> Result<Url, Failure> {
        let mutual = client.is.binding == Binding::Mtls
            || matches!(
                client.is.authentication,
                Authentication::TlsClientAuth | Authentication::SelfSignedTlsClientAuth
            );
        let metadata = &self.known.metadata;
        let alias = metadata.pointer(&format!("/mtls_endpoint_aliases/{name}")).filter(|_| mutual);
        let url = alias.or_else(|| metadata.get(name)).and_then(Value::as_str);
        let url = url.ok_or_else(|| Failure::NotApplicable(format!("the metadata has no {name}")))?;
        Url::parse(url).map_err(|_| Failure::broken(format!("the {name} of the metadata is no address")))
    }

    /// Keeps a sentence about what was seen.
    pub fn note(&mut self, says: String) {
        self.notes.push(says);
    }

    /// Sends a request, and keeps it with its answer.
    pub async fn send(&mut self, request: &Request) -> Result<Response, NoAnswer> {
        let at = Clock::machine();
        let answer = self.target.http.send(request).await;
        let ms = Clock::machine().duration_since(at).as_millis();
        self.exchanges.push(Exchange::of(&self.step, at, ms.unsigned_abs(), request, &answer));
        answer
    }

    /// The same, where an ended connection is an answer, too.
    async fn observe(&mut self, request: &Request) -> Result<Observed, Failure> {
        match self.send(request).await {
            Ok(answer) => {
                self.values.set("answer", answer.text());
                Ok(Observed::Answer(answer))
            }
            Err(error) if error.closed_by_peer() => Ok(Observed::Closed(error.to_string())),
            Err(error @ NoAnswer::Late(_)) => Err(Failure::Broken(error.to_string())),
            Err(error) => Err(Failure::Blocked(error.to_string())),
        }
    }
}
