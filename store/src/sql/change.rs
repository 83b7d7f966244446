//! What a decision writes, all in its transaction.

use neena_engine::Micros;
use neena_engine::ids::RunId;
use neena_engine::run::{Change, Facts, LiveRun, Refused, Vote, VoteKind};
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use super::decide::{Ids, landed, read};
use super::row::{self, INSERT_LIVE, live_values, small, time};
use super::{ending, execute, outbox};
use crate::{Decided, Deciding, Message, Res};

/// Writes `change`; what the decision did.
pub(super) async fn apply(
    connection: &impl ConnectionTrait,
    deciding: &Deciding,
    facts: &Facts,
    change: Change,
    now: Micros,
    ids: Ids,
) -> Res<Decided> {
    let run = deciding.run;
    if !write_live(connection, run, facts.live.as_ref(), change.live.as_ref()).await? {
        // Another retry put its row in first: maybe an earlier try of this one.
        let read = read(connection, deciding).await?;
        if read.is_some_and(|read| read.decision == Some(ids.decision)) {
            return landed(connection, change.live, ids).await;
        }
        return Ok(Decided::Refused(Refused::Conflict(
            "The flow run has not ended yet".to_owned(),
        )));
    }
    write_run(connection, run, &change, ids.decision).await?;
    if let Some(vote) = &change.vote {
        write_vote(connection, deciding, vote, now, ids.vote).await?;
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

async fn write_run(
    connection: &impl ConnectionTrait,
    run: RunId,
    change: &Change,
    decision: Uuid,
) -> Res<()> {
    let after = &change.run;
    let sql = "UPDATE flow_runs SET status = $1, approval_status = $2, approved_hash = $3, round = $4, \
         end_time = $5, reason = $6, decision = $7 WHERE id = $8";
    let values: [Value; 8] = [
        after.status.as_str().into(),
        after.approval_status.map(|status| status.as_str()).into(),
        after.approved_hash.map(|hash| hash.to_string()).into(),
        small(after.round),
        time(after.end_time),
        after.reason.as_ref().map(ToString::to_string).into(),
        decision.into(),
        run.0.into(),
    ];
    execute(connection, sql, values).await?;
    Ok(())
}

/// The vote of a person on a plan; their last one counts.
async fn write_vote(
    connection: &impl ConnectionTrait,
    deciding: &Deciding,
    vote: &Vote,
    now: Micros,
    id: Uuid,
) -> Res<()> {
    let decision = match vote.kind {
        VoteKind::Approve => "approve",
        VoteKind::Reject => "reject",
    };
    let sql = "INSERT INTO approvals (id, run_id, idx, item, stage, approver, approver_email, plan_hash, \
           decision, comment, way, at) VALUES ($1, $2, -1, -1, 0, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (run_id, idx, item, plan_hash, stage, approver) DO UPDATE SET \
           decision = excluded.decision, comment = excluded.comment, way = excluded.way, at = excluded.at";
    let values: [Value; 9] = [
        id.into(),
        deciding.run.0.into(),
        vote.approver.0.into(),
        deciding.actor.email.clone().into(),
        vote.plan_hash.to_string().into(),
        decision.into(),
        deciding.comment.clone().into(),
        deciding.actor.way.into(),
        now.0.into(),
    ];
    execute(connection, sql, values).await?;
    Ok(())
}

/// A new round: what did not complete makes way and is tried again, what was skipped is decided anew.
/// Attempts are counted over all rounds, so a row that tells of one stays.
async fn open_round(connection: &impl ConnectionTrait, run: RunId, ended: u32) -> Res<()> {
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
