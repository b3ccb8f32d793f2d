//! Who may do what, and where data may lie: rules in Cedar, decided in this process.
//!
//! The rules are files (`policies/access/`, or an operator's folder). They are held against a
//! schema that is made from the request types, run their own tests before they are used, and
//! are replaced as a whole. What no rule permits is denied, a rule that fails denies, and every
//! refusal names its reasons. A [`Permit`] comes from [`Engine::decide`] and from nowhere else.

mod ask;
mod engine;
mod invalid;
#[cfg(feature = "prove")]
mod prove;
mod regions;
mod report;
mod requests;
mod rules;
mod schema;
mod source;
mod trial;

pub use engine::{Decision, Denied, Engine, Permit, Reason};
pub use invalid::{Finding, InvalidPolicies};
#[cfg(feature = "prove")]
pub use prove::{Broken, Half, Held, Mutants, ProveFailed, Proved, Survivor, prove};
pub use report::{Checked, Explained, InvalidRequest, Tested, check, explain, test};
pub use requests::{
    Agree, AgreementFacts, ChangePayment, ConfirmFunds, ConsentFacts, Forward, Keep, Keeping, MandateFacts,
    OrderPayment, PaymentChange, PaymentFacts, ReadData, Service, Step,
};
pub use schema::schema;
pub use trial::{Answer, Outcome, Run};
