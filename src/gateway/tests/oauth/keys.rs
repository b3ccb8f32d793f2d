//! Signing keys that change while the gateway runs.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use consentry::demo::{Tpp, verifier};
use crypto::{Algorithm, Jwks, jws};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::fintech::authorise;
use crate::softhsm::{PIN, TOKEN, import, module, with_token};
use crate::support::{TestGateway, parameter};

fn keys(gw: &TestGateway, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_consentry"))
        .arg("keys")
        .args(arguments)
        .arg("--data-dir")
        .arg(gw.folder().join("data"))
        .output()
        .unwrap()
}

fn done(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn published(tpp: &Tpp) -> Value {
    tpp.http.get(tpp.endpoint("jwks_uri").unwrap(), &[]).await.unwrap().expect(200).unwrap().json()
}

fn kids(set: &Value) -> Vec<String> {
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn id_token(gw: &TestGateway, tpp: &Tpp) -> String {
    let verifier = verifier();
    let changes = [("scope", Some("openid accounts")), ("nonce", Some("n"))];
    let code = parameter(&authorise(gw, tpp, &verifier, &changes).await, "code");
    tpp.redeem(&code, &verifier).await.unwrap().expect(200).unwrap().text("/id_token")
}

/// The `kid` of a token that verifies with this set.
fn signed_by(token: &str, set: &Value) -> String {
    let keys = Jwks::from_value(set).unwrap();
    let verified = jws::verify_compact(token, &keys, &[Algorithm::Ps256]).unwrap();
    verified.header["kid"].as_str().unwrap().to_owned()
}

/// Polls the key set until `done`; at most ten seconds.
async fn set_until(tpp: &Tpp, done: impl Fn(&[String]) -> bool) -> Value {
    let look = async {
        let mut beat = tokio::time::interval(Duration::from_millis(50));
        loop {
            beat.tick().await;
            let set = published(tpp).await;
            if done(&kids(&set)) {
                return set;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), look).await.expect("the key set gets there")
}

/// Asks for the key set and for tokens until it is stopped; each answer is good.
struct Traffic {
    /// Held while the clock moves: an assertion of before would be too old.
    turn: Arc<Mutex<()>>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<usize>,
}

impl Traffic {
    fn start(tpp: &Tpp) -> Self {
        let (tpp, turn, stop) = (tpp.clone(), Arc::new(Mutex::new(())), Arc::new(AtomicBool::new(false)));
        let (gate, stopped) = (Arc::clone(&turn), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            let mut answers = 0;
            while !stopped.load(Ordering::Relaxed) {
                let kids = kids(&published(&tpp).await);
                assert!(!kids.is_empty() && kids.iter().collect::<HashSet<_>>().len() == kids.len());
                let _turn = gate.lock().await;
                tpp.own_token("accounts").await.unwrap();
                answers += 2;
            }
            answers
        });
        Self { turn, stop, task }
    }

    async fn stopped(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// Goes from the old key to the new one, as far as a client can see; answers
/// the set in which both are.
async fn takes_over(
    gw: &TestGateway,
    tpp: &Tpp,
    advance: impl AsyncFnOnce(i64),
    old: &str,
    new: &str,
) -> Value {
    let both = set_until(tpp, |kids| kids == [old, new]).await;
    let still = id_token(gw, tpp).await;
    assert_eq!(signed_by(&still, &both), old, "published first, and does not sign yet");
    // The gateway's clock stood still while the command took the machine's.
    advance(300 + 60).await;
    let turned = set_until(tpp, |kids| kids == [new, old]).await;
    let after = id_token(gw, tpp).await;
    // Also a client verifies that keeps the set of five minutes ago, as Cache-Control allows.
    assert_eq!(signed_by(&after, &both), new);
    assert_eq!(signed_by(&still, &turned), old);
    both
}

/// OpenID Connect Core §10.1.1 (AS20, AS25): rotation "can be accomplished" with the old
/// key published for a while. No request fails, no id_token is without its key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_leaves_no_moment_without_the_key_of_an_id_token() {
    let (gw, clock) = TestGateway::with_manual_clock().await;
    let tpp = gw.tpp().await;
    let first = published(&tpp).await;
    let before = id_token(&gw, &tpp).await;
    let old = signed_by(&before, &first);
    let traffic = Traffic::start(&tpp);

    let report = done(&keys(&gw, &["rotate", "--json"]));
    let new = report["key"]["kid"].as_str().unwrap().to_owned();
    assert_eq!((&report["key"]["state"], &report["former"]["kid"]), (&"next".into(), &old.clone().into()));
    let advance = async |seconds| {
        let _turn = traffic.turn.lock().await;
        clock.advance(seconds);
    };
    let both = takes_over(&gw, &tpp, advance, &old, &new).await;
    assert_eq!(signed_by(&before, &both), old, "an id_token of before verifies");
    for key in both["keys"].as_array().unwrap() {
        assert_eq!((&key["use"], &key["alg"], &key["kty"]), (&"sig".into(), &"PS256".into(), &"RSA".into()));
        assert!(key.get("d").is_none());
    }
    assert!(traffic.stopped().await > 10);

    clock.advance(86_400);
    set_until(&tpp, |kids| kids == [new.as_str()]).await;
    let gw = gw.restarted().await;
    let tpp = gw.tpp().await;
    assert_eq!(kids(&published(&tpp).await), [new]);
    gw.sandbox.stop().await;
}

/// Two operators, or an operator and a timer: the list stays whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_at_the_same_time_leave_a_whole_list() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let at_once = |arguments: &'static [&'static str]| {
        std::thread::scope(|scope| {
            let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| keys(&gw, arguments))).collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect::<Vec<_>>()
        })
    };
    let runs = at_once(&["rotate"]);
    let (good, refused): (Vec<_>, Vec<_>) = runs.iter().partition(|run| run.status.success());
    assert_eq!(good.len(), 1, "one key waits at a time");
    assert!(said(&good[0].stdout).contains("nothing has to be restarted"), "{good:?}");
    assert!(refused.iter().all(|run| said(&run.stderr).contains("--publish-first 0")), "{refused:?}");
    let reports: Vec<Value> =
        at_once(&["rotate", "--publish-first", "0", "--json"]).iter().map(done).collect();
    let made: BTreeSet<&str> = reports.iter().map(|report| report["key"]["kid"].as_str().unwrap()).collect();
    assert_eq!(made.len(), 4, "the one that waited, and three new ones");

    let listed = said(&keys(&gw, &["list", "--json"]).stdout);
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(listed.len(), 5);
    let signs: Vec<_> = listed.iter().filter(|key| key["state"] == "current").collect();
    assert_eq!(signs.len(), 1);
    let current = signs[0]["kid"].as_str().unwrap();
    let set = set_until(&tpp, |kids| kids.len() == 5 && kids[0] == current).await;
    assert_eq!(signed_by(&id_token(&gw, &tpp).await, &set), current);
    gw.sandbox.stop().await;
}

/// A folder with one key and no list keeps the key and its name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_the_version_before_keeps_its_key() {
    let gw = TestGateway::start().await;
    let home = gw.folder().join("data/keys");
    let aged = || {
        let pem = std::fs::read_dir(home.join("signing")).unwrap().next().unwrap().unwrap().path();
        std::fs::rename(pem, home.join("signing.pem")).unwrap();
        std::fs::remove_dir(home.join("signing")).unwrap();
        std::fs::remove_file(home.join("signing.toml")).unwrap();
    };
    let gw = gw.restarted_after(aged).await;
    let pem = std::fs::read_to_string(home.join("signing.pem")).unwrap();
    let kid = crypto::digest::sha256_b64url(pem.as_bytes())[..16].to_owned();
    assert_eq!(kids(&published(&gw.tpp().await).await), [kid.as_str()]);
    let report = done(&keys(&gw, &["rotate", "--json"]));
    assert_eq!(report["former"]["kid"], kid);
    gw.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_break_clients_is_refused_in_words() {
    let gw = TestGateway::start().await;
    for algorithm in ["ES256", "EdDSA"] {
        let refused = keys(&gw, &["rotate", "--alg", algorithm]);
        assert!(!refused.status.success());
        assert!(said(&refused.stderr).contains("clients registered for"), "{refused:?}");
    }
    let nowhere = tempfile::tempdir().unwrap();
    let data = nowhere.path().display().to_string();
    let refused = Command::new(env!("CARGO_BIN_EXE_consentry"))
        .args(["keys", "rotate", "--data-dir", &data])
        .output()
        .unwrap();
    assert!(said(&refused.stderr).contains("holds no gateway"), "{refused:?}");
    assert_eq!(std::fs::read_dir(nowhere.path()).unwrap().count(), 0);
    gw.sandbox.stop().await;
}

/// RFC 7518 §3.5: an id_token whose key never leaves its token.
#[test]
fn a_key_on_a_token_takes_over_and_signs_id_tokens() {
    with_token("keys::signs_id_tokens_on_the_token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in a process of its own, with a token"]
async fn signs_id_tokens_on_the_token() {
    let (gw, clock) = TestGateway::with_manual_clock().await;
    let tpp = gw.tpp().await;
    let old = kids(&published(&tpp).await).remove(0);
    let file = |name: &str, text: &str| {
        let path = gw.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (rsa, p256) = (crypto::pki::generate_rsa().unwrap(), crypto::pki::generate_p256().unwrap());
    for (label, id, pem) in [("signing", "01", &rsa), ("p256", "02", &p256)] {
        let pem = file("key.pem", pem);
        import(Path::new(&pem), label, id);
    }
    let module = module().unwrap().display().to_string();
    let pin = file("pin", &format!("{PIN}\n"));
    let add = |label: &str, pin: &str| {
        let arguments =
            ["add-pkcs11", "--module", &module, "--token", TOKEN, "--key", label, "--pin-file", pin];
        keys(&gw, &[&arguments[..], &["--json"]].concat())
    };
    for (label, pin, why) in [
        ("nobody", pin.as_str(), "not exactly one key pair"),
        ("p256", &pin, "clients registered for"),
        ("signing", &file("wrong", "0000"), "did not take the PIN"),
        ("signing", "/nowhere/pin", "/nowhere/pin cannot be read"),
    ] {
        let refused = add(label, pin);
        assert!(!refused.status.success() && said(&refused.stderr).contains(why), "{why}: {refused:?}");
    }
    let output = add("signing", &pin);
    let report = done(&output);
    assert!(!said(&output.stdout).contains(PIN) && !said(&output.stderr).contains(PIN));
    let new = report["key"]["kid"].as_str().unwrap().to_owned();
    let twice = add("signing", &pin);
    assert!(said(&twice.stderr).contains("--publish-first 0"), "one key waits at a time: {twice:?}");
    takes_over(&gw, &tpp, async |seconds| clock.advance(seconds), &old, &new).await;
    let list = std::fs::read_to_string(gw.folder().join("data/keys/signing.toml")).unwrap();
    assert!(list.contains("pkcs11") && !list.contains(PIN), "{list}");

    let imported = crypto::SigningKey::from_pem(&rsa, new.as_str()).unwrap();
    let gw = gw.restarted().await;
    let tpp = gw.tpp().await;
    let token = id_token(&gw, &tpp).await;
    assert_eq!(signed_by(&token, &Jwks::of([&imported]).to_value()), new);
    gw.sandbox.stop().await;
}
