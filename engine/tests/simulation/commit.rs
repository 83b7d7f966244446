//! The database: what of a record it takes, and what it answers.

use std::collections::BTreeMap;

use neena_engine::approval::{AskState, Subject};
use neena_engine::run::{Event, Phase, RunStatus, TaskKey, TaskRow, TaskStatus, Then};

use crate::people::Asking;
use crate::world::World;

impl World<'_> {
    /// Commits the oldest record and answers the owner.
    pub fn commit(&mut self) -> Result<(), String> {
        let Some(owner) = &mut self.owner else {
            return Ok(());
        };
        let Some((seen, record)) = owner.records.pop_front() else {
            return Ok(());
        };
        for row in record.rows {
            let index = row.key.index;
            if let Some(old) = self.table.get(&index)
                && old.status.is_outcome()
            {
                return Err(format!("task {index} got a second outcome"));
            }
            self.table.insert(index, row);
        }
        for asked in record.asks {
            let Subject::Gate(TaskKey { index, .. }) = asked.ask.subject else {
                return Err("the owner of a run asked about its plan".into());
            };
            if !self.asked.insert(index) || self.asks.contains_key(&index) {
                return Err(format!("gate {index} is asked about again"));
            }
            self.asks.insert(index, asked.ask.into());
        }
        for key in record.withdrawn {
            self.asks.remove(&key.index);
        }
        let fresh = seen == self.inbox_seq;
        let running = self.phase == Phase::Running;
        let applied = match record.then {
            Then::Hold => {
                owner.seen = self.inbox_seq;
                let standing = self.standing();
                return self.tell(Event::Recorded {
                    seq: record.seq,
                    standing,
                    applied: true,
                });
            }
            Then::Finish(ending) if running && fresh => {
                self.ended = Some(ending.status);
                true
            }
            Then::Close { .. } if self.phase == Phase::Closing => {
                self.ended = Some(RunStatus::Cancelled);
                true
            }
            Then::Park { wake_at, .. } if running && fresh => {
                let paused = self.intent.take().is_some();
                self.phase = if paused { Phase::Paused } else { Phase::Parked };
                self.wake_at = wake_at;
                if !paused {
                    sleeps_through_no_answer(&self.asks, &self.table)?;
                }
                true
            }
            Then::Yield => {
                if running {
                    self.phase = Phase::Ready;
                }
                true
            }
            Then::Finish(_) | Then::Close { .. } | Then::Park { .. } => false,
        };
        if applied && !owner.running.is_empty() {
            return Err("the run was let go while attempts were under way".into());
        }
        if applied {
            self.owner = None;
            return Ok(());
        }
        owner.seen = self.inbox_seq;
        let standing = self.standing();
        self.tell(Event::Recorded {
            seq: record.seq,
            standing,
            applied,
        })
    }
}

/// A run that parks knows of every gate that was answered: nobody would wake it for them any more.
fn sleeps_through_no_answer(
    asks: &BTreeMap<u32, Asking>,
    table: &BTreeMap<u32, TaskRow>,
) -> Result<(), String> {
    let waits = |row: &TaskRow| row.status == TaskStatus::Pending && row.due_at.is_none();
    let unheard = asks.iter().find(|(index, asking)| {
        asking.ask.state != AskState::Open && table.get(index).is_none_or(waits)
    });
    match unheard {
        Some((index, _)) => Err(format!("the run parks although gate {index} was answered")),
        None => Ok(()),
    }
}
