//! A database at several hosts: the one that takes changes is found, and found again after it has
//! moved.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod cluster;

use cluster::Cluster;
use consentry_store::{GlobalStore, StoreError, postgres_databases, transaction};
use domain::{Clock, SystemClock};

async fn put(store: &GlobalStore, client: &str) -> Result<(), StoreError> {
    transaction!(keyed store, tx => { tx.put_client(client, &serde_json::json!({}), SystemClock.now()).await })
}

/// The primary is killed and its copy takes over while somebody writes: who writes waits for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_database_is_followed_to_the_copy_that_takes_over() {
    let Some(cluster) = Cluster::with_a_copy() else { return };
    // The copy is named first: it answers, and is none to write to.
    let urls = postgres_databases(&cluster.address(), &["global"], consentry_store::SchemaUse::BringUpToDate)
        .await
        .unwrap();
    assert!(urls[0].contains(','), "{}", urls[0]);
    let store = GlobalStore::open(&urls[0]).await.unwrap();
    put(&store, "before").await.unwrap();

    cluster.kill_primary();
    let writing = tokio::spawn({
        let store = store.clone();
        async move { put(&store, "meanwhile").await }
    });
    cluster.promote();
    writing.await.unwrap().unwrap();
    put(&store, "after").await.unwrap();
    store.close().await;

    let copy = GlobalStore::open(&cluster.at_the_copy("postgres_global")).await.unwrap();
    for client in ["before", "meanwhile", "after"] {
        assert!(copy.client(client).await.unwrap().is_some(), "{client}");
    }
    copy.close().await;
    let nobody = GlobalStore::open(&urls[0].replace(&cluster.copy_port(), "1")).await;
    assert!(nobody.is_err_and(|error| format!("{error:?}").contains("takes changes")));
}
