//! What deliveries are signed with (Standard Webhooks 1.0): the gateway's Ed25519 keys
//! (`v1a`), or a secret that the endpoint has with us (`v1`). Every key that is published
//! signs, so that whichever key set a receiver has kept, it knows one of them.
//!
//! Secrets are kept nowhere. They are digests of the endpoint and a number under the key of
//! ids, so that each can be made again, and none before its number is used.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto::SigningFailed;
use domain::WebhookId;
use secrecy::SecretString;
use store::webhooks::{SecretTurn, WebhookRow};

use crate::webhooks::later;
use crate::{FlowError, Gateway, WebhookRefused};

/// Seconds that a secret signs beside its successor.
const OVERLAP: i64 = 86_400;

impl Gateway {
    /// The secret of an endpoint as its client keeps it; none where the gateway's key signs.
    #[must_use]
    pub fn webhook_secret(&self, webhook: &WebhookRow) -> Option<SecretString> {
        let secret = self.secret(webhook.id, webhook.secret?.number);
        Some(format!("whsec_{}", STANDARD.encode(secret)).into())
    }

    /// Gives an endpoint of a client a new secret. The one before signs beside it for a day;
    /// the one before that ends at once.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the client has no such endpoint,
    /// [`WebhookRefused::NoSecret`] if the gateway's key signs for it.
    pub async fn rotate_webhook_secret(
        &self,
        client_id: &str,
        id: WebhookId,
    ) -> Result<WebhookRow, FlowError> {
        let webhook = self.webhook_of(client_id, id).await?;
        let was = webhook.secret.ok_or(WebhookRefused::NoSecret)?;
        let former_until = Some(later(self.now(), OVERLAP));
        let turn = SecretTurn { number: was.number.saturating_add(1), former_until };
        self.parts.stores.global().turn_webhook_secret(id, was, turn).await?;
        Ok(WebhookRow { secret: Some(turn), ..webhook })
    }

    /// The signatures of what is sent to an endpoint at `timestamp` (seconds since 1970),
    /// parted by spaces.
    pub(crate) fn webhook_signatures(
        &self,
        webhook: &WebhookRow,
        id: &str,
        timestamp: i64,
        body: &[u8],
    ) -> Result<String, SigningFailed> {
        let Some(turn) = webhook.secret else {
            let keys = self.parts.webhook_keys.published();
            let signatures = keys.iter().map(|key| crypto::webhook::sign_v1a(key, id, timestamp, body));
            return Ok(signatures.collect::<Result<Vec<_>, _>>()?.join(" "));
        };
        let overlaps = turn.former_until.is_some_and(|until| self.now() < until);
        let former = overlaps.then(|| turn.number.saturating_sub(1));
        let sign = |number| crypto::webhook::sign_v1(&self.secret(webhook.id, number), id, timestamp, body);
        Ok([Some(turn.number), former].into_iter().flatten().map(sign).collect::<Vec<_>>().join(" "))
    }

    fn secret(&self, id: WebhookId, number: i64) -> [u8; 32] {
        self.parts.id_key.digest(&["webhook-secret", &id.to_string(), &number.to_string()])
    }
}
