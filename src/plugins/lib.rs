//! Banks that no dialect fits, as WebAssembly components.
//!
//! A plugin is pure as a dialect is: it says what to ask and what an answer
//! means (`wit/connector.wit`). It imports nothing, so there is nothing that it
//! could reach; each call runs in an instance of its own with bounds on memory,
//! steps and time; and all that it says is checked before it is believed. What it
//! does wrong is an error of its own bank.
//!
//! Only what an allowed key has signed is compiled, and it is compiled from those
//! very bytes: compiled code is kept nowhere, because whoever could write there
//! would run code outside the sandbox.

mod asking;
mod dialect;
mod folder;
mod host;
mod payments;
mod reading;
mod request;
mod resources;
mod signature;
mod wit;

pub use dialect::Plugin;
pub use folder::{PluginFolder, PluginProblem, plugin_name, signature_of};
pub use host::{GuestFailed, Host, HostFailed, Limits, NotAPlugin};
pub use signature::{AllowedKeys, NotSigned, SignFailed, sign};
