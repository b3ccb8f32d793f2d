//! What a registration becomes: the metadata that is kept, and its meaning.
//! The same rules for a client that registers itself and for one that the
//! operator adds.

use crypto::certificate::{Psd2Role, Thumbprint};
use crypto::{Certificate, Confirmation};
use domain::{Entropy, Timestamp};
use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use store::StoreError;

use crate::Client;
use crate::client::{InvalidMetadata, role_missing};

/// A registration that holds.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The client.
    pub client: Client,
    /// Its metadata (RFC 7591), as it is kept.
    pub metadata: Value,
}

impl Registration {
    /// The registration of a client by what it asks for. With a certificate,
    /// the organisation and the PSD2 roles are what that one states, whatever
    /// the metadata says, and a scope needs its role (ETSI TS 119 495).
    ///
    /// # Errors
    ///
    /// [`InvalidMetadata`] with the first thing that is wrong.
    pub fn new(
        client_id: &str,
        mut metadata: Map<String, Value>,
        certificate: Option<&Certificate>,
    ) -> Result<Self, InvalidMetadata> {
        for name in ["client_id", "client_secret"] {
            metadata.remove(name);
        }
        if let Some(certificate) = certificate {
            settle_organisation(&mut metadata, certificate);
            fill_scope(&mut metadata, certificate);
        }
        let metadata = Value::Object(metadata);
        let client = Client::from_metadata(client_id, &metadata)?;
        let missing = |scope: &&String| !client.role_covers(certificate, scope);
        if let Some(scope) = client.scopes.iter().find(missing) {
            return Err(InvalidMetadata::Metadata(role_missing([scope.as_str()])));
        }
        Ok(Self { client, metadata })
    }
}

/// Ends the tokens that are bound to certificates of its own that a client has
/// registered no more (RFC 8705 §6.3).
pub(crate) async fn forget_certificates(
    tx: &mut store::Tx,
    was: &Client,
    now: &Client,
    at: Timestamp,
) -> Result<(), StoreError> {
    let certificates = |client: &Client| -> Vec<Thumbprint> {
        client.keys.iter().filter_map(|key| key.certificate().copied()).collect()
    };
    let kept = certificates(now);
    for gone in certificates(was).into_iter().filter(|shown| !kept.contains(shown)) {
        tx.revoke_tokens_bound_to(&was.id, Confirmation::SelfSigned(gone), at).await?;
    }
    Ok(())
}

/// A client identifier nobody had before.
#[must_use]
pub fn new_client_id(entropy: &dyn Entropy) -> String {
    format!("tpp-{}", crypto::token(entropy, 16).expose_secret())
}

/// What the certificate says about the client, whatever the request says.
fn settle_organisation(metadata: &mut Map<String, Value>, certificate: &Certificate) {
    for name in ["organization_identifier", "psd2_roles"] {
        metadata.remove(name);
    }
    if let Some(organisation) = &certificate.organization_identifier {
        metadata.insert("organization_identifier".to_owned(), organisation.as_str().into());
    }
    if let Some(statement) = &certificate.psd2 {
        let roles: Value = statement.roles.iter().map(|role| role.as_str()).collect();
        metadata.insert("psd2_roles".to_owned(), roles);
    }
}

/// Metadata without a scope asks for what the certificate's roles allow.
fn fill_scope(metadata: &mut Map<String, Value>, certificate: &Certificate) {
    if metadata.contains_key("scope") {
        return;
    }
    let roles =
        [Psd2Role::AccountInformation, Psd2Role::PaymentInitiation, Psd2Role::CardIssuing].into_iter();
    let may = |role: &Psd2Role| certificate.psd2.is_none() || certificate.has_role(*role);
    let scopes = roles.filter(may).filter_map(Psd2Role::scope);
    let scope = std::iter::once("openid").chain(scopes).collect::<Vec<_>>().join(" ");
    metadata.insert("scope".to_owned(), scope.into());
}
