//! A bank's yes or no about funds, and how far it is to be relied on.

use connect::{BankError, CallContext, FundsAnswer, FundsQuestion, QuirkName};

use crate::echo;
use crate::node::Node;

/// The step of quirks.
const STEP: &str = "cbpii.funds_confirmation";

/// Compares what an answer repeats of the question: its amount, whose members go by
/// these names, and its reference.
pub(crate) fn about(
    cx: &CallContext<'_>,
    question: &FundsQuestion<'_>,
    (amount, members): (&Node<'_>, [&str; 2]),
    reference: &Node<'_>,
) -> Result<(), BankError> {
    if is_unreliable(cx) {
        return Ok(());
    }
    let [number, unit] = members;
    echo::amount(amount, number, unit, &question.amount)?;
    let other = reference.word()?.is_some_and(|reference| reference != question.reference);
    if other { Err(echo::mismatch(reference)) } else { Ok(()) }
}

/// Whether the profile says that the bank's answers are not to be relied on.
fn is_unreliable(cx: &CallContext<'_>) -> bool {
    let version = cx.profile.funds_api.as_ref().map_or("", |api| api.version.as_str());
    cx.profile.quirks.find(QuirkName::FundsAnswerUnreliable, STEP, version).is_some()
}

/// Reads yes or no. Where it is not to be relied on, nothing said is a no.
pub(crate) fn said(
    cx: &CallContext<'_>,
    available: &Node<'_>,
    bank_reference: Option<String>,
) -> Result<FundsAnswer, BankError> {
    let reliable = !is_unreliable(cx);
    let available = match available.boolean()? {
        Some(available) => available,
        None if reliable => return Err(available.malformed()),
        None => false,
    };
    Ok(FundsAnswer { available, reliable, bank_reference })
}
