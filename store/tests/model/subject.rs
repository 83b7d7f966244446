//! One form of the store, and what it answers.

use std::collections::BTreeMap;
use std::time::Duration;

use neena_engine::approval::Policy;
use neena_engine::ids::{ClaimId, RunId, WorkerId};
use neena_engine::plan::PLAN_V;
use neena_engine::run::{Attempt, TaskKey};
use neena_engine::{Hash, Json};
use neena_store::{Batch, Beat, Claim, Deciding, Entry, StoreError, Which, WorkerCard};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::answers::{decided_words, helds, messages, verdict};
use super::asking;
use super::look::{self, Seen};
use super::steps::{Named, Step, record};
use crate::harness::{World, actor};

const LEASE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// What is the same in all forms, and so is read from one.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Of each run: `inbox_seq` now.
    pub seen: Vec<i64>,
    /// How many runs are suspects that may be claimed.
    pub suspects: usize,
}

pub struct Subject {
    pub(super) world: World,
    /// Which sequence this is: no id is ever used twice.
    round: u32,
    runs: Vec<RunId>,
    workers: Vec<WorkerId>,
    /// Of each run, oldest first.
    claims: Vec<Vec<ClaimId>>,
    taken: Vec<Uuid>,
    /// Of each run and its gates.
    pub(super) policies: BTreeMap<RunId, (Policy, [(u32, Policy); 2])>,
}

impl Subject {
    pub fn new(world: World, round: u32) -> Subject {
        Subject {
            world,
            round,
            runs: Vec::new(),
            workers: Vec::new(),
            claims: Vec::new(),
            taken: Vec::new(),
            policies: BTreeMap::new(),
        }
    }

    /// Empties its tables, for the next sequence.
    pub async fn reset(&mut self, round: u32) {
        self.round = round;
        for table in [
            "live_runs",
            "flow_runs",
            "task_runs",
            "task_attempts",
            "flow_results",
            "approvals",
            "outbox",
            "workers",
            "run_plans",
            "asks",
            "group_members",
            "delegations",
        ] {
            self.change(format!("DELETE FROM {table}")).await;
        }
        (self.runs, self.workers, self.claims) = (Vec::new(), Vec::new(), Vec::new());
        self.taken = Vec::new();
        self.policies = BTreeMap::new();
    }

    async fn change(&self, sql: String) {
        let db = self.world.db().unwrap();
        db.unit::<(), StoreError, _>(|tx| {
            Box::pin(async move {
                tx.execute_unprepared(&sql).await?;
                Ok(())
            })
        })
        .await
        .unwrap();
    }

    /// Of the store in memory.
    pub async fn facts(&self) -> Facts {
        let store = self.world.memory().unwrap();
        let live = |run: &RunId| store.live(*run);
        let suspects = self.runs.iter().filter_map(live);
        Facts {
            seen: self
                .runs
                .iter()
                .map(|run| live(run).map_or(0, |live| live.inbox_seq))
                .collect(),
            suspects: suspects
                .filter(|live| live.owner.is_none() && live.claims >= 2)
                .count(),
        }
    }

    pub async fn look(&self) -> Seen {
        let mut seen = match self.world.memory() {
            Some(store) => look::memory(store, &self.runs).await,
            None => look::sql(&*self.world.store, self.world.db().unwrap(), &self.runs).await,
        };
        for run in &self.runs {
            seen.log.insert(*run, self.world.log(*run).await);
        }
        seen
    }

    fn id(&self, kind: u128, number: u32) -> Uuid {
        let round = u128::from(self.round) << 72;
        Uuid::from_u128(round + (kind << 64) + u128::from(number) + 1)
    }

    /// What it answers, in words that are the same for all.
    pub async fn play(&mut self, number: u32, step: &Step, facts: &Facts) -> String {
        match step {
            Step::Create { quorum, shape } => {
                let run = RunId(self.id(0, number));
                let (policy, gates) = asking::policies(*shape, *quorum);
                self.world.insert_asking(run, policy.clone(), &gates).await;
                self.policies.insert(run, (policy, gates));
                self.runs.push(run);
                self.claims.push(Vec::new());
                String::new()
            }
            Step::Join => {
                let id = WorkerId(self.id(1, number));
                let card = WorkerCard {
                    id,
                    name: "model".into(),
                    slots: 4,
                    lease: LEASE,
                    hosts: Default::default(),
                };
                self.world.store.join(&card).await.unwrap();
                self.workers.push(id);
                String::new()
            }
            Step::Decide { .. } => self.decide(step).await,
            Step::Lapse => self.lapse().await,
            Step::Group { members } => {
                let members: Vec<String> = members.iter().map(|who| actor(*who).email).collect();
                let members: Vec<&str> = members.iter().map(String::as_str).collect();
                self.world.group("team", &members).await;
                String::new()
            }
            Step::Lend { from, to } => {
                self.world
                    .lend(&actor(*from).email, &actor(*to).email)
                    .await;
                String::new()
            }
            Step::Claim {
                worker,
                run,
                suspect,
            } => {
                self.claim(number, (*worker, *run), *suspect && facts.suspects < 2)
                    .await
            }
            Step::Commit { .. } | Step::CommitAll { .. } => self.commit(number, step, facts).await,
            _ => self.keep(step).await,
        }
    }

    async fn keep(&mut self, step: &Step) -> String {
        let store = &self.world.store;
        match step {
            Step::Advertise { worker } => {
                if let Some(worker) = pick(&self.workers, *worker) {
                    let hosts = [("core".to_owned(), vec!["1".to_owned()])].into();
                    store.advertise(worker, &hosts).await.unwrap();
                    let roster = store.roster().await.unwrap();
                    return format!("{roster:?}");
                }
            }
            Step::Beat { worker } => {
                if let Some(worker) = pick(&self.workers, *worker) {
                    return match store.beat(worker, LEASE).await.unwrap() {
                        Beat::Alive { held, .. } => helds(held),
                        Beat::Dead => "dead".to_owned(),
                    };
                }
            }
            Step::Leave { worker } => {
                if let Some(worker) = pick(&self.workers, *worker) {
                    store.leave(worker).await.unwrap();
                }
            }
            Step::Wake => return messages(&store.wake(500).await.unwrap()),
            Step::DueWithin => {
                let dues = store.due_within(2 * HOUR, 500).await.unwrap();
                return dues.len().to_string();
            }
            Step::Bury => return messages(&store.bury(500).await.unwrap()),
            Step::OutboxTake => {
                // Half a second after it was written a message may be due or not: two hours after it is.
                self.pass().await;
                let taken = self.world.store.outbox_take(500).await.unwrap();
                self.taken.extend(taken.iter().map(|message| message.id));
                return messages(&taken);
            }
            Step::OutboxDone => {
                store.outbox_done(&self.taken).await.unwrap();
                self.taken.clear();
            }
            Step::Pass => self.pass().await,
            _ => unreachable!("{step:?}"),
        }
        String::new()
    }

    /// Lets two hours pass.
    async fn pass(&self) {
        if self.world.memory().is_some() {
            return tokio::time::advance(2 * HOUR).await;
        }
        let ago = (2 * HOUR).as_micros();
        for (table, column) in [
            ("live_runs", "wake_at"),
            ("workers", "lease_until"),
            ("outbox", "try_after"),
        ] {
            let sql = format!("UPDATE {table} SET {column} = {column} - {ago}");
            self.change(sql).await;
        }
        self.let_asks_age().await;
    }

    async fn decide(&self, step: &Step) -> String {
        let Step::Decide {
            run,
            who,
            what,
            hash,
            code_current,
            say,
        } = step
        else {
            unreachable!("{step:?}")
        };
        let Some(run) = pick(&self.runs, *run) else {
            return String::new();
        };
        let plan_hash = match hash {
            Named::Nothing => None,
            Named::Right => Some(self.world.store.plan(run).await.unwrap().hash),
            Named::Wrong => Some(Hash::of(b"another")),
        };
        let decision = Subject::decision(*who, *what, *say, plan_hash);
        let deciding = Deciding {
            run,
            organization: self.world.organization,
            decision,
            code_current: *code_current,
        };
        decided_words(self.world.store.decide(&deciding).await.unwrap())
    }

    async fn claim(&mut self, number: u32, of: (usize, Option<usize>), suspect: bool) -> String {
        let Some(worker) = pick(&self.workers, of.0) else {
            return String::new();
        };
        let claim = Claim {
            worker,
            id: ClaimId(self.id(2, number)),
            plan_v: PLAN_V,
            suspect,
        };
        let held = match of.1.map(|run| pick(&self.runs, run)) {
            Some(None) => return String::new(),
            Some(Some(run)) => self.world.store.claim(&claim, Which::Named(&[run])).await,
            None => self.world.store.claim(&claim, Which::Next(500)).await,
        };
        let held = held.unwrap();
        for held in &held {
            let at = self.runs.iter().position(|run| *run == held.run).unwrap();
            self.claims[at].push(claim.id);
        }
        helds(held)
    }

    async fn commit(&self, number: u32, step: &Step, facts: &Facts) -> String {
        let (entries, durable) = match step {
            Step::CommitAll { rows, gates } => {
                let mut entries = Vec::new();
                for (at, run) in self.runs.iter().copied().enumerate() {
                    let Some(claim) = self.claims[at].last().copied() else {
                        continue;
                    };
                    let record = record(run, rows, Default::default());
                    entries.push(Entry {
                        run,
                        claim,
                        seen: facts.seen[at],
                        record: self.with_gates(run, record, gates).await,
                    });
                }
                (entries, true)
            }
            Step::Commit {
                run,
                age,
                stale,
                rows,
                gates,
                attempt,
                then,
                durable,
            } => {
                if self.runs.is_empty() {
                    return String::new();
                }
                let at = run % self.runs.len();
                let claims = &self.claims[at];
                let Some(claim) = claims.len().checked_sub(1 + age).map(|at| claims[at]) else {
                    return String::new();
                };
                let run = self.runs[at];
                // A moment of its own for each, within the time that may pass.
                let soon = HOUR + Duration::from_millis(u64::from(number));
                let soon = self.world.now().await.after(soon);
                let record = record(run, rows, then.then(soon));
                let mut record = self.with_gates(run, record, gates).await;
                record.attempts.extend(attempt.map(|attempt| Attempt {
                    key: TaskKey {
                        index: 1,
                        item: None,
                    },
                    attempt,
                    start_time: None,
                    end_time: None,
                    error: Json::null(),
                }));
                let entry = Entry {
                    run,
                    claim,
                    seen: facts.seen[at] - i64::from(*stale),
                    record,
                };
                (vec![entry], *durable)
            }
            _ => unreachable!("{step:?}"),
        };
        let batch = Batch { entries, durable };
        let verdicts = self.world.store.commit(&batch).await.unwrap();
        verdicts.iter().map(verdict).collect::<Vec<_>>().join("; ")
    }
}

fn pick<T: Copy>(from: &[T], number: usize) -> Option<T> {
    from.get(number.checked_rem(from.len())?).copied()
}
