//! Mutants of the authorization: pushes, codes and what comes back with them.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use url::Url;

use super::list::Answer;
use super::repair::{authenticate, client_of, wrapped};
use super::world::{Asked, Endpoint, World};
use crate::http::Response;
use crate::jose::{base64url, sha256};

const VERIFIER: &str = "mutant-mutant-mutant-mutant-mutant-mutant-mutant-mutant";

/// PKCE is not looked at: the proxy has a verifier of its own.
pub(super) fn without_pkce(_: &World, asked: &mut Asked) {
    if asked.endpoint == Endpoint::Push && asked.value("request").is_none() {
        asked.set("code_challenge", base64url(&sha256(VERIFIER.as_bytes())));
        asked.set("code_challenge_method", "S256");
    }
    if asked.endpoint == Endpoint::Token && asked.value("grant_type").as_deref() == Some("authorization_code")
    {
        asked.set("code_verifier", VERIFIER);
    }
}

/// A challenge by plain is taken: the proxy makes S256 of it.
pub(super) fn plain_pkce(_: &World, asked: &mut Asked) {
    if asked.endpoint == Endpoint::Push && asked.value("code_challenge_method").as_deref() == Some("plain") {
        let challenge = asked.value("code_challenge").unwrap_or_default();
        asked.set("code_challenge", base64url(&sha256(challenge.as_bytes())));
        asked.set("code_challenge_method", "S256");
    }
}

/// A request without redirect_uri gets the registered one.
pub(super) fn redirect_uri_filled_in(world: &World, asked: &mut Asked) {
    if asked.endpoint == Endpoint::Push
        && asked.value("redirect_uri").is_none()
        && asked.value("request").is_none()
        && let Some(client) = client_of(world, asked)
    {
        asked.set("redirect_uri", client.is.redirect_uris.first().cloned().unwrap_or_default());
    }
}

/// Any redirect_uri is taken at the push that fits.
pub(super) fn any_redirect_uri(world: &World, asked: &mut Asked) {
    if asked.endpoint == Endpoint::Push
        && let Some(client) = client_of(world, asked)
        && let Some(given) = asked.value("redirect_uri")
        && !client.is.redirect_uris.contains(&given)
    {
        asked.set("redirect_uri", client.is.redirect_uris.first().cloned().unwrap_or_default());
    }
}

/// One that begins like a registered one is taken.
pub(super) fn redirect_uri_by_prefix(world: &World, asked: &mut Asked) {
    let begins = |asked: &Asked| {
        let client = client_of(world, asked)?;
        let given = asked.value("redirect_uri")?;
        let known = client
            .is
            .redirect_uris
            .iter()
            .find(|known| given.starts_with(known.as_str()) && given != **known)?;
        Some(known.clone())
    };
    if asked.endpoint == Endpoint::Push
        && let Some(known) = begins(asked)
    {
        asked.set("redirect_uri", known);
    }
}

/// The redirect_uri of the token request is not compared.
pub(super) fn redirect_uri_not_compared(world: &World, asked: &mut Asked) {
    if asked.endpoint == Endpoint::Token
        && let Some(code) = asked.value("code")
    {
        let state = world.state();
        let form = state.codes.get(&code).and_then(|uri| state.pushed.get(uri));
        let pushed = form.and_then(|form| form.iter().find(|(name, _)| name == "redirect_uri").cloned());
        drop(state);
        if let Some((_, pushed)) = pushed {
            asked.set("redirect_uri", pushed);
        }
    }
}

/// Whoever shows a code gets its token.
pub(super) fn code_of_anybody(world: &World, asked: &mut Asked) {
    if asked.endpoint == Endpoint::Token
        && let Some(code) = asked.value("code")
    {
        let owner = world.state().owners.get(&code).cloned();
        if let Some(client) = owner.and_then(|owner| world.client(&owner)) {
            authenticate(world, asked, client);
        }
    }
}

/// What is asked for in the front channel only is pushed by the proxy.
pub(super) fn unpushed_request<'w>(world: &'w World, mut asked: Asked) -> BoxFuture<'w, Answer> {
    async move {
        if asked.endpoint == Endpoint::Authorize
            && asked.parameter("request_uri").is_none()
            && asked.parameter("response_type").is_some()
        {
            let form =
                asked.request.url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned()));
            let form: Vec<_> = form.collect();
            repush(world, &mut asked, form).await?;
        }
        world.forward(&asked).await
    }
    .boxed()
}

/// A request_uri is good for any time and any number of times.
pub(super) fn request_uri_for_ever<'w>(world: &'w World, mut asked: Asked) -> BoxFuture<'w, Answer> {
    async move {
        if asked.endpoint == Endpoint::Authorize
            && let Some(uri) = asked.parameter("request_uri")
        {
            let form = world.state().pushed.get(&uri).cloned();
            if let Some(form) = form {
                repush(world, &mut asked, form).await?;
            }
        }
        world.forward(&asked).await
    }
    .boxed()
}

/// Pushes a form again, and sends the browser on with what that gives.
async fn repush(
    world: &World,
    asked: &mut Asked,
    form: Vec<(String, String)>,
) -> Result<(), crate::http::NoAnswer> {
    let endpoint = world
        .metadata
        .pointer("/mtls_endpoint_aliases/pushed_authorization_request_endpoint")
        .or_else(|| world.metadata.get("pushed_authorization_request_endpoint"))
        .and_then(Value::as_str)
        .and_then(|url| Url::parse(url).ok());
    let Some(url) = endpoint else { return Ok(()) };
    let request =
        crate::http::Request::new("POST", url).header("content-type", "application/x-www-form-urlencoded");
    let mut push = Asked { endpoint: Endpoint::Push, request, form };
    let Some(client) = client_of(world, &push) else { return Ok(()) };
    if let Some(object) = push.value("request").and_then(|jwt| crate::jose::Unverified::read(&jwt))
        && let Some(made) = wrapped(world, client, object.claims)
    {
        push.set("request", made);
    }
    authenticate(world, &mut push, client);
    let answer = world.forward(&push).await?;
    if let Some(uri) = answer.json().get("request_uri").and_then(Value::as_str) {
        asked.set_parameter("request_uri", uri);
    }
    Ok(())
}

/// A request_uri is good for any client.
pub(super) fn request_uri_of_anybody(world: &World, asked: &mut Asked) {
    if asked.endpoint == Endpoint::Authorize
        && let Some(uri) = asked.parameter("request_uri")
    {
        let state = world.state();
        let form = state.pushed.get(&uri);
        let owner = form.and_then(|form| form.iter().find(|(name, _)| name == "client_id").cloned());
        drop(state);
        if let Some((_, owner)) = owner {
            asked.set_parameter("client_id", &owner);
        }
    }
}

/// A code is good more than once: the first answer comes again.
pub(super) fn code_again<'w>(world: &'w World, asked: Asked) -> BoxFuture<'w, Answer> {
    async move {
        let code = asked.value("code").filter(|_| asked.endpoint == Endpoint::Token);
        if let Some(code) = &code {
            let before = world.state().answers.get(code).cloned();
            if let Some(before) = before {
                return Ok(before);
            }
        }
        let answer = world.forward(&asked).await?;
        if let Some(code) = code.filter(|_| answer.status == 200) {
            world.state().answers.insert(code, answer.clone());
        }
        Ok(answer)
    }
    .boxed()
}

/// Changes the address at which a browser comes back to the client.
fn at_return(world: &World, answer: &mut Response, change: impl FnOnce(&mut Url)) {
    let returns = |url: &Url| {
        let known = world.target.clients.values().flat_map(|client| &client.is.redirect_uris);
        known
            .filter_map(|known| Url::parse(known).ok())
            .any(|known| known.origin() == url.origin() && known.path() == url.path())
    };
    for (name, value) in &mut answer.headers {
        if name == "location"
            && let Ok(mut url) = Url::parse(value)
            && returns(&url)
        {
            change(&mut url);
            *value = url.to_string();
            return;
        }
    }
}

fn change_query(url: &mut Url, change: impl Fn(&str, String) -> Option<String>) {
    let pairs: Vec<_> = url
        .query_pairs()
        .filter_map(|(name, value)| change(&name, value.into_owned()).map(|value| (name.into_owned(), value)))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(pairs);
}

pub(super) fn no_iss(world: &World, _: &Asked, answer: &mut Response) {
    at_return(world, answer, |url| change_query(url, |name, value| (name != "iss").then_some(value)));
}

pub(super) fn wrong_iss(world: &World, _: &Asked, answer: &mut Response) {
    at_return(world, answer, |url| {
        change_query(url, |name, value| {
            Some(if name == "iss" { "https://other.example".to_owned() } else { value })
        });
    });
}

pub(super) fn no_state(world: &World, _: &Asked, answer: &mut Response) {
    at_return(world, answer, |url| change_query(url, |name, value| (name != "state").then_some(value)));
}

pub(super) fn short_state(world: &World, _: &Asked, answer: &mut Response) {
    at_return(world, answer, |url| {
        change_query(url, |name, value| {
            Some(if name == "state" { value.chars().take(128).collect() } else { value })
        });
    });
}

pub(super) fn plain_state(world: &World, _: &Asked, answer: &mut Response) {
    at_return(world, answer, |url| {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.~".contains(letter);
        change_query(url, |name, value| {
            Some(if name == "state" {
                value.chars().filter(|letter| plain(*letter)).collect()
            } else {
                value
            })
        });
    });
}

pub(super) fn token_in_front(world: &World, _: &Asked, answer: &mut Response) {
    at_return(world, answer, |url| url.set_fragment(Some("access_token=abcdefghijklmnopqrstuvwxyz")));
}

pub(super) fn more_in_front(world: &World, _: &Asked, answer: &mut Response) {
    at_return(world, answer, |url| {
        url.query_pairs_mut().append_pair("user", "anna");
    });
}

pub(super) fn other_error(world: &World, _: &Asked, answer: &mut Response) {
    at_return(world, answer, |url| {
        change_query(url, |name, value| {
            Some(if name == "error" { "server_error".to_owned() } else { value })
        });
    });
}

/// The code is what is easy to guess.
pub(super) fn short_code(world: &World, _: &Asked, answer: &mut Response) {
    at_return(world, answer, |url| {
        change_query(url, |name, value| {
            if name != "code" {
                return Some(value);
            }
            let mut state = world.state();
            let short = format!("code-{:04}", state.notes.len());
            state.notes.insert(short.clone(), value);
            Some(short)
        });
    });
}

pub(super) fn long_code(world: &World, asked: &mut Asked) {
    if asked.endpoint == Endpoint::Token
        && let Some(code) = asked.value("code")
        && let Some(whole) = world.state().notes.get(&code).cloned()
    {
        asked.set("code", whole);
    }
}

/// The browser is sent on by 307.
pub(super) fn status_307(_: &World, asked: &Asked, answer: &mut Response) {
    if (300..400).contains(&answer.status) && asked.endpoint != Endpoint::Metadata {
        answer.status = 307;
    }
}

/// Who declines approves.
pub(super) fn nobody_declines(world: &World, asked: &mut Asked) {
    if let crate::target::PsuConfiguration::RedirectsOrHeader { deny_header, .. } = &world.target.is.psu {
        asked.request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(deny_header));
    }
}

/// A state beside the pushed request comes back in the place of its own.
pub(super) fn state_from_outside<'w>(world: &'w World, asked: Asked) -> BoxFuture<'w, Answer> {
    async move {
        if asked.endpoint == Endpoint::Authorize
            && let Some(state) = asked.parameter("state")
        {
            world.state().notes.insert("outer state".to_owned(), state);
        }
        let mut answer = world.forward(&asked).await?;
        let outer = world.state().notes.get("outer state").cloned();
        if let Some(outer) = outer {
            at_return(world, &mut answer, |url| {
                change_query(url, |name, value| (name != "state").then_some(value));
                url.query_pairs_mut().append_pair("state", &outer);
            });
        }
        Ok(answer)
    }
    .boxed()
}

/// What a client that signs pushes without a signature is signed by the proxy.
pub(super) fn unsigned_push(world: &World, asked: &mut Asked) {
    let Some(client) = client_of(world, asked) else { return };
    if asked.endpoint != Endpoint::Push || asked.value("request").is_some() || !client.is.message_signing {
        return;
    }
    let inside: Map<String, Value> = asked
        .form
        .iter()
        .filter(|(name, _)| !name.starts_with("client_assertion"))
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    if let Some(made) = wrapped(world, client, inside) {
        asked.form.retain(|(name, _)| name.starts_with("client_"));
        asked.set("request", made);
    }
}

/// Parameters beside a request object win.
pub(super) fn outer_wins(world: &World, asked: &mut Asked) {
    let Some(client) = client_of(world, asked) else { return };
    if asked.endpoint != Endpoint::Push {
        return;
    }
    let Some(read) = asked.value("request").and_then(|jwt| crate::jose::Unverified::read(&jwt)) else {
        return;
    };
    let Some(state) = asked.value("state") else { return };
    let mut claims = read.claims;
    claims.insert("state".to_owned(), json!(state));
    if let Some(made) = wrapped(world, client, claims) {
        asked.set("request", made);
    }
}

/// authorization_details are not looked at.
pub(super) fn any_details(_: &World, asked: &mut Asked) {
    if asked.endpoint == Endpoint::Push {
        asked.remove("authorization_details");
    }
}

/// A response type that gives tokens in the front channel is taken.
pub(super) fn any_response_type(_: &World, asked: &mut Asked) {
    if asked.endpoint == Endpoint::Push && asked.value("response_type").is_some() {
        asked.set("response_type", "code");
    }
}

/// A request_uri in the push is ignored.
pub(super) fn request_uri_in_push(_: &World, asked: &mut Asked) {
    if asked.endpoint == Endpoint::Push {
        asked.remove("request_uri");
    }
}

/// The lifetime of a request_uri is ten minutes and more.
pub(super) fn long_request_uri(_: &World, asked: &Asked, answer: &mut Response) {
    if asked.endpoint == Endpoint::Push && answer.status == 201 {
        super::answers::change_json(answer, |json| drop(json.insert("expires_in".to_owned(), json!(3600))));
    }
}
