//! What went wrong on a page, what helps, and the way back.

use askama::Template;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use connect::BankError;
use domain::SessionId;
use flows::FlowError;
use http::header::ACCEPT;
use http::{HeaderMap, Method, StatusCode};
use store::StoreError;
use url::Url;
use web::{Problem, ProblemCode};

use super::session::{WaysOn, locale_of};
use super::{Frame, go};
use crate::OAuth;
use crate::locale::Locale;
use crate::texts::{Text, Texts};

/// What went wrong, in words for the PSU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Over,
    Taken,
    OtherBrowser,
    Link,
    RequestUri,
    UnknownClient,
    ChooseBank,
    ChooseButton,
    Form,
    Gone,
    BankSilent,
    BankRefused,
    BankUnsupported,
    ConsentOver,
    PaymentOver,
    CallbackMismatch,
    CallbackSpent,
    Ours,
}

impl Reason {
    fn text(self, t: &Texts) -> &Text {
        let texts = &t.error;
        match self {
            Self::Over => &texts.over,
            Self::Taken => &texts.taken,
            Self::OtherBrowser => &texts.other_browser,
            Self::Link => &texts.link,
            Self::RequestUri => &texts.request_uri,
            Self::UnknownClient => &texts.unknown_client,
            Self::ChooseBank => &texts.choose_bank,
            Self::ChooseButton => &texts.choose_button,
            Self::Form => &texts.form,
            Self::Gone => &texts.gone,
            Self::BankSilent => &texts.bank_silent,
            Self::BankRefused => &texts.bank_refused,
            Self::BankUnsupported => &texts.bank_unsupported,
            Self::ConsentOver => &texts.consent_over,
            Self::PaymentOver => &texts.payment_over,
            Self::CallbackMismatch => &texts.callback_mismatch,
            Self::CallbackSpent => &texts.callback_spent,
            Self::Ours => &texts.ours,
        }
    }

    fn of(error: &FlowError) -> Self {
        match error.cause() {
            FlowError::NotFound(_) => Self::Gone,
            FlowError::UnknownInstitution(_) | FlowError::Unsupported(_) => Self::BankUnsupported,
            FlowError::ConsentNotInForce { .. }
            | FlowError::ConsentScope
            | FlowError::UnattendedUsedUp(_)
            | FlowError::TooMany(_)
            | FlowError::HistoryNeedsPsu
            | FlowError::ConsentState(_)
            | FlowError::NothingToReconfirm
            | FlowError::OtherPsu => Self::ConsentOver,
            FlowError::PaymentState(_)
            | FlowError::RefundUnavailable(_)
            | FlowError::RefundExceeds { .. }
            | FlowError::OrderNotGranted => Self::PaymentOver,
            FlowError::ConsentNotGranted
            | FlowError::MandateState(_)
            | FlowError::MandateBreach(_)
            | FlowError::MandateUsedUp { .. }
            | FlowError::PolicyRefused(_)
            | FlowError::DayUsedUp { .. }
            | FlowError::MandateNotGranted => Self::ConsentOver,
            FlowError::CallbackMismatch => Self::CallbackMismatch,
            FlowError::CallbackSpent => Self::CallbackSpent,
            FlowError::Bank(error) => Self::of_bank(error),
            FlowError::AllBanks(_) => Self::BankSilent,
            FlowError::Invalid(_)
            | FlowError::SnapshotGone
            | FlowError::RegionNotHeld(_)
            | FlowError::Denied { .. }
            | FlowError::Forbidden
            | FlowError::RegionDenied
            | FlowError::RulesFailed
            | FlowError::KeyInFlight
            | FlowError::KeyReused
            | FlowError::Webhook(_)
            | FlowError::PayeeQuota { .. }
            | FlowError::Busy
            | FlowError::Store(_) => Self::Ours,
        }
    }

    fn of_bank(error: &BankError) -> Self {
        if Problem::from(FlowError::Bank(error.clone())).retryable {
            Self::BankSilent
        } else {
            Self::BankRefused
        }
    }
}

/// Why a page is not the one that was asked for.
#[derive(Debug)]
pub(crate) enum PageError {
    /// Something went wrong.
    Wrong(Box<Wrong>),
    /// The PSU's time is over: on to the application.
    Elsewhere(Url),
}

/// What went wrong.
#[derive(Clone, Debug)]
pub(crate) struct Wrong {
    problem: Problem,
    reason: Reason,
    /// The session it went wrong in, where the address does not say so.
    session: Option<SessionId>,
    /// Where the PSU is led back to, if the session has been answered already.
    back: Option<Url>,
}

impl PageError {
    pub(crate) fn new(code: ProblemCode, reason: Reason) -> Self {
        Self::Wrong(Box::new(Wrong { problem: Problem::new(code), reason, session: None, back: None }))
    }

    /// The session is over, or never was.
    pub(crate) fn over() -> Self {
        Self::new(ProblemCode::SessionOver, Reason::Over)
    }

    /// A step that was taken before.
    pub(crate) fn taken() -> Self {
        Self::new(ProblemCode::SessionSpent, Reason::Taken)
    }

    /// A form that a browser does not send by itself.
    pub(crate) fn form(reason: Reason) -> Self {
        Self::new(ProblemCode::Invalid, reason)
    }

    /// A step that was taken before, or by somebody else.
    pub(crate) fn spent(error: StoreError) -> Self {
        if matches!(error, StoreError::Conflict) {
            return Self::taken();
        }
        error.into()
    }

    pub(crate) fn other_browser() -> Self {
        Self::new(ProblemCode::SessionBrowser, Reason::OtherBrowser)
    }

    pub(crate) fn unknown_client() -> Self {
        Self::new(ProblemCode::AuthorizationLink, Reason::UnknownClient)
    }

    pub(crate) fn gone() -> Self {
        Self::new(ProblemCode::NotFound, Reason::Gone)
    }

    /// Leads back by this link.
    pub(crate) fn back_to(mut self, url: Option<Url>) -> Self {
        if let Self::Wrong(wrong) = &mut self {
            wrong.back = url;
        }
        self
    }

    /// Says in which session it went wrong.
    pub(crate) fn within(mut self, session: Option<SessionId>) -> Self {
        if let Self::Wrong(wrong) = &mut self {
            wrong.session = session;
        }
        self
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        FlowError::from(error).into()
    }
}

impl From<FlowError> for PageError {
    fn from(error: FlowError) -> Self {
        let reason = Reason::of(&error);
        Self::Wrong(Box::new(Wrong { problem: error.into(), reason, session: None, back: None }))
    }
}

impl IntoResponse for PageError {
    /// The problem document; [`negotiate`] makes a page of it.
    fn into_response(self) -> Response {
        match self {
            Self::Elsewhere(url) => go(url.as_str()),
            Self::Wrong(wrong) => {
                let mut response = wrong.problem.clone().into_response();
                response.extensions_mut().insert(*wrong);
                response
            }
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    frame: &'a Frame,
    code: &'a str,
    text: &'a Text,
    ways: WaysOn,
}

/// Gives a caller that asks for HTML a page in place of the problem document
/// (RFC 9110 §12.5.1), in its language and with the way back.
pub(crate) async fn negotiate(State(oauth): State<OAuth>, request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let html = accepts.contains("text/html");
    let (path, posted) = (request.uri().path().to_owned(), request.method() == Method::POST);
    let mut response = next.run(request).await;
    let wrong = match response.extensions_mut().remove::<Wrong>() {
        Some(wrong) => wrong,
        // What the router says of an address or a form it cannot read.
        None if is_rejection(response.status()) => {
            let rejected = if posted { PageError::form(Reason::Form) } else { PageError::over() };
            match rejected {
                PageError::Wrong(wrong) => *wrong,
                PageError::Elsewhere(_) => return response,
            }
        }
        None => return response,
    };
    if html { error_page(&oauth, wrong, &path, &headers).await } else { wrong.problem.into_response() }
}

fn is_rejection(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE | StatusCode::UNPROCESSABLE_ENTITY
    )
}

async fn error_page(oauth: &OAuth, wrong: Wrong, path: &str, headers: &HeaderMap) -> Response {
    let mut frame = Frame::plain(Locale::choose(None, headers));
    let mut ways = WaysOn::default();
    let named = path.strip_prefix("/consent/").or_else(|| path.strip_prefix("/pay/"));
    let named = named.and_then(|rest| rest.split('/').next()?.parse().ok());
    if let Some(id) = wrong.session.or(named)
        && let Ok(Some(session)) = oauth.gateway.stores().global().session(id).await
        && let Ok(Some(client)) = oauth.client(&session.client_id).await
    {
        ways = WaysOn::of(&session, &client, headers, wrong.reason);
        frame = Frame::of_client(locale_of(&session, headers), client);
    }
    if path.starts_with("/access") {
        ways.go_on = Some("/access".to_owned());
    }
    if let Some(back) = wrong.back {
        ways = WaysOn { back: Some(back), ..WaysOn::default() };
    }
    let text = wrong.reason.text(frame.t);
    let mut response = frame.page(&ErrorPage { frame: &frame, code: wrong.problem.code, text, ways }, None);
    *response.status_mut() =
        StatusCode::from_u16(wrong.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}
