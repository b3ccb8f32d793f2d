//! `consentry banks score`: what a bank's interface is worth, seen from outside.

use crate::support::operator::{Operator, said};
use crate::support::{EU, POLISH, STET, UK};
use modelbank::{Fault, Twist};
use serde_json::{Value, json};

async fn scored(operator: &Operator) -> Value {
    let made = operator.at_bank(&["score", "--json", "--redirect-uri", &operator.callback]).await;
    assert!(made.status.success(), "{}", said(&made));
    serde_json::from_slice(&made.stdout).unwrap_or_else(|_| panic!("{}", said(&made)))
}

fn named(card: &Value, verdict: &str) -> Vec<String> {
    let marks = card["marks"].as_array().unwrap().iter().filter(|mark| mark["verdict"] == verdict);
    marks.map(|mark| mark["mark"].as_str().unwrap().to_owned()).collect()
}

/// The model banks do what their standards say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_banks_have_every_mark() {
    for bank in [UK, EU, STET, POLISH] {
        let operator = Operator::of(bank).await;
        let card = scored(&operator).await;
        assert_eq!((&card["bank"], &card["authorised"]), (&json!(bank), &json!(true)));
        assert_eq!(named(&card, "no"), Vec::<String>::new(), "{bank}: {card}");
        assert_eq!(named(&card, "unseen"), Vec::<String>::new(), "{bank}: {card}");
        assert_eq!(card["marks"].as_array().unwrap().len(), 14);
        assert!(card["calls"].as_u64().unwrap() > 10 && card["slowest_ms"].is_number());
        operator.gw.sandbox.stop().await;
    }
}

/// Whatever a bank does wrong is on its card, and nothing of the person is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_bank_does_wrong_costs_its_mark() {
    let operator = Operator::of(EU).await;
    let (faults, _) = operator.gw.sandbox.bank(EU).unwrap();
    let wrong = [
        (Twist::IdsChanging, &["transaction-ids-stable"][..]),
        (Twist::IdsMissing, &["transaction-ids-given"]),
        (Twist::IdsPlaceholder, &["transaction-ids-given"]),
        (Twist::IdsRepeated, &["transaction-ids-unique"]),
        (Twist::EntriesRepeated, &["entries-once"]),
        (Twist::PageAgain, &["transactions-readable", "paging-ends"]),
    ];
    for (twist, costs) in wrong {
        faults.arm("GET", "/transactions", Fault::Twisted(twist), 1_000);
        let card = scored(&operator).await;
        let lost = named(&card, "no");
        assert!(costs.iter().all(|mark| lost.contains(&(*mark).to_owned())), "{twist:?}: {card}");
        for personal in ["Lindner", "DE17999100001000000017", "Frischmarkt", "rhb-10017"] {
            assert!(!card.to_string().contains(personal), "{personal}");
        }
        faults.clear();
    }
    operator.gw.sandbox.stop().await;
}

/// A bank that authorises nobody has no card, and the reason is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_that_refuses_us_has_no_card() {
    let operator = Operator::of(EU).await;
    let (faults, _) = operator.gw.sandbox.bank(EU).unwrap();
    faults.arm("POST", "/consents", Fault::Unavailable, 100);
    let made = operator.at_bank(&["score", "--json"]).await;
    assert!(!made.status.success());
    let told: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!((&told["refused_at"], &told["marks"]), (&json!("consent"), &Value::Null));
    operator.gw.sandbox.stop().await;
}

/// `consentry conformance bank` does the same, and writes down what the directory shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_bank_is_judged_and_its_scorecard_kept() {
    let operator = Operator::of(EU).await;
    let name = format!("{EU}.scorecard.json");
    let mut process = std::process::Command::new(env!("CARGO_BIN_EXE_consentry"));
    process.args(["conformance", "bank", "--json", "--redirect-uri", &operator.callback, "--out", &name]);
    process.args(["--profile", "bank.toml", "--data-dir", "data"]).current_dir(operator.gw.folder());
    let made = tokio::task::spawn_blocking(move || process.output().unwrap()).await.unwrap();
    assert!(made.status.success(), "{}", said(&made));
    let file = operator.file(&name);
    assert_eq!(connect::scorecard_of(&file).unwrap().as_str(), EU);
    let card: connect::Scorecard = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!((card.bank.as_str(), card.marks.len()), (EU, 14));
    assert!(card.calls > 10 && card.median_ms <= card.slowest_ms);
    operator.gw.sandbox.stop().await;
}
