//! What the mutants of banks do to requests and answers.

use serde_json::{Value, json};

use crate::http::Response;
use crate::mutants::answers::change_json;
use crate::mutants::world::{Asked, World};

/// An error of a path with this in its body becomes a success.
fn pardoned(asked: &Asked, answer: &mut Response, path: &str, says: &str, status: u16) {
    if asked.request.url.path().contains(path) && answer.status >= 400 && answer.text().contains(says) {
        answer.status = status;
    }
}

fn drop_header(answer: &mut Response, name: &str) {
    answer.headers.retain(|(known, _)| known != name);
}

fn replaced(answer: &mut Response, from: &str, to: &str) {
    answer.body = answer.text().replace(from, to).into();
}

fn of_interface(asked: &Asked) -> bool {
    ["/open-banking/", "/v1/", "/stet/", "/v2_1_1.1/"]
        .iter()
        .any(|base| asked.request.url.path().starts_with(base))
}

pub(in crate::mutants) fn no_interaction_id(_: &World, _: &Asked, answer: &mut Response) {
    drop_header(answer, "x-fapi-interaction-id");
}

pub(in crate::mutants) fn own_interaction_id(_: &World, _: &Asked, answer: &mut Response) {
    if answer.header("x-fapi-interaction-id").is_some() {
        drop_header(answer, "x-fapi-interaction-id");
        answer.headers.push(("x-fapi-interaction-id".to_owned(), uuid::Uuid::new_v4().to_string()));
    }
}

pub(in crate::mutants) fn unknown_account(_: &World, asked: &Asked, answer: &mut Response) {
    if asked.request.url.path().contains("/accounts/foobar/") {
        answer.status = 200;
        answer.body = json!({"Data": {}, "Links": {}, "Meta": {}}).to_string().into();
    }
}

pub(in crate::mutants) fn not_found(_: &World, _: &Asked, answer: &mut Response) {
    if answer.status == 400 && answer.text().contains("U011") {
        answer.status = 404;
    }
}

pub(in crate::mutants) fn allowed(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "/balances", "", 200);
}

pub(in crate::mutants) fn numbers(_: &World, asked: &Asked, answer: &mut Response) {
    if asked.request.url.path().ends_with("/accounts") {
        replaced(answer, "\"AccountId\"", "\"Account\":[{\"Identification\":\"1\"}],\"AccountId\"");
    }
}

pub(in crate::mutants) fn narrative(_: &World, asked: &Asked, answer: &mut Response) {
    if asked.request.url.path().ends_with("/transactions") {
        replaced(answer, "\"TransactionId\"", "\"TransactionInformation\":\"Rent\",\"TransactionId\"");
    }
}

pub(in crate::mutants) fn other_direction(_: &World, asked: &Asked, answer: &mut Response) {
    if asked.request.url.path().ends_with("/transactions") {
        let text = answer.text();
        let (credit, debit) = ("\"CreditDebitIndicator\":\"Credit\"", "\"CreditDebitIndicator\":\"Debit\"");
        let turned =
            if text.contains(credit) { text.replace(credit, debit) } else { text.replace(debit, credit) };
        answer.body = turned.into();
    }
}

pub(in crate::mutants) fn no_token(_: &World, asked: &Asked, answer: &mut Response) {
    if of_interface(asked) && answer.status == 401 {
        answer.status = 200;
    }
}

pub(in crate::mutants) fn other_key(_: &World, asked: &mut Asked) {
    for (name, value) in &mut asked.request.headers {
        if name == "x-idempotency-key" {
            *value = crate::case::random(24);
        }
    }
}

pub(in crate::mutants) fn unsigned(_: &World, _: &Asked, answer: &mut Response) {
    drop_header(answer, "x-jws-signature");
}

pub(in crate::mutants) fn one_more_space(_: &World, asked: &Asked, answer: &mut Response) {
    if of_interface(asked) && !answer.body.is_empty() {
        answer.body = format!("{} ", answer.text()).into();
    }
}

pub(in crate::mutants) fn signature_missing(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "-consents", "U019", 201);
}

pub(in crate::mutants) fn signature_wrong(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "-consents", "U015", 201);
}

pub(in crate::mutants) fn older_word(_: &World, asked: &Asked, answer: &mut Response) {
    if asked.request.url.path().contains("/account-access-consents") {
        replaced(answer, "AWAU", "AwaitingAuthorisation");
    }
}

pub(in crate::mutants) fn consumed(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "/domestic-payments", "U009", 201);
}

pub(in crate::mutants) fn mismatch(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "/domestic-payments", "U008", 201);
}

pub(in crate::mutants) fn limits(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "/domestic-vrps", "U014", 201);
}

pub(in crate::mutants) fn still_there(_: &World, asked: &Asked, answer: &mut Response) {
    if asked.request.method == "GET" {
        pardoned(asked, answer, "-consents/", "U011", 200);
    }
}

pub(in crate::mutants) fn no_request_id(_: &World, _: &Asked, answer: &mut Response) {
    drop_header(answer, "x-request-id");
}

pub(in crate::mutants) fn remember_consent(world: &World, _: &Asked, answer: &mut Response) {
    if let Some(id) = answer.json().get("consentId").and_then(Value::as_str) {
        world.state().notes.insert("consent".to_owned(), id.to_owned());
    }
}

pub(in crate::mutants) fn known_consent(world: &World, asked: &mut Asked) {
    let reads = asked.request.url.path().starts_with("/v1/accounts");
    let named = asked.request.headers.iter().any(|(name, _)| name == "consent-id");
    if let Some(id) = world.state().notes.get("consent").filter(|_| reads && !named) {
        asked.request.headers.push(("consent-id".to_owned(), id.clone()));
    }
}

pub(in crate::mutants) fn no_transaction_id(_: &World, _: &Asked, answer: &mut Response) {
    replaced(answer, "\"transactionId\"", "\"internalId\"");
}

pub(in crate::mutants) fn present(_: &World, asked: &mut Asked) {
    if !asked.request.headers.iter().any(|(name, _)| name == "psu-ip-address") {
        asked.request.headers.push(("psu-ip-address".to_owned(), "192.0.2.9".to_owned()));
    }
}

pub(in crate::mutants) fn own_words(_: &World, _: &Asked, answer: &mut Response) {
    replaced(answer, "\"RCVD\"", "\"RECEIVED\"");
}

pub(in crate::mutants) fn wrong_is_unknown(_: &World, asked: &Asked, answer: &mut Response) {
    if of_interface(asked) && answer.status == 400 {
        answer.status = 404;
    }
}

pub(in crate::mutants) fn valid_at_once(_: &World, asked: &Asked, answer: &mut Response) {
    if asked.request.url.path().ends_with("/status") {
        replaced(answer, "\"received\"", "\"valid\"");
    }
}

pub(in crate::mutants) fn unsealed(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "/v1/consents", "SIGNATURE_MISSING", 201);
}

pub(in crate::mutants) fn unsealed_word(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "/authorisations/", "SIGNATURE_MISSING", 200);
}

pub(in crate::mutants) fn any_signature(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "/v1/consents", "SIGNATURE_INVALID", 201);
}

pub(in crate::mutants) fn any_order(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "/authorisations/", "STATUS_INVALID", 200);
}

pub(in crate::mutants) fn anybody(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "/v1/consents", "PSU_CREDENTIALS_INVALID", 200);
}

pub(in crate::mutants) fn no_approach(_: &World, _: &Asked, answer: &mut Response) {
    drop_header(answer, "aspsp-sca-approach");
}

pub(in crate::mutants) fn only_begun(_: &World, asked: &Asked, answer: &mut Response) {
    if asked.request.url.path().contains("/authorisations/") {
        replaced(answer, "finalised", "started");
    }
}

pub(in crate::mutants) fn no_hal(_: &World, _: &Asked, answer: &mut Response) {
    for (name, value) in &mut answer.headers {
        if name == "content-type" && value.contains("hal") {
            "application/json".clone_into(value);
        }
    }
}

pub(in crate::mutants) fn no_links(_: &World, asked: &Asked, answer: &mut Response) {
    if asked.request.method == "GET" && of_interface(asked) {
        change_json(answer, |json| drop(json.remove("_links")));
    }
}

pub(in crate::mutants) fn told_anyway(_: &World, asked: &Asked, answer: &mut Response) {
    if of_interface(asked) && answer.status == 403 {
        answer.status = 200;
    }
}

pub(in crate::mutants) fn confirmed_early(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "/confirmation", "", 200);
}

pub(in crate::mutants) fn paid_again(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "/domestic", "", 200);
}

fn registers(asked: &Asked) -> bool {
    asked.request.url.path().contains("/register")
}

pub(in crate::mutants) fn shown(_: &World, asked: &Asked, answer: &mut Response) {
    if registers(asked) && answer.status == 401 {
        answer.status = 200;
    }
}

/// A refusal becomes a registration.
fn registered(asked: &Asked, answer: &mut Response, errors: &[&str]) {
    let json = answer.json();
    let error = json.get("error").and_then(Value::as_str).unwrap_or_default();
    if registers(asked) && asked.request.method == "POST" && errors.contains(&error) {
        answer.status = 201;
        answer.body = json!({"client_id": crate::case::random(22), "redirect_uris": []}).to_string().into();
    }
}

pub(in crate::mutants) fn believed(_: &World, asked: &Asked, answer: &mut Response) {
    registered(asked, answer, &["invalid_software_statement", "unapproved_software_statement"]);
}

pub(in crate::mutants) fn redirected(_: &World, asked: &Asked, answer: &mut Response) {
    registered(asked, answer, &["invalid_redirect_uri"]);
}

pub(in crate::mutants) fn any_metadata(_: &World, asked: &Asked, answer: &mut Response) {
    registered(asked, answer, &["invalid_client_metadata"]);
}

pub(in crate::mutants) fn secret(_: &World, asked: &Asked, answer: &mut Response) {
    if registers(asked) && answer.status == 201 {
        change_json(answer, |json| drop(json.insert("client_secret".to_owned(), json!("a secret"))));
    }
}

pub(in crate::mutants) fn not_deleted(_: &World, asked: &mut Asked) {
    if registers(asked) && asked.request.method == "DELETE" {
        "GET".clone_into(&mut asked.request.method);
    }
}
