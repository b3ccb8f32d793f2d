//! Single statements, and when they are run again.
//!
//! A statement that only reads may be run again after whatever passes. One that writes is run again
//! where the database has said that it did not do it; whether it did when a connection broke, nobody
//! knows.

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use sqlx::any::{AnyArguments, AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::{Any, AnyPool, Either, Error, Execute, Executor, SqlStr};

use crate::database::Database;
use crate::transactions::{Pace, code_of, lost, passing, refusal};

/// Runs statements on any connection of a database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statements<'d>(pub(crate) &'d Database);

impl<'d> Statements<'d> {
    /// Runs a statement until it is done, or fails in a way that does not pass.
    async fn run<'q, T, F>(
        self,
        mut query: impl Execute<'q, Any>,
        run: impl Fn(&'d AnyPool, Statement) -> F + Send,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let arguments = query.take_arguments().map_err(Error::Encode)?;
        let sql = query.sql();
        let mut pace = Pace::new();
        loop {
            let statement = Statement { sql: sql.clone(), arguments: arguments.as_ref().map(copy) };
            let error = match self.0.watching(run(self.0.connections(), statement)).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if lost(&error) {
                self.0.renew();
            }
            let not_done = if reads(sql.as_str()) { passing(&error) } else { was_refused(&error) };
            if !(not_done && pace.pause().await) {
                return Err(error);
            }
        }
    }
}

/// A statement with its arguments.
struct Statement {
    sql: SqlStr,
    arguments: Option<AnyArguments>,
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
        true
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
    code_of(error).is_some_and(|code| refusal(&code) || matches!(code.as_str(), "25006" | "53300" | "57P03"))
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
        let all = self.run(query, |pool, statement| pool.fetch_many(statement).try_collect::<Vec<_>>());
        stream::once(all).map_ok(|all| stream::iter(all.into_iter().map(Ok))).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'd: 'e,
        E: 'q + Execute<'q, Any>,
    {
        Box::pin(self.run(query, |pool, statement| pool.fetch_optional(statement)))
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
