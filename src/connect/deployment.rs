//! What only an operator can say about a bank, and what our registration there
//! gave. A profile leaves slots for it, and a bank with an empty one is not called.

use std::collections::BTreeMap;
use std::fmt;

use domain::InstitutionId;
use secrecy::SecretString;
use url::Url;

use crate::bank_oauth::Role;
use crate::{ApiBase, PayeeOptions, Profile, QuirkName};

/// What only an operator can say about a bank.
#[derive(Clone, Debug, Default)]
pub struct Deployment {
    /// Our registration at the bank.
    pub client: Option<RegisteredClient>,
    /// Our registrations for services that have one of their own.
    pub clients: BTreeMap<Role, RegisteredClient>,
    /// The bank's identifier in its directory.
    pub financial_id: Option<String>,
    /// The bank's issuer.
    pub issuer: Option<String>,
    /// Base address of account information.
    pub accounts_api: Option<ApiBase>,
    /// Base address of payment initiation.
    pub payments_api: Option<ApiBase>,
    /// Where confirmation of funds is.
    pub funds_api: Option<ApiBase>,
    /// How payees are verified.
    pub payees: PayeeOptions,
    /// Further hosts that calls may go to.
    pub hosts: Vec<String>,
}

/// One registration at a bank.
#[derive(Clone, Debug)]
pub struct RegisteredClient {
    /// Our client identifier.
    pub client_id: String,
    /// Where the registration is managed (RFC 7592), if the bank said so.
    pub client_uri: Option<Url>,
    /// The token that manages it (RFC 7592), if the bank gave one.
    pub access_token: Option<SecretString>,
}

impl RegisteredClient {
    /// A registration of which no more is known than its identifier.
    pub fn known_as(client_id: impl Into<String>) -> Self {
        Self { client_id: client_id.into(), client_uri: None, access_token: None }
    }
}

impl Deployment {
    /// The registration for a service, or the one for all of them.
    #[must_use]
    pub fn client_for(&self, role: Option<Role>) -> Option<&RegisteredClient> {
        match role {
            Some(role) => self.clients.get(&role),
            None => self.client.as_ref(),
        }
    }

    /// Puts a registration in its place, or empties that.
    pub fn keep_client(&mut self, role: Option<Role>, client: Option<RegisteredClient>) {
        match (role, client) {
            (None, client) => self.client = client,
            (Some(role), Some(client)) => drop(self.clients.insert(role, client)),
            (Some(role), None) => drop(self.clients.remove(&role)),
        }
    }

    /// Whether it holds something that nobody but us may read.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.client.iter().chain(self.clients.values()).any(|client| client.access_token.is_some())
    }
}

/// Slots of a profile that are empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct EmptySlots {
    institution: InstitutionId,
    slots: Vec<String>,
    automatic: bool,
}

impl fmt::Display for EmptySlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be used yet", self.institution)?;
        let mut before = ": ";
        for slot in &self.slots {
            f.write_str(before)?;
            if slot == "client_auth" {
                write!(f, "{slot} is a shared secret, which we do not use")?;
            } else if slot.ends_with("client_id") && self.automatic {
                write!(f, "{slot} is empty (`consentry banks register` fills it)")?;
            } else {
                write!(f, "{slot} is empty (write it into {}.deployment.toml)", self.institution)?;
            }
            before = "; ";
        }
        Ok(())
    }
}

impl Profile {
    /// Fills in what the operator gives; what remains missing stays listed.
    #[must_use]
    pub fn deployed(mut self, deployment: Deployment) -> Self {
        let mut filled = |key: &str| self.missing.retain(|slot| slot != key);
        if let Some(client) = deployment.client {
            self.client_id = Some(client.client_id);
            filled("client_id");
        }
        if deployment.financial_id.is_some() {
            self.financial_id = deployment.financial_id;
            filled("financial_id");
        }
        if let (Some(issuer), Some(server)) = (deployment.issuer, &mut self.authorization_server) {
            server.issuer = Some(issuer);
            filled("authorization_server.issuer");
        }
        if deployment.accounts_api.is_some() {
            self.accounts_api = deployment.accounts_api;
            filled("accounts_api");
        }
        if deployment.payments_api.is_some() {
            self.payments_api = deployment.payments_api;
            filled("payments_api");
        }
        if deployment.funds_api.is_some() {
            self.funds_api = deployment.funds_api;
            filled("funds_api");
        }
        self.payees = self.payees.deployed(deployment.payees);
        // Recurring payments are not called, so their address holds nothing up.
        filled("recurring_api");
        if !deployment.clients.is_empty() {
            let registered = deployment.clients.into_iter().map(|(role, client)| (role, client.client_id));
            self.client_ids.extend(registered);
            let lacking: Vec<String> = self
                .roles_registered_apart()
                .unwrap_or_else(|| self.services())
                .into_iter()
                .filter(|role| self.client_of(*role).is_none())
                .map(|role| format!("{}.client_id", role.word()))
                .collect();
            let empty = self.missing.iter().any(|slot| slot == "client_id");
            self.missing.retain(|slot| slot != "client_id");
            self.missing.extend(lacking.into_iter().filter(|_| empty));
        }
        self.hosts.extend(deployment.hosts);
        self
    }

    /// The services that the bank registers one by one, where it does.
    #[must_use]
    pub fn roles_registered_apart(&self) -> Option<Vec<Role>> {
        let quirk = self.quirks.find(QuirkName::RegistrationPerRole, "dcr.post", "")?;
        let roles = quirk.texts("roles");
        let services = self.services();
        let known = roles.into_iter().filter_map(Role::from_word).filter(|role| services.contains(role));
        let known: Vec<Role> = known.collect();
        Some(if known.is_empty() { services } else { known })
    }

    /// The services that we may be registered for; confirmation of funds is not
    /// one at a bank without an address for it.
    fn services(&self) -> Vec<Role> {
        let offered = |role: &Role| *role != Role::Funds || self.funds_api.is_some();
        Role::ALL.into_iter().filter(offered).collect()
    }

    /// Whether calls can be made: nothing that the deployment must give is missing.
    #[must_use]
    pub fn connectable(&self) -> bool {
        self.missing.is_empty()
    }

    /// The same, with what is missing and how to give it.
    ///
    /// # Errors
    ///
    /// [`EmptySlots`] names each slot that is empty.
    pub fn filled(&self) -> Result<(), EmptySlots> {
        if self.connectable() {
            return Ok(());
        }
        Err(EmptySlots {
            institution: self.id.clone(),
            slots: self.missing.clone(),
            automatic: self.registration.as_ref().is_some_and(|registration| registration.automatic),
        })
    }
}
