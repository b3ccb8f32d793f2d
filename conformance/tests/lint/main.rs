//! Each rule of the lints: what keeps it gives no finding, and what breaks it gives exactly it.

mod certificate;
mod chain;
mod der;
mod forge;
mod statements;
mod subject;
