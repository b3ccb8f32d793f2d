//! Event subscriptions and aggregated polling.

use std::collections::{BTreeMap, BTreeSet};

use connect::{BankEvents, EventPoll, EventRefused, EventWish, Notifications, PolledEvents};
use domain::Capability;

use super::super::events::UkEvents;
use super::*;

fn notifying() -> Profile {
    let mut profile = profile("4.0");
    let url = "https://api.bank.example/open-banking/v4.0".parse().unwrap();
    let events_api = Some(ApiBase { url, version: "4.0".into() });
    profile.notifications = Some(Notifications { push: true, events_api, ..Notifications::default() });
    profile
}

fn wish() -> EventWish {
    let callback: Url = "https://gateway.example/bank-notifications/gb-examplebank".parse().unwrap();
    EventWish { callback: Some(callback), types: UkEvents.types() }
}

fn sent(request: &BankRequest) -> Value {
    serde_json::from_slice(request.body.as_deref().unwrap()).unwrap()
}

/// The token is good for what the bank does.
#[test]
fn the_token_is_of_what_events_are_wanted_of() {
    let mut profile = notifying();
    for (can, scope) in [
        (&[][..], "accounts"),
        (&[Capability::Accounts][..], "accounts"),
        (&[Capability::Payments][..], "payments"),
        (&[Capability::Accounts, Capability::Payments][..], "accounts payments"),
    ] {
        profile.capabilities = can.iter().copied().collect();
        assert_eq!(UkEvents.token(&profile), TokenKind::Client(scope));
    }
}

#[test]
fn a_subscription_is_made_changed_and_ended_and_read_back() {
    let (profile, token) = (notifying(), "t".to_owned().into());
    let cx = context(&profile, &token);
    let made = UkEvents.subscribe(&cx, None, &wish()).unwrap();
    assert_eq!((made.method.as_str(), made.url.path()), ("POST", "/open-banking/v4.0/event-subscriptions"));
    assert_eq!((made.signature, made.effect), (Signature::DetachedJws, Effect::Write));
    let callback = "https://gateway.example/bank-notifications/gb-examplebank";
    let types = json!([
        "urn:uk:org:openbanking:events:account-access-consent-linked-account-update",
        "urn:uk:org:openbanking:events:consent-authorization-revoked",
        "urn:uk:org:openbanking:events:resource-update",
    ]);
    let data = json!({ "CallbackUrl": callback, "Version": "4.0", "EventTypes": types });
    assert_eq!(sent(&made), json!({ "Data": data }));
    let changed = UkEvents.subscribe(&cx, Some("es-1"), &EventWish { callback: None, ..wish() }).unwrap();
    assert_eq!(changed.url.path(), "/open-banking/v4.0/event-subscriptions/es-1");
    assert_eq!((changed.method.as_str(), changed.signature), ("PUT", Signature::DetachedJws));
    let data = json!({ "EventSubscriptionId": "es-1", "Version": "4.0", "EventTypes": types });
    assert_eq!(sent(&changed), json!({ "Data": data }));
    let ended = UkEvents.unsubscribe(&cx, "es-1").unwrap();
    assert_eq!((ended.method.as_str(), ended.body), ("DELETE", None));
    let listed = json!({ "Data": { "EventSubscription": [
        { "EventSubscriptionId": "es-1", "CallbackUrl": callback, "Version": "4.0", "EventTypes": types },
        { "EventSubscriptionId": "es-2", "Version": "4.0" },
    ] } });
    let read = UkEvents.subscriptions_read(&cx, &answer(200, &listed)).unwrap();
    assert_eq!((read[0].id.as_str(), &read[0].wish), ("es-1", &wish()));
    assert_eq!(read[1].wish, EventWish { callback: None, types: BTreeSet::new() });
    assert!(UkEvents.subscriptions_read(&cx, &answer(200, &json!({}))).unwrap().is_empty());
    assert!(UkEvents.taken(&cx, &answer(201, &json!({}))).is_ok());
    assert!(UkEvents.taken(&cx, &answer(409, &json!({}))).is_err());
}

#[test]
fn a_poll_says_what_became_of_the_tokens_before() {
    let (profile, token) = (notifying(), "t".to_owned().into());
    let cx = context(&profile, &token);
    let bare = UkEvents.poll(&cx, &EventPoll { at_most: 20, ..EventPoll::default() }).unwrap();
    assert_eq!((bare.url.path(), bare.effect), ("/open-banking/v4.0/events", Effect::Read));
    assert_eq!(sent(&bare), json!({ "maxEvents": 20, "returnImmediately": true }));
    let refused = BTreeMap::from([("j-2".to_owned(), EventRefused::InvalidAudience)]);
    let ask = EventPoll { at_most: 0, acknowledged: vec!["j-1".to_owned()], refused };
    let error = json!({ "err": "invalid_audience", "description": "the audience is not this recipient" });
    assert_eq!(
        sent(&UkEvents.poll(&cx, &ask).unwrap()),
        json!({ "maxEvents": 0, "returnImmediately": true, "ack": ["j-1"], "setErrs": { "j-2": error } })
    );
    let polled = |body: Value| UkEvents.polled(&cx, &answer(200, &body));
    let tokens = BTreeMap::from([("j-3".to_owned(), "a.b.c".to_owned())]);
    let body = json!({ "moreAvailable": true, "sets": { "j-3": "a.b.c" } });
    assert_eq!(polled(body).unwrap(), PolledEvents { tokens, more: true });
    assert_eq!(polled(json!({ "moreAvailable": false, "sets": {} })).unwrap(), PolledEvents::default());
    assert_eq!(polled(json!({})).unwrap(), PolledEvents::default());
    for wrong in [json!({ "sets": [] }), json!({ "sets": { "j": 1 } })] {
        assert_eq!(polled(wrong).unwrap_err().field.as_deref(), Some("/sets"));
    }
}

#[test]
fn an_event_of_a_known_type_says_what_it_is_about() {
    let about = |events: Value| UkEvents.about(events.as_object().unwrap());
    let event = |id: &str| json!({ "subject": { "http://openbanking.org.uk/rid": id } });
    let known = json!({
        "urn:uk:org:openbanking:events:resource-update": event("pd-1"),
        "urn:uk:org:openbanking:events:consent-authorization-revoked": event("aac-1"),
        "urn:uk:org:openbanking:events:bank-holiday": {},
    });
    assert_eq!(about(known), Some(BTreeSet::from(["aac-1".to_owned(), "pd-1".to_owned()])));
    assert_eq!(about(json!({ "urn:example:other": 1 })), Some(BTreeSet::new()));
    for silent in [json!({}), json!({ "subject": {} }), event(".."), event("")] {
        assert_eq!(about(json!({ "urn:uk:org:openbanking:events:resource-update": silent })), None);
    }
}
