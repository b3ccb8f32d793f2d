//! The whole journey, played by an outside client: a fintech with a
//! certificate, and a person with a browser. Uses the public interface only.

mod browser;
mod client;
mod journey;
mod ports;
mod receiver;
mod report;
mod tpp;

pub use browser::{Browser, Visit};
pub use client::{Answer, Client};
pub use journey::play;
pub use ports::free_ports;
pub use receiver::{Delivery, Receiver};
pub use report::{Report, Step};
pub use tpp::{PERMISSIONS, RETURN, Tpp, bearer, verifier};
