//! The filter.

pub mod model;
