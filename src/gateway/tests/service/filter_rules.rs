//! The rules of a running filter: the Core Rule Set, a policy, and what changes while it runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use consentry::demo::{Answer, RETURN, Tpp, bearer};
use consentry::{FilterFiles, FilterMode};
use domain::{Clock, ShiftedClock};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::log::Log;
use crate::support::{TestGateway, UK, Wanted, assert_problem, payee};

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/waf");
const REPORT: &str = "consentry-filter-report";

fn saying(text: &str) -> Value {
    let (currency, creditor) = payee(UK);
    json!({
        "institution_id": UK,
        "amount": { "amount": "1.00", "currency": currency },
        "creditor": { "name": "Corner Bookshop" },
        "creditor_account": creditor,
        "remittance": { "unstructured": [text] },
        "redirect_uri": RETURN,
    })
}

async fn ordered(tpp: &Tpp, token: &SecretString, text: &str) -> Answer {
    tpp.post(token, "/v1/payments", &saying(text)).await.unwrap()
}

/// A copy of our own rules with their tests, to be changed.
fn rules_in(folder: &Path) -> PathBuf {
    let rules = folder.join("rules");
    fs::create_dir_all(rules.join("tests")).unwrap();
    for name in ["engine.conf", "cards.conf", "json.conf", "tests/cards.yaml", "tests/json.yaml"] {
        fs::copy(Path::new(RULES).join(name), rules.join(name)).unwrap();
    }
    rules
}

fn rule(id: u64, word: &str) -> String {
    format!(
        "SecRule ARGS \"@rx \\b{word}\\b\" \"id:{id},phase:2,deny,log,t:none,t:lowercase,msg:'{word}'\"\n"
    )
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let look = async {
        let mut beat = tokio::time::interval(Duration::from_millis(50));
        while !holds().await {
            beat.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), look).await.unwrap_or_else(|_| panic!("{what}"));
}

/// The Core Rule Set refuses what our rules alone let pass, and stands in nobody's way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_core_rule_set_runs_beside_our_rules() {
    let crs = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/crs"));
    if !crs.exists() {
        eprintln!("SKIPPED: no Core Rule Set beside the checkout");
        return;
    }
    let with = FilterFiles { crs: Some(crs.to_owned()), ..FilterFiles::default() };
    let gw = TestGateway::wanted(Wanted { filter_files: with, ..Wanted::default() }).await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    let own = tpp.own_token("payments").await.unwrap();
    ordered(&tpp, &own, "Invoice 4711 of March, with thanks").await.expect(201).unwrap();
    let hook = json!({ "url": "https://fintech.example/hook", "events": ["payment.settled"] });
    let made = tpp.post(&own, "/v1/webhook-endpoints", &hook).await.unwrap().expect(201).unwrap();
    let place = format!("/v1/webhook-endpoints/{}", made.text("/id"));
    tpp.delete(&own, &place).await.unwrap().expect(204).unwrap();
    // 933100 of the Core Rule Set, and of nobody else.
    let url = format!("{}/v1/webhook-endpoints", gw.sandbox.access().api);
    let headers = [("authorization", bearer(&own)), ("x-note", "<?php echo 1;".to_owned())];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_problem(&tpp.http.get(&url, &headers).await.unwrap(), 403, "request.suspicious");
    gw.sandbox.stop().await;
}

/// A route has a mode of its own, an exclusion holds where and until when it says, and what is
/// left out elsewhere is not left out here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_says_otherwise_for_a_route_and_for_a_while() {
    let attack = "x' UNION SELECT username, password FROM users--";
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("filter.toml");
    let clock = Arc::new(ShiftedClock::default());
    let tomorrow = domain::utc_day(clock.now()).tomorrow().unwrap();
    fs::write(
        &policy,
        format!(
            "[[route]]\nmethod = \"GET\"\npath = \"/v1/webhook-endpoints\"\nmode = \"off\"\n\
             [[route]]\nmethod = \"POST\"\npath = \"/v1/funds-confirmations\"\nmode = \"report\"\n\
             [[exclusion]]\nrules = \"9100180-9100182\"\nowner = \"payments team\"\nreason = \"a trial\"\n\
             target = \"ARGS:/^json\\\\.remittance/\"\nexpires = {tomorrow}\n\
             route = {{ method = \"POST\", path = \"/v1/payments\" }}\n"
        ),
    )
    .unwrap();
    let with = FilterFiles { policy: Some(policy), ..FilterFiles::default() };
    let gw = TestGateway::wanted(Wanted {
        filter_files: with,
        clock: clock.clone(),
        virtual_time: Some(clock.clone()),
        ..Wanted::default()
    })
    .await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let list = tpp.get(&own, "/v1/webhook-endpoints?page=2").await.unwrap().expect(200).unwrap();
    assert_eq!(list.header(REPORT), None, "nothing is looked into");
    let asked = tpp.post(&own, "/v1/funds-confirmations", &json!({ "debug": 1 })).await.unwrap();
    assert!(asked.header(REPORT).is_some_and(|told| told.contains("unknown_name")), "{:?}", asked.status);
    ordered(&tpp, &own, attack).await.expect(201).unwrap();
    let mut named = saying("Rent");
    named["creditor"]["name"] = json!(attack);
    let refused = tpp.post(&own, "/v1/payments", &named).await.unwrap();
    assert_problem(&refused, 403, "request.suspicious");

    clock.advance(2 * 86_400);
    let own = tpp.own_token("payments").await.unwrap();
    until("the exclusion ends by itself", async || ordered(&tpp, &own, attack).await.status == 403).await;
    gw.sandbox.stop().await;
}

/// Rules are taken up while requests are made, of which none fails; what is broken or fails its
/// own tests changes nothing, and the log says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_change_while_requests_are_made() {
    let log = Log::of_everything();
    let folder = tempfile::tempdir().unwrap();
    let rules = rules_in(folder.path());
    let write = |name: &str, text: &str| fs::write(rules.join(name), text).unwrap();
    let with = FilterFiles { rules: Some(rules.clone()), ..FilterFiles::default() };
    let gw = TestGateway::wanted(Wanted { filter_files: with, ..Wanted::default() }).await;
    let tpp = Arc::new(gw.tpp().await);
    let own = tpp.own_token("payments").await.unwrap();
    let done = CancellationToken::new();
    let (client, token, over) = (Arc::clone(&tpp), own.clone(), done.clone());
    let meanwhile = tokio::spawn(async move {
        let mut made = 0_u32;
        while !over.is_cancelled() {
            client.get(&token, "/v1/webhook-endpoints").await.unwrap().expect(200).unwrap();
            made += 1;
        }
        made
    });
    ordered(&tpp, &own, "unobtainium").await.expect(201).unwrap();
    write("more.conf", &rule(9_100_380, "unobtainium"));
    until("the new rule acts", async || ordered(&tpp, &own, "unobtainium").await.status == 403).await;

    let stays = |why: &str| {
        let text = log.text();
        text.contains("The filter stays as it was") && text.contains(why)
    };
    write(
        "more.conf",
        &format!("{}SecRule ARGS \"@rx (\" \"id:9100382,phase:2,deny\"\n", rule(9_100_381, "vibranium")),
    );
    until("the broken file is told", async || stays("more.conf:2: rule 9100382")).await;
    assert_eq!(ordered(&tpp, &own, "unobtainium").await.status, 403);
    ordered(&tpp, &own, "vibranium").await.expect(201).unwrap();

    write("more.conf", &rule(9_100_381, "vibranium"));
    write("tests/more.yaml", "rules: []\nlegitimate: ['Shares of Vibranium plc']\n");
    until("the failed test is told", async || stays("9100381 refuses")).await;
    gw.sandbox.reload().await;
    ordered(&tpp, &own, "vibranium").await.expect(201).unwrap();

    fs::remove_file(rules.join("tests/more.yaml")).unwrap();
    gw.sandbox.reload().await;
    assert_eq!(ordered(&tpp, &own, "vibranium").await.status, 403, "what SIGHUP does takes it up at once");
    ordered(&tpp, &own, "unobtainium").await.expect(201).unwrap();
    done.cancel();
    assert!(meanwhile.await.unwrap() > 10);
    gw.sandbox.stop().await;
}

/// The log tells of an attack which rule found it, where, how long and with what digest; the
/// value it never tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_has_the_evidence_and_not_the_value() {
    let log = Log::of_everything();
    let gw = TestGateway::wanted(Wanted { filter: FilterMode::Block, ..Wanted::default() }).await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let attack = "zanzibar' UNION SELECT quagmire FROM users--";
    let refused = ordered(&tpp, &own, attack).await;
    assert_problem(&refused, 403, "request.suspicious");
    let (text, id) = (log.text(), refused.header("x-request-id").unwrap().to_owned());
    let line =
        text.lines().find(|line| line.contains("waf.rule=9100180")).expect("the rule is told").to_owned();
    // Of the value as the rule saw it.
    let digest = crypto::digest::sha256_hex(attack.to_lowercase().as_bytes());
    for wanted in [
        "WARN",
        "SQL injection",
        "ARGS:json.remittance.unstructured.array_0",
        "waf.length=26",
        &format!("request.id=\"{id}\""),
        digest.get(..16).unwrap(),
    ] {
        assert!(line.contains(wanted), "{wanted}: {line}");
    }
    for value in ["zanzibar", "quagmire", "UNION SELECT"] {
        assert!(!text.to_lowercase().contains(&value.to_lowercase()), "{value} is in the log");
    }
    gw.sandbox.stop().await;
}
