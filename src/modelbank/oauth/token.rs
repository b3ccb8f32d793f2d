//! The token endpoint and client authentication (RFC 6749, 7523, 8705).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use crypto::{Algorithm, QcType, digest, jws};
use domain::Timestamp;
use jiff::ToSpan;
use serde_json::{Value, json};

use super::form;
use super::refusal::OauthRefusal;
use super::{accounts_scope, identity};
use crate::BankKind;
use crate::bank::{Bank, Client};
use crate::caller::Caller;
use crate::engine::ConsentState;
use crate::engine::book::{Seen, Token};
use crate::habit::Habit;
use crate::journal::Fact;

/// Seconds an access token lives.
const ACCESS_SECONDS: i64 = 3_600;
/// Days a refresh token lives.
const REFRESH_DAYS: i64 = 180;
/// Seconds an assertion may be valid for.
const ASSERTION_SECONDS: i64 = 3_600;

pub(crate) type Form = BTreeMap<String, String>;

/// The client of a request: by its certificate, and by an assertion if it
/// registered so, or sends one. The certificate is always needed.
pub(super) fn authenticate(bank: &Bank, caller: &Caller, form: &Form) -> Result<Arc<Client>, OauthRefusal> {
    let of_certificate = caller.client(bank).ok_or(OauthRefusal::client("No client has this certificate"))?;
    let organisation = of_certificate.registered.organization_identifier.clone();
    let client = match form.get("client_id") {
        Some(id) => bank
            .client_named(id)
            .filter(|client| client.registered.organization_identifier == organisation)
            .ok_or(OauthRefusal::client("The certificate is another client's"))?,
        None => of_certificate,
    };
    let qualified = caller.peer.as_deref().is_some_and(|peer| peer.psd2_problems(QcType::Web).is_empty());
    if !qualified {
        return Err(OauthRefusal::client("The certificate is no PSD2 certificate"));
    }
    match form.get("client_assertion") {
        Some(assertion) => assertion_of(bank, &client, form, assertion)?,
        None if !form.contains_key("client_id") => return Err(OauthRefusal::client("client_id is missing")),
        None if client.asserts => return Err(OauthRefusal::client("client_assertion is missing")),
        None => {}
    }
    caller.facts.note(Fact::Role);
    Ok(client)
}

/// RFC 7523 §3, with the audience FAPI 2.0 wants: the issuer, one string.
fn assertion_of(bank: &Bank, client: &Client, form: &Form, assertion: &str) -> Result<(), OauthRefusal> {
    let refuse = OauthRefusal::client;
    let kind = form.get("client_assertion_type").map(String::as_str);
    if kind != Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer") {
        return Err(refuse("client_assertion_type is not jwt-bearer"));
    }
    let claims = jws::verify_compact(assertion, &client.keys, &[Algorithm::Ps256, Algorithm::Es256])
        .and_then(|verified| verified.claims())
        .map_err(|_| refuse("The assertion is not signed by the client"))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let id = Some(client.registered.client_id.as_str());
    if text("iss") != id || text("sub") != id || text("aud") != Some(bank.pages_url.as_str()) {
        return Err(refuse("iss, sub or aud of the assertion is wrong"));
    }
    let now = bank.now().as_second();
    let expires = claims.get("exp").and_then(Value::as_i64).unwrap_or(0);
    if expires <= now || expires > now.saturating_add(ASSERTION_SECONDS) {
        return Err(refuse("The assertion is not valid now"));
    }
    let jti = text("jti").ok_or(refuse("The assertion has no jti"))?;
    let key = format!("jti/{}/{jti}", client.registered.client_id);
    let until = Timestamp::from_second(expires).unwrap_or(bank.now());
    let before = bank.vault.change(|book| book.seen.insert(key, Seen { resource: String::new(), until }));
    if before.is_some() { Err(refuse("The assertion was used before")) } else { Ok(()) }
}

/// Tokens for a code or a refresh token, and the consent that they are of.
pub(crate) fn grant(
    bank: &Bank,
    client: &Client,
    caller: &Caller,
    form: &Form,
) -> Result<(Value, String), OauthRefusal> {
    let thumbprint = caller.peer.as_deref().map(|peer| peer.thumbprint.to_string()).unwrap_or_default();
    let tokens = if form.get("grant_type").is_some_and(|kind| kind == "authorization_code") {
        authorization_code(bank, client, form, thumbprint)
    } else {
        refresh(bank, client, form, thumbprint)
    }?;
    let access = tokens.get("access_token").and_then(Value::as_str).unwrap_or_default();
    let digest = digest::sha256_hex(access.as_bytes());
    let consent = bank.vault.read(|book| book.tokens.get(&digest)?.consent.clone());
    Ok((tokens, consent.ok_or(OauthRefusal::grant("The token has no consent"))?))
}

/// Issues tokens.
pub(crate) async fn issue(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, OauthRefusal> {
    let form = form(&body)?;
    let client = authenticate(&bank, &caller, &form)?;
    let thumbprint = caller.peer.as_deref().map(|peer| peer.thumbprint.to_string()).unwrap_or_default();
    let answer = match form.get("grant_type").map(String::as_str) {
        Some("client_credentials") => client_credentials(&bank, &client, &form, thumbprint),
        Some("authorization_code") => authorization_code(&bank, &client, &form, thumbprint),
        Some("refresh_token") => refresh(&bank, &client, &form, thumbprint),
        _ => Err(OauthRefusal { error: "unsupported_grant_type", description: "The grant is not supported" }),
    };
    // Also what a refusal changed, a used code or assertion, has to last.
    bank.vault.keep().await?;
    Ok(Json(answer?).into_response())
}

fn client_credentials(
    bank: &Bank,
    client: &Client,
    form: &Form,
    thumbprint: String,
) -> Result<Value, OauthRefusal> {
    let scope = form.get("scope").map(String::as_str).unwrap_or_default();
    let of_kind = |name: &str| match bank.kind {
        // A STET bank gives account information to nobody but by the customer's word.
        BankKind::Stet => name == "pisp",
        BankKind::UkOpenBanking
        | BankKind::BerlinGroupRedirect
        | BankKind::BerlinGroupDecoupled
        | BankKind::BerlinGroupEmbedded
        | BankKind::PolishApi => {
            ["accounts", "payments", "fundsconfirmations", "name-verification"].contains(&name)
        }
    };
    let supported = match &client.scope {
        // A token without a scope manages the client's registration.
        Some(registered) => {
            scope.is_empty() || scope.split(' ').all(|name| registered.split(' ').any(|known| known == name))
        }
        None => !scope.is_empty() && scope.split(' ').all(of_kind),
    };
    if !supported {
        return Err(OauthRefusal { error: "invalid_scope", description: "The scope is not supported" });
    }
    let access = mint(
        bank,
        Token {
            scope: scope.to_owned(),
            consent: None,
            refresh: false,
            thumbprint,
            expires: later(bank, ACCESS_SECONDS),
            code: None,
            client: Some(client.registered.client_id.clone()),
        },
    );
    let mut answer = answer(bank, &access, scope);
    if bank.has(Habit::RefreshTokenForClient) {
        insert(&mut answer, "refresh_token", bank.fresh(""));
    }
    Ok(answer)
}

/// What every grant answers.
fn answer(bank: &Bank, access: &str, scope: &str) -> Value {
    let kind = if bank.has(Habit::BearerAnyCase) { "bEARER" } else { "Bearer" };
    let mut stated = scope.replace("accounts", accounts_scope(bank));
    if bank.has(Habit::TokenScopeWider) {
        stated.push_str(" profile");
    }
    if bank.has(Habit::TokenScopeExpected) {
        "ais-session".clone_into(&mut stated);
    }
    if bank.has(Habit::TokenScopeEmpty) {
        stated.clear();
    }
    json!({"access_token": access, "token_type": kind, "expires_in": ACCESS_SECONDS, "scope": stated})
}

fn insert(answer: &mut Value, name: &str, value: String) {
    if let Some(answer) = answer.as_object_mut() {
        answer.insert(name.to_owned(), value.into());
    }
}

fn authorization_code(
    bank: &Bank,
    client: &Client,
    form: &Form,
    thumbprint: String,
) -> Result<Value, OauthRefusal> {
    let unnamed = form.get("scope").is_none_or(|scope| scope != "openid");
    if bank.has(Habit::TokenScopeRequested) && unnamed {
        return Err(OauthRefusal { error: "invalid_scope", description: "The request must name openid" });
    }
    let digest = digest::sha256_hex(form.get("code").map(String::as_bytes).unwrap_or_default());
    let now = bank.now();
    let code = bank.vault.change(|book| {
        let code = book.codes.get_mut(&digest)?;
        if code.used {
            // RFC 6749 §4.1.2: what the first use issued ends.
            book.tokens.retain(|_, token| token.code.as_ref() != Some(&digest));
            return None;
        }
        code.used = true;
        Some(code.clone())
    });
    let code = code.filter(|code| code.expires > now).ok_or(OauthRefusal::grant("The code is not valid"))?;
    let tpp =
        bank.vault.read(|book| book.consents.get(&code.request.consent).map(|consent| consent.tpp.clone()));
    let verifier = form.get("code_verifier").map(String::as_str).unwrap_or_default();
    if tpp.as_deref() != Some(client.registered.organization_identifier.as_str())
        || form.get("redirect_uri") != Some(&code.request.redirect_uri)
        || !(code.request.challenge.is_empty() || digest::pkce_matches(verifier, &code.request.challenge))
    {
        return Err(OauthRefusal::grant("The code is not for this client, redirect_uri and verifier"));
    }
    let token = Token {
        scope: code.request.scope.clone(),
        consent: Some(code.request.consent.clone()),
        refresh: false,
        thumbprint,
        expires: later(bank, ACCESS_SECONDS),
        code: Some(digest),
        client: Some(client.registered.client_id.clone()),
    };
    let refresh_expires = later(bank, REFRESH_DAYS.saturating_mul(86_400));
    let refresh = Token { refresh: true, expires: refresh_expires, ..token.clone() };
    let (access, refresh) = (mint(bank, token), mint(bank, refresh));
    let mut answer = answer(bank, &access, &code.request.scope);
    if !bank.has(Habit::RefreshTokenMissing) {
        insert(&mut answer, "refresh_token", refresh);
    }
    let openid = code.request.scope.split(' ').any(|scope| scope == "openid");
    if openid && !bank.has(Habit::NoOpenIdConnect) {
        let id_token = identity::with_token(bank, client, &code, &access, refresh_expires);
        let failed = OauthRefusal { error: "server_error", description: "The id_token could not be signed" };
        insert(&mut answer, "id_token", id_token.ok_or(failed)?);
    }
    Ok(answer)
}

fn refresh(bank: &Bank, client: &Client, form: &Form, thumbprint: String) -> Result<Value, OauthRefusal> {
    let invalid = || OauthRefusal::grant("The refresh token is not valid");
    let digest = digest::sha256_hex(form.get("refresh_token").map(String::as_bytes).unwrap_or_default());
    let now = bank.now();
    let kept = bank.vault.read(|book| {
        let token = book.tokens.get(&digest).filter(|token| token.refresh && token.expires > now)?;
        let consent = book.consents.get(token.consent.as_ref()?)?;
        // A payment that was placed can still be asked about.
        let placed = consent.state == ConsentState::Consumed && !consent.has_expired(now);
        let stands = consent.is_live(now) || placed;
        (consent.tpp == client.registered.organization_identifier && stands).then(|| token.clone())
    });
    let kept = kept.ok_or_else(invalid)?;
    let scope = kept.scope.clone();
    // FAPI 2.0 §5.3.2.1: refresh tokens are not rotated.
    let access =
        mint(bank, Token { refresh: false, thumbprint, expires: later(bank, ACCESS_SECONDS), ..kept });
    Ok(answer(bank, &access, &scope))
}

fn later(bank: &Bank, seconds: i64) -> Timestamp {
    let now = bank.now();
    now.checked_add(seconds.seconds()).unwrap_or(now)
}

fn mint(bank: &Bank, token: Token) -> String {
    let value = bank.fresh("");
    let digest = digest::sha256_hex(value.as_bytes());
    bank.vault.change(|book| book.tokens.insert(digest, token));
    value
}
