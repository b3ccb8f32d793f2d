//! Notices of Berlin Group banks about one consent or payment.

use consentry::demo::Answer;
use serde_json::{Value, json};

use super::{asked, at_bank, hush, notified, state, text};
use crate::support::webhooks::until;
use crate::support::{EU, TestGateway, UK, assert_problem};

async fn post(gw: &TestGateway, url: &str, body: &str) -> Answer {
    let headers = [("content-type", "application/json")];
    gw.anybody().send(http::Method::POST, url, &headers, body.to_owned()).await.unwrap()
}

/// The address of a notice was made for one resource, and nobody can make another.
/// [connector: notifications at berlin-redirect]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notice_counts_at_the_address_that_was_made_for_its_resource() {
    let (gw, _) = notified().await;
    hush(&gw, EU);
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[EU, EU]).await;
    let (first, second) =
        (at_bank(&gw, &granted.consents[0]).await, at_bank(&gw, &granted.consents[1]).await);
    let address = |id: &str| gw.sandbox.notice_address(EU, id).unwrap();
    let (url, other) = (address(&first), address(&second));
    let origin = &gw.sandbox.access().api;
    assert!(url.starts_with(&format!("{origin}/bank-notifications/{EU}/{}/", granted.consents[0])), "{url}");
    let told = |id: &str| text(&json!({ "consentId": id, "consentStatus": "revokedByPsu" }));
    let status = format!("/consents/{first}/status");
    let store = gw.sandbox.gateway().stores().region("eu".parse().unwrap()).unwrap();
    let open = async || {
        let kept = store.notices_of(&EU.parse().unwrap(), "").await.unwrap();
        kept.iter().filter(|notice| notice.due_at.is_some()).count()
    };
    let before = asked(&gw, EU, "GET", &status);

    let (stem, secret) = url.rsplit_once('/').unwrap();
    let others = other.rsplit_once('/').unwrap().1;
    let another_bank = url.replace(EU, UK);
    for wrong in [format!("{stem}/{others}"), format!("{stem}/{secret}x"), format!("{stem}/x"), another_bank]
    {
        assert_problem(&post(&gw, &wrong, &told(&first)).await, 404, "resource.not_found");
    }
    for body in ["", "[]", "{\"consentId\": 1}", told(&second).as_str()] {
        assert_problem(&post(&gw, &url, body).await, 400, "request.malformed_json");
    }
    assert_eq!(open().await, 0, "nothing is to be asked");

    assert_eq!(post(&gw, &url, &told(&first)).await.status, 204);
    until("the bank is asked", async || (asked(&gw, EU, "GET", &status) > before).then_some(())).await;
    // The bank says that nothing has changed, and is the one to be believed.
    assert_eq!(gw.shown(&tpp, &granted.consents[0]).await["status"], "AUTHORIZED");
    let sca: Value = json!({ "authorisationId": "sca-1", "scaStatus": "finalised" });
    assert_eq!(post(&gw, &url, &text(&sca)).await.status, 204);

    state(&gw, EU, |stated| stated.organisation = Some("PSDDE-BAFIN-1".to_owned()));
    let refused = post(&gw, &url, &told(&first)).await;
    assert_problem(&refused, 401, "auth.certificate_untrusted");
    gw.sandbox.stop().await;
}
