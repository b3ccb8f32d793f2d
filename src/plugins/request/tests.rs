use std::net::IpAddr;

use connect::{Profile, PsuPresence};
use secrecy::SecretString;
use uuid::Uuid;

use super::*;

fn bank() -> Profile {
    let mut profile =
        Profile::blank("xx-bank".parse().unwrap(), "Bank", "eu".parse().unwrap(), "plugin:test");
    profile.accounts_api =
        Some(ApiBase { url: "https://bank.example/api/".parse().unwrap(), version: "1".into() });
    profile
}

fn wanted(headers: Vec<(&str, wit::HeaderValue)>) -> wit::Request {
    wit::Request {
        method: wit::Method::Post,
        target: wit::Target { path: vec!["a/b".into()], query: vec![("von".into(), "1&2".into())] },
        headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        body: Some(wit::Body { content_type: "text/plain".into(), content: "Grüße".into() }),
    }
}

fn built(
    token: Option<&SecretString>,
    psu: Option<&PsuPresence>,
    wanted: wit::Request,
    effect: Effect,
) -> Result<BankRequest, BankError> {
    let profile = bank();
    let cx = CallContext {
        profile: &profile,
        request_id: Uuid::nil(),
        now: "2026-01-02T03:04:05Z".parse().unwrap(),
        psu,
        psu_id: None,
        access_token: token,
        bank_consent_id: None,
    };
    request(&cx, profile.accounts_api()?, wanted, effect)
}

/// The plugin names the token and the person's device; we write what they are.
#[test]
fn secrets_are_written_where_the_plugin_names_them() {
    let token = SecretString::from("secret");
    let psu = PsuPresence {
        ip_address: IpAddr::from([192, 0, 2, 1]),
        user_agent: Some("Browser".into()),
        accept_language: None,
        last_authenticated: None,
    };
    let headers = || {
        vec![
            ("authorization", wit::HeaderValue::BearerToken),
            ("x-ip", wit::HeaderValue::PsuIpAddress),
            ("x-agent", wit::HeaderValue::PsuUserAgent),
            ("x-word", wit::HeaderValue::Text("word".into())),
        ]
    };
    let request = built(Some(&token), Some(&psu), wanted(headers()), Effect::Read).unwrap();
    assert_eq!(request.url.as_str(), "https://bank.example/api/a%2Fb?von=1%262");
    for (name, value) in [
        ("authorization", "Bearer secret"),
        ("x-ip", "192.0.2.1"),
        ("x-agent", "Browser"),
        ("x-word", "word"),
    ] {
        assert_eq!(request.header_text(name), Some(value));
    }
    assert_eq!((request.effect, request.body.as_deref()), (Effect::Read, Some("Grüße".as_bytes())));
    assert_eq!(request.header_text("content-type"), Some("text/plain"));

    let without = built(None, None, wanted(headers()), Effect::Read).unwrap();
    assert_eq!(without.headers.len(), 2, "a word and the type of the body");
}

/// What authorises us, what carries the message and what signs it is ours to write.
#[test]
fn headers_of_ours_are_refused() {
    let text = || wit::HeaderValue::Text("x".into());
    for name in
        ["authorization", "host", "cookie", "content-length", "transfer-encoding", "digest", "not a name", ""]
    {
        let error = built(None, None, wanted(vec![(name, text())]), Effect::Read).err().unwrap();
        assert_eq!(
            (error.kind, error.field.as_deref()),
            (BankErrorKind::PluginFailed, Some("headers[0]")),
            "{name}"
        );
    }
    let twice = wanted(vec![("x-a", text()), ("x-a", text())]);
    assert_eq!(built(None, None, twice, Effect::Read).err().unwrap().field.as_deref(), Some("headers[1]"));
    let split = wanted(vec![("x-a", wit::HeaderValue::Text("a\r\nhost: b".into()))]);
    assert!(built(None, None, split, Effect::Read).is_err());
}

/// What only reads may be sent twice, so it is sent by a method that can only read
/// or says nothing about it.
#[test]
fn what_only_reads_is_never_sent_by_put_or_delete() {
    for method in [wit::Method::Put, wit::Method::Delete] {
        let wanted = || wit::Request { method, ..wanted(Vec::new()) };
        let error = built(None, None, wanted(), Effect::Read).err().unwrap();
        assert_eq!(error.field.as_deref(), Some("method"));
        assert!(built(None, None, wanted(), Effect::Write).is_ok());
    }
    let get = wit::Request { method: wit::Method::Get, ..wanted(Vec::new()) };
    assert_eq!(built(None, None, get, Effect::Read).err().unwrap().field.as_deref(), Some("body"));
}

/// A page is asked for by the words that the plugin named it by.
#[test]
fn a_page_is_asked_for_as_the_plugin_named_it() {
    let profile = bank();
    let cx = CallContext {
        profile: &profile,
        request_id: Uuid::nil(),
        now: "2026-01-02T03:04:05Z".parse().unwrap(),
        psu: None,
        psu_id: None,
        access_token: None,
        bank_consent_id: None,
    };
    let target = |mark: &str| wit::Target {
        path: vec!["ü".into(), "list".into()],
        query: vec![("mark".into(), mark.into())],
    };
    let page = page_of(&cx, target("2 & 3")).unwrap();
    let again = target_of(&cx, &page).unwrap();
    assert_eq!((again.path, again.query), (target("").path, vec![("mark".into(), "2 & 3".into())]));
    assert!(page == page_of(&cx, target("2 & 3")).unwrap() && page != page_of(&cx, target("4")).unwrap());
    let away = wit::Target { path: vec!["..".into()], query: Vec::new() };
    assert_eq!(page_of(&cx, away).err().unwrap().kind, BankErrorKind::PluginFailed);
}
