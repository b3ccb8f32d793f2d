//! Operators: what they see and change, who may, and the examination of a machine.

use consentry::demo::{self, Client};
use crypto::pki::Authority;
use domain::{Clock, SystemClock};
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::served::{Place, Served};
use crate::support::webhooks::until;

/// A gateway with operators.
struct World {
    place: Place,
    served: Served,
    operators: Authority,
}

impl World {
    async fn new() -> Self {
        let place = Place::ready().await;
        let operators = Authority::new("Operators of the test", SystemClock.now()).unwrap();
        let file = place.path("operators.pem");
        std::fs::write(&file, operators.certificate_pem()).unwrap();
        let admin = place.port(3);
        let more = format!(
            "[admin]\nauthorities = ['{}']\nviewers = ['viewer']\noperators = ['operator']\n",
            file.display()
        );
        let text = place
            .configuration(&more)
            .replace("[listen]\n", &format!("[listen]\nadmin = '127.0.0.1:{admin}'\n"));
        place.configure(&text);
        let served = place.serve().await;
        Self { place, served, operators }
    }

    fn named(&self, name: &str) -> Client {
        let issued = self.operators.issue_client_plain(name).unwrap();
        let root = &self.place.banks.access().pki.root;
        Client::new(root, Some((&issued.certificate_pem, &issued.key_pem))).unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.place.port(3))
    }

    async fn get(&self, who: &Client, path: &str) -> (StatusCode, Value) {
        let answer = who.get(&self.url(path), &[]).await.unwrap();
        (answer.status, answer.json())
    }
}

/// Who is not named sees nothing; who is named as a viewer changes nothing; what an operator changes
/// holds at once, and is in the log by the certificate and not by the name.
#[tokio::test(flavor = "multi_thread")]
async fn operators_change_what_viewers_only_see() {
    let world = World::new().await;
    let report = demo::play(&world.place.access(), false).await;
    assert!(report.ok(), "{}", report.json());
    let (viewer, operator, nobody) =
        (world.named("viewer"), world.named("operator"), world.named("somebody"));
    for stranger in [&nobody, &world.place.anybody()] {
        let (status, problem) = world.get(stranger, "/admin/v1/status").await;
        assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &"admin.role".into()));
        assert_eq!(stranger.get(&world.url("/"), &[]).await.unwrap().status, StatusCode::FORBIDDEN);
    }
    // The certificate of a client that orders payments is none of an operator's.
    let fintech = &world.place.access().pki.fintech;
    let root = &world.place.access().pki.root;
    let fintech = Client::new(root, Some((&fintech.certificate_pem, &fintech.key_pem))).unwrap();
    assert_eq!(world.get(&fintech, "/admin/v1/status").await.0, StatusCode::FORBIDDEN);

    let (_, status) = world.get(&viewer, "/admin/v1/status").await;
    let ends: Vec<_> =
        status["certificates"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    let all =
        ["bank", "bank_authorities", "bank_seal", "client_authorities", "operator_authorities", "server"];
    assert!(all.iter().all(|name| ends.contains(name)), "{status}");
    assert!(status["edge"]["connections"]["accepted"].as_u64() > Some(0));
    let (_, banks) = world.get(&viewer, "/admin/v1/banks").await;
    let rhein = banks["data"].as_array().unwrap().iter().find(|bank| bank["id"] == "de-rheinbank").unwrap();
    assert!(rhein["services"].as_array().unwrap().iter().any(|it| it["status"] == "HEALTHY"), "{banks}");
    let (_, clients) = world.get(&viewer, "/admin/v1/clients").await;
    let client = clients["data"][0]["client_id"].as_str().unwrap().to_owned();
    assert_eq!(world.get(&viewer, "/admin/v1/payments").await.1["data"], json!([]));
    assert_eq!(world.get(&viewer, "/admin/v1/deliveries").await.0, StatusCode::OK);

    let suspend = world.url(&format!("/admin/v1/clients/{client}/suspend"));
    let refused = viewer.post_json(&suspend, &[], &json!({})).await.unwrap();
    assert_eq!((refused.status, &refused.json()["code"]), (StatusCode::FORBIDDEN, &"admin.role".into()));
    let done = operator.post_json(&suspend, &[], &json!({})).await.unwrap();
    assert_eq!(done.status, StatusCode::OK, "{}", done.json());
    let (_, clients) = world.get(&viewer, "/admin/v1/clients").await;
    assert_eq!(clients["data"][0]["status"], "suspended");
    let told = world.served.lines("An operator changed a client");
    assert_eq!(told.len(), 1);
    assert!(
        told[0]["certificate"].as_str().unwrap().len() == 43 && !told[0].to_string().contains("operator\""),
        "{told:?}"
    );
    let unknown =
        operator.post_json(&world.url("/admin/v1/clients/x/suspend"), &[], &json!({})).await.unwrap();
    assert_eq!((unknown.status, &unknown.json()["code"]), (StatusCode::CONFLICT, &"admin.state".into()));
    let ended = world.url("/admin/v1/payments/pay_eu_00000000000000000000000000000000/end");
    let ended = operator.post_json(&ended, &[], &json!({ "executed": true })).await.unwrap();
    assert_eq!(ended.status, StatusCode::CONFLICT, "{}", ended.json());

    // A page of somebody else cannot make a browser change anything with its certificate.
    let foreign = [("sec-fetch-site", "cross-site")];
    let forged = operator.post_json(&world.url("/reload"), &foreign, &json!({})).await.unwrap();
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    world.place.configure(
        &std::fs::read_to_string(world.place.file()).unwrap().replace("before = '300ms'", "before = '301ms'"),
    );
    let reload = operator.post_json(&world.url("/admin/v1/reload"), &[], &json!({})).await.unwrap();
    assert_eq!(reload.status, StatusCode::OK);
    until("the reload", async || world.served.lines("The configuration has changed").first().map(drop)).await;
}

/// Nothing that operators see is a person's.
#[tokio::test(flavor = "multi_thread")]
async fn the_console_shows_nobody() {
    let world = World::new().await;
    assert!(demo::play(&world.place.access(), false).await.ok());
    let viewer = world.named("viewer");
    let page = viewer.get(&world.url("/"), &[]).await.unwrap();
    assert_eq!(page.status, StatusCode::OK);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(html.contains("Rheinbank") && html.contains("Certificates, by their end"), "{html}");
    assert!(!html.contains("<button"), "a viewer is shown no deeds");
    let shown = world.named("operator").get(&world.url("/"), &[]).await.unwrap();
    assert!(String::from_utf8(shown.body.to_vec()).unwrap().contains("Suspend"));
    for personal in ["Anna", "DE17999100001000000017", "GB85ALBN99001110000017", "Corner Bookshop"] {
        assert!(!html.contains(personal), "{personal}");
    }
}

fn said(place: &Place) -> (bool, Value) {
    let output = place.run(&["doctor", "--json"]);
    (output.status.success(), serde_json::from_slice(&output.stdout).expect("one JSON object"))
}

fn verdict<'f>(found: &'f Value, what: &str) -> (&'f str, &'f str) {
    let finding = found["findings"].as_array().unwrap().iter().find(|finding| finding["what"] == what);
    let finding = finding.unwrap_or_else(|| panic!("{what}: {found}"));
    (finding["verdict"].as_str().unwrap(), finding["says"].as_str().unwrap())
}

/// Each thing that is wrong is found, with what is wrong about it.
#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_what_is_wrong() {
    let place = Place::ready().await;
    let (well, found) = said(&place);
    assert!(well, "{found}");
    for what in [
        "configuration",
        "certificate: server",
        "certificate: server: names",
        "certificate: bank_seal",
        "certificate: client_authorities",
        "certificate: bank_authorities",
        "database: global",
        "database: keys_uk",
        "bank: gb-albion-bank",
        "disk",
        "name: localhost",
    ] {
        assert_eq!(verdict(&found, what).0, "good", "{what}");
    }
    let pki = place.path("banks/pki");
    let good = place.configuration("");
    // A chain of which something is missing.
    let server = std::fs::read_to_string(pki.join("server.pem")).unwrap();
    let (leaf, stranger) = (place.path("chain.pem"), pki.join("fintech.pem"));
    std::fs::write(&leaf, format!("{server}{}", std::fs::read_to_string(stranger).unwrap())).unwrap();
    place
        .configure(&good.replace(&pki.join("server.pem").display().to_string(), &leaf.display().to_string()));
    let (well, found) = said(&place);
    let (state, says) = verdict(&found, "certificate: server: chain");
    assert!(!well && state == "bad" && says.contains("localhost"), "{found}");
    std::fs::write(&leaf, "none").unwrap();
    assert_eq!(verdict(&said(&place).1, "certificate: server").0, "bad");

    // A certificate of other names, a bank that is away, a Redis that is away, and few files.
    place.configure(&good.replace("issuer = 'https://localhost:", "issuer = 'https://elsewhere.example:"));
    let (well, found) = said(&place);
    let (state, says) = verdict(&found, "certificate: server: names");
    assert!(!well && state == "bad" && says.contains("elsewhere.example"), "{found}");
    assert_eq!(verdict(&found, "name: elsewhere.example").0, "doubtful");

    let profile = place.path("profiles/de-rheinbank.toml");
    let text = std::fs::read_to_string(&profile).unwrap();
    std::fs::write(&profile, text.replace(&format!(":{}/", place.port(6)), ":9/")).unwrap();
    place.configure(&format!("{good}[redis]\nurl = 'redis://127.0.0.1:9'\n"));
    let (well, found) = said(&place);
    assert!(!well, "{found}");
    assert_eq!(verdict(&found, "bank: de-rheinbank").0, "bad");
    assert_eq!(verdict(&found, "redis").0, "doubtful", "nothing depends on it");
    std::fs::write(&profile, text).unwrap();

    place.configure(&good.replace("[listen]\n", "[listen]\nconnections = 100000000\n"));
    assert_eq!(verdict(&said(&place).1, "file limit").0, "doubtful");
    place.configure(&good.replace(&format!("key = '{}/server.key'", pki.display()), "key = '/not/there'"));
    assert_eq!(verdict(&said(&place).1, "configuration: tls").0, "bad");
    let bare = Place::bare().await;
    assert_eq!(verdict(&said(&bare).1, "databases").0, "bad");
}
