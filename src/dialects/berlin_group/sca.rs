//! How authentication goes on, as the answer's links and headers say.

use connect::{BankError, BankResponse, Environment, NextPage, Profile, ScaFlow, ScaStart};
use url::Url;

use crate::node::Node;

/// Reads the start of authentication. `scope` is what OAuth asks for; `own`
/// is where authentications of this resource are, built by us rather than
/// believed.
pub(crate) fn sca_start(
    profile: &Profile,
    response: &BankResponse,
    body: &Node<'_>,
    scope: String,
    own: &Url,
) -> Result<ScaStart, BankError> {
    let links = body.get("_links");
    if let Some(url) = browser_link(profile, &links.of_any("scaRedirect"))? {
        return Ok(ScaStart::Redirect(url));
    }
    if let Some(metadata) = browser_link(profile, &links.of_any("scaOAuth"))? {
        return Ok(ScaStart::OAuth { scope, intent_id: None, metadata: Some(metadata) });
    }
    let approach = response.header_text("aspsp-sca-approach").unwrap_or_default();
    if approach.eq_ignore_ascii_case("DECOUPLED") {
        let message = body.get("psuMessage").text()?;
        return Ok(ScaStart::Decoupled { message });
    }
    if approach.eq_ignore_ascii_case("OAUTH") {
        return Ok(ScaStart::OAuth { scope, intent_id: None, metadata: None });
    }
    let explicit = ["startAuthorisation", "startAuthorisationWithPsuIdentification"];
    if explicit.iter().any(|name| links.of_any(name).exists()) {
        return Ok(ScaStart::Explicit { link: own.clone() });
    }
    // Whether a bank may have what its customers know from us is the profile's word.
    if profile.sca.contains(&ScaFlow::Embedded)
        && let Some(embedded) = super::embedded::begun(response, body, own)?
    {
        return Ok(ScaStart::Embedded(Box::new(embedded)));
    }
    let credentials = [
        "startAuthorisationWithPsuAuthentication",
        "startAuthorisationWithEncryptedPsuAuthentication",
        "startAuthorisationWithAuthenticationMethodSelection",
        "startAuthorisationWithTransactionAuthorisation",
        "updatePsuIdentification",
        "updatePsuAuthentication",
        "updateEncryptedPsuAuthentication",
        "updateAdditionalPsuAuthentication",
        "updateAdditionalEncryptedPsuAuthentication",
        "selectAuthenticationMethod",
        "authoriseTransaction",
    ];
    if credentials.iter().any(|name| links.of_any(name).exists()) {
        return Ok(ScaStart::Unsupported);
    }
    if profile.authorization_server.is_some() && approach.eq_ignore_ascii_case("REDIRECT") {
        return Ok(ScaStart::OAuth { scope, intent_id: None, metadata: None });
    }
    Ok(ScaStart::NotNeeded)
}

/// A link for the browser: an object with `href` or a plain text; https, or
/// http at a sandbox.
fn browser_link(profile: &Profile, link: &Node<'_>) -> Result<Option<Url>, BankError> {
    let Some(text) = link_text(link)? else { return Ok(None) };
    let url = Url::parse(&text).map_err(|_| link.malformed())?;
    let plain_allowed = profile.environment == Environment::Sandbox && url.scheme() == "http";
    if url.scheme() == "https" || plain_allowed { Ok(Some(url)) } else { Err(link.malformed()) }
}

/// The address of a link, an object with `href` or a plain text.
pub(super) fn link_text(link: &Node<'_>) -> Result<Option<String>, BankError> {
    if link.is_object() { link.get("href").text() } else { link.text() }
}

/// The next page of a list, as the links beside it say.
pub(super) fn next_of(profile: &Profile, holder: &Node<'_>) -> Result<Option<NextPage>, BankError> {
    let links = holder.get("_links");
    let next = links.of_any("next");
    let Some(link) = link_text(&next)? else { return Ok(None) };
    NextPage::of(profile, &profile.accounts_api()?.url, &link, &next.pointer()).map(Some)
}

/// `scaStatus`, one of the words of XS2A 14.15.
pub(crate) fn sca_status(node: &Node<'_>) -> Result<(), BankError> {
    let known = [
        "received",
        "psuIdentified",
        "psuAuthenticated",
        "scaMethodSelected",
        "started",
        "unconfirmed",
        "finalised",
        "failed",
        "exempted",
    ];
    let word = node.required_text()?;
    if known.contains(&word.as_str()) { Ok(()) } else { Err(node.malformed()) }
}
