//! What decisions write, all in their transaction: gathered, then one statement per table.

use neena_engine::approval::Policy;
use neena_engine::ids::RunId;
use neena_engine::run::{AskChange, Change, Decision, Facts, LiveRun, Note, Phase, Refused};
use neena_engine::{Hash, Micros};
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use super::asks::{self, Audiences, Said};
use super::case::Case;
use super::chunk::{Rows, bare_lists};
use super::decide::{landed, read};
use super::ending::{self, UPSERT_RESULTS};
use super::log::{self, About};
use super::replan::replan;
use super::row::{self, INSERT_LIVE, live_values, small, time};
use super::script::Script;
use super::{execute, outbox};
use crate::{Decided, Message, Res};

static UPDATE_LIVE: Rows = Rows::new(
    "UPDATE live_runs SET phase = v.column2, intent = v.column3, inbox_seq = v.column4, wake_at = v.column5, \
     ready_at = v.column6, deadline_at = v.column7, approved_hash = v.column8 FROM (VALUES",
    8,
    ") AS v WHERE run_id = v.column1",
);

static UPDATE_RUNS: Rows = Rows::new(
    "UPDATE flow_runs SET status = v.column2, approval_status = v.column3, approved_hash = v.column4, \
     round = v.column5, end_time = v.column6, reason = v.column7 FROM (VALUES",
    7,
    ") AS v WHERE id = v.column1",
);

/// What is to be written, as values of rows.
#[derive(Default)]
pub(super) struct Writes {
    live: Vec<Value>,
    /// Runs that are over.
    ended: Vec<Uuid>,
    runs: Vec<Value>,
    log: Vec<Value>,
    votes: Vec<Value>,
    asks: Vec<Value>,
    /// Who is asked now.
    audiences: Audiences,
    /// Runs whose plan is asked about no more.
    answered: Vec<Uuid>,
    /// Runs that ask nothing more.
    silent: Vec<Uuid>,
    results: Vec<Value>,
    messages: Vec<Message>,
}

impl Writes {
    /// An entry of the decision log.
    pub(super) fn log(&mut self, case: &Case, (id, note): (Uuid, &Note), plan: Hash, now: Micros) {
        let about = About {
            organization: case.deciding.organization.0,
            run: case.deciding.run.0,
            plan_hash: plan.to_string(),
            gate: case.terms.gate.clone(),
        };
        let actor = case.deciding.decision.actor();
        self.log.extend(log::values(id, about, actor, note, now));
    }

    /// Writes all of it.
    pub(super) async fn write(self, connection: &impl ConnectionTrait) -> Res<()> {
        let mut script = Script::default();
        for list in bare_lists(&self.ended) {
            let sql = format!("DELETE FROM live_runs WHERE run_id IN ({})", list.places);
            script.add(sql, list.ids);
        }
        UPDATE_LIVE.add(self.live, &mut script);
        UPDATE_RUNS.add(self.runs, &mut script);
        log::INSERT.add(self.log, &mut script);
        asks::UPSERT_VOTES.add(self.votes, &mut script);
        asks::name(&self.audiences, &mut script);
        asks::UPDATE.add(self.asks, &mut script);
        asks::drop(&self.answered, false, &mut script);
        asks::drop(&self.silent, true, &mut script);
        UPSERT_RESULTS.add(self.results, &mut script);
        outbox::add(&self.messages, &mut script);
        script.run(connection).await
    }

    fn run(&mut self, run: RunId, change: &Change) {
        let after = &change.run;
        self.runs.extend([
            run.0.into(),
            after.status.as_str().into(),
            after.approval_status.map(|status| status.as_str()).into(),
            after.approved_hash.map(|hash| hash.to_string()).into(),
            small(after.round),
            time(after.end_time),
            after.reason.as_ref().map(ToString::to_string).into(),
        ]);
    }

    fn live(&mut self, after: &LiveRun) {
        self.live.extend([
            after.run.0.into(),
            after.phase.as_str().into(),
            after.intent.map(row::intent_word).into(),
            after.inbox_seq.into(),
            time(after.wake_at),
            time(after.ready_at),
            time(after.deadline_at),
            after.approved_hash.map(|hash| hash.to_string()).into(),
        ]);
    }

    fn vote(&mut self, case: &Case, plan: Hash, change: &Change, now: Micros) {
        if let (Some(vote), Some(actor)) = (&change.vote, case.deciding.decision.actor()) {
            let said = Said {
                id: case.ids.vote,
                plan_hash: plan.to_string(),
                comment: change.note.comment.as_deref(),
                way: actor.way,
                at: now.0,
            };
            let on = (case.deciding.run, case.deciding.decision.subject());
            self.votes.extend(asks::vote_values(on, vote, said));
        }
    }

    fn ask(&mut self, case: &Case, facts: &Facts, change: &Change, policy: Option<&Policy>) {
        let run = case.deciding.run;
        match (&change.ask, policy) {
            // A vote among several changes nothing about what is asked.
            (AskChange::Write(ask), Some(_)) if facts.ask.as_ref() == Some(ask) => {}
            (AskChange::Write(ask), Some(policy)) => {
                let (values, audience) = asks::update_values(run, ask, policy);
                self.asks.extend(values);
                let organization = case.deciding.organization;
                self.audiences
                    .extend(audience.map(|asked| ((organization, asked.hash()), asked)));
            }
            (AskChange::Write(_) | AskChange::Keep | AskChange::Anew, _) => {}
            (AskChange::Drop, _) => {
                let live = change.live.as_ref();
                match live.is_none_or(|live| live.phase == Phase::Closing) {
                    true => self.silent.push(run.0),
                    false => self.answered.push(run.0),
                }
            }
        }
    }

    fn tell(&mut self, case: &Case, epoch: i64, kinds: &[&str], now: Micros) -> Vec<Message> {
        let (organization, run) = (case.deciding.organization, case.deciding.run);
        let message = |kind: &&str| outbox::message(kind, organization, run, epoch, now);
        let mut messages: Vec<Message> = kinds.iter().map(message).collect();
        if let Some(first) = messages.first_mut() {
            first.id = case.ids.message;
        }
        self.messages.extend(messages.iter().cloned());
        messages
    }
}

/// Gathers what `change` writes; what the decision did. A new round and a new plan are written at once.
pub(super) async fn apply(
    connection: &impl ConnectionTrait,
    case: &Case,
    facts: &Facts,
    change: Change,
    (now, writes): (Micros, &mut Writes),
) -> Res<Decided> {
    let run = case.deciding.run;
    match (&facts.live, &change.live) {
        (before, after) if before == after => {}
        (_, None) => writes.ended.push(run.0),
        (None, Some(after)) => {
            if INSERT_LIVE.run(connection, live_values(after)).await? != 1 {
                return overtaken(connection, case, change.live).await;
            }
        }
        (Some(_), Some(after)) => writes.live(after),
    }
    if change.touches_run(facts) {
        writes.run(run, &change);
    }
    if let Decision::Resubmit { plan, .. } = &case.deciding.decision {
        replan(connection, facts, &change, plan, now).await?;
    }
    let plan = facts.run.plan_hash;
    writes.log(case, (case.ids.decision, &change.note), plan, now);
    writes.vote(case, plan, &change, now);
    writes.ask(case, facts, &change, facts.policy.as_deref());
    if change.new_round {
        open_round(connection, run, facts.run.round).await?;
    }
    if let Some(body) = &change.body {
        let values = ending::result(run, case.deciding.organization, body, now);
        writes.results.extend(values);
    }
    let live = facts.live.as_ref();
    let epoch = live.map_or(facts.run.epoch, |live| live.epoch);
    let outbox = writes.tell(case, epoch, &change.events, now);
    let owner = change.live.as_ref().and_then(|live| live.owner);
    Ok(Decided::Done {
        poke: owner.filter(|_| change.poke),
        live: change.live.map(Box::new),
        outbox,
    })
}

/// Another retry put its row in first: maybe an earlier try of this one.
async fn overtaken(
    connection: &impl ConnectionTrait,
    case: &Case,
    live: Option<LiveRun>,
) -> Res<Decided> {
    let read = read(connection, std::slice::from_ref(case)).await?;
    if read.values().any(|read| read.landed) {
        return landed(connection, live, case.ids).await;
    }
    Ok(Decided::Refused(Refused::Conflict(
        "The flow run has not ended yet".to_owned(),
    )))
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
