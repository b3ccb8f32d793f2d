//! The pages in the person's language.

use consentry::demo::{Browser, verifier};
use serde_json::json;
use tokio::task::JoinSet;

use crate::fintech::push;
use crate::pages_person::{at, by_hand, form_token, html, journey, look, opened, payment, send};
use crate::support::{DECOUPLED, TestGateway, UK};

/// Each language with words of each page: consent, choice of a bank, payment,
/// waiting, error, dashboard.
const WORDS: [(&str, [&str; 6]); 6] = [
    (
        "en",
        [
            "asks to see your accounts",
            "Choose your bank",
            "Pay 12.34\u{a0}GBP to",
            "Confirm at your bank",
            "This did not work",
            "Who has access to your accounts",
        ],
    ),
    (
        "de",
        [
            "möchte Ihre Konten sehen",
            "Wählen Sie Ihre Bank",
            "12,34\u{a0}GBP an",
            "Bestätigen Sie bei Ihrer Bank",
            "Das hat nicht geklappt",
            "Wer auf Ihre Konten zugreifen darf",
        ],
    ),
    (
        "fr",
        [
            "demande à consulter vos comptes",
            "Choisissez votre banque",
            "Payer 12,34\u{a0}GBP à",
            "Confirmez auprès de votre banque",
            "Cela n’a pas fonctionné",
            "Qui a accès à vos comptes",
        ],
    ),
    (
        "es",
        [
            "solicita ver sus cuentas",
            "Elija su banco",
            "Pagar 12,34\u{a0}GBP a",
            "Confirme en su banco",
            "No ha funcionado",
            "Quién tiene acceso a sus cuentas",
        ],
    ),
    (
        "it",
        [
            "chiede di vedere i Suoi conti",
            "Scelga la Sua banca",
            "Paga 12,34\u{a0}GBP a",
            "Confermi presso la Sua banca",
            "Non ha funzionato",
            "Chi ha accesso ai Suoi conti",
        ],
    ),
    (
        "pl",
        [
            "prosi o wgląd w Twoje rachunki",
            "Wybierz swój bank",
            "Zapłać 12,34\u{a0}GBP",
            "Potwierdź w swoim banku",
            "Nie udało się",
            "Kto ma dostęp do Twoich rachunków",
        ],
    ),
];

fn reader(gw: &TestGateway, accept_language: &'static str) -> Browser {
    let mut person = gw.person();
    person.headers.push(("accept-language", accept_language));
    person
}

/// RFC 9110 §8.5, §12.5.5; WCAG 2.2 §3.1.1: the answer says its language and
/// what it depends on, the page says it to whoever reads it aloud.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_in_the_readers_language() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let mut all = JoinSet::new();
    for (locale, words) in WORDS {
        let start = journey(&tpp, &[UK]).await.1;
        let own = tpp.own_token("accounts").await.unwrap();
        let asks = json!({
            "type": "ACCOUNT_INFORMATION", "region": "eu", "permissions": ["READ_BALANCES"],
        });
        let open = tpp.post(&own, "/v1/consents", &asks).await.unwrap().expect(201).unwrap().text("/id");
        let choice = tpp.push(&[open], &verifier()).await.unwrap().expect(201).unwrap();
        let choice = tpp.start_of(&choice).unwrap();
        let pay = payment(&tpp, UK).await.1;
        let decoupled = journey(&tpp, &[DECOUPLED]).await;
        let mut person = reader(&gw, locale);
        let mut pages = vec![
            opened(&gw, &mut person, &start).await.1,
            opened(&gw, &mut person, &choice).await.1,
            opened(&gw, &mut person, &pay).await.1,
        ];
        let rest = [
            look(&mut person, &at(&gw, "/oauth/authorize")).await,
            look(&mut person, &at(&gw, "/access")).await,
        ];
        let (place, shown) = opened(&gw, &mut person, &decoupled.1).await;
        let name = format!("psu_id_{}", decoupled.0[0]);
        let token = form_token(&html(&shown));
        let form = [("form_token", token.as_str()), ("decision", "approve"), (&name, "anna")];
        let waits = send(&mut person, &place, &form).await;
        let waits = at(&gw, waits.header("location").unwrap());
        // It asks the bank for a while before it shows itself: all at the same time.
        all.spawn(async move {
            pages.push(look(&mut person, &waits).await);
            pages.extend(rest);
            (locale, words, pages)
        });
    }
    for (locale, words, pages) in all.join_all().await {
        for (answer, words) in pages.iter().zip(words) {
            let page = html(answer);
            assert!(page.contains(&format!("<html lang=\"{locale}\">")), "{locale}: {page}");
            assert_eq!(answer.header("content-language"), Some(locale));
            assert!(answer.header("vary").unwrap().contains("Accept-Language"));
            let heading = page.split("<h1>").nth(1).unwrap();
            assert!(heading.contains(words), "{locale}: {words}: {heading}");
            assert!(!page.contains('{') && !page.contains('}'), "{locale}: a placeholder is left: {page}");
        }
    }
    gw.sandbox.stop().await;
}

/// OpenID Connect Core §3.1.2.1: `ui_locales` are the client's word and go
/// first, on every page of the journey; RFC 9110 §12.4.2: weights count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ui_locales_go_before_weights_and_weights_before_order() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let start = async |locales: Option<&str>| {
        tpp.start_of(&push(&tpp, &verifier(), &[("ui_locales", locales)]).await).unwrap()
    };
    for (locales, accepted, lang) in [
        (Some("pt de-AT en"), "fr", "de"),
        (Some("pt"), "fr, it;q=0.9", "fr"),
        (None, "fr;q=0.5, it;q=0.9, *;q=0.1", "it"),
        (None, "de;q=0, *", "en"),
        (None, "pt, ja", "en"),
    ] {
        let mut person = reader(&gw, accepted);
        let (page, shown) = opened(&gw, &mut person, &start(locales).await).await;
        let shown = html(&shown);
        assert!(shown.contains(&format!("<html lang=\"{lang}\">")), "{locales:?} {accepted}");
        // The dashboard speaks on in the same language.
        assert!(shown.contains(&format!("href=\"/access?ui_locales={lang}\"")));
        let wrong = send(&mut person, &page, &[("form_token", &*form_token(&shown))]).await;
        assert_eq!(wrong.status, 422);
        assert!(html(&wrong).contains(&format!("<html lang=\"{lang}\">")), "an error of the session");
    }
    assert_eq!(tpp.server["ui_locales_supported"], json!(["en", "de", "fr", "es", "it", "pl"]));
    gw.sandbox.stop().await;
}
