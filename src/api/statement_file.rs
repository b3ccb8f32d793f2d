//! The file of a statement, as the bank wrote it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::IntoResponse;
use connect::ApiBase;
use flows::{Gateway, Read};
use utoipa::ToSchema;
use web::{Accounts, Caller, Problem, ProblemCode, Psu, RateLimits};

use crate::accounts::account_id;

/// The file, byte by byte.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
struct StatementFileBody(#[expect(dead_code, reason = "the document only names it")] String);

/// Get the file of a statement.
///
/// As the bank wrote it: a PDF, CSV, plain text or XML, and nothing else. Nothing of it is
/// kept or looked into here. `bank_statement_id` of the list of statements names it.
#[utoipa::path(get, operation_id = "getStatementFile", path = "/v1/accounts/{account_id}/statements/{statement_id}/file", tag = "accounts",
    security(("mtls_oauth" = ["accounts"])),
    params(("account_id" = String, Path), ("statement_id" = String, Path, description = "The bank's identifier of the statement"),
        ("PSU-IP-Address" = Option<String>, Header, description = "Address of the person, if present")),
    responses((status = 200, description = "The file, to be saved", content(
            (StatementFileBody = "application/pdf"), (StatementFileBody = "text/csv"),
            (StatementFileBody = "text/plain"), (StatementFileBody = "application/xml"))),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Accounts>,
    Psu(psu): Psu,
    Path((account, statement)): Path<(String, String)>,
) -> Result<impl IntoResponse, Problem> {
    let account = account_id(&account)?;
    let unknown = || Problem::new(ProblemCode::NotFound).detail("There is no such statement.");
    if !ApiBase::is_segment(&statement) {
        return Err(unknown());
    }
    let read = Read::StatementFile(&statement);
    let reading = gateway.read(caller.asker(), Some(account), read, psu.as_ref()).await?;
    let limits = RateLimits::of(&reading);
    let file = reading.accounts.into_iter().find_map(|account| account.file).ok_or_else(unknown)?;
    // To be saved, never shown: what the bank wrote is not ours to run in anybody's browser.
    let name = format!("attachment; filename=\"statement.{}\"", file.format.extension());
    let headers = [(CONTENT_TYPE, file.format.media_type().to_owned()), (CONTENT_DISPOSITION, name)];
    Ok((limits, headers, file.bytes))
}
