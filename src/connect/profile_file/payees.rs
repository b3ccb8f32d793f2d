//! `[payee_verification]` and `bank_codes` of a profile.

use super::secure;
use super::table::Table;
use crate::PayeeOptions;

/// Reads how payees are verified, of a profile or a deployment.
pub(super) fn payees(table: &mut Table<'_>) -> PayeeOptions {
    let Some(mut inner) = table.table("payee_verification") else { return PayeeOptions::default() };
    let address = inner.text("address").and_then(|text| {
        let address = secure(&text);
        if address.is_none() {
            inner.problem("address", "is an https address");
        }
        address
    });
    let requesting_bic = inner.text("requesting_bic").map(|bic| bic.to_ascii_uppercase());
    if requesting_bic.as_deref().is_some_and(|bic| !domain::is_bic(bic)) {
        inner.problem("requesting_bic", "is a BIC of 8 or 11 characters");
    }
    inner.finish();
    PayeeOptions { address, requesting_bic }
}

/// Reads what the national numbers of a bank's accounts begin with.
pub(super) fn bank_codes(table: &mut Table<'_>) -> Vec<String> {
    table.words("bank_codes", "a bank code or sort code: 3 to 11 letters and digits", |word| {
        let plain: String = word.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
        let fits = (3..=11).contains(&plain.len()) && plain.bytes().all(|b| b.is_ascii_alphanumeric());
        fits.then(|| plain.to_ascii_uppercase())
    })
}
