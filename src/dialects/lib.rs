//! Bank standards as pure functions: requests out, domain types in.

mod berlin_group;
mod camt;
mod echo;
mod mt940;
mod node;
mod status;
mod uk_open_banking;

pub use berlin_group::BerlinGroup;
pub use uk_open_banking::UkOpenBanking;
