//! Where statements go: each by itself, or with others in a transaction. Whoever asks need not know which database it is.

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult,
    QueryResult, Statement,
};

use super::hand::Hand;
use super::session::Session;

/// Each statement is a transaction of its own.
#[derive(Clone, Debug)]
pub enum Autocommit {
    #[doc(hidden)]
    Sqlite(DatabaseConnection),
    #[doc(hidden)]
    Postgres(Hand),
}

/// Statements that are carried out together or not at all.
#[derive(Debug)]
pub enum Transaction {
    #[doc(hidden)]
    Sqlite(DatabaseTransaction),
    #[doc(hidden)]
    Postgres(Session),
}

/// What a verb of few statements runs on: they stand by themselves where the database lets them, on SQLite they share
/// the writer's transaction.
#[derive(Debug)]
pub(crate) enum Executor<'c> {
    Alone(&'c Hand),
    Within(&'c Transaction),
}

/// Passes everything on to whichever it is.
macro_rules! passed_on {
    ($of:ty, $one:path, $other:path) => {
        #[async_trait::async_trait]
        impl ConnectionTrait for $of {
            fn get_database_backend(&self) -> DbBackend {
                match self {
                    $one(to) => to.get_database_backend(),
                    $other(to) => to.get_database_backend(),
                }
            }

            async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
                match self {
                    $one(to) => to.execute_raw(statement).await,
                    $other(to) => to.execute_raw(statement).await,
                }
            }

            async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
                match self {
                    $one(to) => to.execute_unprepared(sql).await,
                    $other(to) => to.execute_unprepared(sql).await,
                }
            }

            async fn query_one_raw(
                &self,
                statement: Statement,
            ) -> Result<Option<QueryResult>, DbErr> {
                match self {
                    $one(to) => to.query_one_raw(statement).await,
                    $other(to) => to.query_one_raw(statement).await,
                }
            }

            async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
                match self {
                    $one(to) => to.query_all_raw(statement).await,
                    $other(to) => to.query_all_raw(statement).await,
                }
            }
        }
    };
}

passed_on!(Autocommit, Autocommit::Sqlite, Autocommit::Postgres);
passed_on!(Transaction, Transaction::Sqlite, Transaction::Postgres);
passed_on!(Executor<'_>, Executor::Alone, Executor::Within);

impl Transaction {
    /// Answered once it is as durable as its connection is.
    pub(crate) async fn commit(self) -> Result<(), DbErr> {
        match self {
            Transaction::Sqlite(transaction) => transaction.commit().await,
            Transaction::Postgres(session) => session.commit().await,
        }
    }

    pub(crate) async fn rollback(self) -> Result<(), DbErr> {
        match self {
            Transaction::Sqlite(transaction) => transaction.rollback().await,
            Transaction::Postgres(session) => session.rollback().await,
        }
    }
}
