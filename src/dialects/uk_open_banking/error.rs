//! What an unsuccessful answer means: `OBErrorResponse1`, in the names of 3.1
//! and the codes of 4.0, else the status alone.

use connect::{BankError, BankErrorKind, BankResponse, Effect};
use domain::InstitutionId;
use serde_json::Value;

/// Reads an answer that is no success.
pub(super) fn failure(bank: &InstitutionId, response: &BankResponse, effect: Effect) -> BankError {
    let status = response.status.as_u16();
    let body = crate::node::error_body(&response.body);
    let first = body.pointer("/Errors/0").unwrap_or(&Value::Null);
    let text = |name: &str| first.get(name).and_then(Value::as_str).unwrap_or_default();
    let code = text("ErrorCode");
    let kind = kind_of(code).unwrap_or_else(|| BankErrorKind::of_status(status));
    let error = BankError::new(bank, kind)
        .with_status(status)
        .with_bank_code(code)
        .with_retry_after(response.retry_after())
        .at(crate::status::place_of(text("Path"), code, "/Errors/0/ErrorCode"));
    error.after_status(status, effect)
}

fn kind_of(code: &str) -> Option<BankErrorKind> {
    use BankErrorKind as K;
    let name = code.strip_prefix("UK.OBIE.").or_else(|| code.strip_prefix("UK.OB.")).unwrap_or(code);
    Some(match name {
        "Field.Expected"
        | "U001"
        | "Field.Invalid"
        | "U002"
        | "Field.InvalidDate"
        | "U003"
        | "Field.Missing"
        | "U004"
        | "Field.Unexpected"
        | "U005"
        | "Header.Invalid"
        | "U006"
        | "Header.Missing"
        | "U007"
        | "Resource.InvalidFormat"
        | "U010" => K::InvalidRequest,
        "Resource.ConsentMismatch" | "U008" => K::EchoMismatch,
        "Resource.InvalidConsentStatus" | "U009" => K::ConsentRevoked,
        "Resource.NotFound" | "U011" => K::ResourceUnknown,
        "Rules.AfterCutOffDateTime" | "U012" => K::PaymentRejected,
        "Rules.DuplicateReference" | "U013" | "Rules.ResourceAlreadyExists" | "U029" => K::DuplicateRequest,
        "Rules.FailsControlParameters" | "U014" => K::PaymentLimit,
        "Signature.Invalid"
        | "U015"
        | "Signature.InvalidClaim"
        | "U016"
        | "Signature.MissingClaim"
        | "U017"
        | "Signature.Malformed"
        | "U018"
        | "Signature.Missing"
        | "U019"
        | "Signature.Unexpected"
        | "U020" => K::SignatureRejected,
        "Unsupported.AccountIdentifier"
        | "U021"
        | "Unsupported.AccountSecondaryIdentifier"
        | "U022"
        | "Unsupported.Currency"
        | "U023"
        | "Unsupported.EventType"
        | "U024"
        | "Unsupported.Frequency"
        | "U025"
        | "Unsupported.LocalInstrument"
        | "U026"
        | "Unsupported.Scheme"
        | "U027" => K::Unsupported,
        "Reauthenticate" | "U028" => K::ConsentExpired,
        "UnexpectedError" | "U000" => K::BankFailed,
        _ => return None,
    })
}
