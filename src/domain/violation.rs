//! All that is wrong with an input, collected, so that a caller mends it once.

use std::fmt;

/// One thing wrong with an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer (RFC 6901) to the field.
    pub pointer: String,
    /// Stable machine-readable code, such as `iban.invalid`.
    pub code: &'static str,
    /// What is wrong and what would be right; never repeats the value.
    pub detail: String,
}

/// Everything wrong with an input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Notes one violation.
    pub fn add(&mut self, pointer: impl Into<String>, code: &'static str, detail: impl fmt::Display) {
        self.0.push(Violation { pointer: pointer.into(), code, detail: detail.to_string() });
    }

    /// Takes over what is wrong with a part of the input, at its place.
    pub fn within(&mut self, place: &str, part: Self) {
        let moved = part
            .0
            .into_iter()
            .map(|found| Violation { pointer: format!("{place}{}", found.pointer), ..found });
        self.0.extend(moved);
    }

    /// Takes apart what is wrong: where `which` says so of its place, and the rest.
    #[must_use]
    pub fn split(self, which: impl Fn(&str) -> bool) -> (Self, Self) {
        let (these, rest) = self.0.into_iter().partition(|found| which(&found.pointer));
        (Self(these), Self(rest))
    }

    /// Keeps the value of a parse, or notes why there is none.
    pub fn take<T, E: fmt::Display>(
        &mut self,
        pointer: &str,
        code: &'static str,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.add(pointer, code, error)).ok()
    }

    /// True if nothing was wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The violations in the order found.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "; " };
            write!(f, "{comma}{}: {}", violation.pointer, violation.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}
