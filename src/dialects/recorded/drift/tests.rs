use serde_json::json;

use super::*;

fn shapes(status: u16, media: &str, body: &Value) -> Shapes {
    let line = json!({
        "bank": "b", "operation": "accounts", "method": "GET", "url": "/accounts", "status": status,
        "resp_headers": { "Content-Type": media }, "body": body.to_string(),
    });
    Shapes::of(&line.to_string()).unwrap()
}

fn drift(before: &Value, now: &Value) -> Vec<String> {
    let (before, now) = (shapes(200, "application/json", before), shapes(200, "application/json", now));
    now.since(&before).into_iter().map(|found| format!("{}: {}", found.path, found.change)).collect()
}

#[test]
fn each_difference_is_named_with_its_place() {
    let old =
        json!({ "list": [{ "id": "a", "day": "2026-06-01", "sum": "1.00", "status": "OPEN", "gone": {} }] });
    let new = json!({ "list": [
        { "id": "b", "day": "2026-06-01T10:00:00Z", "sum": 1.5, "status": "SHUT", "new": { "deep": 1 } },
    ] });
    assert_eq!(
        drift(&old, &new),
        [
            "$.list[].day: date -> date-time",
            "$.list[].gone: vanished (object)",
            "$.list[].new: appeared (object)",
            "$.list[].status: new code SHUT",
            "$.list[].sum: decimal -> number",
        ]
    );
}

#[test]
fn other_values_of_the_same_form_are_no_difference() {
    let old = json!({ "note": "a word", "list": [{ "x": 1 }, { "y": "2026-06-01" }], "none": [],
        "links": { "Next": "/a" } });
    let new = json!({ "note": "2026-06-01", "list": [{ "x": 2, "y": "2026-07-01" }], "none": [{ "z": 1 }],
        "links": {} });
    assert_eq!(drift(&old, &new), [""; 0], "neither an empty list nor a last page is one");
    assert_eq!(drift(&new, &old), ["$.note: date -> text"]);
}

#[test]
fn status_and_content_type_are_compared() {
    let (old, new) = (shapes(200, "application/json", &json!({})), shapes(403, "text/html", &json!({})));
    let changes: Vec<_> = new.since(&old).into_iter().map(|found| found.change.to_string()).collect();
    assert_eq!(changes, ["status 200 -> 403", "content type application/json -> text/html"]);
}

#[test]
fn what_only_one_of_the_recordings_asked_for_is_named() {
    let some = shapes(200, "application/json", &json!({}));
    let only = |found: Vec<Difference>| found.into_iter().map(|found| found.change).collect::<Vec<_>>();
    assert_eq!(only(some.since(&Shapes::default())), [Change::Asked { now: true }]);
    assert_eq!(only(Shapes::default().since(&some)), [Change::Asked { now: false }]);
}

#[test]
fn a_line_that_is_no_exchange_is_named() {
    assert_eq!(Shapes::of("\n{}\n"), Err(NoExchange(2)));
}
