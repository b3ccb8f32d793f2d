//! What went wrong at a bank, who must act on it, and what we may believe.

use std::fmt;
use std::time::Duration;

use domain::InstitutionId;

use crate::Effect;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $text:literal;)+) => {
        /// Kind of a failure at a bank, whatever the bank's standard calls it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum BankErrorKind {
            $($(#[$doc])* $variant,)+
        }

        impl BankErrorKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Stable machine-readable code.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The sentence a person reads.
            fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

kinds! {
    /// The PSU cancelled at the bank.
    PsuCancelled = "psu-cancelled", "the customer cancelled at the bank";
    /// The PSU failed the bank's authentication.
    PsuAuthenticationFailed = "psu-auth-failed", "the customer's authentication failed";
    /// The PSU did not answer in time.
    ScaTimeout = "sca-timeout", "the customer did not answer the bank in time";
    /// The PSU must do something at the bank first.
    PsuActionRequired = "psu-action-required", "the bank wants the customer to act first";
    /// No common method of strong customer authentication.
    ScaMethodUnsupported = "sca-method-unsupported", "the bank offers no method of authentication we support";
    /// The bank knows no such consent.
    ConsentMissing = "consent-missing", "the bank knows no such consent";
    /// The consent is past its end.
    ConsentExpired = "consent-expired", "the consent has expired";
    /// The consent was withdrawn, or is in a status that forbids the request.
    ConsentRevoked = "consent-revoked", "the consent is not in force";
    /// The consent's uses are used up.
    ConsentExhausted = "consent-exhausted", "the consent has been used up";
    /// The day's unattended accesses are used up (RTS Art. 36(5)).
    QuotaExceeded = "quota-exceeded", "the day's accesses without the customer are used up";
    /// The access token is not valid (any more).
    TokenInvalid = "token-invalid", "the bank refused the access token";
    /// The bank asks us to slow down.
    Throttled = "throttled", "the bank asks to be called less often";
    /// We hold too many calls to this bank already.
    Overloaded = "overloaded", "too many calls to this bank are waiting";
    /// No connection to the bank.
    BankUnavailable = "bank-unavailable", "the bank cannot be reached";
    /// The bank did not answer in time.
    BankTimeout = "bank-timeout", "the bank did not answer in time";
    /// The bank failed (5xx).
    BankFailed = "bank-error", "the bank failed to answer";
    /// TLS with the bank failed.
    TlsFailed = "tls-failed", "no secure connection to the bank";
    /// The bank refused our certificate.
    CertificateRejected = "certificate-rejected", "the bank refused our certificate";
    /// The bank does not know us as its client.
    RegistrationMissing = "registration-missing", "the bank does not accept us as its client";
    /// The bank refused our signature.
    SignatureRejected = "signature-rejected", "the bank refused our signature";
    /// The account is not covered by the consent, or closed.
    AccountNotAccessible = "account-not-accessible", "the account cannot be accessed";
    /// The bank knows no such resource.
    ResourceUnknown = "resource-unknown", "the bank knows no such resource";
    /// Data that old is not given.
    HistoryWindow = "history-window", "the bank gives no data for this period";
    /// The bank calls the request wrong.
    InvalidRequest = "invalid-request", "the bank refused the request as invalid";
    /// The bank does not do this.
    Unsupported = "unsupported", "the bank does not support this";
    /// Not enough money.
    FundsInsufficient = "funds-insufficient", "the account has not enough funds";
    /// The bank refused the payment.
    PaymentRejected = "payment-rejected", "the bank refused the payment";
    /// A limit of the bank's was reached.
    PaymentLimit = "payment-limit", "the payment is above a limit of the bank";
    /// The bank has seen this request before.
    DuplicateRequest = "duplicate-request", "the bank has seen this request before";
    /// The answer cannot be read.
    MalformedResponse = "malformed-response", "the bank's answer cannot be read";
    /// The bank echoes another amount, currency or account than ordered.
    EchoMismatch = "echo-mismatch", "the bank's answer is not about what was ordered";
    /// An answer of the bank's authorization server fails a security check.
    AuthorizationInvalid = "authorization-invalid", "the bank's authorization answer fails a check";
    /// The bank's profile lacks something or is wrong.
    ProfileError = "profile-error", "the bank's profile is not complete";
    /// The bank's plugin trapped, went beyond its limits or said what cannot be.
    PluginFailed = "plugin-failed", "the bank's plugin failed";
    /// A fault of ours.
    Internal = "internal", "the request could not be prepared";
}

impl BankErrorKind {
    /// What an HTTP status means where the bank says no more.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            401 => Self::TokenInvalid,
            403 => Self::AccountNotAccessible,
            404 | 410 => Self::ResourceUnknown,
            405 | 406 | 415 | 501 => Self::Unsupported,
            408 | 504 => Self::BankTimeout,
            409 => Self::DuplicateRequest,
            429 => Self::Throttled,
            503 => Self::BankUnavailable,
            400..=499 => Self::InvalidRequest,
            _ => Self::BankFailed,
        }
    }

    /// Whether this says that the bank itself is unwell, for its health record.
    #[must_use]
    pub fn counts_against_bank(self) -> bool {
        matches!(
            self,
            Self::BankUnavailable
                | Self::BankTimeout
                | Self::BankFailed
                | Self::TlsFailed
                | Self::CertificateRejected
                | Self::MalformedResponse
        )
    }
}

impl fmt::Display for BankErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// What we may believe after a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The bank did not act on the request.
    NotDone,
    /// The bank may have acted. Ask for the status; never send it again.
    Unknown,
}

/// A failed call to a bank. Never holds a value that the bank or the PSU sent,
/// apart from the bank's own error code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankError {
    /// The bank.
    pub institution: InstitutionId,
    /// What kind of failure.
    pub kind: BankErrorKind,
    /// What we may believe.
    pub outcome: Outcome,
    /// HTTP status of the bank's answer, if there was one.
    pub http_status: Option<u16>,
    /// The bank's own code (`CONSENT_EXPIRED`, `UK.OBIE.Field.Missing`), at most 64 plain characters.
    pub bank_code: Option<String>,
    /// Where: a JSON pointer (RFC 6901) into the answer, a header's or a profile key's name.
    pub field: Option<String>,
    /// How long the bank asks us to wait.
    pub retry_after: Option<Duration>,
}

impl BankError {
    /// A failure after which the bank is known not to have acted.
    #[must_use]
    pub fn new(institution: &InstitutionId, kind: BankErrorKind) -> Self {
        Self {
            institution: institution.clone(),
            kind,
            outcome: Outcome::NotDone,
            http_status: None,
            bank_code: None,
            field: None,
            retry_after: None,
        }
    }

    /// A successful answer that cannot be read. The bank has acted on a write,
    /// so a caller that wrote adds [`BankError::unknown`].
    pub fn malformed(institution: &InstitutionId, field: impl Into<String>) -> Self {
        Self::new(institution, BankErrorKind::MalformedResponse).at(field)
    }

    /// The profile lacks what the request needs.
    pub fn profile(institution: &InstitutionId, key: impl Into<String>) -> Self {
        Self::new(institution, BankErrorKind::ProfileError).at(key)
    }

    /// Names the place.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Keeps the bank's own code, if it looks like a code: anything else could
    /// be free text with personal data in it.
    #[must_use]
    pub fn with_bank_code(mut self, code: &str) -> Self {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':');
        if (1..=64).contains(&code.len()) && code.bytes().all(plain) {
            self.bank_code = Some(code.to_owned());
        }
        self
    }

    /// Keeps the HTTP status of the answer.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.http_status = Some(status);
        self
    }

    /// Keeps how long the bank asks us to wait.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// Marks a write that the bank failed to answer: it may have been done.
    #[must_use]
    pub fn after_status(self, status: u16, effect: Effect) -> Self {
        let refused = (400..500).contains(&status) && status != 408;
        match effect {
            Effect::Write if !refused => self.unknown(),
            Effect::Write | Effect::Read => self,
        }
    }

    /// Marks that the bank may have acted.
    #[must_use]
    pub fn unknown(mut self) -> Self {
        self.outcome = Outcome::Unknown;
        self
    }
}

impl fmt::Display for BankError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.institution.as_str(), self.kind.sentence())?;
        if let Some(status) = self.http_status {
            write!(f, ", status {status}")?;
        }
        if let Some(code) = &self.bank_code {
            write!(f, ", code {code}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ", at {field}")?;
        }
        Ok(())
    }
}

impl std::error::Error for BankError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_bank_kind_code_and_field() {
        let bank: InstitutionId = "gb-examplebank".parse().unwrap();
        let error = BankError::malformed(&bank, "/Data/Amount").with_status(200).with_bank_code("U002");
        let shown = error.to_string();
        for part in ["gb-examplebank", "cannot be read", "U002", "/Data/Amount", "200"] {
            assert!(shown.contains(part), "{shown}");
        }
    }

    #[test]
    fn free_text_is_never_kept_as_a_bank_code() {
        let bank: InstitutionId = "gb-examplebank".parse().unwrap();
        let error = BankError::new(&bank, BankErrorKind::InvalidRequest);
        assert_eq!(error.clone().with_bank_code("Jane Doe has no account").bank_code, None);
        assert_eq!(error.with_bank_code(&"A".repeat(65)).bank_code, None);
    }

    #[test]
    fn every_kind_has_its_own_code() {
        let codes: std::collections::BTreeSet<_> =
            BankErrorKind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes.len(), BankErrorKind::ALL.len());
    }
}
