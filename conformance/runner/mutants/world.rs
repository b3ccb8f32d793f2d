//! What the proxy knows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use rustls_pki_types::CertificateDer;
use serde_json::Value;
use url::Url;

use crate::clock::Clock;
use crate::http::{NoAnswer, Request, Response};
use crate::jose::SigningKey;
use crate::target::{Target, TestClient};

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Metadata,
    Keys,
    Push,
    Authorize,
    Token,
    Introspect,
    Revoke,
    Resource,
    Other,
}

/// The target, the clients with their keys, and what went through.
#[derive(Debug)]
pub(super) struct World {
    pub(super) target: Target,
    pub(super) clock: Arc<Clock>,
    pub(super) metadata: Value,
    /// Signs in the place of the authorization server, and of the runner's proof key.
    pub(super) own: SigningKey,
    state: Mutex<State>,
}

/// What went through.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The pushed form by request_uri.
    pub(super) pushed: HashMap<String, Vec<(String, String)>>,
    /// The request_uri by code.
    pub(super) codes: HashMap<String, String>,
    /// The client by code, refresh token or access token.
    pub(super) owners: HashMap<String, String>,
    /// Anything else by a name.
    pub(super) notes: HashMap<String, String>,
    /// Answers to keep.
    pub(super) answers: HashMap<String, Response>,
    /// Texts that came before.
    pub(super) seen: Vec<String>,
}

/// A request that came to the proxy.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) endpoint: Endpoint,
    pub(super) request: Request,
    /// Its form, if it has one.
    pub(super) form: Vec<(String, String)>,
}

impl World {
    pub(super) async fn of(target: Target, clock: Arc<Clock>) -> anyhow::Result<Self> {
        let issuer = target.issuer.as_str().trim_end_matches('/');
        let place = Url::parse(&format!("{issuer}/.well-known/openid-configuration"))?;
        let metadata = match target.http.send(&Request::new("GET", place)).await {
            Ok(answer) => answer.json(),
            Err(_) => Value::Null,
        };
        let own = SigningKey::fresh_p256().context("this machine makes no P-256 key")?;
        Ok(Self { target, clock, metadata, own, state: Mutex::default() })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an identifier that is good once came before; from now on it has.
    pub(super) fn came_before(&self, jti: &str) -> bool {
        let mut state = self.state();
        let before = state.seen.iter().any(|seen| seen == jti);
        state.seen.push(jti.to_owned());
        before
    }

    /// The name of a client certificate.
    pub(super) fn name_of(&self, leaf: &CertificateDer<'_>) -> String {
        let known = self.target.http.setup().identities.iter();
        known
            .filter(|(_, identity)| identity.leaf() == leaf.as_ref())
            .map(|(name, _)| name.clone())
            .next()
            .unwrap_or_else(|| "unknown".to_owned())
    }

    /// The client of an identifier.
    pub(super) fn client(&self, id: &str) -> Option<&TestClient> {
        self.target.clients.values().find(|client| client.is.client_id == id)
    }

    fn endpoint(&self, url: &Url) -> Endpoint {
        let is = |name: &str| {
            let alias = self.metadata.pointer(&format!("/mtls_endpoint_aliases/{name}"));
            alias
                .into_iter()
                .chain(self.metadata.get(name))
                .filter_map(Value::as_str)
                .filter_map(|known| Url::parse(known).ok())
                .any(|known| known.path() == url.path())
        };
        if url.path().contains("/.well-known/o") {
            return Endpoint::Metadata;
        }
        let known = [
            ("jwks_uri", Endpoint::Keys),
            ("pushed_authorization_request_endpoint", Endpoint::Push),
            ("authorization_endpoint", Endpoint::Authorize),
            ("token_endpoint", Endpoint::Token),
            ("introspection_endpoint", Endpoint::Introspect),
            ("revocation_endpoint", Endpoint::Revoke),
        ];
        if let Some((_, endpoint)) = known.into_iter().find(|(name, _)| is(name)) {
            return endpoint;
        }
        if self.target.is.resource.as_ref().is_some_and(|known| known.path() == url.path()) {
            return Endpoint::Resource;
        }
        Endpoint::Other
    }

    /// Asks the target, and notes what goes through.
    pub(super) async fn forward(&self, asked: &Asked) -> Result<Response, NoAnswer> {
        let mut request = asked.request.clone();
        if !asked.form.is_empty() {
            let mut text = url::form_urlencoded::Serializer::new(String::new());
            text.extend_pairs(&asked.form);
            request.body = text.finish().into();
        }
        // A certificate that is no client's of the configuration cannot be shown on.
        if request.certificate.as_ref().is_some_and(|name| self.target.http.identity(name).is_none()) {
            request.certificate = None;
        }
        let answer = self.target.http.send(&request).await?;
        self.note(asked, &answer);
        Ok(answer)
    }

    fn note(&self, asked: &Asked, answer: &Response) {
        let json = answer.json();
        let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
        let mut state = self.state();
        match asked.endpoint {
            Endpoint::Push => {
                if let Some(uri) = text("request_uri") {
                    state.pushed.insert(uri, asked.form.clone());
                }
            }
            Endpoint::Token => {
                let client = asked.value("client_id").unwrap_or_default();
                for name in ["access_token", "refresh_token"] {
                    if let Some(token) = text(name) {
                        state.owners.insert(token, client.clone());
                    }
                }
                if let (Some(refresh), Some(access)) = (text("refresh_token"), text("access_token")) {
                    state.notes.insert(format!("access of {refresh}"), access);
                }
                if let (Some(id_token), Some(access)) = (text("id_token"), text("access_token")) {
                    state.notes.insert(format!("access of {id_token}"), access);
                }
            }
            Endpoint::Authorize
            | Endpoint::Metadata
            | Endpoint::Keys
            | Endpoint::Introspect
            | Endpoint::Revoke
            | Endpoint::Resource
            | Endpoint::Other => {}
        }
        // A browser that comes back with a code was sent by whichever page was last.
        if let Some(location) = answer.header("location").and_then(|to| Url::parse(to).ok())
            && let Some((_, code)) = location.query_pairs().find(|(name, _)| name == "code")
        {
            let state_sent = location.query_pairs().find(|(name, _)| name == "state");
            let owner = state.pushed.iter().find(|(_, form)| {
                state_sent.as_ref().is_some_and(|(_, sent)| {
                    form.iter().any(|(name, value)| name == "state" && value == sent)
                })
            });
            if let Some((uri, form)) = owner.map(|(uri, form)| (uri.clone(), form.clone())) {
                let client = form.iter().find(|(name, _)| name == "client_id");
                let client = client.map(|(_, id)| id.clone()).unwrap_or_default();
                state.owners.insert(code.to_string(), client);
                state.codes.insert(code.into_owned(), uri);
            }
        }
    }
}

impl Asked {
    pub(super) fn new(world: &World, request: Request) -> Self {
        let form = request.headers.iter().any(|(name, value)| {
            name == "content-type" && value.starts_with("application/x-www-form-urlencoded")
        });
        let form = if form {
            url::form_urlencoded::parse(&request.body)
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect()
        } else {
            Vec::new()
        };
        Self { endpoint: world.endpoint(&request.url), request, form }
    }

    /// A value of the form.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.form.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    /// Puts a value into the form, in the place of whatever was there.
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.remove(name);
        self.form.push((name.to_owned(), value.into()));
    }

    /// Takes a value out of the form.
    pub(super) fn remove(&mut self, name: &str) {
        self.form.retain(|(known, _)| known != name);
    }

    /// A header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.request.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Puts a header in the place of whatever was there.
    pub(super) fn set_header(&mut self, name: &str, value: impl Into<String>) {
        self.request.headers.retain(|(known, _)| known != name);
        self.request.headers.push((name.to_owned(), value.into()));
    }

    /// A parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        self.request.url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }

    /// Puts a parameter into the query, in the place of whatever was there.
    pub(super) fn set_parameter(&mut self, name: &str, value: &str) {
        let pairs: Vec<_> = self
            .request
            .url
            .query_pairs()
            .filter(|(known, _)| known != name)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        self.request.url.query_pairs_mut().clear().extend_pairs(pairs).append_pair(name, value);
    }

    /// The access token and its scheme.
    pub(super) fn token(&self) -> Option<(String, String)> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        Some((scheme.to_owned(), token.to_owned()))
    }
}
