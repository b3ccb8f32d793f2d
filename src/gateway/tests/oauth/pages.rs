//! The hosted pages: one browser, forms of ours only, nothing of a client's
//! rendered as markup.

use consentry::demo::{RETURN, verifier};
use http::Method;
use serde_json::json;
use url::Url;

use crate::fintech::{metadata, push, registered, request};
use crate::pages_person::{
    at, by_hand, by_hand_unfiltered, form_token, html, journey, look, opened, payment, send,
};
use crate::support::{TestGateway, UK, parameter};

/// RFC 9700 §4.7, §4.16 (AS8, AS21): pages are framed by nobody, run no script, are
/// cached nowhere and tell no other site where the person came from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_cannot_be_framed_scripted_or_cached() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let start = tpp.start_of(&push(&tpp, &verifier(), &[]).await).unwrap();
    let mut person = gw.person();
    let first = person.request(Method::GET, &Url::parse(&start).unwrap(), None).await.unwrap();
    let cookie = first.header("set-cookie").unwrap();
    for attribute in ["__Host-", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let (consent, page) = opened(&gw, &mut person, &start).await;
    let (_, pay) = opened(&gw, &mut person, &payment(&tpp, UK).await.1).await;
    let access = look(&mut person, &at(&gw, "/access")).await;
    let lost = look(&mut person, &at(&gw, "/oauth/authorize")).await;
    let elsewhere = look(&mut gw.person(), &consent).await;
    let unreadable = look(&mut person, &at(&gw, "/consent/nonsense")).await;
    for answer in [page, pay, access, lost, elsewhere, unreadable] {
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("script-src") && !policy.contains("unsafe"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    gw.sandbox.stop().await;
}

/// RFC 7591 §5 (AS29): the client's name is shown, as text.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_client_name_is_shown_as_text() {
    let gw = by_hand_unfiltered().await;
    let tpp = gw.tpp().await;
    let name = "<script>alert(1)</script>\" onload='x' &amp;";
    let client = registered(&tpp.http, &tpp, &metadata(&json!({ "client_name": name }))).await;
    let mut form = request(&verifier(), &[]);
    form.push(("client_id".to_owned(), client.clone()));
    let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let url = tpp.endpoint(crate::fintech::PAR).unwrap();
    let pushed = tpp.http.post_form(url, &form).await.unwrap().expect(201).unwrap();
    let mut hostile = tpp.clone();
    hostile.client_id = client;
    let (_, page) = opened(&gw, &mut gw.person(), &hostile.start_of(&pushed).unwrap()).await;
    let page = html(&page);
    assert!(!page.contains("<script") && !page.contains("onload='x'"));
    assert!(page.contains("&#60;script&#62;") || page.contains("&lt;script&gt;"));
    gw.sandbox.stop().await;
}

/// Session fixation: what somebody planted before the journey, of whatever
/// value, opens nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_planted_before_the_journey_is_not_enough() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let first = gw.anybody().get(&journey(&tpp, &[UK]).await.1, &[]).await.unwrap();
    let planted = first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let secret = planted.split_once('=').unwrap().1;
    let start = journey(&tpp, &[UK]).await.1;
    let opened = gw.anybody().get(&start, &[("cookie", &planted)]).await.unwrap();
    let cookie = opened.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert!(!cookie.contains(secret), "a secret of its own");
    let page = at(&gw, opened.header("location").unwrap());
    let name = cookie.split_once('=').unwrap().0;
    for (shown, status) in [(planted.clone(), 400), (format!("{name}={secret}"), 400), (cookie.clone(), 200)]
    {
        let answer = gw.anybody().get(page.as_str(), &[("cookie", &shown)]).await.unwrap();
        assert_eq!(answer.status, status, "{shown}");
    }
    gw.sandbox.stop().await;
}

/// RFC 9700 §4.7: a form is of its own session, also in the same browser.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_form_token_of_another_session_is_refused() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let mut person = gw.person();
    let (one, shown) = opened(&gw, &mut person, &journey(&tpp, &[UK]).await.1).await;
    let (_, other) = opened(&gw, &mut person, &payment(&tpp, UK).await.1).await;
    let others = form_token(&html(&other));
    for path in ["", "/bank", "/extend", "/leave"] {
        let url = Url::parse(&format!("{one}{path}")).unwrap();
        for form in
            [&[("form_token", others.as_str()), ("decision", "approve")][..], &[("decision", "approve")]]
        {
            let refused = send(&mut person, &url, form).await;
            assert_eq!(refused.status, 400, "{path}");
            assert!(html(&refused).contains("session.browser"));
        }
    }
    // Both journeys are as they were.
    assert_eq!(look(&mut person, &one).await.status, 200);
    assert_ne!(form_token(&html(&shown)), others);
    gw.sandbox.stop().await;
}

/// RFC 9700 §4.11: no page of ours leads to an address that the client did not
/// register, whatever stands in a link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_leads_to_an_address_that_is_not_registered() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let mut person = gw.person();
    let evil = "https://evil.example/";
    let start = journey(&tpp, &[UK]).await.1;
    let more = format!("{start}&redirect_uri={evil}&state=evil&client_uri={evil}");
    let (page, shown) = opened(&gw, &mut person, &more).await;
    let token = form_token(&html(&shown));
    let mut answers = vec![shown];
    for path in [
        format!("/oauth/authorize?client_id={}&redirect_uri={evil}", tpp.client_id),
        format!("/oauth/authorize?client_id={}&request_uri=urn:x&redirect_uri={evil}", tpp.client_id),
        format!("{page}?redirect_uri={evil}"),
        format!("{page}/wait?again={evil}"),
        format!("/callback/{UK}?state=x&redirect_uri={evil}"),
        format!("/access?back={evil}&ui_locales={evil}"),
    ] {
        answers.push(look(&mut person, &at(&gw, &path)).await);
    }
    let forms = [("form_token", token.as_str()), ("decision", "decline"), ("redirect_uri", evil)];
    let declined = send(&mut person, &page, &forms).await;
    assert!(declined.header("location").unwrap().starts_with(RETURN));
    answers.push(declined);
    for answer in answers {
        assert!(!html(&answer).contains("href=\"https://evil"), "{}", html(&answer));
        assert!(answer.header("location").is_none_or(|to| !to.starts_with(evil) && !to.starts_with("//")));
    }
    gw.sandbox.stop().await;
}

/// An address that the client gave up meanwhile is not gone to any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_was_given_up_meanwhile_is_not_gone_to() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let mut person = gw.person();
    let (page, shown) = opened(&gw, &mut person, &journey(&tpp, &[UK]).await.1).await;
    let gateway = gw.sandbox.gateway();
    let row = gateway.stores().global().client(&tpp.client_id).await.unwrap().unwrap();
    let mut metadata = row.metadata.clone();
    metadata["redirect_uris"] = json!(["https://fintech.consentry.example/elsewhere"]);
    let changed = store::transaction!(gateway.stores().global(), tx => {
        tx.put_client(&row.client_id, &metadata, row.created_at).await?;
        gateway.invalidate(tx, flows::Invalidated::Client(&row.client_id)).await
    });
    gateway.until_dropped(&changed.unwrap()).await.unwrap();
    let form = [("form_token", &*form_token(&html(&shown))), ("decision", "decline")];
    let declined = send(&mut person, &page, &form).await;
    assert_eq!(declined.status, 400);
    assert!(!html(&declined).contains(RETURN));
    gw.sandbox.stop().await;
}

/// What a browser claims to have asked for names no link, cookie or redirect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unlisted_host_is_never_repeated() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let start = journey(&tpp, &[UK]).await.1;
    let other = [("host", "evil.example"), ("accept", "text/html")];
    let opened = gw.anybody().get(&start, &other).await.unwrap();
    assert!(opened.header("location").unwrap().starts_with("/consent/"));
    assert!(!opened.header("set-cookie").unwrap().to_lowercase().contains("domain"));
    let cookie = opened.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let page = at(&gw, opened.header("location").unwrap());
    for url in [page.as_str(), at(&gw, "/access").as_str(), at(&gw, "/oauth/authorize").as_str()] {
        let shown = gw.anybody().get(url, &[other[0], other[1], ("cookie", &cookie)]).await.unwrap();
        assert!(!html(&shown).contains("evil.example"));
        assert!(shown.header("refresh").is_none_or(|refresh| refresh.contains("url=/consent/")));
    }
    gw.sandbox.stop().await;
}

/// RFC 9700 §4.7 (AS21): a session belongs to the browser that opened it; neither looking nor
/// deciding works in another one, or with a form that is not ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_belongs_to_one_browser_and_its_own_forms() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let start = tpp.start_of(&push(&tpp, &verifier(), &[]).await).unwrap();
    let (mut person, mut thief) = (gw.person(), gw.person());
    let (page, answer) = opened(&gw, &mut person, &start).await;
    let token = form_token(&html(&answer));
    // The thief has a cookie of a session of his own.
    let other = tpp.start_of(&push(&tpp, &verifier(), &[]).await).unwrap();
    let (_, thiefs) = opened(&gw, &mut thief, &other).await;
    let thiefs_token = form_token(&html(&thiefs));
    let approve = |token: &str| format!("form_token={token}&decision=approve");

    let looked = thief.request(Method::GET, &page, None).await.unwrap();
    assert_eq!(looked.status, 400);
    assert!(html(&looked).contains("session.browser"));
    for form in [approve(&token), approve(&thiefs_token)] {
        assert_eq!(thief.request(Method::POST, &page, Some(form)).await.unwrap().status, 400);
    }
    for form in [approve(&thiefs_token), approve(""), "decision=approve".to_owned()] {
        assert_eq!(person.request(Method::POST, &page, Some(form)).await.unwrap().status, 400);
    }
    for path in ["next", "wait"] {
        let url = Url::parse(&format!("{page}/{path}")).unwrap();
        assert_eq!(thief.request(Method::GET, &url, None).await.unwrap().status, 400);
    }
    let done = person.request(Method::POST, &page, Some(approve(&token))).await.unwrap();
    assert!(done.header("location").unwrap().starts_with(RETURN));
    gw.sandbox.stop().await;
}

/// RFC 9700 §4.7 (CSRF) (CL3, CL8): a bank's answer counts in the browser that was sent
/// out, once; trying it elsewhere uses nothing up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_banks_answer_counts_once_and_in_the_right_browser() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, &[UK]).await.unwrap();
    let pushed = tpp.push(&consents, &verifier()).await.unwrap();
    let (mut person, mut thief) = (gw.person(), gw.person());
    let callback = format!("{}/callback/", gw.sandbox.access().issuer);
    let returned = person.walk(&tpp.start_of(&pushed).unwrap(), &callback).await.unwrap().url;

    authorise_elsewhere(&gw, &mut thief).await;
    let stolen = thief.request(Method::GET, &returned, None).await.unwrap();
    assert_eq!(stolen.status, 400);
    assert!(html(&stolen).contains("session.browser"));
    // RFC 9700 §4.4: nor does it count at another bank's address.
    let mixed_up = Url::parse(&returned.as_str().replace(UK, crate::support::EU)).unwrap();
    assert_eq!(person.request(Method::GET, &mixed_up, None).await.unwrap().status, 400);
    let mut forged = returned.clone();
    forged.set_query(Some("state=made-up&code=made-up"));
    assert_eq!(person.request(Method::GET, &forged, None).await.unwrap().status, 400);

    let visit = person.walk(returned.as_str(), RETURN).await.unwrap();
    assert_eq!(parameter(&visit, "code").len(), 43);
    let replayed = person.request(Method::GET, &returned, None).await.unwrap();
    assert_eq!(replayed.status, 400);
    assert!(html(&replayed).contains("callback.spent"));
    gw.sandbox.stop().await;
}

/// Gives a browser a cookie of ours.
async fn authorise_elsewhere(gw: &TestGateway, person: &mut consentry::demo::Browser) {
    let tpp = gw.tpp().await;
    let start = tpp.start_of(&push(&tpp, &verifier(), &[]).await).unwrap();
    person.walk(&start, RETURN).await.unwrap();
}

/// RTS art. 5 (AS29): the page names client, amount and payee; another browser
/// than the first does not see it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_payment_page_shows_amount_and_payee_to_one_browser() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let mut order = consentry::demo::Tpp::small_payment(UK);
    order["creditor"]["name"] = json!("<b>Bookshop</b>");
    let answer = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
    let start = answer.text("/authorization/href");
    let mut person = gw.person();
    let (page, shown) = opened(&gw, &mut person, &start).await;
    let text = html(&shown);
    assert!(text.contains("12.34") && text.contains("GBP") && text.contains("Demo Fintech"));
    assert!(text.contains("Bookshop") && !text.contains("<b>"));
    assert_eq!(gw.person().request(Method::GET, &page, None).await.unwrap().status, 400);
    gw.sandbox.stop().await;
}

/// A stale page cannot take back an order that has gone to the bank: what it
/// says would be wrong, and the money would move all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn declining_on_a_stale_page_does_not_call_an_executed_payment_rejected() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let order = consentry::demo::Tpp::small_payment(UK);
    let answer = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
    let mut person = gw.person();
    let (page, shown) = opened(&gw, &mut person, &answer.text("/authorization/href")).await;
    let token = form_token(&html(&shown));
    person.walk(page.as_str(), RETURN).await.unwrap();
    let decline = format!("form_token={token}&decision=decline");
    let stale = person.request(Method::POST, &page, Some(decline)).await.unwrap();
    assert_eq!(stale.status, 303);
    let id = answer.text("/id");
    let payment = gw.payment_until(&tpp, &own, &id, |payment| payment["final"] == true).await;
    assert_eq!(payment["state"], "SETTLED");
    gw.sandbox.stop().await;
}

/// Invariant 1: the bank holds the order but did not say where the PSU goes.
/// Nothing runs there without our submission, so the payment ends, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_that_cannot_be_approved_ends_as_not_executed() {
    let gw = TestGateway::start().await;
    let faults = gw.sandbox.bank(UK).unwrap().0;
    faults.arm("POST", "/par", modelbank::Fault::LoseAnswer, 3);
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let order = consentry::demo::Tpp::small_payment(UK);
    let answer = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
    let visit = gw.person().walk(&answer.text("/authorization/href"), RETURN).await.unwrap();
    assert!(visit.page.is_some_and(|page| page.status.is_server_error()));
    let done = |payment: &serde_json::Value| payment["final"] == true;
    let payment = gw.payment_until(&tpp, &own, &answer.text("/id"), done).await;
    assert_eq!(
        (payment["state"].as_str(), payment["outcome"].as_str()),
        (Some("FAILED"), Some("not_executed"))
    );
    gw.sandbox.stop().await;
}

/// A decision that was taken cannot be taken again by a stale page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn declining_on_a_stale_page_does_not_end_an_authorized_consent() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, &[UK]).await.unwrap();
    let start = tpp.start_of(&tpp.push(&consents, &verifier()).await.unwrap()).unwrap();
    let mut person = gw.person();
    let (page, shown) = opened(&gw, &mut person, &start).await;
    let decline = format!("form_token={}&decision=decline", form_token(&html(&shown)));
    let bank =
        person.request(Method::POST, &page, Some(decline.replace("decline", "approve"))).await.unwrap();
    assert_eq!(bank.status, 303);
    // Approved and on the way to the bank: the other tab's decline is too late.
    let late = person.request(Method::POST, &page, Some(decline.clone())).await.unwrap();
    assert_eq!(late.status, 400);
    let visit = person.walk(bank.header("location").unwrap(), RETURN).await.unwrap();
    assert_eq!(parameter(&visit, "code").len(), 43);
    let late = person.request(Method::POST, &page, Some(decline)).await.unwrap();
    assert_eq!(late.status, 400);
    let consent = tpp.get(&own, &format!("/v1/consents/{}", consents[0])).await.unwrap();
    assert_eq!(consent.text("/status"), "AUTHORIZED");
    gw.sandbox.stop().await;
}

/// A double click goes to the bank; it does not tell the application that
/// nothing came of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_loaded_many_times_at_once_does_not_end_the_session() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, &[UK]).await.unwrap();
    let start = tpp.start_of(&tpp.push(&consents, &verifier()).await.unwrap()).unwrap();
    let mut person = gw.person();
    let (page, shown) = opened(&gw, &mut person, &start).await;
    let approve = format!("form_token={}&decision=approve", form_token(&html(&shown)));
    let next = Url::parse(&format!("{page}/next")).unwrap();
    let mut clicks = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let (mut tab, page, approve) = (person.clone(), page.clone(), approve.clone());
        clicks.spawn(async move { tab.request(Method::POST, &page, Some(approve)).await.unwrap() });
    }
    for _ in 0..4 {
        let (mut tab, next) = (person.clone(), next.clone());
        clicks.spawn(async move { tab.request(Method::GET, &next, None).await.unwrap() });
    }
    let answers = clicks.join_all().await;
    assert!(answers.iter().all(|answer| answer.status != 500));
    let visit = person.walk(next.as_str(), RETURN).await.unwrap();
    assert_eq!(parameter(&visit, "error"), "");
    assert_eq!(parameter(&visit, "code").len(), 43);
    gw.sandbox.stop().await;
}

/// RFC 9700 §4.11 (AS21): an unknown page, session or bank is a 4xx that is for people, without detail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_addresses_are_refused() {
    let gw = by_hand().await;
    let issuer = gw.sandbox.access().issuer;
    let tpp = gw.tpp().await;
    for path in [
        "/consent/nonsense",
        "/pay/nonsense",
        "/consent/%ff",
        "/callback/..x",
        "/callback/unknown-bank?state=x",
        "/callback/gb-albion-bank",
        "/nothing",
        "/oauth/authorize?client_id=%00&request_uri=%ff",
    ] {
        let answer = tpp.http.get(&format!("{issuer}{path}"), &[]).await.unwrap();
        assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
    }
    gw.sandbox.stop().await;
}
