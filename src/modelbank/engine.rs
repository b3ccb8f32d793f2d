//! The bank behind both faces: customers, accounts, history, ledger,
//! consents and payments. It knows no wire shape.

pub(crate) mod arrangements;
pub(crate) mod book;
pub(crate) mod history;
pub(crate) mod magic;
pub(crate) mod people;
pub(crate) mod vault;

pub(crate) use book::{
    Authorisation, Book, Consent, ConsentState, Order, OrderState, Purpose, ScaState, Subject, Ticket,
};
pub(crate) use history::{Movement, movements};
pub(crate) use people::{Account, PASSWORD, accounts, users};
pub(crate) use vault::Vault;
