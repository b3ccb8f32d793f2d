//! What a script does, as steps.

use std::sync::LazyLock;

use anyhow::Context as _;
use regex::Regex;
use serde_json::{Map, Value, json};

use super::{Manifests, Script};
use crate::target::BankConfiguration;

#[expect(clippy::unwrap_used, reason = "the pattern is a constant, which a test compiles")]
static NAME: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\$([A-Za-z][A-Za-z0-9_-]*)").unwrap());

/// What the suite's configuration has, and ours.
const CONFIGURED: [(&str, &str); 20] = [
    ("instructedAmountValue", "1.00"),
    ("instructedAmountCurrency", "${currency}"),
    ("currencyOfTransfer", "EUR"),
    ("creditorScheme", "${creditor_scheme}"),
    ("creditorIdentification", "${creditor_account}"),
    ("creditorName", "${creditor_name}"),
    ("internationalCreditorScheme", "${abroad_scheme}"),
    ("internationalCreditorIdentification", "${abroad_account}"),
    ("internationalCreditorName", "${abroad_name}"),
    ("cbpiiDebtorAccountSchemeName", "${debtor_scheme}"),
    ("cbpiiDebtorAccountIdentification", "${debtor_account}"),
    ("cbpiiDebtorAccountName", "${debtor_name}"),
    ("payment_frequency", "${frequency}"),
    ("frequency", "${frequency}"),
    ("instructionIdentification", "${random 20}"),
    ("endToEndIdentification", "${random 20}"),
    ("firstPaymentDateTime", "${day +5}T00:00:00+00:00"),
    ("requestedExecutionDateTime", "${day +5}T00:00:00+00:00"),
    ("transactionFromDate", "${day -1}T00:00:00+00:00"),
    ("transactionToDate", "${day +60}T00:00:00+00:00"),
];

/// Scopes of the suite's APIs.
fn scope(api: &str) -> &'static str {
    match api {
        "accounts" => "accounts",
        "funds" => "fundsconfirmations",
        _ => "payments",
    }
}

/// `$name` as a case has it, and the functions of manifests.
pub(super) fn named(text: &str) -> String {
    if let Some(call) = text.strip_prefix("$fn:") {
        let layout = call.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or_default();
        if layout.is_empty() {
            return "${random 20}".to_owned();
        }
        // A layout shows how a moment of the year 2006 would be written.
        return layout
            .replace("2006-01-02", "${day +1}")
            .replace("15:04:05", "10:00:00")
            .replace(".999", ".000")
            .replace("Z07:00", "Z")
            .replace("-07:00", "+00:00");
    }
    NAME.replace_all(text, "$${$1}").into_owned()
}

fn filled(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(named(text)),
        Value::Array(of) => of.iter().map(filled).collect(),
        Value::Object(of) => of.iter().map(|(name, value)| (name.clone(), filled(value))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

impl Manifests {
    /// The steps of a script, after those that it depends on.
    pub(super) fn steps(&self, script: &Script, bank: &BankConfiguration) -> anyhow::Result<Vec<Value>> {
        let configured: Map<String, Value> =
            CONFIGURED.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let mut steps = vec![
            json!({"do": "client-credentials", "set": configured, "form": {"set": {"scope": scope(script.api())}}}),
            json!({"do": "check", "set": {"client_access_token": "${own_token}"}}),
        ];
        if script.api() == "accounts" && !script.permissions.is_empty() {
            steps.extend(access(&script.permissions));
        }
        let mut before = Vec::new();
        self.makers(script, &mut before)?;
        before.extend(self.ender(script));
        for maker in before {
            steps.extend(self.own_steps(maker, bank, false)?);
        }
        steps.extend(self.own_steps(script, bank, true)?);
        Ok(steps)
    }

    /// The scripts that must have been played, in their order.
    fn makers<'m>(&'m self, script: &Script, before: &mut Vec<&'m Script>) -> anyhow::Result<()> {
        anyhow::ensure!(before.len() < 16, "{} depends on itself", script.id);
        let text = format!("{} {}", script.uri, json!(script.parameters));
        for name in NAME.captures_iter(&text).filter_map(|found| found.get(1)) {
            let Some(maker) = self.maker(name.as_str()) else { continue };
            if maker.id == script.id || before.iter().any(|known| known.id == maker.id) {
                continue;
            }
            self.makers(maker, before)?;
            before.push(maker);
        }
        Ok(())
    }

    /// What the script itself does; judged only if it is the one that is played.
    fn own_steps(
        &self,
        script: &Script,
        bank: &BankConfiguration,
        judged: bool,
    ) -> anyhow::Result<Vec<Value>> {
        let api = script.api();
        let (calls, told): (Map<String, Value>, Map<String, Value>) = script
            .parameters
            .iter()
            .filter(|(name, _)| name.as_str() != "postData")
            .map(|(name, value)| (name.clone(), filled(value)))
            .partition(|(name, _)| script.parameters.get(name).is_some_and(is_call));
        let told: Map<String, Value> =
            told.into_iter().filter(|(name, value)| *value != json!(format!("${{{name}}}"))).collect();
        // A value may stand for one that stands for another.
        let mut steps = vec![json!({"do": "check", "set": calls})];
        steps.extend((0..2).map(|_| json!({"do": "check", "set": told})));
        let mut call = Map::new();
        call.insert("do".to_owned(), json!("call"));
        call.insert("says".to_owned(), json!(script.id));
        call.insert("method".to_owned(), json!(script.method.to_uppercase()));
        let mut url = named(&script.uri);
        if !script.query_parameters.is_empty() {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(&script.query_parameters);
            url = format!("{url}?{}", query.finish());
        }
        call.insert("url".to_owned(), json!(url));
        if let Some(token) = token(script) {
            call.insert("token".to_owned(), json!(token));
        }
        if script.body.is_some() {
            call.insert("body".to_owned(), self.body(script, bank)?);
        }
        let headers: Map<String, Value> = script
            .headers
            .iter()
            .filter(|(name, value)| !name.eq_ignore_ascii_case("authorization") && is_known(script, value))
            .map(|(name, value)| (name.to_ascii_lowercase(), filled(value)))
            .collect();
        call.insert("headers".to_owned(), json!({"set": headers, "remove": script.remove_headers}));
        if script.remove_headers.iter().any(|name| name == "x-jws-signature") {
            call.insert("signature".to_owned(), json!({"omit": true}));
        } else if !script.remove_signature_claims.is_empty() {
            let claims = script.remove_signature_claims.iter();
            let claims: Vec<_> = claims.map(|name| format!("http://openbanking.org.uk/{name}")).collect();
            call.insert("signature".to_owned(), json!({"header": {"remove": claims}}));
        }
        let signed = judged && script.validate_signature;
        call.insert(
            "with".to_owned(),
            json!({"api": api, "schema": judged && script.schema_check, "signed": signed}),
        );
        let usual = json!({"status": ["2xx"]});
        let expect = if judged { self.expectation(script, bank.is_v4(api))? } else { usual };
        call.insert("expect".to_owned(), expect);
        let mut save = Map::new();
        let kept = script.keep_context_on_success.as_ref().filter(|_| !judged);
        if let Some(kept) = kept {
            let pointer = format!("/{}", kept.value.replace('.', "/"));
            save.insert(kept.name.clone(), json!(pointer));
            if pointer.ends_with("ConsentId") {
                save.insert("consent_id".to_owned(), json!(pointer));
            }
        }
        call.insert("save".to_owned(), json!(save));
        steps.push(Value::Object(call));
        if !judged && script.parameters.get("requestConsent") == Some(&json!("true")) {
            steps.push(json!({"do": "authorise", "with": {"scope": format!("openid {}", scope(api))}}));
        }
        Ok(steps)
    }

    fn body(&self, script: &Script, bank: &BankConfiguration) -> anyhow::Result<Value> {
        let named = script.parameters.get("postData").and_then(Value::as_str).unwrap_or_default();
        let name = named.trim_start_matches('$');
        let newer = format!("{name}V4");
        let name =
            if bank.is_v4(script.api()) && self.data.contains_key(&newer) { newer.as_str() } else { name };
        // The later of two shapes of version 3.1.
        let name = name
            .strip_suffix("V3111")
            .filter(|_| bank.is_v4(script.api()))
            .map_or_else(|| name.to_owned(), |stem| format!("{stem}V4"));
        let body = self.data.get(&name).and_then(|data| data.get("body"));
        let body =
            body.with_context(|| format!("{} refers to {name}, which data.json has not", script.id))?;
        if self.has_v4() {
            return Ok(filled(body));
        }
        // Bodies of version 4 name the scripts of version 4, which have the same numbers.
        Ok(serde_json::from_str(&filled(body).to_string().replace("${OB-400-", "${OB-301-"))?)
    }
}

fn is_call(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.starts_with("$fn:"))
}

/// Whether a value is stated by the script.
fn is_known(script: &Script, value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.strip_prefix('$').is_none_or(|name| script.parameters.contains_key(name))
}

/// Whose token the script shows: a person's for what the person approved, the client's own for the rest,
/// and none where nothing was consented to.
fn token(script: &Script) -> Option<&'static str> {
    if script.headers.get("Authorization").is_some() {
        return Some("client_access_token");
    }
    if script.api() == "accounts" {
        return (!script.permissions.is_empty()).then_some("access_token");
    }
    let first = script.uri.trim_start_matches('/').split('/').next().unwrap_or_default();
    let places = script.method.eq_ignore_ascii_case("post") && !first.ends_with("-consents");
    let asks = script.uri.ends_with("/funds-confirmation");
    Some(if places || asks { "access_token" } else { "own_token" })
}

/// A consent to account information, authorised.
fn access(permissions: &[String]) -> Vec<Value> {
    let mut permissions = permissions.to_vec();
    let mut wanted = |name: &str, without: &[&str]| {
        if !permissions.iter().any(|there| without.contains(&there.as_str())) {
            permissions.push(name.to_owned());
        }
    };
    wanted("ReadAccountsBasic", &["ReadAccountsBasic", "ReadAccountsDetail"]);
    if permissions.iter().any(|name| name.starts_with("ReadTransactions")) {
        let mut wanted = |name: &str| {
            if !permissions.iter().any(|there| there == name) {
                permissions.push(name.to_owned());
            }
        };
        wanted("ReadTransactionsCredits");
        wanted("ReadTransactionsDebits");
    }
    vec![
        json!({
            "do": "call", "method": "POST", "url": "/account-access-consents", "token": "own_token",
            "body": {"Data": {"Permissions": permissions}, "Risk": {}}, "expect": {"status": 201},
            "save": {"consent_id": "/Data/ConsentId"},
        }),
        json!({"do": "authorise", "with": {"scope": "openid accounts"}}),
        json!({
            "do": "call", "url": "/accounts", "token": "access_token", "expect": {"status": 200},
            "save": {"consentedAccountId": "/Data/Account/0/AccountId"},
        }),
    ]
}
