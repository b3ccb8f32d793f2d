//! A client that we know and that does not behave.

use std::path::Path;

use crypto::pki::Authority;
use domain::{Clock, SystemClock};
use serde_json::json;

use crate::Place;
use crate::wire::{Site, told};

/// Its name among certificates.
const NAME: &str = "insider";

/// A certificate that the gateway trusts, whose key lies in `folder`, of a client that is registered with it; and the
/// client's id.
pub async fn insider(place: &Place, folder: &Path) -> anyhow::Result<(Place, String)> {
    let pki = place.root.with_file_name("root.key");
    let root = std::fs::read_to_string(&place.root)?;
    let authority = Authority::from_pem(&root, &std::fs::read_to_string(pki)?, SystemClock.now())?;
    let issued = authority.issue_client_plain(NAME)?;
    let file = |ending: &str| folder.join(NAME).with_extension(ending);
    let place = Place { certificate: file("pem"), key: file("key"), ..place.clone() };
    std::fs::write(&place.certificate, &issued.certificate_pem)?;
    std::fs::write(&place.key, &issued.key_pem)?;
    let site = Site::of(&place, true, false)?;
    let metadata = json!({
        "client_name": NAME,
        "grant_types": ["client_credentials"],
        "response_types": [],
        "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_subject_dn": format!("CN={NAME}"),
        "scope": "accounts payments",
    });
    let id = told(&site, "/oauth/register", "application/json", metadata.to_string(), "client_id").await?;
    Ok((place, id))
}
