//! The outbox: messages inserted with what causes them, taken again when they are overdue, deleted
//! when they are published.

use std::time::Duration;

use neena_engine::Micros;
use neena_engine::ids::{OrganizationId, RunId};
use sea_orm::{ConnectionTrait, QueryResult, Value};
use uuid::Uuid;

use super::chunk::{Rows, lists};
use super::row::Reader;
use super::script::Script;
use super::{all, among, execute, one, skip_locked};
use crate::seam::{FIRST_TRY, HEAD_START, LATER_TRY};
use crate::{Message, Res};

static INSERT: Rows = Rows::new(
    "INSERT INTO outbox (id, kind, required, organization_id, run_id, epoch, at, try_after, tries) VALUES",
    9,
    "",
);

/// A new message about a run.
pub(super) fn message(
    kind: &str,
    organization: OrganizationId,
    run: RunId,
    epoch: i64,
    now: Micros,
) -> Message {
    Message {
        id: Uuid::now_v7(),
        kind: kind.to_owned(),
        organization,
        run,
        epoch,
        at: now,
    }
}

/// The message, if it is still there.
pub(super) async fn find(connection: &impl ConnectionTrait, id: Uuid) -> Res<Option<Message>> {
    let sql = "SELECT id, kind, organization_id, run_id, epoch, at FROM outbox WHERE id = $1";
    let row = one(connection, sql, [id.into()]).await?;
    row.as_ref().map(read).transpose()
}

/// Inserts messages that this process is about to publish itself.
pub(super) async fn insert(connection: &impl ConnectionTrait, messages: &[Message]) -> Res<()> {
    insert_for(connection, messages, HEAD_START).await
}

/// The same along with what else is written.
pub(super) fn add(messages: &[Message], script: &mut Script) {
    add_for(messages, HEAD_START, script);
}

/// Inserts messages for whoever finds them after `wait`.
pub(super) async fn insert_for(
    connection: &impl ConnectionTrait,
    messages: &[Message],
    wait: Duration,
) -> Res<()> {
    let mut script = Script::default();
    add_for(messages, wait, &mut script);
    script.run(connection).await
}

/// The same along with what else is written.
pub(super) fn add_for(messages: &[Message], wait: Duration, script: &mut Script) {
    fail::fail_point!("outbox.forgotten", |_| ());
    let mut values: Vec<Value> = Vec::with_capacity(messages.len() * 9);
    for message in messages {
        values.extend([
            message.id.into(),
            message.kind.clone().into(),
            message.wakes_workers().into(),
            message.organization.0.into(),
            message.run.0.into(),
            message.epoch.into(),
            message.at.0.into(),
            message.at.after(wait).0.into(),
            0_i32.into(),
        ]);
    }
    INSERT.add(values, script);
}

/// Whether a message is overdue: most often none is, and then nothing is written.
pub(super) async fn any_due(connection: &impl ConnectionTrait) -> Res<bool> {
    let now = crate::db::now(connection).await?;
    let sql = "SELECT 1 FROM outbox WHERE try_after <= $1 LIMIT 1";
    Ok(one(connection, sql, [now.0.into()]).await?.is_some())
}

/// Takes overdue messages. They are leased by moving their time.
pub(super) async fn take(connection: &impl ConnectionTrait, limit: u16) -> Res<Vec<Message>> {
    let now = crate::db::now(connection).await?;
    let sql = format!(
        "WITH due AS MATERIALIZED (SELECT id FROM outbox \
           WHERE try_after <= $1 ORDER BY try_after LIMIT $2{}) \
         UPDATE outbox SET tries = tries + 1, \
           try_after = CASE WHEN tries = 0 THEN $3 ELSE $4 END \
         WHERE id {} \
         RETURNING id, kind, organization_id, run_id, epoch, at",
        skip_locked(connection),
        among(connection, "SELECT id FROM due"),
    );
    let values = [
        now.0.into(),
        i64::from(limit).into(),
        now.after(FIRST_TRY).0.into(),
        now.after(LATER_TRY).0.into(),
    ];
    let rows = all(connection, sql, values).await?;
    let mut messages = rows.iter().map(read).collect::<Res<Vec<_>>>()?;
    messages.sort_by_key(|message| message.id);
    Ok(messages)
}

/// Deletes published messages.
pub(super) async fn done(connection: &impl ConnectionTrait, ids: Vec<Uuid>) -> Res<()> {
    for list in lists(&ids, 1) {
        execute(
            connection,
            format!("DELETE FROM outbox WHERE id IN ({})", list.places),
            list.ids,
        )
        .await?;
    }
    Ok(())
}

fn read(row: &QueryResult) -> Res<Message> {
    let mut row = Reader::new(row);
    Ok(Message {
        id: row.get()?,
        kind: row.get()?,
        organization: row.id()?,
        run: row.id()?,
        epoch: row.get()?,
        at: Micros(row.get()?),
    })
}
