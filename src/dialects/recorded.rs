//! Reads recorded exchanges of banks, so that the dialects can be measured by
//! what banks really sent: which answers parse, and which fail with an error
//! that names bank and field.
//!
//! One exchange is one line of JSON: `bank`, `method`, `url` (or a pattern of
//! one), `status`, `resp_headers` and `body`. What [`Redactor`] writes says with
//! `dialect` and `operation` as well how it is read; without them, it is an
//! exchange with a bank of the Berlin Group, and its address says what it is.

mod codes;
mod drift;
mod form;
mod redact;

use bytes::Bytes;
use connect::bank_oauth::OAuthClient;
use connect::{ApiBase, BankError, BankErrorKind, BankResponse, Effect, Environment, MapTarget, Profile};
use domain::{InstitutionId, SystemEntropy, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::berlin_group::{
    account, balance, consent_status, failure, identifications, payment_status, sca_start, sca_status,
    transactions_of,
};
use crate::mapped::Rules;
use crate::node::Node;

pub use drift::{Change, Difference, NoExchange, Shapes};
pub use redact::Redactor;

#[derive(Deserialize, Serialize)]
struct Exchange {
    bank: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dialect: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    method: String,
    url: String,
    status: u16,
    #[serde(default)]
    resp_headers: serde_json::Map<String, Value>,
    body: Option<String>,
}

/// What became of one exchange.
#[derive(Debug)]
pub enum ReadOutcome {
    /// It was read.
    Parsed {
        /// What it was.
        what: &'static str,
        /// Accounts, balances or entries in it; 1 for anything else.
        items: usize,
    },
    /// It was read as an error of the bank's, or cannot be read at a known place.
    TypedError(BankError),
    /// Nothing here knows what it is.
    Unread,
}

/// How many exchanges went which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All.
    pub total: usize,
    /// Read.
    pub parsed: usize,
    /// A typed error.
    pub typed_errors: usize,
    /// Neither.
    pub unread: usize,
}

impl Tally {
    /// Counts one more.
    pub fn add(&mut self, outcome: &ReadOutcome) {
        let slot = match outcome {
            ReadOutcome::Parsed { .. } => &mut self.parsed,
            ReadOutcome::TypedError(_) => &mut self.typed_errors,
            ReadOutcome::Unread => &mut self.unread,
        };
        *slot = slot.saturating_add(1);
        self.total = self.total.saturating_add(1);
    }
}

/// Reads one exchange as this profile says; without one, as the standard says and
/// with no deviation tolerated.
#[must_use]
pub fn read_exchange(line: &str, known: Option<&Profile>) -> ReadOutcome {
    let Ok(exchange) = serde_json::from_str::<Exchange>(line) else { return ReadOutcome::Unread };
    let profile = match known {
        Some(profile) => Ok(profile.clone()),
        None => blank(&exchange),
    };
    let (Ok(profile), Some(response)) = (profile, response(&exchange)) else { return ReadOutcome::Unread };
    let operation =
        MapTarget::ALL.into_iter().find(|known| Some(known.as_str()) == exchange.operation.as_deref());
    let read = match operation {
        Some(operation) => read_operation(&profile, operation, &response),
        None => read(&profile, &exchange, &response),
    };
    match read {
        None => ReadOutcome::Unread,
        Some(Ok((what, items))) => ReadOutcome::Parsed { what, items },
        Some(Err(error)) => ReadOutcome::TypedError(error),
    }
}

type Read = Option<Result<(&'static str, usize), BankError>>;

fn read_operation(profile: &Profile, operation: MapTarget, response: &BankResponse) -> Read {
    let dialects = crate::all();
    let dialect = dialects.iter().find(|dialect| dialect.name() == profile.dialect)?;
    let entries = crate::selftest::entries(&**dialect, profile, operation, response);
    Some(entries.map(|entries| (operation.as_str(), entries.len())))
}

fn read(profile: &Profile, exchange: &Exchange, response: &BankResponse) -> Read {
    let path = path_of(&exchange.url);
    let last = &*last_of(&exchange.url)?;
    let has = |name: &str| path.iter().any(|segment| segment == name);
    let effect = if exchange.method == "GET" { Effect::Read } else { Effect::Write };
    let one = |what: &'static str, result: Result<(), BankError>| Some(result.map(|()| (what, 1)));

    if last == "token" {
        return one("token", token(profile, response));
    }
    if !response.status.is_success() {
        return Some(Err(failure(&profile.id, response, effect)));
    }
    if last.ends_with(".pem") {
        return one("certificate", certificate(profile, response));
    }
    if last.starts_with("authorization-server") {
        return one("authorization server", authorization_server(profile, response));
    }
    let payment = has("payments") || has("periodic-payments");
    match (exchange.method.as_str(), last) {
        ("GET", "accounts") => {
            Some(list(profile, response, "accounts", |node| account(&Rules::of(profile), node).map(drop)))
        }
        ("GET", "balances") => {
            Some(list(profile, response, "balances", |node| balance(&Rules::of(profile), node).map(drop)))
        }
        ("GET", "transactions") => {
            Some(transactions_of(profile, response).map(|page| ("transactions", page.items.len())))
        }
        ("DELETE", _) if has("consents") => one("revocation", revocation(profile, response)),
        ("POST", "consents") => one("consent", lodged(profile, response, "consentId")),
        ("GET", "status") if payment => one("payment status", status(profile, response)),
        ("GET", "status") if has("consents") => one("consent status", consent(profile, response)),
        ("GET", "authorisations") => one("authorisations", authorisations(profile, response)),
        ("POST", "authorisations") => one("authorisation", authorisation(profile, response)),
        ("GET" | "PUT", _) if has("authorisations") => one("authorisation", authorisation(profile, response)),
        ("POST", _) if payment => one("payment", lodged(profile, response, "paymentId")),
        ("GET", _) if payment => one("payment details", details(profile, response)),
        _ => None,
    }
}

/// The segments of an address or of the pattern of one; the query is left out.
fn path_of(url: &str) -> Vec<String> {
    let path = url.replace("\\?", "?").replace("\\.", ".");
    let path = path.split('?').next().unwrap_or_default();
    // A pattern such as `.*v1/payments` begins inside a segment.
    path.trim_start_matches(".*").split('/').map(str::to_owned).collect()
}

/// The last segment that is not empty.
fn last_of(url: &str) -> Option<String> {
    path_of(url).into_iter().rev().find(|segment| !segment.is_empty())
}

fn list(
    profile: &Profile,
    response: &BankResponse,
    name: &'static str,
    each: impl Fn(&Node<'_>) -> Result<(), BankError>,
) -> Result<(&'static str, usize), BankError> {
    let body = crate::node::parse(&profile.id, &response.body)?;
    let root = Node::root(&profile.id, &body);
    let list = root.get(name);
    let items = list.required_items()?;
    items.iter().try_for_each(each)?;
    Ok((name, items.len()))
}

fn with_body(
    profile: &Profile,
    response: &BankResponse,
    read: impl Fn(&Node<'_>) -> Result<(), BankError>,
) -> Result<(), BankError> {
    let body = crate::node::parse(&profile.id, &response.body)?;
    read(&Node::root(&profile.id, &body))
}

fn lodged(profile: &Profile, response: &BankResponse, id: &str) -> Result<(), BankError> {
    with_body(profile, response, |root| {
        let bank_id = root.get(id).required_id()?;
        if id == "consentId" {
            consent_status(&root.get("consentStatus"))?;
        } else {
            payment_status(&root.get("transactionStatus"))?;
        }
        let own = profile.accounts_api()?.join(&["consents", &bank_id, "authorisations"]);
        sca_start(profile, response, root, String::new(), &own).map(drop)
    })
}

fn authorisation(profile: &Profile, response: &BankResponse) -> Result<(), BankError> {
    with_body(profile, response, |root| {
        sca_status(&root.get("scaStatus"))?;
        root.get("authorisationId").text()?;
        let own = profile.accounts_api()?.join(&["authorisations"]);
        sca_start(profile, response, root, String::new(), &own).map(drop)
    })
}

fn authorisations(profile: &Profile, response: &BankResponse) -> Result<(), BankError> {
    with_body(profile, response, |root| {
        let list = root.get("authorisationIds");
        list.required_items()?.iter().try_for_each(|id| id.required_id().map(drop))
    })
}

fn consent(profile: &Profile, response: &BankResponse) -> Result<(), BankError> {
    with_body(profile, response, |root| consent_status(&root.get("consentStatus")).map(drop))
}

fn status(profile: &Profile, response: &BankResponse) -> Result<(), BankError> {
    if response.header_text("content-type").is_some_and(|media| media.contains("xml")) {
        return crate::camt::payment_status(&profile.id, &response.body).map(drop);
    }
    with_body(profile, response, |root| {
        root.get("fundsAvailable").boolean()?;
        payment_status(&root.get("transactionStatus")).map(drop)
    })
}

fn details(profile: &Profile, response: &BankResponse) -> Result<(), BankError> {
    with_body(profile, response, |root| {
        root.get("instructedAmount").signed_money("amount", "currency")?;
        let creditor = root.get("creditorAccount");
        if identifications(&creditor)?.is_empty() {
            return Err(creditor.malformed());
        }
        root.get("creditorName").required_text()?;
        payment_status(&root.get("transactionStatus")).map(drop)
    })
}

/// No content, or where the consent now stands.
fn revocation(profile: &Profile, response: &BankResponse) -> Result<(), BankError> {
    if response.body.is_empty() { Ok(()) } else { consent(profile, response) }
}

/// The token of OAuth, or of a bank's own step before it (`accessToken`).
fn token(profile: &Profile, response: &BankResponse) -> Result<(), BankError> {
    let body = crate::node::parse(&profile.id, &response.body);
    if let Ok(body) = &body
        && body.get("accessToken").is_some()
    {
        return Node::root(&profile.id, body).get("accessToken").required_id().map(drop);
    }
    let nowhere =
        Url::parse("https://bank.example/").map_err(|_| BankError::malformed(&profile.id, "url"))?;
    let metadata = connect::bank_oauth::Metadata {
        issuer: String::new(),
        authorization_endpoint: nowhere.clone(),
        token_endpoint: nowhere,
        pushed_authorization_request_endpoint: None,
        jwks_uri: None,
        registration_endpoint: None,
        iss_parameter_supported: false,
    };
    let entropy = SystemEntropy;
    let now = Timestamp::UNIX_EPOCH;
    let client = OAuthClient { profile, metadata: &metadata, signing_key: None, now, entropy: &entropy };
    client.token_read(response).map(drop)
}

/// The endpoints of a server, whole metadata or, with some banks, one address.
fn authorization_server(profile: &Profile, response: &BankResponse) -> Result<(), BankError> {
    with_body(profile, response, |root| {
        let names = ["authorization_endpoint", "location"];
        let named =
            names.into_iter().find(|name| root.get(name).exists()).unwrap_or("authorization_endpoint");
        let place = root.get(named);
        Url::parse(&place.required_text()?).map(drop).map_err(|_| place.malformed())
    })
}

fn certificate(profile: &Profile, response: &BankResponse) -> Result<(), BankError> {
    let text = std::str::from_utf8(&response.body).unwrap_or_default();
    let framed = text.contains("-----BEGIN CERTIFICATE-----") && text.contains("-----END CERTIFICATE-----");
    if framed { Ok(()) } else { Err(BankError::malformed(&profile.id, "body")) }
}

/// A profile with nothing but the name: no deviation is tolerated.
fn blank(exchange: &Exchange) -> Result<Profile, BankErrorKind> {
    let id: InstitutionId = exchange.bank.parse().map_err(|_| BankErrorKind::Internal)?;
    let nowhere = Url::parse("https://bank.example/v1").map_err(|_| BankErrorKind::Internal)?;
    let dialect = exchange.dialect.as_deref().unwrap_or("berlin-group");
    // Links of an answer must lead to where it came from.
    let url = Url::parse(&exchange.url).ok().filter(|_| exchange.dialect.is_some()).unwrap_or(nowhere);
    let version = if dialect == "uk-open-banking" { "4.0" } else { "1.3" };
    let api = ApiBase { url, version: version.into() };
    let region = "eu".parse().map_err(|_| BankErrorKind::Internal)?;
    let mut profile = Profile::blank(id, &exchange.bank, region, dialect);
    profile.environment = Environment::Sandbox;
    // What was asked is part of reading at some standards, and asking needs one.
    profile.client_id = Some(String::new());
    profile.accounts_api = Some(api.clone());
    profile.payments_api = Some(api);
    Ok(profile)
}

fn response(exchange: &Exchange) -> Option<BankResponse> {
    let mut headers = HeaderMap::new();
    for (name, value) in &exchange.resp_headers {
        let Some(text) = value.as_str() else { continue };
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(text)) {
            headers.insert(name, value);
        }
    }
    // Recordings without a content type hold JSON wherever the body is an object.
    let body = exchange.body.clone().unwrap_or_default();
    if !headers.contains_key(http::header::CONTENT_TYPE) && body.trim_start().starts_with('{') {
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Some(BankResponse {
        status: StatusCode::from_u16(exchange.status).ok()?,
        headers,
        body: Bytes::from(body),
    })
}

#[cfg(test)]
mod tests;
