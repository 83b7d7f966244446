//! The verbs, each watched by the checker as it is done.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use neena_engine::Micros;
use neena_engine::approval::{Ask, AskState, Subject};
use neena_engine::ids::{ClaimId, RunId, WorkerId};
use neena_engine::plan::Plan;
use neena_engine::run::{Decision, History, Phase, TaskStatus};
use neena_store::{
    Batch, Beat, Claim, Decided, Deciding, Held, Hosts, Lapsed, Member, Message, Res, Store,
    Verdict, Which, WorkerCard,
};
use uuid::Uuid;

use super::{Database, Kind, at_once};
use crate::bug::Bug;
use crate::checker::By;
use crate::world::World;

#[async_trait]
impl Store for Database {
    async fn join(&self, card: &WorkerCard) -> Res<Micros> {
        let card = card.clone();
        self.write("join", move |world| at_once(world.store.join(&card)))
            .await
    }

    async fn advertise(&self, worker: WorkerId, hosts: &Hosts) -> Res<()> {
        let hosts = hosts.clone();
        self.write("advertise", move |world| {
            at_once(world.store.advertise(worker, &hosts))
        })
        .await
    }

    async fn roster(&self) -> Res<Vec<Member>> {
        self.read("roster", |world| at_once(world.store.roster()))
            .await
    }

    async fn beat(&self, worker: WorkerId, lease: Duration) -> Res<Beat> {
        let number = self.process.number;
        let beat = self.write("beat", move |world| {
            let beat = at_once(world.store.beat(worker, lease));
            world.note(|| format!("p{number} beat: {}", told(&beat)));
            beat
        });
        match beat.await {
            Ok(Beat::Alive { db_now, mut held }) if self.world.has(Bug::SignalsLost) => {
                held.iter_mut().for_each(|held| held.inbox_seq = 0);
                Ok(Beat::Alive { db_now, held })
            }
            beat => beat,
        }
    }

    async fn leave(&self, worker: WorkerId) -> Res<()> {
        let number = self.process.number;
        self.write("leave", move |world| {
            let left = at_once(world.store.leave(worker));
            world.note(|| format!("p{number} leave"));
            let mut checker = world.checker.lock();
            checker.commit();
            checker.durably();
            for run in checker.runs() {
                world.held(checker.changed(run, By::Leaver, &[]));
            }
            left
        })
        .await
    }

    async fn claim(&self, claim: &Claim, which: Which<'_>) -> Res<Vec<Held>> {
        let (claim, number) = (*claim, self.process.number);
        let (named, most) = match which {
            Which::Named(runs) => (Some(runs.to_vec()), 0),
            Which::Next(most) => (None, most),
        };
        let claimed = self.write("claim", move |world| {
            let which = named.as_deref().map_or(Which::Next(most), Which::Named);
            let held = at_once(world.store.claim(&claim, which))?;
            if !held.is_empty() {
                world.checker.lock().commit();
            }
            for held in &held {
                world.note(|| {
                    format!(
                        "p{number} claim {} epoch {} claims {} {}",
                        held.run, held.epoch, held.claims, held.phase
                    )
                });
                let mut checker = world.checker.lock();
                world.held(checker.changed(held.run, By::Claim(claim.id), &[]));
            }
            Ok(held)
        });
        let held = claimed.await?;
        for held in &held {
            let mut claims = self.claims.lock();
            let of_epoch = claims.entry((held.run, held.epoch)).or_default();
            of_epoch.push(held.claim);
        }
        Ok(held)
    }

    async fn plan(&self, run: RunId) -> Res<Arc<Plan>> {
        self.read("plan", move |world| at_once(world.store.plan(run)))
            .await
    }

    async fn load(&self, run: RunId) -> Res<History> {
        let mut history = self
            .read("load", move |world| at_once(world.store.load(run)))
            .await?;
        if self.world.has(Bug::StartsForgotten) {
            history
                .rows
                .retain(|row| row.status != TaskStatus::InProgress);
        }
        if self.world.has(Bug::GatesForgotten) {
            history.asks.clear();
        }
        Ok(history)
    }

    async fn reread(&self, run: RunId, claim: ClaimId) -> Res<Option<Held>> {
        self.read("reread", move |world| {
            at_once(world.store.reread(run, claim))
        })
        .await
    }

    async fn current(&self, claims: &[(RunId, i64)]) -> Res<Vec<bool>> {
        let claims = claims.to_vec();
        self.read("current", move |world| {
            at_once(world.store.current(&claims))
        })
        .await
    }

    async fn gates(&self, run: RunId) -> Res<Vec<Ask>> {
        let mut asks = self
            .read("gates", move |world| at_once(world.store.gates(run)))
            .await?;
        if self.world.has(Bug::GatesNotRead) {
            asks.clear();
        }
        if self.world.has(Bug::VotesCountAsAnswers) {
            let half_open = asks.iter_mut().filter(|ask| ask.stage > 0);
            half_open.for_each(|ask| ask.state = AskState::Approved);
        }
        Ok(asks)
    }

    async fn lapsed(&self, limit: u16) -> Res<Vec<Lapsed>> {
        self.read("lapsed", move |world| at_once(world.store.lapsed(limit)))
            .await
    }

    async fn commit(&self, batch: &Batch) -> Res<Vec<Verdict>> {
        let (batch, number) = (batch.clone(), self.process.number);
        self.process.gate().await;
        let crashes = self.world.condition.lock().crashes;
        self.nothing_lost(&batch, crashes)?;
        let copy = batch.clone();
        let act = move |world: &World| commit(world, &copy, number);
        let committed = self.call_by(crashes, "commit", Kind::Writes, act);
        let mut verdicts = committed.await??;
        self.note_lazy(&batch, &verdicts, crashes);
        if self.world.has(Bug::CancelNotTold) {
            let closing = verdicts.iter_mut().filter(|verdict| {
                verdict.phase == Phase::Closing && verdict.held && verdict.applied
            });
            closing.for_each(|verdict| verdict.phase = Phase::Running);
        }
        Ok(verdicts)
    }

    async fn decide(&self, deciding: &Deciding) -> Res<Decided> {
        let (deciding, number) = (deciding.clone(), self.process.number);
        let on_run = deciding.decision.subject() == Subject::Run;
        let early = on_run && self.world.has(Bug::VotesBeforeLock);
        let votes = early.then(|| self.world.store.votes(deciding.run));
        self.write("decide", move |world| {
            let decided = match votes {
                Some(votes) => world.store.decide_by(&deciding, votes),
                None => at_once(world.store.decide(&deciding))?,
            };
            world.note(|| format!("p{number} {}", decision(&deciding, &decided)));
            let mut checker = world.checker.lock();
            checker.commit();
            checker.durably();
            let by = match deciding.decision {
                Decision::Retry { .. } => By::Retry,
                _ => By::Decision,
            };
            if let (Decided::Done { .. }, Decision::Approve(say)) = (&decided, &deciding.decision) {
                checker.voted(deciding.run, say.on, say.actor.user);
            }
            if let Decided::Done { outbox, .. } = &decided {
                world.held(checker.committed(outbox, true));
                world.held(checker.changed(deciding.run, by, outbox));
            } else {
                world.held(checker.changed(deciding.run, by, &[]));
            }
            Ok(decided)
        })
        .await
    }

    async fn wake(&self, limit: u16) -> Res<Vec<Message>> {
        self.keep("wake", move |world| at_once(world.store.wake(limit)))
            .await
    }

    async fn due_within(&self, time: Duration, limit: u16) -> Res<Vec<Micros>> {
        self.read("due_within", move |world| {
            at_once(world.store.due_within(time, limit))
        })
        .await
    }

    async fn bury(&self, limit: u16) -> Res<Vec<Message>> {
        self.keep("bury", move |world| at_once(world.store.bury(limit)))
            .await
    }

    async fn bury_all(&self) -> Res<Vec<Message>> {
        self.keep("bury_all", |world| at_once(world.store.bury_all()))
            .await
    }

    async fn outbox_take(&self, limit: u16) -> Res<Vec<Message>> {
        self.keep("outbox_take", move |world| {
            at_once(world.store.outbox_take(limit))
        })
        .await
    }

    async fn outbox_done(&self, ids: &[Uuid]) -> Res<()> {
        let ids = ids.to_vec();
        self.write("outbox_done", move |world| {
            at_once(world.store.outbox_done(&ids))
        })
        .await
    }

    async fn now(&self) -> Res<Micros> {
        self.read("now", |world| at_once(world.store.now())).await
    }
}

impl Database {
    async fn read<T: Send + 'static>(
        &self,
        verb: &'static str,
        act: impl FnOnce(&World) -> Res<T> + Send + 'static,
    ) -> Res<T> {
        self.call(verb, Kind::Reads, act).await?
    }

    async fn write<T: Send + 'static>(
        &self,
        verb: &'static str,
        act: impl FnOnce(&World) -> Res<T> + Send + 'static,
    ) -> Res<T> {
        self.call(verb, Kind::Writes, act).await?
    }

    /// A keeper's verb: its messages tell of the runs it changed.
    async fn keep(
        &self,
        verb: &'static str,
        act: impl FnOnce(&World) -> Res<Vec<Message>> + Send + 'static,
    ) -> Res<Vec<Message>> {
        let number = self.process.number;
        self.write(verb, move |world| {
            let messages = act(world)?;
            if messages.is_empty() {
                return Ok(messages);
            }
            world.note(|| format!("p{number} {verb} {}", runs(&messages)));
            let mut checker = world.checker.lock();
            checker.commit();
            world.held(checker.committed(&messages, false));
            for message in &messages {
                world.held(checker.changed(message.run, By::Keeper, &messages));
            }
            Ok(messages)
        })
        .await
    }
}

fn commit(world: &World, batch: &Batch, number: u64) -> Res<Vec<Verdict>> {
    let verdicts = at_once(world.store.commit(batch))?;
    let mut checker = world.checker.lock();
    checker.commit();
    for (entry, verdict) in batch.entries.iter().zip(&verdicts) {
        world.note(|| {
            let rows: Vec<String> = entry
                .record
                .rows
                .iter()
                .map(|row| format!("{}={}#{}", row.key.index, row.status, row.attempt))
                .collect();
            format!(
                "p{number} commit {} durable={} [{}] {:?} → held={} applied={} {} {}",
                entry.run,
                batch.durable,
                rows.join(" "),
                entry.record.then,
                verdict.held,
                verdict.applied,
                verdict.phase,
                verdict.inbox_seq
            )
        });
        world.held(checker.committed(&verdict.outbox, batch.durable));
        world.held(checker.changed(entry.run, By::Owner(entry.claim), &verdict.outbox));
    }
    if batch.durable {
        checker.durably();
    }
    Ok(verdicts)
}

fn told(beat: &Res<Beat>) -> String {
    match beat {
        Ok(Beat::Alive { held, .. }) => format!("alive, {} runs", held.len()),
        Ok(Beat::Dead) => "dead".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn decision(deciding: &Deciding, decided: &Decided) -> String {
    let what = match deciding.decision {
        Decision::Approve { .. } => "approve",
        Decision::Reject { .. } => "reject",
        Decision::Cancel { .. } => "cancel",
        Decision::Retry { .. } => "retry",
        Decision::Start { .. } => "start",
        Decision::Lapse { .. } => "lapse",
        Decision::Resubmit { .. } => "resubmit",
    };
    let how = match decided {
        Decided::Done { live, .. } => match live {
            Some(live) => format!("done, {}", live.phase),
            None => "done, ended".to_owned(),
        },
        Decided::AlreadySo => "already so".to_owned(),
        Decided::Refused(why) => why.to_string(),
        Decided::NotFound => "not found".to_owned(),
    };
    let subject = deciding.decision.subject();
    format!("{what} {} {subject:?}: {how}", deciding.run)
}

fn runs(messages: &[Message]) -> String {
    let runs = messages.iter();
    let runs: Vec<String> = runs
        .map(|message| format!("{} {}", message.kind, message.run))
        .collect();
    runs.join(", ")
}
