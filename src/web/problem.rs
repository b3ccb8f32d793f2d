//! Problem documents (RFC 9457): the one place where errors become HTTP.

use axum::Json;
use axum::response::{IntoResponse, Response};
use connect::{BankError, BankErrorKind, Outcome};
use domain::{Breach, ConsentId, ConsentStatus, SuspensionCause, Violations};
use edge::Reason;
use flows::{Denied, FlowError, SourceReport, SourceStatus, Unattended, WebhookRefused};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use limits::Exceeded;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{ProblemCode, RateLimits};

/// One thing wrong with a request, or one bank that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProblemError {
    /// JSON pointer (RFC 6901) to the field, or the parameter's name.
    pub pointer: String,
    /// Stable machine-readable code.
    pub code: String,
    /// What is wrong and what would be right; never the value.
    pub detail: String,
}

/// What the bank said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProblemInstitution {
    /// The institution.
    pub id: String,
    /// HTTP status of its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// Its own error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Field of its answer that could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// What helps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct NextAction {
    /// `reconfirm` or `renew`. Accept unknown values.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Where to POST it.
    pub href: String,
}

/// A problem document (RFC 9457, `application/problem+json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Address of the catalogue entry.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short text, the same for every occurrence.
    pub title: &'static str,
    /// HTTP status.
    pub status: u16,
    /// What happened, in words that are safe to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Stable machine-readable code.
    pub code: &'static str,
    /// Who must act: `client`, `gateway`, `institution`, `psu`. Accept unknown values.
    pub source: &'static str,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// Seconds until it may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Whether a payment was executed: `not_executed`, `executed`, `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    /// What the bank said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub institution: Option<ProblemInstitution>,
    /// The policies by which there were too many requests (draft-ietf-httpapi-ratelimit-headers).
    #[serde(rename = "violated-policies", skip_serializing_if = "Vec::is_empty")]
    pub violated_policies: Vec<String>,
    /// Everything that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemError>,
    /// The nonce to use next, for the header.
    #[serde(skip)]
    dpop_nonce: Option<Box<str>>,
    /// Whether it is the token that is wrong, and a proof was wanted with it.
    #[serde(skip)]
    token_of_dpop: bool,
    /// What helps, where one request does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_action: Option<Box<NextAction>>,
    /// Limits that the answer's headers tell of.
    #[serde(skip)]
    pub limits: Option<Box<RateLimits>>,
}

impl Problem {
    /// A problem of a kind.
    #[must_use]
    pub fn new(code: ProblemCode) -> Self {
        Self {
            kind: format!("/v1/problems/{}", code.code()),
            title: code.title(),
            status: code.status().as_u16(),
            detail: None,
            code: code.code(),
            source: code.source(),
            retryable: code.retryable(),
            retry_after: None,
            outcome: None,
            institution: None,
            violated_policies: Vec::new(),
            errors: Vec::new(),
            dpop_nonce: None,
            token_of_dpop: false,
            next_action: None,
            limits: None,
        }
    }

    /// Says which nonce a DPoP proof must carry.
    #[must_use]
    pub fn dpop_nonce(mut self, nonce: String) -> Self {
        self.dpop_nonce = Some(nonce.into());
        self
    }

    /// Says in the challenge that the token is not valid with this proof, or without
    /// one (RFC 9449 §7.1).
    #[must_use]
    pub fn token_of_dpop(mut self) -> Self {
        self.token_of_dpop = true;
        self
    }

    /// Says what happened.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Says when to try again, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds.max(1));
        self
    }

    /// Says whether a payment was executed.
    #[must_use]
    pub fn outcome(mut self, outcome: &'static str) -> Self {
        self.outcome = Some(outcome);
        self
    }

    /// Adds one thing that is wrong.
    #[must_use]
    pub fn error(mut self, pointer: &str, code: &str, detail: impl Into<String>) -> Self {
        self.errors.push(ProblemError {
            pointer: pointer.to_owned(),
            code: code.to_owned(),
            detail: detail.into(),
        });
        self
    }

    /// Says what to do about a consent.
    fn next(mut self, kind: &'static str, consent: ConsentId) -> Self {
        self.next_action =
            Some(Box::new(NextAction { kind, href: format!("/v1/consents/{consent}/{kind}") }));
        self
    }

    fn of_consent(consent: ConsentId, status: ConsentStatus, suspended_for: Option<SuspensionCause>) -> Self {
        let problem = Self::new(ProblemCode::ConsentNotInForce).detail(format!("The consent is {status}."));
        match (suspended_for, status) {
            (Some(SuspensionCause::ReconfirmationOverdue), _) => {
                Self::new(ProblemCode::ReconfirmationDue).next("reconfirm", consent)
            }
            (Some(SuspensionCause::Operator), _) => {
                problem.detail("The consent was stopped by the operator of the gateway.")
            }
            (None, ended) if ended.is_final() => problem.next("renew", consent),
            (None, _) => problem,
        }
    }

    fn of_breach(breach: Breach) -> Self {
        let (pointer, code) = match breach {
            Breach::Currency => ("/amount/currency", "mandate.currency"),
            Breach::PerPayment(_) => ("/amount/amount", "mandate.max_per_payment"),
            Breach::Early => ("", "mandate.not_yet_valid"),
            Breach::Late => ("", "mandate.over"),
            Breach::Count(_) => ("", "mandate.max_count"),
        };
        Self::new(ProblemCode::MandateBreach).outcome("not_executed").error(pointer, code, breach.to_string())
    }

    fn of_unattended(used_up: Unattended) -> Self {
        let mut problem = Self::new(ProblemCode::UnattendedQuota).retry_after(used_up.resets_in());
        problem.limits = Some(Box::new(RateLimits::one(used_up)));
        problem.violated_policies = vec!["unattended".to_owned()];
        problem
    }

    /// A quota is used up.
    #[must_use]
    pub fn of_exceeded(exceeded: &Exceeded) -> Self {
        let mut problem = Self::new(ProblemCode::TooMany).retry_after(exceeded.policy.reset.into());
        problem.limits = Some(Box::new(RateLimits::used_up(exceeded.policy.clone())));
        problem.violated_policies = vec![exceeded.policy.policy.to_string()];
        problem
    }

    fn of_bank(error: &BankError) -> Self {
        let mut problem = Self::new(bank_code(error.kind)).detail(error.to_string());
        problem.retry_after = error.retry_after.map(|wait| wait.as_secs().max(1));
        problem.institution = Some(ProblemInstitution {
            id: error.institution.to_string(),
            http_status: error.http_status,
            code: error.bank_code.clone(),
            field: error.field.clone(),
        });
        if error.outcome == Outcome::Unknown {
            problem.outcome = Some("unknown");
        }
        problem
    }

    fn of_source(source: &SourceReport) -> Self {
        match source.status {
            SourceStatus::Failed(kind) => Self::new(bank_code(kind)),
            SourceStatus::TimedOut => Self::new(ProblemCode::BankTimeout),
            SourceStatus::NotInForce { status, suspended_for } => {
                Self::of_consent(source.consent, status, suspended_for)
            }
            SourceStatus::NotAllowed => Self::new(ProblemCode::ConsentScope),
            SourceStatus::NotOffered => Self::new(ProblemCode::InstitutionUnsupported),
            SourceStatus::HistoryNeedsPsu => Self::new(ProblemCode::HistoryNeedsPsu),
            SourceStatus::UnattendedUsedUp(used_up) => Self::of_unattended(used_up),
            SourceStatus::TooMany => match &source.exceeded {
                Some(exceeded) => Self::of_exceeded(exceeded),
                None => Self::new(ProblemCode::TooMany),
            },
            SourceStatus::RegionDenied => Self::new(ProblemCode::RegionDenied),
            SourceStatus::Forbidden => Self::new(ProblemCode::PolicyDenied),
            SourceStatus::Ok => Self::new(ProblemCode::AllBanksFailed),
        }
    }

    /// Says which rules forbid it.
    #[must_use]
    pub fn forbidden_by(mut self, denied: &Denied) -> Self {
        for reason in denied.reasons() {
            self = self.error("", &reason.rule, (*reason.says).to_owned());
        }
        self
    }

    /// What is wrong with all of them, where that is no bank's fault and the same;
    /// otherwise that none answered.
    fn of_sources(sources: &[SourceReport]) -> Self {
        let mut each = sources.iter().map(Self::of_source);
        let mut problem = each.next().unwrap_or_else(|| Self::new(ProblemCode::AllBanksFailed));
        if let [only] = sources {
            problem.institution = only.institution.as_ref().map(|id| ProblemInstitution {
                id: id.to_string(),
                http_status: None,
                code: None,
                field: None,
            });
        } else if problem.source != "institution" && each.all(|other| other.code == problem.code) {
            // What helps one of them does not help the others.
            (problem.detail, problem.next_action) = (None, None);
        } else {
            problem = Self::new(ProblemCode::AllBanksFailed);
        }
        let again = sources.iter().filter_map(|source| source.retry_after).min();
        problem.retry_after = problem.retry_after.or(again.map(|wait| wait.as_secs().max(1)));
        for source in sources {
            let bank = source.institution.as_ref().map_or_else(String::new, ToString::to_string);
            let code = match source.status {
                SourceStatus::Ok => continue,
                SourceStatus::Failed(kind) => kind.code().to_owned(),
                SourceStatus::TimedOut => "bank-timeout".to_owned(),
                SourceStatus::NotInForce { status, .. } => {
                    format!("consent-{}", status.as_str().to_lowercase())
                }
                SourceStatus::NotAllowed => "consent-scope".to_owned(),
                SourceStatus::NotOffered => "not-offered".to_owned(),
                SourceStatus::HistoryNeedsPsu => ProblemCode::HistoryNeedsPsu.code().to_owned(),
                SourceStatus::UnattendedUsedUp(_) => ProblemCode::UnattendedQuota.code().to_owned(),
                SourceStatus::TooMany => ProblemCode::TooMany.code().to_owned(),
                SourceStatus::RegionDenied => ProblemCode::RegionDenied.code().to_owned(),
                SourceStatus::Forbidden => ProblemCode::PolicyDenied.code().to_owned(),
            };
            problem = problem.error(&format!("/sources/{}", source.consent), &code, bank);
        }
        problem
    }

    fn of_violations(code: ProblemCode, violations: &Violations) -> Self {
        let mut problem = Self::new(code);
        for violation in violations.iter() {
            problem = problem.error(&violation.pointer, violation.code, violation.detail.clone());
        }
        problem
    }
}

/// Which problem a bank's failure is.
fn bank_code(kind: BankErrorKind) -> ProblemCode {
    use BankErrorKind as K;
    match kind {
        K::PsuCancelled
        | K::PsuAuthenticationFailed
        | K::ScaTimeout
        | K::PsuActionRequired
        | K::ScaMethodUnsupported => ProblemCode::BankAuthentication,
        K::ConsentMissing | K::ConsentExpired | K::ConsentRevoked | K::ConsentExhausted | K::TokenInvalid => {
            ProblemCode::ConsentNotInForce
        }
        K::QuotaExceeded => ProblemCode::UnattendedUsedUp,
        K::Throttled | K::Overloaded => ProblemCode::BankThrottled,
        K::BankUnavailable | K::TlsFailed => ProblemCode::BankUnavailable,
        K::BankTimeout => ProblemCode::BankTimeout,
        K::BankFailed => ProblemCode::BankFailed,
        K::CertificateRejected
        | K::RegistrationMissing
        | K::SignatureRejected
        | K::ProfileError
        | K::PluginFailed => ProblemCode::BankRefusesUs,
        K::AccountNotAccessible
        | K::ResourceUnknown
        | K::HistoryWindow
        | K::InvalidRequest
        | K::Unsupported
        | K::FundsInsufficient
        | K::PaymentRejected
        | K::PaymentLimit
        | K::DuplicateRequest => ProblemCode::BankRefused,
        K::MalformedResponse | K::AuthorizationInvalid => ProblemCode::BankMalformed,
        K::EchoMismatch => ProblemCode::BankMismatch,
        K::Internal => ProblemCode::Internal,
    }
}

impl From<FlowError> for Problem {
    fn from(error: FlowError) -> Self {
        match error {
            FlowError::NotFound(what) => {
                Self::new(ProblemCode::NotFound).detail(format!("There is no such {what}."))
            }
            FlowError::Invalid(violations) => Self::of_violations(ProblemCode::Invalid, &violations),
            FlowError::SnapshotGone => Self::new(ProblemCode::CursorGone)
                .detail("Ask without a cursor: everything counts as new then."),
            FlowError::UnknownInstitution(_) => Self::new(ProblemCode::InstitutionUnknown)
                .detail("GET /v1/institutions lists the known ones.")
                .error("/institution_id", "institution.unknown", "no institution has this id"),
            FlowError::Unsupported(id) => Self::new(ProblemCode::InstitutionUnsupported)
                .detail(format!("Institution {id} cannot do this here.")),
            FlowError::RegionNotHeld(region) => {
                Self::new(ProblemCode::RegionNotHeld).detail(format!("Region {region} is not held here."))
            }
            FlowError::ConsentNotInForce { consent, status, suspended_for } => {
                Self::of_consent(consent, status, suspended_for)
            }
            FlowError::Denied { denied, because } => Self::from(*because).forbidden_by(&denied),
            FlowError::Forbidden => Self::new(ProblemCode::PolicyDenied),
            FlowError::RegionDenied => Self::new(ProblemCode::RegionDenied),
            FlowError::RulesFailed => Self::new(ProblemCode::Internal),
            FlowError::ConsentNotGranted => Self::new(ProblemCode::ConsentNotGranted),
            FlowError::ConsentScope => Self::new(ProblemCode::ConsentScope),
            FlowError::NothingToReconfirm => Self::new(ProblemCode::NothingToReconfirm),
            FlowError::HistoryNeedsPsu => Self::new(ProblemCode::HistoryNeedsPsu),
            FlowError::OtherPsu => Self::new(ProblemCode::OtherPsu),
            FlowError::UnattendedUsedUp(used_up) => Self::of_unattended(used_up),
            FlowError::TooMany(exceeded) => Self::of_exceeded(&exceeded),
            FlowError::ConsentState(status) => {
                Self::new(ProblemCode::ConsentState).detail(format!("The consent is {status}."))
            }
            FlowError::PaymentState(state) => {
                Self::new(ProblemCode::PaymentState).detail(format!("The payment is {state}."))
            }
            FlowError::MandateState(status) => Self::new(ProblemCode::MandateState)
                .detail(format!("The mandate is {status}."))
                .outcome("not_executed"),
            FlowError::MandateBreach(breach) => Self::of_breach(breach),
            FlowError::MandateUsedUp { period, max_amount, resets_at } => {
                Self::new(ProblemCode::MandateUsedUp)
                    .detail(format!("At most {max_amount} per {period}; the next begins at {resets_at}."))
                    .outcome("not_executed")
            }
            FlowError::PolicyRefused(violations) => {
                Self::of_violations(ProblemCode::PaymentPolicy, &violations).outcome("not_executed")
            }
            FlowError::DayUsedUp { limit, resets_at } => Self::new(ProblemCode::PaymentDayUsedUp)
                .detail(format!("At most {limit} on a day; the next begins at {resets_at}."))
                .outcome("not_executed"),
            FlowError::MandateNotGranted => Self::new(ProblemCode::MandateNotGranted).outcome("not_executed"),
            FlowError::OrderNotGranted => Self::new(ProblemCode::PaymentNotGranted).outcome("not_executed"),
            FlowError::CallbackMismatch => Self::new(ProblemCode::CallbackMismatch),
            FlowError::CallbackSpent => Self::new(ProblemCode::CallbackSpent),
            FlowError::KeyInFlight => Self::new(ProblemCode::KeyInFlight).retry_after(1),
            FlowError::KeyReused => Self::new(ProblemCode::KeyReused),
            FlowError::Webhook(refused) => {
                let code = match refused {
                    WebhookRefused::Status(_) => ProblemCode::WebhookStatus,
                    WebhookRefused::Challenge(_) => ProblemCode::WebhookChallenge,
                    WebhookRefused::Url
                    | WebhookRefused::Address
                    | WebhookRefused::EventType
                    | WebhookRefused::TooMany
                    | WebhookRefused::NoSecret
                    | WebhookRefused::NoCertificate => ProblemCode::WebhookRefused,
                };
                Self::new(code).detail(format!("{refused}."))
            }
            FlowError::Bank(error) => Self::of_bank(&error),
            FlowError::AllBanks(sources) => Self::of_sources(&sources),
            FlowError::RefundUnavailable(why) => Self::new(ProblemCode::RefundUnavailable)
                .detail(format!("The payment cannot be refunded: {why}."))
                .outcome("not_executed"),
            FlowError::RefundExceeds { left } => {
                let detail = left.map_or_else(
                    || "Another refund was ordered meanwhile; see what is left of the payment.".to_owned(),
                    |left| format!("At most {left} are left to refund."),
                );
                Self::new(ProblemCode::RefundExceeds).detail(detail).outcome("not_executed")
            }
            FlowError::PayeeQuota { limit, resets_at, as_of } => {
                let left = resets_at.duration_since(as_of).as_secs();
                Self::new(ProblemCode::PayeeQuota)
                    .detail(format!("At most {limit} a day; the next begins at {resets_at}."))
                    .retry_after(u64::try_from(left).unwrap_or(0))
            }
            FlowError::Busy => Self::new(ProblemCode::Busy).retry_after(1),
            FlowError::Store(error) => Self::of_store(&error),
        }
    }
}

/// Seconds after which a store that is away may be back.
const AWAY: u64 = 5;

impl Problem {
    fn of_store(error: &store::StoreError) -> Self {
        // Somebody else moved the record between our read and our write: the
        // caller reads again and sees where it stands.
        if matches!(error, store::StoreError::Conflict) {
            return Self::new(ProblemCode::Busy).retry_after(1);
        }
        tracing::error!(error = %error, source = std::error::Error::source(error).map(ToString::to_string), "The store failed");
        if matches!(error, store::StoreError::OutcomeUnknown(_)) {
            return Self::new(ProblemCode::OutcomeUnknown).retry_after(1);
        }
        if error.is_passing() {
            return Self::new(ProblemCode::Busy).retry_after(AWAY);
        }
        Self::new(ProblemCode::Internal)
    }
}

impl From<store::StoreError> for Problem {
    fn from(error: store::StoreError) -> Self {
        Self::from(FlowError::from(error))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after;
        let limits = self.limits.clone();
        // RFC 6750 §3: a 401 names the scheme, and the error if a token was shown.
        let nonce = self.dpop_nonce.as_deref().and_then(|nonce| HeaderValue::from_str(nonce).ok());
        let challenge = (status == StatusCode::UNAUTHORIZED).then_some(match self.code {
            "auth.token_missing" => "Bearer, DPoP algs=\"PS256 ES256 EdDSA Ed25519\"",
            _ if self.token_of_dpop => "DPoP error=\"invalid_token\", algs=\"PS256 ES256 EdDSA Ed25519\"",
            "auth.dpop_proof" => "DPoP error=\"invalid_dpop_proof\", algs=\"PS256 ES256 EdDSA Ed25519\"",
            "auth.dpop_nonce" => "DPoP error=\"use_dpop_nonce\", algs=\"PS256 ES256 EdDSA Ed25519\"",
            _ => "Bearer error=\"invalid_token\"",
        });
        let reason = Reason(self.code);
        let mut response = (status, Json(self)).into_response();
        response.extensions_mut().insert(reason);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(challenge) = challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(nonce) = nonce {
            headers.insert(crate::dpop::DPOP_NONCE, nonce);
        }
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(limits) = limits {
            limits.write(headers);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_a_code_of_its_own_and_says_what_it_means() {
        let codes: std::collections::HashSet<_> = ProblemCode::ALL.iter().map(|code| code.code()).collect();
        assert_eq!(codes.len(), ProblemCode::ALL.len());
        for code in ProblemCode::ALL {
            assert!(code.status().is_client_error() || code.status().is_server_error());
            assert!(code.documentation().len() > 15, "{}", code.code());
        }
    }

    #[test]
    fn a_bank_failure_is_never_an_internal_error_but_for_our_own_fault() {
        for kind in BankErrorKind::ALL {
            let internal = bank_code(*kind) == ProblemCode::Internal;
            assert_eq!(internal, *kind == BankErrorKind::Internal, "{kind}");
        }
    }
}
