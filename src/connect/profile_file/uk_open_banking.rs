//! `[uk_open_banking]` of a profile.

use super::table::Table;
use crate::{FileReport, UkOpenBankingOptions};

/// Reads the options, which are those of one dialect.
pub(super) fn uk_open_banking(table: &mut Table<'_>, dialect: &str) -> UkOpenBankingOptions {
    let Some(mut inner) = table.table("uk_open_banking") else { return UkOpenBankingOptions::default() };
    let form = inner.word_or_none("file_report", FileReport::WORDS);
    let empty_answer_is_none = inner.boolean("empty_answer_is_none").unwrap_or(false);
    inner.finish();
    if dialect != "uk-open-banking" {
        table.problem("uk_open_banking", "is for the dialect uk-open-banking");
    }
    let file_report = form.and_then(|word| FileReport::from_word(&word));
    UkOpenBankingOptions { file_report, empty_answer_is_none }
}
