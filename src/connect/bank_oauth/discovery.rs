//! What a bank publishes of its authorization server, kept whole: what it says
//! today is compared with what it said before, and with what its profile needs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use super::{Metadata, metadata_read};
use crate::{BankError, BankResponse, ClientAuth, Profile};

/// How long metadata counts where the bank does not say so.
const USUAL_LIFE: Duration = Duration::from_secs(3_600);
/// Shortest and longest time that metadata counts, whatever the bank says.
const LIFE: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(86_400));

/// Addresses that we call, and our certificate with us.
const CALLED: [&str; 4] =
    ["token_endpoint", "pushed_authorization_request_endpoint", "registration_endpoint", "jwks_uri"];

/// The addresses for clients with a certificate (RFC 8705 §5).
const ALIASES: &str = "mtls_endpoint_aliases";

/// An answer of a bank's discovery endpoint.
#[derive(Clone)]
pub struct Discovery {
    from: Url,
    response: BankResponse,
    /// What it says.
    pub published: Published,
}

impl Discovery {
    pub(crate) fn of(profile: &Profile, from: Url, response: BankResponse) -> Result<Self, BankError> {
        super::token::refuse_failure(profile, &response)?;
        let published = Published(super::token::json(profile, &response)?);
        Ok(Self { from, response, published })
    }

    /// The addresses in it, if it is the server that the profile means and every
    /// one of them is one that the profile permits.
    ///
    /// # Errors
    ///
    /// As [`metadata_read`].
    pub fn metadata(&self, profile: &Profile) -> Result<Metadata, BankError> {
        metadata_read(profile, &self.from, &self.response)
    }

    /// How long it counts: `max-age` (RFC 9111 §5.2.2.1), from five minutes to a
    /// day; an hour, if the bank does not say.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        let directives = self.response.header_text("cache-control").unwrap_or_default().split(',');
        let max_age =
            directives.filter_map(|directive| directive.trim().strip_prefix("max-age=")?.parse().ok());
        let stated = max_age.map(Duration::from_secs).next().unwrap_or(USUAL_LIFE);
        stated.clamp(LIFE.0, LIFE.1)
    }
}

/// The members of a bank's metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct Published(Map<String, Value>);

/// What a difference means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meaning {
    /// Another issuer: either another server, or one that no longer is who it was.
    IssuerChanged,
    /// An address that we call is on a host that the profile does not permit.
    ForeignHost,
    /// An address is another one.
    EndpointMoved,
    /// An address is no longer there.
    EndpointGone,
    /// An address is new.
    EndpointAdded,
    /// An algorithm is no longer offered.
    AlgorithmDropped,
    /// An algorithm is new.
    AlgorithmAdded,
    /// Something else is no longer offered.
    ValueDropped,
    /// Something else is offered anew.
    ValueAdded,
    /// What the profile needs is not offered.
    NotOffered,
    /// A member is another one.
    Changed,
}

impl Meaning {
    /// A word for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IssuerChanged => "issuer-changed",
            Self::ForeignHost => "foreign-host",
            Self::EndpointMoved => "endpoint-moved",
            Self::EndpointGone => "endpoint-gone",
            Self::EndpointAdded => "endpoint-added",
            Self::AlgorithmDropped => "algorithm-dropped",
            Self::AlgorithmAdded => "algorithm-added",
            Self::ValueDropped => "value-dropped",
            Self::ValueAdded => "value-added",
            Self::NotOffered => "not-offered",
            Self::Changed => "changed",
        }
    }

    /// A sentence for people.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::IssuerChanged => "the issuer is another one",
            Self::ForeignHost => "the host is not one of the profile: nothing is sent there",
            Self::EndpointMoved => "the address has moved",
            Self::EndpointGone => "the address is gone",
            Self::EndpointAdded => "the address is new",
            Self::AlgorithmDropped => "the algorithm is no longer offered",
            Self::AlgorithmAdded => "the algorithm is new",
            Self::ValueDropped => "no longer offered",
            Self::ValueAdded => "offered anew",
            Self::NotOffered => "the profile needs what is not offered",
            Self::Changed => "says something else",
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// The member; one of `mtls_endpoint_aliases` after a slash.
    pub member: String,
    /// What it means.
    pub meaning: Meaning,
    /// What was there, or is needed.
    pub before: Option<Value>,
    /// What is there.
    pub now: Option<Value>,
}

impl Published {
    /// From a document that was kept.
    #[must_use]
    pub fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Object(members) if members.contains_key("issuer") => Some(Self(members)),
            Value::Object(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => None,
        }
    }

    /// The document.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// A digest of what it means: neither the order of members nor that of lists
    /// matters.
    #[must_use]
    pub fn digest(&self) -> String {
        let sorted: BTreeMap<String, Value> =
            self.flat().into_iter().map(|(name, value)| (name, in_order(value))).collect();
        crypto::digest::sha256_hex(serde_json::json!(sorted).to_string().as_bytes())
    }

    /// What is different from `before`, member by member, the gravest first.
    #[must_use]
    pub fn since(&self, before: &Self) -> Vec<Drift> {
        let (old, new) = (before.flat(), self.flat());
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let mut drifts = Vec::new();
        for name in names {
            compare(name, old.get(name).copied(), new.get(name).copied(), &mut drifts);
        }
        drifts.sort_by_key(|drift| drift.meaning);
        drifts
    }

    /// What does not fit the profile: hosts that it does not permit, another issuer,
    /// and what it needs and the bank does not offer.
    #[must_use]
    pub fn misfits(&self, profile: &Profile) -> Vec<Drift> {
        let mut drifts = Vec::new();
        let mut note = |member: &str, meaning, before: Option<Value>, now: Option<&Value>| {
            drifts.push(Drift { member: member.to_owned(), meaning, before, now: now.cloned() });
        };
        let server = profile.authorization_server.as_ref();
        let issuer = server.and_then(|server| server.issuer.as_deref());
        if let Some(issuer) = issuer.filter(|issuer| self.0.get("issuer") != Some(&Value::from(*issuer))) {
            note("issuer", Meaning::IssuerChanged, Some(issuer.into()), self.0.get("issuer"));
        }
        for (name, value) in self.flat() {
            let member = name.strip_prefix(ALIASES).and_then(|alias| alias.strip_prefix('/'));
            let called = CALLED.contains(&member.unwrap_or(&name));
            let url = value.as_str().and_then(|text| Url::parse(text).ok());
            if called && !url.is_some_and(|url| profile.permits(&url)) {
                note(&name, Meaning::ForeignHost, None, Some(value));
            }
        }
        for (member, needed) in needs(profile) {
            let Some(offered) = self.0.get(member) else { continue };
            let offers =
                |needed: &&str| offered.as_array().is_some_and(|list| list.iter().any(|one| one == needed));
            if !needed.iter().any(offers) {
                note(member, Meaning::NotOffered, Some(needed.into()), Some(offered));
            }
        }
        drifts.sort_by_key(|drift| drift.meaning);
        drifts
    }

    /// Every member, those of the aliases one level up.
    fn flat(&self) -> BTreeMap<String, &Value> {
        let mut flat = BTreeMap::new();
        for (name, value) in &self.0 {
            match value.as_object().filter(|_| name == ALIASES) {
                Some(aliases) => {
                    flat.extend(aliases.iter().map(|(alias, value)| (format!("{ALIASES}/{alias}"), value)));
                }
                None => drop(flat.insert(name.clone(), value)),
            }
        }
        flat
    }
}

/// What a profile cannot do without: of each member, one of these.
fn needs(profile: &Profile) -> Vec<(&'static str, Vec<&'static str>)> {
    let Some(server) = &profile.authorization_server else { return Vec::new() };
    let method = match profile.client_auth {
        ClientAuth::TlsClientAuth => "tls_client_auth",
        ClientAuth::PrivateKeyJwt => "private_key_jwt",
    };
    let signed = vec!["PS256", "ES256", "EdDSA"];
    let mut needs = vec![
        ("response_types_supported", vec![server.response_type.as_str()]),
        ("token_endpoint_auth_methods_supported", vec![method]),
        ("id_token_signing_alg_values_supported", signed.clone()),
        ("code_challenge_methods_supported", vec!["S256"]),
    ];
    if server.signed_request_object {
        needs.push(("request_object_signing_alg_values_supported", signed));
    }
    needs
}

fn compare(name: &str, before: Option<&Value>, now: Option<&Value>, drifts: &mut Vec<Drift>) {
    let mut note = |meaning, before: Option<&Value>, now: Option<&Value>| {
        drifts.push(Drift { member: name.to_owned(), meaning, before: before.cloned(), now: now.cloned() });
    };
    if before == now {
        return;
    }
    if name == "issuer" {
        return note(Meaning::IssuerChanged, before, now);
    }
    if name.ends_with("_endpoint") || name.ends_with("_uri") {
        let meaning = match (before, now) {
            (Some(_), Some(_)) => Meaning::EndpointMoved,
            (None, _) => Meaning::EndpointAdded,
            (_, None) => Meaning::EndpointGone,
        };
        return note(meaning, before, now);
    }
    let list = |value: Option<&Value>| value.map_or(Some(Vec::new()), |value| value.as_array().cloned());
    let (Some(old), Some(new)) = (list(before), list(now)) else {
        return note(Meaning::Changed, before, now);
    };
    let algorithms = name.contains("_alg_") || name.contains("_enc_");
    let lost: Vec<Value> = old.iter().filter(|value| !new.contains(value)).cloned().collect();
    let gained: Vec<Value> = new.iter().filter(|value| !old.contains(value)).cloned().collect();
    if !lost.is_empty() {
        let meaning = if algorithms { Meaning::AlgorithmDropped } else { Meaning::ValueDropped };
        note(meaning, Some(&Value::Array(lost)), None);
    }
    if !gained.is_empty() {
        let meaning = if algorithms { Meaning::AlgorithmAdded } else { Meaning::ValueAdded };
        note(meaning, None, Some(&Value::Array(gained)));
    }
}

/// A list with its entries in an order of their own.
fn in_order(value: &Value) -> Value {
    let mut value = value.clone();
    value.sort_all_objects();
    if let Value::Array(list) = &mut value {
        list.sort_by_key(ToString::to_string);
    }
    value
}

#[cfg(test)]
mod tests;
