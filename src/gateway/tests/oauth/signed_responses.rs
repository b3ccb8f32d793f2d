//! What we sign, read by another library: JARM, introspection, id_tokens.

use consentry::demo::{Answer, RETURN, Tpp, Visit, verifier};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Value, json};

use crate::fintech::{INTROSPECT, authorise, push, tokens, tpp_as};
use crate::support::{TestGateway, UK, Wanted, parameter};

/// Header and claims of a JWT of ours, verified by `jsonwebtoken` with the published
/// keys: algorithm, signature, issuer, audience and, where there is one, the end.
async fn verified(gw: &TestGateway, tpp: &Tpp, jwt: &str) -> (jsonwebtoken::Header, Value) {
    let set = tpp.http.get(tpp.endpoint("jwks_uri").unwrap(), &[]).await.unwrap();
    let set: JwkSet = serde_json::from_slice(&set.body).unwrap();
    let header = jsonwebtoken::decode_header(jwt).unwrap();
    let key = set.find(header.kid.as_deref().unwrap()).unwrap();
    let mut rules = Validation::new(Algorithm::PS256);
    rules.set_audience(&[&tpp.client_id]);
    rules.set_issuer(&[gw.sandbox.access().issuer]);
    rules.set_required_spec_claims(&["iss", "aud"]);
    let key = DecodingKey::from_jwk(key).unwrap();
    let read = jsonwebtoken::decode::<Value>(jwt, &key, &rules).unwrap();
    (read.header, read.claims)
}

/// Holds a walk's end to being one signed response, and nothing beside it.
async fn response(gw: &TestGateway, tpp: &Tpp, visit: &Visit) -> Value {
    let names: Vec<_> = visit.url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(names, ["response"]);
    let (_, claims) = verified(gw, tpp, &parameter(visit, "response")).await;
    let now = gw.clock.now().as_second();
    let exp = claims["exp"].as_i64().unwrap();
    assert!(exp > now && exp <= now + 600, "MS7: ten minutes at most");
    claims
}

/// JARM §2.1, §2.3, FAPI 2.0 MS §5.4 (MS7, AS7, AS22): a success is one JWT with iss,
/// aud, exp, code and state; `jwt` and `query.jwt` are the same.
/// [module: happy-flow]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_can_be_answered_with_one_signed_jwt() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    for mode in ["jwt", "query.jwt"] {
        let verifier = verifier();
        let visit = authorise(&gw, &tpp, &verifier, &[("response_mode", Some(mode))]).await;
        let claims = response(&gw, &tpp, &visit).await;
        assert_eq!(claims["state"], "s");
        let code = claims["code"].as_str().unwrap();
        assert_eq!(tpp.redeem(code, &verifier).await.unwrap().status, 200);
    }
    let visit = authorise(&gw, &tpp, &verifier(), &[("response_mode", Some("jwt")), ("state", None)]).await;
    assert!(response(&gw, &tpp, &visit).await["state"].is_null());
    gw.sandbox.stop().await;
}

/// JARM §2.1, RFC 6749 §4.1.2.1 (MS7, AS23): a refusal is one, too.
/// [module: user-rejects-authentication]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_can_be_answered_with_one_signed_jwt() {
    let gw = TestGateway::wanted(Wanted { auto_approve: false, ..Wanted::default() }).await;
    let tpp = gw.tpp().await;
    let pushed = push(&tpp, &verifier(), &[("response_mode", Some("jwt"))]).await.expect(201).unwrap();
    let mut person = gw.person();
    person.decision = "decline";
    let visit = person.walk(&tpp.start_of(&pushed).unwrap(), RETURN).await.unwrap();
    let claims = response(&gw, &tpp, &visit).await;
    assert_eq!((&claims["error"], &claims["state"]), (&json!("access_denied"), &json!("s")));
    assert!(claims["code"].is_null());
    gw.sandbox.stop().await;
}

/// RFC 6749 §3.1.2, FAPI 2.0 SP §5.3.2.2 (AS6, MS7): a redirect_uri keeps the query it
/// was registered with.
/// [module: happy-flow]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_uri_keeps_its_own_query() {
    let gw = TestGateway::start().await;
    let bearing = format!("{RETURN}?dummy1=lorem&dummy2=ipsum");
    let tpp = tpp_as(&gw, &json!({ "redirect_uris": [bearing, RETURN] })).await;
    for (mode, last) in [("query", "iss"), ("jwt", "response")] {
        let changes = [("redirect_uri", Some(bearing.as_str())), ("response_mode", Some(mode))];
        let visit = authorise(&gw, &tpp, &verifier(), &changes).await;
        assert_eq!(
            (parameter(&visit, "dummy1"), parameter(&visit, "dummy2")),
            ("lorem".into(), "ipsum".into())
        );
        assert!(!parameter(&visit, last).is_empty());
    }
    gw.sandbox.stop().await;
}

async fn introspected(tpp: &Tpp, token: &str, accept: Option<&str>) -> Answer {
    let accept: Vec<_> = accept.map(|accept| ("accept", accept)).into_iter().collect();
    tpp.authenticated_with(INTROSPECT, &accept, &[("token", token)]).await.unwrap().expect(200).unwrap()
}

/// RFC 9701 §4, §5 (MS8, N2, N3): introspection is a JWT where the client asks for one
/// or is registered for it: of its own type, for the client, with the same answer
/// inside, and neither sub nor exp of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn introspection_is_signed_where_it_is_wanted() {
    const SIGNED: &str = "application/token-introspection+jwt";
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let registered = tpp_as(&gw, &json!({ "introspection_signed_response_alg": "PS256" })).await;
    for (tpp, accept) in [(&tpp, Some(SIGNED)), (&registered, None), (&registered, Some("application/json"))]
    {
        let token =
            secrecy::ExposeSecret::expose_secret(&tpp.own_token("accounts").await.unwrap()).to_owned();
        for (token, active) in [(token.as_str(), true), ("unknown", false)] {
            let answer = introspected(tpp, token, accept).await;
            assert_eq!(answer.header("content-type"), Some(SIGNED));
            let jwt = std::str::from_utf8(&answer.body).unwrap();
            let (header, claims) = verified(&gw, tpp, jwt).await;
            assert_eq!(header.typ.as_deref(), Some("token-introspection+jwt"));
            assert!(claims["iat"].is_i64() && claims["sub"].is_null() && claims["exp"].is_null());
            let inside = &claims["token_introspection"];
            assert_eq!(inside["active"], active);
            if active {
                assert!(inside["cnf"]["x5t#S256"].is_string() && inside["exp"].is_i64());
            } else {
                assert_eq!(*inside, json!({ "active": false }));
            }
        }
    }
    let plain = introspected(&tpp, "unknown", None).await;
    assert_eq!(plain.header("content-type"), Some("application/json"));
    gw.sandbox.stop().await;
}

/// OpenID Connect Core §2, §3.1.3.7 (AS25): an id_token says who issued it to whom,
/// when, for which nonce, and how the bank authenticated; each grant has a name of its
/// own.
/// [module: ensure-authorization-request-with-64-char-nonce-success]
/// [module: ensure-authorization-request-with-long-nonce]
/// [module: ensure-authorization-request-without-nonce-success]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_token_holds_for_another_library() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let mut names = std::collections::BTreeSet::new();
    for nonce in [Some("n".repeat(64)), Some("m".repeat(384)), None] {
        let changes = [("scope", Some("openid accounts")), ("nonce", nonce.as_deref())];
        let answer = tokens(&gw, &tpp, &changes).await;
        let (header, claims) = verified(&gw, &tpp, &answer.text("/id_token")).await;
        assert_eq!(header.typ.as_deref(), Some("JWT"));
        assert_eq!(claims["nonce"], json!(nonce));
        assert!(claims["exp"].as_i64() > claims["iat"].as_i64());
        // No bank authenticated anybody for a grant without consents.
        assert!(claims["acr"].is_null() && claims["auth_time"].is_null());
        names.insert(claims["sub"].to_string());
    }
    assert_eq!(names.len(), 3);
    let own = tpp.own_token("accounts").await.unwrap();
    let consent = tpp.lodge(&own, &[UK]).await.unwrap().remove(0);
    let details = json!([{ "type": "account_access", "consent_id": consent }]).to_string();
    let changes = [("scope", Some("openid accounts")), ("authorization_details", Some(details.as_str()))];
    let answer = tokens(&gw, &tpp, &changes).await;
    let (_, claims) = verified(&gw, &tpp, &answer.text("/id_token")).await;
    assert_eq!(claims["acr"], "urn:openbanking:psd2:sca");
    assert!(claims["auth_time"].as_i64().is_some_and(|at| at <= gw.clock.now().as_second()));
    // Too long to be kept whole: refused, not cut.
    let long = "n".repeat(1_025);
    let answer = push(&tpp, &verifier(), &[("nonce", Some(&long))]).await;
    crate::fintech::assert_error(&answer, 400, "invalid_request");
    gw.sandbox.stop().await;
}
