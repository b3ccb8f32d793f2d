//! The configuration of `consentry serve`: one file (TOML), of which every value can be set by the
//! environment instead.
//!
//! The types here are all there is of it: the annotated file, the JSON Schema and the names of the
//! variables are made of them.

mod annotated;
mod overrides;
mod sections;
mod span;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub(crate) use annotated::annotated;
pub(crate) use overrides::leaves;
pub(crate) use sections::{
    AdminSection, BankSection, BanksSection, ClientsSection, DatabaseSection, DrainSection, FilterSection,
    ListenSection, LogFormat, LogSection, NodeSection, PoliciesSection, PublicSection, ReadsSection,
    RedisSection, RegionsSection, SYSTEM_AUTHORITIES, TelemetrySection, TlsSection, WebhooksSection,
    WorkSection,
};
pub(crate) use span::Span;

/// What a gateway is run with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// This process, and the folder that it writes to.
    pub(crate) node: NodeSection,
    /// How it is reached from outside.
    pub(crate) public: PublicSection,
    /// Where it listens.
    pub(crate) listen: ListenSection,
    /// What its listeners show of themselves, and whose client certificates they take.
    pub(crate) tls: TlsSection,
    /// Who may use the operators' interface.
    pub(crate) admin: AdminSection,
    /// Who we are to banks.
    pub(crate) bank: BankSection,
    /// Where state is kept.
    pub(crate) database: DatabaseSection,
    /// What several gateways on one database tell each other through.
    pub(crate) redis: RedisSection,
    /// Which regions' data is held here.
    pub(crate) regions: RegionsSection,
    /// Which banks there are.
    pub(crate) banks: BanksSection,
    /// Rules that are data.
    pub(crate) policies: PoliciesSection,
    /// What looks into requests.
    pub(crate) filter: FilterSection,
    /// What clients may.
    pub(crate) clients: ClientsSection,
    /// Where webhooks go, and how.
    pub(crate) webhooks: WebhooksSection,
    /// Aggregated reads.
    pub(crate) reads: ReadsSection,
    /// Work that nobody asks for: reconciliation, deliveries, retention.
    pub(crate) work: WorkSection,
    /// How a stop goes.
    pub(crate) drain: DrainSection,
    /// Traces.
    pub(crate) telemetry: TelemetrySection,
    /// The log.
    pub(crate) log: LogSection,
}

/// Variables of the environment, by name.
pub(crate) type Variables = BTreeMap<String, String>;

/// Those of this process that are about us.
pub(crate) fn variables() -> Variables {
    std::env::vars().filter(|(name, _)| name.starts_with(overrides::PREFIX)).collect()
}

impl Config {
    /// Reads a file, and what the environment says instead; the defaults, where there is no file.
    ///
    /// # Errors
    ///
    /// Where what is wrong stands, and why.
    pub(crate) fn read(file: Option<&Path>, variables: &Variables) -> anyhow::Result<Self> {
        let text = file.map(crate::read).transpose()?.unwrap_or_default();
        Self::parse(&text, variables).with_context(|| match file {
            Some(file) => format!("{} is no configuration", file.display()),
            None => "the environment is no configuration".to_owned(),
        })
    }

    /// The same, of a text.
    ///
    /// # Errors
    ///
    /// As [`Config::read`].
    pub(crate) fn parse(text: &str, variables: &Variables) -> anyhow::Result<Self> {
        // Whoever wrote the file is told of the line first.
        let said: Self = toml::from_str(text)?;
        said.keeps_no_secret()?;
        let mut all: Table = text.parse()?;
        overrides::apply(&mut all, variables)?;
        let said: Self = all.try_into().context("with what the environment says")?;
        Ok(said)
    }

    /// Refuses passwords in the file: it is shown, compared and kept where secrets must not be.
    fn keeps_no_secret(&self) -> anyhow::Result<()> {
        let addresses = [
            ("database.url", &self.database.url),
            ("database.global_url", &self.database.global_url),
            ("redis.url", &self.redis.url),
        ];
        for (name, url) in addresses {
            let password = |url: &String| {
                let authority = url.split_once("://").map_or("", |(_, rest)| rest);
                let authority = authority.split(['/', '?']).next().unwrap_or_default();
                let who = authority.rsplit_once('@').map_or("", |(who, _)| who);
                who.contains(':') || url.contains("password=")
            };
            if url.as_ref().is_some_and(password) {
                bail!(
                    "{name} has a password in it: name a file with {name}_file, or set {}",
                    overrides::variable(name)
                );
            }
        }
        Ok(())
    }

    /// The folder with `keys/` and `audit/`.
    pub(crate) fn key_dir(&self) -> &Path {
        self.node.key_dir.as_deref().unwrap_or(&self.node.data_dir)
    }

    /// Every value that is said, by its dotted name. Addresses that may hold secrets are `***`.
    pub(crate) fn values(&self) -> BTreeMap<String, String> {
        let mut values = BTreeMap::new();
        let Ok(Value::Table(sections)) = Value::try_from(self) else { return values };
        for (section, keys) in sections {
            let Value::Table(keys) = keys else { continue };
            for (key, value) in keys {
                let secret =
                    matches!((&*section, &*key), ("database", "url" | "global_url") | ("redis", "url"));
                let shown = if secret { "***".to_owned() } else { value.to_string() };
                values.insert(format!("{section}.{key}"), shown);
            }
        }
        values
    }

    /// What is otherwise in `other`: name, here, there.
    pub(crate) fn differences(&self, other: &Self) -> Vec<Difference> {
        let (here, there) = (self.values(), other.values());
        let names: std::collections::BTreeSet<_> = here.keys().chain(there.keys()).collect();
        let unsaid = || "nothing".to_owned();
        let differing = names.into_iter().filter_map(|name| {
            let (from, to) = (here.get(name).cloned(), there.get(name).cloned());
            (from != to).then(|| Difference {
                name: name.clone(),
                from: from.unwrap_or_else(unsaid),
                to: to.unwrap_or_else(unsaid),
            })
        });
        differing.collect()
    }

    /// A digest of all values: whether two processes run with the same.
    pub(crate) fn digest(&self) -> String {
        let values: String =
            self.values().into_iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        crypto::digest::sha256_hex(values.as_bytes()).chars().take(16).collect()
    }
}

/// A value that two configurations have otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Its dotted name.
    pub(crate) name: String,
    /// What it was.
    pub(crate) from: String,
    /// What it is.
    pub(crate) to: String,
}

/// An address that is said, or stands in a file.
pub(crate) fn address(url: Option<&String>, file: Option<&Path>) -> anyhow::Result<Option<SecretString>> {
    match (url, file) {
        (Some(_), Some(file)) => {
            bail!("there are an address and a file with one, {}: which one?", file.display())
        }
        (Some(url), None) => Ok(Some(url.clone().into())),
        (None, Some(file)) => Ok(Some(crate::read(file)?.trim().to_owned().into())),
        (None, None) => Ok(None),
    }
}

/// The JSON Schema of the file.
pub(crate) fn schema() -> serde_json::Value {
    let mut generator = schemars::generate::SchemaSettings::draft2020_12().into_generator();
    generator.root_schema_for::<Config>().to_value()
}

#[cfg(test)]
mod tests;
