//! One thing that is wrong, in words for whoever has to mend it.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A careful peer refuses it.
    Error,
    /// Some peers refuse it, or it will be refused later.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that is wrong, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule it breaks, by a name that stays.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where the rule is written.
    pub clause: String,
    /// What is wrong, in one sentence.
    pub says: String,
    /// What was probably meant, or how to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meant: Option<String>,
    /// Where it is: an object identifier, a place in the chain, or a JSON pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

impl Finding {
    /// What a careful peer refuses.
    #[must_use]
    pub fn error(rule: &'static str, clause: &str, says: impl Into<String>) -> Self {
        Self::new(rule, Severity::Error, clause, says.into())
    }

    /// What some peers refuse.
    #[must_use]
    pub fn warning(rule: &'static str, clause: &str, says: impl Into<String>) -> Self {
        Self::new(rule, Severity::Warning, clause, says.into())
    }

    /// What is worth knowing.
    #[must_use]
    pub fn note(rule: &'static str, clause: &str, says: impl Into<String>) -> Self {
        Self::new(rule, Severity::Note, clause, says.into())
    }

    /// The same, with what was probably meant.
    #[must_use]
    pub fn meant(mut self, meant: impl Into<String>) -> Self {
        self.meant = Some(meant.into());
        self
    }

    /// The same, with where it is.
    #[must_use]
    pub fn at(mut self, at: impl Into<String>) -> Self {
        self.at = Some(at.into());
        self
    }

    fn new(rule: &'static str, severity: Severity, clause: &str, says: String) -> Self {
        Self { rule, severity, clause: clause.to_owned(), says, meant: None, at: None }
    }
}
