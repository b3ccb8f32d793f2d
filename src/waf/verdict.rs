//! What an inspection found, without repeating what it found it in.

use crate::seclang::Severity;

/// What rules say of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// A rule refused, and the engine is not detecting only.
    pub blocked: bool,
    /// The rule that refused, or would have.
    pub refused_by: Option<u64>,
    /// Sum of the scores of all rule sets in the engine.
    pub score: i64,
    /// What matched, in the order of the rules.
    pub matches: Vec<Match>,
    /// Bytes that were transformed or looked through.
    pub work: usize,
}

impl Verdict {
    /// The rules that matched, each once, in their order.
    #[must_use]
    pub fn rules(&self) -> Vec<u64> {
        let mut rules: Vec<u64> = Vec::new();
        for found in &self.matches {
            if !rules.contains(&found.rule) {
                rules.push(found.rule);
            }
        }
        rules
    }
}

/// The request is larger or dearer than what is inspected: it must be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverBudget {
    /// More bytes than [`crate::Budget::bytes`].
    #[error("the request has more bytes than are inspected")]
    Bytes,
    /// More values than [`crate::Budget::values`].
    #[error("the request has more values than are inspected")]
    Values,
    /// More work than [`crate::Budget::work`].
    #[error("the request takes more work than one inspection may")]
    Work,
}

/// One value that a rule matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The rule.
    pub rule: u64,
    /// What the rule finds.
    pub message: String,
    /// How grave it is.
    pub severity: Option<Severity>,
    /// Paranoia level of the rule.
    pub level: u8,
    /// What it adds to the scores.
    pub score: i64,
    /// Where the value stood, such as `ARGS:json.remittance.unstructured`.
    pub target: String,
    /// Where in the transformed value the match begins, in bytes.
    pub offset: usize,
    /// Bytes of the match.
    pub length: usize,
    /// First eight bytes of the value's SHA-256, in hexadecimal: tells whether two values are the same.
    pub digest: String,
    /// The match with letters and digits made unreadable.
    pub masked: String,
}

/// Of a value: a digest that tells equal ones.
pub(crate) fn fingerprint(value: &[u8]) -> String {
    let mut digest = crypto::digest::sha256_hex(value);
    digest.truncate(16);
    digest
}

/// Letters become x, digits 9; punctuation stays, because it is what attacks are made of.
pub(crate) fn masked(value: &[u8]) -> String {
    let mask = |character: char| match character {
        'a'..='z' | 'A'..='Z' => 'x',
        '0'..='9' => '9',
        ' '..='~' => character,
        _ => '·',
    };
    String::from_utf8_lossy(value).chars().take(MASKED).map(mask).collect()
}

/// A name that a request brought: as it is where it is an ordinary one.
pub(crate) fn shown_name(name: &[u8]) -> String {
    let ordinary = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-[]$:".contains(byte);
    match std::str::from_utf8(name) {
        Ok(text) if name.len() <= NAME && name.iter().all(ordinary) => text.to_owned(),
        Ok(_) | Err(_) => format!("({} bytes, {})", name.len(), fingerprint(name)),
    }
}

/// Characters of a masked match.
const MASKED: usize = 40;

/// Bytes of a name that is shown.
const NAME: usize = 128;
