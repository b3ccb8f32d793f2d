//! The token endpoint and id_tokens.

use bytes::Bytes;
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Map, Value, json};

use super::mode::Mode;
use super::world::{Asked, Grant, World, json_answer};
use crate::case::random;
use crate::http::Response;
use crate::jose::{SigningKey, base64url, compact, sha256};

/// The tokens before this one are of no use in the mode `refresh`.
pub(super) const USEFUL: u32 = 2;
/// Seconds that access tokens live in the mode `token-ends`.
pub(crate) const LIFE: u64 = 60;
/// A token answer that is too large.
const HUGE: usize = 10 * 1024 * 1024;

/// The keys of the banks, and of those who pretend.
#[derive(Debug)]
pub(super) struct Keys {
    /// RSA, `bank`: signs.
    pub main: SigningKey,
    /// P-256, `bank-2`.
    pub second: SigningKey,
    /// P-256: a stranger's.
    pub other: SigningKey,
    /// Ed25519, of which the private half is published.
    pub published: SigningKey,
    /// That half.
    pub published_half: String,
}

impl Keys {
    pub(super) fn fresh() -> Option<Self> {
        let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).ok()?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(rsa.serialize_der()));
        let (published, pkcs8) = SigningKey::fresh_ed25519()?;
        Some(Self {
            main: SigningKey::from_der(&der).ok()?,
            second: SigningKey::fresh_p256()?,
            other: SigningKey::fresh_p256()?,
            published,
            // RFC 8410 §7: the key itself begins there.
            published_half: base64url(pkcs8.get(16..48)?),
        })
    }
}

/// The answer of the token endpoint.
pub(super) fn answer(world: &World, mode: Mode, asked: &Asked) -> Response {
    match asked.sent("grant_type") {
        Some("client_credentials") => json_answer(
            200,
            &json!({"access_token": format!("own-{}", random(32)), "token_type": "Bearer", "expires_in": 600}),
        ),
        Some("authorization_code") => {
            let code = asked.sent("code").unwrap_or_default();
            match world.module(mode, |module| module.grants.get(code).cloned()) {
                Some(grant) => redeemed(world, mode, &grant),
                None => {
                    world.leaked(code, mode);
                    json_answer(400, &json!({"error": "invalid_grant"}))
                }
            }
        }
        Some("refresh_token") => {
            let token = asked.sent("refresh_token").unwrap_or_default();
            match world.module(mode, |module| module.tokens.remove(token)) {
                Some(renewed) => json_answer(200, &tokens(world, mode, renewed.saturating_add(1))),
                None => json_answer(400, &json!({"error": "invalid_grant"})),
            }
        }
        Some(_) | None => json_answer(400, &json!({"error": "unsupported_grant_type"})),
    }
}

fn tokens(world: &World, mode: Mode, renewed: u32) -> Value {
    let (access, refresh) = (format!("user-{}", random(32)), random(43));
    world.module(mode, |module| {
        module.tokens.insert(access.clone(), renewed);
        module.tokens.insert(refresh.clone(), renewed);
    });
    let life = if mode == Mode::TokenEnds { LIFE } else { 600 };
    json!({"access_token": access, "token_type": "Bearer", "expires_in": life, "refresh_token": refresh})
}

fn redeemed(world: &World, mode: Mode, grant: &Grant) -> Response {
    let mut body = tokens(world, mode, 0);
    let access = body.get("access_token").and_then(Value::as_str).unwrap_or_default().to_owned();
    let id_token = id_token(world, mode, grant, &access);
    let Some(members) = body.as_object_mut() else { return json_answer(500, &Value::Null) };
    let mut set = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    set("id_token", json!(id_token));
    set("scope", json!(grant.scope));
    match mode.name() {
        "token-type-case" => set("token_type", json!("bEARER")),
        "token-type-unknown" => set("token_type", json!("mac")),
        "token-scope-wider" => set("scope", json!(format!("{} payments", grant.scope))),
        "token-line-break" => {
            set("access_token", json!(format!("{access}\r\nx-fapi-customer-ip-address: 192.0.2.1")))
        }
        _ => {}
    }
    let missing = match mode.name() {
        "token-no-expires-in" => Some("expires_in"),
        "token-no-type" => Some("token_type"),
        "token-no-access-token" => Some("access_token"),
        "token-no-id-token" => Some("id_token"),
        _ => None,
    };
    missing.and_then(|name| members.remove(name));
    let mut answer = json_answer(if mode == Mode::TokenFails { 400 } else { 200 }, &body);
    if mode == Mode::TokenFails {
        set_error(&mut body);
        answer.body = body.to_string().into();
    }
    if mode == Mode::TokenHtml {
        answer.headers = vec![("content-type".to_owned(), "text/html".to_owned())];
    }
    if mode == Mode::TokenHuge {
        let mut whole = answer.body.to_vec();
        whole.resize(HUGE, b' ');
        answer.body = Bytes::from(whole);
    }
    answer
}

fn set_error(body: &mut Value) {
    if let Some(members) = body.as_object_mut() {
        members.insert("error".to_owned(), json!("invalid_grant"));
    }
}

/// The left half of a digest (OpenID Connect Core §3.3.2.11).
pub(super) fn half(text: &str) -> String {
    base64url(sha256(text.as_bytes()).get(..16).unwrap_or_default())
}

/// What an id_token says when it is right.
fn claims(world: &World, mode: Mode, grant: &Grant) -> Map<String, Value> {
    let now = world.clock.now();
    let mut claims = Map::new();
    for (name, value) in [
        ("iss", json!(world.issuer(mode))),
        ("sub", json!("person-1")),
        ("aud", json!(world.client_id)),
        ("iat", json!(now)),
        ("exp", json!(now.saturating_add(300))),
        ("auth_time", json!(now.saturating_sub(5))),
        ("acr", json!("urn:openbanking:psd2:sca")),
    ] {
        claims.insert(name.to_owned(), value);
    }
    for (name, value) in [("nonce", &grant.nonce), ("openbanking_intent_id", &grant.intent)] {
        if let Some(value) = value {
            claims.insert(name.to_owned(), json!(value));
        }
    }
    claims
}

/// The id_token through the browser (OpenID Connect Core §3.3.2.11).
pub(super) fn front(world: &World, mode: Mode, grant: &Grant) -> String {
    let mut claims = claims(world, mode, grant);
    let mut set = |name: &str, value: String| drop(claims.insert(name.to_owned(), json!(value)));
    let state = grant.state.as_deref().unwrap_or_default();
    let another = random(43);
    set("c_hash", half(if mode == Mode::HybridCHash { &another } else { &grant.code }));
    set("s_hash", half(if mode == Mode::HybridSHash { &another } else { state }));
    if mode == Mode::HybridIss {
        set("iss", world.issuer(Mode::Happy));
    }
    if mode == Mode::HybridNoCHash {
        claims.remove("c_hash");
    }
    signed(&world.keys.main, "PS256", "bank", Map::new(), &claims)
}

/// The id_token of the token endpoint, right but for what the mode breaks.
fn id_token(world: &World, mode: Mode, grant: &Grant, access: &str) -> String {
    let client = world.client_id.as_str();
    let now = world.clock.now();
    let mut claims = claims(world, mode, grant);
    claims.insert("at_hash".to_owned(), json!(half(access)));
    let mut set = |name: &str, value: Value| drop(claims.insert(name.to_owned(), value));
    let stranger = "somebody-else";
    match mode.name() {
        "id-token-iss" => set("iss", json!("https://attacker.example")),
        "id-token-of-another-bank" => set("iss", json!(world.issuer(Mode::Happy))),
        "id-token-aud" => set("aud", json!(stranger)),
        "id-token-second-aud" => set("aud", json!([client, stranger])),
        "id-token-second-aud-azp" => {
            set("aud", json!([client, stranger]));
            set("azp", json!(client));
        }
        "id-token-aud-list" => set("aud", json!([client])),
        "id-token-azp" => set("azp", json!(stranger)),
        "id-token-expired" => {
            set("iat", json!(now - 900));
            set("exp", json!(now - 600));
        }
        "id-token-exp-text" => set("exp", json!((now + 300).to_string())),
        "id-token-future" => {
            set("iat", json!(now + 86_400));
            set("nbf", json!(now + 86_400));
            set("exp", json!(now + 86_700));
        }
        "id-token-nonce" => set("nonce", json!(random(43))),
        "id-token-intent" => set("openbanking_intent_id", json!(random(36))),
        "id-token-acr" => set("acr", json!("0")),
        "id-token-at-hash" => set("at_hash", json!(half("another token"))),
        _ => {}
    }
    let missing = match mode.name() {
        "id-token-no-iss" => Some("iss"),
        "id-token-no-aud" => Some("aud"),
        "id-token-no-exp" => Some("exp"),
        "id-token-no-nonce" => Some("nonce"),
        "id-token-no-sub" => Some("sub"),
        "id-token-no-intent" => Some("openbanking_intent_id"),
        _ => None,
    };
    missing.and_then(|name| claims.remove(name));
    let keys = &world.keys;
    let (key, alg, kid, header) = match mode.name() {
        "id-token-none" => (&keys.main, "none", "bank", json!({})),
        "id-token-none-other-case" => (&keys.main, "nOnE", "bank", json!({})),
        "id-token-rs256" => (&keys.main, "RS256", "bank", json!({})),
        "id-token-hmac" => (&keys.main, "HS256", "bank", json!({})),
        "id-token-other-key" => (&keys.other, "ES256", "bank-2", json!({})),
        "id-token-unknown-kid" => (&keys.other, "ES256", "bank-3", json!({})),
        "id-token-own-jwk" => (&keys.other, "ES256", "own", json!({"jwk": keys.other.public()})),
        "id-token-jku" => {
            let lure = format!("{}/elsewhere/jwks", world.issuer(mode));
            (&keys.other, "ES256", "bank-2", json!({"jku": lure, "x5u": lure}))
        }
        "id-token-crit" => {
            (&keys.main, "PS256", "bank", json!({"crit": ["x-only-today"], "x-only-today": true}))
        }
        "id-token-enc-key" => (&keys.other, "ES256", "bank-enc", json!({})),
        "id-token-published-key" => (&keys.published, "EdDSA", "bank-published", json!({})),
        _ => (&keys.main, "PS256", "bank", json!({})),
    };
    let mut token = signed(key, alg, kid, header.as_object().cloned().unwrap_or_default(), &claims);
    if mode == Mode::IdTokenTampered {
        let last = if token.ends_with("AAAA") { "BBBB" } else { "AAAA" };
        token.truncate(token.len().saturating_sub(8));
        token = format!("{token}{last}{last}");
    }
    world.module(mode, |module| {
        let first = module.first_id_token.get_or_insert_with(|| token.clone());
        if mode == Mode::IdTokenOfAnotherSession { first.clone() } else { token }
    })
}

fn signed(
    key: &SigningKey,
    alg: &str,
    kid: &str,
    more: Map<String, Value>,
    claims: &Map<String, Value>,
) -> String {
    let mut header = Map::new();
    header.insert("alg".to_owned(), json!(alg));
    header.insert("kid".to_owned(), json!(kid));
    header.extend(more);
    compact(&header, claims, |message| key.sign(alg, message))
}
