//! Examples that are somebody's: credentials, and account numbers that may exist.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::walk::Places;
use crate::lint::Finding;

/// What looks like a credential.
static CREDENTIALS: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    [
        ("a signed token", r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}"),
        ("a private key", "-----BEGIN [A-Z ]*PRIVATE KEY-----"),
        ("an authorization header", r"^(?:Bearer|Basic|DPoP) [A-Za-z0-9+/=._~-]{16,}$"),
        ("a webhook's secret", "wh(?:sec|sk)_[A-Za-z0-9+/=]{24,}"),
    ]
    .into_iter()
    .filter_map(|(name, form)| Some((name, Regex::new(form).ok()?)))
    .collect()
});

static IBAN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$").ok());

/// The examples of the IBAN registry (ISO 13616) and of banks' own guides, which nobody has.
const PUBLISHED: [&str; 22] = [
    "AT611904300234573201",
    "BE68539007547034",
    "CH9300762011623852957",
    "CZ6508000000192000145399",
    "DE89370400440532013000",
    "DK5000400440116243",
    "ES9121000418450200051332",
    "FI2112345600000785",
    "FR1420041010050500013M02606",
    "GB29NWBK60161331926819",
    "GB33BUKB20201555555555",
    "GB82WEST12345698765432",
    "HU42117730161111101800000000",
    "IE29AIBK93115212345678",
    "IT60X0542811101000000123456",
    "LT121000011101001000",
    "LU280019400644750000",
    "NL91ABNA0417164300",
    "NO9386011117947",
    "PL61109010140000071219812874",
    "PT50000201231234567890154",
    "SE4550000000058398257466",
];

pub(super) fn check(places: &Places<'_>, findings: &mut Vec<Finding>) {
    for example in &places.examples {
        judge(example.value, &example.pointer, findings);
    }
}

fn judge(value: &Value, pointer: &str, findings: &mut Vec<Finding>) {
    match value {
        Value::String(text) => judge_text(text, pointer, findings),
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                judge(value, &format!("{pointer}/{at}"), findings);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                judge(value, &format!("{pointer}/{}", super::document::escaped(name)), findings);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn judge_text(text: &str, pointer: &str, findings: &mut Vec<Finding>) {
    // The text itself is not repeated: it may be somebody's.
    if let Some((what, _)) = CREDENTIALS.iter().find(|(_, form)| form.is_match(text)) {
        findings.push(
            Finding::warning(
                "credential-in-example",
                "OWASP API Security 2023 API9",
                format!("The example looks like {what}"),
            )
            .meant("a value that cannot be taken for one that works, such as one ending in …")
            .at(pointer),
        );
    }
    let plain: String = text.chars().filter(|c| *c != ' ').collect();
    let has_form = IBAN.as_ref().is_some_and(|form| form.is_match(&plain));
    if has_form && !PUBLISHED.contains(&plain.as_str()) && remainder(&plain) == Some(1) {
        findings.push(
            Finding::warning(
                "account-in-example",
                "Regulation (EU) 2016/679 Article 5",
                "The example is a valid IBAN that somebody may have",
            )
            .meant("an example of the IBAN registry, such as DE89370400440532013000")
            .at(pointer),
        );
    }
}

/// ISO 13616: a valid IBAN leaves one.
fn remainder(iban: &str) -> Option<u32> {
    let (head, tail) = iban.split_at_checked(4)?;
    tail.chars().chain(head.chars()).try_fold(0_u32, |sum, c| {
        let digit = c.to_digit(36)?;
        Some((sum * if digit > 9 { 100 } else { 10 } + digit) % 97)
    })
}
