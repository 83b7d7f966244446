//! The schema, brought up to date in a transaction.

use neena_migrations::Migrator;
use sea_orm::DatabaseTransaction;
use sea_orm_migration::MigratorTrait;

use crate::Res;

/// Applies what is pending; how many migrations that were.
pub(super) async fn up(tx: &DatabaseTransaction) -> Res<usize> {
    let pending = Migrator::get_pending_migrations(tx).await?.len();
    Migrator::up(tx, None).await?;
    Ok(pending)
}
