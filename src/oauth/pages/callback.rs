//! Where banks send the PSU back to.

use axum::extract::{Path, State};
use axum::response::Response;
use domain::InstitutionId;
use http::HeaderMap;

use super::{Browser, PageError, go};
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
    let returned = gateway.bank_return(&institution, uri.query().unwrap_or_default()).await?;
    let session = returned.session;
    let known = gateway.stores().global().session(session).await?;
    let browser = Browser::known(&headers).map(|browser| browser.digest());
    let Some(known) = known.filter(|known| browser.is_some() && known.browser_digest == browser) else {
        return Err(PageError::other_browser());
    };
    if let Err(error) = gateway.finish_return(returned).await {
        if matches!(error, flows::FlowError::CallbackSpent) {
            return Err(error.into());
        }
        // The consent or payment knows what happened; the next page tells.
        tracing::warn!(session.id = %session, error = %error, "A PSU came back from {institution} with nothing");
    }
    let page = if known.kind == "payment" { "pay" } else { "consent" };
    Ok(go(&format!("/{page}/{session}/wait")))
}
