//! Whose an endpoint is: it is told of nothing until it has said a challenge back, so that
//! nobody has events sent to an address that is not theirs.

use crypto::digest::same;
use domain::{WebhookId, WebhookStatus};
use secrecy::ExposeSecret;
use serde::Deserialize;
use store::StoreError;
use store::webhooks::WebhookRow;

use crate::events::Subject;
use crate::{FlowError, Gateway, WebhookRefused};

/// Most bytes of an answer to a challenge.
const ANSWER_LIMIT: usize = 4_096;

/// The answer to a challenge; other members do no harm.
#[derive(Deserialize)]
struct Answer {
    challenge: String,
}

impl Gateway {
    /// Challenges an endpoint of a client that has not answered yet. One that has is left
    /// as it is.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the client has no such endpoint,
    /// [`WebhookRefused::Challenge`] if it does not answer.
    pub async fn verify_webhook(&self, client_id: &str, id: WebhookId) -> Result<WebhookRow, FlowError> {
        let webhook = self.webhook_of(client_id, id).await?;
        if webhook.status != WebhookStatus::Pending {
            return Ok(webhook);
        }
        self.challenge(&webhook).await?;
        match self.turn_on(webhook).await {
            // Two challenges at once, and the other was answered first.
            Err(FlowError::Store(StoreError::Conflict)) => self.webhook_of(client_id, id).await,
            turned => turned,
        }
    }

    /// Challenges an endpoint that was just added; its client may have it done again.
    pub(crate) async fn verify_new(&self, webhook: &WebhookRow) {
        let id = webhook.id;
        match self.verify_webhook(&webhook.client_id, id).await {
            Ok(_) => tracing::info!(webhook.id = %id, "Webhook {id} answered its challenge"),
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                tracing::info!(webhook.id = %id, error = source, "Webhook {id} stays pending");
            }
        }
    }

    /// Has an endpoint say back something that nobody else knows.
    pub(crate) async fn challenge(&self, webhook: &WebhookRow) -> Result<(), FlowError> {
        let region = self.parts.stores.regions().next().ok_or(FlowError::Busy)?.region();
        let challenge = crypto::token(self.entropy(), 32).expose_secret().to_owned();
        let subject = Subject::Challenge { id: webhook.id, region, challenge: challenge.clone() };
        let event = self.event(&webhook.client_id, &subject, 0, self.now());
        let refused = |why: String| FlowError::from(WebhookRefused::Challenge(why));
        let received = self.send(webhook, &event, ANSWER_LIMIT).await.map_err(refused)?;
        if !received.status.is_success() {
            return Err(refused(format!("it answered with the status {}", received.status.as_u16())));
        }
        let answer: Option<Answer> = serde_json::from_slice(&received.body).ok();
        match answer {
            Some(answer) if same(answer.challenge.as_bytes(), challenge.as_bytes()) => Ok(()),
            Some(_) => Err(refused("it said another challenge back".to_owned())),
            None => Err(refused("its answer is no JSON object with the member challenge".to_owned())),
        }
    }
}
