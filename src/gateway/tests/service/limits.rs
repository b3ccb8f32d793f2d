//! Limits: whom they count, what answers tell of them, how they change and are shared.

use std::time::Duration;

use consentry::demo::{Answer, Delivery, Receiver, Tpp};
use consentry::sandbox::{BlockFeed, Sandbox, SandboxOptions};
use serde_json::{Value, json};

use crate::support::{EU, TestGateway, UK, Wanted, assert_problem, limits};

/// A gateway with one policy of its own.
async fn with(policy: &str) -> TestGateway {
    let limits = limits(&format!("[[policy]]\n{}", policy.replace("; ", "\n")));
    TestGateway::wanted(Wanted { limits, ..Wanted::default() }).await
}

/// The members of a list in a header.
fn items<'a>(answer: &'a Answer, header: &str) -> Vec<&'a str> {
    answer.header(header).map(|list| list.split(", ").collect()).unwrap_or_default()
}

/// draft-ietf-httpapi-ratelimit-headers-10: every answer tells by which policies it was counted and
/// what is left, and `GET /v1/limits` tells it of all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_and_the_list_of_limits_tell_what_is_left() {
    let gw = with("name = \"client\"; partition = \"client\"; quota = 100; window = 3600").await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    let read = tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    let policies = items(&read, "ratelimit-policy");
    for policy in ["\"client\";q=100;w=3600", "\"peer\";q=1000;w=2", "\"client-sustained\";q=600000;w=3600"] {
        assert!(policies.contains(&policy), "{policies:?}");
    }
    assert!(policies[0].starts_with("\"unattended\";q=4;w=86400;pk=:"), "{policies:?}");
    let left = |answer: &Answer| -> u32 {
        let items = items(answer, "ratelimit");
        let item = items.iter().find_map(|item| item.strip_prefix("\"client\";r=")).unwrap();
        item.split(';').next().unwrap().parse().unwrap()
    };
    let shown = tpp.get(&granted.token, "/v1/limits").await.unwrap().expect(200).unwrap();
    assert_eq!(left(&read) - 1, left(&shown));
    let body = shown.json();
    let of = |name: &str| body["limits"].as_array().unwrap().iter().find(|it| it["policy"] == name).unwrap();
    let client = of("client");
    assert_eq!((&client["quota"], &client["window_seconds"]), (&json!(100), &json!(3600)));
    assert_eq!((&client["partition"], &client["remaining"]), (&json!("client"), &json!(left(&shown))));
    assert_eq!(of("peer")["partition"], "peer");
    assert_eq!(
        (&of("payments")["class"], &of("payments")["remaining"]),
        (&json!("payments"), &json!(12_000))
    );
    assert_eq!(of("consent")["consent_id"], json!(granted.consents[0]));
    let unattended = &body["unattended"][0];
    assert_eq!((&unattended["limit"], &unattended["remaining"]), (&json!(4), &json!(4)));
    assert!(unattended["resets_at"].as_str().unwrap().ends_with("T00:00:00Z"));
    // Discovery is nobody's in particular: it is the peer's.
    let anybody = gw.anybody().get(&format!("{}/healthz", tpp.api), &[]).await.unwrap();
    assert_eq!(items(&anybody, "ratelimit-policy"), ["\"peer\";q=1000;w=2"]);
    gw.sandbox.stop().await;
}

/// A client has one quota, whatever it asks for and with which token; another one has its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_over_its_quota_is_told_which_and_until_when() {
    let gw = with("name = \"client\"; partition = \"client\"; quota = 12; window = 3600").await;
    let (one, other) = (gw.tpp().await, gw.tpp().await);
    let (own, others) =
        (one.own_token("accounts payments").await.unwrap(), other.own_token("accounts").await.unwrap());
    let refused = loop {
        let answer = one.get(&own, "/v1/consents").await.unwrap();
        if answer.status != 200 {
            break answer;
        }
    };
    assert_problem(&refused, 429, "quota.exceeded");
    assert_eq!(refused.json()["violated-policies"], json!(["client"]));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=300).contains(&wait), "{wait}: a twelfth of the window");
    assert!(items(&refused, "ratelimit").iter().any(|item| item.starts_with("\"client\";r=0;t=")));
    // Nothing was paid, and the client is told so.
    let order = one.post(&own, "/v1/payments", &Tpp::small_payment(UK)).await.unwrap();
    assert_problem(&order, 429, "quota.exceeded");
    assert_eq!(order.json()["outcome"], "not_executed");
    let token = one.authenticated("token_endpoint", &[("grant_type", "client_credentials")]).await.unwrap();
    assert_eq!((token.status.as_u16(), token.text("/error").as_str()), (429, "temporarily_unavailable"));
    assert!(token.header("retry-after").is_some());
    other.get(&others, "/v1/consents").await.unwrap().expect(200).unwrap();
    assert!(gw.sandbox.edge().evidence.count("quota.exceeded") >= 2);
    gw.sandbox.stop().await;
}

/// Reads under one consent have a quota; what it stops is named, and stops nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_over_its_quota_stops_no_other() {
    let gw = with("name = \"consent\"; partition = \"consent\"; quota = 2; window = 3600").await;
    let tpp = gw.tpp().await;
    let both = gw.granted(&tpp, &[UK, EU]).await;
    let uk = gw.given(&tpp, vec![both.consents[0].clone()], gw.person()).await;
    for _ in 0..2 {
        tpp.get(&uk.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    }
    let calls = gw.sandbox.bank(UK).unwrap().1.entries().len();
    let refused = tpp.get(&uk.token, "/v1/accounts").await.unwrap();
    assert_problem(&refused, 429, "quota.exceeded");
    assert_eq!(refused.json()["violated-policies"], json!(["consent"]));
    let read = tpp.get(&both.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    let statuses = ["/sources/0/status", "/sources/0/code", "/sources/1/status"].map(|at| read.text(at));
    assert_eq!(statuses, ["QUOTA_USED_UP", "quota.exceeded", "OK"]);
    assert_eq!(gw.sandbox.bank(UK).unwrap().1.entries().len(), calls, "the bank was not asked");
    gw.sandbox.stop().await;
}

/// What a bank lets us ask is kept: calls wait for it while that is short, and are not made
/// where it is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_is_asked_no_more_often_than_it_lets_us() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    let lets = async |window: u32| {
        let special = format!("special = [{{ of = \"{UK}\", quota = 1, window = {window} }}]");
        let policy = "name = \"institution\"\npartition = \"institution\"\nquota = 9999\nwindow = 1";
        std::fs::write(gw.limits_file(), limits(&format!("[[policy]]\n{policy}\n{special}\n"))).unwrap();
        gw.sandbox.reload().await;
    };
    let journal = gw.sandbox.bank(UK).unwrap().1;
    let read = async || tpp.get(&granted.token, "/v1/accounts").await.unwrap();
    lets(1).await;
    for _ in 0..2 {
        read().await.expect(200).unwrap();
    }
    let entries = journal.entries();
    let [.., first, second] = entries.as_slice() else { panic!("two calls") };
    assert!(second.at.duration_since(first.at).as_millis() >= 900, "the second waited");
    lets(3600).await;
    read().await.expect(200).unwrap();
    let refused = read().await;
    assert_problem(&refused, 503, "institution.throttled");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 3_000);
    assert_eq!(journal.entries().len(), entries.len() + 1, "the bank was not asked");
    gw.sandbox.stop().await;
}

/// A file that changes is taken up; one that cannot be used changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_change_while_requests_come() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let policies = async || {
        let answer = tpp.get(&own, "/v1/consents").await.unwrap().expect(200).unwrap();
        answer.header("ratelimit-policy").unwrap().to_owned()
    };
    let file = gw.limits_file();
    let text = |quota: u32| {
        limits(&format!(
            "[[policy]]\nname = \"client\"\npartition = \"client\"\nquota = {quota}\nwindow = 9\n"
        ))
    };
    std::fs::write(&file, text(777)).unwrap();
    let taken_up = async { while !policies().await.contains("\"client\";q=777;w=9") {} };
    tokio::time::timeout(Duration::from_secs(10), taken_up).await.expect("the file is looked at");
    std::fs::write(&file, "[[policy]]\nname = \"client\"\n").unwrap();
    gw.sandbox.reload().await;
    assert!(policies().await.contains("\"client\";q=777;w=9"));
    std::fs::write(&file, text(778)).unwrap();
    gw.sandbox.reload().await;
    assert!(policies().await.contains("\"client\";q=778;w=9"));
    gw.sandbox.stop().await;
}

fn view(delivery: &Delivery) -> Value {
    serde_json::from_slice(&delivery.body).unwrap()
}

/// Whoever stands in front is told who is blocked: by a file, and by a webhook.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_blocked_is_told_to_whoever_stands_in_front() {
    let folder = tempfile::tempdir().unwrap();
    // Its certificates outlive it.
    let first = Sandbox::start(SandboxOptions::at(folder.path())).await.unwrap();
    let pki = first.access().pki;
    first.stop().await;
    let receiver = Receiver::start(&pki.server.certificate_pem, &pki.server.key_pem).await.unwrap();
    let file = folder.path().join("blocked.txt");
    let block_feed = BlockFeed { file: Some(file.clone()), url: Some(receiver.url.clone()) };
    let sandbox =
        Sandbox::start(SandboxOptions { block_feed, ..SandboxOptions::at(folder.path()) }).await.unwrap();
    let list = &sandbox.edge().blocked;
    for _ in 0..20 {
        list.offend("203.0.113.7".parse().unwrap(), "request.suspicious");
        list.offend("2001:db8:1:2::7".parse().unwrap(), "flood");
    }
    let both = |delivery: &Delivery| view(delivery)["blocked"].as_array().unwrap().len() == 2;
    let told = view(&receiver.wait_for(both, Duration::from_secs(10)).await.unwrap());
    assert_eq!(told["blocked"][0]["network"], "203.0.113.7/32");
    assert_eq!(
        (&told["blocked"][1]["network"], &told["blocked"][1]["reason"]),
        (&json!("2001:db8:1:2::/64"), &json!("flood"))
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "203.0.113.7/32\n2001:db8:1:2::/64\n");
    sandbox.stop().await;
}
