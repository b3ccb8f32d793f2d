//! The page on which the PSU approves that a payment is taken back, where its bank wants that.
//! It is the page of the payment itself under another heading, in a session of its own.

use axum::response::Response;
use domain::Order;
use edge::PeerIdentity;
use flows::NextStep;
use http::HeaderMap;
use store::payments::PaymentRow;
use store::sessions::SessionRow;

use super::payment::{back, total};
use super::{Frame, PageError, go, presence, time};
use crate::OAuth;

/// Whether a session is about taking its payment back.
pub(crate) fn is_for(session: &SessionRow) -> bool {
    session.plan.get("cancels").and_then(serde_json::Value::as_bool) == Some(true)
}

/// Whether the PSU has still to decide here.
pub(crate) fn is_open(oauth: &OAuth, payment: &PaymentRow) -> bool {
    payment.cancelling(oauth.gateway.clock().now()).is_some_and(|known| !known.begun)
}

/// Whether the bank has still to say what came of it.
pub(crate) fn is_at_bank(oauth: &OAuth, payment: &PaymentRow) -> bool {
    payment.cancelling(oauth.gateway.clock().now()).is_some_and(|known| known.begun)
}

/// What is taken back, in one line.
pub(crate) fn title(frame: &Frame, payment: &PaymentRow) -> String {
    let t = &frame.t.payment;
    match &payment.terms.order {
        Order::Transfer(order) => {
            let amount = frame.t.format.amount(&order.amount);
            t.cancel_title.fill(&[("amount", &amount), ("payee", &order.creditor_name.as_str())])
        }
        Order::Batch(batch) => {
            let count = batch.transfers.len();
            t.cancel_title_many.fill(&[("count", &count), ("amount", &total(frame, batch))])
        }
    }
}

/// The PSU decided on our page.
pub(crate) async fn settle(
    oauth: &OAuth,
    session: &SessionRow,
    payment: PaymentRow,
    approve: bool,
    peer: &PeerIdentity,
    headers: &HeaderMap,
) -> Result<Response, PageError> {
    let way_back = back(oauth, &payment).await?;
    if !approve {
        oauth.gateway.decline_cancellation(payment.id).await?;
        return Ok(go(way_back.as_str()));
    }
    let end = time::before_bank(oauth, session.id).await?;
    let psu = presence(peer, headers);
    match oauth.gateway.start_cancellation(session.id, payment.id, &psu, end).await {
        Ok(NextStep::Redirect(url)) => Ok(go(url.as_str())),
        Ok(NextStep::Ask) => Ok(go(&format!("/pay/{}/sca", session.id))),
        Ok(NextStep::Wait(_) | NextStep::GoOn | NextStep::Authorized | NextStep::Ended(_)) => {
            Ok(go(&format!("/pay/{}/wait", session.id)))
        }
        Err(error) => Err(PageError::from(error).back_to(Some(way_back))),
    }
}
