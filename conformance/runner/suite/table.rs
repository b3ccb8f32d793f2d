//! Cases that follow a pattern, as a table: what is read, under which permissions, and what must come.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::case::Case;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    rows: Vec<(String, Kind, String, String, String)>,
}

/// What a row asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// Data comes, as described, with an interaction id.
    Data,
    /// The interaction id that was sent comes back.
    Echo,
    /// An account that there is not: 400 or 403.
    UnknownAccount,
    /// The consent lacks the permission: 403, or 400.
    NotPermitted,
    /// No token: 401.
    NoToken,
    /// A token that nobody issued: 401.
    BadToken,
    /// A token of the client's own, where a person's is needed: 401.
    OwnToken,
    /// A path that there is not: 404.
    UnknownPath,
}

const STANDARD: &str = "UK Open Banking Read/Write, Account and Transaction API";

/// The cases of a table.
pub(super) fn cases(text: &str) -> anyhow::Result<Vec<Case>> {
    let table: Table = toml::from_str(text)?;
    table.rows.into_iter().map(|row| Ok(serde_json::from_value(case(row))?)).collect()
}

fn case((id, kind, path, permissions, need): (String, Kind, String, String, String)) -> Value {
    let permissions: Vec<_> = permissions.split(' ').filter(|name| !name.is_empty()).collect();
    let under =
        if permissions.is_empty() { String::new() } else { format!(" under {}", permissions.join(", ")) };
    let (title, clause) = match kind {
        Kind::Data => (format!("{path} answers with data{under}"), "Endpoints; 4.4 Headers"),
        Kind::Echo => (format!("{path} plays the interaction id back"), "4.4 Headers, x-fapi-interaction-id"),
        Kind::UnknownAccount => (
            format!("{path} of an account that there is not is refused with 400 or 403"),
            "HTTP status codes, 400 and 403",
        ),
        Kind::NotPermitted => (
            format!("{path} is refused{under}, which is too little"),
            "Permission codes; HTTP status codes, 403",
        ),
        Kind::NoToken => (format!("{path} without a token is refused with 401"), "HTTP status codes, 401"),
        Kind::BadToken => {
            (format!("{path} with a token that nobody issued is refused with 401"), "HTTP status codes, 401")
        }
        Kind::OwnToken => (
            format!("{path} with a token of the client's own is refused with 401"),
            "Grant types; HTTP status codes, 401",
        ),
        Kind::UnknownPath => {
            (format!("{path}, which there is not, is answered with 404"), "HTTP status codes, 404")
        }
    };
    let mut needs = vec!["bank".to_owned()];
    if !need.is_empty() {
        needs.push(format!("endpoint:{need}"));
    }
    json!({
        "id": id, "title": title, "clause": format!("{STANDARD}: {clause}"), "needs": needs,
        "steps": steps(kind, &path, &permissions),
    })
}

fn steps(kind: Kind, path: &str, permissions: &[&str]) -> Vec<Value> {
    let account = if kind == Kind::UnknownAccount { "foobar" } else { "${account_id}" };
    let url = path.replace("{AccountId}", account);
    let refused = |codes: &[u16]| json!({"status": codes, "headers": headers()});
    let (token, expect) = match kind {
        Kind::Data | Kind::Echo => (Some("access_token"), data()),
        Kind::UnknownAccount | Kind::NotPermitted => (Some("access_token"), refused(&[400, 403])),
        Kind::UnknownPath => (Some("access_token"), json!({"status": 404})),
        Kind::NoToken => (None, refused(&[401])),
        Kind::BadToken => (Some("${random 43}"), refused(&[401])),
        Kind::OwnToken => (Some("own_token"), refused(&[401])),
    };
    let mut call = json!({"do": "call", "url": url, "expect": expect});
    let mut member = |name: &str, value: Value| {
        if let Some(call) = call.as_object_mut() {
            call.insert(name.to_owned(), value);
        }
    };
    if let Some(token) = token {
        member("token", json!(token));
    }
    if kind == Kind::Data {
        member("with", json!({"schema": true}));
    }
    if kind == Kind::Echo {
        member("headers", json!({"set": {"x-fapi-interaction-id": "f5a10e5e-0c46-41c5-a7b7-${digits 12}"}}));
    }
    let mut steps = Vec::new();
    match kind {
        Kind::Data | Kind::Echo | Kind::UnknownAccount | Kind::NotPermitted | Kind::UnknownPath => {
            steps.push(json!({"do": "sequence", "uses": "access", "share": true, "set": {"permissions": permissions}}));
        }
        // A path with an account in it: any will do, as nobody may learn whether it is there.
        Kind::NoToken | Kind::BadToken => steps.push(json!({"do": "check", "set": {"account_id": "some"}})),
        Kind::OwnToken => steps.push(json!({"do": "sequence", "uses": "own-token"})),
    }
    steps.push(call);
    steps
}

fn headers() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([("x-fapi-interaction-id", json!("${interaction_id}"))])
}

fn data() -> Value {
    json!({
        "status": 200,
        "headers": {
            "x-fapi-interaction-id": "${interaction_id}",
            "content-type": {"matches": "^application/json"},
        },
        "json": {"/Data": {"type": "object"}, "/Links/Self": {"matches": "^https://"}, "/Meta": {"type": "object"}},
    })
}
