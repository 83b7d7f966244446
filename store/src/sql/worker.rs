//! Worker rows: joining, renewing the lease, leaving.

use std::time::Duration;

use neena_engine::ids::WorkerId;
use neena_engine::plan::PLAN_V;
use neena_engine::{Json, Micros};
use sea_orm::ConnectionTrait;

use super::row::{LIVE, Reader, live, small};
use super::{all, execute, for_update, keeper, outbox};
use crate::seam::GIVEN_BACK;
use crate::{Beat, Held, Hosts, Member, Res, StoreError, WorkerCard};

pub(super) async fn join(connection: &impl ConnectionTrait, card: WorkerCard) -> Res<Micros> {
    let now = crate::db::now(connection).await?;
    execute(
        connection,
        "INSERT INTO workers (id, name, state, lease_until, slots, hosts, plan_v) \
         VALUES ($1, $2, 'alive', $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING",
        [
            card.id.0.into(),
            card.name.into(),
            now.after(card.lease).0.into(),
            small(card.slots),
            hosts_text(&card.hosts).into(),
            small(PLAN_V),
        ],
    )
    .await?;
    Ok(now)
}

/// The column `hosts`.
pub(super) fn hosts_text(hosts: &Hosts) -> String {
    Json::of(hosts).text().to_owned()
}

pub(super) async fn advertise(
    connection: &impl ConnectionTrait,
    worker: WorkerId,
    hosts: String,
) -> Res<()> {
    let sql = "UPDATE workers SET hosts = $1 WHERE id = $2 AND state = 'alive'";
    execute(connection, sql, [hosts.into(), worker.0.into()]).await?;
    Ok(())
}

pub(super) async fn roster(connection: &impl ConnectionTrait) -> Res<Vec<Member>> {
    let sql = "SELECT id, name, slots, hosts FROM workers WHERE state = 'alive' ORDER BY id";
    let rows = all(connection, sql, []).await?;
    rows.iter()
        .map(|row| {
            let mut row = Reader::new(row);
            let (id, name, slots) = (row.id()?, row.get()?, row.get::<i32>()?);
            let hosts: String = row.get()?;
            Ok(Member {
                id,
                name,
                slots: u32::try_from(slots).unwrap_or(0),
                hosts: serde_json::from_str(&hosts)
                    .map_err(|error| StoreError::Refused(error.to_string()))?,
            })
        })
        .collect()
}

pub(super) async fn beat(
    connection: &impl ConnectionTrait,
    worker: WorkerId,
    lease: Duration,
) -> Res<Beat> {
    let now = crate::db::now(connection).await?;
    let renewed = execute(
        connection,
        "UPDATE workers SET lease_until = $1 WHERE id = $2 AND state = 'alive'",
        [now.after(lease).0.into(), worker.0.into()],
    )
    .await?;
    if renewed.rows_affected() == 0 {
        return Ok(Beat::Dead);
    }
    let sql = format!("SELECT {LIVE} FROM live_runs WHERE owner = $1");
    let rows = all(connection, sql, [worker.0.into()]).await?;
    let owned = rows.iter().map(live).collect::<Res<Vec<_>>>()?;
    let held = owned.into_iter().filter_map(Held::of).collect();
    Ok(Beat::Alive { db_now: now, held })
}

pub(super) async fn leave(connection: &impl ConnectionTrait, worker: WorkerId) -> Res<()> {
    let now = crate::db::now(connection).await?;
    execute(
        connection,
        "UPDATE workers SET state = 'gone' WHERE id = $1",
        [worker.0.into()],
    )
    .await?;
    let sql = format!(
        "WITH held AS MATERIALIZED (SELECT run_id FROM live_runs WHERE owner = $2 ORDER BY run_id{}) \
         UPDATE live_runs SET {}, claims = 0 WHERE owner = $2 AND run_id IN (SELECT run_id FROM held) \
         RETURNING run_id, organization_id, epoch",
        for_update(connection),
        keeper::FREED
    );
    let freed = all(connection, sql, [now.0.into(), worker.0.into()]).await?;
    let messages = keeper::wake_ups(&freed, now)?;
    outbox::insert_for(connection, &messages, GIVEN_BACK).await
}
