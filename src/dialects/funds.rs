//! A bank's yes or no about funds, and how far it is to be relied on.

use connect::{BankError, CallContext, FundsAnswer, QuirkName};

use crate::node::Node;

/// The step of quirks.
const STEP: &str = "cbpii.funds_confirmation";

/// Whether the profile says that the bank's answers are not to be relied on.
pub(crate) fn is_unreliable(cx: &CallContext<'_>) -> bool {
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
