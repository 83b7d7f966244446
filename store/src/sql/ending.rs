//! How runs end: the live row goes, the run's row gets its last state, the result and the event are written.

use std::sync::Arc;

use neena_engine::Micros;
use neena_engine::ids::{OrganizationId, RunId};
use neena_engine::run::{LiveRun, RunStatus};
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use super::chunk::{Rows, lists};
use super::{execute, outbox};
use crate::effect::{Effect, effect};
use crate::{Entry, Message, Res};

/// Writes the results of runs.
pub(super) static UPSERT_RESULTS: Rows = Rows::new(
    "INSERT INTO flow_results (run_id, id, organization_id, body, created_at) VALUES",
    5,
    "ON CONFLICT (run_id) DO UPDATE SET id = excluded.id, body = excluded.body, \
     created_at = excluded.created_at",
);

/// A run that ends with this batch.
pub(super) struct Ended {
    run: RunId,
    organization: OrganizationId,
    epoch: i64,
    status: RunStatus,
    body: Arc<str>,
    reason: Option<Arc<str>>,
    start: Micros,
    /// Whether it was cancelled before: its row says how and when already.
    closed: bool,
}

impl Ended {
    /// What ends by `entry`, if it ends the run.
    pub(super) fn of(entry: &Entry, live: &LiveRun, now: Micros) -> Option<Ended> {
        let (status, body, reason, closed) = match effect(entry, live) {
            Effect::Finish(end) => (end.status, &end.body, end.reason.clone(), false),
            Effect::Close(body) => (RunStatus::Cancelled, body, None, true),
            Effect::Hold | Effect::Stale | Effect::Park { .. } | Effect::Yield => return None,
        };
        Some(Ended {
            run: live.run,
            organization: live.organization,
            epoch: live.epoch,
            status,
            body: Arc::clone(body),
            reason,
            start: entry.start(now),
            closed,
        })
    }
}

/// Ends all of them; their events, to be published after the commit.
pub(super) async fn end_all(
    connection: &impl ConnectionTrait,
    ended: Vec<Ended>,
    now: Micros,
) -> Res<Vec<Message>> {
    let ids: Vec<Uuid> = ended.iter().map(|end| end.run.0).collect();
    for list in lists(&ids, 1) {
        let sql = format!("DELETE FROM live_runs WHERE run_id IN ({})", list.places);
        execute(connection, sql, list.ids.clone()).await?;
        // A run that is over asks nobody.
        let sql = format!(
            "DELETE FROM asks WHERE run_id IN ({}) AND state = 'open'",
            list.places
        );
        execute(connection, sql, list.ids).await?;
    }
    for end in &ended {
        update_run(connection, end, now).await?;
    }
    let results = ended
        .iter()
        .flat_map(|end| result(end.run, end.organization, &end.body, now));
    UPSERT_RESULTS.run(connection, results.collect()).await?;
    let messages: Vec<Message> = ended
        .iter()
        .map(|end| {
            let kind = format!("flow_run.{}", end.status);
            outbox::message(&kind, end.organization, end.run, end.epoch, now)
        })
        .collect();
    outbox::insert(connection, &messages).await?;
    Ok(messages)
}

/// The values of the result of a run.
pub(super) fn result(
    run: RunId,
    organization: OrganizationId,
    body: &Arc<str>,
    now: Micros,
) -> [Value; 5] {
    let id = Uuid::now_v7();
    [
        run.0.into(),
        id.into(),
        organization.0.into(),
        body.to_string().into(),
        now.0.into(),
    ]
}

/// The epoch is kept with the run, so that a retry goes on counting from it.
async fn update_run(connection: &impl ConnectionTrait, end: &Ended, now: Micros) -> Res<()> {
    if end.closed {
        let sql =
            "UPDATE flow_runs SET epoch = $1, start_time = COALESCE(start_time, $2) WHERE id = $3";
        let values = [end.epoch.into(), end.start.0.into(), end.run.0.into()];
        execute(connection, sql, values).await?;
        return Ok(());
    }
    let sql = "UPDATE flow_runs SET status = $1, end_time = $2, reason = $3, epoch = $4, \
         start_time = COALESCE(start_time, $5) WHERE id = $6";
    let values = [
        end.status.as_str().into(),
        now.0.into(),
        end.reason.as_ref().map(ToString::to_string).into(),
        end.epoch.into(),
        end.start.0.into(),
        end.run.0.into(),
    ];
    execute(connection, sql, values).await?;
    Ok(())
}
