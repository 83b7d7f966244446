//! An entry of the journal.

use neena_engine::Micros;
use neena_engine::approval::{AskState, Subject};
use neena_engine::ids::RunId;
use neena_engine::run::{LiveRun, Phase, RunStatus, Then};

use super::flaw::Flaw;
use super::state::State;
use crate::effect::{Effect, effect};
use crate::rows::{replaces, standing};
use crate::seam::{GIVEN_BACK, HEAD_START};
use crate::{Entry, Message, Verdict};

impl State {
    pub(super) fn commit(&mut self, entry: &Entry, now: Micros) -> Verdict {
        if self.has(Flaw::AsksUnfenced) {
            self.write_asks(entry, false);
        }
        let Some(live) = self
            .live
            .get(&entry.run)
            .filter(|live| live.claim == Some(entry.claim) || self.has(Flaw::NoFence))
        else {
            return Verdict::fenced(entry.run);
        };
        let live = live.clone();
        self.write(entry, &live);
        let mut outbox = Vec::new();
        let applied = match self.effect(entry, &live) {
            Effect::Hold => true,
            Effect::Stale => false,
            Effect::Park {
                phase,
                wake_at,
                reason,
            } => {
                self.note_progress(entry, &live, now);
                let parked = LiveRun {
                    phase,
                    wake_at,
                    intent: None,
                    owner: None,
                    claim: None,
                    claims: 0,
                    ..live.clone()
                };
                self.live.insert(entry.run, parked);
                if let (Some(run), Some(reason)) = (self.runs.get_mut(&entry.run), reason) {
                    run.reason = Some(reason.clone());
                }
                true
            }
            Effect::Finish(end) => {
                outbox.push(self.end(entry, &live, end.status, now));
                if let Some(run) = self.runs.get_mut(&entry.run) {
                    run.run.status = end.status;
                    run.end_time = Some(now);
                    run.reason.clone_from(&end.reason);
                }
                self.results.insert(entry.run, end.body.clone());
                true
            }
            Effect::Close(body) => {
                outbox.push(self.end(entry, &live, RunStatus::Cancelled, now));
                self.results.insert(entry.run, body.clone());
                true
            }
            Effect::Yield => {
                if let Some(live) = self.live.get_mut(&entry.run) {
                    live.claims = 0;
                }
                if let Some(freed) = self.free(entry.run, now) {
                    self.send(Message::RESUMED, freed, now, GIVEN_BACK);
                }
                true
            }
        };
        if matches!(
            self.effect(entry, &live),
            Effect::Hold | Effect::Stale | Effect::Yield
        ) {
            self.note_progress(entry, &live, now);
        }
        let (phase, intent, inbox_seq) = (live.phase, live.intent, live.inbox_seq);
        Verdict {
            run: entry.run,
            held: true,
            phase,
            intent,
            inbox_seq,
            applied,
            outbox,
        }
    }

    /// What becomes of the run, planted bugs included.
    fn effect<'a>(&self, entry: &'a Entry, live: &LiveRun) -> Effect<'a> {
        let blindly = match entry.record.then {
            Then::Park { .. } => self.has(Flaw::ParksBlindly),
            Then::Finish(_) => self.has(Flaw::FinishesBlindly),
            _ => false,
        };
        if !blindly {
            return effect(entry, live);
        }
        let as_seen = LiveRun {
            phase: Phase::Running,
            inbox_seq: entry.seen,
            ..live.clone()
        };
        effect(entry, &as_seen)
    }

    /// Gates that were reached, unless the run was cancelled, and gates that are asked about no more.
    fn write_asks(&mut self, entry: &Entry, closing: bool) {
        for asked in entry.record.asks.iter().filter(|_| !closing) {
            let place = (entry.run, asked.ask.subject);
            self.asks.entry(place).or_insert_with(|| asked.ask.clone());
        }
        for gate in &entry.record.withdrawn {
            let place = (entry.run, Subject::Gate(*gate));
            if self
                .asks
                .get(&place)
                .is_some_and(|ask| ask.state == AskState::Open)
            {
                self.asks.remove(&place);
            }
        }
    }

    fn write(&mut self, entry: &Entry, live: &LiveRun) {
        self.write_asks(entry, live.phase == Phase::Closing);
        let forgets = self.has(Flaw::OutcomesReplaced);
        for row in standing(&entry.record.rows) {
            let stored = self
                .tasks
                .entry((entry.run, row.key))
                .or_insert_with(|| row.clone());
            if replaces(row, stored) || forgets {
                *stored = row.clone();
            }
        }
        let round = self.round(entry.run);
        for attempt in &entry.record.attempts {
            let key = (entry.run, attempt.key, round, attempt.attempt);
            self.attempts.entry(key).or_insert_with(|| attempt.clone());
        }
    }

    fn round(&self, run: RunId) -> u32 {
        self.runs.get(&run).map_or(0, |row| row.run.round)
    }

    fn note_progress(&mut self, entry: &Entry, live: &LiveRun, now: Micros) {
        let rows = &entry.record.rows;
        if let Some(run) = self.runs.get_mut(&entry.run)
            && !rows.is_empty()
            && run.run.status == RunStatus::InProgress
        {
            run.start_time = run.start_time.or(Some(entry.start(now)));
            run.reason = None;
        }
        if live.claims > 1
            && rows.iter().any(|row| row.status.is_outcome())
            && let Some(live) = self.live.get_mut(&entry.run)
        {
            live.claims = 0;
        }
    }

    fn end(&mut self, entry: &Entry, live: &LiveRun, status: RunStatus, now: Micros) -> Message {
        if !self.has(Flaw::LiveRowStays) {
            self.live.remove(&entry.run);
        }
        let place = (entry.run, AskState::Open);
        self.asks.retain(|(run, _), ask| (*run, ask.state) != place);
        if let Some(run) = self.runs.get_mut(&entry.run) {
            run.run.epoch = live.epoch;
            run.start_time = run.start_time.or(Some(entry.start(now)));
        }
        let about = (live.organization, live.run, live.epoch);
        self.send(&format!("flow_run.{status}"), about, now, HEAD_START)
    }
}
