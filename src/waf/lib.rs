//! The filter: what requests look like ([`model`]), and signatures of attacks in what the
//! model cannot type, in `SecLang`.
//!
//! The knowledge of attacks is OWASP's: the files of the Core Rule Set are read as they
//! are, and rules of our own for JSON interfaces are written in the same
//! language. What the language has and this crate has not is an error when
//! rules are loaded. Only requests are inspected.
//!
//! Three things make it fast. Each text is transformed once per chain of
//! transformations ([`Transformation`]), and not at all where it holds none of
//! the bytes that the chain looks for. One pass over a text tells which of all
//! patterns may match it (`signatures`), and which rules are asked at all (`waking`). And every pattern runs in linear
//! time, so that no body is dear because somebody made it so.
//!
//! What is over the [`Budget`] is an error and not a verdict: a request is
//! either inspected as a whole or refused.

mod body;
mod budget;
mod byteset;
mod chains;
mod compile;
mod evaluate;
mod exclusions;
mod inspect;
mod load;
pub mod model;
mod pattern;
pub mod policy;
mod prelude;
pub mod regression;
mod request;
pub mod seclang;
mod signatures;
mod state;
mod stretch;
mod texts;
mod transform;
mod typed;
mod verdict;
mod waking;
mod yaml;

pub use budget::Budget;
pub use exclusions::{Exemptions, RuleExclusion};
pub use load::{LoadReport, Patterns, RuleSet, Settings, Source, Sources};
pub use request::Request;
pub use seclang::LoadError;
pub use transform::Transformation;
pub use typed::Typed;
pub use verdict::{Match, OverBudget, Verdict};
