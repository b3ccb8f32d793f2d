//! The keys of a region under a key that a PKCS#11 token keeps.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use consentry::demo::Tpp;
use consentry::sandbox::{Sandbox, SandboxOptions};
use domain::{Clock, ConsentId, SystemClock};
use serde_json::Value;

use crate::softhsm::{PIN, TOKEN, module, with_token};
use crate::support::EU;
use crate::support::template::seed;
use crate::support::webhooks::until;

#[test]
fn the_keys_of_a_region_may_be_under_one_of_a_token() {
    with_token("region_token::keys_are_moved_to_a_token");
}

/// `consentry keys region …` on a folder.
fn keys(data: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_consentry"))
        .args(["keys", "region"])
        .args(arguments)
        .arg("--data-dir")
        .arg(data)
        .env_remove("CONSENTRY_DATABASE_URL")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8([output.stdout.clone(), output.stderr.clone()].concat()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in a process of its own, with a token"]
async fn keys_are_moved_to_a_token() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    seed(&data, &*clock).await;
    let start = async || Sandbox::start(SandboxOptions::at(&data)).await;
    // What is sealed under the keys as they were.
    let first = start().await.unwrap();
    let mut tpp = Tpp::discover(&first.access(), Arc::clone(&clock)).await.unwrap();
    tpp.register().await.unwrap();
    let own = tpp.own_token("accounts").await.unwrap();
    let consent = tpp.lodge(&own, &[EU]).await.unwrap().remove(0).parse::<ConsentId>().unwrap();
    first.stop().await;

    let file = data.join("keys/region-eu.json");
    let read = || serde_json::from_slice::<Value>(&std::fs::read(&file).unwrap()).unwrap();
    let before = read();
    let (pin, wrong) = (folder.path().join("pin"), folder.path().join("wrong"));
    std::fs::write(&pin, format!("{PIN}\n")).unwrap();
    std::fs::write(&wrong, "0000").unwrap();
    let module = module().unwrap().display().to_string();
    let to = |pin: &Path, more: &[&str]| {
        let pin = pin.display().to_string();
        let place = ["to-pkcs11", "--region", "eu", "--module", &module, "--token", TOKEN, "--key", "eu"];
        keys(&data, &[&place[..], &["--pin-file", &pin], more].concat())
    };
    for (refused, why) in
        [(to(&pin, &[]), "not exactly one AES key"), (to(&wrong, &["--make"]), "did not take the PIN")]
    {
        assert!(!refused.status.success() && said(&refused).contains(why), "{}", said(&refused));
        assert_eq!(read(), before);
    }
    let moved = to(&pin, &["--make"]);
    assert!(moved.status.success(), "{}", said(&moved));
    let again = to(&pin, &[]);
    assert!(!again.status.success() && said(&again).contains("are sealed under key eu"), "{}", said(&again));

    let after = read();
    let text = std::fs::read_to_string(&file).unwrap();
    for plain in [&before["index_key"], &before["wrapping"][0]["key"]] {
        assert!(!text.contains(plain.as_str().unwrap()), "a key is there as it is");
    }
    assert_eq!(after["token"]["key"], "eu");
    assert!(!text.contains(PIN));
    start().await.unwrap().stop().await;

    let rotated = keys(&data, &["rotate", "--region", "eu", "--takes-over-in", "0"]);
    assert!(rotated.status.success(), "{}", said(&rotated));
    start().await.unwrap().stop().await;

    // Nothing that wraps is in the file or in memory any more: the token does it.
    let held = keys(&data, &["rotate", "--region", "eu", "--takes-over-in", "0", "--on-token"]);
    assert!(held.status.success(), "{}", said(&held));
    assert_eq!(
        (&read()["wrapping"][2]["held"], read()["wrapping"][2].get("key")),
        (&Value::from("eu-3"), None)
    );
    let running = start().await.unwrap();
    let store = running.gateway().stores().region("eu".parse().unwrap()).unwrap().clone();
    let wrapped = async |number| store.vault().wrapped_by(number).await.unwrap();
    until("all are wrapped by the token", async || {
        (wrapped(1).await + wrapped(2).await == 0 && wrapped(3).await > 0).then_some(())
    })
    .await;
    running.stop().await;
    for number in ["1", "2"] {
        let gone = keys(&data, &["drop", "--region", "eu", number]);
        assert!(gone.status.success(), "{}", said(&gone));
    }
    let running = start().await.unwrap();
    let store = running.gateway().stores().region("eu".parse().unwrap()).unwrap().clone();
    let opened = store.consent(consent).await.unwrap().unwrap();
    assert!(!opened.terms.permissions.is_empty());
    running.stop().await;
    for _ in 0..2 {
        let rotated = keys(&data, &["rotate", "--region", "eu", "--takes-over-in", "0"]);
        assert!(rotated.status.success(), "{}", said(&rotated));
    }

    // Each is sealed for its place: one in another's is no key.
    let kept = read();
    let mut swapped = kept.clone();
    swapped["wrapping"][2]["key"] = kept["wrapping"][1]["key"].clone();
    std::fs::write(&file, swapped.to_string()).unwrap();
    let why = start().await.err().map(|error| format!("{error:#}")).unwrap();
    assert!(why.contains("not sealed under the key that it names"), "{why}");
    std::fs::write(&file, kept.to_string().replace("\"key\":\"eu\"", "\"key\":\"other\"")).unwrap();
    let why = start().await.err().map(|error| format!("{error:#}")).unwrap();
    assert!(why.contains("key other of token test") && !why.contains(PIN), "{why}");
}
