//! A fintech: what an outside client does with its certificate and key.

use std::sync::Arc;

use anyhow::{Context, bail};
use crypto::{Jwks, SigningKey};
use domain::{Clock, Entropy, SystemEntropy};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::browser::Browser;
use super::client::{Answer, Client};
use crate::sandbox::Access;

/// Where the fintech's browser flows end; nothing listens there.
pub const RETURN: &str = "https://fintech.consentry.example/return";

/// What the demo asks to read.
pub const PERMISSIONS: [&str; 3] = ["READ_ACCOUNTS_DETAIL", "READ_BALANCES", "READ_TRANSACTIONS_DETAIL"];

/// The most that one authorization request may ask for.
const AT_ONCE: usize = 10;

/// A fintech with a certificate, a key and a registration.
#[derive(Clone)]
pub struct Tpp {
    /// Sends its requests.
    pub http: Client,
    /// Metadata of the authorization server.
    pub server: Value,
    /// Its identifier, once registered.
    pub client_id: String,
    /// Origin of the API.
    pub api: String,
    /// Signs its assertions and requests.
    pub key: Arc<SigningKey>,
    /// Its time.
    pub clock: Arc<dyn Clock>,
}

impl Tpp {
    /// A fintech that has read the metadata and is not registered yet.
    ///
    /// # Errors
    ///
    /// If discovery fails or names another issuer (RFC 8414 §3.3).
    pub async fn discover(access: &Access, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let pki = &access.pki;
        let identity = (pki.fintech.certificate_pem.as_str(), pki.fintech.key_pem.as_str());
        let http = Client::new(&pki.root, Some(identity))?;
        let url = format!("{}/.well-known/oauth-authorization-server", access.issuer);
        let server = http.get(&url, &[]).await?.expect(200)?.json();
        if server.get("issuer").and_then(Value::as_str) != Some(&access.issuer) {
            bail!("the metadata names another issuer");
        }
        let key = Arc::new(SigningKey::from_pem(&pki.fintech.key_pem, "demo-1")?);
        Ok(Self { http, server, client_id: String::new(), api: access.api.clone(), key, clock })
    }

    /// An address of the metadata.
    ///
    /// # Errors
    ///
    /// If the metadata does not have it.
    pub fn endpoint(&self, name: &str) -> anyhow::Result<&str> {
        self.server.get(name).and_then(Value::as_str).with_context(|| format!("the metadata has no {name}"))
    }

    /// Registers (RFC 7591) for `private_key_jwt`.
    ///
    /// # Errors
    ///
    /// If it is refused.
    pub async fn register(&mut self) -> anyhow::Result<()> {
        self.register_as(&Value::Null).await.map(|_| ())
    }

    /// Registers with some metadata changed; the answer.
    ///
    /// # Errors
    ///
    /// If it is refused.
    pub async fn register_as(&mut self, changes: &Value) -> anyhow::Result<Value> {
        let mut metadata = json!({
            "client_name": "Demo Fintech",
            "redirect_uris": [RETURN],
            "grant_types": ["authorization_code", "client_credentials"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": Jwks::of([&*self.key]).to_value(),
            "scope": "openid accounts payments",
        });
        if let (Some(members), Some(changes)) = (metadata.as_object_mut(), changes.as_object()) {
            members.extend(changes.clone());
        }
        let endpoint = self.endpoint("registration_endpoint")?;
        let answer = self.http.post_json(endpoint, &[], &metadata).await?.expect(201)?;
        self.client_id = answer.text("/client_id");
        Ok(answer.json())
    }

    /// RFC 7523 client assertion, fresh for every request; `change` may spoil it.
    ///
    /// # Errors
    ///
    /// If it cannot be signed.
    pub fn assertion(&self, change: impl FnOnce(&mut Value)) -> anyhow::Result<String> {
        let now = self.clock.now().as_second();
        let mut claims = json!({
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.server.get("issuer"),
            "jti": SystemEntropy.uuid_v4(),
            "iat": now,
            "exp": now.saturating_add(60),
        });
        change(&mut claims);
        Ok(crypto::jws::sign_compact(&self.key, &Map::new(), claims.to_string().as_bytes())?)
    }

    /// Posts a form to an endpoint of the metadata, with a client assertion.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn authenticated(&self, endpoint: &str, form: &[(&str, &str)]) -> anyhow::Result<Answer> {
        self.authenticated_with(endpoint, &[], form).await
    }

    /// The same, with further headers.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn authenticated_with(
        &self,
        endpoint: &str,
        headers: &[(&str, &str)],
        form: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let assertion = self.assertion(|_| {})?;
        let mut form = form.to_vec();
        form.push(("client_id", &self.client_id));
        form.push(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
        form.push(("client_assertion", &assertion));
        self.http.post_form_with(self.endpoint(endpoint)?, headers, &form).await
    }

    /// A token of its own (`client_credentials`).
    ///
    /// # Errors
    ///
    /// If it is refused.
    pub async fn own_token(&self, scope: &str) -> anyhow::Result<SecretString> {
        let form = [("grant_type", "client_credentials"), ("scope", scope)];
        let answer = self.authenticated("token_endpoint", &form).await?.expect(200)?;
        Ok(answer.text("/access_token").into())
    }

    /// Gets a path of the API; the PSU is present.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn get(&self, token: &SecretString, path: &str) -> anyhow::Result<Answer> {
        let bearer = bearer(token);
        let headers = [("authorization", bearer.as_str()), ("psu-ip-address", "192.0.2.10")];
        self.http.get(&format!("{}{path}", self.api), &headers).await
    }

    /// Posts JSON to a path of the API with a fresh idempotency key.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn post(&self, token: &SecretString, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.post_once(token, path, &SystemEntropy.uuid_v4().to_string(), body).await
    }

    /// Posts JSON to a path of the API with this idempotency key.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn post_once(
        &self,
        token: &SecretString,
        path: &str,
        key: &str,
        body: &Value,
    ) -> anyhow::Result<Answer> {
        let bearer = bearer(token);
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        self.http.post_json(&format!("{}{path}", self.api), &headers, body).await
    }

    /// Posts XML to a path of the API with this idempotency key.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn post_xml(
        &self,
        token: &SecretString,
        path: &str,
        key: &str,
        body: &str,
    ) -> anyhow::Result<Answer> {
        let bearer = bearer(token);
        let headers = [
            ("authorization", bearer.as_str()),
            ("idempotency-key", key),
            ("content-type", "application/xml"),
        ];
        let url = format!("{}{path}", self.api);
        self.http.send(http::Method::POST, &url, &headers, body.to_owned()).await
    }

    /// Deletes a path of the API.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn delete(&self, token: &SecretString, path: &str) -> anyhow::Result<Answer> {
        let bearer = bearer(token);
        let url = format!("{}{path}", self.api);
        self.http.send(http::Method::DELETE, &url, &[("authorization", &bearer)], "").await
    }

    /// Lodges a consent at each bank; their ids.
    ///
    /// # Errors
    ///
    /// If one is refused.
    pub async fn lodge(&self, token: &SecretString, banks: &[&str]) -> anyhow::Result<Vec<String>> {
        let mut consents = Vec::new();
        for bank in banks {
            let body = json!({
                "type": "ACCOUNT_INFORMATION",
                "institution_id": bank,
                "permissions": PERMISSIONS,
            });
            consents.push(self.post(token, "/v1/consents", &body).await?.expect(201)?.text("/id"));
        }
        Ok(consents)
    }

    /// Pushes an authorization request for these consents (RFC 9126).
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn push(&self, consents: &[String], verifier: &SecretString) -> anyhow::Result<Answer> {
        self.push_with(consents, verifier, &[]).await
    }

    /// The same, with further parameters.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn push_with(
        &self,
        consents: &[String],
        verifier: &SecretString,
        more: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let details: Value =
            consents.iter().map(|id| json!({ "type": "account_access", "consent_id": id })).collect();
        let details = details.to_string();
        let challenge = crypto::digest::pkce_challenge(verifier.expose_secret());
        let mut form = vec![
            ("response_type", "code"),
            ("redirect_uri", RETURN),
            ("scope", "accounts"),
            ("state", "demo-state"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("authorization_details", &details),
        ];
        form.extend(more);
        self.authenticated("pushed_authorization_request_endpoint", &form).await
    }

    /// Where the PSU's browser begins, from the answer to a push.
    ///
    /// # Errors
    ///
    /// If the metadata names no place.
    pub fn start_of(&self, pushed: &Answer) -> anyhow::Result<String> {
        let mut url = url::Url::parse(self.endpoint("authorization_endpoint")?)?;
        url.query_pairs_mut()
            .append_pair("client_id", &self.client_id)
            .append_pair("request_uri", &pushed.text("/request_uri"));
        Ok(url.into())
    }

    /// Redeems a code.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn redeem(&self, code: &str, verifier: &SecretString) -> anyhow::Result<Answer> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", RETURN),
            ("code_verifier", verifier.expose_secret()),
        ];
        self.authenticated("token_endpoint", &form).await
    }

    /// Has the sandbox's person grant access to accounts at these banks, who approves there at once or
    /// as the banks ask; what is more than one request may hold is merged into the grant (FAPI Grant
    /// Management). The token, and the consents behind it.
    ///
    /// # Errors
    ///
    /// If a step is refused.
    pub async fn granted(&self, root: &str, banks: &[&str]) -> anyhow::Result<(SecretString, Vec<String>)> {
        let own = self.own_token("accounts").await?;
        let mut person = Browser::new(Client::new(root, None)?, "anna", "sandbox");
        let (mut token, mut all, mut grant) = (SecretString::default(), Vec::new(), String::new());
        for banks in banks.chunks(AT_ONCE) {
            let consents = self.lodge(&own, banks).await?;
            let verifier = verifier();
            let action = match grant.as_str() {
                "" => vec![("grant_management_action", "create")],
                grant => vec![("grant_management_action", "merge"), ("grant_id", grant)],
            };
            let pushed = self.push_with(&consents, &verifier, &action).await?.expect(201)?;
            let visit = person.walk(&self.start_of(&pushed)?, RETURN).await?;
            let code = visit.url.query_pairs().find(|(name, _)| name == "code");
            let (_, code) =
                code.with_context(|| format!("no code came back: the walk ended at {}", visit.url.path()))?;
            let answer = self.redeem(&code, &verifier).await?.expect(200)?;
            (token, grant) = (answer.text("/access_token").into(), answer.text("/grant_id"));
            all.extend(consents);
        }
        Ok((token, all))
    }

    /// The order of a small payment from a UK bank.
    #[must_use]
    pub fn small_payment(bank: &str) -> Value {
        json!({
            "institution_id": bank,
            "amount": { "amount": "12.34", "currency": "GBP" },
            "creditor": { "name": "Corner Bookshop" },
            "creditor_account": {
                "sort_code_account_number": { "sort_code": "990011", "account_number": "20000018" }
            },
            "remittance": { "unstructured": ["Invoice 2041"] },
            "redirect_uri": RETURN,
        })
    }
}

/// The value of an Authorization header.
#[must_use]
pub fn bearer(token: &SecretString) -> String {
    format!("Bearer {}", token.expose_secret())
}

/// A PKCE verifier (RFC 7636).
#[must_use]
pub fn verifier() -> SecretString {
    crypto::token(&SystemEntropy, 32)
}
