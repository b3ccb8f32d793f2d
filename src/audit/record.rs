//! What an entry says: names of the Elastic Common Schema, and ours below `consentry.`.
//!
//! No personal value is among them: ids, codes and times, and never an account, a name, an
//! amount or a text.

use std::fmt;

use crypto::certificate::Thumbprint;
use crypto::digest::hex;
use domain::{ConsentId, InstitutionId, Region, RequestId, Timestamp};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// What came of it (ECS `event.outcome`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was refused, or failed.
    Failure,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

/// One thing that was done with personal data, or was to be done and was not.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// When (`@timestamp`).
    pub at: Timestamp,
    /// Region in which the data is at home (`consentry.region`).
    pub region: Region,
    /// What: `accounts.read`, `consent.granted` (`event.action`).
    pub action: &'a str,
    /// Whether data was looked at, or changed (`event.type`).
    pub is_access: bool,
    /// What came of it (`event.outcome`).
    pub outcome: Outcome,
    /// The code of the reason why it was not done (`event.reason`).
    pub reason: Option<&'a str>,
    /// Client that did it, or whom it is about (`organization.id`); empty where nobody has looked yet who
    /// it is.
    pub client: &'a str,
    /// Request in which it was done (`http.request.id`).
    pub request: Option<RequestId>,
    /// Certificate of the connection (`tls.client.hash.sha256`, upper-case hexadecimal).
    pub certificate: Option<Thumbprint>,
    /// Consent under which it was done (`consentry.consent.id`).
    pub consent: Option<ConsentId>,
    /// Consent, payment or mandate that it changed (`consentry.resource.id`).
    pub resource: Option<&'a str>,
    /// Bank whose data it is (`consentry.institution.id`).
    pub institution: Option<&'a InstitutionId>,
    /// Class of data (`consentry.data.class`): `balances`.
    pub class: Option<&'a str>,
    /// The rule that permits it, or those that forbid it, between spaces (`rule.id`).
    pub rule: Option<&'a str>,
    /// The permission of the consent that it needs (`consentry.permission`).
    pub permission: Option<&'a str>,
    /// Whether the PSU was there (`consentry.psu.present`).
    pub psu_present: Option<bool>,
}

/// One line of JSON.
impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// What is not known is left out.
impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = if self.is_access { "access" } else { "change" };
        let at = self.at.to_string();
        let certificate = self.certificate.map(|it| hex(it.as_bytes()).to_ascii_uppercase());
        let request = self.request.map(|id| id.to_string());
        let consent = self.consent.map(|id| id.to_string());
        let texts = [
            ("@timestamp", Some(at.as_str())),
            ("event.action", Some(self.action)),
            ("event.type", Some(kind)),
            ("event.outcome", Some(self.outcome.as_str())),
            ("event.reason", self.reason),
            ("organization.id", Some(self.client).filter(|client| !client.is_empty())),
            ("http.request.id", request.as_deref()),
            ("tls.client.hash.sha256", certificate.as_deref()),
            ("rule.id", self.rule),
            ("consentry.region", Some(self.region.as_str())),
            ("consentry.consent.id", consent.as_deref()),
            ("consentry.resource.id", self.resource),
            ("consentry.institution.id", self.institution.map(InstitutionId::as_str)),
            ("consentry.data.class", self.class),
            ("consentry.permission", self.permission),
        ];
        let mut told = serializer.serialize_map(None)?;
        for (name, text) in texts {
            if let Some(text) = text {
                told.serialize_entry(name, text)?;
            }
        }
        if let Some(present) = self.psu_present {
            told.serialize_entry("consentry.psu.present", &present)?;
        }
        told.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_not_known_is_not_told() {
        let whole = Record {
            at: "2026-11-28T10:00:00.5Z".parse().unwrap(),
            region: "eu".parse().unwrap(),
            action: "balances.read",
            is_access: true,
            outcome: Outcome::Failure,
            reason: Some("consent.expired"),
            client: "tpp-1",
            request: Some("req_01a2220987ac795c99a8df167cd7c47e".parse().unwrap()),
            certificate: Some(Thumbprint::of(b"certificate")),
            consent: None,
            resource: Some("con_eu_1"),
            institution: None,
            class: Some("balances"),
            rule: Some("consent.read"),
            permission: Some("ReadBalances"),
            psu_present: Some(false),
        };
        let read: Value = serde_json::from_str(&whole.to_string()).unwrap();
        let told = json!({
            "@timestamp": "2026-11-28T10:00:00.5Z",
            "event.action": "balances.read",
            "event.type": "access",
            "event.outcome": "failure",
            "event.reason": "consent.expired",
            "organization.id": "tpp-1",
            "http.request.id": "req_01a2220987ac795c99a8df167cd7c47e",
            "tls.client.hash.sha256": crypto::digest::sha256_hex(b"certificate").to_ascii_uppercase(),
            "rule.id": "consent.read",
            "consentry.permission": "ReadBalances",
            "consentry.region": "eu",
            "consentry.resource.id": "con_eu_1",
            "consentry.data.class": "balances",
            "consentry.psu.present": false,
        });
        assert_eq!(read, told);
        assert!(!whole.to_string().contains('\n'));
        let change = Record { is_access: false, reason: None, psu_present: None, ..whole };
        let read: Value = serde_json::from_str(&change.to_string()).unwrap();
        assert_eq!((&read["event.type"], read.get("event.reason")), (&json!("change"), None));
    }
}
