//! Sealing the decision log: per organization the committed entries are numbered, each is chained to the one
//! before, and that is all that is ever written to an entry again.

use std::fmt::Write;

use neena_engine::approval::chain::{Head, Seal};
use neena_engine::{Hash, Micros};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Value,
};
use uuid::Uuid;

use super::chunk::Rows;
use super::row::Reader;
use super::{all, execute, one, skip_locked};
use crate::entities::decision::{Column, Entity, Model};
use crate::{Db, Res, StoreError};

/// Entries sealed in one transaction.
const AT_ONCE: u64 = 500;
/// Organizations looked after in one call.
const ORGANIZATIONS: i64 = 100;

static SEAL: Rows = Rows::new(
    "UPDATE decisions SET seq = v.column2, prev = v.column3, hash = v.column4 FROM (VALUES",
    4,
    ") AS v WHERE id = v.column1 AND seq IS NULL",
);

/// Seals up to `limit` entries; how many were. What another sealer is at is left to it. A log that cannot be read
/// keeps those of other organizations from nothing, and is told of at the end.
pub(super) async fn seal(db: &Db, limit: u64) -> Res<u64> {
    let mut sealed = 0;
    let mut unreadable = None;
    for organization in waiting(db).await? {
        while sealed < limit {
            let most = AT_ONCE.min(limit - sealed);
            let done = db
                .unit::<_, StoreError, _>(move |tx| {
                    Box::pin(async move { seal_one(tx, organization, most).await })
                })
                .await;
            let done = match done {
                Ok(done) => done,
                Err(error @ StoreError::Refused(_)) => {
                    unreadable = Some(error);
                    break;
                }
                Err(error) => return Err(error),
            };
            sealed += done;
            if done < most {
                break;
            }
        }
    }
    unreadable.map_or(Ok(sealed), Err)
}

/// Organizations with entries that are not sealed: one step in the index for each.
async fn waiting(db: &Db) -> Res<Vec<Uuid>> {
    let sql = "WITH RECURSIVE o (id) AS ( \
           SELECT * FROM (SELECT organization_id FROM decisions WHERE seq IS NULL \
             ORDER BY organization_id LIMIT 1) AS first \
           UNION ALL \
           SELECT (SELECT d.organization_id FROM decisions d WHERE d.seq IS NULL AND d.organization_id > o.id \
             ORDER BY d.organization_id LIMIT 1) FROM o WHERE o.id IS NOT NULL \
         ) SELECT id FROM o WHERE id IS NOT NULL LIMIT $1";
    let rows = all(db.reader(), sql, [ORGANIZATIONS.into()]).await?;
    rows.iter().map(|row| Reader::new(row).get()).collect()
}

/// Seals up to `most` entries of an organization. They are read in a statement after the lock of its chain, so
/// that they follow whatever another sealer has sealed.
async fn seal_one(connection: &impl ConnectionTrait, organization: Uuid, most: u64) -> Res<u64> {
    let Some(mut head) = lock(connection, organization).await? else {
        return Ok(0);
    };
    let entries: Vec<Model> = Entity::find()
        .filter(Column::OrganizationId.eq(organization))
        .filter(Column::Seq.is_null())
        .order_by_asc(Column::At)
        .order_by_asc(Column::Id)
        .limit(most)
        .all(connection)
        .await?;
    let mut seals = Vec::with_capacity(entries.len());
    for entry in entries {
        let id = entry.id;
        let seal = head.seal(&entry.line()?.entry);
        head = seal.head();
        seals.push((id, seal));
    }
    if seals.is_empty() {
        return Ok(0);
    }
    write(connection, &seals).await?;
    let now: Micros = crate::db::now(connection).await?;
    let sql =
        "UPDATE decision_chains SET seq = $1, hash = $2, sealed_at = $3 WHERE organization_id = $4";
    let values: [Value; 4] = [
        head.seq.into(),
        head.hash.to_string().into(),
        now.0.into(),
        organization.into(),
    ];
    execute(connection, sql, values).await?;
    Ok(seals.len() as u64)
}

/// Where the chain stands, for this transaction alone; none if another one has it.
async fn lock(connection: &impl ConnectionTrait, organization: Uuid) -> Res<Option<Head>> {
    let sql = format!(
        "SELECT seq, hash FROM decision_chains WHERE organization_id = $1{}",
        skip_locked(connection)
    );
    if let Some(row) = one(connection, sql, [organization.into()]).await? {
        let mut row = Reader::new(&row);
        return Ok(Some(Head {
            seq: row.get()?,
            hash: row.word::<Hash>()?,
        }));
    }
    // The first entry of all, or another sealer is at it; who puts the row in has it.
    let sql = "INSERT INTO decision_chains (organization_id, seq, hash, sealed_at) VALUES ($1, $2, $3, 0) \
         ON CONFLICT (organization_id) DO NOTHING";
    let start = Head::START;
    let values: [Value; 3] = [
        organization.into(),
        start.seq.into(),
        start.hash.to_string().into(),
    ];
    let made = execute(connection, sql, values).await?.rows_affected();
    Ok((made == 1).then_some(start))
}

/// Writes the seals; only entries that have none take one.
async fn write(connection: &impl ConnectionTrait, seals: &[(Uuid, Seal)]) -> Res<()> {
    if connection.get_database_backend() != DatabaseBackend::Postgres {
        let values = seals.iter().flat_map(|(id, seal)| -> [Value; 4] {
            [
                (*id).into(),
                seal.seq.into(),
                seal.prev.to_string().into(),
                seal.hash.to_string().into(),
            ]
        });
        let done = SEAL.run(connection, values.collect()).await?;
        return written(seals.len() as u64, done);
    }
    let mut rows = String::new();
    for (at, (id, seal)) in seals.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(
            rows,
            r#"{comma}{{"id":"{id}","seq":{},"prev":"{}","hash":"{}"}}"#,
            seal.seq, seal.prev, seal.hash
        );
    }
    let sql = "UPDATE decisions d SET seq = v.seq, prev = v.prev, hash = v.hash \
         FROM json_to_recordset($1::json) AS v (id uuid, seq int8, prev text, hash text) \
         WHERE d.id = v.id AND d.seq IS NULL";
    let done = execute(connection, sql, [format!("[{rows}]").into()]).await?;
    written(seals.len() as u64, done.rows_affected())
}

/// Entries stay as they are while the chain is locked; if not, nothing of this is kept.
fn written(wanted: u64, rows: u64) -> Res<()> {
    match wanted == rows {
        true => Ok(()),
        false => Err(StoreError::Refused(format!(
            "{rows} of {wanted} entries of the decision log took their seal"
        ))),
    }
}
