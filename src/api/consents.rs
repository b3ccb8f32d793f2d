//! Consents: lodged, listed, shown, confirmed again, renewed, withdrawn.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use domain::{
    ConsentId, ConsentKind, ConsentStatus, Date, InstitutionId, Permission, Region, Timestamp, Violations,
};
use flows::{ConsentRequest, Gateway};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use store::consents::{ConsentFilter, ConsentRow};
use store::idempotency::ClaimKey;
use utoipa::{IntoParams, ToSchema};
use web::{
    AccountsOrFunds, Caller, Cursor, IdempotencyKey, Json, JsonBody, Problem, ProblemCode, QueryParams,
    from_text,
};

use crate::consent_view::{ConsentHistory, ConsentList, ConsentView};
use crate::view::{AccountName, Page, Step, limit_of};

/// How far the access goes.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Access {
    /// More than once? Default true.
    #[serde(default)]
    recurring: Option<bool>,
    /// Last day, `YYYY-MM-DD`; default 90 days ahead. The rules of the
    /// institution's country, and the bank, may shorten it.
    #[serde(default)]
    #[schema(format = Date)]
    valid_until: Option<String>,
    /// Earliest booking date, `YYYY-MM-DD`.
    #[serde(default)]
    #[schema(format = Date)]
    history_from: Option<String>,
}

/// What is asked of the PSU.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsentCreate {
    /// `ACCOUNT_INFORMATION` or `FUNDS_CONFIRMATION`.
    #[serde(rename = "type")]
    #[schema(example = "ACCOUNT_INFORMATION")]
    kind: String,
    /// Where; or, to read accounts, give `region`, and the PSU chooses on our page.
    #[serde(default)]
    #[schema(example = "gb-albion-bank")]
    institution_id: Option<String>,
    /// Home region, where no institution is named.
    #[serde(default)]
    #[schema(example = "uk")]
    region: Option<String>,
    /// READ_ACCOUNTS_BASIC, READ_ACCOUNTS_DETAIL, READ_BALANCES,
    /// READ_TRANSACTIONS_BASIC, READ_TRANSACTIONS_DETAIL. None with `FUNDS_CONFIRMATION`.
    #[serde(default)]
    permissions: Vec<String>,
    /// The account that is asked about, with `FUNDS_CONFIRMATION`: `iban` or
    /// `sort_code_account_number`.
    #[serde(default)]
    account: Option<AccountName>,
    /// How far.
    #[serde(default)]
    access: Access,
    /// Your own name for it, at most 64 characters.
    #[serde(default)]
    #[schema(max_length = 64)]
    client_reference: Option<String>,
}

impl ConsentCreate {
    fn kind(&self) -> Option<ConsentKind> {
        ConsentKind::from_word(&self.kind)
    }

    fn parse(self) -> Result<ConsentRequest, Problem> {
        let mut violations = Violations::default();
        let kind = self.kind();
        let funds_of = self.account.as_ref().and_then(|name| name.parse("/account", &mut violations));
        match (kind, &self.account) {
            (None, _) => {
                let known = ConsentKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>();
                violations.add("/type", "type.unsupported", known.join(", "));
            }
            (Some(ConsentKind::FundsConfirmation), None) => {
                violations.add("/account", "field.missing", "the account that is asked about");
            }
            (Some(ConsentKind::AccountInformation), Some(_)) => {
                violations.add("/account", "field.unexpected", "the PSU chooses the accounts");
            }
            (Some(ConsentKind::FundsConfirmation), Some(_))
            | (Some(ConsentKind::AccountInformation), None) => {}
        }
        let institution = self
            .institution_id
            .map(|id| violations.take("/institution_id", "institution.invalid", id.parse::<InstitutionId>()));
        let region =
            self.region.map(|region| violations.take("/region", "region.invalid", region.parse::<Region>()));
        if institution.is_some() && region.is_some() {
            violations.add("/region", "field.unexpected", "an institution has its own region");
        }
        let mut permissions = Vec::new();
        for (index, word) in self.permissions.iter().enumerate() {
            match Permission::from_word(word) {
                Some(permission) if !permissions.contains(&permission) => permissions.push(permission),
                Some(_) => {}
                None => violations.add(
                    format!("/permissions/{index}"),
                    "permission.unknown",
                    Permission::ALL.iter().map(|known| known.as_str()).collect::<Vec<_>>().join(", "),
                ),
            }
        }
        let mut day = |pointer: &str, text: Option<String>| {
            text.map(|text| {
                let parsed = text.parse::<Date>().map_err(|_| "a day is written YYYY-MM-DD");
                violations.take(pointer, "date.invalid", parsed)
            })
        };
        let valid_until = day("/access/valid_until", self.access.valid_until);
        let history_from = day("/access/history_from", self.access.history_from);
        if self.client_reference.as_ref().is_some_and(|text| text.chars().count() > 64) {
            violations.add("/client_reference", "text.too_long", "at most 64 characters");
        }
        if !violations.is_empty() {
            return Err(flows::FlowError::Invalid(violations).into());
        }
        Ok(ConsentRequest {
            institution: institution.flatten(),
            region: region.flatten(),
            permissions,
            funds_of,
            recurring: self.access.recurring.unwrap_or(true),
            valid_until: valid_until.flatten(),
            history_from: history_from.flatten(),
            client_reference: self.client_reference,
        })
    }
}

/// Lodge a consent.
///
/// Nothing is asked of anybody yet: push an authorization request that names
/// the consent, and send the PSU there. Several consents in one request become
/// one grant, and one token reads them all.
#[utoipa::path(post, operation_id = "lodgeConsent", path = "/v1/consents", tag = "consents", security(("mtls_oauth" = ["accounts"]), ("mtls_oauth" = ["fundsconfirmations"])),
    params(("Idempotency-Key" = String, Header, description = "Quoted or bare; kept for 24 hours")),
    request_body = ConsentCreate,
    responses((status = 201, description = "Made", body = ConsentView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn lodge(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AccountsOrFunds>,
    key: IdempotencyKey,
    body: JsonBody<ConsentCreate>,
) -> Result<Response, Problem> {
    let fingerprint = crypto::digest::sha256_hex(&body.bytes);
    if let Some(kind) = body.value.kind() {
        needs_scope_of(&caller, kind)?;
    }
    let request = body.value.parse()?;
    let client_id = caller.client_id;
    let claim = |region| ClaimKey {
        client_id: client_id.clone(),
        operation: "POST /v1/consents",
        key: key.0.clone(),
        fingerprint,
        region,
    };
    let (status, body, replayed) = gateway.lodge_consent(&client_id, &request, claim, lodged).await?;
    Ok(stored_answer(status, body, replayed, "/v1/consents"))
}

/// Which consents.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ConsentParams {
    /// Only those that stand there, such as `AUTHORIZED`.
    #[serde(default)]
    status: Option<String>,
    /// Only those at this institution.
    #[serde(default)]
    institution_id: Option<String>,
    /// Only those to this: `ACCOUNT_INFORMATION` or `FUNDS_CONFIRMATION`.
    #[serde(default, rename = "type")]
    kind: Option<String>,
    /// Consents on a page, 1 to 500.
    #[serde(default, deserialize_with = "from_text")]
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u16>,
    /// Where the page starts, from the page before.
    #[serde(default)]
    cursor: Option<String>,
}

/// Position of a consent in the list: when it was lodged, and its id.
type Position = (Timestamp, ConsentId);

/// List consents.
///
/// Those of the client, in every region held here, the newest first; of the types
/// that the token has the scope for.
#[utoipa::path(get, operation_id = "listConsents", path = "/v1/consents", tag = "consents",
    security(("mtls_oauth" = ["accounts"]), ("mtls_oauth" = ["fundsconfirmations"])), params(ConsentParams),
    responses((status = 200, description = "What was asked for", body = ConsentList),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AccountsOrFunds>,
    QueryParams(params): QueryParams<ConsentParams>,
) -> Result<Json<ConsentList>, Problem> {
    let limit = limit_of(params.limit, 100, 500)?;
    let wrong = |name: &str, detail: String| {
        Problem::new(ProblemCode::Query).error(name, "parameter.invalid", detail)
    };
    let status = params.status.as_deref().map(|word| {
        let known = || ConsentStatus::ALL.iter().map(|known| known.as_str()).collect::<Vec<_>>().join(", ");
        ConsentStatus::from_word(word).ok_or_else(|| wrong("status", known()))
    });
    let institution = params
        .institution_id
        .as_deref()
        .map(|id| id.parse::<InstitutionId>().map_err(|error| wrong("institution_id", error.to_string())));
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let kind = params.kind.as_deref().map(|word| {
        let known = || ConsentKind::ALL.iter().map(|known| known.as_str()).collect::<Vec<_>>().join(", ");
        ConsentKind::from_word(word).ok_or_else(|| wrong("type", known()))
    });
    let kind = kind_of_list(&caller, kind.transpose()?)?;
    let bound = [
        caller.client_id.as_str(),
        &text(&params.status),
        &text(&params.institution_id),
        kind.map_or("", ConsentKind::as_str),
    ];
    let cursors = Cursor::new(gateway.id_key(), "consents", &bound);
    let before: Option<Position> = params.cursor.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    let (status, institution) = (status.transpose()?, institution.transpose()?);
    let filter = ConsentFilter { kind, status, institution, before };
    let more = limit.saturating_add(1);
    let mut found = gateway.consents_of_client(&caller.client_id, &filter, more).await?;
    let page = Page::of(&mut found, limit, |row| cursors.write(&(row.created_at, row.id)));
    let data = found.iter().map(|row| ConsentView::of(row, Vec::new())).collect();
    Ok(Json(ConsentList { data, page }))
}

/// Show a consent.
#[utoipa::path(get, operation_id = "showConsent", path = "/v1/consents/{consent_id}", tag = "consents",
    security(("mtls_oauth" = ["accounts"]), ("mtls_oauth" = ["fundsconfirmations"])), params(("consent_id" = String, Path)),
    responses((status = 200, description = "What was asked for", body = ConsentView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AccountsOrFunds>,
    Path(consent): Path<String>,
) -> Result<Json<ConsentView>, Problem> {
    let consent = own_consent(&gateway, &caller, &consent).await?;
    let history = steps(&gateway, &caller, consent.id).await?;
    let view = ConsentView::of(&consent, history);
    Ok(Json(match consent.terms.kind() {
        ConsentKind::AccountInformation => match gateway.unattended(&consent).await? {
            Some(left) => view.with_usage(left),
            None => view,
        },
        // The law counts reads of accounts, not questions about funds.
        ConsentKind::FundsConfirmation => view,
    }))
}

/// Show the life of a consent.
#[utoipa::path(get, operation_id = "showConsentHistory", path = "/v1/consents/{consent_id}/history", tag = "consents",
    security(("mtls_oauth" = ["accounts"]), ("mtls_oauth" = ["fundsconfirmations"])), params(("consent_id" = String, Path)),
    responses((status = 200, description = "What was asked for", body = ConsentHistory),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn history(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AccountsOrFunds>,
    Path(consent): Path<String>,
) -> Result<Json<ConsentHistory>, Problem> {
    let consent = own_consent(&gateway, &caller, &consent).await?;
    let data = steps(&gateway, &caller, consent.id).await?;
    Ok(Json(ConsentHistory { checks_relaxed: consent.life.checks_relaxed, data }))
}

async fn steps(
    gateway: &Gateway,
    caller: &Caller<AccountsOrFunds>,
    id: ConsentId,
) -> Result<Vec<Step>, Problem> {
    let changes = gateway.consent_history(&caller.client_id, id).await?;
    Ok(changes.into_iter().map(Step::from).collect())
}

/// Confirm a consent.
///
/// Where the institution's country wants it (`reconfirm_by`): you have asked
/// the PSU, who wants to go on. It may be done at any time before; done after, it
/// lifts the suspension.
#[utoipa::path(post, operation_id = "reconfirmConsent", path = "/v1/consents/{consent_id}/reconfirm", tag = "consents",
    security(("mtls_oauth" = ["accounts"]), ("mtls_oauth" = ["fundsconfirmations"])),
    params(("consent_id" = String, Path), ("Idempotency-Key" = String, Header, description = "Quoted or bare; kept for 24 hours")),
    responses((status = 200, description = "Confirmed", body = ConsentView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn reconfirm(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AccountsOrFunds>,
    key: IdempotencyKey,
    Path(consent): Path<String>,
) -> Result<Response, Problem> {
    let id = own_consent(&gateway, &caller, &consent).await?.id;
    let claim = claim_on(&caller, id, "POST /v1/consents/{consent_id}/reconfirm", key);
    let answer = |consent: &ConsentRow| body_of(&ConsentView::of(consent, Vec::new()));
    let (status, body, replayed) = gateway.reconfirm_consent(&caller.client_id, id, &claim, answer).await?;
    Ok(stored_answer(status, body, replayed, "/v1/consents"))
}

/// Renew a consent.
///
/// Lodges a consent on the same terms, for as long as the old one was lodged for.
/// Ask the PSU for it like for any other; once it is in force, the old one has
/// ended (`superseded`), and accounts and transactions keep their ids.
#[utoipa::path(post, operation_id = "renewConsent", path = "/v1/consents/{consent_id}/renew", tag = "consents",
    security(("mtls_oauth" = ["accounts"]), ("mtls_oauth" = ["fundsconfirmations"])),
    params(("consent_id" = String, Path), ("Idempotency-Key" = String, Header, description = "Quoted or bare; kept for 24 hours")),
    responses((status = 201, description = "Made", body = ConsentView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn renew(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AccountsOrFunds>,
    key: IdempotencyKey,
    Path(consent): Path<String>,
) -> Result<Response, Problem> {
    let id = own_consent(&gateway, &caller, &consent).await?.id;
    let claim = claim_on(&caller, id, "POST /v1/consents/{consent_id}/renew", key);
    let (status, body, replayed) = gateway.renew_consent(&caller.client_id, id, &claim, lodged).await?;
    Ok(stored_answer(status, body, replayed, "/v1/consents"))
}

/// A claim on a key that belongs to one consent.
fn claim_on(
    caller: &Caller<AccountsOrFunds>,
    id: ConsentId,
    operation: &'static str,
    key: IdempotencyKey,
) -> ClaimKey {
    ClaimKey {
        client_id: caller.client_id.clone(),
        operation,
        key: key.0,
        fingerprint: crypto::digest::sha256_hex(id.to_string().as_bytes()),
        region: id.region(),
    }
}

fn body_of(view: &ConsentView) -> String {
    serde_json::to_string(view).unwrap_or_default()
}

/// The answer to whoever lodged a consent.
fn lodged(consent: &ConsentRow) -> String {
    let first = Step::first(consent.created_at, consent.status.as_str());
    body_of(&ConsentView::of(consent, vec![first]))
}

/// Withdraw a consent.
///
/// At once: nothing is read under it any more, whatever the bank answers.
#[utoipa::path(delete, operation_id = "revokeConsent", path = "/v1/consents/{consent_id}", tag = "consents",
    security(("mtls_oauth" = ["accounts"]), ("mtls_oauth" = ["fundsconfirmations"])), params(("consent_id" = String, Path)),
    responses((status = 204, description = "Done"),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn revoke(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AccountsOrFunds>,
    Path(consent): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = own_consent(&gateway, &caller, &consent).await?.id;
    gateway.revoke_consent(&caller.client_id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The scope of consents of a kind.
fn scope_of(kind: ConsentKind) -> &'static str {
    match kind {
        ConsentKind::AccountInformation => "accounts",
        ConsentKind::FundsConfirmation => "fundsconfirmations",
    }
}

fn has_scope_of(caller: &Caller<AccountsOrFunds>, kind: ConsentKind) -> bool {
    caller.token.row.scope.split(' ').any(|scope| scope == scope_of(kind))
}

fn needs_scope_of(caller: &Caller<AccountsOrFunds>, kind: ConsentKind) -> Result<(), Problem> {
    if has_scope_of(caller, kind) {
        return Ok(());
    }
    let wanted = scope_of(kind);
    Err(Problem::new(ProblemCode::ScopeMissing).detail(format!("This needs the scope {wanted}.")))
}

/// The one kind that a list is of; none is every kind.
fn kind_of_list(
    caller: &Caller<AccountsOrFunds>,
    asked: Option<ConsentKind>,
) -> Result<Option<ConsentKind>, Problem> {
    if let Some(kind) = asked {
        needs_scope_of(caller, kind)?;
        return Ok(asked);
    }
    let mut visible = ConsentKind::ALL.iter().copied().filter(|kind| has_scope_of(caller, *kind));
    Ok(match (visible.next(), visible.next()) {
        (only, None) => only,
        (_, Some(_)) => None,
    })
}

/// A consent of the client, of a kind that its token has the scope for.
async fn own_consent(
    gateway: &Gateway,
    caller: &Caller<AccountsOrFunds>,
    id: &str,
) -> Result<ConsentRow, Problem> {
    let consent = gateway.consent(&caller.client_id, consent_id(id)?).await?;
    needs_scope_of(caller, consent.terms.kind())?;
    Ok(consent)
}

pub(crate) fn consent_id(text: &str) -> Result<ConsentId, Problem> {
    text.parse().map_err(|_| Problem::new(ProblemCode::NotFound).detail("There is no such consent."))
}

/// An answer that is kept for whoever sends the key again.
pub(crate) fn stored_answer(status: u16, body: String, replayed: bool, collection: &str) -> Response {
    let id = serde_json::from_str::<serde_json::Value>(&body).ok();
    let id = id.as_ref().and_then(|body| body.get("id")?.as_str()).unwrap_or_default();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::CREATED);
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    if status == StatusCode::CREATED
        && let Ok(place) = HeaderValue::try_from(format!("{collection}/{id}"))
    {
        response.headers_mut().insert(header::LOCATION, place);
    }
    if replayed {
        let value = HeaderValue::from_static("true");
        response.headers_mut().insert(HeaderName::from_static("idempotency-replayed"), value);
    }
    response
}
