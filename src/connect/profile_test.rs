//! A test that a profile brings with it.

use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use crate::{BankErrorKind, MapTarget};

/// What the bank answers, and what is to be read from it.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileTest {
    /// What is tested.
    pub name: String,
    /// What was asked for.
    pub operation: MapTarget,
    /// Status of the answer.
    pub status: StatusCode,
    /// Headers of the answer.
    pub headers: HeaderMap,
    /// Body of the answer.
    pub given: String,
    /// What is read.
    pub expect: Expected,
}

/// What is to be read from an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// These entries, in this order, each with at least these fields. An empty
    /// text stands for a field that is absent.
    Entries(Vec<Map<String, Value>>),
    /// An error of this kind.
    Error(BankErrorKind),
}
