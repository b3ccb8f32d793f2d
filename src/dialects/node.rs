//! Reads a JSON answer piece by piece; every failure names the place, as a
//! JSON pointer (RFC 6901), and never the value.
//!
//! A text may be a number and a number a text: banks differ, and no check
//! hangs on it. `null` is absent.

use std::borrow::Cow;
use std::fmt::Write;

use connect::{ApiBase, BankError};
use domain::{Currency, Date, Decimal, InstitutionId, Money, Timestamp, plain_decimal};

use serde_json::Value;

use crate::tree::Tree;

/// Digits a JSON number keeps exactly on its way through a double.
const EXACT_DIGITS: usize = 15;
static ABSENT: Tree<'static> = Tree::Null;

enum Place<'a> {
    Root,
    Member(&'a Node<'a>, &'a str),
    Item(&'a Node<'a>, usize),
    /// What a rule of the profile gave, by the rule's key.
    Rule(&'a str),
}

/// One place in an answer, present or not.
pub(crate) struct Node<'a> {
    bank: &'a InstitutionId,
    value: &'a Tree<'a>,
    place: Place<'a>,
}

/// Parses a body. Depth is bounded by the parser.
pub(crate) fn parse<'b>(bank: &InstitutionId, body: &'b [u8]) -> Result<Tree<'b>, BankError> {
    match serde_json::from_slice(without_mark(body)) {
        Ok(object @ Tree::Object(_)) => Ok(object),
        Ok(_) | Err(_) => Err(BankError::malformed(bank, "body")),
    }
}

/// The JSON of an error, which may be anything: nothing, where it is none.
pub(crate) fn error_body(body: &[u8]) -> Value {
    serde_json::from_slice(without_mark(body)).unwrap_or_default()
}

/// A body without the byte order mark that some banks begin with.
fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

impl<'a> Node<'a> {
    pub(crate) fn root(bank: &'a InstitutionId, value: &'a Tree<'a>) -> Self {
        Self { bank, value, place: Place::Root }
    }

    pub(crate) fn get<'n>(&'n self, name: &'n str) -> Node<'n> {
        let value = self.value.get(name).unwrap_or(&ABSENT);
        Node { bank: self.bank, value, place: Place::Member(self, name) }
    }

    /// As [`Node::get`], and also where a bank lists objects of one member each in the
    /// place of one object.
    pub(crate) fn of_any<'n>(&'n self, name: &'n str) -> Node<'n> {
        let value = if let Tree::List(items) = self.value {
            items.iter().find_map(|item| item.get(name))
        } else {
            self.value.get(name)
        };
        Node { bank: self.bank, value: value.unwrap_or(&ABSENT), place: Place::Member(self, name) }
    }

    pub(crate) fn exists(&self) -> bool {
        !matches!(self.value, Tree::Null)
    }

    pub(crate) fn is_object(&self) -> bool {
        matches!(self.value, Tree::Object(_))
    }

    /// The pointer to this place.
    pub(crate) fn pointer(&self) -> String {
        let mut pointer = match &self.place {
            Place::Root => return String::new(),
            Place::Rule(key) => return (*key).to_owned(),
            Place::Member(parent, _) | Place::Item(parent, _) => parent.pointer(),
        };
        match &self.place {
            Place::Root | Place::Rule(_) => {}
            Place::Member(_, name) => {
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
            Place::Item(_, index) => {
                // Writing to a String cannot fail.
                let _ = write!(pointer, "/{index}");
            }
        }
        pointer
    }

    /// The error of a place that cannot be read: the bank's, or the profile's
    /// where one of its rules made the value.
    pub(crate) fn malformed(&self) -> BankError {
        if self.is_ruled() {
            self.profile_error(self.pointer())
        } else {
            BankError::malformed(self.bank, self.pointer())
        }
    }

    fn is_ruled(&self) -> bool {
        match &self.place {
            Place::Root => false,
            Place::Rule(_) => true,
            Place::Member(parent, _) | Place::Item(parent, _) => parent.is_ruled(),
        }
    }

    /// The error of a key of the bank's profile.
    pub(crate) fn profile_error(&self, key: String) -> BankError {
        BankError::profile(self.bank, key)
    }

    /// What a rule made, in the place of what the bank sent.
    pub(crate) fn ruled<'n>(&'n self, value: &'n Tree<'n>, key: &'n str) -> Node<'n> {
        Node { bank: self.bank, value, place: Place::Rule(key) }
    }

    /// What stands here, as a value of its own.
    pub(crate) fn raw(&self) -> Value {
        self.value.to_value()
    }

    /// Entries of a list; an absent list is empty.
    pub(crate) fn items<'n>(&'n self) -> Result<Vec<Node<'n>>, BankError> {
        match self.value {
            Tree::Null => Ok(Vec::new()),
            Tree::List(items) => Ok(items
                .iter()
                .enumerate()
                .map(|(index, value)| Node { bank: self.bank, value, place: Place::Item(self, index) })
                .collect()),
            Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) | Tree::Object(_) => Err(self.malformed()),
        }
    }

    /// Entries of a list that must be there.
    pub(crate) fn required_items<'n>(&'n self) -> Result<Vec<Node<'n>>, BankError> {
        if self.exists() { self.items() } else { Err(self.malformed()) }
    }

    /// A text; empty and blank texts are absent.
    pub(crate) fn text(&self) -> Result<Option<String>, BankError> {
        Ok(self.word()?.map(Cow::into_owned))
    }

    pub(crate) fn required_text(&self) -> Result<String, BankError> {
        self.text()?.ok_or_else(|| self.malformed())
    }

    /// As [`Node::text`], for a text that is looked at and not kept.
    pub(crate) fn word(&self) -> Result<Option<Cow<'_, str>>, BankError> {
        match self.value {
            Tree::Null => Ok(None),
            Tree::Text(text) => {
                let text = text.trim();
                Ok((!text.is_empty()).then_some(Cow::Borrowed(text)))
            }
            Tree::Number(number) => Ok(Some(Cow::Owned(number.to_string()))),
            Tree::Bool(_) | Tree::List(_) | Tree::Object(_) => Err(self.malformed()),
        }
    }

    pub(crate) fn required_word(&self) -> Result<Cow<'_, str>, BankError> {
        self.word()?.ok_or_else(|| self.malformed())
    }

    /// An identifier of an entry or payment; what banks write where they have
    /// none is absent.
    pub(crate) fn identifier(&self) -> Result<Option<String>, BankError> {
        Ok(self.text()?.filter(|text| is_identifier(text)))
    }

    /// Texts, however they come: one text, an object whose `member` is the text,
    /// or a list of such.
    pub(crate) fn texts(&self, member: &str) -> Result<Vec<String>, BankError> {
        if matches!(self.value, Tree::List(_)) {
            let mut found = Vec::new();
            for item in self.items()? {
                // A list in a list is nobody's remittance.
                found.extend(if item.is_object() { item.get(member).text()? } else { item.text()? });
            }
            return Ok(found);
        }
        let text = if self.is_object() { self.get(member).text()? } else { self.text()? };
        Ok(text.into_iter().collect())
    }

    /// An identifier that will stand in an address: bounded and printable.
    pub(crate) fn required_id(&self) -> Result<String, BankError> {
        let id = self.required_text()?;
        if ApiBase::is_segment(&id) { Ok(id) } else { Err(self.malformed()) }
    }

    pub(crate) fn boolean(&self) -> Result<Option<bool>, BankError> {
        match self.value {
            Tree::Null => Ok(None),
            Tree::Bool(value) => Ok(Some(*value)),
            Tree::Text(text) if text == "true" => Ok(Some(true)),
            Tree::Text(text) if text == "false" => Ok(Some(false)),
            Tree::Number(_) | Tree::Text(_) | Tree::List(_) | Tree::Object(_) => Err(self.malformed()),
        }
    }

    pub(crate) fn required_decimal(&self) -> Result<Decimal, BankError> {
        let text = match self.value {
            Tree::Number(number) => {
                let text = number.to_string();
                let digits = text.bytes().filter(u8::is_ascii_digit).count();
                if number.is_f64() && digits > EXACT_DIGITS {
                    return Err(self.malformed());
                }
                Cow::Owned(text)
            }
            Tree::Text(text) => Cow::Borrowed(text.trim()),
            Tree::Null | Tree::Bool(_) | Tree::List(_) | Tree::Object(_) => return Err(self.malformed()),
        };
        plain_decimal(&text).ok_or_else(|| self.malformed())
    }

    pub(crate) fn currency(&self) -> Result<Option<Currency>, BankError> {
        let Some(text) = self.word()? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.malformed())
    }

    pub(crate) fn required_currency(&self) -> Result<Currency, BankError> {
        self.currency()?.ok_or_else(|| self.malformed())
    }

    /// An amount in this currency, with its sign apart.
    pub(crate) fn signed_amount(&self, currency: Currency) -> Result<(Money, Decimal), BankError> {
        let number = self.required_decimal()?;
        let money = Money::reported(number.abs(), currency).map_err(|_| self.malformed())?;
        Ok((money, number))
    }

    /// An amount whose members go by these names, with its sign apart.
    pub(crate) fn signed_money(&self, amount: &str, currency: &str) -> Result<(Money, Decimal), BankError> {
        self.get(amount).signed_amount(self.get(currency).required_currency()?)
    }

    /// A calendar day, alone or at the head of a date with time.
    pub(crate) fn date(&self) -> Result<Option<Date>, BankError> {
        let Some(text) = self.word()? else { return Ok(None) };
        date(&text).map(Some).ok_or_else(|| self.malformed())
    }

    /// An instant; a date with time but without a zone is none, since it names
    /// no instant.
    pub(crate) fn instant(&self) -> Result<Option<Timestamp>, BankError> {
        let Some(text) = self.word()? else { return Ok(None) };
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Ok(Some(instant));
        }
        let local = text.parse::<jiff::civil::DateTime>().is_ok() || text.parse::<Date>().is_ok();
        if local { Ok(None) } else { Err(self.malformed()) }
    }
}

/// Texts that stand for "no identifier".
const NO_IDENTIFIER: [&str; 6] = ["NOTPROVIDED", "NOT PROVIDED", "NONREF", "NULL", "N/A", "-"];

/// Whether a text is an identifier and not one of the stand-ins for none.
pub(crate) fn is_identifier(text: &str) -> bool {
    let zeros = text.bytes().all(|b| b == b'0');
    !zeros && !NO_IDENTIFIER.iter().any(|none| text.eq_ignore_ascii_case(none))
}

/// `YYYY-MM-DD`, or the day of a date with time.
pub(crate) fn date(text: &str) -> Option<Date> {
    let day = text.get(..10)?;
    let rest = text.get(10..)?;
    let separated = rest.is_empty() || rest.starts_with(['T', ' ', '+', '-', 'Z']);
    if separated { day.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bank() -> InstitutionId {
        "de-examplebank".parse().unwrap()
    }

    #[test]
    fn a_failure_names_the_place_and_not_the_value() {
        let bank = bank();
        let value: Tree<'_> = serde_json::from_str(r#"{ "list": [{ "amount": "12,50" }] }"#).unwrap();
        let root = Node::root(&bank, &value);
        let list = root.get("list");
        let items = list.items().unwrap();
        let error = items[0].get("amount").required_decimal().unwrap_err();
        assert_eq!(error.field.as_deref(), Some("/list/0/amount"));
        assert!(!error.to_string().contains("12,50"));
    }

    #[test]
    fn numbers_are_read_exactly_or_not_at_all() {
        let bank = bank();
        for (json, expected) in [
            ("150.02", Some("150.02")),
            ("\"-0.10\"", Some("-0.10")),
            ("42", Some("42")),
            ("1e3", Some("1000.0")),
            ("12345678901234.567", None),
            ("\"1e3\"", None),
            ("\"NaN\"", None),
            ("\"1.\"", None),
            ("true", None),
        ] {
            let value: Tree<'_> = serde_json::from_str(json).unwrap();
            let read = Node::root(&bank, &value).required_decimal().ok().map(|number| number.to_string());
            assert_eq!(read.as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn what_stands_for_no_identifier_is_none() {
        let bank = bank();
        for (json, expected) in [
            (r#""NotProvided""#, None),
            (r#""0""#, None),
            (r#""000000""#, None),
            ("0", None),
            (r#"" ""#, None),
            (r#""n/a""#, None),
            (r#""100""#, Some("100")),
        ] {
            let value: Tree<'_> = serde_json::from_str(json).unwrap();
            let read = Node::root(&bank, &value).identifier().unwrap();
            assert_eq!(read.as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn texts_come_alone_in_objects_and_in_lists() {
        let bank = bank();
        for (json, expected) in [
            (r#""a""#, vec!["a"]),
            (r#"["a", "b"]"#, vec!["a", "b"]),
            (r#"{"reference": "r", "referenceType": "SCOR"}"#, vec!["r"]),
            (r#"[{"reference": "r"}, "b"]"#, vec!["r", "b"]),
            ("null", vec![]),
        ] {
            let value: Tree<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(Node::root(&bank, &value).texts("reference").unwrap(), expected, "{json}");
        }
        let nested: Tree<'_> = serde_json::from_str(r#"[["a"]]"#).unwrap();
        assert!(Node::root(&bank, &nested).texts("reference").is_err());
    }

    #[test]
    fn deep_nesting_is_refused_and_not_followed() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(parse(&bank(), deep.as_bytes()).is_err());
    }
}
