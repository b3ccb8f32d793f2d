//! The directory of institutions: filtered, paged, imported.

use crate::support::{DECOUPLED, EMBEDDED, EU, POLISH, STET, TestGateway, UK, assert_problem, rows};
use consentry::demo::{Answer, Tpp};
use serde_json::Value;

async fn ask(tpp: &Tpp, query: &str) -> Answer {
    tpp.http.get(&format!("{}/v1/institutions{query}", tpp.api), &[]).await.unwrap()
}

fn ids(rows: &[Value]) -> Vec<String> {
    rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

async fn found(tpp: &Tpp, query: &str) -> Vec<String> {
    ids(&rows(&ask(tpp, query).await.expect(200).unwrap()))
}

/// Country, text, BIC and capability narrow the list, alone and together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn institutions_are_found_by_what_is_known_of_them() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    assert_eq!(found(&tpp, "?country=DE").await, [EU]);
    assert_eq!(found(&tpp, "?country=de&q=rhein").await, [EU]);
    assert_eq!(found(&tpp, "?q=lumiere").await, [DECOUPLED]);
    assert_eq!(found(&tpp, "?bic=ALBNGB2L").await, [UK]);
    assert_eq!(found(&tpp, "?country=FR&bic=ALBNGB2L").await, [""; 0]);
    let british = found(&tpp, "?country=GB&limit=500").await;
    assert_eq!(british.len(), 59, "58 real brands and one of the sandbox");
    assert!(british.contains(&"gb-monzo".to_owned()));
    assert_eq!(found(&tpp, "?connectable=true").await, [EMBEDDED, EU, DECOUPLED, STET, UK, POLISH]);
    let recurring = found(&tpp, "?capability=vrp&limit=500").await;
    assert!(recurring.contains(&"gb-barclays-personal".to_owned()) && recurring.contains(&UK.to_owned()));
    assert!(!recurring.contains(&EU.to_owned()));
    gw.sandbox.stop().await;
}

/// What a fintech needs to know before it asks: standard, approaches, what is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_institution_says_what_it_can_do() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let bank = ask(&tpp, &format!("/{DECOUPLED}")).await.expect(200).unwrap().json();
    assert_eq!(bank["auth_approaches"], serde_json::json!(["DECOUPLED"]));
    assert_eq!(bank["region"], "eu");
    assert_eq!((&bank["connectable"], &bank["environment"]), (&true.into(), &"sandbox".into()));
    assert_eq!(bank["sandbox_users"][0]["username"], "anna");
    let real = ask(&tpp, "/gb-monzo").await.expect(200).unwrap().json();
    assert_eq!(real["connectable"], false);
    assert!(real["missing"].as_array().unwrap().contains(&"client_id".into()));
    assert_problem(&ask(&tpp, "/gb-nobody").await, 404, "resource.not_found");
    gw.sandbox.stop().await;
}

/// Pages join without gap or repeat; a cursor belongs to its parameters.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn institutions_come_in_pages() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let all = found(&tpp, "?limit=500").await;
    let (mut paged, mut query) = (Vec::new(), "?limit=7".to_owned());
    let mut cursor;
    loop {
        let page = ask(&tpp, &query).await.expect(200).unwrap();
        paged.extend(ids(&rows(&page)));
        cursor = page.text("/page/next_cursor");
        if cursor.is_empty() {
            break;
        }
        query = format!("?limit=7&cursor={cursor}");
        let other = ask(&tpp, &format!("?country=GB&limit=7&cursor={cursor}")).await;
        assert_problem(&other, 400, "request.cursor");
    }
    assert_eq!(paged, all);
    assert!(paged.is_sorted());
    gw.sandbox.stop().await;
}

/// An imported directory is searched beside the profiles, accents or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_imported_institution_is_found_and_is_not_connectable() {
    let gw = TestGateway::start().await;
    let line = r#"{"id":"caisse-d-epargne","name":"Caisse d'Épargne","countries":["FR"],"bic":"CEPAFRPP"}"#;
    let put = store::transaction!(gw.sandbox.gateway().stores().global(), tx => {
        tx.put_directory_entry("caisse-d-epargne", line).await
    });
    put.unwrap();
    let gw = gw.restarted().await;
    let tpp = gw.tpp().await;
    assert_eq!(found(&tpp, "?q=epargne").await, ["caisse-d-epargne"]);
    assert_eq!(found(&tpp, "?bic=CEPAFRPP&country=FR").await, ["caisse-d-epargne"]);
    assert_eq!(found(&tpp, "?country=FR").await, ["caisse-d-epargne", DECOUPLED, STET]);
    assert_eq!(found(&tpp, "?country=FR&capability=accounts").await, [DECOUPLED, STET]);
    let bank = ask(&tpp, "/caisse-d-epargne").await.expect(200).unwrap().json();
    assert_eq!((&bank["connectable"], &bank["missing"][0]), (&false.into(), &"profile".into()));
    gw.sandbox.stop().await;
}
