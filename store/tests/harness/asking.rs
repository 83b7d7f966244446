//! Runs that ask people, in few words.

use std::time::Duration;

use neena_engine::approval::{Asked, Audience, Origin, Party, Policy, Stage, Subject};
use neena_engine::ids::{FlowRequestId, RunId};
use neena_engine::run::{Record, TaskKey, Then};
use neena_store::entities::{decision, delegation};
use neena_store::memory::Delegation;
use neena_store::{Decided, Deciding, Held, NewRun, StoreError, queries};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use uuid::Uuid;

use super::{World, plan_with, then};

/// Whoever asks for the runs of these tests.
pub const REQUESTER: &str = "3@example.com";

/// An entry of the decision log: what, stage, in whose place, comment, what came of it.
pub type Logged = (
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    String,
);

/// The gate before the task `index`.
pub fn gate(index: u32) -> Subject {
    Subject::Gate(TaskKey { index, item: None })
}

/// Stages of these names, counts and approvers.
pub fn stages(stages: &[(&str, u32, &str)]) -> Policy {
    Policy {
        stages: stages
            .iter()
            .map(|(name, count, approvers)| Stage {
                name: (*name).to_owned(),
                count: *count,
                approvers: people(approvers),
            })
            .collect(),
        ..Policy::quorum(1)
    }
}

/// People as flows name them, separated by spaces.
pub fn people(words: &str) -> Audience {
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    Audience::parse(&words).unwrap()
}

/// A record by which the gate before a task is reached, and what becomes of the run.
pub fn reaching(gates: &[(u32, &Policy)], now: neena_engine::Micros, end: Then) -> Record {
    let origin = Origin {
        requester: Party {
            user: None,
            email: REQUESTER.to_owned(),
        },
        author: None,
    };
    let asked = |(index, policy): &(u32, &Policy)| {
        let name = format!("task_{index}");
        Asked::new(gate(*index), &name, policy, &origin, now)
    };
    Record {
        asks: gates.iter().map(asked).collect(),
        ..then(Vec::new(), end)
    }
}

impl World {
    /// A run of four tasks that asks by `policy`, with gates before some of them.
    pub async fn asking(&self, policy: Policy, gates: &[(u32, Policy)]) -> RunId {
        let run = RunId(Uuid::now_v7());
        self.insert_asking(run, policy, gates).await;
        run
    }

    /// Makes that very run.
    pub async fn insert_asking(&self, run: RunId, policy: Policy, gates: &[(u32, Policy)]) {
        let plan = plan_with(self.organization.0, REQUESTER, 4, policy, gates);
        let new = NewRun::new(run, FlowRequestId(Uuid::nil()), plan, None).unwrap();
        match self.memory() {
            Some(store) => store.insert_run(&new),
            None => {
                self.unit(move |tx| {
                    Box::pin(async move { neena_store::insert_run(tx, &new).await })
                })
                .await
            }
        }
    }

    /// A run that is held, whose gate before task 1 is reached.
    pub async fn gated(&self, policy: &Policy) -> Held {
        let run = self.asking(Policy::quorum(1), &[(1, policy.clone())]).await;
        self.decide(run, super::approve(1)).await;
        let held = self.take(run).await.unwrap();
        let record = reaching(&[(1, policy)], self.now().await, Then::Hold);
        assert!(self.record(&held, record).await.applied);
        held
    }

    /// Decides as it is, without a comment of the tests'.
    pub async fn decide_plainly(
        &self,
        run: RunId,
        decision: neena_engine::run::Decision,
    ) -> Decided {
        let deciding = Deciding {
            decision: decision.clone(),
            ..self.deciding(run, decision)
        };
        self.store.decide(&deciding).await.unwrap()
    }

    /// Decides whatever is due.
    pub async fn lapse(&self) -> usize {
        let due = self.store.lapsed(500).await.unwrap();
        let mut done = 0;
        for one in due {
            let decided = self.store.decide(&one.deciding()).await.unwrap();
            done += usize::from(matches!(decided, Decided::Done { .. }));
        }
        done
    }

    /// Lets time pass for what people are asked, and for places that are lent.
    pub async fn let_asks_age(&self, by: Duration) {
        if self.memory().is_some() {
            return tokio::time::advance(by).await;
        }
        let by = by.as_micros();
        self.unit(move |tx| {
            Box::pin(async move {
                for (table, columns) in [
                    ("asks", ["due_at", "wake_at"]),
                    ("delegations", ["starts_at", "ends_at"]),
                ] {
                    let [one, two] = columns;
                    let sql =
                        format!("UPDATE {table} SET {one} = {one} - {by}, {two} = {two} - {by}");
                    tx.execute_unprepared(&sql).await?;
                }
                Ok(())
            })
        })
        .await;
    }

    /// Makes people the members of a group.
    pub async fn group(&self, name: &str, members: &[&str]) {
        if let Some(store) = self.memory() {
            return store.group(self.organization, name, members);
        }
        let (organization, name) = (self.organization, name.to_owned());
        let members: Vec<String> = members.iter().map(|email| (*email).to_owned()).collect();
        self.unit(move |tx| {
            Box::pin(async move {
                Ok(queries::of(tx, organization)
                    .set_group(&name, &members)
                    .await?)
            })
        })
        .await;
    }

    /// Lends the place of one to another, for three hours from now.
    pub async fn lend(&self, from: &str, to: &str) {
        let now = self.now().await;
        let ends = now.after(Duration::from_secs(3 * 3_600));
        if let Some(store) = self.memory() {
            return store.delegate(Delegation {
                organization: self.organization,
                from: from.to_owned(),
                to: to.to_owned(),
                starts_at: now,
                ends_at: ends,
            });
        }
        let row = delegation::Model {
            id: Uuid::now_v7(),
            organization_id: self.organization.0,
            from_email: from.to_owned(),
            from_user: None,
            to_email: to.to_owned(),
            starts_at: now.0,
            ends_at: ends.0,
            reason: None,
            created_at: now.0,
            created_by_email: from.to_owned(),
        };
        let organization = self.organization;
        self.unit(move |tx| {
            Box::pin(async move {
                queries::of(tx, organization).add_delegation(row).await?;
                Ok(())
            })
        })
        .await;
    }

    /// What the decision log has of a run, oldest first.
    pub async fn log(&self, run: RunId) -> Vec<Logged> {
        if let Some(store) = self.memory() {
            let notes = store.log(run).into_iter();
            return notes
                .map(|note| {
                    let what = note.what.as_str().to_owned();
                    (
                        what,
                        note.stage,
                        note.stands_in_for,
                        note.comment,
                        note.result,
                    )
                })
                .collect();
        }
        let rows = decision::Entity::find()
            .filter(decision::Column::RunId.eq(run.0))
            .order_by_asc(decision::Column::At)
            .order_by_asc(decision::Column::Id)
            .all(self.db().unwrap().reader())
            .await
            .unwrap();
        rows.into_iter()
            .map(|row| {
                (
                    row.what,
                    row.stage,
                    row.stands_in_for,
                    row.comment,
                    row.result,
                )
            })
            .collect()
    }

    /// A unit of work that cannot fail.
    pub async fn unit<T, F>(&self, work: F) -> T
    where
        F: for<'c> FnOnce(
                &'c neena_store::Transaction,
            )
                -> futures_util::future::BoxFuture<'c, Result<T, StoreError>>
            + Send
            + 'static,
        T: Send + 'static,
    {
        self.db().unwrap().unit(work).await.unwrap()
    }
}
