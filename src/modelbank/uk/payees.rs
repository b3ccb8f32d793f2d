//! Confirmation of Payee.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use crypto::Psd2Role;
use serde_json::{Value, json};

use super::consents::parsed;
use super::refusal::Refusal;
use super::signature;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::accounts;
use crate::engine::payee::{Verdict, verdict};

pub(super) async fn verify(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    caller.organisation(Psd2Role::PaymentInitiation)?;
    caller.token(&bank, "name-verification")?;
    signature::demand(&bank, &caller, &body)?;
    let body = parsed(&caller, &body)?;
    let text = |name: &'static str, path: &'static str| {
        let found = body.pointer(&format!("/Data/{name}")).and_then(Value::as_str);
        found
            .filter(|text| !text.is_empty())
            .ok_or_else(|| Refusal::field("U004", "The field is missing", path))
    };
    if text("SchemeName", "Data.SchemeName")? != "SortCodeAccountNumber" {
        return Err(Refusal::field("U027", "The scheme is not supported", "Data.SchemeName"));
    }
    if !["Personal", "Business"].contains(&text("AccountType", "Data.AccountType")?) {
        return Err(Refusal::field("U002", "The type is not supported", "Data.AccountType"));
    }
    let number = text("Identification", "Data.Identification")?;
    let name = text("Name", "Data.Name")?;
    let account = accounts(bank.kind).iter().find(|account| account.sort_code_account() == number);
    let report = match account.map(|account| verdict(account, name)) {
        None => json!({ "Matched": false, "ReasonCode": "AC01" }),
        Some(Verdict::Match) => json!({ "Matched": true }),
        Some(Verdict::Close(owner)) => json!({ "Matched": false, "ReasonCode": "MBAM", "Name": owner }),
        Some(Verdict::NoMatch) => json!({ "Matched": false, "ReasonCode": "ANNM" }),
        Some(Verdict::NotPossible) => json!({ "Matched": false, "ReasonCode": "OPTO" }),
    };
    Ok(Json(json!({ "Data": { "VerificationReport": report } })))
}
