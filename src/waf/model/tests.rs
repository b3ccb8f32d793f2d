use std::sync::LazyLock;

use serde_json::json;

use super::*;

fn interface() -> Value {
    json!({
        "openapi": "3.1.0",
        "paths": {
            "/v1/things/{thing_id}": {
                "parameters": [
                    { "name": "thing_id", "in": "path", "required": true, "schema": { "type": "string", "pattern": "^t[0-9]+$" } }
                ],
                "get": {
                    "operationId": "showThing",
                    "parameters": [
                        { "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": 1, "maximum": 500 } },
                        { "name": "q", "in": "query", "schema": { "type": "string" } },
                        { "name": "kind", "in": "query", "schema": { "type": "array", "items": { "enum": ["A", "B"] } } },
                        { "name": "On-Day", "in": "header", "schema": { "type": "string", "format": "date" } },
                    ]
                }
            },
            "/v1/things:check": { "post": { "operationId": "checkThings" } },
            "/v1/things": {
                "post": {
                    "operationId": "makeThing",
                    "requestBody": { "required": true, "content": {
                        "application/json": { "schema": { "$ref": "#/components/schemas/Thing" } },
                        "application/x-www-form-urlencoded": { "schema": {
                            "type": "object",
                            "required": ["name"],
                            "properties": {
                                "name": { "type": "string", "maxLength": 5 },
                                "token": { "type": "string", "pattern": "^[a-z]+$" },
                                "details": { "type": "string", "x-waf-class": "json" },
                                "count": { "type": "integer" },
                            }
                        } },
                    } }
                }
            }
        },
        "components": { "schemas": { "Thing": {
            "type": "object",
            "required": ["amount"],
            "additionalProperties": false,
            "properties": {
                "amount": { "type": "string", "pattern": "^[0-9]+$" },
                "text": { "type": ["string", "null"] },
                "back": { "type": "string", "format": "uri" },
                "lines": { "type": "array", "items": { "type": "string" }, "maxItems": 2 },
                "labels": { "type": "object", "additionalProperties": { "type": "string", "enum": ["x", "y"] } },
                "next": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/Thing" }] },
            }
        } } }
    })
}

fn judged(method: &str, path: &str, query: Option<&str>, media_type: &str, body: &str) -> Judged<'static> {
    static MODEL: LazyLock<Model> = LazyLock::new(|| Model::of(&[interface()]).unwrap());
    let headers = [("content-type", media_type.as_bytes())];
    MODEL.judge(&Asked { method, path, query, headers: &headers, body: body.as_bytes() })
}

/// What is wrong, as `reason place`.
fn told(judged: &Judged<'_>) -> Vec<String> {
    let mut told: Vec<_> = judged
        .deviations
        .iter()
        .map(|deviation| {
            let part = match deviation.part {
                Part::Path => "path",
                Part::Method => "method",
                Part::Query => "query",
                Part::Header => "header",
                Part::Body => "body",
            };
            let place = deviation.place.trim_start_matches('/');
            let slash = if place.is_empty() { "" } else { "/" };
            format!("{} {part}{slash}{place}", deviation.reason.code())
        })
        .collect();
    told.sort();
    told
}

#[track_caller]
fn assert_get(path: &str, query: &str, expected: &[&str]) {
    assert_eq!(told(&judged("GET", path, Some(query), "", "")), expected, "{path}?{query}");
}

#[track_caller]
fn assert_json(body: &str, expected: &[&str]) {
    assert_eq!(told(&judged("POST", "/v1/things", None, "application/json", body)), expected, "{body}");
}

#[test]
fn paths_methods_and_queries_are_those_of_the_description() {
    assert_get("/v1/things/t1", "limit=5&q=O'Brien&kind=A&kind=B", &[]);
    assert_get("/v1/nothing", "", &["path path"]);
    assert_get("/v1/things", "", &["method method"]);
    assert_get("/v1/things/x", "", &["value path/thing_id"]);
    assert_get("/v1/things/t%31", "", &[]);
    assert_get("/v1/things/%ff", "", &["encoding path"]);
    assert_get("/v1/things/%zz", "", &["encoding path"]);
    assert_get("/v1/things/t1", "limit=0", &["value query/limit"]);
    assert_get("/v1/things/t1", "limit=1+or+1=1", &["value query/limit"]);
    assert_get("/v1/things/t1", "limit=1&limit=2", &["repeated query/limit"]);
    assert_get("/v1/things/t1", "debug=1", &["unknown_name query"]);
    assert_get("/v1/things/t1", "kind=C", &["value query/kind/0"]);
    assert_get("/v1/things/t1", "q=%c0%ae", &["encoding query"]);
    assert_get("/v1/things/t1", "q=%u0041", &["encoding query"]);
    assert_eq!(told(&judged("POST", "/v1/things:check", None, "", "")), Vec::<String>::new());
    assert_eq!(told(&judged("HEAD", "/v1/things/t1", None, "", "")), Vec::<String>::new());
    let model = Model::of(&[interface()]).unwrap();
    let header = |values: &[&str]| {
        let headers: Vec<_> = values.iter().map(|value| ("on-day", value.as_bytes())).collect();
        told(&model.judge(&Asked {
            method: "GET",
            path: "/v1/things/t1",
            query: None,
            headers: &headers,
            body: b"",
        }))
    };
    assert_eq!(header(&["2026-05-04"]), Vec::<String>::new());
    assert_eq!(header(&["' or 1=1"]), ["value header/on-day"]);
    assert_eq!(header(&["2026-05-04", "2026-05-05"]), ["repeated header/on-day"]);
}

#[test]
fn bodies_are_those_of_the_description() {
    assert_json(r#"{"amount":"1","text":"' or 1=1","lines":["a"],"labels":{"k":"x"}}"#, &[]);
    assert_json("", &["missing body"]);
    assert_json("{", &["malformed body"]);
    assert_json(r#"{"amount":"1","amount":"2"}"#, &["repeated body"]);
    assert_json(r#"{"amount":"1","__proto__":{}}"#, &["unknown_name body"]);
    assert_json(r#"{"text":"a"}"#, &["missing body/amount"]);
    assert_json(r#"{"amount":"1; drop"}"#, &["value body/amount"]);
    assert_json(r#"{"amount":{"$gt":""}}"#, &["value body/amount"]);
    assert_json(r#"{"amount":"1","lines":["a","b","c"]}"#, &["value body/lines"]);
    assert_json(r#"{"amount":"1","labels":{"k":"z"}}"#, &["value body/labels/k"]);
    assert_json(r#"{"amount":"1","back":"https://10.0.0.1/"}"#, &["address body/back"]);
    assert_json(&format!("{}1{}", "[".repeat(40), "]".repeat(40)), &["too_deep body"]);
    assert_json(r#"{"amount":1e999}"#, &["malformed body"]);
    let long = format!(r#"{{"amount":"1","text":"{}"}}"#, "a".repeat(LONGEST_TEXT + 1));
    assert_json(&long, &["value body/text"]);
    let other = judged("POST", "/v1/things", None, "text/plain", "x");
    assert_eq!(told(&other), ["media_type header/content-type"]);
    assert_eq!(
        told(&judged("POST", "/v1/things:check", None, "application/json", " {} ")),
        Vec::<String>::new()
    );
    let unwanted = judged("GET", "/v1/things/t1", None, "application/json", "{\"a\":1}");
    assert_eq!(told(&unwanted), ["media_type header/content-type"]);
}

#[test]
fn forms_are_held_as_queries_are() {
    let form =
        |body: &str| told(&judged("POST", "/v1/things", None, "application/x-www-form-urlencoded", body));
    assert_eq!(form("name=Anna&token=abc&count=3&details=%7B%22a%22%3A1%7D"), Vec::<String>::new());
    assert_eq!(form("token=abc"), ["missing body/name"]);
    assert_eq!(form("name=Annabella"), ["value body/name"]);
    assert_eq!(form("name=A&name=B"), ["repeated body/name"]);
    assert_eq!(form("name=A&token=%3Cscript%3E"), ["value body/token"]);
    assert_eq!(form("name=A&other=1"), ["unknown_name body"]);
    assert_eq!(form("name=A&details=%7B%22a%22%3A1%2C%22a%22%3A2%7D"), ["repeated body/details"]);
    assert_eq!(form("name=A&details=x"), ["malformed body/details"]);
    let mut document = interface();
    let content = &mut document["paths"]["/v1/things"]["post"]["requestBody"]["content"];
    content["application/x-www-form-urlencoded"]["schema"]["additionalProperties"] = json!(true);
    document["paths"]["/v1/things/{thing_id}"]["get"]["x-open-query"] = json!(true);
    let open = Model::of(&[document]).unwrap();
    let headers = [("content-type", b"application/x-www-form-urlencoded".as_slice())];
    let body = b"name=A&other=%27&other=2";
    let form = Asked { method: "POST", path: "/v1/things", query: None, headers: &headers, body };
    assert_eq!((told(&open.judge(&form)), open.judge(&form).typed.arguments()), (vec![], vec![]));
    let query =
        Asked { method: "GET", path: "/v1/things/t1", query: Some("debug=1"), headers: &[], body: b"" };
    assert_eq!(told(&open.judge(&query)), Vec::<String>::new());
}

/// What has a form is no signature's business; what is free text is.
#[test]
fn what_has_a_form_is_named_as_rules_name_it() {
    let body = r#"{"amount":"1","text":"free","back":"https://fintech.example/","lines":["a","b"],
        "labels":{"<script>":"x"},"next":{"amount":"2","text":null}}"#;
    let found = judged("POST", "/v1/things", None, "application/json", body);
    assert_eq!(told(&found), Vec::<String>::new());
    let typed = ["json.amount", "json.back", "json.next.amount", "json.next.text"];
    assert_eq!(found.typed.arguments(), typed);
    assert!(found.typed.whole_body());
    assert_eq!(found.operation, Some("makeThing"));
    let found = judged("GET", "/v1/things/t1", Some("limit=5&q=x&kind=A"), "", "");
    assert_eq!(found.typed.arguments(), ["kind", "limit"]);
}

/// Rules ask for arguments by their names: of two with one name, of which one has no form, they look at both.
#[test]
fn what_shares_its_name_with_something_of_no_form_is_not_typed() {
    let mut document = interface();
    let content = &mut document["paths"]["/v1/things"]["post"]["requestBody"]["content"];
    content["application/x-www-form-urlencoded"]["schema"]["additionalProperties"] = json!(true);
    document["paths"]["/v1/things"]["post"]["x-open-query"] = json!(true);
    let model = Model::of(&[document]).unwrap();
    let headers = [("content-type", b"application/x-www-form-urlencoded".as_slice())];
    let typed = |query: Option<&str>, body: &str| {
        let body = body.as_bytes();
        let form = Asked { method: "POST", path: "/v1/things", query, headers: &headers, body };
        model.judge(&form).typed.arguments().join(" ")
    };
    assert_eq!(typed(None, "name=A&token=abc&count=3"), "count token");
    assert_eq!(typed(None, "name=A&token=abc&token=%3Cscript%3E&count=3"), "count");
    assert_eq!(typed(None, "name=A&token=%3Cscript%3E&token=abc&count=3"), "count");
    assert_eq!(typed(Some("token=%3Cscript%3E"), "name=A&token=abc&count=3"), "count");
}

/// Names that the description states are none of the sender's, whatever stands behind them.
#[test]
fn stated_names_are_known_where_values_are_free() {
    use crate::typed::Extent;
    let body = r#"{"amount":"1","text":"free","lines":["a"],"labels":{"<script>":"x"}}"#;
    let found = judged("POST", "/v1/things", None, "application/json", body);
    let extent = |name: &str| found.typed.argument(name.as_bytes());
    assert_eq!((extent("json.amount"), extent("json.text")), (Some(Extent::All), Some(Extent::Name)));
    assert_eq!(extent("json.lines.array_0"), Some(Extent::Name));
    assert_eq!(extent("json.labels.<script>"), None, "who sends it has chosen it");
}

/// Headers of a form that is stated here or elsewhere, and once, are no signature's business.
#[test]
fn headers_of_a_known_form_are_typed() {
    let model = Model::of(&[interface()]).unwrap();
    let typed = |name: &str, values: &[&str]| {
        let headers: Vec<_> = values.iter().map(|value| (name, value.as_bytes())).collect();
        let asked = Asked { method: "GET", path: "/v1/things/t1", query: None, headers: &headers, body: b"" };
        model.judge(&asked).typed.header(name)
    };
    assert!(typed("on-day", &["2026-05-04"]));
    assert!(!typed("on-day", &["yesterday"]) && !typed("on-day", &["2026-05-04", "2026-05-05"]));
    assert!(typed("authorization", &["Bearer eyJh.e-_0~+/="]) && typed("authorization", &["DPoP abc"]));
    assert!(!typed("authorization", &["Bearer ${jndi:x}"]) && !typed("authorization", &["Basic YTpi"]));
    assert!(!typed("authorization", &["Bearer a", "Bearer ' or 1=1"]));
    assert!(typed("dpop", &["eyJh.eyJh.c2ln"]) && !typed("dpop", &["<script>"]));
    assert!(typed("x-fapi-interaction-id", &["7f0f3c1e-2b2d-4c55-9e3a-0b8f5a1d9a11"]));
    assert!(!typed("x-fapi-interaction-id", &["${x}"]) && !typed("traceparent", &[""]));
    assert!(typed("idempotency-key", &["0b5e3f6e-1a52"]) && !typed("idempotency-key", &["${jndi:x}"]));
    assert!(!typed("user-agent", &["tpp/1.4"]), "it may be anything");
}

#[test]
fn a_description_that_lacks_something_is_refused_by_its_place() {
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut document = interface();
        change(&mut document);
        Model::of(&[document]).unwrap_err().place
    };
    let thing = "/paths/~1v1~1things~1{thing_id}/get";
    assert_eq!(
        refused(&|document| {
            document["paths"]["/v1/things/{thing_id}"]["get"]["operationId"].take();
        }),
        thing
    );
    assert_eq!(
        refused(&|document| {
            document["paths"]["/v1/things/{thing_id}"]["parameters"].take();
        }),
        thing
    );
    let elsewhere = |document: &mut Value| {
        document["components"]["schemas"]["Thing"]["properties"]["next"] =
            json!({ "$ref": "https://evil.example/x" });
    };
    assert!(!refused(&elsewhere).is_empty());
}
