//! A gateway as an operator runs it: `serve`, `worker`, `migrate`, `keys init`, `config`.

use std::sync::{Arc, Mutex};

use consentry::demo;
use crypto::pki::Authority;
use domain::{Clock, SystemClock};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::served::{Place, holds};
use crate::support::webhooks::until;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// From an empty folder to a payment that settles, at banks that know us by our certificate alone: what a
/// sandbox does, a gateway does that was configured. Its log is JSON, and says nothing of anybody.
#[tokio::test(flavor = "multi_thread")]
async fn the_whole_journey_through_a_configured_gateway() {
    let place = Place::ready().await;
    let served = place.serve().await;
    let report = demo::play(&place.access(), false).await;
    assert!(report.ok(), "{}\n{}", report.json(), served.logged());
    let report = report.json();
    assert_eq!(report["payment"]["state"], "SETTLED");
    assert_eq!(report["webhook"]["verified"], true);

    served.signal("TERM");
    assert!(served.ended().await, "{}", served.logged());
    let log = served.logged();
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{log}");
    assert_eq!(served.lines("Consentry has stopped").len(), 1);
    for personal in ["Anna", "DE17999100001000000017", "Corner Bookshop", "Bearer "] {
        assert!(!log.contains(personal), "{personal}");
    }
}

/// What is missing is said, with the command that makes it; nothing is made by the way.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_keys_or_schema_says_what_makes_them() {
    let place = Place::bare().await;
    let without_keys = place.run(&["serve"]);
    assert!(!without_keys.status.success());
    assert!(text(&without_keys.stderr).contains("consentry keys init"), "{}", text(&without_keys.stderr));
    assert!(!place.path("data/keys").exists());

    assert!(place.run(&["keys", "init"]).status.success());
    let key = std::fs::read(place.path("data/keys/ids.hex")).unwrap();
    let audit = std::fs::read_to_string(place.path("data/audit/eu.key")).unwrap();
    assert!(audit.starts_with(&format!("localhost:{}/audit/eu+", place.port(0))), "{audit}");
    let without_schema = place.run(&["serve"]);
    assert!(!without_schema.status.success());
    assert!(text(&without_schema.stderr).contains("consentry migrate"), "{}", text(&without_schema.stderr));

    let migrated = place.run(&["migrate"]);
    assert!(migrated.status.success(), "{}", text(&migrated.stderr));
    assert_eq!(text(&migrated.stdout).lines().count(), 5, "{}", text(&migrated.stdout));
    let again = text(&place.run(&["migrate"]).stdout);
    assert!(again.lines().all(|line| line.ends_with(" 0 migrations made")), "{again}");
    assert!(place.run(&["keys", "init"]).status.success());
    assert_eq!(std::fs::read(place.path("data/keys/ids.hex")).unwrap(), key, "what is there stays");
    drop(place.serve().await);
}

/// A release is rolled out with its migration: who is there before it waits, and does not end.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_may_wait_for_its_schema() {
    let place = Place::bare().await;
    assert!(place.run(&["keys", "init"]).status.success());
    place.configure(&place.configuration("[database]\npatience = '60s'\n"));
    let waiting = place.begin("serve", &[]);
    until("it waits", async || waiting.lines("Waits for the databases").first().map(drop)).await;
    assert_eq!(waiting.asked("/livez").unwrap().0, 200);
    assert_eq!(waiting.asked("/readyz").unwrap().0, 503);
    assert_eq!(waiting.asked("/startupz").unwrap().0, 503);
    assert!(place.run(&["migrate"]).status.success());
    until("it is ready", async || waiting.asked("/readyz").filter(|(status, _)| *status == 200)).await;
}

/// Webhooks leave through a proxy, which is told no names.
#[tokio::test(flavor = "multi_thread")]
async fn webhooks_leave_through_the_proxy_that_is_named() {
    let place = Place::ready().await;
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = proxy.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = proxy.accept().await {
            let heard = Arc::clone(&heard);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let target = head.split(' ').nth(1).unwrap().to_owned();
                heard.lock().unwrap().push(head);
                let mut there = tokio::net::TcpStream::connect(&target).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
            });
        }
    });
    let text =
        place.configuration("").replace("[webhooks]\n", &format!("[webhooks]\nproxy = 'http://{at}'\n"));
    place.configure(&text);
    let served = place.serve().await;
    let report = demo::play(&place.access(), false).await;
    assert!(report.ok(), "{}\n{}", report.json(), served.logged());
    assert_eq!(report.json()["webhook"]["verified"], true);
    let asked = asked.lock().unwrap();
    assert!(!asked.is_empty());
    let of_addresses =
        |head: &String| head.starts_with("CONNECT 127.0.0.1:") || head.starts_with("CONNECT [::1]:");
    assert!(asked.iter().all(of_addresses), "{asked:?}");
}

/// `/readyz` tells a balancer when to come and when to go; a stop that is announced breaks nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_announced_before_it_happens() {
    let place = Place::ready().await;
    place.configure(&place.configuration("").replace("before = '300ms'", "before = '60s'"));
    let served = place.serve().await;
    assert_eq!(served.asked("/livez").unwrap().0, 200);
    assert_eq!(served.asked("/startupz").unwrap().0, 200);
    let pages = format!("https://localhost:{}/.well-known/openid-configuration", place.port(0));
    let before = place.anybody().get(&pages, &[]).await.unwrap();
    assert_eq!((before.status.as_u16(), before.header("connection")), (200, None));

    served.signal("TERM");
    let ready = until("it is not ready any more", async || {
        served.asked("/readyz").filter(|(status, _)| *status == 503)
    })
    .await;
    let said: Value = serde_json::from_str(&ready.1).unwrap();
    assert_eq!(said["reasons"], serde_json::json!(["leaving"]));
    assert_eq!(served.asked("/livez").unwrap().0, 200, "it lives all the same");
    // Who comes all the same is answered, and told not to come again on this connection.
    let meanwhile = place.anybody().get(&pages, &[]).await.unwrap();
    assert_eq!((meanwhile.status.as_u16(), meanwhile.header("connection")), (200, Some("close")));
    // Whoever says it twice does not want to wait for the minute.
    served.signal("TERM");
    assert!(served.ended().await);
}

/// SIGHUP reads all of it anew and says what has changed; what cannot be used changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_says_what_has_changed() {
    let place = Place::ready().await;
    let served = place.serve().await;
    let changed = |key: &str| -> Vec<Value> {
        served
            .lines("The configuration has changed")
            .into_iter()
            .filter(|line| line["setting"] == key)
            .collect()
    };
    place
        .configure(&place.configuration("[log]\nlevel = 'info,consentry=debug'\n[reads]\ndeadline = '7s'\n"));
    served.signal("HUP");
    until("the change is told", async || changed("reads.deadline").first().map(drop)).await;
    let deadline = changed("reads.deadline").remove(0);
    assert_eq!((&deadline["from"], &deadline["to"]), (&"\"20s\"".into(), &"\"7s\"".into()));
    assert_eq!(deadline["when"], "after a restart");
    assert_eq!(changed("log.level")[0]["when"], "now");

    place.configure("[reads]\ndeadline = 'soon'\n");
    served.signal("HUP");
    until("the mistake is told", async || {
        served.lines("The configuration stays as it was").first().map(drop)
    })
    .await;
    assert_eq!(served.asked("/readyz").unwrap().0, 200);
}

/// A worker does what nobody asks for, and answers nobody.
#[tokio::test(flavor = "multi_thread")]
async fn work_can_be_done_elsewhere() {
    let place = Place::ready().await;
    place.configure(&place.configuration("[work]\nhere = false\n"));
    let gateway = place.serve().await;
    let at = format!("127.0.0.1:{}", place.port(3));
    let worker = place.start("worker", &[("CONSENTRY_LISTEN_OPERATIONS", &at)]).await;
    // Payments settle and webhooks arrive only if somebody works.
    let report = demo::play(&place.access(), false).await;
    assert!(report.ok(), "{}\n{}\n{}", report.json(), gateway.logged(), worker.logged());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_checked_as_a_start_would_read_it() {
    let place = Place::ready().await;
    let good = place.run(&["config", "check"]);
    assert!(good.status.success(), "{}{}", text(&good.stdout), text(&good.stderr));
    let pki = place.path("banks/pki").display().to_string();
    for (from, to, told) in [
        ("[clients]\n", "[clients]\nnonsense = 1\n", "unknown field `nonsense`"),
        ("issuer = 'https://", "issuer = 'http://", "public.issuer is no origin"),
        (
            "key = '{pki}/server.key'",
            "key = '{pki}/gateway-qwac.key'",
            "gateway-qwac.key cannot be used: the key is not the one",
        ),
        ("seal_key = '{pki}/gateway-qseal.key'", "seal_key = '{pki}/none.key'", "none.key cannot be read"),
        ("[regions]\nheld = ['eu', 'uk']", "[regions]\nheld = ['eu', 'pl']", "node.data_dir: "),
        ("[clients]\n", "[policies]\nlimits = '/not/there'\n[clients]\n", "policies.limits: /not/there"),
        ("embedded = false", "embedded = false\nplugins = '/not/there'", "banks.plugins: "),
        ("[clients]\n", "[filter]\ncore_rule_set = '/not/there'\n[clients]\n", "filter: "),
    ] {
        let (from, to) = (from.replace("{pki}", &pki), to.replace("{pki}", &pki));
        let text_of = place.configuration("");
        assert!(text_of.contains(&from), "{from}");
        place.configure(&text_of.replace(&from, &to));
        let checked = place.run(&["config", "check"]);
        let said = format!("{}{}", text(&checked.stdout), text(&checked.stderr));
        assert!(!checked.status.success() && said.contains(told), "{told}: {said}");
    }
}

/// Which regions there are says the file of a cell, where there is one: to a check as to a start.
#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_a_cell_says_which_keys_are_wanted() {
    let place = Place::bare().await;
    let cells = Authority::new("cells", SystemClock.now()).unwrap();
    let ours = cells.issue_peer(&["localhost"]).unwrap();
    let put = |name: &str, text: &str| std::fs::write(place.path(name), text).unwrap();
    put("cell.pem", &ours.certificate_pem);
    put("cell.key", &ours.key_pem);
    put("trust.pem", cells.certificate_pem());
    put(
        "cell.toml",
        &format!(
            "name = 'cell-uk'\nregions = ['uk']\nlisten = '127.0.0.1:{}'\ncertificate = 'cell.pem'\n\
             key = 'cell.key'\ntrust = 'trust.pem'\n",
            place.port(3)
        ),
    );
    let file = format!("[regions]\ncell_file = '{}'\n", place.path("cell.toml").display());
    // Without a file of a cell it would be the region eu.
    place.configure(&place.configuration("").replace("[regions]\nheld = ['eu', 'uk']\n", &file));
    for command in [&["keys", "init"][..], &["migrate"], &["config", "check"]] {
        let done = place.run(command);
        assert!(done.status.success(), "{command:?}: {}{}", text(&done.stdout), text(&done.stderr));
    }
    assert!(place.path("data/keys/region-uk.json").exists());
    assert!(!place.path("data/keys/region-eu.json").exists());
    let found = text(&place.run(&["doctor", "--json"]).stdout);
    for name in ["cell", "cell_authorities"] {
        assert!(found.contains(&format!(r#"{{"what":"certificate: {name}","verdict":"good""#)), "{found}");
    }
    drop(place.serve().await);
}

/// What holds is shown, and no address that may hold a secret.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_stay_in_their_files() {
    let place = Place::bare().await;
    let secret = "postgres://consentry:correct-horse@db.example/consentry";
    std::fs::write(place.path("url"), secret).unwrap();
    place.configure(
        &place.configuration(&format!("[database]\nurl_file = '{}'\n", place.path("url").display())),
    );
    let shown = place.command(&["config", "show"]).env_remove("CONSENTRY_DATABASE_URL").output().unwrap();
    assert!(text(&shown.stdout).contains("database.url_file"), "{}", text(&shown.stdout));
    assert!(!text(&shown.stdout).contains("correct-horse"));
    let of_environment =
        place.command(&["config", "show"]).env("CONSENTRY_REDIS_URL", "redis://:battery@r").output().unwrap();
    assert!(text(&of_environment.stdout).contains("redis.url = ***"), "{}", text(&of_environment.stdout));
    // With keys, so that it comes as far as the database.
    assert!(place.run(&["keys", "init"]).status.success());
    let said = place.command(&["serve"]).env_remove("CONSENTRY_DATABASE_URL").output().unwrap();
    assert!(!said.status.success());
    assert!(text(&said.stderr).contains("database"), "{}", text(&said.stderr));
    assert!(!text(&said.stderr).contains("correct-horse"), "{}", text(&said.stderr));
    assert!(!holds(&place.path("data"), "correct-horse"), "what it writes tells nothing of it");
    place.configure(&place.configuration(&format!("[database]\nurl = '{secret}'\n")));
    let refused = place.run(&["config", "check"]);
    assert!(!refused.status.success() && !text(&refused.stderr).contains("correct-horse"));
}
