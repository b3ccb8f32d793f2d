//! What banks want beyond HTTP: signatures of requests and answers in each dialect, and the official
//! descriptions and manifests, which the user gives.

mod cavage;
mod detached;
mod manifest;
mod message;
mod schema;
mod words;
pub(crate) mod yaml;

pub use cavage::{Cavage, digest, key_id, sign as sign_cavage, verify as verify_cavage};
pub use detached::{sign as sign_detached, verify as verify_detached};

pub use manifest::Manifests;
pub use message::{Made, content_digest, sign as sign_message};
pub use schema::{Descriptions, Misfit};
pub(crate) use words::words;
pub use yaml::read as read_yaml;
