//! Problem documents (RFC 9457): the one place where errors become HTTP.

use axum::Json;
use axum::response::{IntoResponse, Response};
use connect::{BankError, BankErrorKind, Outcome};
use domain::{ConsentId, ConsentStatus, SuspensionCause, Violations};
use flows::{FlowError, SourceReport, SourceStatus, Unattended};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::RateLimits;

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal, $status:ident, $source:literal, $retry:literal, $title:literal;)+) => {
        /// Every problem the API can answer with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ProblemCode {
            $($(#[doc = $doc])* $name,)+
        }

        impl ProblemCode {
            /// Every code, in the order of the catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Stable machine-readable code.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// HTTP status.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }

            /// Who must act: `client`, `gateway`, `institution` or `psu`.
            #[must_use]
            pub fn source(self) -> &'static str {
                match self { $(Self::$name => $source,)+ }
            }

            /// Whether the same request may succeed later.
            #[must_use]
            pub fn retryable(self) -> bool {
                match self { $(Self::$name => $retry,)+ }
            }

            /// Short text, the same for every occurrence.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// What it means and what helps.
            #[must_use]
            pub fn documentation(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+),)+ }
            }
        }
    };
}

codes! {
    /// The body is not JSON, or is nested deeper than 64 levels.
    MalformedJson = "request.malformed_json", BAD_REQUEST, "client", false, "The body is not JSON";
    /// The body is larger than this operation takes.
    BodyTooLarge = "request.body_too_large", PAYLOAD_TOO_LARGE, "client", false, "The body is too large";
    /// The body is not declared as application/json, or is compressed.
    MediaType = "request.media_type", UNSUPPORTED_MEDIA_TYPE, "client", false, "The body must be application/json";
    /// Fields are missing, unknown or wrong; `errors` names each.
    Invalid = "request.invalid", UNPROCESSABLE_ENTITY, "client", false, "The request is invalid";
    /// A query parameter is unknown, repeated or wrong.
    Query = "request.query", BAD_REQUEST, "client", false, "A query parameter is wrong";
    /// The cursor was changed, or belongs to other parameters.
    CursorInvalid = "request.cursor", BAD_REQUEST, "client", false, "The cursor does not fit the request";
    /// A header is missing, repeated or wrong.
    Header = "request.header", BAD_REQUEST, "client", false, "A header is wrong";
    /// The path is not spelled plainly (encoded slashes, dot segments, …).
    Path = "request.path", BAD_REQUEST, "client", false, "The path is not spelled plainly";
    /// There is no such path.
    PathUnknown = "request.path_unknown", NOT_FOUND, "client", false, "There is no such path";
    /// The path exists, the method does not.
    MethodUnknown = "request.method", METHOD_NOT_ALLOWED, "client", false, "The path does not have this method";
    /// There is no such resource for this client.
    NotFound = "resource.not_found", NOT_FOUND, "client", false, "There is no such resource";
    /// No access token in the Authorization header.
    TokenMissing = "auth.token_missing", UNAUTHORIZED, "client", false, "An access token is needed";
    /// The token is unknown, expired or revoked.
    TokenInvalid = "auth.token_invalid", UNAUTHORIZED, "client", false, "The access token is not valid";
    /// The connection shows no client certificate.
    CertificateMissing = "auth.certificate_missing", UNAUTHORIZED, "client", false, "A client certificate is needed";
    /// The client certificate chains to no authority trusted here.
    CertificateUntrusted = "auth.certificate_untrusted", UNAUTHORIZED, "client", false, "The client certificate is not trusted";
    /// The client certificate has expired or is not valid yet.
    CertificateOutOfDate = "auth.certificate_out_of_date", UNAUTHORIZED, "client", false, "The client certificate is out of date";
    /// The token is bound to another certificate (RFC 8705).
    CertificateMismatch = "auth.certificate_mismatch", UNAUTHORIZED, "client", false, "The token belongs to another certificate";
    /// The DPoP proof is missing, is not about this request, is not by the
    /// token's key, or was used before (RFC 9449 §4.3).
    ProofInvalid = "auth.dpop_proof", UNAUTHORIZED, "client", false, "The DPoP proof is not valid";
    /// The DPoP proof needs the nonce of this answer's DPoP-Nonce (RFC 9449 §9).
    ProofNonce = "auth.dpop_nonce", UNAUTHORIZED, "client", true, "The DPoP proof needs a nonce";
    /// The token lacks the scope.
    ScopeMissing = "auth.scope", FORBIDDEN, "client", false, "The token lacks the scope";
    /// The consent has ended, or the PSU has not given it yet.
    ConsentNotInForce = "consent.not_in_force", FORBIDDEN, "psu", false, "The consent is not in force";
    /// The consent lacks the permission.
    ConsentScope = "consent.scope", FORBIDDEN, "client", false, "The consent does not allow this";
    /// The consent's life has no such step.
    ConsentState = "consent.state", CONFLICT, "client", false, "The consent cannot do this now";
    /// The TPP has not confirmed in time that the PSU wants to go on; do it, and reads go on.
    ReconfirmationDue = "consent.reconfirmation_due", FORBIDDEN, "client", false, "The consent must be confirmed again";
    /// Nobody has to confirm consents again in the institution's country.
    NothingToReconfirm = "consent.nothing_to_reconfirm", CONFLICT, "client", false, "The consent needs no confirmation";
    /// Transactions that old are given only while the PSU is present (RTS art. 10).
    HistoryNeedsPsu = "consent.history_needs_psu", FORBIDDEN, "psu", false, "Transactions that old need the customer";
    /// The consent was given by another person than the one who is here.
    OtherPsu = "consent.other_person", FORBIDDEN, "psu", false, "The consent is another person's";
    /// The payment's life has no such step.
    PaymentState = "payment.state", CONFLICT, "client", false, "The payment cannot do this now";
    /// The token was granted for a payment of another amount or payee
    /// (dynamic linking, RTS art. 5).
    PaymentNotGranted = "payment.not_granted", FORBIDDEN, "client", false, "The PSU approved another payment";
    /// What came from the bank does not belong to this browser or bank.
    CallbackMismatch = "callback.mismatch", BAD_REQUEST, "psu", false, "This answer from the bank does not belong here";
    /// What came from the bank was used before or came too late.
    CallbackSpent = "callback.spent", BAD_REQUEST, "psu", false, "This answer from the bank was used before";
    /// The link to the authorization endpoint lacks a parameter or repeats one.
    AuthorizationLink = "authorization.link", BAD_REQUEST, "client", false, "The link to this page is not complete";
    /// The pushed request is unknown, was answered before, or is too old.
    RequestUri = "authorization.request_uri", BAD_REQUEST, "client", false, "The request is not valid any more";
    /// The PSU took too long, or the session never was.
    SessionOver = "session.over", BAD_REQUEST, "psu", false, "The session is over";
    /// The step was taken before.
    SessionSpent = "session.spent", BAD_REQUEST, "psu", false, "The step was taken before";
    /// Another browser began the session.
    SessionBrowser = "session.browser", BAD_REQUEST, "psu", false, "Another browser began this";
    /// The Idempotency-Key header is missing.
    KeyMissing = "idempotency.missing", BAD_REQUEST, "client", false, "An Idempotency-Key is needed";
    /// The Idempotency-Key is longer than 255 characters or not printable ASCII.
    KeyInvalid = "idempotency.invalid", BAD_REQUEST, "client", false, "The Idempotency-Key is not usable";
    /// A request with this key is being worked on.
    KeyInFlight = "idempotency.in_flight", CONFLICT, "client", true, "A request with this key is being worked on";
    /// The key was used with another body.
    KeyReused = "idempotency.reused", UNPROCESSABLE_ENTITY, "client", false, "The key was used for another request";
    /// No institution has this id.
    InstitutionUnknown = "institution.unknown", UNPROCESSABLE_ENTITY, "client", false, "The institution is not known";
    /// The institution is not set up here, or cannot do this.
    InstitutionUnsupported = "institution.unsupported", UNPROCESSABLE_ENTITY, "client", false, "The institution cannot do this here";
    /// The bank cannot be reached.
    BankUnavailable = "institution.unavailable", BAD_GATEWAY, "institution", true, "The bank cannot be reached";
    /// The bank did not answer in time.
    BankTimeout = "institution.timeout", GATEWAY_TIMEOUT, "institution", true, "The bank did not answer in time";
    /// The bank failed.
    BankFailed = "institution.failed", BAD_GATEWAY, "institution", true, "The bank failed";
    /// The bank's answer cannot be read.
    BankMalformed = "institution.malformed", BAD_GATEWAY, "institution", true, "The bank's answer cannot be read";
    /// The bank's answer is about something else than was ordered.
    BankMismatch = "institution.mismatch", BAD_GATEWAY, "institution", false, "The bank answered about something else";
    /// The bank limits how often it may be asked.
    BankThrottled = "institution.throttled", SERVICE_UNAVAILABLE, "institution", true, "The bank limits requests";
    /// The day's accesses without the PSU are used up (RTS art. 36(5)(b)).
    UnattendedUsedUp = "institution.unattended_used_up", TOO_MANY_REQUESTS, "institution", true, "The day's accesses without the customer are used up";
    /// The bank refuses us: certificate, registration or signature.
    BankRefusesUs = "institution.configuration", BAD_GATEWAY, "gateway", false, "The bank refuses the gateway";
    /// The bank refused the request.
    BankRefused = "institution.refused", UNPROCESSABLE_ENTITY, "institution", false, "The bank refused the request";
    /// The PSU did not complete the authentication at the bank.
    BankAuthentication = "institution.authentication", FORBIDDEN, "psu", false, "The customer was not authenticated";
    /// None of the banks of this token answered; `errors` names each.
    AllBanksFailed = "institution.all_failed", BAD_GATEWAY, "institution", true, "None of the banks answered";
    /// Personal data of that region is not held by this installation.
    RegionNotHeld = "region.not_held", UNPROCESSABLE_ENTITY, "client", false, "That region is not held here";
    /// The webhook address or an event type is refused.
    WebhookRefused = "webhook.refused", UNPROCESSABLE_ENTITY, "client", false, "The webhook is refused";
    /// The consent's calls without the PSU of this day are used up (RTS art. 36(5)(b)); the bank was not asked.
    UnattendedQuota = "quota.unattended", TOO_MANY_REQUESTS, "client", true, "The day's calls without the customer are used up";
    /// Too many requests.
    TooMany = "quota.exceeded", TOO_MANY_REQUESTS, "client", true, "Too many requests";
    /// The gateway is busy.
    Busy = "gateway.busy", SERVICE_UNAVAILABLE, "gateway", true, "The gateway is busy";
    /// The gateway did not answer in time.
    TimedOut = "gateway.timeout", SERVICE_UNAVAILABLE, "gateway", true, "The gateway did not answer in time";
    /// Something failed here that should not.
    Internal = "gateway.internal", INTERNAL_SERVER_ERROR, "gateway", true, "Something failed here";
}

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
    /// Everything that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemError>,
    /// The nonce to use next, for the header.
    #[serde(skip)]
    dpop_nonce: Option<String>,
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
        self.dpop_nonce = Some(nonce);
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

    fn of_unattended(used_up: Unattended) -> Self {
        let mut problem = Self::new(ProblemCode::UnattendedQuota).retry_after(used_up.resets_in());
        problem.limits = Some(Box::new(RateLimits::one(used_up)));
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
            SourceStatus::Ok => Self::new(ProblemCode::AllBanksFailed),
        }
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
            };
            problem = problem.error(&format!("/sources/{}", source.consent), &code, bank);
        }
        problem
    }

    fn of_violations(violations: &Violations) -> Self {
        let mut problem = Self::new(ProblemCode::Invalid);
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
        K::CertificateRejected | K::RegistrationMissing | K::SignatureRejected | K::ProfileError => {
            ProblemCode::BankRefusesUs
        }
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
            FlowError::Invalid(violations) => Self::of_violations(&violations),
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
            FlowError::ConsentScope => Self::new(ProblemCode::ConsentScope),
            FlowError::NothingToReconfirm => Self::new(ProblemCode::NothingToReconfirm),
            FlowError::HistoryNeedsPsu => Self::new(ProblemCode::HistoryNeedsPsu),
            FlowError::OtherPsu => Self::new(ProblemCode::OtherPsu),
            FlowError::UnattendedUsedUp(used_up) => Self::of_unattended(used_up),
            FlowError::ConsentState(status) => {
                Self::new(ProblemCode::ConsentState).detail(format!("The consent is {status}."))
            }
            FlowError::PaymentState(state) => {
                Self::new(ProblemCode::PaymentState).detail(format!("The payment is {state}."))
            }
            FlowError::OrderNotGranted => Self::new(ProblemCode::PaymentNotGranted).outcome("not_executed"),
            FlowError::CallbackMismatch => Self::new(ProblemCode::CallbackMismatch),
            FlowError::CallbackSpent => Self::new(ProblemCode::CallbackSpent),
            FlowError::KeyInFlight => Self::new(ProblemCode::KeyInFlight).retry_after(1),
            FlowError::KeyReused => Self::new(ProblemCode::KeyReused),
            FlowError::Webhook(refused) => {
                Self::new(ProblemCode::WebhookRefused).detail(format!("{refused}."))
            }
            FlowError::Bank(error) => Self::of_bank(&error),
            FlowError::AllBanks(sources) => Self::of_sources(&sources),
            FlowError::Busy => Self::new(ProblemCode::Busy).retry_after(1),
            FlowError::Store(error) => Self::of_store(&error),
        }
    }
}

impl Problem {
    fn of_store(error: &store::StoreError) -> Self {
        // Somebody else moved the record between our read and our write: the
        // caller reads again and sees where it stands.
        if matches!(error, store::StoreError::Conflict) {
            return Self::new(ProblemCode::Busy).retry_after(1);
        }
        tracing::error!(error = %error, source = std::error::Error::source(error).map(ToString::to_string), "The store failed");
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
        let mut response = (status, Json(self)).into_response();
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
