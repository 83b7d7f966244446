//! How the queue stands.

use neena_engine::Micros;
use sea_orm::{ConnectionTrait, QueryResult};

use super::one;
use super::row::Reader;
use crate::{Census, Res};

/// Each part reads a partial index or a table that is small by design; runs that wait are counted up to a
/// number at which it no longer matters.
pub(super) async fn census(connection: &impl ConnectionTrait) -> Res<Census> {
    let sql = "SELECT \
         (SELECT count(*) FROM (SELECT 1 FROM live_runs \
            WHERE owner IS NULL AND phase IN ('ready', 'closing') LIMIT 100000) w), \
         (SELECT min(ready_at) FROM live_runs WHERE owner IS NULL AND phase IN ('ready', 'closing')), \
         (SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT 100000) o), \
         (SELECT min(at) FROM outbox), \
         (SELECT count(*) FROM workers WHERE state = 'alive')";
    let row = one(connection, sql, []).await?;
    row.as_ref().map_or(Ok(Census::default()), read)
}

fn read(row: &QueryResult) -> Res<Census> {
    let mut row = Reader::new(row);
    Ok(Census {
        ready: row.number()?,
        ready_since: row.get::<Option<i64>>()?.map(Micros),
        outbox: row.number()?,
        outbox_since: row.get::<Option<i64>>()?.map(Micros),
        workers: row.number()?,
    })
}
