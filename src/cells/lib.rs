//! Cells: each holds some regions, and nobody else has their data. A request about a region of
//! another cell is forwarded there over mutual TLS, streamed and stored nowhere; or its sender
//! is told where to go; or it is refused.
//!
//! Who asks goes along as a signed context (`context`) and is proved again at home: the
//! certificate is judged by what home trusts, the token by what home knows. A request takes
//! one hop: home answers it, or refuses it.

mod answers;
mod arrive;
mod context;
mod events;
mod file;
mod forward;
#[cfg(feature = "leaks")]
mod leak;
mod legs;
mod peers;
mod places;
mod route;
mod shadow;

pub use arrive::{Arrivals, arrive};
pub use file::{Across, CellFile, InvalidCells, Neighbour, Original, Shadow};
pub use forward::{Forwarder, Unreachable};
pub use peers::{Known, Peers};
pub use places::regions_in;
pub use route::{Institutions, NotPassed, Note, Routes, route};
pub use shadow::mirror;
