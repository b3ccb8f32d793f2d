//! The proof of the shipped rules, and that it is worth something.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::path::{Path, PathBuf};

use policy::{Half, ProveFailed, prove};
use tempfile::TempDir;

/// The solver: that of the environment, or Debian's. `None` if there is none.
fn cvc5() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CONSENTRY_TEST_CVC5") {
        return Some(named.into());
    }
    let debian = Path::new("/usr/bin/cvc5");
    if debian.exists() {
        return Some(debian.to_owned());
    }
    eprintln!("SKIPPED: nothing was proved. There is no {}.", debian.display());
    eprintln!("Install cvc5, or name one in CONSENTRY_TEST_CVC5, which must be there then.");
    None
}

/// The shipped files, with one text in the place of another.
fn shipped_but(of: &str, text: &str, by: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/access");
    for entry in fs::read_dir(shipped).unwrap() {
        let entry = entry.unwrap();
        let mut content = fs::read_to_string(entry.path()).unwrap();
        if entry.file_name() == of {
            assert!(content.contains(text), "{of} has no {text}");
            content = content.replace(text, by);
        }
        fs::write(folder.path().join(entry.file_name()), content).unwrap();
    }
    folder
}

/// Debian's answers in about ten seconds, of which the solvers take two.
#[test]
fn the_shipped_rules_keep_the_invariants_and_every_mutant_is_noticed() {
    let Some(cvc5) = cvc5() else { return };
    let proved = prove(None, &cvc5, true).unwrap_or_else(|failed| panic!("{failed}"));
    println!("{proved}");
    let mutants = proved.mutants.unwrap();
    assert!(mutants.total > 300, "{mutants}");
    assert_eq!(mutants.total, mutants.invalid + mutants.rejected, "{mutants}");
    assert_eq!(mutants.equivalent, [], "no rule says anything twice");
}

#[test]
fn what_does_not_hold_is_shown_by_a_request() {
    let Some(cvc5) = cvc5() else { return };
    // Only the permit still asks whether the consent is in force.
    let folder =
        shipped_but("consent.cedar", "unless { context.consent.in_force }", "unless { true == true }");
    let Err(ProveFailed::Policies(invalid)) = prove(Some(folder.path()), &cvc5, false) else {
        panic!("a rule that never applies is refused");
    };
    assert!(invalid.to_string().starts_with("consent.cedar:"), "{invalid}");
    let folder = shipped_but(
        "consent.cedar",
        "unless { context.consent.in_force }",
        "unless { context.consent.in_force || context.consent.granted }",
    );
    let Err(ProveFailed::Broken(broken)) = prove(Some(folder.path()), &cvc5, false) else {
        panic!("the forbids alone do not keep what the permits do");
    };
    let what: Vec<_> =
        broken.iter().map(|one| (one.what.action, one.what.id.as_str(), one.what.half)).collect();
    assert_eq!(
        what,
        [("read", "access.in-force", Half::Forbids), ("funds", "access.in-force", Half::Forbids)]
    );
    for one in &broken {
        assert!(one.example.contains("consent.in_force = false"), "{one}");
        assert!(one.example.contains("consent.granted = true"), "{one}");
    }
}

/// Rules that refuse everything are safe, and of no use.
#[test]
fn rules_that_refuse_what_is_proper_do_not_pass() {
    let Some(cvc5) = cvc5() else { return };
    let folder =
        shipped_but("residency.cedar", "resource.streams.contains(principal)", "principal == resource");
    let Err(ProveFailed::Broken(broken)) = prove(Some(folder.path()), &cvc5, false) else {
        panic!("requests pass nowhere");
    };
    let [broken] = &broken[..] else { panic!("{broken:?}") };
    assert_eq!((broken.what.id.as_str(), broken.what.half), ("forward.proper", Half::All));
    let example = [
        "ask = \"forward\"",
        "principal = \"region-1\"",
        "resource = \"region-2\"",
        "regions.region-2.streams = [\"region-1\"]",
    ];
    for line in example {
        assert!(broken.example.lines().any(|shown| shown.trim() == line), "{line}\n{broken}");
    }
}

#[test]
fn a_solver_that_is_not_there_or_is_none_proves_nothing() {
    for no_solver in ["/nowhere/cvc5", "/bin/true", "/bin/cat"] {
        let failed = prove(None, Path::new(no_solver), false).unwrap_err();
        assert!(matches!(failed, ProveFailed::Solver(_)), "{no_solver}: {failed}");
    }
}
