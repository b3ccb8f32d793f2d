//! The whole journey, on both databases, over real sockets.

use crate::support::{EU, POLISH, STET, TestGateway, UK, rows};
use consentry::demo::{self, verifier};
use http::Method;

/// The demo holds every step it shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_journey_holds() {
    let gw = TestGateway::start().await;
    let report = demo::play(&gw.sandbox.access(), false).await;
    assert!(report.ok(), "{}", report.tables());
    let json = report.json();
    assert_eq!(json["accounts"], 5);
    assert_eq!(json["banks"], serde_json::json!([EU, UK]));
    assert_eq!(json["regions"], serde_json::json!(["eu", "uk"]));
    assert_eq!(json["payment"]["state"], "SETTLED");
    assert_eq!(json["webhook"]["verified"], true);
    gw.sandbox.stop().await;
}

/// Two consents of one grant answer in one call, each from its region.
/// [connector: balances at uk berlin-redirect]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_call_reads_two_banks_that_speak_different_standards() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK, EU]).await;
    let accounts = tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    let standards: std::collections::BTreeSet<String> =
        rows(&accounts).iter().map(|row| row["source"]["standard"].as_str().unwrap().to_owned()).collect();
    assert_eq!(standards.len(), 2, "{standards:?}");
    for row in rows(&accounts) {
        let region = row["source"]["region"].as_str().unwrap();
        assert!(row["id"].as_str().unwrap().starts_with(&format!("acc_{region}_")));
    }
    let balances = tpp.get(&granted.token, "/v1/balances").await.unwrap().expect(200).unwrap();
    let transactions = tpp.get(&granted.token, "/v1/transactions").await.unwrap().expect(200).unwrap();
    assert!(rows(&balances).len() >= rows(&accounts).len());
    assert!(rows(&transactions).len() > 100);
    gw.sandbox.stop().await;
}

/// Invariant 4: re-consent keeps account and transaction ids.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_consent_keeps_every_id() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let ids = async |path: &str| {
        let granted = gw.granted(&tpp, &[EU]).await;
        let answer = tpp.get(&granted.token, path).await.unwrap().expect(200).unwrap();
        rows(&answer).iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids("/v1/accounts").await, ids("/v1/accounts").await);
    let path = "/v1/transactions?limit=1000";
    let first = ids(path).await;
    assert!(first.len() > 100);
    assert_eq!(first, ids(path).await);
    gw.sandbox.stop().await;
}

/// A page is cut where the one before ended, and a cursor fits one request only.
/// [connector: transactions at berlin-redirect]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_come_in_pages_without_gap_or_repeat() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    let all = rows(&tpp.get(&granted.token, "/v1/transactions?limit=1000").await.unwrap());
    let mut paged = Vec::new();
    let mut path = "/v1/transactions?limit=60".to_owned();
    let mut last_cursor = String::new();
    loop {
        let page = tpp.get(&granted.token, &path).await.unwrap().expect(200).unwrap();
        paged.extend(rows(&page));
        let cursor = page.text("/page/next_cursor");
        if cursor.is_empty() {
            assert_eq!(page.json()["page"]["has_more"], false);
            break;
        }
        path = format!("/v1/transactions?limit=60&cursor={cursor}");
        last_cursor = cursor;
    }
    let ids = |rows: &[serde_json::Value]| rows.iter().map(|row| row["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&paged), ids(&all));
    let altered = format!("/v1/transactions?from=2020-01-01&cursor={last_cursor}");
    let refused = tpp.get(&granted.token, &altered).await.unwrap();
    crate::support::assert_problem(&refused, 400, "request.cursor");
    gw.sandbox.stop().await;
}

/// A withdrawn consent reads nothing, at once; the other bank of the grant goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_consent_is_over_at_once() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK, EU]).await;
    let path = format!("/v1/consents/{}", granted.consents[0]);
    let gone = tpp.delete(&granted.own, &path).await.unwrap();
    assert_eq!(gone.status, 204);
    let accounts = tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    let sources = accounts.json()["sources"].as_array().unwrap().clone();
    assert_eq!(sources[0]["status"], "NOT_IN_FORCE");
    assert_eq!(sources[0]["code"], "REVOKED_BY_CLIENT");
    assert_eq!(sources[1]["status"], "OK");
    assert!(rows(&accounts).iter().all(|row| row["institution_id"] == EU));
    let consent = tpp.get(&granted.own, &format!("/v1/consents/{}", granted.consents[0])).await.unwrap();
    let history: Vec<String> = consent.json()["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["to"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(history, ["CREATED", "AWAITING_REDIRECT", "AUTHORIZED", "REVOKED_BY_CLIENT"]);
    let journal = gw.sandbox.bank(UK).unwrap().1;
    let told = journal.entries().iter().any(|entry| {
        entry.method == "DELETE" && entry.path.contains("account-access-consents") && entry.status == 204
    });
    assert!(told, "the bank was told");
    gw.sandbox.stop().await;
}

/// Whoever comes back from the bank may close the browser: the bank is asked before they are
/// answered, and not by the page that waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_is_in_force_when_the_bank_has_sent_the_person_back() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let callback = format!("{}/callback/", gw.sandbox.access().issuer);
    for bank in [UK, EU, STET, POLISH] {
        let consents = tpp.lodge(&own, &[bank]).await.unwrap();
        let pushed = tpp.push(&consents, &verifier()).await.unwrap();
        let mut person = gw.person();
        let returned = person.walk(&tpp.start_of(&pushed).unwrap(), &callback).await.unwrap().url;
        person.request(Method::GET, &returned, None).await.unwrap().expect(303).unwrap();
        assert_eq!(gw.shown(&tpp, &consents[0]).await["status"], "AUTHORIZED", "{bank}");
    }
    gw.sandbox.stop().await;
}

/// A decoupled bank asks in its app; our page waits and goes on by itself.
/// [connector: consent at berlin-decoupled]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decoupled_bank_is_waited_for() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[crate::support::DECOUPLED]).await;
    let accounts = tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    assert!(!rows(&accounts).is_empty());
    let consent = tpp.get(&granted.own, &format!("/v1/consents/{}", granted.consents[0])).await.unwrap();
    let waited =
        consent.json()["history"].as_array().unwrap().iter().any(|step| step["to"] == "AWAITING_DECOUPLED");
    assert!(waited);
    gw.sandbox.stop().await;
}

/// Banks whose standards lodge no consent, or name theirs in the authorization:
/// given, read, withdrawn, as at any other.
/// [connector: consent, balances, transactions, withdrawal at stet polish]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_is_given_read_under_and_withdrawn_at_banks_that_authorise_only() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    for (bank, standard, currency) in [(STET, "STET 1.4", "EUR"), (POLISH, "PolishAPI 2.1", "PLN")] {
        let granted = gw.granted(&tpp, &[bank]).await;
        let read = async |what: &str| {
            tpp.get(&granted.token, &format!("/v1/{what}")).await.unwrap().expect(200).unwrap()
        };
        let accounts = rows(&read("accounts").await);
        assert_eq!(accounts.len(), 2, "{bank}");
        assert!(accounts.iter().all(|row| row["source"]["standard"] == standard), "{bank}");
        let balances = rows(&read("balances").await);
        assert!(balances.len() >= 4, "{bank}");
        let transactions = rows(&read("transactions?limit=500").await);
        assert!(transactions.len() > 80, "{bank}: {}", transactions.len());
        let pending = transactions.iter().filter(|row| row["status"] == "PDNG").count();
        assert_eq!(pending, 1, "{bank}");
        assert!(transactions.iter().all(|row| row["amount"]["currency"] == currency), "{bank}");

        let (_, journal) = gw.sandbox.bank(bank).unwrap();
        let told = || {
            let entries = journal.entries();
            let ends = entries.iter().filter(|entry| {
                let path = entry.path.as_str();
                path.ends_with("/deleteConsent") || (entry.method == "PUT" && path.ends_with("/consents"))
            });
            ends.filter(|entry| entry.status == 204).count()
        };
        assert_eq!(told(), 0, "{bank}");
        let path = format!("/v1/consents/{}", granted.consents[0]);
        let gone = tpp.delete(&granted.own, &path).await.unwrap();
        assert_eq!(gone.status, 204);
        assert_eq!(told(), 1, "{bank} was told");
        let refused = tpp.get(&granted.token, "/v1/accounts").await.unwrap();
        crate::support::assert_problem(&refused, 403, "consent.not_in_force");
    }
    gw.sandbox.stop().await;
}

/// STET 1.4: `keyId` is an address where the QSealC is found; here it is ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_of_the_seal_lies_where_signatures_say() {
    let gw = TestGateway::start().await;
    let profile = gw.sandbox.gateway().registry().profile(&STET.parse().unwrap()).unwrap();
    let connect::Signing::DigestSignatureByUrl { key_url } = &profile.signing else {
        panic!("{:?}", profile.signing)
    };
    let pem = std::fs::read_to_string(gw.folder().join("data/pki/gateway-qseal.pem")).unwrap();
    let seal = crypto::Certificate::from_pem(&pem).unwrap();
    let address = |fingerprint: &str| key_url.replace("{sha256}", fingerprint);
    let found = gw.anybody().get(&address(&crypto::digest::sha256_hex(&seal.der)), &[]).await.unwrap();
    assert_eq!((found.status.as_u16(), &*found.body), (200, pem.as_bytes()));
    let other = gw.anybody().get(&address(&"0".repeat(64)), &[]).await.unwrap();
    assert_eq!(other.status, 404);
    gw.sandbox.stop().await;
}

/// Personal rows exist in their home region only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_holds_its_own_rows_only() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK, EU]).await;
    tpp.get(&granted.token, "/v1/transactions").await.unwrap().expect(200).unwrap();
    let stores = gw.sandbox.gateway().stores();
    for (consent, home, foreign) in [(&granted.consents[0], "uk", "eu"), (&granted.consents[1], "eu", "uk")] {
        let id: domain::ConsentId = consent.parse().unwrap();
        let store =
            async |region: &str| stores.region(region.parse().unwrap()).unwrap().consent(id).await.unwrap();
        assert!(store(home).await.is_some() && store(foreign).await.is_none());
    }
    // On SQLite the bytes themselves: rows, indexes and the log before them.
    let bytes = |region: &str| {
        let file = |suffix| gw.folder().join("data").join(format!("region-{region}.sqlite{suffix}"));
        ["", "-wal"].map(|suffix| std::fs::read(file(suffix)).unwrap_or_default()).concat()
    };
    let holds =
        |region: &str, what: &str| bytes(region).windows(what.len()).any(|window| window == what.as_bytes());
    if !bytes("uk").is_empty() {
        assert!(holds("uk", &granted.consents[0]) && holds("eu", &granted.consents[1]));
    }
    assert!(!holds("eu", &granted.consents[0]) && !holds("uk", &granted.consents[1]));
    gw.sandbox.stop().await;
}

/// A restart keeps consents, tokens and accounts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_everything() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[EU]).await;
    let before = rows(&tpp.get(&granted.token, "/v1/accounts").await.unwrap());
    let gw = gw.restarted().await;
    let mut again = demo::Tpp::discover(&gw.sandbox.access(), gw.clock.clone()).await.unwrap();
    again.client_id.clone_from(&tpp.client_id);
    let after = again.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    let ids = |rows: &[serde_json::Value]| rows.iter().map(|row| row["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&before), ids(&rows(&after)));
    gw.sandbox.stop().await;
}
