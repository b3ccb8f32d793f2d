//! Mutants of banks, and of the registration of clients.

use serde_json::{Value, json};

use super::answers::change_json;
use super::list::{How, Mutant};
use super::world::{Asked, World};
use crate::http::Response;
use crate::target::{Configuration, Dialect};

const UK: &str = "uk-functional";
const BG: &str = "berlin-group-functional";
const STET: &str = "stet-functional";
const PL: &str = "polish-api-functional";
const DCR: &str = "dcr";

/// Those for what a configuration describes: a bank of some standard, the registration of clients.
pub fn of_banks(configuration: &Configuration) -> impl Iterator<Item = &'static Mutant> {
    let bank = configuration.bank.as_ref().map(|bank| match bank.dialect {
        Dialect::UkOpenBanking => UK,
        Dialect::BerlinGroup => BG,
        Dialect::Stet => STET,
        Dialect::PolishApi => PL,
    });
    let registers = configuration.registration.is_some();
    MUTANTS.iter().filter(move |mutant| Some(mutant.profile) == bank || (registers && mutant.profile == DCR))
}

const fn mutant(
    profile: &'static str,
    name: &'static str,
    breaks: &'static str,
    caught_by: &'static [&'static str],
    how: How,
) -> Mutant {
    Mutant { name, breaks, profile, caught_by, how }
}

const MUTANTS: &[Mutant] = &[
    mutant(UK, "uk-interaction-id-dropped", "answers without x-fapi-interaction-id",
        &["OB-301-ACC-100000", "OB-301-ACC-100700", "uk-interaction-id-minted"], How::After(no_interaction_id)),
    mutant(UK, "uk-interaction-id-own", "answers with an interaction id of its own",
        &["OB-301-ACC-100700", "OB-301-TRA-105500"], How::After(own_interaction_id)),
    mutant(UK, "uk-unknown-account-known", "answers for an account that there is not",
        &["OB-301-BAL-101600", "OB-301-TRA-105700"], How::After(unknown_account)),
    mutant(UK, "uk-unknown-is-404", "answers 404 where the standard has 400",
        &["uk-account-consent-unknown", "uk-payment-order-unknown", "OB-301-VRP-102150"], How::After(not_found)),
    mutant(UK, "uk-permission-forgotten", "tells balances without the permission",
        &["OB-301-BAL-101400"], How::After(allowed)),
    mutant(UK, "uk-numbers-always", "tells account numbers whatever was permitted",
        &["uk-accounts-basic-hides-numbers"], How::After(numbers)),
    mutant(UK, "uk-narrative-always", "tells narratives whatever was permitted",
        &["uk-transactions-basic-hides-narrative"], How::After(narrative)),
    mutant(UK, "uk-direction-forgotten", "tells debits where credits were permitted",
        &["uk-transactions-credits-only", "uk-transactions-debits-only"], How::After(other_direction)),
    mutant(UK, "uk-token-not-asked-for", "answers without a token",
        &["OB-301-ACC-100600", "OB-301-ACC-101100"], How::After(no_token)),
    mutant(UK, "uk-idempotency-forgotten", "takes every request for a new one",
        &["uk-payment-idempotent", "uk-payment-order-idempotent"], How::Before(other_key)),
    mutant(UK, "uk-answers-unsigned", "does not sign its answers",
        &["OB-301-DOP-100100", "OB-301-VRP-100100"], How::After(unsigned)),
    mutant(UK, "uk-answers-changed", "changes answers after it signed them",
        &["OB-301-DOP-100100", "OB-301-DOP-100700"], How::After(one_more_space)),
    mutant(UK, "uk-signature-not-asked-for", "takes consents without a signature",
        &["OB-316-DOP-100310"], How::After(signature_missing)),
    mutant(UK, "uk-signature-not-verified", "takes consents with a wrong signature",
        &["uk-payment-signature-tampered", "uk-payment-signature-of-another-body"], How::After(signature_wrong)),
    mutant(UK, "uk-status-word-of-3", "says AwaitingAuthorisation in version 4",
        &["uk-account-consent-awaits"], How::After(older_word)),
    mutant(UK, "uk-consent-pays-twice", "places a second order under a consent",
        &["uk-payment-order-once"], How::After(consumed)),
    mutant(UK, "uk-order-not-compared", "places an order that differs from its consent",
        &["uk-payment-order-differs"], How::After(mismatch)),
    mutant(UK, "uk-limits-forgotten", "pays above the control parameters",
        &["uk-recurring-too-much-at-once", "uk-recurring-too-much-in-all"], How::After(limits)),
    mutant(UK, "uk-deleted-is-there", "shows a consent that was deleted",
        &["uk-account-consent-deleted", "OB-301-VRP-102150"], How::After(still_there)),
    mutant(BG, "bg-request-id-dropped", "answers without X-Request-ID",
        &["bg-consent-lodged", "bg-request-id-echoed"], How::After(no_request_id)),
    mutant(BG, "bg-consent-id-ignored", "reads accounts without Consent-ID",
        &["bg-consent-id-missing"], How::Both(known_consent, remember_consent)),
    mutant(BG, "bg-no-transaction-id", "tells transactions without their names",
        &["bg-transaction-details"], How::After(no_transaction_id)),
    mutant(BG, "bg-frequency-forgotten", "counts no accesses", &["bg-frequency-exceeded"], How::Before(present)),
    mutant(BG, "bg-status-words", "has words of its own for payments",
        &["bg-payment-lodged", "bg-payment-status-received"], How::After(own_words)),
    mutant(BG, "bg-404-for-400", "answers 404 for a parameter that is wrong",
        &["bg-transactions-status-unknown", "bg-consent-past"], How::After(wrong_is_unknown)),
    mutant(BG, "bg-consent-valid-at-once", "takes a consent for valid that nobody approved",
        &["bg-consent-status-received"], How::After(valid_at_once)),
    mutant(BG, "bg-signature-not-asked-for", "takes consents without a signature",
        &["bg-signature-missing"], How::After(unsealed)),
    mutant(STET, "stet-no-hal", "says application/json", &["stet-accounts", "stet-payment-lodged"], How::After(no_hal)),
    mutant(STET, "stet-no-links", "answers without links", &["stet-accounts", "stet-balances"], How::After(no_links)),
    mutant(STET, "stet-choice-forgotten", "tells what was not chosen",
        &["stet-consent-narrowed", "stet-consent-identity-withheld"], How::After(told_anyway)),
    mutant(STET, "stet-confirmed-too-early", "confirms what nobody approved",
        &["stet-payment-confirmed-too-early"], How::After(confirmed_early)),
    mutant(PL, "pl-answers-unsigned", "does not sign its answers", &["pl-accounts", "pl-payment"], How::After(unsigned)),
    mutant(PL, "pl-answers-changed", "changes answers after it signed them", &["pl-accounts"], How::After(one_more_space)),
    mutant(PL, "pl-privilege-forgotten", "tells what the person did not allow",
        &["pl-privilege-missing"], How::After(told_anyway)),
    mutant(PL, "pl-approval-pays-twice", "pays twice for one approval", &["pl-payment-once"], How::After(paid_again)),
    mutant(DCR, "dcr-token-not-asked-for", "shows a registration to anybody",
        &["DCR-007", "DCR-003", "dcr-without-token"], How::After(shown)),
    mutant(DCR, "dcr-statement-believed", "believes every statement",
        &["dcr-statement-none", "dcr-statement-expired", "dcr-statement-tampered", "dcr-statement-of-another-issuer"],
        How::After(believed)),
    mutant(DCR, "dcr-any-redirect-uri", "registers every redirect_uri",
        &["dcr-redirect-uri-http", "dcr-redirect-uri-fragment"], How::After(redirected)),
    mutant(DCR, "dcr-any-metadata", "registers every metadata",
        &["DCR-011", "dcr-auth-method-none", "dcr-scope-unknown", "dcr-alg-rs256"], How::After(any_metadata)),
    mutant(DCR, "dcr-secret", "hands out a client secret", &["DCR-002", "DCR-008"], How::After(secret)),
    mutant(DCR, "dcr-deleted-is-there", "forgets nothing", &["DCR-002", "DCR-003", "DCR-010"], How::Before(not_deleted)),
];

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

fn no_interaction_id(_: &World, _: &Asked, answer: &mut Response) {
    drop_header(answer, "x-fapi-interaction-id");
}

fn own_interaction_id(_: &World, _: &Asked, answer: &mut Response) {
    if answer.header("x-fapi-interaction-id").is_some() {
        drop_header(answer, "x-fapi-interaction-id");
        answer.headers.push(("x-fapi-interaction-id".to_owned(), uuid::Uuid::new_v4().to_string()));
    }
}

fn unknown_account(_: &World, asked: &Asked, answer: &mut Response) {
    if asked.request.url.path().contains("/accounts/foobar/") {
        answer.status = 200;
        answer.body = json!({"Data": {}, "Links": {}, "Meta": {}}).to_string().into();
    }
}

fn not_found(_: &World, _: &Asked, answer: &mut Response) {
    if answer.status == 400 && answer.text().contains("U011") {
        answer.status = 404;
    }
}

fn allowed(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "/balances", "", 200);
}

fn numbers(_: &World, asked: &Asked, answer: &mut Response) {
    if asked.request.url.path().ends_with("/accounts") {
        replaced(answer, "\"AccountId\"", "\"Account\":[{\"Identification\":\"1\"}],\"AccountId\"");
    }
}

fn narrative(_: &World, asked: &Asked, answer: &mut Response) {
    if asked.request.url.path().ends_with("/transactions") {
        replaced(answer, "\"TransactionId\"", "\"TransactionInformation\":\"Rent\",\"TransactionId\"");
    }
}

fn other_direction(_: &World, asked: &Asked, answer: &mut Response) {
    if asked.request.url.path().ends_with("/transactions") {
        let text = answer.text();
        let (credit, debit) = ("\"CreditDebitIndicator\":\"Credit\"", "\"CreditDebitIndicator\":\"Debit\"");
        let turned = if text.contains(credit) { text.replace(credit, debit) } else { text.replace(debit, credit) };
        answer.body = turned.into();
    }
}

fn no_token(_: &World, asked: &Asked, answer: &mut Response) {
    if of_interface(asked) && answer.status == 401 {
        answer.status = 200;
    }
}

fn other_key(_: &World, asked: &mut Asked) {
    for (name, value) in &mut asked.request.headers {
        if name == "x-idempotency-key" {
            *value = crate::case::random(24);
        }
    }
}

fn unsigned(_: &World, _: &Asked, answer: &mut Response) {
    drop_header(answer, "x-jws-signature");
}

fn one_more_space(_: &World, asked: &Asked, answer: &mut Response) {
    if of_interface(asked) && !answer.body.is_empty() {
        answer.body = format!("{} ", answer.text()).into();
    }
}

fn signature_missing(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "-consents", "U019", 201);
}

fn signature_wrong(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "-consents", "U015", 201);
}

fn older_word(_: &World, asked: &Asked, answer: &mut Response) {
    if asked.request.url.path().contains("/account-access-consents") {
        replaced(answer, "AWAU", "AwaitingAuthorisation");
    }
}

fn consumed(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "/domestic-payments", "U009", 201);
}

fn mismatch(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "/domestic-payments", "U008", 201);
}

fn limits(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "/domestic-vrps", "U014", 201);
}

fn still_there(_: &World, asked: &Asked, answer: &mut Response) {
    if asked.request.method == "GET" {
        pardoned(asked, answer, "-consents/", "U011", 200);
    }
}

fn no_request_id(_: &World, _: &Asked, answer: &mut Response) {
    drop_header(answer, "x-request-id");
}

fn remember_consent(world: &World, _: &Asked, answer: &mut Response) {
    if let Some(id) = answer.json().get("consentId").and_then(Value::as_str) {
        world.state().notes.insert("consent".to_owned(), id.to_owned());
    }
}

fn known_consent(world: &World, asked: &mut Asked) {
    let reads = asked.request.url.path().starts_with("/v1/accounts");
    let named = asked.request.headers.iter().any(|(name, _)| name == "consent-id");
    if let Some(id) = world.state().notes.get("consent").filter(|_| reads && !named) {
        asked.request.headers.push(("consent-id".to_owned(), id.clone()));
    }
}

fn no_transaction_id(_: &World, _: &Asked, answer: &mut Response) {
    replaced(answer, "\"transactionId\"", "\"internalId\"");
}

fn present(_: &World, asked: &mut Asked) {
    if !asked.request.headers.iter().any(|(name, _)| name == "psu-ip-address") {
        asked.request.headers.push(("psu-ip-address".to_owned(), "192.0.2.9".to_owned()));
    }
}

fn own_words(_: &World, _: &Asked, answer: &mut Response) {
    replaced(answer, "\"RCVD\"", "\"RECEIVED\"");
}

fn wrong_is_unknown(_: &World, asked: &Asked, answer: &mut Response) {
    if of_interface(asked) && answer.status == 400 {
        answer.status = 404;
    }
}

fn valid_at_once(_: &World, asked: &Asked, answer: &mut Response) {
    if asked.request.url.path().ends_with("/status") {
        replaced(answer, "\"received\"", "\"valid\"");
    }
}

fn unsealed(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "/v1/consents", "SIGNATURE_MISSING", 201);
}

fn no_hal(_: &World, _: &Asked, answer: &mut Response) {
    for (name, value) in &mut answer.headers {
        if name == "content-type" && value.contains("hal") {
            "application/json".clone_into(value);
        }
    }
}

fn no_links(_: &World, asked: &Asked, answer: &mut Response) {
    if asked.request.method == "GET" && of_interface(asked) {
        change_json(answer, |json| drop(json.remove("_links")));
    }
}

fn told_anyway(_: &World, asked: &Asked, answer: &mut Response) {
    if of_interface(asked) && answer.status == 403 {
        answer.status = 200;
    }
}

fn confirmed_early(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "/confirmation", "", 200);
}

fn paid_again(_: &World, asked: &Asked, answer: &mut Response) {
    pardoned(asked, answer, "/domestic", "", 200);
}

fn registers(asked: &Asked) -> bool {
    asked.request.url.path().contains("/register")
}

fn shown(_: &World, asked: &Asked, answer: &mut Response) {
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

fn believed(_: &World, asked: &Asked, answer: &mut Response) {
    registered(asked, answer, &["invalid_software_statement", "unapproved_software_statement"]);
}

fn redirected(_: &World, asked: &Asked, answer: &mut Response) {
    registered(asked, answer, &["invalid_redirect_uri"]);
}

fn any_metadata(_: &World, asked: &Asked, answer: &mut Response) {
    registered(asked, answer, &["invalid_client_metadata"]);
}

fn secret(_: &World, asked: &Asked, answer: &mut Response) {
    if registers(asked) && answer.status == 201 {
        change_json(answer, |json| drop(json.insert("client_secret".to_owned(), json!("a secret"))));
    }
}

fn not_deleted(_: &World, asked: &mut Asked) {
    if registers(asked) && asked.request.method == "DELETE" {
        "GET".clone_into(&mut asked.request.method);
    }
}
