//! Renewal: a new consent takes the place of the old one, and every id stays.

use crate::support::consents::{DAY, event, lodge_until, steps};
use crate::support::{DECOUPLED, EMBEDDED, EU, POLISH, STET, TestGateway, UK, assert_problem, rows};
use flows::{Read, TransactionWindow};
use modelbank::JournalEntry;
use serde_json::json;

/// Account ids and transaction ids that a consent lets be read.
async fn ids(
    gw: &TestGateway,
    tpp: &consentry::demo::Tpp,
    consents: &[String],
) -> (Vec<String>, Vec<String>) {
    let accounts = gw.read(tpp, consents, Read::Accounts).await.unwrap().accounts;
    // One window for both reads: time goes on, and the model banks' history with it.
    let window = TransactionWindow { from: None, to: None };
    let read = gw.read(tpp, consents, Read::Transactions(window)).await.unwrap().accounts;
    let transactions = read.iter().flat_map(|account| &account.transactions);
    let mut transactions: Vec<_> = transactions.map(|(id, ..)| id.to_string()).collect();
    transactions.sort();
    (accounts.iter().map(|account| account.id.to_string()).collect(), transactions)
}

async fn renewed(gw: &TestGateway, tpp: &consentry::demo::Tpp, old: &str) -> String {
    let own = tpp.own_token("accounts").await.unwrap();
    let answer = tpp.post(&own, &format!("/v1/consents/{old}/renew"), &json!({})).await.unwrap();
    let new = answer.expect(201).unwrap();
    assert_eq!((new.text("/status"), new.text("/renews_consent_id")), ("CREATED".into(), old.into()));
    assert_eq!(new.header("location"), Some(&*format!("/v1/consents/{}", new.text("/id"))));
    gw.given(tpp, vec![new.text("/id")], gw.person()).await.consents.remove(0)
}

/// Invariant 4: renewing a consent that is in force keeps every id, at every bank.
/// [connector: renewal, transactions at uk berlin-redirect berlin-decoupled
/// berlin-embedded stet polish]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewal_in_time_keeps_every_id_at_every_bank() {
    for bank in [UK, EU, DECOUPLED, EMBEDDED, STET, POLISH] {
        let gw = TestGateway::start().await;
        let tpp = gw.tpp().await;
        let receiver = gw.listening(&tpp).await;
        let old = gw.granted(&tpp, &[bank]).await.consents;
        let before = ids(&gw, &tpp, &old).await;
        assert!(!before.0.is_empty() && before.1.len() > 50, "{bank}");
        let new = renewed(&gw, &tpp, &old[0]).await;

        let ended = gw.shown(&tpp, &old[0]).await;
        assert_eq!(
            (&ended["status"], &ended["status_reason"]),
            (&json!("EXPIRED"), &json!("superseded")),
            "{bank}"
        );
        assert_eq!(ended["superseded_by"], new, "{bank}");
        event(&receiver, &old[0], "consent.expired").await;
        gw.read(&tpp, &old, Read::Accounts).await.unwrap_err();
        assert_eq!(ids(&gw, &tpp, std::slice::from_ref(&new)).await, before, "{bank}");
        let told = gw.sandbox.bank(bank).unwrap().1.entries();
        let ends = |entry: &&JournalEntry| {
            let asked = matches!(&*entry.method, "DELETE" | "PUT") || entry.path.ends_with("/deleteConsent");
            asked && entry.status == 204
        };
        assert!(told.iter().any(|entry| ends(&entry)), "{bank} was told");

        // A consent is renewed once.
        let own = tpp.own_token("accounts").await.unwrap();
        let twice = tpp.post(&own, &format!("/v1/consents/{}/renew", old[0]), &json!({})).await.unwrap();
        assert_problem(&twice, 409, "consent.state");
        gw.sandbox.stop().await;
    }
}

/// Invariant 4: renewing a consent that has run out keeps every id, at every bank.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewal_too_late_keeps_every_id_at_every_bank() {
    for bank in [UK, EU, DECOUPLED, EMBEDDED, STET, POLISH] {
        let (gw, clock) = TestGateway::with_shifted_clock().await;
        let tpp = gw.tpp().await;
        let own = tpp.own_token("accounts").await.unwrap();
        let lodged = lodge_until(&tpp, &own, bank, 5, &*clock).await["id"].as_str().unwrap().to_owned();
        let old = gw.given(&tpp, vec![lodged], gw.person()).await.consents;
        let (accounts, before) = ids(&gw, &tpp, &old).await;
        clock.advance(7 * DAY);
        gw.read(&tpp, &old, Read::Accounts).await.unwrap_err();
        assert_eq!(gw.shown(&tpp, &old[0]).await["status"], "EXPIRED", "{bank}");
        let new = renewed(&gw, &tpp, &old[0]).await;
        let ended = gw.shown(&tpp, &old[0]).await;
        assert_eq!((&ended["status"], &ended["superseded_by"]), (&json!("EXPIRED"), &json!(new)), "{bank}");
        assert_eq!(steps(&ended).last().unwrap(), "EXPIRED superseded", "{bank}");

        let read =
            Read::Transactions(TransactionWindow { from: Some(day(&gw, -60)), to: Some(day(&gw, -10)) });
        let new = vec![new];
        assert_eq!(ids(&gw, &tpp, &new).await.0, accounts, "{bank}");
        let old_entries = gw.read(&tpp, &new, read).await.unwrap().accounts;
        let old_entries: Vec<_> = old_entries
            .iter()
            .flat_map(|account| &account.transactions)
            .map(|(id, ..)| id.to_string())
            .collect();
        assert!(old_entries.len() > 10, "{bank}");
        for id in old_entries {
            assert!(before.contains(&id), "{bank} knew {id} before");
        }
        gw.sandbox.stop().await;
    }
}

fn day(gw: &TestGateway, days: i64) -> domain::Date {
    let at = domain::Timestamp::from_second(gw.clock.now().as_second() + days * 86_400).unwrap();
    at.to_string()[..10].parse().unwrap()
}

/// The same key, the same consent; a consent that nobody gave is not renewed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_is_lodged_once_per_key_and_only_for_what_was_given() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    let own = &granted.own;
    let path = format!("/v1/consents/{}/renew", granted.consents[0]);
    let first = tpp.post_once(own, &path, "k-1", &json!({})).await.unwrap().expect(201).unwrap();
    let again = tpp.post_once(own, &path, "k-1", &json!({})).await.unwrap().expect(201).unwrap();
    assert_eq!(first.json(), again.json());
    let lodged = first.text("/id");
    let mistaken =
        tpp.post_once(own, &format!("/v1/consents/{lodged}/renew"), "k-1", &json!({})).await.unwrap();
    assert_problem(&mistaken, 422, "idempotency.reused");
    let early = tpp.post(own, &format!("/v1/consents/{lodged}/renew"), &json!({})).await.unwrap();
    assert_problem(&early, 409, "consent.state");
    // Until the new one is given, the old one is in force.
    tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    gw.sandbox.stop().await;
}

/// The client's own consents of every region, page by page, and what they went through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_lists_its_consents_and_their_lives() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK, EU]).await;
    let own = &granted.own;
    let mut lodged = tpp.lodge(own, &[EU, UK, EU]).await.unwrap();
    lodged.splice(0..0, granted.consents.clone());
    lodged.reverse();
    let mut listed = Vec::new();
    let mut path = "/v1/consents?limit=2".to_owned();
    loop {
        let page = tpp.get(own, &path).await.unwrap().expect(200).unwrap();
        listed.extend(rows(&page).iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        if page.json()["page"]["has_more"] == false {
            break;
        }
        path = format!("/v1/consents?limit=2&cursor={}", page.text("/page/next_cursor"));
    }
    assert_eq!(listed, lodged);
    let count =
        async |query: &str| rows(&tpp.get(own, &format!("/v1/consents?{query}")).await.unwrap()).len();
    assert_eq!(count("status=AUTHORIZED").await, 2);
    assert_eq!(count(&format!("status=CREATED&institution_id={EU}")).await, 2);
    assert_problem(&tpp.get(own, "/v1/consents?status=NONSENSE").await.unwrap(), 400, "request.query");
    let altered = path.replace("limit=2", "limit=2&status=CREATED");
    assert_problem(&tpp.get(own, &altered).await.unwrap(), 400, "request.cursor");
    let life = tpp.get(own, &format!("/v1/consents/{}/history", granted.consents[0])).await.unwrap();
    let to: Vec<_> = rows(&life).iter().map(|step| step["to"].clone()).collect();
    assert_eq!(to, ["CREATED", "AWAITING_REDIRECT", "AUTHORIZED"]);
    let other = gw.tpp().await;
    let theirs = other.own_token("accounts").await.unwrap();
    assert!(rows(&other.get(&theirs, "/v1/consents").await.unwrap()).is_empty());
    let foreign = format!("/v1/consents/{}/history", granted.consents[0]);
    assert_problem(&other.get(&theirs, &foreign).await.unwrap(), 404, "resource.not_found");
    gw.sandbox.stop().await;
}
