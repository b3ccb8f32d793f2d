//! What the bank that holds an account says of the name that a payer knows the payee by
//! (Regulation (EU) 2024/886 art. 1, "verification of the payee"; UK Confirmation of Payee).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::institution::words;

words!(
    /// Why nothing can be said of a payee's name.
    PayeeUnverified {
        /// No institution that is set up here is known to hold the account.
        InstitutionUnknown = "INSTITUTION_UNKNOWN",
        /// The institution verifies no payees here.
        NotOffered = "NOT_OFFERED",
        /// The institution could not be reached, or answered nothing that can be used.
        Unavailable = "UNAVAILABLE",
        /// The institution did not answer in time.
        TimedOut = "TIMED_OUT",
        /// The institution has no such account.
        AccountUnknown = "ACCOUNT_UNKNOWN",
        /// The account has moved to another institution.
        AccountMoved = "ACCOUNT_MOVED",
        /// The account is of a kind that is not verified, or its holder does not want it.
        AccountNotCovered = "ACCOUNT_NOT_COVERED",
        /// The account is told apart by a further reference.
        ReferenceNeeded = "REFERENCE_NEEDED",
        /// The institution says that it is not possible, and not why.
        Unexplained = "UNEXPLAINED",
        /// The client's verifications of the day are used up.
        Limit = "LIMIT",
    }
);

/// Whether the holder of an account goes by a name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PayeeMatch {
    /// By this name.
    Match,
    /// By one that is nearly the same.
    CloseMatch {
        /// The name that the bank gives, at most 140 characters.
        name: String,
    },
    /// By another one, which nobody is told.
    NoMatch,
    /// Nothing can be said.
    NotPossible {
        /// Why.
        reason: PayeeUnverified,
    },
}

/// Most characters of a name (ISO 20022 Max140Text).
const MAX_NAME: usize = 140;

impl PayeeMatch {
    /// A close match, if what the bank gives can be a name: one line of 1 to 140 characters.
    #[must_use]
    pub fn close(name: &str) -> Option<Self> {
        let name = name.trim();
        let fits = (1..=MAX_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        fits.then(|| Self::CloseMatch { name: name.to_owned() })
    }

    /// The word of our API.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Match => "MATCH",
            Self::CloseMatch { .. } => "CLOSE_MATCH",
            Self::NoMatch => "NO_MATCH",
            Self::NotPossible { .. } => "NOT_POSSIBLE",
        }
    }

    /// The name that the bank gives, of a close match.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::CloseMatch { name } => Some(name),
            Self::Match | Self::NoMatch | Self::NotPossible { .. } => None,
        }
    }

    /// Why nothing can be said.
    #[must_use]
    pub fn reason(&self) -> Option<PayeeUnverified> {
        match self {
            Self::NotPossible { reason } => Some(*reason),
            Self::Match | Self::CloseMatch { .. } | Self::NoMatch => None,
        }
    }
}

/// A name is personal data: it is not shown.
impl fmt::Debug for PayeeMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_match_has_a_name_of_one_line_which_no_log_shows() {
        let close = PayeeMatch::close(" Anna Lindner ").expect("a name");
        assert_eq!((close.name(), format!("{close:?}")), (Some("Anna Lindner"), "CLOSE_MATCH".to_owned()));
        for name in ["", "  ", "Anna\nLindner", &"a".repeat(141)] {
            assert_eq!(PayeeMatch::close(name), None, "{name:?}");
        }
    }
}
