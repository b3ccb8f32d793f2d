//! What a bank takes through us: kept nowhere here, and given by a probe where the
//! bank is a sandbox.

use std::path::Path;
use std::process::Command;

use crate::support::log::Log;
use crate::support::{EMBEDDED, TestGateway, Wanted};
use consentry::demo::{RETURN, verifier};
use serde_json::{Value, json};

/// Every file below a folder.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(std::fs::read(&path).unwrap_or_default());
        }
    }
    found
}

/// Invariant 7: at the most talkative level, no password, code or telephone number
/// reaches the log; and no file has a password or code while the PSU is asked for the
/// next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_and_codes_are_neither_logged_nor_kept() {
    let log = Log::of_everything();
    let gw = TestGateway::wanted(Wanted { auto_approve: false, ..Wanted::default() }).await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let secrets = ["Dr4gonfly-Umbrella", "918273645"];
    let walk = async |password: &str, code: &str| {
        let consents = tpp.lodge(&own, &[EMBEDDED]).await.unwrap();
        let pushed = tpp.push(&consents, &verifier()).await.unwrap().expect(201).unwrap();
        let mut person = gw.person();
        password.clone_into(&mut person.password);
        code.clone_into(&mut person.code);
        person.walk(&tpp.start_of(&pushed).unwrap(), RETURN).await.unwrap();
        consents[0].clone()
    };
    // Three mistakes each, so that every way of a secret was gone.
    for (password, code) in [(secrets[0], "123456"), ("sandbox", secrets[1])] {
        let consent = walk(password, code).await;
        let shown = tpp.get(&own, &format!("/v1/consents/{consent}")).await.unwrap().json();
        assert_eq!(shown["status"], "REJECTED");
    }
    let log = log.text();
    assert!(log.contains("/authorisations") || log.contains("Model bank"), "the log says something");
    for secret in secrets.iter().chain(&["+43 *** *** 17"]) {
        assert!(!log.contains(secret), "{secret}");
    }
    let kept = files(gw.folder());
    assert!(kept.len() > 5);
    for secret in secrets {
        let found = kept.iter().any(|file| file.windows(secret.len()).any(|at| at == secret.as_bytes()));
        assert!(!found, "{secret}");
    }
    gw.sandbox.stop().await;
}

/// `banks probe` gives a sandbox what its profile publishes, and says what is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_gets_through_an_embedded_bank_with_what_its_profile_publishes() {
    let gw = TestGateway::start().await;
    let bank = gw.sandbox.gateway().registry().profile(&EMBEDDED.parse().unwrap()).unwrap();
    let url = bank.accounts_api.as_ref().unwrap().url.clone();
    let probed = async |users: &str| -> Value {
        let file = gw.folder().join("bank.toml");
        let text = format!(
            "group = \"G\"\n[[brand]]\nid = \"{EMBEDDED}\"\nname = \"D\"\nregion = \"eu\"\n\
             dialect = \"berlin-group\"\nenvironment = \"sandbox\"\nclient_auth = \"certificate\"\n\
             sca = [\"embedded\"]\npsu_id_required = true\ncapabilities = [\"accounts\"]\n\
             signing = {{ method = \"message-signature\" }}\n{users}\n\
             [brand.accounts_api]\nuse = \"1.3\"\n\"1.3\" = \"{url}\"\n"
        );
        std::fs::write(&file, text).unwrap();
        let data = gw.folder().join("data");
        let run = move || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
            command.args(["banks", "probe", "--json", "--profile"]).arg(file);
            command.arg("--data-dir").arg(data).output().unwrap()
        };
        let output = tokio::task::spawn_blocking(run).await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"))
    };
    let report =
        probed("sandbox_users = [{ username = \"anna\", password = \"sandbox\", code = \"123456\" }]").await;
    assert_eq!(report["authorised"], true, "{report}");
    let steps: Vec<_> = report["steps"].as_array().unwrap().iter().map(|step| step["step"].clone()).collect();
    assert_eq!(json!(steps), json!(["consent", "password", "method", "code", "consent status", "accounts"]));
    for (users, at, why) in [
        ("sandbox_users = [{ username = \"anna\", password = \"sandbox\" }]", "code", "needs-a-person"),
        ("sandbox_users = [{ username = \"anna\", password = \"x\" }]", "password", "psu-auth-failed"),
    ] {
        let report = probed(users).await;
        assert_eq!((&report["refused_at"], &report["refused_because"]), (&json!(at), &json!(why)));
    }
    gw.sandbox.stop().await;
}
