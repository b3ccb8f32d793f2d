//! JSON: every scalar is an argument, named by its path: `json.a.b`, and
//! `json.list.array_0` in a list. A name that comes twice is there twice.

use std::fmt::{self, Write};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::Parts;

/// Reads a document.
pub(super) fn read(body: &[u8]) -> Parts {
    let mut parts = Parts::default();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let mut path = "json".to_owned();
    let walk = Walk { path: &mut path, arguments: &mut parts.arguments };
    let read = walk.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    if read.is_err() {
        parts.error = Some("not JSON");
    }
    parts
}

/// Goes through a value and notes its scalars.
struct Walk<'p> {
    path: &'p mut String,
    arguments: &'p mut Vec<(Vec<u8>, Vec<u8>)>,
}

impl Walk<'_> {
    fn note<E>(self, value: impl Into<Vec<u8>>) -> Result<(), E> {
        self.arguments.push((self.path.as_bytes().to_vec(), value.into()));
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.note(value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.note(value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.note(value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.note(value.to_string())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.note(value)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.note("")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let here = self.path.len();
        for number in 0_usize.. {
            // Writing into a text does not fail.
            let _ = write!(self.path, ".array_{number}");
            let next =
                list.next_element_seed(Walk { path: &mut *self.path, arguments: &mut *self.arguments })?;
            self.path.truncate(here);
            if next.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let here = self.path.len();
        while let Some(name) = map.next_key::<String>()? {
            self.path.push('.');
            self.path.push_str(&name);
            map.next_value_seed(Walk { path: &mut *self.path, arguments: &mut *self.arguments })?;
            self.path.truncate(here);
        }
        Ok(())
    }
}
