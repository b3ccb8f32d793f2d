//! What the banks have in common, and what each of them remembers.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use url::Url;

use super::bank::Place;
use super::mode::Mode;
use super::seen::{Endpoint, Seen};
use super::token::Keys;
use super::{data, metadata, token};
use crate::case::random;
use crate::clock::Clock;
use crate::http::{Request, Response};

/// A request.
#[derive(Debug)]
pub(super) struct Asked {
    pub request: Request,
    pub sent: Vec<(String, String)>,
    pub bearer: Option<String>,
    pub certificate: Option<String>,
    pub interaction: Option<String>,
    pub plain: bool,
}

impl Asked {
    pub(super) fn sent(&self, name: &str) -> Option<&str> {
        self.sent.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// An authorisation that a person gave.
#[derive(Clone, Debug, Default)]
pub(super) struct Grant {
    pub redirect_uri: String,
    pub state: Option<String>,
    pub nonce: Option<String>,
    pub intent: Option<String>,
    pub scope: String,
    pub code: String,
}

/// What one bank remembers.
#[derive(Debug, Default)]
pub(super) struct Module {
    pub seen: Vec<Seen>,
    pub pushed: BTreeMap<String, Map<String, Value>>,
    pub grants: BTreeMap<String, Grant>,
    pub first: Option<Grant>,
    pub first_id_token: Option<String>,
    pub consents: BTreeMap<String, Value>,
    /// Access and refresh tokens, and how often they were renewed.
    pub tokens: BTreeMap<String, u32>,
}

/// All banks.
#[derive(Debug)]
pub(super) struct World {
    ports: BTreeMap<Place, u16>,
    pub client_id: String,
    pub keys: Keys,
    pub clock: Clock,
    modules: Mutex<BTreeMap<Mode, Module>>,
}

impl World {
    pub(super) fn new(ports: BTreeMap<Place, u16>, client_id: &str) -> Option<Self> {
        Some(Self {
            ports,
            client_id: client_id.to_owned(),
            keys: Keys::fresh()?,
            clock: Clock::default(),
            modules: Mutex::new(BTreeMap::new()),
        })
    }

    fn port(&self, place: Place) -> u16 {
        self.ports.get(&place).copied().unwrap_or_default()
    }

    pub(super) fn issuer(&self, mode: Mode) -> String {
        format!("https://localhost:{}/{}", self.port(mode.place()), mode.name())
    }

    /// Below this nobody must go, as it has no TLS.
    pub(super) fn plain(&self, mode: Mode) -> String {
        format!("http://localhost:{}/{}", self.port(Place::Plain), mode.name())
    }

    /// Below this nobody must go, as the host is not the bank's.
    pub(super) fn foreign(&self, mode: Mode) -> String {
        format!("https://127.0.0.1:{}/{}", self.port(Place::Right), mode.name())
    }

    pub(super) fn module<T>(&self, mode: Mode, with: impl FnOnce(&mut Module) -> T) -> T {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        with(modules.entry(mode).or_default())
    }

    /// Somebody connected to a listener whose certificate is wrong.
    pub(super) fn connected(&self, place: Place) {
        if let Some(mode) = Mode::ALL.iter().find(|mode| mode.place() == place && place != Place::Right) {
            self.module(*mode, |module| {
                module.seen.push(Seen {
                    at: Endpoint::Connection,
                    line: "a connection".to_owned(),
                    sent: Vec::new(),
                    bearer: None,
                    certificate: None,
                    when: Clock::machine(),
                    request: None,
                });
            });
        }
    }

    /// A code came to a bank that did not give it: where it was given, that is a way nobody must go.
    pub(super) fn leaked(&self, code: &str, to: Mode) {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        for module in modules.values_mut().filter(|module| module.grants.contains_key(code)) {
            module.seen.push(Seen {
                at: Endpoint::Elsewhere,
                line: format!("its code came to {}", to.name()),
                sent: Vec::new(),
                bearer: None,
                certificate: None,
                when: Clock::machine(),
                request: None,
            });
        }
    }

    pub(super) fn answer(&self, asked: &Asked) -> Response {
        let nothing = || json_answer(404, &json!({"error": "not_found"}));
        let Some((mode, path)) = parted(asked.request.url.path()) else { return nothing() };
        let (lured, path) = match path.strip_prefix("/elsewhere") {
            Some(path) => (true, path),
            None => (asked.plain || asked.request.url.host_str() != Some("localhost"), path),
        };
        let endpoint = endpoint_of(path);
        self.module(mode, |module| {
            module.seen.push(Seen {
                at: if lured { Endpoint::Elsewhere } else { endpoint },
                line: format!("{} {}", asked.request.method, asked.request.url.path()),
                sent: asked.sent.clone(),
                bearer: asked.bearer.clone(),
                certificate: asked.certificate.clone(),
                when: Clock::machine(),
                request: Some(asked.request.clone()),
            });
        });
        match endpoint {
            Endpoint::Metadata if mode == Mode::MetadataRedirects && !lured => {
                sent_on(302, &format!("{}/elsewhere{path}", self.issuer(mode)))
            }
            Endpoint::Metadata => json_answer(200, &metadata::document(self, mode)),
            Endpoint::Keys if mode == Mode::KeysRedirect && !lured => {
                sent_on(302, &format!("{}/elsewhere/jwks", self.issuer(mode)))
            }
            Endpoint::Keys => json_answer(200, &metadata::keys(self, mode)),
            Endpoint::Push if mode == Mode::PushRedirects && !lured => {
                sent_on(307, &format!("{}/elsewhere/par", self.issuer(mode)))
            }
            Endpoint::Push => self.push(mode, asked),
            Endpoint::Authorize => self.authorize(mode, asked),
            Endpoint::Token if mode == Mode::TokenRedirects && !lured && asked.sent("code").is_some() => {
                sent_on(307, &format!("{}/elsewhere/token", self.issuer(mode)))
            }
            Endpoint::Token => token::answer(self, mode, asked),
            Endpoint::Consent | Endpoint::Data => data::answer(self, mode, asked, path),
            Endpoint::Connection | Endpoint::Elsewhere | Endpoint::Other => nothing(),
        }
    }

    fn push(&self, mode: Mode, asked: &Asked) -> Response {
        let uri = format!("urn:ietf:params:oauth:request_uri:{}", random(32));
        self.module(mode, |module| {
            let parameters = module.seen.last().map(Seen::asked).unwrap_or_default();
            let parameters = if parameters.is_empty() { asked_of(&asked.sent) } else { parameters };
            module.pushed.insert(uri.clone(), parameters);
        });
        json_answer(201, &json!({"request_uri": uri, "expires_in": 60}))
    }

    /// The person approves at once, and the browser goes back.
    fn authorize(&self, mode: Mode, asked: &Asked) -> Response {
        let uri = asked.sent("request_uri").unwrap_or_default();
        let pushed = self.module(mode, |module| module.pushed.get(uri).cloned());
        let parameters = pushed.unwrap_or_else(|| asked_of(&asked.sent));
        let text = |name: &str| parameters.get(name).and_then(Value::as_str).map(str::to_owned);
        let grant = Grant {
            redirect_uri: text("redirect_uri").unwrap_or_default(),
            state: text("state"),
            nonce: text("nonce"),
            intent: intent_of(&parameters),
            scope: text("scope").unwrap_or_default(),
            code: random(43),
        };
        let first = self.module(mode, |module| {
            if let Some(consent) = grant.intent.as_ref().and_then(|id| module.consents.get_mut(id)) {
                data::approve(consent);
            }
            module.grants.insert(grant.code.clone(), grant.clone());
            let first = module.first.clone();
            module.first.get_or_insert(grant.clone());
            first
        });
        if mode == Mode::ResponseStateOfAnother && first.is_none() {
            return page("The person thinks about it.");
        }
        let Ok(mut back) = Url::parse(&grant.redirect_uri) else { return page("There is no redirect_uri.") };
        if mode == Mode::ResponseAtAnotherCallback {
            let other = back.path().replace(&mode.institution(), &Mode::Happy.institution());
            back.set_path(&other);
        }
        back.query_pairs_mut().extend_pairs(self.response(mode, &grant, first.as_ref()));
        sent_on(302, back.as_str())
    }

    /// The parameters of the answer through the browser.
    fn response(&self, mode: Mode, grant: &Grant, first: Option<&Grant>) -> Vec<(String, String)> {
        let mut answer: Vec<(String, String)> = Vec::new();
        let issuer = self.issuer(mode);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        if mode == Mode::ResponseError {
            answer.push(pair("error", "access_denied"));
        } else if mode != Mode::ResponseNoCode {
            answer.push(pair("code", &grant.code));
        }
        let state = match (mode, first) {
            (Mode::ResponseState, _) => Some(random(43)),
            (Mode::ResponseNoState, _) => None,
            (Mode::ResponseStateOfAnother, Some(first)) => first.state.clone(),
            _ => grant.state.clone(),
        };
        answer.extend(state.map(|state| pair("state", &state)));
        let iss = match mode.name() {
            "response-iss" => Some("https://attacker.example".to_owned()),
            "response-no-iss" => None,
            "response-iss-slash" => Some(format!("{issuer}/")),
            "response-iss-of-another" => Some(self.issuer(Mode::Happy)),
            _ => Some(issuer),
        };
        answer.extend(iss.map(|iss| pair("iss", &iss)));
        match mode.name() {
            "response-two-iss" => answer.push(pair("iss", "https://attacker.example")),
            "response-two-states" => answer.push(pair("state", &random(43))),
            "response-two-codes" => answer.push(pair("code", &random(43))),
            "response-code-and-error" => answer.push(pair("error", "access_denied")),
            _ => {}
        }
        if mode.hybrid() && mode != Mode::HybridNoIdToken {
            answer.push(pair("id_token", &token::front(self, mode, grant)));
        }
        answer
    }
}

/// The mode and what is below it.
fn parted(path: &str) -> Option<(Mode, &str)> {
    let rest = path.strip_prefix('/')?;
    let (name, _) = rest.split_once('/').unwrap_or((rest, ""));
    if let Some(mode) = Mode::named(name) {
        return Some((mode, rest.get(name.len()..).unwrap_or_default()));
    }
    // RFC 8414 §3.1: the well-known part comes first.
    let (well_known, name) = path.rsplit_once('/')?;
    Some((Mode::named(name)?, well_known))
}

fn endpoint_of(path: &str) -> Endpoint {
    match path {
        "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server" => Endpoint::Metadata,
        "/jwks" => Endpoint::Keys,
        "/par" => Endpoint::Push,
        "/authorize" => Endpoint::Authorize,
        "/token" | "/alias/token" => Endpoint::Token,
        _ => match path.strip_prefix(data::AISP) {
            Some(path) if path.starts_with("/account-access-consents") => Endpoint::Consent,
            Some(_) => Endpoint::Data,
            None => Endpoint::Other,
        },
    }
}

fn asked_of(sent: &[(String, String)]) -> Map<String, Value> {
    sent.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect()
}

/// `openbanking_intent_id` of the parameter `claims`, which is JSON or a text of it.
fn intent_of(parameters: &Map<String, Value>) -> Option<String> {
    let claims = parameters.get("claims")?;
    let claims = match claims.as_str() {
        Some(text) => serde_json::from_str(text).ok()?,
        None => claims.clone(),
    };
    let intent = claims.pointer("/id_token/openbanking_intent_id/value")?;
    intent.as_str().map(str::to_owned)
}

pub(super) fn json_answer(status: u16, body: &Value) -> Response {
    let headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("cache-control".to_owned(), "no-store".to_owned()),
    ];
    Response { status, headers, body: body.to_string().into(), tls: "" }
}

fn sent_on(status: u16, to: &str) -> Response {
    Response { status, headers: vec![("location".to_owned(), to.to_owned())], body: Bytes::new(), tls: "" }
}

fn page(says: &str) -> Response {
    let headers = vec![("content-type".to_owned(), "text/html".to_owned())];
    Response { status: 200, headers, body: format!("<!doctype html><p>{says}").into(), tls: "" }
}
