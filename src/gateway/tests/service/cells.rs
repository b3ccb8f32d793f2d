//! Two cells: each has a region of its own and nobody else's, and a client sees one gateway.

mod world;

use std::collections::BTreeSet;
use std::sync::Arc;

use consentry::demo::{Answer, RETURN, bearer, verifier};
use consentry::sandbox::{Sandbox, SandboxOptions};
use crypto::pki::Authority;
use domain::{Clock, ShiftedClock, SystemClock};
use secrecy::SecretString;
use serde_json::{Value, json};
use world::{Cells, Site, Unusual, file};

use crate::support::webhooks::until;
use crate::support::{EU, UK, assert_problem, rows, rules_with};

/// An order at the bank of the other region.
fn order() -> Value {
    json!({
        "institution_id": EU,
        "amount": { "amount": "12.34", "currency": "EUR" },
        "creditor": { "name": "Corner Bookshop" },
        "creditor_account": { "iban": "DE42999100002000000018" },
        "redirect_uri": RETURN,
    })
}

fn regions_of(answer: &Answer) -> BTreeSet<String> {
    let ids = rows(answer).into_iter().map(|row| row["id"].as_str().unwrap_or_default().to_owned());
    ids.filter_map(|id| Some(id.split('_').nth(1)?.to_owned())).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_sees_one_gateway_and_data_stays_in_its_cell() {
    let cells = Cells::start().await;
    let tpp = &cells.tpp;
    let (consents, token) = cells.everywhere().await;
    let own = tpp.own_token("accounts payments").await.unwrap();

    let shown = tpp.get(&own, &format!("/v1/consents/{}", consents[1])).await.unwrap().expect(200).unwrap();
    assert_eq!(shown.text("/status"), "AUTHORIZED");
    assert_eq!(shown.header("x-served-region"), Some("eu"));
    let shown = tpp.get(&own, &format!("/v1/consents/{}", consents[0])).await.unwrap().expect(200).unwrap();
    assert_eq!(shown.header("x-served-region"), Some("uk"));

    let accounts = tpp.get(&token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    assert_eq!(regions_of(&accounts), set(&["eu", "uk"]));
    let sources = accounts.json()["sources"].as_array().unwrap().clone();
    assert!(sources.iter().all(|source| source["status"] == "OK") && sources.len() == 2, "{sources:?}");
    let account = rows(&accounts).into_iter().map(|row| row["id"].as_str().unwrap().to_owned());
    let account = account.into_iter().find(|id| id.starts_with("acc_eu")).unwrap();
    let balances =
        tpp.get(&token, &format!("/v1/accounts/{account}/balances")).await.unwrap().expect(200).unwrap();
    assert_eq!(balances.header("x-served-region"), Some("eu"));
    let balances = tpp.get(&token, "/v1/balances").await.unwrap().expect(200).unwrap();
    assert!(balances.json()["summaries"].as_array().unwrap().len() > 1);

    // Pages of one home behind those of the other, each entry once.
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let page =
            tpp.get(&token, &format!("/v1/transactions?limit=50{next}")).await.unwrap().expect(200).unwrap();
        seen.extend(rows(&page).into_iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        match page.json()["page"]["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    let different: BTreeSet<_> = seen.iter().collect();
    assert_eq!(different.len(), seen.len());
    for region in ["txn_uk", "txn_eu"] {
        assert!(seen.iter().any(|id| id.starts_with(region)), "{region}: {seen:?}");
    }
    let (mut lists, mut next) = (BTreeSet::new(), String::new());
    loop {
        let page = tpp.get(&own, &format!("/v1/consents?limit=10{next}")).await.unwrap().expect(200).unwrap();
        lists.extend(regions_of(&page));
        match page.json()["page"]["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(lists, set(&["eu", "uk"]));

    // An order goes to the home of its bank, and so do its approval and its state.
    let order = order();
    let ordered = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
    assert!(ordered.text("/id").starts_with("pay_eu_"));
    let href = ordered.text("/authorization/href");
    assert!(href.starts_with(&cells.eu.as_ref().unwrap().gateway().config().pages_origin), "{href}");
    cells.walk(&href).await;
    let id = ordered.text("/id");
    let paid = crate::support::payment_until(tpp, &own, &id, |payment| {
        ["ACCEPTED", "SETTLED"].iter().any(|state| payment["state"] == *state)
    });
    paid.await;

    // Nothing of one region is on the other cell's disk, sealed or not.
    let disk = |name: &str| {
        let mut found = String::new();
        for entry in std::fs::read_dir(cells.folder.path().join(name)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && !path.is_symlink() {
                let read = std::process::Command::new("cat").arg(path).output().unwrap();
                found.push_str(&String::from_utf8_lossy(&read.stdout));
            }
        }
        found
    };
    let foreign = [("uk", "region-eu.sqlite", &consents[1]), ("eu", "region-uk.sqlite", &consents[0])];
    for (cell, database, consent) in foreign {
        assert!(!cells.folder.path().join(cell).join(database).exists());
        assert!(!disk(cell).contains(consent.as_str()), "{consent} is at {cell}");
    }
    cells.stop().await;
}

/// RFC 8705, RFC 9449: what binds a token is proved again at home.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_another_certificate_is_refused_at_home_too() {
    let cells = Cells::start().await;
    let consent = cells.lodge(EU).await;
    let token = cells.grant(&consent, None).await;
    let token = SecretString::from(token.text("/access_token"));
    let pki = cells.uk.access().pki;
    let other = Authority::new("somebody else's root", SystemClock.now()).unwrap();
    let other = other.issue_client_plain("somebody else").unwrap();
    for (identity, code) in [
        (None, "auth.certificate_missing"),
        (Some((other.certificate_pem.as_str(), other.key_pem.as_str())), "auth.certificate_untrusted"),
    ] {
        let http = consentry::demo::Client::new(&pki.root, identity).unwrap();
        let url = format!("{}/v1/consents/{consent}", cells.tpp.api);
        // Whoever sends a context of their own is not believed.
        let headers = [("authorization", bearer(&token)), ("x-consentry-context", "e30.e30.e30".to_owned())];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_problem(&http.get(&url, &headers).await.unwrap(), 401, code);
    }
    cells.stop().await;
}

/// Forged regions, several homes, and a region that nobody has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_is_never_guessed() {
    let cells = Cells::start().await;
    let tpp = &cells.tpp;
    let own = tpp.own_token("accounts").await.unwrap();
    let (uk, eu) = (cells.lodge(UK).await, cells.lodge(EU).await);
    let forged = uk.replace("con_uk_", "con_eu_");
    assert_problem(
        &tpp.get(&own, &format!("/v1/consents/{forged}")).await.unwrap(),
        404,
        "resource.not_found",
    );
    let nobodys = uk.replace("con_uk_", "con_xx_");
    assert_problem(&tpp.get(&own, &format!("/v1/consents/{nobodys}")).await.unwrap(), 422, "region.not_held");
    let several = cells.push(&[&uk, &eu], &verifier(), None).await;
    assert_eq!((several.status.as_u16(), several.text("/error").as_str()), (400, "invalid_request"));
    let both = json!({ "institution_id": UK, "refund_of": "pay_eu_01a2220987ac795c99a8df167cd7c47e" });
    assert_problem(&tpp.post(&own, "/v1/payments", &both).await.unwrap(), 422, "region.several");
    cells.stop().await;
}

/// Who stands at the door of a cell without being one, or tells of another request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_cells_are_let_in_between_cells() {
    let cells = Cells::start().await;
    let pki = cells.uk.access().pki;
    let (trust, site) = (cells.folder.path().join("cell-uk-trust.pem"), &cells.sites[0]);
    let trust = std::fs::read_to_string(trust).unwrap();
    let url = format!("https://localhost:{}/v1/problems", cells.sites[1].listens);
    let fintech = (pki.fintech.certificate_pem.as_str(), pki.fintech.key_pem.as_str());
    let known = (site.certificate.certificate_pem.as_str(), site.certificate.key_pem.as_str());
    for (identity, headers, why) in [
        (None, vec![], "no cell that is known"),
        (Some(fintech), vec![], "no cell that is known"),
        (Some(known), vec![], "no context"),
        (Some(known), vec![("x-consentry-context", "e30.e30.e30")], "not signed"),
    ] {
        let http = consentry::demo::Client::new(&trust, identity).unwrap();
        let answer = http.get(&url, &headers).await.unwrap();
        assert_problem(&answer, 502, "region.forwarding_refused");
        assert!(answer.text("/detail").contains(why), "{}", answer.text("/detail"));
    }
    cells.stop().await;
}

/// One cell that is down is its regions' alone; an order says that it was not carried out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_that_is_down_takes_nobody_else_along() {
    let mut cells = Cells::start().await;
    let (consents, token) = cells.everywhere().await;
    cells.eu.take().unwrap().stop().await;
    let tpp = &cells.tpp;
    let own = tpp.own_token("accounts payments").await.unwrap();
    let down = tpp.get(&own, &format!("/v1/consents/{}", consents[1])).await.unwrap();
    assert_problem(&down, 503, "region.home_unavailable");
    assert_eq!(down.header("retry-after"), Some("2"));
    tpp.get(&own, &format!("/v1/consents/{}", consents[0])).await.unwrap().expect(200).unwrap();
    let accounts = tpp.get(&token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    assert_eq!(regions_of(&accounts), set(&["uk"]));
    let sources = accounts.json()["sources"].as_array().unwrap().clone();
    let left_out = sources.iter().find(|source| source["region"] == "eu").unwrap();
    assert_eq!(left_out["consent_id"], consents[1].as_str());
    assert_eq!(
        (&left_out["status"], &left_out["code"]),
        (&json!("FAILED"), &json!("region.home_unavailable"))
    );
    let refused = tpp.post(&own, "/v1/payments", &order()).await.unwrap();
    assert_problem(&refused, 503, "region.home_unavailable");
    assert_eq!(refused.text("/outcome"), "not_executed");
    cells.stop().await;
}

/// Whose part is refused is named, wherever it is at home, with the code of the refusal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_out_is_named_also_where_the_request_came_in() {
    let cells = Cells::start().await;
    let (consents, token) = cells.everywhere().await;
    let tpp = &cells.tpp;
    let own = tpp.own_token("accounts").await.unwrap();
    tpp.delete(&own, &format!("/v1/consents/{}", consents[0])).await.unwrap().expect(204).unwrap();
    let accounts = tpp.get(&token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    assert_eq!(regions_of(&accounts), set(&["eu"]));
    let sources = accounts.json()["sources"].as_array().unwrap().clone();
    let ours = sources.iter().find(|source| source["consent_id"] == consents[0].as_str()).unwrap();
    assert_eq!((&ours["region"], &ours["code"]), (&json!("uk"), &json!("consent.not_in_force")));
    tpp.delete(&own, &format!("/v1/consents/{}", consents[1])).await.unwrap().expect(204).unwrap();
    assert_problem(&tpp.get(&token, "/v1/accounts").await.unwrap(), 403, "consent.not_in_force");
    cells.stop().await;
}

/// What policy does not let across: the caller is told where to go, or that it stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_cross_is_refused_or_sent_home() {
    let cells = Cells::with("refuse", |_| {}).await;
    let own = cells.tpp.own_token("accounts").await.unwrap();
    let body =
        json!({ "type": "ACCOUNT_INFORMATION", "institution_id": EU, "permissions": ["READ_BALANCES"] });
    assert_problem(&cells.tpp.post(&own, "/v1/consents", &body).await.unwrap(), 403, "region.denied");
    cells.stop().await;

    let cells = Cells::with("redirect", |_| {}).await;
    let own = cells.tpp.own_token("accounts").await.unwrap();
    let sent = cells.tpp.get(&own, "/v1/consents/con_eu_01a2220987ac795c99a8df167cd7c47e").await.unwrap();
    assert_eq!(sent.status, 307);
    let home = "https://api.other.example/v1/consents/con_eu_01a2220987ac795c99a8df167cd7c47e";
    assert_eq!(sent.header("location"), Some(home));
    cells.stop().await;
}

/// Another certificate than the one that is known is nobody's home, whoever issued it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_with_another_certificate_is_not_talked_to() {
    let ca = Authority::new("cells", SystemClock.now()).unwrap();
    let other = ca.issue_peer(&["localhost"]).unwrap();
    let cells = Cells::with("forward", |sites| sites[1].certificate = other).await;
    let own = cells.tpp.own_token("accounts").await.unwrap();
    let path = "/v1/consents/con_eu_01a2220987ac795c99a8df167cd7c47e";
    assert_problem(&cells.tpp.get(&own, path).await.unwrap(), 503, "region.home_unavailable");
    cells.stop().await;
}

/// A certificate of a cell that has expired opens nothing, although it is the one that is known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_a_cell_that_has_expired_is_of_no_use() {
    let unusual = Unusual { issued_days_ago: 1_000, ..Unusual::default() };
    let cells = Cells::made("forward", unusual, |_| {}).await;
    let own = cells.tpp.own_token("accounts").await.unwrap();
    let path = "/v1/consents/con_eu_01a2220987ac795c99a8df167cd7c47e";
    assert_problem(&cells.tpp.get(&own, path).await.unwrap(), 503, "region.home_unavailable");
    // What is at home where it is asked needs no other cell.
    cells.lodge(UK).await;
    cells.stop().await;
}

/// Events of every home come in pages, each once, and what a home that is down would have told comes later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_those_of_every_home() {
    let mut cells = Cells::start().await;
    let (consents, _) = cells.everywhere().await;
    let own = cells.tpp.own_token("accounts").await.unwrap();
    let page = async |query: &str| {
        let answer = cells.tpp.get(&own, &format!("/v1/events?{query}")).await.unwrap();
        answer.expect(200).unwrap().json()
    };
    let ids = |page: &Value| {
        let events = page["data"].as_array().unwrap().iter();
        events.map(|event| event["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // Two consents, each lodged, sent to its bank and given.
    let whole = until("six events", async || Some(page("").await).filter(|page| ids(page).len() == 6)).await;
    let all = ids(&whole);
    assert_eq!(whole["has_more"], json!(false));
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let next = page(&format!("limit=2&cursor={cursor}")).await;
        let some = ids(&next);
        assert!(some.len() <= 2, "{next}");
        found.extend(some);
        cursor = next["next_cursor"].as_str().unwrap().to_owned();
        if next["has_more"] == json!(false) {
            break;
        }
    }
    assert_eq!(found, all);
    assert!(ids(&page(&format!("cursor={cursor}")).await).is_empty());
    // The stream, which tells of the regions of its cell, goes on where the list was there.
    let stream = format!("{}/v1/events/stream?cursor={cursor}", cells.tpp.api);
    let bearer = bearer(&own);
    let streaming = cells.tpp.http.open(http::Method::GET, &stream, &[("authorization", &bearer)], "").await;
    assert_eq!(streaming.unwrap().status(), 200);
    let forged = cells.tpp.get(&own, &format!("/v1/events?cursor={cursor}~xx:1")).await.unwrap();
    assert_problem(&forged, 400, "request.cursor");

    for consent in &consents {
        cells.tpp.delete(&own, &format!("/v1/consents/{consent}")).await.unwrap().expect(204).unwrap();
    }
    cells.eu.take().unwrap().stop().await;
    let answer = until("the end of ours", async || {
        let answer = cells.tpp.get(&own, &format!("/v1/events?cursor={cursor}")).await.unwrap();
        Some(answer.expect(200).unwrap().json()).filter(|answer| !ids(answer).is_empty())
    });
    let answer = answer.await;
    assert_eq!(ids(&answer).len(), 1, "{answer}");
    assert_eq!(
        answer["sources"],
        json!([{ "region": "eu", "status": "FAILED", "code": "region.home_unavailable" }])
    );
    let place = |cursor: &str| cursor.split_once('~').unwrap().1.to_owned();
    assert_eq!(place(answer["next_cursor"].as_str().unwrap()), place(&cursor), "nothing of it is missed");
    cells.stop().await;
}

/// A cell gets another certificate while both run: the others know it beforehand, and the old one until
/// nobody shows it any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_cells_change_while_they_run() {
    let cells = Cells::start().await;
    let (consents, _) = cells.everywhere().await;
    let own = cells.tpp.own_token("accounts").await.unwrap();
    let mut elsewhere = cells.tpp.clone();
    elsewhere.api = cells.eu.as_ref().unwrap().access().api;
    // Each asks for what is at home at the other.
    let both = async |step: &str| {
        for (tpp, consent) in [(&cells.tpp, &consents[1]), (&elsewhere, &consents[0])] {
            let answer = tpp.get(&own, &format!("/v1/consents/{consent}")).await.unwrap();
            assert_eq!(answer.status, 200, "{step}: {}", answer.json());
        }
    };
    both("as they were").await;

    let at = |name: &str| cells.folder.path().join(name);
    let put = |name: &str, text: &str| std::fs::write(at(name), text).unwrap();
    let text = std::fs::read_to_string(at("cell-uk.toml")).unwrap();
    let knows = |files: &str| text.replace("[\"cell-uk-other.pem\"]", files);
    let next = cells.ca.issue_peer(&["localhost"]).unwrap();
    put("cell-uk-next.pem", &next.certificate_pem);
    put("cell-uk.toml", &knows("[\"cell-uk-other.pem\", \"cell-uk-next.pem\"]"));
    cells.uk.reload().await;
    both("the next one is known").await;

    put("cell-eu-cell.pem", &next.certificate_pem);
    put("cell-eu-cell.key", &next.key_pem);
    cells.eu.as_ref().unwrap().reload().await;
    both("the next one is shown").await;
    put("cell-uk.toml", &knows("[\"cell-uk-next.pem\"]"));
    cells.uk.reload().await;
    both("the old one is forgotten").await;

    // What cannot be used, and what needs a restart, changes nothing.
    for spoilt in [
        "name = ".to_owned(),
        text.replace("cell-uk-trust.pem", "cell-uk-cell.key"),
        text.replace("name = \"cell-uk\"", "name = \"uk\""),
    ] {
        put("cell-uk.toml", &spoilt);
        cells.uk.reload().await;
        both("nothing has changed").await;
    }
    put("cell-uk.toml", &text);
    cells.uk.reload().await;
    let refused = cells.tpp.get(&own, &format!("/v1/consents/{}", consents[1])).await.unwrap();
    assert_problem(&refused, 503, "region.home_unavailable");
    cells.stop().await;
}

/// Clocks of cells may differ by some seconds, and the caller is told to come again where they differ by more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_of_cells_may_differ_a_little() {
    for seconds in [-1, 1] {
        let clock = Arc::new(ShiftedClock::default());
        let unusual = Unusual { eu_clock: Some(Arc::clone(&clock)), ..Unusual::default() };
        let cells = Cells::made("forward", unusual, |_| {}).await;
        let consent = cells.lodge(EU).await;
        let own = cells.tpp.own_token("accounts").await.unwrap();
        let path = format!("/v1/consents/{consent}");
        clock.advance(4 * seconds);
        cells.tpp.get(&own, &path).await.unwrap().expect(200).unwrap();
        clock.advance(60 * seconds);
        let refused = cells.tpp.get(&own, &path).await.unwrap();
        assert_problem(&refused, 503, "region.home_unavailable");
        assert!(refused.text("/detail").contains("home"), "{}", refused.json());
        cells.lodge(UK).await;
        cells.stop().await;
    }
}

/// Each of two cells takes the other for the home of a region: a request goes one way, and not back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_does_not_go_round() {
    let rules = rules_with("");
    let file = rules.path().join("regions.toml");
    let regions = std::fs::read_to_string(&file).unwrap();
    let third =
        "[pl]\njurisdiction = \"Poland\"\nbasis = \"A test\"\ncopies = []\nstreams = [\"uk\", \"eu\"]\n";
    std::fs::write(&file, format!("{regions}\n{third}")).unwrap();
    let unusual = Unusual { rules: Some(rules.path()), ..Unusual::default() };
    let cells = Cells::made("forward", unusual, |_| {}).await;
    let own = cells.tpp.own_token("accounts").await.unwrap();
    let path = "/v1/consents/con_pl_01a2220987ac795c99a8df167cd7c47e";
    let refused = cells.tpp.get(&own, path).await.unwrap();
    assert_problem(&refused, 422, "region.not_held");
    // The other cell said so.
    assert_eq!(refused.header("x-served-region"), Some("pl"));
    cells.stop().await;
}

/// Requests pass through the regions that their own one names, and through no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_rules_keep_at_home_is_refused_with_the_rule() {
    let rules = rules_with("");
    let file = rules.path().join("regions.toml");
    let regions = std::fs::read_to_string(&file).unwrap();
    let unusual = Unusual { rules: Some(rules.path()), ..Unusual::default() };
    let cells = Cells::made("forward", unusual, |_| {}).await;
    let (consents, token) = cells.everywhere().await;
    std::fs::write(&file, regions.replace("streams = [\"uk\"]", "streams = []")).unwrap();
    cells.uk.reload().await;

    let own = cells.tpp.own_token("accounts payments").await.unwrap();
    let refused = cells.tpp.get(&own, &format!("/v1/consents/{}", consents[1])).await.unwrap();
    assert_problem(&refused, 403, "region.denied");
    assert_eq!(refused.text("/errors/0/code"), "residency.stream");
    let refused = cells.tpp.post(&own, "/v1/payments", &order()).await.unwrap();
    assert_problem(&refused, 403, "region.denied");
    assert_eq!(refused.text("/outcome"), "not_executed");
    let accounts = cells.tpp.get(&token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    assert_eq!(regions_of(&accounts), set(&["uk"]));
    let sources = accounts.json()["sources"].as_array().unwrap().clone();
    let left_out = sources.iter().find(|source| source["region"] == "eu").unwrap();
    assert_eq!(left_out["status"], "RESIDENCY_DENIED");
    assert_eq!(left_out["denied_by"], json!(["residency.stream"]));
    let listed = cells.tpp.get(&own, "/v1/consents").await.unwrap().expect(200).unwrap();
    assert_eq!(
        (regions_of(&listed), listed.json()["page"]["has_more"].clone()),
        (set(&["uk"]), json!(false))
    );
    // The cell that did not pass them on has it in its log: a consent, an order, a part of a read.
    let log = cells.uk.gateway().stores().region("uk".parse().unwrap()).unwrap();
    let log = log.audit_entries(0, 1_000).await.unwrap();
    let entries = log.iter().map(|logged| serde_json::from_str::<Value>(&logged.entry).unwrap());
    let not_passed: Vec<_> = entries.filter(|entry| entry["event.action"] == "request.forwarded").collect();
    assert_eq!(not_passed.len(), 3, "{not_passed:?}");
    for entry in &not_passed {
        assert_eq!(
            (&entry["event.outcome"], &entry["rule.id"], &entry["consentry.region"]),
            (&json!("failure"), &json!("residency.stream"), &json!("eu"))
        );
        assert!(entry["http.request.id"].is_string() && entry["tls.client.hash.sha256"].is_string());
        assert!(entry.get("organization.id").is_none(), "{entry}");
    }
    cells.stop().await;
}

/// A cell that stands abroad does not hold what may not leave.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cell_that_stands_abroad_does_not_start() {
    let ca = Authority::new("cells", SystemClock.now()).unwrap();
    let site = |name, region| Site {
        name,
        region,
        listens: 0,
        across: "forward",
        taken_for: None,
        certificate: ca.issue_peer(&["localhost"]).unwrap(),
    };
    let folder = tempfile::tempdir().unwrap();
    let (us, other) = (site("cell-uk", "uk"), site("cell-eu", "eu"));
    let path = file(folder.path(), &us, &other, ca.certificate_pem(), "https://pages.other.example");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("listen =", "stands_in = \"eu\"\nlisten =")).unwrap();
    let options = SandboxOptions { cells: Some(path), ..SandboxOptions::at(folder.path().join("data")) };
    let why = Sandbox::start(options).await.err().map(|error| format!("{error:#}")).unwrap();
    assert!(why.contains("uk may not be kept in eu") && why.contains("residency.copy"), "{why}");
}

/// A figure of this process.
fn figure(name: &str) -> u64 {
    let page = telemetry::text_of(&telemetry::registered(Vec::new));
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("consentry_{name} ")));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name}: {page}"))
}

/// Reads are asked a second time of another deployment, and what it answers reaches nobody; what moves
/// anything is asked once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_are_asked_of_the_shadow_and_nothing_else_is() {
    let cells = Cells::start().await;
    let tpp = &cells.tpp;
    let consent = cells.lodge(UK).await;
    let own = tpp.own_token("accounts").await.unwrap();
    let certificate = cells.ca.issue_peer(&["localhost"]).unwrap();
    let folder = cells.folder.path();
    let listens = consentry::demo::free_ports().unwrap();
    for (name, text) in [("copy.pem", &certificate.certificate_pem), ("copy.key", &certificate.key_pem)] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let copy = format!(
        "name = \"copy\"\nregions = [\"uk\"]\nlisten = \"127.0.0.1:{listens}\"\ncertificate = \"copy.pem\"\n\
         key = \"copy.key\"\ntrust = \"cell-uk-trust.pem\"\n\
         [[original]]\nname = \"cell-uk\"\ncertificates = [\"cell-uk-cell.pem\"]\n"
    );
    std::fs::write(folder.join("copy.toml"), copy).unwrap();
    let shadow = world::beside(&cells, folder.join("copy.toml")).await;
    let file = folder.join("cell-uk.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let shadowed = format!(
        "{text}\n[shadow]\nname = \"copy\"\naddress = \"https://localhost:{listens}\"\n\
         certificates = [\"copy.pem\"]\nper_mille = 1000\n"
    );
    std::fs::write(&file, shadowed).unwrap();
    cells.uk.reload().await;

    let (asked, differing) = (figure("shadow_requests_total"), figure("shadow_differences_total"));
    let same = tpp.get(&own, "/v1/problems").await.unwrap().expect(200).unwrap();
    assert!(!same.json().is_null());
    until("the shadow is asked", async || (figure("shadow_requests_total") == asked + 1).then_some(())).await;
    assert_eq!(figure("shadow_differences_total"), differing, "both answer alike");
    // It has no such consent, and nobody is told.
    let ours = tpp.get(&own, &format!("/v1/consents/{consent}")).await.unwrap().expect(200).unwrap();
    assert_eq!(ours.text("/id"), consent);
    until("the difference is noticed", async || {
        (figure("shadow_differences_total") == differing + 1).then_some(())
    })
    .await;
    // What changes something is not copied: the next copy is that of the read behind it.
    tpp.delete(&own, &format!("/v1/consents/{consent}")).await.unwrap().expect(204).unwrap();
    cells.lodge(UK).await;
    tpp.get(&own, "/v1/problems").await.unwrap().expect(200).unwrap();
    until("the shadow is asked again", async || (figure("shadow_requests_total") == asked + 3).then_some(()))
        .await;
    shadow.stop().await;
    // A shadow that is away changes nothing.
    tpp.get(&own, "/v1/problems").await.unwrap().expect(200).unwrap();
    cells.stop().await;
}

/// Whoever is a shadow's original reads there and moves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_original_only_reads() {
    let cells = Cells::start().await;
    let tpp = &cells.tpp;
    let consent = cells.lodge(EU).await;
    let own = tpp.own_token("accounts").await.unwrap();
    let file = cells.folder.path().join("cell-eu.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (head, _) = text.split_once("[[neighbour]]").unwrap();
    let original = "[[original]]\nname = \"cell-uk\"\ncertificates = [\"cell-eu-other.pem\"]\n";
    std::fs::write(&file, format!("{head}{original}")).unwrap();
    cells.eu.as_ref().unwrap().reload().await;
    tpp.get(&own, &format!("/v1/consents/{consent}")).await.unwrap().expect(200).unwrap();
    let refused = tpp.delete(&own, &format!("/v1/consents/{consent}")).await.unwrap();
    assert_problem(&refused, 502, "region.forwarding_refused");
    let shown = tpp.get(&own, &format!("/v1/consents/{consent}")).await.unwrap().expect(200).unwrap();
    assert_ne!(shown.text("/status"), "REVOKED");
    cells.stop().await;
}
