//! Webhook endpoints of clients.

use domain::{Timestamp, WebhookId, WebhookStatus};

use crate::database::micros;
use crate::rows::{Columns, exactly_one, json_text};
use crate::{GlobalStore, StoreError, Tx};

/// A webhook endpoint as it is kept.
#[derive(Clone, Debug)]
pub struct WebhookRow {
    /// The endpoint.
    pub id: WebhookId,
    /// Client it belongs to.
    pub client_id: String,
    /// Where events are sent.
    pub url: String,
    /// Event types wanted; empty means all.
    pub events: Vec<String>,
    /// Where it stands.
    pub status: WebhookStatus,
    /// Which secret signs what is sent there; none where the gateway's key does.
    pub secret: Option<SecretTurn>,
    /// Whether the gateway shows its client certificate there.
    pub client_certificate: bool,
    /// When it was added.
    pub created_at: Timestamp,
}

/// Which of an endpoint's secrets are in use, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretTurn {
    /// The current one; each new one has the next number.
    pub number: i64,
    /// Until when the one before it signs, too.
    pub former_until: Option<Timestamp>,
}

impl GlobalStore {
    /// The endpoints of a client, oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn webhooks(&self, client_id: &str) -> Result<Vec<WebhookRow>, StoreError> {
        let rows = sqlx::query("select * from webhook_endpoints where client_id = $1 order by webhook_id")
            .bind(client_id)
            .fetch_all(self.database.pool())
            .await?;
        rows.iter().map(read).collect()
    }

    /// Finds an endpoint.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn webhook(&self, id: WebhookId) -> Result<Option<WebhookRow>, StoreError> {
        let row = sqlx::query("select * from webhook_endpoints where webhook_id = $1")
            .bind(id.to_string())
            .fetch_optional(self.database.pool())
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Gives an endpoint its next secret.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if it has another one than `was` by now.
    pub async fn turn_webhook_secret(
        &self,
        id: WebhookId,
        was: SecretTurn,
        now: SecretTurn,
    ) -> Result<(), StoreError> {
        let done = sqlx::query(
            "update webhook_endpoints set secret_number = $3, former_secret_until = $4 \
             where webhook_id = $1 and secret_number = $2",
        )
        .bind(id.to_string())
        .bind(was.number)
        .bind(now.number)
        .bind(now.former_until.map(micros))
        .execute(self.database.pool())
        .await?;
        exactly_one(&done)
    }

    /// Switches an endpoint off that is told of events; false if it is not.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn disable_webhook(&self, id: WebhookId) -> Result<bool, StoreError> {
        let done =
            sqlx::query("update webhook_endpoints set status = $2 where webhook_id = $1 and status = $3")
                .bind(id.to_string())
                .bind(WebhookStatus::Disabled.as_str())
                .bind(WebhookStatus::Enabled.as_str())
                .execute(self.database.pool())
                .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Changes the address, event types, certificate and status of an endpoint.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if its address or status is not as it `was` by now.
    pub async fn update_webhook(&self, was: &WebhookRow, now: &WebhookRow) -> Result<(), StoreError> {
        let done = sqlx::query(
            "update webhook_endpoints set url = $2, events = $3, status = $4, client_certificate = $7 \
             where webhook_id = $1 and url = $5 and status = $6",
        )
        .bind(was.id.to_string())
        .bind(&now.url)
        .bind(json_text(&now.events)?)
        .bind(now.status.as_str())
        .bind(&was.url)
        .bind(was.status.as_str())
        .bind(i64::from(now.client_certificate))
        .execute(self.database.pool())
        .await?;
        exactly_one(&done)
    }
}

impl Tx {
    /// Adds an endpoint.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn add_webhook(&mut self, webhook: &WebhookRow) -> Result<(), StoreError> {
        sqlx::query(
            "insert into webhook_endpoints \
             (webhook_id, client_id, url, events, status, created_at, secret_number, client_certificate) \
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(webhook.id.to_string())
        .bind(&webhook.client_id)
        .bind(&webhook.url)
        .bind(json_text(&webhook.events)?)
        .bind(webhook.status.as_str())
        .bind(micros(webhook.created_at))
        .bind(webhook.secret.map(|secret| secret.number))
        .bind(i64::from(webhook.client_certificate))
        .execute(&mut self.0)
        .await?;
        Ok(())
    }

    /// Removes an endpoint of a client.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if the client has no such endpoint.
    pub async fn remove_webhook(&mut self, id: WebhookId, client_id: &str) -> Result<(), StoreError> {
        let done = sqlx::query("delete from webhook_endpoints where webhook_id = $1 and client_id = $2")
            .bind(id.to_string())
            .bind(client_id)
            .execute(&mut self.0)
            .await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::NotFound) }
    }
}

fn read(row: &sqlx::any::AnyRow) -> Result<WebhookRow, StoreError> {
    let columns = Columns::new(row, "webhook_endpoints", "webhook_id")?;
    let former_until = columns.optional_time("former_secret_until")?;
    let number = columns.optional_number("secret_number")?;
    Ok(WebhookRow {
        id: columns.parsed("webhook_id")?,
        client_id: columns.text("client_id")?,
        url: columns.text("url")?,
        events: columns.json("events")?,
        status: columns.word("status", WebhookStatus::from_word)?,
        secret: number.map(|number| SecretTurn { number, former_until }),
        client_certificate: columns.number("client_certificate")? != 0,
        created_at: columns.time("created_at")?,
    })
}
