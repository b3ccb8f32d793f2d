//! What happens to a consent at its bank: withdrawn, run out, forgotten, given by
//! one of two. It is noticed here and passed on.

use crate::support::consents::{DAY, event, events, steps};
use crate::support::customer::Customer;
use crate::support::{DECOUPLED, EMBEDDED, EU, POLISH, STET, TestGateway, UK, assert_problem, rows};
use flows::{FlowError, Read};
use serde_json::json;
use store::consents::Note;

/// The PSU withdraws at the bank; the next read notices, tells the TPP, and is
/// the last that goes there.
/// [connector: withdrawal at uk berlin-redirect berlin-decoupled
/// berlin-embedded stet polish]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_at_the_bank_is_noticed_by_the_next_read() {
    for bank in [UK, EU, DECOUPLED, EMBEDDED, STET, POLISH] {
        let gw = TestGateway::start().await;
        let tpp = gw.tpp().await;
        let receiver = gw.listening(&tpp).await;
        let granted = gw.granted(&tpp, &[bank]).await;
        let id = &granted.consents[0];
        tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
        Customer::of(&gw, bank, "anna").withdraw().await;
        let refused = tpp.get(&granted.token, "/v1/balances").await.unwrap();
        assert_problem(&refused, 403, "consent.not_in_force");
        assert_eq!(refused.text("/next_action/href"), format!("/v1/consents/{id}/renew"));
        let shown = gw.shown(&tpp, id).await;
        assert_eq!(shown["status"], "REVOKED_BY_PSU", "{bank}");
        let last = shown["history"].as_array().unwrap().last().unwrap().clone();
        assert_eq!((&last["actor"], &last["reason"]), (&json!("psu"), &json!("revoked-at-bank")), "{bank}");
        event(&receiver, id, "consent.revoked").await;
        let journal = gw.sandbox.bank(bank).unwrap().1;
        let calls = journal.entries().len();
        tpp.get(&granted.token, "/v1/balances").await.unwrap().expect(403).unwrap();
        assert_eq!(journal.entries().len(), calls, "{bank} was not asked again");
        assert_eq!(events(&receiver, id).iter().filter(|kind| *kind == "consent.revoked").count(), 1);
        gw.sandbox.stop().await;
    }
}

/// A consent that nobody reads under is asked about once a day.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_at_the_bank_is_noticed_without_a_read() {
    for bank in [UK, EU, STET, POLISH] {
        let (gw, clock) = TestGateway::with_shifted_clock().await;
        let tpp = gw.tpp().await;
        let receiver = gw.listening(&tpp).await;
        let granted = gw.granted(&tpp, &[bank]).await;
        Customer::of(&gw, bank, "anna").withdraw().await;
        assert_eq!(gw.shown(&tpp, &granted.consents[0]).await["status"], "AUTHORIZED");
        clock.advance(DAY);
        event(&receiver, &granted.consents[0], "consent.revoked").await;
        assert_eq!(gw.shown(&tpp, &granted.consents[0]).await["status"], "REVOKED_BY_PSU", "{bank}");
        gw.sandbox.stop().await;
    }
}

/// Where a bank answers no question about a consent, its token is renewed: once a
/// day, and at the cost of no access to accounts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_no_request_asks_about_is_asked_by_its_token_once_a_day() {
    for bank in [STET, POLISH] {
        let (gw, clock) = TestGateway::with_shifted_clock().await;
        let tpp = gw.tpp().await;
        let granted = gw.granted(&tpp, &[bank]).await;
        let id: domain::ConsentId = granted.consents[0].parse().unwrap();
        let store = gw.sandbox.gateway().stores().region(id.region()).unwrap();
        let due = async || store.consent(id).await.unwrap().unwrap().life.ask_bank_at.unwrap();
        let journal = gw.sandbox.bank(bank).unwrap().1;
        let before = due().await;
        journal.clear();
        clock.advance(DAY);
        let asked = async {
            let mut beat = tokio::time::interval(std::time::Duration::from_millis(20));
            while due().await == before {
                beat.tick().await;
            }
        };
        tokio::time::timeout(crate::support::consents::PATIENCE, asked).await.expect("the bank is asked");
        assert!(due().await.duration_since(before).as_secs() >= 86_000, "{bank}: tomorrow again");
        gw.sandbox.gateway().keep_consents().await.unwrap();
        let calls: Vec<String> = journal.entries().into_iter().map(|entry| entry.path).collect();
        assert!(calls.len() == 1 && calls[0].ends_with("/token"), "{bank}: {calls:?}");
        assert_eq!(gw.shown(&tpp, &granted.consents[0]).await["status"], "AUTHORIZED", "{bank}");
        gw.sandbox.stop().await;
    }
}

/// A bank that knows our consent no more has ended it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_the_bank_knows_no_more_is_over() {
    for bank in [UK, EU] {
        let (gw, clock) = TestGateway::with_shifted_clock().await;
        let tpp = gw.tpp().await;
        let granted = gw.granted(&tpp, &[bank]).await;
        let id: domain::ConsentId = granted.consents[0].parse().unwrap();
        let store = gw.sandbox.gateway().stores().region(id.region()).unwrap();
        let mut row = store.consent(id).await.unwrap().unwrap();
        row.bank.consent_id = Some("forgotten".to_owned());
        let moved = store::transaction!(store, tx => {
            tx.update_consent(row.status, &row, Note::by("gateway"), gw.clock.now()).await
        });
        moved.unwrap();
        clock.advance(DAY);
        gw.until_status(&tpp, &granted.consents[0], "REVOKED_BY_INSTITUTION").await;
        let refused = gw.read(&tpp, &granted.consents, Read::Accounts).await.unwrap_err();
        assert!(matches!(refused.cause(), FlowError::ConsentNotInForce { .. }), "{bank}");
        gw.sandbox.stop().await;
    }
}

/// A bank that is down ends nothing: the consent goes on when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_that_is_down_ends_no_consent() {
    for bank in [EU, STET, POLISH] {
        let (gw, clock) = TestGateway::with_shifted_clock().await;
        let tpp = gw.tpp().await;
        let granted = gw.granted(&tpp, &[bank]).await;
        let faults = gw.sandbox.bank(bank).unwrap().0;
        faults.arm("GET", "/", modelbank::Fault::Unavailable, 1_000);
        faults.arm("POST", "/", modelbank::Fault::Unavailable, 1_000);
        clock.advance(DAY);
        gw.sandbox.gateway().keep_consents().await.unwrap();
        gw.read(&tpp, &granted.consents, Read::Accounts).await.unwrap_err();
        faults.clear();
        gw.read(&tpp, &granted.consents, Read::Accounts).await.unwrap();
        assert_eq!(gw.shown(&tpp, &granted.consents[0]).await["status"], "AUTHORIZED", "{bank}");
        gw.sandbox.stop().await;
    }
}

/// XS2A consentStatus `partiallyAuthorised`: one holder of a joint account has
/// approved, nothing is read until the other has.
/// [connector: several signatories at berlin-redirect berlin-embedded]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_joint_account_is_read_when_both_holders_have_approved() {
    let ends = [("approve", "AUTHORIZED", "consent.authorized"), ("decline", "REJECTED", "consent.rejected")];
    let banks = [(EU, "rhb-30017"), (EMBEDDED, "don-30017")];
    for ((bank, account), (decision, becomes, told)) in
        banks.into_iter().flat_map(|bank| ends.map(|end| (bank, end)))
    {
        let (gw, clock) = TestGateway::with_shifted_clock().await;
        let tpp = gw.tpp().await;
        let receiver = gw.listening(&tpp).await;
        let own = tpp.own_token("accounts").await.unwrap();
        let consents = tpp.lodge(&own, &[bank]).await.unwrap();
        let mut clara = gw.person();
        clara.headers.push(("x-sandbox-psu", "clara"));
        let granted = gw.given(&tpp, consents, clara).await;
        let id = &granted.consents[0];
        let waiting = gw.shown(&tpp, id).await;
        assert_eq!(waiting["status"], "PARTIALLY_AUTHORIZED");
        assert_eq!(waiting["authorisations"], json!({ "required": 2, "received": 1 }));
        event(&receiver, id, "consent.partially_authorized").await;
        let refused = tpp.get(&granted.token, "/v1/accounts").await.unwrap();
        assert_problem(&refused, 403, "consent.not_in_force");

        Customer::of(&gw, bank, "david").decide(decision, account).await;
        clock.advance(61);
        event(&receiver, id, told).await;
        let decided = gw.until_status(&tpp, id, becomes).await;
        let answer = tpp.get(&granted.token, "/v1/accounts").await.unwrap();
        if decision == "approve" {
            assert_eq!(decided["authorisations"], json!({ "required": 2, "received": 2 }));
            let names: Vec<_> = rows(&answer).iter().map(|row| row["display_name"].clone()).collect();
            assert_eq!(names, ["Gemeinschaftskonto"]);
        } else {
            assert_problem(&answer, 403, "consent.not_in_force");
        }
        assert_eq!(steps(&decided)[2..], ["PARTIALLY_AUTHORIZED", becomes]);
        gw.sandbox.stop().await;
    }
}
