//! How runs end: the live row goes, the run's row gets its last state, the result and the event are written.

use std::sync::Arc;

use neena_engine::Micros;
use neena_engine::ids::{OrganizationId, RunId};
use neena_engine::run::{LiveRun, RunStatus};
use sea_orm::Value;
use uuid::Uuid;

use super::chunk::{Rows, bare_lists};
use super::outbox;
use super::script::Script;
use crate::effect::{Effect, effect};
use crate::{Entry, Message};

/// Writes the results of runs.
pub(super) static UPSERT_RESULTS: Rows = Rows::new(
    "INSERT INTO flow_results (run_id, id, organization_id, body, created_at) VALUES",
    5,
    "ON CONFLICT (run_id) DO UPDATE SET id = excluded.id, body = excluded.body, \
     created_at = excluded.created_at",
);

/// Runs that ended. The epoch is kept with the run, so that a retry goes on counting from it.
static FINISH_RUNS: Rows = Rows::new(
    "UPDATE flow_runs SET status = v.column2, end_time = v.column3, reason = v.column4, epoch = v.column5, \
     start_time = COALESCE(start_time, v.column6) FROM (VALUES",
    6,
    ") AS v WHERE id = v.column1",
);

/// Runs that were cancelled before.
static CLOSE_RUNS: Rows = Rows::new(
    "UPDATE flow_runs SET epoch = v.column2, start_time = COALESCE(start_time, v.column3) FROM (VALUES",
    3,
    ") AS v WHERE id = v.column1",
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

    fn as_closed(&self) -> [Value; 3] {
        [self.run.0.into(), self.epoch.into(), self.start.0.into()]
    }

    fn as_finished(&self, now: Micros) -> [Value; 6] {
        [
            self.run.0.into(),
            self.status.as_str().into(),
            now.0.into(),
            self.reason.as_ref().map(ToString::to_string).into(),
            self.epoch.into(),
            self.start.0.into(),
        ]
    }
}

/// Ends all of them; their events, to be published after the commit.
pub(super) fn end_all(ended: &[Ended], now: Micros, script: &mut Script) -> Vec<Message> {
    let ids: Vec<Uuid> = ended.iter().map(|end| end.run.0).collect();
    for list in bare_lists(&ids) {
        let sql = format!("DELETE FROM live_runs WHERE run_id IN ({})", list.places);
        script.add(sql, list.ids.clone());
        // A run that is over asks nobody.
        let sql = format!(
            "DELETE FROM asks WHERE run_id IN ({}) AND (state = 'open') IS TRUE",
            list.places
        );
        script.add(sql, list.ids);
    }
    let (closed, finished): (Vec<&Ended>, Vec<&Ended>) = ended.iter().partition(|end| end.closed);
    let closed = closed.into_iter().flat_map(Ended::as_closed);
    CLOSE_RUNS.add(closed.collect(), script);
    let finished = finished.into_iter().flat_map(|end| end.as_finished(now));
    FINISH_RUNS.add(finished.collect(), script);
    let results = ended
        .iter()
        .flat_map(|end| result(end.run, end.organization, &end.body, now));
    UPSERT_RESULTS.add(results.collect(), script);
    let messages: Vec<Message> = ended
        .iter()
        .map(|end| {
            let kind = format!("flow_run.{}", end.status);
            outbox::message(&kind, end.organization, end.run, end.epoch, now)
        })
        .collect();
    outbox::add(&messages, script);
    messages
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
