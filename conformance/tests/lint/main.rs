//! Each rule of the lints: what keeps it gives no finding, and what breaks it gives exactly it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod certificate;
mod chain;
mod cli;
mod der;
mod forge;
mod guide;
mod openapi;
mod statements;
mod subject;
mod webhook;
