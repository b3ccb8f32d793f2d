//! What a person sees of their consents, and takes back.

use crate::support::consents::event;
use crate::support::{EU, TestGateway, UK, assert_problem};
use domain::{ConsentId, ConsentStatus, ReadKind};
use flows::FlowError;

const BEN: &str = "digest-of-ben";

/// The person to whom the pages gave a consent.
async fn giver(gw: &TestGateway, consent: &str) -> String {
    let id: ConsentId = consent.parse().unwrap();
    let store = gw.sandbox.gateway().stores().region(id.region()).unwrap();
    store.consent(id).await.unwrap().unwrap().psu_digest.unwrap()
}

/// A dashboard's data: who has access, since when, until when, and what was read,
/// over all regions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_sees_who_has_access_and_what_was_read() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK, EU]).await;
    let gateway = gw.sandbox.gateway();
    let anna = giver(&gw, &granted.consents[0]).await;
    for id in &granted.consents {
        gateway.bind_psu(id.parse().unwrap(), &anna).await.unwrap();
    }
    let bens = gateway.bind_psu(granted.consents[0].parse().unwrap(), BEN).await;
    assert!(matches!(bens, Err(FlowError::OtherPsu)));
    let account = |token| tpp.get(token, "/v1/accounts");
    account(&granted.token).await.unwrap().expect(200).unwrap();
    account(&granted.token).await.unwrap().expect(200).unwrap();
    let url = format!("{}/v1/balances", tpp.api);
    let bearer = consentry::demo::bearer(&granted.token);
    tpp.http.get(&url, &[("authorization", &bearer)]).await.unwrap().expect(200).unwrap();

    let shared = gateway.consents_of_psu(&anna).await.unwrap();
    assert_eq!(shared.len(), 2);
    for (consent, bank) in shared.iter().zip([EU, UK]) {
        assert_eq!(
            (consent.institution.as_ref().unwrap().as_str(), &consent.client_id),
            (bank, &tpp.client_id)
        );
        assert_eq!((consent.status, consent.permissions.len()), (ConsentStatus::Authorized, 3));
        assert!(consent.since.unwrap() < consent.until.unwrap());
        let reads: Vec<_> =
            consent.reads.iter().map(|read| (read.kind, read.attended, read.unattended)).collect();
        assert_eq!(reads, [(ReadKind::Accounts, 2, 0), (ReadKind::Balances, 0, 1)]);
        assert!(consent.reads[0].last_at >= consent.reads[0].first_at);
    }
    assert!(gateway.consents_of_psu(BEN).await.unwrap().is_empty());
    gw.sandbox.stop().await;
}

/// Withdrawn in one step: at once here, then at the bank; and only one's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_withdraws_a_consent_of_theirs_and_no_other() {
    for (bank, path) in [(UK, "account-access-consents"), (EU, "/consents/")] {
        let gw = TestGateway::start().await;
        let tpp = gw.tpp().await;
        let receiver = gw.listening(&tpp).await;
        let granted = gw.granted(&tpp, &[bank]).await;
        let id: ConsentId = granted.consents[0].parse().unwrap();
        let gateway = gw.sandbox.gateway();
        let anna = giver(&gw, &granted.consents[0]).await;
        let bens = gateway.withdraw_by_psu(BEN, id).await;
        assert!(matches!(bens, Err(FlowError::NotFound("consent"))));
        tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();

        gateway.withdraw_by_psu(&anna, id).await.unwrap();
        let refused = tpp.get(&granted.token, "/v1/accounts").await.unwrap();
        assert_problem(&refused, 403, "consent.not_in_force");
        assert_eq!(gw.shown(&tpp, &granted.consents[0]).await["status"], "REVOKED_BY_PSU");
        event(&receiver, &granted.consents[0], "consent.revoked").await;
        let told = gw.sandbox.bank(bank).unwrap().1.entries();
        let told = told.iter().filter(|entry| entry.method == "DELETE" && entry.path.contains(path));
        assert_eq!(told.count(), 1, "{bank}");
        gateway.withdraw_by_psu(&anna, id).await.unwrap();
        assert_eq!(gateway.consents_of_psu(&anna).await.unwrap()[0].status, ConsentStatus::RevokedByPsu);
        gw.sandbox.stop().await;
    }
}

/// With all of a grant's consents withdrawn, no bank is to blame, and trying
/// again helps nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_whose_consents_are_all_withdrawn_says_so() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK, EU]).await;
    for id in &granted.consents {
        let psu = giver(&gw, id).await;
        gw.sandbox.gateway().withdraw_by_psu(&psu, id.parse().unwrap()).await.unwrap();
    }
    let refused = tpp.get(&granted.token, "/v1/accounts").await.unwrap();
    assert_problem(&refused, 403, "consent.not_in_force");
    let problem = refused.json();
    assert_eq!(problem["retryable"], false);
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2);
    assert!(problem["next_action"].is_null(), "what helps one does not help the other");
    gw.sandbox.stop().await;
}

/// Until it is given, a consent is whose browser was asked last: a journey that
/// begins again elsewhere is not refused, and the dashboard follows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_was_not_given_yet_goes_with_the_journey() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, &[UK]).await.unwrap();
    let id: ConsentId = consents[0].parse().unwrap();
    let gateway = gw.sandbox.gateway();
    gateway.bind_psu(id, "anna-at-work").await.unwrap();
    gateway.bind_psu(id, BEN).await.unwrap();
    assert!(gateway.consents_of_psu("anna-at-work").await.unwrap().is_empty());
    assert_eq!(gateway.consents_of_psu(BEN).await.unwrap().len(), 1);
    gw.sandbox.stop().await;
}

/// What opens the bank is forgotten with the consent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_consent_keeps_no_token_of_the_bank() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    let id: ConsentId = granted.consents[0].parse().unwrap();
    let gateway = gw.sandbox.gateway();
    let kept = async || {
        let bank = gateway.stores().region(id.region()).unwrap().consent(id).await.unwrap().unwrap().bank;
        (bank.access_token.is_some(), bank.refresh_token.is_some())
    };
    assert_eq!(kept().await, (true, true));
    gateway.revoke_consent(&tpp.client_id, id).await.unwrap();
    assert_eq!(kept().await, (false, false));
    gw.sandbox.stop().await;
}
