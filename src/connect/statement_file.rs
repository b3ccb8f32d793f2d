//! The file that a bank wrote as a statement: passed on, never read.

use bytes::Bytes;

use crate::{BankError, BankRequest, BankResponse, CallContext, Profile};

/// What a file of a statement may be. Nothing else is passed on, so that no bank
/// makes a client open what it did not ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementFormat {
    /// PDF.
    Pdf,
    /// RFC 4180.
    Csv,
    /// Plain text.
    Text,
    /// XML, such as a camt.053.
    Xml,
}

impl StatementFormat {
    /// Every format, the one for people first.
    pub const ALL: [Self; 4] = [Self::Pdf, Self::Csv, Self::Text, Self::Xml];

    /// The media type, without parameters.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Csv => "text/csv",
            Self::Text => "text/plain",
            Self::Xml => "application/xml",
        }
    }

    /// How names of such files end.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Csv => "csv",
            Self::Text => "txt",
            Self::Xml => "xml",
        }
    }

    /// The format of a `Content-Type`, whatever its parameters.
    #[must_use]
    pub fn of(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        Self::ALL.into_iter().find(|format| format.media_type().eq_ignore_ascii_case(essence))
    }
}

/// A statement as the bank wrote it.
#[derive(Clone)]
pub struct StatementFile {
    /// What it is.
    pub format: StatementFormat,
    /// The file, at most the profile's limit of an answer.
    pub bytes: Bytes,
}

impl std::fmt::Debug for StatementFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatementFile")
            .field("format", &self.format)
            .field("length", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// Files of statements in one standard.
pub trait StatementFiles: Send + Sync {
    /// Whether a bank with this profile has them.
    fn offered(&self, profile: &Profile) -> bool;

    /// Asks for the file of a statement of an account.
    ///
    /// # Errors
    ///
    /// `profile-error` if the profile lacks the address.
    fn file(
        &self,
        cx: &CallContext<'_>,
        resource_id: &str,
        statement_id: &str,
    ) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`StatementFiles::file`].
    ///
    /// # Errors
    ///
    /// The bank's error, or `malformed-response` if it is no [`StatementFormat`].
    fn file_read(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<StatementFile, BankError>;
}
