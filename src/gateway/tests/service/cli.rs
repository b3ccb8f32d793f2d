//! The binary as a newcomer meets it.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn consentry(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_consentry"))
        .args(arguments)
        .env_remove("CONSENTRY_DATABASE_URL")
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A first port of a run that is free.
pub fn free_ports() -> String {
    consentry::demo::free_ports().unwrap().to_string()
}

fn demo(folder: &Path, more: &[&str]) -> Output {
    let data = folder.display().to_string();
    let ports = free_ports();
    let mut arguments = vec!["sandbox", "--data-dir", &data, "--port-base", &ports, "--demo", "--json"];
    arguments.extend(more);
    consentry(&arguments)
}

/// `--demo --json` prints one object of the promised shape, twice on the same state.
#[test]
fn the_demo_prints_one_json_object_and_can_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let output = demo(folder.path(), &[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        assert_eq!(report["ok"], true);
        assert_eq!(report["accounts"], 5);
        assert_eq!(report["banks"].as_array().unwrap().len(), 2);
        assert_eq!(report["regions"], serde_json::json!(["eu", "uk"]));
        assert_eq!(report["payment"]["state"], "SETTLED");
        assert!(report["payment"]["ms"].is_u64() && report["total_ms"].is_u64());
        assert_eq!(report["webhook"]["verified"], true);
        assert!(
            report["steps"].as_array().unwrap().iter().all(|step| step["ok"] == true && step["ms"].is_u64())
        );
    }
}

/// Invariant 7: at the most talkative level, no token, number, name or purpose
/// reaches the log.
#[test]
fn the_log_holds_no_secret_and_no_personal_datum() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_consentry"))
        .args(["sandbox", "--data-dir", &data, "--port-base", &free_ports(), "--demo"])
        .env("CONSENTRY_LOG", "trace,sqlx=trace,hyper=debug,rustls=debug,h2=debug")
        .output()
        .unwrap();
    assert!(output.status.success());
    let log = text(&output.stderr);
    assert!(log.contains("Payment pay_uk_"), "the log says something");
    let personal = [
        "GB85ALBN99001110000017",
        "10000017",
        "DE17999100001000000017",
        "1000000017",
        "Anna Whitfield",
        "Anna Lindner",
        "Corner Bookshop",
        "Invoice 2041",
        "20000018",
        "Trattoria",
    ];
    let leaked: Vec<_> = personal.iter().filter(|datum| log.contains(**datum)).collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    for word in ["Bearer ", "client_assertion=", "code_verifier=", "BEGIN PRIVATE KEY", "BEGIN RSA"] {
        assert!(!log.contains(word), "{word}");
    }
}

/// A taken port is named, with what to do.
#[test]
fn a_taken_port_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let ports = free_ports();
    let taken = TcpListener::bind(("127.0.0.1", ports.parse::<u16>().unwrap() + 4)).unwrap();
    let data = folder.path().display().to_string();
    let output = consentry(&["sandbox", "--data-dir", &data, "--port-base", &ports, "--demo"]);
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(said.contains(&taken.local_addr().unwrap().port().to_string()), "{said}");
    assert!(said.contains("--port-base") && said.trim().lines().count() == 1, "{said}");
    // Nothing of it is in the way of the next start.
    drop(taken);
    let again = demo(folder.path(), &[]);
    assert!(again.status.success(), "{}", text(&again.stderr));
}

/// A folder that cannot be written, is of something else, or is half-written.
#[test]
fn an_unusable_folder_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let unwritable = demo(&file.join("below"), &[]);
    assert!(text(&unwritable.stderr).contains("--data-dir"), "{}", text(&unwritable.stderr));

    let foreign = demo(folder.path(), &[]);
    assert!(!foreign.status.success());
    assert!(text(&foreign.stderr).contains("half-written or not a sandbox folder"));

    let data = folder.path().join("data");
    assert!(demo(&data, &[]).status.success());
    std::fs::remove_file(data.join("pki/server.key")).unwrap();
    let broken = demo(&data, &[]);
    assert!(!broken.status.success());
    let said = text(&broken.stderr);
    assert!(said.contains("server.key") && said.contains("remove the data folder"), "{said}");

    std::fs::write(data.join("state.json"), "{\"version\":99}").unwrap();
    assert!(text(&demo(&data, &[]).stderr).contains("another version"));
}

/// Two sandboxes do not share a folder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_in_use_says_so() {
    use consentry::sandbox::{Sandbox, SandboxOptions};
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(SandboxOptions::at(folder.path())).await.unwrap();
    let second = demo(folder.path(), &[]);
    assert!(!second.status.success());
    assert!(text(&second.stderr).contains("in use by another sandbox"), "{}", text(&second.stderr));
    sandbox.stop().await;
    assert!(demo(folder.path(), &[]).status.success());
}

/// Model banks alone need the certificates of a sandbox, and say so.
#[test]
fn model_banks_without_a_sandbox_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    let output = consentry(&["model-banks", "--data-dir", &data]);
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(said.contains("holds no gateway") && said.contains("consentry sandbox"), "{said}");
}

/// Keys and databases are their owner's alone.
#[test]
fn private_keys_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    assert!(demo(&data, &[]).status.success());
    let mode = |path: &str| std::fs::metadata(data.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    for key in ["pki/root.key", "pki/fintech.key", "keys/signing.toml", "keys/ids.hex"] {
        assert_eq!(mode(key), 0o600, "{key}");
    }
    let signing = std::fs::read_dir(data.join("keys/signing")).unwrap();
    let signing: Vec<_> =
        signing.map(|file| file.unwrap().metadata().unwrap().permissions().mode()).collect();
    assert_eq!(signing.iter().map(|mode| mode & 0o777).collect::<Vec<_>>(), [0o600]);
}

/// What is missing to probe a bank is named in one line.
#[test]
fn a_probe_says_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let brand = |id: &str| {
        format!(
            "\n[[brand]]\nid = \"{id}\"\nname = \"B\"\nenvironment = \"sandbox\"\ncapabilities = [\"accounts\"]\n"
        )
    };
    let defaults = "group = \"G\"\n[defaults]\ndialect = \"berlin-group\"\nregion = \"eu\"\ncountries = [\"DE\"]\nsca = [\"redirect\"]\nclient_auth = \"certificate\"\nsigning = { method = \"none\" }\n";
    let two = file("two.toml", &[defaults, &brand("de-one"), &brand("de-two")].concat());
    let missing = folder.path().join("missing").display().to_string();
    for (arguments, said) in [
        (&["--profile", &missing][..], "cannot be read"),
        (&["--profile", &two], "--bank (de-one, de-two)"),
        (&["--profile", &two, "--bank", "de-three"], "holds no such bank"),
        (&["--profile", &two, "--bank", "de-one", "--data-dir", &missing], "holds no gateway"),
    ] {
        let output = consentry(&[&["banks", "probe"], arguments].concat());
        let told = text(&output.stderr);
        assert!(!output.status.success() && told.contains(said), "{told}");
        assert_eq!(told.trim().lines().count(), 1, "{told}");
    }
}

#[test]
fn banks_are_listed_shown_and_linted() {
    let list = text(&consentry(&["banks", "list"]).stdout);
    assert_eq!(list.lines().count(), 59, "58 brands and a sum");
    let shown = text(&consentry(&["banks", "show", "gb-barclays-personal"]).stdout);
    assert!(shown.contains("issuer") && shown.contains("quirk"), "{shown}");
    assert!(consentry(&["banks", "lint"]).status.success());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.toml");
    std::fs::write(&file, "group = \"x\"\n[[brand]]\nid = \"no\"\nnonsense = 1\n").unwrap();
    let lint = consentry(&["banks", "lint", &file.display().to_string()]);
    assert!(!lint.status.success());
    assert!(text(&lint.stdout).contains("bad.toml:4: brand[0].nonsense"), "{}", text(&lint.stdout));
    let unknown = consentry(&["banks", "show", "gb-nobody"]);
    assert!(text(&unknown.stderr).contains("banks list"));
}

/// The directory: imported with its skipped lines named, found over the API after a restart.
#[test]
fn a_directory_is_imported_and_its_bad_lines_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = folder.path().join("directory.jsonl");
    let lines =
        "{\"id\":\"x-bank\",\"name\":\"Crédit X\",\"countries\":[\"FR\"],\"bic\":\"XXXXFRPP\"}\nnot json\n";
    std::fs::write(&file, lines).unwrap();
    let arguments =
        ["banks", "import", &file.display().to_string(), "--data-dir", &data.display().to_string()]
            .map(str::to_owned);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let early = consentry(&arguments);
    assert!(text(&early.stderr).contains("holds no gateway"));
    assert!(demo(&data, &[]).status.success());
    let import = consentry(&arguments);
    assert!(import.status.success(), "{}", text(&import.stderr));
    let said = text(&import.stdout);
    assert!(said.contains("line 2: skipped:") && said.contains("1 imported, 1 skipped"), "{said}");
}

/// A bank that keeps to its standard takes fifteen lines, which are valid as they
/// are written; what is there already is not overwritten.
#[test]
fn a_new_profile_is_short_and_valid_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (dialect, region) in
        [("uk-open-banking", "uk"), ("berlin-group", "eu"), ("stet", "eu"), ("polish-api", "eu")]
    {
        let file = folder.path().join(format!("{dialect}.toml")).display().to_string();
        let new = |id: &str| {
            let arguments = ["banks", "new", "--id", id, "--name", "Bank \"X\"", "--dialect", dialect];
            consentry(&[&arguments[..], &["--region", region, "--out", &file]].concat())
        };
        let refused = new("No Slug");
        assert!(!refused.status.success() && !Path::new(&file).exists());
        let written = new("xx-bank");
        assert!(written.status.success(), "{}", text(&written.stderr));
        let profile = std::fs::read_to_string(&file).unwrap();
        assert!(profile.lines().count() <= 15, "{profile}");
        assert!(consentry(&["banks", "lint", &file]).status.success());
        let again = new("xx-other");
        assert!(text(&again.stderr).contains("is there already"), "{}", text(&again.stderr));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), profile);
    }
}

/// `banks diff` compares what holds in the end, key by key; `banks test` and `banks
/// lint` run the tests of a profile.
#[test]
fn profiles_are_compared_and_tested() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let one = "group = \"G\"\n[defaults]\nmax_history_days = 90\nquirks = [{ name = \"consent-settles\", seconds = 1 }]\n\
               [[brand]]\nid = \"de-one\"\nname = \"One\"\ndialect = \"berlin-group\"\nregion = \"eu\"\nenvironment = \"live\"\n\
               client_auth = \"certificate\"\n";
    let test = "[[brand.tests]]\nname = \"none\"\noperation = \"balances\"\ngiven = '{\"balances\":[]}'\nexpect = []\n";
    let left = write("a.toml", one);
    let right = write(
        "b.toml",
        &format!(
            "{}max_history_days = 30\nsca = [\"redirect\"]\n",
            one.replace("seconds = 1", "seconds = 2")
        ),
    );
    assert_eq!(consentry(&["banks", "diff", &left, &left]).status.code(), Some(0));
    let different = consentry(&["banks", "diff", &left, &right]);
    assert_eq!(different.status.code(), Some(1));
    assert_eq!(
        text(&different.stdout).lines().collect::<Vec<_>>(),
        [
            "de-one: max_history_days: 90 -> 30",
            "de-one: quirks.consent-settles.seconds: 1 -> 2",
            "de-one: sca: (absent) -> [\"redirect\"]",
        ]
    );
    let different = consentry(&["banks", "diff", "gb-monzo", "gb-monzo-sandbox", "--json"]);
    let first: Value = serde_json::from_str(text(&different.stdout).lines().next().unwrap()).unwrap();
    assert_eq!((different.status.code(), &first["bank"]), (Some(1), &Value::from("gb-monzo")));
    assert!(!consentry(&["banks", "diff", &left, "gb-nobody"]).status.success());

    let passing = write("c.toml", &format!("{one}{test}"));
    let failing =
        write("d.toml", &format!("{one}{}", test.replace("expect = []", "expect_error = \"internal\"")));
    let passed = consentry(&["banks", "test", &passing]);
    assert!(passed.status.success());
    assert_eq!(text(&passed.stdout), "ok     de-one: none\n1 passed, 0 failed\n");
    let failed = consentry(&["banks", "test", &passing, &failing]);
    assert!(!failed.status.success() && text(&failed.stdout).contains("FAILED de-one: none\n"));
    assert!(consentry(&["banks", "lint", &passing]).status.success());
    let whole = consentry(&["banks", "test", &folder.path().display().to_string()]);
    assert!(text(&whole.stdout).ends_with("1 passed, 1 failed\n"), "{}", text(&whole.stdout));
    let linted = consentry(&["banks", "lint", &failing]);
    assert!(!linted.status.success());
    assert!(
        text(&linted.stdout).contains("d.toml: de-one: test \"none\": 0 entries"),
        "{}",
        text(&linted.stdout)
    );
}

/// Every recorded exchange is read or gives a typed error.
#[test]
fn recorded_exchanges_are_read_to_the_last_one() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/bank-exchanges.jsonl");
    if !Path::new(file).exists() {
        eprintln!("SKIPPED: the recorded exchanges are not here");
        return;
    }
    let output = consentry(&["banks", "read", file, "--json"]);
    assert!(output.status.success());
    let tally: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((tally["total"].as_u64(), tally["unread"].as_u64()), (Some(330), Some(0)));
    let sum = tally["parsed"].as_u64().unwrap() + tally["typed_errors"].as_u64().unwrap();
    assert_eq!(sum, 330);
}

/// SIGINT ends the sandbox cleanly: exit 0, and the state is whole. SIGHUP, which
/// has it read its certificates again, does not.
#[test]
fn ctrl_c_stops_cleanly_and_a_restart_goes_on() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    for _ in 0..2 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_consentry"))
            .args(["sandbox", "--data-dir", &data, "--port-base", &free_ports()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.any(|line| line.is_ok_and(|line| line.contains("Stop with Ctrl-C")));
        assert!(ready);
        for signal in ["-HUP", "-INT"] {
            let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
            assert!(sent.success());
        }
        let rest: Vec<_> = lines.map_while(Result::ok).collect();
        assert!(rest.iter().any(|line| line.contains("Stopping")), "{rest:?}");
        assert!(child.wait().unwrap().success());
    }
}
