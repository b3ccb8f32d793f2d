//! The payment pages: the PSU sees amount and payee (RTS art. 5, dynamic
//! linking), approves or declines.

use std::collections::HashMap;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse, Response};
use domain::{AccountIdentification, PaymentId, PaymentState, SessionId};
use edge::PeerIdentity;
use flows::NextStep;
use http::header::SET_COOKIE;
use http::{HeaderMap, Method, StatusCode};
use store::StoreError;
use store::payments::PaymentRow;
use store::sessions::SessionRow;
use url::Url;

use super::consent::{WaitPage, check_form};
use super::{
    Browser, PageError, client_name, go, page, presence, sandbox_decision, sandbox_user, session_of,
};
use crate::OAuth;

#[derive(Template)]
#[template(path = "payment.html")]
struct PaymentPage<'a> {
    session: String,
    client: &'a str,
    bank: &'a str,
    amount: String,
    payee: &'a str,
    account: String,
    purpose: Option<&'a str>,
    asks_name: bool,
    form_token: String,
}

/// `GET /pay/{session}`. The first browser that comes has the session.
pub(crate) async fn show(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    Extension(peer): Extension<PeerIdentity>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    if method == Method::HEAD {
        // A look at the link by whoever passed it on: not the person.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let browser = Browser::of(&headers, oauth.gateway.entropy());
    let mut tx = oauth.gateway.stores().global().begin().await?;
    match tx.bind_browser(id, &browser.digest()).await {
        Ok(()) => {
            tx.commit().await?;
            let again = go(&format!("/pay/{id}"));
            return Ok(([(SET_COOKIE, browser.cookie())], again).into_response());
        }
        // Bound before, or not there at all: the session itself will tell.
        Err(StoreError::Conflict) => drop(tx),
        Err(error) => return Err(error.into()),
    }
    let (session, browser) = session_of(&oauth, id, "payment", &headers).await?;
    let payment = payment_of(&oauth, &session).await?;
    if payment.state != PaymentState::AuthorizationRequired {
        return Ok(go(&format!("/pay/{id}/wait")));
    }
    let profile = oauth.gateway.registry().profile(&payment.institution);
    let asks_name = profile.as_ref().is_some_and(|profile| profile.psu_id_required);
    if let Some(approve) = sandbox_decision(&oauth, &headers) {
        let name = profile.as_deref().filter(|_| asks_name).and_then(sandbox_user);
        return settle(&oauth, &session, &payment, approve, name, &peer, &headers).await;
    }
    let client = client_name(&oauth, &session.client_id).await?;
    let order = &payment.terms.order;
    let account = match &order.creditor_account {
        AccountIdentification::Iban(iban) => spaced(iban.as_str()),
        AccountIdentification::SortCode(account) => {
            format!("{} {}", account.sort_code(), account.account_number())
        }
        AccountIdentification::Bban(text)
        | AccountIdentification::MaskedPan(text)
        | AccountIdentification::Other { identification: text, .. } => text.clone(),
    };
    Ok(page(&PaymentPage {
        session: id.to_string(),
        client: &client,
        bank: profile.as_ref().map_or("your bank", |profile| profile.name.as_str()),
        amount: order.amount.to_string(),
        payee: &order.creditor_name,
        account,
        purpose: order.remittance.unstructured.as_deref().or(order.remittance.reference.as_deref()),
        asks_name,
        form_token: browser.form_token(id),
    }))
}

/// `POST /pay/{session}`.
pub(crate) async fn decide(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    Extension(peer): Extension<PeerIdentity>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, PageError> {
    let (session, browser) = session_of(&oauth, id, "payment", &headers).await?;
    check_form(&form, &browser, id)?;
    let payment = payment_of(&oauth, &session).await?;
    let approve = match form.get("decision").map(String::as_str) {
        Some("approve") => true,
        Some("decline") => false,
        _ => return Err(PageError::form("Choose one of the two buttons.")),
    };
    let name = form.get("psu_id").map(|name| name.trim().to_owned());
    let name =
        name.filter(|name| !name.is_empty() && name.len() <= 100 && !name.chars().any(char::is_control));
    settle(&oauth, &session, &payment, approve, name, &peer, &headers).await
}

async fn settle(
    oauth: &OAuth,
    session: &SessionRow,
    payment: &PaymentRow,
    approve: bool,
    name: Option<String>,
    peer: &PeerIdentity,
    headers: &HeaderMap,
) -> Result<Response, PageError> {
    // A page that is stale: the order is at the bank, and what comes of it the
    // bank decides. Declining there would not stop it.
    if payment.state != PaymentState::AuthorizationRequired {
        return Ok(go(&format!("/pay/{}/wait", session.id)));
    }
    if !approve {
        oauth.gateway.decline_payment(payment.id).await?;
        return Ok(go(back(payment)?.as_str()));
    }
    let psu = presence(peer, headers);
    match oauth.gateway.start_payment(session.id, payment.id, &psu, name).await {
        Ok(NextStep::Redirect(url)) => Ok(go(url.as_str())),
        Ok(NextStep::Wait(_) | NextStep::Authorized | NextStep::Ended(_)) => {
            Ok(go(&format!("/pay/{}/wait", session.id)))
        }
        Err(error) => Err(PageError::from(error).back_to(back(payment).ok())),
    }
}

/// Times that our page looks before it shows itself again.
const LOOKS: usize = 20;

/// `GET /pay/{session}/wait`: until the bank has the PSU's decision.
pub(crate) async fn wait(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let (session, _) = session_of(&oauth, id, "payment", &headers).await?;
    for look in 0..LOOKS {
        let payment = payment_of(&oauth, &session).await?;
        let undecided = matches!(payment.state, PaymentState::Authorizing | PaymentState::Authorized);
        if !undecided {
            return Ok(go(back(&payment)?.as_str()));
        }
        if look + 1 < LOOKS {
            // The reconciler asks the bank; this only looks at what it found.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    Ok(page(&WaitPage { bank: "", message: None, again: format!("/pay/{id}/wait") }))
}

async fn payment_of(oauth: &OAuth, session: &SessionRow) -> Result<PaymentRow, PageError> {
    let id =
        session.plan.get("payment").and_then(|id| id.as_str()).and_then(|id| id.parse::<PaymentId>().ok());
    let gone = || PageError::over();
    Ok(oauth.gateway.any_payment(id.ok_or_else(gone)?).await?)
}

/// Where the PSU's browser goes in the end. What became of the payment the
/// application asks us, not the address.
fn back(payment: &PaymentRow) -> Result<Url, PageError> {
    let mut url = Url::parse(&payment.terms.redirect_uri)
        .map_err(|_| PageError::form("The application's address is not one."))?;
    url.query_pairs_mut().append_pair("payment_id", &payment.id.to_string());
    if let Some(state) = &payment.terms.state {
        url.query_pairs_mut().append_pair("state", state);
    }
    Ok(url)
}

fn spaced(iban: &str) -> String {
    let mut text = String::new();
    for (index, letter) in iban.chars().enumerate() {
        if index > 0 && index % 4 == 0 {
            text.push(' ');
        }
        text.push(letter);
    }
    text
}
