//! Registrations at banks: the requests that each step takes.

use secrecy::SecretString;

use super::Transport;
use crate::RegisteredClient;
use crate::bank_oauth::{ManagedBy, Registered, Registrar, RegistrationError, RegistrationOrder, Role};

impl Transport {
    /// Registers us at a bank.
    ///
    /// # Errors
    ///
    /// [`RegistrationError`]; after one whose outcome is `Unknown`, look at the bank
    /// before trying again.
    pub async fn register(
        &self,
        registrar: &Registrar<'_>,
        order: &RegistrationOrder<'_>,
    ) -> Result<Registered, RegistrationError> {
        let answer = self.call(registrar.profile, registrar.register(order)?).await?;
        registrar.registered(order, &answer)
    }

    /// A registration as the bank has it; `role` is the service, if it is for one.
    ///
    /// # Errors
    ///
    /// [`RegistrationError`].
    pub async fn registration(
        &self,
        registrar: &Registrar<'_>,
        client: &RegisteredClient,
        role: Option<Role>,
    ) -> Result<Registered, RegistrationError> {
        let token = self.registration_token(registrar, client, role).await?;
        registrar.read_answer(&self.call(registrar.profile, registrar.read(client, &token)?).await?)
    }

    /// Replaces a registration.
    ///
    /// # Errors
    ///
    /// [`RegistrationError`].
    pub async fn update_registration(
        &self,
        registrar: &Registrar<'_>,
        client: &RegisteredClient,
        role: Option<Role>,
        order: &RegistrationOrder<'_>,
    ) -> Result<Registered, RegistrationError> {
        let token = self.registration_token(registrar, client, role).await?;
        let request = registrar.update(client, &token, order)?;
        registrar.updated(order, &self.call(registrar.profile, request).await?)
    }

    /// Ends a registration.
    ///
    /// # Errors
    ///
    /// [`RegistrationError`].
    pub async fn delete_registration(
        &self,
        registrar: &Registrar<'_>,
        client: &RegisteredClient,
        role: Option<Role>,
    ) -> Result<(), RegistrationError> {
        let token = self.registration_token(registrar, client, role).await?;
        registrar.deleted(&self.call(registrar.profile, registrar.delete(client, &token)?).await?)
    }

    async fn registration_token(
        &self,
        registrar: &Registrar<'_>,
        client: &RegisteredClient,
        role: Option<Role>,
    ) -> Result<SecretString, RegistrationError> {
        match registrar.managed_by(client, role)? {
            ManagedBy::ItsToken(token) => Ok(token),
            ManagedBy::OwnToken(request) => {
                registrar.own_token(&self.call(registrar.profile, *request).await?)
            }
        }
    }
}
