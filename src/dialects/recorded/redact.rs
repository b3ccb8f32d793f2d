//! Recording without the person: what a bank answered, with a stand-in of the
//! same shape for every value that is not a code.
//!
//! A stand-in is random and the same for the same value within one recording,
//! so that repeats and joins stay visible. Unknown members are replaced too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use connect::{BankRequest, BankResponse, MapTarget, Profile};
use domain::{Date, Entropy, Iban};
use jiff::ToSpan;
use serde_json::{Map, Number, Value};
use url::Url;

use super::Exchange;
use super::codes::is_code;
use super::form::{Form, form_of};

/// Segments of paths that standards print.
static SEGMENTS: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    let words = "account accounts aisp authorisations balances callback consents open-banking \
                 psd2 transactions transactionsDone getAccounts getAccount getTransactionsDone \
                 getTransactionsPending getTransactionsRejected getTransactionsCancelled \
                 getTransactionsScheduled xs2a status stet owners";
    words.split_whitespace().collect()
});
/// What banks write where they have nothing to say.
const PLACEHOLDERS: [&str; 4] = ["NOTPROVIDED", "NOT PROVIDED", "NOTAVAILABLE", "N/A"];
/// Members that hold links of the bank's own.
const LINKS: [&str; 7] = ["first", "href", "last", "next", "prev", "previous", "self"];
/// Stands for any other origin, the same in every recording.
const ELSEWHERE: &str = "https://elsewhere.invalid";
/// The first of the days that stand for days, and how many there are.
const FIRST_DAY: Date = Date::constant(2001, 1, 1);
const DAYS: u16 = 9_000;
/// Headers that survive: none of them is about a person.
const HEADERS: [&str; 2] = ["content-type", "aspsp-sca-approach"];
/// Attempts at a stand-in that no other value has. Short texts have few.
const ATTEMPTS: usize = 16;
/// Longest name of a member; a longer one is a value.
const LONGEST_NAME: usize = 64;
/// Digits from which on the name of a member is a value.
const MOST_DIGITS: usize = 3;

/// Writes lines of one recording.
pub struct Redactor {
    entropy: Arc<dyn Entropy>,
    profile: Profile,
    /// Segments of the bank's own address, which its documentation prints.
    published: BTreeSet<String>,
    stand_ins: BTreeMap<(Kind, String), String>,
    taken: BTreeSet<(Kind, String)>,
}

/// Values whose stand-ins are not those of others: a text's may begin with a zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Text,
    Number,
    Day,
    Time,
}

impl Redactor {
    /// A new recording of this bank.
    #[must_use]
    pub fn new(profile: &Profile, entropy: Arc<dyn Entropy>) -> Self {
        let base = profile.accounts_api.as_ref().map(|api| api.url.path());
        let published = base.unwrap_or_default().split('/').map(str::to_owned).collect();
        Self {
            entropy,
            profile: profile.clone(),
            published,
            stand_ins: BTreeMap::new(),
            taken: BTreeSet::new(),
        }
    }

    /// The line of an exchange. Nothing of the request but method and address is in it.
    #[must_use]
    pub fn line(&mut self, operation: MapTarget, request: &BankRequest, response: &BankResponse) -> String {
        let headers = HEADERS
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), Value::from(response.header_text(name)?))));
        let exchange = Exchange {
            bank: self.profile.id.to_string(),
            dialect: Some(self.profile.dialect.clone()),
            operation: Some(operation.as_str().to_owned()),
            method: request.method.to_string(),
            url: self.link("", request.url.as_str()),
            status: response.status.as_u16(),
            resp_headers: headers.collect(),
            body: Some(self.body(&response.body)),
        };
        serde_json::to_string(&exchange).unwrap_or_default()
    }

    /// JSON keeps its structure; of anything else only the shape is left.
    fn body(&mut self, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(body);
        let (mark, json) = match text.strip_prefix('\u{feff}') {
            Some(rest) => ("\u{feff}", rest),
            None => ("", &*text),
        };
        match serde_json::from_str::<Value>(json) {
            Ok(value) => format!("{mark}{}", self.value("", value)),
            Err(_) => self.shape(&text),
        }
    }

    fn value(&mut self, member: &str, value: Value) -> Value {
        match value {
            Value::Null | Value::Bool(_) => value,
            Value::Number(number) => Value::Number(self.number(member, number)),
            Value::String(text) => Value::String(self.text(member, &text)),
            Value::Array(items) => items.into_iter().map(|item| self.value(member, item)).collect(),
            Value::Object(members) => {
                let mut redacted = Map::new();
                for (name, value) in members {
                    let value = self.value(&name, value);
                    redacted.insert(self.name(name), value);
                }
                Value::Object(redacted)
            }
        }
    }

    /// Names of members are structure, unless they look like a value.
    fn name(&mut self, name: String) -> String {
        let plain = name.len() <= LONGEST_NAME
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.$@#:".contains(c))
            && name.bytes().filter(u8::is_ascii_digit).count() <= MOST_DIGITS;
        if plain { name } else { self.shape(&name) }
    }

    fn number(&mut self, member: &str, number: Number) -> Number {
        let text = number.to_string();
        if is_code(member, &text) {
            return number;
        }
        let (digits, exponent) = text.split_at(text.find(['e', 'E']).unwrap_or(text.len()));
        let stand_in = self.stand_in(Kind::Number, digits, |entropy| {
            // A leading zero is no JSON; a trailing one is lost, or changes the length.
            let shaped = shaped(entropy, digits);
            let whole = digits.trim_start_matches('-').split('.').next().unwrap_or_default();
            let sign = if digits.starts_with('-') { "-" } else { "" };
            let body = shaped.trim_start_matches('-').replace('0', "7");
            let body = if whole == "0" { format!("0{}", body.get(1..).unwrap_or_default()) } else { body };
            format!("{sign}{body}")
        });
        format!("{stand_in}{exponent}").parse().unwrap_or_else(|_| Number::from(7))
    }

    fn text(&mut self, member: &str, text: &str) -> String {
        if is_code(member, text) || PLACEHOLDERS.contains(&text) {
            return text.to_owned();
        }
        match form_of(text) {
            Form::Date | Form::DateTime | Form::LocalDateTime => self.another_time(text),
            Form::NoDate => text.to_owned(),
            Form::Link(_) | Form::Path => self.link(member, text),
            Form::Decimal | Form::Text => self.shape(text),
        }
    }

    /// The address with a stand-in for each segment and value that is not of a standard.
    fn link(&mut self, member: &str, link: &str) -> String {
        let (place, query) = match link.split_once(['?', '#']) {
            Some((place, query)) => (place, Some(query)),
            None => (link, None),
        };
        let (origin, path) = match place.split_once("://") {
            Some((scheme, rest)) => {
                let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let origin = format!("{scheme}://{host}");
                (if self.is_public(member, &origin, host) { origin } else { ELSEWHERE.to_owned() }, path)
            }
            None => (String::new(), place),
        };
        let segments: Vec<String> = path.split('/').map(|segment| self.segment(segment)).collect();
        let mut redacted = format!("{origin}{}", segments.join("/"));
        if let Some(query) = query {
            let pairs = query.split('&').map(|pair| match pair.split_once('=') {
                Some((name, value)) => format!("{}={}", self.name(name.to_owned()), self.text(name, value)),
                None => self.shape(pair),
            });
            let pairs = pairs.collect::<Vec<_>>().join("&");
            redacted.push('?');
            redacted.push_str(&pairs);
        }
        redacted
    }

    /// Whether the origin is the bank's own, or where its links lead. That of a
    /// text that somebody wrote tells of that person.
    fn is_public(&self, member: &str, origin: &str, host: &str) -> bool {
        let links = LINKS.iter().any(|known| known.eq_ignore_ascii_case(member));
        let named = host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:".contains(c));
        named && (links || Url::parse(origin).is_ok_and(|url| self.profile.permits(&url)))
    }

    fn segment(&mut self, segment: &str) -> String {
        let version = segment.strip_prefix('v').unwrap_or_default();
        let version = !version.is_empty()
            && version.len() <= 6
            && version.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '_');
        if version || SEGMENTS.contains(segment) || self.published.contains(segment) {
            segment.to_owned()
        } else {
            self.shape(segment)
        }
    }

    /// Another day, and another time of that day. Neither order nor distance stays:
    /// from one known day, all others would be known.
    fn another_time(&mut self, text: &str) -> String {
        let (day, time) = text.split_at_checked(10).unwrap_or((text, ""));
        if day.starts_with("9999") {
            // "Without end", which is a code.
            return text.to_owned();
        }
        let date = self.stand_in(Kind::Day, day, |entropy| {
            let mut random = [0; 2];
            entropy.fill(&mut random);
            let days = i64::from(u16::from_le_bytes(random) % DAYS);
            FIRST_DAY.saturating_add(days.days()).to_string()
        });
        let (clock, rest) = time.split_at_checked(9).unwrap_or(("", time));
        let clock = if clock.ends_with("00:00:00") || clock.is_empty() {
            clock.to_owned()
        } else {
            let separator = clock.get(..1).unwrap_or("T").to_owned();
            self.stand_in(Kind::Time, text, |entropy| {
                let mut random = [0; 3];
                entropy.fill(&mut random);
                let [hours, minutes, seconds] = random;
                format!("{separator}{:02}:{:02}:{:02}", hours % 24, minutes % 60, seconds % 60)
            })
        };
        let zone = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
        let (fraction, zone) = rest.split_at(zone);
        format!("{date}{clock}{}{zone}", self.shape(fraction))
    }

    /// Letters by letters, digits by digits, an IBAN by an IBAN.
    fn shape(&mut self, text: &str) -> String {
        let iban = text.parse::<Iban>().is_ok_and(|iban| iban.as_str() == text);
        let make = if iban { iban_like } else { shaped };
        self.stand_in(Kind::Text, text, |entropy| make(entropy, text))
    }

    /// What stands for this value: the same as before, if it has been met.
    fn stand_in(&mut self, kind: Kind, value: &str, make: impl Fn(&dyn Entropy) -> String) -> String {
        let key = (kind, value.to_owned());
        if let Some(known) = self.stand_ins.get(&key) {
            return known.clone();
        }
        let mut made = make(&*self.entropy);
        for _ in 0..ATTEMPTS {
            if made != value && !self.taken.contains(&(kind, made.clone())) {
                break;
            }
            made = make(&*self.entropy);
        }
        self.taken.insert((kind, made.clone()));
        self.stand_ins.insert(key, made.clone());
        made
    }
}

fn shaped(entropy: &dyn Entropy, text: &str) -> String {
    let mut random = vec![0; text.len()];
    entropy.fill(&mut random);
    let letter = |first: u8, random: u8, of: u8| char::from(first.saturating_add(random % of));
    let shape = |(c, random): (char, u8)| match c {
        c if c.is_numeric() => letter(b'0', random, 10),
        c if c.is_uppercase() => letter(b'A', random, 26),
        c if c.is_alphabetic() => letter(b'a', random, 26),
        c => c,
    };
    text.chars().zip(random).map(shape).collect()
}

/// An IBAN of the same country and shape with the right check digits (ISO 13616, ISO 7064).
fn iban_like(entropy: &dyn Entropy, iban: &str) -> String {
    let (country, rest) = iban.split_at_checked(2).unwrap_or(("", iban));
    let account = shaped(entropy, rest.get(2..).unwrap_or_default());
    let remainder = format!("{account}{country}00").chars().fold(0_u32, |sum, c| {
        let value = c.to_digit(36).unwrap_or(0);
        let scale = if value < 10 { 10 } else { 100 };
        sum.saturating_mul(scale).saturating_add(value) % 97
    });
    format!("{country}{:02}{account}", 98_u32.saturating_sub(remainder))
}

#[cfg(test)]
mod tests;
