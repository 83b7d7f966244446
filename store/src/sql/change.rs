//! What a decision writes, all in its transaction.

use neena_engine::Micros;
use neena_engine::ids::RunId;
use neena_engine::run::{AskChange, Change, Decision, Facts, LiveRun, Note, Phase, Refused};
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use super::asks::{self, Said};
use super::decide::{Ids, landed, read};
use super::log::{self, About};
use super::replan::replan;
use super::row::{self, INSERT_LIVE, live_values, small, time};
use super::{ending, execute, outbox};
use crate::{Decided, Deciding, Message, Res};

/// How a decision is entered in the log.
pub(super) struct Logged {
    pub(super) ids: Ids,
    /// The key of the gate.
    pub(super) gate: Option<String>,
    pub(super) now: Micros,
}

impl Logged {
    pub(super) async fn write(
        &self,
        connection: &impl ConnectionTrait,
        deciding: &Deciding,
        facts: &Facts,
        (id, note): (Uuid, &Note),
    ) -> Res<()> {
        let about = About {
            organization: deciding.organization.0,
            run: deciding.run.0,
            plan_hash: facts.run.plan_hash.to_string(),
            gate: self.gate.clone(),
        };
        let actor = deciding.decision.actor();
        log::write(connection, id, about, actor, note, self.now).await
    }
}

/// Writes `change`; what the decision did.
pub(super) async fn apply(
    connection: &impl ConnectionTrait,
    deciding: &Deciding,
    facts: &Facts,
    change: Change,
    logged: Logged,
) -> Res<Decided> {
    let run = deciding.run;
    let (ids, now) = (logged.ids, logged.now);
    if !write_live(connection, run, facts.live.as_ref(), change.live.as_ref()).await? {
        // Another retry put its row in first: maybe an earlier try of this one.
        let read = read(connection, deciding, ids).await?;
        if read.is_some_and(|read| read.landed) {
            return landed(connection, change.live, ids).await;
        }
        return Ok(Decided::Refused(Refused::Conflict(
            "The flow run has not ended yet".to_owned(),
        )));
    }
    if change.touches_run(facts) {
        write_run(connection, run, &change).await?;
    }
    if let Decision::Resubmit { plan, .. } = &deciding.decision {
        replan(connection, facts, &change, plan, now).await?;
    }
    let entry = (ids.decision, &change.note);
    logged.write(connection, deciding, facts, entry).await?;
    if let (Some(vote), Some(actor)) = (&change.vote, deciding.decision.actor()) {
        let said = Said {
            id: ids.vote,
            plan_hash: facts.run.plan_hash.to_string(),
            comment: change.note.comment.as_deref(),
            way: actor.way,
            at: now.0,
        };
        let subject = deciding.decision.subject();
        asks::write_vote(connection, (run, subject), vote, said).await?;
    }
    match (&change.ask, &facts.policy) {
        // A vote among several changes nothing about what is asked.
        (AskChange::Write(ask), Some(_)) if facts.ask.as_ref() == Some(ask) => {}
        (AskChange::Write(ask), Some(policy)) => {
            asks::write(connection, (run, deciding.organization), ask, policy).await?;
        }
        (AskChange::Write(_) | AskChange::Keep, _) => {}
        (AskChange::Anew, _) => {}
        (AskChange::Drop, _) => {
            let over = change
                .live
                .as_ref()
                .is_none_or(|live| live.phase == Phase::Closing);
            asks::drop(connection, run, over).await?;
        }
    }
    if change.new_round {
        open_round(connection, run, facts.run.round).await?;
    }
    if let Some(body) = &change.body {
        ending::write_result(connection, run, deciding.organization, body, now).await?;
    }
    let epoch = facts
        .live
        .as_ref()
        .map_or(facts.run.epoch, |live| live.epoch);
    let message = |kind: &&str| outbox::message(kind, deciding.organization, run, epoch, now);
    let mut messages: Vec<Message> = change.events.iter().map(message).collect();
    if let Some(first) = messages.first_mut() {
        first.id = ids.message;
    }
    outbox::insert(connection, &messages).await?;
    let poke = change
        .live
        .as_ref()
        .and_then(|live| live.owner)
        .filter(|_| change.poke);
    Ok(Decided::Done {
        live: change.live.map(Box::new),
        outbox: messages,
        poke,
    })
}

/// Whether the live row is now as it should be; false only if another one took its place.
async fn write_live(
    connection: &impl ConnectionTrait,
    run: RunId,
    before: Option<&LiveRun>,
    after: Option<&LiveRun>,
) -> Res<bool> {
    match (before, after) {
        (before, after) if before == after => {}
        (_, None) => {
            let sql = "DELETE FROM live_runs WHERE run_id = $1";
            execute(connection, sql, [run.0.into()]).await?;
        }
        (None, Some(after)) => {
            return Ok(INSERT_LIVE.run(connection, live_values(after)).await? == 1);
        }
        (Some(_), Some(after)) => {
            let sql = "UPDATE live_runs SET phase = $1, intent = $2, inbox_seq = $3, wake_at = $4, \
                 ready_at = $5, deadline_at = $6, approved_hash = $7 WHERE run_id = $8";
            let values: [Value; 8] = [
                after.phase.as_str().into(),
                after.intent.map(row::intent_word).into(),
                after.inbox_seq.into(),
                time(after.wake_at),
                time(after.ready_at),
                time(after.deadline_at),
                after.approved_hash.map(|hash| hash.to_string()).into(),
                run.0.into(),
            ];
            execute(connection, sql, values).await?;
        }
    }
    Ok(true)
}

async fn write_run(connection: &impl ConnectionTrait, run: RunId, change: &Change) -> Res<()> {
    let after = &change.run;
    let sql = "UPDATE flow_runs SET status = $1, approval_status = $2, approved_hash = $3, round = $4, \
         end_time = $5, reason = $6 WHERE id = $7";
    let values: [Value; 7] = [
        after.status.as_str().into(),
        after.approval_status.map(|status| status.as_str()).into(),
        after.approved_hash.map(|hash| hash.to_string()).into(),
        small(after.round),
        time(after.end_time),
        after.reason.as_ref().map(ToString::to_string).into(),
        run.0.into(),
    ];
    execute(connection, sql, values).await?;
    Ok(())
}

/// A new round: what did not complete makes way and is tried again, what was skipped is decided anew.
/// Attempts are counted over all rounds, so a row that tells of one stays.
async fn open_round(connection: &impl ConnectionTrait, run: RunId, ended: u32) -> Res<()> {
    asks::open_round(connection, run).await?;
    let sql = "INSERT INTO task_attempts (run_id, idx, item, round, attempt, start_time, end_time, error) \
         SELECT run_id, idx, item, $1, attempt, start_time, end_time, error FROM task_runs \
         WHERE run_id = $2 AND status IN ('failed', 'cancelled') AND attempt > 0 \
         ON CONFLICT (run_id, idx, item, round, attempt) DO NOTHING";
    execute(connection, sql, [small(ended), run.0.into()]).await?;
    let sql = "DELETE FROM task_runs WHERE run_id = $1 AND status = 'skipped' AND attempt = 0";
    execute(connection, sql, [run.0.into()]).await?;
    let sql = "UPDATE task_runs SET status = 'pending', attempts_before = attempt, start_time = NULL, \
         end_time = NULL, due_at = NULL, result = NULL, result_size = NULL, error = NULL \
         WHERE run_id = $1 AND status <> 'completed'";
    execute(connection, sql, [run.0.into()]).await?;
    let sql = "DELETE FROM flow_results WHERE run_id = $1";
    execute(connection, sql, [run.0.into()]).await?;
    Ok(())
}
