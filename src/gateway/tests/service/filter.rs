//! Requests held against the description of the interface, before anybody acts on them.

use crate::support::{TestGateway, UK, assert_problem};
use consentry::demo::{Answer, RETURN, Tpp};
use http::Method;
use secrecy::SecretString;
use serde_json::{Value, json};

const REPORT: &str = "consentry-filter-report";

fn order(change: impl FnOnce(&mut Value)) -> Value {
    let (currency, creditor) = crate::support::payee(UK);
    let mut order = json!({
        "institution_id": UK,
        "amount": { "amount": "1.00", "currency": currency },
        "creditor": { "name": "Corner Bookshop" },
        "creditor_account": creditor,
        "remittance": { "unstructured": ["Rent"] },
        "redirect_uri": RETURN,
    });
    change(&mut order);
    order
}

async fn ordered(tpp: &Tpp, token: &SecretString, order: &Value) -> Answer {
    tpp.post(token, "/v1/payments", order).await.unwrap()
}

/// What is not in the description goes no further, and of a payment is said that it was not
/// made; whether there is a token does not matter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_described_goes_no_further() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let nobody = SecretString::from("nobody");
    for (token, change) in [(&own, "debug"), (&nobody, "__proto__")] {
        let refused = ordered(&tpp, token, &order(|order| order[change] = json!({}))).await;
        assert_problem(&refused, 422, "request.invalid");
        assert_eq!(refused.text("/outcome"), "not_executed");
        assert_eq!(refused.text("/errors/0/code"), "field.unknown");
    }
    let hook = order(|order| order["redirect_uri"] = json!("https://169.254.169.254/latest/meta-data/"));
    let refused = ordered(&tpp, &own, &hook).await;
    assert_eq!(
        (refused.text("/errors/0/pointer"), refused.text("/errors/0/code")),
        ("/redirect_uri".into(), "field.address".into())
    );
    let injected = order(|order| order["amount"]["amount"] = json!("1.00' OR '1'='1"));
    assert_eq!(ordered(&tpp, &own, &injected).await.text("/errors/0/pointer"), "/amount/amount");
    for (path, status, code) in [
        ("/v1/payments?limit=1%20UNION%20SELECT%201", 400, "request.query"),
        ("/v1/payments?debug=1", 400, "request.query"),
        ("/v1/payments/1%20OR%201=1", 404, "resource.not_found"),
        ("/v1/admin", 404, "request.path_unknown"),
        ("/.git/config", 404, "request.path_unknown"),
    ] {
        assert_problem(&tpp.get(&own, path).await.unwrap(), status, code);
    }
    let right = ordered(&tpp, &own, &order(|_| ())).await.expect(201).unwrap();
    assert_eq!(right.header(REPORT), None);
    gw.sandbox.stop().await;
}

/// What no form tells is looked into: an attack is refused, and nothing says why; a name is a name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attack_in_a_free_text_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let saying = |name: &str, text: &str| {
        order(|order| {
            order["creditor"]["name"] = json!(name);
            order["remittance"]["unstructured"] = json!([text]);
        })
    };
    for text in [
        "x' UNION SELECT username, password FROM users--",
        "<img src=x onerror=alert(1)>",
        "../../../etc/passwd",
    ] {
        let refused = ordered(&tpp, &own, &saying("Corner Bookshop", text)).await;
        assert_problem(&refused, 403, "request.suspicious");
        assert_eq!(
            (refused.text("/outcome"), refused.json()["errors"].is_null()),
            ("not_executed".into(), true)
        );
    }
    ordered(&tpp, &own, &saying("Conor O'Brien & Sons", "Union fees; order by May"))
        .await
        .expect(201)
        .unwrap();
    gw.sandbox.stop().await;
}

/// A statement in quotes, an expression of a filter, guillemets that servers may take for brackets, a tag as a subject. What is
/// nested too deep at a registration its handler refuses, in words of its own.
const WRONG_OF_OTHERS: [&str; 5] =
    ["one-hard-029", "one-hard-090", "one-atk-165", "two-hard-022", "four-hard-094"];

/// `policy waf` tries rules and requests without a gateway: what is to pass passes, what is to
/// be refused is, and a request that is judged otherwise is named.
#[test]
fn requests_are_played_through_the_edge_by_a_command() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_consentry"))
            .args(["policy", "waf"])
            .args(arguments)
            .current_dir(root)
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (well, told) = run(&["test"]);
    assert!(well && told.ends_with(" 0 judged wrongly\n"), "{told}");
    let (_, told) = run(&["replay", "policies/waf/tests/requests.jsonl", "--json"]);
    let told: Value = serde_json::from_str(told.trim()).unwrap();
    assert!(told["total"].as_u64().unwrap() > 600, "{told}");
    // A tag and a call, which no rule can tell from an attack.
    assert_eq!(told["wrong"], json!(["hard-name-script", "hard-mix-51"]));
    // Written by others, who did not know the rules; see docs/edge.md for what was found at first.
    let (_, told) = run(&["replay", "policies/waf/tests/independent.jsonl", "--json"]);
    let told: Value = serde_json::from_str(told.trim()).unwrap();
    assert!(told["total"].as_u64().unwrap() > 1_400, "{told}");
    assert_eq!(told["wrong"], json!(WRONG_OF_OTHERS));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("requests.jsonl");
    let line = |id: &str, path: &str, expect: &str| json!({ "id": id, "method": "GET", "path": path, "expect": expect });
    let lines =
        [line("a", "/v1/payments", "block"), line("b", "/.env", "block"), line("c", "/v1/\u{1}", "allow")];
    std::fs::write(&file, lines.map(|line| line.to_string()).join("\n")).unwrap();
    let (well, told) = run(&["replay", file.to_str().unwrap(), "--json"]);
    let told: Value = serde_json::from_str(told.trim()).unwrap();
    assert_eq!((well, told), (false, json!({ "total": 3, "right": 1, "wrong": ["a", "c"] })));
}

/// The tests of a release of the Core Rule Set are judged by its own rules, and told by category.
#[test]
fn a_release_of_rules_is_judged_by_its_own_tests() {
    let folder = tempfile::tempdir().unwrap();
    let tests = folder.path().join("tests/regression/tests/REQUEST-942-APPLICATION-ATTACK-SQLI");
    std::fs::create_dir_all(&tests).unwrap();
    std::fs::create_dir(folder.path().join("rules")).unwrap();
    let rule = "SecRule ARGS \"@contains drop table\" \"id:942999,phase:2,block,capture,t:lowercase,severity:'CRITICAL'\"\n";
    std::fs::write(folder.path().join("rules/REQUEST-942-APPLICATION-ATTACK-SQLI.conf"), rule).unwrap();
    let test = |id: u32, uri: &str, output: &str| {
        format!(
            "  - test_id: {id}\n    stages:\n      - input:\n          method: GET\n          uri: \"{uri}\"\n          headers:\n            \
             Host: localhost\n        output:\n          log:\n            {output}: [942999]\n"
        )
    };
    let all = [
        test(1, "/?q=drop%20table", "expect_ids"),
        test(2, "/?q=a%20table", "no_expect_ids"),
        test(3, "/?q=nothing", "expect_ids"),
    ];
    let text = format!("---\nmeta:\n  author: \"us\"\nrule_id: 942999\ntests:\n{}", all.concat());
    std::fs::write(tests.join("942999.yaml"), text).unwrap();
    let run = |more: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_consentry"))
            .args(["policy", "waf", "crs"])
            .arg(folder.path())
            .args(more)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let told: Value = serde_json::from_str(&run(&["--json"])).unwrap();
    assert_eq!(told["categories"]["942"], json!({ "passed": 2, "failed": 1 }), "{told}");
    assert_eq!(told["failures"].as_array().unwrap().len(), 1, "{told}");
    let table = run(&[]);
    assert!(table.contains("942") && table.contains('%'), "{table}");
}

/// Requests are played as others write them down, and meet the bounds of a head that they would meet on the wire;
/// what may not be expected is said with its line.
#[test]
fn requests_are_played_however_they_are_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("requests.jsonl");
    let replay = |lines: &[Value]| {
        let text: Vec<_> = lines.iter().map(Value::to_string).collect();
        std::fs::write(&file, text.join("\n")).unwrap();
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_consentry"))
            .args(["policy", "waf", "replay", "--json"])
            .arg(&file)
            .current_dir(root)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (serde_json::from_slice::<Value>(&output.stdout).ok(), said)
    };
    let post = |id: &str, headers: Value, body: Value, expect: &str| json!({ "id": id, "method": "POST", "path": "/v1/payee-verifications", "headers": headers, "body": body, "expect": expect });
    let payee = json!({ "institution_id": "de-rheinbank", "name": "Ben Yilmaz", "account": { "iban": "DE42999100002000000018" } });
    let is_json = json!({ "content-type": "application/json" });
    let forwarded = |by: &str| json!([["content-type", "application/json"], ["x-forwarded-for", by]]);
    let get = |id: &str, headers: Value, expect: &str| json!({ "id": id, "method": "GET", "path": "/v1/accounts", "headers": headers, "expect": expect });
    let many: Vec<_> = (0..100).map(|number| json!([format!("x-{number}"), "1"])).collect();
    let (told, said) = replay(&[
        post("text", is_json.clone(), json!(payee.to_string()), "allow"),
        post("object", is_json, payee.clone(), "allow"),
        post("pairs", forwarded("192.0.2.7, [2001:db8::1]:443"), payee.clone(), "allow"),
        post("forwarded", forwarded("${jndi:ldap://x.example/a}"), payee, "block"),
        get("plain", json!({}), "allow"),
        get("host", json!({ "host": "api.example:80@elsewhere.example" }), "block"),
        get("long", json!({ "x-long": "x".repeat(40_000) }), "block"),
        get("many", json!(many), "block"),
    ]);
    assert_eq!(told, Some(json!({ "total": 8, "right": 8, "wrong": [] })), "{said}");
    let (told, said) = replay(&[get("plain", json!({}), "allow"), get("typo", json!({}), "blok")]);
    assert!(told.is_none() && said.contains(":2 is no request") && said.contains("blok"), "{said}");
}

/// `policy waf explain` says what each layer says of one request, and never a value; a policy
/// that is named counts there as in `replay`, and what has expired is told.
#[test]
fn a_request_is_explained_by_a_command() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let attack = "zanzibar' UNION SELECT quagmire FROM users--";
    let body = order(|order| order["remittance"]["unstructured"] = json!([attack])).to_string();
    let headers = json!({ "content-type": "application/json", "idempotency-key": "0b5e3f6e-1a52-4a3b-9f4e-0f6f2a1c7a11" });
    let sent = json!({ "id": "a", "method": "POST", "path": "/v1/payments", "headers": headers, "body": body, "expect": "allow" });
    let request = file("request.jsonl", &sent.to_string());
    let exclusion = |expires: &str| {
        let route = "route = { method = \"POST\", path = \"/v1/payments\" }";
        format!(
            "[[exclusion]]\nrules = \"9100180-9100182\"\n{route}\nowner = \"payments team\"\nreason = \"a trial\"\nexpires = {expires}\n"
        )
    };
    let holding = file("holding.toml", &exclusion("2999-12-31"));
    let expired = file("expired.toml", &exclusion("2026-01-01"));
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_consentry"))
            .args(["policy", "waf"])
            .args(arguments)
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
            .output()
            .unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(told).unwrap())
    };

    let (well, told) = run(&["explain", &request, "--json"]);
    assert!(well && !told.contains("zanzibar") && !told.contains("quagmire"), "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["operation"], &told["mode"], &told["hygiene"]),
        (&json!("orderPayment"), &json!("block"), &Value::Null)
    );
    assert_eq!(told["answer"], json!({ "status": 403, "code": "request.suspicious", "report": null }));
    let of = |place: &str| {
        let values = told["model"]["values"].as_array().unwrap();
        values.iter().find(|value| value["place"] == place).unwrap()["word"].as_str().unwrap().to_owned()
    };
    assert_eq!(of("/amount/amount"), "form");
    assert_eq!(of("/redirect_uri"), "address");
    assert_eq!(of("/remittance/unstructured/0"), "free text");
    let matches = told["signatures"]["matches"].as_array().unwrap();
    let found = matches.iter().find(|found| found["rule"] == 9_100_180).unwrap();
    assert_eq!((&found["score"], &found["level"], &found["length"]), (&json!(5), &json!(1), &json!(26)));
    assert_eq!(found["snippet"], "xxxxx xxxxxx xxxxxxxx xxxx");
    assert_eq!(found["sha256"].as_str().unwrap().len(), 16);

    let (_, told) = run(&["explain", &request, "--json", "--filter-policy", &holding]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["answer"]["status"], Value::Null, "{told}");
    assert!(told["exclusions"][0]["silences"].as_array().unwrap().contains(&json!(9_100_180)), "{told}");
    let (well, told) = run(&["explain", &request, "--filter-policy", &holding]);
    assert!(well && told.contains("answer      the handler's\n"), "{told}");
    let (_, told) = run(&["explain", &request, "--filter", "report"]);
    assert!(told.contains("the handler's, which tells of: attack request:"), "{told}");

    assert!(run(&["replay", &request, "--filter-policy", &holding]).0);
    let (well, told) = run(&["replay", &request, "--filter-policy", &expired]);
    assert!(!well && told.contains("has expired on 2026-01-01"), "{told}");
    let (well, told) = run(&["test", "--filter-policy", &expired]);
    assert!(well && told.contains("The exclusion of 9100180-9100182 (payments team) has expired"), "{told}");
    let nowhere = file("nowhere.toml", "[[route]]\nmethod = \"GET\"\npath = \"/v2/x\"\nmode = \"off\"\n");
    let (well, told) = run(&["replay", &request, "--filter-policy", &nowhere]);
    assert!(!well && told.contains("nowhere.toml: route 1: the interface has no GET /v2/x"), "{told}");
}

/// The edge refuses nothing that a handler takes: separators in account numbers, any post code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_handlers_take_the_edge_lets_through() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let spelled = order(|order| {
        order["creditor_account"] = json!({ "sort_code_account_number": { "sort_code": "99 - 00 - 11", "account_number": "2000-00 18" } });
    });
    ordered(&tpp, &own, &spelled).await.expect(201).unwrap();
    let goods = order(|order| {
        order["risk"] = json!({ "delivery_address": { "country": "JP", "post_code": "〒100-0001", "town_name": "東京" } });
    });
    ordered(&tpp, &own, &goods).await.expect(201).unwrap();
    gw.sandbox.stop().await;
}

/// In a sandbox a request passes that would be refused, and its answer says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_says_what_will_be_refused() {
    let gw = TestGateway::that_reports().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let list = tpp.get(&own, "/v1/webhook-endpoints?page=2").await.unwrap().expect(200).unwrap();
    assert_eq!(list.header(REPORT), Some("unknown_name query:"));
    let wrong = order(|order| {
        order["amount"]["currency"] = json!("euro");
        order["<script>"] = json!(1);
    });
    let answer = ordered(&tpp, &own, &wrong).await;
    assert_problem(&answer, 422, "request.invalid");
    let told = answer.header(REPORT).unwrap();
    assert!(told.contains("value body:/amount/currency") && !told.contains("euro"), "{told}");
    gw.sandbox.stop().await;
}

/// The authorization server answers in the words of its own standard, whatever the filter is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authorization_server_answers_itself() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let form = [("grant_type", "what <else>"), ("unheard_of", "x")];
    let answer = tpp.authenticated("token_endpoint", &form).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.text("/error")), (400, "unsupported_grant_type".into()));
    gw.sandbox.stop().await;
}

/// Every route of the gateway is described: where it is not, nobody could reach it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_is_described() {
    let described: Vec<Value> = ["consentry", "authorization"]
        .iter()
        .map(|name| {
            let file = format!("{}/../../openapi/{name}.json", env!("CARGO_MANIFEST_DIR"));
            serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
        })
        .collect();
    let has = |path: &str, method: &Method| {
        let method = method.as_str().to_lowercase();
        described.iter().any(|document| document["paths"][path][&method].is_object())
    };
    let route = regex::Regex::new(r#"\.route\(\s*"(/[^"]*)",\s*((?:[^()]|\([^()]*\))*)\)"#).unwrap();
    let word = regex::Regex::new(r"\b(get|post|put|delete|patch)\(").unwrap();
    let mut found = 0;
    for file in
        ["oauth/lib.rs", "gateway/sandbox/drive.rs", "gateway/service/published_seal.rs", "api/lib.rs"]
    {
        let text = std::fs::read_to_string(format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        for routed in route.captures_iter(&text) {
            for method in word.captures_iter(&routed[2]) {
                let method: Method = method[1].to_uppercase().parse().unwrap();
                assert!(has(&routed[1], &method), "{method} {} of {file} is not described", &routed[1]);
                found += 1;
            }
        }
    }
    assert!(found > 60, "{found} routes");
}
