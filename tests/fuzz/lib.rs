//! What the targets share: requests as text, a bank, and the clock's only answer.
//!
//! A target asserts what must hold of any input; that nothing panics, overflows or takes long
//! the fuzzer sees by itself.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use bytes::Bytes;
use connect::{
    ApiBase, BankError, BankRequest, BankResponse, CallContext, Dialect, Environment, Profile,
    TransactionQuery,
};
use dialects::BerlinGroup;
use domain::{Date, Money, Timestamp, Transaction};
use http::{HeaderMap, HeaderValue, StatusCode};
use secrecy::SecretString;
use url::Url;
use uuid::Uuid;
use waf::model::{Asked, Judged, Model};
use waf::{OverBudget, RuleSet, Settings, Sources, Typed, Verdict};

/// The day on which everything happens.
pub fn today() -> Date {
    "2026-01-01".parse().expect("a day")
}

/// The instant at which everything happens.
pub fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("an instant")
}

/// The interfaces that there are.
pub static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let documents =
        [include_str!("../../openapi/consentry.json"), include_str!("../../openapi/authorization.json")];
    let documents = documents.map(|text| serde_json::from_str(text).expect("a description"));
    Model::of(&documents).expect("a model")
});

/// The gateway's own rules.
pub static RULES: LazyLock<RuleSet> =
    LazyLock::new(|| RuleSet::load(&Sources::own(), &Settings::new(today())).expect("our rules").0);

/// A request as it is written: the line, headers, an empty line and the body. Lines end as they
/// like, and the version may be absent.
#[derive(Debug)]
pub struct Written<'a> {
    /// The method.
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Names in lower case, values.
    pub headers: Vec<(String, &'a [u8])>,
    /// The body.
    pub body: &'a [u8],
}

impl<'a> Written<'a> {
    /// Reads it; none where the line or a header is none.
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let (first, mut rest) = line(data);
        let mut words = std::str::from_utf8(first).ok()?.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let mut headers = Vec::new();
        while !rest.is_empty() {
            let (header, tail) = line(rest);
            rest = tail;
            if header.is_empty() {
                break;
            }
            let colon = header.iter().position(|byte| *byte == b':')?;
            let name = std::str::from_utf8(&header[..colon]).ok()?.to_ascii_lowercase();
            headers.push((name, header[colon + 1..].trim_ascii()));
        }
        Some(Self { method, target, headers, body: rest })
    }

    /// The headers as the filter takes them.
    pub fn headers(&self) -> Vec<(&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), *value)).collect()
    }

    /// What the model has to say of it.
    pub fn judged(&self) -> Judged<'static> {
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.target, None),
        };
        let headers = self.headers();
        MODEL.judge(&Asked { method: self.method, path, query, headers: &headers, body: self.body })
    }

    /// What our rules have to say of what is not typed.
    pub fn inspected(&self, typed: &Typed) -> Result<Verdict, OverBudget> {
        let headers = self.headers();
        let request = waf::Request {
            method: self.method,
            target: self.target,
            protocol: "HTTP/1.1",
            headers: &headers,
            body: self.body,
            peer: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        };
        RULES.inspect(&request, typed)
    }
}

/// The first line without its end, and what follows it.
pub fn line(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let line = &data[..end];
    (line.strip_suffix(b"\r").unwrap_or(line), data.get(end + 1..).unwrap_or_default())
}

/// A bank of the Berlin Group that deviates in nothing.
pub static BANK: LazyLock<Profile> = LazyLock::new(|| {
    let (id, region) = ("xx-fuzz".parse().expect("a slug"), "eu".parse().expect("a region"));
    let mut profile = Profile::blank(id, "A bank", region, "berlin-group");
    let url = Url::parse("https://bank.example/v1").expect("an address");
    profile.environment = Environment::Sandbox;
    profile.accounts_api = Some(ApiBase { url, version: "1.3".into() });
    profile
});

/// The entries that the Berlin Group's dialect reads in an answer.
pub fn entries(media_type: &'static str, body: &[u8]) -> Result<Vec<Transaction>, BankError> {
    let token = SecretString::from("token");
    let cx = CallContext {
        profile: &BANK,
        request_id: Uuid::nil(),
        now: now(),
        psu: None,
        psu_id: None,
        access_token: Some(&token),
        bank_consent_id: Some("consent"),
    };
    let dialect = BerlinGroup;
    let accounts = dialect.accounts().expect("the standard has accounts");
    let asked: BankRequest = accounts.transactions(&cx, "account", &TransactionQuery::default())?;
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(media_type));
    let response = BankResponse { status: StatusCode::OK, headers, body: Bytes::copy_from_slice(body) };
    Ok(accounts.transactions_read(&cx, &asked, &response)?.items)
}

/// What holds of every entry, whatever a bank wrote.
pub fn assert_sound(entries: &[Transaction]) {
    for entry in entries {
        let again = Money::reported(entry.amount.amount(), entry.amount.currency());
        assert_eq!(again.as_ref(), Ok(&entry.amount), "no sign: the direction has it");
    }
}
