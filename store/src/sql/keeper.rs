//! What a keeper does for everybody: wakes what is due, and frees what the dead held.

use std::time::Duration;

use neena_engine::Micros;
use sea_orm::{ConnectionTrait, QueryResult, Value};
use uuid::Uuid;

use super::chunk::lists;
use super::row::Reader;
use super::{all, among, execute, one, outbox, skip_locked};
use crate::{Message, Res};

/// Makes an owned run claimable; `$1` is now. What runs becomes ready, what closes goes on closing.
pub(super) const FREED: &str = "owner = NULL, claim = NULL, ready_at = $1, \
     phase = CASE phase WHEN 'running' THEN 'ready' ELSE phase END";

/// Whether a parked run is due: most often none is, and then nothing is written.
pub(super) async fn any_due(connection: &impl ConnectionTrait) -> Res<bool> {
    let now = crate::db::now(connection).await?;
    let sql = "SELECT 1 FROM live_runs WHERE wake_at <= $1 AND phase = 'parked' LIMIT 1";
    Ok(one(connection, sql, [now.0.into()]).await?.is_some())
}

pub(super) async fn wake(connection: &impl ConnectionTrait, limit: u16) -> Res<Vec<Message>> {
    let now = crate::db::now(connection).await?;
    let sql = format!(
        "WITH due AS MATERIALIZED (SELECT run_id FROM live_runs \
           WHERE wake_at <= $1 AND phase = 'parked' ORDER BY wake_at LIMIT $2{}) \
         UPDATE live_runs SET phase = 'ready', ready_at = $1, wake_at = NULL, inbox_seq = inbox_seq + 1 \
         WHERE run_id {} RETURNING run_id, organization_id, epoch",
        skip_locked(connection),
        among(connection, "SELECT run_id FROM due"),
    );
    let woken = all(connection, sql, [now.0.into(), i64::from(limit).into()]).await?;
    announced(connection, &woken, now).await
}

/// When parked runs are due within `time`, soonest first.
pub(super) async fn due_within(
    connection: &impl ConnectionTrait,
    time: Duration,
    limit: u16,
) -> Res<Vec<Micros>> {
    let until = crate::db::now(connection).await?.after(time);
    let sql = "SELECT wake_at FROM live_runs WHERE wake_at <= $1 AND phase = 'parked' \
       ORDER BY wake_at LIMIT $2";
    let rows = all(connection, sql, [until.0.into(), i64::from(limit).into()]).await?;
    let due = |row: &QueryResult| Ok(Micros(Reader::new(row).get()?));
    rows.iter().map(due).collect()
}

/// Whether somebody's lease has lapsed, or a worker that is dead or unknown still owns a run.
pub(super) async fn any_lapsed(connection: &impl ConnectionTrait) -> Res<bool> {
    let now = crate::db::now(connection).await?;
    let sql = "SELECT 1 FROM workers WHERE state = 'alive' AND lease_until < $1 \
       UNION ALL SELECT 1 FROM live_runs l LEFT JOIN workers w ON w.id = l.owner \
       WHERE l.owner IS NOT NULL AND (w.id IS NULL OR w.state <> 'alive') LIMIT 1";
    Ok(one(connection, sql, [now.0.into()]).await?.is_some())
}

/// Declares lapsed workers dead and frees their runs; those that a dead one claimed later, too, and those of
/// a worker that is unknown.
pub(super) async fn bury(connection: &impl ConnectionTrait, limit: u16) -> Res<Vec<Message>> {
    let now = crate::db::now(connection).await?;
    let lapsed = format!(
        "UPDATE workers SET state = 'dead' WHERE id IN \
         (SELECT id FROM workers WHERE state = 'alive' AND lease_until < $1{})",
        skip_locked(connection),
    );
    execute(connection, lapsed, [now.0.into()]).await?;
    let mut freed = Vec::new();
    for list in lists(&orphans(connection, limit).await?, 2) {
        // The owner is judged under the lock and in a statement of its own: the one that locked may see a run
        // as somebody claimed it meanwhile, and not see that somebody, who joined after it began.
        let sql = format!(
            "UPDATE live_runs SET {FREED} WHERE run_id IN ({}) AND owner IS NOT NULL AND NOT EXISTS \
               (SELECT 1 FROM workers w WHERE w.id = live_runs.owner AND w.state = 'alive') \
             RETURNING run_id, organization_id, epoch",
            list.places,
        );
        let values = [Value::from(now.0)].into_iter().chain(list.ids);
        freed.extend(all(connection, sql, values).await?);
    }
    announced(connection, &freed, now).await
}

/// Locks runs whose owner seems to be dead or unknown.
async fn orphans(connection: &impl ConnectionTrait, limit: u16) -> Res<Vec<Uuid>> {
    let locked = match skip_locked(connection) {
        "" => "",
        _ => " FOR NO KEY UPDATE OF l SKIP LOCKED",
    };
    let sql = format!(
        "SELECT l.run_id FROM live_runs l LEFT JOIN workers w ON w.id = l.owner \
         WHERE l.owner IS NOT NULL AND (w.id IS NULL OR w.state <> 'alive') \
         ORDER BY l.run_id LIMIT $1{locked}"
    );
    let rows = all(connection, sql, [i64::from(limit).into()]).await?;
    rows.iter().map(|row| Reader::new(row).get()).collect()
}

/// Frees every run: whoever owned one is dead, and the caller can prove it.
pub(super) async fn bury_all(connection: &impl ConnectionTrait) -> Res<Vec<Message>> {
    let now = crate::db::now(connection).await?;
    execute(
        connection,
        "UPDATE workers SET state = 'dead' WHERE state = 'alive'",
        [],
    )
    .await?;
    let sql = format!(
        "UPDATE live_runs SET {FREED} WHERE owner IS NOT NULL RETURNING run_id, organization_id, epoch"
    );
    let freed = all(connection, sql, [now.0.into()]).await?;
    announced(connection, &freed, now).await
}

/// Inserts and returns a wake-up for each of these runs (`run_id`, `organization_id`, `epoch`).
async fn announced(
    connection: &impl ConnectionTrait,
    runs: &[QueryResult],
    now: Micros,
) -> Res<Vec<Message>> {
    let messages = wake_ups(runs, now)?;
    outbox::insert(connection, &messages).await?;
    Ok(messages)
}

/// A wake-up for each of these runs (`run_id`, `organization_id`, `epoch`).
pub(super) fn wake_ups(runs: &[QueryResult], now: Micros) -> Res<Vec<Message>> {
    runs.iter()
        .map(|row| {
            let mut row = Reader::new(row);
            let (run, organization) = (row.id()?, row.id()?);
            Ok(outbox::message(
                Message::RESUMED,
                organization,
                run,
                row.get()?,
                now,
            ))
        })
        .collect()
}
