//! Answers held to descriptions.

use consentry_conformance::bank::{Descriptions, Misfit, read_yaml};
use serde_json::json;

const DESCRIPTION: &str = r##"
openapi: 3.0.1
info: { title: "A bank", version: "1" }
paths:
  /v1/things/{id}:
    get:
      responses:
        200:
          $ref: "#/components/responses/Thing"
        '404':
          description: nothing
  /v1/things/own:
    get:
      responses:
        200:
          description: OK
components:
  responses:
    Thing:
      description: OK
      content:
        application/json:
          schema: { $ref: "#/components/schemas/Thing" }
          examples:
            "one": {
              "value": { "id": 7 }
            }
  schemas:
    Thing:
      type: object
      required: [id]
      additionalProperties: false
      properties:
        id: { type: string, maxLength: 4 }
        note: { type: string, nullable: true }
"##;

fn descriptions(text: &str) -> Descriptions {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("inner")).unwrap();
    std::fs::write(folder.path().join("inner/api.yaml"), text).unwrap();
    std::fs::write(folder.path().join("other.json"), "{}").unwrap();
    Descriptions::read(folder.path()).unwrap()
}

#[test]
fn an_answer_is_one_of_the_described() {
    let described = descriptions(DESCRIPTION);
    let judge = |path: &str, status, body| described.judge("GET", path, status, &body);
    assert_eq!(judge("/v1/things/7", 200, json!({"id": "7"})), Ok(()));
    assert_eq!(judge("/base/v1/things/7?x=1", 200, json!({"id": "7", "note": null})), Ok(()));
    let wrong = |body| match judge("/v1/things/7", 200, body) {
        Err(Misfit::Wrong(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(wrong(json!({})).contains("id is missing"));
    assert!(wrong(json!({"id": "7", "more": 1})).contains("more is not known"));
    assert!(wrong(json!({"id": 7})).contains("another type"));
    let long = wrong(json!({"id": "a secret"}));
    assert!(long.contains("more than 4") && !long.contains("secret"), "no values: {long}");
    assert_eq!(judge("/v1/things/7", 404, json!(null)), Ok(()), "an answer without a body");
    assert!(matches!(judge("/v1/things/7", 418, json!({})), Err(Misfit::Wrong(_))), "not described");
    assert_eq!(judge("/v1/things/own", 200, json!({"any": 1})), Ok(()), "what is written out comes first");
    assert_eq!(judge("/v1/others", 200, json!({})), Err(Misfit::Unknown));
}

#[test]
fn a_folder_without_descriptions_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Descriptions::read(folder.path()).is_err());
    assert!(Descriptions::read(&folder.path().join("nothing")).is_err());
}

/// YAML 1.2 core schema, and brackets that close where their key begins.
#[test]
fn yaml_is_read_as_published_files_write_it() {
    let read = read_yaml("a: 1\nb: ~\nc: [yes, true, 1.5, '2']\nd:\n  200: {\n  }\n").unwrap();
    assert_eq!(read["a"], 1);
    assert_eq!(read["b"], json!(null));
    assert_eq!(read["c"], json!(["yes", true, 1.5, "2"]));
    assert_eq!(read["d"], json!({"200": {}}));
    assert_eq!(read_yaml("e: |\n  }\n  text\n").unwrap()["e"], "}\ntext\n");
    assert!(read_yaml("a: &x 1\nb: *x\n").is_err(), "what repeats itself");
    assert!(read_yaml("a: [").is_err());
}

#[test]
fn every_published_description_can_be_used() {
    let Some(folder) = super::published("specs") else { return };
    let described = Descriptions::read(&folder).unwrap();
    let empty = described.judge("GET", "/v1/accounts", 200, &json!({}));
    assert!(matches!(empty, Err(Misfit::Wrong(why)) if why.contains("accounts is missing")));
    let one = json!({"accounts": [{"iban": "DE89370400440532013000", "currency": "EUR"}]});
    assert_eq!(described.judge("GET", "/v1/accounts", 200, &one), Ok(()));
    let uk = json!({"Data": {}, "Links": {"Self": "https://bank.example/"}, "Meta": {}});
    assert_eq!(described.judge("GET", "/open-banking/v4.0/aisp/accounts", 200, &uk), Ok(()));
    let wrong = described.judge("GET", "/open-banking/v4.0/aisp/accounts", 200, &json!({"Data": []}));
    assert!(matches!(wrong, Err(Misfit::Wrong(_))));
    let polish = described.judge("POST", "/v2_1_1.1/accounts/v2_1_1.1/getAccounts", 200, &json!({}));
    assert!(matches!(polish, Err(Misfit::Wrong(_))));
}
