//! Mutants of answers: statuses, headers, metadata, keys and what JSON says.

use serde_json::{Map, Value, json};

use super::world::{Asked, Endpoint, World};
use crate::http::Response;
use crate::jose::{Unverified, compact};

/// Changes the members of a JSON object.
pub(super) fn change_json(answer: &mut Response, change: impl FnOnce(&mut Map<String, Value>)) {
    if let Value::Object(mut json) = answer.json() {
        change(&mut json);
        answer.body = Value::Object(json).to_string().into();
    }
}

fn of(endpoint: Endpoint, asked: &Asked) -> bool {
    asked.endpoint == endpoint
}

fn drop_header(answer: &mut Response, name: &str) {
    answer.headers.retain(|(known, _)| known != name);
}

fn put_header(answer: &mut Response, name: &str, value: &str) {
    drop_header(answer, name);
    answer.headers.push((name.to_owned(), value.to_owned()));
}

macro_rules! metadata {
    ($($name:ident: $member:literal = $value:expr;)*) => {$(
        pub(super) fn $name(_: &World, asked: &Asked, answer: &mut Response) {
            if of(Endpoint::Metadata, asked) {
                change_json(answer, |json| drop(json.insert($member.to_owned(), $value)));
            }
        }
    )*};
}

metadata! {
    other_issuer: "issuer" = json!("https://other.example");
    response_types: "response_types_supported" = json!(["code id_token", "token"]);
    plain_listed: "code_challenge_methods_supported" = json!(["S256", "plain"]);
    no_iss_announced: "authorization_response_iss_parameter_supported" = json!(false);
    secret_listed: "token_endpoint_auth_methods_supported" = json!(["private_key_jwt", "client_secret_basic"]);
    rs256_listed: "token_endpoint_auth_signing_alg_values_supported" = json!(["PS256", "RS256"]);
    push_not_required: "require_pushed_authorization_requests" = json!(false);
    http_endpoint: "revocation_endpoint" = json!("http://localhost/revoke");
}

pub(super) fn no_push_endpoint(_: &World, asked: &Asked, answer: &mut Response) {
    if of(Endpoint::Metadata, asked) {
        change_json(answer, |json| drop(json.remove("pushed_authorization_request_endpoint")));
    }
}

pub(super) fn private_key_published(_: &World, asked: &Asked, answer: &mut Response) {
    if of(Endpoint::Keys, asked) {
        change_json(answer, |json| {
            if let Some(first) =
                json.get_mut("keys").and_then(|keys| keys.get_mut(0)).and_then(Value::as_object_mut)
            {
                first.insert("d".to_owned(), json!("AQAB"));
            }
        });
    }
}

pub(super) fn same_kid_twice(_: &World, asked: &Asked, answer: &mut Response) {
    if of(Endpoint::Keys, asked) {
        change_json(answer, |json| {
            if let Some(keys) = json.get_mut("keys").and_then(Value::as_array_mut)
                && let Some(first) = keys.first().cloned()
            {
                keys.push(first);
            }
        });
    }
}

pub(super) fn stored(_: &World, asked: &Asked, answer: &mut Response) {
    if of(Endpoint::Token, asked) {
        put_header(answer, "cache-control", "max-age=60");
    }
}

pub(super) fn push_stored(_: &World, asked: &Asked, answer: &mut Response) {
    if of(Endpoint::Push, asked) {
        put_header(answer, "cache-control", "max-age=60");
    }
}

pub(super) fn data_stored(_: &World, asked: &Asked, answer: &mut Response) {
    if of(Endpoint::Resource, asked) {
        put_header(answer, "cache-control", "private, max-age=60");
    }
}

pub(super) fn no_challenge(_: &World, _: &Asked, answer: &mut Response) {
    drop_header(answer, "www-authenticate");
}

pub(super) fn no_interaction_id(_: &World, _: &Asked, answer: &mut Response) {
    drop_header(answer, "x-fapi-interaction-id");
}

pub(super) fn framed(_: &World, _: &Asked, answer: &mut Response) {
    drop_header(answer, "x-frame-options");
    drop_header(answer, "content-security-policy");
}

pub(super) fn scripts_of_others(_: &World, _: &Asked, answer: &mut Response) {
    put_header(answer, "access-control-allow-origin", "*");
}

pub(super) fn status_404(_: &World, _: &Asked, answer: &mut Response) {
    if answer.status == 400 {
        answer.status = 404;
    }
}

pub(super) fn status_200(_: &World, asked: &Asked, answer: &mut Response) {
    if answer.status >= 400 && matches!(asked.endpoint, Endpoint::Token | Endpoint::Push | Endpoint::Resource)
    {
        answer.status = 200;
    }
}

pub(super) fn html_errors(_: &World, asked: &Asked, answer: &mut Response) {
    if answer.status >= 400 && matches!(asked.endpoint, Endpoint::Token | Endpoint::Push) {
        put_header(answer, "content-type", "text/html");
    }
}

pub(super) fn error_of_its_own(_: &World, asked: &Asked, answer: &mut Response) {
    if answer.status >= 400 && matches!(asked.endpoint, Endpoint::Token | Endpoint::Push) {
        change_json(answer, |json| drop(json.insert("error".to_owned(), json!("bad_thing"))));
    }
}

pub(super) fn lines_in_errors(_: &World, asked: &Asked, answer: &mut Response) {
    if answer.status >= 400 && matches!(asked.endpoint, Endpoint::Token | Endpoint::Push) {
        change_json(answer, |json| {
            drop(json.insert("error_description".to_owned(), json!("one\nor \"two\"")))
        });
    }
}

pub(super) fn leaking_errors(_: &World, asked: &Asked, answer: &mut Response) {
    if answer.status >= 400 {
        let sent: Vec<_> = asked.form.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let token = asked.token().map(|(_, token)| token).unwrap_or_default();
        let says = format!("{} {token}", sent.join(" "));
        let says: String = says
            .chars()
            .filter(|letter| letter.is_ascii_alphanumeric() || " -=_.".contains(*letter))
            .collect();
        change_json(answer, |json| {
            let name = if json.contains_key("error") { "error_description" } else { "detail" };
            json.insert(name.to_owned(), json!(says));
        });
    }
}

pub(super) fn lifetime_as_text(_: &World, asked: &Asked, answer: &mut Response) {
    if of(Endpoint::Token, asked) {
        change_json(answer, |json| {
            if let Some(value) = json.get("expires_in").map(ToString::to_string) {
                json.insert("expires_in".to_owned(), json!(value));
            }
        });
    }
}

pub(super) fn dead_tokens_described(_: &World, asked: &Asked, answer: &mut Response) {
    if of(Endpoint::Introspect, asked) {
        change_json(answer, |json| {
            if json.get("active") == Some(&json!(false)) {
                json.insert("client_id".to_owned(), json!("conformance-main"));
            }
        });
    }
}

pub(super) fn binding_not_told(_: &World, asked: &Asked, answer: &mut Response) {
    if of(Endpoint::Introspect, asked) {
        change_json(answer, |json| drop(json.remove("cnf")));
    }
}

/// Signs every id_token anew with a key of its own, which the key set holds, too.
fn signed_anew(
    world: &World,
    asked: &Asked,
    answer: &mut Response,
    change: impl FnOnce(&mut Map<String, Value>),
) {
    if of(Endpoint::Keys, asked) {
        change_json(answer, |json| {
            let mut key = world.own.public();
            if let Some(key) = key.as_object_mut() {
                key.insert("kid".to_owned(), json!("mutant"));
            }
            if let Some(keys) = json.get_mut("keys").and_then(Value::as_array_mut) {
                keys.push(key);
            }
        });
    }
    if of(Endpoint::Token, asked) {
        change_json(answer, |json| {
            let read = json.get("id_token").and_then(Value::as_str).and_then(Unverified::read);
            if let Some(mut read) = read {
                change(&mut read.claims);
                let header =
                    Map::from_iter([("alg".to_owned(), json!("ES256")), ("kid".to_owned(), json!("mutant"))]);
                let made = compact(&header, &read.claims, |message| world.own.sign("ES256", message));
                json.insert("id_token".to_owned(), json!(made));
            }
        });
    }
}

macro_rules! id_tokens {
    ($($name:ident: $change:expr;)*) => {$(
        pub(super) fn $name(world: &World, asked: &Asked, answer: &mut Response) {
            signed_anew(world, asked, answer, $change);
        }
    )*};
}

id_tokens! {
    id_token_without_nonce: |claims| drop(claims.remove("nonce"));
    id_token_with_short_nonce: |claims| {
        let short: String = claims.get("nonce").and_then(Value::as_str).unwrap_or_default().chars().take(43).collect();
        claims.insert("nonce".to_owned(), json!(short));
    };
    id_token_for_another: |claims| drop(claims.insert("aud".to_owned(), json!("somebody-else")));
    id_token_of_another: |claims| drop(claims.insert("iss".to_owned(), json!("https://other.example")));
    id_token_expired: |claims| drop(claims.insert("exp".to_owned(), json!(1_000_000_000)));
    id_token_without_sub: |claims| drop(claims.remove("sub"));
}

pub(super) fn id_token_unsigned(_: &World, asked: &Asked, answer: &mut Response) {
    if of(Endpoint::Token, asked) {
        change_json(answer, |json| {
            if let Some(read) = json.get("id_token").and_then(Value::as_str).and_then(Unverified::read) {
                let header = Map::from_iter([("alg".to_owned(), json!("none"))]);
                json.insert("id_token".to_owned(), json!(compact(&header, &read.claims, |_| Vec::new())));
            }
        });
    }
}

pub(super) fn introspection_unsigned(_: &World, asked: &Asked, answer: &mut Response) {
    if of(Endpoint::Introspect, asked)
        && let Some(read) = Unverified::read(&answer.text())
    {
        let header = Map::from_iter([
            ("alg".to_owned(), json!("none")),
            ("typ".to_owned(), json!("token-introspection+jwt")),
        ]);
        answer.body = compact(&header, &read.claims, |_| Vec::new()).into();
    }
}
