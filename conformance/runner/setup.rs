//! Everything that a target must know of us, and we of it.

mod sandbox;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SanType,
};
use serde_json::{Value, json};
use url::Url;

use crate::jose::SigningKey;
use crate::rp::{self, Places, between};

/// `organizationIdentifier` (X.520; ETSI TS 119 495 §5.2.1).
const ORGANIZATION_IDENTIFIER: &[u64] = &[2, 5, 4, 97];

/// A client certificate that is made.
struct Tpp {
    name: &'static str,
    organisation: &'static str,
    identifier: &'static str,
    authority: &'static str,
    authority_id: &'static str,
    country: &'static str,
    dns: &'static str,
    roles: &'static [(u64, &'static str)],
    rsa: bool,
    expired: bool,
    self_signed: bool,
}

/// PSP_PI, PSP_AI and PSP_IC (ETSI TS 119 495 §5.1), by the last arc of their identifiers.
const EVERY_ROLE: &[(u64, &str)] = &[(2, "PSP_PI"), (3, "PSP_AI"), (4, "PSP_IC")];

const TPPS: [Tpp; 5] = [
    Tpp {
        name: "reader",
        organisation: "Conformance Three",
        identifier: "PSDDE-BAFIN-900003",
        authority: "Federal Financial Supervisory Authority",
        authority_id: "DE-BAFIN",
        country: "DE",
        dns: "three.conformance.example",
        roles: &[(3, "PSP_AI")],
        rsa: false,
        expired: false,
        self_signed: false,
    },
    Tpp {
        name: "first",
        organisation: "Conformance One",
        identifier: "PSDDE-BAFIN-900001",
        authority: "Federal Financial Supervisory Authority",
        authority_id: "DE-BAFIN",
        country: "DE",
        dns: "one.conformance.example",
        roles: EVERY_ROLE,
        rsa: false,
        expired: false,
        self_signed: false,
    },
    Tpp {
        name: "second",
        organisation: "Conformance Two",
        identifier: "PSDFR-ACPR-900002",
        authority: "Autorite de controle prudentiel et de resolution",
        authority_id: "FR-ACPR",
        country: "FR",
        dns: "two.conformance.example",
        roles: EVERY_ROLE,
        rsa: true,
        expired: false,
        self_signed: false,
    },
    Tpp {
        name: "expired",
        organisation: "Conformance One",
        identifier: "PSDDE-BAFIN-900001",
        authority: "Federal Financial Supervisory Authority",
        authority_id: "DE-BAFIN",
        country: "DE",
        dns: "one.conformance.example",
        roles: EVERY_ROLE,
        rsa: false,
        expired: true,
        self_signed: false,
    },
    Tpp {
        name: "lookalike",
        organisation: "Conformance One",
        identifier: "PSDDE-BAFIN-900001",
        authority: "Federal Financial Supervisory Authority",
        authority_id: "DE-BAFIN",
        country: "DE",
        dns: "one.conformance.example",
        roles: EVERY_ROLE,
        rsa: false,
        expired: false,
        self_signed: true,
    },
];

const REDIRECT_URIS: [&str; 2] =
    ["https://conformance.example/return", "https://conformance.example/return?from=conformance&two=2"];

/// What the target is called at the hostile banks.
const AT_BANKS: &str = "conformance-rp";

/// Writes `ca.pem`, a certificate and key for each client, `clients.json` (RFC 7591 metadata to
/// register), `target.toml`, and for hostile banks their certificates and a folder of profiles.
///
/// # Errors
///
/// If something cannot be made or written.
pub fn write(
    folder: &Path,
    target: &Url,
    api: Option<&Url>,
    roots: &[PathBuf],
    bank_port: u16,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let put = |name: &str, text: &str| {
        let file = folder.join(name);
        std::fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))
    };
    let put_key = |name: &str, key: &str| {
        let file = folder.join(format!("{name}.key"));
        if file.exists() {
            std::fs::remove_file(&file)?;
        }
        crate::private::write(&file, key).with_context(|| format!("{} cannot be written", file.display()))
    };
    let (ca, ca_pem) = authority()?;
    put("ca.pem", &ca_pem)?;
    for tpp in &TPPS {
        let (chain, key) = certificate(tpp, &ca)?;
        put(&format!("{}.pem", tpp.name), &chain)?;
        put_key(tpp.name, &key)?;
    }
    for made in rp::made(&ca)? {
        put(&format!("{}.pem", made.name), &made.chain)?;
        put_key(made.name, &made.key)?;
    }
    let banks = folder.join("hostile-banks");
    std::fs::create_dir_all(&banks).with_context(|| format!("{} cannot be made", banks.display()))?;
    for (name, profile) in rp::profiles(Places { port: bank_port }, AT_BANKS) {
        put(&format!("hostile-banks/{name}"), &profile)?;
    }
    put("clients.json", &(serde_json::to_string_pretty(&registrations(folder)?)? + "\n"))?;
    let mut named = Vec::new();
    for (index, root) in roots.iter().enumerate() {
        let name = format!("root-{index}.pem");
        let pem =
            std::fs::read_to_string(root).with_context(|| format!("{} cannot be read", root.display()))?;
        put(&name, &pem)?;
        named.push(name);
    }
    directory(folder)?;
    let issuers = json!([{"issuer": DIRECTORY, "jwks": {"keys": [public(folder, "directory")?]}}]);
    put("software-issuers.json", &(serde_json::to_string_pretty(&issuers)? + "\n"))?;
    let statement = toml::to_string(&json!({"registration": registration(folder)?}))?;
    let text = configuration(target, api.unwrap_or(target), &named);
    put("target.toml", &format!("{text}{}\n{statement}", of_banks(bank_port)))
}

/// Who the statements of the test directory come from.
const DIRECTORY: &str = "https://directory.conformance.example";

/// Writes configurations for the model banks of a sandbox; answers their files.
///
/// # Errors
///
/// If the folder is no sandbox's, or something cannot be written.
pub fn write_banks(folder: &Path, data: &Path, target: &Url) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    sandbox::write(folder, data, target)
}

/// The key of the test directory.
fn directory(folder: &Path) -> anyhow::Result<()> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let file = folder.join("directory.key");
    if file.exists() {
        std::fs::remove_file(&file)?;
    }
    crate::private::write(&file, &key.serialize_pem())
        .with_context(|| format!("{} cannot be written", file.display()))
}

fn public(folder: &Path, name: &str) -> anyhow::Result<Value> {
    let key = SigningKey::read(&folder.join(format!("{name}.key")))?;
    let mut public = key.public();
    if let Some(public) = public.as_object_mut() {
        public.insert("kid".to_owned(), json!(name));
        public.insert("use".to_owned(), json!("sig"));
        public.insert("alg".to_owned(), json!(key.alg()));
    }
    Ok(public)
}

/// What is registered by request, and what the directory says of it.
fn registration(folder: &Path) -> anyhow::Result<Value> {
    let keys = json!({"keys": [public(folder, "first")?]});
    Ok(json!({
        "media": "application/jose",
        "plain": true,
        "directory_key": "directory.key",
        "directory_kid": "directory",
        "statement": {
            "iss": DIRECTORY,
            "software_id": "conformance",
            "software_client_name": "Conformance",
            "software_redirect_uris": REDIRECT_URIS,
            "software_roles": ["AISP", "PISP"],
            "org_id": "PSDDE-BAFIN-900001",
            "software_jwks": keys,
        },
        "metadata": {
            "client_name": "Conformance",
            "redirect_uris": REDIRECT_URIS,
            "response_types": ["code"],
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "ES256",
            "id_token_signed_response_alg": "PS256",
            "request_object_signing_alg": "ES256",
            "tls_client_certificate_bound_access_tokens": true,
            "application_type": "web",
            "software_id": "conformance",
            "scope": "openid accounts payments",
            "jwks": keys,
        },
    }))
}

fn authority() -> anyhow::Result<(Issuer<'static, KeyPair>, String)> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "Conformance clients");
    params.distinguished_name.push(DnType::OrganizationName, "Conformance");
    between(&mut params, -1, 3650);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let pem = params.self_signed(&key)?.pem();
    Ok((Issuer::new(params, key), pem))
}

fn certificate(tpp: &Tpp, ca: &Issuer<'static, KeyPair>) -> anyhow::Result<(String, String)> {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CountryName, tpp.country);
    subject.push(DnType::OrganizationName, tpp.organisation);
    subject.push(DnType::CustomDnType(ORGANIZATION_IDENTIFIER.to_vec()), tpp.identifier);
    subject.push(DnType::CommonName, tpp.dns);
    params.distinguished_name = subject;
    params.subject_alt_names = vec![SanType::DnsName(tpp.dns.try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.custom_extensions = vec![
        CustomExtension::from_oid_content(&[2, 5, 29, 32], policies()),
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 3], statements(tpp)),
    ];
    if tpp.expired {
        between(&mut params, -700, -30);
    } else {
        between(&mut params, -1, 700);
    }
    let algorithm = if tpp.rsa { &PKCS_RSA_SHA256 } else { &PKCS_ECDSA_P256_SHA256 };
    let key = KeyPair::generate_for(algorithm)?;
    let made = if tpp.self_signed { params.self_signed(&key)? } else { params.signed_by(&key, ca)? };
    Ok((made.pem(), key.serialize_pem()))
}

/// QCP-w-psd2 (ETSI TS 119 495 §6.1).
fn policies() -> Vec<u8> {
    let policy = oid(&[0, 4, 0, 19495, 3, 1]);
    der(0x30, &der(0x30, &policy))
}

/// The statements of a QWAC for PSD2 with its roles (ETSI EN 319 412-5;
/// ETSI TS 119 495 §5.1).
fn statements(tpp: &Tpp) -> Vec<u8> {
    let compliance = der(0x30, &oid(&[0, 4, 0, 1862, 1, 1]));
    let web = der(0x30, &oid(&[0, 4, 0, 1862, 1, 6, 3]));
    let kind = der(0x30, &[oid(&[0, 4, 0, 1862, 1, 6]), web].concat());
    let role = |number: u64, name: &str| {
        der(0x30, &[oid(&[0, 4, 0, 19495, 1, number]), der(0x0c, name.as_bytes())].concat())
    };
    let roles: Vec<u8> = tpp.roles.iter().flat_map(|(number, name)| role(*number, name)).collect();
    let roles = der(0x30, &roles);
    let psd2 = [roles, der(0x0c, tpp.authority.as_bytes()), der(0x0c, tpp.authority_id.as_bytes())].concat();
    let psd2 = der(0x30, &[oid(&[0, 4, 0, 19495, 2]), der(0x30, &psd2)].concat());
    der(0x30, &[compliance, kind, psd2].concat())
}

fn oid(arcs: &[u64]) -> Vec<u8> {
    let mut content = Vec::new();
    if let [first, second, rest @ ..] = arcs {
        for arc in std::iter::once(&(first * 40 + second)).chain(rest) {
            let mut groups: Vec<u8> = Vec::new();
            let mut left = *arc;
            loop {
                let low = u8::try_from(left & 0x7f).unwrap_or_default();
                groups.push(if groups.is_empty() { low } else { low | 0x80 });
                left >>= 7;
                if left == 0 {
                    break;
                }
            }
            content.extend(groups.iter().rev());
        }
    }
    der(0x06, &content)
}

/// A value in DER; lengths up to 65,535.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap_or_default().to_be_bytes();
    let length = match (high, low) {
        (0, short) if short < 0x80 => vec![short],
        (0, longer) => vec![0x81, longer],
        (high, low) => vec![0x82, high, low],
    };
    [&[tag], length.as_slice(), content].concat()
}

/// What is registered at the target.
fn registrations(folder: &Path) -> anyhow::Result<Value> {
    let jwk = |name: &str| -> anyhow::Result<Value> {
        let key = SigningKey::read(&folder.join(format!("{name}.key")))?;
        let mut public = key.public();
        let pem = std::fs::read_to_string(folder.join(format!("{name}.pem")))?;
        let x5c: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        if let Some(public) = public.as_object_mut() {
            public.insert("kid".to_owned(), json!(name));
            public.insert("use".to_owned(), json!("sig"));
            public.insert("alg".to_owned(), json!(key.alg()));
            public.insert("x5c".to_owned(), json!([x5c]));
        }
        Ok(json!({"keys": [public]}))
    };
    let client = |id: &str, with: Value| {
        let mut metadata = json!({
            "client_id": id,
            "client_name": format!("Conformance {id}"),
            "redirect_uris": REDIRECT_URIS,
            "response_types": ["code"],
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
            "id_token_signed_response_alg": "PS256",
            "require_pushed_authorization_requests": true,
            "scope": "openid offline_access accounts payments fundsconfirmations",
        });
        if let (Some(metadata), Some(with)) = (metadata.as_object_mut(), with.as_object()) {
            metadata.extend(with.clone());
        }
        metadata
    };
    let jwt = "private_key_jwt";
    Ok(json!([
        client(
            "conformance-main",
            json!({
                "token_endpoint_auth_method": jwt, "jwks": jwk("first")?,
                "tls_client_certificate_bound_access_tokens": true,
            })
        ),
        client(
            "conformance-reader",
            json!({
                "token_endpoint_auth_method": jwt, "jwks": jwk("reader")?, "scope": "openid offline_access accounts",
                "tls_client_certificate_bound_access_tokens": true,
            }),
        ),
        client(
            "conformance-second",
            json!({
                "token_endpoint_auth_method": jwt, "jwks": jwk("second")?,
                "tls_client_certificate_bound_access_tokens": true,
            })
        ),
        client(
            "conformance-dpop",
            json!({
                "token_endpoint_auth_method": jwt, "jwks": jwk("first")?, "dpop_bound_access_tokens": true,
            })
        ),
        client(
            "conformance-tls",
            json!({
                "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "one.conformance.example",
                "jwks": jwk("first")?, "tls_client_certificate_bound_access_tokens": true,
            })
        ),
        client(
            "conformance-signing",
            json!({
                "token_endpoint_auth_method": jwt, "jwks": jwk("first")?,
                "tls_client_certificate_bound_access_tokens": true, "require_signed_request_object": true,
                "authorization_signed_response_alg": "PS256", "introspection_signed_response_alg": "PS256",
            })
        ),
    ]))
}

fn configuration(target: &Url, api: &Url, roots: &[String]) -> String {
    let api = api.as_str().trim_end_matches('/');
    let mut text = format!(
        "# Written by `consentry conformance setup`. What each member is, docs/conformance.md says.\n\
         issuer = \"{}\"\napi = \"{api}\"\nfeatures = [\"filter\"]\nresource = \"{api}/v1/accounts\"\nroots = {}\n\n\
         [psu]\nmode = \"redirects-or-header\"\ndeny_header = \"x-sandbox-psu\"\ndeny_value = \"deny\"\n\n\
         [time]\nurl = \"{api}/v1/sandbox/clock\"\nclient = \"tls\"\n",
        target.as_str().trim_end_matches('/'),
        json!(roots),
    );
    for tpp in &TPPS {
        text.push_str(&format!(
            "\n[certificates.{name}]\nchain = \"{name}.pem\"\nkey = \"{name}.key\"\n",
            name = tpp.name
        ));
    }
    let clients = [
        ("main", "private_key_jwt", "mtls", "first"),
        ("reader", "private_key_jwt", "mtls", "reader"),
        ("second", "private_key_jwt", "mtls", "second"),
        ("dpop", "private_key_jwt", "dpop", "first"),
        ("tls", "tls_client_auth", "mtls", "first"),
        ("signing", "private_key_jwt", "mtls", "first"),
    ];
    for (role, authentication, binding, certificate) in clients {
        text.push_str(&format!(
            "\n[clients.{role}]\nclient_id = \"conformance-{role}\"\nauthentication = \"{authentication}\"\n\
             binding = \"{binding}\"\nkey = \"{certificate}.key\"\nkid = \"{certificate}\"\n\
             redirect_uris = {}\nscope = \"{}\"\nown_scope = \"accounts\"\n",
            json!(REDIRECT_URIS),
            if role == "reader" {
                "openid offline_access accounts"
            } else {
                "openid offline_access accounts payments"
            },
        ));
        if role != "dpop" {
            text.push_str(&format!("certificate = \"{certificate}\"\n"));
        }
        if role == "signing" {
            text.push_str("message_signing = true\n");
        }
    }
    text
}

fn of_banks(port: u16) -> String {
    let mut text =
        format!("\n[rp]\nlisten = \"127.0.0.1:{port}\"\nclient_id = \"{AT_BANKS}\"\nroot = \"ca.pem\"\n");
    for (member, name) in [
        ("certificate", "bank"),
        ("expired", "bank-expired"),
        ("other_name", "bank-other-name"),
        ("stranger", "bank-stranger"),
    ] {
        text.push_str(&format!("{member} = {{ chain = \"{name}.pem\", key = \"{name}.key\" }}\n"));
    }
    text
}
