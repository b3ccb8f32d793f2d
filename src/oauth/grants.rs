//! Grant management (FAPI Grant Management for OAuth 2.0 §6): a client looks
//! at its grants and gives them back.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use domain::{ConsentKind, GrantId};
use flows::{Gateway, Invalidated};
use http::StatusCode;
use serde_json::{Value, json};
use store::StoreError;
use store::grants::GrantRow;
use web::{AnyScope, Caller, Problem, ProblemCode};

/// The grant of a client whose own token has this scope.
async fn grant_of(
    gateway: &Gateway,
    caller: &Caller<AnyScope>,
    scope: &str,
    id: &str,
) -> Result<GrantRow, Problem> {
    if !caller.token.row.scope.split(' ').any(|had| had == scope) {
        return Err(Problem::new(ProblemCode::ScopeMissing).detail(format!("This needs the scope {scope}.")));
    }
    let unknown = || Problem::new(ProblemCode::NotFound).detail("There is no such grant.");
    let id: GrantId = id.parse().map_err(|_| unknown())?;
    let grant = gateway.stores().global().grant(id).await?;
    grant
        .filter(|grant| grant.client_id == caller.client_id && grant.revoked_at.is_none())
        .ok_or_else(unknown)
}

/// `GET /oauth/grants/{grant_id}`.
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AnyScope>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let grant = grant_of(&gateway, &caller, "grant_management_query", &id).await?;
    let details = gateway.details_in_full(&grant.client_id, &grant.details).await?;
    Ok(Json(json!({
        "grant_id": grant.id.to_string(),
        "scopes": [{ "scope": grant.scope }],
        "authorization_details": details,
        "created_at": grant.created_at.to_string(),
    })))
}

/// `DELETE /oauth/grants/{grant_id}`: its tokens die, and the consents in it
/// are withdrawn, here and at their banks.
pub(crate) async fn revoke(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AnyScope>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let grant = grant_of(&gateway, &caller, "grant_management_revoke", &id).await?;
    let revoked = store::transaction!(gateway.stores().global(), tx => {
        tx.revoke_grant(grant.id, &caller.client_id, gateway.clock().now()).await?;
        gateway.invalidate(tx, Invalidated::Grant(grant.id)).await
    });
    match revoked {
        Ok(revoked) => gateway.until_dropped(&revoked).await?,
        // Somebody else did it meanwhile.
        Err(StoreError::Conflict) => {}
        Err(error) => return Err(error.into()),
    }
    let consents = ConsentKind::ALL.iter().flat_map(|kind| flows::consents_of(&grant.details, *kind));
    for consent in consents {
        gateway.revoke_consent(&caller.client_id, consent).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
