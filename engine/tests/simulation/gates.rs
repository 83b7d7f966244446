//! Gates, as the one who holds the run meets them: asked about once, answered at any moment, withdrawn in the end.

use neena_engine::approval::{Ask, AskState, Policy, Subject};
use neena_engine::flow::{OnFailure, TriggerRule};
use neena_engine::run::{
    Command, Event, History, Intent, Outcome, Phase, Record, Run, Standing, Start, TaskKey,
    TaskRow, TaskStatus, Then,
};
use neena_engine::{Json, Micros};

use crate::graph::{Case, Node, People};

const NOW: Micros = Micros(1);
const GATED: Option<People> = Some(People::Approve(1));

fn node(gate: Option<People>, inputs: &[usize]) -> Node {
    Node {
        pure: false,
        repeatable: true,
        failures: 0,
        fatal: false,
        max_attempts: 1,
        delay_ms: 0,
        rule: TriggerRule::AllSuccess,
        when: true,
        inputs: inputs.to_vec(),
        gate,
    }
}

fn case(nodes: Vec<Node>, on_failure: OnFailure) -> Case {
    Case {
        nodes,
        on_failure,
        seed: 1,
    }
}

fn key(index: u32) -> TaskKey {
    TaskKey { index, item: None }
}

fn ask(index: u32, state: AskState) -> Ask {
    let open = Ask::new(Subject::Gate(key(index)), &Policy::quorum(1), NOW);
    match state {
        AskState::Open => open,
        _ => Ask {
            answer: Some(Json::of(&format!("answer {index}"))),
            ..open.decided(state, "as somebody said")
        },
    }
}

fn running(inbox_seq: i64) -> Standing {
    Standing {
        phase: Phase::Running,
        intent: None,
        inbox_seq,
    }
}

/// A run that somebody holds.
struct Held(Run);

impl Held {
    fn claimed(
        nodes: Vec<Node>,
        on_failure: OnFailure,
        history: &History,
        standing: Standing,
    ) -> (Held, Vec<Command>) {
        let case = case(nodes, on_failure);
        let mut held = Held(Run::new(case.run(), case.plan(), None, history));
        let commands = held.on(Event::Claimed(standing));
        (held, commands)
    }

    fn on(&mut self, event: Event) -> Vec<Command> {
        self.0.on(event, NOW)
    }

    fn hears(&mut self, inbox_seq: i64, asks: Vec<Ask>) -> Vec<Command> {
        self.on(Event::Signalled {
            standing: running(inbox_seq),
            asks,
        })
    }

    fn recorded(&mut self, seq: u64, inbox_seq: i64, applied: bool) -> Vec<Command> {
        self.on(Event::Recorded {
            seq,
            standing: running(inbox_seq),
            applied,
        })
    }

    fn finishes(&mut self, index: u32) -> Vec<Command> {
        self.on(Event::Finished {
            key: key(index),
            attempt: 1,
            started: NOW,
            outcome: Outcome::Completed(Json::null()),
        })
    }
}

fn record(commands: &[Command]) -> Record {
    let record = |command: &Command| match command {
        Command::Record(record) => Some(record.clone()),
        _ => None,
    };
    commands.iter().find_map(record).unwrap_or_default()
}

fn starts(commands: &[Command]) -> Vec<Start> {
    let start = |command: &Command| match command {
        Command::Start(start) => Some(start.clone()),
        _ => None,
    };
    commands.iter().filter_map(start).collect()
}

fn started(commands: &[Command]) -> Vec<u32> {
    let starts = starts(commands);
    starts.iter().map(|start| start.key.index).collect()
}

fn looks(commands: &[Command]) -> bool {
    let looks = |command: &Command| matches!(command, Command::Look);
    commands.iter().any(looks)
}

fn parks(commands: &[Command]) -> bool {
    matches!(record(commands).then, Then::Park { .. })
}

fn asked(commands: &[Command]) -> Vec<Subject> {
    let asks = record(commands).asks;
    asks.iter().map(|asked| asked.ask.subject).collect()
}

fn row(commands: &[Command], index: u32) -> Option<TaskRow> {
    let rows = record(commands).rows;
    rows.into_iter().find(|row| row.key.index == index)
}

fn history(rows: Vec<TaskRow>, asks: Vec<Ask>) -> History {
    History { rows, asks }
}

#[test]
fn a_gate_that_is_reached_is_asked_about_and_the_run_parks_with_it() {
    let (_, commands) = Held::claimed(
        vec![node(GATED, &[]), node(GATED, &[]), node(None, &[1])],
        OnFailure::Stop,
        &History::default(),
        running(0),
    );
    let record = record(&commands);
    assert_eq!(
        asked(&commands),
        [Subject::Gate(key(0)), Subject::Gate(key(1))]
    );
    assert!(record.urgent && started(&commands).is_empty());
    assert_eq!(
        record.then,
        Then::Park {
            wake_at: None,
            reason: Some("approval of `task 0` and 1 more".into()),
        }
    );
}

#[test]
fn gates_in_parallel_branches_are_decided_one_by_one() {
    let (mut held, _) = Held::claimed(
        vec![
            node(GATED, &[]),
            node(GATED, &[]),
            node(None, &[2]),
            node(None, &[2]),
        ],
        OnFailure::Continue,
        &History::default(),
        running(0),
    );
    let asks = vec![ask(0, AskState::Approved), ask(1, AskState::Open)];
    held.hears(1, asks);
    assert_eq!(started(&held.recorded(1, 1, false)), [0]);
    held.finishes(0);
    assert_eq!(started(&held.recorded(3, 1, true)), [2]);
    // The other is still asked about, and its rejection touches nothing of the first.
    let asks = vec![ask(0, AskState::Approved), ask(1, AskState::Rejected)];
    let commands = held.hears(2, asks);
    let failed = row(&commands, 1).unwrap();
    assert_eq!((failed.status, failed.attempt), (TaskStatus::Failed, 0));
    assert!(failed.error.unwrap().text().contains("gate_rejected"));
    assert_eq!(row(&commands, 3).unwrap().status, TaskStatus::Skipped);
    assert!(row(&commands, 2).is_none());
    assert!(matches!(record(&held.finishes(2)).then, Then::Finish(_)));
}

#[test]
fn an_answer_that_overtakes_the_record_of_its_question_waits_for_it() {
    let (mut held, _) = Held::claimed(
        vec![node(None, &[]), node(GATED, &[1]), node(None, &[])],
        OnFailure::Stop,
        &History::default(),
        running(0),
    );
    held.recorded(1, 0, true);
    let commands = held.finishes(0);
    assert_eq!(asked(&commands), [Subject::Gate(key(1))]);
    // Its record is committed and answered by a person before the commit's answer is here.
    let commands = held.hears(1, vec![ask(1, AskState::Approved)]);
    assert!(started(&commands).is_empty());
    assert_eq!(started(&held.recorded(2, 0, true)), [1]);
}

/// The journal's answer says that the inbox grew, and not that a gate was answered.
#[test]
fn a_run_does_not_park_on_an_answer_it_was_not_told_of() {
    let (mut held, _) = Held::claimed(
        vec![node(GATED, &[]), node(None, &[])],
        OnFailure::Stop,
        &History::default(),
        running(0),
    );
    let commands = held.recorded(1, 1, true);
    assert!(looks(&commands));
    let commands = held.finishes(1);
    assert!(!parks(&commands) && !looks(&commands), "{commands:?}");
    assert_eq!(
        started(&held.hears(1, vec![ask(0, AskState::Approved)])),
        [0]
    );
}

#[test]
fn a_run_that_looked_in_vain_parks() {
    let (mut held, commands) = Held::claimed(
        vec![node(GATED, &[])],
        OnFailure::Stop,
        &History::default(),
        running(0),
    );
    assert!(parks(&commands));
    let commands = held.recorded(1, 1, false);
    assert!(looks(&commands) && !parks(&commands), "{commands:?}");
    assert!(parks(&held.hears(1, vec![ask(0, AskState::Open)])));
}

#[test]
fn a_gate_answered_while_the_run_is_let_go_starts_only_if_it_is_not() {
    let (mut held, commands) = Held::claimed(
        vec![node(GATED, &[])],
        OnFailure::Stop,
        &History::default(),
        running(0),
    );
    assert!(parks(&commands));
    let commands = held.hears(1, vec![ask(0, AskState::Approved)]);
    assert!(started(&commands).is_empty());
    assert_eq!(started(&held.recorded(1, 1, false)), [0]);
}

#[test]
fn a_gate_reached_during_a_pause_is_asked_about_and_answered_in_it() {
    let paused = Standing {
        intent: Some(Intent::Pause),
        ..running(1)
    };
    let nodes = || vec![node(GATED, &[])];
    let (mut held, commands) = Held::claimed(nodes(), OnFailure::Stop, &History::default(), paused);
    assert_eq!(asked(&commands), [Subject::Gate(key(0))]);
    assert!(parks(&commands));
    // The pause was taken back before it took effect: nothing is asked about again.
    let commands = held.on(Event::Recorded {
        seq: 1,
        standing: running(2),
        applied: false,
    });
    assert!(asked(&commands).is_empty() && looks(&commands));
    let answered = history(vec![], vec![ask(0, AskState::Approved)]);
    let (_, commands) = Held::claimed(nodes(), OnFailure::Stop, &answered, running(3));
    assert_eq!(started(&commands), [0]);
}

#[test]
fn a_pause_holds_a_task_whose_gate_is_opened_in_it() {
    let (mut held, _) = Held::claimed(
        vec![node(GATED, &[]), node(None, &[])],
        OnFailure::Stop,
        &History::default(),
        running(0),
    );
    let commands = held.on(Event::Signalled {
        standing: Standing {
            intent: Some(Intent::Pause),
            ..running(1)
        },
        asks: vec![ask(0, AskState::Approved)],
    });
    assert!(started(&commands).is_empty());
    assert!(started(&held.recorded(1, 0, true)).is_empty());
    assert_eq!(started(&held.hears(2, vec![])), [0]);
}

#[test]
fn the_next_owner_knows_the_gates_and_asks_about_none_again() {
    let asks = vec![ask(0, AskState::Open), ask(1, AskState::Approved)];
    let nodes = vec![node(GATED, &[]), node(GATED, &[]), node(None, &[1])];
    let (mut held, commands) =
        Held::claimed(nodes, OnFailure::Stop, &history(vec![], asks), running(4));
    assert!(asked(&commands).is_empty());
    let [start] = <[Start; 1]>::try_from(starts(&commands)).unwrap();
    assert_eq!(start.arguments.text(), r#"{"gate_1":"answer 1"}"#);
    held.recorded(1, 4, true);
    // Those after it are given the answer, too.
    held.finishes(1);
    let [start] = <[Start; 1]>::try_from(starts(&held.recorded(2, 4, true))).unwrap();
    assert_eq!(start.arguments.text(), r#"{"gate_1":"answer 1"}"#);
}

/// The tasks of an earlier owner's gates have not had their turn here when the run stops at once.
#[test]
fn open_gates_of_an_earlier_owner_are_withdrawn_with_the_run() {
    let known = || history(vec![], vec![ask(0, AskState::Open)]);
    let closing = Standing {
        phase: Phase::Closing,
        ..running(5)
    };
    let (_, commands) = Held::claimed(vec![node(GATED, &[])], OnFailure::Stop, &known(), closing);
    assert_eq!(record(&commands).withdrawn, [key(0)]);
    assert!(matches!(record(&commands).then, Then::Close { .. }));
    let case = case(vec![node(GATED, &[])], OnFailure::Stop);
    let mut condemned = Run::new(case.run(), case.plan(), None, &known());
    let commands = condemned.on(Event::Condemned, NOW);
    assert_eq!(record(&commands).withdrawn, [key(0)]);
}

#[test]
fn a_gate_whose_run_stops_in_the_same_moment_is_not_asked_about() {
    let known = history(vec![], vec![ask(1, AskState::Expired)]);
    let nodes = vec![node(GATED, &[]), node(GATED, &[])];
    let (_, commands) = Held::claimed(nodes, OnFailure::Stop, &known, running(0));
    let record = record(&commands);
    assert!(record.asks.is_empty() && record.withdrawn.is_empty());
    let failed = row(&commands, 1).unwrap();
    assert!(failed.error.unwrap().text().contains("gate_expired"));
    assert!(matches!(record.then, Then::Finish(_)));
}

#[test]
fn a_task_of_an_earlier_round_ends_at_its_gate_with_its_run() {
    let case = case(vec![node(GATED, &[])], OnFailure::Stop);
    let listed = TaskRow {
        key: key(0),
        id: neena_engine::ids::TaskRunId::of(case.run(), 0, None),
        status: TaskStatus::Pending,
        attempt: 1,
        attempts_before: 1,
        start_time: None,
        end_time: None,
        due_at: None,
        result: None,
        error: None,
        prep_answer: None,
    };
    let known = history(vec![listed], vec![]);
    let (mut held, commands) = Held::claimed(case.nodes, OnFailure::Stop, &known, running(0));
    assert_eq!(asked(&commands), [Subject::Gate(key(0))]);
    let commands = held.on(Event::Signalled {
        standing: Standing {
            phase: Phase::Closing,
            ..running(1)
        },
        asks: vec![ask(0, AskState::Open)],
    });
    assert_eq!(row(&commands, 0).unwrap().status, TaskStatus::Cancelled);
    assert_eq!(record(&commands).withdrawn, [key(0)]);
}

#[test]
fn a_run_handed_back_leaves_its_gates_open() {
    let (mut held, _) = Held::claimed(
        vec![node(GATED, &[]), node(None, &[])],
        OnFailure::Stop,
        &History::default(),
        running(0),
    );
    let commands = held.on(Event::HandBack {
        unstarted: vec![key(1)],
    });
    let record = record(&commands);
    assert!(record.withdrawn.is_empty());
    assert_eq!(record.then, Then::Yield);
}
