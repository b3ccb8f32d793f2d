//! Named deviations of banks from their standard. Each is strict by default
//! and loosened only by the profile of a bank that needs it.

use std::collections::BTreeMap;

macro_rules! quirk_names {
    ($($variant:ident = $word:literal, $text:literal;)+) => {
        /// Name of a deviation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum QuirkName {
            $(#[doc = $text] $variant,)+
        }

        impl QuirkName {
            /// Every name.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in profiles.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// What the bank does, and what we do about it.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Finds a name by its word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|name| name.as_str() == word)
            }
        }
    };
}

quirk_names! {
    JwsPayloadNotEncoded = "jws-payload-not-encoded", "Signatures follow the rules before version 3.1.4: `b64: false` in the header and the raw body signed.";
    BearerAnyCase = "bearer-any-case", "The token endpoint spells `Bearer` in another case; the type is compared without case.";
    IdTokenMissingOnRefresh = "id-token-missing-on-refresh", "A refresh answers without an id_token; its absence there is accepted.";
}

/// One deviation of one bank: where it shows and with which parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Quirk {
    /// Which.
    pub name: QuirkName,
    /// Steps at which it shows (`aisp.consent.post`, `token.refresh.*`); empty is everywhere.
    pub at: Vec<String>,
    /// Versions of the standard in which it shows; empty is all.
    pub versions: Vec<String>,
    /// Parameters.
    pub parameters: BTreeMap<String, toml::Value>,
}

impl Quirk {
    /// A parameter that is a text.
    #[must_use]
    pub fn text(&self, parameter: &str) -> Option<&str> {
        self.parameters.get(parameter).and_then(toml::Value::as_str)
    }

    fn shows_at(&self, step: &str, version: &str) -> bool {
        let at = self.at.is_empty() || self.at.iter().any(|pattern| covers(pattern, step));
        at && (self.versions.is_empty() || self.versions.iter().any(|known| known == version))
    }
}

/// Whether a pattern such as `auth.*` or `pisp.consent` covers a step such as
/// `pisp.consent.post`: segment by segment, `*` is any, a prefix covers all below.
fn covers(pattern: &str, step: &str) -> bool {
    let mut steps = step.split('.');
    pattern.split('.').all(|wanted| steps.next().is_some_and(|found| wanted == "*" || wanted == found))
}

/// All deviations of one bank.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quirks(Vec<Quirk>);

impl Quirks {
    /// From a list.
    #[must_use]
    pub fn new(quirks: Vec<Quirk>) -> Self {
        Self(quirks)
    }

    /// The deviation of this name at this step in this version, if the bank has it.
    #[must_use]
    pub fn find(&self, name: QuirkName, step: &str, version: &str) -> Option<&Quirk> {
        self.0.iter().find(|quirk| quirk.name == name && quirk.shows_at(step, version))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Quirk> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quirk_shows_only_at_its_steps_and_versions() {
        let quirks = Quirks::new(vec![Quirk {
            name: QuirkName::BearerAnyCase,
            at: vec!["token.*".into(), "pisp.consent".into()],
            versions: vec!["3.1".into()],
            parameters: BTreeMap::new(),
        }]);
        let shows = |step, version| quirks.find(QuirkName::BearerAnyCase, step, version).is_some();
        assert!(shows("token.code.aisp", "3.1") && shows("pisp.consent.post", "3.1"));
        assert!(!shows("pisp.payment.post", "3.1") && !shows("token.cc", "4.0"));
        assert!(!shows("pisp", "3.1"));
    }
}
