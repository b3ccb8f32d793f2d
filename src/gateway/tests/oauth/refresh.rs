//! Refresh tokens (RFC 6749 §6), introspection (RFC 7662), and what revocation takes
//! with it (RFC 7009).

use std::sync::Arc;

use consentry::demo::{Answer, Tpp};
use domain::{Clock, ManualClock, SystemClock};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::fintech::{
    INTROSPECT, REVOKE, TOKEN, assert_error, authority, introspected, metadata, registered, subject, tokens,
    tpp_as, tpp_with,
};
use crate::support::{TestGateway, Wanted, assert_problem};

const PATH: &str = "/v1/accounts";

fn lasting() -> Value {
    json!({ "grant_types": ["authorization_code", "client_credentials", "refresh_token"] })
}

/// A client, and what its first grant gave.
async fn granted(gw: &TestGateway, scope: &str) -> (Tpp, Answer) {
    let tpp = tpp_as(gw, &lasting()).await;
    let answer = tokens(gw, &tpp, &[("scope", Some(scope)), ("nonce", Some("n"))]).await;
    (tpp, answer)
}

async fn refreshed(tpp: &Tpp, token: &str, scope: Option<&str>) -> Answer {
    let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
    form.extend(scope.map(|scope| ("scope", scope)));
    tpp.authenticated(TOKEN, &form).await.unwrap()
}

async fn opens(tpp: &Tpp, token: &str) -> u16 {
    tpp.get(&SecretString::from(token.to_owned()), PATH).await.unwrap().status.as_u16()
}

/// FAPI 2.0 SP §5.3.2.1-10 (AS16): a refresh token is not rotated: it stays as it is,
/// for as often as it is used, also by fifty at the same time.
/// [module: refresh-token]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_is_not_rotated() {
    let gw = TestGateway::start().await;
    let (tpp, first) = granted(&gw, "accounts").await;
    let refresh = first.text("/refresh_token");
    assert_eq!(refresh.len(), 43, "256 bits in base64url");
    let answer = refreshed(&tpp, &refresh, None).await.expect(200).unwrap();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.json()["refresh_token"].is_null() && answer.json()["expires_in"].is_u64());
    assert_eq!(answer.text("/scope"), "accounts");
    assert_eq!(answer.text("/grant_id"), first.text("/grant_id"));
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (tpp, refresh) = (tpp.clone(), refresh.clone());
        tries.spawn(async move { refreshed(&tpp, &refresh, None).await.text("/access_token") });
    }
    let all: std::collections::BTreeSet<_> = tries.join_all().await.into_iter().collect();
    assert!(all.len() == 50 && all.iter().all(|token| token.len() == 43));
    for token in all.iter().take(3).chain([&first.text("/access_token")]) {
        assert_eq!(opens(&tpp, token).await, 200);
    }
    gw.sandbox.stop().await;
}

/// RFC 6749 §6, §10.4 (AS11, AS16): a refresh token is its client's, who authenticates;
/// what is none is invalid_grant.
/// [module: refresh-token]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_is_for_its_client_who_authenticates() {
    let gw = TestGateway::start().await;
    let (tpp, first) = granted(&gw, "accounts").await;
    let refresh = first.text("/refresh_token");
    let other = tpp_as(&gw, &lasting()).await;
    assert_error(&refreshed(&other, &refresh, None).await, 400, "invalid_grant");
    for wrong in ["nonsense", &first.text("/access_token"), &"x".repeat(43)] {
        assert_error(&refreshed(&tpp, wrong, None).await, 400, "invalid_grant");
    }
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    let url = tpp.endpoint(TOKEN).unwrap();
    assert_error(&tpp.http.post_form(url, &form).await.unwrap(), 401, "invalid_client");
    let named = [form[0], form[1], ("client_id", tpp.client_id.as_str())];
    assert_error(&tpp.http.post_form(url, &named).await.unwrap(), 401, "invalid_client");
    let mut bare = tpp.clone();
    bare.http = gw.anybody();
    assert_error(&refreshed(&bare, &refresh, None).await, 401, "invalid_client");
    assert_error(&tpp.authenticated(TOKEN, &form[..1]).await.unwrap(), 400, "invalid_request");
    assert_eq!(refreshed(&tpp, &refresh, None).await.status, 200);
    gw.sandbox.stop().await;
}

/// RFC 6749 §6 (AS16, AS24): less than was granted can be had, in whichever order; more
/// cannot, nor nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_narrows_the_scope_and_never_widens_it() {
    let gw = TestGateway::start().await;
    let (tpp, first) = granted(&gw, "openid accounts").await;
    let refresh = first.text("/refresh_token");
    for (scope, given) in [
        (None, "openid accounts"),
        (Some("accounts openid"), "openid accounts"),
        (Some("accounts"), "accounts"),
        (Some("accounts  accounts"), "accounts"),
    ] {
        let answer = refreshed(&tpp, &refresh, scope).await.expect(200).unwrap();
        assert_eq!(answer.text("/scope"), given);
        assert_eq!(answer.text("/id_token").is_empty(), !given.contains("openid"));
    }
    for scope in ["payments", "accounts payments", "admin", " "] {
        assert_error(&refreshed(&tpp, &refresh, Some(scope)).await, 400, "invalid_scope");
    }
    gw.sandbox.stop().await;
}

/// RFC 8705 §3, §4 (M4, RS4, AS14): a refreshed token is bound to the certificate of
/// that request; the ones before it stay bound to theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refreshed_token_is_bound_to_the_certificate_at_hand() {
    let gw = TestGateway::start().await;
    let (tpp, first) = granted(&gw, "accounts").await;
    let renewed = tpp_with(&gw, &tpp, &authority(&gw).issue_qwac(&subject()).unwrap());
    let old = SecretString::from(first.text("/access_token"));
    assert_problem(&renewed.get(&old, PATH).await.unwrap(), 401, "auth.certificate_mismatch");
    let answer = refreshed(&renewed, &first.text("/refresh_token"), None).await.expect(200).unwrap();
    let new = SecretString::from(answer.text("/access_token"));
    assert_eq!(renewed.get(&new, PATH).await.unwrap().status, 200);
    assert_problem(&tpp.get(&new, PATH).await.unwrap(), 401, "auth.certificate_mismatch");
    let mut payer = subject();
    payer.roles = vec![crypto::Psd2Role::PaymentInitiation];
    let payer = tpp_with(&gw, &tpp, &authority(&gw).issue_qwac(&payer).unwrap());
    let answer = refreshed(&payer, &first.text("/refresh_token"), None).await;
    assert_error(&answer, 400, "invalid_scope");
    gw.sandbox.stop().await;
}

/// RFC 6749 §1.5, RFC 9068 §5 (RS9): neither a refresh token nor an id_token opens the
/// API, and an access token refreshes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_another_kind_do_not_open_the_api() {
    let gw = TestGateway::start().await;
    let (tpp, first) = granted(&gw, "openid accounts").await;
    for kind in ["/refresh_token", "/id_token", "/grant_id"] {
        let token = SecretString::from(first.text(kind));
        assert_problem(&tpp.get(&token, PATH).await.unwrap(), 401, "auth.token_invalid");
    }
    assert_eq!(opens(&tpp, &first.text("/access_token")).await, 200);
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP §5.3.2.1 (AS16): a refresh token ends in time, like what it stands for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_ends_after_180_days() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let gw = TestGateway::wanted(Wanted { clock: clock.clone(), ..Wanted::default() }).await;
    let (tpp, first) = granted(&gw, "accounts").await;
    let refresh = first.text("/refresh_token");
    assert_eq!(introspected(&tpp, &refresh).await["exp"], clock.now().as_second() + 180 * 86_400);
    clock.advance(901);
    assert_eq!(opens(&tpp, &first.text("/access_token")).await, 401);
    assert_eq!(refreshed(&tpp, &refresh, None).await.status, 200);
    let global = gw.sandbox.gateway().stores().global();
    let digest = crypto::digest::sha256_hex(refresh.as_bytes());
    let end = domain::Timestamp::from_second(clock.now().as_second() + 181 * 86_400).unwrap();
    assert!(global.live_refresh_token(&digest, clock.now()).await.unwrap().is_some());
    assert!(global.live_refresh_token(&digest, end).await.unwrap().is_none());
    gw.sandbox.stop().await;
}

/// RFC 7009 §2.1 (R4, R1, R3): with a refresh token go the access tokens of its grant;
/// with an access token goes nothing else; another client revokes neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_refresh_token_takes_its_access_tokens_along() {
    let gw = TestGateway::start().await;
    let (tpp, first) = granted(&gw, "accounts").await;
    let (refresh, access) = (first.text("/refresh_token"), first.text("/access_token"));
    let second = refreshed(&tpp, &refresh, None).await.text("/access_token");
    let another = tokens(&gw, &tpp, &[]).await.text("/access_token");
    let other = tpp_as(&gw, &lasting()).await;
    assert_eq!(other.authenticated(REVOKE, &[("token", &refresh)]).await.unwrap().status, 200);
    assert_eq!(tpp.authenticated(REVOKE, &[("token", &access)]).await.unwrap().status, 200);
    assert_eq!(opens(&tpp, &access).await, 401);
    assert_eq!(opens(&tpp, &second).await, 200);
    let form = [("token", refresh.as_str()), ("token_type_hint", "access_token")];
    assert_eq!(tpp.authenticated(REVOKE, &form).await.unwrap().status, 200);
    assert_eq!(opens(&tpp, &second).await, 401);
    assert_error(&refreshed(&tpp, &refresh, None).await, 400, "invalid_grant");
    assert_eq!(opens(&tpp, &another).await, 200, "another grant's stays");
    gw.sandbox.stop().await;
}

/// RFC 7009 §2.2, §2.2.1 (R2, R5): what cannot be revoked is answered like what was;
/// an unknown hint does not matter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoking_what_is_no_token_is_no_error() {
    let gw = TestGateway::start().await;
    let (tpp, first) = granted(&gw, "openid accounts").await;
    for token in [&first.text("/id_token"), &first.text("/grant_id"), "x", &"y".repeat(10_000)] {
        for hint in ["access_token", "refresh_token", "id_token"] {
            let form = [("token", token), ("token_type_hint", hint)];
            assert_eq!(tpp.authenticated(REVOKE, &form).await.unwrap().status, 200);
        }
    }
    let access = first.text("/access_token");
    for _ in 0..2 {
        assert_eq!(tpp.authenticated(REVOKE, &[("token", &access)]).await.unwrap().status, 200);
    }
    gw.sandbox.stop().await;
}

/// RFC 7662 §2.1, §2.2, §4 (N1, N2, N3, N4, AS28): introspection is authenticated; it
/// tells a client about its own live tokens, and about everything else exactly
/// `{"active":false}`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn introspection_tells_a_client_about_its_own_live_tokens_only() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let gw = TestGateway::wanted(Wanted { clock: clock.clone(), ..Wanted::default() }).await;
    let (tpp, first) = granted(&gw, "accounts").await;
    let (refresh, access) = (first.text("/refresh_token"), first.text("/access_token"));
    let inactive = json!({ "active": false });
    let described = introspected(&tpp, &access).await;
    let shown = crypto::Certificate::from_pem(&gw.sandbox.access().pki.fintech.certificate_pem).unwrap();
    for (name, value) in [
        ("active", json!(true)),
        ("client_id", json!(tpp.client_id)),
        ("scope", json!("accounts")),
        ("token_type", json!("Bearer")),
        ("iss", json!(gw.sandbox.access().issuer)),
        ("cnf", json!({ "x5t#S256": shown.thumbprint.to_string() })),
        ("grant_id", json!(first.text("/grant_id"))),
        ("exp", json!(clock.now().as_second() + 900)),
    ] {
        assert_eq!(described[name], value, "{name}");
    }
    assert!(described["sub"].is_string());
    let of_refresh = introspected(&tpp, &refresh).await;
    assert_eq!(of_refresh["active"], true);
    assert!(of_refresh["token_type"].is_null(), "it is no access token");
    let other = tpp_as(&gw, &lasting()).await;
    for token in [&access, &refresh] {
        assert_eq!(introspected(&other, token).await, inactive);
    }
    let url = tpp.endpoint(INTROSPECT).unwrap();
    assert_error(&tpp.http.post_form(url, &[("token", &access)]).await.unwrap(), 401, "invalid_client");
    let named = [("token", access.as_str()), ("client_id", &tpp.client_id)];
    assert_error(&tpp.http.post_form(url, &named).await.unwrap(), 401, "invalid_client");
    assert_error(&tpp.authenticated(INTROSPECT, &[]).await.unwrap(), 400, "invalid_request");
    let by_certificate = registered(&tpp.http, &tpp, &metadata(&json!({}))).await;
    let form = [("token", access.as_str()), ("client_id", &by_certificate)];
    let answer = tpp.http.post_form(url, &form).await.unwrap().expect(200).unwrap();
    assert_eq!(answer.json(), inactive);
    for token in ["unknown", &first.text("/grant_id")] {
        assert_eq!(introspected(&tpp, token).await, inactive);
    }
    clock.advance(900);
    assert_eq!(introspected(&tpp, &access).await, inactive, "expired");
    tpp.authenticated(REVOKE, &[("token", &refresh)]).await.unwrap().expect(200).unwrap();
    assert_eq!(introspected(&tpp, &refresh).await, inactive, "revoked");
    gw.sandbox.stop().await;
}
