//! The authorization server of the banks that have one: metadata, requests,
//! pushed or from the browser, and what the pages need to conclude one
//! (RFC 6749, RFC 9126, RFC 7636, RFC 9207).

pub(crate) mod front;
mod identity;
pub(crate) mod refusal;
pub(crate) mod register;
pub(crate) mod token;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use crypto::{Algorithm, Jwks, jws};
use domain::Timestamp;
use jiff::ToSpan;
use serde_json::{Value, json};

use crate::BankKind;
use crate::bank::{Bank, Client};
use crate::caller::Caller;
use crate::engine::book::{Code, Decision, Pushed};
use crate::engine::{Consent, ConsentState, Purpose};
use crate::habit::{AUDIENCE, Habit};
use refusal::OauthRefusal;
use token::authenticate;

/// Prefix of a request_uri (RFC 9126 §2.2).
const REQUEST_URI: &str = "urn:ietf:params:oauth:request_uri:";
/// Seconds a pushed request lives.
const REQUEST_SECONDS: i64 = 600;
/// Seconds a code lives.
const CODE_SECONDS: i64 = 60;
/// How long a fresh consent settles at a bank of that habit.
const SETTLING: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);

/// RFC 8414 and OpenID Connect discovery.
pub(crate) async fn metadata(State(bank): State<Arc<Bank>>) -> Result<Json<Value>, StatusCode> {
    if bank.has(Habit::MetadataElsewhere) || bank.has(Habit::MetadataUnpublished) {
        return Err(StatusCode::NOT_FOUND);
    }
    Ok(Json(server(&bank)))
}

/// The same, at another place than the standards name.
pub(crate) async fn metadata_elsewhere(State(bank): State<Arc<Bank>>) -> Result<Json<Value>, StatusCode> {
    if bank.has(Habit::MetadataElsewhere) { Ok(Json(server(&bank))) } else { Err(StatusCode::NOT_FOUND) }
}

fn server(bank: &Bank) -> Value {
    let (api, pages) = (&bank.api_url, &bank.pages_url);
    if bank.kind == BankKind::Stet {
        return json!({
            "issuer": pages,
            "authorization_endpoint": format!("{pages}/authorize"),
            "token_endpoint": format!("{api}/token"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["tls_client_auth"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["aisp", "extended_transaction_history", "cbpii", "pisp"],
            "tls_client_certificate_bound_access_tokens": true,
            "authorization_response_iss_parameter_supported": true,
        });
    }
    let mut server = json!({
        "issuer": pages,
        "authorization_endpoint": format!("{pages}/authorize"),
        "token_endpoint": format!("{api}/token"),
        "pushed_authorization_request_endpoint": format!("{api}/par"),
        "jwks_uri": format!("{pages}/jwks.json"),
        "mtls_endpoint_aliases": {
            "token_endpoint": format!("{api}/token"),
            "pushed_authorization_request_endpoint": format!("{api}/par"),
        },
        "require_pushed_authorization_requests": false,
        "response_types_supported": ["code", "code id_token"],
        "response_modes_supported": ["query", "fragment"],
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["tls_client_auth", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["PS256", "ES256"],
        "request_object_signing_alg_values_supported": ["PS256", "ES256"],
        "id_token_signing_alg_values_supported": ["PS256"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "accounts", "payments", "fundsconfirmations", "name-verification"],
        "subject_types_supported": ["pairwise"],
        "claims_supported": ["openbanking_intent_id", "acr", "auth_time"],
        "acr_values_supported": ["urn:openbanking:psd2:sca", "urn:openbanking:psd2:ca"],
        "claims_parameter_supported": true,
        "request_parameter_supported": true,
        "tls_client_certificate_bound_access_tokens": true,
        "authorization_response_iss_parameter_supported": true,
    });
    if let Some(members) = server.as_object_mut() {
        if bank.registration.is_some() {
            members.insert("registration_endpoint".into(), json!(format!("{api}/register")));
        }
        members.extend(bank.faults.restated());
        if bank.has(Habit::MetadataResponseModes) {
            members.remove("response_modes_supported");
        }
    }
    server
}

/// The bank's public keys.
pub(crate) async fn keys(State(bank): State<Arc<Bank>>) -> Json<Value> {
    Json(Jwks::of(bank.signing.as_ref()).to_value())
}

/// Form parameters; one that comes twice refuses the request (RFC 6749 §3.1).
fn form(body: &[u8]) -> Result<BTreeMap<String, String>, OauthRefusal> {
    let mut form = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(body) {
        if form.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err(OauthRefusal::request("A parameter comes twice"));
        }
    }
    Ok(form)
}

/// Keeps a consent that an authorization request makes, and the request until
/// the customer has decided.
pub(crate) fn keep_request(bank: &Bank, consent: Consent, pushed: Pushed) -> String {
    let name = bank.fresh("");
    bank.vault.change(|book| {
        book.prune(bank.now());
        book.consents.insert(consent.id.clone(), consent);
        book.pushed.insert(name.clone(), pushed);
    });
    name
}

/// Where the browser goes with a request that is kept.
pub(crate) fn page_of(bank: &Bank, client_id: &str, name: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("client_id", client_id).append_pair("request_uri", &format!("{REQUEST_URI}{name}"));
    format!("{}/authorize?{}", bank.pages_url, query.finish())
}

/// When an authorization request that comes now runs out.
pub(crate) fn request_end(bank: &Bank) -> Timestamp {
    bank.now().checked_add(REQUEST_SECONDS.seconds()).unwrap_or(bank.now())
}

/// Takes a pushed authorization request.
pub(crate) async fn push(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, OauthRefusal> {
    let form = form(&body)?;
    let client = authenticate(&bank, &caller, &form)?;
    if form.contains_key("request_uri") {
        return Err(OauthRefusal::request("request_uri cannot be pushed"));
    }
    let parameters = match form.get("request") {
        None => form,
        Some(object) => request_object(&bank, &client, object)?,
    };
    let pushed = accepted(&bank, &client, &parameters)?;
    let name = bank.fresh("");
    bank.vault.change(|book| {
        book.prune(bank.now());
        book.pushed.insert(name.clone(), pushed);
    });
    bank.vault.keep().await?;
    let body = json!({"request_uri": format!("{REQUEST_URI}{name}"), "expires_in": REQUEST_SECONDS});
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// What request objects are addressed to, and id_tokens come from.
fn issuer_of(bank: &Bank) -> &str {
    if bank.has(Habit::RequestAudience) { AUDIENCE } else { &bank.pages_url }
}

/// The word for account information in scopes.
fn accounts_scope(bank: &Bank) -> &'static str {
    if bank.has(Habit::ScopeReplaced) { "ais" } else { "accounts" }
}

/// The parameters of a signed request object (RFC 9101).
fn request_object(
    bank: &Bank,
    client: &Client,
    object: &str,
) -> Result<BTreeMap<String, String>, OauthRefusal> {
    let invalid = |description| OauthRefusal { error: "invalid_request_object", description };
    let claims = jws::verify_compact(object, &client.keys, &[Algorithm::Ps256, Algorithm::Es256])
        .and_then(|verified| verified.claims())
        .map_err(|_| invalid("The request object is not signed by the client"))?;
    let issuer = claims.get("iss").and_then(Value::as_str);
    let expected = issuer_of(bank);
    let audience = claims.get("aud").is_some_and(|aud| {
        aud == expected || aud.as_array().is_some_and(|all| all.iter().any(|one| one == expected))
    });
    let expires = claims.get("exp").and_then(Value::as_i64).unwrap_or(0);
    if issuer != Some(client.registered.client_id.as_str()) || !audience {
        return Err(invalid("The request object is not from this client to this bank"));
    }
    if expires <= bank.now().as_second() {
        return Err(invalid("The request object has expired"));
    }
    let text = |value: Value| value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string());
    Ok(claims.into_iter().map(|(name, value)| (name, text(value))).collect())
}

fn accepted(
    bank: &Bank,
    client: &Client,
    parameters: &BTreeMap<String, String>,
) -> Result<Pushed, OauthRefusal> {
    let parameter = |name: &str| parameters.get(name).map(String::as_str);
    let hybrid = match parameter("response_type") {
        Some("code") => false,
        Some("code id_token") => true,
        Some(_) | None => {
            let description = "Only code and code id_token are supported";
            return Err(OauthRefusal { error: "unsupported_response_type", description });
        }
    };
    if parameter("client_id").is_some_and(|id| id != client.registered.client_id) {
        return Err(OauthRefusal::request("client_id is another client's"));
    }
    let redirect_uri = parameter("redirect_uri").unwrap_or_default();
    if !client.registered.redirect_uris.iter().any(|registered| registered == redirect_uri) {
        return Err(OauthRefusal::request("redirect_uri is not registered"));
    }
    let challenge = parameter("code_challenge").filter(|challenge| challenge.len() == 43);
    if parameter("code_challenge_method") != Some("S256") || challenge.is_none() {
        return Err(OauthRefusal::request("A PKCE challenge by S256 is needed"));
    }
    let scope = parameter("scope").unwrap_or_default();
    let accounts = accounts_scope(bank);
    let registered = client.scope.as_deref().unwrap_or("openid accounts payments fundsconfirmations");
    let registered = registered.replace("accounts", accounts);
    let known = |name: &str| registered.split(' ').any(|known| known == name);
    if scope.is_empty() || !scope.split(' ').all(known) {
        return Err(OauthRefusal { error: "invalid_scope", description: "The scope is not supported" });
    }
    let claims: Option<Value> = parameter("claims").and_then(|claims| serde_json::from_str(claims).ok());
    let intent = claims.as_ref().and_then(|claims| {
        let intent = claims
            .pointer("/id_token/openbanking_intent_id/value")
            .or_else(|| claims.pointer("/userinfo/openbanking_intent_id/value"))?;
        intent.as_str()
    });
    let intent = intent.ok_or(OauthRefusal::request("claims must name openbanking_intent_id"))?;
    let consent = bank.vault.read(|book| book.consents.get(intent).cloned());
    let wanted = match consent.as_ref().map(|consent| consent.purpose) {
        Some(Purpose::Payment | Purpose::Recurring) => "payments",
        Some(Purpose::Funds) => "fundsconfirmations",
        Some(Purpose::Accounts) | None => accounts,
    };
    let usable = consent.is_some_and(|consent| {
        let settled = bank.now().duration_since(consent.created) >= SETTLING;
        let again = consent.state == ConsentState::Authorised;
        consent.tpp == client.registered.organization_identifier
            && matches!(consent.state, ConsentState::Awaiting | ConsentState::Authorised)
            && !consent.has_expired(bank.now())
            && (settled || consent.purpose != Purpose::Accounts || !bank.has(Habit::ConsentSettles))
            && !(again && bank.has(Habit::NoSecondAuthorization))
    });
    if !usable || !scope.split(' ').any(|name| name == wanted) {
        return Err(OauthRefusal::request("openbanking_intent_id names no consent that can be authorised"));
    }
    if bank.has(Habit::SecondAuthorizationByStatus) {
        bank.vault.change(|book| {
            let again = book.consents.get_mut(intent).filter(|it| it.state == ConsentState::Authorised);
            if let Some(consent) = again {
                consent.becomes(ConsentState::Awaiting, bank.now());
            }
        });
    }
    Ok(Pushed {
        consent: intent.to_owned(),
        redirect_uri: redirect_uri.to_owned(),
        // Inside the bank a scope has one name.
        scope: scope.replace(accounts, "accounts"),
        state: parameter("state").map(str::to_owned),
        nonce: parameter("nonce").map(str::to_owned),
        challenge: challenge.unwrap_or_default().to_owned(),
        hybrid,
        client: client.registered.client_id.clone(),
        expires: request_end(bank),
    })
}

/// The pushed request a browser came with, and its name.
pub(crate) fn pending(bank: &Bank, client_id: &str, request_uri: &str) -> Option<(String, Pushed)> {
    let name = request_uri.strip_prefix(REQUEST_URI)?;
    let pushed = pending_named(bank, name)?;
    let tpp =
        bank.vault.read(|book| book.consents.get(&pushed.consent).map(|consent| consent.tpp.clone()))?;
    let client = bank.client_named(client_id)?;
    (client.registered.organization_identifier == tpp).then(|| (name.to_owned(), pushed))
}

/// The pushed request of this name.
pub(crate) fn pending_named(bank: &Bank, name: &str) -> Option<Pushed> {
    let now = bank.now();
    bank.vault.read(|book| book.pushed.get(name).filter(|pushed| pushed.expires > now).cloned())
}

/// The account that a payment is to be made from, or that funds are asked about.
pub(crate) fn asked_debtor(bank: &Bank, pushed: &Pushed) -> Option<&'static str> {
    let consent = bank.vault.read(|book| book.consents.get(&pushed.consent).cloned())?;
    if consent.purpose == Purpose::Funds {
        return crate::uk::funds::asked(bank, &consent);
    }
    match bank.kind {
        BankKind::PolishApi => crate::polish::asked_debtor(bank, &consent),
        BankKind::UkOpenBanking
        | BankKind::BerlinGroupRedirect
        | BankKind::BerlinGroupDecoupled
        | BankKind::BerlinGroupEmbedded
        | BankKind::Stet => crate::uk::orders::asked_debtor(bank, &consent),
    }
}

/// Ends a pushed request with the customer's decision; answers where the
/// browser goes. `None` if it was ended before.
pub(crate) fn conclude(bank: &Bank, name: &str, decision: &Decision) -> Option<String> {
    let now = bank.now();
    let code = bank.fresh("");
    let pushed = bank.vault.change(|book| {
        let pushed = book.pushed.remove(name)?;
        book.decide_consent(bank.kind, &pushed.consent, decision, now);
        Some(pushed)
    })?;
    let issued = Code {
        request: pushed.clone(),
        user: decision.user.clone(),
        authenticated: now,
        expires: now.checked_add(CODE_SECONDS.seconds()).unwrap_or(now),
        used: false,
    };
    let mut answer = url::form_urlencoded::Serializer::new(String::new());
    if decision.approved {
        answer.append_pair("code", &code);
        if pushed.hybrid {
            answer.append_pair("id_token", &identity::with_code(bank, &issued, &code)?);
        }
        let digest = crypto::digest::sha256_hex(code.as_bytes());
        bank.vault.change(|book| book.codes.insert(digest, issued));
    } else {
        answer.append_pair("error", "access_denied");
        answer.append_pair("error_description", "The customer declined");
    }
    if let Some(state) = &pushed.state {
        answer.append_pair("state", state);
    }
    let answer = answer.append_pair("iss", &bank.pages_url).finish();
    let mut target = url::Url::parse(&pushed.redirect_uri).ok()?;
    if pushed.hybrid && !bank.has(Habit::HybridAnswerInQuery) {
        target.set_fragment(Some(&answer));
    } else {
        // What the address has already stays before it.
        let query = target.query().map_or(answer.clone(), |before| format!("{before}&{answer}"));
        target.set_query(Some(&query));
    }
    Some(target.into())
}
