//! `SecLang`, the language that rules are written in: text in, directives out.
//!
//! What the language has and this crate has not is an error that names file,
//! line and word. A rule that is silently inert would be a hole that nobody
//! knows of.

mod action;
mod lexer;
mod operator;
mod rule;
mod variable;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

pub use action::{Action, Change, Ctl, Disruptive, SetVar, Severity, TagOrId};
pub(crate) use lexer::{Statement, statements};
pub use operator::{Network, Operator, OperatorKind};
pub use rule::{Directive, EngineMode, Link, RuleDecl};
pub use variable::{Collection, Macro, Part, Selector, Target, VariableRef};

/// Where in the rules something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the source, as it was given.
    pub file: Arc<str>,
    /// Line on which the directive begins, from one.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Why rules cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// A directive, operator, variable, transformation or action is not known here.
    #[error("{place}: unsupported {what} \"{word}\"")]
    Unsupported {
        /// Where it stands.
        place: Place,
        /// What kind of word it is.
        what: &'static str,
        /// The word.
        word: String,
    },
    /// It is known, and written wrongly.
    #[error("{place}: {what}")]
    Malformed {
        /// Where it stands.
        place: Place,
        /// What is wrong.
        what: String,
    },
    /// A pattern needs what a linear-time engine has not.
    #[error("{place}: rule {rule}: the pattern cannot run in linear time: {why}")]
    Pattern {
        /// Where the rule stands.
        place: Place,
        /// The rule; 0 where it has no id.
        rule: u64,
        /// What the pattern uses.
        why: String,
    },
    /// An exclusion that the operator wrote cannot stand.
    #[error("exclusion of {what}: {why}")]
    Exclusion {
        /// What it excludes.
        what: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file or folder cannot be read.
    #[error("{path} cannot be read: {why}")]
    Unreadable {
        /// The path.
        path: String,
        /// The system's word for it.
        why: String,
    },
}

impl LoadError {
    fn unsupported(place: &Place, what: &'static str, word: &str) -> Self {
        Self::Unsupported { place: place.clone(), what, word: word.to_owned() }
    }

    pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self::Unreadable { path: path.display().to_string(), why: error.to_string() }
    }

    pub(crate) fn malformed(place: &Place, what: impl Into<String>) -> Self {
        Self::Malformed { place: place.clone(), what: what.into() }
    }
}

/// Reads one source.
///
/// # Errors
///
/// [`LoadError`] with the place of what is wrong or unknown.
pub fn parse(file: &str, text: &str) -> Result<Vec<(Place, Directive)>, LoadError> {
    rule::directives(statements(file, text)?)
}

#[cfg(test)]
mod tests;
