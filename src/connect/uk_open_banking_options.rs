//! What the UK Open Banking standard leaves to each bank.

/// Which of the standard's options a bank takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UkOpenBankingOptions {
    /// Form of its reports on the payments of a file; `None` where it is not asked for any.
    pub file_report: Option<FileReport>,
    /// A success without a body, in place of a list, means that there are no entries.
    pub empty_answer_is_none: bool,
}

/// The form of a report on the payments of a file, which is each bank's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileReport {
    /// ISO 20022 customer payment status report, any version.
    Pain002,
}

impl FileReport {
    /// Words that profiles use.
    pub const WORDS: &'static [&'static str] = &["pain.002"];

    /// Reads a word of [`FileReport::WORDS`].
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        (word == "pain.002").then_some(Self::Pain002)
    }
}
