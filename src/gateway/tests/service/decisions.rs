//! Rules of access and residency: who is refused is told by which of them, and so is the audit log.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use consentry::demo::{Answer, Tpp};
use consentry::sandbox::{Sandbox, SandboxOptions};
use serde_json::{Value, json};

use crate::audit::{Auditor, entries};
use crate::support::webhooks::until;
use crate::support::{EU, TestGateway, UK, Wanted, add_rules, assert_problem, rules_with};

/// No transactions of anybody: a rule of an operator's own.
const NO_TRANSACTIONS: &str = r#"@id("operator.no-transactions")
@says("This gateway gives no transactions.")
forbid (principal, action == Action::"read", resource)
when { context.class == "TRANSACTIONS" };
"#;

/// Payments of a client are not sent to banks, such as while something is looked into.
fn nothing_submitted(client: &str) -> String {
    format!(
        "@id(\"operator.nothing-submitted\")\n@says(\"No payments are sent for now.\")\n\
         forbid (principal == Client::\"{client}\", action == Action::\"change\", resource)\n\
         when {{ context.change == PaymentChange::\"submit\" }};\n"
    )
}

/// The rules that a problem names.
fn rules_of(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().map(|error| error["code"].as_str().unwrap().to_owned()).collect()
}

async fn ruled_by(more: &str) -> (TestGateway, tempfile::TempDir) {
    let rules = rules_with(more);
    let wanted = Wanted { policies: Some(rules.path().to_owned()), ..Wanted::default() };
    (TestGateway::wanted(wanted).await, rules)
}

/// A refusal says which rule it is from, to the caller, in the part of an aggregated read, and in the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_names_its_rules() {
    let gateway = TestGateway::start().await;
    let tpp = gateway.tpp().await;
    let granted = gateway.granted(&tpp, &[UK, EU]).await;
    let own = tpp.own_token("accounts").await.unwrap();
    let eu = granted.consents.iter().find(|id| id.starts_with("con_eu")).unwrap();
    let uk = granted.consents.iter().find(|id| id.starts_with("con_uk")).unwrap();
    tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    tpp.delete(&own, &format!("/v1/consents/{eu}")).await.unwrap().expect(204).unwrap();

    let partial = tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap().json();
    let sources = partial["sources"].as_array().unwrap();
    let refused = sources.iter().find(|source| source["consent_id"] == eu.as_str()).unwrap();
    assert_eq!(refused["denied_by"], json!(["consent.not-in-force"]));
    let read = sources.iter().find(|source| source["consent_id"] == uk.as_str()).unwrap();
    assert!(read.get("denied_by").is_none(), "{read}");

    let alone = gateway.granted(&tpp, &[EU]).await;
    tpp.delete(&own, &format!("/v1/consents/{}", alone.consents[0])).await.unwrap().expect(204).unwrap();
    let refused = tpp.get(&alone.token, "/v1/accounts").await.unwrap();
    assert_problem(&refused, 403, "consent.not_in_force");
    assert_eq!(rules_of(&refused), ["consent.not-in-force"]);
    assert!(refused.text("/errors/0/detail").contains("consent"), "{}", refused.json());

    let gateway = gateway.restarted().await;
    let exported = Auditor::of(&gateway).told(&["export", "--region", "eu"]);
    let reads = entries(&exported);
    let of_eu = |entry: &&Value| entry["consentry.consent.id"] == eu.as_str();
    let said = reads.iter().filter(of_eu).map(|entry| {
        (entry["event.outcome"].as_str().unwrap(), entry["rule.id"].as_str().unwrap(), &entry["event.reason"])
    });
    assert_eq!(
        said.collect::<Vec<_>>(),
        [
            ("success", "consent.read", &Value::Null),
            ("failure", "consent.not-in-force", &json!("consent.not_in_force"))
        ]
    );
}

/// Rules of the operator's own are taken up while the gateway runs; what cannot be used changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_own_rule_is_taken_up_and_told() {
    let (gateway, rules) = ruled_by("").await;
    let tpp = gateway.tpp().await;
    let granted = gateway.granted(&tpp, &[EU]).await;
    tpp.get(&granted.token, "/v1/transactions").await.unwrap().expect(200).unwrap();
    add_rules(rules.path(), "permit (");
    gateway.sandbox.reload().await;
    tpp.get(&granted.token, "/v1/transactions").await.unwrap().expect(200).unwrap();

    let whole = rules_with(NO_TRANSACTIONS);
    std::fs::copy(whole.path().join("consent.cedar"), rules.path().join("consent.cedar")).unwrap();
    let refused = until("the rule is taken up", async || {
        let answer = tpp.get(&granted.token, "/v1/transactions").await.unwrap();
        (answer.status == 403).then_some(answer)
    })
    .await;
    assert_problem(&refused, 403, "policy.denied");
    assert_eq!(rules_of(&refused), ["operator.no-transactions"]);
    assert_eq!(refused.text("/errors/0/detail"), "This gateway gives no transactions.");
    tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
}

/// What the rules do not let out is not sent: the bank has no such payment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_that_may_not_be_submitted_reaches_no_bank() {
    let (gateway, rules) = ruled_by("").await;
    let tpp = gateway.tpp().await;
    add_rules(rules.path(), &nothing_submitted(&tpp.client_id));
    gateway.sandbox.reload().await;
    let own = tpp.own_token("payments").await.unwrap();
    let order = Tpp::small_payment(UK);
    let made = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
    gateway.person().walk(&made.text("/authorization/href"), consentry::demo::RETURN).await.unwrap();
    let failed =
        gateway.payment_until(&tpp, &own, &made.text("/id"), |payment| payment["state"] == "FAILED").await;
    let failure = &failed["failure"];
    assert_eq!((&failure["source"], &failure["code"]), (&json!("GATEWAY"), &json!("policy.denied")));
    let ledger = gateway.sandbox.ledger(UK);
    assert!(ledger.iter().all(|line| line.asked == 0 && line.executed_at.is_none()), "{failed}");
}

/// A step of consents that the rules forbid, such as while a client is looked into.
fn no_step(step: &str) -> String {
    format!(
        "@id(\"operator.no-{step}\")\n@says(\"Not for now.\")\n\
         forbid (principal, action == Action::\"agree\", resource) when {{ context.step == Step::\"{step}\" }};\n"
    )
}

/// Consents and mandates themselves: who may ask for one, see it and end it, and that it comes into force.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rules_decide_on_consents_themselves() {
    let (gateway, rules) = ruled_by("").await;
    let tpp = gateway.tpp().await;
    let own = tpp.own_token("accounts payments").await.unwrap();
    let consent = tpp.lodge(&own, &[EU]).await.unwrap().remove(0);
    let path = format!("/v1/consents/{consent}");

    for step in ["give", "lodge", "end"] {
        add_rules(rules.path(), &no_step(step));
    }
    gateway.sandbox.reload().await;
    // They have tests, which say otherwise: rules that are wrong by them are not taken up.
    tpp.get(&own, &path).await.unwrap().expect(200).unwrap();
    let tests = rules.path().join("tests.toml");
    let text = std::fs::read_to_string(&tests).unwrap();
    let (head, _) = text.split_once("# Consents and mandates themselves.").unwrap();
    std::fs::write(&tests, head).unwrap();
    gateway.sandbox.reload().await;

    let permissions = ["READ_BALANCES"];
    let body = json!({ "type": "ACCOUNT_INFORMATION", "institution_id": EU, "permissions": permissions });
    for (refused, rule) in [
        (tpp.post(&own, "/v1/consents", &body).await, "operator.no-lodge"),
        (tpp.delete(&own, &path).await, "operator.no-end"),
    ] {
        let refused = refused.unwrap();
        assert_problem(&refused, 403, "policy.denied");
        assert_eq!(rules_of(&refused), [rule]);
    }
    // What the PSU says at the bank does not bring it into force.
    let verifier = consentry::demo::verifier();
    let pushed = tpp.push(std::slice::from_ref(&consent), &verifier).await.unwrap().expect(201).unwrap();
    let person = gateway.person().walk(&tpp.start_of(&pushed).unwrap(), consentry::demo::RETURN).await;
    let visit = person.unwrap();
    assert!(visit.url.query_pairs().any(|(name, _)| name == "error"), "{}", visit.url);
    let stores = gateway.sandbox.gateway().stores();
    let kept = stores.region("eu".parse().unwrap()).unwrap().consent(consent.parse().unwrap()).await;
    assert_ne!(kept.unwrap().unwrap().status, domain::ConsentStatus::Authorized);

    tpp.get(&own, &path).await.unwrap().expect(200).unwrap();
    add_rules(rules.path(), &no_step("see"));
    gateway.sandbox.reload().await;
    let refused = tpp.get(&own, &path).await.unwrap();
    assert_problem(&refused, 403, "policy.denied");
    assert_eq!(rules_of(&refused), ["operator.no-see"]);
}

/// A region that nothing is said of is held by nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_is_not_described_is_not_held() {
    let rules = rules_with("");
    let file = rules.path().join("regions.toml");
    let regions = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, regions.replace("[eu]", "[eea]").replace("[\"eu\"]", "[\"eea\"]")).unwrap();
    let tests = rules.path().join("tests.toml");
    let text = std::fs::read_to_string(&tests).unwrap();
    std::fs::write(&tests, text.replace("\"eu\"", "\"eea\"")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = SandboxOptions {
        policies: Some(rules.path().to_owned()),
        ..SandboxOptions::at(folder.path().join("data"))
    };
    let why = Sandbox::start(options).await.err().map(|error| format!("{error:#}")).unwrap();
    assert!(
        why.contains("personal data of eu may not be kept in eu") && why.contains("policy.unknown-region"),
        "{why}"
    );
}

fn policy(arguments: &[&str], piped: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_consentry"))
        .arg("policy")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(piped.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// `consentry policy check|test|explain|prove`, as an operator uses them on a folder of their own.
#[test]
fn rules_can_be_tried_without_a_gateway() {
    let said =
        |output: &Output| String::from_utf8([output.stdout.clone(), output.stderr.clone()].concat()).unwrap();
    let rules = rules_with(NO_TRANSACTIONS);
    let folder = rules.path().display().to_string();
    let checked = policy(&["check", "--folder", &folder], "");
    assert!(checked.status.success() && said(&checked).contains("tests passed"), "{}", said(&checked));
    let tested = policy(&["test", "--folder", &folder], "");
    assert!(tested.status.success(), "{}", said(&tested));
    assert!(said(&tested).contains("no test names operator.no-transactions"), "{}", said(&tested));

    let request = json!({
        "ask": "read", "client": "tpp-1", "cell": "uk", "class": "TRANSACTIONS", "needs": ["X"],
        "psu_present": true, "beyond_history": false,
        "consent": { "client": "tpp-1", "granted": true, "in_force": false, "service": "accounts",
                     "region": "uk", "permissions": ["X"] },
    });
    let explained = policy(&["explain", "-", "--folder", &folder, "--json"], &request.to_string());
    let told: Value = serde_json::from_slice(&explained.stdout).unwrap();
    let named: Vec<_> =
        told["rules"].as_array().unwrap().iter().map(|rule| rule["rule"].as_str().unwrap()).collect();
    assert_eq!(named, ["consent.not-in-force", "operator.no-transactions"]);
    let wrong = policy(&["explain", "-"], "{\"ask\": \"reed\"}");
    assert!(!wrong.status.success() && said(&wrong).contains("no request"), "{}", said(&wrong));

    add_rules(rules.path(), "permit (principal, action == Action::\"read\", resource);");
    let refused = policy(&["check", "--folder", &folder], "");
    assert!(!refused.status.success() && said(&refused).contains("consent.cedar"), "{}", said(&refused));
    let unsolved = policy(&["prove", "--cvc5", "/nonexistent/cvc5"], "");
    assert!(!unsolved.status.success() && said(&unsolved).contains("solver"), "{}", said(&unsolved));
}
