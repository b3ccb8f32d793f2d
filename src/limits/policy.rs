//! The file of the policies.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use ipnet::IpNet;
use serde::Deserialize;

const EMBEDDED: &str = include_str!("../../policies/limits/limits.toml");

/// By what requests are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Partition {
    /// The address of a connection (of IPv6, its /64), before TLS.
    Address,
    /// The certificate of a connection, if we trust it, or else its address.
    Peer,
    /// The client (TPP) that a request has proved to be from.
    Client,
    /// The consent that is read under.
    Consent,
    /// The institution (ASPSP) that we call.
    Institution,
}

impl Partition {
    /// Its word in files and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Peer => "peer",
            Self::Client => "client",
            Self::Consent => "consent",
            Self::Institution => "institution",
        }
    }
}

/// So many in such a time.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Its name, as clients see it.
    pub name: String,
    /// What is counted apart.
    pub partition: Partition,
    /// Only requests of this class are counted; none counts all.
    pub class: Option<String>,
    /// Requests that may come at once, and in a window.
    pub quota: NonZeroU32,
    /// Seconds in which the whole quota comes back.
    pub window: NonZeroU32,
    /// Who has another quota.
    #[serde(default)]
    pub special: Vec<Special>,
}

/// The quota of one client or institution.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Special {
    /// Its identifier.
    pub of: String,
    /// Requests that may come at once, and in a window.
    pub quota: NonZeroU32,
    /// Seconds in which the whole quota comes back; otherwise as the policy says.
    pub window: Option<NonZeroU32>,
}

/// Requests that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Methods; none is every method.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Paths, with everything below them.
    pub paths: Vec<String>,
}

impl Class {
    fn has(&self, method: &str, path: &str) -> bool {
        let below = |own: &String| {
            path.strip_prefix(own.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        (self.methods.is_empty() || self.methods.iter().any(|own| own == method))
            && self.paths.iter().any(below)
    }
}

/// What a process can do at once, before it lets requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Requests that are worked on at the same time.
    pub in_flight: NonZeroU32,
    /// How late the process may be with what it has to do, in milliseconds.
    pub lag_ms: NonZeroU32,
}

/// Who is not let in any more, for a while.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Offences after which an address is blocked.
    pub offences: NonZeroU32,
    /// Seconds in which they have to come.
    pub within: NonZeroU32,
    /// Seconds for which it is blocked.
    pub seconds: NonZeroU32,
    /// What is an offence: reasons for which requests are refused and connections closed.
    pub reasons: Vec<String>,
    /// Networks that are never blocked.
    #[serde(default)]
    pub never: Vec<IpNet>,
}

/// All policies.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policies {
    /// Classes; the first that fits is the class of a request.
    #[serde(default, rename = "class")]
    pub classes: Vec<Class>,
    /// Policies, in the order in which they are asked.
    #[serde(default, rename = "policy")]
    pub policies: Vec<Policy>,
    /// What a process can do at once.
    pub load: Load,
    /// Who is blocked; nobody, if nothing is said.
    pub block: Option<Block>,
}

/// Why a file of policies is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLimits {
    /// It is not TOML of this shape.
    #[error("the limits cannot be read: {0}")]
    Unreadable(String),
    /// What it says makes no sense.
    #[error("the limits cannot be used: {what}: {why}")]
    Refused {
        /// The class or policy.
        what: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Longest window: what is counted in memory is forgotten when a process ends.
const LONGEST: u32 = 24 * 60 * 60;

impl Policies {
    /// Those that come with the binary.
    ///
    /// # Errors
    ///
    /// None, as the tests read them.
    pub fn embedded() -> Result<Self, InvalidLimits> {
        Self::parse(EMBEDDED)
    }

    /// None: whatever comes is let through.
    #[must_use]
    pub fn unlimited() -> Self {
        let load = Load { in_flight: NonZeroU32::MAX, lag_ms: NonZeroU32::MAX };
        Self { classes: Vec::new(), policies: Vec::new(), load, block: None }
    }

    /// Reads TOML.
    ///
    /// # Errors
    ///
    /// [`InvalidLimits`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidLimits> {
        let read: Self =
            toml::from_str(text).map_err(|error| InvalidLimits::Unreadable(error.to_string()))?;
        let refused = |what: &str, why| InvalidLimits::Refused { what: what.to_owned(), why };
        let mut classes = BTreeSet::new();
        for class in &read.classes {
            let fault = name_fault(&class.name)
                .or_else(|| (!classes.insert(class.name.as_str())).then_some("it is there twice"))
                .or_else(|| class.paths.is_empty().then_some("it has no path"))
                .or_else(|| {
                    let plain = |path: &String| path.starts_with('/') && !path.ends_with('/');
                    (!class.paths.iter().all(plain))
                        .then_some("a path begins with a slash and ends with none")
                });
            fault.map_or(Ok(()), |why| Err(refused(&class.name, why)))?;
        }
        let mut names = BTreeSet::new();
        for policy in &read.policies {
            let fault = name_fault(&policy.name)
                .or_else(|| (!names.insert(policy.name.as_str())).then_some("it is there twice"))
                .or_else(|| policy.fault(&classes));
            fault.map_or(Ok(()), |why| Err(refused(&policy.name, why)))?;
        }
        Ok(read)
    }

    /// The class of a request.
    #[must_use]
    pub fn class_of(&self, method: &str, path: &str) -> Option<&Class> {
        self.classes.iter().find(|class| class.has(method, path))
    }
}

impl Policy {
    fn fault(&self, classes: &BTreeSet<&str>) -> Option<&'static str> {
        let (class, partition) = (self.class.as_deref(), self.partition);
        if class.is_some_and(|class| !classes.contains(class)) {
            return Some("there is no such class");
        }
        if class.is_some() && !matches!(partition, Partition::Peer | Partition::Client) {
            return Some("only peers and clients are counted by class");
        }
        let named = matches!(partition, Partition::Client | Partition::Institution);
        if !named && !self.special.is_empty() {
            return Some("only clients and institutions have a quota of their own");
        }
        let mut windows = self.special.iter().filter_map(|special| special.window).chain([self.window]);
        if windows.any(|window| window.get() > LONGEST) {
            return Some("a window is a day at most");
        }
        let mut of = BTreeSet::new();
        (!self.special.iter().all(|special| of.insert(special.of.as_str())))
            .then_some("special names one twice")
    }
}

/// Names stand in headers and in keys of other stores.
fn name_fault(name: &str) -> Option<&'static str> {
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    (!plain || name.is_empty() || name.len() > 40).then_some("a name is of a to z, 0 to 9 and hyphens")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: &str = "[load]\nin_flight = 10\nlag_ms = 10\n";

    #[test]
    fn what_comes_with_the_binary_is_read_and_knows_its_classes() {
        let policies = Policies::embedded().unwrap();
        let class = |method, path| policies.class_of(method, path).map(|class| class.name.as_str());
        assert_eq!(class("POST", "/v1/payments"), Some("payments"));
        assert_eq!(class("POST", "/v1/payments/pay_uk_1/refunds"), Some("payments"));
        assert_eq!(class("GET", "/v1/payments"), None, "it moves nothing");
        assert_eq!(class("POST", "/v1/payments:validate"), None, "it moves nothing");
        assert_eq!(class("POST", "/oauth/token"), Some("authorization"));
        assert_eq!(class("GET", "/v1/accounts/acc_uk_1/transactions"), Some("data"));
        assert_eq!(class("GET", "/v1/accountsx"), None);
        let partitions: BTreeSet<_> =
            policies.policies.iter().map(|policy| policy.partition.as_str()).collect();
        assert_eq!(partitions.len(), 5, "everything that can be counted is");
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_name() {
        let policy =
            |rest: &str| format!("[[policy]]\nname = \"one\"\nquota = 1\nwindow = 1\n{rest}\n{LOAD}");
        for (text, expected) in [
            (policy("partition = \"client\"\nclass = \"none\""), "one: there is no such class"),
            (
                policy("partition = \"consent\"\nspecial = [{ of = \"x\", quota = 1 }]"),
                "a quota of their own",
            ),
            (
                policy("partition = \"client\"\nspecial = [{ of = \"x\", quota = 1, window = 86401 }]"),
                "a day at most",
            ),
            (
                policy(
                    "partition = \"client\"\nspecial = [{ of = \"x\", quota = 1 }, { of = \"x\", quota = 2 }]",
                ),
                "special names one twice",
            ),
            (policy("partition = \"client\"\nburst = 4"), "unknown field `burst`"),
            (policy("partition = \"planet\""), "unknown variant `planet`"),
            (policy("partition = \"client\"").replace("quota = 1", "quota = 0"), "nonzero"),
            (policy("partition = \"client\"").replace("\"one\"", "\"One\""), "a name is of a to z"),
            (
                policy(
                    "partition = \"client\"\n[[policy]]\nname = \"one\"\nquota = 1\nwindow = 1\npartition = \"peer\"",
                ),
                "one: it is there twice",
            ),
            (format!("[[class]]\nname = \"data\"\npaths = [\"/v1/\"]\n{LOAD}"), "ends with none"),
            (format!("[[class]]\nname = \"data\"\npaths = []\n{LOAD}"), "it has no path"),
            ("[[policy]]".to_owned(), "missing field"),
        ] {
            let told = Policies::parse(&text).unwrap_err().to_string();
            assert!(told.contains(expected), "{expected}: {told}");
        }
    }
}
