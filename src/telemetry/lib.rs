//! What is told of the gateway to those who run it: figures, the way of a request, the context in which
//! others trace it.
//!
//! Nothing here says anything of a person: labels are names of routes, banks, regions and outcomes, of
//! which there are so many and no more.

mod context;
mod figures;
mod trail;

pub use context::TraceContext;
pub use figures::{
    BankLabels, Collected, FIGURES, Figures, Reloaded, RequestLabels, Spent, Told, registered, text_of,
};
pub use prometheus_client::registry::Registry;
pub use trail::{BankCall, BankOutcome, Calling, Trail, carried};
