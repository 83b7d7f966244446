//! Decisions of others: the lock, then what it depends on in statements of their own (in READ COMMITTED
//! only the locked row is read again after a wait), then the engine's answer, then the writes.

use std::time::Duration;

use neena_engine::Micros;
use neena_engine::ids::{FlowId, RunId, UserId};
use neena_engine::plan::{PLAN_V, Plan};
use neena_engine::run::{
    self, Change, Decision, Facts, Final, LiveRun, Phase, Refused, Vote, VoteKind,
};
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use super::row::{self, INSERT_LIVE, LIVE, Reader, live, live_values, small, time};
use super::{SqlStore, all, ending, execute, for_update, one, outbox};
use crate::{Decided, Deciding, Message, Res, Store, StoreError};

/// Decides within the caller's transaction, about a run whose plan is at hand: making a run and approving it
/// is one unit of work. The messages and the poke are to be passed on after its commit.
pub async fn decide_within(
    connection: &impl ConnectionTrait,
    deciding: Deciding,
    plan: &Plan,
) -> Res<Decided> {
    decide(connection, deciding, Terms::of(plan), Ids::new()).await
}

/// The ids of what a decision writes, made before its first try. A second try of the same decision knows
/// the first by them.
#[derive(Clone, Copy)]
pub(super) struct Ids {
    decision: Uuid,
    vote: Uuid,
    message: Uuid,
}

impl Ids {
    pub(super) fn new() -> Ids {
        Ids {
            decision: Uuid::now_v7(),
            vote: Uuid::now_v7(),
            message: Uuid::now_v7(),
        }
    }
}

/// What the plan says about deciding.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    quorum: u32,
    timeout: Option<Duration>,
    plan_v: u32,
}

impl Terms {
    fn of(plan: &Plan) -> Terms {
        Terms {
            quorum: plan.head.policy.count,
            timeout: plan.graph.body().timeout_ms.map(Duration::from_millis),
            plan_v: plan.head.v,
        }
    }
}

/// Reads the terms where the decision depends on them; none if there is no such run. A plan never
/// changes, so this needs no lock.
pub(super) async fn terms(store: &SqlStore, deciding: &Deciding) -> Res<Option<Terms>> {
    if matches!(
        deciding.decision,
        Decision::Reject { .. } | Decision::Cancel { .. }
    ) {
        return Ok(Some(Terms {
            quorum: 1,
            timeout: None,
            plan_v: PLAN_V,
        }));
    }
    let sql = "SELECT 1 FROM flow_runs WHERE id = $1 AND organization_id = $2";
    let values = [deciding.run.0.into(), deciding.organization.0.into()];
    if one(store.db().reader(), sql, values).await?.is_none() {
        return Ok(None);
    }
    Ok(Some(Terms::of(&*store.plan(deciding.run).await?)))
}

pub(super) async fn decide(
    connection: &impl ConnectionTrait,
    deciding: Deciding,
    terms: Terms,
    ids: Ids,
) -> Res<Decided> {
    let live = lock(connection, &deciding).await?;
    let Some(Row {
        run,
        flow,
        decision,
    }) = read_run(connection, &deciding).await?
    else {
        return Ok(Decided::NotFound);
    };
    if decision == Some(ids.decision) {
        return landed(connection, live, ids).await;
    }
    let votes = votes(connection, deciding.run).await?;
    let now = crate::db::now(connection).await?;
    let fresh = fresh(&deciding, &run, flow, &terms);
    let facts = Facts {
        live,
        run,
        votes,
        quorum: terms.quorum,
        code_current: deciding.code_current,
        timeout: terms.timeout,
        fresh,
    };
    match run::decide(&facts, &deciding.decision, now) {
        Ok(change) => apply(connection, &deciding, &facts, change, now, ids).await,
        Err(Refused::AlreadySo) => Ok(Decided::AlreadySo),
        Err(refused) => Ok(Decided::Refused(refused)),
    }
}

/// The answer of a decision that an earlier try has written already.
async fn landed(
    connection: &impl ConnectionTrait,
    live: Option<LiveRun>,
    ids: Ids,
) -> Res<Decided> {
    let closing = live.as_ref().filter(|live| live.phase == Phase::Closing);
    Ok(Decided::Done {
        poke: closing.and_then(|live| live.owner),
        live: live.map(Box::new),
        outbox: outbox::find(connection, ids.message)
            .await?
            .into_iter()
            .collect(),
    })
}

async fn lock(connection: &impl ConnectionTrait, deciding: &Deciding) -> Res<Option<LiveRun>> {
    let sql = format!(
        "SELECT {LIVE} FROM live_runs WHERE run_id = $1 AND organization_id = $2{}",
        row_lock(connection)
    );
    let values = [deciding.run.0.into(), deciding.organization.0.into()];
    one(connection, sql, values)
        .await?
        .as_ref()
        .map(live)
        .transpose()
}

/// How the live row is locked; with a planted bug it is not.
fn row_lock(connection: &impl ConnectionTrait) -> &'static str {
    fail::fail_point!("decide.unlocked", |_| "");
    for_update(connection)
}

/// A row of `flow_runs`, as far as decisions need it.
struct Row {
    run: Final,
    flow: FlowId,
    /// The last decision about the run.
    decision: Option<Uuid>,
}

async fn read_run(connection: &impl ConnectionTrait, deciding: &Deciding) -> Res<Option<Row>> {
    let sql = "SELECT flow_id, status, approval_status, plan_hash, approved_hash, epoch, round, decision \
         FROM flow_runs WHERE id = $1 AND organization_id = $2";
    let values = [deciding.run.0.into(), deciding.organization.0.into()];
    let Some(row) = one(connection, sql, values).await? else {
        return Ok(None);
    };
    let mut row = Reader::new(&row);
    let flow = row.id()?;
    let run = Final {
        status: row.word()?,
        approval_status: row.maybe_word()?,
        plan_hash: row.word()?,
        approved_hash: row.maybe_word()?,
        epoch: row.get()?,
        round: row.small()?,
    };
    Ok(Some(Row {
        run,
        flow,
        decision: row.get()?,
    }))
}

async fn votes(connection: &impl ConnectionTrait, run: RunId) -> Res<Vec<Vote>> {
    let sql = "SELECT approver, plan_hash, decision FROM approvals WHERE run_id = $1 AND idx = -1";
    let rows = all(connection, sql, [run.0.into()]).await?;
    rows.iter()
        .map(|row| {
            let mut row = Reader::new(row);
            Ok(Vote {
                approver: row.id::<UserId>()?,
                plan_hash: row.word()?,
                kind: match row.get::<String>()?.as_str() {
                    "approve" => VoteKind::Approve,
                    "reject" => VoteKind::Reject,
                    other => return Err(StoreError::Refused(format!("`{other}` is no vote"))),
                },
            })
        })
        .collect()
}

/// The live row a retry starts from.
fn fresh(deciding: &Deciding, run: &Final, flow: FlowId, terms: &Terms) -> LiveRun {
    LiveRun {
        run: deciding.run,
        organization: deciding.organization,
        flow,
        phase: Phase::Ready,
        intent: None,
        owner: None,
        claim: None,
        epoch: run.epoch,
        claims: 0,
        inbox_seq: 0,
        wake_at: None,
        ready_at: None,
        deadline_at: None,
        priority: 0,
        plan_hash: run.plan_hash,
        approved_hash: run.approved_hash,
        plan_v: terms.plan_v,
    }
}

async fn apply(
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
        let row = read_run(connection, deciding).await?;
        if row.is_some_and(|row| row.decision == Some(ids.decision)) {
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
