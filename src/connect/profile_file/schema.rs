//! The JSON Schema (2020-12) of a profile file, for editors and for checks
//! outside the gateway. The reader is the judge; the tests hold the two together.

use domain::{Capability, PaymentScheme};
use serde_json::{Map, Value, json};

use super::berlin_group::PSU_HEADERS;
use super::selftest::OPERATIONS;
use super::{DIALECTS, FROM_DEPLOYMENT, VERSIONS};
use crate::mapping::RULE;
use crate::profile::PLUGIN;
use crate::quirk::STEP_WORDS;
use crate::{
    AccountReference, BankErrorKind, BookingFilter, ConsentKind, FileReport, MapTarget, NoticeContent,
    PaymentField, QuirkName, RequiredField, StartAuthorisation,
};

/// How a version is written.
const VERSION: &str = "^[0-9]+(\\.[0-9]+)*$";

/// The JSON Schema of a profile file.
#[must_use]
pub fn profile_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Consentry bank profile",
        "description": "A group of brands: defaults for all of them, and what each overrides. Tables merge, quirks add up, anything else replaces.",
        "type": "object",
        "required": ["group", "brand"],
        "additionalProperties": false,
        "properties": {
            "group": text("Name of the group of brands."),
            "defaults": {
                "description": "What holds for every brand of the file.",
                "$ref": "#/$defs/brand",
            },
            "brand": {
                "description": "The brands.",
                "type": "array",
                "items": { "$ref": "#/$defs/brand", "required": ["id", "name"] },
            },
        },
        "$defs": {
            "brand": table("What is particular about a bank.", &[], brand()),
            "api": api(),
            "quirk": quirk(),
        },
    })
}

fn brand() -> Value {
    let mut keys = who();
    keys.extend(what());
    keys.extend(how());
    Value::Object(keys)
}

/// Who the bank is.
fn who() -> Map<String, Value> {
    members(json!({
        "id": {
            "description": "Our name of the brand.",
            "type": "string",
            "examples": ["gb-examplebank"],
        },
        "name": text("The bank's name as its customers know it."),
        "dialect": {
            "description": "The standard that it speaks, or the plugin that speaks to it.",
            "anyOf": [
                { "enum": DIALECTS },
                { "type": "string", "pattern": format!("^{PLUGIN}[a-z0-9][a-z0-9-]{{0,62}}$") },
            ],
        },
        "region": text("Where its customers' data lives, such as uk or eu."),
        "environment": words("Whether it moves real money.", &["live", "sandbox"]),
        "countries": list("Countries (ISO 3166-1) of its customers, the home country first.", json!({ "type": "string" })),
        "bics": list("BICs (ISO 9362).", json!({ "type": "string", "pattern": "^(.{8}|.{11})$" })),
        "bank_codes": list(
            "What the national numbers of its accounts begin with: bank codes, in the UK sort codes.",
            json!({ "type": "string", "pattern": "^([ -]*[A-Za-z0-9]){3,11}[ -]*$" }),
        ),
        "note": text("What an operator should know."),
    }))
}

/// What it can do.
fn what() -> Map<String, Value> {
    let capabilities: Vec<_> = Capability::ALL.iter().map(|capability| capability.as_str()).collect();
    let rails: Vec<_> = PaymentScheme::ALL.iter().map(|rail| rail.as_str()).collect();
    members(json!({
        "capabilities": list("What it can do.", words("A capability.", &capabilities)),
        "payment_schemes": list("Rails of its payments.", words("A rail.", &rails)),
        "payment_constraints": table("What it wants of payments beyond their standard.", &[], json!({
            "max_amounts": {
                "description": "Most in one payment, by rail, in the rail's currency.",
                "type": "object",
                "propertyNames": words("A rail.", &rails),
                "additionalProperties": { "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?$" },
            },
            "required": list("What an order must have that others may leave out.", words("A member.", RequiredField::WORDS)),
            "creditor_name_max": number("Longest name of a creditor; 140 if absent."),
            "remittance_max": number("Longest unstructured remittance; 140 if absent."),
            "max_days_ahead": number("How many days ahead an order may be."),
            "schema": { "description": "Whatever else can be said of an order as JSON Schema (draft 2020-12).", "type": "object", "$ref": "https://json-schema.org/draft/2020-12/schema" },
        })),
        "sca": list("Ways of authentication, the preferred one first.", words("A way.", &["redirect", "oauth", "decoupled", "embedded"])),
        "psu_id_required": switch("It wants the person's user name before authentication; our page asks for it."),
        "customer_authentication": switch("It authenticates its customers; false at sandboxes that only ask to confirm."),
        "max_consent_days": number("Longest life of a consent, days."),
        "max_history_days": number("Oldest data that it gives, days; 90 if absent."),
        "fresh_history": table("Older data that it gives for a while after authentication.", &["minutes", "days"], json!({
            "minutes": number("For so long, from the lodging of the consent."),
            "days": number("Oldest data then."),
        })),
        "unattended": table("How accesses without the PSU count; together if absent.", &["counting"], json!({
            "counting": words("All together, each kind of data of each account apart, all of a part of the day as one, or not at all.", super::unattended::WORDS),
            "slot_minutes": number("Length of such a part of the day, from midnight, UTC."),
        })),
        "max_days_per_query": number("Most days of transactions that one question may ask for, both ends counted; any if absent."),
        "refused_permissions": list("Permissions, in the words of the standard, that it refuses a consent for.", text("A permission.")),
        "absent_paths": list("Paths of the standard that it does not serve.", text("A path.")),
        "extras": list("What it offers beyond the standard.", words("An extra.", &["pots", "vrp-consent-migration"])),
        "allow_weaker": allow_weaker(),
        "quirks": list("Deviations from the standard; everything is strict unless named here.", json!({ "$ref": "#/$defs/quirk" })),
    }))
}

/// How it is reached.
fn how() -> Map<String, Value> {
    let api = |description: &str| json!({ "description": description, "$ref": "#/$defs/api" });
    members(json!({
        "accounts_api": api("Where account information is."),
        "payments_api": api("Where payment initiation is."),
        "funds_api": api("Where confirmation of funds is."),
        "recurring_api": api("Where variable recurring payments are."),
        "payee_verification": table("How payees are verified there.", &[], json!({
            "address": address("What stands before /payee-verifications (EPC) or /name-verification (UK)."),
            "requesting_bic": {
                "description": "BIC by which the bank knows who asks (EPC).",
                "type": "string",
                "pattern": "^[A-Za-z0-9]{4}[A-Za-z]{2}([A-Za-z0-9]{2}|[A-Za-z0-9]{5})$",
            },
        })),
        "notifications": notifications(),
        "authorization_server": authorization_server(),
        "registration": registration(),
        "signing": signing(),
        "client_id": slot("Our client identifier at the bank."),
        "client_auth": words("How we authenticate as its client.", &["certificate", "signed-assertion", "shared-secret"]),
        "financial_id": slot("The bank's identifier in its directory (x-fapi-financial-id)."),
        "hosts": list("Further hosts that calls may go to; a leading dot means every host below.", json!({
            "type": "string",
            "pattern": "^\\.?[A-Za-z0-9.-]*\\.[A-Za-z0-9.-]*$",
        })),
        "berlin_group": berlin_group(),
        "uk_open_banking": table("What the standard leaves open, as this bank has it; for the dialect uk-open-banking.", &[], json!({
            "file_report": words("Form of its reports on the payments of a file; it is not asked for any if absent.", FileReport::WORDS),
            "empty_answer_is_none": switch("A success without a body, in place of a list, means that there are no entries."),
        })),
        "map": map(),
        "tests": list("What the bank answers and what is to be read from it; run by banks test and banks lint.", test()),
        "limits": table("What we may ask of it at a time.", &[], json!({
            "deadline_seconds": number("Time for one call; 30 if absent."),
            "max_in_flight": number("Calls at the same time; 20 if absent."),
            "max_waiting": number("Calls that may wait for one of those places; 20 if absent."),
            "max_body_kilobytes": number("Size of an answer; 8192 if absent."),
            "retries": {
                "description": "Times that a read is repeated where the bank cannot be reached; 2 if absent.",
                "type": "integer",
                "minimum": 0,
                "maximum": 5,
            },
            "rest_seconds": number("How long a bank that is down is left alone at first; 30 if absent."),
            "hedge_after_milliseconds": number("After how long a read is asked a second time beside the first; never if absent."),
        })),
        "sandbox_users": list("Users of a sandbox, as its operator publishes them.", table("A user.", &["username", "password"], json!({
            "username": text("Login name."),
            "password": text("Password; never a real one."),
            "code": text("The code that confirms, where it is the same every time."),
            "purpose": text("What this user shows."),
        }))),
        "maintenance": list("When it says that it will not be there.", table("A time.", &["from", "until"], json!({
            "from": text("From then, such as 2026-11-29T22:00:00Z."),
            "until": text("Until then."),
            "note": text("What it says of it."),
        }))),
    }))
}

fn berlin_group() -> Value {
    let media = |description: &str| {
        list(description, json!({ "type": "string", "pattern": "^[A-Za-z0-9+.-]+/[A-Za-z0-9+.-]+$" }))
    };
    table(
        "What the standard leaves open, as this bank has it; for the dialect berlin-group.",
        &[],
        json!({
            "consents": list("How access may be asked for; account-list, bank-offered and global if absent.", words("A way.", ConsentKind::WORDS)),
            "recurring_only": switch("Consents for one use are refused: all are asked for as recurring."),
            "max_frequency_per_day": {
                "description": "Most accesses a day without the PSU that may be asked for.",
                "type": "integer",
                "minimum": 1,
                "maximum": 4,
            },
            "booking_statuses": list("Booking statuses that can be asked for; all if absent.", words("A status.", BookingFilter::WORDS)),
            "transactions_need_balances": switch("Transactions are given only under consents that name balances too."),
            "transaction_formats": media("Media types of transactions, the preferred one first; JSON, XML and text if absent."),
            "payment_status_formats": media("Media types of a payment's status, the preferred one first; JSON if absent."),
            "account_references": list("How accounts may be named; every way if absent.", words("A way.", AccountReference::WORDS)),
            "card_accounts": switch("Card accounts are listed beside the accounts."),
            "transaction_details": switch("One transaction can be asked for by its identifier."),
            "funds_consents": address("Where it takes consents to confirmation of funds through its interface: what stands before /consents/confirmation-of-funds, version included."),
            "payment_products": list("Products of single payments; those of payment_schemes if absent.", json!({ "type": "string", "pattern": "^(pain\\.001-)?[a-z0-9-]+$" })),
            "required_payment_fields": list("What a payment must have beyond the standard.", words("A field.", PaymentField::WORDS)),
            "start_authorisation": words("Who begins authentication after lodging; auto says nothing.", StartAuthorisation::WORDS),
            "headers": {
                "description": "Headers of every request, as the bank fixes them.",
                "type": "object",
                "additionalProperties": { "type": "string" },
            },
            "psu_headers_together": list("Headers about the PSU that are sent together or not at all.", words("A header.", PSU_HEADERS)),
            "psu_id_type": text("PSU-ID-Type, where the bank wants one beside the identifier."),
            "psu_id_unwanted": switch("The identifier of the PSU must not be sent with a consent or payment."),
            "token_header": text("Header in which it wants the access token; Authorization if absent."),
            "pain_day_of_at_once": text("Day that stands in pain.001 for a payment at once, YYYY-MM-DD; the day of the order if absent."),
        }),
    )
}

fn map() -> Value {
    let rule =
        |what: &str| json!({ "description": what, "type": "string", "minLength": 1, "maxLength": RULE });
    let rules = |target: MapTarget| {
        let fields = target.fields().iter().map(|(field, what)| ((*field).to_owned(), rule(what)));
        (target.as_str().to_owned(), table("Rules, one for a field.", &[], Value::Object(fields.collect())))
    };
    let mut keys: Map<String, Value> = MapTarget::ALL.into_iter().map(rules).collect();
    let patterns = json!({
        "description": "Regular expressions that rules know by these names.",
        "type": "object",
        "propertyNames": { "pattern": "^[a-z][a-z0-9_]*$" },
        "additionalProperties": rule("A regular expression."),
    });
    keys.insert("patterns".into(), patterns);
    table(
        "Rules for what names cannot say, in Rhai; docs/profiles.md has what they can use.",
        &[],
        Value::Object(keys),
    )
}

fn test() -> Value {
    let kinds: Vec<_> = BankErrorKind::ALL.iter().map(|kind| kind.code()).collect();
    let mut test = members(table(
        "A test.",
        &["name", "operation", "given"],
        json!({
            "name": text("What is tested."),
            "operation": words("What was asked for.", OPERATIONS),
            "status": { "description": "Status of the answer; 200 if absent.", "type": "integer", "minimum": 100, "maximum": 999 },
            "headers": {
                "description": "Headers of the answer; Content-Type is application/json if absent.",
                "type": "object",
                "additionalProperties": { "type": "string" },
            },
            "given": { "description": "The answer: a text, or a table for JSON.", "type": ["string", "object"] },
            "expect": list(
                "What is read: entries in their order, each with at least these fields; an empty text for one that is absent.",
                json!({ "type": "object" }),
            ),
            "expect_error": words("Kind of the error instead.", &kinds),
        }),
    ));
    test.insert("oneOf".into(), json!([{ "required": ["expect"] }, { "required": ["expect_error"] }]));
    Value::Object(test)
}

fn authorization_server() -> Value {
    table(
        "Its OAuth server. Endpoints that are not here are read from its metadata.",
        &["response_type"],
        json!({
            "issuer": slot("Issuer identifier, an https address."),
            "metadata_url": address("Its metadata, where it is not below the issuer."),
            "authorization_endpoint": address("Authorization endpoint, before that of the metadata."),
            "token_endpoint": address("Token endpoint, before that of the metadata."),
            "pushed_authorization_request_endpoint": address("Endpoint of pushed requests, before that of the metadata."),
            "jwks_uri": address("Its keys, before those of the metadata."),
            "registration_endpoint": address("Where clients register (RFC 7591), before that of the metadata."),
            "signed_request_object": switch("It wants a signed request object (RFC 9101)."),
            "pushed_requests": switch("It takes pushed requests (RFC 9126)."),
            "response_type": words("What it is asked for.", &["code", "code id_token"]),
            "response_mode": words("Where the answer stands in the address.", &["query", "fragment"]),
        }),
    )
}

fn notifications() -> Value {
    table(
        "How it tells us that a consent or payment has changed there; for the dialects uk-open-banking and berlin-group.",
        &[],
        json!({
            "push": switch("It sends to an address of ours."),
            "poll_seconds": number("How often its events are fetched (uk-open-banking); never if absent."),
            "events_api": { "description": "What stands before /event-subscriptions and /events (uk-open-banking); absent where our address is given to the bank in another way.", "$ref": "#/$defs/api" },
            "issuer": address("iss of its tokens (uk-open-banking); the issuer of its authorization server if absent."),
            "content": list("What it is asked to notify of (berlin-group); PROCESS if absent.", words("A content.", NoticeContent::WORDS)),
            "organisation": text("organizationIdentifier of the client certificate that it must show; it need not show one if absent."),
        }),
    )
}

fn registration() -> Value {
    table(
        "How we become its client.",
        &[],
        json!({
            "automatic": switch("By a request (RFC 7591); otherwise by hand at its portal."),
            "version": words("Version of UK Dynamic Client Registration.", super::registration::VERSIONS),
            "request": words("What the request is: a signed JWT (UK), which is meant if absent, or JSON (RFC 7591).", &super::registration::FORMS),
            "organisation_id_in_subject": words(
                "How it writes the organisation identifier (2.5.4.97) of our certificate's subject.",
                &super::registration::SPELLINGS,
            ),
            "read": switch("A registration can be read."),
            "update": switch("A registration can be replaced."),
            "delete": switch("A registration can be deleted."),
            "shared_as": text("Brands with the same word share one registration."),
        }),
    )
}

fn signing() -> Value {
    let way = |method: &str, required: &[&str], keys: Value| {
        let mut keys = members(keys);
        keys.insert("method".into(), json!({ "const": method }));
        let required = [&["method"], required].concat();
        table("A way of signing.", &required, Value::Object(keys))
    };
    let jws = json!({
        "trust_anchor": text("http://openbanking.org.uk/tan: DNS name of the trust anchor."),
        "issuer": text("http://openbanking.org.uk/iss, where it is not our own."),
        "verify_answers": switch("It signs what it answers about payments, by a key of its jwks_uri; what does not verify is no answer."),
    });
    json!({
        "description": "What it wants signed with our seal; nothing if absent.",
        "oneOf": [
            way("none", &[], json!({})),
            way("digest-signature", &[], json!({})),
            way("detached-jws", &["trust_anchor"], jws),
            way("digest-signature-by-url", &["key_url"], json!({
                "key_url": text("Address of our QSealC, in which {sha256} stands for its fingerprint."),
            })),
            way("message-signature", &[], json!({
                "key_id": text("Name of our key, in which {sha256} stands for the fingerprint of the certificate; SN=…,CA=… if absent."),
                "tag": text("What the signature is for (RFC 9421 section 2.3)."),
            })),
            way("body-jws", &[], json!({})),
        ],
    })
}

fn api() -> Value {
    let mut keys = Map::new();
    let versions = VERSIONS.join(", ");
    keys.insert(
        "use".into(),
        json!({
            "description": format!("The version in use: {versions}; of a plugin's bank the bank's own."),
            "type": "string",
            "maxLength": 32,
            "pattern": VERSION,
        }),
    );
    let address = slot("Base address in this version, an https address.");
    for version in VERSIONS {
        keys.insert((*version).to_owned(), address.clone());
    }
    let mut api = members(table("An API, by version.", &["use"], Value::Object(keys)));
    api.insert("patternProperties".into(), json!({ VERSION: address }));
    Value::Object(api)
}

fn allow_weaker() -> Value {
    let weaker = QuirkName::ALL.iter().filter_map(|name| {
        let unchecked = name.weakens()?;
        Some((name.as_str().to_owned(), text(&format!("Why it may be that {unchecked}."))))
    });
    let description =
        "Quirks that weaken a check, each with the reason why it may; without one the bank is not loaded.";
    table(description, &[], Value::Object(weaker.collect()))
}

/// Every quirk with the parameters it may have.
fn quirk() -> Value {
    let quirks: Vec<Value> = QuirkName::ALL.iter().map(|name| one_quirk(*name)).collect();
    json!({
        "description": "A deviation, where it shows, and its parameters.",
        "oneOf": quirks,
    })
}

fn one_quirk(name: QuirkName) -> Value {
    let step = STEP_WORDS.join("|").replace('*', "\\*");
    let mut keys = members(json!({
        "name": { "const": name.as_str() },
        "at": list("Steps at which it shows, such as aisp.consent.post or token.refresh.*; everywhere if absent.", json!({ "type": "string", "pattern": format!("^({step})(\\.({step}))*$") })),
        "versions": list("Versions of the standard in which it shows; all if absent.", words("A version.", VERSIONS)),
        "evidence": words("How it is known.", &["tests", "adjustment"]),
    }));
    for parameter in name.parameters() {
        keys.insert((*parameter).to_owned(), json!({ "description": "A parameter of this quirk." }));
    }
    table(name.description(), &["name"], Value::Object(keys))
}

fn text(description: &str) -> Value {
    json!({ "description": description, "type": "string", "minLength": 1 })
}

/// A text that the deployment may have to give.
fn slot(description: &str) -> Value {
    json!({
        "description": format!("{description} `{FROM_DEPLOYMENT}` is a slot that the operator must fill."),
        "type": "string",
        "minLength": 1,
    })
}

fn address(description: &str) -> Value {
    json!({ "description": description, "type": "string", "pattern": "^https://" })
}

fn words(description: &str, words: &[&str]) -> Value {
    json!({ "description": description, "enum": words })
}

fn switch(description: &str) -> Value {
    json!({ "description": description, "type": "boolean" })
}

fn number(description: &str) -> Value {
    json!({ "description": description, "type": "integer", "minimum": 1, "maximum": u16::MAX })
}

fn list(description: &str, items: Value) -> Value {
    json!({ "description": description, "type": "array", "items": items })
}

fn table(description: &str, required: &[&str], properties: Value) -> Value {
    json!({
        "description": description,
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    })
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

#[cfg(test)]
mod tests;
