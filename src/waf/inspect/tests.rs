use std::net::{IpAddr, Ipv4Addr};

use jiff::civil::date;

use super::*;
use crate::exclusions::RuleExclusion;
use crate::load::{LoadReport, Patterns, Settings, Sources};
use crate::seclang::LoadError;

fn settings() -> Settings {
    Settings::new(date(2026, 3, 1))
}

fn loaded(rules: &str, settings: &Settings) -> Result<(RuleSet, LoadReport), LoadError> {
    let sources =
        Sources::engine().with("test.conf", rules).with_data("words.data", "# words\nalpha\nbeta\n");
    RuleSet::load(&sources, settings)
}

fn rules(rules: &str) -> RuleSet {
    loaded(rules, &settings()).unwrap().0
}

fn request<'a>(target: &'a str, headers: &'a [(&'a str, &'a [u8])], body: &'a [u8]) -> Request<'a> {
    let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    Request { method: "POST", target, protocol: "HTTP/1.1", headers, body, peer }
}

/// The rules that match a query.
fn told(rules: &RuleSet, query: &str) -> Vec<u64> {
    rules.inspect(&request(query, &[], b""), &Typed::default()).unwrap().rules()
}

#[test]
fn a_match_scores_once_per_value_and_the_threshold_refuses() {
    let rules = rules(
        "SecRule ARGS \"@contains x\" \"id:1,phase:2,pass,setvar:tx.api_anomaly_score=+3\"\n\
         SecRule TX:api_anomaly_score \"@ge %{tx.limit}\" \"id:2,phase:2,deny\"\n\
         SecAction \"id:3,phase:1,pass,nolog,setvar:tx.limit=5\"\n",
    );
    let one = rules.inspect(&request("/?a=x", &[], b""), &Typed::default()).unwrap();
    assert_eq!((one.blocked, one.score, one.rules()), (false, 3, vec![1]));
    let two = rules.inspect(&request("/?a=x&b=x", &[], b""), &Typed::default()).unwrap();
    assert_eq!((two.blocked, two.score, two.refused_by, two.rules()), (true, 6, Some(2), vec![1, 2]));
}

#[test]
fn rules_sleep_until_a_text_holds_what_they_look_for() {
    let rules = rules(
        "SecRule ARGS \"@rx select.+from\" \"id:1,phase:2,pass\"\n\
         SecRule TX:unset \"@eq 1\" \"id:2,phase:2,pass\"\n\
         SecRule ARGS|REQUEST_HEADERS \"@pm alpha beta\" \"id:3,phase:2,pass\"\n\
         SecRule ARGS \"!@rx select\" \"id:4,phase:2,pass\"\n",
    );
    let awake = |target: &str, headers: &[(&str, &[u8])]| {
        let mut texts = Texts::new(&rules.compiled.chains, &rules.compiled.signatures);
        let variables = Variables::of_head(&request(target, headers, b""), &mut texts, &Typed::default());
        let mut inspection = Inspection::new(&rules.compiled, texts, variables, State::default());
        let awake = inspection.awake(1, &Budget::default()).unwrap();
        let [_, body] = &rules.compiled.phases;
        let places = body.iter().enumerate().filter(|(place, rule)| awake.contains(*place) && rule.id < 10);
        places.map(|(_, rule)| rule.id).collect::<Vec<_>>()
    };
    assert_eq!(awake("/?a=plain", &[]), [2, 4], "what looks for nothing in texts never sleeps");
    assert_eq!(awake("/?a=select+x+from+y", &[]), [1, 2, 4]);
    assert_eq!(awake("/?a=plain", &[("x-any", b"Alphabet")]), [2, 3, 4]);
}

#[test]
fn what_the_body_brings_wakes_rules_that_slept_before_it() {
    let rules = rules(
        "SecRule ARGS|REQUEST_HEADERS \"@rx select.+from\" \"id:1,phase:1,pass\"\n\
         SecRule ARGS|REQUEST_HEADERS \"@rx select.+from\" \"id:2,phase:2,pass\"\n",
    );
    let headers: &[(&str, &[u8])] = &[("content-type", b"application/json")];
    let asked = request("/?a=plain", headers, br#"{"b": "select x from y"}"#);
    assert_eq!(rules.inspect(&asked, &Typed::default()).unwrap().rules(), [2]);
}

#[test]
fn detecting_only_tells_what_would_be_refused_and_off_rests() {
    let text =
        "SecRule ARGS \"@streq x\" \"id:1,phase:2,deny\"\nSecRule ARGS \"@streq x\" \"id:2,phase:2,pass\"\n";
    let mut settings = settings();
    assert_eq!(told(&loaded(text, &settings).unwrap().0, "/?a=x"), vec![1], "a refusal ends the phase");
    settings.mode = Some(EngineMode::DetectionOnly);
    let verdict =
        loaded(text, &settings).unwrap().0.inspect(&request("/?a=x", &[], b""), &Typed::default()).unwrap();
    assert_eq!((verdict.blocked, verdict.refused_by, verdict.rules()), (false, Some(1), vec![1, 2]));
    settings.mode = Some(EngineMode::Off);
    assert_eq!(told(&loaded(text, &settings).unwrap().0, "/?a=x"), Vec::<u64>::new());
}

#[test]
fn a_chain_needs_all_its_conditions_and_sees_what_the_one_before_matched() {
    let rules = rules(
        "SecRule ARGS \"@rx ^(\\w+)=(\\w+)$\" \"id:1,phase:2,pass,capture,chain\"\n\
         SecRule TX:1 \"@streq %{tx.2}\" \"chain\"\n\
         SecRule MATCHED_VARS \"@rx ^a\" \"t:none\"\n",
    );
    assert_eq!(told(&rules, "/?q=abc%3dabc"), vec![1]);
    assert_eq!(told(&rules, "/?q=abc%3dabd"), Vec::<u64>::new());
    assert_eq!(told(&rules, "/?q=bbc%3dbbc"), Vec::<u64>::new());
}

#[test]
fn jumps_go_behind_a_marker_a_rule_or_a_number_of_rules() {
    let rules = rules(
        "SecRule ARGS:a \"@streq 1\" \"id:1,phase:2,pass,nolog,skipAfter:END\"\n\
         SecRule ARGS:a \"@streq 2\" \"id:2,phase:2,pass,nolog,skip:1\"\n\
         SecRule ARGS \"@rx .\" \"id:3,phase:2,pass\"\n\
         SecRule ARGS \"@rx .\" \"id:4,phase:2,pass\"\n\
         SecMarker END\n\
         SecRule ARGS \"@rx .\" \"id:5,phase:2,pass\"\n",
    );
    assert_eq!(told(&rules, "/?a=0"), vec![3, 4, 5]);
    assert_eq!(told(&rules, "/?a=1"), vec![5]);
    assert_eq!(told(&rules, "/?a=2"), vec![4, 5]);
    let nowhere = loaded("SecAction \"id:1,phase:1,skipAfter:NOWHERE\"", &settings()).unwrap_err();
    assert_eq!(nowhere.to_string(), "test.conf:1: nothing is called \"NOWHERE\" after this rule");
}

#[test]
fn rules_and_targets_are_left_out_for_the_rest_of_a_request() {
    let rules = rules(
        "SecRule ARGS:mode \"@streq a\" \"id:1,phase:1,pass,nolog,ctl:ruleRemoveById=3\"\n\
         SecRule ARGS:mode \"@streq b\" \"id:2,phase:1,pass,nolog,ctl:ruleRemoveTargetByTag=t;ARGS:x\"\n\
         SecRule ARGS \"@contains evil\" \"id:3,phase:2,pass,tag:t\"\n\
         SecRule ARGS:mode \"@streq c\" \"id:4,phase:1,pass,nolog,ctl:ruleRemoveByTag=t\"\n",
    );
    assert_eq!(told(&rules, "/?x=evil"), vec![3]);
    assert_eq!(told(&rules, "/?x=evil&mode=a"), Vec::<u64>::new());
    assert_eq!(told(&rules, "/?x=evil&mode=b"), Vec::<u64>::new());
    assert_eq!(told(&rules, "/?y=evil&mode=b"), vec![3]);
    assert_eq!(told(&rules, "/?x=evil&mode=c"), Vec::<u64>::new());
}

#[test]
fn later_directives_change_earlier_rules() {
    let rules = rules(
        "SecRule ARGS \"@contains evil\" \"id:1,phase:2,pass\"\n\
         SecRule ARGS \"@contains evil\" \"id:2,phase:2,pass,tag:t\"\n\
         SecRule ARGS \"@contains evil\" \"id:3,phase:2,pass\"\nSecRuleRemoveById 3\n\
         SecRuleUpdateTargetById 1 \"!ARGS:free\"\nSecRuleUpdateActionById 2 \"deny\"\n",
    );
    let verdict = rules.inspect(&request("/?free=evil", &[], b""), &Typed::default()).unwrap();
    assert_eq!((verdict.rules(), verdict.blocked), (vec![2], true));
}

#[test]
fn every_step_counts_where_a_rule_says_so() {
    let rules = rules(
        "SecRule ARGS \"@rx %41\" \"id:1,phase:2,pass,t:none,t:urlDecodeUni,multiMatch\"\n\
         SecRule ARGS \"@rx ^A$\" \"id:2,phase:2,pass,t:none,t:urlDecodeUni,multiMatch\"\n\
         SecRule ARGS \"@rx %41\" \"id:3,phase:2,pass,t:none,t:urlDecodeUni\"\n",
    );
    assert_eq!(told(&rules, "/?a=%2541"), vec![1, 2]);
}

#[test]
fn typed_parameters_count_but_are_not_looked_at() {
    let rules = rules(
        "SecRule ARGS|ARGS_NAMES|REQUEST_BODY \"@rx evil\" \"id:1,phase:2,pass\"\n\
         SecRule &ARGS \"@eq 2\" \"id:2,phase:2,pass\"\n",
    );
    let headers: &[(&str, &[u8])] = &[("content-type", b"application/x-www-form-urlencoded")];
    let asked = request("/", headers, b"a=evil&b=1");
    let all = rules.inspect(&asked, &Typed::default()).unwrap();
    let targets: Vec<_> = all.matches.iter().map(|found| found.target.as_str()).collect();
    assert_eq!(targets, vec!["ARGS:a", "REQUEST_BODY", "ARGS"]);
    let mut typed = Typed::default();
    typed.add_argument("a".to_owned());
    assert_eq!(rules.inspect(&asked, &typed).unwrap().rules(), vec![1, 2], "the raw body is still looked at");
    typed.add_whole_body();
    assert_eq!(rules.inspect(&asked, &typed).unwrap().rules(), vec![2]);
}

#[test]
fn typed_headers_and_known_names_are_not_looked_at() {
    let rules = rules(
        "SecRule REQUEST_HEADERS|REQUEST_HEADERS_NAMES|ARGS|ARGS_NAMES \"@rx evil\" \"id:1,phase:2,pass\"\n",
    );
    let headers: &[(&str, &[u8])] = &[("X-Evil-One", b"evil"), ("other", b"evil")];
    let asked = request("/?evil=evil", headers, b"");
    let targets = |typed: &Typed| -> Vec<String> {
        rules.inspect(&asked, typed).unwrap().matches.iter().map(|found| found.target.clone()).collect()
    };
    let mut typed = Typed::default();
    let all = ["REQUEST_HEADERS:X-Evil-One", "REQUEST_HEADERS:other", "ARGS:evil", "ARGS_NAMES:evil"];
    assert_eq!(targets(&typed), all);
    typed.add_header("x-evil-one");
    typed.add_name("evil".to_owned());
    assert_eq!(targets(&typed), ["REQUEST_HEADERS:other", "ARGS:evil"]);
    typed.add_argument("evil".to_owned());
    assert_eq!(targets(&typed), ["REQUEST_HEADERS:other", "ARGS:evil"], "what is known least counts");
}

/// What other requests have, too, is remembered; what a person may have written is not.
#[test]
fn only_what_many_requests_have_is_remembered() {
    let rules = rules(
        "SecRule REQUEST_HEADERS|ARGS|REQUEST_URI|REQUEST_FILENAME \"@rx evil\" \"id:1,phase:2,pass\"\n",
    );
    let headers: &[(&str, &[u8])] =
        &[("user-agent", b"tpp evil"), ("cookie", b"s=evil"), ("psu-ip-address", b"192.0.2.9")];
    let asked = request("/v1/things?name=evil", headers, b"");
    let verdicts = [(); 2].map(|()| rules.inspect(&asked, &Typed::default()).unwrap());
    assert_eq!(verdicts[0].matches.len(), 4);
    assert_eq!(verdicts[0], verdicts[1], "what is remembered is as much work");
    let remembers = |text: &str| rules.compiled.signatures.remembers(text.as_bytes());
    assert!(remembers("tpp evil") && remembers("/v1/things"));
    for persons in ["s=evil", "192.0.2.9", "evil", "/v1/things?name=evil"] {
        assert!(!remembers(persons), "{persons}");
    }
}

/// What is known beforehand of rules that count is what they come to.
#[test]
fn rules_that_count_come_to_the_same_where_that_is_known() {
    let text = "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.limit=5,setvar:tx.level=1\"\n\
         SecRule ARGS \"@contains x\" \"id:2,phase:1,pass,setvar:tx.inbound_anomaly_score_pl1=+3\"\n\
         SecRule ARGS \"@contains note\" \"id:3,phase:1,pass,nolog,setvar:tx.noted=1\"\n\
         SecRule TX:level \"@ge 1\" \"id:4,phase:1,pass,nolog,setvar:tx.blocking_inbound_anomaly_score=+%{tx.inbound_anomaly_score_pl1}\"\n\
         SecRule TX:level \"@ge 2\" \"id:5,phase:1,pass,nolog,setvar:tx.blocking_inbound_anomaly_score=+9\"\n\
         SecRule TX:blocking_inbound_anomaly_score \"@ge %{tx.limit}\" \"id:6,phase:1,deny\"\n\
         SecRule TX:blocking_inbound_anomaly_score \"@eq 0\" \"id:7,phase:2,pass\"\n\
         SecRule TX:noted \"@eq 1\" \"id:8,phase:2,pass\"\n\
         SecRule TX:/^lim/ \"@ge 0\" \"id:9,phase:2,pass\"\n";
    let known = rules(text);
    let place = known.compiled.phases[0].iter().position(|rule| rule.id == 4).unwrap();
    let known_rules = known.compiled.stretches.at(0, place).map(|stretch| stretch.rules.as_slice());
    assert_eq!(known_rules, Some(&[place, place + 2][..]));
    let mut asked = rules(text);
    asked.compiled.stretches.forget();
    let exempt = known.exemptions(&[exclusion("5", None, date(2026, 12, 31))]).unwrap();
    for (query, expected) in [
        ("/?a=b", vec![7, 9]),
        ("/?a=note", vec![7, 8, 9]),
        ("/?a=x", vec![2, 9]),
        ("/?a=x&b=x", vec![2, 6]),
        ("/?a=x&b=x&note=note", vec![2, 6]),
    ] {
        let verdicts = [&known, &asked].map(|rules| {
            [&Exemptions::default(), &exempt].map(|exempt| {
                rules.inspect_but(&request(query, &[], b""), &Typed::default(), exempt).unwrap()
            })
        });
        assert_eq!(verdicts[0], verdicts[1], "{query}");
        assert_eq!(verdicts[0][0].rules(), expected, "{query}");
    }
}

#[test]
fn a_match_tells_where_and_how_much_and_never_what() {
    let rules = rules(
        "SecRule ARGS \"@rx secret\\d+'\" \"id:1,phase:2,pass,\
         msg:'Found %{MATCHED_VAR} of %{tx.n}',severity:ERROR,setvar:tx.n=2\"",
    );
    let headers: &[(&str, &[u8])] = &[("content-type", b"application/json")];
    let verdict = rules
        .inspect(&request("/", headers, br#"{"a":{"b":"xx Secret secret42'"}}"#), &Typed::default())
        .unwrap();
    let [found] = verdict.matches.as_slice() else { panic!("one match: {verdict:?}") };
    assert_eq!((found.target.as_str(), found.offset, found.length), ("ARGS:json.a.b", 10, 9));
    assert_eq!((found.masked.as_str(), found.severity.map(|it| it.name())), ("xxxxxx99'", Some("ERROR")));
    assert!(found.digest.len() == 16 && !format!("{verdict:?}").contains("secret"), "{verdict:?}");
    let name = rules.inspect(&request("/?%3csecret%3e=secret1'", &[], b""), &Typed::default()).unwrap();
    assert!(!format!("{name:?}").contains("secret"), "{name:?}");
}

#[test]
fn over_budget_is_an_error_and_no_verdict() {
    let text = "SecRule ARGS \"@detectSQLi\" \"id:1,phase:2,pass\"";
    let mut settings = settings();
    settings.budget = Budget { bytes: 300, values: 5, work: 1_000 };
    let rules = loaded(text, &settings).unwrap().0;
    let asked = |query: &str| {
        rules.inspect(&request(query, &[], b""), &Typed::default()).map(|verdict| verdict.blocked)
    };
    assert_eq!(asked("/?a=1"), Ok(false));
    assert_eq!(asked(&format!("/?a={}", "x".repeat(300))), Err(OverBudget::Bytes));
    assert_eq!(asked("/?a=1&b=1&c=1&d=1&e=1&f=1"), Err(OverBudget::Values));
    assert_eq!(asked(&format!("/?a={}", "x,".repeat(130))), Err(OverBudget::Work));
}

#[test]
fn a_text_that_resembles_attacks_is_more_work() {
    let rules = rules(
        "SecRule ARGS \"@rx union.+select\" \"id:1,phase:2,pass\"\n\
         SecRule ARGS \"@rx (?:onerror|onload)=\" \"id:2,phase:2,pass\"\n",
    );
    let work = |value: &str| {
        rules.inspect(&request(&format!("/?a={value}"), &[], b""), &Typed::default()).unwrap().work
    };
    let (plain, dear) = (work("invoice of a february"), work("unionunionselectonload"));
    assert!(dear > plain + 3 * 32, "{plain} and {dear}");
}

#[test]
fn many_short_texts_are_work_as_few_long_ones_are() {
    let mut settings = settings();
    settings.budget = Budget { bytes: 10_000, values: 1_000, work: 20_000 };
    let rules = loaded("SecRule ARGS \"@pm alpha beta\" \"id:1,phase:1,pass\"", &settings).unwrap().0;
    let asked = |arguments: usize| {
        let query: Vec<_> = (0..arguments).map(|number| format!("a={number}")).collect();
        rules.inspect(&request(&format!("/?{}", query.join("&")), &[], b""), &Typed::default()).map(drop)
    };
    assert_eq!((asked(10), asked(300)), (Ok(()), Err(OverBudget::Work)));
}

#[test]
fn a_body_that_is_not_what_its_type_says_is_refused() {
    let rules = rules("");
    let json: &[(&str, &[u8])] = &[("Content-Type", b"application/vnd.api+json; charset=utf-8")];
    let refused = |headers, body: &[u8]| {
        rules.inspect(&request("/", headers, body), &Typed::default()).unwrap().refused_by
    };
    assert_eq!(refused(json, b"{\"a\":1}"), None);
    assert_eq!(refused(json, b"{\"a\":"), Some(9_100_010));
    let xml: &[(&str, &[u8])] = &[("Content-Type", b"text/xml")];
    assert_eq!((refused(xml, b"<a/>"), refused(xml, b"<a>")), (None, Some(9_100_010)));
    let form: &[(&str, &[u8])] = &[("Content-Type", b"multipart/form-data; boundary=x")];
    assert_eq!(refused(form, b"--x\r\nA: b\r\n c\r\n\r\n--x--"), Some(9_100_010));
}

fn exclusion(rules: &str, target: Option<&str>, expires: jiff::civil::Date) -> RuleExclusion {
    let (owner, reason) = ("Payments".to_owned(), "names with SQL in them".to_owned());
    RuleExclusion { rules: rules.to_owned(), target: target.map(str::to_owned), owner, reason, expires }
}

#[test]
fn an_exclusion_holds_until_its_end_and_has_an_owner() {
    let text = "SecRule ARGS \"@contains evil\" \"id:1,phase:2,pass\"\n\
         SecRule ARGS \"@contains evil\" \"id:2,phase:2,pass,tag:t\"\n";
    let mut settings = settings();
    settings.exclusions = vec![
        exclusion("1", Some("ARGS:free"), date(2026, 3, 1)),
        exclusion("tag:t", None, date(2026, 2, 28)),
    ];
    let (rules, report) = loaded(text, &settings).unwrap();
    assert_eq!(told(&rules, "/?free=evil"), vec![2]);
    assert_eq!(told(&rules, "/?other=evil"), vec![1, 2]);
    assert_eq!(report.expired, vec![settings.exclusions[1].clone()]);
    settings.exclusions[0].owner = " ".to_owned();
    assert_eq!(loaded(text, &settings).unwrap_err().to_string(), "exclusion of 1: it has no owner");
}

/// What is left out of some requests is left out of those alone.
#[test]
fn an_exemption_is_for_the_requests_that_it_is_given_for() {
    let rules = rules(
        "SecRule ARGS \"@contains evil\" \"id:1,phase:2,pass\"\n\
         SecRule ARGS \"@rx evil\" \"id:2,phase:2,pass,tag:t\"\n\
         SecRule ARGS|ARGS_NAMES \"@rx evil\" \"id:3,phase:1,pass\"\n",
    );
    let day = date(2026, 3, 1);
    let exclusions = [exclusion("2-3", Some("ARGS:/^free/"), day), exclusion("1", None, day)];
    let exempt = rules.exemptions(&exclusions).unwrap();
    let told_but =
        |query| rules.inspect_but(&request(query, &[], b""), &Typed::default(), &exempt).unwrap().rules();
    assert_eq!(told_but("/?free_text=evil"), Vec::<u64>::new());
    assert_eq!(told_but("/?other=evil"), vec![3, 2]);
    assert_eq!(told_but("/?free_evil=evil"), vec![3], "the name is another variable");
    assert_eq!(told(&rules, "/?free_text=evil"), vec![3, 1, 2]);
    assert!(rules.names(&exclusions[0], Some(2)) && !rules.names(&exclusions[0], Some(1)));
    let nobody = exclusion("tag:none", None, day);
    assert!(!rules.names(&nobody, None));
    let mut settings = settings();
    settings.exclusions = vec![nobody.clone()];
    assert_eq!(loaded("SecAction \"id:1\"", &settings).unwrap().1.idle, vec![nobody]);
    let own = rules.exemptions(&[exclusion("1", Some("TX:a"), day)]).unwrap_err();
    assert_eq!(own.to_string(), "exclusion of 1: TX is what rules themselves keep");
}

/// A rule that jumps because of a level is asked once, one whose variable may change each time.
#[test]
fn jumps_that_no_request_changes_are_decided_beforehand() {
    let rules = rules(
        "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.level=1\"\n\
         SecRule ARGS:a \"@streq x\" \"id:2,phase:1,pass,nolog,setvar:'tx.n_%{ARGS.a}=1'\"\n\
         SecRule TX:LEVEL \"@lt 2\" \"id:3,phase:2,pass,nolog,skipAfter:HIGH\"\n\
         SecRule ARGS \"@rx .\" \"id:4,phase:2,pass\"\nSecMarker HIGH\n\
         SecRule TX:n_x \"@eq 1\" \"id:5,phase:2,pass,nolog,skipAfter:END\"\n\
         SecRule ARGS \"@rx .\" \"id:6,phase:2,pass\"\nSecMarker END\n",
    );
    let [_, body] = &rules.compiled.prelude.next;
    let [_, asked] = &rules.compiled.phases;
    let place = |id| asked.iter().position(|rule| rule.id == id).unwrap();
    assert_eq!((body[place(3)], body[place(5)]), (place(5), place(5)));
    assert_eq!(told(&rules, "/?a=y"), vec![6]);
    assert_eq!(told(&rules, "/?a=x"), Vec::<u64>::new());
}

#[test]
fn a_match_says_what_its_rule_adds_and_of_which_level_it_is() {
    let rules = rules(
        "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.critical=5\"\n\
         SecRule ARGS \"@rx evil\" \"id:2,phase:2,pass,tag:paranoia-level/2,\
         setvar:tx.inbound_anomaly_score_pl2=+%{tx.critical}\"\n\
         SecRule ARGS \"@rx evil\" \"id:3,phase:2,pass,setvar:tx.seen=+1\"\n",
    );
    let verdict = rules.inspect(&request("/?a=evil", &[], b""), &Typed::default()).unwrap();
    let told: Vec<_> = verdict.matches.iter().map(|found| (found.rule, found.level, found.score)).collect();
    assert_eq!(told, vec![(2, 2, 5), (3, 1, 0)]);
}

#[test]
fn settings_replace_variables_and_cannot_smuggle_actions() {
    let text = "SecRule &TX:limit \"@eq 0\" \"id:1,phase:1,pass,nolog,setvar:tx.limit=5\"\n\
        SecRule TX:limit \"@eq 7\" \"id:2,phase:1,pass\"\n";
    assert_eq!(told(&loaded(text, &settings()).unwrap().0, "/"), Vec::<u64>::new());
    assert_eq!(told(&loaded(text, &settings().with("limit", "7")).unwrap().0, "/"), vec![2]);
    assert!(loaded(text, &settings().with("limit", "7',deny,msg:'")).is_err());
}

#[test]
fn phrases_come_from_files_and_a_missing_one_is_named() {
    let rules = rules(
        "SecRule ARGS \"@pmFromFile words.data\" \"id:1,phase:2,pass,capture,chain\"\n\
         SecRule TX:0 \"@streq BETA\" \"\"",
    );
    assert_eq!(told(&rules, "/?a=xBETAx"), vec![1]);
    let missing = loaded("SecRule ARGS \"@pmFromFile none.data\" \"id:1\"", &settings()).unwrap_err();
    assert_eq!(missing.to_string(), "test.conf:1: there is no data file \"none.data\"");
}

#[test]
fn a_pattern_that_cannot_run_refuses_all_or_is_left_out_as_asked() {
    let text = "SecRule ARGS \"@rx a(?=b)\" \"id:1,phase:2,pass\"";
    let error = loaded(text, &settings()).unwrap_err().to_string();
    assert_eq!(error, "test.conf:1: rule 1: the pattern cannot run in linear time: look-ahead");
    let mut settings = settings();
    settings.patterns = Patterns::LeaveOut;
    assert_eq!(loaded(text, &settings).unwrap().1.left_out, vec![(1, "look-ahead".to_owned())]);
    let twice = loaded("SecAction \"id:1\"\nSecAction \"id:1\"", &settings).unwrap_err();
    assert_eq!(twice.to_string(), "test.conf:2: rule 1 is already at test.conf:1");
    let early = loaded("SecRule RESPONSE_BODY a \"id:1,phase:2\"", &settings).unwrap_err();
    assert_eq!(early.to_string(), "test.conf:1: RESPONSE_BODY before there is an answer");
    let (_, report) = loaded("SecRule RESPONSE_BODY a \"id:1,phase:4,logdata:'x'\"", &settings).unwrap();
    assert_eq!(report.response_rules, 1);
}

/// What is run once for all requests comes out as if it ran for each.
#[test]
fn defaults_that_look_at_no_request_are_run_once() {
    let text = "SecRule &TX:a \"@eq 0\" \"id:1,phase:1,pass,nolog,setvar:tx.a=1\"\n\
        SecRule ARGS_GET:b \"@streq x\" \"id:2,phase:1,pass,nolog,setvar:tx.b=1\"\n\
        SecRule TX:a \"@eq 1\" \"id:3,phase:1,pass,nolog,skipAfter:END\"\n\
        SecRule ARGS \"@rx .\" \"id:4,phase:1,pass\"\nSecMarker END\n\
        SecRule TX:b \"@eq 1\" \"id:5,phase:1,pass\"\n";
    let rules = rules(text);
    assert!(
        rules.compiled.prelude.state.contains_key("a") && !rules.compiled.prelude.state.contains_key("b")
    );
    assert_eq!(told(&rules, "/?b=x"), vec![5]);
    assert_eq!(told(&rules, "/?b=y"), Vec::<u64>::new());
}

/// They are not compiled where they are loaded, and have to be none the less.
#[test]
fn the_gateways_own_patterns_compile() {
    let (own, report) = RuleSet::load(&Sources::own(), &settings()).unwrap();
    assert!(report.signatures > 20 && own.compile_rest());
}
