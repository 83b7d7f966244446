//! One task of a run, as its owner remembers it.

use crate::approval::{Ask, AskState};
use crate::run::TaskStatus;
use crate::{Json, Micros};

/// Where a task stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// Some input has not ended.
    Waiting,
    /// Its turn has come; people are asked whether it may go on.
    Gated,
    /// Bound; waits for a commit, or for the run to go on.
    Held,
    /// An attempt is under way.
    Running,
    /// Failed; the next attempt is due later.
    Delayed,
    /// It has its outcome.
    Done(TaskStatus),
}

/// Where a task stands with its gate.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Passage {
    Unasked,
    Asked,
    /// It was approved, with this answer (`null` where the gate has no form).
    Open(Json),
    /// It was not: the error its task fails with.
    Shut {
        kind: &'static str,
        reason: String,
    },
}

impl Passage {
    /// As its row says.
    pub fn of(ask: &Ask) -> Passage {
        match ask.state {
            AskState::Approved => Passage::Open(ask.answer.clone().unwrap_or_else(Json::null)),
            AskState::Open => Passage::Asked,
            AskState::Rejected | AskState::Expired => Passage::Shut {
                kind: match ask.state {
                    AskState::Expired => "gate_expired",
                    _ => "gate_rejected",
                },
                reason: ask.reason.clone().unwrap_or_default(),
            },
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Task {
    pub state: State,
    /// Inputs without an outcome.
    pub inputs: usize,
    /// The newest record it depends on.
    pub needs: u64,
    /// Attempts that ended, over all rounds, and how many of them in earlier rounds.
    pub made: u32,
    pub before: u32,
    /// Where it stands with its gate, if it has one.
    pub passage: Passage,
    /// The bound arguments and where they came from, from binding until the outcome.
    pub arguments: Option<Json>,
    pub prep_answer: Option<Json>,
    /// Whether an `in_progress` row of the coming attempt was handed out.
    pub announced: bool,
    /// Whether a row that is not an outcome was handed out: it must not outlive the run.
    pub listed: bool,
    pub result: Option<Json>,
    /// Error of the last failed attempt, `{"type", "message"}`.
    pub error: Option<Json>,
    pub start_time: Option<Micros>,
}

impl Task {
    pub fn new(inputs: usize) -> Task {
        Task {
            state: State::Waiting,
            inputs,
            needs: 0,
            made: 0,
            before: 0,
            passage: Passage::Unasked,
            arguments: None,
            prep_answer: None,
            announced: false,
            listed: false,
            result: None,
            error: None,
            start_time: None,
        }
    }

    /// Its outcome, once it has one.
    pub fn outcome(&self) -> Option<TaskStatus> {
        match self.state {
            State::Done(status) => Some(status),
            _ => None,
        }
    }
}
