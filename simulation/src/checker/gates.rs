//! What holds of gates: asked once a round, decided by decisions only, and what was decided is heard.

use std::collections::BTreeMap;

use neena_engine::approval::{Ask, AskState, OnExpiry, Subject};
use neena_engine::ids::{RunId, UserId};
use neena_engine::run::{Phase, TaskStatus};
use serde_json::Value;

use super::{Broken, By, Checker, Seen};

/// How a run says that it waits for people.
const WAITS: &str = "approval of ";

impl Checker {
    /// Somebody's approval of a gate was committed.
    pub fn voted(&mut self, run: RunId, on: Subject, voter: UserId) {
        if let Some(index) = index(on) {
            let votes = self.votes.entry((run, index)).or_default();
            votes.insert(voter.0.as_u128());
        }
    }

    /// What may become of gates.
    pub(super) fn gates(&mut self, run: RunId, before: &Seen, after: &Seen, by: By) -> Broken {
        for ask in &after.asks {
            let Some(index) = index(ask.subject) else {
                continue;
            };
            match find(&before.asks, ask.subject) {
                None => self.put(run, index, ask, after, by)?,
                Some(was) if was == ask => {}
                Some(was) if was.state != AskState::Open => {
                    return Err(format!(
                        "the gate of task {index} was {} and became {}",
                        was.state, ask.state
                    ));
                }
                Some(_) if !matches!(by, By::Decision) => {
                    return Err(format!("the gate of task {index} was changed"));
                }
                Some(_) if ask.state != AskState::Open => {
                    self.decided(run, index, ask, before, after)?;
                }
                Some(_) => {}
            }
        }
        for was in &before.asks {
            if find(&after.asks, was.subject).is_some() {
                continue;
            }
            if was.state != AskState::Open && !matches!(by, By::Retry) {
                return Err(format!("the answer to {:?} is gone", was.subject));
            }
        }
        started_before_approval(self, run, before, after)?;
        parks_deaf(before, after, by)
    }

    /// A gate is asked about: by the owner, once a round, when its turn has come.
    fn put(&mut self, run: RunId, index: u32, ask: &Ask, after: &Seen, by: By) -> Broken {
        if !matches!(by, By::Owner(_)) || ask.state != AskState::Open {
            return Err(format!("a gate of task {index} appeared: {ask:?}"));
        }
        let place = (run, index, after.run.run.round);
        match self.asked.insert(place, ask.asked_at) {
            // Not before: what takes a question back may be lost with the database.
            None => drop(self.votes.remove(&(run, index))),
            // A batch that landed late put it once more after it was taken back; it goes with the run's end.
            Some(asked_at) if asked_at == ask.asked_at => {}
            Some(_) => {
                return Err(format!(
                    "the gate of task {index} was asked about twice in a round"
                ));
            }
        }
        let Some(flow) = self.flows.get(&run) else {
            return Ok(());
        };
        let step = &flow.steps[index as usize];
        let recorded = |input: &u32| {
            let row = after.tasks.get(input);
            row.is_some_and(|row| row.status.is_outcome())
        };
        if step.gate.is_none() || !step.inputs.iter().all(recorded) {
            return Err(format!(
                "the gate of task {index} was asked about before its turn"
            ));
        }
        Ok(())
    }

    /// A gate was decided: rightly, and so that the run goes on.
    fn decided(&self, run: RunId, index: u32, ask: &Ask, before: &Seen, after: &Seen) -> Broken {
        let flow = self.flows.get(&run);
        let policy = flow.and_then(|flow| flow.steps[index as usize].gate.as_ref());
        let Some(policy) = policy else {
            return Err(format!("task {index} has no gate, and it was decided"));
        };
        let needed: u32 = policy.stages.iter().map(|stage| stage.count).sum();
        let voters = self.votes.get(&(run, index)).map_or(0, |votes| votes.len());
        let by_expiry = policy.on_expiry == OnExpiry::Approve && ask.due_at.is_some();
        if ask.state == AskState::Approved && voters < needed as usize && !by_expiry {
            return Err(format!(
                "the gate of task {index} opened with {voters} of {needed} approvals"
            ));
        }
        let signalled = match (&before.live, &after.live) {
            (Some(was), Some(is)) => is.inbox_seq > was.inbox_seq && is.phase != Phase::Parked,
            _ => false,
        };
        match signalled {
            true => Ok(()),
            false => Err(format!(
                "the gate of task {index} was decided, and the run was not told"
            )),
        }
    }
}

/// What the gates that are open were answered, by task.
pub(crate) fn answers(asks: &[Ask]) -> BTreeMap<u32, Value> {
    let open = asks.iter().filter(|ask| ask.state == AskState::Approved);
    open.filter_map(|ask| {
        let answer = ask.answer.as_ref();
        let answer = answer.and_then(|answer| serde_json::from_str(answer.text()).ok());
        Some((index(ask.subject)?, answer.unwrap_or_default()))
    })
    .collect()
}

/// No row says that a task began whose gate is not open.
fn started_before_approval(checker: &Checker, run: RunId, before: &Seen, after: &Seen) -> Broken {
    let Some(flow) = checker.flows.get(&run) else {
        return Ok(());
    };
    for (index, row) in &after.tasks {
        let began = matches!(row.status, TaskStatus::InProgress | TaskStatus::Completed);
        let gated = flow.steps[*index as usize].gate.is_some();
        if !gated || !began || before.tasks.get(index) == Some(row) {
            continue;
        }
        let subject = Subject::Gate(row.key);
        if find(&after.asks, subject).is_none_or(|ask| ask.state != AskState::Approved) {
            return Err(format!("task {index} began before its gate was approved"));
        }
    }
    Ok(())
}

/// Nobody parks a run for people who have answered.
fn parks_deaf(before: &Seen, after: &Seen, by: By) -> Broken {
    let parked = |seen: &Seen| {
        let live = seen.live.as_ref();
        live.is_some_and(|live| live.phase == Phase::Parked)
    };
    let reason = after.run.reason.as_deref().unwrap_or_default();
    if !matches!(by, By::Owner(_)) || parked(before) || !parked(after) || !reason.starts_with(WAITS)
    {
        return Ok(());
    }
    for ask in after.asks.iter().filter(|ask| ask.state != AskState::Open) {
        if let Some(index) = index(ask.subject)
            && !after.tasks.contains_key(&index)
        {
            return Err(format!(
                "it parks although the gate of task {index} was decided"
            ));
        }
    }
    Ok(())
}

fn find(asks: &[Ask], subject: Subject) -> Option<&Ask> {
    asks.iter().find(|ask| ask.subject == subject)
}

fn index(on: Subject) -> Option<u32> {
    match on {
        Subject::Gate(key) => Some(key.index),
        Subject::Run => None,
    }
}
