//! Requests that the browser brings itself, signed (RFC 9101), with what a bank
//! of some habits wants beside them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{accepted, pending_named, request_object};
use crate::bank::Bank;
use crate::engine::Purpose;
use crate::engine::book::Pushed;
use crate::habit::Habit;

/// Keeps the request of this query until the customer has decided; answers its
/// name, or nothing if it is not in order.
pub(crate) fn brought(bank: &Bank, query: &str) -> Option<String> {
    let query = parameters(bank, query)?;
    let client = bank.client_named(query.get("client_id")?)?;
    let object = request_object(bank, &client, query.get("request")?).ok()?;
    // OpenID Connect Core §6.1: what stands in both places is the same.
    let same = ["client_id", "response_type", "scope"]
        .iter()
        .all(|name| query.get(*name).is_none_or(|value| object.get(*name) == Some(value)));
    let request = accepted(bank, &client, &object).ok().filter(|_| same)?;
    if !has_the_rest(bank, &query, &request) {
        return None;
    }
    let name = bank.fresh("");
    bank.vault.change(|book| {
        book.prune(bank.now());
        book.pushed.insert(name.clone(), request);
    });
    Some(name)
}

/// Whether a request may be decided at this address.
pub(crate) fn belongs(bank: &Bank, name: &str, for_accounts: bool) -> bool {
    if !bank.has(Habit::AuthorizationEndpointForRole) {
        return !for_accounts;
    }
    let consent = pending_named(bank, name).map(|request| request.consent);
    let purpose = consent.and_then(|id| bank.vault.read(|book| Some(book.consents.get(&id)?.purpose)));
    purpose.is_some_and(|purpose| (purpose == Purpose::Accounts) == for_accounts)
}

fn has_the_rest(bank: &Bank, query: &BTreeMap<String, String>, request: &Pushed) -> bool {
    let wanted = [
        (Habit::ConsentInQuery, "consent", Some(request.consent.as_str())),
        (Habit::NonceInQueryToo, "nonce", request.nonce.as_deref()),
        (Habit::ExtraQuery, "channel", Some("tpp")),
    ];
    wanted.iter().all(|(habit, name, value)| {
        !bank.has(*habit) || (value.is_some() && query.get(*name).map(String::as_str) == *value)
    })
}

fn parameters(bank: &Bank, query: &str) -> Option<BTreeMap<String, String>> {
    let decoded = |text: &str| -> BTreeMap<String, String> {
        url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
    };
    let query_members = decoded(query);
    if !bank.has(Habit::QueryWrapped) {
        return Some(query_members);
    }
    let inner = String::from_utf8(URL_SAFE_NO_PAD.decode(query_members.get("data")?).ok()?).ok()?;
    if bank.has(Habit::QueryNotEncoded) {
        let pairs = inner.split('&').filter_map(|pair| pair.split_once('='));
        return Some(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
    }
    Some(decoded(&inner))
}
