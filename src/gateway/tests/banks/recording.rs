//! Recordings of banks: nothing of the person is in them, everything of the
//! bank's ways is, and a bank that changes is found out.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::operator::{Operator, said};
use crate::support::{EU, POLISH, STET, UK};
use modelbank::{Fault, Twist};
use serde_json::{Value, json};

async fn journey(bank: &'static str, personal: &[&str], twisted_path: &str) {
    let operator = Operator::of(bank).await;
    let lines = operator.record("one.jsonl").await;
    let mode = fs::metadata(operator.file("one.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for operation in ["accounts", "balances", "transactions"] {
        assert!(
            lines.iter().any(|line| line["operation"] == operation && line["status"] == 200),
            "{operation}"
        );
    }
    let text = fs::read_to_string(operator.file("one.jsonl")).unwrap();
    for value in personal {
        assert!(!text.contains(value), "{value}");
    }

    // Every line is read, with the standard's own rules and with the profile's.
    for how in
        [&["read", "one.jsonl", "--json"][..], &["replay", "one.jsonl", "--json", "--profile", "bank.toml"]]
    {
        let read = operator.run(how).await;
        let tally: Value = serde_json::from_slice(&read.stdout).unwrap_or_else(|_| panic!("{}", said(&read)));
        let all = lines.len();
        assert_eq!(tally, json!({ "total": all, "parsed": all, "typed_errors": 0, "unread": 0 }), "{how:?}");
    }

    let kept = operator.at_bank(&["record", "--out", "one.jsonl"]).await;
    assert!(!kept.status.success() && said(&kept).contains("is there already"), "{}", said(&kept));
    let again = operator.record("two.jsonl").await;
    assert_eq!(again.len(), lines.len());
    assert_ne!(again, lines, "stand-ins are others in each recording");
    assert_eq!(operator.drift("two.jsonl", "one.jsonl").await, (true, Vec::new()));

    let (faults, _) = operator.gw.sandbox.bank(bank).unwrap();
    let (method, path) = if bank == POLISH { ("POST", "/getTransactions") } else { ("GET", "/transactions") };
    faults.arm(method, path, Fault::Twisted(Twist::AmountsAsNumbers), 100);
    operator.record("three.jsonl").await;
    let drift = operator.drift("three.jsonl", "one.jsonl").await;
    let expected = format!("{bank} transactions {twisted_path}: decimal -> number");
    assert!(!drift.0 && drift.1.contains(&expected), "{drift:?}");
    assert!(drift.1.iter().all(|line| line.ends_with("decimal -> number")), "{drift:?}");
    operator.gw.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_of_a_uk_bank_has_nothing_of_the_person_and_shows_what_changes() {
    let personal = [
        "Whitfield",
        "Everyday",
        "Rainy day",
        "99001110000017",
        "GB85ALBN",
        "alb-10017",
        "alb-10025",
        "3482.17",
        "12500.00",
        "Northgate",
        "Harbour Lettings",
        "Green Basket",
        "City Council",
        "Bearer",
    ];
    journey(UK, &personal, "$.Data.Transaction[].Amount.Amount").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_of_a_berlin_group_bank_has_nothing_of_the_person_and_shows_what_changes() {
    let personal = [
        "Lindner",
        "Girokonto",
        "Tagesgeld",
        "Haushalt",
        "DE17999100001000000017",
        "DE92999100001000000025",
        "rhb-10017",
        "2913.44",
        "18000.00",
        "Werkstatt Nord",
        "Hausverwaltung Brandt",
        "Frischmarkt",
    ];
    journey(EU, &personal, "$.transactions.booked[].transactionAmount.amount").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_of_a_stet_bank_has_nothing_of_the_person_and_shows_what_changes() {
    let personal = [
        "Moreau",
        "Livret",
        "FR7699902000010001000001730",
        "riv-10017",
        "riv-10025",
        "6400.00",
        "Atelier du Port",
        "Agence Belle Rive",
    ];
    journey(STET, &personal, "$.transactions[].transactionAmount.amount").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_of_a_polish_bank_has_nothing_of_the_person_and_shows_what_changes() {
    let personal =
        ["Wiśniewska", "Konto osobiste", "99901006", "wis-10017", "wis-10025", "8421.50", "Pracownia"];
    journey(POLISH, &personal, "$.transactions[].amount").await;
}

/// A habit of the bank: dates that are none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_habit_that_a_bank_takes_up_is_named_with_its_place() {
    let operator = Operator::of(UK).await;
    operator.record("old.jsonl").await;
    let habits = operator.gw.sandbox.bank_habits(UK).unwrap();
    habits.become_only([modelbank::Habit::InvalidDateIsNone]);
    operator.record("new.jsonl").await;
    let (same, lines) = operator.drift("new.jsonl", "old.jsonl").await;
    assert!(!same);
    let date = "$.Data.Transaction[].BookingDateTime: date-time -> a date that is none";
    assert_eq!(lines, [format!("{UK} transactions {date}")]);
    operator.gw.sandbox.stop().await;
}

/// The answer that matters is the one that we cannot use.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_ends_the_recording_is_in_it() {
    let operator = Operator::of(EU).await;
    operator.record("old.jsonl").await;
    let (faults, _) = operator.gw.sandbox.bank(EU).unwrap();
    faults.arm("GET", "/v1/accounts", Fault::Unauthorised, 1);
    fs::write(operator.file("new.jsonl"), "something else").unwrap();
    let ended = operator.at_bank(&["record", "--out", "new.jsonl", "--force"]).await;
    assert!(!ended.status.success() && said(&ended).contains("ends  accounts"), "{}", said(&ended));
    let (same, lines) = operator.drift("new.jsonl", "old.jsonl").await;
    let found = |line: &str| lines.iter().any(|found| *found == format!("{EU} {line}"));
    assert!(!same && found("accounts $: status 200 -> 401"), "{lines:?}");
    assert!(found("balances $: is in the old recording only"), "{lines:?}");

    faults.arm("GET", "/balances", Fault::HtmlPage, 100);
    let done = operator.at_bank(&["record", "--out", "new.jsonl", "--force"]).await;
    assert!(done.status.success(), "{}", said(&done));
    let (_, lines) = operator.drift("new.jsonl", "old.jsonl").await;
    assert!(
        lines.iter().any(|line| line.contains("balances $: content type application/json ->")),
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line.ends_with("balances $: object -> not JSON")), "{lines:?}");
    operator.gw.sandbox.stop().await;
}

/// A comparison with something else is refused, and says which line.
#[test]
fn what_is_no_recording_is_not_compared() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.jsonl"), "{}\n").unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_consentry"));
    process.args(["banks", "replay", "x.jsonl", "--against", "x.jsonl"]).current_dir(folder.path());
    let done = process.output().unwrap();
    assert!(
        !done.status.success() && said(&done).contains("line 1 is no recorded exchange"),
        "{}",
        said(&done)
    );
}
