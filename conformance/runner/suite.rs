//! Profiles: cases that belong together, and how they are run.

mod baseline;
mod catalogue;
pub mod crs;
mod run;
mod table;

pub use baseline::{Baseline, Waiver};
pub use catalogue::{Profile, profile, profiles};
pub use run::{Options, Progress, run};
