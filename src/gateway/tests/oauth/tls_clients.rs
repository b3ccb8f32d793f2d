//! `tls_client_auth` (RFC 8705 §2.1), and what a certificate is worth.

use consentry::demo::Tpp;
use crypto::pki::Authority;
use domain::{Clock, SystemClock};
use http::StatusCode;
use serde_json::json;

use crate::fintech::{assert_error, authority, metadata, own_token_of, registered, subject, tpp_with, with};
use crate::support::{TestGateway, assert_problem};

async fn status_with(tpp: &Tpp, http: &consentry::demo::Client, id: &str) -> StatusCode {
    let answer = own_token_of(http, tpp, id, "accounts").await;
    if answer.status != 200 {
        assert_error(&answer, 401, "invalid_client");
    }
    answer.status
}

/// RFC 8705 §2.1 (AS13): trusted chain, in date, the registered subject; a
/// new certificate of the same subject is as good as the old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_trusted_certificate_with_the_registered_subject_authenticates() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let id = registered(&tpp.http, &tpp, &metadata(&json!({}))).await;
    let sandbox_ca = authority(&gw);
    let look_alike = Authority::new("Consentry sandbox root", SystemClock.now()).unwrap();
    let mut stranger = subject();
    stranger.common_name = "other.example".to_owned();
    stranger.san_dns = vec!["other.example".to_owned()];

    assert_eq!(status_with(&tpp, &tpp.http, &id).await, 200);
    let renewed = with(&gw, &sandbox_ca.issue_qwac(&subject()).unwrap());
    assert_eq!(status_with(&tpp, &renewed, &id).await, 200);

    assert_eq!(status_with(&tpp, &gw.anybody(), &id).await, 401);
    for refused in [
        look_alike.issue_qwac(&subject()).unwrap(),
        sandbox_ca.issue_qwac_for(&subject(), -1).unwrap(),
        sandbox_ca.issue_qwac(&stranger).unwrap(),
        // A common name is not a registered subject attribute.
        sandbox_ca.issue_client_plain("fintech.consentry.example").unwrap(),
    ] {
        assert_eq!(status_with(&tpp, &with(&gw, &refused), &id).await, 401);
    }
    gw.sandbox.stop().await;
}

/// PSD2 (C7): a client is one organisation. A trusted certificate of another
/// one does not speak for it, by neither method.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_organisation_does_not_speak_for_a_client() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let id = registered(&tpp.http, &tpp, &metadata(&json!({}))).await;
    let mut impostor = subject();
    impostor.organization_identifier = "PSDDE-BAFIN-999999".to_owned();
    let impostor = authority(&gw).issue_qwac(&impostor).unwrap();
    assert_eq!(status_with(&tpp, &with(&gw, &impostor), &id).await, 401);
    tpp_with(&gw, &tpp, &impostor).own_token("accounts").await.unwrap_err();
    gw.sandbox.stop().await;
}

/// ETSI TS 119 495 (C7): nor can it say at registration that it is another organisation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_organisation_of_a_client_is_that_of_its_certificate() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let endpoint = tpp.endpoint("registration_endpoint").unwrap();
    let claimed = metadata(&json!({ "organization_identifier": "PSDGB-FCA-900100" }));
    let answer = tpp.http.post_json(endpoint, &[], &claimed).await.unwrap();
    assert_eq!(answer.text("/organization_identifier"), "PSDDE-BAFIN-900200");
    let answer = gw.anybody().post_json(endpoint, &[], &claimed).await.unwrap();
    assert_error(&answer, 401, "invalid_client");
    gw.sandbox.stop().await;
}

/// RFC 8705 §2.1.2, RFC 7591 §3.2.2 (C2): what cannot work is refused at registration.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_that_cannot_work_is_refused() {
    let gw = TestGateway::that_reports().await;
    let tpp = gw.tpp().await;
    let endpoint = tpp.endpoint("registration_endpoint").unwrap();
    for changes in [
        json!({ "tls_client_auth_subject_dn": "CN=x" }),
        json!({ "tls_client_auth_san_dns": null }),
        json!({ "token_endpoint_auth_method": "client_secret_basic" }),
        json!({ "token_endpoint_auth_method": "private_key_jwt" }),
        json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [] } }),
        json!({ "response_types": ["token"] }),
        json!({ "scope": "accounts admin" }),
        json!({ "client_name": "" }),
        json!({ "client_name": "a\u{0}b" }),
        json!({ "redirect_uris": "https://a.example" }),
    ] {
        let answer = tpp.http.post_json(endpoint, &[], &metadata(&changes)).await.unwrap();
        assert_error(&answer, 400, "invalid_client_metadata");
    }
    for uri in ["http://a.example/cb", "https://a.example/#f", "javascript:alert(1)", ""] {
        let answer =
            tpp.http.post_json(endpoint, &[], &metadata(&json!({ "redirect_uris": [uri] }))).await.unwrap();
        assert_error(&answer, 400, "invalid_redirect_uri");
    }
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP (RS4, RS7): the API tells what is wrong with a certificate, with a challenge.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_says_what_is_wrong_with_a_certificate() {
    let gw = TestGateway::that_reports().await;
    let tpp = gw.tpp().await;
    let token = tpp.own_token("accounts").await.unwrap();
    let look_alike = Authority::new("Consentry sandbox root", SystemClock.now()).unwrap();
    let mut nobody = tpp.clone();
    nobody.http = gw.anybody();
    let expired = authority(&gw).issue_qwac_for(&subject(), -1).unwrap();
    let foreign = look_alike.issue_qwac(&subject()).unwrap();
    for (client, code) in [
        (nobody, "auth.certificate_missing"),
        (tpp_with(&gw, &tpp, &expired), "auth.certificate_out_of_date"),
        (tpp_with(&gw, &tpp, &foreign), "auth.certificate_untrusted"),
    ] {
        let answer = client.get(&token, "/v1/consents/con_uk_0").await.unwrap();
        assert_problem(&answer, 401, code);
        assert!(answer.header("www-authenticate").is_some(), "{code}");
    }
    gw.sandbox.stop().await;
}
