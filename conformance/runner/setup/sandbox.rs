//! Configurations for the sandbox's model banks, where the gateway is the registered TPP: its
//! certificates are in `pki` of the sandbox's folder.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};
use url::Url;

use crate::http::Identity;

/// A model bank.
struct Bank {
    id: &'static str,
    dialect: &'static str,
    /// Its port, counted from the sandbox's first; its pages are one further.
    port: u16,
    /// Base addresses below its origin.
    bases: &'static [(&'static str, &'static str)],
    /// What it offers beyond what it must.
    endpoints: &'static [&'static str],
    scope: &'static str,
    /// How customers approve, and by what requests are signed, if not on pages and in the older way.
    approach: Option<(&'static str, &'static str)>,
    /// What cases name as `${…}`.
    values: &'static [(&'static str, &'static str)],
}

const BANKS: [Bank; 6] = [
    Bank {
        id: "gb-albion-bank",
        dialect: "uk-open-banking",
        port: 4,
        bases: &[
            ("accounts", "/open-banking/v4.0/aisp"),
            ("payments", "/open-banking/v4.0/pisp"),
            ("funds", "/open-banking/v4.0/cbpii"),
            ("recurring", "/open-banking/v4.0/pisp"),
        ],
        endpoints: &[
            "/accounts/{AccountId}/beneficiaries",
            "/accounts/{AccountId}/direct-debits",
            "/accounts/{AccountId}/parties",
            "/accounts/{AccountId}/scheduled-payments",
            "/accounts/{AccountId}/standing-orders",
            "/accounts/{AccountId}/statements",
            "/balances",
            "/transactions",
            "/domestic-scheduled-payments",
            "/domestic-standing-orders",
            "/international-payments",
            "/file-payments",
            "/domestic-vrps",
        ],
        scope: "openid accounts",
        approach: None,
        values: &[
            ("creditor_scheme", "UK.OBIE.SortCodeAccountNumber"),
            ("creditor_account", "99001120000018"),
            ("creditor_name", "Ben Okafor"),
            ("abroad_scheme", "UK.OBIE.IBAN"),
            ("abroad_account", "DE42999100002000000018"),
            ("abroad_name", "Ben Yilmaz"),
            ("debtor_scheme", "UK.OBIE.IBAN"),
            ("debtor_account", "GB85ALBN99001110000017"),
            ("debtor_name", "Anna Whitfield"),
            ("currency", "GBP"),
            ("frequency", "MNTH"),
        ],
    },
    Bank {
        id: "de-rheinbank",
        dialect: "berlin-group",
        port: 6,
        bases: &[("accounts", "/")],
        endpoints: &["/v1/periodic-payments", "/v1/bulk-payments", "/v1/trusted-beneficiaries"],
        scope: "accounts",
        approach: None,
        values: &[
            ("debtor_iban", "DE17999100001000000017"),
            ("creditor_iban", "DE42999100002000000018"),
            ("creditor_name", "Ben Yilmaz"),
            ("currency", "EUR"),
            ("psu_id", "anna"),
        ],
    },
    Bank {
        id: "fr-banque-lumiere",
        dialect: "berlin-group",
        port: 8,
        bases: &[("accounts", "/")],
        endpoints: &["/v1/periodic-payments", "/v1/bulk-payments"],
        scope: "accounts",
        approach: Some(("decoupled", "cavage")),
        values: &[
            ("debtor_iban", "FR7699901000010001000001722"),
            ("creditor_iban", "FR7699901000010002000001882"),
            ("creditor_name", "Ben Moreau"),
            ("currency", "EUR"),
        ],
    },
    Bank {
        id: "at-donaubank",
        dialect: "berlin-group",
        port: 14,
        bases: &[("accounts", "/")],
        endpoints: &["/v1/periodic-payments", "/v1/bulk-payments", "/v1/card-accounts"],
        scope: "accounts",
        approach: Some(("embedded", "rfc9421")),
        values: &[
            ("debtor_iban", "AT679990300000010017"),
            ("creditor_iban", "AT889990300000020018"),
            ("creditor_name", "Ben Gruber"),
            ("currency", "EUR"),
        ],
    },
    Bank {
        id: "fr-credit-rivage",
        dialect: "stet",
        port: 10,
        bases: &[("accounts", "/stet/psd2/v1.4")],
        endpoints: &["/trusted-beneficiaries", "/end-user-identity"],
        scope: "aisp",
        approach: None,
        values: &[
            ("creditor_iban", "DE42999100002000000018"),
            ("creditor_name", "Ben Yilmaz"),
            ("currency", "EUR"),
        ],
    },
    Bank {
        id: "pl-bank-wisla",
        dialect: "polish-api",
        port: 12,
        bases: &[("accounts", "/v2_1_1.1")],
        endpoints: &[],
        scope: "ais",
        approach: None,
        values: &[
            ("creditor_account", "PL06999010060000000000020018"),
            ("creditor_name", "Ben Zielinski"),
            ("funds_account", "PL82999010060000000000010017"),
            ("currency", "PLN"),
        ],
    },
];

/// Writes `bank-<id>.toml` for each model bank of a sandbox whose pages are at an address.
///
/// # Errors
///
/// If the folder is no sandbox's, or something cannot be written.
pub(super) fn write(out: &Path, data: &Path, target: &Url) -> anyhow::Result<Vec<PathBuf>> {
    let pki = data.join("pki").canonicalize().with_context(|| format!("{} has no pki", data.display()))?;
    let file = |name: &str| pki.join(name).display().to_string();
    let kid = Identity::read(&pki.join("gateway-qseal.pem"), &pki.join("gateway-qseal.key"))?.thumbprint();
    let first = target.port().context("the sandbox's address has no port")?;
    let origin = |offset: u16| format!("https://localhost:{}", first.saturating_add(offset));
    let issuer = target.as_str().trim_end_matches('/');
    let mut written = Vec::new();
    for bank in &BANKS {
        let (api, pages) = (origin(bank.port), origin(bank.port.saturating_add(1)));
        let callback = format!("{issuer}/callback/{}", bank.id);
        let mut described = json!({
            "dialect": bank.dialect, "seal": "qseal", "kid": kid, "tan": "consentry.example",
            "seal_url": format!("{issuer}/seals/{{sha256}}.pem"), "endpoints": bank.endpoints,
        });
        if let Some((sca, signing)) = bank.approach {
            let customer = json!({"id": "anna", "password": "sandbox", "code": "123456"});
            for (name, value) in [("sca", json!(sca)), ("signing", json!(signing)), ("customer", customer)] {
                put(&mut described, name, value);
            }
        }
        for (name, path) in bank.bases {
            put(&mut described, name, json!(format!("{api}{path}")));
        }
        if bank.dialect == "polish-api" {
            let name = format!("bank-{}-keys.json", bank.id);
            let keys = published(&data.join(format!("banks/{}-signing.pem", bank.id)))?;
            std::fs::write(out.join(&name), keys).with_context(|| format!("{name} cannot be written"))?;
            put(&mut described, "answer_key_file", json!(name));
        }
        let values: serde_json::Map<String, Value> =
            bank.values.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let mut configuration = json!({
            "issuer": pages,
            "api": api,
            "roots": [file("root.pem")],
            "values": values,
            "psu": {"mode": "redirects-or-header", "deny_header": "x-sandbox-psu", "deny_value": "deny"},
            "certificates": {
                "qwac": {"chain": file("gateway-qwac.pem"), "key": file("gateway-qwac.key")},
                "qseal": {"chain": file("gateway-qseal.pem"), "key": file("gateway-qseal.key")},
                "fintech": {"chain": file("fintech.pem"), "key": file("fintech.key")},
            },
            "clients": {"main": {
                "client_id": "consentry-gateway",
                "authentication": if bank.dialect == "uk-open-banking" { "private_key_jwt" } else { "tls_client_auth" },
                "binding": "mtls",
                "certificate": "qwac",
                "key": file("gateway-qseal.key"),
                "kid": kid,
                "redirect_uris": [callback],
                "scope": bank.scope,
                "own_scope": if bank.dialect == "stet" { "pisp" } else { "accounts" },
            }},
            "bank": described,
        });
        if bank.dialect == "uk-open-banking" {
            put(
                &mut configuration,
                "registration",
                registration(&file("directory.key"), &callback, &pki, &kid)?,
            );
        }
        let path = out.join(format!("bank-{}.toml", bank.id));
        let text = toml::to_string(&configuration).context("the configuration")?;
        let text = format!("# Written by `consentry conformance setup --sandbox-data`.\n{text}");
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        written.push(path);
    }
    Ok(written)
}

/// The key set that the model bank would publish: the public half of its key.
fn published(file: &Path) -> anyhow::Result<String> {
    let key = crate::jose::SigningKey::read(file).with_context(|| file.display().to_string())?;
    let mut public = key.public();
    let kid = crate::jose::thumbprint(&public);
    put(&mut public, "kid", json!(kid));
    Ok(json!({"keys": [public]}).to_string())
}

fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

/// How the UK model bank registers clients: by signed requests with a statement of the sandbox's
/// directory (UK DCR 3.3).
fn registration(directory: &str, callback: &str, pki: &Path, kid: &str) -> anyhow::Result<Value> {
    let key = crate::jose::SigningKey::read(&pki.join("gateway-qseal.key"))?;
    let mut public = key.public();
    for (name, value) in [("kid", kid), ("use", "sig"), ("alg", key.alg())] {
        put(&mut public, name, json!(value));
    }
    Ok(json!({
        "media": "application/jwt",
        "audience": "001580000albion",
        "directory_key": directory,
        "directory_kid": "directory",
        "managed_by_own_token": true,
        "statement": {
            "iss": "https://directory.consentry.example",
            "software_id": "consentrysandbox",
            "software_client_name": "Consentry Sandbox",
            "software_roles": ["AISP", "PISP"],
            "software_redirect_uris": [callback],
            "org_id": "PSDGB-FCA-900100",
            "jwks": {"keys": [public]},
        },
        "metadata": {
            "redirect_uris": [callback],
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "PS256",
            "id_token_signed_response_alg": "PS256",
            "request_object_signing_alg": "PS256",
            "grant_types": ["authorization_code", "client_credentials", "refresh_token"],
            "response_types": ["code"],
            "application_type": "web",
            "software_id": "consentrysandbox",
            "scope": "openid accounts payments",
        },
    }))
}
