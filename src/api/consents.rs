//! Consents: lodged, shown, withdrawn.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use domain::{ConsentId, Date, InstitutionId, Permission, Region, Violations};
use flows::{ConsentRequest, Gateway};
use http::{HeaderName, StatusCode, header};
use serde::{Deserialize, Serialize};
use store::consents::ConsentRow;
use store::idempotency::ClaimKey;
use utoipa::ToSchema;
use web::{Accounts, Caller, IdempotencyKey, JsonBody, Problem, ProblemCode};

use crate::view::Step;

/// How far the access goes.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Access {
    /// More than once? Default true.
    #[serde(default)]
    recurring: Option<bool>,
    /// Last day, `YYYY-MM-DD`; default 90 days ahead. Banks may shorten it.
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
    /// `ACCOUNT_INFORMATION`.
    #[serde(rename = "type")]
    #[schema(example = "ACCOUNT_INFORMATION")]
    kind: String,
    /// Where; or give `region`, and the PSU chooses on our page.
    #[serde(default)]
    #[schema(example = "gb-albion-bank")]
    institution_id: Option<String>,
    /// Home region, where no institution is named.
    #[serde(default)]
    #[schema(example = "uk")]
    region: Option<String>,
    /// READ_ACCOUNTS_BASIC, READ_ACCOUNTS_DETAIL, READ_BALANCES,
    /// READ_TRANSACTIONS_BASIC, READ_TRANSACTIONS_DETAIL.
    permissions: Vec<String>,
    /// How far.
    #[serde(default)]
    access: Access,
    /// Your own name for it, at most 64 characters.
    #[serde(default)]
    #[schema(max_length = 64)]
    client_reference: Option<String>,
}

/// How far the access goes.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct AccessView {
    /// More than once?
    recurring: bool,
    /// Last day.
    valid_until: String,
    /// Earliest booking date.
    #[serde(skip_serializing_if = "Option::is_none")]
    history_from: Option<String>,
    /// Accesses a day without the PSU.
    frequency_per_day: u8,
}

/// A consent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ConsentView {
    /// The consent.
    #[schema(example = "con_uk_0197f0c2a7c07d3e8a3b5d1f20c4e6a8")]
    id: String,
    /// `ACCOUNT_INFORMATION`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The institution, once chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    institution_id: Option<String>,
    /// Home region of everything read under it.
    region: String,
    /// What may be read.
    permissions: Vec<&'static str>,
    /// How far.
    access: AccessView,
    /// Where it stands. Accept unknown values.
    #[schema(example = "CREATED")]
    status: &'static str,
    /// Why, where that needs saying.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_reason: Option<String>,
    /// Your own name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_reference: Option<String>,
    /// When it was lodged (RFC 3339).
    created_at: String,
    /// When the PSU gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorized_at: Option<String>,
    /// End of its life.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// Its life so far, oldest first.
    history: Vec<Step>,
}

impl ConsentView {
    fn of(consent: &ConsentRow, history: Vec<Step>) -> Self {
        let terms = &consent.terms;
        Self {
            id: consent.id.to_string(),
            kind: "ACCOUNT_INFORMATION",
            institution_id: consent.institution.as_ref().map(ToString::to_string),
            region: consent.id.region().to_string(),
            permissions: terms.permissions.iter().map(|permission| permission.as_str()).collect(),
            access: AccessView {
                recurring: terms.recurring,
                valid_until: terms.valid_until.to_string(),
                history_from: terms.history_from.map(|day| day.to_string()),
                frequency_per_day: terms.frequency_per_day,
            },
            status: consent.status.as_str(),
            status_reason: terms.status_reason.clone(),
            client_reference: terms.client_reference.clone(),
            created_at: consent.created_at.to_string(),
            authorized_at: terms.authorized_at.map(|at| at.to_string()),
            expires_at: consent.expires_at.map(|at| at.to_string()),
            history,
        }
    }
}

impl ConsentCreate {
    fn parse(self) -> Result<ConsentRequest, Problem> {
        let mut violations = Violations::default();
        if self.kind != "ACCOUNT_INFORMATION" {
            violations.add("/type", "type.unsupported", "the type is ACCOUNT_INFORMATION");
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
#[utoipa::path(post, operation_id = "lodgeConsent", path = "/v1/consents", tag = "consents", security(("mtls_oauth" = ["accounts"])),
    params(("Idempotency-Key" = String, Header, description = "Quoted or bare; kept for 24 hours")),
    request_body = ConsentCreate,
    responses((status = 201, description = "Made", body = ConsentView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn lodge(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Accounts>,
    key: IdempotencyKey,
    body: JsonBody<ConsentCreate>,
) -> Result<Response, Problem> {
    let fingerprint = crypto::digest::sha256_hex(&body.bytes);
    let request = body.value.parse()?;
    let client_id = caller.client_id;
    let claim = |region| ClaimKey {
        client_id: client_id.clone(),
        operation: "POST /v1/consents",
        key: key.0.clone(),
        fingerprint,
        region,
    };
    let answer = |consent: &ConsentRow| {
        let first = Step {
            at: consent.created_at.to_string(),
            from: String::new(),
            to: consent.status.as_str().to_owned(),
            actor: "client".to_owned(),
            reason: None,
        };
        serde_json::to_string(&ConsentView::of(consent, vec![first])).unwrap_or_default()
    };
    let (status, body, replayed) = gateway.lodge_consent(&client_id, &request, claim, answer).await?;
    Ok(stored_answer(status, body, replayed, "/v1/consents"))
}

/// Show a consent.
#[utoipa::path(get, operation_id = "showConsent", path = "/v1/consents/{consent_id}", tag = "consents",
    security(("mtls_oauth" = ["accounts"])), params(("consent_id" = String, Path)),
    responses((status = 200, description = "What was asked for", body = ConsentView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Accounts>,
    Path(consent): Path<String>,
) -> Result<Json<ConsentView>, Problem> {
    let consent = gateway.consent(&caller.client_id, consent_id(&consent)?).await?;
    let store = gateway.stores().region(consent.id.region())?;
    let history = store.changes(&consent.id.to_string()).await?;
    Ok(Json(ConsentView::of(&consent, history.into_iter().map(Step::from).collect())))
}

/// Withdraw a consent.
///
/// At once: nothing is read under it any more, whatever the bank answers.
#[utoipa::path(delete, operation_id = "revokeConsent", path = "/v1/consents/{consent_id}", tag = "consents",
    security(("mtls_oauth" = ["accounts"])), params(("consent_id" = String, Path)),
    responses((status = 204, description = "Done"),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn revoke(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Accounts>,
    Path(consent): Path<String>,
) -> Result<StatusCode, Problem> {
    gateway.revoke_consent(&caller.client_id, consent_id(&consent)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn consent_id(text: &str) -> Result<ConsentId, Problem> {
    text.parse().map_err(|_| Problem::new(ProblemCode::NotFound).detail("There is no such consent."))
}

/// An answer that is kept for whoever sends the key again.
pub(crate) fn stored_answer(status: u16, body: String, replayed: bool, collection: &str) -> Response {
    let id = serde_json::from_str::<serde_json::Value>(&body).ok();
    let id = id.as_ref().and_then(|body| body.get("id")?.as_str()).unwrap_or_default();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::CREATED);
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::LOCATION, format!("{collection}/{id}")),
    ];
    let mut response = (status, headers, body).into_response();
    if replayed {
        let value = http::HeaderValue::from_static("true");
        response.headers_mut().insert(HeaderName::from_static("idempotency-replayed"), value);
    }
    response
}
