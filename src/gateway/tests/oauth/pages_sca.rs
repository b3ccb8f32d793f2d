//! Password, choice of a method and code on our pages, for a bank that wants them
//! from us: passed on, tried again, kept nowhere.

use consentry::demo::{Answer, Browser, RETURN, Tpp};
use serde_json::{Value, json};
use url::Url;

use crate::pages_person::{at, by_hand, by_hand_at_a_clock, form_token, html, journey, look, opened, send};
use crate::support::{EMBEDDED, TestGateway, given, parameter, rows};

/// The hidden field of this name.
fn hidden(page: &str, name: &str) -> String {
    let from = page.split(&format!("name=\"{name}\" value=\"")).nth(1).expect(name);
    from.split('"').next().unwrap().to_owned()
}

/// Where the journey of a payment in euros begins, and its id.
async fn payment(tpp: &Tpp) -> (String, String) {
    let own = tpp.own_token("payments").await.unwrap();
    let order = json!({
        "institution_id": EMBEDDED,
        "amount": { "amount": "12.34", "currency": "EUR" },
        "creditor": { "name": "Corner Bookshop" },
        "creditor_account": { "iban": "DE42999100002000000018" },
        "redirect_uri": RETURN,
    });
    let answer = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
    (answer.text("/id"), answer.text("/authorization/href"))
}

/// Answers the question of the page with this one field.
async fn give(person: &mut Browser, url: &Url, page: &str, field: &str, value: &str) -> Answer {
    let (token, number) = (form_token(page), hidden(page, "number"));
    let form = [("form_token", token.as_str()), ("number", number.as_str()), (field, value)];
    send(person, url, &form).await
}

/// A person whom the bank asks for the password, for a consent or for a payment.
async fn asked(gw: &TestGateway, start: &str, user: &str) -> (Browser, Url) {
    let mut person = gw.person();
    let (page, shown) = opened(gw, &mut person, start).await;
    let shown = html(&shown);
    assert!(shown.contains("Donaubank asks for your password") && !shown.contains("never see"));
    let name = shown.split("name=\"psu_id").nth(1).unwrap().split('"').next().unwrap();
    let name = format!("psu_id{name}");
    let token = form_token(&shown);
    let form = [("form_token", token.as_str()), (&name, user), ("decision", "approve")];
    let sent = send(&mut person, &page, &form).await;
    assert_eq!(sent.status, 303);
    let sca = at(gw, sent.header("location").unwrap());
    assert!(sca.path().ends_with("/sca"));
    (person, sca)
}

async fn state(tpp: &Tpp, path: &str) -> Value {
    let own = tpp.own_token("accounts payments").await.unwrap();
    tpp.get(&own, path).await.unwrap().expect(200).unwrap().json()
}

/// XS2A 5.2, 14.14: by each method that the bank offers, and by the only one that a
/// customer has.
/// [connector: consent, accounts at berlin-embedded]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_is_given_by_password_and_code_with_each_method() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    for (user, method) in
        [("anna", Some("sms")), ("anna", Some("photo")), ("anna", Some("chip")), ("ben", None)]
    {
        let own = tpp.own_token("accounts").await.unwrap();
        let consents = tpp.lodge(&own, &[EMBEDDED]).await.unwrap();
        let mut person = gw.person();
        user.clone_into(&mut person.user);
        person.choice = method;
        let granted = given(&tpp, consents, person).await;
        let accounts = tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
        let has = if user == "anna" { 3 } else { 2 };
        assert_eq!(rows(&accounts).len(), has, "{user} {method:?}");
    }
    gw.sandbox.stop().await;
}

/// [connector: payment at berlin-embedded]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_is_approved_by_password_and_code() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let (id, start) = payment(&tpp).await;
    let mut person = gw.person();
    person.choice = Some("photo");
    let visit = person.walk(&start, RETURN).await.unwrap();
    assert_eq!(parameter(&visit, "payment_id"), id);
    let payment = gw.payment_until(&tpp, &own, &id, |payment| payment["final"] == true).await;
    assert_eq!(payment["state"], "SETTLED");
    gw.sandbox.stop().await;
}

/// Each page says what the bank wants, and of a payment what is approved by it (RTS
/// art. 5); a picture may come from the page itself and from nowhere else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_show_what_the_bank_wants() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let (_, start) = payment(&tpp).await;
    let (mut person, url) = asked(&gw, &start, "anna").await;
    let shown = look(&mut person, &url).await;
    let page = html(&shown);
    assert!(page.contains("Log in at Donaubank") && page.contains("Corner Bookshop"));
    assert!(page.contains("type=\"password\"") && page.contains("autocomplete=\"current-password\""));
    assert_eq!(give(&mut person, &url, &page, "password", "sandbox").await.status, 303);
    let page = html(&look(&mut person, &url).await);
    for name in ["SMS to +43 *** *** 17", "photoTAN", "chipTAN"] {
        assert!(page.contains(name), "{name}");
    }
    // What the bank did not offer is not passed on.
    give(&mut person, &url, &page, "method", "app").await;
    let page = html(&look(&mut person, &url).await);
    give(&mut person, &url, &page, "method", "photo").await;
    let shown = look(&mut person, &url).await;
    let page = html(&shown);
    assert!(page.contains("src=\"data:image/png;base64,iVBORw0KGgo") && page.contains("Scan the picture"));
    assert!(page.contains("autocomplete=\"one-time-code\"") && page.contains("maxlength=\"6\""));
    assert!(page.contains("inputmode=\"numeric\"") && page.contains("Corner Bookshop"));
    let policy = shown.header("content-security-policy").unwrap();
    assert!(policy.contains("img-src 'self' data:;") && !policy.contains("script-src"));
    let (_, start) = journey(&tpp, &[EMBEDDED]).await;
    let (mut person, url) = asked(&gw, &start, "anna").await;
    for (field, value) in [("password", "sandbox"), ("method", "chip")] {
        let page = html(&look(&mut person, &url).await);
        give(&mut person, &url, &page, field, value).await;
    }
    // What would flicker is there to be typed in, in its order, and asks for no script.
    let page = html(&look(&mut person, &url).await);
    let typed = "<ol><li><code>87112233445566</code></li><li><code>10017</code></li></ol>";
    assert!(page.contains(typed) && page.contains("Enter this into your reader"), "{page}");
    gw.sandbox.stop().await;
}

/// XS2A 14.11 `PSU_CREDENTIALS_INVALID`: the PSU may try again, and whoever comes
/// back goes on where they were.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_or_code_may_be_tried_again() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let (consents, start) = journey(&tpp, &[EMBEDDED]).await;
    let (mut person, url) = asked(&gw, &start, "ben").await;
    let page = html(&look(&mut person, &url).await);
    assert!(!page.contains("role=\"alert\""));
    give(&mut person, &url, &page, "password", "wrong").await;
    let again = html(&look(&mut person, &url).await);
    assert!(again.contains("does not accept this password") && again.contains("aria-invalid=\"true\""));
    // A form that is stale is none to the question of now.
    give(&mut person, &url, &page, "password", "sandbox").await;
    assert!(html(&look(&mut person, &url).await).contains("Log in at"));
    let next = Url::parse(&url.as_str().replace("/sca", "/next")).unwrap();
    assert_eq!(look(&mut person, &next).await.header("location"), Some(url.path()));
    give(&mut person, &url, &again, "password", "sandbox").await;
    let page = html(&look(&mut person, &url).await);
    give(&mut person, &url, &page, "code", "000000").await;
    let again = html(&look(&mut person, &url).await);
    assert!(again.contains("does not accept this code") && again.contains("on its way to your telephone"));
    // As the device shows it.
    let done = give(&mut person, &url, &again, "code", "123 456").await;
    let visit = person.walk(at(&gw, done.header("location").unwrap()).as_str(), RETURN).await.unwrap();
    assert!(!parameter(&visit, "code").is_empty());
    assert_eq!(state(&tpp, &format!("/v1/consents/{}", consents[0])).await["status"], "AUTHORIZED");
    gw.sandbox.stop().await;
}

/// `scaStatus` `failed`: after three mistakes the bank lets nobody try again.
/// [connector: payment declined at berlin-embedded]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authentication_that_failed_ends_the_consent_and_the_payment() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let (consents, start) = journey(&tpp, &[EMBEDDED]).await;
    let mut person = gw.person();
    "000000".clone_into(&mut person.code);
    let visit = person.walk(&start, RETURN).await.unwrap();
    assert_eq!(parameter(&visit, "error"), "access_denied");
    let consent = state(&tpp, &format!("/v1/consents/{}", consents[0])).await;
    assert_eq!(
        (&consent["status"], &consent["status_reason"]),
        (&json!("REJECTED"), &json!("psu-auth-failed"))
    );
    let (id, start) = payment(&tpp).await;
    let mut person = gw.person();
    "wrong".clone_into(&mut person.password);
    let visit = person.walk(&start, RETURN).await.unwrap();
    assert_eq!(parameter(&visit, "payment_id"), id);
    let payment = gw.payment_until(&tpp, &own, &id, |payment| payment["final"] == true).await;
    assert_eq!(payment["state"], "REJECTED");
    gw.sandbox.stop().await;
}

/// A bank that is away for once costs the PSU another try, not the consent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_that_is_away_for_once_may_be_asked_again() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let (consents, start) = journey(&tpp, &[EMBEDDED]).await;
    let (mut person, url) = asked(&gw, &start, "ben").await;
    let page = html(&look(&mut person, &url).await);
    let faults = gw.sandbox.bank(EMBEDDED).unwrap().0;
    faults.arm("PUT", "/", modelbank::Fault::Unavailable, 1);
    let away = give(&mut person, &url, &page, "password", "sandbox").await;
    assert_eq!(away.status, 502);
    assert!(html(&away).contains("Your bank does not answer at the moment"));
    let page = html(&look(&mut person, &url).await);
    assert!(page.contains("Log in at") && !page.contains("role=\"alert\""));
    give(&mut person, &url, &page, "password", "sandbox").await;
    let visit = person.walk(url.as_str(), RETURN).await.unwrap();
    assert!(!parameter(&visit, "code").is_empty());
    assert_eq!(state(&tpp, &format!("/v1/consents/{}", consents[0])).await["status"], "AUTHORIZED");
    gw.sandbox.stop().await;
}

/// The page is of one browser and one session, its form of one page, its time as
/// long as that of the others; leaving it ends the consent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_are_as_guarded_as_the_others() {
    let (gw, clock) = by_hand_at_a_clock().await;
    let tpp = gw.tpp().await;
    let (consents, start) = journey(&tpp, &[EMBEDDED]).await;
    let (mut person, url) = asked(&gw, &start, "anna").await;
    assert_eq!(look(&mut gw.person(), &url).await.status, 400);
    let page = html(&look(&mut person, &url).await);
    let number = hidden(&page, "number");
    let forged = [("form_token", "x"), ("number", number.as_str()), ("password", "sandbox")];
    assert_eq!(send(&mut person, &url, &forged).await.status, 400);
    assert_eq!(give(&mut person, &url, &page, "password", "").await.status, 422);
    assert_eq!(give(&mut person, &url, &page, "password", &"x".repeat(201)).await.status, 422);
    // Somebody else's question is not to be answered in another session.
    let (_, other) = journey(&tpp, &[EMBEDDED]).await;
    let (_, foreign) = asked(&gw, &other, "anna").await;
    assert_eq!(give(&mut person, &foreign, &page, "password", "sandbox").await.status, 400);
    let shown = look(&mut person, &url).await;
    assert!(shown.header("refresh").unwrap().ends_with(url.path()));
    let more = Url::parse(&url.as_str().replace("/sca", "/extend")).unwrap();
    let token = form_token(&page);
    let extended = send(&mut person, &more, &[("form_token", &token)]).await;
    let waiting = at(&gw, extended.header("location").unwrap());
    assert_eq!(look(&mut person, &waiting).await.header("location"), Some(url.path()));
    let leave = Url::parse(&url.as_str().replace("/sca", "/leave")).unwrap();
    let left = send(&mut person, &leave, &[("form_token", &token)]).await;
    assert!(left.header("location").unwrap().contains("error=access_denied"));
    assert_eq!(state(&tpp, &format!("/v1/consents/{}", consents[0])).await["status"], "REJECTED");
    // What the bank wanted is forgotten when its time is over.
    let store = gw.sandbox.gateway().stores().region("eu".parse().unwrap()).unwrap();
    assert!(store.sca_step(&consents[0]).await.unwrap().is_some());
    clock.advance(flows::LEG_TIME + 1);
    store.forget_sca_steps(domain::Clock::now(&*clock)).await.unwrap();
    assert!(store.sca_step(&consents[0]).await.unwrap().is_none());
    gw.sandbox.stop().await;
}

/// Two of the same form, sent at once: the bank gets one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_that_is_sent_twice_reaches_the_bank_once() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let (_, start) = journey(&tpp, &[EMBEDDED]).await;
    let (mut person, url) = asked(&gw, &start, "ben").await;
    let page = html(&look(&mut person, &url).await);
    let mut twin = person.clone();
    let both = tokio::join!(
        give(&mut person, &url, &page, "password", "wrong"),
        give(&mut twin, &url, &page, "password", "wrong"),
    );
    assert_eq!((both.0.status, both.1.status), (http::StatusCode::SEE_OTHER, http::StatusCode::SEE_OTHER));
    let journal = gw.sandbox.bank(EMBEDDED).unwrap().1;
    let puts = journal.entries().iter().filter(|entry| entry.method == "PUT").count();
    assert_eq!(puts, 1);
    gw.sandbox.stop().await;
}

/// XS2A 5.2 `updatePsuIdentification`, `additionalPassword`: a bank that asks in between who
/// it is, and for a second password, is answered on the same page, each in its turn.
/// [connector: consent at berlin-embedded]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_may_ask_for_the_name_and_for_a_second_password() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let registry = gw.sandbox.gateway().registry();
    let mut profile = (*registry.profile(&EMBEDDED.parse().unwrap()).unwrap()).clone();
    profile.psu_id_required = false;
    registry.put(profile);
    let (consents, start) = journey(&tpp, &[EMBEDDED]).await;
    let mut person = gw.person();
    let (page, shown) = opened(&gw, &mut person, &start).await;
    let shown = html(&shown);
    assert!(!shown.contains("name=\"psu_id"), "it is not asked for before the bank wants it");
    let token = form_token(&shown);
    let sent = send(&mut person, &page, &[("form_token", &token), ("decision", "approve")]).await;
    let url = at(&gw, sent.header("location").unwrap());
    let page = html(&look(&mut person, &url).await);
    assert!(page.contains("Your user name at Donaubank") && page.contains("autocomplete=\"username\""));
    give(&mut person, &url, &page, "psu_id", "mallory").await;
    let page = html(&look(&mut person, &url).await);
    assert!(page.contains("does not know this name") && page.contains("aria-invalid=\"true\""));
    assert_eq!(give(&mut person, &url, &page, "psu_id", "J\u{fc}rgen").await.status, 422);
    give(&mut person, &url, &page, "psu_id", "careful").await;
    let page = html(&look(&mut person, &url).await);
    assert!(page.contains("Your password at Donaubank"));
    give(&mut person, &url, &page, "password", "sandbox").await;
    let page = html(&look(&mut person, &url).await);
    assert!(page.contains("Your second password at Donaubank") && page.contains("autocomplete=\"off\""));
    // The first one once more is not the second.
    give(&mut person, &url, &page, "password", "sandbox").await;
    let page = html(&look(&mut person, &url).await);
    give(&mut person, &url, &page, "second_password", "sandbox").await;
    let page = html(&look(&mut person, &url).await);
    assert!(page.contains("does not accept this password"));
    for (field, value) in [("second_password", "sandbox-2"), ("method", "sms")] {
        let page = html(&look(&mut person, &url).await);
        give(&mut person, &url, &page, field, value).await;
    }
    let page = html(&look(&mut person, &url).await);
    let done = give(&mut person, &url, &page, "code", "123456").await;
    let visit = person.walk(at(&gw, done.header("location").unwrap()).as_str(), RETURN).await.unwrap();
    assert!(!parameter(&visit, "code").is_empty());
    assert_eq!(state(&tpp, &format!("/v1/consents/{}", consents[0])).await["status"], "AUTHORIZED");
    gw.sandbox.stop().await;
}
