//! How many requests, of whom, in which time: policies that are data, counted in this
//! process (GCRA) and settled with other processes afterwards, so that no request waits.
//!
//! What a refusal looks like, and who a request is from, is decided above.

mod limiter;
mod policy;
mod settle;
mod table;
mod told;

pub use limiter::{Exceeded, Key, Limiter};
pub use policy::{Block, Class, InvalidLimits, Load, Partition, Policies, Policy, Special};
pub use settle::{Ahead, Pool, PoolLost, Spent, settle};
pub use told::{Standing, Told};
