//! Event subscriptions and aggregated polling, and what an event is about.

use std::collections::{BTreeMap, BTreeSet};

use connect::{
    ApiBase, BankError, BankEvents, BankRequest, BankResponse, CallContext, Effect, EventPoll,
    EventSubscription, EventWish, PolledEvents, Profile, TokenKind,
};
use domain::Capability;
use http::Method;
use serde_json::{Map, Value, json};
use url::Url;

use super::{accepted, request, sealed, success};
use crate::node::Node;
use crate::tree::Tree;

/// Events of UK banks.
#[derive(Clone, Copy, Debug)]
pub(super) struct UkEvents;

/// What the names of the events of this standard begin with.
const PREFIX: &str = "urn:uk:org:openbanking:events:";
/// The events that are of use to us.
const TYPES: [&str; 3] =
    ["resource-update", "consent-authorization-revoked", "account-access-consent-linked-account-update"];
/// The member of an event's subject that names the resource.
const RESOURCE: &str = "http://openbanking.org.uk/rid";
/// Longest description of a token that is not taken, bytes.
const LONGEST: usize = 256;

impl BankEvents for UkEvents {
    fn token(&self, profile: &Profile) -> TokenKind<'static> {
        let can = |capability| profile.capabilities.contains(&capability);
        // A bank sends the events of what the token is good for.
        TokenKind::Client(match (can(Capability::Accounts), can(Capability::Payments)) {
            (true, true) => "accounts payments",
            (false, true) => "payments",
            (true | false, false) => "accounts",
        })
    }

    fn types(&self) -> BTreeSet<String> {
        TYPES.iter().map(|name| format!("{PREFIX}{name}")).collect()
    }

    fn about(&self, events: &Map<String, Value>) -> Option<BTreeSet<String>> {
        let known = |name: &str| name.strip_prefix(PREFIX).is_some_and(|name| TYPES.contains(&name));
        let known = events.iter().filter(|(name, _)| known(name));
        let resource = |event: &Value| {
            let resource = event.get("subject")?.get(RESOURCE)?.as_str()?;
            ApiBase::is_segment(resource).then(|| resource.to_owned())
        };
        known.map(|(_, event)| resource(event)).collect()
    }

    fn subscriptions(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError> {
        request(cx, Method::GET, subscriptions_url(cx)?, Effect::Read, None)
    }

    fn subscriptions_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<Vec<EventSubscription>, BankError> {
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        root.get("Data").get("EventSubscription").items()?.iter().map(subscription).collect()
    }

    fn subscribe(
        &self,
        cx: &CallContext<'_>,
        id: Option<&str>,
        wish: &EventWish,
    ) -> Result<BankRequest, BankError> {
        let mut data = Map::new();
        if let Some(callback) = &wish.callback {
            data.insert("CallbackUrl".into(), callback.as_str().into());
        }
        data.insert("Version".into(), cx.profile.events_api()?.version.clone().into());
        data.insert("EventTypes".into(), json!(wish.types));
        let (method, url) = match id {
            Some(id) => {
                data.insert("EventSubscriptionId".into(), id.into());
                (Method::PUT, subscription_url(cx, id)?)
            }
            None => (Method::POST, subscriptions_url(cx)?),
        };
        let body = json!({ "Data": data });
        Ok(sealed(cx, request(cx, method, url, Effect::Write, Some(&body))?))
    }

    fn unsubscribe(&self, cx: &CallContext<'_>, id: &str) -> Result<BankRequest, BankError> {
        request(cx, Method::DELETE, subscription_url(cx, id)?, Effect::Write, None)
    }

    fn taken(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<(), BankError> {
        accepted(cx, response)
    }

    fn poll(&self, cx: &CallContext<'_>, ask: &EventPoll) -> Result<BankRequest, BankError> {
        let mut body = Map::new();
        body.insert("maxEvents".into(), ask.at_most.into());
        body.insert("returnImmediately".into(), true.into());
        if !ask.acknowledged.is_empty() {
            body.insert("ack".into(), json!(ask.acknowledged));
        }
        if !ask.refused.is_empty() {
            let errors = ask.refused.iter().map(|(jti, why)| {
                let description = why.to_string().chars().take(LONGEST).collect::<String>();
                (jti.clone(), json!({ "err": why.code(), "description": description }))
            });
            body.insert("setErrs".into(), Value::Object(errors.collect()));
        }
        let url = cx.profile.events_api()?.join(&["events"]);
        request(cx, Method::POST, url, Effect::Read, Some(&Value::Object(body)))
    }

    fn polled(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<PolledEvents, BankError> {
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let more = root.get("moreAvailable").boolean()?.unwrap_or(false);
        let Some(Tree::Object(sets)) = body.get("sets") else {
            return if root.get("sets").exists() {
                Err(root.get("sets").malformed())
            } else {
                Ok(PolledEvents { more, ..PolledEvents::default() })
            };
        };
        let mut tokens = BTreeMap::new();
        for (jti, token) in sets {
            let Tree::Text(token) = token else { return Err(root.get("sets").malformed()) };
            tokens.insert(jti.clone().into_owned(), token.clone().into_owned());
        }
        Ok(PolledEvents { tokens, more })
    }
}

fn subscription(node: &Node<'_>) -> Result<EventSubscription, BankError> {
    let mut types = BTreeSet::new();
    for kind in node.get("EventTypes").items()? {
        types.insert(kind.required_text()?);
    }
    let callback = node.get("CallbackUrl").text()?;
    Ok(EventSubscription {
        id: node.get("EventSubscriptionId").required_id()?,
        // An address that is none is not ours, and is replaced.
        wish: EventWish { callback: callback.and_then(|text| Url::parse(&text).ok()), types },
    })
}

fn subscriptions_url(cx: &CallContext<'_>) -> Result<Url, BankError> {
    Ok(cx.profile.events_api()?.join(&["event-subscriptions"]))
}

fn subscription_url(cx: &CallContext<'_>, id: &str) -> Result<Url, BankError> {
    Ok(cx.profile.events_api()?.join(&["event-subscriptions", id]))
}
