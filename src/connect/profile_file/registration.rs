//! How we become the bank's client, as a profile says it.

use crypto::OrganizationIdSpelling;

use super::table::Table;
use crate::profile::{Registration, RegistrationForm};

/// The versions of UK Dynamic Client Registration that a profile may name.
pub(super) const VERSIONS: &[&str] = &["3.1", "3.2", "3.3"];

/// What a request may be.
pub(super) const FORMS: [&str; 2] = ["jwt", "json"];

/// How the organisation identifier may be written.
pub(super) const SPELLINGS: [&str; 3] = [
    OrganizationIdSpelling::AttributeName.as_str(),
    OrganizationIdSpelling::DottedHex.as_str(),
    OrganizationIdSpelling::DottedText.as_str(),
];

pub(super) fn registration(table: &mut Table<'_>) -> Option<Registration> {
    let mut inner = table.table("registration")?;
    let spelling = inner.word_or_none("organisation_id_in_subject", &SPELLINGS);
    let known = |word: String| OrganizationIdSpelling::ALL.into_iter().find(|known| known.as_str() == word);
    let json = inner.word_or_none("request", &FORMS).as_deref() == Some("json");
    let registration = Registration {
        automatic: inner.boolean("automatic").unwrap_or(false),
        version: inner.word_or_none("version", VERSIONS),
        request: if json { RegistrationForm::Json } else { RegistrationForm::Jwt },
        organisation_id_in_subject: spelling.and_then(known).unwrap_or_default(),
        read: inner.boolean("read").unwrap_or(false),
        update: inner.boolean("update").unwrap_or(false),
        delete: inner.boolean("delete").unwrap_or(false),
        shared_as: inner.text("shared_as"),
    };
    inner.finish();
    Some(registration)
}
