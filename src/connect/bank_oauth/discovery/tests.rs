use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;

use super::*;
use crate::AuthorizationServer;

fn published(change: impl FnOnce(&mut Value)) -> Published {
    let mut document = json!({
        "issuer": "https://as.bank.example",
        "authorization_endpoint": "https://login.bank.example/authorize",
        "token_endpoint": "https://as.bank.example/token",
        "mtls_endpoint_aliases": { "token_endpoint": "https://mtls.bank.example/token" },
        "jwks_uri": "https://as.bank.example/keys",
        "response_types_supported": ["code", "code id_token"],
        "id_token_signing_alg_values_supported": ["PS256", "ES256"],
        "token_endpoint_auth_methods_supported": ["tls_client_auth"],
        "claims_parameter_supported": true,
    });
    change(&mut document);
    Published::from_value(document).unwrap()
}

fn profile() -> Profile {
    let mut profile =
        Profile::blank("gb-bank".parse().unwrap(), "Bank", "uk".parse().unwrap(), "uk-open-banking");
    profile.authorization_server = Some(AuthorizationServer {
        issuer: Some("https://as.bank.example".into()),
        ..AuthorizationServer::default()
    });
    profile.hosts = vec!["mtls.bank.example".into()];
    profile
}

fn told(drifts: &[Drift]) -> Vec<(&str, &str)> {
    drifts.iter().map(|drift| (drift.member.as_str(), drift.meaning.as_str())).collect()
}

/// Each difference is told by its member and what it means, the gravest first.
#[test]
fn what_a_bank_changed_is_told_member_by_member() {
    let before = published(|_| {});
    let since = |change: fn(&mut Value)| published(change).since(&before);
    assert_eq!(since(|_| {}), []);
    let reordered = published(|new| new["response_types_supported"] = json!(["code id_token", "code"]));
    assert_eq!(reordered.since(&before), []);
    assert_eq!(reordered.digest(), before.digest());

    let drifts = since(|new| {
        new["issuer"] = json!("https://other.example");
        new["token_endpoint"] = json!("https://as.bank.example/v2/token");
        new["mtls_endpoint_aliases"] = json!({ "token_endpoint": "https://mtls2.bank.example/token" });
        new["registration_endpoint"] = json!("https://as.bank.example/register");
        new.as_object_mut().unwrap().remove("jwks_uri");
        new["id_token_signing_alg_values_supported"] = json!(["PS256", "RS256"]);
        new["response_types_supported"] = json!(["code"]);
        new["token_endpoint_auth_methods_supported"] = json!(["tls_client_auth", "private_key_jwt"]);
        new["claims_parameter_supported"] = json!(false);
    });
    assert_eq!(
        told(&drifts),
        [
            ("issuer", "issuer-changed"),
            ("mtls_endpoint_aliases/token_endpoint", "endpoint-moved"),
            ("token_endpoint", "endpoint-moved"),
            ("jwks_uri", "endpoint-gone"),
            ("registration_endpoint", "endpoint-added"),
            ("id_token_signing_alg_values_supported", "algorithm-dropped"),
            ("id_token_signing_alg_values_supported", "algorithm-added"),
            ("response_types_supported", "value-dropped"),
            ("token_endpoint_auth_methods_supported", "value-added"),
            ("claims_parameter_supported", "changed"),
        ]
    );
    let dropped = drifts.iter().find(|drift| drift.meaning == Meaning::AlgorithmDropped).unwrap();
    assert_eq!((&dropped.before, &dropped.now), (&Some(json!(["ES256"])), &None));
    assert_ne!(published(|new| new["issuer"] = json!("x")).digest(), before.digest());
}

#[test]
fn what_does_not_fit_the_profile_is_told_without_anything_to_compare_with() {
    let misfits = |change: fn(&mut Value), profile: &Profile| {
        let drifts = published(change).misfits(profile);
        told(&drifts).into_iter().map(|(member, meaning)| format!("{member} {meaning}")).collect::<Vec<_>>()
    };
    assert_eq!(misfits(|_| {}, &profile()), [""; 0]);
    let foreign: fn(&mut Value) = |new| {
        new["mtls_endpoint_aliases"]["token_endpoint"] = json!("https://evil.example/token");
        new["registration_endpoint"] = json!("https://evil.example/register");
        new["id_token_signing_alg_values_supported"] = json!(["RS256"]);
        new["issuer"] = json!("https://as.bank.example/");
    };
    assert_eq!(
        misfits(foreign, &profile()),
        [
            "issuer issuer-changed",
            "mtls_endpoint_aliases/token_endpoint foreign-host",
            "registration_endpoint foreign-host",
            "id_token_signing_alg_values_supported not-offered",
        ]
    );
    let assertion = Profile { client_auth: ClientAuth::PrivateKeyJwt, ..profile() };
    assert_eq!(misfits(|_| {}, &assertion), ["token_endpoint_auth_methods_supported not-offered"]);
}

/// RFC 9111 §5.2.2.1, within limits of ours.
#[test]
fn metadata_counts_as_long_as_the_bank_says_within_limits() {
    let lifetime = |cache_control: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("cache-control", HeaderValue::from_static(cache_control));
        let body = published(|_| {}).to_value().to_string().into();
        let response = BankResponse { status: StatusCode::OK, headers, body };
        let from = Url::parse("https://as.bank.example/.well-known/openid-configuration").unwrap();
        Discovery::of(&profile(), from, response).unwrap().lifetime().as_secs()
    };
    assert_eq!(lifetime("public, max-age=7200"), 7_200);
    assert_eq!((lifetime("max-age=1"), lifetime("max-age=99999999")), (300, 86_400));
    assert_eq!((lifetime("no-store"), lifetime("max-age=soon")), (3_600, 3_600));
}
