//! The bank behind both faces: customers, accounts, history, ledger,
//! consents and payments. It knows no wire shape.

pub(crate) mod arrangements;
pub(crate) mod book;
pub(crate) mod exchange;
mod execution;
pub(crate) mod history;
pub(crate) mod magic;
pub(crate) mod notices;
mod order;
pub(crate) mod payee;
pub(crate) mod people;
pub(crate) mod plan;
pub(crate) mod vault;

pub(crate) use book::{Authorisation, Book, Consent, ConsentState, Purpose, ScaState, Subject, Ticket};
pub(crate) use history::{Movement, movements};
pub(crate) use order::{Instruction, Moved, Order, OrderState, Outcome, Transfer};
pub(crate) use people::{Account, PASSWORD, accounts, users};
pub(crate) use plan::{Every, OffDay, Plan, Rhythm};
pub(crate) use vault::Vault;
