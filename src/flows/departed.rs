//! What clients leave behind that are gone for good.

use domain::ConsentStatus;
use store::StoreError;
use store::consents::{ConsentFilter, Note};

use crate::accounts::chain;
use crate::{FlowError, Gateway};

/// Consents that are read at once.
const AT_ONCE: usize = 100;

impl Gateway {
    /// Ends the consents of deleted clients, here and at the banks: nobody can
    /// use them any more, and no bank should go on believing in them.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails.
    pub async fn clear_up_after_clients(&self) -> Result<(), FlowError> {
        for client_id in self.parts.stores.global().deleted_clients().await? {
            if self.departed.contains_key(&client_id) {
                continue;
            }
            let mut left = 0_usize;
            for status in ConsentStatus::ALL.iter().filter(|status| !status.is_final()) {
                left = left.saturating_add(self.end_consents_of(&client_id, *status).await?);
            }
            if left == 0 && !self.parts.config.elsewhere.is_empty() {
                // Other cells have to see to their own, and nobody knows when all have.
                self.departed.insert(client_id, ()).await;
            } else if left == 0 {
                store::transaction!(keyed self.parts.stores.global(), tx => {
                    tx.set_client_status(&client_id, "departed").await
                })?;
                tracing::info!(client.id = client_id, "Client {client_id} has left nothing behind");
            }
        }
        Ok(())
    }

    /// How many could not be ended, or may not have been all.
    async fn end_consents_of(&self, client_id: &str, status: ConsentStatus) -> Result<usize, FlowError> {
        let mut left = 0_usize;
        let filter = ConsentFilter { status: Some(status), ..ConsentFilter::default() };
        for store in self.parts.stores.regions() {
            let consents = store.consents_of_client(client_id, &filter, AT_ONCE).await?;
            left = left.saturating_add(usize::from(consents.len() == AT_ONCE));
            for consent in consents {
                let id = consent.id;
                let note = Note::because("gateway", "client-removed");
                match self.withdraw(consent, ConsentStatus::RevokedByClient, note).await {
                    // Whoever changed it meanwhile is followed next time.
                    Err(FlowError::Store(StoreError::Conflict)) => left = left.saturating_add(1),
                    Err(error) => {
                        left = left.saturating_add(1);
                        tracing::warn!(consent.id = %id, error = %chain(&error), "Consent {id} could not be ended");
                    }
                    Ok(()) => {}
                }
            }
        }
        Ok(left)
    }
}
