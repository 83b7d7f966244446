//! A transaction on Postgres.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use tokio::sync::Mutex;

use super::hand::{Hand, Lent};
use super::statements::{all, execute, not_acquired, of_execution, of_query, one, unprepared};

/// A transaction. Dropped half-way its connection is closed, which the server takes as a rollback.
#[derive(Debug)]
pub struct Session {
    /// None once it is over.
    lent: Mutex<Option<Lent>>,
}

impl Session {
    /// Begins one on a connection of `hand`.
    pub(super) async fn begin(hand: &Hand) -> Result<Session, DbErr> {
        let lent = hand.take().await.map_err(not_acquired)?;
        let session = Session {
            lent: Mutex::new(Some(lent)),
        };
        session.execute_unprepared("BEGIN").await?;
        Ok(session)
    }

    pub(super) async fn commit(self) -> Result<(), DbErr> {
        self.end("COMMIT").await
    }

    pub(super) async fn rollback(self) -> Result<(), DbErr> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, how: &str) -> Result<(), DbErr> {
        self.execute_unprepared(how).await?;
        if let Some(lent) = self.lent.get_mut().take() {
            lent.keep();
        }
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(lent) = self.lent.get_mut().take() {
            lent.close();
        }
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Session {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut lent = self.lent.lock().await;
        let connection = lent.as_mut().ok_or_else(over)?.connection();
        execute(connection, &statement).await.map_err(of_execution)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let mut lent = self.lent.lock().await;
        let connection = lent.as_mut().ok_or_else(over)?.connection();
        unprepared(connection, sql).await.map_err(of_execution)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut lent = self.lent.lock().await;
        let connection = lent.as_mut().ok_or_else(over)?.connection();
        one(connection, &statement).await.map_err(of_query)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut lent = self.lent.lock().await;
        let connection = lent.as_mut().ok_or_else(over)?.connection();
        all(connection, &statement).await.map_err(of_query)
    }
}

fn over() -> DbErr {
    DbErr::Custom("the transaction is over".to_owned())
}
