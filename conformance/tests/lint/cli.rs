//! The lints at the command line: what they take, and how they end.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use consentry_conformance::lint::certificate::Kind;
use consentry_conformance::lint::cli::{LintArgs, run};

use crate::forge::Recipe;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    lint: LintArgs,
}

async fn ends_with(args: &[&str], code: u8) {
    let line = Line::try_parse_from([&["lint"], args].concat()).unwrap();
    let ended = run(line.lint).await.unwrap();
    assert_eq!(format!("{ended:?}"), format!("{:?}", ExitCode::from(code)), "{args:?}");
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[tokio::test]
async fn it_ends_with_0_or_with_1_for_errors_or_with_2_for_files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let good = write(folder.path(), "good.pem", &Recipe::qwac().pem());
    let warned =
        write(folder.path(), "warned.pem", &Recipe { names_issuer_key: false, ..Recipe::qwac() }.pem());
    let seal = write(folder.path(), "seal.pem", &Recipe::good(Kind::QSeal).pem());
    let none = folder.path().join("none.pem").display().to_string();
    let at = "2026-06-01T00:00:00Z";
    ends_with(&["certificate", &good, &seal, &warned, "--at", at], 0).await;
    ends_with(&["certificate", &good, &seal, "--as", "qwac", "--at", at, "--json"], 1).await;
    ends_with(&["certificate", &seal, "--as", "qseal", "--at", "2099-01-01T00:00:00Z"], 1).await;
    ends_with(&["certificate", &none, &good, "--at", at], 2).await;

    let description = write(
        folder.path(),
        "api.json",
        "{\"openapi\": \"3.1.0\", \"info\": {\"title\": \"A\", \"version\": \"1\"}, \"paths\": {}}",
    );
    ends_with(&["openapi", &description], 0).await;
    ends_with(&["openapi", &good, "--json"], 1).await;
    ends_with(&["openapi", &none], 2).await;

    let secret = write(folder.path(), "secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwqeOtpQo1GJI=\n");
    ends_with(&["webhook-receiver", "http://hooks.example/", "--secret-file", &secret], 1).await;
    ends_with(&["webhook-receiver", "http://hooks.example/", "--key-file", &secret], 2).await;
    ends_with(&["webhook-receiver", "http://hooks.example/", "--secret-file", &none], 2).await;
}

#[test]
fn what_makes_no_sense_is_refused() {
    for args in [
        &["certificate"][..],
        &["certificate", "a.pem", "--as", "qwacs"],
        &["certificate", "a.pem", "--at", "yesterday"],
        &["webhook-receiver", "https://hooks.example/"],
        &["webhook-receiver", "https://hooks.example/", "--secret-file", "a", "--key-file", "b"],
    ] {
        assert!(Line::try_parse_from([&["lint"], args].concat()).is_err(), "{args:?}");
    }
}
