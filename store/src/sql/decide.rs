//! Decisions of others, one or a thousand at once: the locks, then what they depend on in statements of their own
//! (in READ COMMITTED only the locked row is read again after a wait), then the engine's answers, then the writes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use neena_engine::Micros;
use neena_engine::approval::{Ask, Roles};
use neena_engine::ids::{FlowId, OrganizationId, RunId};
use neena_engine::plan::Plan;
use neena_engine::run::{self, Facts, Final, LiveRun, Note, Phase, Refused, Vote};
use sea_orm::{ConnectionTrait, DatabaseBackend, Value};
use uuid::Uuid;

use super::asks::{ASK, VOTE, ask, place, vote};
use super::case::{Case, Ids, Terms};
use super::change::{Writes, apply};
use super::chunk::Rows;
use super::row::{LIVE_OF_L, Reader, next_live};
use super::{outbox, roles};
use crate::{Decided, Deciding, Res};

/// Takes the live rows in the order of their ids, as everybody does who takes more than one.
static LOCK: Rows = Rows::new(
    "SELECT run_id FROM (VALUES",
    2,
    ") AS v CROSS JOIN live_runs WHERE run_id = v.column1 AND organization_id = v.column2 \
     ORDER BY v.column1{locked}",
);

/// What decisions depend on, read when nobody else can change it any more. The organization is said so that no index
/// fits that begins with it.
static READ: Rows = Rows::joined(
    [
        "SELECT {clock}, f.id, f.flow_id, f.status, f.approval_status, f.plan_hash, f.approved_hash, \
         f.epoch, f.round, d.id, ",
        ASK,
        ", ",
        VOTE,
        ", ",
        LIVE_OF_L,
        " FROM (VALUES",
    ],
    5,
    ") AS v CROSS JOIN flow_runs f LEFT JOIN live_runs l ON l.run_id = f.id \
       LEFT JOIN decisions d ON d.id = v.column5 \
       LEFT JOIN asks s ON s.run_id = f.id AND s.idx = v.column3 AND s.item = v.column4 \
       LEFT JOIN approvals a ON a.run_id = f.id AND a.idx = v.column3 AND a.item = v.column4 \
         AND a.plan_hash = f.plan_hash \
     WHERE f.id = v.column1 AND (f.organization_id = v.column2) IS TRUE ORDER BY a.at, a.id",
);

/// Decides within the caller's transaction, about runs whose plans are at hand: making runs and approving them is
/// one unit of work. What became of each, in order; the messages and the pokes are to be passed on after its commit.
pub async fn decide_all_within(
    connection: &impl ConnectionTrait,
    all: Vec<(Deciding, Arc<Plan>)>,
) -> Res<Vec<Decided>> {
    let cases = all
        .into_iter()
        .map(|(deciding, plan)| Case::of(deciding, &plan));
    decide(connection, cases.collect()).await
}

/// Carries all of them out as if one came after the other; what became of each, in order.
pub(super) async fn decide(
    connection: &impl ConnectionTrait,
    cases: Vec<Case>,
) -> Res<Vec<Decided>> {
    let mut decided: Vec<Decided> = cases.iter().map(|_| Decided::NotFound).collect();
    let mut left: Vec<(usize, Case)> = cases.into_iter().enumerate().collect();
    while !left.is_empty() {
        // A run that is named twice is decided about twice: the second finds what the first has written.
        let mut runs = HashSet::with_capacity(left.len());
        let first = |(_, case): &(usize, Case)| runs.insert(case.deciding.run);
        let (cases, later): (Vec<_>, Vec<_>) = left.into_iter().partition(first);
        let (places, cases): (Vec<usize>, Vec<Case>) = cases.into_iter().unzip();
        for (place, one) in places.into_iter().zip(wave(connection, cases).await?) {
            decided[place] = one;
        }
        left = later;
    }
    Ok(decided)
}

/// Decides about runs that are all different.
async fn wave(connection: &impl ConnectionTrait, cases: Vec<Case>) -> Res<Vec<Decided>> {
    let locked = lock(connection, &cases).await?;
    let mut read = read(connection, &cases).await?;
    let mut people = People::default();
    let mut writes = Writes::default();
    let mut decided = Vec::with_capacity(cases.len());
    for case in cases {
        let Some(mut read) = read.remove(&case.deciding.run) else {
            decided.push(Decided::NotFound);
            continue;
        };
        // A row that came after the lock was taken is somebody else's.
        let ours = |live: &LiveRun| locked.as_ref().is_none_or(|all| all.contains(&live.run));
        read.live = read.live.filter(ours);
        decided.push(match read.landed {
            true => landed(connection, read.live, case.ids).await?,
            false => {
                let roles = people.roles(connection, &case, read.now).await?;
                answer(connection, case, (read, roles), &mut writes).await?
            }
        });
    }
    writes.write(connection).await?;
    Ok(decided)
}

/// The engine's answer, and what is to be written of it.
async fn answer(
    connection: &impl ConnectionTrait,
    case: Case,
    (read, roles): (Read, Roles),
    writes: &mut Writes,
) -> Res<Decided> {
    let now = read.now;
    let facts = Facts {
        fresh: fresh(&case.deciding, &read.run, read.flow, &case.terms),
        live: read.live,
        run: read.run,
        ask: read.ask,
        votes: read.votes,
        policy: case.terms.policy.clone(),
        origin: case.terms.origin.clone(),
        roles,
        code_current: case.deciding.code_current,
        timeout: case.terms.timeout,
    };
    match run::decide(&facts, &case.deciding.decision, now) {
        Ok(change) => apply(connection, &case, &facts, change, (now, writes)).await,
        Err(Refused::AlreadySo) => Ok(Decided::AlreadySo),
        Err(refused) => {
            if let Some(note) = Note::refused(&facts, &case.deciding.decision, &refused) {
                writes.log(&case, (case.ids.refusal, &note), facts.run.plan_hash, now);
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

/// Locks the live rows; which there are. None on SQLite, whose writer is alone.
async fn lock(connection: &impl ConnectionTrait, cases: &[Case]) -> Res<Option<HashSet<RunId>>> {
    if connection.get_database_backend() != DatabaseBackend::Postgres || unlocked() {
        return Ok(None);
    }
    let mut runs: Vec<(Uuid, Uuid)> = cases
        .iter()
        .map(|case| (case.deciding.run.0, case.deciding.organization.0))
        .collect();
    runs.sort_unstable();
    let values = runs
        .into_iter()
        .flat_map(|(run, organization)| [Value::from(run), organization.into()]);
    let rows = LOCK.find(connection, values.collect()).await?;
    let found = rows.iter().map(|row| Reader::new(row).id());
    found.collect::<Res<HashSet<RunId>>>().map(Some)
}

/// A planted bug: decisions are made on rows that others may change meanwhile.
fn unlocked() -> bool {
    fail::fail_point!("decide.unlocked", |_| true);
    false
}

/// What a decision depends on.
pub(super) struct Read {
    live: Option<LiveRun>,
    run: Final,
    flow: FlowId,
    /// Whether an earlier try of this decision was written.
    pub(super) landed: bool,
    ask: Option<Ask>,
    votes: Vec<Vote>,
    /// The clock, after the lock.
    now: Micros,
}

/// Reads all of it, of those runs that are there.
pub(super) async fn read(
    connection: &impl ConnectionTrait,
    cases: &[Case],
) -> Res<HashMap<RunId, Read>> {
    let mut values: Vec<Value> = Vec::with_capacity(cases.len() * 5);
    for case in cases {
        let (index, item) = place(case.deciding.decision.subject());
        values.extend([
            case.deciding.run.0.into(),
            case.deciding.organization.0.into(),
            index.into(),
            item.into(),
            case.ids.decision.into(),
        ]);
    }
    let mut found: HashMap<RunId, Read> = HashMap::with_capacity(cases.len());
    for row in READ.find(connection, values).await? {
        let mut row = Reader::new(&row);
        let now = match row.time()? {
            Some(now) => now,
            None => crate::db::now(connection).await?,
        };
        let run: RunId = row.id()?;
        let flow = row.id()?;
        let state = Final {
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
        let live = next_live(&mut row)?;
        let read = found.entry(run).or_insert_with(|| Read {
            live,
            run: state,
            flow,
            landed,
            ask,
            votes: Vec::new(),
            now,
        });
        read.votes.extend(vote);
    }
    Ok(found)
}

/// What those who decide are in their organizations, each read once.
#[derive(Default)]
struct People(HashMap<(OrganizationId, String), Roles>);

impl People {
    async fn roles(
        &mut self,
        connection: &impl ConnectionTrait,
        case: &Case,
        now: Micros,
    ) -> Res<Roles> {
        let (Some(actor), Some(policy)) = (case.deciding.decision.actor(), &case.terms.policy)
        else {
            return Ok(Roles::default());
        };
        if !roles::play_a_part(policy) {
            return Ok(Roles::default());
        }
        let organization = case.deciding.organization;
        let key = (organization, actor.email.clone());
        if let Some(known) = self.0.get(&key) {
            return Ok(known.clone());
        }
        let roles = roles::roles(connection, organization, &actor.email, now).await?;
        self.0.insert(key, roles.clone());
        Ok(roles)
    }
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
