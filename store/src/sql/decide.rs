//! Decisions of others: the lock, then what it depends on in statements of their own (in READ COMMITTED
//! only the locked row is read again after a wait), then the engine's answer, then the writes.

use std::sync::Arc;
use std::time::Duration;

use neena_engine::Micros;
use neena_engine::approval::{Ask, Origin, Policy, Roles, Subject};
use neena_engine::ids::FlowId;
use neena_engine::plan::{PLAN_V, Plan};
use neena_engine::run::{self, Decision, Facts, Final, LiveRun, Note, Phase, Refused, Vote};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::asks::{ASK, VOTE, ask, place, vote};
use super::change::{Logged, apply};
use super::row::{LIVE, Reader, live};
use super::{SqlStore, all, for_update, one, outbox, roles};
use crate::{Decided, Deciding, Res, Store};

/// Decides within the caller's transaction, about a run whose plan is at hand: making a run and approving it
/// is one unit of work. The messages and the poke are to be passed on after its commit.
pub async fn decide_within(
    connection: &impl ConnectionTrait,
    deciding: Deciding,
    plan: &Plan,
) -> Res<Decided> {
    let terms = Terms::of(plan, deciding.decision.subject());
    decide(connection, deciding, terms, Ids::new()).await
}

/// The ids of what a decision writes, made before its first try. A second try of the same decision knows
/// the first by them.
#[derive(Clone, Copy)]
pub(super) struct Ids {
    /// Its entry in the decision log.
    pub(super) decision: Uuid,
    /// The entry that it was refused: an earlier try may have been, and this one not.
    pub(super) refusal: Uuid,
    pub(super) vote: Uuid,
    pub(super) message: Uuid,
}

impl Ids {
    pub(super) fn new() -> Ids {
        Ids {
            decision: Uuid::now_v7(),
            refusal: Uuid::now_v7(),
            vote: Uuid::now_v7(),
            message: Uuid::now_v7(),
        }
    }
}

/// What the plan says about deciding.
#[derive(Clone)]
pub(super) struct Terms {
    /// Of what is decided about; none where the plan has no such gate, or where it plays no part.
    policy: Option<Arc<Policy>>,
    origin: Option<Arc<Origin>>,
    /// The key of the gate.
    gate: Option<String>,
    timeout: Option<Duration>,
    plan_v: u32,
}

impl Terms {
    fn of(plan: &Plan, subject: Subject) -> Terms {
        let (policy, gate) = match subject {
            Subject::Run => (Some(&plan.head.policy), None),
            Subject::Gate(key) => {
                let position = plan.graph.position(key.index);
                let gate =
                    position.and_then(|position| plan.graph.operation(position).approval.as_ref());
                (
                    gate.map(|gate| &gate.policy),
                    position.map(|position| plan.graph.key(position)),
                )
            }
        };
        Terms {
            policy: policy.cloned().map(Arc::new),
            origin: Some(Arc::new(plan.head.origin())),
            gate,
            timeout: plan.graph.body().timeout_ms.map(Duration::from_millis),
            plan_v: plan.head.v,
        }
    }
}

/// Reads the terms where the decision depends on them; none if there is no such run. A plan never
/// changes, so this needs no lock.
pub(super) async fn terms(store: &SqlStore, deciding: &Deciding) -> Res<Option<Terms>> {
    if matches!(deciding.decision, Decision::Cancel { .. }) {
        return Ok(Some(Terms {
            policy: None,
            origin: None,
            gate: None,
            timeout: None,
            plan_v: PLAN_V,
        }));
    }
    let sql = "SELECT 1 FROM flow_runs WHERE id = $1 AND organization_id = $2";
    let values = [deciding.run.0.into(), deciding.organization.0.into()];
    if one(store.db().reader(), sql, values).await?.is_none() {
        return Ok(None);
    }
    let plan = store.plan(deciding.run).await?;
    Ok(Some(Terms::of(&plan, deciding.decision.subject())))
}

pub(super) async fn decide(
    connection: &impl ConnectionTrait,
    deciding: Deciding,
    terms: Terms,
    ids: Ids,
) -> Res<Decided> {
    let live = lock(connection, &deciding).await?;
    let Some(read) = read(connection, &deciding, ids).await? else {
        return Ok(Decided::NotFound);
    };
    if read.landed {
        return landed(connection, live, ids).await;
    }
    let Read {
        run,
        flow,
        ask,
        votes,
        now,
        ..
    } = read;
    let roles = match (deciding.decision.actor(), &terms.policy) {
        (Some(actor), Some(policy)) => {
            roles::of(connection, deciding.organization, &actor.email, policy, now).await?
        }
        _ => Roles::default(),
    };
    let fresh = fresh(&deciding, &run, flow, &terms);
    let facts = Facts {
        live,
        run,
        ask,
        votes,
        policy: terms.policy,
        origin: terms.origin,
        roles,
        code_current: deciding.code_current,
        timeout: terms.timeout,
        fresh,
    };
    let logged = Logged {
        ids,
        gate: terms.gate,
        now,
    };
    match run::decide(&facts, &deciding.decision, now) {
        Ok(change) => apply(connection, &deciding, &facts, change, logged).await,
        Err(Refused::AlreadySo) => Ok(Decided::AlreadySo),
        Err(refused) => {
            if let Some(note) = Note::refused(&facts, &deciding.decision, &refused) {
                let entry = (ids.refusal, &note);
                logged.write(connection, &deciding, &facts, entry).await?;
            }
            Ok(Decided::Refused(refused))
        }
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
    /// Whether an earlier try of this decision was written.
    pub(super) landed: bool,
    ask: Option<Ask>,
    votes: Vec<Vote>,
    /// The clock, after the lock.
    now: Micros,
}

/// Reads all of it in one statement; none if there is no such run.
pub(super) async fn read(
    connection: &impl ConnectionTrait,
    deciding: &Deciding,
    ids: Ids,
) -> Res<Option<Read>> {
    let sql = format!(
        "SELECT {}, f.flow_id, f.status, f.approval_status, f.plan_hash, f.approved_hash, f.epoch, \
           f.round, d.id, {ASK}, {VOTE} \
         FROM flow_runs f LEFT JOIN decisions d ON d.id = $5 \
           LEFT JOIN asks s ON s.run_id = f.id AND s.idx = $3 AND s.item = $4 \
           LEFT JOIN approvals a ON a.run_id = f.id AND a.idx = $3 AND a.item = $4 AND a.plan_hash = f.plan_hash \
         WHERE f.id = $1 AND f.organization_id = $2 ORDER BY a.at, a.id",
        crate::db::clock(connection),
    );
    let (index, item) = place(deciding.decision.subject());
    let values = [
        deciding.run.0.into(),
        deciding.organization.0.into(),
        index.into(),
        item.into(),
        ids.decision.into(),
    ];
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
        let landed = row.maybe_id::<Uuid>()?.is_some();
        let ask = ask(&mut row)?;
        let vote = vote(&mut row)?;
        read.get_or_insert_with(|| Read {
            run,
            flow,
            landed,
            ask,
            votes: Vec::new(),
            now,
        })
        .votes
        .extend(vote);
    }
    Ok(read)
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
