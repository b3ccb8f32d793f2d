//! What has changed with an account's transactions since a client last asked.

use std::sync::Arc;

use axum::extract::{Path, State};
use flows::{Changes, Gateway};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use web::{Accounts, Caller, Cursor, Json, Problem, Psu, QueryParams, RateLimits};

use crate::accounts::{Answer, account_id};
use crate::transactions::{TransactionView, Viewer};
use crate::view::Source;

/// An entry that is no more.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct RemovedView {
    /// Its id.
    id: String,
}

/// What has changed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SyncView {
    /// Entries that are new since the cursor. A booked one names the pending
    /// entry it was before (`replaces_transaction_id`).
    added: Vec<TransactionView>,
    /// Entries that are not as they were.
    modified: Vec<TransactionView>,
    /// Entries that are no more. One that only became too old for the bank to
    /// give is not among them.
    removed: Vec<RemovedView>,
    /// Send it with the next question. The same cursor can be sent again if an
    /// answer got lost.
    next_cursor: String,
    /// Always false: an answer holds all changes.
    has_more: bool,
    /// How the bank answered.
    sources: Vec<Source>,
}

/// Since when.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SyncParams {
    /// `next_cursor` of the answer before; without it everything is new.
    #[serde(default)]
    cursor: Option<String>,
}

/// List what has changed with an account's transactions.
///
/// A cursor stands for what it was given with: a snapshot of which the gateway
/// keeps fingerprints and no entry. The last five of an account can be used;
/// after that the answer is `request.cursor_gone`, and a question without a
/// cursor begins anew. Cursors outlive consents.
#[utoipa::path(get, operation_id = "syncTransactions", path = "/v1/accounts/{account_id}/transactions/sync", tag = "accounts",
    security(("mtls_oauth" = ["accounts"])), params(("account_id" = String, Path), SyncParams,
        ("PSU-IP-Address" = Option<String>, Header, description = "Address of the person, if present")),
    responses((status = 200, description = "What was asked for", body = SyncView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn sync(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Accounts>,
    Psu(psu): Psu,
    Path(account): Path<String>,
    QueryParams(params): QueryParams<SyncParams>,
) -> Answer<SyncView> {
    let id = account_id(&account)?;
    let cursors = Cursor::new(gateway.id_key(), "sync", &[caller.client_id.as_str(), &account]);
    let since: Option<String> = params.cursor.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    let changes = gateway.changes(caller.asker(), id, since.as_deref(), psu.as_ref()).await?;
    let limits = RateLimits::of(&changes.reading);
    let next_cursor = cursors.write(&changes.snapshot);
    Ok((limits, Json(view(changes, next_cursor))))
}

fn view(changes: Changes, next_cursor: String) -> SyncView {
    let (mut added, mut modified) = (Vec::new(), Vec::new());
    if let Some(account) = changes.reading.accounts.first() {
        let viewer = Viewer::of(account);
        for ((id, provenance, entry), replaced) in changes.added {
            let view = viewer.show(id, provenance, entry);
            added.push(match replaced {
                Some(old) => view.replacing(&old),
                None => view,
            });
        }
        for (id, provenance, entry) in changes.modified {
            modified.push(viewer.show(id, provenance, entry));
        }
    }
    SyncView {
        added,
        modified,
        removed: changes.removed.iter().map(|id| RemovedView { id: id.to_string() }).collect(),
        next_cursor,
        has_more: false,
        sources: changes.reading.sources.into_iter().map(Source::from).collect(),
    }
}
