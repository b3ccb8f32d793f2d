//! Shapes that several operations share: money, accounts, sources, pages.

use std::sync::Arc;

use domain::{AccountIdentification, Currency, Iban, Money, Pii, SortCodeAccount, Timestamp, Violations};
use flows::{SourceReport, SourceStatus};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use web::{ProblemCode, from_text};

/// An amount without a sign.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Amount {
    /// Decimal number.
    #[schema(pattern = r"^\d{1,13}(\.\d{1,5})?$", example = "12.30")]
    pub(crate) amount: String,
    /// ISO 4217 code.
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    pub(crate) currency: String,
}

impl From<Money> for Amount {
    fn from(money: Money) -> Self {
        Self { amount: money.amount_text(), currency: money.currency().to_string() }
    }
}

impl Amount {
    pub(crate) fn parse(&self, pointer: &str, violations: &mut Violations) -> Option<Money> {
        let currency = self.currency.parse::<Currency>();
        let currency = violations.take(&format!("{pointer}/currency"), "currency.invalid", currency)?;
        let amount = Money::parse(&self.amount, currency);
        violations.take(&format!("{pointer}/amount"), "amount.invalid", amount)
    }
}

/// A UK account.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SortCode {
    /// Six digits.
    #[schema(value_type = String, example = "200000")]
    pub(crate) sort_code: Pii<String>,
    /// Eight digits.
    #[schema(value_type = String, example = "55779911")]
    pub(crate) account_number: Pii<String>,
}

/// An identification of another scheme.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OtherIdentification {
    /// The identification.
    #[schema(value_type = String)]
    pub(crate) identification: Pii<String>,
    /// Name of the scheme.
    pub(crate) scheme_name: String,
}

/// One way to name an account; exactly one member is given.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountName {
    /// ISO 13616.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "DE89370400440532013000")]
    pub(crate) iban: Option<Pii<String>>,
    /// UK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sort_code_account_number: Option<SortCode>,
    /// National number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) bban: Option<Pii<String>>,
    /// Card number, its middle hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) masked_pan: Option<Pii<String>>,
    /// Any other scheme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) other: Option<OtherIdentification>,
}

impl From<&AccountIdentification> for AccountName {
    fn from(identification: &AccountIdentification) -> Self {
        let mut name = Self::default();
        match identification {
            AccountIdentification::Iban(iban) => name.iban = Some(iban.as_str().to_owned().into()),
            AccountIdentification::SortCode(account) => {
                name.sort_code_account_number = Some(SortCode {
                    sort_code: account.sort_code().to_owned().into(),
                    account_number: account.account_number().to_owned().into(),
                });
            }
            AccountIdentification::Bban(text) => name.bban = Some(text.clone().into()),
            AccountIdentification::MaskedPan(text) => name.masked_pan = Some(text.clone().into()),
            AccountIdentification::Other { identification, scheme_name } => {
                name.other = Some(OtherIdentification {
                    identification: identification.clone().into(),
                    scheme_name: scheme_name.clone(),
                });
            }
        }
        name
    }
}

impl AccountName {
    /// An account that can be paid from or to: an IBAN or a UK account.
    pub(crate) fn parse(&self, pointer: &str, violations: &mut Violations) -> Option<AccountIdentification> {
        match self {
            Self {
                iban: Some(iban),
                sort_code_account_number: None,
                bban: None,
                masked_pan: None,
                other: None,
            } => {
                let iban =
                    violations.take(&format!("{pointer}/iban"), "iban.invalid", iban.parse::<Iban>())?;
                Some(AccountIdentification::Iban(iban))
            }
            Self {
                iban: None,
                sort_code_account_number: Some(account),
                bban: None,
                masked_pan: None,
                other: None,
            } => {
                let parsed = SortCodeAccount::new(&account.sort_code, &account.account_number);
                let pointer = format!("{pointer}/sort_code_account_number");
                violations.take(&pointer, "sort_code.invalid", parsed).map(AccountIdentification::SortCode)
            }
            _ => {
                let detail = "give either iban or sort_code_account_number";
                violations.add(pointer, "account.invalid", detail);
                None
            }
        }
    }
}

/// A text that many objects of one answer have in common.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Arc<str>);

impl From<&str> for Shared {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl Serialize for Shared {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Where an object comes from; shared by all that come from there.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Provenance {
    /// The institution.
    #[schema(value_type = String)]
    pub(crate) institution_id: Shared,
    /// Home region of the data.
    #[schema(value_type = String, example = "eu")]
    pub(crate) region: Shared,
    /// When it was read from the bank (RFC 3339).
    #[schema(value_type = String)]
    pub(crate) fetched_at: Shared,
    /// `live` or `cached`.
    pub(crate) data_freshness: &'static str,
    /// Standard that the bank speaks.
    #[schema(value_type = String)]
    pub(crate) standard: Shared,
}

impl Provenance {
    pub(crate) fn of(data: &flows::AccountData) -> Self {
        Self {
            institution_id: data.institution.as_str().into(),
            region: data.id.region().as_str().into(),
            fetched_at: data.fetched_at.to_string().as_str().into(),
            data_freshness: "live",
            standard: data.standard.as_str().into(),
        }
    }
}

/// How one bank answered in an aggregated read.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Source {
    /// The consent it was asked under.
    pub(crate) consent_id: String,
    /// The institution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) institution_id: Option<String>,
    /// Home region of the data.
    pub(crate) region: String,
    /// `OK`, `FAILED`, `TIMED_OUT`, `NOT_IN_FORCE`, `NOT_ALLOWED`,
    /// `NOT_OFFERED`, `QUOTA_USED_UP`, or `RESIDENCY_DENIED` where data of that region is not
    /// given across its border.
    pub(crate) status: &'static str,
    /// Why, where it is not `OK`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    /// The rules that forbid it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) denied_by: Vec<String>,
    /// When (RFC 3339).
    pub(crate) as_of: String,
    /// Standard that the bank speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) standard: Option<String>,
    /// The first day of transactions that was asked for, where there is one: later
    /// than `from` if consent, bank or the absence of the person allow no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) history_from: Option<String>,
    /// Seconds after which it may answer again, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<u64>,
}

impl From<SourceReport> for Source {
    fn from(report: SourceReport) -> Self {
        let (status, code) = match report.status {
            SourceStatus::Ok => ("OK", None),
            SourceStatus::Failed(kind) => ("FAILED", Some(kind.code().to_owned())),
            SourceStatus::TimedOut => ("TIMED_OUT", None),
            SourceStatus::NotInForce { status, .. } => ("NOT_IN_FORCE", Some(status.as_str().to_owned())),
            SourceStatus::NotAllowed => ("NOT_ALLOWED", None),
            SourceStatus::NotOffered => ("NOT_OFFERED", None),
            SourceStatus::HistoryNeedsPsu => {
                ("NOT_ALLOWED", Some(ProblemCode::HistoryNeedsPsu.code().to_owned()))
            }
            SourceStatus::UnattendedUsedUp(_) => {
                ("QUOTA_USED_UP", Some(ProblemCode::UnattendedQuota.code().to_owned()))
            }
            SourceStatus::TooMany => ("QUOTA_USED_UP", Some(ProblemCode::TooMany.code().to_owned())),
            SourceStatus::RegionDenied => {
                ("RESIDENCY_DENIED", Some(ProblemCode::RegionDenied.code().to_owned()))
            }
            SourceStatus::Forbidden => ("NOT_ALLOWED", Some(ProblemCode::PolicyDenied.code().to_owned())),
        };
        let denied = report.denied.iter().flat_map(|denied| denied.rules());
        let denied_by = denied.map(str::to_owned).collect();
        Self {
            consent_id: report.consent.to_string(),
            institution_id: report.institution.map(|id| id.to_string()),
            region: report.region.to_string(),
            status,
            code,
            denied_by,
            as_of: report.as_of.to_string(),
            standard: report.standard,
            history_from: report.history_from.map(|day| day.to_string()),
            retry_after: report.retry_after.map(|wait| wait.as_secs().max(1)),
        }
    }
}

/// Which page.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// Entries on a page, 1 to 500.
    #[serde(default, deserialize_with = "from_text")]
    #[param(minimum = 1, maximum = 500)]
    pub(crate) limit: Option<u16>,
    /// Where the page starts, from the page before.
    #[serde(default)]
    pub(crate) cursor: Option<String>,
}

/// Where the next page starts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Page {
    /// Send it with the same parameters; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
    /// Whether there is more.
    pub(crate) has_more: bool,
}

impl Page {
    /// Cuts what was found, one more than `limit` where there is more, to a page; `cursor`
    /// names its last entry.
    pub(crate) fn of<T>(found: &mut Vec<T>, limit: usize, cursor: impl FnOnce(&T) -> String) -> Self {
        let has_more = found.len() > limit;
        found.truncate(limit);
        Self { next_cursor: found.last().filter(|_| has_more).map(cursor), has_more }
    }
}

/// One step in a life.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Step {
    /// When (RFC 3339).
    pub(crate) at: String,
    /// From which status; empty for the first.
    pub(crate) from: String,
    /// To which.
    pub(crate) to: String,
    /// `client`, `psu`, `institution`, `gateway` or `operator`.
    pub(crate) actor: String,
    /// Why, where that needs saying.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

impl Step {
    /// The first of a life: ordered by the client.
    pub(crate) fn first(at: Timestamp, to: &str) -> Self {
        Self {
            at: at.to_string(),
            from: String::new(),
            to: to.to_owned(),
            actor: "client".to_owned(),
            reason: None,
        }
    }
}

impl From<store::consents::Change> for Step {
    fn from(change: store::consents::Change) -> Self {
        Self {
            at: change.at.to_string(),
            from: change.from,
            to: change.to,
            actor: change.actor,
            reason: change.reason,
        }
    }
}

/// A limit from a query: 1 to `most`.
pub(crate) fn limit_of(limit: Option<u16>, default: usize, most: usize) -> Result<usize, web::Problem> {
    match limit.map(usize::from) {
        None => Ok(default),
        Some(limit) if (1..=most).contains(&limit) => Ok(limit),
        Some(_) => {
            let detail = format!("a limit is 1 to {most}");
            Err(web::Problem::new(ProblemCode::Query).error("limit", "parameter.invalid", detail))
        }
    }
}
