//! The types and calls of `wit/connector.wit`.

wasmtime::component::bindgen!({ path: "wit/connector.wit", world: "connector" });

pub(crate) use exports::consentry::connector::bank::*;
