//! Registration of a client (RFC 7591, RFC 7592; UK DCR 3.3): right, but for what a step changes.
//!
//! Changes of the step's `form` are changes to the metadata, those of `assertion` to the software
//! statement, and those of `object` to the signed registration.

use serde_json::{Map, Value, json};
use url::Url;

use super::Play;
use crate::case::{JwtEdit, Observed, Step, random};
use crate::http::Request;
use crate::play::Failure;
use crate::target::RegistrationConfiguration;

impl Play<'_> {
    /// Registers, or with `method` and `url` changes a registration.
    pub(in crate::play) async fn register(&mut self, step: &Step) -> Result<Observed, Failure> {
        let none = || Failure::NotApplicable("the configuration says nothing of registration".to_owned());
        let target = self.target;
        let how = target.is.registration.as_ref().ok_or_else(none)?;
        let client = self.client(step)?;
        let certificate = self.certificate(step, client)?;
        let url = match &step.url {
            None => self.endpoint("registration_endpoint", client)?,
            Some(url) => Url::parse(&self.values.filled(url))
                .map_err(|_| Failure::broken("the registration has no address of its own"))?,
        };
        let mut metadata = self.values.fill(&json!(how.metadata)).as_object().cloned().unwrap_or_default();
        if let Some(statement) = self.statement(how, &step.assertion)? {
            metadata.insert("software_statement".to_owned(), json!(statement));
        }
        let metadata = step.form.members(metadata, &self.values);
        let method = step.method.as_deref().unwrap_or("POST");
        let mut request = Request::new(method, url.clone())
            .header("accept", "application/json")
            .with(certificate.as_deref());
        if let Some(name) = &step.token {
            let token = self.values.text(name).map_or_else(|| self.values.filled(name), str::to_owned);
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = match how.media.as_deref().filter(|_| !step.object.omit) {
            Some(media) => request.body(media, self.signed_registration(how, step, metadata)?),
            None => request.body("application/json", json!(metadata).to_string()),
        };
        let mut request = request;
        request.headers = step.headers.pairs(request.headers, &self.values);
        let observed = self.observe(&request).await?;
        if let Observed::Answer(answer) = &observed
            && answer.status == 201
        {
            let json = answer.json();
            let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
            let id = text("client_id").ok_or_else(|| Failure::broken("the answer has no client_id"))?;
            let own = format!("{}/{id}", url.as_str().trim_end_matches('/'));
            self.values.set("registered_uri", text("registration_client_uri").unwrap_or(own));
            self.values.set("registered_id", id);
            if let Some(token) = text("registration_access_token") {
                self.values.set("registered_token", token);
            } else if how.managed_by_own_token {
                self.own_management_token(step).await?;
            }
        }
        Ok(observed)
    }

    /// A token of the registered client itself, which manages its registration (UK DCR 3.3).
    async fn own_management_token(&mut self, step: &Step) -> Result<(), Failure> {
        let id = json!(self.values.text("registered_id"));
        let mut ask =
            Step { client: step.client.clone(), certificate: step.certificate.clone(), ..Step::default() };
        ask.action = crate::case::Action::ClientCredentials;
        ask.form.set.insert("client_id".to_owned(), id.clone());
        ask.form.remove = vec!["scope".to_owned()];
        for name in ["iss", "sub"] {
            ask.assertion.claims.set.insert(name.to_owned(), id.clone());
        }
        let observed = self.client_credentials(&ask).await?;
        self.succeeded(&ask, &observed)?;
        let token = self.values.get("own_token").cloned().unwrap_or_default();
        self.values.set("registered_token", token);
        Ok(())
    }

    /// What a directory says of the software.
    fn statement(&self, how: &RegistrationConfiguration, edit: &JwtEdit) -> Result<Option<String>, Failure> {
        let Some(key) = self.target.directory.as_ref().filter(|_| !edit.omit) else {
            return Ok(edit.text.as_ref().map(|text| self.values.filled(text)));
        };
        let mut claims = self.values.fill(&json!(how.statement)).as_object().cloned().unwrap_or_default();
        claims.insert("iat".to_owned(), json!(self.clock.now()));
        let mut header = Map::new();
        header.insert("typ".to_owned(), json!("JWT"));
        header.insert("alg".to_owned(), json!(key.alg()));
        header.insert("kid".to_owned(), json!(how.directory_kid));
        self.jwt(key, header, claims, edit).map(Some)
    }

    /// The registration as a JWT of the software (UK DCR 3.3 §"Registration request").
    fn signed_registration(
        &self,
        how: &RegistrationConfiguration,
        step: &Step,
        metadata: Map<String, Value>,
    ) -> Result<String, Failure> {
        let key = self.target.seal.as_ref().or_else(|| self.target.client(&self.role)?.key.as_ref());
        let key = key.ok_or_else(|| Failure::NotApplicable("there is no key to sign with".to_owned()))?;
        let now = self.clock.now();
        let mut claims = metadata;
        let software = how.statement.get("software_id").cloned().unwrap_or_default();
        let audience = how.audience.as_deref().or(self.values.text("issuer"));
        for (name, value) in [
            ("iss", software),
            ("aud", json!(audience)),
            ("iat", json!(now)),
            ("exp", json!(now.saturating_add(300))),
            ("jti", json!(random(22))),
        ] {
            claims.entry(name.to_owned()).or_insert(value);
        }
        let kid = self.target.is.bank.as_ref().and_then(|bank| bank.kid.clone());
        let kid = kid.or_else(|| self.target.client(&self.role)?.is.kid.clone());
        let mut header = Map::new();
        header.insert("typ".to_owned(), json!("JWT"));
        header.insert("alg".to_owned(), json!(key.alg()));
        if let Some(kid) = kid {
            header.insert("kid".to_owned(), json!(kid));
        }
        self.jwt(key, header, claims, &step.object)
    }
}
