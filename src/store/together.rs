//! Group commit: what many requests write at the same time goes into one
//! transaction, and each is answered once that is on the disk.
//!
//! A commit waits for the disk, whatever it holds. Only writes that are part of
//! no larger change go this way: ids that are used up, tokens, what was read, how deliveries went,
//! what became of requests, and entries of the audit log.

use std::collections::{HashMap, HashSet};

use audit::Frontier;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row};
use tokio::sync::{mpsc, oneshot};

use crate::StoreError;
use crate::audit_log::{Appending, Last, beginning};
use crate::database::Database;
use crate::requests::{RequestRow, insert_requests};
use crate::statements::Begun;
use crate::transaction;

/// Entries in one transaction at most. SQLite takes 32,766 parameters.
const AT_ONCE: usize = 128;
/// Entries that may wait; then whoever writes waits to wait.
const QUEUE: usize = 1_024;

/// What can be written together.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Claim(Claim),
    Token(TokenRecord),
    /// With its entry of the audit log.
    Read(ReadNote, String),
    Attempt(AttemptNote),
    Requests(Vec<RequestRow>),
    /// An entry of the audit log; without one, what waits to be appended is.
    Audit(Option<String>),
}

/// One more line of what was read under a consent; `at` in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReadNote {
    pub(crate) consent: String,
    pub(crate) kind: &'static str,
    pub(crate) day: String,
    pub(crate) attended: bool,
    pub(crate) at: i64,
    /// The revision of the consent that it was read under.
    pub(crate) revision: i64,
}

/// How an attempt to deliver an event to an endpoint went; times in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AttemptNote {
    pub(crate) event: String,
    pub(crate) webhook: String,
    pub(crate) status: Option<i64>,
    pub(crate) delivered_at: Option<i64>,
    /// When the next attempt is to be made, if any.
    pub(crate) next_at: Option<i64>,
}

/// An id that is used up, and the microsecond until which that is remembered.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) owner: String,
    pub(crate) digest: String,
    pub(crate) until: i64,
}

/// A row of `access_tokens`.
#[derive(Clone, Debug)]
pub(crate) struct TokenRecord {
    pub(crate) digest: String,
    pub(crate) client_id: String,
    pub(crate) grant: Option<String>,
    pub(crate) scope: String,
    pub(crate) cnf: String,
    pub(crate) issued_at: i64,
    pub(crate) expires_at: i64,
}

struct Waiting {
    entry: Entry,
    done: oneshot::Sender<Result<(), StoreError>>,
}

/// Where such entries are handed in.
#[derive(Clone, Debug)]
pub(crate) struct Together(mpsc::Sender<Waiting>);

impl Together {
    /// Writes to this database for as long as anybody hands entries in.
    pub(crate) fn on(database: Database) -> Self {
        let (sender, mut receiver) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let (mut batch, mut last) = (Vec::with_capacity(AT_ONCE), Last::default());
            while receiver.recv_many(&mut batch, AT_ONCE).await > 0 {
                write(&database, std::mem::take(&mut batch), &mut last).await;
            }
        });
        Self(sender)
    }

    /// Writes an entry, and returns when it is on the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if a claim was made before.
    pub(crate) async fn write(&self, entry: Entry) -> Result<(), StoreError> {
        let closed = || StoreError::Database(sqlx::Error::PoolClosed);
        let (done, answer) = oneshot::channel();
        self.0.send(Waiting { entry, done }).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

async fn write(database: &Database, batch: Vec<Waiting>, last: &mut Last) {
    let (entries, asking): (Vec<_>, Vec<_>) = batch.into_iter().map(|one| (one.entry, one.done)).unzip();
    match try_write(database, &entries, last).await {
        Ok(outcomes) => asking.into_iter().zip(outcomes).for_each(|(done, outcome)| tell(done, outcome)),
        // The database is away, and each would wait as long for it.
        Err(error) if error.is_passing() => {
            let away = || StoreError::Database(sqlx::Error::PoolTimedOut);
            asking.into_iter().for_each(|done| tell(done, Err(away())));
        }
        // The fault of one is not the fault of all. What is on the disk although the
        // commit seemed to fail is then refused, or a read counted twice: safe, if not kind.
        Err(_) => {
            for (entry, done) in entries.into_iter().zip(asking) {
                let alone = try_write(database, &[entry], last).await;
                tell(done, alone.and_then(|outcomes| outcomes.into_iter().collect()));
            }
        }
    }
}

/// Whoever does not wait any more is not told.
fn tell(done: oneshot::Sender<Result<(), StoreError>>, outcome: Result<(), StoreError>) {
    let _ = done.send(outcome);
}

/// All in one transaction; the outcome of each.
async fn try_write(
    database: &Database,
    entries: &[Entry],
    last: &mut Last,
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let (mut claims, mut tokens, mut attempts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut reads, mut requests, mut logged) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        match entry {
            Entry::Claim(claim) => claims.push(claim),
            Entry::Token(token) => tokens.push(token),
            Entry::Attempt(note) => attempts.push(note),
            Entry::Requests(rows) => requests.extend(rows),
            Entry::Read(note, entry) => {
                reads.push(note);
                logged.push((Some(note), Some(entry.as_str())));
            }
            Entry::Audit(entry) => logged.push((None, entry.as_deref())),
        }
    }
    // In the same order everywhere, so that no two processes wait for each other.
    reads.sort_unstable();
    attempts.sort_unstable();
    let appended = Appended { reads: &reads, logged: &logged };
    let outcome =
        |standing: &Standing, note| if stands(standing, note) { Ok(()) } else { Err(StoreError::Conflict) };
    // Who settles knows that something waits.
    let settles = entries.iter().any(|entry| matches!(entry, Entry::Audit(None)));
    let expected = if settles || logged.is_empty() { None } else { last.expected() };
    let all = transaction!(database, tx => {
        let tx = &mut tx.0;
        if !insert_claims(tx, &claims).await? {
            return Err(StoreError::Conflict);
        }
        insert_tokens(tx, &tokens).await?;
        note_attempts(tx, &attempts).await?;
        insert_requests(tx, &requests).await?;
        match &expected {
            Some(log) => appended.expecting(tx, log.clone()).await,
            None => appended.whatever(tx).await,
        }
    });
    match all {
        Ok((standing, frontier)) => {
            if let Some(frontier) = frontier {
                last.append(frontier, expected.is_some());
            }
            let outcomes = entries.iter().map(|entry| match entry {
                Entry::Read(note, _) => outcome(&standing, note),
                Entry::Claim(_)
                | Entry::Token(_)
                | Entry::Attempt(_)
                | Entry::Requests(_)
                | Entry::Audit(_) => Ok(()),
            });
            return Ok(outcomes.collect());
        }
        // The log is not as it was, or what was read under is not.
        Err(StoreError::Conflict) if expected.is_some() => last.miss(),
        // Somebody uses something twice. Who, costs a row for each.
        Err(StoreError::Conflict) => {}
        Err(error) => return Err(error),
    }
    let (mut made, (standing, frontier)) = transaction!(database, tx => {
        let tx = &mut tx.0;
        let made = insert_claims_by_name(tx, &claims).await?;
        insert_tokens(tx, &tokens).await?;
        note_attempts(tx, &attempts).await?;
        insert_requests(tx, &requests).await?;
        Ok::<_, StoreError>((made, appended.whatever(tx).await?))
    })?;
    if let Some(frontier) = frontier {
        last.append(frontier, false);
    }
    let outcomes = entries.iter().map(|entry| match entry {
        Entry::Token(_) | Entry::Attempt(_) | Entry::Requests(_) | Entry::Audit(_) => Ok(()),
        Entry::Read(note, _) => outcome(&standing, note),
        // Of two equal claims at the same time, the first one was made.
        Entry::Claim(claim) if made.remove(&(claim.owner.clone(), claim.digest.clone())) => Ok(()),
        Entry::Claim(_) => Err(StoreError::Conflict),
    });
    Ok(outcomes.collect())
}

/// The revisions of the consents that were read under, as they are.
type Standing = HashMap<String, i64>;

/// What goes into the audit log: each entry with the read that it tells of, if it tells of one.
struct Appended<'e> {
    /// In order.
    reads: &'e [&'e ReadNote],
    logged: &'e [(Option<&'e ReadNote>, Option<&'e str>)],
}

impl Appended<'_> {
    /// Appends where the log is as expected and every consent is as it was, in one go.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if not all is so.
    async fn expecting(
        &self,
        tx: &mut Begun,
        log: Frontier,
    ) -> Result<(Standing, Option<Frontier>), StoreError> {
        let entries: Vec<_> = self.logged.iter().filter_map(|(_, entry)| *entry).collect();
        let (condition, mut statements, frontier) = Appending::after(log).expecting(&entries);
        if !self.reads.is_empty() {
            statements.push(note_reads(self.reads));
            statements.push(revisions(self.reads));
        }
        let given = match tx.each_if(condition, statements).await {
            // A consent that is gone.
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => None,
            given => given?,
        };
        let given = given.ok_or(StoreError::Conflict)?;
        let standing = standing(if self.reads.is_empty() { None } else { given.last() })?;
        if self.reads.iter().all(|note| stands(&standing, note)) {
            Ok((standing, Some(frontier)))
        } else {
            Err(StoreError::Conflict)
        }
    }

    /// Appends after what is there. What was read is noted where its consent is as it was then.
    async fn whatever(&self, tx: &mut Begun) -> Result<(Standing, Option<Frontier>), StoreError> {
        if self.logged.is_empty() {
            return Ok((Standing::new(), None));
        }
        let asked = (!self.reads.is_empty()).then(|| revisions(self.reads));
        let begun = tx.each(beginning().into_iter().chain(asked).collect()).await?;
        let [head, pending, asked @ ..] = begun.as_slice() else { return Err(StoreError::NotFound) };
        let standing = standing(asked.first())?;
        let noted: Vec<_> = self.reads.iter().copied().filter(|note| stands(&standing, note)).collect();
        let entries = self.logged.iter().filter(|(read, _)| read.is_none_or(|note| stands(&standing, note)));
        let entries: Vec<_> = entries.filter_map(|(_, entry)| *entry).collect();
        let (mut statements, frontier) = Appending::to(head, pending)?.statements(&entries);
        statements.extend((!noted.is_empty()).then(|| note_reads(&noted)));
        tx.each(statements).await?;
        Ok((standing, Some(frontier)))
    }
}

fn standing(rows: Option<&Vec<AnyRow>>) -> Result<Standing, StoreError> {
    let standing = rows.into_iter().flatten().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    Ok(standing.collect::<Result<_, sqlx::Error>>()?)
}

fn stands(standing: &Standing, note: &ReadNote) -> bool {
    standing.get(&note.consent) == Some(&note.revision)
}

const INSERT_CLAIMS: &str = "insert into assertion_ids (client_id, jti_digest, expires_at) values";
const UNLESS_MADE: &str = "on conflict (client_id, jti_digest) do nothing";

fn bound<'q>(sql: String, claims: &[&'q Claim]) -> Query<'q, Any, AnyArguments> {
    claims.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, claim| {
        query.bind(&claim.owner).bind(&claim.digest).bind(claim.until)
    })
}

/// Whether all of the claims could be made.
async fn insert_claims(tx: &mut Begun, claims: &[&Claim]) -> Result<bool, StoreError> {
    if claims.is_empty() {
        return Ok(true);
    }
    let sql = format!("{INSERT_CLAIMS} {} {UNLESS_MADE}", placeholders(claims.len(), 3));
    let done = bound(sql, claims).execute(&mut *tx).await?;
    Ok(usize::try_from(done.rows_affected()) == Ok(claims.len()))
}

/// Makes the claims that were not made before; which ones those are.
async fn insert_claims_by_name(
    tx: &mut Begun,
    claims: &[&Claim],
) -> Result<HashSet<(String, String)>, StoreError> {
    if claims.is_empty() {
        return Ok(HashSet::new());
    }
    let places = placeholders(claims.len(), 3);
    let sql = format!("{INSERT_CLAIMS} {places} {UNLESS_MADE} returning client_id, jti_digest");
    let rows = bound(sql, claims).fetch_all(&mut *tx).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Records access tokens.
pub(crate) async fn insert_tokens(tx: &mut Begun, tokens: &[&TokenRecord]) -> Result<(), StoreError> {
    if tokens.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "insert into access_tokens (token_digest, client_id, grant_id, scope, cnf, issued_at, expires_at) \
         values {}",
        placeholders(tokens.len(), 7)
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for token in tokens {
        query = query
            .bind(&token.digest)
            .bind(&token.client_id)
            .bind(token.grant.as_ref())
            .bind(&token.scope)
            .bind(&token.cnf)
            .bind(token.issued_at)
            .bind(token.expires_at);
    }
    query.execute(&mut *tx).await?;
    Ok(())
}

/// Notes how attempts to deliver went, which are in order: each is the last one of its delivery.
async fn note_attempts(tx: &mut Begun, attempts: &[&AttemptNote]) -> Result<(), StoreError> {
    if attempts.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "with made (event_id, webhook_id, status, delivered_at, next_at) as (values {}) \
         update deliveries set attempts = attempts + 1, last_status = made.status, \
         delivered_at = made.delivered_at, next_at = made.next_at, leased_until = null from made \
         where deliveries.event_id = made.event_id and deliveries.webhook_id = made.webhook_id",
        placeholders(attempts.len(), 5)
    );
    let query = attempts.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, note| {
        query
            .bind(&note.event)
            .bind(&note.webhook)
            .bind(note.status)
            .bind(note.delivered_at)
            .bind(note.next_at)
    });
    query.execute(&mut *tx).await?;
    Ok(())
}

/// Asks for the revisions of the consents that reads, which are in order, were made under; none of one that
/// is gone.
fn revisions(reads: &[&ReadNote]) -> Query<'static, Any, AnyArguments> {
    let consents: Vec<_> = reads.chunk_by(|a, b| a.consent == b.consent).filter_map(<[_]>::first).collect();
    let places: Vec<_> = (1..=consents.len()).map(|place| format!("${place}")).collect();
    let sql =
        format!("select consent_id, revision from consents where consent_id in ({})", places.join(", "));
    let query = sqlx::query(AssertSqlSafe(sql));
    consents.iter().fold(query, |query, note| query.bind(note.consent.clone()))
}

/// Counts reads, which are in order: those that add to the same row are one.
fn note_reads(reads: &[&ReadNote]) -> Query<'static, Any, AnyArguments> {
    let same = |a: &&ReadNote, b: &&ReadNote| (&a.consent, a.kind, &a.day) == (&b.consent, b.kind, &b.day);
    let rows: Vec<_> = reads.chunk_by(|a, b| same(a, b)).collect();
    let sql = format!(
        "insert into consent_usage (consent_id, kind, day, attended, unattended, first_at, last_at) \
         values {} on conflict (consent_id, kind, day) do update set \
         attended = consent_usage.attended + excluded.attended, \
         unattended = consent_usage.unattended + excluded.unattended, last_at = excluded.last_at",
        placeholders(rows.len(), 7)
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for row in rows {
        let count =
            |attended| row.iter().filter(|note| note.attended == attended).map(|_| 1_i64).sum::<i64>();
        let at = || row.iter().map(|note| note.at);
        let Some(first) = row.first() else { continue };
        query = query
            .bind(first.consent.clone())
            .bind(first.kind)
            .bind(first.day.clone())
            .bind(count(true))
            .bind(count(false))
            .bind(at().min())
            .bind(at().max());
    }
    query
}

/// `($1, $2), ($3, $4)`: places for the values of rows. No value goes into SQL.
pub(crate) fn placeholders(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let first = row.saturating_mul(columns);
        let places: Vec<_> =
            (1..=columns).map(|column| format!("${}", first.saturating_add(column))).collect();
        format!("({})", places.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}
