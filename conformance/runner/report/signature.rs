//! Who ran it: a signature over the report.

use std::path::Path;

use anyhow::{Context as _, bail};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Map, Value, json};

use crate::jose::{Jwk, SigningKey, Unverified, base64url, compact, sha256, thumbprint};

/// The key of whoever runs cases.
#[derive(Debug)]
pub struct Signer {
    key: SigningKey,
}

impl Signer {
    /// The key of a file (PEM, PKCS #8), which is made if it is not there.
    ///
    /// # Errors
    ///
    /// If it can neither be read nor made.
    pub fn open(file: &Path) -> anyhow::Result<Self> {
        if file.exists() {
            let key =
                SigningKey::read(file).with_context(|| format!("{}, the runner's key", file.display()))?;
            return Ok(Self { key });
        }
        let (key, pkcs8) = SigningKey::fresh_ed25519().context("this machine makes no Ed25519 key")?;
        crate::private::write(file, &pem(&pkcs8))
            .with_context(|| format!("{} cannot be written", file.display()))?;
        Ok(Self { key })
    }

    /// A key for this run alone.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn fresh() -> anyhow::Result<Self> {
        let (_, pkcs8) = SigningKey::fresh_ed25519().context("this machine makes no Ed25519 key")?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8));
        Ok(Self { key: SigningKey::from_der(&der)? })
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> Value {
        let mut public = self.key.public();
        let kid = thumbprint(&public);
        if let Some(public) = public.as_object_mut() {
            public.insert("kid".to_owned(), json!(kid));
        }
        public
    }

    /// A compact JWS that has the digest of the report.
    #[must_use]
    pub fn sign(&self, report: &[u8], at: jiff::Timestamp) -> String {
        let alg = self.key.alg();
        let header = Map::from_iter([
            ("alg".to_owned(), json!(alg)),
            ("typ".to_owned(), json!("consentry-conformance+jwt")),
            ("kid".to_owned(), json!(thumbprint(&self.key.public()))),
        ]);
        let claims = Map::from_iter([
            ("iat".to_owned(), json!(at.as_second())),
            ("report_sha256".to_owned(), json!(base64url(&sha256(report)))),
        ]);
        compact(&header, &claims, |signed| self.key.sign(alg, signed))
    }
}

/// Whether the report of a folder is the one that was signed, with the key `kid` where one is given;
/// says who signed it.
///
/// # Errors
///
/// If something is missing, or does not fit.
pub fn verify(folder: &Path, kid: Option<&str>) -> anyhow::Result<String> {
    let text = std::fs::read(folder.join("report.json")).context("there is no report.json")?;
    let jws = std::fs::read_to_string(folder.join("report.jws")).context("there is no report.jws")?;
    let report: Value = serde_json::from_slice(&text).context("report.json is no JSON")?;
    let by = report.get("signed_by").cloned().unwrap_or_default();
    // Of a thumbprint no one has another key.
    let name = thumbprint(&by);
    if kid.is_some_and(|kid| kid != name) {
        bail!("it was signed by the key {name}");
    }
    let keys = Jwk::set(&json!({"keys": [by]}));
    let read = Unverified::read(jws.trim()).context("report.jws is no JWS")?;
    let read = match read.verified(&keys, &["EdDSA", "ES256", "PS256"]) {
        Ok(read) => read,
        Err(why) => bail!("the signature does not hold: {why}"),
    };
    if read.claims.get("report_sha256") != Some(&json!(base64url(&sha256(&text)))) {
        bail!("report.json is not the one that was signed");
    }
    let mut all = Vec::new();
    for outcome in report.get("outcomes").and_then(Value::as_array).into_iter().flatten() {
        let text_of = |name: &str| outcome.get(name).and_then(Value::as_str).unwrap_or_default();
        let (profile, case, client) = (text_of("profile"), text_of("case"), text_of("client"));
        let file = folder.join("evidence").join(super::files::evidence_name(profile, case, client));
        if let Ok(text) = std::fs::read(&file) {
            all.push(serde_json::from_slice::<Value>(&text).with_context(|| file.display().to_string())?);
        }
    }
    if report.get("evidence_sha256") != Some(&json!(base64url(&sha256(json!(all).to_string().as_bytes())))) {
        bail!("the evidence is not what the report was signed with");
    }
    Ok(name)
}

fn pem(pkcs8: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::prelude::BASE64_STANDARD.encode(pkcs8);
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(64).unwrap_or((rest, ""));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem + "-----END PRIVATE KEY-----\n"
}
