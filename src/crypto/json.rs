//! JSON that has one meaning: no name twice in an object, at any depth, and no
//! nesting without end (RFC 8259 §4 and §9, RFC 7515 §4, RFC 7519 §4).
//!
//! Two readers of an object with a name twice may see two objects; what one
//! checked, the other acts on. So untrusted JSON is read here.

use std::cell::Cell;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Most objects and arrays around a value.
pub const MAX_DEPTH: u8 = 16;

/// Why a JSON text was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJson {
    /// No JSON, or more than one value, or not the kind that was asked for.
    #[error("the text is not the JSON that is wanted")]
    Malformed,
    /// A name stands twice in one object.
    #[error("a name appears twice in a JSON object")]
    DuplicateName,
    /// More than [`MAX_DEPTH`] objects and arrays in each other.
    #[error("the JSON is nested more than 16 deep")]
    TooDeep,
}

/// Reads one JSON value.
///
/// # Errors
///
/// [`InvalidJson`] if it is none, repeats a name or is too deep.
pub fn unique_value(bytes: &[u8]) -> Result<Value, InvalidJson> {
    let why = Cell::new(InvalidJson::Malformed);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let unique = Unique { room: MAX_DEPTH, why: &why };
    let value = unique.deserialize(&mut deserializer).map_err(|_| why.get())?;
    deserializer.end().map_err(|_| InvalidJson::Malformed)?;
    Ok(value)
}

/// Reads one JSON object.
///
/// # Errors
///
/// As [`unique_value`]; another kind of value is `Malformed`.
pub fn unique_object(bytes: &[u8]) -> Result<Map<String, Value>, InvalidJson> {
    if let Value::Object(object) = unique_value(bytes)? { Ok(object) } else { Err(InvalidJson::Malformed) }
}

/// Reads a value into which `room` further levels fit.
#[derive(Clone, Copy)]
struct Unique<'a> {
    room: u8,
    /// serde's errors are text; the reason is kept beside them.
    why: &'a Cell<InvalidJson>,
}

impl Unique<'_> {
    fn refuse<E: Error>(self, why: InvalidJson) -> E {
        self.why.set(why);
        E::custom(why)
    }

    /// The reader of what is inside an object or array.
    fn inside<E: Error>(self) -> Result<Self, E> {
        let room = self.room.checked_sub(1).ok_or_else(|| self.refuse(InvalidJson::TooDeep))?;
        Ok(Self { room, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON with unique names")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| self.refuse(InvalidJson::Malformed))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut values = Vec::new();
        while let Some(value) = access.next_element_seed(inside)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut map = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(self.refuse(InvalidJson::DuplicateName));
            }
            let value = access.next_value_seed(inside)?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515 §4: "The Header Parameter names within the JOSE Header MUST be unique".
    #[test]
    fn a_name_twice_is_refused_at_every_depth_and_in_every_spelling() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"[{"a":[{"b":null,"c":0,"b":null}]}]"#,
            r#"{"a":1,"\u0061":2}"#,
        ] {
            assert_eq!(unique_value(text.as_bytes()), Err(InvalidJson::DuplicateName), "{text}");
        }
        assert!(unique_value(br#"[{"a":1},{"a":1,"A":{"a":1}}]"#).is_ok(), "the same name elsewhere is fine");
    }

    #[test]
    fn sixteen_levels_are_read_and_seventeen_are_not() {
        let nested = |open: &str, close: &str, levels: usize| {
            format!("{}{}{}", open.repeat(levels), 1, close.repeat(levels))
        };
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            assert!(unique_value(nested(open, close, 16).as_bytes()).is_ok());
            for levels in [17, 100_000] {
                let deep = nested(open, close, levels);
                assert_eq!(unique_value(deep.as_bytes()), Err(InvalidJson::TooDeep));
            }
        }
    }

    #[test]
    fn every_kind_of_value_is_read_as_serde_reads_it() {
        let text =
            r#" {"n":null,"t":true,"i":-3,"u":18446744073709551615,"f":1.5,"s":"\u00e9\n","l":[{},[]]} "#;
        let read: Value = serde_json::from_str(text).unwrap();
        assert_eq!(unique_value(text.as_bytes()), Ok(read));
    }

    #[test]
    fn what_is_no_single_json_value_is_refused() {
        for bytes in
            [b"".as_slice(), b"{", b"{} {}", b"{}x", b"{\"a\":1,}", b"\xef\xbb\xbf{}", b"\"\xff\"", b"1e999"]
        {
            assert_eq!(unique_value(bytes), Err(InvalidJson::Malformed), "{bytes:?}");
        }
        assert_eq!(unique_object(b"[]"), Err(InvalidJson::Malformed));
    }
}
