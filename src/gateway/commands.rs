//! One module per command.

pub(crate) mod access;
pub(crate) mod audit;
mod bank_access;
pub(crate) mod banks;
pub(crate) mod clients;
pub(crate) mod config;
mod discover;
pub(crate) mod doctor;
pub(crate) mod keys;
pub(crate) mod openapi;
mod payment_policy;
pub(crate) mod payments;
pub(crate) mod persons;
#[cfg(feature = "plugins")]
pub(crate) mod plugins;
pub(crate) mod probe;
mod profiles;
mod register;
mod replay;
pub(crate) mod sandbox;
pub(crate) mod serve;
pub(crate) mod statistics;
pub(crate) mod waf;
