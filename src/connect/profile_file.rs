//! Profiles as text: one file per group of brands, TOML or YAML, group defaults
//! first, then the brands with what they override. Every problem is found, not only
//! the first, and each names file, key and reason. A key nobody knows is one.
//!
//! The value `deployment` stands for what only an operator knows: such a bank
//! is listed, and cannot be called until a [`crate::Deployment`] fills it in.

mod berlin_group;
mod compare;
mod deployment;
mod history;
mod lines;
mod map;
mod notifications;
mod payees;
mod payments;
mod registration;
mod schema;
mod selftest;
mod table;
mod uk_open_banking;
mod unattended;
mod yaml;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use domain::{Capability, InstitutionId, PaymentScheme, Region, Timestamp};
use url::Url;

use crate::profile::{
    ApiBase, AuthorizationServer, ClientAuth, Environment, Limits, Maintenance, PLUGIN, Profile,
    ResponseType, SandboxUser, ScaFlow, Signing, is_plugin_name,
};
use crate::quirk::STEP_WORDS;
use crate::{MapTarget, Quirk, QuirkName, Quirks};
pub use compare::{ProfileKeys, embedded_profile_keys, profile_keys};
pub use deployment::{deployment_of, deployment_text, read_deployment};
use lines::Lines;
pub use schema::profile_schema;
use table::{Findings, Table};

/// The dialects that a profile may name.
const DIALECTS: &[&str] = &["uk-open-banking", "berlin-group", "stet", "polish-api"];

/// The versions of standards that a profile may name.
const VERSIONS: &[&str] = &["1.3", "1.4", "2.1", "3.0", "3.1", "4.0"];

/// Stands for what the operator gives.
const FROM_DEPLOYMENT: &str = "deployment";

/// The profiles that ship with the gateway: file name and text.
pub(crate) const EMBEDDED: &[(&str, &str)] = &[
    ("gb-barclays.toml", include_str!("profiles/gb-barclays.toml")),
    ("gb-chase.toml", include_str!("profiles/gb-chase.toml")),
    ("gb-cooperative.toml", include_str!("profiles/gb-cooperative.toml")),
    ("gb-danske.toml", include_str!("profiles/gb-danske.toml")),
    ("gb-hsbc.toml", include_str!("profiles/gb-hsbc.toml")),
    ("gb-lloyds.toml", include_str!("profiles/gb-lloyds.toml")),
    ("gb-monzo.toml", include_str!("profiles/gb-monzo.toml")),
    ("gb-nationwide.toml", include_str!("profiles/gb-nationwide.toml")),
    ("gb-natwest.toml", include_str!("profiles/gb-natwest.toml")),
    ("gb-obie.toml", include_str!("profiles/gb-obie.toml")),
    ("gb-revolut.toml", include_str!("profiles/gb-revolut.toml")),
    ("gb-santander.toml", include_str!("profiles/gb-santander.toml")),
    ("gb-starling.toml", include_str!("profiles/gb-starling.toml")),
    ("gb-tide.toml", include_str!("profiles/gb-tide.toml")),
    ("gb-tsb.toml", include_str!("profiles/gb-tsb.toml")),
    ("gb-wise.toml", include_str!("profiles/gb-wise.toml")),
    ("gb-zopa.toml", include_str!("profiles/gb-zopa.toml")),
];

/// One thing wrong with a profile file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileProblem {
    /// The file.
    pub file: String,
    /// The line, from 1, where it can be told.
    pub line: Option<usize>,
    /// The key, from the top of the file (`brand[2].accounts_api.use`).
    pub key: String,
    /// Why.
    pub why: String,
}

impl ProfileProblem {
    fn new(file: &str, key: String, why: String) -> Self {
        Self { file: file.to_owned(), line: None, key, why }
    }
}

impl std::fmt::Display for ProfileProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.why)
    }
}

/// Largest profile file, bytes.
const LARGEST: usize = 1024 * 1024;

/// A file as it stands, its keys known by their lines.
struct Document {
    root: toml::Table,
    lines: Lines,
}

/// Whether a file of a folder is taken for a profile: `*.toml`, `*.yaml`, `*.yml`,
/// but not `*.deployment.toml`.
#[must_use]
pub fn is_profile_file(path: &Path) -> bool {
    let profile = is_yaml(path) || path.extension().is_some_and(|extension| extension == "toml");
    profile && deployment_of(path).is_none()
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// Takes a text apart: YAML if the file's name says so, TOML otherwise.
fn document(file: &str, text: &str) -> Result<Document, ProfileProblem> {
    let problem = |line, key: String, why| ProfileProblem { line, ..ProfileProblem::new(file, key, why) };
    if text.len() > LARGEST {
        return Err(problem(None, String::new(), "is larger than 1 MiB".into()));
    }
    if is_yaml(Path::new(file)) {
        let (root, lines) =
            yaml::read(text).map_err(|error| problem(Some(error.line), error.key, error.why))?;
        return Ok(Document { root, lines });
    }
    let root = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().and_then(|span| lines::line_at(text, span.start));
        problem(line, String::new(), format!("not TOML: {}", error.message()))
    })?;
    Ok(Document { root, lines: Lines::of_toml(text) })
}

/// Reads one file. Brands with problems are left out of the profiles.
#[must_use]
pub fn read_profiles(file: &str, text: &str) -> (Vec<Profile>, Vec<ProfileProblem>) {
    match document(file, text) {
        Ok(document) => {
            let (profiles, findings) = read_document(file, document);
            (profiles, findings.problems)
        }
        Err(problem) => (Vec::new(), vec![problem]),
    }
}

fn read_document(file: &str, document: Document) -> (Vec<Profile>, Findings) {
    let Document { root, lines } = document;
    let problem = |key: &str, why: &str| ProfileProblem::new(file, key.to_owned(), why.to_owned());
    let mut findings = Findings::default();
    let parts = parts(file, root, &mut findings.problems);
    let mut profiles: Vec<Profile> = Vec::new();
    for (index, brand) in parts.brands {
        let path = format!("brand[{index}]");
        let before = findings.problems.len();
        let mut table = Table::new(file, path.clone(), merged(&parts.defaults, brand), &mut findings);
        let profile = profile(&mut table, &parts.group);
        table.finish();
        if let Some(profile) = profile
            && findings.problems.len() == before
        {
            if profiles.iter().any(|known| known.id == profile.id) {
                findings.problems.push(problem(&format!("{path}.id"), "names a brand of this file already"));
            } else {
                profiles.push(profile);
            }
        }
    }
    for problem in &mut findings.problems {
        problem.key = in_file(&problem.key, &parts.defaults);
        problem.line = lines.of(&problem.key);
    }
    findings.problems.sort_by_key(|problem| problem.line);
    // What is wrong with the defaults is wrong once, not once a brand.
    findings.problems.dedup();
    (profiles, findings)
}

/// Where an entry of a list that is added up stands in the file: those of the
/// defaults come first.
fn in_file(key: &str, defaults: &toml::Table) -> String {
    let place = |list: &str| {
        let (brand, rest) = key.split_once(&format!(".{list}["))?;
        let (index, rest) = rest.split_once(']')?;
        let index: usize = index.parse().ok()?;
        let before = defaults.get(list).and_then(toml::Value::as_array).map_or(0, Vec::len);
        Some(match index.checked_sub(before) {
            None => format!("defaults.{list}[{index}]{rest}"),
            Some(index) => format!("{brand}.{list}[{index}]{rest}"),
        })
    };
    ADDED_UP.into_iter().find_map(place).unwrap_or_else(|| key.to_owned())
}

/// What a file is made of.
struct Parts {
    group: String,
    defaults: toml::Table,
    brands: Vec<(usize, toml::Table)>,
}

fn parts(file: &str, mut root: toml::Table, problems: &mut Vec<ProfileProblem>) -> Parts {
    let mut wrong = |key: &str, why: &str| {
        problems.push(ProfileProblem::new(file, key.to_owned(), why.to_owned()));
    };
    let group = match root.remove("group") {
        Some(toml::Value::String(group)) if !group.is_empty() => group,
        _ => {
            wrong("group", "names the group of brands, a text");
            String::new()
        }
    };
    let defaults = match root.remove("defaults") {
        None => toml::Table::new(),
        Some(toml::Value::Table(table)) => table,
        Some(_) => {
            wrong("defaults", "is a table");
            toml::Table::new()
        }
    };
    let mut brands = Vec::new();
    match root.remove("brand") {
        Some(toml::Value::Array(list)) => {
            for (index, brand) in list.into_iter().enumerate() {
                if let toml::Value::Table(brand) = brand {
                    brands.push((index, brand));
                } else {
                    wrong(&format!("brand[{index}]"), "is a table");
                }
            }
        }
        _ => wrong("brand", "is a list of tables, [[brand]]"),
    }
    for key in root.keys() {
        wrong(key, "is not a key of a profile file");
    }
    Parts { group, defaults, brands }
}

/// Everything wrong with a file; nothing, if it can be loaded whole.
#[must_use]
pub fn lint(file: &str, text: &str) -> Vec<ProfileProblem> {
    read_profiles(file, text).1
}

/// Everything wrong with the profiles that ship with the gateway.
#[must_use]
pub fn lint_embedded() -> Vec<ProfileProblem> {
    EMBEDDED.iter().flat_map(|(file, text)| lint(file, text)).collect()
}

/// Lists of which a brand's are added to those of its group.
const ADDED_UP: [&str; 2] = ["quirks", "tests"];

/// Tables are merged deep, quirks and tests are added up, anything else is replaced.
fn merged(defaults: &toml::Table, brand: toml::Table) -> toml::Table {
    let mut whole = defaults.clone();
    for (key, value) in brand {
        let combined = match (whole.remove(&key), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => {
                toml::Value::Table(merged(&under, over))
            }
            (Some(toml::Value::Array(mut under)), toml::Value::Array(over))
                if ADDED_UP.contains(&key.as_str()) =>
            {
                under.extend(over);
                toml::Value::Array(under)
            }
            (_, value) => value,
        };
        whole.insert(key, combined);
    }
    whole
}

fn profile(table: &mut Table<'_>, group: &str) -> Option<Profile> {
    // What is missing is a problem; what else is wrong is found nevertheless.
    let id: Option<InstitutionId> = table.parsed("id", "a slug such as \"gb-examplebank\"");
    let name = table.required_text("name").unwrap_or_default();
    let region: Option<Region> = table.parsed("region", "a region such as \"uk\"");
    let dialect = dialect(table);
    let environment = match table.word("environment", &["live", "sandbox"]).as_deref() {
        Some("live") => Environment::Live,
        Some(_) | None => Environment::Sandbox,
    };
    let (id, region) = (id.or_else(|| "xx-unread".parse().ok())?, region.or_else(|| "eu".parse().ok())?);
    let mut profile = Profile::blank(id, name, region, &dialect);
    profile.brand_group = group.to_owned();
    profile.environment = environment;
    profile.countries = table.words("countries", "a country such as \"GB\"", |word| word.parse().ok());
    profile.bics = table.words("bics", "a BIC of 8 or 11 characters", |word| {
        matches!(word.len(), 8 | 11).then(|| word.to_ascii_uppercase())
    });
    let capability = "a capability such as \"accounts\"";
    profile.capabilities =
        table.words("capabilities", capability, Capability::from_word).into_iter().collect();
    profile.payment_schemes = table.words("payment_schemes", payments::RAIL, PaymentScheme::from_word);
    profile.payment_constraints = payments::constraints(table);
    profile.sca = table.words("sca", "redirect, oauth, decoupled or embedded", |word| match word {
        "redirect" => Some(ScaFlow::Redirect),
        "oauth" => Some(ScaFlow::OAuth),
        "decoupled" => Some(ScaFlow::Decoupled),
        "embedded" => Some(ScaFlow::Embedded),
        _ => None,
    });
    let own_versions = profile.plugin().is_some();
    for (key, slot) in [
        ("accounts_api", &mut profile.accounts_api),
        ("payments_api", &mut profile.payments_api),
        ("funds_api", &mut profile.funds_api),
        ("recurring_api", &mut profile.recurring_api),
    ] {
        *slot = api(table, key, own_versions, &mut profile.missing);
    }
    profile.payees = payees::payees(table);
    profile.bank_codes = payees::bank_codes(table);
    profile.authorization_server = server(table, &mut profile.missing);
    profile.registration = registration::registration(table);
    profile.signing = signing(table);
    match table.word("client_auth", &["certificate", "signed-assertion", "shared-secret"]).as_deref() {
        Some("certificate") | None => profile.client_auth = ClientAuth::TlsClientAuth,
        Some("signed-assertion") => profile.client_auth = ClientAuth::PrivateKeyJwt,
        // A password between us and a bank is no strong authentication.
        Some(_) => profile.missing.push("client_auth".into()),
    }
    match table.text("client_id") {
        Some(client_id) if client_id != FROM_DEPLOYMENT => profile.client_id = Some(client_id),
        // Only OAuth knows clients.
        None if profile.authorization_server.is_none() && !profile.sca.contains(&ScaFlow::OAuth) => {}
        _ => profile.missing.push("client_id".into()),
    }
    match table.text("financial_id") {
        Some(id) if id == FROM_DEPLOYMENT => profile.missing.push("financial_id".into()),
        other => profile.financial_id = other,
    }
    profile.psu_id_required = table.boolean("psu_id_required").unwrap_or(false);
    profile.customer_authentication = table.boolean("customer_authentication").unwrap_or(true);
    profile.max_consent_days = table.number("max_consent_days");
    history::history(table, &mut profile);
    profile.unattended = unattended::unattended(table);
    let any = |word: &str| Some(word.to_owned());
    profile.refused_permissions = table.words("refused_permissions", "a text", any);
    profile.absent_paths = table.words("absent_paths", "a text", any);
    let extra = "pots or vrp-consent-migration";
    profile.extras = table.words("extras", extra, |word| {
        ["pots", "vrp-consent-migration"].contains(&word).then(|| word.to_owned())
    });
    profile.hosts = table.words("hosts", "a host name, or a domain that begins with a dot", host);
    profile.note = table.text("note");
    profile.maintenance = table.each_table("maintenance", maintenance);
    profile.sandbox_users = table.each_table("sandbox_users", sandbox_user);
    if environment == Environment::Live && !profile.sandbox_users.is_empty() {
        table.problem("sandbox_users", "is for sandboxes: no person's password lies in a file");
    }
    profile.mapping = map::mapping(table);
    if !profile.mapping.is_empty() && dialect.starts_with(PLUGIN) {
        table.problem("map", "is not for plugins, which read entries themselves");
    }
    if profile.mapping.has(MapTarget::Balances) && dialect == "polish-api" {
        table.problem("map.balances", "is not for polish-api, where balances are members of an account");
    }
    profile.tests = table.each_table("tests", selftest::test);
    profile.limits = limits(table);
    profile.berlin_group = berlin_group::berlin_group(table, &dialect);
    profile.notifications = notifications::notifications(table, &dialect);
    profile.uk_open_banking = uk_open_banking::uk_open_banking(table, &dialect);
    profile.allow_weaker = allow_weaker(table);
    let quirks = table.each_table("quirks", |inner| quirk(inner, &profile.allow_weaker));
    profile.deviate(Quirks::new(quirks));
    Some(profile)
}

/// The quirks that may weaken a check, with the reasons why.
fn allow_weaker(table: &mut Table<'_>) -> BTreeMap<QuirkName, String> {
    let mut allowed = BTreeMap::new();
    if let Some(mut reasons) = table.table("allow_weaker") {
        for name in QuirkName::ALL.iter().filter(|name| name.weakens().is_some()) {
            allowed.extend(reasons.text(name.as_str()).map(|reason| (*name, reason)));
        }
        reasons.finish();
    }
    allowed
}

/// The name of one of our dialects, or of a plugin.
fn dialect(table: &mut Table<'_>) -> String {
    let Some(name) = table.required_text("dialect") else { return String::new() };
    if !DIALECTS.contains(&name.as_str()) && !name.strip_prefix(PLUGIN).is_some_and(is_plugin_name) {
        table.problem("dialect", &format!("is one of: {}, {PLUGIN}NAME", DIALECTS.join(", ")));
    }
    name
}

/// An API: `use` picks the version, each version has its address. A bank without a
/// standard counts its versions as it likes.
fn api(table: &mut Table<'_>, key: &str, own_versions: bool, missing: &mut Vec<String>) -> Option<ApiBase> {
    let mut api = table.table(key)?;
    let version = api.required_text("use");
    let own = version.as_deref().filter(|version| own_versions && is_version(version));
    let mut found = None;
    for known in VERSIONS.iter().copied().filter(|known| Some(*known) != own).chain(own) {
        let Some(address) = api.text(known) else { continue };
        if address == FROM_DEPLOYMENT {
            if version.as_deref() == Some(known) {
                missing.push(key.to_owned());
            }
            continue;
        }
        match secure(&address) {
            Some(url) if version.as_deref() == Some(known) => {
                found = Some(ApiBase { url, version: known.to_owned() });
            }
            Some(_) => {}
            None => api.problem(known, "is an https address"),
        }
    }
    let chosen = version.as_deref().unwrap_or_default();
    if found.is_none() && !missing.iter().any(|slot| slot == key) && !chosen.is_empty() {
        api.problem("use", "names a version that has an address here");
    }
    api.finish();
    found
}

/// Numbers with points between them.
fn is_version(text: &str) -> bool {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.len() <= 32 && text.split('.').all(number)
}

/// A host name, or a domain that stands for every host below.
fn host(word: &str) -> Option<String> {
    let bare = word.strip_prefix('.').unwrap_or(word);
    let plain = bare.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    (plain && bare.contains('.')).then(|| word.to_ascii_lowercase())
}

fn secure(address: &str) -> Option<Url> {
    Url::parse(address).ok().filter(|url| url.scheme() == "https" && url.host_str().is_some())
}

fn server(table: &mut Table<'_>, missing: &mut Vec<String>) -> Option<AuthorizationServer> {
    let mut inner = table.table("authorization_server")?;
    let issuer = match inner.text("issuer") {
        Some(issuer) if issuer == FROM_DEPLOYMENT => {
            missing.push("authorization_server.issuer".into());
            None
        }
        Some(issuer) => {
            if secure(&issuer).is_none() {
                inner.problem("issuer", "is an https address");
            }
            Some(issuer)
        }
        None => None,
    };
    let hybrid = inner.word("response_type", &["code", "code id_token"]).as_deref() == Some("code id_token");
    inner.word_or_none("response_mode", &["query", "fragment"]);
    let mut address = |key: &str| {
        let text = inner.text(key)?;
        let url = secure(&text);
        if url.is_none() {
            inner.problem(key, "is an https address");
        }
        url
    };
    let server = AuthorizationServer {
        issuer,
        metadata_url: address("metadata_url"),
        authorization_endpoint: address("authorization_endpoint"),
        token_endpoint: address("token_endpoint"),
        pushed_authorization_request_endpoint: address("pushed_authorization_request_endpoint"),
        jwks_uri: address("jwks_uri"),
        registration_endpoint: address("registration_endpoint"),
        signed_request_object: inner.boolean("signed_request_object").unwrap_or(false),
        pushed_requests: inner.boolean("pushed_requests").unwrap_or(false),
        response_type: if hybrid { ResponseType::CodeIdToken } else { ResponseType::Code },
    };
    inner.finish();
    Some(server)
}

fn signing(table: &mut Table<'_>) -> Signing {
    let Some(mut inner) = table.table("signing") else { return Signing::None };
    let methods = [
        "none",
        "detached-jws",
        "digest-signature",
        "digest-signature-by-url",
        "message-signature",
        "body-jws",
    ];
    let signing = match inner.word("method", &methods).as_deref() {
        Some("detached-jws") => Signing::DetachedJws {
            iss: inner.text("issuer"),
            tan: inner.required_text("trust_anchor").unwrap_or_default(),
            verify_answers: inner.boolean("verify_answers").unwrap_or(false),
        },
        Some("digest-signature") => Signing::DigestSignature,
        Some("digest-signature-by-url") => {
            let key_url = inner.required_text("key_url").unwrap_or_default();
            if !key_url.contains("{sha256}") || secure(&key_url.replace("{sha256}", "0")).is_none() {
                inner.problem("key_url", "is an https address with {sha256} in it");
            }
            Signing::DigestSignatureByUrl { key_url }
        }
        Some("message-signature") => {
            let mut word = |key: &str| {
                let text = inner.text(key);
                // RFC 9651 §3.3.3: what the header can hold.
                if text.as_deref().is_some_and(|text| !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)))
                {
                    inner.problem(key, "is printable ASCII");
                }
                text
            };
            Signing::MessageSignature { key_id: word("key_id"), tag: word("tag") }
        }
        Some("body-jws") => Signing::BodyJws,
        Some(_) | None => Signing::None,
    };
    inner.finish();
    signing
}

fn limits(table: &mut Table<'_>) -> Limits {
    let mut limits = Limits::default();
    let Some(mut inner) = table.table("limits") else { return limits };
    if let Some(seconds) = inner.number("deadline_seconds") {
        limits.deadline = Duration::from_secs(u64::from(seconds));
    }
    for (key, slot) in
        [("max_in_flight", &mut limits.max_in_flight), ("max_waiting", &mut limits.max_waiting)]
    {
        if let Some(number) = inner.number(key) {
            *slot = usize::from(number);
        }
    }
    if let Some(retries) = inner.count("retries", 5) {
        limits.retries = retries;
    }
    if let Some(millis) = inner.number("hedge_after_milliseconds") {
        limits.hedge_after = Some(Duration::from_millis(u64::from(millis)));
    }
    if let Some(seconds) = inner.number("rest_seconds") {
        limits.open_for = Duration::from_secs(u64::from(seconds));
    }
    if let Some(kilobytes) = inner.number("max_body_kilobytes") {
        limits.max_body = usize::from(kilobytes).saturating_mul(1024);
    }
    inner.finish();
    limits
}

fn maintenance(mut table: Table<'_>) -> Option<Maintenance> {
    let instant = "an instant such as \"2026-11-29T22:00:00Z\"";
    let from: Option<Timestamp> = table.parsed("from", instant);
    let until: Option<Timestamp> = table.parsed("until", instant);
    let note = table.text("note");
    let window = Maintenance { from: from?, until: until?, note };
    if window.until <= window.from {
        table.problem("until", "is after from");
    }
    table.finish();
    Some(window)
}

/// A user of a sandbox, whose password is no secret.
fn sandbox_user(mut table: Table<'_>) -> Option<SandboxUser> {
    let username = table.required_text("username");
    let password = table.required_text("password");
    let code = table.text("code").map(Into::into);
    let purpose = table.text("purpose").unwrap_or_default();
    table.finish();
    Some(SandboxUser { username: username?, password: password?.into(), code, purpose })
}

/// A quirk; one that weakens a check without leave is a problem.
fn quirk(mut table: Table<'_>, allowed: &BTreeMap<QuirkName, String>) -> Option<Quirk> {
    let word = table.required_text("name")?;
    let Some(name) = QuirkName::from_word(&word) else {
        table.problem("name", "is not the name of a quirk");
        return None;
    };
    let at = table.words("at", "a step such as \"aisp.consent.post\"", |step| {
        step.split('.').all(|word| STEP_WORDS.contains(&word)).then(|| step.to_owned())
    });
    let versions =
        table.words("versions", "a version", |word| VERSIONS.contains(&word).then(|| word.to_owned()));
    table.word_or_none("evidence", &["tests", "adjustment"]);
    let quirk = Quirk { name, at, versions, parameters: table.take_known(name.parameters()) };
    if let Some(unchecked) = quirk.weakens()
        && !allowed.contains_key(&name)
    {
        let why = format!("weakens a check ({unchecked}); allow_weaker.{word} must say why that may be");
        table.problem("name", &why);
    }
    table.finish();
    Some(quirk)
}

#[cfg(test)]
mod tests;
