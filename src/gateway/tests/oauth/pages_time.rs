//! Nobody is stranded: time that is said, given and over, and the ways back.

use consentry::demo::{Answer, RETURN, Tpp, verifier};
use url::Url;

use crate::fintech::push;
use crate::pages_person::{
    at, by_hand_at_a_clock, form_token, html, journey, link, look, opened, parameter_of, payment, send,
};
use crate::support::{DECOUPLED, TestGateway, UK};

async fn status(tpp: &Tpp, consent: &str) -> String {
    let own = tpp.own_token("accounts").await.unwrap();
    tpp.get(&own, &format!("/v1/consents/{consent}")).await.unwrap().text("/status")
}

/// Holds an answer to RFC 6749 §4.1.2.1 and RFC 9207.
#[track_caller]
fn assert_sent_back(gw: &TestGateway, answer: &Answer) {
    assert_eq!(answer.status, 303, "{}", html(answer));
    assert!(answer.header("location").unwrap().starts_with(RETURN));
    for (name, value) in
        [("error", "access_denied"), ("state", "demo-state"), ("iss", gw.sandbox.access().issuer.as_str())]
    {
        assert_eq!(parameter_of(answer, name).as_deref(), Some(value));
    }
    assert!(parameter_of(answer, "code").is_none());
}

/// WCAG 2.2 §2.2.1: "the user is warned before time expires and given at least
/// 20 seconds to extend the time limit with a simple action, and the user is
/// allowed to extend the time limit at least ten times".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_warns_before_its_time_ends_and_gives_more() {
    let (gw, clock) = by_hand_at_a_clock().await;
    let tpp = gw.tpp().await;
    for first in [1_800, 900] {
        let start = if first == 900 { payment(&tpp, UK).await.1 } else { journey(&tpp, &[UK]).await.1 };
        let mut person = gw.person();
        let (page, shown) = opened(&gw, &mut person, &start).await;
        let text = html(&shown);
        assert!(text.contains(&format!("stays open for {} min", first / 60)), "{text}");
        // Shows itself again by itself, to warn.
        let refresh = shown.header("refresh").unwrap();
        assert!(refresh.starts_with(&format!("{}; url={}", first - 300, page.path())), "{refresh}");
        let mut left = first;
        let mut times = 0;
        loop {
            clock.advance(left - 60);
            let warned = look(&mut person, &page).await;
            let text = html(&warned);
            assert!(
                text.contains("<title>Your time on this page is nearly up")
                    && text.contains("role=\"alert\"")
            );
            assert!(warned.header("refresh").unwrap().starts_with("61; url="));
            if !text.contains("/extend") {
                break;
            }
            let extend = Url::parse(&format!("{page}/extend")).unwrap();
            let more = send(&mut person, &extend, &[("form_token", &*form_token(&text))]).await;
            assert_eq!((more.status.as_u16(), more.header("location")), (303, Some(page.path())));
            let fresh = look(&mut person, &page).await;
            let delay: i64 = fresh.header("refresh").unwrap().split(';').next().unwrap().parse().unwrap();
            left = delay + 300;
            times += 1;
            if delay < 300 {
                // The very end of the longest session.
                break;
            }
        }
        assert!(times >= 10, "{times}");
    }
    gw.sandbox.stop().await;
}

/// A session that is over sends its PSU back, from whichever page, once;
/// nothing is given by a button that is pressed too late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_page_whose_time_is_over_leads_back_with_an_oauth_error() {
    let (gw, clock) = by_hand_at_a_clock().await;
    let tpp = gw.tpp().await;
    for step in ["", "decide", "/wait", "/next"] {
        let (consents, start) = journey(&tpp, &[UK]).await;
        let mut person = gw.person();
        let (page, shown) = opened(&gw, &mut person, &start).await;
        clock.advance(1_801);
        let answer = if step == "decide" {
            let form = [("form_token", &*form_token(&html(&shown))), ("decision", "approve")];
            send(&mut person, &page, &form).await
        } else {
            look(&mut person, &Url::parse(&format!("{page}{step}")).unwrap()).await
        };
        assert_sent_back(&gw, &answer);
        assert_eq!(status(&tpp, &consents[0]).await, "CREATED", "may be asked for again");
        let again = look(&mut person, &page).await;
        assert_eq!(again.status, 400);
        assert!(html(&again).contains("session.spent"));
        // And from there to where the application begins.
        let home = link(&html(&again), "Back to Demo Fintech").unwrap();
        assert_eq!(home, "https://fintech.consentry.example/");
        // A stranger learns nothing and is sent nowhere with a state.
        let stranger = look(&mut gw.person(), &page).await;
        assert!(html(&stranger).contains("session.browser") && !html(&stranger).contains("demo-state"));
    }
    gw.sandbox.stop().await;
}

/// What became of a payment the application asks; that the PSU is back, and for
/// which one, it learns by the address it gave.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_page_whose_time_is_over_leads_back_too() {
    let (gw, clock) = by_hand_at_a_clock().await;
    let tpp = gw.tpp().await;
    for step in ["", "/wait", "decide"] {
        let (id, start) = payment(&tpp, UK).await;
        let mut person = gw.person();
        let (page, shown) = opened(&gw, &mut person, &start).await;
        clock.advance(901);
        let answer = if step == "decide" {
            let form = [("form_token", &*form_token(&html(&shown))), ("decision", "approve")];
            send(&mut person, &page, &form).await
        } else {
            look(&mut person, &Url::parse(&format!("{page}{step}")).unwrap()).await
        };
        assert_eq!(answer.status, 303);
        assert!(answer.header("location").unwrap().starts_with(RETURN));
        assert_eq!(parameter_of(&answer, "payment_id").as_deref(), Some(&*id));
        assert_eq!(parameter_of(&answer, "state").as_deref(), Some("pay-state"));
        let own = tpp.own_token("payments").await.unwrap();
        let ended = gw.payment_until(&tpp, &own, &id, |payment| payment["final"] == true).await;
        assert_eq!(ended["state"], "EXPIRED");
    }
    assert!(gw.sandbox.bank(UK).unwrap().1.entries().is_empty());
    gw.sandbox.stop().await;
}

/// More time to approve is more time: the payment does not expire meanwhile,
/// and the PSU has the bank's page for as long as the bank gives it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_that_was_given_more_time_can_still_be_made() {
    let (gw, clock) = by_hand_at_a_clock().await;
    let tpp = gw.tpp().await;
    let (id, start) = payment(&tpp, UK).await;
    let mut person = gw.person();
    let (page, shown) = opened(&gw, &mut person, &start).await;
    let token = form_token(&html(&shown));
    clock.advance(890);
    send(&mut person, &Url::parse(&format!("{page}/extend")).unwrap(), &[("form_token", &token)]).await;
    clock.advance(1_700);
    gw.sandbox.gateway().reconcile().await.unwrap();
    let bank = send(&mut person, &page, &[("form_token", &token), ("decision", "approve")]).await;
    assert_eq!(bank.status, 303, "{}", html(&bank));
    // The walk at the bank, which ends just before the bank's time does.
    clock.advance(1_700);
    gw.sandbox.gateway().reconcile().await.unwrap();
    let own = tpp.own_token("payments").await.unwrap();
    let payment = tpp.get(&own, &format!("/v1/payments/{id}")).await.unwrap();
    assert_eq!(payment.text("/state"), "AUTHORIZING");
    gw.sandbox.stop().await;
}

/// Too late at the bank: the answer counts for nothing, and its PSU finds back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_stays_too_long_at_the_bank_finds_the_way_back() {
    let (gw, clock) = by_hand_at_a_clock().await;
    let tpp = gw.tpp().await;
    let (_, start) = journey(&tpp, &[UK]).await;
    let mut person = gw.person();
    let (page, shown) = opened(&gw, &mut person, &start).await;
    let form = [("form_token", &*form_token(&html(&shown))), ("decision", "approve")];
    let bank = send(&mut person, &page, &form).await.header("location").unwrap().to_owned();
    let callback = at(&gw, "/callback/").to_string();
    let late = person.walk(&bank, &callback).await.unwrap().url;
    // The bank's time is over, ours not yet.
    clock.advance(1_801);
    let answer = look(&mut person, &late).await;
    let text = html(&answer);
    assert_eq!(answer.status, 400);
    assert!(text.contains("callback.spent"));
    assert_eq!(link(&text, "Go back to where you were").as_deref(), Some(page.path()));
    let stranger = html(&look(&mut gw.person(), &late).await);
    assert!(!stranger.contains("/leave") && stranger.contains("https://fintech.consentry.example/"));
    let leave = Url::parse(&format!("{page}/leave")).unwrap();
    let left = send(&mut person, &leave, &[("form_token", &*form_token(&text))]).await;
    assert_sent_back(&gw, &left);
    gw.sandbox.stop().await;
}

/// The bank's app never rings: the page that waits can be left, and ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_a_banks_app_can_be_left_and_ends_in_time() {
    let (gw, clock) = by_hand_at_a_clock().await;
    let tpp = gw.tpp().await;
    for leaves in [true, false] {
        let (consents, start) = journey(&tpp, &[DECOUPLED]).await;
        let mut person = gw.person();
        let (page, shown) = opened(&gw, &mut person, &start).await;
        let token = form_token(&html(&shown));
        let name = format!("psu_id_{}", consents[0]);
        let form = [("form_token", token.as_str()), ("decision", "approve"), (&name, "anna")];
        let waits = send(&mut person, &page, &form).await;
        assert!(waits.header("location").unwrap().ends_with("/wait"));
        let waits = at(&gw, waits.header("location").unwrap());
        let answer = if leaves {
            let leave = Url::parse(&format!("{page}/leave")).unwrap();
            send(&mut person, &leave, &[("form_token", &token)]).await
        } else {
            clock.advance(1_801);
            look(&mut person, &waits).await
        };
        assert_sent_back(&gw, &answer);
        let wanted = if leaves { "REJECTED" } else { "AWAITING_DECOUPLED" };
        assert_eq!(status(&tpp, &consents[0]).await, wanted);
    }
    gw.sandbox.stop().await;
}

/// A link that is too old says so, and leads to where the application begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_too_old_leads_to_the_application() {
    let (gw, clock) = by_hand_at_a_clock().await;
    let tpp = gw.tpp().await;
    let (_, start) = journey(&tpp, &[UK]).await;
    clock.advance(301);
    let late = look(&mut gw.person(), &Url::parse(&start).unwrap()).await;
    assert_eq!(late.status, 400);
    assert!(html(&late).contains("href=\"https://fintech.consentry.example/\""));
    // Whoever knows no request learns of no client.
    let guessed = start.replace("request_uri%3A", "request_uri%3Ax");
    let guessed = html(&look(&mut gw.person(), &Url::parse(&guessed).unwrap()).await);
    assert!(guessed.contains("authorization.request_uri") && !guessed.contains("fintech.consentry.example"));
    gw.sandbox.stop().await;
}

/// JARM §2.3.1: a client that wants signed answers gets this one signed too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_time_is_signed_where_answers_are() {
    let (gw, clock) = by_hand_at_a_clock().await;
    let tpp = gw.tpp().await;
    let start = tpp.start_of(&push(&tpp, &verifier(), &[("response_mode", Some("jwt"))]).await).unwrap();
    let mut person = gw.person();
    let (page, _) = opened(&gw, &mut person, &start).await;
    clock.advance(1_801);
    let over = look(&mut person, &page).await;
    assert!(parameter_of(&over, "error").is_none());
    let claims = crypto::jws::peek_claims(&parameter_of(&over, "response").unwrap()).unwrap();
    for (name, value) in [
        ("error", "access_denied"),
        ("state", "s"),
        ("iss", &gw.sandbox.access().issuer),
        ("aud", &tpp.client_id),
    ] {
        assert_eq!(claims[name], value);
    }
    gw.sandbox.stop().await;
}

/// An error while there is time leads back to the page, or out: of a consent
/// with an OAuth error, of a payment with its id, and declined it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_on_the_way_leads_back_to_the_page_or_to_the_application() {
    let (gw, _) = by_hand_at_a_clock().await;
    let tpp = gw.tpp().await;
    let (consents, start) = journey(&tpp, &[UK]).await;
    let (id, pay) = payment(&tpp, UK).await;
    for (start, pays) in [(start, false), (pay, true)] {
        let mut person = gw.person();
        let (page, shown) = opened(&gw, &mut person, &start).await;
        let token = form_token(&html(&shown));
        let wrong = send(&mut person, &page, &[("form_token", &token), ("decision", "perhaps")]).await;
        let text = html(&wrong);
        assert_eq!(wrong.status, 422);
        assert!(text.contains("Neither button was pressed. Go back and approve or decline."));
        assert_eq!(link(&text, "Go back to where you were").as_deref(), Some(page.path()));
        assert!(text.contains(">Back to Demo Fintech</button>"));
        // A form that is none is refused in the same words as any other.
        let unreadable = person.request(http::Method::POST, &page, Some("%".repeat(9))).await.unwrap();
        assert!(unreadable.status.is_client_error() && html(&unreadable).contains("<h1>"));
        let leave = Url::parse(&format!("{page}/leave")).unwrap();
        let left = send(&mut person, &leave, &[("form_token", &*form_token(&text))]).await;
        if pays {
            assert_eq!(parameter_of(&left, "payment_id").as_deref(), Some(&*id));
            let own = tpp.own_token("payments").await.unwrap();
            let payment = tpp.get(&own, &format!("/v1/payments/{id}")).await.unwrap();
            assert_eq!(payment.text("/state"), "REJECTED");
        } else {
            assert_sent_back(&gw, &left);
            assert_eq!(status(&tpp, &consents[0]).await, "REJECTED");
            // The browser's back button shows nothing that could still be decided.
            let again = look(&mut person, &page).await;
            assert_eq!(again.status, 400);
            let again = html(&again);
            assert!(again.contains("session.spent") && !again.contains("value=\"approve\""));
            assert_eq!(
                link(&again, "Back to Demo Fintech").as_deref(),
                Some("https://fintech.consentry.example/")
            );
        }
    }
    gw.sandbox.stop().await;
}
