//! A hostile bank, and whether a client of banks falls for it: FAPI 2.0 with the roles turned.
//!
//! One listener has an issuer for each [`Mode`], so that journeys do not meet: each bank is right
//! but for one thing. A client goes through a whole authorisation at it, and is judged by what the
//! bank saw of it and by what it told the one it works for.

mod bank;
pub mod careless;
mod data;
mod identity;
mod judge;
mod metadata;
mod mode;
mod profiles;
mod seen;
mod token;
mod world;

pub use bank::{Bank, Identities, Place, Unusable};
pub use identity::{Made, between, made, name_of};
pub use judge::{Judged, Told, judge};
pub use mode::{Drive, Mode, Wants};
pub use profiles::{Places, profiles};
pub use seen::{Endpoint, Seen};
pub(crate) use token::LIFE;
