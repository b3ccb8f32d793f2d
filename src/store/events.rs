//! The outbox: events are written in the transaction of the change they tell
//! of, then fanned out to the webhook endpoints of their client.

use std::collections::HashSet;

use audit::{Outcome, Record};
use domain::{EventId, Timestamp, WebhookId};
use sqlx::AssertSqlSafe;

use crate::database::micros;
use crate::occasion::Occasion;
use crate::rows::{Columns, readable};
use crate::together::{AttemptNote, Entry, placeholders};
use crate::{RegionalStore, StoreError, Tx, transaction};

/// Deliveries that one statement makes at most.
const AT_ONCE: usize = 1_000;

/// An event as it is kept.
#[derive(Clone, Debug)]
pub struct EventRow {
    /// The event.
    pub id: EventId,
    /// Client it is for.
    pub client_id: String,
    /// Type, such as `payment.settled`.
    pub event_type: String,
    /// Consent, payment or institution it tells of.
    pub resource_id: String,
    /// Place in the life of the resource.
    pub sequence: i64,
    /// What is delivered: thin, without personal data.
    pub body: String,
    /// When it happened.
    pub created_at: Timestamp,
}

/// How far an event has come on its way to one endpoint.
#[derive(Clone, Debug)]
pub struct DeliveryRecord {
    /// The event.
    pub event: EventRow,
    /// Attempts made.
    pub attempts: u32,
    /// HTTP status of the last answer; none if none came.
    pub last_status: Option<u16>,
    /// When it arrived, if it did.
    pub delivered_at: Option<Timestamp>,
    /// When it is tried next; none if it arrived or is given up.
    pub next_at: Option<Timestamp>,
}

/// One event that is to reach one endpoint.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The event.
    pub event: EventRow,
    /// The endpoint.
    pub webhook: WebhookId,
    /// Attempts made.
    pub attempts: u32,
}

impl RegionalStore {
    /// Events that have not been fanned out to endpoints.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn new_events(&self) -> Result<Vec<EventRow>, StoreError> {
        let rows =
            sqlx::query("select * from events where fanned_out_at is null order by event_id limit 200")
                .fetch_all(self.database.pool())
                .await?;
        Ok(readable(rows.iter().map(read)))
    }

    /// Events of a client behind a position, in the order of positions, each with its own.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn events_of(
        &self,
        client_id: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<(i64, EventRow)>, StoreError> {
        let rows = sqlx::query(
            "select * from events where client_id = $1 and position > $2 order by position limit $3",
        )
        .bind(client_id)
        .bind(after)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(self.database.pool())
        .await?;
        rows.iter()
            .map(|row| Ok((Columns::new(row, "events", "event_id")?.number("position")?, read(row)?)))
            .collect()
    }

    /// Deletes events of before an instant that every endpoint has got, or is not to get any
    /// more; at most a thousand at a time. How many there were.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn forget_events(&self, before: Timestamp) -> Result<u64, StoreError> {
        // What is gone already is not missed.
        transaction!(keyed self, tx => {
            let over = sqlx::query(
                "select event_id from events where created_at < $1 and fanned_out_at is not null \
                 and not exists (select 1 from deliveries d where d.event_id = events.event_id \
                 and d.next_at is not null) order by created_at limit 1000",
            )
            .bind(micros(before))
            .fetch_all(&mut tx.0)
            .await?;
            for row in &over {
                let id = Columns::new(row, "events", "event_id")?.text("event_id")?;
                for sql in
                    ["delete from deliveries where event_id = $1", "delete from events where event_id = $1"]
                {
                    sqlx::query(sql).bind(&id).execute(&mut tx.0).await?;
                }
            }
            Ok(u64::try_from(over.len()).unwrap_or(u64::MAX))
        })
    }

    /// Finds an event.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn find_event(&self, id: EventId) -> Result<Option<EventRow>, StoreError> {
        let row = sqlx::query("select * from events where event_id = $1")
            .bind(id.to_string())
            .fetch_optional(self.database.pool())
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Deliveries that are due and that nobody has taken, but to these endpoints. Each
    /// endpoint hears of a resource in the order of its life: what came later waits until
    /// what came before has arrived, or is given up.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn deliveries_due(
        &self,
        now: Timestamp,
        but_to: &[WebhookId],
    ) -> Result<Vec<Delivery>, StoreError> {
        let places: Vec<_> = (2..).take(but_to.len()).map(|place| format!("${place}")).collect();
        let elsewhere = if places.is_empty() {
            String::new()
        } else {
            format!("and d.webhook_id not in ({})", places.join(", "))
        };
        let sql = format!(
            "select e.*, d.webhook_id, d.attempts from deliveries d join events e on e.event_id = d.event_id \
             where d.next_at <= $1 and (d.leased_until is null or d.leased_until < $1) {elsewhere} \
             and not exists (select 1 from events p left join deliveries q \
             on q.event_id = p.event_id and q.webhook_id = d.webhook_id \
             where p.resource_id = e.resource_id and p.client_id = e.client_id and p.sequence < e.sequence \
             and (p.fanned_out_at is null or q.next_at is not null)) \
             order by d.next_at, e.event_id limit 100"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(micros(now));
        let query = but_to.iter().fold(query, |query, endpoint| query.bind(endpoint.to_string()));
        let rows = query.fetch_all(self.database.pool()).await?;
        Ok(readable(rows.iter().map(|row| {
            let columns = Columns::new(row, "deliveries", "event_id")?;
            let attempts = u32::try_from(columns.number("attempts")?).unwrap_or(u32::MAX);
            Ok(Delivery { event: read(row)?, webhook: columns.parsed("webhook_id")?, attempts })
        })))
    }

    /// What was delivered to an endpoint, or is to be, behind an event: the newest events
    /// first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn deliveries_to(
        &self,
        webhook: WebhookId,
        after: Option<(Timestamp, EventId)>,
        limit: usize,
    ) -> Result<Vec<DeliveryRecord>, StoreError> {
        let rows = sqlx::query(
            "select e.*, d.attempts, d.last_status, d.delivered_at, d.next_at \
             from deliveries d join events e on e.event_id = d.event_id \
             where d.webhook_id = $1 and (e.created_at < $3 or (e.created_at = $3 and e.event_id < $4)) \
             order by e.created_at desc, e.event_id desc limit $2",
        )
        .bind(webhook.to_string())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(after.map_or(i64::MAX, |(at, _)| micros(at)))
        .bind(after.map_or_else(String::new, |(_, id)| id.to_string()))
        .fetch_all(self.database.pool())
        .await?;
        rows.iter()
            .map(|row| {
                let columns = Columns::new(row, "deliveries", "event_id")?;
                let status = columns.optional_number("last_status")?;
                Ok(DeliveryRecord {
                    event: read(row)?,
                    attempts: u32::try_from(columns.number("attempts")?).unwrap_or(u32::MAX),
                    last_status: status.and_then(|status| u16::try_from(status).ok()),
                    delivered_at: columns.optional_time("delivered_at")?,
                    next_at: columns.optional_time("next_at")?,
                })
            })
            .collect()
    }

    /// Has an event delivered to an endpoint again, at `at`.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if it never was to be.
    pub async fn deliver_again(
        &self,
        event: EventId,
        webhook: WebhookId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let done = sqlx::query("update deliveries set next_at = $3 where event_id = $1 and webhook_id = $2")
            .bind(event.to_string())
            .bind(webhook.to_string())
            .bind(micros(at))
            .execute(self.database.pool())
            .await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::NotFound) }
    }

    /// Takes deliveries for this process; those that it has got. Another has the rest, or
    /// made an attempt meanwhile.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn lease_deliveries(
        &self,
        deliveries: &[Delivery],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<HashSet<(EventId, WebhookId)>, StoreError> {
        if deliveries.is_empty() {
            return Ok(HashSet::new());
        }
        let sql = format!(
            "with due (event_id, webhook_id, attempts, now, until) as (values {}) \
             update deliveries set leased_until = due.until from due \
             where deliveries.event_id = due.event_id and deliveries.webhook_id = due.webhook_id \
             and deliveries.attempts = due.attempts \
             and (deliveries.leased_until is null or deliveries.leased_until < due.now) \
             returning deliveries.event_id, deliveries.webhook_id",
            placeholders(deliveries.len(), 5)
        );
        let query = deliveries.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, delivery| {
            query
                .bind(delivery.event.id.to_string())
                .bind(delivery.webhook.to_string())
                .bind(i64::from(delivery.attempts))
                .bind(micros(now))
                .bind(micros(until))
        });
        let rows = query.fetch_all(self.database.alone().pool()).await?;
        rows.iter()
            .map(|row| {
                let columns = Columns::new(row, "deliveries", "event_id")?;
                Ok((columns.parsed("event_id")?, columns.parsed("webhook_id")?))
            })
            .collect()
    }

    /// Notes how an attempt went; `next_at` is none when there is no further one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn note_attempt(
        &self,
        delivery: &Delivery,
        status: Option<u16>,
        delivered_at: Option<Timestamp>,
        next_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let note = AttemptNote {
            event: delivery.event.id.to_string(),
            webhook: delivery.webhook.to_string(),
            status: status.map(i64::from),
            delivered_at: delivered_at.map(micros),
            next_at: next_at.map(micros),
        };
        self.together.write(Entry::Attempt(note)).await
    }
}

impl Tx {
    /// Writes an event into the outbox, and with it an entry of the audit log.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn emit(&mut self, event: &EventRow) -> Result<(), StoreError> {
        self.emit_under(event, None).await
    }

    /// The same of what a rule permits, whose id the audit log then says.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn emit_under(&mut self, event: &EventRow, rule: Option<&str>) -> Result<(), StoreError> {
        sqlx::query(
            "insert into events (event_id, client_id, event_type, resource_id, sequence, body, created_at) \
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(event.id.to_string())
        .bind(&event.client_id)
        .bind(&event.event_type)
        .bind(&event.resource_id)
        .bind(event.sequence)
        .bind(&event.body)
        .bind(micros(event.created_at))
        .execute(&mut self.0)
        .await?;
        let occasion = Occasion::now();
        let record = Record {
            at: event.created_at,
            region: event.id.region(),
            action: &event.event_type,
            is_access: false,
            outcome: Outcome::Success,
            reason: None,
            client: &event.client_id,
            request: occasion.map(|occasion| occasion.request),
            certificate: occasion.and_then(|occasion| occasion.certificate),
            consent: None,
            resource: Some(&event.resource_id),
            institution: None,
            class: None,
            rule,
            permission: None,
            psu_present: None,
        };
        self.audit(&event.id.to_string(), &record).await
    }

    /// Makes one delivery per endpoint of events that have none yet, and gives each event its
    /// position among those that are read. Of two processes that give one at the same time,
    /// the second waits for the first and fails: no position is seen before a lower one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if another process fanned one of them out, or gave a position.
    pub async fn fan_out(
        &mut self,
        events: &[(EventId, Vec<WebhookId>)],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let positions = events.iter().map(|(event, _)| {
            sqlx::query(
                "update events set fanned_out_at = $2, \
                 position = (select coalesce(max(position), 0) + 1 from events) \
                 where event_id = $1 and fanned_out_at is null returning event_id",
            )
            .bind(event.to_string())
            .bind(micros(at))
        });
        let positioned = self.0.each(positions.collect()).await.map_err(|error| {
            let given = error.as_database_error().is_some_and(|found| found.is_unique_violation());
            if given { StoreError::Conflict } else { error.into() }
        })?;
        if positioned.iter().any(Vec::is_empty) {
            return Err(StoreError::Conflict);
        }
        let wanted = events.iter().flat_map(|(event, endpoints)| endpoints.iter().map(|to| (*event, *to)));
        self.add_deliveries(&wanted.collect::<Vec<_>>(), at).await
    }

    /// Writes an event for one endpoint alone. It has no position, so that nobody who
    /// reads events finds it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn emit_to(&mut self, event: &EventRow, endpoint: WebhookId) -> Result<(), StoreError> {
        self.emit(event).await?;
        sqlx::query("update events set fanned_out_at = created_at where event_id = $1")
            .bind(event.id.to_string())
            .execute(&mut self.0)
            .await?;
        self.add_deliveries(&[(event.id, endpoint)], event.created_at).await
    }

    async fn add_deliveries(
        &mut self,
        deliveries: &[(EventId, WebhookId)],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        for some in deliveries.chunks(AT_ONCE) {
            let sql = format!(
                "insert into deliveries (event_id, webhook_id, attempts, next_at) values {}",
                placeholders(some.len(), 4)
            );
            let query = some.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, (event, endpoint)| {
                query.bind(event.to_string()).bind(endpoint.to_string()).bind(0_i64).bind(micros(at))
            });
            query.execute(&mut self.0).await?;
        }
        Ok(())
    }
}

fn read(row: &sqlx::any::AnyRow) -> Result<EventRow, StoreError> {
    let columns = Columns::new(row, "events", "event_id")?;
    Ok(EventRow {
        id: columns.parsed("event_id")?,
        client_id: columns.text("client_id")?,
        event_type: columns.text("event_type")?,
        resource_id: columns.text("resource_id")?,
        sequence: columns.number("sequence")?,
        body: columns.text("body")?,
        created_at: columns.time("created_at")?,
    })
}
