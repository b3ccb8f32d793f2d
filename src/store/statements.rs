//! Statements, alone and in a transaction, and when single ones are run again.
//!
//! A statement that only reads may be run again after whatever passes. One that writes is run again
//! where the database has said that it did not do it; whether it did when a connection broke, nobody
//! knows.

use std::pin::pin;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use sqlx::any::{AnyArguments, AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::query::Query;
use sqlx::{
    Any, AnyConnection, AssertSqlSafe, Either, Error, Execute, Executor, SqlSafeStr, SqlStr, Transaction,
};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::database::Database;
use crate::kept::{Kept, Lent};
use crate::transactions::{Pace, ROLLBACK, code_of, lost, passing, refusal};
use crate::wal::Turn;

/// What a statement gives, in the order in which it comes.
type Given = Vec<Either<AnyQueryResult, AnyRow>>;

/// Runs statements on any connection of a database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statements<'d>(pub(crate) &'d Database);

impl Statements<'_> {
    /// Runs a statement until it is done, or fails in a way that does not pass.
    async fn run<'q>(self, mut query: impl Execute<'q, Any>) -> Result<Given, Error> {
        let arguments = query.take_arguments().map_err(Error::Encode)?;
        let sql = query.sql();
        let reads = reads(sql.as_str());
        let mut pace = Pace::new();
        loop {
            let named = !self.0.behind_pooler();
            let statement = Statement { sql: sql.clone(), arguments: arguments.as_ref().map(copy), named };
            let once = pin!(self.once(statement, reads));
            let error = match self.0.watching(self.0.unless_moved(once)).await {
                Ok(given) => return Ok(given),
                Err(error) => error,
            };
            if lost(&error) {
                self.0.renew();
            }
            let not_done = if reads { passing(&error) } else { was_refused(&error) };
            if !(not_done && pace.pause().await) {
                let unheard = !not_done && !reads && lost(&error);
                return Err(if unheard { Error::AnyDriverError(Box::new(Unheard(error))) } else { error });
            }
        }
    }

    /// Runs a statement. A pooler may give each half of it, the one that names it and the one that
    /// executes it, to another server, unless a transaction holds them together.
    async fn once(self, statement: Statement, reads: bool) -> Result<Given, Error> {
        if statement.named && reads {
            let mut lent = self.0.lend_of(self.0.for_reads()).await?;
            let given = lent.connection().fetch_many(statement).try_collect().await?;
            lent.keep();
            return Ok(given);
        }
        if statement.named {
            let _turn = self.0.turn().await?;
            return self.0.connections().fetch_many(statement).try_collect().await;
        }
        let mut begun = self.0.begin_single().await?;
        let given = begun.fetch_many(statement).try_collect().await?;
        begun.commit().await?;
        Ok(given)
    }
}

/// Why it is not known whether a statement was run that changes something.
#[derive(Debug, thiserror::Error)]
#[error("the connection broke, and nobody knows what was done")]
pub(crate) struct Unheard(#[source] pub(crate) Error);

/// A statement with its arguments.
struct Statement {
    sql: SqlStr,
    arguments: Option<AnyArguments>,
    /// Whether the server keeps it under a name, to be used again on the same connection.
    named: bool,
}

impl Execute<'_, Any> for Statement {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&AnyStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<AnyArguments>, sqlx::error::BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.named
    }
}

/// A transaction that has begun, and what runs statements in it.
#[derive(Debug)]
pub(crate) struct Begun {
    over: Over,
    /// Ends with the transaction.
    _turn: Option<Turn>,
    named: bool,
    /// Whether several statements can be handed over at once.
    at_once: bool,
}

/// What a transaction is made over.
#[derive(Debug)]
enum Over {
    /// A connection of the pool, which takes it back.
    Pool(Transaction<'static, Any>),
    /// One that is kept for transactions.
    Kept(Open),
}

/// A connection that a transaction is open on.
#[derive(Debug)]
struct Open(Option<Lent>);

impl Database {
    /// Begins a transaction.
    pub(crate) async fn begin(&self) -> Result<Begun, Error> {
        let turn = self.turn().await?;
        let over = match self.for_transactions() {
            Some(kept) => Over::Kept(self.unless_moved(self.open_on(kept)).await?),
            None => Over::Pool(self.connections().begin_with(self.beginning()).await?),
        };
        Ok(Begun { over, _turn: turn, named: !self.behind_pooler(), at_once: self.is_sqlite() })
    }

    /// Begins a transaction of one statement: who holds a transaction, and makes a read beside it, waits for no other transaction.
    async fn begin_single(&self) -> Result<Begun, Error> {
        let over = Over::Kept(self.open_on(self.for_reads()).await?);
        Ok(Begun { over, _turn: self.turn().await?, named: !self.behind_pooler(), at_once: self.is_sqlite() })
    }

    /// Opens a transaction. A connection that waited may have ended meanwhile, and nothing was done then: the next one may live.
    async fn open_on(&self, kept: &Kept) -> Result<Open, Error> {
        loop {
            let mut lent = self.lend_of(kept).await?;
            match lent.connection().execute(self.beginning()).await {
                Ok(_) => return Ok(Open(Some(lent))),
                Err(error) if lent.is_new() => return Err(error),
                Err(error) => tracing::debug!(%error, "A connection that waited is of no use any more"),
            }
        }
    }
}

/// Ends a transaction with a statement. A connection that cannot tell that it has ends, and its transaction with it.
async fn ended(mut lent: Lent, how: &'static str) -> Result<(), Error> {
    lent.connection().execute(how).await?;
    lent.keep();
    Ok(())
}

impl Open {
    fn connection(&mut self) -> Result<&mut AnyConnection, Error> {
        self.0.as_mut().map(Lent::connection).ok_or(Error::PoolClosed)
    }

    async fn end(mut self, how: &'static str) -> Result<(), Error> {
        match self.0.take() {
            Some(lent) => ended(lent, how).await,
            None => Ok(()),
        }
    }
}

impl Drop for Open {
    /// What nobody ends, because they went away, is undone behind them.
    fn drop(&mut self) {
        if let (Some(lent), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            // Of a runtime that ends this is dropped at once, and the connection with it.
            runtime.spawn(timeout(ROLLBACK, ended(lent, "ROLLBACK")));
        }
    }
}

impl Begun {
    pub(crate) async fn commit(self) -> Result<(), Error> {
        match self.over {
            Over::Pool(transaction) => transaction.commit().await,
            Over::Kept(open) => open.end("COMMIT").await,
        }
    }

    pub(crate) async fn rollback(self) -> Result<(), Error> {
        match self.over {
            Over::Pool(transaction) => transaction.rollback().await,
            Over::Kept(open) => open.end("ROLLBACK").await,
        }
    }

    fn connection(&mut self) -> Result<&mut AnyConnection, Error> {
        match &mut self.over {
            Over::Pool(transaction) => Ok(&mut **transaction),
            Over::Kept(open) => open.connection(),
        }
    }

    /// Runs statements one after the other; the rows of each. SQLite is handed all of them at once: the way
    /// to its thread and back costs more than most of them do.
    pub(crate) async fn each(
        &mut self,
        statements: Vec<Query<'_, Any, AnyArguments>>,
    ) -> Result<Vec<Vec<AnyRow>>, Error> {
        if self.at_once {
            let all = self.at_once(statements).await?;
            return Ok(all.into_iter().map(|(_, rows)| rows).collect());
        }
        let mut all = Vec::with_capacity(statements.len());
        for statement in statements {
            all.push(statement.fetch_all(&mut *self).await?);
        }
        Ok(all)
    }

    /// Like [`each`](Self::each), where `condition` changes a row. Where it changes none the transaction is to be taken
    /// back: SQLite has run the statements, too, and an error of theirs is none.
    pub(crate) async fn each_if(
        &mut self,
        condition: Query<'_, Any, AnyArguments>,
        statements: Vec<Query<'_, Any, AnyArguments>>,
    ) -> Result<Option<Vec<Vec<AnyRow>>>, Error> {
        if self.at_once {
            let mut all = match self.at_once(std::iter::once(condition).chain(statements).collect()).await {
                Err(Error::Database(error)) if error.is_unique_violation() => return Ok(None),
                all => all?.into_iter(),
            };
            let changed = all.next().is_some_and(|(changed, _)| changed > 0);
            return Ok(changed.then(|| all.map(|(_, rows)| rows).collect()));
        }
        if condition.execute(&mut *self).await?.rows_affected() == 0 {
            return Ok(None);
        }
        self.each(statements).await.map(Some)
    }

    /// Runs statements at once; how many rows each changed, and its rows.
    async fn at_once(
        &mut self,
        statements: Vec<Query<'_, Any, AnyArguments>>,
    ) -> Result<Vec<(u64, Vec<AnyRow>)>, Error> {
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        let (mut sql, mut arguments) = (String::new(), AnyArguments::default());
        let mut all = Vec::with_capacity(statements.len());
        for mut statement in statements {
            let before = arguments.values.0.len();
            if let Some(more) = statement.take_arguments().map_err(Error::Encode)? {
                arguments.values.0.extend(more.values.0);
            }
            renumbered(statement.sql().as_str(), before, &mut sql);
            sql.push(';');
        }
        let sql = AssertSqlSafe(sql).into_sql_str();
        let together = Statement { sql, arguments: Some(arguments), named: self.named };
        let given: Given = self.connection()?.fetch_many(together).try_collect().await?;
        let mut rows = Vec::new();
        for one in given {
            match one {
                Either::Right(row) => rows.push(row),
                Either::Left(done) => all.push((done.rows_affected(), std::mem::take(&mut rows))),
            }
        }
        Ok(all)
    }

    /// The statement of a query, as it may be run here.
    fn statement<'q>(&self, mut query: impl Execute<'q, Any>) -> Result<Statement, Error> {
        let arguments = query.take_arguments().map_err(Error::Encode)?;
        Ok(Statement { sql: query.sql(), arguments, named: self.named })
    }
}

impl<'t> Executor<'t> for &'t mut Begun {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, Error>>
    where
        't: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let statement = self.statement(query);
        match self.connection().and_then(|connection| Ok((connection, statement?))) {
            Ok((connection, statement)) => connection.fetch_many(statement),
            Err(error) => stream::once(std::future::ready(Err(error))).boxed(),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        't: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let statement = self.statement(query);
        match self.connection().and_then(|connection| Ok((connection, statement?))) {
            Ok((connection, statement)) => connection.fetch_optional(statement),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        't: 'e,
    {
        match self.connection() {
            Ok(connection) => connection.prepare_with(sql, parameters),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

/// Adds a statement whose `$1` is the argument after so many others. No text in our SQL has a dollar.
fn renumbered(sql: &str, before: usize, all: &mut String) {
    for (place, part) in sql.split('$').enumerate() {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(if place == 0 { 0 } else { digits });
        match number.parse::<usize>() {
            Ok(number) => {
                all.push('$');
                all.push_str(&number.saturating_add(before).to_string());
            }
            Err(_) => all.push_str(number),
        }
        all.push_str(rest);
    }
}

/// Texts among them are shared.
fn copy(arguments: &AnyArguments) -> AnyArguments {
    let mut copied = AnyArguments::default();
    copied.values.0.clone_from(&arguments.values.0);
    copied
}

/// Whether a statement changes nothing.
fn reads(sql: &str) -> bool {
    sql.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("select"))
}

/// Whether the database has said that it did not run a statement, or undid it.
fn was_refused(error: &Error) -> bool {
    code_of(error)
        .is_some_and(|code| refusal(&code) || matches!(code.as_str(), "25006" | "53300" | "57P03" | "0A000"))
}

impl<'d> Executor<'d> for Statements<'d> {
    type Database = Any;

    /// Rows come when all are there: those of a run that broke are not given.
    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, Error>>
    where
        'd: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let all = self.run(query);
        stream::once(all).map_ok(|all| stream::iter(all.into_iter().map(Ok))).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'd: 'e,
        E: 'q + Execute<'q, Any>,
    {
        Box::pin(async move { Ok(self.run(query).await?.into_iter().find_map(Either::right)) })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'd: 'e,
    {
        self.0.connections().prepare_with(sql, parameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_are_handed_over_together_count_their_arguments_on() {
        let mut all = String::new();
        renumbered("select $1, $2", 0, &mut all);
        renumbered("; insert into a values ($1, $10) returning 1", 2, &mut all);
        renumbered("; delete from b", 12, &mut all);
        assert_eq!(all, "select $1, $2; insert into a values ($3, $12) returning 1; delete from b");
    }

    #[test]
    fn what_reads_begins_with_select() {
        for sql in ["select 1", "  SELECT * from a", "\n select 1"] {
            assert!(reads(sql), "{sql}");
        }
        for sql in ["insert into a select 1", "update a set b = 1", "with a as (select 1) delete from b", ""]
        {
            assert!(!reads(sql), "{sql}");
        }
    }
}
