//! What a person is told of the payee's name before paying (Regulation (EU) 2024/886 art. 1).

use consentry::demo::{RETURN, Tpp};
use serde_json::{Value, json};

use crate::pages_person::{by_hand, form_token, html, opened, send};
use crate::support::{EU, TestGateway, UK};

/// Ben's account at each bank.
fn ben_at(bank: &str) -> (&'static str, Value) {
    if bank == UK {
        let account = json!({ "sort_code": "990011", "account_number": "20000018" });
        return ("Ben Okafor", json!({ "sort_code_account_number": account }));
    }
    ("Ben Yilmaz", json!({ "iban": "DE42999100002000000018" }))
}

/// An order that pays Ben under a name, whose payee is to be verified.
fn order(bank: &str, name: &str) -> Value {
    let currency = if bank == UK { "GBP" } else { "EUR" };
    json!({
        "institution_id": bank,
        "amount": { "amount": "12.34", "currency": currency },
        "creditor": { "name": name },
        "creditor_account": ben_at(bank).1,
        "redirect_uri": RETURN,
        "verify_payee": true,
    })
}

/// The page on which a person approves an order.
async fn page_of(gw: &TestGateway, tpp: &Tpp, order: &Value) -> String {
    let own = tpp.own_token("payments").await.unwrap();
    let ordered = tpp.post(&own, "/v1/payments", order).await.unwrap().expect(201).unwrap();
    let (_, page) = opened(gw, &mut gw.person(), &ordered.text("/authorization/href")).await;
    assert_eq!(page.status, 200);
    html(&page)
}

/// A close match names the holder, another holder is named by nobody, and the holder's own name
/// needs no words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_warns_of_a_payee_who_goes_by_another_name() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    for bank in [UK, EU] {
        let name = ben_at(bank).0;
        let matched = page_of(&gw, &tpp, &order(bank, name)).await;
        assert!(!matched.contains("role=\"alert\"") && !matched.contains("class=\"wrong\""), "{bank}");
        let initial = format!("B. {}", name.split(' ').nth(1).unwrap());
        let close = page_of(&gw, &tpp, &order(bank, &initial)).await;
        let says = format!("is held by {name}, not by {initial}.");
        assert!(close.contains("class=\"wrong\"") && close.contains(&says), "{close}");
        let other = page_of(&gw, &tpp, &order(bank, "Corner Bookshop")).await;
        assert!(other.contains("is not held by Corner Bookshop") && !other.contains(name), "{other}");
        let silent = page_of(&gw, &tpp, &order(bank, "Verify Nobody")).await;
        assert!(silent.contains("Nobody could say whether the account is held by Verify Nobody"), "{silent}");
        let mut unasked = order(bank, "Corner Bookshop");
        unasked["verify_payee"] = json!(false);
        assert!(!page_of(&gw, &tpp, &unasked).await.contains("class=\"wrong\""), "{bank}");
    }
    gw.sandbox.stop().await;
}

/// The bank is asked once, however often the person looks; and what it calls the payee is text.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_payees_bank_is_asked_once_and_the_person_may_go_on() {
    let gw = by_hand().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let body = order(EU, "Corner <b>Bookshop</b>");
    let ordered = tpp.post(&own, "/v1/payments", &body).await.unwrap().expect(201).unwrap();
    let mut person = gw.person();
    let (url, first) = opened(&gw, &mut person, &ordered.text("/authorization/href")).await;
    let again = crate::pages_person::look(&mut person, &url).await;
    for page in [&first, &again] {
        assert!(html(page).contains("class=\"wrong\"") && !html(page).contains("<b>"), "{}", html(page));
    }
    let journal = gw.sandbox.bank(EU).unwrap().1.entries();
    assert_eq!(journal.iter().filter(|entry| entry.path.contains("payee-verifications")).count(), 1);
    let token = form_token(&html(&again));
    let sent = send(&mut person, &url, &[("form_token", &token), ("decision", "approve")]).await;
    assert_eq!(sent.status, 303);
    let shown = tpp.get(&own, &format!("/v1/payments/{}", ordered.text("/id"))).await.unwrap();
    assert_eq!(shown.text("/payee_verification/result"), "NO_MATCH");
    assert_eq!(shown.text("/state"), "AUTHORIZING");
    gw.sandbox.stop().await;
}
