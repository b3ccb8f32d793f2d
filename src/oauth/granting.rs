//! From what was asked and what the PSU allowed to a grant: a new one, or an
//! earlier one that changes (FAPI Grant Management).

use std::collections::BTreeSet;

use domain::{ConsentId, ConsentStatus, GrantId, Timestamp};
use flows::{FlowError, Gateway, Invalidated, Invalidation};
use serde_json::Value;
use store::grants::GrantRow;
use store::{StoreError, Tx};

use crate::OAuth;
use crate::details;
use crate::par::{ACR_SCA, Asked, GrantAction};

/// Why nothing is granted.
pub(crate) enum NotGranted {
    /// Nothing of what was asked for was allowed, or not with the
    /// authentication that it needs.
    Denied,
    /// The grant that was to change was revoked meanwhile.
    GrantGone,
    /// The store failed.
    Store(FlowError),
}

impl From<FlowError> for NotGranted {
    fn from(error: FlowError) -> Self {
        Self::Store(error)
    }
}

impl From<StoreError> for NotGranted {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}

/// A grant that is about to be recorded.
pub(crate) enum Granted {
    /// A new one.
    New(Box<GrantRow>),
    /// An earlier one.
    Changed(Box<Change>),
}

/// An earlier grant, as it was and as it is to be.
pub(crate) struct Change {
    was: GrantRow,
    is: GrantRow,
    /// When what it was ends, if nothing of that stays.
    replaced_at: Option<Timestamp>,
}

impl Granted {
    /// The grant.
    pub(crate) fn id(&self) -> GrantId {
        match self {
            Self::New(row) => row.id,
            Self::Changed(change) => change.is.id,
        }
    }

    /// Records it. What must be dropped from memory once it is committed.
    pub(crate) async fn record(
        &self,
        gateway: &Gateway,
        tx: &mut Tx,
    ) -> Result<Option<Invalidation>, StoreError> {
        match self {
            Self::New(row) => tx.give_grant(row).await.map(|()| None),
            Self::Changed(change) => {
                tx.change_grant(&change.was, &change.is).await?;
                // Tokens of what was replaced would go on with its scopes.
                if let Some(at) = change.replaced_at {
                    tx.revoke_tokens_of(change.is.id, at).await?;
                }
                Ok(Some(gateway.invalidate(tx, Invalidated::Grant(change.is.id)).await?))
            }
        }
    }
}

/// The grant of what was asked for, without the consents that came to nothing.
pub(crate) async fn of(
    oauth: &OAuth,
    client_id: &str,
    asked: &Asked,
    refused: &[ConsentId],
) -> Result<Granted, NotGranted> {
    let details = details::granted(&asked.details, refused);
    let nothing_left = details.as_array().is_none_or(Vec::is_empty);
    if nothing_left && !asked.details.is_empty() {
        return Err(NotGranted::Denied);
    }
    let gateway = &oauth.gateway;
    let now = gateway.clock().now();
    // The gateway authenticates nobody: what a PSU's authentication was worth is
    // what the bank did when it authorised the consent.
    let mut authenticated_at = None;
    for id in asked.consents.iter().filter(|id| !refused.contains(id)) {
        let consent = gateway.consent(client_id, *id).await?;
        // Where the bank was not asked, nobody was authenticated.
        if consent.status == ConsentStatus::Authorized && consent.bank.consent_id.is_some() {
            authenticated_at = authenticated_at.max(consent.terms.authorized_at);
        }
    }
    let acr = authenticated_at.map(|_| ACR_SCA.to_owned());
    let reached = |wanted: &String| acr.as_ref() == Some(wanted);
    if !asked.essential_acr.is_empty() && !asked.essential_acr.iter().any(reached) {
        return Err(NotGranted::Denied);
    }
    gateway.prolong_details(&details, crate::seconds_after(now, crate::token::REFRESH_LIFE)).await?;
    let fresh = GrantRow {
        id: GrantId::new(gateway.clock(), gateway.entropy()),
        client_id: client_id.to_owned(),
        scope: asked.scope.clone(),
        details,
        acr,
        authenticated_at,
        created_at: now,
        revoked_at: None,
    };
    let (id, merges) = match asked.grant {
        None | Some(GrantAction::Create) => return Ok(Granted::New(Box::new(fresh))),
        Some(GrantAction::Merge(id)) => (id, true),
        Some(GrantAction::Replace(id)) => (id, false),
    };
    let was = gateway.stores().global().grant(id).await?;
    let was = was.filter(|was| was.client_id == client_id && was.revoked_at.is_none());
    let was = was.ok_or(NotGranted::GrantGone)?;
    let mut is = GrantRow { id, created_at: was.created_at, ..fresh };
    if merges {
        is.scope = union_of_scopes(&was.scope, &is.scope);
        is.details = union(&was.details, &is.details);
        is.acr = is.acr.or_else(|| was.acr.clone());
        is.authenticated_at = is.authenticated_at.or(was.authenticated_at);
    }
    Ok(Granted::Changed(Box::new(Change { was, is, replaced_at: (!merges).then_some(now) })))
}

fn union_of_scopes(one: &str, other: &str) -> String {
    let both: BTreeSet<&str> = one.split(' ').chain(other.split(' ')).collect();
    let ordered = crate::client::SCOPES.iter().copied().filter(|scope| both.contains(scope));
    ordered.collect::<Vec<_>>().join(" ")
}

fn union(one: &Value, other: &Value) -> Value {
    let mut both: Vec<Value> = one.as_array().cloned().unwrap_or_default();
    for detail in other.as_array().into_iter().flatten() {
        if !both.contains(detail) {
            both.push(detail.clone());
        }
    }
    Value::Array(both)
}
