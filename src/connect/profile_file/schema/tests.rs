use std::collections::BTreeSet;

use boon::{Compiler, SchemaIndex, Schemas};

use super::super::{Document, EMBEDDED, Lines, document, read_document};
use super::*;

/// A file that says everything a profile can.
const EVERYTHING: &str = r#"
    group = "Example"
    [defaults]
    region = "uk"
    [[brand]]
    id = "gb-example"
    name = "Example"
    dialect = "uk-open-banking"
    environment = "live"
    countries = ["GB"]
    bics = ["EXMPGB2L"]
    note = "n"
    capabilities = ["accounts"]
    payment_schemes = ["FPS"]
    payment_constraints = { max_amounts = { FPS = "25000.00" }, required = ["remittance"], creditor_name_max = 70, remittance_max = 18, max_days_ahead = 30, schema = { properties = {} } }
    sca = ["oauth"]
    psu_id_required = false
    customer_authentication = true
    max_consent_days = 90
    max_history_days = 90
    fresh_history = { minutes = 15, days = 730 }
    max_days_per_query = 180
    unattended = { counting = "slots", slot_minutes = 360 }
    refused_permissions = ["ReadPAN"]
    absent_paths = ["/party"]
    extras = ["pots"]
    quirks = [{ name = "consent-settles", at = ["aisp.consent"], versions = ["4.0"], evidence = "tests", seconds = 3 }]
    accounts_api = { use = "4.0", "1.3" = "https://b.example/1", "3.1" = "https://b.example/3", "4.0" = "https://b.example/4" }
    payments_api = { use = "4.0", "1.3" = "https://b.example/1", "3.1" = "https://b.example/3", "4.0" = "https://b.example/4" }
    funds_api = { use = "4.0", "1.3" = "https://b.example/1", "1.4" = "https://b.example/5", "2.1" = "https://b.example/2", "3.0" = "https://b.example/6", "3.1" = "https://b.example/3", "4.0" = "https://b.example/4" }
    recurring_api = { use = "4.0", "1.3" = "https://b.example/1", "3.1" = "https://b.example/3", "4.0" = "deployment" }
    payee_verification = { address = "https://b.example/cop", requesting_bic = "EXMPGB2L" }
    bank_codes = ["20-00-00"]
    uk_open_banking = { file_report = "pain.002", empty_answer_is_none = true }
    client_id = "deployment"
    client_auth = "certificate"
    financial_id = "deployment"
    hosts = ["b.example"]
    signing = { method = "detached-jws", trust_anchor = "openbanking.org.uk", issuer = "b", verify_answers = true }
    limits = { deadline_seconds = 1, max_in_flight = 1, max_waiting = 1, max_body_kilobytes = 1, retries = 1, rest_seconds = 1, hedge_after_milliseconds = 1 }
    maintenance = [{ from = "2026-11-29T22:00:00Z", until = "2026-11-29T23:00:00Z", note = "n" }]
    [brand.allow_weaker]
    status-unreliable = "r"
    [brand.registration]
    automatic = true
    version = "3.2"
    request = "jwt"
    organisation_id_in_subject = "attribute-name"
    read = true
    update = true
    delete = true
    shared_as = "example"
    [brand.notifications]
    push = true
    poll_seconds = 60
    events_api = { use = "4.0", "4.0" = "https://b.example/4" }
    issuer = "https://b.example"
    organisation = "PSDGB-FCA-1"
    [brand.authorization_server]
    issuer = "https://b.example"
    metadata_url = "https://b.example/m"
    authorization_endpoint = "https://b.example/a"
    token_endpoint = "https://b.example/t"
    pushed_authorization_request_endpoint = "https://b.example/p"
    jwks_uri = "https://b.example/k"
    registration_endpoint = "https://b.example/r"
    signed_request_object = true
    pushed_requests = true
    response_type = "code"
    response_mode = "query"
"#;

/// The same for what only the Berlin Group has.
const EVERYTHING_BERLIN: &str = r#"
    group = "Example"
    [[brand]]
    id = "de-example"
    name = "Example"
    dialect = "berlin-group"
    region = "eu"
    environment = "sandbox"
    client_auth = "certificate"
    sandbox_users = [{ username = "u", password = "p", code = "c", purpose = "has two accounts" }]
    signing = { method = "message-signature", key_id = "k", tag = "t" }
    [brand.berlin_group]
    consents = ["account-list", "available-accounts"]
    recurring_only = true
    max_frequency_per_day = 4
    booking_statuses = ["booked"]
    transactions_need_balances = true
    transaction_formats = ["application/json"]
    payment_status_formats = ["application/json"]
    account_references = ["iban"]
    card_accounts = true
    transaction_details = true
    funds_consents = "https://xs2a.bank.example/v2"
    payment_products = ["sepa-credit-transfers"]
    required_payment_fields = ["debtor-account"]
    start_authorisation = "explicit"
    headers = { x-bank-code = "7" }
    psu_headers_together = ["psu-ip-address"]
    psu_id_type = "RETAIL"
    psu_id_unwanted = true
    token_header = "psd2-authorization"
    pain_day_of_at_once = "1999-01-01"
    [brand.notifications]
    push = true
    content = ["SCA", "PROCESS"]
    [brand.map]
    patterns = { payee = "^(.*),", noise = "x" }
    accounts = { display_name = "value", holders = "[value]" }
    balances = { type = 'value ?? "XPCD"' }
    transactions = { creditor_name = "extract(value, payee)", debtor_name = "value" }
    [[brand.tests]]
    name = "n"
    operation = "accounts"
    status = 200
    headers = { content-type = "text/plain" }
    given = { accounts = [] }
    expect = [{ bic = "" }]
    [[brand.tests]]
    name = "n"
    operation = "balances"
    given = "{}"
    expect_error = "malformed-response"
"#;

/// A plugin's bank counts its versions as it likes.
const PLUGGED: &str = r#"
    group = "G"
    [[brand]]
    id = "xx-bank"
    name = "Bank"
    dialect = "plugin:own-ways"
    region = "eu"
    environment = "live"
    client_auth = "certificate"
    accounts_api = { use = "7.1", "7.1" = "https://api.bank.example/seven" }
"#;

const EVERYTHING_STET: &str = r#"
    group = "G"
    [[brand]]
    id = "fr-bank"
    name = "Banque"
    dialect = "stet"
    region = "eu"
    environment = "live"
    client_auth = "certificate"
    client_id = "PSDFR-ACPR-1"
    sca = ["oauth"]
    signing = { method = "digest-signature-by-url", key_url = "https://tpp.example/seals/{sha256}.pem" }
    accounts_api = { use = "1.4", "1.4" = "https://api.bank.example/stet/v1.4" }
    authorization_server = { issuer = "https://bank.example", response_type = "code" }
"#;

/// Tables whose keys are the file's own.
const FREE: [&str; 2] = ["headers", "patterns"];

struct Judge(Schemas, SchemaIndex);

impl Judge {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("profile.json", profile_schema()).unwrap();
        let index = compiler.compile("profile.json", &mut schemas).unwrap();
        Self(schemas, index)
    }

    fn says(&self, root: &toml::Table) -> Result<(), String> {
        let instance = serde_json::to_value(root).unwrap();
        self.0.validate(&instance, self.1).map_err(|error| format!("{error:#}"))
    }
}

fn problems(root: &toml::Table) -> Vec<String> {
    let document = Document { root: root.clone(), lines: Lines::default() };
    read_document("x.toml", document).1.problems.iter().map(ToString::to_string).collect()
}

/// `brand[0].quirks[2].name` without what tells one file from another.
fn without_indexes(key: &str) -> String {
    key.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect()
}

/// Every key below a place of the schema, references followed.
fn keys_below(schema: &Value, root: &Value, path: &str, found: &mut BTreeSet<String>) {
    let within = |name: &&str| name.starts_with('#');
    if let Some(name) = schema.get("$ref").and_then(Value::as_str).filter(within) {
        keys_below(root.pointer(name.trim_start_matches('#')).unwrap(), root, path, found);
    }
    for alternative in schema.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
        keys_below(alternative, root, path, found);
    }
    for (key, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = format!("{path}.{key}");
        keys_below(schema, root, &path, found);
        found.insert(path);
    }
    if let Some(items) = schema.get("items") {
        keys_below(items, root, path, found);
    }
}

#[test]
fn the_published_schema_is_this_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/bank-profile.schema.json");
    let published: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(published == profile_schema(), "write it anew: make openapi");
}

#[test]
fn every_profile_that_ships_follows_the_schema() {
    let judge = Judge::new();
    for (file, text) in EMBEDDED {
        let verdict = judge.says(&text.parse().unwrap());
        assert!(verdict.is_ok(), "{file}: {}", verdict.unwrap_err());
    }
    for text in [EVERYTHING, EVERYTHING_BERLIN, EVERYTHING_STET, PLUGGED] {
        judge.says(&text.parse().unwrap()).unwrap();
    }
}

/// What the reader looks for and what the schema has are the same keys.
#[test]
fn the_schema_has_every_key_of_the_reader_and_no_other() {
    let mut known: BTreeSet<String> = BTreeSet::new();
    let texts =
        EMBEDDED.iter().map(|(_, text)| *text).chain([EVERYTHING, EVERYTHING_BERLIN, EVERYTHING_STET]);
    for text in texts {
        let document = document("x.toml", text).unwrap();
        let (profiles, findings) = read_document("x.toml", document);
        assert!(!profiles.is_empty(), "{:?}", findings.problems);
        known.extend(findings.known.iter().map(|key| without_indexes(key)));
    }
    let mut written = BTreeSet::new();
    let schema = profile_schema();
    keys_below(&schema["properties"]["brand"], &schema, "brand", &mut written);
    assert_eq!(known.difference(&written).collect::<Vec<_>>(), Vec::<&String>::new(), "not in the schema");
    assert_eq!(written.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "not in the reader");
}

/// Each value of a file is replaced by values of other kinds, and each table is
/// given a key that nobody knows: reader and schema refuse the same files.
#[test]
fn reader_and_schema_refuse_the_same_mistakes() {
    let judge = Judge::new();
    let refused =
        [EVERYTHING, EVERYTHING_BERLIN, EVERYTHING_STET].map(|text| mistakes(&judge, text.parse().unwrap()));
    assert!(refused.iter().sum::<usize>() > 400, "{refused:?}");
}

/// Makes every mistake there is in a file; returns how many were refused.
fn mistakes(judge: &Judge, root: toml::Table) -> usize {
    assert_eq!(problems(&root), Vec::<String>::new());
    let whole = toml::Value::Table(root);
    let mut places = Vec::new();
    places_of(&whole, Vec::new(), &mut places);
    let mut refused = 0;
    for place in &places {
        let wrong = ["true", "7", "-1", "\"\"", "\"no such thing\"", "[true]", "[[]]", "{ x = 1 }"];
        for value in wrong {
            let value = format!("v = {value}").parse::<toml::Table>().unwrap().remove("v").unwrap();
            let mut changed = whole.clone();
            *at(&mut changed, place) = value.clone();
            let changed = changed.as_table().unwrap();
            let (read, judged) = (problems(changed), judge.says(changed));
            // What a text means is the reader's to say.
            let only_meaning = value.is_str() && judged.is_ok();
            assert!(
                only_meaning || read.is_empty() == judged.is_ok(),
                "{place:?} = {value}: {read:?}; {judged:?}"
            );
            refused += usize::from(judged.is_err());
        }
        let named_freely = matches!(place.last(), Some(Step::Key(key)) if FREE.contains(&key.as_str()))
            || place.iter().any(|step| matches!(step, Step::Key(key) if ["given", "expect", "schema"].contains(&key.as_str())));
        if at(&mut whole.clone(), place).is_table() && !named_freely {
            let mut changed = whole.clone();
            at(&mut changed, place).as_table_mut().unwrap().insert("nobody_knows".into(), 1.into());
            let changed = changed.as_table().unwrap();
            assert!(!problems(changed).is_empty() && judge.says(changed).is_err(), "{place:?}");
        }
    }
    refused
}

#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Item(usize),
}

fn places_of(value: &toml::Value, here: Vec<Step>, found: &mut Vec<Vec<Step>>) {
    let below = |step: Step| here.iter().cloned().chain([step]).collect::<Vec<_>>();
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                places_of(value, below(Step::Key(key.clone())), found);
            }
        }
        toml::Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                places_of(value, below(Step::Item(index)), found);
            }
        }
        toml::Value::String(_)
        | toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => {}
    }
    if !here.is_empty() {
        found.push(here);
    }
}

fn at<'v>(value: &'v mut toml::Value, place: &[Step]) -> &'v mut toml::Value {
    place.iter().fold(value, |value, step| match step {
        Step::Key(key) => &mut value[key.as_str()],
        Step::Item(index) => &mut value[*index],
    })
}
