//! What a request may wish for besides scopes: claims, authentication; and what no
//! answer can be guessed from.

use std::collections::{BTreeSet, HashSet};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use consentry::demo::{RETURN, verifier};
use serde_json::{Value, json};

use crate::fintech::{assert_error, authorise, push, tokens};
use crate::support::{TestGateway, UK, parameter};

/// OpenID Connect Core §5.5 (AS25): claims about a person are not known here; they may
/// be wished for, and nothing comes of it. What is no claims parameter is refused.
/// [module: test-claims-parameter-identity-claims]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_about_a_person_may_be_wished_for_and_are_not_known() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let wished = json!({
        "userinfo": { "email": null },
        "id_token": { "given_name": { "essential": true }, "birthdate": null, "unheard_of": null },
    })
    .to_string();
    let answer = tokens(&gw, &tpp, &[("scope", Some("openid accounts")), ("claims", Some(&wished))]).await;
    let payload = answer.text("/id_token").split('.').nth(1).unwrap().to_owned();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let names: BTreeSet<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["aud", "exp", "iat", "iss", "sub"]));
    for bad in ["[]", "claims", "{\"id_token\":{},\"id_token\":{}}", "{"] {
        assert_error(&push(&tpp, &verifier(), &[("claims", Some(bad))]).await, 400, "invalid_request");
    }
    gw.sandbox.stop().await;
}

/// OpenID Connect Core §5.5.1.1, UK Open Banking (AS23, AS25): an essential acr is
/// reached by the bank's SCA, or nothing is granted; a wish changes nothing.
/// [module: test-essential-acr-sca-claim]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_essential_acr_is_reached_or_nothing_is_granted() {
    const SCA: &str = "urn:openbanking:psd2:sca";
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    for (acr, with_consent, granted) in [
        (json!({ "essential": true, "value": SCA }), true, true),
        (json!({ "essential": true, "values": ["urn:openbanking:psd2:ca", SCA] }), true, true),
        (json!({ "essential": true }), true, true),
        (json!({ "essential": true, "value": SCA }), false, false),
        (json!({ "essential": true, "values": ["urn:mace:incommon:iap:silver"] }), true, false),
        (json!({ "essential": false, "value": "urn:mace:incommon:iap:silver" }), true, true),
        (Value::Null, false, true),
    ] {
        let consents = if with_consent { tpp.lodge(&own, &[UK]).await.unwrap() } else { Vec::new() };
        let details: Vec<Value> =
            consents.iter().map(|id| json!({ "type": "account_access", "consent_id": id })).collect();
        let details = json!(details).to_string();
        let wished = json!({ "id_token": { "acr": acr } }).to_string();
        let mut changes = vec![("scope", Some("openid accounts")), ("claims", Some(wished.as_str()))];
        changes.extend(with_consent.then_some(("authorization_details", Some(details.as_str()))));
        let visit = authorise(&gw, &tpp, &verifier(), &changes).await;
        let error = if granted { "" } else { "access_denied" };
        assert_eq!(parameter(&visit, "error"), error, "{acr}");
        assert_eq!(parameter(&visit, "code").is_empty(), !granted, "{acr}");
    }
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP §5.4.1-4 (AS10, AS19, B3): codes, access and refresh tokens and
/// request_uris are 256 bits without a pattern: all different, and about as many ones
/// as zeros at every place.
/// [module: happy-flow]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_handed_out_can_be_guessed() {
    let gw = TestGateway::start().await;
    let grants = json!({ "grant_types": ["authorization_code", "client_credentials", "refresh_token"] });
    let tpp = crate::fintech::tpp_as(&gw, &grants).await;
    let mut samples: [Vec<String>; 4] = Default::default();
    for _ in 0..24 {
        let verifier = verifier();
        let pushed = push(&tpp, &verifier, &[]).await.expect(201).unwrap();
        let visit = gw.person().walk(&tpp.start_of(&pushed).unwrap(), RETURN).await.unwrap();
        let code = parameter(&visit, "code");
        let answer = tpp.redeem(&code, &verifier).await.unwrap().expect(200).unwrap();
        let reference = pushed.text("/request_uri").rsplit(':').next().unwrap().to_owned();
        let drawn = [reference, code, answer.text("/access_token"), answer.text("/refresh_token")];
        samples.iter_mut().zip(drawn).for_each(|(sample, one)| sample.push(one));
    }
    for sample in samples {
        let different: HashSet<_> = sample.iter().collect();
        assert_eq!(different.len(), sample.len());
        let bytes: Vec<Vec<u8>> = sample.iter().map(|text| URL_SAFE_NO_PAD.decode(text).unwrap()).collect();
        assert!(bytes.iter().all(|one| one.len() == 32));
        let ones: u32 = bytes.iter().flatten().map(|byte| byte.count_ones()).sum();
        // 6144 fair bits: 3072 ones give or take ten standard deviations.
        assert!((2_680..3_464).contains(&ones), "{ones}");
        let constant = (0..32).filter(|place| bytes.iter().all(|one| one[*place] == bytes[0][*place]));
        assert_eq!(constant.count(), 0);
    }
    gw.sandbox.stop().await;
}
