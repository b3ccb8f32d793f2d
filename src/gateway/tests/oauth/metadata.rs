//! What a client learns before it has done anything.

use std::collections::HashSet;

use http::Method;
use serde_json::json;

use crate::fintech::assert_error;
use crate::support::TestGateway;

/// RFC 8414 §3, OpenID Connect Discovery §4 (AS1): both locations say the same, on
/// both listeners, and the issuer is the address that was asked.
/// [module: discovery-end-point-verification]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metadata_is_the_same_everywhere_and_names_its_issuer() {
    let gw = TestGateway::start().await;
    let access = gw.sandbox.access();
    let anybody = gw.anybody();
    let read = async |origin: &str, place: &str| {
        anybody.get(&format!("{origin}/.well-known/{place}"), &[]).await.unwrap().expect(200).unwrap().json()
    };
    let metadata = read(&access.issuer, "openid-configuration").await;
    assert_eq!(metadata["issuer"], access.issuer);
    assert_eq!(metadata, read(&access.issuer, "oauth-authorization-server").await);
    assert_eq!(metadata, read(&access.api, "oauth-authorization-server").await);
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP §5.3.2.2 (AS3, AS4, AS7, AS18, M2): what the profile demands is what the metadata says.
/// [module: discovery-end-point-verification]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metadata_states_the_profile() {
    let gw = TestGateway::start().await;
    let server = gw.tpp().await.server;
    for (name, value) in [
        ("response_types_supported", json!(["code"])),
        ("code_challenge_methods_supported", json!(["S256"])),
        ("require_pushed_authorization_requests", json!(true)),
        ("authorization_response_iss_parameter_supported", json!(true)),
        ("tls_client_certificate_bound_access_tokens", json!(true)),
        (
            "token_endpoint_auth_methods_supported",
            json!(["private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"]),
        ),
        (
            "grant_types_supported",
            json!([
                "authorization_code",
                "refresh_token",
                "client_credentials",
                "urn:openid:params:grant-type:ciba"
            ]),
        ),
        (
            "authorization_details_types_supported",
            json!(["account_access", "payment_initiation", "vrp", "funds_confirmation"]),
        ),
        ("response_modes_supported", json!(["query", "query.jwt", "jwt"])),
        ("backchannel_token_delivery_modes_supported", json!(["poll", "ping"])),
        ("request_parameter_supported", json!(true)),
        ("dpop_signing_alg_values_supported", json!(["PS256", "ES256", "EdDSA", "Ed25519"])),
        ("request_object_signing_alg_values_supported", json!(["PS256", "ES256", "EdDSA", "Ed25519"])),
        ("token_endpoint_auth_signing_alg_values_supported", json!(["PS256", "ES256", "EdDSA", "Ed25519"])),
        ("authorization_signing_alg_values_supported", json!(["PS256"])),
        ("introspection_signing_alg_values_supported", json!(["PS256"])),
        ("id_token_signing_alg_values_supported", json!(["PS256"])),
        ("subject_types_supported", json!(["pairwise"])),
        ("grant_management_actions_supported", json!(["query", "revoke", "create", "merge", "replace"])),
    ] {
        assert_eq!(server[name], value, "{name}");
    }
    assert!(server["scopes_supported"].as_array().unwrap().contains(&json!("openid")));
    // FAPI 2.0 SP §5.4: PS256, ES256, EdDSA only.
    for (name, list) in server.as_object().unwrap().iter().filter(|(name, _)| name.contains("_alg_values_")) {
        for algorithm in list.as_array().unwrap() {
            assert!(["PS256", "ES256", "EdDSA", "Ed25519"].contains(&algorithm.as_str().unwrap()), "{name}");
        }
    }
    gw.sandbox.stop().await;
}

/// RFC 8414 §2 (AS2, M1): an address in the metadata is one that answers, over https;
/// RFC 8705 §5: so are its aliases.
/// [module: discovery-end-point-verification]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_endpoint_of_the_metadata_answers() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let server = tpp.server.clone();
    let aliases = server["mtls_endpoint_aliases"].as_object().unwrap();
    let named = server.as_object().unwrap().iter().chain(aliases);
    let mut seen = 0;
    for (name, url) in named.filter(|(name, _)| name.ends_with("_endpoint") || *name == "jwks_uri") {
        let url = url.as_str().unwrap();
        assert!(url.starts_with("https://"), "{name}");
        match name.as_str() {
            "jwks_uri" | "authorization_details_types_metadata_endpoint" => {
                assert_eq!(tpp.http.get(url, &[]).await.unwrap().status, 200);
            }
            "grant_management_endpoint" => {
                let answer = tpp.http.get(&format!("{url}/grt_x"), &[]).await.unwrap();
                crate::support::assert_problem(&answer, 401, "auth.token_missing");
            }
            "authorization_endpoint" => assert_eq!(tpp.http.get(url, &[]).await.unwrap().status, 400),
            "registration_endpoint" => {
                let answer = tpp.http.post_json(url, &[], &json!({})).await.unwrap();
                assert_error(&answer, 400, "invalid_redirect_uri");
            }
            _ => assert_error(&tpp.http.post_form(url, &[]).await.unwrap(), 401, "invalid_client"),
        }
        seen += 1;
    }
    assert_eq!(seen, 17);
    gw.sandbox.stop().await;
}

/// RFC 7517 §5, FAPI 2.0 SP §5.4 (AS18, AS20): public halves only, each with a name of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_published_keys_are_public_and_named_once() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let set = tpp.http.get(tpp.endpoint("jwks_uri").unwrap(), &[]).await.unwrap().json();
    let keys = set["keys"].as_array().unwrap();
    let names: HashSet<_> = keys.iter().map(|key| key["kid"].as_str().unwrap()).collect();
    assert!(!keys.is_empty() && names.len() == keys.len());
    for key in keys {
        assert_eq!((key["kty"].as_str(), key["alg"].as_str()), (Some("RSA"), Some("PS256")));
        assert!(["d", "p", "q", "dp", "dq", "qi", "k"].iter().all(|private| key[private].is_null()));
    }
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP §5.3.2.2 (AS21): other sites' scripts get nothing from the
/// authorization endpoint, and neither PAR nor token is there for GET.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_no_cors_and_no_get_on_the_back_channel() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let origin = [("origin", "https://evil.example"), ("access-control-request-method", "GET")];
    for method in [Method::GET, Method::OPTIONS] {
        let url = tpp.endpoint("authorization_endpoint").unwrap();
        let answer = tpp.http.send(method, url, &origin, "").await.unwrap();
        assert!(answer.status.is_client_error());
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")));
    }
    for name in ["pushed_authorization_request_endpoint", "token_endpoint", "revocation_endpoint"] {
        let answer = tpp.http.get(tpp.endpoint(name).unwrap(), &[]).await.unwrap();
        crate::support::assert_problem(&answer, 405, "request.method");
    }
    gw.sandbox.stop().await;
}
