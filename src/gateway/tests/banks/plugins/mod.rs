//! A bank that no dialect fits, from the source of its plugin to its transactions.

#[path = "../../../examples/lilybank/bank.rs"]
mod bank;
#[path = "../../../../plugins/tests/support/guest.rs"]
#[allow(dead_code, reason = "the tests of plugins use the rest")]
mod guest;
mod payments;

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Granted, UK, fresh_database, rows};
use axum::Router;
use bank::{Heard, Lilybank};
use consentry::demo::{Browser, Client, Tpp};
use consentry::sandbox::{Access, Sandbox, SandboxOptions};
use domain::SystemClock;
use edge::{Listener, ListenerConfig, ServerTls};
use guest::Guest;
use serde_json::Value;
use store::ScratchDatabase;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

const LILYBANK: &str = "de-lilybank";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn example() -> PathBuf {
    root().join("src/plugins/example")
}

/// The example plugin, built from its source. None, said aloud, where this Rust
/// cannot build for WebAssembly, unless `CONSENTRY_TEST_GUEST` wants it to.
fn lilybank() -> Option<Vec<u8>> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).current_dir(example()).output().unwrap();
    let sysroot = String::from_utf8(sysroot.stdout).unwrap();
    if !Path::new(sysroot.trim()).join("lib/rustlib/wasm32-unknown-unknown").exists() {
        let told =
            "SKIPPED: the example plugin is built where `rustup target add wasm32-unknown-unknown` was done";
        assert!(std::env::var_os("CONSENTRY_TEST_GUEST").is_none(), "{told}");
        eprintln!("{told}");
        return None;
    }
    Some(built(&example(), "lilybank"))
}

/// The component that a folder's package of this name makes.
fn built(folder: &Path, name: &str) -> Vec<u8> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let target = target.join("guest");
    // With no flags but its own, as if somebody typed it.
    let mut build = Command::new("cargo");
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        build.env_remove(name);
    }
    build.args(["build", "--release", "--locked"]).current_dir(folder).env("CARGO_TARGET_DIR", &target);
    let built = build.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    fs::read(target.join("wasm32-unknown-unknown/release").join(name).with_extension("wasm")).unwrap()
}

fn consentry(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
    command.args(arguments).env_remove("CONSENTRY_DATABASE_URL").env_remove("CONSENTRY_PLUGINS");
    command.output().expect("the binary runs")
}

#[track_caller]
fn said(arguments: &[&str]) -> String {
    let output = consentry(arguments);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    told
}

/// An operator's desk: a key, a folder of plugins, a folder of profiles.
struct Desk {
    home: tempfile::TempDir,
    database: OnceCell<ScratchDatabase>,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { home: tempfile::tempdir().unwrap(), database: OnceCell::new() };
        for folder in ["plugins", "banks", "ready"] {
            fs::create_dir(desk.path(folder)).unwrap();
        }
        said(&[
            "plugins",
            "key",
            "--out",
            &desk.text("key"),
            "--public",
            &desk.text("plugins/allowed-keys/me.pem"),
        ]);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Signs a plugin and puts it into the folder.
    fn plug(&self, component: &[u8]) {
        let ready = "ready/lilybank.wasm";
        fs::write(self.path(ready), component).unwrap();
        said(&["plugins", "sign", "--key", &self.text("key"), &self.text(ready)]);
        for suffix in [".sig", ""] {
            let from = self.path(&format!("{ready}{suffix}"));
            fs::rename(from, self.path(&format!("plugins/lilybank.wasm{suffix}"))).unwrap();
        }
    }

    /// The profile of the example, of a bank at this origin.
    fn profile(&self, folder: &str, origin: &str) -> String {
        let text = fs::read_to_string(example().join("lilybank.toml")).unwrap();
        let ready = self.path("ready/lilybank.toml");
        fs::write(&ready, text.replace("https://localhost:8470", origin)).unwrap();
        let file = format!("{folder}/lilybank.toml");
        fs::rename(ready, self.path(&file)).unwrap();
        self.text(&file)
    }

    async fn sandbox(&self) -> Sandbox {
        let options = SandboxOptions {
            auto_approve: true,
            plugins: Some(self.path("plugins")),
            banks: vec![self.path("banks")],
            database_url: match crate::support::postgres() {
                Some(url) => Some(self.database.get_or_init(|| fresh_database(&url)).await.to_string()),
                None => None,
            },
            ..SandboxOptions::at(self.path("data"))
        };
        Sandbox::start(options).await.unwrap()
    }
}

/// The bank of the example, open.
async fn open_bank(access: &Access, stop: &CancellationToken) -> Arc<Lilybank> {
    open_bank_as(access, stop, |routes| routes).await
}

/// The same, with something done to what it says.
async fn open_bank_as(
    access: &Access,
    stop: &CancellationToken,
    changed: impl FnOnce(Router) -> Router,
) -> Arc<Lilybank> {
    let server = &access.pki.server;
    let tls = ServerTls::for_pages(&server.certificate_pem, &server.key_pem).unwrap();
    let listener =
        Listener::bind((Ipv4Addr::LOCALHOST, 0).into(), tls, ListenerConfig::default()).await.unwrap();
    let origin = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let bank = Lilybank::new(origin, Arc::new(SystemClock));
    let (routes, stop) = (changed(bank.routes()), stop.clone());
    tokio::spawn(async move { listener.serve(routes, Arc::new(SystemClock), stop).await });
    bank
}

/// Waits until what the API says of the bank is so; at most twenty seconds.
async fn becomes(tpp: &Tpp, so: impl Fn(&Value) -> bool) {
    let look = async {
        let mut beat = tokio::time::interval(Duration::from_millis(50));
        loop {
            beat.tick().await;
            let answer = tpp.http.get(&format!("{}/v1/institutions/{LILYBANK}", tpp.api), &[]).await.unwrap();
            if answer.status == 200 && so(&answer.json()) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), look).await.expect("the bank gets there");
}

async fn registered(access: &Access) -> Tpp {
    let mut tpp = Tpp::discover(access, Arc::new(SystemClock)).await.unwrap();
    tpp.register().await.unwrap();
    tpp
}

async fn granted(access: &Access, tpp: &Tpp, banks: &[&str]) -> Granted {
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, banks).await.unwrap();
    let person = Browser::new(Client::new(&access.pki.root, None).unwrap(), "anna", "sandbox");
    crate::support::given(tpp, consents, person).await
}

/// "A bank that no dialect fits is a WebAssembly component": the example, built from
/// source, is taken up by a running gateway and goes the whole way, from a consent to
/// the last page of transactions and to the end of the consent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_plugin_goes_from_source_to_transactions() {
    let Some(component) = lilybank() else { return };
    let (desk, stop) = (Desk::new(), CancellationToken::new());
    let sandbox = desk.sandbox().await;
    let access = sandbox.access();
    let bank = open_bank(&access, &stop).await;
    let tpp = registered(&access).await;

    // Hot-loaded, the profile before the plugin: listed, and connectable at last.
    let profile = desk.profile("banks", &bank.origin);
    becomes(&tpp, |bank| bank["connectable"] == false).await;
    desk.plug(&component);
    becomes(&tpp, |bank| bank["connectable"] == true && bank["standards"][0] == "Lilybank counter 2").await;

    let given = granted(&access, &tpp, &[LILYBANK, UK]).await;
    let accounts = rows(&tpp.get(&given.token, "/v1/accounts").await.unwrap().expect(200).unwrap());
    let ours: Vec<&Value> = accounts.iter().filter(|row| row["institution_id"] == LILYBANK).collect();
    assert_eq!(ours.len(), 2);
    assert!(accounts.len() > ours.len(), "and those of a bank with a standard");
    let current = ours.iter().find(|row| row["display_name"] == "Current account").unwrap();
    assert_eq!(current["source"]["standard"], "Lilybank counter 2");
    let id = current["id"].as_str().unwrap();
    let balances =
        tpp.get(&given.token, &format!("/v1/accounts/{id}/balances")).await.unwrap().expect(200).unwrap();
    assert_eq!(rows(&balances)[0]["amount"]["amount"], "1234.56", "{}", balances.json());

    // Three pages of the bank are one list.
    let path = format!("/v1/accounts/{id}/transactions");
    let entries = rows(&tpp.get(&given.token, &path).await.unwrap().expect(200).unwrap());
    assert_eq!(entries.len(), 12);
    let pending = entries.iter().filter(|entry| entry["status"] == "PDNG").count();
    assert_eq!(pending, 1);

    // The person at the browser was announced by an address that the plugin never saw.
    let heard = bank.heard();
    let pages = heard.iter().filter(|heard| heard.line.starts_with("LINES|")).count();
    assert_eq!(pages, 3);
    let opened: Vec<&Heard> = heard.iter().filter(|heard| heard.line.starts_with("OPEN|BWL|")).collect();
    assert_eq!(opened.len(), 1);
    assert_eq!(opened[0].customer_at.as_deref(), Some("127.0.0.1"));

    let consent = format!("{}/v1/consents/{}", tpp.api, given.consents[0]);
    let bearer = consentry::demo::bearer(&given.own);
    let gone =
        tpp.http.send(http::Method::DELETE, &consent, &[("authorization", &bearer)], "").await.unwrap();
    assert_eq!(gone.status, 204);
    assert!(bank.heard().iter().any(|heard| heard.line.starts_with("CLOSE|")), "the bank was told");

    // What the README's reader types.
    let (plugins, data) = (desk.text("plugins"), desk.text("data"));
    let probe =
        ["banks", "probe", "--profile", &profile, "--plugins", &plugins, "--data-dir", &data, "--json"];
    let probe: Vec<String> = probe.map(str::to_owned).to_vec();
    let probed =
        tokio::task::spawn_blocking(move || said(&probe.iter().map(String::as_str).collect::<Vec<_>>()));
    let report: Value = serde_json::from_str(&probed.await.unwrap()).unwrap();
    assert_eq!(report["authorised"], true, "{report}");
    assert_eq!(report["steps"].as_array().unwrap().last().unwrap()["note"], "2 on the first page");
    stop.cancel();
    sandbox.stop().await;
}

/// The tests that the example's profile brings along hold, and are run by the
/// commands that run those of any bank.
#[test]
fn the_examples_own_tests_are_run_by_banks_test_and_lint() {
    let Some(component) = lilybank() else { return };
    let desk = Desk::new();
    desk.plug(&component);
    let profile = desk.profile("banks", "https://localhost:8470");
    let plugins = desk.text("plugins");
    assert_eq!(
        said(&["plugins", "check", &plugins]),
        "plugin:lilybank          Lilybank counter 2\n1 plugins\n"
    );
    let tested = said(&["banks", "test", "--plugins", &plugins, &profile]);
    assert!(tested.ends_with("5 passed, 0 failed\n"), "{tested}");
    assert_eq!(said(&["banks", "lint", "--plugins", &plugins, &profile]), "0 problems\n");

    // A profile of one's own begins as that of any bank does.
    let new = |dialect: &str, file: &str| {
        let file = desk.text(file);
        let arguments = ["banks", "new", "--id", "xx-own", "--name", "Own", "--region", "eu", "--out", &file];
        (consentry(&[&arguments[..], &["--dialect", dialect]].concat()), file)
    };
    let (made, own) = new("plugin:lilybank", "own.toml");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert_eq!(said(&["banks", "lint", "--plugins", &plugins, &own]), "0 problems\n");
    let (refused, _) = new("plugin:Not A Name", "other.toml");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("polish-api, plugin:NAME"));

    // Without its plugin the profile is not right, and it says which file is missing.
    for (more, missing) in
        [(&[][..], "(--plugins)"), (&["--plugins", &desk.text("ready")][..], "no such thing")]
    {
        let lint = consentry(&[&["banks", "lint", &profile][..], more].concat());
        let told = String::from_utf8_lossy(&lint.stdout).into_owned();
        assert!(!lint.status.success(), "{told}");
        if missing == "(--plugins)" {
            assert!(told.contains("de-lilybank speaks plugin:lilybank") && told.contains(missing), "{told}");
        } else {
            assert!(told.contains("ready/lilybank.wasm is not there"), "{told}");
        }
    }
}

/// Invariant 6: a trap is that bank's error alone. The other bank of the same call
/// answers, and the bank is well again with the next good plugin.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap_is_that_banks_error_alone() {
    let Some(component) = lilybank() else { return };
    let (desk, stop) = (Desk::new(), CancellationToken::new());
    desk.plug(&component);
    let sandbox = desk.sandbox().await;
    let access = sandbox.access();
    let bank = open_bank(&access, &stop).await;
    let tpp = registered(&access).await;
    desk.profile("banks", &bank.origin);
    becomes(&tpp, |bank| bank["connectable"] == true).await;
    let given = granted(&access, &tpp, &[LILYBANK, UK]).await;

    let trapping = Guest { parse_response: "(unreachable)".to_owned(), ..Guest::default() };
    desk.plug(&trapping.component());
    becomes(&tpp, |bank| bank["standards"][0] == "Test 1").await;
    let answer = tpp.get(&given.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    let sources = answer.json()["sources"].as_array().unwrap().clone();
    let of = |id: &str| sources.iter().find(|source| source["institution_id"] == id).unwrap().clone();
    assert_eq!(of(UK)["status"], "OK", "{sources:?}");
    assert_eq!(
        (&of(LILYBANK)["status"], &of(LILYBANK)["code"]),
        (&"FAILED".into(), &"plugin-failed".into()),
        "{sources:?}"
    );
    assert!(rows(&answer).iter().all(|row| row["institution_id"] == UK));
    let health = tpp.get(&given.token, &format!("/v1/institutions/{LILYBANK}/health")).await.unwrap().json();
    assert_eq!(health["accounts"]["status"], "HEALTHY", "a plugin's fault is not the bank's: {health}");

    // What is not signed by us changes nothing, and what is does.
    fs::write(desk.path("plugins/lilybank.wasm"), &component).unwrap();
    fs::remove_file(desk.path("plugins/lilybank.wasm.sig")).unwrap();
    desk.plug(&component);
    becomes(&tpp, |bank| bank["standards"][0] == "Lilybank counter 2").await;
    let answer = tpp.get(&given.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    assert!(rows(&answer).iter().any(|row| row["institution_id"] == LILYBANK));
    stop.cancel();
    sandbox.stop().await;
}

/// A gateway does not start with a plugin that nobody vouches for, or with a profile
/// whose plugin is not there; it says which file, and which keys count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_does_not_start_without_the_plugins_it_is_to_have() {
    let desk = Desk::new();
    let started = async || {
        let options = SandboxOptions {
            plugins: Some(desk.path("plugins")),
            banks: vec![desk.path("banks")],
            ..SandboxOptions::at(desk.path("data"))
        };
        format!("{:#}", Sandbox::start(options).await.err().expect("it does not start"))
    };
    desk.profile("banks", "https://localhost:8470");
    let refused = started().await;
    assert!(refused.contains("de-lilybank speaks plugin:lilybank"), "{refused}");
    assert!(refused.contains("plugins/lilybank.wasm is not there"), "{refused}");

    fs::write(desk.path("plugins/lilybank.wasm"), Guest::default().component()).unwrap();
    let refused = started().await;
    assert!(refused.contains("plugins/lilybank.wasm: is not signed"), "{refused}");
    fs::write(desk.path("plugins/lilybank.wasm.sig"), "A".repeat(86) + "==").unwrap();
    let refused = started().await;
    assert!(refused.contains("plugins/lilybank.wasm: is refused") && refused.contains("me.pem"), "{refused}");
}
