//! Rules in a folder of an operator's: what is refused, and what happens on a change.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use policy::{Engine, Forward, InvalidPolicies, Keep, Keeping, check, test};
use tempfile::TempDir;

const REGIONS: &str = "\
[uk]
jurisdiction = \"UK\"
basis = \"None.\"
copies = []
streams = []

[eu]
jurisdiction = \"EU\"
basis = \"None.\"
copies = []
streams = []
";

const TESTS: &str = "\
[requests.pass]
ask = \"forward\"
of = \"uk\"
through = \"eu\"

[[test]]
name = \"nothing passes\"
request = \"pass\"
expect = \"deny\"
rules = [\"one.closed\"]
";

/// A rule that forbids what it says.
fn closed(id: &str, says: &str) -> String {
    format!(
        "@id(\"{id}\")\n@says(\"{says}\")\nforbid (principal, action == Action::\"forward\", resource);\n"
    )
}

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    write(folder.path(), "regions.toml", REGIONS);
    write(folder.path(), "tests.toml", TESTS);
    write(folder.path(), "rules.cedar", &closed("one.closed", "It is closed."));
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

fn pass() -> Forward {
    Forward { of: "uk".parse().unwrap(), through: "eu".parse().unwrap() }
}

fn why(engine: &Engine) -> Vec<String> {
    let denied = engine.decide(&pass()).unwrap_err();
    denied.reasons().iter().map(|reason| format!("{}: {}", reason.rule, reason.says)).collect()
}

fn lines(invalid: &InvalidPolicies) -> Vec<String> {
    invalid.findings.iter().map(ToString::to_string).collect()
}

/// Each is refused at the start, by the check, and by a reload, which leaves the old rules.
#[test]
fn files_that_are_wrong_are_refused_and_leave_the_old_ones_in_force() {
    let good = closed("one.closed", "It is closed.");
    let of_rules = |text: &str| ("rules.cedar", text.to_owned());
    let cases = [
        (of_rules("permit (principal, action, resource)\n  if { true };"), "rules.cedar:2:3: "),
        (
            of_rules("\nforbid(principal, action, resource)\nwhen { principal.age == 3 };"),
            "rules.cedar:3:8: ",
        ),
        (of_rules(&good.replace("\"forward\"", "\"fly\"")), "unrecognized action `Action::\"fly\"`"),
        (of_rules(&good.replace(";", " when { context.colour };")), "`colour`"),
        (of_rules(&good.replace(";", " when { context.kind == Keeping::\"lose\" };")), "rules.cedar:3:"),
        (of_rules(&good.replace(";", " when { false };")), "rules.cedar:1:1: "),
        (of_rules(&good.replace("principal,", "principal == ?principal,")), "has a template"),
        (of_rules(&good.replace("@id(\"one.closed\")\n", "")), "rules.cedar: policy0 has no @id"),
        (of_rules(&good.replace("one.closed", "Closed")), "@id(\"Closed\") is words"),
        (of_rules(&good.replace("one.closed", "policy.own")), "is the engine's own"),
        (of_rules(&good.replace("It is closed.", "")), "one.closed has no @says"),
        (of_rules(&good.repeat(2)), "rules.cedar: one.closed is there twice"),
        (of_rules("// Nothing."), "*.cedar: there are no rules"),
        (
            of_rules(&good.replace("one.", "two.")),
            "tests.toml: test \"nothing passes\" expects deny by one.closed, and got deny by two.closed",
        ),
        (
            ("regions.toml", REGIONS.replacen("copies = []", "copies = [\"us\"]", 1)),
            "uk names us, which is not described",
        ),
        (
            ("regions.toml", REGIONS.replacen("basis", "because", 1)),
            "regions.toml:3:1: unknown field `because`",
        ),
        (("regions.toml", REGIONS.replace("None.", "")), "does not say both its jurisdiction and its basis"),
        (
            ("tests.toml", TESTS.replace("request = ", "requests = ")),
            "tests.toml:8:1: unknown field `requests`",
        ),
        (("tests.toml", TESTS.replace("\"pass\"", "\"fail\"")), "asks fail, which is no request"),
        (("tests.toml", TESTS.replace("through", "trough")), "test \"nothing passes\": through: "),
        (
            (
                "tests.toml",
                format!(
                    "{TESTS}[regions.uk]\njurisdiction = \"UK\"\nbasis = \"None.\"\ncopies = []\nstreams = []\n"
                ),
            ),
            "uk is described already",
        ),
    ];
    for ((file, text), wrong) in cases {
        let folder = folder();
        let engine = Engine::open(Some(folder.path().to_owned())).unwrap();
        write(folder.path(), file, &text);
        for invalid in [
            check(Some(folder.path())).unwrap_err(),
            Engine::open(Some(folder.path().to_owned())).unwrap_err(),
            engine.reload().unwrap_err(),
        ] {
            assert!(lines(&invalid).iter().any(|line| line.contains(wrong)), "{wrong}\n{invalid}");
        }
        assert_eq!(why(&engine), ["one.closed: It is closed."], "{wrong}");
    }
}

#[test]
fn a_folder_without_regions_is_refused() {
    let folder = folder();
    fs::remove_file(folder.path().join("regions.toml")).unwrap();
    let invalid = Engine::open(Some(folder.path().to_owned())).unwrap_err();
    assert_eq!(invalid.to_string(), "regions.toml: is not there");
    let invalid = Engine::open(Some(folder.path().join("nowhere"))).unwrap_err();
    assert!(invalid.to_string().contains("cannot be read"), "{invalid}");
}

#[test]
fn tests_that_fail_are_reported_one_by_one() {
    let folder = folder();
    write(folder.path(), "rules.cedar", &closed("two.closed", "It is closed."));
    let tested = test(Some(folder.path())).unwrap();
    assert!(!tested.passed());
    assert_eq!(
        tested.to_string(),
        "FAILED  nothing passes\n        expected deny by one.closed\n        got      deny by two.closed\n\
         0 of 1 passed; no test names two.closed"
    );
}

#[test]
fn what_no_rule_permits_is_denied() {
    let folder = folder();
    fs::remove_file(folder.path().join("tests.toml")).unwrap();
    let never = closed("one.closed", "It is closed.").replace("forward", "keep");
    write(folder.path(), "rules.cedar", &never);
    let engine = Engine::open(Some(folder.path().to_owned())).unwrap();
    assert_eq!(why(&engine), ["policy.no-permit: No rule permits this."]);
}

#[test]
fn a_rule_about_every_action_is_about_each() {
    let folder = folder();
    let every = closed("one.closed", "It is closed.").replace("action == Action::\"forward\"", "action");
    write(folder.path(), "rules.cedar", &every);
    // What begins with a dot is somebody else's.
    write(folder.path(), ".rules.cedar", "forbid");
    let engine = Engine::open(Some(folder.path().to_owned())).unwrap();
    assert_eq!(why(&engine), ["one.closed: It is closed."]);
    let region = "uk".parse().unwrap();
    let keep = Keep { kind: Keeping::Store, of: region, at: region, personal: false };
    assert_eq!(engine.decide(&keep).unwrap_err().to_string(), "denied by one.closed");
}

/// Cedar skips a rule that fails, as if a forbid were not there.
#[test]
fn a_rule_that_fails_denies() {
    let folder = folder();
    fs::remove_file(folder.path().join("tests.toml")).unwrap();
    let fails = " when { 9223372036854775807 + 1 > 0 };";
    let open = closed("one.open", "It is open.").replace("forbid", "permit");
    let overflow = closed("one.closed", "It is closed.").replace(';', fails);
    write(folder.path(), "rules.cedar", &format!("{open}{overflow}"));
    let engine = Engine::open(Some(folder.path().to_owned())).unwrap();
    assert_eq!(why(&engine), ["policy.rule-failed: A rule could not be evaluated."]);
    // Beside other reasons, it is one of them.
    let other = closed("one.shut", "It is shut.");
    write(folder.path(), "other.cedar", &other);
    assert!(engine.reload().unwrap());
    assert_eq!(why(&engine), ["one.shut: It is shut.", "policy.rule-failed: A rule could not be evaluated."]);
}

#[test]
fn a_change_is_taken_up_and_an_error_is_told_once() {
    let folder = folder();
    let engine = Engine::open(Some(folder.path().to_owned())).unwrap();
    assert!(engine.look().is_none());
    write(folder.path(), "rules.cedar", &closed("one.closed", "It is closed for good."));
    assert!(matches!(engine.look(), Some(Ok(()))));
    assert!(engine.look().is_none());
    assert_eq!(why(&engine), ["one.closed: It is closed for good."]);

    write(folder.path(), "rules.cedar", "forbid");
    assert!(matches!(engine.look(), Some(Err(_))));
    assert!(engine.look().is_none(), "it is told once");
    assert_eq!(why(&engine), ["one.closed: It is closed for good."]);
    write(folder.path(), "rules.cedar", "forbids");
    assert!(matches!(engine.look(), Some(Err(_))), "and again after another change");

    // Back to the rules in force: that, too, is told.
    write(folder.path(), "rules.cedar", &closed("one.closed", "It is closed for good."));
    assert!(matches!(engine.look(), Some(Ok(()))));
    assert!(engine.look().is_none());

    // A file that comes, and one that goes.
    write(folder.path(), "more.cedar", &closed("two.closed", "Twice."));
    assert!(matches!(engine.look(), Some(Err(_))), "the tests name every reason");
    fs::remove_file(folder.path().join("more.cedar")).unwrap();
    assert!(matches!(engine.look(), Some(Ok(()))));
    assert!(!engine.reload().unwrap(), "nothing changed");
}

#[test]
fn the_shipped_rules_never_change() {
    let engine = Engine::open(None).unwrap();
    assert!(engine.look().is_none());
    assert!(!engine.reload().unwrap());
}

/// A permit that is remembered ends with the rules that gave it.
#[test]
fn what_was_permitted_is_not_once_the_rules_forbid_it() {
    let folder = folder();
    fs::remove_file(folder.path().join("tests.toml")).unwrap();
    write(folder.path(), "rules.cedar", &closed("one.open", "It is open.").replace("forbid", "permit"));
    let engine = Engine::open(Some(folder.path().to_owned())).unwrap();
    for _ in 0..2 {
        assert!(engine.decide(&pass()).is_ok());
    }
    write(folder.path(), "more.cedar", &closed("one.closed", "Closed."));
    assert!(engine.reload().unwrap());
    assert_eq!(why(&engine), ["one.closed: Closed."]);
    fs::remove_file(folder.path().join("more.cedar")).unwrap();
    assert!(engine.reload().unwrap());
    assert!(engine.decide(&pass()).is_ok());
}

/// Two sets of rules that share no reason: an answer that has one of each is a mix.
#[test]
fn a_decision_sees_the_old_rules_or_the_new_ones() {
    let folder = folder();
    fs::remove_file(folder.path().join("tests.toml")).unwrap();
    let set = |name: &str| {
        (closed(&format!("{name}.one"), name) + &closed(&format!("{name}.two"), name), format!("{name}: "))
    };
    let (old, new) = (set("old").0, set("new").0);
    write(folder.path(), "rules.cedar", &old);
    let engine = Engine::open(Some(folder.path().to_owned())).unwrap();
    let done = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = [0_usize; 2];
                    while !done.load(Ordering::Relaxed) {
                        let reasons = why(&engine);
                        let mixed = || panic!("{reasons:?}");
                        match reasons.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                            ["old.one: old", "old.two: old"] => seen[0] += 1,
                            ["new.one: new", "new.two: new"] => seen[1] += 1,
                            _ => mixed(),
                        }
                    }
                    seen
                })
            })
            .collect();
        for round in 0..40 {
            write(folder.path(), "rules.cedar", if round % 2 == 0 { &new } else { &old });
            assert!(engine.reload().unwrap());
        }
        done.store(true, Ordering::Relaxed);
        readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
    });
    let both = seen.iter().fold([0, 0], |all, one| [all[0] + one[0], all[1] + one[1]]);
    assert!(both[0] > 0 && both[1] > 0, "{both:?}");
}
