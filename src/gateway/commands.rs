//! One module per command.

pub(crate) mod banks;
pub(crate) mod clients;
pub(crate) mod keys;
pub(crate) mod openapi;
#[cfg(feature = "plugins")]
pub(crate) mod plugins;
pub(crate) mod probe;
mod profiles;
pub(crate) mod sandbox;
