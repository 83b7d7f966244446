//! Decisions of others: the lock, then what it depends on in statements of their own (in READ COMMITTED
//! only the locked row is read again after a wait), then the engine's answer, then the writes.

use std::time::Duration;

use neena_engine::Micros;
use neena_engine::ids::{FlowId, UserId};
use neena_engine::plan::{PLAN_V, Plan};
use neena_engine::run::{self, Decision, Facts, Final, LiveRun, Phase, Refused, Vote, VoteKind};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::change::apply;
use super::row::{LIVE, Reader, live};
use super::{SqlStore, all, for_update, one, outbox};
use crate::{Decided, Deciding, Res, Store, StoreError};

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
    pub(super) decision: Uuid,
    pub(super) vote: Uuid,
    pub(super) message: Uuid,
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
    let Some(read) = read(connection, &deciding).await? else {
        return Ok(Decided::NotFound);
    };
    if read.decision == Some(ids.decision) {
        return landed(connection, live, ids).await;
    }
    let Read {
        run,
        flow,
        votes,
        now,
        ..
    } = read;
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
pub(super) async fn landed(
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

/// What a decision depends on beside the live row.
pub(super) struct Read {
    run: Final,
    flow: FlowId,
    /// The last decision about the run.
    pub(super) decision: Option<Uuid>,
    votes: Vec<Vote>,
    /// The clock, after the lock.
    now: Micros,
}

/// Reads all of it in one statement; none if there is no such run.
pub(super) async fn read(
    connection: &impl ConnectionTrait,
    deciding: &Deciding,
) -> Res<Option<Read>> {
    let sql = format!(
        "SELECT {}, f.flow_id, f.status, f.approval_status, f.plan_hash, f.approved_hash, f.epoch, \
           f.round, f.decision, a.approver, a.plan_hash, a.decision \
         FROM flow_runs f LEFT JOIN approvals a ON a.run_id = f.id AND a.idx = -1 \
         WHERE f.id = $1 AND f.organization_id = $2",
        crate::db::clock(connection),
    );
    let values = [deciding.run.0.into(), deciding.organization.0.into()];
    let mut read: Option<Read> = None;
    for row in all(connection, sql, values).await? {
        let mut row = Reader::new(&row);
        let now = match row.time()? {
            Some(now) => now,
            None => crate::db::now(connection).await?,
        };
        let flow = row.id()?;
        let run = Final {
            status: row.word()?,
            approval_status: row.maybe_word()?,
            plan_hash: row.word()?,
            approved_hash: row.maybe_word()?,
            epoch: row.get()?,
            round: row.small()?,
        };
        let decision = row.get()?;
        let vote = vote(&mut row)?;
        read.get_or_insert_with(|| Read {
            run,
            flow,
            decision,
            votes: Vec::new(),
            now,
        })
        .votes
        .extend(vote);
    }
    Ok(read)
}

/// The vote in the last columns, if there is one.
fn vote(row: &mut Reader<'_>) -> Res<Option<Vote>> {
    let Some(approver) = row.maybe_id::<UserId>()? else {
        return Ok(None);
    };
    Ok(Some(Vote {
        approver,
        plan_hash: row.word()?,
        kind: match row.get::<String>()?.as_str() {
            "approve" => VoteKind::Approve,
            "reject" => VoteKind::Reject,
            other => return Err(StoreError::Refused(format!("`{other}` is no vote"))),
        },
    }))
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
