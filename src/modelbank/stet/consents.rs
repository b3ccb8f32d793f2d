//! The authorization that is the consent, and what the TPP keeps of it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use crypto::Psd2Role;
use jiff::ToSpan;
use serde_json::{Value, json};

use super::refusal::Refusal;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::book::Pushed;
use crate::engine::{Consent, ConsentState, Purpose};
use crate::oauth;

/// Days that an authorization lasts (RTS article 10a).
const DAYS: i64 = 180;

/// The name of the authorization request that a browser came with; none if it
/// is not one of a known client.
pub(crate) fn requested(bank: &Bank, query: &HashMap<String, String>) -> Option<String> {
    let parameter = |name: &str| query.get(name).map(String::as_str);
    let client = bank.client_named(parameter("client_id")?)?;
    let redirect = parameter("redirect_uri")?;
    let scope = parameter("scope")?;
    let known = |word: &str| word == "aisp" || word == "extended_transaction_history";
    let reads = scope.split(' ').any(|word| word == "aisp") && scope.split(' ').all(known);
    let purpose = if scope == "cbpii" { Purpose::Funds } else { Purpose::Accounts };
    let asked = reads || purpose == Purpose::Funds;
    let registered = client.registered.redirect_uris.iter().any(|uri| uri == redirect);
    if parameter("response_type") != Some("code") || !registered || !asked {
        return None;
    }
    let challenge = parameter("code_challenge").unwrap_or_default();
    if !challenge.is_empty() && parameter("code_challenge_method") != Some("S256") {
        return None;
    }
    let now = bank.now();
    let consent = Consent {
        expires: now.checked_add((DAYS.saturating_mul(24)).hours()).ok(),
        frequency: 4,
        ..Consent::asked(
            bank.fresh("aut-"),
            client.registered.organization_identifier.clone(),
            purpose,
            now,
            json!({ "balances": null, "transactions": null }),
        )
    };
    let pushed = Pushed {
        consent: consent.id.clone(),
        redirect_uri: redirect.to_owned(),
        scope: scope.to_owned(),
        state: parameter("state").map(str::to_owned),
        nonce: None,
        challenge: challenge.to_owned(),
        hybrid: false,
        client: String::new(),
        expires: oauth::request_end(bank),
    };
    Some(oauth::keep_request(bank, consent, pushed))
}

/// Keeps of the consent what the body names; a consent with nothing in it is over.
pub(super) async fn replace(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let consent = live(&bank, &caller, Psd2Role::AccountInformation, "aisp")?;
    let body: Value =
        serde_json::from_slice(&body).map_err(|_| Refusal::format("The body is not valid JSON"))?;
    let lists = ["balances", "transactions"].map(|name| body.get(name).and_then(Value::as_array));
    let [Some(balances), Some(transactions)] = lists else {
        return Err(Refusal::format("balances and transactions are lists"));
    };
    let over = balances.is_empty() && transactions.is_empty();
    let now = bank.now();
    bank.vault.change(|book| {
        if over {
            book.tokens.retain(|_, token| token.consent.as_deref() != Some(consent.id.as_str()));
        }
        if let Some(kept) = book.consents.get_mut(&consent.id) {
            kept.body = body;
            if over {
                kept.becomes(ConsentState::Ended, now);
            }
        }
    });
    bank.vault.keep().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The consent of the caller's token, if it stands. The token ends with it.
pub(super) fn live(bank: &Bank, caller: &Caller, role: Psd2Role, scope: &str) -> Result<Consent, Refusal> {
    let organisation = caller.organisation(role)?;
    let consent = caller.bound_consent(bank, scope)?;
    if consent.tpp != organisation {
        return Err(Refusal::forbidden());
    }
    if consent.is_live(bank.now()) { Ok(consent) } else { Err(Refusal::token()) }
}

/// True if the consent covers `what` of an account: all, until the TPP has said less.
pub(super) fn allows(consent: &Consent, what: &str, iban: &str) -> bool {
    match consent.body.get(what).and_then(Value::as_array) {
        None => true,
        Some(list) => list.iter().any(|account| account.get("iban").is_some_and(|named| named == iban)),
    }
}

/// True if the consent covers what belongs to no account: so it is, until the TPP has
/// said otherwise.
pub(super) fn grants(consent: &Consent, what: &str) -> bool {
    consent.body.get(what).and_then(Value::as_bool).unwrap_or(true)
}
