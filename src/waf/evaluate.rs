//! Whether one text passes one test, and what of it matched.

use std::net::IpAddr;

use memchr::memmem;
use regex::bytes::Regex;

use crate::compile::{NumberTest, Test, TextTest};
use crate::request::Variables;
use crate::signatures::{Signature, SignatureId};
use crate::state::{State, number};
use crate::texts::{TextId, Texts};

/// What of a text matched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hit {
    pub(crate) offset: usize,
    pub(crate) length: usize,
    /// Whole match and groups, where they were asked for.
    pub(crate) groups: Vec<Vec<u8>>,
}

/// What is wanted of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// Whether there is one: its place does not matter.
    Any,
    /// Where it is.
    Place,
    /// Its groups, too.
    Groups,
}

/// Groups of a pattern that rules can name.
const GROUPS: usize = 10;

/// Looking for SQL or scripts costs as much per byte as this many passes.
const LIBINJECTION_COST: usize = 8;

impl Hit {
    fn whole(text: &[u8]) -> Self {
        Self { offset: 0, length: text.len(), groups: Vec::new() }
    }
}

/// What tests need beside the text.
pub(crate) struct Evaluation<'e, 'r> {
    pub(crate) texts: &'e mut Texts<'r>,
    pub(crate) signatures: &'r crate::signatures::Signatures,
    pub(crate) state: &'e State,
    pub(crate) variables: &'e Variables,
}

impl Evaluation<'_, '_> {
    /// Holds a text against a test.
    pub(crate) fn test(&mut self, test: &Test, text: TextId, wants: Wants) -> Option<Hit> {
        if let Test::Signature(id) = test {
            return self.signature(*id, text, wants);
        }
        let bytes = self.texts.bytes(text);
        let holds = match test {
            Test::Text(test, argument) => {
                let argument = self.state.expand(argument, self.variables, self.texts);
                text_holds(*test, &bytes, &argument)
            }
            Test::Number(test, argument) => {
                let argument = self.state.expand(argument, self.variables, self.texts);
                number_holds(*test, number(&bytes), number(&argument))
            }
            Test::ByteRange(allowed) => bytes.iter().any(|byte| !allowed.contains(*byte)),
            Test::UrlEncoding => badly_encoded(&bytes),
            Test::Utf8 => std::str::from_utf8(&bytes).is_err(),
            Test::Address(networks) => {
                let address = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse::<IpAddr>().ok());
                address.is_some_and(|address| networks.iter().any(|network| network.contains(address)))
            }
            Test::Card(numbers) => numbers.regex().is_none_or(|numbers| has_card(numbers, &bytes)),
            Test::Always => true,
            Test::Never | Test::Signature(_) => false,
        };
        holds.then(|| Hit::whole(&bytes))
    }

    fn signature(&mut self, id: SignatureId, text: TextId, wants: Wants) -> Option<Hit> {
        if !self.texts.may_match(text, id) {
            return None;
        }
        let bytes = self.texts.bytes(text);
        match self.signatures.get(id)? {
            Signature::Pattern(runs) => {
                self.texts.spend(bytes.len());
                let common = self.texts.is_common(text);
                match common.then(|| self.signatures.outcome(id, &bytes)).flatten() {
                    Some(false) => return None,
                    Some(true) if wants == Wants::Any => return Some(Hit::whole(&bytes)),
                    Some(true) | None => {}
                }
                // What cannot be asked may hold: nothing passes for that.
                let Some(regex) = runs.regex() else { return Some(Hit::whole(&bytes)) };
                let hit = found(regex, &bytes, wants);
                if common {
                    self.signatures.remember(id, &bytes, hit.is_some());
                }
                hit
            }
            Signature::Phrases(phrases) => {
                self.texts.spend(bytes.len());
                let found = phrases.find(&*bytes)?;
                let phrase = bytes.get(found.range()).unwrap_or_default();
                Some(Hit { offset: found.start(), length: phrase.len(), groups: vec![phrase.to_vec()] })
            }
            Signature::Sqli if plainly_no_sql(&bytes) => None,
            Signature::Sqli | Signature::Xss => self.by_libinjection(id, text, &bytes),
        }
    }

    /// Several rules ask it of the same texts: it is dear enough to remember.
    fn by_libinjection(&mut self, id: SignatureId, text: TextId, bytes: &[u8]) -> Option<Hit> {
        if let Some(known) = self.texts.known_hit(text, id) {
            return known;
        }
        self.texts.spend(bytes.len().saturating_mul(LIBINJECTION_COST));
        let hit = if let Some(Signature::Xss) = self.signatures.get(id) {
            libinjectionrs::detect_xss(bytes).is_injection().then(|| Hit::whole(bytes))
        } else {
            let found = libinjectionrs::detect_sqli(bytes);
            let fingerprint = found.fingerprint.as_ref().map(|it| it.as_str().as_bytes().to_vec());
            let groups = fingerprint.into_iter().collect();
            found.is_injection().then(|| Hit { groups, ..Hit::whole(bytes) })
        };
        self.texts.remember_hit(text, id, hit.clone());
        hit
    }
}

/// What a pattern finds in a text.
fn found(pattern: &Regex, text: &[u8], wants: Wants) -> Option<Hit> {
    if wants != Wants::Groups {
        let found = pattern.find(text)?;
        return Some(Hit { offset: found.start(), length: found.len(), groups: Vec::new() });
    }
    let found = pattern.captures(text)?;
    let groups = found.iter().take(GROUPS);
    let groups = groups.map(|group| group.map_or_else(Vec::new, |it| it.as_bytes().to_vec()));
    let whole = found.get(0)?;
    Some(Hit { offset: whole.start(), length: whole.len(), groups: groups.collect() })
}

fn text_holds(test: TextTest, text: &[u8], argument: &[u8]) -> bool {
    match test {
        TextTest::Within => contains(argument, text),
        TextTest::Contains => contains(text, argument),
        TextTest::BeginsWith => text.starts_with(argument),
        TextTest::EndsWith => text.ends_with(argument),
        TextTest::Equals => text == argument,
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memmem::find(text, part).is_some()
}

pub(crate) fn number_holds(test: NumberTest, number: i64, argument: i64) -> bool {
    match test {
        NumberTest::Equal => number == argument,
        NumberTest::AtLeast => number >= argument,
        NumberTest::More => number > argument,
        NumberTest::AtMost => number <= argument,
        NumberTest::Less => number < argument,
    }
}

/// Whether libinjection would read one word or one number, of which no
/// fingerprint of an attack is made. Most names and values are such.
fn plainly_no_sql(text: &[u8]) -> bool {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    // A path in JSON: what stands before its first dot is no keyword.
    let (path, name) = text.strip_prefix(b"json.").map_or((false, text), |name| (true, name));
    match name.first() {
        None => !path,
        Some(_) if path => name.iter().all(|byte| word(byte) || *byte == b'.'),
        Some(first) if first.is_ascii_digit() => {
            let dots = name.iter().filter(|byte| **byte == b'.').count();
            dots <= 1 && name.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
        }
        Some(_) => name.iter().all(word),
    }
}

/// Whether a percent sign stands without two hexadecimal digits.
fn badly_encoded(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'%')
        .skip(1)
        .any(|after| !after.get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

/// Whether one of the places that look like a card's number is one.
fn has_card(numbers: &Regex, text: &[u8]) -> bool {
    let mut from = 0;
    while from <= text.len()
        && let Some(found) = numbers.find_at(text, from)
    {
        if luhn(found.as_bytes()) {
            return true;
        }
        from = found.start() + 1;
    }
    false
}

/// ISO/IEC 7812-1 annex B, of the digits in a text.
fn luhn(text: &[u8]) -> bool {
    let digits = text.iter().rev().filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte - b'0'));
    let weighed = digits.enumerate().map(|(place, digit)| match (place % 2, digit * 2) {
        (0, _) => digit,
        (_, doubled) => doubled / 10 + doubled % 10,
    });
    weighed.sum::<u32>() % 10 == 0 && text.iter().any(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests;
