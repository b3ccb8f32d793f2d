//! The types and calls of `wit`.

wasmtime::component::bindgen!({ path: "wit", world: "complete-connector" });

pub(crate) use exports::consentry::connector::bank::*;
pub(crate) use exports::consentry::connector::{bank, payments, resources};
