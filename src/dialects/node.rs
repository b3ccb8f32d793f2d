//! Reads a JSON answer piece by piece; every failure names the place, as a
//! JSON pointer (RFC 6901), and never the value.
//!
//! A text may be a number and a number a text: banks differ, and no check
//! hangs on it. `null` is absent.

use std::fmt::Write;

use connect::BankError;
use domain::{Currency, Date, Decimal, InstitutionId, Money, Timestamp};
use serde_json::Value;

/// Digits a JSON number keeps exactly on its way through a double.
const EXACT_DIGITS: usize = 15;
static ABSENT: Value = Value::Null;

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
    value: &'a Value,
    place: Place<'a>,
}

/// Parses a body. Depth is bounded by the parser.
pub(crate) fn parse(bank: &InstitutionId, body: &[u8]) -> Result<Value, BankError> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let value: Value = serde_json::from_slice(body).map_err(|_| BankError::malformed(bank, "body"))?;
    if value.is_object() { Ok(value) } else { Err(BankError::malformed(bank, "body")) }
}

impl<'a> Node<'a> {
    pub(crate) fn root(bank: &'a InstitutionId, value: &'a Value) -> Self {
        Self { bank, value, place: Place::Root }
    }

    pub(crate) fn get<'n>(&'n self, name: &'n str) -> Node<'n> {
        let value = self.value.get(name).unwrap_or(&ABSENT);
        Node { bank: self.bank, value, place: Place::Member(self, name) }
    }

    pub(crate) fn exists(&self) -> bool {
        !self.value.is_null()
    }

    pub(crate) fn is_object(&self) -> bool {
        self.value.is_object()
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
    pub(crate) fn ruled<'n>(&'n self, value: &'n Value, key: &'n str) -> Node<'n> {
        Node { bank: self.bank, value, place: Place::Rule(key) }
    }

    /// What stands here.
    pub(crate) fn raw(&self) -> &Value {
        self.value
    }

    /// Entries of a list; an absent list is empty.
    pub(crate) fn items<'n>(&'n self) -> Result<Vec<Node<'n>>, BankError> {
        match self.value {
            Value::Null => Ok(Vec::new()),
            Value::Array(items) => Ok(items
                .iter()
                .enumerate()
                .map(|(index, value)| Node { bank: self.bank, value, place: Place::Item(self, index) })
                .collect()),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => Err(self.malformed()),
        }
    }

    /// Entries of a list that must be there.
    pub(crate) fn required_items<'n>(&'n self) -> Result<Vec<Node<'n>>, BankError> {
        if self.exists() { self.items() } else { Err(self.malformed()) }
    }

    /// A text; empty and blank texts are absent.
    pub(crate) fn text(&self) -> Result<Option<String>, BankError> {
        match self.value {
            Value::Null => Ok(None),
            Value::String(text) => {
                let text = text.trim();
                Ok((!text.is_empty()).then(|| text.to_owned()))
            }
            Value::Number(number) => Ok(Some(number.to_string())),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(self.malformed()),
        }
    }

    pub(crate) fn required_text(&self) -> Result<String, BankError> {
        self.text()?.ok_or_else(|| self.malformed())
    }

    /// An identifier that will stand in an address: bounded and printable.
    pub(crate) fn required_id(&self) -> Result<String, BankError> {
        let id = self.required_text()?;
        let fits = id.len() <= 512 && id.chars().all(|c| !c.is_control() && !c.is_whitespace());
        if fits && id != "." && id != ".." { Ok(id) } else { Err(self.malformed()) }
    }

    pub(crate) fn boolean(&self) -> Result<Option<bool>, BankError> {
        match self.value {
            Value::Null => Ok(None),
            Value::Bool(value) => Ok(Some(*value)),
            Value::String(text) if text == "true" => Ok(Some(true)),
            Value::String(text) if text == "false" => Ok(Some(false)),
            Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => Err(self.malformed()),
        }
    }

    pub(crate) fn required_decimal(&self) -> Result<Decimal, BankError> {
        let text = match self.value {
            Value::Number(number) => {
                let text = number.to_string();
                let digits = text.bytes().filter(u8::is_ascii_digit).count();
                if number.is_f64() && digits > EXACT_DIGITS {
                    return Err(self.malformed());
                }
                text
            }
            Value::String(text) => text.trim().to_owned(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return Err(self.malformed()),
        };
        decimal(&text).ok_or_else(|| self.malformed())
    }

    pub(crate) fn currency(&self) -> Result<Option<Currency>, BankError> {
        let Some(text) = self.text()? else { return Ok(None) };
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

    /// A text, or the texts of a list.
    pub(crate) fn texts(&self) -> Result<Vec<String>, BankError> {
        if !self.value.is_array() {
            return Ok(self.text()?.into_iter().collect());
        }
        let mut found = Vec::new();
        for item in self.items()? {
            found.extend(item.text()?);
        }
        Ok(found)
    }

    /// A calendar day, alone or at the head of a date with time.
    pub(crate) fn date(&self) -> Result<Option<Date>, BankError> {
        let Some(text) = self.text()? else { return Ok(None) };
        date(&text).map(Some).ok_or_else(|| self.malformed())
    }

    /// An instant; a date with time but without a zone is none, since it names
    /// no instant.
    pub(crate) fn instant(&self) -> Result<Option<Timestamp>, BankError> {
        let Some(text) = self.text()? else { return Ok(None) };
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Ok(Some(instant));
        }
        let local = text.parse::<jiff::civil::DateTime>().is_ok() || text.parse::<Date>().is_ok();
        if local { Ok(None) } else { Err(self.malformed()) }
    }
}

/// A plain decimal number with an optional sign, at most 18 digits before and 10 after the point.
pub(crate) fn decimal(text: &str) -> Option<Decimal> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let fits = (1..=18).contains(&whole.len()) && fraction.len() <= 10;
    if !fits || !number(whole) || !number(fraction) || digits.ends_with('.') {
        return None;
    }
    text.parse().ok()
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
        let value = serde_json::json!({ "list": [{ "amount": "12,50" }] });
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
            let value: Value = serde_json::from_str(json).unwrap();
            let read = Node::root(&bank, &value).required_decimal().ok().map(|number| number.to_string());
            assert_eq!(read.as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_not_followed() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(parse(&bank(), deep.as_bytes()).is_err());
    }
}
