//! A person's authorisation at a bank, by OAuth.

use serde_json::{Value, json};
use url::Url;

use super::Play;
use crate::case::{Action, Edit, Observed, Step, random};
use crate::jose::{Unverified, base64url, sha256};
use crate::play::Failure;
use crate::target::Dialect;

impl Play<'_> {
    /// Has the consent authorised, and redeems the code. UK: the consent is `openbanking_intent_id` of a
    /// request that is pushed, or with `with.hybrid` brought by the browser, signed (FAPI 1 Advanced
    /// §5.2.2). STET: a code grant for `with.scope`.
    pub(in crate::play) async fn authorise(&mut self, step: &Step) -> Result<Observed, Failure> {
        let dialect = self.bank()?.dialect;
        let scope = step.with.get("scope").and_then(Value::as_str).unwrap_or("openid accounts").to_owned();
        let hybrid = step.with.get("hybrid").and_then(Value::as_bool).unwrap_or(false);
        let mut form = step.form.clone();
        form.set.entry("scope".to_owned()).or_insert_with(|| json!(scope));
        let returned = match dialect {
            Dialect::UkOpenBanking => {
                let intent = self.values.text("consent_id").unwrap_or_default();
                let claims = json!({"id_token": {
                    "openbanking_intent_id": {"value": intent, "essential": true},
                    "acr": {"essential": true, "values": ["urn:openbanking:psd2:sca"]},
                }});
                form.set.entry("claims".to_owned()).or_insert_with(|| json!(claims.to_string()));
                if hybrid { self.brought(step, &form).await? } else { self.pushed(step, &form).await? }
            }
            Dialect::Stet | Dialect::BerlinGroup | Dialect::PolishApi => self.asked(step, &form).await?,
        };
        let Observed::Returned(params) = &returned else { return Ok(returned) };
        if step.deny || !params.iter().any(|(name, _)| name == "code") {
            return Ok(returned);
        }
        let token = Step { action: Action::Token, form: Edit::default(), ..step.clone() };
        let observed = self.token(&token).await?;
        if dialect == Dialect::UkOpenBanking
            && let Observed::Answer(answer) = &observed
            && answer.status == 200
        {
            self.names_intent(answer.json().get("id_token").and_then(Value::as_str))?;
        }
        Ok(observed)
    }

    async fn pushed(&mut self, step: &Step, form: &Edit) -> Result<Observed, Failure> {
        let push = Step { action: Action::Push, form: form.clone(), ..step.clone() };
        let observed = self.push(&push).await?;
        if !matches!(&observed, Observed::Answer(answer) if answer.status == 201) {
            return Ok(observed);
        }
        let authorize = Step { action: Action::Authorize, form: Edit::default(), ..step.clone() };
        self.authorize(&authorize).await
    }

    /// Values of a new request, and its parameters.
    fn request_parameters(&mut self, step: &Step, kind: &str) -> Result<Vec<(String, String)>, Failure> {
        let client = self.client(step)?;
        let verifier = random(64);
        let challenge = base64url(&sha256(verifier.as_bytes()));
        self.values.set("verifier", verifier);
        self.values.set("state", random(32));
        self.values.set("nonce", random(32));
        let value = |name: &str| self.values.text(name).unwrap_or_default().to_owned();
        let redirect_uri = client.is.redirect_uris.first().cloned().unwrap_or_default();
        let pairs = [
            ("response_type", kind.to_owned()),
            ("client_id", client.is.client_id.clone()),
            ("redirect_uri", redirect_uri),
            ("state", value("state")),
            ("nonce", value("nonce")),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256".to_owned()),
        ];
        Ok(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    fn authorization_endpoint(&self) -> Result<Url, Failure> {
        let endpoint = self.known.metadata.get("authorization_endpoint").and_then(Value::as_str);
        let endpoint = endpoint.and_then(|url| Url::parse(url).ok());
        endpoint.ok_or_else(|| Failure::broken("the metadata has no authorization_endpoint"))
    }

    /// The request as a signed object in the browser's address, answered with `code id_token`.
    async fn brought(&mut self, step: &Step, form: &Edit) -> Result<Observed, Failure> {
        let parameters = self.request_parameters(step, "code id_token")?;
        let parameters = form.pairs(parameters, &self.values);
        let client = self.client(step)?;
        let object = self.request_object(client, &parameters, &step.object)?;
        let mut url = self.authorization_endpoint()?;
        let named = |name: &str| {
            let found = parameters.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let query = ["client_id", "response_type", "scope"].map(|name| (name.to_owned(), named(name)));
        let mut query = step.outer.pairs(query.to_vec(), &self.values);
        query.push(("request".to_owned(), object));
        url.query_pairs_mut().extend_pairs(&query);
        let observed = self.browse(url, &named("redirect_uri"), step.deny).await?;
        let Observed::Returned(params) = &observed else { return Ok(observed) };
        let param =
            |name: &str| params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        if let Some(code) = param("code") {
            self.values.set("code", code);
            let token = param("id_token").map(str::to_owned);
            let claims = self.names_intent(token.as_deref())?;
            let hash = |text: &str| json!(base64url(sha256(text.as_bytes()).get(..16).unwrap_or_default()));
            let state = self.values.text("state").unwrap_or_default();
            // FAPI 1 Advanced §5.2.2.1-4 and OpenID Connect Core §3.3.2.11.
            if claims.get("c_hash") != Some(&hash(code)) {
                return Err(Failure::broken("c_hash of the id_token is not that of the code"));
            }
            if claims.get("s_hash") != Some(&hash(state)) {
                return Err(Failure::broken("s_hash of the id_token is not that of the state"));
            }
        }
        Ok(observed)
    }

    /// The id_token, by the bank's key, names the consent that was authorised (Open Banking Security
    /// Profile §"id_token").
    fn names_intent(&self, token: Option<&str>) -> Result<serde_json::Map<String, Value>, Failure> {
        let broken = |why: String| Failure::Broken(format!("the id_token: {why}"));
        let token = token.ok_or_else(|| broken("is missing".to_owned()))?;
        let read = Unverified::read(token).ok_or_else(|| broken("is no JWT".to_owned()))?;
        let read = read.verified(&self.known.keys, &["PS256", "ES256"]).map_err(broken)?;
        let wanted = [
            ("openbanking_intent_id", self.values.get("consent_id")),
            ("nonce", self.values.get("nonce").filter(|nonce| !nonce.is_null())),
            ("aud", self.values.get("client_id")),
        ];
        for (name, value) in wanted {
            if read.claims.get(name) != value {
                return Err(broken(format!("{name} is not what was asked with")));
            }
        }
        Ok(read.claims)
    }

    /// A plain code grant.
    async fn asked(&mut self, step: &Step, form: &Edit) -> Result<Observed, Failure> {
        let parameters = self.request_parameters(step, "code")?;
        let parameters = form.pairs(parameters, &self.values);
        let mut url = self.authorization_endpoint()?;
        url.query_pairs_mut().extend_pairs(&parameters);
        let found = parameters.iter().find(|(name, _)| name == "redirect_uri");
        let redirect_uri = found.map(|(_, value)| value.clone()).unwrap_or_default();
        self.values.set("redirect_uri", redirect_uri.as_str());
        let observed = self.browse(url, &redirect_uri, step.deny).await?;
        if let Observed::Returned(params) = &observed
            && let Some((_, code)) = params.iter().find(|(name, _)| name == "code")
        {
            self.values.set("code", code.as_str());
        }
        Ok(observed)
    }
}
