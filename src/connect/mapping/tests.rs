use serde_json::json;

use super::*;

fn with(patterns: &[(&str, &str)], rule: &str) -> Result<Mapping, String> {
    let mut mapping = Mapping::default();
    for (name, pattern) in patterns {
        mapping.add_pattern((*name).into(), pattern).map_err(|error| error.to_string())?;
    }
    let (target, field) = (MapTarget::Transactions, "creditor_name");
    mapping.add_rule(target, field, rule).map_err(|error| error.to_string())?;
    Ok(mapping)
}

fn run(patterns: &[(&str, &str)], rule: &str, entry: &Value) -> Result<Value, RuleFailed> {
    let mapping = with(patterns, rule).unwrap();
    let budget = RuleBudget::default();
    let rules = mapping.entry(MapTarget::Transactions, || entry.clone(), &budget)?.unwrap();
    rules.read("creditor_name", || entry.get("value").cloned().unwrap_or_default()).unwrap()
}

fn gives(rule: &str, entry: &Value) -> Value {
    run(&[], rule, entry).unwrap_or_else(|error| panic!("{rule}: {error}"))
}

#[test]
fn a_rule_makes_a_value_of_what_the_bank_sent() {
    let entry = json!({
        "value": "0", "text": " Card 11, Corner Shop, ref ", "lines": ["", "VIR INST", "Anna"],
        "amount": -12.5, "count": 3, "day": "03.06.2026", "deep": { "er": [{ "x": "y" }] }, "no": null,
    });
    for (rule, expected) in [
        ("value", json!("0")),
        ("none_if(value, [\"0\", \"NONREF\"])", json!(null)),
        ("entry.nothing ?? entry.count", json!(3)),
        ("entry.text.split(\",\").item(1)", json!("Corner Shop")),
        ("entry.text.split(\",\").item(-1)", json!("ref")),
        ("entry.lines.first()", json!("VIR INST")),
        ("entry.lines.join(\" \").trim()", json!("VIR INST Anna")),
        ("entry.lines", json!(["", "VIR INST", "Anna"])),
        ("entry.amount", json!("-12.5")),
        ("negate(entry.amount)", json!("12.5")),
        ("if is_negative(entry.amount) { \"DBIT\" } else { \"CRDT\" }", json!("DBIT")),
        ("date(entry.day, \"%d.%m.%Y\")", json!("2026-06-03")),
        ("date(entry.text, \"%d.%m.%Y\")", json!(null)),
        ("entry.deep?.er?[0]?.x", json!("y")),
        ("entry.no?.er", json!(null)),
        ("entry.text.trim().upper().cut(0, 4)", json!("CARD")),
        ("entry.day.replace(\".\", \"-\").len()", json!(10)),
        (
            "let found = (); for line in entry.lines { if line.starts_with(\"A\") { found = line; } } found",
            json!("Anna"),
        ),
        ("entry.text.contains(\"Shop\") && !entry.text.ends_with(\"Shop\")", json!(true)),
    ] {
        assert_eq!(gives(rule, &entry), expected, "{rule}");
    }
}

#[test]
fn patterns_take_parts_out_of_texts() {
    let patterns =
        [("payee", "(?i)^CARTE \\d{2}/\\d{2} (?P<name>.+)$"), ("noise", "\\s*EndToEndID: NOTPROVIDED")];
    let entry = json!({ "text": "CARTE 03/06 LIDL", "long": "Rent\nEndToEndID: NOTPROVIDED" });
    for (rule, expected) in [
        ("extract(entry.text, payee)", json!("LIDL")),
        ("extract(entry.text, payee, 0)", json!("CARTE 03/06 LIDL")),
        ("extract(entry.long, payee) ?? erase(entry.long, noise)", json!("Rent")),
        ("extract(entry.text, payee, 7)", json!(null)),
        ("matches(entry.text, payee)", json!(true)),
        ("entry.nothing.extract(payee)", json!(null)),
    ] {
        assert_eq!(run(&patterns, rule, &entry).unwrap(), expected, "{rule}");
    }
    assert!(with(&[("p", "(")], "p").is_err());
    assert!(with(&[("p", "(?:a{1000}){1000}")], "value").is_err(), "a pattern that compiles to too much");
}

#[test]
fn a_rule_that_is_wrong_is_refused_when_it_is_compiled() {
    for rule in [
        "entry.",
        "entrry.text",
        "value = 3",
        "eval(\"value\")",
        "print(value)",
        "import \"x\" as y; value",
        "fn f() { 1 } f()",
        "|x| x",
        "extract(value, nobody)",
    ] {
        let compiled = with(&[], rule);
        let tried =
            compiled.map(|mapping| mapping.try_rule(MapTarget::Transactions, "creditor_name").is_ok());
        assert!(!matches!(tried, Ok(true)), "{rule}");
    }
    let unknown = with(&[], "frobnicate(value)").unwrap();
    assert!(unknown.try_rule(MapTarget::Transactions, "creditor_name").is_err());
}

/// However a rule tries to go on or to grow, it ends, and soon.
#[test]
fn a_rule_that_does_not_end_or_grows_without_end_is_stopped() {
    let big = "x".repeat(TEXT / 2);
    let entry = json!({ "a": "a".repeat(TEXT / 4), "list": vec!["x"; 400] });
    for (rule, expected) in [
        ("loop {}".to_owned(), RuleFailed::Steps),
        ("while true { value; }".to_owned(), RuleFailed::Steps),
        ("let n = 0; loop { n += 1; }".to_owned(), RuleFailed::Steps),
        ("let t = \"ab\"; loop { t += t; }".to_owned(), RuleFailed::Size),
        ("let l = [1]; loop { l = [l, l]; }".to_owned(), RuleFailed::Size),
        ("let m = #{}; loop { m = #{ a: m, b: m }; }".to_owned(), RuleFailed::Size),
        ("entry.a.replace(\"a\", entry.a)".to_owned(), RuleFailed::Size),
        ("[entry.a, entry.a, entry.a, entry.a].join(entry.a)".to_owned(), RuleFailed::Size),
        ("let t = \"\"; loop { t = `${t}${t}x`; }".to_owned(), RuleFailed::Size),
        ("throw entry.a".to_owned(), RuleFailed::Fails),
        ("1 / 0".to_owned(), RuleFailed::Fails),
        ("#{ a: 1 }".to_owned(), RuleFailed::Fails),
    ] {
        let started = std::time::Instant::now();
        assert_eq!(run(&[], &rule, &entry).unwrap_err(), expected, "{rule}");
        assert!(started.elapsed().as_secs() < 5, "{rule}");
    }
    assert_eq!(run(&[], "value", &json!({ "a": big, "b": [big, big] })), Err(RuleFailed::Size));
    assert_eq!(run(&[], "value", &json!({ "a": vec![0; VALUES] })), Err(RuleFailed::Size));
    let nested = (0..100).fold("value".to_owned(), |rule, _| format!("({rule} + 1)"));
    assert!(with(&[], &nested).is_err(), "deep expressions");
}

/// Many entries with rules that each keep to their limit hold nobody up.
#[test]
fn the_rules_over_one_answer_have_an_end_together() {
    let mapping = with(&[], "let n = 0; while n < 400 { n += 1; } value").unwrap();
    let (budget, entry) = (RuleBudget::default(), json!({}));
    let run = |budget| {
        let rules = mapping.entry(MapTarget::Transactions, || entry.clone(), budget).unwrap().unwrap();
        rules.read("creditor_name", || json!("x")).unwrap()
    };
    let runs = (0..100_000).find(|_| run(&budget) == Err(RuleFailed::Steps)).unwrap();
    assert!((500..10_000).contains(&runs), "{runs}");
    assert_eq!(run(&RuleBudget::default()), Ok(json!("x")), "another answer begins anew");
}

/// What is slow for other engines takes time in proportion to the text.
#[test]
fn a_pattern_cannot_be_made_to_backtrack() {
    let text = "a".repeat(TEXT - 200);
    let found = run(&[("p", "^(a+)+$|(a|a)*b")], "matches(value + \"!\", p)", &json!({ "value": text }));
    assert_eq!(found, Ok(json!(false)));
}

#[test]
fn money_is_no_binary_number() {
    for (raw, expected) in [
        ("0.1", json!("0.1")),
        ("1234567890123456.7", json!("")),
        ("12345678901234", json!(12_345_678_901_234_i64)),
    ] {
        let entry: Value = serde_json::from_str(&format!("{{\"value\":{raw}}}")).unwrap();
        assert_eq!(gives("value", &entry), expected, "{raw}");
    }
}
