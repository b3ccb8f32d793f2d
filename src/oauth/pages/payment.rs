//! The payment pages: the PSU sees amount and payee (RTS art. 5, dynamic
//! linking), approves or declines.

use std::collections::HashMap;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse, Response};
use domain::{
    BatchOrder, ChargeBearer, Execution, IsoPaymentStatus, Order, PayeeMatch, PaymentFrequency, PaymentId,
    PaymentOrder, PaymentState, SessionId,
};
use edge::PeerIdentity;
use flows::{FlowError, NextStep};
use http::{HeaderMap, Method, StatusCode};
use store::StoreError;
use store::payments::{PayeeCheck, PaymentRow};
use store::sessions::SessionRow;
use url::Url;

use super::consent::{WaitPage, decision_of};
use super::session::{Visit, posted, visit};
use super::{
    Browser, Frame, PageError, cancellation, go, presence, sandbox_decision, sandbox_user, sca, time,
    with_cookies,
};
use crate::texts::{Text, Texts};
use crate::{OAuth, details, response};

#[derive(Template)]
#[template(path = "payment.html")]
struct PaymentPage<'a> {
    frame: &'a Frame,
    heading: String,
    session: String,
    client: &'a str,
    bank: &'a str,
    shown: Shown<'a>,
    when: Option<String>,
    payee: Option<String>,
    asks_name: bool,
    asks_here: bool,
    form_token: String,
}

/// What is paid: one transfer, or many.
enum Shown<'a> {
    One {
        amount: String,
        payee: &'a str,
        account: String,
        purpose: Option<&'a str>,
        charges: Option<&'a Text>,
    },
    Many {
        total: String,
        transfers: Vec<Line<'a>>,
    },
}

/// One transfer of many.
struct Line<'a> {
    amount: String,
    payee: &'a str,
    account: String,
    purpose: Option<&'a str>,
}

impl<'a> Shown<'a> {
    fn of(frame: &'a Frame, payment: &'a PaymentRow) -> Self {
        match &payment.terms.order {
            Order::Transfer(order) => {
                let Line { amount, payee, account, purpose } = Line::of(frame, order);
                let abroad = order.abroad.as_ref();
                let charges = abroad.map(|abroad| charges(frame.t, abroad.charge_bearer));
                Self::One { amount, payee, account, purpose, charges }
            }
            Order::Batch(batch) => Self::Many {
                total: total(frame, batch),
                transfers: batch.transfers.iter().map(|order| Line::of(frame, order)).collect(),
            },
        }
    }
}

impl<'a> Line<'a> {
    fn of(frame: &Frame, order: &'a PaymentOrder) -> Self {
        Self {
            amount: frame.t.format.amount(&order.amount),
            payee: &order.creditor_name,
            account: details::spoken(&order.creditor_account),
            purpose: order.remittance.unstructured.as_deref().or(order.remittance.reference.as_deref()),
        }
    }
}

/// What a batch is in all.
pub(crate) fn total(frame: &Frame, batch: &BatchOrder) -> String {
    batch.total().map(|total| frame.t.format.amount(&total)).unwrap_or_default()
}

/// `GET /pay/{payment}/open/{key}`: where a TPP sends the PSU. The first browser that comes
/// has the session; a look at the link by whoever passed it on (HEAD) opens nothing.
pub(crate) async fn open(
    State(oauth): State<OAuth>,
    Path((id, key)): Path<(PaymentId, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    if method == Method::HEAD {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let session = oauth.gateway.open_approval(id, &key).await?;
    let first = first_visit(&oauth, session, "/pay", &method, &headers).await?;
    Ok(first.unwrap_or_else(|| go(&format!("/pay/{session}"))))
}

/// `GET /pay/{session}`. The first browser that comes has the session.
pub(crate) async fn show(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    Extension(peer): Extension<PeerIdentity>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    if let Some(first) = first_visit(&oauth, id, "/pay", &method, &headers).await? {
        return Ok(first);
    }
    let Visit { session, browser, frame, .. } = visit(&oauth, id, "payment", &headers).await?;
    let payment = payment_of(&oauth, &session).await?;
    let cancels = cancellation::is_for(&session);
    let open = payment.state == PaymentState::AuthorizationRequired;
    if !(if cancels { cancellation::is_open(&oauth, &payment) } else { open }) {
        return Ok(go(&format!("/pay/{id}/wait")));
    }
    let payment = oauth.gateway.with_verified_payee(payment, &presence(&peer, &headers)).await?;
    let profile = oauth.gateway.registry().profile(&payment.institution);
    // Its name was asked for with the payment itself.
    let asks_name = !cancels && profile.as_ref().is_some_and(|profile| profile.psu_id_required);
    if let Some(approve) = sandbox_decision(&oauth, &headers) {
        let name =
            profile.as_deref().filter(|_| asks_name).and_then(|profile| sandbox_user(profile, &headers));
        return settle(&oauth, &session, payment, approve, name, &peer, &headers).await;
    }
    let shown = Shown::of(&frame, &payment);
    let page = PaymentPage {
        frame: &frame,
        heading: if cancels { cancellation::title(&frame, &payment) } else { title(&frame, &payment) },
        session: id.to_string(),
        client: frame.client_name(),
        // A bank that is not set up any more goes by its id.
        bank: profile.as_ref().map_or(payment.institution.as_str(), |profile| profile.name.as_str()),
        shown,
        when: when(frame.t, payment.terms.order.execution()),
        payee: payee_warning(frame.t, &payment).filter(|_| !cancels),
        asks_name,
        asks_here: profile.as_deref().is_some_and(sca::asks_here),
        form_token: browser.form_token(),
    };
    Ok(frame.timed_page(&page, &format!("/pay/{id}")))
}

/// The days on which a payment is made, if that is not at once.
fn when(t: &Texts, execution: &Execution) -> Option<String> {
    let series = match execution {
        Execution::AtOnce => return None,
        Execution::On(day) => return Some(t.format.date(*day)),
        Execution::Repeated(series) => series,
    };
    let often = match series.frequency {
        PaymentFrequency::Daily => &t.payment.daily,
        PaymentFrequency::Weekly => &t.payment.weekly,
        PaymentFrequency::EveryTwoWeeks => &t.payment.two_weekly,
        PaymentFrequency::Monthly => &t.payment.monthly,
        PaymentFrequency::EveryTwoMonths => &t.payment.two_monthly,
        PaymentFrequency::Quarterly => &t.payment.quarterly,
        PaymentFrequency::SemiAnnual => &t.payment.half_yearly,
        PaymentFrequency::Annual => &t.payment.yearly,
    };
    let first = t.format.date(series.first);
    Some(match series.last {
        None => t.payment.series.fill(&[("often", often), ("first", &first)]),
        Some(last) => {
            let last = t.format.date(last);
            t.payment.series_until.fill(&[("often", often), ("first", &first), ("last", &last)])
        }
    })
}

/// What the PSU is told of the payee's name before approving (Regulation (EU) 2024/886 art. 1):
/// nothing, where it is the account's holder, or nobody asked.
fn payee_warning(t: &Texts, payment: &PaymentRow) -> Option<String> {
    let Some(PayeeCheck::Done { result, .. }) = &payment.terms.payee else { return None };
    let payee = payment.terms.order.transfer()?.creditor_name.as_str();
    match result {
        PayeeMatch::Match => None,
        PayeeMatch::CloseMatch { name } => {
            Some(t.payment.payee_close.fill(&[("name", name), ("payee", &payee)]))
        }
        PayeeMatch::NoMatch => Some(t.payment.payee_other.with("payee", payee)),
        PayeeMatch::NotPossible { .. } => Some(t.payment.payee_unverified.with("payee", payee)),
    }
}

/// Who bears the charges of a payment abroad.
fn charges(t: &Texts, bearer: ChargeBearer) -> &Text {
    match bearer {
        ChargeBearer::Debtor => &t.payment.charges_debtor,
        ChargeBearer::Creditor => &t.payment.charges_creditor,
        ChargeBearer::Shared => &t.payment.charges_shared,
        ChargeBearer::ServiceLevel => &t.payment.charges_system,
    }
}

/// What the first browser that comes to a session is answered: it has the session
/// from then on.
pub(crate) async fn first_visit(
    oauth: &OAuth,
    id: SessionId,
    place: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Option<Response>, PageError> {
    if *method == Method::HEAD {
        // A look at the link by whoever passed it on: not the person.
        return Ok(Some(StatusCode::NO_CONTENT.into_response()));
    }
    let browser = Browser::opens(id, oauth.gateway.entropy());
    let bound = store::transaction!(oauth.gateway.stores().global(), tx => {
        tx.bind_browser(id, &browser.digest()).await
    });
    match bound {
        Ok(()) => Ok(Some(with_cookies(go(&format!("{place}/{id}")), browser.cookies(headers)))),
        // Bound before, or not there at all: the session itself will tell.
        Err(StoreError::Conflict) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The PSU's name at the bank, from a form.
pub(crate) fn name_of(form: &HashMap<String, String>) -> Option<String> {
    let name = form.get("psu_id").map(|name| name.trim().to_owned());
    name.filter(|name| !name.is_empty() && name.len() <= 100 && !name.chars().any(char::is_control))
}

/// `POST /pay/{session}`.
pub(crate) async fn decide(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    Extension(peer): Extension<PeerIdentity>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, PageError> {
    let session = posted(&oauth, id, "payment", &headers, &form).await?;
    let payment = payment_of(&oauth, &session).await?;
    let approve = decision_of(&form)?;
    let name = name_of(&form);
    settle(&oauth, &session, payment, approve, name, &peer, &headers).await
}

async fn settle(
    oauth: &OAuth,
    session: &SessionRow,
    payment: PaymentRow,
    approve: bool,
    name: Option<String>,
    peer: &PeerIdentity,
    headers: &HeaderMap,
) -> Result<Response, PageError> {
    if cancellation::is_for(session) {
        return cancellation::settle(oauth, session, payment, approve, peer, headers).await;
    }
    let waiting = || Ok(go(&format!("/pay/{}/wait", session.id)));
    // A page that is stale: the order is at the bank, and what comes of it the
    // bank decides. Declining there would not stop it.
    if payment.state != PaymentState::AuthorizationRequired {
        return waiting();
    }
    let id = payment.id;
    let way_back = back(oauth, &payment).await?;
    if !approve {
        oauth.gateway.decline_payment(id).await?;
        return Ok(go(way_back.as_str()));
    }
    let end = time::before_bank(oauth, session.id).await?;
    match oauth.gateway.prolong_approval(payment, end).await {
        Ok(()) => {}
        // The same page in another tab was first; its step counts.
        Err(FlowError::Store(StoreError::Conflict)) => return waiting(),
        Err(error) => return Err(error.into()),
    }
    let psu = presence(peer, headers);
    match oauth.gateway.start_payment(session.id, id, &psu, name).await {
        Ok(NextStep::Redirect(url)) => Ok(go(url.as_str())),
        Ok(NextStep::Ask) => Ok(go(&format!("/pay/{}/sca", session.id))),
        Ok(NextStep::Wait(_) | NextStep::GoOn | NextStep::Authorized | NextStep::Ended(_)) => waiting(),
        Err(error) => Err(PageError::from(error).back_to(Some(way_back))),
    }
}

/// Times that our page looks before it shows itself again.
pub(crate) const LOOKS: usize = 20;

/// `GET /pay/{session}/wait`: until the bank has the PSU's decision.
pub(crate) async fn wait(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let Visit { session, browser, frame, .. } = visit(&oauth, id, "payment", &headers).await?;
    for look in 0..LOOKS {
        if sca::asks_now(&oauth, &session).await? {
            return Ok(go(&format!("/pay/{id}/sca")));
        }
        let payment = payment_of(&oauth, &session).await?;
        let undecided = if cancellation::is_for(&session) {
            cancellation::is_at_bank(&oauth, &payment)
        } else {
            matches!(payment.state, PaymentState::Authorizing | PaymentState::Authorized)
        };
        // Others must approve, too: there is nothing more for this one to do.
        let partly =
            payment.bank.iso_status.as_deref() == Some(IsoPaymentStatus::PartiallyAuthorised.as_str());
        if !undecided || partly {
            return Ok(go(back(&oauth, &payment).await?.as_str()));
        }
        if look + 1 < LOOKS {
            // The reconciler asks the bank; this only looks at what it found.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    let form_token = browser.form_token();
    Ok(WaitPage { frame: &frame, bank: "", place: time::place(&session), form_token }.response())
}

/// The payment in one line.
pub(crate) fn title(frame: &Frame, payment: &PaymentRow) -> String {
    let t = &frame.t.payment;
    match &payment.terms.order {
        Order::Transfer(order) => {
            let amount = frame.t.format.amount(&order.amount);
            t.title.fill(&[("amount", &amount), ("payee", &order.creditor_name.as_str())])
        }
        Order::Batch(batch) => {
            let count = batch.transfers.len();
            t.title_many.fill(&[("count", &count), ("amount", &total(frame, batch))])
        }
    }
}

/// The payment of a session.
pub(crate) async fn payment_of(oauth: &OAuth, session: &SessionRow) -> Result<PaymentRow, PageError> {
    let id =
        session.plan.get("payment").and_then(|id| id.as_str()).and_then(|id| id.parse::<PaymentId>().ok());
    let gone = || PageError::over();
    Ok(oauth.gateway.any_payment(id.ok_or_else(gone)?).await?)
}

/// Where the PSU's browser goes in the end. What became of the payment the
/// application asks us, not the address.
pub(crate) async fn back(oauth: &OAuth, payment: &PaymentRow) -> Result<Url, PageError> {
    let mut url = response::registered(oauth, &payment.client_id, &payment.terms.redirect_uri).await?;
    url.query_pairs_mut().append_pair("payment_id", &payment.id.to_string());
    if let Some(state) = &payment.terms.state {
        url.query_pairs_mut().append_pair("state", state);
    }
    Ok(url)
}
