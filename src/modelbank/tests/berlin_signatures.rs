//! What the Berlin Group banks want signed, and that they take nothing less.

mod world;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use consentry_modelbank::{BankKind, Fact};
use crypto::Psd2Role;
use crypto::message_signature::{self, Parameters};
use domain::Clock;
use world::{REDIRECTED, Tpp, World, consent_body};

#[tokio::test]
async fn a_missing_wrong_or_foreign_signature_is_refused() {
    let world = World::new();
    let tpp = world.both();
    let other = world.tpp(100_009, &[Psd2Role::AccountInformation]);
    let bank = world.bank(BankKind::BerlinGroupRedirect, true, &[]).await;
    let url = format!("{}/v1/consents", bank.running.api_url);
    let id = "99391c7e-ad88-49ec-a2ad-99ddcb1f7721";
    let mut headers = vec![("x-request-id", id)];
    headers.extend(REDIRECTED);
    let missing = tpp.http.send("POST", &url, &headers, &consent_body()).await.expect(401);
    assert_eq!(missing.at("/tppMessages/0/code"), "SIGNATURE_MISSING");
    assert_eq!(missing.header("x-request-id"), id);
    let body = consent_body();
    let wrong = tpp.berlin_with(&bank, "POST", "/v1/consents", id, &REDIRECTED, &body, &other.key).await;
    assert_eq!(wrong.expect(401).at("/tppMessages/0/code"), "SIGNATURE_INVALID");
    let mixed = Tpp { http: tpp.http.clone(), ..other };
    let foreign = mixed.berlin(&bank, "POST", "/v1/consents", &REDIRECTED, &body).await.expect(401);
    assert_eq!(foreign.at("/tppMessages/0/code"), "CERTIFICATE_INVALID", "a seal of another organisation");
    let unnamed = tpp.http.send("GET", &format!("{url}/x"), &[], "").await.expect(400);
    assert_eq!(unnamed.at("/tppMessages/0/code"), "FORMAT_ERROR");
    assert!(bank.running.journal().entries().iter().all(|entry| !entry.facts.contains(&Fact::Signature)));
    bank.stop().await;
}

/// RFC 9421 §3.2.1: what the bank wants covered, and when it was made.
#[tokio::test]
async fn a_bank_that_has_moved_to_message_signatures_takes_no_other() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::BerlinGroupEmbedded, false, &[]).await;
    let url = format!("{}/v1/consents", bank.running.api_url);
    let (id, body) = ("99391c7e-ad88-49ec-a2ad-99ddcb1f7721", consent_body());
    let der = STANDARD.encode(&tpp.seal.der);
    let digest = message_signature::content_digest(body.as_bytes());
    let now = world.clock.now().as_second();
    let whole = [
        ("@method", "POST"),
        ("@target-uri", &url),
        ("content-digest", &digest),
        ("psu-id", "anna"),
        ("x-request-id", id),
    ];
    let send = async |created: i64, key_id: String, covered: &[(&str, &str)], body: &str| {
        let parameters = Parameters { created, key_id, tag: Some("psd2".into()) };
        let signed = message_signature::sign(&tpp.key, &parameters, covered).unwrap();
        let headers = [
            ("x-request-id", id),
            ("psu-ip-address", "192.0.2.1"),
            ("psu-id", "anna"),
            ("content-type", "application/json"),
            ("content-digest", &digest),
            ("signature-input", &signed.input),
            ("signature", &signed.signature),
            ("tpp-signature-certificate", &der),
        ];
        tpp.http.send("POST", &url, &headers, body).await
    };
    let key_id = || tpp.seal.berlin_group_key_id();
    send(now, key_id(), &whole, &body).await.expect(201);
    let elsewhere =
        [whole[0], ("@target-uri", "https://localhost/v1/consents"), whole[2], whole[3], whole[4]];
    for refused in [
        send(now - 301, key_id(), &whole, &body).await,
        send(now + 301, key_id(), &whole, &body).await,
        send(now, "SN=1,CA=CN=Other".into(), &whole, &body).await,
        send(now, key_id(), &whole[..4], &body).await,
        send(now, key_id(), &whole[1..], &body).await,
        send(now, key_id(), &elsewhere, &body).await,
        send(now, key_id(), &whole, &body.replace('{', "{ ")).await,
    ] {
        assert_eq!(refused.expect(401).at("/tppMessages/0/code"), "SIGNATURE_INVALID");
    }
    let digest = crypto::http_signature::digest(body.as_bytes());
    let present = ("psu-ip-address", "192.0.2.1");
    let old = [present, ("x-request-id", id), ("digest", &digest), ("tpp-signature-certificate", &der)];
    let refused = tpp.http.send("POST", &url, &old, &body).await.expect(401);
    assert_eq!(refused.at("/tppMessages/0/code"), "SIGNATURE_MISSING");
    bank.stop().await;
}
