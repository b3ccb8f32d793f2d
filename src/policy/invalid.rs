//! Why files are refused.

use std::fmt;

use cedar_policy::ffi::DetailedError;
use serde::Serialize;

/// The files hold no rules that may be used. Everything that is wrong is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InvalidPolicies {
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// The line, from 1. `None` if it is not about a place.
    pub line: Option<usize>,
    /// The column, from 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub says: String,
}

impl InvalidPolicies {
    pub(crate) fn of(finding: Finding) -> Self {
        Self { findings: vec![finding] }
    }

    /// `Err` if there are findings.
    pub(crate) fn unless_none(findings: Vec<Finding>) -> Result<(), Self> {
        if findings.is_empty() { Ok(()) } else { Err(Self { findings }) }
    }
}

impl std::error::Error for InvalidPolicies {}

impl fmt::Display for InvalidPolicies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, finding) in self.findings.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{finding}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.says)
    }
}

impl Finding {
    /// About a file as a whole.
    pub(crate) fn whole(file: &str, says: String) -> Self {
        Self { file: file.to_owned(), line: None, column: None, says }
    }

    /// About the place at an offset of a file's text.
    pub(crate) fn at(file: &str, text: &str, offset: usize, says: String) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { file: file.to_owned(), line: Some(line), column: Some(column), says }
    }

    /// What Cedar says, of the text of a file.
    pub(crate) fn of_cedar(file: &str, text: &str, error: DetailedError) -> Vec<Self> {
        let DetailedError { message, help, source_locations, related, .. } = error;
        let says = match help {
            Some(help) => format!("{message} ({help})"),
            None => message,
        };
        let first = source_locations.first().map(|label| label.loc.start);
        let mut findings = vec![match first {
            Some(offset) => Self::at(file, text, offset, says),
            None => Self::whole(file, says),
        }];
        findings.extend(related.into_iter().flat_map(|error| Self::of_cedar(file, text, error)));
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters_from_one() {
        let text = "a\n\u{e9}x\n";
        let place = |offset| {
            let finding = Finding::at("f", text, offset, String::new());
            (finding.line.unwrap(), finding.column.unwrap())
        };
        assert_eq!([place(0), place(2), place(4), place(6)], [(1, 1), (2, 1), (2, 2), (3, 1)]);
        assert_eq!(place(600), (3, 1), "an offset beyond the text is its end");
    }
}
