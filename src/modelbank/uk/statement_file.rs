//! The file of a statement: a PDF of one page.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::accounts::access;
use super::refusal::Refusal;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::arrangements;

pub(super) async fn read(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path((id, statement)): Path<(String, String)>,
) -> Result<impl IntoResponse, Refusal> {
    let (_, accounts) = access(&bank, &caller, Some(&id), &["ReadStatementsDetail"])?;
    let months = accounts.iter().flat_map(|account| arrangements::months(account, bank.now()));
    let month = months.into_iter().find(|month| month.id == statement).ok_or_else(Refusal::not_found)?;
    let line = format!("Statement {} of account {id}: {} to {}", month.number, month.first, month.last);
    Ok(([(CONTENT_TYPE, "application/pdf")], pdf(&line)))
}

/// One line of plain letters, digits and hyphens on one page (ISO 32000-1, 7.5).
fn pdf(line: &str) -> String {
    let page = format!("BT /F1 12 Tf 72 720 Td ({line}) Tj ET");
    let objects = [
        "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
        "<</Type/Pages/Kids[3 0 R]/Count 1>>".to_owned(),
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R\
         /Resources<</Font<</F1 5 0 R>>>>>>"
            .to_owned(),
        format!("<</Length {}>>\nstream\n{page}\nendstream", page.len()),
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_owned(),
    ];
    let mut file = "%PDF-1.4\n".to_owned();
    let mut places = String::new();
    for (number, object) in (1..).zip(&objects) {
        let _ = writeln!(places, "{:010} 00000 n ", file.len());
        let _ = writeln!(file, "{number} 0 obj\n{object}\nendobj");
    }
    let (start, size) = (file.len(), objects.len() + 1);
    let _ = write!(
        file,
        "xref\n0 {size}\n0000000000 65535 f \n{places}trailer\n<</Size {size}/Root 1 0 R>>\n\
         startxref\n{start}\n%%EOF\n"
    );
    file
}
