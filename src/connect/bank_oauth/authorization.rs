//! Sending the browser to the bank.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::{AuthorizationRequest, Form, OAuthClient};
use crate::{
    AuthorizationServer, BankError, BankErrorKind, BankRequest, BankResponse, Effect, Quirk, QuirkName,
    ResponseType,
};

/// Ways to authenticate that are enough (Open Banking Security Profile §5.2.2).
pub(super) const ACR_VALUES: [&str; 2] = ["urn:openbanking:psd2:sca", "urn:openbanking:psd2:ca"];

#[derive(Deserialize)]
struct Pushed {
    request_uri: String,
}

impl OAuthClient<'_> {
    /// Pushes the request (RFC 9126), signed where the profile says so; `None`
    /// where the bank takes requests through the browser only.
    pub fn push(&self, request: &AuthorizationRequest) -> Option<Result<BankRequest, BankError>> {
        if !self.server().is_some_and(|server| server.pushed_requests) {
            return None;
        }
        let missing = || {
            BankError::profile(&self.profile.id, "authorization_server.pushed_authorization_request_endpoint")
        };
        let endpoint = self.metadata.pushed_authorization_request_endpoint.clone();
        Some(endpoint.ok_or_else(missing).and_then(|endpoint| self.push_to(endpoint, request)))
    }

    fn push_to(&self, endpoint: Url, request: &AuthorizationRequest) -> Result<BankRequest, BankError> {
        let mut form = Form::new();
        if self.signs() {
            form.push("request", &self.request_object(request)?);
        } else {
            for (name, value) in self.parameters(request)? {
                if name != "client_id" {
                    form.push(&name, &text_of(&value));
                }
            }
        }
        self.authenticate(request.role, &mut form)?;
        BankRequest::of(Method::POST, endpoint, Effect::Read)
            .body("application/x-www-form-urlencoded", form.finish())
            .header("accept", "application/json")
            .map_err(|name| self.error(BankErrorKind::Internal).at(name))
    }

    /// Reads the answer to [`OAuthClient::push`]: the `request_uri`.
    ///
    /// # Errors
    ///
    /// What the bank's error means, or `malformed-response`.
    pub fn pushed(&self, response: &BankResponse) -> Result<String, BankError> {
        super::token::refuse_failure(self.profile, response)?;
        let pushed: Pushed = super::token::json(self.profile, response)?;
        if pushed.request_uri.is_empty() || pushed.request_uri.len() > 2048 {
            return Err(BankError::malformed(&self.profile.id, "/request_uri"));
        }
        Ok(pushed.request_uri)
    }

    /// Where the browser goes: with the `request_uri` of a pushed request, or
    /// else with the request itself.
    ///
    /// # Errors
    ///
    /// `profile-error` or `internal` if the request cannot be signed.
    pub fn authorize_url(
        &self,
        request: &AuthorizationRequest,
        request_uri: Option<&str>,
    ) -> Result<Url, BankError> {
        let mut url = self
            .quirk(QuirkName::AuthorizationEndpointForRole, request)
            .and_then(|quirk| Url::parse(quirk.text("address")?).ok())
            .unwrap_or_else(|| self.metadata.authorization_endpoint.clone());
        if let Some(request_uri) = request_uri {
            url.query_pairs_mut()
                .append_pair("client_id", self.client_id(request.role)?)
                .append_pair("request_uri", request_uri);
            return Ok(url);
        }
        let mut pairs: Vec<(String, String)> = if self.signs() {
            let mut pairs: Vec<_> = self
                .parameters(request)?
                .into_iter()
                .filter(|(name, _)| matches!(name.as_str(), "client_id" | "response_type" | "scope"))
                .map(|(name, value)| (name, text_of(&value)))
                .collect();
            pairs.push(("request".into(), self.request_object(request)?));
            pairs
        } else {
            self.parameters(request)?.into_iter().map(|(name, value)| (name, text_of(&value))).collect()
        };
        if self.signs() && self.quirk(QuirkName::NonceInQueryToo, request).is_some() {
            pairs.push(("nonce".into(), request.nonce.clone()));
        }
        if let Some(quirk) = self.quirk(QuirkName::ConsentInQuery, request)
            && let (Some(name), Some(intent)) = (quirk.text("parameter"), &request.intent_id)
        {
            pairs.push((name.to_owned(), intent.clone()));
        }
        if let Some(quirk) = self.quirk(QuirkName::ExtraQuery, request) {
            let tables = [("always", true), ("again", request.again)];
            for table in tables.iter().filter(|(_, wanted)| *wanted).map(|(name, _)| *name) {
                let table = quirk.parameters.get(table).and_then(toml::Value::as_table);
                for (name, value) in table.into_iter().flatten() {
                    pairs.push((name.clone(), value.as_str().unwrap_or_default().to_owned()));
                }
            }
        }
        if let Some(quirk) = self.quirk(QuirkName::QueryWrapped, request) {
            let joined = if self.quirk(QuirkName::QueryNotEncoded, request).is_some() {
                let plain: Vec<String> =
                    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
                plain.join("&")
            } else {
                url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish()
            };
            let wrapped = URL_SAFE_NO_PAD.encode(joined);
            pairs = vec![(quirk.text("parameter").unwrap_or("data").to_owned(), wrapped)];
        }
        url.query_pairs_mut().extend_pairs(pairs);
        Ok(url)
    }

    pub(super) fn server(&self) -> Option<&AuthorizationServer> {
        self.profile.authorization_server.as_ref()
    }

    fn signs(&self) -> bool {
        self.server().is_some_and(|server| server.signed_request_object)
    }

    fn quirk(&self, name: QuirkName, request: &AuthorizationRequest) -> Option<&Quirk> {
        let step = format!("auth.{}", request.role.word());
        self.profile.quirks.find(name, &step, request.role.version(self.profile))
    }

    /// The scope as this bank names it.
    pub(super) fn scope_of<'a>(&'a self, request: &'a AuthorizationRequest) -> &'a str {
        let replaced = self.quirk(QuirkName::ScopeReplaced, request).and_then(|quirk| quirk.text("scope"));
        replaced.unwrap_or(&request.scope)
    }

    /// The parameters of RFC 6749 §4.1.1, RFC 7636 §4.3 and OpenID Connect Core §3.1.2.1.
    fn parameters(&self, request: &AuthorizationRequest) -> Result<Map<String, Value>, BankError> {
        let response_type = self.server().map_or(ResponseType::Code, |server| server.response_type);
        let scope = self.scope_of(request);
        let mut parameters = Map::new();
        parameters.insert("client_id".into(), json!(self.client_id(request.role)?));
        parameters.insert("response_type".into(), json!(response_type.as_str()));
        parameters.insert("redirect_uri".into(), json!(request.redirect_uri));
        parameters.insert("scope".into(), json!(scope));
        parameters.insert("state".into(), json!(request.state));
        let challenge = crypto::digest::pkce_challenge(request.code_verifier.expose_secret());
        parameters.insert("code_challenge".into(), json!(challenge));
        parameters.insert("code_challenge_method".into(), json!("S256"));
        if scope.split_whitespace().any(|word| word == "openid") {
            parameters.insert("nonce".into(), json!(request.nonce));
        }
        if let Some(intent) = &request.intent_id {
            let essential = json!({ "value": intent, "essential": true });
            parameters.insert(
                "claims".into(),
                json!({
                    "userinfo": { "openbanking_intent_id": essential },
                    "id_token": {
                        "openbanking_intent_id": essential,
                        "acr": {
                            "essential": true,
                            "values": ACR_VALUES,
                        },
                        "auth_time": { "essential": true },
                    },
                }),
            );
        }
        Ok(parameters)
    }

    /// RFC 9101: the parameters as claims, signed; issuer we, audience the bank's issuer.
    fn request_object(&self, request: &AuthorizationRequest) -> Result<String, BankError> {
        let replaced =
            self.quirk(QuirkName::RequestAudience, request).and_then(|quirk| quirk.text("audience"));
        let mut claims = self.base_claims(request.role, replaced.unwrap_or(&self.metadata.issuer))?;
        claims.extend(self.parameters(request)?);
        let mut header = Map::new();
        header.insert("typ".into(), json!("oauth-authz-req+jwt"));
        self.jwt(&header, claims)
    }
}

/// A parameter outside a request object: text as it is, anything else as JSON.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
