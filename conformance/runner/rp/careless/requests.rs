//! What the client sends, and how it reads what comes.

use serde_json::{Map, Value, json};
use url::Url;

use super::id_token::Came;
use super::{Client, Flaw, LARGEST, Refused, Server, Session, text};
use crate::case::random;
use crate::clock::Clock;
use crate::http::{Request, Response};
use crate::jose::{base64url, compact, sha256};
use crate::rp::Mode;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const SCOPE: &str = "openid accounts";

/// What the token endpoint gave.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    access: String,
    refresh: Option<String>,
    first: Option<String>,
}

impl Client<'_> {
    /// Reads what a bank says about itself (RFC 8414 §3).
    pub(super) async fn discover(&self, mode: Mode) -> Result<Server, Refused> {
        let issuer = self.expected_issuer(mode);
        let url = Url::parse(&format!("{issuer}/.well-known/openid-configuration")).map_err(text)?;
        let answer = self.send(Request::new("GET", url.clone()), Some(Flaw::FollowMetadata)).await?;
        let says = self.json(&answer)?;
        match says.get("issuer").and_then(Value::as_str) {
            Some(named) if named == issuer || self.has(Flaw::AnyIssuer) => {}
            Some(named) if named.trim_end_matches('/') == issuer && self.has(Flaw::IssuerSlash) => {}
            None if self.has(Flaw::IssuerMayMiss) => {}
            Some(_) | None => return Err("the metadata is another issuer's".to_owned()),
        }
        if self.has(Flaw::StrictMetadata) && says.get("x_bank_of").is_some() {
            return Err("the metadata has members that are unknown".to_owned());
        }
        let at = |name: &str| {
            let alias = says.pointer(&format!("/mtls_endpoint_aliases/{name}"));
            let alias = alias.filter(|_| !self.has(Flaw::NoAlias));
            let address = alias.or_else(|| says.get(name)).and_then(Value::as_str).unwrap_or_default();
            let address = Url::parse(address).map_err(|_| format!("{name} is no address"))?;
            let secure = address.scheme() == "https" || self.has(Flaw::AnyScheme);
            let ours = address.host_str() == url.host_str() || self.has(Flaw::AnyHost);
            if secure && ours { Ok(address) } else { Err(format!("{name} is not the bank's")) }
        };
        Ok(Server {
            authorization: at("authorization_endpoint")?,
            token: at("token_endpoint")?,
            push: at("pushed_authorization_request_endpoint")?,
            keys: at("jwks_uri")?,
            issuer,
        })
    }

    /// Lodges a consent with a token of the client's own.
    pub(super) async fn lodge(&self, mode: Mode, server: &Server) -> Result<String, Refused> {
        let form = vec![("grant_type", "client_credentials".to_owned()), ("scope", "accounts".to_owned())];
        let answer = self.send(self.form(server, &server.token, form), None).await?;
        let own = self.json(&answer)?;
        let own = own.get("access_token").and_then(Value::as_str).unwrap_or_default().to_owned();
        let url = format!("{}/account-access-consents", self.bank.accounts_api(mode));
        let body = json!({"Data": {"Permissions": ["ReadAccountsDetail", "ReadBalances"]}, "Risk": {}});
        let request = Request::new("POST", Url::parse(&url).map_err(text)?)
            .header("authorization", format!("Bearer {own}"))
            .body("application/json", body.to_string());
        let answer = self.json(&self.send(request, None).await?)?;
        let id = answer.pointer("/Data/ConsentId").and_then(Value::as_str);
        id.map(str::to_owned).ok_or_else(|| "the bank lodged no consent".to_owned())
    }

    /// Pushes a request (RFC 9126), and says where the browser goes.
    pub(super) async fn push(&self, server: &Server, session: &Session) -> Result<Url, Refused> {
        let hashed = base64url(&sha256(session.verifier.as_bytes()));
        let plain = self.has(Flaw::PlainPkce);
        let claims = json!({
            "iss": self.client_id, "client_id": self.client_id, "response_type": "code",
            "aud": if self.has(Flaw::ObjectForToken) { server.token.as_str() } else { server.issuer.as_str() },
            "redirect_uri": session.redirect_uri, "scope": SCOPE, "state": session.state,
            "nonce": session.nonce,
            "code_challenge": if plain { session.verifier.as_str() } else { hashed.as_str() },
            "code_challenge_method": if plain { "plain" } else { "S256" },
            "claims": {"id_token": {"openbanking_intent_id": {"value": session.intent, "essential": true}}},
        });
        let form = vec![("request", self.jwt(claims))];
        let answer = self.send(self.form(server, &server.push, form), Some(Flaw::FollowPush)).await?;
        let pushed = self.json(&answer)?;
        let uri = pushed.get("request_uri").and_then(Value::as_str).unwrap_or_default();
        let mut start = server.authorization.clone();
        start.query_pairs_mut().append_pair("client_id", &self.client_id).append_pair("request_uri", uri);
        if self.has(Flaw::QueryToo) {
            start.query_pairs_mut().append_pair("scope", SCOPE);
        }
        Ok(start)
    }

    /// Redeems a code, and checks what comes (RFC 6749 §5.1).
    pub(super) async fn redeem(
        &self,
        server: &Server,
        session: &Session,
        code: &str,
    ) -> Result<Tokens, Refused> {
        let form = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.to_owned()),
            ("redirect_uri", session.redirect_uri.clone()),
            ("code_verifier", session.verifier.clone()),
        ];
        let answer = self.send(self.form(server, &server.token, form), Some(Flaw::FollowToken)).await?;
        let says = self.json(&answer)?;
        let text = |name: &str| says.get(name).and_then(Value::as_str).map(str::to_owned);
        let tokens = self.tokens(&says)?;
        let scopes: Vec<_> = SCOPE.split(' ').collect();
        let wider = text("scope").is_some_and(|scope| scope.split(' ').any(|word| !scopes.contains(&word)));
        if wider && !self.has(Flaw::AnyScope) {
            return Err("the token is good for more than was asked for".to_owned());
        }
        match text("id_token") {
            Some(token) => self.check_id_token(&token, session, Came::Back(&tokens.access)).await?,
            None if self.has(Flaw::IdTokenMayMiss) => {}
            None => return Err("there is no id_token".to_owned()),
        }
        Ok(tokens)
    }

    fn tokens(&self, says: &Value) -> Result<Tokens, Refused> {
        let text = |name: &str| says.get(name).and_then(Value::as_str).map(str::to_owned);
        match text("token_type") {
            Some(kind) if kind == "Bearer" || self.has(Flaw::AnyTokenType) => {}
            Some(kind) if kind.eq_ignore_ascii_case("bearer") && !self.has(Flaw::StrictTokenType) => {}
            None if self.has(Flaw::TypeMayMiss) => {}
            Some(_) | None => return Err("the token is of an unknown type".to_owned()),
        }
        if self.has(Flaw::StrictExpiresIn) && says.get("expires_in").is_none() {
            return Err("nobody knows how long the token lives".to_owned());
        }
        let access = text("access_token").unwrap_or_default();
        let sendable = !access.is_empty() && access.bytes().all(|byte| byte.is_ascii_graphic());
        if !sendable && !self.has(Flaw::AnyToken) {
            return Err("the access token is none".to_owned());
        }
        let refresh = text("refresh_token");
        Ok(Tokens { access, first: refresh.clone(), refresh })
    }

    /// Reads accounts, refreshing where the token is refused.
    pub(super) async fn read(
        &self,
        server: &Server,
        session: &Session,
        tokens: &mut Tokens,
    ) -> Result<bool, Refused> {
        let url = Url::parse(&format!("{}/accounts", self.bank.accounts_api(session.mode))).map_err(text)?;
        for _ in 0..4 {
            let shown = tokens.access.lines().next().unwrap_or_default();
            let request = Request::new("GET", url.clone()).header("authorization", format!("Bearer {shown}"));
            let answer = self.send(request, None).await?;
            if answer.status == 200 {
                return Ok(answer.json().pointer("/Data/Account/0").is_some());
            }
            let refresh = tokens.refresh.clone().filter(|_| !self.has(Flaw::NeverRefreshes));
            let refresh = if self.has(Flaw::OldRefreshToken) { tokens.first.clone() } else { refresh };
            let Some(refresh) = refresh else { break };
            let form = vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", refresh)];
            let answer = self.send(self.form(server, &server.token, form), None).await?;
            let first = tokens.first.take();
            *tokens = Tokens { first, ..self.tokens(&self.json(&answer)?)? };
        }
        Err("authorised, and the bank gives no data".to_owned())
    }

    /// A form with the client's assertion (RFC 7523; FAPI 2.0 SP §5.3.3.1).
    fn form(&self, server: &Server, url: &Url, form: Vec<(&str, String)>) -> Request {
        let for_token = self.has(Flaw::AssertionForToken);
        let audience = if for_token { server.token.as_str() } else { server.issuer.as_str() };
        let assertion = self.jwt(json!({"iss": self.client_id, "sub": self.client_id, "aud": audience}));
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form)
            .append_pair("client_id", &self.client_id)
            .append_pair("client_assertion_type", ASSERTION_TYPE)
            .append_pair("client_assertion", &assertion);
        Request::new("POST", url.clone()).body("application/x-www-form-urlencoded", body.finish())
    }

    fn jwt(&self, claims: Value) -> String {
        let now = Clock::machine().as_second();
        let mut all = Map::new();
        for (name, value) in [
            ("iat", json!(now)),
            ("nbf", json!(now)),
            ("exp", json!(now.saturating_add(300))),
            ("jti", json!(random(22))),
        ] {
            all.insert(name.to_owned(), value);
        }
        all.extend(claims.as_object().cloned().unwrap_or_default());
        let header = json!({"alg": self.key.alg(), "kid": "own"});
        let header = header.as_object().cloned().unwrap_or_default();
        compact(&header, &all, |message| self.key.sign(self.key.alg(), message))
    }

    /// The JSON of a success.
    pub(super) fn json(&self, answer: &Response) -> Result<Value, Refused> {
        if !(200..300).contains(&answer.status) && !self.has(Flaw::AnyStatus) {
            return Err(format!("the bank answered {}", answer.status));
        }
        if answer.body.len() > LARGEST && !self.has(Flaw::AnySize) {
            return Err("the answer is too large".to_owned());
        }
        let media = answer.header("content-type").unwrap_or_default();
        if !media.starts_with("application/json") && !self.has(Flaw::AnyMedia) {
            return Err(format!("the answer is {media}"));
        }
        Ok(answer.json())
    }

    /// The bank's keys, as far as they can be used (RFC 7517 §5).
    pub(super) async fn keys(&self, mode: Mode) -> Result<Vec<Value>, Refused> {
        let server = self.servers.get(&mode).ok_or("no server")?;
        let request = Request::new("GET", server.keys.clone());
        let document = self.json(&self.send(request, Some(Flaw::FollowKeys)).await?)?;
        Ok(document.get("keys").and_then(Value::as_array).cloned().unwrap_or_default())
    }
}
