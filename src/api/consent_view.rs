//! A consent as the TPP sees it.

use flows::Unattended;
use serde::Serialize;
use store::consents::ConsentRow;
use utoipa::ToSchema;

use crate::view::{AccountName, Page, Step};

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
    /// Accesses a day without the PSU; absent where nothing is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_per_day: Option<u8>,
}

/// A consent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ConsentView {
    /// The consent.
    #[schema(example = "con_uk_0197f0c2a7c07d3e8a3b5d1f20c4e6a8")]
    id: String,
    /// `ACCOUNT_INFORMATION` or `FUNDS_CONFIRMATION`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The institution, once chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    institution_id: Option<String>,
    /// Home region of everything read under it.
    region: String,
    /// What may be read.
    permissions: Vec<&'static str>,
    /// The account that is asked about, with `FUNDS_CONFIRMATION`.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountName>,
    /// How far.
    access: AccessView,
    /// Where it stands. Accept unknown values.
    #[schema(example = "CREATED")]
    status: &'static str,
    /// Why, where that needs saying: `superseded`, `reconfirmation-overdue`, …
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
    /// When the TPP last confirmed that the PSU wants to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_reconfirmed_at: Option<String>,
    /// By when it must; absent where nobody has to.
    #[serde(skip_serializing_if = "Option::is_none")]
    reconfirm_by: Option<String>,
    /// End of its life.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// Whose word that is: `REQUESTED`, `BANK_CAPPED` or `RULE_CAPPED`.
    expires_at_source: &'static str,
    /// The consent that it takes the place of.
    #[serde(skip_serializing_if = "Option::is_none")]
    renews_consent_id: Option<String>,
    /// The consent that took its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    superseded_by: Option<String>,
    /// Who has approved, where one person is not enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorisations: Option<AuthorisationsView>,
    /// The checks on the bank that were weaker when the PSU gave it, because the bank
    /// cannot pass them; absent where none was.
    #[schema(example = json!(["id-token-nonce-missing"]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checks_relaxed: Vec<String>,
    /// Calls without the PSU; absent in lists and in answers to POST.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageView>,
    /// Its life so far, oldest first; absent in lists and in answers to POST.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    history: Vec<Step>,
}

/// Who has approved. Banks tell no more than that others must: the numbers are
/// the least there are.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct AuthorisationsView {
    /// How many must.
    required: u8,
    /// How many have.
    received: u8,
}

/// Calls without the PSU, of all kinds together (RTS art. 36(5)(b)).
#[derive(Clone, Debug, Serialize, ToSchema)]
struct UsageView {
    /// Calls of today (UTC).
    unattended_calls_today: u8,
    /// Calls a day.
    unattended_limit: u8,
    /// When the next day begins.
    resets_at: String,
}

/// Consents of the client, the newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ConsentList {
    /// The consents.
    pub(crate) data: Vec<ConsentView>,
    /// Where the next page starts.
    pub(crate) page: Page,
}

/// The life of a consent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ConsentHistory {
    /// The checks on the bank that were weaker when the PSU gave the consent.
    pub(crate) checks_relaxed: Vec<String>,
    /// Its steps, oldest first. A step that leaves the status where it is tells
    /// what happened in `reason`.
    pub(crate) data: Vec<Step>,
}

impl ConsentView {
    /// The consent with its life.
    pub(crate) fn of(consent: &ConsentRow, history: Vec<Step>) -> Self {
        let terms = &consent.terms;
        Self {
            id: consent.id.to_string(),
            kind: terms.kind().as_str(),
            institution_id: consent.institution.as_ref().map(ToString::to_string),
            region: consent.id.region().to_string(),
            permissions: terms.permissions.iter().map(|permission| permission.as_str()).collect(),
            account: terms.funds_of.as_ref().map(AccountName::from),
            access: AccessView {
                recurring: terms.recurring,
                valid_until: terms.valid_until.to_string(),
                history_from: terms.history_from.map(|day| day.to_string()),
                frequency_per_day: terms.funds_of.is_none().then_some(terms.frequency_per_day),
            },
            status: consent.status.as_str(),
            status_reason: terms.status_reason.clone(),
            client_reference: terms.client_reference.clone(),
            created_at: consent.created_at.to_string(),
            authorized_at: terms.authorized_at.map(|at| at.to_string()),
            last_reconfirmed_at: consent.life.last_reconfirmed_at.map(|at| at.to_string()),
            reconfirm_by: consent.life.reconfirm_by.map(|at| at.to_string()),
            expires_at: consent.expires_at.map(|at| at.to_string()),
            expires_at_source: consent.life.expires_at_source.as_str(),
            renews_consent_id: consent.life.renews.map(|id| id.to_string()),
            superseded_by: consent.life.superseded_by.map(|id| id.to_string()),
            authorisations: consent
                .life
                .authorisations
                .map(|given| AuthorisationsView { required: given.required, received: given.received }),
            checks_relaxed: consent.life.checks_relaxed.clone(),
            usage: None,
            history,
        }
    }

    /// The same, with what is left of the day's calls.
    pub(crate) fn with_usage(mut self, left: Unattended) -> Self {
        self.usage = Some(UsageView {
            unattended_calls_today: left.used,
            unattended_limit: left.limit,
            resets_at: left.resets_at.to_string(),
        });
        self
    }
}
