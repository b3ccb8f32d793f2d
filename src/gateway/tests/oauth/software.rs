//! Software statements (RFC 7591 §2.3) and registrations that the client signs.

use std::sync::Arc;

use consentry::demo::{Answer, RETURN, Tpp};
use crypto::{Jwks, SigningKey};
use domain::{Clock, Entropy, SystemClock, SystemEntropy};
use http::Method;
use serde_json::{Value, json};

use crate::fintech::{assert_error, ec_key, metadata, signed};
use crate::forgeries::forgeries;
use crate::support::{TestGateway, Wanted};

const ISSUER: &str = "https://directory.example";

/// A sandbox that believes a directory, and the directory's key.
async fn with_directory(open_registration: bool) -> (TestGateway, Tpp, SigningKey) {
    let key = ec_key("directory");
    let issuers = json!([{ "issuer": ISSUER, "jwks": Jwks::of([&key]).to_value() }]);
    let wanted = Wanted { software_issuers: issuers, open_registration, ..Wanted::default() };
    let gw = TestGateway::wanted(wanted).await;
    let tpp = Tpp::discover(&gw.sandbox.access(), Arc::clone(&gw.clock)).await.unwrap();
    (gw, tpp, key)
}

fn statement(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER,
        "iat": SystemClock.now().as_second(),
        "software_id": "app-1",
        "software_client_name": "Stated Name",
        "software_redirect_uris": [RETURN, "https://fintech.consentry.example/second"],
        "software_roles": ["AISP"],
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

async fn sent(tpp: &Tpp, kind: &str, body: String) -> Answer {
    let url = tpp.endpoint("registration_endpoint").unwrap();
    tpp.http.send(Method::POST, url, &[("content-type", kind)], body).await.unwrap()
}

/// Registers with a statement and changed metadata.
async fn stated(tpp: &Tpp, statement: &str, changes: &Value) -> Answer {
    let mut asked = metadata(&json!({ "software_statement": statement, "scope": "openid accounts" }));
    asked.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    asked.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    sent(tpp, "application/json", asked.to_string()).await
}

/// RFC 7591 §2.3, §3.1.1 (C3): what a trusted statement says takes precedence over
/// the request, and bounds it; the statement comes back as it went.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_software_statement_takes_precedence_and_bounds_the_request() {
    let (gw, mut tpp, directory) = with_directory(true).await;
    let keys = ec_key("stated");
    let good = signed(&directory, &statement(&json!({ "software_jwks": Jwks::of([&keys]).to_value() })));
    let other = Jwks::of([&ec_key("asked")]).to_value();
    let asked = json!({
        "client_name": "Asked Name",
        "software_id": "app-2",
        "jwks": other,
        "token_endpoint_auth_method": "private_key_jwt",
        "tls_client_auth_san_dns": null,
    });
    let answer = stated(&tpp, &good, &asked).await.expect(201).unwrap();
    assert_eq!(answer.text("/client_name"), "Stated Name");
    assert_eq!(answer.text("/software_id"), "app-1");
    assert_eq!(answer.json()["jwks"]["keys"][0]["kid"], "stated");
    assert_eq!(answer.text("/software_statement"), good);
    // The stated key is the client's.
    tpp.client_id = answer.text("/client_id");
    tpp.own_token("accounts").await.unwrap_err();
    tpp.key = Arc::new(keys);
    tpp.own_token("accounts").await.unwrap();
    // Without redirect_uris and scope of its own it gets the stated ones.
    let plain = signed(&directory, &statement(&json!({})));
    let answer = stated(&tpp, &plain, &json!({ "redirect_uris": null, "scope": null })).await;
    let answer = answer.expect(201).unwrap();
    assert_eq!(answer.json()["redirect_uris"].as_array().unwrap().len(), 2);
    assert_eq!(answer.text("/scope"), "openid accounts");
    let outside = json!({ "redirect_uris": [RETURN, "https://evil.example/"] });
    assert_error(&stated(&tpp, &plain, &outside).await, 400, "invalid_redirect_uri");
    let more = json!({ "scope": "accounts payments" });
    assert_error(&stated(&tpp, &plain, &more).await, 400, "invalid_client_metadata");
    gw.sandbox.stop().await;
}

/// RFC 7591 §3.2.2 (C2, C3): a statement of an issuer that is not trusted is
/// unapproved_software_statement; one that is forged, expired, or no JWT,
/// invalid_software_statement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_cannot_be_believed_is_refused() {
    let (gw, tpp, directory) = with_directory(true).await;
    let now = SystemClock.now().as_second();
    for (changes, error) in [
        (json!({ "iss": "https://elsewhere.example" }), "unapproved_software_statement"),
        (json!({ "iss": null }), "unapproved_software_statement"),
        (json!({ "exp": now - 1 }), "invalid_software_statement"),
        (json!({ "exp": "never" }), "invalid_software_statement"),
        (json!({ "iat": null }), "invalid_software_statement"),
        (json!({ "iat": now + 600 }), "invalid_software_statement"),
    ] {
        let answer = stated(&tpp, &signed(&directory, &statement(&changes)), &json!({})).await;
        assert_eq!(answer.status, 400, "{changes}");
        assert_error(&answer, 400, error);
    }
    let good = statement(&json!({ "exp": now + 600 }));
    for (case, text) in forgeries(&directory, &good) {
        let answer = stated(&tpp, &text, &json!({})).await;
        assert_eq!(answer.status, 400, "{case}");
        // One whose text cannot be read names no issuer, either.
        let known = ["invalid_software_statement", "unapproved_software_statement"];
        assert!(known.contains(&answer.text("/error").as_str()), "{case}: {}", answer.json());
    }
    let mut object = metadata(&json!({}));
    object["software_statement"] = good.clone();
    let answer = sent(&tpp, "application/json", object.to_string()).await;
    assert_error(&answer, 400, "invalid_software_statement");
    assert_eq!(stated(&tpp, &signed(&directory, &good), &json!({})).await.status, 201);
    gw.sandbox.stop().await;
}

/// RFC 7591 §3 (C3): where registration is not open, a statement is needed, also
/// to change a registration later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_registration_wants_a_statement_and_keeps_wanting_it() {
    let (gw, tpp, directory) = with_directory(false).await;
    let answer = sent(&tpp, "application/json", metadata(&json!({})).to_string()).await;
    assert_error(&answer, 400, "invalid_software_statement");
    let good = signed(&directory, &statement(&json!({})));
    let registration = stated(&tpp, &good, &json!({})).await.expect(201).unwrap().json();
    let url = registration["registration_client_uri"].as_str().unwrap();
    let bearer = format!("Bearer {}", registration["registration_access_token"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let mut wider = metadata(&json!({ "client_id": registration["client_id"] }));
    wider["client_name"] = json!("Somebody Else");
    let answer = tpp.http.send(Method::PUT, url, &headers, wider.to_string()).await.unwrap();
    assert_error(&answer, 400, "invalid_software_statement");
    wider["software_statement"] = json!(good);
    wider["scope"] = json!("openid accounts");
    let answer = tpp.http.send(Method::PUT, url, &headers, wider.to_string()).await.unwrap();
    assert_eq!(answer.expect(200).unwrap().text("/client_name"), "Stated Name");
    gw.sandbox.stop().await;
}

/// UK Open Banking DCR 3.3, RFC 7591 §3.1 (C1, C2, C3): a registration may be a JWT
/// that the client signed with a key it registers, for us, in time, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_that_the_client_signed_is_checked_and_taken_once() {
    let (gw, tpp, directory) = with_directory(true).await;
    let key = ec_key("own");
    let jwks = Jwks::of([&key]).to_value();
    let stated = signed(&directory, &statement(&json!({ "software_jwks": jwks })));
    let now = gw.clock.now().as_second();
    let issuer = gw.sandbox.access().issuer;
    let claims = |changes: Value| {
        let mut claims = metadata(&json!({
            "iss": "app-1",
            "aud": issuer,
            "iat": now,
            "exp": now + 300,
            "jti": SystemEntropy.uuid_v4(),
            "scope": "openid accounts",
            "software_statement": stated,
        }));
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        claims
    };
    for changes in [
        json!({ "iss": "app-2" }),
        json!({ "iss": null }),
        json!({ "aud": "https://elsewhere.example" }),
        json!({ "aud": null }),
        json!({ "exp": now - 1 }),
        json!({ "exp": null }),
        json!({ "exp": now + 7_200 }),
        json!({ "iat": now + 600 }),
        json!({ "iat": null }),
        json!({ "jti": null }),
        json!({ "jti": "" }),
    ] {
        let answer = sent(&tpp, "application/jose", signed(&key, &claims(changes.clone()))).await;
        assert_eq!(answer.status, 400, "{changes}");
        assert_error(&answer, 400, "invalid_client_metadata");
    }
    for (case, forged) in forgeries(&key, &claims(json!({}))) {
        let answer = sent(&tpp, "application/jwt", forged).await;
        assert_eq!(answer.status, 400, "{case}");
        assert_error(&answer, 400, "invalid_client_metadata");
    }
    let keyless = claims(json!({ "software_statement": null }));
    let answer = sent(&tpp, "application/jwt", signed(&key, &keyless)).await;
    assert_error(&answer, 400, "invalid_client_metadata");
    let good = signed(&key, &claims(json!({ "aud": [issuer, "https://elsewhere.example"] })));
    let answer = sent(&tpp, "application/jose", good.clone()).await.expect(201).unwrap();
    assert!(answer.json()["jti"].is_null() && answer.json()["aud"].is_null());
    assert_eq!(answer.text("/software_id"), "app-1");
    assert_error(&sent(&tpp, "application/jose", good).await, 400, "invalid_client_metadata");
    // Without a statement, by a key that it names itself.
    let own = claims(json!({ "software_statement": null, "jwks": jwks }));
    assert_eq!(sent(&tpp, "application/jwt", signed(&key, &own)).await.status, 201);
    gw.sandbox.stop().await;
}
