//! What every operation has to have.

use std::collections::HashMap;

use serde_json::Value;

use super::document::{Document, Operation, entries};
use crate::lint::Finding;

const OPERATION: &str = "OpenAPI 3.1 §4.8.10";
const SECURITY: &str = "OpenAPI 3.1 §4.8.30";
const RESPONSE: &str = "OpenAPI 3.1 §4.8.17";
const PROBLEM: &str = "RFC 9457 §3";
const REQUEST_IDS: [&str; 5] =
    ["x-request-id", "request-id", "x-fapi-interaction-id", "x-correlation-id", "traceparent"];

pub(super) fn check(document: &Document<'_>, findings: &mut Vec<Finding>) {
    operation_ids(document, findings);
    for operation in &document.operations {
        described(operation, findings);
        let responses = document.responses(operation);
        response_texts(&responses, findings);
        if !operation.is_webhook {
            security(document, operation, findings);
            problems(operation, &responses, findings);
        }
        success(operation, &responses, findings);
    }
    request_ids(document, findings);
    addresses(document, findings);
}

fn operation_ids(document: &Document<'_>, findings: &mut Vec<Finding>) {
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for operation in &document.operations {
        let at = operation.pointer.as_str();
        let id = operation.body.get("operationId").and_then(Value::as_str).filter(|id| !id.is_empty());
        let Some(id) = id else {
            findings.push(
                Finding::error("operation-id-missing", OPERATION, "The operation has no operationId")
                    .meant("a name by which generated clients call it, such as listAccounts")
                    .at(at),
            );
            continue;
        };
        if let Some(earlier) = seen.insert(id, at) {
            findings.push(
                Finding::error(
                    "operation-id-repeated",
                    OPERATION,
                    format!("The operationId {id} is also that of {earlier}"),
                )
                .meant("a name of its own for each operation")
                .at(at),
            );
        }
    }
}

fn described(operation: &Operation<'_>, findings: &mut Vec<Finding>) {
    let has = |key: &str| {
        operation.body.get(key).and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty())
    };
    if !has("summary") && !has("description") {
        findings.push(
            Finding::warning(
                "description-missing",
                OPERATION,
                "The operation has neither a summary nor a description",
            )
            .meant("a sentence that says what it does")
            .at(operation.pointer.as_str()),
        );
    }
}

fn response_texts(responses: &[(&str, &Value, String)], findings: &mut Vec<Finding>) {
    for (status, response, at) in responses {
        if response.get("description").and_then(Value::as_str).is_none() {
            findings.push(
                Finding::error(
                    "response-description-missing",
                    RESPONSE,
                    format!("The answer {status} has no description"),
                )
                .meant("a description, which is required here")
                .at(at.as_str()),
            );
        }
    }
}

fn security(document: &Document<'_>, operation: &Operation<'_>, findings: &mut Vec<Finding>) {
    let demanded = operation.body.get("security").or_else(|| document.root.get("security"));
    let Some(demanded) = demanded.and_then(Value::as_array) else {
        findings.push(
            Finding::error("security-missing", SECURITY, "Nothing says who may call the operation")
                .meant("security with a scheme, or security: [] where anybody may")
                .at(operation.pointer.as_str()),
        );
        return;
    };
    for (scheme, scopes) in demanded.iter().flat_map(|one| entries(Some(one))) {
        let at = format!("{}/security", operation.pointer);
        let known = document.root.pointer("/components/securitySchemes").and_then(|all| all.get(scheme));
        let Some(known) = known.map(|known| document.resolved(known)) else {
            findings.push(
                Finding::error(
                    "security-scheme-unknown",
                    SECURITY,
                    format!("The security scheme {scheme} is not described"),
                )
                .meant(format!("/components/securitySchemes/{scheme}"))
                .at(at),
            );
            continue;
        };
        if known.get("type").and_then(Value::as_str) != Some("oauth2") {
            continue;
        }
        for scope in scopes.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let offered = |flow: &Value| flow.get("scopes").is_some_and(|scopes| scopes.get(scope).is_some());
            if !entries(known.get("flows")).any(|(_, flow)| offered(flow)) {
                findings.push(
                    Finding::error(
                        "security-scope-unknown",
                        SECURITY,
                        format!("The scope {scope} is not one of {scheme}"),
                    )
                    .meant(format!("one of the scopes that the flows of {scheme} list"))
                    .at(at.as_str()),
                );
            }
        }
    }
}

fn problems(operation: &Operation<'_>, responses: &[(&str, &Value, String)], findings: &mut Vec<Finding>) {
    let refusals: Vec<_> =
        responses.iter().filter(|(status, ..)| *status == "default" || status.starts_with('4')).collect();
    if refusals.is_empty() {
        findings.push(
            Finding::error("problem-response-missing", PROBLEM, "The operation does not say how it refuses")
                .meant("an answer of 4xx, or default, with application/problem+json")
                .at(operation.pointer.as_str()),
        );
        return;
    }
    let types: Vec<&str> = refusals
        .iter()
        .flat_map(|(_, response, _)| entries(response.get("content")))
        .map(|(name, _)| name)
        .collect();
    let at = format!("{}/responses", operation.pointer);
    if types.is_empty() {
        findings.push(
            Finding::warning("problem-body-missing", PROBLEM, "The refusals of the operation have no body")
                .meant("content with application/problem+json and its schema")
                .at(at),
        );
    } else if !types.iter().any(|name| name.starts_with("application/problem+json")) {
        findings.push(
            Finding::note(
                "problem-media-type",
                PROBLEM,
                format!("The operation refuses with {}", types.join(" and ")),
            )
            .meant("application/problem+json, which clients know already")
            .at(at),
        );
    }
}

fn success(operation: &Operation<'_>, responses: &[(&str, &Value, String)], findings: &mut Vec<Finding>) {
    let good = |status: &str| status.starts_with('2') || status.starts_with('3') || status == "101";
    if !responses.iter().any(|(status, ..)| good(status)) {
        findings.push(
            Finding::error("success-missing", RESPONSE, "The operation does not say how it succeeds")
                .meant("an answer of 2xx")
                .at(operation.pointer.as_str()),
        );
    }
    for (status, response, at) in responses.iter().filter(|(status, ..)| status.starts_with('2')) {
        // What has no body by its nature, or by the nature of a webhook's answer.
        if matches!(*status, "202" | "204" | "205") || operation.is_webhook {
            continue;
        }
        let mut content = entries(response.get("content")).peekable();
        let is_bare = content.peek().is_none() || content.any(|(_, media)| media.get("schema").is_none());
        if is_bare {
            findings.push(
                Finding::warning(
                    "success-schema-missing",
                    RESPONSE,
                    format!("The answer {status} has no schema"),
                )
                .meant("content with a schema, or 204 where there is no body")
                .at(at.as_str()),
            );
        }
    }
}

/// An integrator who asks for help is asked for the request's id.
fn request_ids(document: &Document<'_>, findings: &mut Vec<Finding>) {
    let is_id = |name: &str| REQUEST_IDS.iter().any(|id| name.eq_ignore_ascii_case(id));
    let own: Vec<_> = document.operations.iter().filter(|operation| !operation.is_webhook).collect();
    let without = own
        .iter()
        .filter(|operation| {
            let sent = document.parameters(operation).iter().any(|one| is_id(one.text("name")));
            let answered = document
                .responses(operation)
                .iter()
                .any(|(_, response, _)| entries(response.get("headers")).any(|(name, _)| is_id(name)));
            !sent && !answered
        })
        .count();
    if without > 0 {
        findings.push(
            Finding::warning(
                "request-id-undocumented",
                "FAPI 1.0 Baseline §6.2.1-11",
                format!("{without} of {} operations do not say in which header a request's id is", own.len()),
            )
            .meant("the header X-Request-ID or x-fapi-interaction-id in the answers")
            .at("/paths"),
        );
    }
}

fn addresses(document: &Document<'_>, findings: &mut Vec<Finding>) {
    let servers = document.root.get("servers").and_then(Value::as_array);
    let mut found: Vec<(String, &str)> = servers
        .into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(at, server)| Some((format!("/servers/{at}/url"), server.get("url")?.as_str()?)))
        .collect();
    for (name, scheme) in entries(document.root.pointer("/components/securitySchemes")) {
        for (flow, value) in entries(scheme.get("flows")) {
            for (key, address) in entries(Some(value)).filter(|(key, _)| key.ends_with("Url")) {
                let at = format!("/components/securitySchemes/{name}/flows/{flow}/{key}");
                found.extend(address.as_str().map(|address| (at, address)));
            }
        }
    }
    for (at, address) in found {
        let Some(rest) = address.strip_prefix("http://") else { continue };
        if ["localhost", "127.", "[::1]"].iter().any(|own| rest.starts_with(own)) {
            continue;
        }
        findings.push(
            Finding::error(
                "address-not-https",
                "RTS (EU) 2018/389 Article 35",
                format!("The address {address} is not https"),
            )
            .meant(format!("https://{rest}"))
            .at(at),
        );
    }
}
