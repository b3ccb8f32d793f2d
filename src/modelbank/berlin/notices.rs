//! Resource status notification: posted to the address that came with a consent or payment.

use axum::http::HeaderValue;
use axum::response::Response;
use serde_json::{Value, json};

use super::consents::status_word;
use super::refusal::Refusal;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::notices::Notice;
use crate::notices::Post;

/// Remembers where the TPP wants to be told of a consent or order that it makes, and says so
/// in the answer.
pub(super) async fn remember(
    bank: &Bank,
    caller: &Caller,
    id: &str,
    mut answer: Response,
) -> Result<Response, Refusal> {
    let Some(address) = caller.header("tpp-notification-uri") else { return Ok(answer) };
    bank.vault.change(|book| book.notices.addresses.insert(id.to_owned(), address.to_owned()));
    bank.vault.keep().await?;
    let headers = answer.headers_mut();
    headers.insert("aspsp-notification-support", HeaderValue::from_static("true"));
    headers.insert("aspsp-notification-content", HeaderValue::from_static("status=PROCESS"));
    Ok(answer)
}

/// A notice, to the address of what has changed. A forged one goes where nobody was told to
/// send it; one about a stranger goes where it was.
pub(crate) fn post(bank: &Bank, notice: &Notice) -> Option<Post> {
    let now = bank.now();
    let (address, body) = bank.vault.read(|book| {
        let notices = &book.notices;
        let address = notices.addresses.get(&notice.about);
        let body = match (book.consents.get(&notice.about), book.orders.get(&notice.about)) {
            (Some(consent), _) => {
                json!({ "consentId": consent.id, "consentStatus": status_word(consent, now) })
            }
            (None, Some(order)) => json!({ "paymentId": order.id, "transactionStatus": order.status(now) }),
            (None, None) => json!({ "paymentId": notice.about, "transactionStatus": "ACSC" }),
        };
        (address.or_else(|| notices.addresses.values().next()).cloned(), body)
    });
    let address = address?;
    let url = if notice.forged { format!("{address}x") } else { address };
    Some(Post { url, content_type: "application/json", body: Value::to_string(&body) })
}
