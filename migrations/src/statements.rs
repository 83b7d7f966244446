//! Runs the statements of a migration, each written once in SQL that both databases read.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, DbErr};

/// Runs `statements` in order.
pub(crate) async fn run(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    for statement in statements {
        manager
            .get_connection()
            .execute_unprepared(statement)
            .await?;
    }
    Ok(())
}

/// Runs `statements` on Postgres only: storage settings SQLite has no word for.
pub(crate) async fn run_on_postgres(
    manager: &SchemaManager<'_>,
    statements: &[&str],
) -> Result<(), DbErr> {
    match manager.get_database_backend() {
        DbBackend::Postgres => run(manager, statements).await,
        _ => Ok(()),
    }
}

/// Runs `statements` on SQLite only.
pub(crate) async fn run_on_sqlite(
    manager: &SchemaManager<'_>,
    statements: &[&str],
) -> Result<(), DbErr> {
    match manager.get_database_backend() {
        DbBackend::Sqlite => run(manager, statements).await,
        _ => Ok(()),
    }
}

/// Drops `tables` in order.
pub(crate) async fn drop(manager: &SchemaManager<'_>, tables: &[&str]) -> Result<(), DbErr> {
    for table in tables {
        manager
            .get_connection()
            .execute_unprepared(&format!("DROP TABLE {table}"))
            .await?;
    }
    Ok(())
}
