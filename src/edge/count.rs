//! Who is counted, and what answers tell of it.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue};
use limits::{Key, Told};

use crate::PeerIdentity;
use crate::places::subscriber;

/// Who is counted: the certificate if we trust it, else the address. A
/// certificate that anybody can make must not be a fresh start.
pub(crate) fn key_of(peer: &PeerIdentity) -> Key {
    match peer.trusted() {
        Some(certificate) => Key::Certificate(*certificate.thumbprint.as_bytes()),
        None => Key::Address(subscriber(peer.address.ip())),
    }
}

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Writes how the caller stands behind what a handler has told of
/// (draft-ietf-httpapi-ratelimit-headers-10).
pub(crate) fn tell(told: &Told, headers: &mut HeaderMap) {
    let standings = told.standings();
    if standings.is_empty() {
        return;
    }
    let list = |items: &mut dyn Iterator<Item = String>, before: Option<&HeaderValue>| {
        let before = before.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut list = String::new();
        for item in before.into_iter().chain(items) {
            let comma = if list.is_empty() { "" } else { ", " };
            let _ = write!(list, "{comma}{item}");
        }
        HeaderValue::try_from(list).ok()
    };
    let policy = list(&mut standings.iter().map(limits::Standing::policy_item), headers.get(&POLICY));
    let limit = list(&mut standings.iter().map(limits::Standing::item), headers.get(&LIMIT));
    for (name, value) in [(POLICY, policy), (LIMIT, limit)] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
}
