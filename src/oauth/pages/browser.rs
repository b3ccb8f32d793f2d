//! Who sits at a browser, as far as cookies tell: the journeys that it began,
//! and the person whose consents it knows.

use domain::{Entropy, SessionId};
use http::HeaderMap;
use http::header::COOKIE;
use secrecy::ExposeSecret;

use crypto::digest::sha256_hex;

/// The one browser that a session belongs to, known by a cookie of that session
/// alone. It is made when the session opens, so a cookie that somebody planted
/// before opens nothing (session fixation), and journeys do not get in each
/// other's way.
pub(crate) struct Browser {
    session: SessionId,
    secret: String,
}

/// The person to whom consents belong: whoever uses this browser, known by a
/// cookie that lasts.
pub(crate) struct Person(String);

/// `__Host-`: set over TLS by this very host, for all of it; no other host and
/// no neighbour on a sister domain can (RFC 6265bis §4.1.3.2).
const SESSION_COOKIE: &str = "__Host-consentry-at-";
const PERSON_COOKIE: &str = "__Host-consentry-person";
/// Seconds that a browser keeps the cookie of a session: longer than any lasts.
const SESSION_AGE: i64 = super::time::LONGEST + 3_600;
/// The longest that browsers keep a cookie: 400 days (RFC 6265bis §5.5).
const PERSON_AGE: i64 = 400 * 86_400;
/// Cookies of sessions that one browser keeps at most.
const MOST_SESSIONS: usize = 8;

/// `Lax`: the PSU arrives from the application and from banks, whose links must
/// carry it; a form of another site must not.
fn cookie(name: &str, value: &str, age: i64) -> String {
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={age}")
}

/// The cookies of a request.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='))
}

/// The value of one of our cookies, if it has the shape of one.
fn value_of(headers: &HeaderMap, wanted: &str) -> Option<String> {
    let base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let ours = |value: &str| value.len() == 43 && value.bytes().all(base64url);
    let found = cookies(headers).find(|(name, value)| *name == wanted && ours(value));
    found.map(|(_, value)| value.to_owned())
}

fn secret(entropy: &dyn Entropy) -> String {
    crypto::token(entropy, 32).expose_secret().to_owned()
}

impl Browser {
    /// A browser that opens a session.
    pub(crate) fn opens(session: SessionId, entropy: &dyn Entropy) -> Self {
        Self { session, secret: secret(entropy) }
    }

    /// The browser of a request, if it may be the one of the session.
    pub(crate) fn known(headers: &HeaderMap, session: SessionId) -> Option<Self> {
        let secret = value_of(headers, &Self::name(session))?;
        Some(Self { session, secret })
    }

    fn name(session: SessionId) -> String {
        format!("{SESSION_COOKIE}{}", session.uuid().simple())
    }

    pub(crate) fn digest(&self) -> String {
        sha256_hex(self.secret.as_bytes())
    }

    /// The cookies to set when the session opens: its own, and the end of the
    /// oldest where there are many.
    pub(crate) fn cookies(&self, headers: &HeaderMap) -> Vec<String> {
        let mut old: Vec<&str> =
            cookies(headers).map(|(name, _)| name).filter(|name| name.starts_with(SESSION_COOKIE)).collect();
        // Session ids are in time order.
        old.sort_unstable();
        let over = old.len().saturating_sub(MOST_SESSIONS.saturating_sub(1));
        let mut set: Vec<String> = old.iter().take(over).map(|name| cookie(name, "", 0)).collect();
        set.push(cookie(&Self::name(self.session), &self.secret, SESSION_AGE));
        set
    }

    /// Ties a form to this browser and session.
    pub(crate) fn form_token(&self) -> String {
        sha256_hex(format!("form {} {}", self.session, self.secret).as_bytes())
    }
}

impl Person {
    /// The person at a browser, new or not.
    pub(crate) fn of(headers: &HeaderMap, entropy: &dyn Entropy) -> Self {
        Self::known(headers).unwrap_or_else(|| Self(secret(entropy)))
    }

    /// The person at a browser that was here before.
    pub(crate) fn known(headers: &HeaderMap) -> Option<Self> {
        value_of(headers, PERSON_COOKIE).map(Self)
    }

    /// What consents are bound to: of no use to whoever reads the store.
    pub(crate) fn digest(&self) -> String {
        sha256_hex(format!("consentry person {}", self.0).as_bytes())
    }

    pub(crate) fn cookie(&self) -> String {
        cookie(PERSON_COOKIE, &self.0, PERSON_AGE)
    }

    /// Makes the browser forget the person.
    pub(crate) fn forgotten() -> String {
        cookie(PERSON_COOKIE, "", 0)
    }

    /// Ties the forms of the dashboard to this browser.
    pub(crate) fn form_token(&self) -> String {
        sha256_hex(format!("access form {}", self.0).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{SystemClock, SystemEntropy};
    use http::HeaderValue;

    /// A browser with many journeys keeps the latest.
    #[test]
    fn the_cookies_of_old_sessions_are_ended() {
        let sessions: Vec<_> = (0..12).map(|_| SessionId::new(&SystemClock, &SystemEntropy)).collect();
        let mut names: Vec<_> = sessions.iter().map(|session| Browser::name(*session)).collect();
        names.sort_unstable();
        let shown =
            names.iter().map(|name| format!("{name}={}", "x".repeat(43))).collect::<Vec<_>>().join("; ");
        let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&shown).unwrap())]);
        let browser = Browser::opens(SessionId::new(&SystemClock, &SystemEntropy), &SystemEntropy);
        let set = browser.cookies(&headers);
        assert_eq!(set.len(), 6);
        for (ended, name) in set.iter().zip(&names).take(5) {
            assert!(ended.starts_with(&format!("{name}=;")) && ended.ends_with("Max-Age=0"), "{ended}");
        }
        assert!(Browser::known(&headers, sessions[0]).is_some());
        assert!(Browser::known(&HeaderMap::new(), sessions[0]).is_none());
    }

    /// What is written in the store for a person is not what the browser's
    /// cookie, or any other digest of it, is.
    #[test]
    fn the_digests_of_a_person_and_of_a_session_differ() {
        let person = Person("x".repeat(43));
        let browser = Browser { session: SessionId::default(), secret: "x".repeat(43) };
        let all = [person.digest(), person.form_token(), browser.digest(), browser.form_token()];
        for (at, one) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| other != one));
        }
    }
}
