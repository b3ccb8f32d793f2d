//! Manifests of the published UK functional suite, as the user has them: each script becomes a case that
//! stands for itself, with what earlier scripts would have left behind made before it.

mod asserts;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::case::Case;
use crate::target::BankConfiguration;

/// One script of a manifest, as far as it matters here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Script {
    pub(super) id: String,
    #[serde(default)]
    description: String,
    #[serde(default, rename = "refURI")]
    reference: String,
    pub(super) uri: String,
    #[serde(default)]
    uri_implementation: String,
    pub(super) method: String,
    #[serde(default)]
    pub(super) parameters: Map<String, Value>,
    #[serde(default)]
    pub(super) query_parameters: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    pub(super) headers: Map<String, Value>,
    #[serde(default)]
    pub(super) body: Option<Value>,
    #[serde(default)]
    pub(super) permissions: Vec<String>,
    #[serde(default)]
    pub(super) asserts: Vec<String>,
    #[serde(default, rename = "asserts_one_of")]
    pub(super) asserts_one_of: Vec<String>,
    #[serde(default)]
    pub(super) keep_context_on_success: Option<Kept>,
    #[serde(default)]
    pub(super) schema_check: bool,
    #[serde(default)]
    pub(super) validate_signature: bool,
    #[serde(default)]
    pub(super) remove_headers: Vec<String>,
    #[serde(default)]
    pub(super) remove_signature_claims: Vec<String>,
    #[serde(default)]
    api_version: Option<String>,
}

/// What a script leaves for others.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Kept {
    pub(super) name: String,
    /// Where it lies in the answer: `Data.ConsentId`.
    pub(super) value: String,
}

impl Script {
    /// Which API of the bank it is about.
    pub(super) fn api(&self) -> &'static str {
        let path = self.uri.trim_start_matches('/');
        if path.starts_with("funds-confirmation") {
            "funds"
        } else if path.starts_with("domestic-vrp") {
            "recurring"
        } else if ["domestic-", "international-", "file-"].iter().any(|kind| path.starts_with(kind)) {
            "payments"
        } else {
            "accounts"
        }
    }

    /// The last of what it means: versions before 3.1.11 are over.
    fn is_over(&self) -> bool {
        self.api_version.as_deref().is_some_and(|version| version.starts_with('<'))
    }

    /// The path that a bank has to offer for it, where it need not.
    fn need(&self) -> Option<String> {
        if self.uri_implementation == "mandatory" || self.uri == "/foobar" {
            return None;
        }
        if self.api() == "accounts" {
            let path = self.uri.replace("$accountId", "{AccountId}");
            return Some(path.trim_end_matches('/').trim_end_matches("/foobar").to_owned());
        }
        let first = self.uri.trim_start_matches('/').split('/').next().unwrap_or_default();
        if self.uri.ends_with("/payment-details") {
            return Some(format!("/{first}/{{id}}/payment-details"));
        }
        Some(format!("/{}s", first.trim_end_matches("-consents").trim_end_matches('s')))
    }
}

/// The manifests of a folder, with what they refer to.
#[derive(Debug, Default)]
pub struct Manifests {
    scripts: Vec<Script>,
    pub(super) assertions: BTreeMap<String, Value>,
    pub(super) data: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct References {
    references: BTreeMap<String, Value>,
}

impl Manifests {
    /// Reads `assertions.json`, `data.json` and every manifest of a folder.
    ///
    /// # Errors
    ///
    /// If one of them cannot be read, or there is no script.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let references = |name: &str| -> anyhow::Result<BTreeMap<String, Value>> {
            let file = folder.join(name);
            let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            let read: References = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
            Ok(read.references)
        };
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .with_context(|| format!("{} cannot be read", folder.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|kind| kind == "json"))
            .collect();
        files.sort();
        let mut manifests = Self {
            assertions: references("assertions.json")?,
            data: references("data.json")?,
            scripts: Vec::new(),
        };
        for file in files {
            let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            let value: Value = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
            let Some(scripts) = value.get("scripts") else { continue };
            let scripts: Vec<Script> =
                serde_json::from_value(scripts.clone()).with_context(|| file.display().to_string())?;
            manifests.scripts.extend(scripts);
        }
        anyhow::ensure!(!manifests.scripts.is_empty(), "{} has no scripts", folder.display());
        Ok(manifests)
    }

    /// A case for each script, for a bank: their ids with `.official` after them.
    ///
    /// # Errors
    ///
    /// If a script refers to what is not there.
    pub fn cases(&self, bank: &BankConfiguration) -> anyhow::Result<Vec<Case>> {
        let mut taken = BTreeSet::new();
        let mut cases = Vec::new();
        for script in &self.scripts {
            let mut id = format!("{}.official", script.id);
            // One id is published twice.
            while !taken.insert(id.clone()) {
                id.push_str("-again");
            }
            let mut needs = vec!["bank".to_owned()];
            needs.extend(script.need().map(|path| format!("endpoint:{path}")));
            let left_out = script.is_over().then_some("it is about versions before 3.1.11");
            let steps = if left_out.is_some() { Vec::new() } else { self.steps(script, bank)? };
            let case = json!({
                "id": id, "title": script.description, "clause": script.reference, "needs": needs,
                "left_out": left_out, "steps": steps,
            });
            cases.push(serde_json::from_value(case).with_context(|| script.id.clone())?);
        }
        Ok(cases)
    }

    /// The script after which what this one asks for is not there any more: it does not say so itself.
    pub(super) fn ender(&self, script: &Script) -> Option<&Script> {
        let wants_none = |names: &[String]| names.iter().any(|name| name == "OB3GLOAssertOn400");
        if !wants_none(&script.asserts) && !wants_none(&script.asserts_one_of) {
            return None;
        }
        let ends = |other: &&Script| {
            other.method.eq_ignore_ascii_case("delete")
                && other.uri == script.uri
                && other.id != script.id
                && other.parameters.get("consentId") == script.parameters.get("consentId")
        };
        self.scripts.iter().take_while(|other| other.id != script.id).find(ends)
    }

    /// Whether there are scripts of version 4.
    pub(super) fn has_v4(&self) -> bool {
        self.scripts.iter().any(|script| script.id.starts_with("OB-400-"))
    }

    /// The script that leaves a value of this name behind.
    pub(super) fn maker(&self, name: &str) -> Option<&Script> {
        let own = |script: &&Script| {
            let kept = script.keep_context_on_success.as_ref().is_some_and(|kept| kept.name == name);
            let stated = name.starts_with(&script.id) && script.parameters.contains_key(name);
            !script.is_over() && (kept || stated)
        };
        self.scripts.iter().find(own)
    }
}
