use super::*;

/// The exchanges other projects recorded with real banks, where this machine has them.
fn exchanges() -> Option<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/bank-exchanges.jsonl");
    let text = std::fs::read_to_string(path).ok();
    if text.is_none() {
        eprintln!("SKIPPED: no recorded bank exchanges beside the checkout ({path})");
    }
    text
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim().is_empty())
}

#[test]
fn every_recorded_answer_parses_or_fails_with_bank_and_field() {
    let Some(text) = exchanges() else { return };
    let mut tally = Tally::default();
    for line in lines(&text) {
        let outcome = read_exchange(line, None);
        tally.add(&outcome);
        let head: String = line.chars().take(300).collect();
        match outcome {
            ReadOutcome::Parsed { .. } => {}
            ReadOutcome::TypedError(error) => {
                let placed = error.field.as_ref().is_some_and(|field| !field.is_empty());
                assert!(placed && head.contains(error.institution.as_str()), "{error}: {head}");
            }
            ReadOutcome::Unread => eprintln!("unread: {head}"),
        }
    }
    assert_eq!(tally, Tally { total: 330, parsed: 298, typed_errors: 32, unread: 0 });
}

#[test]
fn older_formats_give_as_many_entries_as_they_hold() {
    let Some(text) = exchanges() else { return };
    let mut seen = 0;
    for line in lines(&text) {
        let exchange: Exchange = serde_json::from_str(line).unwrap();
        let body = exchange.body.clone().unwrap_or_default();
        let held = body.matches("<Ntry>").count() + body.matches("\n:61:").count();
        if held > 0 {
            seen += 1;
            let outcome = read_exchange(line, None);
            let ReadOutcome::Parsed { what: "transactions", items } = outcome else { panic!("{outcome:?}") };
            assert_eq!(items, held);
        }
    }
    assert_eq!(seen, 3, "two camt.052 reports and one MT940 statement are recorded");
}

/// A small generator: the same mutations on every run.
struct Mutations(u64);

impl Mutations {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}

#[test]
fn no_mutation_of_a_recorded_answer_panics_or_hangs() {
    let Some(text) = exchanges() else { return };
    let mut chance = Mutations(0x9e37_79b9_7f4a_7c15);
    let scraps =
        ["null", "[]", "{}", "-1", "\"\"", "1e999", "\u{0}", "<a>", "&#0;", ":61:", "\\ud800", "€", "[[[["];
    for line in lines(&text) {
        let mut exchange: Value = serde_json::from_str(line).unwrap();
        let body = exchange["body"].as_str().unwrap_or_default().to_owned();
        for _ in 0..20 {
            let mut mutated: Vec<char> = body.chars().collect();
            for _ in 0..=chance.below(4) {
                let at = chance.below(mutated.len());
                let length = chance.below(12).min(mutated.len() - at);
                let scrap = scraps[chance.below(scraps.len())];
                match chance.below(3) {
                    0 => mutated.truncate(at),
                    1 => drop(mutated.splice(at..at, scrap.chars())),
                    _ => drop(mutated.splice(at..at + length, scrap.chars())),
                }
            }
            exchange["body"] = Value::String(mutated.into_iter().collect());
            drop(read_exchange(&exchange.to_string(), None));
        }
    }
}

#[test]
fn hostile_lines_are_unread_or_typed_errors() {
    assert!(matches!(read_exchange("{", None), ReadOutcome::Unread));
    let deep = "[".repeat(10_000);
    for (url, body) in [
        ("/v1/accounts", deep.as_str()),
        ("/v1/accounts", r#"{"accounts":{"resourceId":1}}"#),
        ("/v1/accounts", r#"{"accounts":[{"resourceId":["a"]}]}"#),
        (
            "/v1/accounts/1/balances",
            r#"{"balances":[{"balanceAmount":{"amount":"1,5","currency":"EUR"},"balanceType":"x"}]}"#,
        ),
        (
            "/v1/accounts/1/transactions",
            r#"{"transactions":{"booked":[{"transactionAmount":{"amount":"1","currency":"??"}}]}}"#,
        ),
        ("/v1/consents/1/status", r#"{"consentStatus":"perhaps"}"#),
    ] {
        let line = serde_json::json!({
            "bank": "de-examplebank", "method": "GET", "url": url, "status": 200, "body": body,
        });
        let outcome = read_exchange(&line.to_string(), None);
        let ReadOutcome::TypedError(error) = outcome else { panic!("{url}: {outcome:?}") };
        assert_eq!(error.kind, BankErrorKind::MalformedResponse);
        assert!(error.field.is_some(), "{url}");
    }
}
