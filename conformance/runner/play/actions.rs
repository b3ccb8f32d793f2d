//! What steps do, and when they have succeeded.

use serde_json::{Value, json};
use url::Url;

use super::{Failure, Play};
use crate::case::{Action, Expect, Match, Observed, Step};
use crate::http::Request;
use crate::target::Binding;

impl Play<'_> {
    /// Does what a step says. Nothing is observed where it has said itself what is wrong.
    pub(super) async fn act(&mut self, step: &Step) -> Result<Option<Observed>, Failure> {
        let observed = match step.action {
            Action::Metadata => self.metadata(step).await?,
            Action::Push => self.push(step).await?,
            Action::Authorize => self.authorize(step).await?,
            Action::Browse => {
                let place = self.values.filled(step.url.as_deref().unwrap_or_default());
                let url = Url::parse(&place)
                    .map_err(|_| Failure::Blocked("there is no address to go to".to_owned()))?;
                let home = self.values.text("redirect_uri").unwrap_or_default().to_owned();
                self.browse(url, &home, step.deny).await?
            }
            Action::Token => self.token(step).await?,
            Action::Refresh => self.refresh(step).await?,
            Action::ClientCredentials => self.client_credentials(step).await?,
            Action::Resource => self.resource(step).await?,
            Action::Introspect => self.about_token(step, "introspection_endpoint").await?,
            Action::Revoke => self.about_token(step, "revocation_endpoint").await?,
            Action::Request => self.request(step).await?,
            Action::Call => self.call(step).await?,
            Action::Visit => self.visit(step).await?,
            Action::Authorise => self.authorise(step).await?,
            Action::Register => self.register(step).await?,
            Action::Sequence => {
                let name = step.uses.as_deref().unwrap_or_default();
                return Err(Failure::Blocked(format!("the profile has no sequence {name:?}")));
            }
            Action::Login => {
                self.login(step).await?;
                return Ok(None);
            }
            Action::Wait => {
                self.wait(step).await?;
                return Ok(None);
            }
            Action::Check => {
                self.check(step)?;
                return Ok(None);
            }
            Action::Probe => {
                self.probe(step).await?;
                return Ok(None);
            }
        };
        Ok(Some(observed))
    }

    /// A whole authorization as it should be; the changes of the step's form are those of its push.
    async fn login(&mut self, step: &Step) -> Result<(), Failure> {
        let part = |action| Step { action, or_end: None, ..step.clone() };
        let push = part(Action::Push);
        let observed = self.push(&push).await?;
        self.succeeded(&push, &observed)?;
        let plain = crate::case::Edit::default();
        let authorize = Step { form: plain.clone(), ..part(Action::Authorize) };
        let observed = self.authorize(&authorize).await?;
        self.succeeded(&authorize, &observed)?;
        let token = Step { form: plain, ..part(Action::Token) };
        let observed = self.token(&token).await?;
        self.succeeded(&token, &observed)
    }

    async fn metadata(&mut self, step: &Step) -> Result<Observed, Failure> {
        let issuer = self.values.text("issuer").unwrap_or_default();
        let place = step.url.as_deref().unwrap_or("${issuer}/.well-known/openid-configuration");
        let url = Url::parse(&self.values.filled(place))
            .map_err(|_| Failure::Blocked(format!("{issuer} is no issuer")))?;
        self.observe(&Request::new("GET", url).header("accept", "application/json")).await
    }

    /// Reads the protected resource, with whatever the step does to token, scheme and proof.
    async fn resource(&mut self, step: &Step) -> Result<Observed, Failure> {
        let client = self.client(step)?;
        let place = step.url.as_deref().unwrap_or("${resource}");
        let url = Url::parse(&self.values.filled(place))
            .map_err(|_| Failure::NotApplicable("no resource is configured".to_owned()))?;
        let name = step.token.as_deref().unwrap_or("access_token");
        let token = self.values.text(name).map_or_else(|| self.values.filled(name), str::to_owned);
        let method = step.method.as_deref().unwrap_or("GET");
        let bound = client.is.binding == Binding::Dpop;
        let certificate = self.certificate(step, client)?;
        let usual = if bound { "DPoP" } else { "Bearer" };
        let scheme = step.scheme.as_deref().unwrap_or(usual);
        let mut asked_again = false;
        loop {
            let mut request = Request::new(method, url.clone())
                .header("accept", "application/json")
                .header("x-fapi-interaction-id", uuid::Uuid::new_v4().to_string())
                .with(certificate.as_deref());
            match step.token_in.as_deref() {
                Some("query") => {
                    request.url.query_pairs_mut().append_pair("access_token", &token);
                }
                Some("body") => {
                    let form = format!("access_token={token}");
                    request = request.body("application/x-www-form-urlencoded", form);
                }
                Some("nowhere") => {}
                Some(_) | None => request = request.header("authorization", format!("{scheme} {token}")),
            }
            if bound || step.proof.force {
                request = self.proven(request, Some(&token), &step.proof)?;
            }
            request.headers = step.headers.pairs(request.headers, &self.values);
            let observed = self.observe(&request).await?;
            if let Observed::Answer(answer) = &observed
                && bound
                && !asked_again
                && self.wants_nonce(answer)
            {
                asked_again = true;
                continue;
            }
            return Ok(observed);
        }
    }

    /// Any request. `token` names the access token to show, if one is to be shown.
    async fn request(&mut self, step: &Step) -> Result<Observed, Failure> {
        let place = self.values.filled(step.url.as_deref().unwrap_or("${api}"));
        let url = Url::parse(&place).map_err(|_| Failure::Blocked(format!("{place} is no address")))?;
        let certificate = match self.client(step) {
            Ok(client) => self.certificate(step, client)?,
            Err(_) => step.certificate.clone().filter(|name| name != "none"),
        };
        let mut request =
            Request::new(step.method.as_deref().unwrap_or("GET"), url).with(certificate.as_deref());
        if let Some(name) = &step.token {
            let token = self.values.text(name).map_or_else(|| self.values.filled(name), str::to_owned);
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(body) = &step.body {
            request = request.body("application/json", self.values.fill(body).to_string());
        } else if let Some(text) = &step.text {
            request = request.body("application/json", self.values.filled(text));
        }
        request.headers = step.headers.pairs(request.headers, &self.values);
        self.observe(&request).await
    }

    fn check(&self, step: &Step) -> Result<(), Failure> {
        let wrong: Vec<_> = step
            .values
            .iter()
            .filter_map(|(name, wanted)| {
                let value = self.values.get(name).filter(|value| !value.is_null());
                wanted.holds(value, &|value| self.values.fill(value)).err().map(|why| format!("{name} {why}"))
            })
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(Failure::Broken(wrong.join("; "))) }
    }

    /// Whether an action has succeeded, where the step expects nothing in particular.
    pub(super) fn succeeded(&self, step: &Step, observed: &Observed) -> Result<(), Failure> {
        let matching = |json: Value| serde_json::from_value::<Match>(json).ok();
        let mut expect = Expect::default();
        let mut json = |pointer: &str, wanted: Value| {
            if let Some(wanted) = matching(wanted) {
                expect.json.insert(pointer.to_owned(), wanted);
            }
        };
        match step.action {
            Action::Push => {
                json("/request_uri", json!({"matches": "^urn:|^https:"}));
                json("/expires_in", json!({"type": "integer", "min": 5, "max": 599}));
                expect.status = Expect::answered(&[201]).status;
            }
            Action::Authorise => {
                json("/access_token", json!({"type": "string", "length": 16}));
                json("/token_type", json!({"matches": "(?i)^bearer$"}));
                expect.status = Expect::answered(&[200]).status;
            }
            Action::Token | Action::Refresh | Action::ClientCredentials => {
                json("/access_token", json!({"type": "string", "length": 16}));
                json("/token_type", json!({"matches": "(?i)^(bearer|dpop)$"}));
                json("/expires_in", json!({"type": "integer", "min": 1}));
                if let Some(wanted) = matching(json!({"matches": "no-store"})) {
                    expect.headers.insert("cache-control".to_owned(), wanted);
                }
                expect.status = Expect::answered(&[200]).status;
            }
            Action::Authorize => {
                expect.returned = Some(true);
                let state = self.values.get("state").filter(|state| !state.is_null());
                let wanted = [
                    ("code", json!({"length": 22})),
                    ("error", json!({"present": false})),
                    ("iss", json!({"matches": "^${issuer}/?$"})),
                    ("state", state.map_or(json!({"present": false}), Value::clone)),
                ];
                for (name, wanted) in wanted {
                    if let Some(wanted) = matching(wanted) {
                        expect.params.insert(name.to_owned(), wanted);
                    }
                }
            }
            Action::Browse => {
                expect.returned = Some(true);
                if let Some(wanted) = matching(json!({"present": false})) {
                    expect.params.insert("error".to_owned(), wanted);
                }
            }
            Action::Visit => expect.returned = Some(true),
            Action::Register => expect.status = Expect::answered(&[200, 201]).status,
            Action::Metadata
            | Action::Call
            | Action::Sequence
            | Action::Login
            | Action::Resource
            | Action::Introspect
            | Action::Revoke
            | Action::Request
            | Action::Wait
            | Action::Check
            | Action::Probe => expect.status = Expect::answered(&[200, 201, 202, 204]).status,
        }
        self.holds(&expect, observed).map_err(Failure::Broken)
    }
}
