//! What an unsuccessful answer of a bank means: `tppMessages` (XS2A 14.11) or
//! RFC 7807, else the status alone.

use connect::{BankError, BankErrorKind, BankResponse, Effect};
use domain::InstitutionId;
use serde_json::Value;

/// Reads an answer that is no success.
pub(crate) fn failure(bank: &InstitutionId, response: &BankResponse, effect: Effect) -> BankError {
    let status = response.status.as_u16();
    let body = crate::node::error_body(&response.body);
    let (message, code_at) = match body.pointer("/tppMessages/0") {
        Some(message) => (message, "/tppMessages/0/code"),
        None => (&body, "/code"),
    };
    let text = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default();
    let code = text("code");
    let kind = kind_of(code).unwrap_or_else(|| BankErrorKind::of_status(status));
    let error = BankError::new(bank, kind)
        .with_status(status)
        .with_bank_code(code)
        .with_retry_after(response.retry_after())
        .at(crate::status::place_of(text("path"), code, code_at));
    error.after_status(status, effect)
}

/// The kinds of the message codes of XS2A 14.11, and of those real banks add.
fn kind_of(code: &str) -> Option<BankErrorKind> {
    use BankErrorKind as K;
    Some(match code {
        "FORMAT_ERROR"
        | "PARAMETER_NOT_CONSISTENT"
        | "TIMESTAMP_INVALID"
        | "EXECUTION_DATE_INVALID"
        | "CARD_INVALID"
        | "REFERENCE_MIX_INVALID"
        | "STATUS_INVALID"
        | "REFERENCE_STATUS_INVALID"
        | "TRANSACTION_ID_INVALID" => K::InvalidRequest,
        "PARAMETER_NOT_SUPPORTED"
        | "SERVICE_INVALID"
        | "PRODUCT_INVALID"
        | "PRODUCT_UNKNOWN"
        | "SESSIONS_NOT_SUPPORTED"
        | "REQUESTED_FORMATS_INVALID"
        | "CANCELLATION_INVALID"
        | "CONTENT_TYPE_NOT_SUPPORTED" => K::Unsupported,
        "PERIOD_INVALID" => K::HistoryWindow,
        "RESOURCE_UNKNOWN" | "RESOURCE_EXPIRED" => K::ResourceUnknown,
        "RESOURCE_BLOCKED" => K::AccountNotAccessible,
        "SCA_METHOD_UNKNOWN" => K::ScaMethodUnsupported,
        "SCA_INVALID" | "PSU_CREDENTIALS_INVALID" | "CORPORATE_ID_INVALID" => K::PsuAuthenticationFailed,
        "SERVICE_BLOCKED" => K::PsuActionRequired,
        "CONSENT_UNKNOWN" | "NO_PIIS_ACTIVATION" => K::ConsentMissing,
        "CONSENT_INVALID" => K::ConsentRevoked,
        "CONSENT_EXPIRED" => K::ConsentExpired,
        "PAYMENT_FAILED" => K::PaymentRejected,
        "FUNDS_NOT_AVAILABLE" | "FUNDS_CONFIRMATION_FAILED" => K::FundsInsufficient,
        "CERTIFICATE_INVALID"
        | "CERTIFICATE_EXPIRED"
        | "CERTIFICATE_BLOCKED"
        | "CERTIFICATE_REVOKED"
        | "CERTIFICATE_MISSING" => K::CertificateRejected,
        "ROLE_INVALID" => K::RegistrationMissing,
        "SIGNATURE_INVALID" | "SIGNATURE_MISSING" | "KID_MISSING" => K::SignatureRejected,
        "TOKEN_UNKNOWN" | "TOKEN_INVALID" | "TOKEN_EXPIRED" | "BEARER_TOKEN_EMPTY" => K::TokenInvalid,
        "ACCESS_EXCEEDED" => K::QuotaExceeded,
        "INTERNAL_SERVER_ERROR" => K::BankFailed,
        "SERVICE_UNAVAILABLE" => K::BankUnavailable,
        _ => return None,
    })
}
