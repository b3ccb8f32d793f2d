//! Steps with a bank's authorization server that ask it something on the way.

use url::Url;

use super::Transport;
use crate::bank_oauth::{Discovery, ExpectedIdToken, Metadata, OAuthClient, metadata_request};
use crate::{BankError, BankErrorKind, Profile};

impl Transport {
    /// Metadata of the bank's authorization server: what the profile states, or
    /// what the server says; `named` is the address that an answer gave.
    ///
    /// # Errors
    ///
    /// [`BankError`] if the server does not answer, or not as itself.
    pub async fn server_metadata(
        &self,
        profile: &Profile,
        named: Option<&Url>,
    ) -> Result<Metadata, BankError> {
        match Metadata::of_profile(profile) {
            Some(stated) => Ok(stated),
            None => self.discover(profile, named).await?.metadata(profile),
        }
    }

    /// What the bank publishes of its authorization server, whether or not that
    /// fits the profile.
    ///
    /// # Errors
    ///
    /// [`BankError`] if the server does not answer, or with no metadata.
    pub async fn discover(&self, profile: &Profile, named: Option<&Url>) -> Result<Discovery, BankError> {
        let request = metadata_request(profile, named)?;
        let from = request.url.clone();
        Discovery::of(profile, from, self.call(profile, request).await?)
    }

    /// Checks the id_token of an answer, with the bank's keys; one that is
    /// missing must not have been expected.
    ///
    /// # Errors
    ///
    /// `authorization-invalid` if it is missing or a claim fails.
    pub async fn check_id_token(
        &self,
        client: &OAuthClient<'_>,
        token: Option<&str>,
        expected: &ExpectedIdToken<'_>,
    ) -> Result<(), BankError> {
        match token {
            Some(token) => {
                let keys = client.keys_read(&self.call(client.profile, client.keys()?).await?)?;
                client.verify_id_token(token, &keys, expected)
            }
            None if client.expects_id_token(expected) => {
                let missing = BankError::new(&client.profile.id, BankErrorKind::AuthorizationInvalid);
                Err(missing.at("id_token"))
            }
            None => Ok(()),
        }
    }
}
