//! Where use cases meet HTTP: problem documents, extractors that authorise,
//! cursors.

mod body;
mod caller;
mod cursor;
pub mod dpop;
mod elsewhere;
mod headers;
mod json;
mod limits;
mod occasion;
mod problem;
mod problem_code;
mod refusal;
mod strict;

pub use body::{JsonBody, MAX_BODY, QueryParams, bounded, from_text};
pub use caller::{
    Accounts, AccountsOrFunds, AccountsOrPayments, AnyScope, Caller, Funds, Payments, ScopeRule,
};
pub use cursor::Cursor;
pub use elsewhere::{ForeignLegs, Origin};
pub use headers::{IdempotencyKey, Psu};
pub use json::Json;
pub use limits::RateLimits;
pub use occasion::in_its_occasion;
pub use problem::{NextAction, Problem, ProblemError, ProblemInstitution};
pub use problem_code::ProblemCode;
pub use refusal::{moves_money, no_such_method, no_such_path, refuse};
pub use strict::strictly;
