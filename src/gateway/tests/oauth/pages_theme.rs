//! How a client presents itself: its colours, its links, its name by language.

use consentry::demo::{Tpp, verifier};
use serde_json::{Value, json};

use crate::fintech::{PAR, assert_error, metadata, registered, request};
use crate::pages_person::{at, by_hand, by_hand_unfiltered, html, link, look, opened};

/// Where a journey of another client begins.
async fn journey_of(tpp: &Tpp, changes: &Value) -> (String, String) {
    let client = registered(&tpp.http, tpp, &metadata(changes)).await;
    let mut form = request(&verifier(), &[]);
    form.push(("client_id".to_owned(), client.clone()));
    let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let pushed = tpp.http.post_form(tpp.endpoint(PAR).unwrap(), &form).await.unwrap().expect(201).unwrap();
    let mut other = tpp.clone();
    other.client_id.clone_from(&client);
    (client, other.start_of(&pushed).unwrap())
}

/// RFC 7591 §2, §2.2: name by language, home page, privacy policy and terms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_shows_the_clients_links_and_its_name_in_the_readers_language() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let changes = json!({
        "client_name": "Harbour Budget",
        "client_name#de": "Hafenbudget",
        "client_uri": "https://harbour.example/",
        "policy_uri": "https://harbour.example/privacy",
        "policy_uri#de": "https://harbour.example/datenschutz",
        "tos_uri": "http://harbour.example/terms",
        "logo_uri": "https://images.example/logo.png",
    });
    let (client, start) = journey_of(&tpp, &changes).await;
    let mut person = gw.person();
    person.headers.push(("accept-language", "de"));
    let page = html(&opened(&gw, &mut person, &start).await.1);
    assert!(page.contains("Hafenbudget möchte verbunden werden") && page.contains("Über Hafenbudget"));
    assert_eq!(link(&page, "Datenschutzerklärung").as_deref(), Some("https://harbour.example/datenschutz"));
    assert_eq!(link(&page, ">Website").as_deref(), Some("https://harbour.example/"));
    // Not over TLS: not linked. Images from elsewhere would tell who is here.
    assert!(!page.contains("/terms") && !page.contains("images.example") && !page.contains("<img"));
    let none = look(&mut person, &at(&gw, &format!("/assets/theme.css?client={client}"))).await;
    assert_eq!(none.status, 404);
    gw.sandbox.stop().await;
}

/// WCAG 2.2 §1.4.3: a client's colour must be readable on every paper of ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_theme_that_cannot_be_read_is_not_registered() {
    let gw = by_hand_unfiltered().await;
    let tpp = gw.tpp().await;
    let endpoint = tpp.endpoint("registration_endpoint").unwrap();
    for theme in [
        json!({ "accent": "#ffcc00" }),
        json!({ "accent": "#6a1b9a", "accent_dark": "#6a1b9a" }),
        json!({ "accent": "#6a1b9a", "background": "#000000" }),
        json!({ "accent": "red;} body { display: none" }),
    ] {
        let given = metadata(&json!({ "consentry_theme": theme }));
        let refused = tpp.http.post_json(endpoint, &[], &given).await.unwrap();
        assert_error(&refused, 400, "invalid_client_metadata");
        assert!(refused.text("/error_description").contains("consentry_theme"), "{theme}");
    }
    for uri in ["javascript:alert(1)", "harbour.example"] {
        let refused = tpp.http.post_json(endpoint, &[], &metadata(&json!({ "tos_uri": uri }))).await.unwrap();
        assert_error(&refused, 400, "invalid_client_metadata");
    }
    gw.sandbox.stop().await;
}

/// The theme is a style sheet of ours, as the policy of the pages demands; the
/// pages of another client do not have it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_theme_is_the_clients_own_style_sheet() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let changes = json!({ "consentry_theme": { "accent": "#6A1B9A", "accent_dark": "#ce93d8" } });
    let (client, start) = journey_of(&tpp, &changes).await;
    let mut person = gw.person();
    let (_, shown) = opened(&gw, &mut person, &start).await;
    assert!(shown.header("content-security-policy").unwrap().contains("style-src 'self'"));
    let page = html(&shown);
    let address = format!("/assets/theme.css?client={client}");
    let linked = page.split("<link rel=\"stylesheet\" href=\"").nth(2).unwrap().split('"').next().unwrap();
    assert_eq!(linked.replace("&#61;", "="), address);
    assert!(!page.contains("<style"));
    let sheet = look(&mut person, &at(&gw, &address)).await;
    assert_eq!(sheet.header("content-type"), Some("text/css; charset=utf-8"));
    assert_eq!(
        html(&sheet),
        ":root { --deed: #6a1b9a; }\n@media (prefers-color-scheme: dark) { :root { --deed: #ce93d8; } }\n"
    );
    let (_, start) = journey_of(&tpp, &json!({})).await;
    let (_, plain) = opened(&gw, &mut person, &start).await;
    assert!(!html(&plain).contains("theme.css"));
    gw.sandbox.stop().await;
}
