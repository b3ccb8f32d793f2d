//! Mutants of tokens: who gets them, what they open, and when they end.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::answers::change_json;
use super::list::Answer;
use super::repair::{authenticate, client_of};
use super::world::{Asked, Endpoint, World};
use crate::http::Response;

/// Whoever shows a token is its owner: the certificate is not looked at.
pub(super) fn binding_not_checked(world: &World, asked: &mut Asked) {
    if asked.endpoint == Endpoint::Resource
        && let Some((_, token)) = asked.token()
    {
        let owner = world.state().owners.get(&token).cloned();
        if let Some(client) = owner.and_then(|owner| world.client(&owner)) {
            asked.request.certificate.clone_from(&client.is.certificate);
        }
    }
}

/// A token is issued without a certificate to bind it to.
pub(super) fn unbound_tokens(world: &World, asked: &mut Asked) {
    if asked.endpoint == Endpoint::Token
        && asked.request.certificate.is_none()
        && let Some(client) = client_of(world, asked)
        && asked.value("client_assertion").is_some()
    {
        asked.request.certificate.clone_from(&client.is.certificate);
    }
}

/// Only that there is a certificate counts, not whose.
pub(super) fn any_certificate(world: &World, asked: &mut Asked) {
    if asked.request.certificate.is_some() {
        binding_not_checked(world, asked);
    }
}

/// Whoever names a client is it.
pub(super) fn nobody_authenticates(world: &World, asked: &mut Asked) {
    let missing = asked.value("client_assertion").is_none();
    if missing
        && matches!(
            asked.endpoint,
            Endpoint::Push | Endpoint::Token | Endpoint::Introspect | Endpoint::Revoke
        )
        && let Some(client) = client_of(world, asked)
    {
        authenticate(world, asked, client);
    }
}

/// The other endpoints are open to anybody.
pub(super) fn introspection_for_anybody(world: &World, asked: &mut Asked) {
    if asked.endpoint == Endpoint::Introspect {
        nobody_authenticates(world, asked);
    }
}

pub(super) fn revocation_for_anybody(world: &World, asked: &mut Asked) {
    if asked.endpoint == Endpoint::Revoke {
        nobody_authenticates(world, asked);
    }
}

/// A client that authenticates by TLS may show any certificate that has this defect.
fn tls_client(world: &World, asked: &mut Asked, shows: impl Fn(Option<&str>, Option<&str>) -> bool) {
    if asked.value("client_assertion").is_some() {
        return;
    }
    if let Some(client) = client_of(world, asked)
        && client.is.authentication != crate::target::Authentication::PrivateKeyJwt
        && shows(asked.request.certificate.as_deref(), client.is.certificate.as_deref())
    {
        asked.request.certificate.clone_from(&client.is.certificate);
    }
}

pub(super) fn expired_certificate(world: &World, asked: &mut Asked) {
    tls_client(world, asked, |shown, _| shown == Some("expired"));
}

pub(super) fn lookalike_certificate(world: &World, asked: &mut Asked) {
    tls_client(world, asked, |shown, _| shown == Some("lookalike"));
}

pub(super) fn certificate_of_another(world: &World, asked: &mut Asked) {
    tls_client(world, asked, |shown, own| {
        shown.is_some() && shown != own && !matches!(shown, Some("expired" | "lookalike"))
    });
}

pub(super) fn no_certificate(world: &World, asked: &mut Asked) {
    tls_client(world, asked, |shown, _| shown.is_none());
}

/// client_id beside an assertion is not compared with it.
pub(super) fn client_id_not_compared(_: &World, asked: &mut Asked) {
    if asked.endpoint == Endpoint::Token
        && let Some(read) =
            asked.value("client_assertion").and_then(|jwt| crate::jose::Unverified::read(&jwt))
        && let Some(sub) = read.claims.get("sub").and_then(Value::as_str)
    {
        asked.set("client_id", sub);
    }
}

/// A secret will do.
pub(super) fn secrets_taken(world: &World, asked: &mut Asked) {
    if asked.value("client_secret").is_some()
        || asked.header("authorization").is_some_and(|value| value.starts_with("Basic"))
    {
        asked.remove("client_secret");
        if asked.endpoint != Endpoint::Resource {
            asked.request.headers.retain(|(name, _)| name != "authorization");
        }
        nobody_authenticates(world, asked);
    }
}

/// The token may be in the query.
pub(super) fn token_in_query(_: &World, asked: &mut Asked) {
    if let Some(token) = asked.parameter("access_token") {
        asked.request.url.set_query(None);
        let scheme = if asked.header("dpop").is_some() { "DPoP" } else { "Bearer" };
        asked.set_header("authorization", format!("{scheme} {token}"));
    }
}

/// The token may be in the body.
pub(super) fn token_in_body(_: &World, asked: &mut Asked) {
    if asked.endpoint == Endpoint::Resource
        && let Some(token) = asked.value("access_token")
    {
        asked.form.clear();
        asked.request.body = bytes::Bytes::new();
        "GET".clone_into(&mut asked.request.method);
        asked.request.headers.retain(|(name, _)| name != "content-type");
        asked.set_header("authorization", format!("Bearer {token}"));
    }
}

/// A certificate may be in a header.
pub(super) fn certificate_in_header(world: &World, asked: &mut Asked) {
    if asked.header("x-forwarded-client-cert").is_some() {
        binding_not_checked(world, asked);
    }
}

/// The scheme is compared letter by letter.
pub(super) fn scheme_by_letter<'w>(world: &'w World, asked: Asked) -> BoxFuture<'w, Answer> {
    async move {
        let strange = asked.token().is_some_and(|(scheme, _)| scheme != "Bearer" && scheme != "DPoP");
        if strange { Ok(refused(401, "invalid_token")) } else { world.forward(&asked).await }
    }
    .boxed()
}

/// A refresh token opens what its access token opens.
pub(super) fn any_token_opens(world: &World, asked: &mut Asked) {
    if asked.endpoint == Endpoint::Resource
        && let Some((scheme, token)) = asked.token()
        && let Some(access) = world.state().notes.get(&format!("access of {token}")).cloned()
    {
        asked.set_header("authorization", format!("{scheme} {access}"));
    }
}

/// Revoking does nothing.
pub(super) fn nothing_revoked<'w>(world: &'w World, asked: Asked) -> BoxFuture<'w, Answer> {
    async move {
        if asked.endpoint == Endpoint::Revoke {
            return Ok(Response { status: 200, ..Response::default() });
        }
        world.forward(&asked).await
    }
    .boxed()
}

/// Whoever asks revokes.
pub(super) fn revoked_by_anybody(world: &World, asked: &mut Asked) {
    owner_asks(world, asked, Endpoint::Revoke, "token");
}

/// Whoever asks is told.
pub(super) fn told_to_anybody(world: &World, asked: &mut Asked) {
    owner_asks(world, asked, Endpoint::Introspect, "token");
}

/// Whoever has a refresh token refreshes.
pub(super) fn refreshed_by_anybody(world: &World, asked: &mut Asked) {
    owner_asks(world, asked, Endpoint::Token, "refresh_token");
}

fn owner_asks(world: &World, asked: &mut Asked, endpoint: Endpoint, name: &str) {
    if asked.endpoint == endpoint
        && let Some(token) = asked.value(name)
    {
        let owner = world.state().owners.get(&token).cloned();
        if let Some(client) = owner.and_then(|owner| world.client(&owner)) {
            authenticate(world, asked, client);
        }
    }
}

/// Revoking what is no token is an error.
pub(super) fn unknown_token_is_an_error<'w>(world: &'w World, asked: Asked) -> BoxFuture<'w, Answer> {
    async move {
        let token = asked.value("token").filter(|_| asked.endpoint == Endpoint::Revoke);
        let unknown = token.is_some_and(|token| !world.state().owners.contains_key(&token));
        if unknown { Ok(refused(400, "invalid_request")) } else { world.forward(&asked).await }
    }
    .boxed()
}

/// A refresh token is good once, and gives another.
pub(super) fn rotating<'w>(world: &'w World, mut asked: Asked) -> BoxFuture<'w, Answer> {
    async move {
        let shown = asked.value("refresh_token").filter(|_| asked.endpoint == Endpoint::Token);
        let Some(shown) = shown else { return world.forward(&asked).await };
        let (used, real) = {
            let state = world.state();
            let real = state.notes.get(&format!("real {shown}")).cloned().unwrap_or_else(|| shown.clone());
            (state.seen.contains(&shown), real)
        };
        if used {
            return Ok(refused(400, "invalid_grant"));
        }
        asked.set("refresh_token", real.as_str());
        let mut answer = world.forward(&asked).await?;
        if answer.status == 200 {
            let next = crate::case::random(43);
            let mut state = world.state();
            state.seen.push(shown);
            state.notes.insert(format!("real {next}"), real);
            drop(state);
            change_json(&mut answer, |json| drop(json.insert("refresh_token".to_owned(), json!(next))));
        }
        Ok(answer)
    }
    .boxed()
}

/// The same access token for everybody, and short.
pub(super) fn short_tokens<'w>(world: &'w World, mut asked: Asked) -> BoxFuture<'w, Answer> {
    async move {
        if let Some((scheme, token)) = asked.token()
            && let Some(real) = world.state().notes.get(&format!("real {token}")).cloned()
        {
            asked.set_header("authorization", format!("{scheme} {real}"));
        }
        let mut answer = world.forward(&asked).await?;
        if asked.endpoint == Endpoint::Token {
            change_json(&mut answer, |json| {
                if let Some(real) = json.get("access_token").and_then(Value::as_str).map(str::to_owned) {
                    let mut state = world.state();
                    let short = format!("token-0000000{:04}", state.notes.len());
                    state.notes.insert(format!("real {short}"), real);
                    json.insert("access_token".to_owned(), json!(short));
                }
            });
        }
        Ok(answer)
    }
    .boxed()
}

/// A password gives a token.
pub(super) fn passwords(_: &World, asked: &mut Asked) {
    if asked.value("grant_type").as_deref() == Some("password") {
        asked.set("grant_type", "client_credentials");
        asked.remove("username");
        asked.remove("password");
    }
}

/// A grant that nobody knows is taken for one of the client's own.
pub(super) fn any_grant(_: &World, asked: &mut Asked) {
    if asked.value("grant_type").is_some_and(|grant| grant.starts_with("urn:example")) {
        asked.set("grant_type", "client_credentials");
    }
}

/// Forms may come by GET.
pub(super) fn by_get(_: &World, asked: &mut Asked) {
    if asked.request.method == "GET" && matches!(asked.endpoint, Endpoint::Token | Endpoint::Push) {
        "POST".clone_into(&mut asked.request.method);
        asked.form = asked
            .request
            .url
            .query_pairs()
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        asked.request.url.set_query(None);
        asked.set_header("content-type", "application/x-www-form-urlencoded");
    }
}

/// Of what comes twice the first counts.
pub(super) fn first_counts(_: &World, asked: &mut Asked) {
    let mut once: Vec<(String, String)> = Vec::new();
    for (name, value) in asked.form.drain(..) {
        if !once.iter().any(|(known, _)| *known == name) {
            once.push((name, value));
        }
    }
    asked.form = once;
}

/// A scope that nobody registered is left out without a word, and said to be given.
pub(super) fn any_scope<'w>(world: &'w World, mut asked: Asked) -> BoxFuture<'w, Answer> {
    async move {
        let wanted = asked.value("scope").filter(|_| asked.endpoint == Endpoint::Token);
        if wanted.is_some() {
            asked.remove("scope");
        }
        let mut answer = world.forward(&asked).await?;
        if let Some(wanted) = wanted {
            change_json(&mut answer, |json| {
                if json.contains_key("access_token") {
                    json.insert("scope".to_owned(), json!(wanted));
                }
            });
        }
        Ok(answer)
    }
    .boxed()
}

/// The resource is open.
pub(super) fn open_resource<'w>(world: &'w World, asked: Asked) -> BoxFuture<'w, Answer> {
    async move {
        let answer = world.forward(&asked).await?;
        if asked.endpoint == Endpoint::Resource && answer.status == 401 {
            let body = json!({"data": []}).to_string().into();
            let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
            return Ok(Response { status: 200, headers, body, tls: "" });
        }
        Ok(answer)
    }
    .boxed()
}

fn refused(status: u16, error: &str) -> Response {
    let headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("cache-control".to_owned(), "no-store".to_owned()),
    ];
    Response { status, headers, body: json!({"error": error}).to_string().into(), tls: "" }
}
