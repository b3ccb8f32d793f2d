//! Banks from a folder of the operator: added, changed, removed while the
//! gateway runs, whole or not at all.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use consentry::demo::Tpp;
use consentry::sandbox::{Sandbox, SandboxOptions};
use domain::SystemClock;

const GROUP: &str = r#"
group = "Bank of the Folder"

[defaults]
dialect = "berlin-group"
region = "eu"
countries = ["DE"]
environment = "live"
capabilities = ["accounts"]
sca = ["redirect"]
client_auth = "certificate"
signing = { method = "none" }
"#;

fn brand(id: &str, name: &str) -> String {
    format!(
        "\n[[brand]]\nid = \"{id}\"\nname = \"{name}\"\naccounts_api = {{ use = \"1.3\", \"1.3\" = \"https://bank.example/v1\" }}\n"
    )
}

fn write(folder: &Path, file: &str, brands: &[String]) {
    // In one step, as an operator's tool would.
    let partial = folder.join("partial");
    std::fs::write(&partial, [GROUP, &brands.concat()].concat()).unwrap();
    std::fs::rename(partial, folder.join(file)).unwrap();
}

async fn started(folder: &Path, banks: &Path) -> anyhow::Result<Sandbox> {
    let banks = vec![banks.to_path_buf()];
    Sandbox::start(SandboxOptions { banks, ..SandboxOptions::at(folder) }).await
}

/// The name that the API gives a bank; none if there is no such bank.
async fn name(tpp: &Tpp, id: &str) -> Option<String> {
    let url = format!("{}/v1/institutions/{id}", tpp.api);
    let answer = tpp.http.get(&url, &[]).await.unwrap();
    (answer.status == 200).then(|| answer.text("/name"))
}

/// Waits until the API says so; at most ten seconds.
async fn becomes(tpp: &Tpp, id: &str, wanted: Option<&str>) {
    let look = async {
        let mut beat = tokio::time::interval(Duration::from_millis(50));
        while name(tpp, id).await.as_deref() != wanted {
            beat.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), look).await.unwrap_or_else(|_| panic!("{id}: {wanted:?}"));
}

/// A profile is data: adding, changing and removing a bank needs no restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn banks_of_a_folder_come_change_and_go_while_the_gateway_runs() {
    let home = tempfile::tempdir().unwrap();
    let banks = home.path().join("banks");
    std::fs::create_dir(&banks).unwrap();
    write(&banks, "one.toml", &[brand("de-one", "One"), brand("gb-monzo", "Ours")]);
    let sandbox = started(&home.path().join("data"), &banks).await.unwrap();
    let tpp = Tpp::discover(&sandbox.access(), Arc::new(SystemClock)).await.unwrap();
    assert_eq!(name(&tpp, "de-one").await.as_deref(), Some("One"));
    assert_eq!(name(&tpp, "gb-monzo").await.as_deref(), Some("Ours"));

    write(&banks, "two.toml", &[brand("de-two", "Two")]);
    becomes(&tpp, "de-two", Some("Two")).await;
    // What is loaded goes before what ships, and no longer than it is there.
    write(&banks, "one.toml", &[brand("de-one", "One and Only")]);
    becomes(&tpp, "de-one", Some("One and Only")).await;
    becomes(&tpp, "gb-monzo", Some("Monzo")).await;

    write(&banks, "three.toml", &[brand("de-three", "Three")]);
    becomes(&tpp, "de-three", Some("Three")).await;
    std::fs::remove_file(banks.join("three.toml")).unwrap();
    becomes(&tpp, "de-three", None).await;
    sandbox.stop().await;
}

/// The binary's banks, the folder's, or both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn banks_come_from_the_folder_alone_where_the_binarys_are_left_out() {
    let home = tempfile::tempdir().unwrap();
    let banks = home.path().join("banks");
    std::fs::create_dir(&banks).unwrap();
    write(&banks, "one.toml", &[brand("de-one", "One")]);
    let options = SandboxOptions { banks: vec![banks], ..SandboxOptions::at(home.path().join("data")) };
    let alone = Sandbox::start(SandboxOptions { embedded_banks: false, ..options }).await.unwrap();
    let known = |id: &str| alone.gateway().registry().profile(&id.parse().unwrap()).is_some();
    assert_eq!((known("de-one"), known("gb-albion-bank"), known("gb-monzo")), (true, true, false));
    alone.stop().await;
}

/// A mistake that is there from the start is named with file, line and key, and
/// all of them at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistake_at_the_start_is_named_with_file_line_and_key() {
    let home = tempfile::tempdir().unwrap();
    let banks = home.path().join("banks");
    std::fs::create_dir(&banks).unwrap();
    write(&banks, "a.toml", &[brand("de-one", "One").replace("accounts_api", "acounts_api")]);
    write(&banks, "b.toml", &[brand("de-two", "Two").replace("id = ", "nr = ")]);
    let refused = started(&home.path().join("data"), &banks).await.err().unwrap().to_string();
    let (a, b) = (banks.join("a.toml"), banks.join("b.toml"));
    assert!(refused.contains(&format!("{}:17: brand[0].acounts_api: ", a.display())), "{refused}");
    assert!(refused.contains(&format!("{}:14: brand[0].id: is missing", b.display())), "{refused}");
}

/// A scorecard that lies beside its bank's profile is shown, and a broken one is no change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scorecard_beside_a_profile_is_shown() {
    let home = tempfile::tempdir().unwrap();
    let banks = home.path().join("banks");
    std::fs::create_dir(&banks).unwrap();
    write(&banks, "one.toml", &[brand("de-one", "One"), brand("de-two", "Two")]);
    let card = |bank: &str| {
        serde_json::json!({
            "bank": bank, "judged_at": "2026-11-29T06:00:00Z", "calls": 12, "median_ms": 40, "slowest_ms": 310,
            "marks": [{"mark": "paging-ends", "verdict": "yes", "detail": "3 pages"}],
        })
        .to_string()
    };
    std::fs::write(banks.join("de-one.scorecard.json"), card("de-one")).unwrap();
    let sandbox = started(&home.path().join("data"), &banks).await.unwrap();
    let tpp = Tpp::discover(&sandbox.access(), Arc::new(SystemClock)).await.unwrap();
    let shown = async |id: &str| {
        let answer = tpp.http.get(&format!("{}/v1/institutions/{id}", tpp.api), &[]).await.unwrap();
        answer.json()["scorecard"].clone()
    };
    let one = shown("de-one").await;
    assert_eq!((&one["calls"], &one["marks"][0]["verdict"]), (&12.into(), &"yes".into()), "{one}");
    assert_eq!(one["judged_at"], "2026-11-29T06:00:00Z");
    assert!(shown("de-two").await.is_null());

    // One of another bank is refused at the start, and changes nothing later.
    std::fs::write(banks.join("de-two.scorecard.json"), card("de-one")).unwrap();
    let again = started(&home.path().join("other"), &banks).await;
    assert!(again.err().unwrap().to_string().contains("it is the scorecard of de-one"));
    sandbox.stop().await;
}
