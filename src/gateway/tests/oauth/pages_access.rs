//! The dashboard: what was given in this browser, what was read, and the one
//! click that takes it back.

use consentry::demo::{Answer, Browser, RETURN, verifier};
use http::Method;
use serde_json::json;
use url::Url;

use crate::pages_person::{at, by_hand, form_token, html, journey, look, opened, send};
use crate::support::consents::event;
use crate::support::{EU, TestGateway, UK, parameter};

async fn dashboard(gw: &TestGateway, person: &mut Browser) -> String {
    let shown = look(person, &at(gw, "/access")).await;
    assert_eq!(shown.status, 200);
    html(&shown)
}

async fn withdraw(gw: &TestGateway, person: &mut Browser, token: &str, consent: &str) -> Answer {
    send(person, &at(gw, "/access/withdraw"), &[("form_token", token), ("consent", consent)]).await
}

/// Who has access, to what, since when, until when, and what was read; each
/// can be withdrawn in one step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_click_withdraws_what_was_given_in_this_browser() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let receiver = gw.listening(&tpp).await;
    let mut person = gw.person();
    assert!(dashboard(&gw, &mut person).await.contains("Nothing was allowed in this browser"));
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, &[UK, EU]).await.unwrap();
    let verifier = verifier();
    let pushed = tpp.push(&consents, &verifier).await.unwrap().expect(201).unwrap();
    let visit = person.walk(&tpp.start_of(&pushed).unwrap(), RETURN).await.unwrap();
    let redeemed = tpp.redeem(&parameter(&visit, "code"), &verifier).await.unwrap().expect(200).unwrap();
    let token = redeemed.text("/access_token").into();
    let page = dashboard(&gw, &mut person).await;
    assert_eq!(page.matches("Nothing so far").count(), 2);
    tpp.get(&token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    let bearer = consentry::demo::bearer(&token);
    let unattended = format!("{}/v1/balances", tpp.api);
    tpp.http.get(&unattended, &[("authorization", &bearer)]).await.unwrap().expect(200).unwrap();

    let page = dashboard(&gw, &mut person).await;
    let shown = gw.shown(&tpp, &consents[0]).await;
    let until: domain::Date = shown["access"]["valid_until"].as_str().unwrap().parse().unwrap();
    let now = domain::Clock::now(&*gw.clock);
    for words in [
        "Demo Fintech at Albion Bank",
        "Demo Fintech at Rheinbank",
        "In force",
        "Transactions in full",
        &now.strftime("<dt>Since</dt><dd>%-d %B %Y</dd>").to_string(),
        &until.strftime("<dt>Until</dt><dd>%-d %B %Y</dd>").to_string(),
        "Accounts: 1 × with you, 0 × without you, the last time on ",
        "Balances: 0 × with you, 1 × without you",
        "Withdraw access for Demo Fintech",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let done = withdraw(&gw, &mut person, &form_token(&page), &consents[0]).await;
    assert_eq!(done.status, 303);
    let after = html(&look(&mut person, &at(&gw, done.header("location").unwrap())).await);
    assert!(after.contains("Access was withdrawn: Demo Fintech at Albion Bank"));
    // Not until the day that was once agreed, but until today.
    assert_eq!(after.matches(&now.strftime("<dt>Until</dt><dd>%-d %B %Y</dd>").to_string()).count(), 1);
    assert!(after.contains("Withdrawn by you") && after.matches("action=\"/access/withdraw\"").count() == 1);
    assert_eq!(gw.shown(&tpp, &consents[0]).await["status"], "REVOKED_BY_PSU");
    assert_eq!(gw.shown(&tpp, &consents[1]).await["status"], "AUTHORIZED");
    event(&receiver, &consents[0], "consent.revoked").await;
    // The other bank's data still comes, this one's does not.
    let read = tpp.get(&token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    let banks: Vec<_> =
        read.json()["data"].as_array().unwrap().iter().map(|one| one["institution_id"].clone()).collect();
    assert!(!banks.is_empty() && banks.iter().all(|bank| bank == EU), "{banks:?}");
    withdraw(&gw, &mut person, &form_token(&after), &consents[1]).await;
    let refused = tpp.get(&token, "/v1/accounts").await.unwrap();
    let why: Vec<_> = (0..2).map(|at| refused.text(&format!("/errors/{at}/code"))).collect();
    assert!(!refused.status.is_success() && why == ["consent-revoked_by_psu"; 2], "{why:?}");
    // Twice is once.
    assert_eq!(withdraw(&gw, &mut person, &form_token(&after), &consents[1]).await.status, 303);
    gw.sandbox.stop().await;
}

/// RFC 9700 §4.7: only this browser's own form withdraws, only its own
/// consents; another browser sees none of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_browser_sees_nothing_and_withdraws_nothing() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let (mut anna, mut ben) = (gw.person(), gw.person());
    let (annas, start) = journey(&tpp, &[UK]).await;
    anna.walk(&start, RETURN).await.unwrap();
    let (bens, start) = journey(&tpp, &[UK]).await;
    ben.walk(&start, RETURN).await.unwrap();
    let (annas_page, bens_page) = (dashboard(&gw, &mut anna).await, dashboard(&gw, &mut ben).await);
    assert!(annas_page.contains(&annas[0]) && !annas_page.contains(&bens[0]));
    assert!(bens_page.contains(&bens[0]) && !bens_page.contains(&annas[0]));
    assert!(!dashboard(&gw, &mut gw.person()).await.contains("con_"));
    let (annas_token, bens_token) = (form_token(&annas_page), form_token(&bens_page));
    // A form of another site: no token, or one of the attacker's own.
    for token in ["", "x", &bens_token] {
        let forged = withdraw(&gw, &mut anna, token, &annas[0]).await;
        assert_eq!(forged.status, 400, "{token}");
        assert!(html(&forged).contains("session.browser"));
        assert_eq!(send(&mut anna, &at(&gw, "/access/forget"), &[("form_token", token)]).await.status, 400);
    }
    // Another site's form comes without the cookie (SameSite=Lax).
    assert_eq!(withdraw(&gw, &mut gw.person(), &annas_token, &annas[0]).await.status, 400);
    // Somebody else's consent is none.
    let others = withdraw(&gw, &mut ben, &bens_token, &annas[0]).await;
    assert_eq!(others.status, 404);
    for nonsense in ["", "con_uk_0", "nonsense"] {
        assert_eq!(withdraw(&gw, &mut ben, &bens_token, nonsense).await.status, 422);
    }
    for consent in [&annas[0], &bens[0]] {
        assert_eq!(gw.shown(&tpp, consent).await["status"], "AUTHORIZED");
    }
    // An address cannot say that something was withdrawn that was not.
    let claimed = at(&gw, &format!("/access?withdrawn={}&forgotten=yes", annas[0]));
    let claimed = html(&look(&mut anna, &claimed).await);
    assert!(!claimed.contains("Access was withdrawn") && !claimed.contains("knows nothing any more"));
    gw.sandbox.stop().await;
}

/// RFC 6265bis §4.1.3.2, §5.5: the person's cookie is the host's own, kept for
/// long, out of reach of scripts and of other sites; the store knows a digest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_persons_cookie_comes_with_the_approval_and_goes_when_asked() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let mut person = gw.person();
    let (consents, start) = journey(&tpp, &[UK]).await;
    let (page, shown) = opened(&gw, &mut person, &start).await;
    // Looking at a page names nobody.
    assert!(shown.header("set-cookie").is_none());
    assert!(look(&mut person, &at(&gw, "/access")).await.header("set-cookie").is_none());
    let form = [("form_token", &*form_token(&html(&shown))), ("decision", "approve")];
    let approved = send(&mut person, &page, &form).await;
    let cookie = approved.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-consentry-person="));
    for attribute in ["; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=34560000"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let secret = cookie.split(['=', ';']).nth(1).unwrap();
    assert_eq!(secret.len(), 43, "256 bits in base64url");
    let id: domain::ConsentId = consents[0].parse().unwrap();
    let row = gw.sandbox.gateway().stores().region(id.region()).unwrap().consent(id).await.unwrap().unwrap();
    let digest = row.psu_digest.unwrap();
    assert_ne!(digest, crypto::digest::sha256_hex(secret.as_bytes()), "separated from other digests");
    // What was not given yet can be withdrawn too.
    let waiting = dashboard(&gw, &mut person).await;
    assert!(waiting.contains("Not decided yet") && waiting.contains("Waiting for you at your bank"));

    let forgot =
        send(&mut person, &at(&gw, "/access/forget"), &[("form_token", &*form_token(&waiting))]).await;
    assert!(forgot.header("set-cookie").unwrap().ends_with("Max-Age=0"));
    let after = html(&look(&mut person, &at(&gw, forgot.header("location").unwrap())).await);
    assert!(after.contains("This browser knows nothing any more") && !after.contains("con_"));
    assert!(dashboard(&gw, &mut person).await.contains("Nothing was allowed in this browser"));
    gw.sandbox.stop().await;
}

/// A renewal is a consent of its own: approved at work, it is listed at work;
/// and access that is asked for again elsewhere is not refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_in_another_browser_is_not_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let (mut home, mut work) = (gw.person(), gw.person());
    let (old, start) = journey(&tpp, &[UK]).await;
    home.walk(&start, RETURN).await.unwrap();
    // The same consent, asked for once more in the other browser.
    let pushed = tpp.push(&old, &verifier()).await.unwrap().expect(201).unwrap();
    let visit = work.walk(&tpp.start_of(&pushed).unwrap(), RETURN).await.unwrap();
    assert_eq!(parameter(&visit, "code").len(), 43);
    assert!(dashboard(&gw, &mut home).await.contains(&old[0]));
    assert!(!dashboard(&gw, &mut work).await.contains(&old[0]));
    // Its renewal.
    let own = tpp.own_token("accounts").await.unwrap();
    let renewed = tpp.post(&own, &format!("/v1/consents/{}/renew", old[0]), &json!({})).await.unwrap();
    let renewed = vec![renewed.expect(201).unwrap().text("/id")];
    let pushed = tpp.push(&renewed, &verifier()).await.unwrap().expect(201).unwrap();
    let visit = work.walk(&tpp.start_of(&pushed).unwrap(), RETURN).await.unwrap();
    assert_eq!(parameter(&visit, "code").len(), 43);
    assert!(dashboard(&gw, &mut work).await.contains(&renewed[0]));
    assert!(dashboard(&gw, &mut home).await.contains("Ended by time"));
    gw.sandbox.stop().await;
}

/// The dashboard is no page of a session: HEAD and nonsense do no harm.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn withdrawing_takes_a_post() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let mut person = gw.person();
    let (consents, start) = journey(&tpp, &[UK]).await;
    person.walk(&start, RETURN).await.unwrap();
    let token = form_token(&dashboard(&gw, &mut person).await);
    let url: Url = at(&gw, &format!("/access/withdraw?form_token={token}&consent={}", consents[0]));
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(person.request(method, &url, None).await.unwrap().status, 405);
    }
    assert_eq!(gw.shown(&tpp, &consents[0]).await["status"], "AUTHORIZED");
    gw.sandbox.stop().await;
}
