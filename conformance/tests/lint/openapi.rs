//! Each rule for descriptions of interfaces: a good one, spoilt in one place.

use consentry_conformance::lint::openapi::check;
use consentry_conformance::lint::{Finding, Severity};
use serde_json::{Value, json};

fn good() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Accounts", "version": "1"},
        "servers": [{"url": "https://api.bank.example"}],
        "paths": {
            "/v1/accounts/{account_id}": {
                "parameters": [{"$ref": "#/components/parameters/account"}],
                "get": {
                    "operationId": "showAccount",
                    "summary": "Show one account.",
                    "security": [{"oauth": ["accounts"]}],
                    "responses": {
                        "200": {
                            "description": "The account",
                            "headers": {"X-Request-ID": {"schema": {"type": "string", "format": "uuid"}}},
                            "content": {"application/json": {
                                "schema": {"$ref": "#/components/schemas/Account"},
                                "examples": {"one": {"value": {"iban": "DE89370400440532013000", "status": "OPEN"}}}
                            }}
                        },
                        "default": {"$ref": "#/components/responses/Refused"}
                    }
                }
            }
        },
        "components": {
            "parameters": {"account": {
                "name": "account_id", "in": "path", "required": true, "description": "The account",
                "schema": {"type": "string", "maxLength": 40}
            }},
            "responses": {"Refused": {
                "description": "What went wrong",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
            }},
            "schemas": {
                "Account": {
                    "type": "object", "description": "An account", "required": ["iban"],
                    "properties": {
                        "iban": {"type": "string", "maxLength": 34, "example": "DE89370400440532013000"},
                        "status": {"type": "string", "enum": ["OPEN", "BLOCKED_BY_BANK"]},
                        "example": {"type": "integer"},
                        "schema": {"type": ["string", "null"], "format": "date"}
                    }
                },
                "Problem": {"type": "object", "description": "A problem", "properties": {
                    "title": {"type": "string", "maxLength": 100}
                }}
            },
            "securitySchemes": {"oauth": {"type": "oauth2", "flows": {"authorizationCode": {
                "authorizationUrl": "https://as.bank.example/authorize",
                "tokenUrl": "https://as.bank.example/token",
                "scopes": {"accounts": "read accounts"}
            }}}}
        }
    })
}

const OPERATION: &str = "/paths/~1v1~1accounts~1{account_id}/get";

fn findings(document: &Value) -> Vec<Finding> {
    check(&serde_json::to_vec(document).unwrap())
}

fn rules(document: &Value) -> Vec<&'static str> {
    findings(document).iter().map(|finding| finding.rule).collect()
}

/// The rules that the description breaks when a value of it is another, or is gone.
fn with(pointer: &str, value: impl Into<Option<Value>>) -> Vec<&'static str> {
    rules(&spoilt(pointer, value))
}

fn spoilt(pointer: &str, value: impl Into<Option<Value>>) -> Value {
    let mut document = good();
    let (holder, name) = pointer.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/");
    match (document.pointer_mut(holder).unwrap(), value.into()) {
        (Value::Object(members), Some(value)) => drop(members.insert(name, value)),
        (Value::Object(members), None) => drop(members.remove(&name).unwrap()),
        (Value::Array(values), Some(value)) => values[name.parse::<usize>().unwrap()] = value,
        other => panic!("{other:?}"),
    }
    document
}

fn in_operation(pointer: &str, value: impl Into<Option<Value>>) -> Vec<&'static str> {
    with(&format!("{OPERATION}{pointer}"), value)
}

#[test]
fn a_good_description_gives_no_finding() {
    assert_eq!(findings(&good()), []);
}

#[test]
fn what_is_no_description_is_named() {
    assert_eq!(check(b"openapi: 3.1.0")[0].rule, "document-unreadable");
    assert_eq!(with("/openapi", json!("2.0")), ["openapi-version"]);
    assert_eq!(with("/info/version", None), ["document-incomplete"]);
    let bare = |version| json!({"openapi": version, "info": {"title": "A", "version": "1"}, "webhooks": {}});
    assert_eq!(rules(&bare("3.1.0")), Vec::<&str>::new());
    assert_eq!(rules(&bare("3.0.3")), ["document-incomplete"]);
}

#[test]
fn an_operation_has_a_name_of_its_own() {
    assert_eq!(in_operation("/operationId", None), ["operation-id-missing"]);
    let mut twice = good();
    let get = twice.pointer(OPERATION).unwrap().clone();
    twice["paths"]["/v1/accounts/{account_id}"]["put"] = get;
    assert_eq!(rules(&twice), ["operation-id-repeated"]);
    assert_eq!(in_operation("/summary", None), ["description-missing"]);
}

#[test]
fn an_operation_says_who_may_call_it() {
    assert_eq!(in_operation("/security", None), ["security-missing", "component-unused"]);
    let open = spoilt(&format!("{OPERATION}/security"), json!([]));
    assert_eq!(rules(&open), ["component-unused"], "only its scheme is idle");
    assert_eq!(in_operation("/security", json!([{"oath": []}, {"oauth": []}])), ["security-scheme-unknown"]);
    assert_eq!(in_operation("/security", json!([{"oauth": ["payments"]}])), ["security-scope-unknown"]);
    let mut shared = spoilt(&format!("{OPERATION}/security"), None);
    shared["security"] = json!([{"oauth": ["accounts"]}]);
    assert_eq!(rules(&shared), Vec::<&str>::new());
}

#[test]
fn rfc_9457_an_operation_says_how_it_refuses() {
    let without = in_operation("/responses/default", None);
    assert_eq!(without, ["problem-response-missing", "component-unused", "component-unused"]);
    assert_eq!(
        with("/components/responses/Refused/content", None),
        ["problem-body-missing", "component-unused"]
    );
    let plain = json!({"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
    assert_eq!(with("/components/responses/Refused/content", plain), ["problem-media-type"]);
}

#[test]
fn an_operation_says_how_it_succeeds() {
    let ok = json!({"description": "Done", "headers": {"x-request-id": {"schema": {"type": "boolean"}}}});
    assert_eq!(in_operation("/responses/200", ok.clone()), ["success-schema-missing", "component-unused"]);
    let mut empty = spoilt(&format!("{OPERATION}/responses/200"), None);
    assert_eq!(rules(&empty), ["success-missing", "request-id-undocumented", "component-unused"]);
    *empty.pointer_mut(&format!("{OPERATION}/responses")).unwrap() =
        json!({"204": ok, "default": {"$ref": "#/components/responses/Refused"}});
    assert_eq!(rules(&empty), ["component-unused"]);
    assert_eq!(in_operation("/responses/200/description", None), ["response-description-missing"]);
    assert_eq!(in_operation("/responses/200/headers", None), ["request-id-undocumented"]);
}

#[test]
fn addresses_are_https() {
    assert_eq!(with("/servers/0", json!({"url": "http://api.bank.example"})), ["address-not-https"]);
    assert_eq!(with("/servers/0", json!({"url": "http://localhost:8080"})), Vec::<&str>::new());
    let token = "/components/securitySchemes/oauth/flows/authorizationCode/tokenUrl";
    let document = spoilt(token, json!("http://as.bank.example/token"));
    assert_eq!(findings(&document)[0].meant.as_deref(), Some("https://as.bank.example/token"));
}

#[test]
fn parameters_of_the_path_are_in_it() {
    assert_eq!(
        with("/components/parameters/account/name", json!("id")),
        ["path-parameter-undeclared", "path-parameter-unused"]
    );
    assert_eq!(with("/components/parameters/account/required", json!(false)), ["path-parameter-optional"]);
    let mut ambiguous = good();
    ambiguous["paths"]["/v1/accounts/{id}"] = json!({});
    assert_eq!(rules(&ambiguous), ["path-ambiguous"]);
}

#[test]
fn parameters_are_described_once() {
    let query = json!({"name": "from", "in": "query", "schema": {"type": "boolean"}, "description": "When"});
    assert_eq!(in_operation("/parameters", json!([query, query])), ["parameter-repeated"]);
    assert_eq!(with("/components/parameters/account/description", None), ["parameter-description-missing"]);
    let own = json!([{"$ref": "#/components/parameters/account"}]);
    assert_eq!(in_operation("/parameters", own), Vec::<&str>::new(), "an operation may replace its path's");
}

#[test]
fn references_lead_somewhere() {
    let schema = "/responses/200/content/application~1json/schema";
    assert_eq!(
        in_operation(schema, json!({"$ref": "#/components/schemas/Acount"})),
        ["reference-broken", "component-unused", "schema-unreadable"]
    );
    let mut external = good();
    external["components"]["schemas"]["Account"]["properties"]["other"] =
        json!({"$ref": "https://elsewhere.example/other.json"});
    assert!(rules(&external).contains(&"reference-external"));
}

#[test]
fn a_component_that_only_unused_ones_use_is_unused() {
    let mut document = good();
    document["components"]["schemas"]["Inner"] = json!({"type": "integer", "description": "x"});
    document["components"]["schemas"]["Outer"] = json!({"description": "x", "type": "object", "properties": {"in": {"$ref": "#/components/schemas/Inner"}}});
    assert_eq!(rules(&document), ["component-unused", "component-unused"]);
    document["components"]["schemas"]["Account"]["properties"]["outer"] =
        json!({"$ref": "#/components/schemas/Outer"});
    assert_eq!(rules(&document), Vec::<&str>::new());
}

#[test]
fn schemas_are_written_with_care() {
    let title = "/components/schemas/Problem/properties/title";
    let document = spoilt(title, json!({"type": "string"}));
    assert_eq!(rules(&document), ["string-unbounded"]);
    assert_eq!(findings(&document)[0].at.as_deref(), Some("/components/schemas/Problem"));
    assert!(findings(&document)[0].says.ends_with(": title"));
    assert_eq!(with(title, json!({"type": "string", "enum": ["UP_PER", "camelCase"]})), ["enum-mixed"]);
    for one_way in [json!(["A_B", "C"]), json!(["a-b", "c"]), json!(["a.b_c", "d"]), json!(["aB", "c"])] {
        assert_eq!(with(title, json!({"type": "string", "enum": one_way})), Vec::<&str>::new());
    }
    assert_eq!(with("/components/schemas/Problem/description", None), ["schema-description-missing"]);
}

#[test]
fn examples_keep_their_schemas() {
    let example = "/responses/200/content/application~1json/examples/one/value";
    assert_eq!(in_operation(example, json!({"status": "OPEN"})), ["example-invalid"]);
    assert_eq!(in_operation(example, json!({"iban": "x", "status": "SHUT"})), ["example-invalid"]);
    let iban = "/components/schemas/Account/properties/iban/example";
    assert_eq!(with(iban, json!(7)), ["example-invalid"]);
    let date = json!({"type": "string", "format": "date", "examples": ["2026-02-30"]});
    let document = spoilt("/components/schemas/Account/properties/schema", date);
    assert_eq!(rules(&document), ["example-invalid"]);
    let default = json!({"type": "string", "maxLength": 3, "default": "long"});
    assert_eq!(with("/components/schemas/Problem/properties/title", default), ["example-invalid"]);
    let nonsense = json!({"type": "sting", "example": "x"});
    assert_eq!(with("/components/schemas/Problem/properties/title", nonsense), ["schema-unreadable"]);
}

#[test]
fn openapi_3_0_says_null_in_another_way() {
    let mut document = good();
    document["openapi"] = json!("3.0.3");
    document["components"]["schemas"]["Account"]["properties"]["schema"] =
        json!({"type": "string", "nullable": true, "enum": ["A"], "example": null});
    assert_eq!(rules(&document), Vec::<&str>::new());
    document["components"]["schemas"]["Account"]["properties"]["schema"] =
        json!({"type": "string", "enum": ["A"], "example": null});
    assert_eq!(rules(&document), ["example-invalid"]);
}

#[test]
fn examples_are_nobodys() {
    let title = |example: &str| {
        let schema = json!({"type": "string", "maxLength": 900, "example": example});
        spoilt("/components/schemas/Problem/properties/title", schema)
    };
    let token = "eyJhbGciOiJQUzI1NiJ9.eyJzdWIiOiJhIn0aaaa.c2lnbmF0dXJlLXNpZ25hdHVyZQ";
    for secret in [
        token,
        "Bearer 0123456789abcdef0123",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "-----BEGIN EC PRIVATE KEY-----",
    ] {
        let found = findings(&title(secret));
        assert_eq!(found.len(), 1, "{secret}");
        assert_eq!(found[0].rule, "credential-in-example");
        assert!(!serde_json::to_string(&found).unwrap().contains(secret), "the secret is not repeated");
    }
    assert_eq!(rules(&title("DE75512108001245126199")), ["account-in-example"]);
    assert_eq!(rules(&title("DE75512108001245126198")), Vec::<&str>::new(), "not valid");
    assert_eq!(rules(&title("GB33 BUKB 2020 1555 5555 55")), Vec::<&str>::new(), "a published one");
}

#[test]
fn a_path_may_be_a_component() {
    let mut document = good();
    let item = document["paths"]["/v1/accounts/{account_id}"].take();
    document["paths"]["/v1/accounts/{account_id}"] = json!({"$ref": "#/components/pathItems/account"});
    document["components"]["pathItems"] = json!({"account": item});
    assert_eq!(rules(&document), Vec::<&str>::new());
    document["components"]["pathItems"]["account"]["get"]["operationId"].take();
    assert_eq!(rules(&document), ["operation-id-missing"]);
}

#[test]
fn webhooks_need_no_security_and_no_schema_of_success() {
    let mut document = good();
    document["webhooks"] = json!({"payment.settled": {"post": {
        "operationId": "onPaymentSettled", "summary": "The money has moved.",
        "responses": {"2XX": {"description": "Taken"}}
    }}});
    assert_eq!(rules(&document), Vec::<&str>::new());
}

/// What is known of our own description: a change that breaks more of it has to say so here.
#[test]
fn our_own_description_breaks_few_rules() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi/consentry.json");
    let mut broken: Vec<&str> = check(&std::fs::read(file).unwrap())
        .iter()
        .filter(|finding| finding.severity != Severity::Note)
        .map(|finding| finding.rule)
        .collect();
    broken.dedup();
    let known = ["security-missing", "request-id-undocumented", "credential-in-example"];
    assert!(broken.iter().all(|rule| known.contains(rule)), "{broken:?}");
}
