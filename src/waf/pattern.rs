//! Patterns: from the dialect that rules are written in (PCRE, bytes, dot
//! matches all) to one that runs in linear time.
//!
//! What depends on looking around or back is refused with its name. No pattern
//! of the Core Rule Set 4 about requests does.

mod dialect;
mod need;

use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};

use crate::seclang::{LoadError, Place};

pub(crate) use need::Need;

/// A pattern as it runs, and what every text has that it matches.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(crate) runs: Runs,
    pub(crate) need: Need,
}

/// A pattern that is compiled when it is first asked, if not before: most of those of a rule set never are.
#[derive(Clone, Debug)]
pub(crate) struct Runs {
    translated: String,
    regex: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// What it uses that has no linear-time equivalent here.
    pub(crate) fn compile(written: &str) -> Result<Self, String> {
        let translated = dialect::translate(written)?;
        let regex = builder(&translated).build().map_err(|error| error.to_string())?;
        let need = need::of(&translated)?;
        Ok(Self { runs: Runs { translated, regex: OnceLock::from(Some(regex)) }, need })
    }

    /// The same of one that is known to compile, which it will when it is asked.
    ///
    /// # Errors
    ///
    /// As [`Pattern::compile`], as far as that is seen without compiling.
    pub(crate) fn of_known(written: &str) -> Result<Self, String> {
        let translated = dialect::translate(written)?;
        let need = need::of(&translated)?;
        Ok(Self { runs: Runs { translated, regex: OnceLock::new() }, need })
    }
}

impl Runs {
    /// The pattern; none if it does not compile, as those never do that are known to.
    pub(crate) fn regex(&self) -> Option<&Regex> {
        self.regex.get_or_init(|| builder(&self.translated).build().ok()).as_ref()
    }
}

/// The pattern of a selector such as `ARGS:/^x/`, which takes any case.
pub(crate) fn selector(place: &Place, written: &str) -> Result<Regex, LoadError> {
    let compiled = dialect::translate(written)
        .and_then(|it| builder(&it).case_insensitive(true).build().map_err(|error| error.to_string()));
    compiled.map_err(|why| LoadError::Pattern { place: place.clone(), rule: 0, why })
}

fn builder(pattern: &str) -> RegexBuilder {
    let mut builder = RegexBuilder::new(pattern);
    builder.unicode(false).dot_matches_new_line(true).size_limit(SIZE_LIMIT).dfa_size_limit(DFA_LIMIT);
    builder
}

/// Bytes of one compiled pattern.
const SIZE_LIMIT: usize = 16 << 20;

/// Bytes of the states that one pattern keeps per thread and direction: with
/// more, threads times patterns would be the memory of the gateway.
const DFA_LIMIT: usize = 192 << 10;

#[cfg(test)]
mod tests;
