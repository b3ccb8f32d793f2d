//! What a person may ask for, and what the law asks for: all that is kept, an end of it, and
//! that it is kept no longer than it must be.

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::operator::{command, said};
use crate::support::{EU, TestGateway, UK, assert_problem};

/// The answer of a command that does what it was told.
fn told(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    said(output)
}

/// Every byte that a sandbox on files has on the disk, if it is on files. Read by another
/// process: one that closes a database's file gives up the locks that it has on it.
fn on_disk(gateway: &TestGateway) -> Option<Vec<u8>> {
    if gateway.database_url().is_some() {
        eprintln!("skipped: the databases are no files here; the SQLite run looks into them");
        return None;
    }
    let mut all = Vec::new();
    for entry in std::fs::read_dir(gateway.folder().join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            all.extend(Command::new("cat").arg(path).output().unwrap().stdout);
        }
    }
    Some(all)
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_found_by_an_account_and_gets_everything_and_then_nothing_is_left() {
    let gateway = TestGateway::start().await;
    let tpp = gateway.tpp().await;
    let iban = gateway.iban_at(&tpp, EU).await;
    let granted = gateway.granted(&tpp, &[UK, EU]).await;
    tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    let (uk, eu) = (granted.consents[0].as_str(), granted.consents[1].as_str());
    let file = gateway.folder().join("accounts.txt");
    let spaced = format!("{} {}\n\n", &iban[..4], &iban[4..]);
    std::fs::write(&file, spaced).unwrap();
    let file = file.to_str().unwrap().to_owned();
    if let Some(bytes) = on_disk(&gateway) {
        assert!(has(&bytes, eu), "the search finds what is there");
        assert!(!has(&bytes, &iban), "nobody can read the number");
    }

    let exported: Value =
        serde_json::from_str(&told(&command(&gateway, "export", &["--accounts", &file]))).unwrap();
    let kept = exported["kept"].as_array().unwrap();
    let ids: Vec<_> = kept.iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&eu) && !ids.contains(&uk), "{ids:?}");
    let ours = kept.iter().find(|one| one["id"] == eu).unwrap();
    assert_eq!(ours["kept"]["institution_id"], EU);
    assert!(ours["kept"]["reads"].as_array().is_some_and(|reads| !reads.is_empty()), "{ours}");
    assert!(ours["kept"]["accounts"][0]["account_id"].as_str().unwrap().starts_with("acc_eu"));

    let refused = command(&gateway, "erase", &[eu, "--reason", "gdpr-17"]);
    assert!(
        !refused.status.success() && said(&refused).contains("AUTHORIZED, and has to be ended first"),
        "{}",
        said(&refused)
    );
    let own = tpp.own_token("accounts").await.unwrap();
    for id in &ids {
        tpp.delete(&own, &format!("/v1/consents/{id}")).await.unwrap().expect(204).unwrap();
    }
    let erased = told(&command(&gateway, "erase", &["--accounts", &file, "--reason", "gdpr-17"]));
    assert!(
        erased.contains(&format!("{eu} erased")) && erased.contains(&format!("{} found", ids.len())),
        "{erased}"
    );
    assert!(told(&command(&gateway, "erase", &["--accounts", &file])).starts_with("0 found"));
    let gone = tpp.get(&own, &format!("/v1/consents/{eu}")).await.unwrap();
    assert_problem(&gone, 404, "resource.not_found");
    tpp.get(&own, &format!("/v1/consents/{uk}")).await.unwrap().expect(200).unwrap();
    // The grant goes on with what it still has.
    tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();

    let gateway = gateway.restarted().await;
    let log = told(&command(&gateway, "audit", &["export", "--region", "eu"]));
    assert!(log.contains("data.erase") && log.contains("gdpr-17") && !log.contains(&iban), "{log}");
    told(&command(&gateway, "audit", &["verify"]));
    gateway.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_is_kept_for_its_time_and_what_is_held_longer() {
    let gateway = TestGateway::start().await;
    let tpp = gateway.tpp().await;
    let granted = gateway.granted(&tpp, &[UK, EU]).await;
    let (uk, eu) = (granted.consents[0].as_str(), granted.consents[1].as_str());
    let own = tpp.own_token("accounts").await.unwrap();
    for id in [uk, eu] {
        tpp.delete(&own, &format!("/v1/consents/{id}")).await.unwrap().expect(204).unwrap();
    }
    let rules = told(&command_alone(&["retention", "rules"]));
    assert!(rules.contains("consents    396 days") && rules.contains("payments   1827 days"), "{rules}");
    assert_eq!(
        told(&command(&gateway, "retention", &["run"])).trim(),
        "0 erased, 0 events and answers deleted"
    );

    let held = told(&command(&gateway, "retention", &["hold", uk, "--reason", "case-7"]));
    assert!(held.contains("is held (case-7)"), "{held}");
    assert!(
        said(&command(&gateway, "retention", &["hold", uk, "--reason", "case-8"])).contains("held already")
    );
    let sentence = command(&gateway, "retention", &["hold", eu, "--reason", "Anna asked"]);
    assert!(!sentence.status.success() && said(&sentence).contains("letters, digits"), "{}", said(&sentence));
    assert!(told(&command(&gateway, "retention", &["holds"])).ends_with("1 held\n"));
    assert!(said(&command(&gateway, "erase", &[uk])).contains("it is held (case-7)"));

    let file = gateway.folder().join("retention.toml");
    let embedded = include_str!("../../../../policies/retention/retention.toml");
    std::fs::write(&file, embedded.replace("keep_days = 396", "keep_days = 0")).unwrap();
    let at_once = ["run", "--retention", file.to_str().unwrap()];
    assert!(told(&command(&gateway, "retention", &at_once)).starts_with("1 erased"));
    assert_problem(&tpp.get(&own, &format!("/v1/consents/{eu}")).await.unwrap(), 404, "resource.not_found");
    tpp.get(&own, &format!("/v1/consents/{uk}")).await.unwrap().expect(200).unwrap();
    told(&command(&gateway, "retention", &["release", uk]));
    assert!(said(&command(&gateway, "retention", &["release", uk])).contains("is not held"));
    assert!(told(&command(&gateway, "retention", &at_once)).starts_with("1 erased"));

    std::fs::write(&file, "[consents]\nkeep_days = \"long\"\n").unwrap();
    let unusable = command(&gateway, "retention", &at_once);
    assert!(
        !unusable.status.success() && said(&unusable).contains("is no rules of retention"),
        "{}",
        said(&unusable)
    );
    gateway.sandbox.stop().await;
}

/// A command that needs no gateway.
fn command_alone(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_consentry")).args(arguments).output().unwrap()
}

/// What is named wrongly is said before anything happens, and no number is repeated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_that_names_nobody_erases_nothing() {
    let gateway = TestGateway::start().await;
    let nothing = command(&gateway, "erase", &[]);
    assert!(!nothing.status.success() && said(&nothing).contains("nothing is named"), "{}", said(&nothing));
    let no_id = command(&gateway, "erase", &["acc_eu_1"]);
    assert!(
        !no_id.status.success() && said(&no_id).contains("no consent, payment or mandate"),
        "{}",
        said(&no_id)
    );
    let file = gateway.folder().join("accounts.txt");
    std::fs::write(&file, "DE17999100001000000018\n").unwrap();
    let wrong = command(&gateway, "export", &["--accounts", file.to_str().unwrap()]);
    assert!(!wrong.status.success() && said(&wrong).contains("line 1 of --accounts"), "{}", said(&wrong));
    assert!(!said(&wrong).contains("1000000018"));
    let nobody = "con_eu_01a2220987ac795c99a8df167cd7c47e";
    assert!(told(&command(&gateway, "erase", &[nobody])).contains("is not there"));
    gateway.sandbox.stop().await;
}

/// A new key takes over while the gateway runs, wraps what the former one wrapped, and the
/// former one can go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_that_wraps_data_keys_is_changed_without_a_stop() {
    let gateway = TestGateway::start().await;
    let tpp = gateway.tpp().await;
    let granted = gateway.granted(&tpp, &[EU]).await;
    let early = command(&gateway, "keys", &["region", "drop", "--region", "eu", "1"]);
    assert!(!early.status.success() && said(&early).contains("still wraps"), "{}", said(&early));
    let folder = gateway.folder().join("data");
    let at = ["--data-dir", folder.to_str().unwrap()];
    let rotated = command_alone(
        &[&["keys", "region", "rotate", "--region", "eu", "--takes-over-in", "0"], &at[..]].concat(),
    );
    assert!(told(&rotated).contains("Key 2 of eu wraps data keys from"), "{}", said(&rotated));
    let listed = told(&command_alone(&[&["keys", "region", "list"], &at[..]].concat()));
    assert_eq!(listed.lines().filter(|line| line.starts_with("eu")).count(), 2, "{listed}");
    // Taken up within seconds, and wrapped anew when the housekeeper comes by: at a start.
    let gateway = gateway.restarted().await;
    let dropped = async {
        let mut beat = tokio::time::interval(std::time::Duration::from_millis(50));
        loop {
            beat.tick().await;
            let output = command(&gateway, "keys", &["region", "drop", "--region", "eu", "1"]);
            if output.status.success() {
                return output;
            }
        }
    };
    let dropped = tokio::time::timeout(crate::support::consents::PATIENCE, dropped).await.unwrap();
    assert!(told(&dropped).contains("Key 1 of eu is gone"));
    let only = command(&gateway, "keys", &["region", "drop", "--region", "uk", "1"]);
    assert!(!only.status.success(), "{}", said(&only));
    let gateway = gateway.restarted().await;
    let exported = told(&command(&gateway, "export", &[&granted.consents[0]]));
    assert!(exported.contains("\"institution_id\": \"de-rheinbank\""), "still readable: {exported}");
    gateway.sandbox.stop().await;
}
