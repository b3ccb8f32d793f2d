//! Requests of the back channel: forms with a client's authentication.

use serde_json::{Value, json};
use url::Url;

use super::{Failure, Play};
use crate::case::{Observed, Step, random};
use crate::http::{Request, Response};
use crate::jose::{base64url, sha256};
use crate::target::{Authentication, Binding, TestClient};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

type Pairs = Vec<(String, String)>;

fn pair(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

impl Play<'_> {
    /// Pushes an authorization request (RFC 9126 §2.1).
    pub(super) async fn push(&mut self, step: &Step) -> Result<Observed, Failure> {
        let client = self.client(step)?;
        let verifier = random(64);
        let challenge = base64url(&sha256(verifier.as_bytes()));
        self.values.set("verifier", verifier);
        self.values.set("challenge", challenge.as_str());
        self.values.set("state", random(32));
        self.values.set("nonce", random(32));
        let value = |name: &str| self.values.text(name).unwrap_or_default().to_owned();
        let mut parameters = vec![
            pair("response_type", "code"),
            pair("redirect_uri", client.is.redirect_uris.first().cloned().unwrap_or_default()),
            pair("scope", &client.is.scope),
            pair("state", value("state")),
            pair("code_challenge", challenge),
            pair("code_challenge_method", "S256"),
        ];
        if client.is.scope.split(' ').any(|scope| scope == "openid") {
            parameters.push(pair("nonce", value("nonce")));
        }
        if client.is.message_signing {
            parameters.push(pair("response_mode", "jwt"));
        }
        if let Some(details) = &client.is.authorization_details {
            parameters.push(pair("authorization_details", details.to_string()));
        }
        parameters.insert(0, pair("client_id", &client.is.client_id));
        let parameters = step.form.pairs(parameters, &self.values);
        // What was really asked for is what comes back.
        for name in ["redirect_uri", "state", "nonce"] {
            let sent = parameters.iter().find(|(known, _)| known == name);
            self.values.set(name, sent.map_or(Value::Null, |(_, value)| json!(value)));
        }
        let signed = (client.is.message_signing || step.object.force) && !step.object.omit;
        let form = if signed {
            let object = self.request_object(client, &parameters, &step.object)?;
            vec![pair("client_id", &client.is.client_id), pair("request", object)]
        } else {
            parameters
        };
        let form = step.outer.pairs(form, &self.values);
        let proof = step.proof.force && client.is.binding == Binding::Dpop;
        let observed =
            self.back_channel(step, client, "pushed_authorization_request_endpoint", form, proof).await?;
        self.learn(&observed, &["request_uri", "expires_in"]);
        Ok(observed)
    }

    /// Redeems the code, or whatever the step's form says.
    pub(super) async fn token(&mut self, step: &Step) -> Result<Observed, Failure> {
        let client = self.client(step)?;
        let value = |name: &str| self.values.text(name).unwrap_or_default().to_owned();
        let form = vec![
            pair("grant_type", "authorization_code"),
            pair("code", value("code")),
            pair("redirect_uri", value("redirect_uri")),
            pair("code_verifier", value("verifier")),
        ];
        self.grant(
            step,
            client,
            form,
            &["access_token", "refresh_token", "id_token", "token_type", "expires_in", "scope"],
        )
        .await
    }

    /// Refreshes (RFC 6749 §6).
    pub(super) async fn refresh(&mut self, step: &Step) -> Result<Observed, Failure> {
        let client = self.client(step)?;
        if self.values.get("refresh_token").is_none() {
            return Err(Failure::NotApplicable("no refresh token was issued".to_owned()));
        }
        let token = self.values.text("refresh_token").unwrap_or_default();
        let form = vec![pair("grant_type", "refresh_token"), pair("refresh_token", token)];
        self.grant(step, client, form, &["access_token"]).await
    }

    /// A token of the client's own (RFC 6749 §4.4).
    pub(super) async fn client_credentials(&mut self, step: &Step) -> Result<Observed, Failure> {
        let client = self.client(step)?;
        let mut form = vec![pair("grant_type", "client_credentials")];
        if let Some(scope) = &client.is.own_scope {
            form.push(pair("scope", scope));
        }
        let observed = self.grant(step, client, form, &[]).await?;
        if let Observed::Answer(answer) = &observed
            && let Some(token) = answer.json().get("access_token")
        {
            self.values.set("own_token", token.clone());
        }
        Ok(observed)
    }

    async fn grant(
        &mut self,
        step: &Step,
        client: &TestClient,
        form: Pairs,
        learn: &[&str],
    ) -> Result<Observed, Failure> {
        let mut form = form;
        form.push(pair("client_id", &client.is.client_id));
        let form = step.form.pairs(form, &self.values);
        let proof = client.is.binding == Binding::Dpop || step.proof.force;
        let observed = self.back_channel(step, client, "token_endpoint", form, proof).await?;
        self.learn(&observed, learn);
        Ok(observed)
    }

    /// Introspects (RFC 7662) or revokes (RFC 7009) a token.
    pub(super) async fn about_token(&mut self, step: &Step, endpoint: &str) -> Result<Observed, Failure> {
        let client = self.client(step)?;
        let name = step.token.as_deref().unwrap_or("access_token");
        let token = self.values.text(name).map_or_else(|| self.values.filled(name), str::to_owned);
        let form = vec![pair("token", token), pair("client_id", &client.is.client_id)];
        let form = step.form.pairs(form, &self.values);
        self.back_channel(step, client, endpoint, form, false).await
    }

    fn learn(&mut self, observed: &Observed, names: &[&str]) {
        if let Observed::Answer(answer) = observed
            && answer.status < 300
        {
            let json = answer.json();
            for name in names {
                if let Some(value) = json.get(*name) {
                    self.values.set(name, value.clone());
                }
            }
        }
    }

    /// Sends a form to an endpoint with the client's authentication, once more where the server
    /// wants a nonce in the proof (RFC 9449 §8).
    async fn back_channel(
        &mut self,
        step: &Step,
        client: &TestClient,
        endpoint: &str,
        form: Pairs,
        proof: bool,
    ) -> Result<Observed, Failure> {
        let url = self.endpoint(step.endpoint.as_deref().unwrap_or(endpoint), client)?;
        let certificate = self.certificate(step, client)?;
        let mut asked_again = false;
        loop {
            let mut form = form.clone();
            if client.is.authentication == Authentication::PrivateKeyJwt || step.assertion.force {
                if let Some(assertion) = self.assertion(client, &step.assertion)? {
                    form.push(pair("client_assertion_type", ASSERTION_TYPE));
                    form.push(pair("client_assertion", assertion));
                }
                // What the step says about these is about what is sent.
                form = late(step, form, &self.values);
            }
            let method = step.method.as_deref().unwrap_or("POST");
            let mut request = form_request(method, &url, &form).with(certificate.as_deref());
            if proof {
                request = self.proven(request, None, &step.proof)?;
            }
            request.headers = step.headers.pairs(request.headers, &self.values);
            let observed = self.observe(&request).await?;
            if let Observed::Answer(answer) = &observed
                && proof
                && !asked_again
                && !step.proof.once
                && self.wants_nonce(answer)
            {
                asked_again = true;
                continue;
            }
            return Ok(observed);
        }
    }

    /// Whether a server wants another nonce, which is kept.
    pub(super) fn wants_nonce(&mut self, answer: &Response) -> bool {
        let nonce = answer.header("dpop-nonce").map(str::to_owned);
        let wanted = answer.status >= 400
            && (answer.json().get("error") == Some(&json!("use_dpop_nonce"))
                || answer.header("www-authenticate").is_some_and(|says| says.contains("use_dpop_nonce")));
        if nonce.is_some() {
            self.nonce = nonce;
        }
        wanted && self.nonce.is_some()
    }
}

/// Changes to what the authentication added to the form.
fn late(step: &Step, form: Pairs, values: &crate::case::Values) -> Pairs {
    let added = |name: &String| name.starts_with("client_assertion");
    let mut edit = step.form.clone();
    edit.set.retain(|name, _| added(name));
    edit.remove.retain(added);
    edit.twice.retain(added);
    edit.only = None;
    edit.pairs(form, values)
}

fn form_request(method: &str, url: &Url, form: &Pairs) -> Request {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(form);
    let text = text.finish();
    if method == "GET" {
        let mut url = url.clone();
        url.set_query(Some(&text));
        return Request::new(method, url).header("accept", "application/json");
    }
    Request::new(method, url.clone())
        .header("accept", "application/json")
        .body("application/x-www-form-urlencoded", text)
}
