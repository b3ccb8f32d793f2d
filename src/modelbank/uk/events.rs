//! Events: subscriptions, aggregated polling, and security event tokens (RFC 8417).

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use crypto::{Psd2Role, jws};
use serde_json::{Map, Value, json};

use super::consents::parsed;
use super::refusal::Refusal;
use super::signature::{demand, signed};
use super::{AISP, CBPII, PISP, orders};
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::notices::{Notice, Subscription};
use crate::notices::Post;

/// Base path of events and subscriptions.
pub(super) const BASE: &str = "/open-banking/v4.0";

const UPDATE: &str = "urn:uk:org:openbanking:events:resource-update";
const REVOKED: &str = "urn:uk:org:openbanking:events:consent-authorization-revoked";
const LINKED: &str = "urn:uk:org:openbanking:events:account-access-consent-linked-account-update";

pub(super) async fn list(State(bank): State<Arc<Bank>>, caller: Caller) -> Result<Json<Value>, Refusal> {
    let client = client_of(&bank, &caller)?;
    let views: Vec<Value> = bank.vault.read(|book| {
        let own = book.notices.subscriptions.values().filter(|each| each.client == client);
        own.map(view).collect()
    });
    let itself = format!("{}{BASE}/event-subscriptions", bank.api_url);
    Ok(Json(json!({ "Data": { "EventSubscription": views }, "Links": { "Self": itself }, "Meta": {} })))
}

pub(super) async fn create(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Refusal> {
    let client = client_of(&bank, &caller)?;
    demand(&bank, &caller, &body)?;
    let made = subscription(&caller, bank.fresh("es-"), client, &body)?;
    let now = bank.now();
    let first = bank.vault.change(|book| {
        let subscriptions = &mut book.notices.subscriptions;
        let first = !subscriptions.values().any(|each| each.client == made.client);
        if first {
            subscriptions.insert(made.id.clone(), made.clone());
            // What has happened before is no news.
            let old = book.news(now);
            old.iter().for_each(|old| book.note_seen(old));
        }
        first
    });
    if !first {
        return Err(Refusal::Exists);
    }
    bank.vault.keep().await?;
    Ok(signed(&bank, StatusCode::CREATED, &json!({ "Data": view(&made) })))
}

pub(super) async fn change(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let client = client_of(&bank, &caller)?;
    demand(&bank, &caller, &body)?;
    let changed = subscription(&caller, id, client, &body)?;
    let known = bank.vault.change(|book| {
        let kept = book.notices.subscriptions.get_mut(&changed.id);
        kept.filter(|kept| kept.client == changed.client).map(|kept| *kept = changed.clone()).is_some()
    });
    if !known {
        return Err(Refusal::not_found());
    }
    bank.vault.keep().await?;
    Ok(signed(&bank, StatusCode::OK, &json!({ "Data": view(&changed) })))
}

pub(super) async fn end(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let client = client_of(&bank, &caller)?;
    let ended = bank.vault.change(|book| {
        let own = book.notices.subscriptions.get(&id).is_some_and(|each| each.client == client);
        own && book.notices.subscriptions.remove(&id).is_some()
    });
    if !ended {
        return Err(Refusal::not_found());
    }
    bank.vault.keep().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives the events that wait. What is acknowledged, or said not to be understood, waits no more.
pub(super) async fn poll(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let client = client_of(&bank, &caller)?;
    let body = parsed(&caller, &body)?;
    let acknowledged = body.get("ack").and_then(Value::as_array).into_iter().flatten();
    let acknowledged = acknowledged.filter_map(Value::as_str).map(str::to_owned);
    let refused = body.get("setErrs").and_then(Value::as_object).into_iter().flatten();
    let settled: Vec<String> = acknowledged.chain(refused.map(|(jti, _)| jti.clone())).collect();
    let most = body.get("maxEvents").and_then(Value::as_u64);
    let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let now = bank.now();
    let waiting: Vec<(Subscription, Notice)> = bank.vault.change(|book| {
        settled.iter().for_each(|jti| drop(book.notices.waiting.remove(jti)));
        let own = book.notices.subscriptions.values().find(|each| each.client == client);
        let waiting = book.notices.waiting.values();
        let due =
            waiting.filter(|notice| notice.not_before <= now && own.is_some_and(|own| own.tpp == notice.tpp));
        due.filter_map(|notice| Some((own?.clone(), notice.clone()))).collect()
    });
    bank.vault.keep().await?;
    let given = waiting.iter().take(most);
    let sets = given.filter_map(|(own, notice)| Some((notice.id.clone(), token(&bank, own, notice)?.into())));
    let sets: Map<String, Value> = sets.collect();
    Ok(Json(json!({ "moreAvailable": waiting.len() > most, "sets": sets })))
}

/// An event, to whoever wants it posted.
pub(crate) fn post(bank: &Bank, notice: &Notice) -> Option<Post> {
    let own = bank
        .vault
        .read(|book| book.notices.subscriptions.values().find(|each| each.tpp == notice.tpp).cloned())?;
    let (url, body) = (own.callback.clone()?, token(bank, &own, notice)?);
    Some(Post { url, content_type: "application/jwt", body })
}

/// The token of an event; none of a type that nobody subscribed to. A forged one has the
/// signature of another.
fn token(bank: &Bank, subscription: &Subscription, notice: &Notice) -> Option<String> {
    let kind = if notice.withdrawn { REVOKED } else { UPDATE };
    if !subscription.types.contains(kind) {
        return None;
    }
    let (name, link) = place(bank, &notice.about);
    let subject = json!({
        "subject_type": "http://openbanking.org.uk/rid_http://openbanking.org.uk/rty",
        "http://openbanking.org.uk/rid": notice.about,
        "http://openbanking.org.uk/rty": name,
        "http://openbanking.org.uk/rlk": [{ "version": subscription.version, "link": link }],
    });
    let claims = json!({
        "iss": bank.pages_url,
        "iat": bank.now().as_second(),
        "jti": notice.id,
        "aud": subscription.client,
        "sub": link,
        "txn": notice.id,
        "toe": notice.at.as_second(),
        "events": { kind: { "subject": subject } },
    });
    let header = Map::from_iter([("typ".to_owned(), json!("JWT"))]);
    let sign = |payload: &str| jws::sign_compact(bank.signing.as_ref()?, &header, payload.as_bytes()).ok();
    let token = sign(&claims.to_string())?;
    if !notice.forged {
        return Some(token);
    }
    let other = sign("{}")?;
    Some(format!("{}.{}", token.rsplit_once('.')?.0, other.rsplit_once('.')?.1))
}

/// What kind of resource a name is of, and where that is.
fn place(bank: &Bank, id: &str) -> (String, String) {
    let services = orders::ALL.into_iter().flat_map(|service| {
        let (consent, order) = service.prefixes;
        [(consent, format!("{}-consent", service.name), PISP), (order, service.name.to_owned(), PISP)]
    });
    let others = [
        ("aac-", "account-access-consent", AISP),
        ("fcc-", "funds-confirmation-consent", CBPII),
        ("vrc-", "domestic-vrp-consent", PISP),
        ("vrp-", "domestic-vrp", PISP),
    ];
    let others = others.into_iter().map(|(prefix, name, base)| (prefix, name.to_owned(), base));
    let found = services.chain(others).find(|(prefix, ..)| id.starts_with(prefix));
    let (name, base) = found.map_or_else(|| ("unknown".to_owned(), PISP), |(_, name, base)| (name, base));
    let link = format!("{}{base}/{name}s/{id}", bank.api_url);
    (name, link)
}

/// The client of a token of its own.
fn client_of(bank: &Bank, caller: &Caller) -> Result<String, Refusal> {
    let accounts = caller.organisation(Psd2Role::AccountInformation);
    accounts.or_else(|_| caller.organisation(Psd2Role::PaymentInitiation))?;
    let token = caller.token(bank, "accounts").or_else(|_| caller.token(bank, "payments"))?;
    token.client.filter(|_| token.consent.is_none()).ok_or(Refusal::Forbidden)
}

/// A subscription as a body asks for it.
fn subscription(caller: &Caller, id: String, client: String, body: &Bytes) -> Result<Subscription, Refusal> {
    let body = parsed(caller, body)?;
    let data = body.get("Data").ok_or_else(|| Refusal::field("U004", "Data is missing", "Data"))?;
    let text = |name: &str| data.get(name).and_then(Value::as_str).map(str::to_owned);
    let version =
        text("Version").ok_or_else(|| Refusal::field("U004", "Version is missing", "Data.Version"))?;
    let types = data.get("EventTypes").and_then(Value::as_array).into_iter().flatten();
    let types: BTreeSet<String> = types.filter_map(Value::as_str).map(str::to_owned).collect();
    if !types.iter().all(|kind| [UPDATE, REVOKED, LINKED].contains(&kind.as_str())) {
        return Err(Refusal::field("U024", "There is no event of this type", "Data.EventTypes"));
    }
    let tpp = caller.peer.as_deref().and_then(|peer| peer.organization_identifier.clone());
    let tpp = tpp.ok_or(Refusal::Forbidden)?;
    Ok(Subscription { id, tpp, client, callback: text("CallbackUrl"), version, types })
}

fn view(subscription: &Subscription) -> Value {
    let mut view = json!({
        "EventSubscriptionId": subscription.id,
        "Version": subscription.version,
        "EventTypes": subscription.types,
    });
    if let (Some(view), Some(callback)) = (view.as_object_mut(), &subscription.callback) {
        view.insert("CallbackUrl".into(), callback.as_str().into());
    }
    view
}
