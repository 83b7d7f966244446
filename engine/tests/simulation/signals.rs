//! Signals and the answers they overtake.

use neena_engine::Micros;
use neena_engine::flow::{OnFailure, TriggerRule};
use neena_engine::run::{
    Command, Event, History, Intent, Outcome, Phase, Run, Standing, Start, Then,
};

use crate::graph::{Case, Node};

const NOW: Micros = Micros(1);

fn standing(phase: Phase, intent: Option<Intent>, inbox_seq: i64) -> Standing {
    Standing {
        phase,
        intent,
        inbox_seq,
    }
}

/// Two tasks with an effect, one after the other; the first has ended and its record is out. A third
/// task, which is answered, is under way and keeps the run from being let go.
fn between_two_effects() -> (Run, Start) {
    let node = |inputs: &[usize]| Node {
        pure: false,
        repeatable: true,
        failures: 0,
        fatal: false,
        max_attempts: 1,
        delay_ms: 0,
        rule: TriggerRule::AllSuccess,
        when: true,
        inputs: inputs.to_vec(),
        gate: None,
    };
    let case = Case {
        nodes: vec![node(&[]), node(&[1]), node(&[])],
        on_failure: OnFailure::Stop,
        seed: 1,
    };
    let mut run = Run::new(case.run(), case.plan(), None, &History::default());
    let commands = run.on(Event::Claimed(standing(Phase::Running, None, 0)), NOW);
    let [first, other] = <[Start; 2]>::try_from(starts(&commands)).unwrap();
    let commands = run.on(
        Event::Finished {
            key: first.key,
            attempt: first.attempt,
            started: NOW,
            outcome: Outcome::Completed(first.arguments),
        },
        NOW,
    );
    assert!(
        starts(&commands).is_empty(),
        "the second waits for the commit"
    );
    (run, other)
}

fn starts(commands: &[Command]) -> Vec<Start> {
    let start = |command: &Command| match command {
        Command::Start(start) => Some(start.clone()),
        _ => None,
    };
    commands.iter().filter_map(start).collect()
}

fn signalled(standing: Standing) -> Event {
    Event::Signalled {
        standing,
        asks: Vec::new(),
    }
}

/// The answer of the first task's record, from before the signal.
fn overtaken(run: &mut Run) -> Vec<Command> {
    let event = Event::Recorded {
        seq: 2,
        standing: standing(Phase::Running, None, 0),
        applied: true,
    };
    run.on(event, NOW)
}

#[test]
fn an_answer_older_than_a_pause_starts_nothing() {
    let (mut run, _) = between_two_effects();
    run.on(
        signalled(standing(Phase::Running, Some(Intent::Pause), 1)),
        NOW,
    );
    assert!(starts(&overtaken(&mut run)).is_empty());
}

#[test]
fn an_answer_older_than_a_cancel_does_not_end_the_run_as_anything_else() {
    let (mut run, other) = between_two_effects();
    let mut commands = run.on(signalled(standing(Phase::Closing, None, 1)), NOW);
    commands.extend(overtaken(&mut run));
    let stopped = Event::Finished {
        key: other.key,
        attempt: other.attempt,
        started: NOW,
        outcome: Outcome::Stopped,
    };
    commands.extend(run.on(stopped, NOW));
    let closed = commands
        .iter()
        .filter_map(|command| match command {
            Command::Record(record) if record.then != Then::Hold => Some(record.then.clone()),
            _ => None,
        })
        .collect::<Vec<_>>();
    assert!(
        matches!(closed.as_slice(), [Then::Close { .. }]),
        "{closed:?}"
    );
}
