use super::*;

fn outcome(text: &str) -> Report {
    let sources = crate::load::Sources::engine().with(
        "test.conf",
        "SecRule ARGS \"@contains evil\" \"id:942100,phase:2,pass,tag:'paranoia-level/2',msg:'Found'\"\n\
         SecRule REQUEST_HEADERS:Content-Length \"@eq 6\" \"id:942101,phase:1,pass\"\n",
    );
    let settings = crate::load::Settings::new(jiff::civil::date(2026, 1, 1));
    let (rules, _) = RuleSet::load(&sources, &settings).unwrap();
    let tests: TestFile = serde_json::from_value(yaml::read(text).unwrap()).unwrap();
    let mut report = Report::default();
    judge_file(&tests, &rules, &mut report);
    report
}

/// A test file of one stage.
fn stage(input: &str, output: &str) -> String {
    format!(
        "rule_id: 942100\ntests:\n  - test_id: 1\n    stages:\n\
         \x20     - input: {{{input}}}\n        output: {{log: {{{output}}}}}\n"
    )
}

#[test]
fn expected_and_unwanted_rules_are_compared() {
    let input = "method: GET, uri: '/?a=evil'";
    assert_eq!(outcome(&stage(input, "expect_ids: [942100]")).total(2).passed, 1);
    assert_eq!(outcome(&stage(input, "no_expect_ids: [942100]")).failures.len(), 1);
    assert_eq!(outcome(&stage(input, "match_regex: 'msg \"Found.*ARGS:a'")).total(2).passed, 1);
    let report = outcome(&stage(input, "expect_ids: [942101]"));
    assert_eq!((report.total(1), report.total(2).failed), (Tally::default(), 1), "the rule is of level 2");
    assert!(report.to_string().contains("0 of     1   0.0 %"), "{report}");
}

#[test]
fn requests_are_completed_as_the_project_s_runner_does() {
    let form = outcome(&stage("method: POST, data: 'a=evil'", "expect_ids: [942100, 942101]"));
    assert_eq!(form.total(2).passed, 1, "{form}");
    let incomplete = "method: POST, autocomplete_headers: false, data: 'a=evil'";
    assert_eq!(
        outcome(&stage(incomplete, "no_expect_ids: [942100]")).total(2).passed,
        1,
        "no length, no body"
    );
    let encoded = "encoded_request: 'R0VUIC8/YT1ldmlsIEhUVFAvMS4xDQpIb3N0OiB4DQoNCg=='";
    assert_eq!(outcome(&stage(encoded, "expect_ids: [942100]")).total(2).passed, 1);
}

#[test]
fn what_no_server_takes_is_counted_apart() {
    let both = "method: POST, headers: {Content-Length: 3, Transfer-Encoding: chunked}, data: 'a=evil'";
    assert_eq!(
        outcome(&stage(both, "expect_ids: [942100]")).total(2),
        Tally { refused: 1, ..Tally::default() }
    );
}
