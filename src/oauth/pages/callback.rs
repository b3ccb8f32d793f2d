//! Where banks send the PSU back to.

use axum::extract::{Path, State};
use axum::response::Response;
use domain::InstitutionId;
use http::HeaderMap;

use super::session::own_browser;
use super::{PageError, go};
use crate::OAuth;

/// `GET /callback/{institution}`. Nothing is used up before the browser has
/// proved to be the one that was sent out.
pub(crate) async fn callback(
    State(oauth): State<OAuth>,
    Path(institution): Path<InstitutionId>,
    headers: HeaderMap,
    uri: http::Uri,
) -> Result<Response, PageError> {
    let gateway = &oauth.gateway;
    let query = uri.query().unwrap_or_default();
    // The session also of an answer that is spent, so that its PSU finds back.
    let session = gateway.session_of_return(query).await?;
    let wrong = |error: PageError| error.within(session);
    let returned = gateway.bank_return(&institution, query).await.map_err(|error| wrong(error.into()))?;
    let session = returned.session;
    let known = gateway.stores().global().session(session).await?;
    let known = known.filter(|known| own_browser(known, &headers).is_some());
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
