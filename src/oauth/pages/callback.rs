//! Where banks send the PSU back to.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::InstitutionId;
use http::HeaderMap;

use super::session::own_browser;
use super::{Frame, PageError, go};
use crate::OAuth;
use crate::locale::Locale;

/// `GET /callback/{institution}`. A bank of the hybrid response type answers
/// behind the `#`; its answer in the query is none (OAuth 2.0 Multiple Response
/// Type Encoding Practices §5), so a page of ours takes it from where it is.
pub(crate) async fn callback(
    State(oauth): State<OAuth>,
    Path(institution): Path<InstitutionId>,
    headers: HeaderMap,
    uri: http::Uri,
) -> Result<Response, PageError> {
    if answers_in_fragment(&oauth, &institution) {
        let frame = Frame::plain(Locale::choose(None, &headers));
        return Ok(frame.scripted_page(&HandOverPage { frame: &frame }));
    }
    returned(&oauth, &institution, &headers, uri.query().unwrap_or_default()).await
}

/// `GET /callback/{institution}/fragment`: what stood behind the `#`.
pub(crate) async fn handed_over(
    State(oauth): State<OAuth>,
    Path(institution): Path<InstitutionId>,
    headers: HeaderMap,
    uri: http::Uri,
) -> Result<Response, PageError> {
    if !answers_in_fragment(&oauth, &institution) {
        return Err(PageError::gone());
    }
    returned(&oauth, &institution, &headers, uri.query().unwrap_or_default()).await
}

fn answers_in_fragment(oauth: &OAuth, institution: &InstitutionId) -> bool {
    let profile = oauth.gateway.registry().profile(institution);
    profile.is_some_and(|profile| profile.answers_in_fragment())
}

#[derive(Template)]
#[template(path = "hand_over.html")]
struct HandOverPage<'a> {
    frame: &'a Frame,
}

/// Takes in what a bank sent back. Nothing is used up before the browser has
/// proved to be the one that was sent out.
async fn returned(
    oauth: &OAuth,
    institution: &InstitutionId,
    headers: &HeaderMap,
    query: &str,
) -> Result<Response, PageError> {
    let gateway = &oauth.gateway;
    // The session also of an answer that is spent, so that its PSU finds back.
    let session = gateway.session_of_return(query).await?;
    let wrong = |error: PageError| error.within(session);
    let returned = gateway.bank_return(institution, query).await.map_err(|error| wrong(error.into()))?;
    let session = returned.session;
    let known = gateway.stores().global().session(session).await?;
    let known = known.filter(|known| own_browser(known, headers).is_some());
    let known = known.ok_or_else(|| wrong(PageError::other_browser()))?;
    if let Err(error) = gateway.finish_return(returned).await {
        if matches!(error, flows::FlowError::CallbackSpent) {
            return Err(wrong(error.into()));
        }
        // The consent or payment knows what happened; the next page tells.
        tracing::warn!(session.id = %session, error = %error, "A PSU came back from {institution} with nothing");
    }
    Ok(go(&format!("{}/wait", super::time::place(&known))))
}
