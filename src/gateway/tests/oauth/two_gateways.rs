//! Two gateways on one store: what one revokes, the other does not accept (invariant:
//! once a revocation has returned, no process accepts what it revoked).

use std::sync::Arc;

use consentry::demo::{Tpp, bearer};
use consentry::sandbox::Sandbox;
use flows::Invalidated;
use http::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::fintech::{REVOKE, TOKEN, assert_error, authorise, tokens, tpp_as};
use crate::support::{TestGateway, parameter};

const PATH: &str = "/v1/accounts";

/// Two gateways, and one client that reaches either.
async fn pair() -> (TestGateway, Sandbox, Tpp, Tpp) {
    let gw = TestGateway::start().await;
    let twin = gw.twin().await;
    let grants = ["authorization_code", "client_credentials", "refresh_token"];
    let here = tpp_as(&gw, &json!({ "grant_types": grants })).await;
    let mut there = Tpp::discover(&twin.access(), Arc::clone(&gw.clock)).await.unwrap();
    there.client_id = here.client_id.clone();
    (gw, twin, here, there)
}

async fn stopped(gw: TestGateway, twin: Sandbox) {
    twin.stop().await;
    gw.sandbox.stop().await;
}

async fn opens(tpp: &Tpp, token: &SecretString) -> bool {
    tpp.get(token, PATH).await.unwrap().status == 200
}

/// Holds a token to be in the memory of both.
async fn warm(here: &Tpp, there: &Tpp, token: &SecretString) {
    for tpp in [here, there, here, there] {
        assert!(opens(tpp, token).await);
    }
}

/// RFC 7009 §2 (RS3, R4): a token that one gateway revoked is refused by the other from
/// that moment on; requests that began before may still be answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_revoked_at_one_gateway_is_refused_by_the_other() {
    let (gw, twin, here, there) = pair().await;
    for (revoking, reading) in [(&here, &there), (&there, &here), (&here, &there), (&there, &here)] {
        let token = here.own_token("accounts").await.unwrap();
        warm(&here, &there, &token).await;
        let done = tokio_util::sync::CancellationToken::new();
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (reading, token, done) = (reading.clone(), token.clone(), done.clone());
            readers.spawn(async move {
                // One whose request begins after the revocation returned tells.
                loop {
                    let late = done.is_cancelled();
                    let opened = opens(&reading, &token).await;
                    if late {
                        return opened;
                    }
                }
            });
        }
        let form = [("token", token.expose_secret())];
        revoking.authenticated(REVOKE, &form).await.unwrap().expect(200).unwrap();
        done.cancel();
        assert!(readers.join_all().await.iter().all(|opened| !opened));
        assert!(!opens(revoking, &token).await);
    }
    stopped(gw, twin).await;
}

/// RFC 7009 §2.1, FAPI Grant Management §6.4, RFC 7592 §2.3 (RS3, R4, C6): so it is with a
/// refresh token, a grant, a suspended and a deleted client, and a replayed code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_ends_tokens_at_one_gateway_ends_them_at_the_other() {
    let (gw, twin, here, there) = pair().await;
    let given = async || {
        let answer = tokens(&gw, &here, &[]).await;
        let token = SecretString::from(answer.text("/access_token"));
        warm(&here, &there, &token).await;
        (answer, token)
    };

    let (answer, token) = given().await;
    let refresh = answer.text("/refresh_token");
    there.authenticated(REVOKE, &[("token", &refresh)]).await.unwrap().expect(200).unwrap();
    assert!(!opens(&here, &token).await && !opens(&there, &token).await, "refresh token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    assert_error(&here.authenticated(TOKEN, &form).await.unwrap(), 400, "invalid_grant");

    let (answer, token) = given().await;
    let end = bearer(&here.own_token("grant_management_revoke").await.unwrap());
    let url = format!("{}/{}", here.endpoint("grant_management_endpoint").unwrap(), answer.text("/grant_id"));
    let gone = here.http.send(Method::DELETE, &url, &[("authorization", &end)], "").await.unwrap();
    assert_eq!(gone.status, 204);
    assert!(!opens(&there, &token).await && !opens(&here, &token).await, "grant");

    let verifier = consentry::demo::verifier();
    let code = parameter(&authorise(&gw, &here, &verifier, &[]).await, "code");
    let answer = here.redeem(&code, &verifier).await.unwrap().expect(200).unwrap();
    let token = SecretString::from(answer.text("/access_token"));
    warm(&here, &there, &token).await;
    assert_error(&there.redeem(&code, &verifier).await.unwrap(), 400, "invalid_grant");
    assert!(!opens(&here, &token).await && !opens(&there, &token).await, "replayed code");

    let (_, token) = given().await;
    let suspending = gw.sandbox.gateway();
    let suspended = store::transaction!(suspending.stores().global(), tx => {
        tx.set_client_status(&here.client_id, "suspended").await?;
        suspending.invalidate(tx, Invalidated::Client(&here.client_id)).await
    });
    suspending.until_dropped(&suspended.unwrap()).await.unwrap();
    assert!(!opens(&there, &token).await && !opens(&here, &token).await, "client");
    there.own_token("accounts").await.unwrap_err();
    stopped(gw, twin).await;
}

/// RFC 6749 §4.1.2 (AS9, AS12): fifty redemptions of one code at two gateways give one token at most,
/// and it is revoked; a key that is removed at one authenticates at neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_redeemed_once_at_however_many_gateways() {
    let (gw, twin, here, there) = pair().await;
    let verifier = consentry::demo::verifier();
    let code = parameter(&authorise(&gw, &here, &verifier, &[]).await, "code");
    let mut tries = tokio::task::JoinSet::new();
    for n in 0..50 {
        let tpp = if n % 2 == 0 { here.clone() } else { there.clone() };
        let (code, verifier) = (code.clone(), verifier.clone());
        tries.spawn(async move { tpp.redeem(&code, &verifier).await.unwrap() });
    }
    let answers = tries.join_all().await;
    let given: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(given.len(), 1);
    let token = SecretString::from(given[0].text("/access_token"));
    assert!(!opens(&here, &token).await && !opens(&there, &token).await);

    let own = here.own_token("accounts").await.unwrap();
    there.own_token("accounts").await.unwrap();
    let mut renewed = there.clone();
    renewed.key = Arc::new(crate::fintech::ec_key("demo-2"));
    let bearer = bearer(&own);
    let headers = [("authorization", bearer.as_str())];
    let url = format!("{}/v1/application/keys", here.api);
    here.http.post_json(&url, &headers, &renewed.key.public_jwk()).await.unwrap().expect(201).unwrap();
    renewed.own_token("accounts").await.unwrap();
    let removed = here.http.send(Method::DELETE, &format!("{url}/demo-1"), &headers, "").await.unwrap();
    assert_eq!(removed.status, 204);
    there.own_token("accounts").await.unwrap_err();
    here.own_token("accounts").await.unwrap_err();
    stopped(gw, twin).await;
}

/// Invariant (RS3): a revocation waits for every process that may still use its copy: for a
/// silent one until its lease is over, for one that has followed not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_outwaits_the_lease_of_a_silent_gateway() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let global = gw.sandbox.gateway().stores().global().clone();
    let in_seconds = |n| domain::Timestamp::from_second(gw.clock.now().as_second() + n).unwrap();
    let revoke = async || {
        let token = tpp.own_token("accounts").await.unwrap();
        tpp.authenticated(REVOKE, &[("token", token.expose_secret())]).await.unwrap().expect(200).unwrap();
    };
    let (silent, far) = (in_seconds(2), in_seconds(600));
    global.note_instance("followed", i64::MAX, far).await.unwrap();
    global.note_instance("silent", 0, silent).await.unwrap();
    revoke().await;
    assert!(gw.clock.now() >= silent && gw.clock.now() < far);
    gw.sandbox.stop().await;
}
