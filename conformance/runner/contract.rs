//! An API held to its own description (OpenAPI 3.1): every operation, every answer.
//!
//! The cases are made from the description; what is asked for is made from its examples and from
//! what a preparation left behind (`cases/api/preparation.toml`, or the configuration's own).

mod check;
mod description;
mod requests;

use std::sync::Arc;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::case::{Action, Case, Severity, Step};
use crate::clock::Clock;
use crate::http::Request;
use crate::play::{Known, Play};
use crate::target::Target;

pub(crate) use check::ask;
pub use description::{Description, Operation};

/// What is prepared before the operations are asked for: the steps that make a token and something
/// of each kind, and bodies by operation.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preparation {
    /// The steps; what they save has the names of path parameters.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// A body that the operation takes, by `operationId`.
    #[serde(default)]
    pub bodies: std::collections::BTreeMap<String, Value>,
    /// The name of the token for a scope, or for an `operationId`.
    #[serde(default)]
    pub tokens: std::collections::BTreeMap<String, String>,
    /// Headers that an operation needs, by name.
    #[serde(default)]
    pub headers: std::collections::BTreeMap<String, String>,
    /// Operations that are asked for last, as they end what others need.
    #[serde(default)]
    pub last: Vec<String>,
    /// Operations that refuse what was prepared, and why.
    #[serde(default)]
    pub refuses: std::collections::BTreeMap<String, String>,
    /// Operations that answer for as long as one listens.
    #[serde(default)]
    pub endless: Vec<String>,
}

/// An interface, ready to be asked.
#[derive(Debug)]
pub struct Contract {
    /// What it says about itself.
    pub description: Description,
    /// What was prepared.
    pub preparation: Preparation,
    /// What the preparation left behind, by name.
    pub values: crate::case::Values,
}

/// The questions that are asked of operations.
pub(crate) const CHECKS: [(&str, &str, &str); 10] = [
    ("answers", "answers as it says", "OpenAPI 3.1 §4.8.16"),
    ("without-token", "is closed to those without a token", "RFC 6750 §3.1"),
    ("foreign-token", "is closed to those with a token that never was", "RFC 6750 §3.1"),
    ("other-scope", "is closed to those whose token has another scope", "RFC 6750 §3.1"),
    ("unknown", "says in order that something is not there", "RFC 9110 §15.5.5; RFC 9457"),
    ("malformed", "refuses identifiers that are none", "RFC 9457; OWASP API8:2023"),
    ("bad-body", "refuses what is no body for it", "RFC 9457; RFC 9110 §15.5.1"),
    (
        "list-for-object",
        "takes no list of values for the object that they belong to",
        "JSON Schema Validation 2020-12 §6.1.1",
    ),
    ("bad-query", "refuses parameters of another kind", "OpenAPI 3.1 §4.8.12"),
    ("other-method", "names the methods that there are", "RFC 9110 §15.5.6"),
];

impl Contract {
    /// Reads the description of a target and prepares.
    ///
    /// # Errors
    ///
    /// If there is no description, or the preparation fails.
    pub async fn prepare(target: &Target, clock: &Clock, known: &Arc<Known>) -> anyhow::Result<Self> {
        let document = match &target.is.openapi {
            Some(file) => {
                let text =
                    std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
                serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", file.display()))?
            }
            None => {
                let api = target.is.api.as_ref().context("the configuration names no api")?;
                let url = Url::parse(&format!("{}/openapi.json", api.as_str().trim_end_matches('/')))?;
                let answer = target.http.send(&Request::new("GET", url).with(certificate(target))).await?;
                serde_json::from_slice(&answer.body).context("openapi.json of the api is no JSON")?
            }
        };
        let description = Description::new(document)?;
        let preparation = match &target.is.preparation {
            Some(file) => std::fs::read_to_string(file).with_context(|| file.display().to_string())?,
            None => include_str!("../cases/api/preparation.toml").to_owned(),
        };
        let preparation: Preparation = toml::from_str(&preparation).context("the preparation of the api")?;
        let mut play = Play::new(target, clock, Arc::clone(known), "main")
            .map_err(|failure| anyhow::anyhow!("the api cannot be prepared: {failure:?}"))?;
        let case = Case {
            id: "api-preparation".to_owned(),
            title: String::new(),
            clause: String::new(),
            severity: Severity::Must,
            needs: Vec::new(),
            clients: vec!["main".to_owned()],
            left_out: None,
            alone: false,
            steps: preparation.steps.clone(),
            finally: Vec::new(),
        };
        if let Err(failure) = play.steps(&case).await {
            anyhow::bail!("the api cannot be prepared: {failure:?}");
        }
        Ok(Self { description, preparation, values: play.values })
    }

    /// A case for each operation and question that is about it.
    #[must_use]
    pub fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for operation in &self.description.operations {
            for (check, says, clause) in CHECKS {
                if !self.asks(operation, check) {
                    continue;
                }
                let with = [
                    ("operation".to_owned(), Value::from(operation.id.as_str())),
                    ("check".to_owned(), Value::from(check)),
                ];
                let step = Step {
                    action: Action::Probe,
                    probe: Some("contract".to_owned()),
                    with: with.into_iter().collect(),
                    ..Step::default()
                };
                cases.push(Case {
                    id: format!("api-{}-{check}", operation.id),
                    title: format!("{} {} {says}", operation.method, operation.path),
                    clause: clause.to_owned(),
                    severity: Severity::Must,
                    needs: Vec::new(),
                    clients: vec!["main".to_owned()],
                    left_out: None,
                    alone: check == "answers" && self.preparation.last.contains(&operation.id),
                    steps: vec![step],
                    finally: Vec::new(),
                });
            }
        }
        cases
    }

    fn asks(&self, operation: &Operation, check: &str) -> bool {
        match check {
            "answers" => !self.preparation.endless.contains(&operation.id),
            "without-token" | "foreign-token" => operation.secured,
            "other-scope" => operation.secured && !operation.scopes.is_empty(),
            "unknown" | "malformed" => !operation.path_parameters.is_empty(),
            "bad-body" => operation.body.is_some(),
            "list-for-object" => !self.lists_for_objects(operation).is_empty(),
            "bad-query" => !operation.bad_queries().is_empty(),
            // Once for a path.
            _ => self
                .description
                .operations
                .iter()
                .find(|other| other.path == operation.path)
                .is_some_and(|first| first.id == operation.id),
        }
    }
}

fn certificate(target: &Target) -> Option<&str> {
    target.client("main").and_then(|client| client.is.certificate.as_deref())
}
